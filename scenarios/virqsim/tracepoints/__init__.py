"""A run as KVM's tracepoints, so that tools which read a host's trace can read a simulated one.

    formats.py    the tracepoints: their fields, and how the kernel prints them
    lines.py      the records of a run as tracepoints: which thread hits which, when
    accesses.py   what KVM prints for an operation that left the guest
    text.py       as the text of tracefs
    tracedat.py   as a trace.dat file of version 6
"""
