"""What does a guest pay while its hypervisor has to do without APICv or AVIC?

Two vCPUs play ping-pong by IPIs, each with a timer that ticks, and for a part of
the run KVM has a reason to inhibit what the hardware would do (`virqsim list
inhibits`). A reason that this vendor's KVM does not heed costs nothing. The report has the same plan
without the reason beside it; the difference is the price.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Inhibit, Machine, Parameter, Plan, Program, icr, library, runner

PARAMETERS = {
    "reason": Parameter("BLOCKIRQ", "", "KVM's name of it", choices=tuple(library.names("inhibits"))),
    "start": Parameter(100, "us", "when it comes", least=0),
    "length": Parameter(200, "us", "how long it stays; 0: to the end", least=0),
    "rounds": Parameter(100, "rounds", "of ping-pong", least=1),
    "pause": Parameter(5_000, "cycles", "that a vCPU works before each IPI"),
    "period": Parameter(50, "us", "between two ticks of a vCPU's timer", least=1),
    "guest_apic": Parameter("xapic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
    "wait": Parameter("halt", "", "how a vCPU waits", choices=("halt", "spin")),
}

PING, TICK = 48, 236
PERIODIC = 1


def plan(p):
    machine = Machine(p.guest_apic)
    for vcpu in (0, 1):
        add_player(machine, vcpu, p)
    until_ns = 1000 * (p.start + p.length) if p.length else 0
    inhibit = Inhibit(p.reason, 1000 * p.start, until_ns)
    return Plan("inhibited", machine, Hypervisor(inhibits=(inhibit,)), technology="avic")


def add_player(machine, vcpu, p):
    mine, theirs = machine.word(f"balls{vcpu}"), 1 - vcpu
    player = Program(f"player{vcpu}").timer_mode(TICK, PERIODIC).timer_count(p.period * p.apic_timer_hz // 10**6, 1)
    wait = player.halt_take if p.wait == "halt" else player.spin_take
    with player.repeat(p.rounds):
        if vcpu:
            wait(mine)
        player.compute(p.pause).ipi(icr(PING), theirs)
        if not vcpu:
            wait(mine)
    machine.vcpu(player, {PING: Program(f"on_ping{vcpu}").eoi().word_add(mine), TICK: Program(f"on_tick{vcpu}").eoi()})


def report(results, p):
    """The same plan with the reason and without it."""
    free = runner.run({**results.plan, "hypervisor": {**results.plan["hypervisor"], "inhibits": []}})
    rows = [("exits", *(int(run.exits["count"].sum()) for run in (results, free)))]
    reasons = [run.exits.groupby("reason")["count"].sum() for run in (results, free)]
    rows += [(f"  {reason}", *(int(counts.get(reason, 0)) for counts in reasons))
             for reason in sorted(set(reasons[0].index) | set(reasons[1].index))]
    rows.append(("run, us", results.time_ns / 1000, free.time_ns / 1000))
    rows += [(f"{source} latency, mean ns", *(mean_latency(run, source) for run in (results, free)))
             for source in ("ipi", "timer")]
    return pd.DataFrame([{"what": what, "inhibited": with_it, "free": without, "price": with_it - without}
                         for what, with_it, without in rows])


def mean_latency(run, source):
    means = run.latency.set_index("source")["mean_ns"]
    return float(means.get(source, 0.0))


if __name__ == "__main__":
    virqsim.main(__file__)
