"""What guests do around an IPI, as operations: the memory and the code of Linux's smp_call_function_*().

What a guest's code does between two accesses to memory or to the APIC is a few
cycles of the core, assumed here and nowhere else.
"""

from __future__ import annotations

from ..guest import Program
from ..plan import Machine

LOCKED = 20
"""A locked instruction whose line is there: some 18 to 20 cycles on Skylake (assumed)."""
FENCES = 40
"""x2APIC's MFENCE and LFENCE before the ICR write, weak_wrmsr_fence() (assumed)."""
PAUSE = 140
"""PAUSE since Skylake (Intel 64 and IA-32 Architectures Optimization Reference Manual)."""
KTIME = 40
"""ktime_get() without its RDTSC: an LFENCE, a sequence count, a multiplication (assumed)."""
CALL = 80
"""smp_call_function_single() or _many() up to its first store (assumed)."""
PER_CPU = 15
"""One turn of a loop over a mask of CPUs, with a per-CPU variable's look-up (assumed)."""
ENTRY = 150
"""The kernel's entry code, irq_enter() and the call of the handler (assumed)."""
EXIT = 200
"""irq_exit(), and the idle loop up to HLT (assumed)."""
BUFFERS = 10
"""Loads that a core waits for at the same time: its line fill buffers."""


class Call:
    """The memory of calls to one other CPU: the head of its queue, the call's own lock and data, and a third line."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.queue, self.data, self.beside = (machine.word(f"{name} {part}") for part in ("queue", "data", "beside"))

    def enqueue(self, sender: Program, reuses: bool = False) -> None:
        """csd_lock(); llist_add(). The data's word counts up: odd is locked.

        Args:
            reuses: the data is a CPU's own, and may be locked still, so that it is looked at first. The head of the
                queue is looked at before it is exchanged, while the core still writes the data.
        """
        if reuses:
            sender.word_read(self.data)
        sender.word_add(self.data).word_add(self.queue).compute(LOCKED)

    def wait(self, sender: Program, turn: int) -> None:
        """csd_lock_wait() with cpu_relax(): half a PAUSE more than needed."""
        sender.spin_until(self.data, 2 * turn).compute(PAUSE // 2)

    def flush(self, handler: Program) -> None:
        """Up to the function: entry code, EOI, llist_del_all(), the call's data."""
        handler.compute(ENTRY).eoi().word_add(self.queue).compute(LOCKED).word_read(self.data)

    def unlock(self, handler: Program) -> None:
        """csd_unlock() and the way out."""
        handler.word_add(self.data).compute(EXIT)
