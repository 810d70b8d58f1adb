"""What does a burst of frames cost a guest, by who keeps the card from interrupting again?

A real card belongs to the guest, whose vCPU works while frames arrive in bursts. By
`scheme`, the guest's driver and the card are: `each`, a driver that knows no mask, and an
interrupt for each frame; `fixed`, `adaptive`, `vic`, the same with moderation in the card;
`napi`, a driver whose card masks itself until the ring is empty; `masked`, the first driver
under a hypervisor that masks the card as soon as it has taken its interrupt, and leaves the
ring to the guest (docs/systems/masked_direct_read.md); `posted`, NAPI where the IOMMU posts the
card's interrupts. The report has the exits, how long
a frame waited in the ring, and the time that the guest's own work lost for one.
"""

import pandas as pd

import virqsim
from virqsim import Arrivals, Machine, Moderation, Parameter, Plan, Program, Queue, Sweep, VirqsimError

SCHEMES = ("each", "fixed", "adaptive", "vic", "napi", "masked", "posted")
RING = 4096  # so that none is dropped, and all schemes have as many

PARAMETERS = {
    "scheme": Parameter("masked", "", "who keeps the card quiet", choices=SCHEMES),
    "arrivals": Parameter("bursts", "", "of frames", choices=("bursts", "periodic", "poisson", "heavy_tailed", "file")),
    "file": Parameter("", "", "of arrivals=file: a time in ns a line, ascending"),
    "burst": Parameter(16, "frames", "of one burst", least=1, most=1024),
    "rate": Parameter(50_000, "frames/s", "on average", least=1, most=10**7),
    "spacing": Parameter(500, "ns", "between two frames of a burst; 500: 1500 bytes at 25 Gb/s"),
    "frames": Parameter(2_048, "frames", "in all", least=1, most=RING),
    "interval": Parameter(50, "us", "of the scheme fixed: between two interrupts"),
    "unmask": Parameter("direct", "", "of the scheme masked: by whom", choices=("direct", "hypercall")),
}

NAPI = ("napi", "posted")
MEASURES = ("exits_per_100_frames", "wait_ns", "cpu_ns_per_frame")
SWEEP = (Sweep(over={"scheme": SCHEMES, "burst": (1, 2, 4, 8, 16, 32, 64)}, x="burst", y=MEASURES, points="scheme"),
         Sweep(over={"scheme": SCHEMES, "rate": (10_000, 20_000, 50_000, 100_000, 200_000, 400_000)}, x="rate", y=MEASURES,
               points="scheme"))

VECTOR = 50
SETTLED_NS = 50_000
LONGEST = {"periodic": 1, "poisson": 1.5, "heavy_tailed": 3}  # of what all take on average: the guest works as long


def plan(p):
    if (p.arrivals == "file") != bool(p.file):
        raise VirqsimError("masked_direct_read: file: --set arrivals=file and --set file=PATH go together")
    machine = Machine()
    taken = machine.word("taken")
    arrivals = of_frames(p)
    frames = len(arrivals.document["at_ns"]) if p.file else p.frames
    if not 1 <= frames <= RING:
        raise VirqsimError(f"masked_direct_read: file: {p.file}: has {frames} frames; 1 to {RING} belong here")
    guest = Program("guest").stamp(1).compute(work_cycles(p)).stamp(1).spin_until(taken, frames)
    vcpu = machine.vcpu(guest, {VECTOR: driver(p, taken)})
    machine.nic("card", [Queue(vcpu, VECTOR, arrivals)], auto_mask=p.scheme in NAPI, ring=RING,
                moderation=moderation(p))
    return Plan("masked_direct_read", machine, features={"masked-delivery": True} if p.scheme == "masked" else {},
                technology="vtd-pi" if p.scheme == "posted" else "none")


def of_frames(p):
    if p.arrivals == "bursts":
        gap_ns = max(p.burst * 10**9 // p.rate, p.burst * p.spacing)
        return Arrivals.bursts(p.frames, p.burst, gap_ns, p.spacing, SETTLED_NS)
    if p.arrivals == "file":
        return Arrivals.from_file(p.file)
    return getattr(Arrivals, p.arrivals)(p.frames, 10**9 // p.rate, from_ns=SETTLED_NS)


def work_cycles(p):
    """The guest's own work, which lasts as long as frames arrive, and a little longer."""
    if p.arrivals == "file":
        seconds = max(of_frames(p).document["at_ns"], default=0) / 1e9
    else:
        seconds = p.frames / p.rate * LONGEST.get(p.arrivals, 1)
    return int((seconds + (p.burst * p.spacing + 4 * SETTLED_NS) / 1e9) * p.core_hz)


def moderation(p):
    if p.scheme == "fixed":
        return Moderation.fixed(1000 * p.interval)
    if p.scheme == "vic":
        return Moderation.vic(1_000_000)  # its 200 ms are longer than the run
    return Moderation.adaptive() if p.scheme == "adaptive" else Moderation.none()


def driver(p, taken):
    """NAPI acknowledges, polls and unmasks; the older driver polls and acknowledges."""
    handler = Program("driver")
    if p.scheme in NAPI:
        return handler.eoi().rx_poll(taken).rx_unmask()
    handler.rx_poll(taken)
    if p.scheme == "masked":
        if p.unmask == "hypercall":
            handler.hypercall()
        handler.rx_unmask()
    return handler.eoi()


def report(results, p):
    """For one frame: exits, interrupts, its wait in the ring, and what the guest's work lost by it."""
    queue = results.queues.iloc[0]
    exits = int(results.exits["count"].sum())
    lost_ns = (results.stamps["mean_cycles"].iloc[0] / p.tsc_hz - work_cycles(p) / p.core_hz) * 1e9
    host_ns = results.vcpus[results.vcpus["state"] != "GUEST"]["time_ns"].sum()
    interrupts = int(results.accounting["delivered"].sum())
    frames = queue["taken"]
    return pd.DataFrame([{
        "scheme": p.scheme, "burst": p.burst, "exits_per_100_frames": 100 * exits / frames,
        "exits_per_burst": exits * p.burst / frames, "interrupts_per_burst": interrupts * p.burst / frames,
        "wait_ns": queue["mean_ns"], "wait_p99_ns": queue["p99_ns"], "cpu_ns_per_frame": lost_ns / frames,
        "of_it_host_ns": host_ns / frames}])


if __name__ == "__main__":
    virqsim.main(__file__)
