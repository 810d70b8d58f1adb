"""How evenly does receive-side scaling spread frames and their interrupts over a guest's vCPUs?

A card that belongs to the guest has a queue for each vCPU; a frame's connection decides which one
gets it, by its hash. Each vCPU works, and has NAPI's driver for its queue. The report has a line for
each queue: its frames, interrupts and exits, and how long a frame waited.
"""

import pandas as pd

import virqsim
from virqsim import Machine, Moderation, Parameter, Plan, Program, Queue, rss

PARAMETERS = {
    "queues": Parameter(4, "queues", "of the card, each of a vCPU", least=1, most=64),
    "connections": Parameter(16, "", "whose frames come", least=1, most=65_536),
    "frames": Parameter(2_000, "frames", "in all", least=1, most=100_000),
    "gap": Parameter(1_000, "ns", "between two frames of the card", least=1, most=1_000_000),
    "interval": Parameter(0, "us", "between two interrupts of a queue; 0: no moderation"),
}

VECTOR, SETTLED_NS = 50, 50_000


def plan(p):
    machine = Machine()
    times = range(SETTLED_NS, SETTLED_NS + p.frames * p.gap, p.gap)
    queues = []
    for n, arrivals in enumerate(rss.spread(times, p.queues, rss.connections(p.connections))):
        taken = machine.word(f"taken from queue {n}")
        guest = Program(f"guest{n}").spin_until(taken, len(arrivals.document["at_ns"]))
        driver = Program(f"driver{n}").eoi().rx_poll(taken, queue=n).rx_unmask(queue=n)
        queues.append(Queue(machine.vcpu(guest, {VECTOR: driver}), VECTOR, arrivals))
    machine.nic("card", queues, ring=4096,
                moderation=Moderation.fixed(1000 * p.interval) if p.interval else Moderation.none())
    return Plan("receive_side_scaling", machine)


def report(results, p):
    """By queue, which is by vCPU."""
    exits = results.exits.groupby("vcpu")["count"].sum()
    delivered = results.accounting.groupby("vcpu")["delivered"].sum()
    return pd.DataFrame([{
        "queue": n, "frames": row["taken"], "share": row["taken"] / p.frames, "interrupts": int(delivered.get(n, 0)),
        "exits": int(exits.get(n, 0)), "wait_ns": row["mean_ns"], "wait_p99_ns": row["p99_ns"]}
        for n, (_, row) in enumerate(results.queues.iterrows())]).round(3)


if __name__ == "__main__":
    virqsim.main(__file__)
