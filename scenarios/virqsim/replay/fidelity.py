"""How far a replay is from what was recorded: on the same hardware, and on other hardware as a prediction.

Where the same guest was recorded under two technologies, both recordings are
cut before the same operation of its first vCPU, and the replay of one is
compared with the other.

The two guests ran at different speeds, so some interrupts met their target in
another place: awake instead of halted, before its HLT instead of behind it. Nor
were their hosts disturbed at the same places. No trace tells how that would
have gone elsewhere; the other recording does. A difference that goes when as
many interrupts meet their target as they did there is called a race.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..profiles import Profile
from . import actions, reader
from .compare import Outcome, Replay, by_reason
from .demand import Demand
from .reader import Event, Trace

SAME_TOTAL, SAME_REASON = 0.02, 0.05
OTHER_TOTAL, OTHER_REASON = 0.05, 0.10
COUNTS_FROM = 0.01  # a reason below this share of all exits has no verdict of its own
ONE = 1  # nor has one exit, which is where a recording was cut

RIGHT, RACE, WRONG = "within", "race", "outside"


def _write_of(msr: int) -> Callable[[Event], bool]:
    def wrote(event: Event) -> bool:
        return event.name == "kvm_msr" and event.fields["access"] == "write" and event.fields["msr"] == msr
    return wrote


def _out_to(port: int) -> Callable[[Event], bool]:
    def wrote(event: Event) -> bool:
        return event.name == "kvm_pio" and event.fields["access"] == "write" and event.fields["port"] == port
    return wrote


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
)


@dataclass
class Compared:
    """Exits by reason, recorded and replayed. `races`: what the replay would have more, had it raced as recorded."""

    name: str
    under: str
    recorded: dict[str, int]
    replayed: dict[str, int]
    races: Counter[str]
    total_limit: float
    reason_limit: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each reason, and one for all."""
        names = sorted(self.recorded.keys() | self.replayed.keys())
        rows = [self._row(name, self.recorded.get(name, 0), self.replayed.get(name, 0), self.races[name], self.reason_limit)
                for name in names]
        return [*rows, self._row("all", self._all, sum(self.replayed.values()), self.races.total(), self.total_limit)]

    @property
    def _all(self) -> int:
        return sum(self.recorded.values())

    def _row(self, reason: str, was: int, now: int, race: int, limit: float) -> dict[str, Any]:
        small = reason != "all" and max(was, now) < COUNTS_FROM * self._all
        verdict = (RIGHT if small or _within(now, was, limit) else
                   RACE if race and _within(now + race, was, limit) else WRONG)
        return {"reason": reason, "recorded": was, "replayed": now, "error": (now - was) / was if was else None,
                "race": race, "verdict": verdict}

    @property
    def verdict(self) -> str:
        """The worst of the rows'."""
        verdicts = {row["verdict"] for row in self.rows}
        return next(verdict for verdict in (WRONG, RACE, RIGHT) if verdict in verdicts)

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {"trace": self.name, "under": self.under, "verdict": self.verdict, "exits": self.rows}


def _within(now: int, was: int, limit: float) -> bool:
    return abs(now - was) <= max(limit * was, ONE)


def same_hardware(path: Path, profile: Profile) -> Compared:
    """A replay under the recorded technology."""
    replay = Replay(reader.read(path), profile)
    return of_outcome(replay, replay.under())


def of_outcome(replay: Replay, here: Outcome) -> Compared:
    """The same, of a replay that was done already."""
    return Compared(replay.trace.path.name, here.technology, by_reason(replay.recorded_exits), here.by_reason,
                    Counter(), SAME_TOTAL, SAME_REASON)


def predictions(folder: Path, profile: Profile) -> list[Compared]:
    """Each recording of a guest, replayed under the technology of each other."""
    return [_predict(folder, guest, here, there, profile)
            for guest in GUESTS for here in guest.recordings for there in guest.recordings if here != there]


def _predict(folder: Path, guest: Guest, here: str, there: str, profile: Profile) -> Compared:
    mine, other = (reader.read(folder / f"{name}_{guest.name}.txt.gz") for name in (here, there))
    turns = min(len(_turns(guest, trace)) for trace in (mine, other)) - 1
    replay, target = (Replay(_cut(guest, trace, turns), profile) for trace in (mine, other))
    technology = target.demand.recorded.technology
    predicted = replay.under(technology, target.demand.recorded.features)
    return Compared(mine.path.name, technology, by_reason(target.recorded_exits), predicted.by_reason,
                    _race(target.demand, replay.demand), OTHER_TOTAL, OTHER_REASON)


def _turns(guest: Guest, trace: Trace) -> list[int]:
    return [index for index in range(trace.begin, trace.end)
            if trace.events[index].vcpu == 0 and guest.turn(trace.events[index])]


def _cut(guest: Guest, trace: Trace, turns: int) -> Trace:
    """Whole turns only: the end mark of a longer recording is not in it."""
    trace.end, trace.marker = _turns(guest, trace)[turns], None
    return trace


def _race(there: Demand, here: Demand) -> Counter[str]:
    """The exits by which interrupts met their targets there, less those here, by the other machine's names."""
    names = {role: reason[there.recorded.vendor == "vmx"] for role, reason in
             {"halt": actions.HALT, "window": actions.WINDOW, "kick": actions.KICK, "noise": actions.KICK}.items()}
    difference: Counter[str] = Counter()
    for demand, sign in ((there, 1), (here, -1)):
        for role, n in _meetings(demand).items():
            if role in ("halt", "noise") or not there.recorded.hides_deliveries:
                difference[names[role]] += sign * n
    return difference


def _meetings(demand: Demand) -> Counter[str]:
    """How the IPIs and timers of a recording met their targets, and how often the host was disturbed."""
    met: Counter[str] = Counter()
    for steps in demand.steps.values():
        for step in steps:
            met["halt"] += step.reason in actions.HALT
            met["noise"] += step.noise
            for arrival in step.arrivals:
                if arrival.source in ("ipi", "timer"):
                    met["kick"] += arrival.source == "ipi" and arrival.state == "guest"
                    met["window"] += arrival.delivered is not None and arrival.delivered.windowed
    return met
