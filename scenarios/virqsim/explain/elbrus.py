"""The words for an Elbrus guest's interrupt, and how each step is known.

No manual is public: a step is *seen* in the Linux kernel for e2k (OpenE2K/linux),
*inferred* from what that does, or *assumed* (docs/models/e2k.md). How long a step
takes is assumed always.
"""

from __future__ import annotations

from .flows import Flow

_SOFTWARE, _HARDWARE = False, True  # epic-sw, epic-hw
HIT, MISS, DEVICE_HIT, DEVICE_MISS, BY_ICR, BY_COPY, OWN = "hit", "miss", "device hit", "device miss", "icr", "copy", "own"

# By event, and by what its word says; then without and with EPIC virtualization.
_WORDS: dict[tuple[str, str], tuple[tuple[str, str], tuple[str, str]]] = {
    ("ROUTED", ""): (
        ("KVM compared the destination with the number of each CEPIC", "seen: kvm_epic_match_dest()"),
        ("its target was found", "seen: kvm_epic_match_dest()")),
    ("ROUTED", HIT): (("a hit: the Destination Address Table has a row for its target, or it is the sender's own core",
                       "inferred: the sender's side is in no source"),) * 2,
    ("ROUTED", MISS): (("a miss: the Destination Address Table has no row for its target, so it becomes CEPIC_EPIC_INT, for the "
                        "host of the sender's core", "seen: kvm_deliver_cepic_epic_interrupt(); on which core is inferred"),) * 2,
    ("ROUTED", DEVICE_HIT): (("a hit: the Destination Address Table has a row for its target", "inferred, as of an IPI"),) * 2,
    ("ROUTED", DEVICE_MISS): (("a miss: the Destination Address Table has no row for its target", "inferred, as of an IPI"),) * 2,
    ("ROUTED", OWN): (("it is this core's own", "inferred"),) * 2,
    ("PENDING", "NMI"): (
        ("KVM set its bit in PNMIRR", "seen: kvm_hw_epic_deliver_to_pirr()"),
        ("its bit in PNMIRR was set", "seen: kvm_hw_epic_deliver_to_pirr()")),
    ("PENDING", ""): (
        ("KVM set its bit in the PMIRR that it emulates", "seen: __epic_accept_irq()"),
        ("its bit in PMIRR was set", "seen: kvm_hw_epic_deliver_to_icr(), kvm_hw_epic_deliver_to_pirr()")),
    ("PENDING", HIT): (("the hardware set its bit in PMIRR of the target's core", "inferred: only the miss is the host's"),) * 2,
    ("PENDING", MISS): (("the host of the sender's core read EPIC_INT2 and set its bit in the copy of PMIRR in memory",
                         "seen: kvm_deliver_cepic_epic_interrupt()"),) * 2,
    ("PENDING", DEVICE_HIT): (("the hardware set its bit in PMIRR of the target's core", "inferred, as of an IPI"),) * 2,
    ("PENDING", DEVICE_MISS): (("the hardware set its bit in the copy of PMIRR in memory",
                                "inferred: the IOMMU's entry of the device has that page"),) * 2,
    ("PENDING", BY_ICR): (("KVM wrote ICR of its own core with the guest's number, which set the bit in PMIRR of the target's",
                           "seen: kvm_hw_epic_deliver_to_icr()"),) * 2,
    ("PENDING", BY_COPY): (("KVM set its bit in the copy of PMIRR in memory", "seen: kvm_hw_epic_deliver_to_pirr()"),) * 2,
    ("PENDING", OWN): (("the core's CEPIC set its bit in PMIRR",
                        "inferred; that it comes with the load after a sleep is assumed"),) * 2,
    ("NOTIFIED", DEVICE_MISS): (("nobody is told: KVM looks at the guest's PMIRR from time to time",
                                 "seen: kvm_epic_start_idle_timer()"),) * 2,
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
    ("TAKEN", ""): (("the processor took it: it is reset, or begins", "assumed"),) * 2,
    ("COALESCED", ""): (("PMIRR had its bit set already: one interrupt will stand for both", "inferred: a bit a vector"),) * 2,
    ("REFUSED", ""): (("nobody took it", "assumed"),) * 2,
    ("VM_ENTRY", ""): (("glaunch carries it", "seen: hv_glaunch.c"),) * 2,
}

