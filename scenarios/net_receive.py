"""What does it cost a guest to receive a frame by virtio-net, by who brings it?

Frames arrive in bursts at even distances. QEMU's main loop brings them into the guest's ring
(`userspace`): it wakes up, takes the global lock, and interrupts by a call; or a vhost worker does,
and interrupts by an irqfd (`vhost`); or the card is the guest's own (`assigned`). The driver is NAPI's,
which hears of no more frames until it finds the ring empty. Meanwhile the guest works, or sleeps, or
works and asks a device of QEMU's once for each frame (`--set guest=asks`), for which its thread needs
the global lock too. The report has exits and interrupts for a frame; how often somebody waited for the
lock, in all; how long a frame waited from its arrival until the driver took it; and the CPU time that
the host's threads had for one.
"""

import pandas as pd

import virqsim
from virqsim import Arrivals, Hypervisor, Machine, Parameter, Plan, Program, Queue, Scheduler, Sweep

BACKENDS = ("userspace", "vhost", "assigned")
RING = 4096

PARAMETERS = {
    "backend": Parameter("userspace", "", "who brings the frames", choices=BACKENDS),
    "burst": Parameter(1, "frames", "that arrive together", least=1, most=1024),
    "frames": Parameter(512, "frames", "in all", least=1, most=RING),
    "gap": Parameter(20, "us", "between two bursts, for each frame of one", least=1, most=1_000_000),
    "spacing": Parameter(500, "ns", "between two frames of a burst; 500: 1500 bytes at 25 Gb/s", least=0, most=1_000_000),
    "guest": Parameter("works", "", "what the guest does meanwhile", choices=("works", "sleeps", "asks")),
    "place": Parameter("own", "", "the host's thread has a CPU of its own, or the vCPU's", choices=("own", "shared")),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
    "guest_apic": Parameter("xapic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
}
MEASURES = ("exits", "interrupts", "wait_us", "host_us")
SWEEP = (Sweep(over={"backend": BACKENDS, "burst": (1, 2, 4, 8, 16, 32, 64)}, x="burst", y=MEASURES, points="backend"),
         Sweep(over={"backend": BACKENDS, "gap": (1, 2, 5, 10, 20, 50, 100)}, x="gap", y=MEASURES, points="backend"))

VECTOR, POST_PORT = 50, 0x80
SETTLED_NS = 50_000


def plan(p):
    machine = Machine(p.guest_apic)
    taken = machine.word("taken")
    guest = Program("guest")
    if p.guest != "sleeps":
        with guest.repeat(p.frames):
            guest.compute(p.gap * p.core_hz // 1_000_000)
            if p.guest == "asks":
                guest.port_out(POST_PORT, 1, 0)
    vcpu = machine.vcpu(guest.halt_until(taken, p.frames), {VECTOR: Program("driver").eoi().rx_poll(taken).rx_unmask()})
    cpu = 0 if p.place == "shared" else 1
    machine.thread("main-loop", cpu if p.backend == "userspace" else 2)  # vCPUs need its lock, whoever brings
    worker = machine.thread("vhost", cpu) if p.backend == "vhost" else None
    gap_ns = max(1000 * p.gap, p.spacing) * p.burst
    machine.nic("card", [Queue(vcpu, VECTOR, Arrivals.bursts(p.frames, p.burst, gap_ns, p.spacing, SETTLED_NS))],
                path=p.backend, ring=RING, thread=worker)
    return Plan("net_receive", machine, Hypervisor(irqchip=p.irqchip, halt_poll_ns=0, scheduler=Scheduler()))


def report(results, p):
    """Of a frame, but for lock_waits: exits, those of them that went on to userspace, interrupts, its wait, CPU time."""
    queue = results.queues.iloc[0]
    runs = results.threads[results.threads["state"] == "RUNS"]["time_ns"].sum()
    return pd.DataFrame([{
        "backend": p.backend, "exits": results.exits["count"].sum() / p.frames,
        "to_userspace": results.userspace_exits["count"].sum() / p.frames,
        "interrupts": results.accounting["raised"].sum() / p.frames,
        "lock_waits": results.document["lock_waits"], "wait_us": queue["mean_ns"] / 1e3,
        "p99_us": queue["p99_ns"] / 1e3, "host_us": runs / p.frames / 1e3}]).round(3)


if __name__ == "__main__":
    virqsim.main(__file__)
