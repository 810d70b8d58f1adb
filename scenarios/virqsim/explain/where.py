"""Where a vCPU's thread is, and how an interrupt is named, for people."""

from __future__ import annotations

from .. import library
from .case import Case
from .flows import Flow
from .times import us

NAMES = {"PARKED": "the vCPU is preempted", "BLOCKED": "the vCPU sleeps", "POLLING": "the vCPU is halted"}
ELSEWHERE = "the vCPU is not in its guest"


def sentence(of: Case) -> str:
    """In a few words: the run loop's state, and by which exit it came there."""
    thread, state = of.thread, of.thread["state"]
    meaning = next(row["meaning"] for row in library.describe()["vcpu_states"] if row["name"] == state)
    said = f"vCPU {of.vcpu} is in {state}: {meaning}"
    if state in ("EXITING", "HANDLE"):
        said += f", after an exit by {thread['last_exit']} ({thread['last_exit_cause']})"
    elif state == "USERSPACE":
        said += f", after {thread['last_kvm_exit']}"
    if thread["held"]:
        said += ", where the plan lets the host keep it"
    return said


def evidence(of: Case) -> tuple[str, ...]:
    """The state, until when, and who has its physical CPU."""
    until = "" if of.thread["until_ps"] is None else f", until {us(of.thread['until_ps'])} us"
    runs, parked = of.state["pcpu"]["runs"], of.thread["state"] == "PARKED"
    cpu = f"physical CPU {of.state['pcpu']['number']} runs " + (
        f"vCPU {runs}" if runs is not None else "something else" if parked else "no vCPU")
    return (f"state {of.thread['state']}{until}", *(() if of.thread["on_cpu"] else (cpu,)))


def told(flow: Flow | None) -> str:
    """A flow's number and when it was raised, in brackets."""
    return f" (flow {flow.number}, raised at {us(flow.raised_ps)} us)" if flow else ""


def before(of: Case) -> str:
    """What became of the last one."""
    return f"; the last one{told(of.last)} has been {of.last.end}" if of.last else ""