_RAISED = {
    "ipi": ("it was written to the sender's ICR", "seen: epic_send_IPI()"),
    "timer": ("the CEPIC's timer ran out", "seen: cepic_timer_interrupt()"),
    "line": ("a pin of the IOEPIC was asserted", "seen: kvm_ioepic_set_irq()"),
    "msi": ("a device's message was sent", "seen: kvm_set_epic_msi()"),
}
_ASSIGNED = {
    "line": ("an assigned device asserted its pin of the host's IOEPIC", "seen: ioepic_setup_pin_passthrough()"),
    "msi": ("an assigned device sent its message", "seen: epic_msi_set_vcpu_affinity()"),
}
_FORWARDED = "an assigned device interrupted the host, which forwards it to the guest", "seen: without irq bypass"

_APIC = "seen: arch/e2k/kvm/lapic.c"
_LEGACY = {
    "RAISED": ("it was raised for a local APIC that KVM emulates", _APIC),
    "ROUTED": ("KVM compared the destination with each local APIC", "seen: kvm_apic_match_dest()"),
    "PENDING": ("KVM set its bit in IRR of the local APIC that it emulates", "seen: kvm_apic_set_irq()"),
    "COALESCED": ("IRR had its bit set already: one interrupt will stand for both", "seen: kvm_apic_set_irq()"),
    "HANDLER": ("the guest read the vector from its APIC, which was intercepted, and is at the handler's first instruction",
                f"{_APIC}; that the read is one access is assumed"),
    "EOI": ("KVM emulated the EOI", _APIC),
    "RETIRED": ("its story is over", _APIC),
}
"""Of a guest that knows a local APIC only, where it differs."""


def legacy(event: str, words: tuple[str, ...]) -> tuple[str, str]:
    """step() of a guest with a local APIC, which is emulated whatever the machine virtualizes."""
    return _LEGACY.get(event) or step(event, "", words, _SOFTWARE)


def way(flow: Flow, passthrough: bool, loaded: bool) -> str:
    """How an interrupt comes to a core with EPIC virtualization.

    Args:
        flow: the interrupt.
        passthrough: it is of a device of the host's whose messages carry the guest's number.
        loaded: its target has its core.
    """
    if flow.kind == "ipi":
        return HIT if flow.raised_by == flow.vcpu or flow.notified == "direct" else MISS
    if flow.kind == "timer":
        return OWN
    if passthrough:
        return DEVICE_HIT if flow.notified == "direct" else DEVICE_MISS
    return BY_ICR if loaded else BY_COPY


def step(event: str, kind: str, words: tuple[str, ...], hardware: bool, assigned: str = "") -> tuple[str, str]:
    """What happened, and how it is known.

    Args:
        event: the trace's.
        kind: the interrupt's source.
        words: what the event's word says, as the trace names it; and the interrupt's way. The first that has a sentence counts.
        hardware: the guest has the core's CEPIC.
        assigned: of a device of the host's that belongs to the guest: `passthrough` or `forwarded`.
    """
    if event == "RAISED":
        if assigned == "forwarded":
            return _FORWARDED
        return (_ASSIGNED if assigned else _RAISED).get(kind, ("it was raised", "assumed"))
    both = next(_WORDS[event, word] for word in (*words, "") if (event, word) in _WORDS)
    return both[_HARDWARE if hardware else _SOFTWARE]


def interception(reason: str, by: str | None) -> tuple[str, str]:
    """The guest left for its sake, or by an operation of its own."""
    return f"the guest was intercepted{f', by {by}' if by else ''}: {reason}", "seen: INTC_INFO_CU, INTC_INFO_MU"
