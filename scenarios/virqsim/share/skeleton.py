"""A trace without names, addresses and times: the events that the guest's demand is read from, as text of tracefs.

Kept are the order of events, vCPUs, exit reasons, vectors, GSIs, MSR numbers, the APIC's registers
with their values, and KVM's module parameters. Replaced are

    task names, process numbers   `vcpu N`, `other N`; numbers from 1
    physical CPUs                 numbers in the order of their appearance
    times                         a microsecond for each event
    instruction addresses         numbers in the order of their appearance
    guest-physical addresses      pages likewise; those of the APIC and the I/O APIC stay
    ports                         likewise; those of the 8259A pair stay
    values of MSRs, ports, MMIO   0; a timer's is 1 where it was armed

and every other event and comment is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from ..replay import apic_access
from ..replay.reader import Event, Trace

_PIC_PORTS = (0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1)
_FIRST_PORT, _FIRST_PAGE = 0x1000, 0x100
_PAGES_KEPT = (0xfee00, 0xfec00)
_TIMERS = (apic_access.TSC_DEADLINE, 0x838)
_X2APIC = range(0x800, 0x900)
_PORT_EXITS = ("io", "IO_INSTRUCTION")
_ADDRESS_EXITS = ("npf", "PF excp", "EPT_VIOLATION", "EPT_MISCONFIG")  # SVM's second word is the address
_KEPT_PARAMETERS = ("halt_poll_ns", "enable_apicv", "enable_ipiv", "avic", "flexpriority", "preemption_timer", "ept", "npt")

Fields = dict[str, Any]


class _Numbers:
    """What is replaced by its number in the order of appearance."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._of: dict[Hashable, int] = {}

    def __call__(self, what: Hashable) -> int:
        return self._of.setdefault(what, self._first + len(self._of))


class Skeleton:
    """Rewrites events; the same names for the same things all along."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._rip, self._page, self._port = _Numbers(1), _Numbers(_FIRST_PAGE), _Numbers(_FIRST_PORT)
        self._pid, self._cpu = _Numbers(1), _Numbers(0)

    def lines(self, events: Iterable[Event]) -> list[str]:
        """The text: comments, then a line for each event."""
        kept = [(event, text) for event in events if (text := self._text(event)) is not None]
        counts = Counter(event.fields["reason"] for event, _ in kept if event.name == "kvm_exit")
        comments = ["# tracer: nop"]
        parameters = [f"{name}={value}" for name, value in self._trace.header.parameters.items() if name in _KEPT_PARAMETERS]
        if parameters:
            comments.append(f"# module parameters: {' '.join(parameters)}")
        if not any(event.name == "tracing_mark_write" for event, _ in kept):
            comments.append("# exits by reason in this file: " + "; ".join(f"{r}={n}" for r, n in sorted(counts.items())))
        return comments + [self._line(n, event, text) for n, (event, text) in enumerate(kept)]

    def _line(self, number: int, event: Event, text: str) -> str:
        pid = self._pid(event.pid)
        task = f"other {pid}" if event.vcpu is None else f"vcpu {event.vcpu}"
        micro = 1_000_000 + number
        return (f"{task:>15}-{pid:<5} [{self._cpu(event.cpu):03}] ..... {micro // 10**6:5}.{micro % 10**6:06}: "
                f"{event.name}: {text}")

    def _text(self, event: Event) -> str | None:
        write = _TEXTS.get(event.name)
        return write(self, event) if write else None

    def rip(self, fields: Fields) -> str:
        """An instruction's address."""
        return f"{self._rip(fields['rip']):#x}" if fields.get("rip") is not None else "0x0"

    def address(self, address: int) -> int:
        """A guest-physical address; the offset in its page stays only where it names a register."""
        page = address >> 12
        return address if page in _PAGES_KEPT else self._page(address) << 12

    def port(self, port: int) -> int:
        """A port."""
        return port if port in _PIC_PORTS else self._port(port)

    def exit_words(self, fields: Fields) -> tuple[int, int]:
        """The exit's two words, as far as they tell an operation."""
        info1, info2, reason = fields.get("info1") or 0, fields.get("info2") or 0, fields["reason"]
        if reason in _PORT_EXITS:
            return info1 & 0xffff | self.port(info1 >> 16 & 0xffff) << 16, 0
        if reason in _ADDRESS_EXITS:
            return 0, self.address(info2) if info2 else 0
        return info1 & 0xffff_ffff, 0

    def value(self, fields: Fields) -> int:
        """What was written to an MSR."""
        if fields["msr"] in _TIMERS:
            return int(bool(fields["value"]))
        return fields["value"] if fields["msr"] in _X2APIC else 0


def _exit(s: Skeleton, e: Event) -> str:
    info1, info2 = s.exit_words(e.fields)
    return (f"vcpu {e.vcpu or 0} reason {e.fields['reason']} rip {s.rip(e.fields)} info1 {info1:#018x} info2 {info2:#018x} "
            f"intr_info {e.fields.get('intr_info') or 0:#010x} error_code 0x00000000")


