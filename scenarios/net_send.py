"""What does it cost a guest to send a frame by virtio-net, by who sends it?

The guest sends bursts of frames at even distances. Its driver notifies the device, where that wants to
be: QEMU's main loop hears of it by an exit to userspace (`userspace`) or by an ioeventfd, a vhost worker
by an ioeventfd (`vhost`). Who sends interrupts, where the driver wants to hear of it. With
`event_idx=on` each end says after which frame. The report has exits and interrupts for a frame, how long
it waited in the ring, and the CPU time that the host's thread had for it.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, Sweep

BACKENDS = ("userspace", "ioeventfd", "vhost")

PARAMETERS = {
    "backend": Parameter("ioeventfd", "", "who sends, and how it is told", choices=BACKENDS),
    "burst": Parameter(1, "frames", "that the guest sends at once", least=1, most=1024),
    "frames": Parameter(512, "frames", "in all", least=1, most=1 << 20),
    "gap": Parameter(20, "us", "of the guest's own work between two bursts, for each frame of one", least=0, most=1_000_000),
    "queue_size": Parameter(256, "frames", "of the ring"),
    "event_idx": Parameter("on", "", "event suppression by indices, not by flags", choices=("on", "off")),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
    "guest_apic": Parameter("xapic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
}
MEASURES = ("exits", "interrupts", "wait_us", "host_us")
SWEEP = (Sweep(over={"backend": BACKENDS, "burst": (1, 2, 4, 8, 16, 32, 64)}, x="burst", y=MEASURES, points="backend"),
         Sweep(over={"backend": BACKENDS, "gap": (1, 2, 5, 10, 20, 50, 100)}, x="gap", y=MEASURES, points="backend"))

VECTOR = 50


def plan(p):
    machine = Machine(p.guest_apic)
    freed = machine.word("freed")
    thread = machine.thread("vhost" if p.backend == "vhost" else "main-loop", 1)
    queue = machine.tx_queue(machine.device("card", "msi", 0, VECTOR), p.backend, queue_size=p.queue_size,
                             event_idx=p.event_idx == "on", thread=thread if p.backend == "vhost" else None)
    guest = Program("guest")
    bursts, rest = divmod(p.frames, p.burst)
    with guest.repeat(max(bursts, 1)):
        guest.compute(cycles(p, p.burst)).tx_send(queue, freed, p.burst if bursts else rest)
    if bursts and rest:
        guest.compute(cycles(p, rest)).tx_send(queue, freed, rest)
    machine.vcpu(guest.halt_until(freed, p.frames), {VECTOR: Program("driver").eoi().tx_reap(queue, freed)})
    return Plan("net_send", machine, Hypervisor(irqchip=p.irqchip, halt_poll_ns=0))


def cycles(p, frames):
    return 1 + p.gap * frames * p.core_hz // 1_000_000


def report(results, p):
    """For one frame: exits, those of them that went on to userspace, interrupts, its wait, and the host's CPU time."""
    queue = results.document["tx_queues"][0]
    by_reason = results.exits.groupby("cause")["count"].sum()
    runs = results.threads[results.threads["state"] == "RUNS"]["time_ns"].sum()
    exits = results.exits["count"].sum()
    return pd.DataFrame([{
        "backend": p.backend, "exits": exits / p.frames, "acknowledge": by_reason.get("acknowledge", 0) / p.frames,
        "to_userspace": results.userspace_exits["count"].sum() / p.frames,
        "interrupts": results.accounting["raised"].sum() / p.frames,
        "wait_us": queue["mean_ps"] / 1e6, "p99_us": queue["p99_ps"] / 1e6, "host_us": runs / p.frames / 1e3}]).round(3)


if __name__ == "__main__":
    virqsim.main(__file__)
