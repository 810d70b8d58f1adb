"""The timeline that ui.perfetto.dev and chrome://tracing open.

Process `guest` has a track for each vCPU, process `host` one for each thread that
is no vCPU, with its states but for sleep without work. In the guest a track shows
GUEST, and inside it the handlers in service; outside it shows the exit, named
by its reason, and inside that the run loop's states. A handler that an exit
interrupts goes on in the next GUEST slice, so slices nest by construction.
Arrows lead from where an interrupt was raised to its handler; a counter shows
how many interrupts each vCPU has pending.

Times are microseconds; the viewer rounds to nanoseconds.
"""

import json
from collections import defaultdict

from .trace import NOWHERE, USER_VECTORS, parent_flow

DEVICES = 0  # the track of what no vCPU raised
HOST = 2  # the process of threads that are no vCPUs; 1 is the guest


def handler_of(vector):
    return f"handler {vector:#x}" if vector < USER_VECTORS else f"user handler {vector - USER_VECTORS}"


class Track:
    """One vCPU's slices, as begin and end events in the order of the trace."""

    def __init__(self, vcpu, emit):
        self.vcpu, self.emit = vcpu, emit
        self.state = None
        self.open = []  # names of the open slices, outermost first
        self.in_service = []  # vectors
        self.exit = None  # the event that opened the present exit, to be named by VM_EXIT
        self.reason = None  # of a VM_EXIT that came before the state changed
        self.pending = set()  # flows

    def begin(self, ts, name):
        self.open.append(name)
        return self.emit(ph="B", ts=ts, tid=self.vcpu + 1, name=name)

    def end_all(self, ts):
        while self.open:
            self.emit(ph="E", ts=ts, tid=self.vcpu + 1, name=self.open.pop())

    def end_last(self, ts):
        self.emit(ph="E", ts=ts, tid=self.vcpu + 1, name=self.open.pop())

    def enter(self, ts, state):
        if state == "GUEST":
            self.end_all(ts)
            self.exit = None
            self.begin(ts, state)
            for vector in self.in_service:
                self.begin(ts, handler_of(vector))
        else:
            if self.state == "GUEST":
                self.end_all(ts)
                self.exit = self.begin(ts, self.reason or "VM exit")
                self.reason = None
            elif self.open:
                self.end_last(ts)
            self.begin(ts, state)
        self.state = state

    def left(self, reason):
        if self.exit:
            self.exit["name"] = self.open[0] = reason
        else:
            self.reason = reason

    def handler(self, ts, vector):
        self.in_service.append(vector)
        if self.state == "GUEST":
            self.begin(ts, handler_of(vector))

    def retired(self, ts, vector):
        """Ends the innermost handler of that vector; those inside it go on in its place."""
        if vector not in self.in_service:
            return  # an NMI or ExtINT is retired as its handler starts
        at = len(self.in_service) - 1 - self.in_service[::-1].index(vector)
        inner = self.in_service[at + 1 :]
        del self.in_service[at]
        if self.state == "GUEST":
            for _ in range(len(inner) + 1):
                self.end_last(ts)
            for v in inner:
                self.begin(ts, handler_of(v))

    def show_pending(self, ts):
        name = f"pending, vCPU {self.vcpu}"
        self.emit(ph="C", ts=ts, name=name, args={"interrupts": len(self.pending)})


class HostTrack:
    """One host thread's states."""

    def __init__(self, thread, emit):
        self.thread, self.emit, self.open = thread, emit, None

    def end(self, ts):
        if self.open:
            self.emit(pid=HOST, ph="E", ts=ts, tid=self.thread + 1, name=self.open)
        self.open = None

    def enter(self, ts, state, pcpu):
        self.end(ts)
        if state == "ASLEEP":
            return
        self.open = f"on CPU {pcpu}" if state == "RUNS" else state
        self.emit(pid=HOST, ph="B", ts=ts, tid=self.thread + 1, name=self.open)


