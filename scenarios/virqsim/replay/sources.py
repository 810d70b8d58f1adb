"""Who raised each interrupt, told from the lines before the one that offers it; or, where that is missing, by others."""

from __future__ import annotations

from collections.abc import Iterator

from . import apic_access, recorded
from .reader import Event
from .recorded import Recorded
from .steps import Arrival

_SHORTHAND = {"dst": 0, "self": 1, "all": 2, "all-but-self": 3}
_TARGET_NOT_RUNNING = 1  # APM 2 "AVIC IPI Delivery"


class Sources:
    """Tells who raised each interrupt, from what its thread printed before."""

    def __init__(self, recorded: Recorded, timers: dict[int, tuple[int, int]], vcpus: list[int],
                 accepted: bool) -> None:
        self._recorded = recorded
        self._accepted_are_told = accepted
        self._timers = timers
        self._vcpus = vcpus
        self._icr2: dict[int | None, int] = {}
        self._sent: dict[int | None, list[Arrival]] = {}  # by an ICR that userspace has
        self._context: dict[int | None, Event] = {}
        self._levels: dict[tuple[int, int], int] = {}

    def take(self, event: Event) -> Iterator[Arrival]:
        """The interrupts that an event offers to vCPUs."""
        if self._recorded.irqchip == "userspace":
            yield from self._by_userspace(event)
        if event.name == "kvm_apic_ipi" and not self._accepted_are_told:
            yield from self._told_by_ipi(event)
        elif event.name in ("kvm_apic_ipi", "kvm_set_irq", "kvm_msi_set_irq"):
            self._context[event.pid] = event
        elif event.name in ("kvm_entry", "kvm_exit", "kvm_ioapic_set_irq", "kvm_msr"):
            before = self._context.get(event.pid)
            if before and not (event.name == "kvm_ioapic_set_irq" and self._pic_follows(before)):
                self._context.pop(event.pid, None)
        elif event.name == "kvm_apic_accept_irq":
            yield self._accepted(event)
        elif event.name == "kvm_avic_incomplete_ipi" and event.fields["number"] == _TARGET_NOT_RUNNING:
            yield from self._woken(event)
        elif event.name == "kvm_pic_set_irq":
            yield from self._pic(event)

    def _told_by_ipi(self, event: Event) -> Iterator[Arrival]:
        """Without any kvm_apic_accept_irq the IPI's own line says to whom it goes; a logical destination is taken for flat."""
        fields = event.fields
        if event.vcpu is None or fields["mode"] not in ("Fixed", "LowPrio"):
            return
        icr = _SHORTHAND[fields["shorthand"]] << 18 | (0x800 if fields["logical"] == "logical" else 0)
        for target in apic_access.targets(icr, fields["dst"], event.vcpu, self._vcpus):
            yield Arrival("self" if target == event.vcpu else "ipi", target, fields["vector"], fields["trigger"],
                          fields["mode"], event.line)

    def _by_userspace(self, event: Event) -> Iterator[Arrival]:
        """An ICR of userspace's: it sends when userspace has the exit."""
        fields = event.fields
        if event.name == "kvm_userspace_exit":
            yield from self._sent.pop(event.pid, [])
        elif event.name == "kvm_mmio" and fields["access"] == "write" and fields["gpa"] >> 12 == recorded.APIC_PAGE:
            offset, value = fields["gpa"] & 0xff0, fields["value"]
            if offset == 0x310:
                self._icr2[event.pid] = value >> 24
            elif offset == 0x300 and event.vcpu is not None and value >> 8 & 7 in (0, 1):
                targets = apic_access.targets(value, self._icr2.get(event.pid, 0), event.vcpu, self._vcpus)
                self._sent[event.pid] = [Arrival("self" if target == event.vcpu else "ipi", target, value & 0xff, "edge",
                                                 "Fixed", event.line) for target in targets]

    def _woken(self, event: Event) -> Iterator[Arrival]:
        """AVIC put the IPI into its targets' registers, and left so that KVM wakes them: that is no line of its own."""
        low, high = event.fields["icr_low"], event.fields["icr_high"]
        wide = self._recorded.guest_apic == "x2apic"
        if event.vcpu is None or low >> 8 & 7 > 1 or wide and low & 0x800:
            return  # whom a cluster's mask addresses is the guest's own doing
        for target in apic_access.targets(low, high if wide else high >> 24, event.vcpu, self._vcpus):
            yield Arrival("self" if target == event.vcpu else "ipi", target, low & 0xff, "edge", "Fixed", event.line)

    def _pic_follows(self, before: Event) -> bool:
        """The order of a line's two controllers differs between kernels."""
        return before.name == "kvm_set_irq"

    def _accepted(self, event: Event) -> Arrival:
        fields, before = event.fields, self._context.get(event.pid)
        target, vector = fields["apicid"], fields["vector"]
        own = event.vcpu == target
        if before and before.name == "kvm_apic_ipi" and before.fields["vector"] == vector:
            source = "self" if own else "ipi"
        elif vector == self._timers.get(target, (None,))[0]:
            source = "timer"
        elif before or not own or target in self._timers:
            source = "device"
        else:
            source = "timer"
        return Arrival(source, target, vector, fields["trigger"], fields["mode"], event.line)

    def _pic(self, event: Event) -> Iterator[Arrival]:
        """A rising edge on an unmasked pin of an 8259A; the boot CPU takes it."""
        fields, before = event.fields, self._context.get(event.pid)
        pin = fields["chip"], fields["pin"]
        level = before.fields["level"] if before and before.name == "kvm_set_irq" else 0
        rising = level and not self._levels.get(pin)
        self._levels[pin] = level
        if rising and not fields["masked"] and self._accepted_are_told:  # the APIC may take that line too
            yield Arrival("extint", 0, 0, fields["trigger"], "ExtINT", event.line, pin=fields["pin"])
