"""What the guest did to leave, from the exit and what the host printed for it.

A synchronous exit is the guest's own: an operation of its program. An
asynchronous one (a kick, a window, a timer) is what the recorded hardware
charged, and has no operation here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import apic_access
from .apic_access import Operation
from .episodes import Episode
from .recorded import APIC_PAGE, Recorded

KICK = ("interrupt", "EXTERNAL_INTERRUPT")
WINDOW = ("vintr", "INTERRUPT_WINDOW")
HALT = ("hlt", "HLT")
CHARGES = (*KICK, *WINDOW, "PREEMPTION_TIMER", "NMI_WINDOW", "iret", "nmi", "PML_FULL")

CARRIED: Operation = ("carried",)
"""What the guest did is not modelled: its exit is the same under every technology."""

_PORT = ("io", "IO_INSTRUCTION")
_MSR = ("msr", "MSR_READ", "MSR_WRITE")
_PAGE = ("npf", "EPT_VIOLATION", "EPT_MISCONFIG", "APIC_ACCESS", "APIC_WRITE", "PF excp", "avic_unaccelerated_access")
_CR = ("write_cr8", "CR_ACCESS")
_PLAIN = {"cpuid": "cpuid", "CPUID": "cpuid", "hypercall": "hypercall", "VMCALL": "hypercall", "pause": "pause",
          "PAUSE_INSTRUCTION": "pause", "wbinvd": "wbinvd", "WBINVD": "wbinvd", "hlt": "halt", "HLT": "halt"}


@dataclass
class Region:
    """Who answered a port or an MMIO page, and how often."""

    routes: dict[str, int] = field(default_factory=dict)

    def saw(self, route: str) -> None:
        """One more access."""
        self.routes[route] = self.routes.get(route, 0) + 1

    @property
    def handler(self) -> str:
        """Who did most often: the plan's `userspace`, `kernel` or `eventfd`."""
        return max(self.routes, key=lambda route: self.routes[route])


