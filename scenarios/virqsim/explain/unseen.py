"""Interrupts that nobody looks at: the hypervisor's second look at them was left out by the plan.

Whoever brings an interrupt tells a target that is in its guest or asleep, and nobody else, since the target looks
once more by itself (`virqsim list rechecks`). Where that look is left out, the interrupt waits for another reason
to leave the guest, or to wake.
"""

from __future__ import annotations

from . import sections
from .case import Case
from .reason import Reason

_REQUEST, _BLOCK, _SET_ON = "kvm_vcpu_exit_request", "kvm_vcpu_check_block", "pi_set_on"


def in_pir(of: Case) -> bool:
    """Posted, and the CPU is not told, nor has it been: it would have taken what is in PIR."""
    return of.thread["state"] in ("ENTERING", "GUEST") and not _told(of, "POSTED")


def posted(of: Case) -> Reason:
    """Why."""
    on = of.state["posted"]["ON"]
    says = ("ON is set, so that no later post notifies its CPU either" if on
            else "ON is clear, and PIR is looked into only where it is set")
    return Reason("in PIR, and nobody looks there", f"it is posted, and no notification is under way: {says}; "
                  + _left_out(of, _REQUEST if on else _SET_ON), of.bit(f"PIR[{of.vector}]", "ON", "SN"),
                  sections.kvm("kvm_vcpu_exit_request" if on else "vmx_vcpu_pi_load"))


def in_irr(of: Case) -> bool:
    """In the hypervisor's APIC, for a guest that runs and that nobody makes leave."""
    return _REQUEST in of.left_out and not _told(of) and not of.thread["kicked"]


def requested(of: Case, evidence: tuple[str, ...]) -> Reason:
    """Why."""
    return Reason("nobody makes the guest leave", "it came when the vCPU was about to enter its guest, so that nobody "
                  f"interrupted its CPU; {_left_out(of, _REQUEST)}", (*evidence, *of.bit(f"IRR[{of.vector}]")),
                  sections.kvm("kvm_vcpu_exit_request"))


def asleep(of: Case) -> bool:
    """Pending for a thread that sleeps and that nobody wakes."""
    return of.thread["state"] == "BLOCKED" and _BLOCK in of.left_out and not _told(of)


def slept(of: Case, evidence: tuple[str, ...]) -> Reason:
    """Why."""
    return Reason("the vCPU sleeps, and nobody wakes it", "it came before the thread counted as asleep, so that whoever "
                  f"brought it woke nobody; {_left_out(of, _BLOCK)}", evidence, sections.kvm("kvm_vcpu_check_block"))


def _told(of: Case, *by: str) -> bool:
    """An interrupt of the host's reaches its CPU, or waits there."""
    cpu = of.state["pcpu"]
    names = {*cpu["arriving_ps"], *cpu["pending"]}
    return bool(names & set(by) if by else names)


def _left_out(of: Case, recheck: str) -> str:
    said = "which the plan leaves out (hypervisor.without_rechecks)" if recheck in of.left_out else "which found nothing"
    return f"the look that would have found it is {recheck}, {said}"