def _accept(s: Skeleton, e: Event) -> str:
    f = e.fields
    return f"apicid {f['apicid']:x} vec {f['vector']} ({f['mode']}|{f['trigger']})"


def _eoi(s: Skeleton, e: Event) -> str:
    return f"apicid {e.fields['apicid']:x} vector {e.fields['vector']}"


def _apic(s: Skeleton, e: Event) -> str:
    f = e.fields
    value = int(bool(f["value"])) if f["register"] == "APIC_TMICT" else f["value"]
    return f"apic_{f['access']} {f['register']} = {value:#x}"


def _ipi(s: Skeleton, e: Event) -> str:
    f = e.fields
    return (f"dst {f['dst']:x} vec {f['vector']} ({f['mode']}|{f['logical']}|assert|{f['trigger']}|{f['shorthand']})")


def _mmio(s: Skeleton, e: Event) -> str:
    f = e.fields
    kept = f["gpa"] >> 12 in _PAGES_KEPT
    return f"mmio {f['access']} len {f['size']} gpa {s.address(f['gpa']):#x} val {f['value'] if kept else 0:#x}"


def _pio(s: Skeleton, e: Event) -> str:
    f = e.fields
    value = f.get("value") or 0 if f["port"] in _PIC_PORTS else 0
    return f"pio_{f['access']} at {s.port(f['port']):#x} size {f['size']} count {f['count']} val {value:#x} "


def _pic(s: Skeleton, e: Event) -> str:
    f = e.fields
    masked, coalesced = "|masked" if f["masked"] else "", " (coalesced)" if f["coalesced"] else ""
    return f"chip {f['chip']} pin {f['pin']} ({f['trigger']}{masked}){coalesced}"


def _ioapic(s: Skeleton, e: Event) -> str:
    f = e.fields
    masked, coalesced = "|masked" if f.get("masked") else "", " (coalesced)" if f.get("coalesced") else ""
    return (f"pin {f['pin']} dst {f['dst']:x} vec {f['vector']} ({f.get('mode', 'Fixed')}|{f.get('logical', 'physical')}|"
            f"{f.get('trigger', 'edge')}{masked}){coalesced}")


def _msi(s: Skeleton, e: Event) -> str:
    f = e.fields
    vector = f["vector"] if f.get("vector") is not None else f["vector_text"]
    return f"dst {f['dst']:x} vec {vector} ({f['mode']}|{f['logical']}|{f['trigger']})"


def _mark(s: Skeleton, e: Event) -> str | None:
    """The marks around a workload, without what they say of it."""
    word = e.fields["text"].partition(" ")[0].strip()
    return f"{word} workload" if word in ("BEGIN", "END") else None


_TEXTS: dict[str, Callable[[Skeleton, Event], str | None]] = {
    "kvm_entry": lambda s, e: f"vcpu {e.vcpu or 0}, rip {s.rip(e.fields)}"
                              + ("[immediate exit]" if e.fields.get("immediate") else ""),
    "kvm_exit": _exit,
    "kvm_inj_virq": lambda s, e: f"IRQ {e.fields['irq']:#x}" + (" [reinjected]" if e.fields["reinjected"] else ""),
    "kvm_apic_ipi": _ipi,
    "kvm_apic_accept_irq": _accept,
    "kvm_apicv_accept_irq": _accept,
    "kvm_eoi": _eoi,
    "kvm_pv_eoi": _eoi,
    "kvm_apic": _apic,
    "kvm_msr": lambda s, e: f"msr_{e.fields['access']} {e.fields['msr']:x} = {s.value(e.fields):#x}"
                            + (" (#GP)" if e.fields["failed"] else ""),
    "kvm_pio": _pio,
    "kvm_mmio": _mmio,
    "kvm_fast_mmio": lambda s, e: f"fast mmio at gpa {s.address(e.fields['gpa']):#x}",
    "kvm_userspace_exit": lambda s, e: f"reason {e.fields['reason']} ({e.fields['number']})",
    "kvm_cr": lambda s, e: f"cr_{e.fields['access']} {e.fields['register']} = "
                           f"{e.fields['value'] if e.fields['register'] == '8' else 0:#x}",
    "kvm_page_fault": lambda s, e: f"vcpu {e.vcpu or 0} rip {s.rip(e.fields)} address {s.address(e.fields['address']):#018x} "
                                   "error_code 0x0",
    "kvm_set_irq": lambda s, e: f"gsi {e.fields['gsi']} level {e.fields['level']} source 0",
    "kvm_ioapic_set_irq": _ioapic,
    "kvm_pic_set_irq": _pic,
    "kvm_msi_set_irq": _msi,
    "kvm_ack_irq": lambda s, e: f"irqchip {e.fields['irqchip']} pin {e.fields['pin']}",
    "tracing_mark_write": _mark,
}
