"""Recorded KVM traces: what a real guest demanded, replayed under other hardware.

    source.py    a file's text in pieces, whatever it is packed in
    tracedat.py  trace-cmd's trace.dat as text
    lines.py     one line of a trace in any tool's form: who, when, which event
    payloads.py  the event's text: exit reason, vector, register, port
    raw.py       the same, as the members of the kernel's structures
    survey.py    a file of any size, counted in one pass
    reasons.py   the many names of an exit reason
    header.py    what the file says about itself, to be checked against its lines
    reader.py    a file, whole: events in order, or one line that says why not
    order.py     lines in the order of time
    vms.py       several VMs in one file, told apart
    recorded.py  which hardware and hypervisor the recording was made on
    episodes.py  each vCPU's life: in the guest, out for one reason, in again
    steps.py     an exit with its meaning
    switched.py  when APICv or AVIC was switched off
    sources.py   who raised an interrupt
    demand.py    what the guest wanted, apart from what that hardware charged
    implied.py   injections that were not recorded
    disturbance.py  what the recording's host did to the guest, taken out of the demand
    program.py   the demand as guest programs and a plan
    compare.py   runs the plan under technologies and counts
    fidelity.py  how far that is from what was recorded, there and on other machines
    unknown.py   what the trace does not tell
    life.py      where the time went, and latencies, recorded and replayed
    rank.py      which feature buys most
    answer.py    all of it as one document
    tables.py    the document as tables
    page.py      the same as one HTML page
    collector.py  Python's collector, put off meanwhile
    command.py   `virqsim replay`
"""

from __future__ import annotations

from .reader import Trace, read

__all__ = ["Trace", "read"]
