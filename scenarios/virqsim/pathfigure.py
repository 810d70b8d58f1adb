"""The picture of one interrupt's path, from a run's own trace: whoever raised it, and each vCPU that has a part in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import figures, lanes, results
from .again import Again
from .errors import VirqsimError
from .explain.flows import Flows
from .explain.story import Step, Story
from .explain.times import us
from .profiles import ASSUMED_THROUGHOUT


def plot_flow(folder: Path, number: int, out: Path, progress: Callable[[float], None]) -> list[Path]:
    """Draws the path of flow `number` of a run; gives the paths of the files written.

    Raises:
        VirqsimError: the run has no such flow.
    """
    again = Again(results.load(folder), progress)
    flows = Flows(again.trace, again.plan)
    if not flows.has(number):
        raise VirqsimError(f"--flow: {number} is no interrupt of this run (1 to {flows.count}; `virqsim explain {folder}` says "
                           "which are worth a look)")
    story = Story(again, flows, flows[number])
    steps, places = story.steps, _places(story)
    marks = [lanes.Mark(step.ps, places.index(step.vcpu), f"{step.sentence} ({step.section})") for step in steps]
    shown = [lanes.of_outside(flows.source(story.flow)) if vcpu is None else lanes.of_vcpu(again.trace, vcpu) for vcpu in places]
    caveat = _caveat(again.plan["costs"]["kind"])
    out.mkdir(parents=True, exist_ok=True)
    with figures.style():
        figure = lanes.draw(shown, marks, lanes.NS,
                            f"since it was raised, at {us(steps[0].ps)} us of the run{caveat}")
        rows = [[at, step.ps, step.ps - steps[0].ps, step.name, _where(step), step.sentence, step.section]
                for at, step in enumerate(steps, 1)]
        return figures.save(figure, out, f"path_{number}",
                            ("number", "time (ps)", f"since raised (ps{caveat})", "step", "where", "what happened", "section"), rows)


def _places(story: Story) -> list[int | None]:
    """From the source, at the top, to the destination: vCPUs, and None for outside."""
    last = story.flow.vcpu
    return [vcpu for vcpu in dict.fromkeys(step.vcpu for step in story.steps) if vcpu != last] + [last]


def _where(step: Step) -> str:
    return "outside" if step.vcpu is None else f"vCPU {step.vcpu}"


def _caveat(kind: str) -> str:
    return f"; costs are {kind}" if kind == ASSUMED_THROUGHOUT else ""
