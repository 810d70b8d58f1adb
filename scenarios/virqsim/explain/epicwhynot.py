"""Why an Elbrus guest's interrupt is not being delivered: the checks between it and its handler.

As in whynot.py; each reason says how it is known, since no manual of EPIC is public (elbrus.py).
"""

from __future__ import annotations

from . import sections, unseen, where
from .case import EpicCase
from .reason import Reason
from .times import us

_ENABLED, _MASKED, _LVTT_VECTOR = 1 << 10, 1 << 16, 0x3FF
_LOADED = "seen: kvm_epic_write_dat(), kvm_epic_invalidate_dat()"
_MISSED = "seen: kvm_deliver_cepic_epic_interrupt(); on which core is inferred"
_PRIORITY = "seen: epic_vector_prio(); that CPR is the class plus 1 is inferred"
_TIMER = "seen: cepic_timer_interrupt(), cepic_next_event()"
_DISABLED = "seen for the software CEPIC: __epic_accept_irq()"
_ASKED = "seen: kvm_epic_inta(), epic_get_vector()"
_MASKS = "assumed: the exception waits, and nothing is intercepted when the guest lets interrupts in again"
_MAKES_LEAVE = ("RESCHEDULE", "TIMER", "ASSIGNED")


def class_of(vector: int) -> int:
    """Of four."""
    return vector >> 8


def _named(vector: int) -> str:
    return f"vector {vector} ({vector:02X}H, class {class_of(vector)})"


# not pending


def _served(of: EpicCase) -> Reason | None:
    if of.vector not in of.state["guest"]["handlers"] or of.done:
        return None
    return Reason("its handler runs", f"the guest has taken it, and not ended it by EOI yet{where.told(of.last)}",
                  of.bit("CPR", f"PMIRR[{of.vector}]"), "inferred: EPIC has no in-service register")


def _timer_not_looked_at(of: EpicCase) -> Reason | None:
    if not of.epic["timer_expired"] or of.epic["TIMER_LVTT"] & _LVTT_VECTOR != of.vector:
        return None
    return Reason("the timer's expiry has not been looked at",
                  f"the timer ran out{where.told(of.last)}, and no interrupt was made of it yet. {where.sentence(of)}",
                  where.evidence(of), _TIMER)


def _sender_at_work(of: EpicCase) -> Reason | None:
    sent = of.next
    if not of.done or sent is None or sent.kind != "ipi" or sent.raised_ps > of.ps:
        return None
    return Reason("the sender is still sending it",
                  f"vCPU {sent.raised_by} wrote its ICR at {us(sent.raised_ps)} us, which was intercepted; KVM has not come to "
                  "this destination", of.bit(f"PMIRR[{of.vector}]"), "seen: epic_send_ipi(), kvm_irq_delivery_to_sw_epic()")


def _not_arrived(of: EpicCase) -> Reason | None:
    """Routed, and pending nowhere yet."""
    if of.last is None or of.done:
        return None
    if of.delivers and of.last.kind == "ipi":
        return Reason("a miss: the host has not taken it",
                      f"the table had no row for vCPU {of.vcpu} when vCPU {of.last.raised_by} sent it{where.told(of.last)}: it "
                      "waits as CEPIC_EPIC_INT on the sender's core, whose host has not read EPIC_INT2",
                      of.bit("DAT row", f"PMIRR[{of.vector}]"), _MISSED)
    return Reason("on its way", f"it was routed{where.told(of.last)}, and is pending nowhere yet",
                  of.bit(f"PMIRR[{of.vector}]"), "seen: __epic_accept_irq()")


def _timer(of: EpicCase) -> Reason | None:
    lvtt, deadline = of.epic["TIMER_LVTT"], of.epic["timer_deadline_ps"]
    if lvtt & _LVTT_VECTOR != of.vector or not of.done:
        return None
    evidence = (f"TIMER_LVTT = {lvtt:08X}H",)
    if lvtt & _MASKED:
        return Reason("masked in TIMER_LVTT", "the timer's entry has this vector, and masks it", evidence, _TIMER)
    if deadline is None:
        return Reason("the timer is not armed", f"the timer has this vector, and does not count{where.before(of)}", evidence,
                      _TIMER)
    return Reason("the timer has not expired", f"the timer counts, and runs out at {us(deadline)} us{where.before(of)}", evidence,
                  _TIMER)


def _over(of: EpicCase) -> Reason:
    then = "" if of.next is None else f"; the next one is raised at {us(of.next.raised_ps)} us (flow {of.next.number})"
    evidence = of.bit(f"PMIRR[{of.vector}]", "CIR")
    if of.last is None:
        return Reason("never raised", f"nobody had raised it for vCPU {of.vcpu} by then{then}", evidence, "seen: PMIRR's bits")
    return Reason("not pending", f"the last one{where.told(of.last)} has been {of.last.end}{then}", evidence, "seen: PMIRR's bits")


# pending


def _disabled(of: EpicCase) -> Reason | None:
    if of.epic["CTRL"] & _ENABLED or of.nmi:
        return None
    return Reason("the CEPIC is switched off", "software has not enabled it",
                  (f"CTRL = {of.epic['CTRL']:08X}H: SOFT_EN = 0",), _DISABLED)


