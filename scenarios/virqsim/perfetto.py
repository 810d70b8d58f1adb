"""The timeline that ui.perfetto.dev and chrome://tracing open.

The process `guest` has a track for each vCPU. In the guest a track shows
GUEST, and inside it the handlers in service; outside it shows the exit, named
by its reason, and inside that the run loop's states: POLLING and BLOCKED among them. A handler that an exit
interrupts goes on in the next GUEST slice, so slices nest by construction.

The process `host` has a track for each thread that is no vCPU, with its states but for sleep without work.
The process `controllers` has a track for each vCPU's local APIC, or CEPIC (what is requested and what is in
service, as one slice for as long as that stays the same), for each device and each input of the chipset
that raised an interrupt, and counters of what is pending.

Arrows lead from what raised an interrupt, past the local APIC that requests it, to its handler.

Times are microseconds; the viewer rounds to nanoseconds.
"""

import json
from collections import defaultdict

from . import profiles
from .trace import NOWHERE, parent_flow

GUEST, HOST, CONTROLLERS = 1, 2, 3  # the processes
VM = 0  # the track of what concerns all vCPUs
FIRST_DEVICE = 10_000  # tracks of controllers from here on; those below are the local APICs'


OF_A_VCPU = ("VCPU_STATE", "VM_EXIT", "RAISED", "PENDING", "HANDLER", "RETIRED", "TAKEN", "COALESCED")


class Track:
    """One vCPU's slices, as begin and end events in the order of the trace."""

    def __init__(self, vcpu, emit, vectors):
        self.vcpu, self.emit, self.vectors = vcpu, emit, vectors
        self.state = None
        self.open = []  # names of the open slices, outermost first
        self.in_service = []  # vectors
        self.exit = None  # the event that opened the present exit, to be named by VM_EXIT
        self.reason = None  # of a VM_EXIT that came before the state changed

    def begin(self, ts, name):
        self.open.append(name)
        return self.emit(ph="B", ts=ts, tid=self.vcpu + 1, name=name)

    def end_all(self, ts):
        while self.open:
            self.emit(ph="E", ts=ts, tid=self.vcpu + 1, name=self.open.pop())

    def end_last(self, ts):
        self.emit(ph="E", ts=ts, tid=self.vcpu + 1, name=self.open.pop())

    def named(self, vector):
        """The slice of a handler."""
        return f"handler {vector:#x}" if vector < self.vectors else f"user handler {vector - self.vectors}"

    def enter(self, ts, state):
        if state == "GUEST":
            self.end_all(ts)
            self.exit = None
            self.begin(ts, state)
            for vector in self.in_service:
                self.begin(ts, self.named(vector))
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
            self.begin(ts, self.named(vector))

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
                self.begin(ts, self.named(v))


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


class Controller:
    """A local APIC's track, or a CEPIC's: a slice for each set of vectors that are requested and in service."""

    def __init__(self, vcpu, emit, epic):
        self.vcpu, self.emit = vcpu, emit
        self.names = ("PMIRR", "served") if epic else ("IRR", "ISR")
        self.requested = {}  # flow: vector
        self.in_service = []
        self.shown = ""

    def put(self, **fields):
        self.emit(pid=CONTROLLERS, tid=self.vcpu, **fields)

    def show(self, ts):
        """Ends the slice and begins the next, if the registers have changed."""
        sets = zip(self.names, (self.requested.values(), self.in_service))
        name = " ".join(f"{which} {','.join(f'{v:#x}' for v in sorted(vectors))}" for which, vectors in sets if vectors)
        if name == self.shown:
            return
        if self.shown:
            self.put(ph="E", ts=ts, name=self.shown)
        if name:
            self.put(ph="B", ts=ts, name=name)
        self.shown = name

    def count(self, ts):
        self.put(ph="C", ts=ts, name=f"pending, vCPU {self.vcpu}", args={"interrupts": len(self.requested)})

    def pending(self, ts, flow, vector):
        self.requested[flow] = vector
        self.show(ts)
        self.count(ts)
        if flow:
            self.put(ph="t", bp="e", ts=ts, id=flow, name="interrupt", cat="interrupt")

    def no_longer(self, ts, flow):
        if flow in self.requested:
            del self.requested[flow]
            self.show(ts)
            self.count(ts)

    def serves(self, ts, flow, vector):
        self.requested.pop(flow, None)
        self.in_service.append(vector)
        self.show(ts)
        self.count(ts)

    def retired(self, ts, vector):
        if vector in self.in_service:
            self.in_service.remove(vector)
        self.show(ts)