class Actions:
    """Turns one vCPU's exits into operations, in order: a register pair is one operation."""

    def __init__(self, recorded: Recorded, regions: dict[tuple[str, int], Region]) -> None:
        self._recorded = recorded
        self._regions = regions
        self._icr2 = 0
        self._last_read: tuple[int | None, int] | None = None

    def of(self, episode: Episode) -> Operation | None:
        """The operation, None when there is none to do (a charge, or half of a pair), or CARRIED."""
        operation = self._of(episode)
        sent = episode.named("kvm_apic_ipi")
        if operation and operation[0] == "ipi" and sent:  # a virtualized ICR2 is not in the trace otherwise
            return ("ipi", operation[1], sent[-1].fields["dst"])
        return operation

    def _of(self, episode: Episode) -> Operation | None:
        reason, read_before, self._last_read = episode.reason, self._last_read, None
        if not reason or reason in CHARGES:
            return None
        if reason in _PLAIN:
            return (_PLAIN[reason],)
        if reason in ("EOI_INDUCED",):
            return ("eoi",)
        if reason in _PORT:
            return self._port(episode)
        if reason in _MSR:
            return self._msr(episode)
        if reason in _PAGE:
            return self._page(episode, read_before)
        if reason == "avic_incomplete_ipi":
            return self._incomplete(episode)
        if reason in _CR or reason == "TPR_BELOW_THRESHOLD":
            return self._cr(episode)
        return CARRIED

    def _port(self, episode: Episode) -> Operation:
        """The kernel prints the access; the exit's own words say the same (SDM 3C, APM 2 "IOIO Intercept")."""
        info = episode.exit.fields.get("info1") or 0 if episode.exit else 0
        printed = episode.named("kvm_pio")
        port, size, read = info >> 16 & 0xffff, max(info >> 4 & 7, 1), bool(info & 1)
        if episode.reason == "IO_INSTRUCTION":
            size, read = (info & 7) + 1, bool(info & 8)
        if printed:
            fields = printed[-1].fields
            port, size, read = fields["port"], fields["size"], fields["access"] == "read"
        self._regions.setdefault(("port", port), Region()).saw(
            "userspace" if "KVM_EXIT_IO" in episode.to_userspace() else "kernel")
        return ("port_in", port, size) if read else ("port_out", port, size, 0)

    def _msr(self, episode: Episode) -> Operation:
        printed = episode.named("kvm_msr")
        if not printed and (told := self._told_by_apic(episode)):
            return told
        if not printed:
            wrote = episode.reason == "MSR_WRITE" or (  # APM 2 15.11: EXITINFO1 is 1 for WRMSR
                episode.reason == "msr" and episode.exit is not None and episode.exit.fields.get("info1") == 1)
            return ("wrmsr", 0, 0) if wrote else ("rdmsr", 0)
        fields = printed[-1].fields
        msr, value = fields["msr"], fields["value"]
        if fields["access"] == "read":
            return ("apic_read", apic_access.from_msr(msr)) if 0x800 <= msr < 0x900 else ("rdmsr", msr)
        if msr == apic_access.TSC_DEADLINE:
            return ("tsc_deadline", value)
        if 0x800 <= msr < 0x900:
            return apic_access.write(apic_access.from_msr(msr), value, 0)
        return ("wrmsr", msr, value)

    def _told_by_apic(self, episode: Episode) -> Operation | None:
        """Without its kvm_msr, an access to an x2APIC's register is in the line of the APIC's."""
        for event in reversed(episode.named("kvm_apic")):
            offset = apic_access.from_name(event.fields["register"])
            if offset is not None and event.fields["access"] == "read":
                return ("apic_read", offset)
            if offset is not None:
                return apic_access.write(offset, event.fields["value"], 0)
        own = self._recorded.guest_apic == "x2apic" and episode.named("kvm_eoi") and not episode.named("kvm_pv_eoi")
        return ("eoi",) if own else None

    def _page(self, episode: Episode, read_before: tuple[int | None, int] | None) -> Operation | None:
        """The APIC page, a device, or memory that was not mapped yet."""
        for event in reversed(episode.named("kvm_apic")):
            offset = apic_access.from_name(event.fields["register"])
            if offset is not None:
                return self._register(episode, offset, event.fields["access"], event.fields["value"], read_before)
        for event in episode.named("kvm_mmio", "kvm_fast_mmio"):
            return self._mmio(episode, event.fields, event.name)
        fault = episode.named("kvm_page_fault")
        if episode.reason == "APIC_WRITE" and episode.exit:
            return apic_access.write((episode.exit.fields.get("info1") or 0) & 0xff0, 0, self._icr2)
        address = fault[-1].fields["address"] if fault else episode.exit.fields.get("info2") or 0 if episode.exit else 0
        return ("touch", address)

    def _register(self, episode: Episode, offset: int, access: str, value: int,
                  read_before: tuple[int | None, int] | None) -> Operation | None:
        if access == "read":
            # KVM without an APIC-access page lets the guest repeat a read once: two exits, one read.
            this = (episode.exit.fields.get("rip") if episode.exit else None, offset)
            if episode.reason == "EPT_VIOLATION" and this == read_before:
                return None
            self._last_read = this
            return ("apic_read", offset)
        if offset == 0x310:
            self._icr2 = value
        return apic_access.write(offset, value, self._icr2)

    def _mmio(self, episode: Episode, fields: dict[str, int | str], event: str) -> Operation | None:
        gpa = int(fields["gpa"])
        offset, write = gpa & 0xff0, fields.get("access", "write") == "write"
        if gpa >> 12 == APIC_PAGE:
            return self._register(episode, offset, "write" if write else "read", int(fields["value"]), None)
        if episode.reason == "EPT_VIOLATION":
            return ("touch", gpa)  # KVM marks the page as MMIO at its first access only
        routes = episode.to_userspace()
        handler = "userspace" if "KVM_EXIT_MMIO" in routes else "eventfd" if event == "kvm_fast_mmio" else "kernel"
        self._regions.setdefault(("mmio", gpa), Region()).saw(handler)
        size = int(fields.get("size", 4) or 4)
        return ("mmio_write", gpa, size, 0) if write else ("mmio_read", gpa, size)

    def _incomplete(self, episode: Episode) -> Operation | None:
        """An IPI that AVIC could not send alone: its ICR is in KVM's words, else in EXITINFO1 (APM 2 "AVIC IPI Delivery")."""
        for event in episode.named("kvm_avic_incomplete_ipi"):
            return self._sent(event.fields["icr_low"], event.fields["icr_high"])
        icr = episode.exit.fields.get("info1") or 0 if episode.exit else 0
        return self._sent(icr & 0xffffffff, icr >> 32) if icr else None

    def _sent(self, low: int, high: int) -> Operation:
        return ("ipi", low, high if self._recorded.guest_apic == "x2apic" else high >> 24)

    def _cr(self, episode: Episode) -> Operation:
        """CR8 is the APIC's task priority; the other control registers are no business of this."""
        for event in episode.named("kvm_cr"):
            if event.fields["register"] != "8":
                return CARRIED
            return ("cr8_read",) if event.fields["access"] == "read" else ("cr8", event.fields["value"] & 15)
        return ("cr8", 0) if episode.reason != "CR_ACCESS" else CARRIED
