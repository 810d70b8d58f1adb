"""Probes: the exits of one operation in an otherwise quiet machine.

An operation is repeated by a small guest on a machine like any other, and what
its results count is divided by the repetitions. The same plan without the
operation is run too and taken off, so that setting up (the timer's LVT entry,
say) is not counted. Sender and targets keep step by shared words, which never
leave the guest, and by computing.

`sender` is what vCPU 0's own instructions caused, `target` the delivery of the
interrupt, `eoi` its acknowledgement, each summed over all vCPUs that take part.
"""

from .bench import Probe
from .measure import probe
from .operations import OPERATIONS

__all__ = ["OPERATIONS", "Probe", "probe"]
