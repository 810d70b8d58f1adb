"""Puts back what a trace cannot show: on which memory the guests waited for each other.

Where vCPU A's IPI met vCPU B in the middle of B's life, B says how far it has
come, A does not send before that, and B does not go on before A has sent:

    place  B: "I am there"   A waits for it before it sends
    sent   A: "it is sent"   B waits for it: in the guest, where the IPI met it there, else
                             the host keeps B at its exit until then

Both are shared words that only grow. Everything that a vCPU announces, it
announces before it waits, and all in the recording's order: so no two can wait
for each other.
"""

from __future__ import annotations

from ..guest import Program
from ..plan import Machine
from .demand import Arrival, Demand, Step


class Sync:
    """The shared words of a whole machine, and what each place must announce or wait for."""

    def __init__(self, machine: Machine, demand: Demand) -> None:
        self._machine = machine
        self._place: dict[Arrival, int] = {}
        self._had: dict[Arrival, int] = {}
        for steps in demand.steps.values():
            self._learn(demand, steps)

    def _learn(self, demand: Demand, steps: list[Step]) -> None:
        """Numbers a target's places, and the IPIs it has had at each."""
        places = had = 0
        for step in steps:
            outside = [a for a in step.arrivals if a.state != "guest"]
            for met in (outside, *demand.groups(step)) if step.operation is None else (*demand.groups(step), outside):
                mine = [a for a in met if from_other(a)]
                places += bool(mine)
                had += len(mine)
                for arrival in mine:
                    self._place[arrival] = places
                    self._had[arrival] = had

    def word(self, kind: str, vcpu: int) -> int:
        """The number of one of a vCPU's words."""
        return self._machine.word(f"{kind} {vcpu}")

    @property
    def nothing(self) -> int:
        """The number of a word that nobody waits for."""
        return self._machine.word("nothing")

    def announce(self, program: Program, met: list[Arrival]) -> None:
        """The target has come to where these meet it."""
        mine = [a for a in met if from_other(a)]
        if mine:
            program.word_add(self.word("place", mine[0].target))

    def wait(self, program: Program, met: list[Arrival]) -> None:
        """The target waits in the guest until these are sent."""
        mine = [a for a in met if from_other(a)]
        if mine:
            program.spin_until(self.word("sent", mine[0].target), self._had[mine[-1]])

    def hold(self, program: Program, met: list[Arrival], longer: int) -> None:
        """The host keeps the target at its next exit until these are sent.

        A sender that is held itself says so before it sends: then a little `longer`.
        """
        mine = [a for a in met if from_other(a)]
        if mine:
            program.host_until(self.word("sent", mine[0].target), self._had[mine[-1]],
                               longer if any(_held(a.sender) for a in mine) else 0)

    def before_send(self, program: Program, step: Step, halt_settle: int) -> None:
        """The sender waits until its targets are where they were."""
        sends = [a for a in step.sends if from_other(a)]
        for arrival in sends:
            program.spin_until(self.word("place", arrival.target), self._place[arrival])
        if any(a.state == "blocked" for a in sends):
            program.compute(halt_settle)
        if _held(step):
            self._say_sent(program, step)

    def after_send(self, program: Program, step: Step) -> None:
        """It is sent."""
        if not _held(step):
            self._say_sent(program, step)

    def _say_sent(self, program: Program, step: Step) -> None:
        for arrival in step.sends:
            if from_other(arrival):
                program.word_add(self.word("sent", arrival.target))


def _held(step: Step | None) -> bool:
    """The host keeps the vCPU at this step for an IPI that met it there."""
    return step is not None and any(from_other(a) for a in step.met("host"))


def from_other(arrival: Arrival) -> bool:
    """Another vCPU sent it: only those need the two to meet."""
    return arrival.source == "ipi" and arrival.sender is not None
