"""A log with our own answers: the way to play with a chip by hand."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from . import effects, states
from .log import KEYS, VERSION, Log, Step
from .replay import Answer


def header(log: Log, follows: str) -> Iterator[str]:
    """The lines down to `begin`; what the log did not say of itself is left out."""
    yield VERSION
    quirks = "" if follows == "manuals" else f", with the quirks of {follows}"
    ours = {"source": f"virqsim {version('virqsim')}{quirks}", "device": log.device, "ops": str(len(log.steps))}
    said = log.header | ours
    yield from (f"{key}: {said[key]}" for key in KEYS if key in said)
    yield "begin"


def step(recorded: Step, answer: Answer) -> Iterator[str]:
    """One operation, and what came of it on our models."""
    line = recorded.operation.text
    if answer.result is not None:
        line += f" -> {answer.result}"
    if said := _attributes(recorded, answer):
        line += f" {{{' '.join(said)}}}"
    yield line
    for fact in effects.lines(answer.effects):
        yield f"! {fact}"
    for subject, fields in answer.states:
        yield f"= {states.text(subject, fields)}"


def _attributes(recorded: Step, answer: Answer) -> list[str]:
    """`kvm=` is another's view; `mask=` is the recorder's, and stays true."""
    said = [word for word, holds in (("pic", answer.from_pic), ("open", answer.open_bus)) if holds]
    return said + ([f"mask={recorded.attributes['mask']}"] if "mask" in recorded.attributes else [])