class Sources:
    """A track for each device and each input of the chipset; an interrupt is a slice without length, for arrows to begin at."""

    def __init__(self, trace, plan, emit):
        self.emit, self.kinds = emit, trace.header["sources"]
        self.names = [device["name"] for device in (plan or {}).get("machine", {}).get("devices", [])]
        self.tracks = {}  # (kind, number): track
        self.titles = {}  # track: name

    def track(self, b):
        kind, number = self.kinds[b >> 32], b & 0xFFFFFFFF
        if (kind, number) not in self.tracks:
            tid = self.tracks[kind, number] = FIRST_DEVICE + len(self.tracks)
            named = kind != "line" and number < len(self.names)
            self.titles[tid] = f"{self.names[number]} ({kind})" if named else \
                f"input {number}" if kind == "line" else f"{kind} {number}"
        return self.tracks[kind, number]

    def raised(self, ts, flow, message, b, targets):
        tid = self.track(b)
        self.emit(pid=CONTROLLERS, ph="B", ts=ts, tid=tid, name=f"flow {flow}", args={"message": f"{message:#x}"})
        for target in targets:
            self.emit(pid=CONTROLLERS, ph="s", ts=ts, tid=tid, id=target, name="interrupt", cat="interrupt")
        self.emit(pid=CONTROLLERS, ph="E", ts=ts, tid=tid, name=f"flow {flow}")


def arrows(trace):
    """The flow that was raised -> the flows that reached a handler because of it."""
    routed = trace.of("ROUTED")
    parent = dict(zip(routed["flow"].tolist(), map(parent_flow, routed["b"].tolist())))
    leads_to = defaultdict(list)
    for flow in dict.fromkeys(trace.of("HANDLER")["flow"].tolist()):
        if flow:
            leads_to[parent.get(flow) or flow].append(flow)
    return leads_to


def timeline(trace, plan=None):
    """The trace events, as a list of dictionaries."""
    events = []

    def emit(**fields):
        events.append({"pid": GUEST, **fields})
        return events[-1]

    leads_to = arrows(trace)
    sources = Sources(trace, plan, emit)
    tracks, apics, threads = {}, {}, {}
    states = trace.header["states"]
    for ps, flow, event, where, a, b in trace.rows():
        ts = ps / 1e6
        name = trace.events[event]
        if where == NOWHERE:
            if name == "HOST_THREAD":
                state = trace.header["host_thread_states"][b & 0xFFFFFFFF]
                threads.setdefault(a, HostTrack(a, emit)).enter(ts, state, b >> 32)
            elif name == "INHIBIT":
                emit(ph="i", s="g", ts=ts, tid=VM, name=f"inhibit: {trace.words(event, a, b)}")
            elif name == "RAISED":
                sources.raised(ts, flow, a, b, leads_to[flow])
            continue
        if name not in OF_A_VCPU:
            continue
        track = tracks.setdefault(where, Track(where, emit, trace.vectors))
        apic = apics.setdefault(where, Controller(where, emit, trace.epic))
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
            apic.pending(ts, flow, a)
        elif name == "HANDLER":
            apic.serves(ts, flow, a)
            track.handler(ts, a)
            if flow:
                emit(ph="f", bp="e", ts=ts, tid=where + 1, id=flow, name="interrupt", cat="interrupt")
        elif name == "RETIRED":
            apic.retired(ts, a)
            track.retired(ts, a)
        else:  # TAKEN, COALESCED
            apic.no_longer(ts, flow)
    if len(trace.records):
        last = int(trace.records["ps"][-1]) / 1e6
        for vcpu, track in tracks.items():
            track.end_all(last)
            if apics[vcpu].shown:
                apics[vcpu].put(ph="E", ts=last, name=apics[vcpu].shown)
        for thread in threads.values():
            thread.end(last)
    return titles(trace, tracks, sources, profiles.caveat_of(plan)) + host_titles(trace, threads) + events


def host_titles(trace, threads):
    if not threads:
        return []
    kinds = trace.header["threads"]
    names = [("process_name", 0, "host"), *(("thread_name", n + 1, f"{kinds[n]} {n}") for n in sorted(threads))]
    return [{"ph": "M", "pid": HOST, "tid": tid, "name": kind, "args": {"name": name}} for kind, tid, name in names]


def titles(trace, tracks, sources, caveat):
    """The names of processes and tracks, and the order in which they stand."""
    vcpus, controller = sorted(tracks), "CEPIC" if trace.epic else "local APIC"
    named = [(GUEST, VM, "all vCPUs"), *((GUEST, vcpu + 1, f"vCPU {vcpu}") for vcpu in vcpus),
             *((CONTROLLERS, vcpu, f"{controller} of vCPU {vcpu}") for vcpu in vcpus),
             *((CONTROLLERS, tid, name) for tid, name in sources.titles.items())]
    events = [{"ph": "M", "pid": pid, "tid": 0, "name": "process_name", "args": {"name": name}}
              for pid, name in ((GUEST, f"guest ({trace.header['technology']}){caveat}"), (CONTROLLERS, "controllers"))]
    for order, (pid, tid, name) in enumerate(named):
        events.append({"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}})
        events.append({"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": order}})
    return events


def _costs(plan):
    return {"profile": plan["costs"]["profile"], "profile_kind": plan["costs"]["kind"]} if plan else {}


def write(trace, path, plan=None):
    document = {
        "displayTimeUnit": "ns",
        "otherData": {k: trace.header[k] for k in ("technology", "plan_hash")} | _costs(plan),
        "traceEvents": timeline(trace, plan),
    }
    path.write_text(json.dumps(document, separators=(",", ":")))
