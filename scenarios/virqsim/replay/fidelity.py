"""How far a replay is from what was recorded: on the same hardware, and on other hardware as a prediction.

Where the same guest was recorded under two technologies, both recordings are
cut before the same operation of its first vCPU, and the replay of one is
compared with the other.

What the host did to a guest is no property of the interrupt hardware: its own
interrupts, and exits that it drew out so that something arrived meanwhile
(disturbance.py). A prediction is of an undisturbed guest, and is compared with
the other recording less what its host added: the difference between that
recording's own replay and the same without the disturbances. Nothing of the
other recording goes into a prediction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..profiles import Profile
from . import reader
from .compare import Outcome, Replay, by_reason
from .reader import Event, Trace

SAME_TOTAL, SAME_REASON = 0.02, 0.05
OTHER_TOTAL, OTHER_REASON = 0.05, 0.10
COUNTS_FROM = 0.01  # a reason below this share of all exits has no verdict of its own
ONE = 1  # nor has one exit, which is where a recording was cut

RIGHT, WRONG = "within", "outside"


def _write_of(msr: int) -> Callable[[Event], bool]:
    def wrote(event: Event) -> bool:
        return event.name == "kvm_msr" and event.fields["access"] == "write" and event.fields["msr"] == msr
    return wrote


def _out_to(port: int) -> Callable[[Event], bool]:
    def wrote(event: Event) -> bool:
        return event.name == "kvm_pio" and event.fields["access"] == "write" and event.fields["port"] == port
    return wrote


def _to_icr(event: Event) -> bool:
    """Of a guest in xAPIC mode."""
    return event.name == "kvm_apic" and event.fields["access"] == "write" and event.fields["register"] == "APIC_ICR"


def _to_memory(event: Event) -> bool:
    return event.name == "kvm_mmio" and event.fields["access"] == "write"


@dataclass(frozen=True)
class Guest:
    """One guest, recorded under several technologies. `turn`: the event that begins each of its turns."""

    name: str
    turn: Callable[[Event], bool]
    recordings: tuple[str, ...]


_NONE, _APICV, _SVM = "vmx_noapicv", "vmx_apicv", "svm_default"
_ICR, _DEADLINE, _SELF_IPI = _write_of(0x830), _write_of(0x6e0), _write_of(0x83f)

GUESTS = (
    Guest("x2apic_mixed_spin", _ICR, (_NONE, _APICV, _SVM)),
    Guest("x2apic_pingpong_spin", _ICR, (_APICV, _SVM)),
    Guest("x2apic_ipi_spin", _ICR, (_NONE, _APICV, _SVM)),
    Guest("x2apic_self_ipi_spin", _SELF_IPI, (_NONE, _SVM)),
    Guest("x2apic_tscd_fire_hlt_spin", _DEADLINE, (_NONE, _SVM)),
    Guest("x2apic_pic_master_spin", _out_to(0x20), (_NONE, _SVM)),
    Guest("x2apic_cr8_mask_irq_spin", _ICR, (_NONE, "vmx_noapicv-noflexprio", _SVM)),
    Guest("x2apic_mmio_ioeventfd_spin", _to_memory, (_APICV, _SVM)),
    Guest("x2apic_tscd_fire_spin_spin", _DEADLINE, (_APICV, "vmx_apicv-nopreempt-tick")),
    Guest("xapic_ipi_spin", _to_icr, (_SVM, "svm_nonpt")),
)


@dataclass
class Compared:
    """Exits by reason, recorded and replayed. `hosts`: those of the recorded ones that its host added, or spared."""

    name: str
    under: str
    recorded: dict[str, int]
    replayed: dict[str, int]
    hosts: dict[str, int]
    total_limit: float
    reason_limit: float
    there: str = ""
    """Of a prediction: the machine whose recording it is compared with."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each reason, and one for all."""
        names = sorted(self.recorded.keys() | self.replayed.keys() | self.hosts.keys())
        rows = [self._row(name, self.recorded.get(name, 0), self.hosts.get(name, 0), self.replayed.get(name, 0),
                          self.reason_limit) for name in names]
        return [*rows, self._row("all", self._all, sum(self.hosts.values()), sum(self.replayed.values()), self.total_limit)]

    @property
    def _all(self) -> int:
        return sum(self.recorded.values())

    def _row(self, reason: str, was: int, hosts: int, now: int, limit: float) -> dict[str, Any]:
        guests = was - hosts
        small = reason != "all" and max(guests, now) < COUNTS_FROM * self._all
        return {"reason": reason, "recorded": was, "host": hosts, "replayed": now,
                "error": (now - guests) / guests if guests else None,
                "verdict": RIGHT if small or _within(now, guests, limit) else WRONG}

    @property
    def verdict(self) -> str:
        """The worst of the rows'."""
        return RIGHT if all(row["verdict"] == RIGHT for row in self.rows) else WRONG

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {"trace": self.name, "under": self.under, "there": self.there, "verdict": self.verdict, "exits": self.rows}


def _within(now: int, was: int, limit: float) -> bool:
    return abs(now - was) <= max(limit * was, ONE)


def same_hardware(path: Path, profile: Profile) -> Compared:
    """A replay under the recorded technology."""
    replay = Replay(reader.read(path), profile)
    return of_outcome(replay, replay.under())


def of_outcome(replay: Replay, here: Outcome) -> Compared:
    """The same, of a replay that was done already."""
    return Compared(replay.trace.path.name, here.technology, by_reason(replay.recorded_exits), here.by_reason,
                    {}, SAME_TOTAL, SAME_REASON)


def predictions(folder: Path, profile: Profile) -> list[Compared]:
    """Each recording of a guest, replayed under the technology of each other."""
    return [_predict(folder, guest, here, there, profile)
            for guest in GUESTS for here in guest.recordings for there in guest.recordings if here != there]


def _predict(folder: Path, guest: Guest, machine: str, other_machine: str, profile: Profile) -> Compared:
    mine, other = (reader.read(folder / f"{name}_{guest.name}.txt.gz") for name in (machine, other_machine))
    turns = min(len(_turns(guest, trace)) for trace in (mine, other)) - 1
    replay = Replay(_cut(guest, mine, turns), profile, undisturbed=True)
    target = Replay(_cut(guest, other, turns), profile)
    there = target.demand.recorded
    return Compared(mine.path.name, there.technology, by_reason(target.recorded_exits),
                    replay.under(there.technology, there.features).by_reason, hosts(target, target.under()),
                    OTHER_TOTAL, OTHER_REASON, other_machine)


def hosts(replay: Replay, here: Outcome) -> dict[str, int]:
    """What the host of a recording added to its exits, and, negative, what it spared. `here`: the replay as it was recorded."""
    added = Counter(here.by_reason)
    added.subtract(Replay(replay.trace, replay.profile, undisturbed=True).under().by_reason)
    return {reason: n for reason, n in added.items() if n}


def _turns(guest: Guest, trace: Trace) -> list[int]:
    return [index for index in range(trace.begin, trace.end)
            if trace.events[index].vcpu == 0 and guest.turn(trace.events[index])]


def _cut(guest: Guest, trace: Trace, turns: int) -> Trace:
    """Whole turns only: the end mark of a longer recording is not in it."""
    trace.end, trace.marker = _turns(guest, trace)[turns], None
    return trace