def arrows(trace):
    """The flow that was raised -> the flows that reached a handler because of it."""
    routed = trace.of("ROUTED")
    parent = dict(zip(routed["flow"].tolist(), map(parent_flow, routed["b"].tolist())))
    leads_to = defaultdict(list)
    for flow in dict.fromkeys(trace.of("HANDLER")["flow"].tolist()):
        if flow:
            leads_to[parent.get(flow) or flow].append(flow)
    return leads_to


def timeline(trace):
    """The trace events, as a list of dictionaries."""
    events = []

    def emit(**fields):
        events.append({"pid": 1, **fields})
        return events[-1]

    leads_to = arrows(trace)
    tracks, threads = {}, {}
    states = trace.header["states"]
    for ps, flow, event, where, a, b in trace.records.tolist():
        ts = ps / 1e6
        name = trace.events[event]
        if where == NOWHERE:
            if name == "HOST_THREAD":
                state = trace.header["host_thread_states"][b & 0xFFFFFFFF]
                threads.setdefault(a, HostTrack(a, emit)).enter(ts, state, b >> 32)
            if name == "INHIBIT":
                emit(ph="i", s="g", ts=ts, tid=DEVICES, name=f"inhibit: {trace.words(event, a, b)}")
            if name == "RAISED":
                emit(ph="B", ts=ts, tid=DEVICES, name=f"flow {flow}")
                for target in leads_to[flow]:
                    emit(ph="s", ts=ts, tid=DEVICES, id=target, name="interrupt", cat="interrupt")
                emit(ph="E", ts=ts, tid=DEVICES, name=f"flow {flow}")
            continue
        track = tracks.setdefault(where, Track(where, emit))
        if name == "VCPU_STATE":
            if track.state is None and ps:
                track.enter(0.0, states[a])
            track.enter(ts, states[b])
        elif name == "VM_EXIT":
            track.left(trace.exit_reason(a))
        elif name == "RAISED":
            for target in leads_to[flow]:
                emit(ph="s", ts=ts, tid=where + 1, id=target, name="interrupt", cat="interrupt")
        elif name == "PENDING":
            track.pending.add(flow)
            track.show_pending(ts)
        elif name == "HANDLER":
            track.pending.discard(flow)
            track.show_pending(ts)
            track.handler(ts, a)
            if flow:
                emit(ph="f", bp="e", ts=ts, tid=where + 1, id=flow, name="interrupt", cat="interrupt")
        elif name in ("TAKEN", "COALESCED") and flow in track.pending:
            track.pending.discard(flow)
            track.show_pending(ts)
        elif name == "RETIRED":
            track.retired(ts, a)
    if len(trace.records):
        last = int(trace.records["ps"][-1]) / 1e6
        for track in tracks.values():
            track.end_all(last)
        for thread in threads.values():
            thread.end(last)
    return titles(trace, tracks) + host_titles(trace, threads) + events


def host_titles(trace, threads):
    if not threads:
        return []
    kinds = trace.header["threads"]
    names = [("process_name", 0, "host"), *(("thread_name", n + 1, f"{kinds[n]} {n}") for n in sorted(threads))]
    return [{"ph": "M", "pid": HOST, "tid": tid, "name": kind, "args": {"name": name}} for kind, tid, name in names]


def titles(trace, tracks):
    named = [("process_name", 0, f"guest ({trace.header['technology']})"), ("thread_name", DEVICES, "devices")]
    named += [("thread_name", vcpu + 1, f"vCPU {vcpu}") for vcpu in sorted(tracks)]
    events = [{"ph": "M", "pid": 1, "tid": tid, "name": kind, "args": {"name": name}} for kind, tid, name in named]
    for order, tid in enumerate([DEVICES, *(v + 1 for v in sorted(tracks))]):
        events.append({"ph": "M", "pid": 1, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": order}})
    return events


def write(trace, path):
    document = {
        "displayTimeUnit": "ns",
        "otherData": {k: trace.header[k] for k in ("technology", "plan_hash")},
        "traceEvents": timeline(trace),
    }
    path.write_text(json.dumps(document, separators=(",", ":")))