def _nmi_blocked(of: EpicCase) -> Reason | None:
    if not of.nmi or not of.state["guest"]["nmi_blocked"]:
        return None
    return Reason("non-maskable interrupts are blocked", "the handler of an earlier one has not returned",
                  of.bit("NMI pending", "NMI blocked"), "seen: epic_do_nmi()")


def _asked_for(of: EpicCase) -> Reason | None:
    if not of.stands or not of.state["e2k"]["asks_vector"]:
        return None
    how = "from the core's CEPIC" if of.delivers else "which is intercepted, and KVM answers it"
    return Reason("the guest asks for the vector", f"the trap has begun, and the guest reads VECT_INTA, {how}",
                  of.bit("CIR", "CPR"), _ASKED)


def _priority(of: EpicCase) -> Reason | None:
    """Its class against the core's priority, of which there are fewer than of an APIC's."""
    if of.nmi or of.stands or class_of(of.vector) + 1 > of.epic["CPR"]:
        return None
    served = [vector for vector in of.state["guest"]["handlers"] if vector and class_of(vector) + 1 == of.epic["CPR"]]
    by = f"by the handler of {_named(served[-1])}, " if served else ""
    return Reason("the core's priority", f"CPR was raised {by}to {of.epic['CPR']}, and class {class_of(of.vector)} counts as "
                  f"{class_of(of.vector) + 1}", of.bit("CPR", f"PMIRR[{of.vector}]"), _PRIORITY)


def _another_first(of: EpicCase) -> Reason | None:
    first = of.epic["CIR"]
    if of.nmi or of.stands or first is None:
        return None
    return Reason("another is before it", f"CIR holds {_named(first)}, and goes first",
                  of.bit("CIR", f"PMIRR[{of.vector}]"), _PRIORITY)


def _masked(of: EpicCase) -> Reason | None:
    if of.nmi or of.state["guest"]["IF"] or of.state["e2k"]["asks_vector"]:
        return None
    inside = [vector for vector in of.state["guest"]["handlers"] if vector]
    why = f": it is in the handler of {_named(inside[-1])}" if inside else ""
    return Reason("the guest masks interrupts", f"the guest does not take interrupts now{why}",
                  of.bit("IF", "exc_interrupt"), _MASKS)


def _not_in_guest(of: EpicCase) -> Reason | None:
    if of.thread["state"] == "GUEST":
        return None
    evidence = (*where.evidence(of), *of.bit("CIR", f"PMIRR[{of.vector}]", "DAT row"))
    if unseen.asleep(of):
        return unseen.slept(of, evidence)
    if of.thread["state"] == "BLOCKED" and of.delivers and of.last and of.last.notified == "later":
        return Reason("the vCPU sleeps, and nobody is told", f"{where.sentence(of)}; the hardware set the bit in the copy of PMIRR "
                      "in memory, where KVM looks from time to time", evidence, "seen: kvm_epic_start_idle_timer()")
    if not of.delivers:
        then = "KVM adds the exception to the traps of the next glaunch"
    elif of.epic["loaded"]:
        then = "the core's CEPIC has it, and interrupts the guest after the next glaunch"
    else:
        then = "it is in the copy of PMIRR in memory, which goes back to a core with the vCPU"
    section = _LOADED if of.delivers else sections.E2K_INJECTION
    return Reason(where.NAMES.get(of.thread["state"], where.ELSEWHERE), f"{where.sentence(of)}; {then}", evidence, section)


# nothing holds it back


def _next_chance(of: EpicCase) -> Reason:
    arriving = of.state["pcpu"]["arriving_ps"]
    if of.delivers:
        if "DOORBELL" in arriving:
            return Reason("the message is under way", f"a hit: it reaches the core at {us(arriving['DOORBELL'])} us", of.bit("CIR"),
                          "inferred: only the miss is the host's")
        return Reason("would be taken at the next instruction boundary",
                      "nothing holds it back: the core's CEPIC interrupts the guest", of.bit("CIR", "CPR"), "inferred")
    leaves = [(ps, name) for name, ps in arriving.items() if name in _MAKES_LEAVE]
    if leaves:
        ps, name = min(leaves)
        return Reason("the guest has not left yet", f"KVM has it, and the {name} interrupt that makes the guest leave arrives at "
                      f"{us(ps)} us; the next glaunch carries the exception", of.bit("CIR", "exc_interrupt"),
                      "seen: kvm_vcpu_kick()")
    if unseen.in_irr(of):
        return unseen.requested(of, of.bit("CIR"))
    return Reason("would be delivered at the next glaunch", "nothing holds it back", of.bit("CIR", "exc_interrupt"),
                  sections.E2K_INJECTION)


CHECKS = ((_served, _timer_not_looked_at, _sender_at_work, _not_arrived, _timer, _over),
          (_nmi_blocked, _disabled, _asked_for, _priority, _another_first, _masked, _not_in_guest), _next_chance)
"""For what is pending nowhere, for what is pending, and where nothing holds it back."""
