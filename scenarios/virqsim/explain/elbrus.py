"""The words for an Elbrus guest's interrupt, and how each step is known.

No manual is public: a step is *seen* in the Linux kernel for e2k (OpenE2K/linux),
*inferred* from what that does, or *assumed* (docs/models/e2k.md). How long a step
takes is assumed always.
"""

from __future__ import annotations

_SOFTWARE, _HARDWARE = False, True  # epic-sw, epic-hw

# By event, and by what its word says; then without and with EPIC virtualization.
_WORDS: dict[tuple[str, str], tuple[tuple[str, str], tuple[str, str]]] = {
    ("ROUTED", ""): (
        ("KVM compared the destination with the number of each CEPIC", "seen: kvm_epic_match_dest()"),
        ("its target was found", "seen: kvm_epic_match_dest()")),
    ("ROUTED", "hit"): (("a hit: the Destination Address Table has a row for its target, or it is the sender's own core",
                         "inferred: the sender's side is in no source"),) * 2,
    ("ROUTED", "miss"): (("a miss: the Destination Address Table has no row for its target, so it becomes CEPIC_EPIC_INT, for the "
                          "host of the sender's core", "seen: kvm_deliver_cepic_epic_interrupt(); on which core is inferred"),) * 2,
    ("PENDING", "NMI"): (
        ("KVM set its bit in PNMIRR", "seen: kvm_hw_epic_deliver_to_pirr()"),
        ("its bit in PNMIRR was set", "seen: kvm_hw_epic_deliver_to_pirr()")),
    ("PENDING", ""): (
        ("KVM set its bit in the PMIRR that it emulates", "seen: __epic_accept_irq()"),
        ("its bit in PMIRR was set", "seen: kvm_hw_epic_deliver_to_icr(), kvm_hw_epic_deliver_to_pirr()")),
    ("PENDING", "hit"): (("the hardware set its bit in PMIRR of the target's core", "inferred: only the miss is the host's"),) * 2,
    ("PENDING", "miss"): (("the host of the sender's core read EPIC_INT2 and set its bit in the copy of PMIRR in memory",
                           "seen: kvm_deliver_cepic_epic_interrupt()"),) * 2,
    ("NOTIFIED", "kick"): (("a reschedule interrupt was sent to the target's core",
                            "seen: kvm_wake_up_irq(), kvm_vcpu_kick()"),) * 2,
    ("NOTIFIED", "wake"): (("the target's thread, which waits, is woken", "seen: kvm_vcpu_wake_up()"),) * 2,
    ("NOTIFIED", "direct"): (("a hit: the message goes to the core where the target runs",
                              "inferred: only the miss is the host's"),) * 2,
    ("NOTIFIED", ""): (("nobody need be told: the next glaunch finds it", "assumed"),) * 2,
    ("INJECTED", ""): (
        ("KVM added the exception to the traps that the next glaunch takes (TIR)", "seen: hv_intercepts.c"),
        ("the core's CEPIC interrupted the guest: CIR has the vector", "inferred")),
    ("HANDLER", ""): (
        ("the guest read VECT_INTA, which was intercepted, and is at the handler's first instruction",
         "seen: kvm_epic_inta()"),
        ("the guest read VECT_INTA by itself, and is at the handler's first instruction", "seen: epic_get_vector()")),
    ("EOI", ""): (
        ("KVM emulated the EOI, and CPR is what it was before", "seen: epic_write_eoi()"),
        ("the guest wrote EOI by itself, and CPR is what it was before", "seen: ack_epic_irq()")),
    ("RETIRED", ""): (("its story is over", "inferred: EPIC has no in-service register"),) * 2,
    ("COALESCED", ""): (("PMIRR had its bit set already: one interrupt will stand for both", "inferred: a bit a vector"),) * 2,
    ("REFUSED", ""): (("nobody took it", "assumed"),) * 2,
    ("VM_ENTRY", ""): (("glaunch carries it", "seen: hv_glaunch.c"),) * 2,
}

_RAISED = {
    "ipi": ("it was written to the sender's ICR", "seen: epic_send_IPI()"),
    "timer": ("the CEPIC's timer ran out", "seen: cepic_timer_interrupt()"),
}


def found(kind: str, notified: str, to_itself: bool) -> str:
    """Of an IPI with EPIC virtualization: `hit` or `miss`; of others nothing."""
    if kind != "ipi":
        return ""
    return "hit" if to_itself or notified == "direct" else "miss"


def step(event: str, kind: str, word: str, hardware: bool) -> tuple[str, str]:
    """What happened, and how it is known.

    Args:
        event: the trace's.
        kind: the interrupt's source.
        word: what the event's word says, as the trace names it.
        hardware: the guest has the core's CEPIC.
    """
    if event == "RAISED":
        return _RAISED.get(kind, ("a device's message was sent", "assumed: no IOEPIC takes part"))
    both = _WORDS.get((event, word)) or _WORDS[event, ""]
    return both[_HARDWARE if hardware else _SOFTWARE]


def interception(reason: str, by: str | None) -> tuple[str, str]:
    """The guest left for its sake, or by an operation of its own."""
    return f"the guest was intercepted{f', by {by}' if by else ''}: {reason}", "seen: INTC_INFO_CU, INTC_INFO_MU"
