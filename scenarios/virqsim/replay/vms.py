"""Several VMs in one trace, told apart.

vCPU numbers are a VM's own, so what tells VMs apart is threads. Where the lines
name the process of a thread (tracefs' option record-tgid; `perf script -F +pid`),
a VM is a process. Else it is inferred: a process makes its vCPUs' threads one
behind the other, so by number of thread a VM begins where a vCPU's number comes
again. Where none does there is one VM.

Threads that are no vCPU's belong to a VM by their process, or by the name that
the kernel gives them (`vhost-4100`). Without either, one that is named as the
vCPUs' threads are is that VM's whose threads are nearest by number. What then
belongs to nobody (`kworker`, `<idle>`) is left out, and counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import VirqsimError

if TYPE_CHECKING:
    from pathlib import Path

    from .reader import Event

_OWNED = re.compile(r"(?:vhost|kvm-pit|kvm-nx-lpage-re)[-/](\d+)$")
_NAMED = 6  # VMs that a line of refusal names


@dataclass
class Vm:
    """One VM: its process where that is known, and its vCPUs' threads by vCPU number."""

    process: int | None
    threads: dict[int, int] = field(default_factory=dict)
    exits: int = 0

    @property
    def number(self) -> int:
        """What it is asked for by: the process's number, or the lowest thread's."""
        return self.process if self.process is not None else min(self.threads.values())

    def is_asked_for(self, number: int) -> bool:
        """By its process or any of its vCPUs' threads."""
        return number == self.process or number in self.threads.values()

    def __str__(self) -> str:
        return f"{self.number} ({len(self.threads)} vCPUs, {self.exits} exits)"


@dataclass
class Chosen:
    """The events of one VM. `note`: what was inferred for that, and what was left out; empty for a trace of one VM."""

    events: list[Event]
    note: str = ""


def choose(path: Path, events: list[Event], wanted: int | None) -> Chosen:
    """The events of the VM that is `wanted`, by a process's or a vCPU thread's number; of the only one without.

    Raises:
        VirqsimError: there are several and none is wanted, none is the one wanted, or they cannot be told apart.
    """
    found, inferred = _divided(path, events)
    if wanted is None and len(found) <= 1:
        return Chosen(events)
    said = ", ".join(map(str, found[:_NAMED])) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    if wanted is None:
        raise VirqsimError(f"{path}: several VMs: {said}; choose one with --vm NUMBER")
    vm = next((vm for vm in found if vm.is_asked_for(wanted)), None)
    if vm is None:
        raise VirqsimError(f"{path}: no VM {wanted}; there are: {said or 'none with numbered vCPUs and threads'}")
    if len(found) == 1:
        return Chosen(events)
    return _only(vm, found, events, inferred)


def _divided(path: Path, events: list[Event]) -> tuple[list[Vm], bool]:
    """The VMs, and whether they were inferred from the order of threads."""
    vcpu_of, process_of, exits, line_of = {}, {}, Counter[int](), {}
    for event in events:
        number = event.fields.get("vcpu")
        if event.name not in ("kvm_entry", "kvm_exit") or number is None or event.pid is None:
            continue
        if vcpu_of.setdefault(event.pid, number) != number:
            raise VirqsimError(f"{path}:{event.line}: thread {event.pid} is vCPU {number} here and vCPU {vcpu_of[event.pid]} "
                               "before: two recordings in one file; replay them one by one")
        line_of.setdefault(event.pid, event.line)
        exits[event.pid] += event.name == "kvm_exit"
        if event.process is not None:
            process_of[event.pid] = event.process
    known = len(process_of) == len(vcpu_of)
    found = _by_process(path, vcpu_of, process_of, line_of) if known else _by_order(vcpu_of)
    for vm in found:
        vm.exits = sum(exits[thread] for thread in vm.threads.values())
    return found, not known and len(found) > 1


def _by_process(path: Path, vcpu_of: dict[int, int], process_of: dict[int, int], line_of: dict[int, int]) -> list[Vm]:
    vms: dict[int, Vm] = {}
    for thread, vcpu in sorted(vcpu_of.items()):
        vm = vms.setdefault(process_of[thread], Vm(process_of[thread]))
        if vm.threads.setdefault(vcpu, thread) != thread:
            raise VirqsimError(f"{path}:{line_of[thread]}: vCPU {vcpu} of process {vm.process} is thread {thread} here and thread "
                               f"{vm.threads[vcpu]} elsewhere: two recordings in one file; replay them one by one")
    return list(vms.values())


def _by_order(vcpu_of: dict[int, int]) -> list[Vm]:
    vms: list[Vm] = []
    for thread, vcpu in sorted(vcpu_of.items()):
        if not vms or vcpu in vms[-1].threads:
            vms.append(Vm(None))
        vms[-1].threads[vcpu] = thread
    return vms


def _only(vm: Vm, found: list[Vm], events: list[Event], inferred: bool) -> Chosen:
    owner = _owners(found, events)
    kept = [event for event in events if owner.get(event.pid) is vm]
    nobodys = sum(event.pid not in owner and event.name.startswith("kvm_") for event in events)
    words = [f"VM {vm} of {len(found)} in the file"]
    if inferred:
        words.append("told apart by the order of their threads, since the lines do not say the process (tracefs' option "
                     "record-tgid, perf script -F +pid)")
    if nobodys:
        words.append(f"{nobodys} events of threads whose VM is not known are left out: interrupts that they raised are seen by "
                     "their delivery only")
    return Chosen(kept, "; ".join(words))


def _owners(found: list[Vm], events: list[Event]) -> dict[int | None, Vm]:
    """Each thread's VM, of those that have one."""
    owner: dict[int | None, Vm] = {thread: vm for vm in found for thread in vm.threads.values()}
    names: dict[str, set[int]] = defaultdict(set)
    for event in events:
        if event.pid in owner:
            names[_family(event.task)].add(event.pid or 0)
    for thread, task, process in {(e.pid, e.task, e.process) for e in events if e.pid not in owner and e.pid is not None}:
        named = _OWNED.search(task)
        process = int(named[1]) if named else process
        vm = next((vm for vm in found if process is not None and process == vm.process), None)
        if vm is None and named:  # the process is the VM's first thread: those of its vCPUs have the next numbers
            vm = _next_above(found, int(named[1]))
        elif vm is None and process is None and _family(task) in names:
            vm = min(found, key=lambda vm: min(abs(thread - other) for other in vm.threads.values()))
        if vm is not None:
            owner[thread] = vm
    return owner


def _next_above(found: list[Vm], process: int) -> Vm | None:
    above = [vm for vm in found if min(vm.threads.values()) > process]
    return min(above, key=lambda vm: min(vm.threads.values()), default=None)


def _family(task: str) -> str:
    """`CPU 0/KVM` and `CPU 1/KVM` are one family, and QEMU's own threads are named as its process."""
    return re.sub(r"\d+", "", task)
