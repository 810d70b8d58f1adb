"""When KVM switched APICv or AVIC off and on: behind which steps it delivers itself, and whose program says so.

A change is marked in the program of one vCPU, at the step that it met: one that it kicked, if
there is any, else one that was in the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import library
from .actions import HALT, KICK
from .reader import Trace
from .recorded import Recorded
from .steps import Step

if TYPE_CHECKING:
    from .demand import Positions

CHANGED = "kvm_apicv_inhibit_changed"
_BY_ITSELF = ("IRQWIN",)  # a replay's machine has it where the recorded one had


def mark(trace: Trace, recorded: Recorded, steps: dict[int, list[Step]], positions: Positions) -> tuple[str, ...]:
    """Says of each step whether the hardware delivers behind it, and puts the changes where they were.

    Returns:
        The reasons that were there before the guest ran.
    """
    names = [row["name"] for row in library.describe()["inhibits"]]
    off: list[tuple[int, bool]] = []  # from which event on
    first: list[str] = []
    began = False
    positions.again()
    for index in range(trace.begin, trace.end):
        event = trace.events[index]
        began = began or event.name in ("kvm_entry", "kvm_exit")
        if event.name == CHANGED:
            off.append((index, event.fields["inhibits"] != 0))
            number = event.fields["number"]
            if number >= len(names) or names[number] in _BY_ITSELF:
                continue
            if not began and event.fields["what"] == "set":
                first.append(names[number])
            else:
                _place(index, (number, event.fields["what"] == "set"), steps, positions)
    for life in steps.values():
        for step in life:
            behind = step.episode.resumed if step.episode.resumed is not None else trace.end
            step.hidden = recorded.hides_deliveries and not next((is_off for at, is_off in reversed(off) if at < behind), False)
    return tuple(first)


def _place(index: int, change: tuple[int, bool], steps: dict[int, list[Step]], positions: Positions) -> None:
    met = [(steps[vcpu][at], in_guest) for vcpu, (at, in_guest) in ((vcpu, positions.of(vcpu, index)) for vcpu in steps)]

    def rank(where: tuple[Step, bool]) -> int:
        step, in_guest = where
        if in_guest:
            return 0 if step.reason in KICK else 3
        return 2 if step.reason in HALT or not step.reason else 1

    step, in_guest = min(met, key=rank)
    (step.switched_in_guest if in_guest else step.switches).append(change)
