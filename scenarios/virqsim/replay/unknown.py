"""What a trace does not tell: how often, what is assumed instead, and which recording would tell.

Each row counts events that others imply: an exit by MSR access without its
kvm_msr, two exits without the entry between them. A trace with a gap that
nothing bridges is refused by the reader before it comes here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .demand import Demand, Step
from .reader import Trace

RECORD = "trace-cmd record -e kvm -b 20000 -C mono -P PID"
NO_APICV = "with enable_apicv=0 (kvm_intel) or avic=0 (kvm_amd), " + RECORD
SILENCE_NS = 10 * 10**9  # nothing for so long: a suspended machine, or a part cut out


@dataclass(frozen=True)
class Unknown:
    """`count` of `of` times the trace says too little; `instead` is what the replay takes for it."""

    what: str
    count: int
    of: int
    instead: str
    record: str = RECORD

    def __str__(self) -> str:
        return f"{self.what}: {self.count} of {self.of} ({self.count / self.of:.1%}); {self.instead}"

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {"what": self.what, "count": self.count, "of": self.of, "share": self.count / self.of,
                "instead": self.instead, "record": self.record}


_MSR = ("msr", "MSR_READ", "MSR_WRITE")
_NESTED = ("VMLAUNCH", "VMRESUME", "vmrun")

# An exit that KVM explains by an event of its own, in the kernels that print it.
_EXPLAINED_BY = {
    "msr": ("kvm_msr",), "MSR_READ": ("kvm_msr",), "MSR_WRITE": ("kvm_msr",),
    "io": ("kvm_pio", "kvm_fast_mmio", "kvm_userspace_exit"), "IO_INSTRUCTION": ("kvm_pio", "kvm_userspace_exit"),
    "APIC_ACCESS": ("kvm_apic",), "EOI_INDUCED": ("kvm_eoi",),
}


def find(trace: Trace, demand: Demand) -> list[Unknown]:
    """All rows with a count; none for a trace that says everything."""
    steps = [step for life in demand.steps.values() for step in life]
    rows = (*_in_events(trace), *_in_exits(steps), *_in_interrupts(demand, steps), *_in_hardware(trace, demand))
    return [row for row in rows if row.count]


def _in_events(trace: Trace) -> Iterator[Unknown]:
    exits = [event for event in trace.events if event.name == "kvm_exit"]
    yield Unknown("exits without a vCPU number", sum(event.fields.get("vcpu") is None for event in exits), len(exits),
                  "the number is that of the thread's entries, or the threads are counted")
    yield Unknown("events without a thread", sum(event.pid is None for event in trace.events), len(trace.events),
                  "all are taken for one vCPU's")
    yield Unknown("MSIs with a vector that may be decimal or hexadecimal",
                  sum(event.name == "kvm_msi_set_irq" and event.fields["vector"] is None for event in trace.events),
                  len(trace.events), "the vector is that of the line that accepts it")
    nested = [event for event in trace.events if event.name.startswith("kvm_nested_") or event.name == "kvm_exit"
              and event.fields["reason"] in _NESTED]
    yield Unknown("signs of a guest's own guests (kvm_nested_*, VMRESUME, vmrun)", len(nested), len(trace.events),
                  "exits of either are taken for the guest's own", "with the nested guests stopped, " + RECORD)
    yield from _in_time(trace)


def _in_time(trace: Trace) -> Iterator[Unknown]:
    last: dict[int | None, int] = {}
    back = silent = timed = 0
    for event in trace.events:
        if event.time_ns is None:
            continue
        before = last.get(event.cpu, event.time_ns)
        back += event.time_ns < before
        silent += event.time_ns - before > SILENCE_NS
        last[event.cpu] = event.time_ns
        timed += 1
    yield Unknown("clock jumps back on a CPU", back, timed, "the file's order is kept, times between are taken for none")
    yield Unknown(f"silence of more than {SILENCE_NS // 10**9} s on a CPU", silent, timed,
                  "nothing is taken to have happened")
    yield Unknown("times without a fraction", trace.header.counted, max(timed, 1),
                  "each is taken for a count of nanoseconds; a clock such as x86-tsc counts otherwise, and seconds and rates are wrong then")
    yield Unknown("events without a time", len(trace.events) - timed, len(trace.events), "work between them is assumed")


def _in_exits(steps: list[Step]) -> Iterator[Unknown]:
    exits = [step for step in steps if step.episode.exit]
    for names in sorted(set(_EXPLAINED_BY.values())):
        those = [step for step in exits if _EXPLAINED_BY.get(step.reason) == names]
        silent = sum(not step.episode.named(*names) for step in those)
        if those:
            yield Unknown(f"exits whose {names[0]} is missing", silent, len(those),
                          "register or port are read from the exit's own words, or taken for 0")
    lost = sum(before.episode.exit is not None and before.episode.resumed is not None and after.episode.entered is None
               for before, after in pairwise(exits) if before.vcpu == after.vcpu)
    first = next((after.episode.exit.line for before, after in pairwise(exits) if before.vcpu == after.vcpu and after.episode.exit
                  and before.episode.resumed is not None and after.episode.entered is None), 0)
    if exits:
        missing = f", so that lines are missing, first before line {first}" if 0 < lost <= len(exits) // 2 else ""
        yield Unknown(f"exits without an entry before them{missing}", lost, len(exits), "the entry is put between the two exits")


def _in_interrupts(demand: Demand, steps: list[Step]) -> Iterator[Unknown]:
    arrivals = [arrival for step in steps for arrival in step.arrivals]
    unseen = sum(arrival.line == 0 for arrival in arrivals)
    if arrivals:
        yield Unknown("injected interrupts that nothing raised", unseen, len(arrivals),
                      "they arrive where their delivery shows that they did")
    deliveries = [delivery for step in steps for delivery in step.deliveries]
    if demand.recorded.hides_deliveries:
        fixed = sum(arrival.delivered is not None for arrival in arrivals)
        yield Unknown("interrupts that hardware delivered", fixed, max(len(arrivals), 1),
                      "each is delivered where it arrived, and acknowledged; self-IPIs are missing altogether", NO_APICV)
        return
    running = Counter(step.vcpu for step in steps for d in step.deliveries if d.ended is None)
    open_ended = sum(max(n - 1, 0) for n in running.values())  # the last one's is behind the recording's end
    if deliveries:
        yield Unknown("interrupts whose EOI is missing", open_ended, len(deliveries),
                      "the handler ends with the recording, or with its vector's next delivery")


def _in_hardware(trace: Trace, demand: Demand) -> Iterator[Unknown]:
    """KVM switches APICv and AVIC off and on while a guest runs."""
    changes = [event for event in trace.events[trace.begin:trace.end] if event.name == "kvm_apicv_inhibit_changed"]
    off = sum(event.fields["inhibits"] != 0 for event in changes)
    if demand.recorded.hides_deliveries:
        yield Unknown("changes that left APICv or AVIC switched off", off, max(len(changes), 1),
                      "each comes where it met one vCPU; what the others were doing then may differ by an exit",
                      "with what inhibits it out of the way (virqsim list inhibits), " + RECORD)


def absent(trace: Trace, hidden: bool) -> list[str]:
    """Whole kinds of events that others imply: what they would have told, a sentence each."""
    names = Counter(event.name for event in trace.events)
    said = [trace.header.order_note] if trace.header.order_note else []
    if trace.header.no_entries:
        said.append("no kvm_entry: each is put behind the last line of its thread, and how long the guest ran is not known")
    implied = {
        "kvm_apic_accept_irq": (names["kvm_inj_virq"] or names["kvm_apic_ipi"],
                                "IPIs are seen by their own lines, other interrupts by their injection only"),
        "kvm_inj_virq": (names["kvm_apic_accept_irq"] and not hidden, "each is taken to be delivered at the first entry that could"),
        "kvm_msr": (any(event.name == "kvm_exit" and event.fields["reason"] in _MSR for event in trace.events),
                    "accesses to MSRs are seen by the APIC's lines only: timers by TSC deadline are not"),
    }
    said += [f"no {name}, which other events imply: {what}" for name, (others, what) in implied.items()
             if others and not names[name]]
    return said
