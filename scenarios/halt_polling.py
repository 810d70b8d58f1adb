"""How long does a sleeping guest take to wake up, and how much CPU time does it burn for that?

A device interrupts a vCPU that has a little work for each interrupt and nothing
else. Between two of them it waits, as `policy` says: it halts and its thread sleeps
(`sleep`), KVM polls for a while first, always as long (`fixed`) or for a window that
grows and shrinks (`grow`, Linux' default; `grow-shrink`, halved in place of
closed), the guest polls before it halts (`guest`, cpuidle-haltpoll), HLT or MWAIT does
not leave the guest (`hlt-in-guest`, `mwait-in-guest`), or the guest never waits
(`spin`, idle=poll). `virqsim sweep halt_polling` runs all policies under all arrivals.

Arrivals are synthetic, or those of a recorded trace: the times between the
interrupts that KVM accepted for vCPU 0 in `trace`, stretched to the same mean.

Who interrupts is a device, or with `source` another vCPU: by an IPI, or by a hypercall (KVM_HC_SEND_IPI), whose
wake-up of a sleeper is then a part of the sender's own time, and whose sight a poller has at once.

The report has the time from the interrupt to its handler (mean, 99 %), the share of the
time for which the vCPU's thread had its physical CPU, and for each interrupt that
CPU time without the guest's work, and the exits.
"""

import random
from itertools import accumulate

import pandas as pd

import virqsim
from virqsim import Hypervisor, IdleState, Machine, Parameter, Plan, Program, Sweep, VirqsimError, icr, paths

POLICIES = {
    "sleep": (Hypervisor(halt_poll_ns=0), {}),
    "grow": (Hypervisor(), {}),
    "grow-shrink": (Hypervisor(halt_poll_shrink=2), {}),
    "fixed": (Hypervisor(halt_poll_grow_start_ns=200_000, halt_poll_shrink=1), {}),
    "guest": (Hypervisor(), {"guest-halt-poll": True}),
    "hlt-in-guest": (Hypervisor(), {"hlt-in-guest": True}),
    "mwait-in-guest": (Hypervisor(), {"mwait-in-guest": True}),
    "spin": (Hypervisor(), {}),
}
WAITS = {"mwait-in-guest": "mwait_take", "spin": "spin_take"}

# Linux 6.1, drivers/idle/intel_idle.c, skx_cstates: exit latency and target residency.
SKYLAKE = {"C1": (2_000, 2_000), "C1E": (10_000, 20_000), "C6": (133_000, 600_000)}

PARAMETERS = {
    "policy": Parameter("grow", "", "how the vCPU waits", choices=tuple(POLICIES)),
    "arrivals": Parameter("poisson", "", "when the device interrupts",
                          choices=("periodic", "poisson", "bursts", "recorded")),
    "trace": Parameter("on2_ppong.txt.gz", "", "the recording, a file of traces/"),
    "source": Parameter("device", "", "who interrupts", choices=("device", "ipi", "pv-ipi")),
    "mean_us": Parameter(100, "us", "between two interrupts, on average", least=1),
    "interrupts": Parameter(2_000, "", "how many", least=1),
    "work": Parameter(5_000, "cycles", "for each"),
    "deepest": Parameter("C6", "", "how deep an idle physical CPU may sleep", choices=tuple(SKYLAKE)),
}
SWEEP = Sweep(over={"arrivals": ("poisson", "bursts", "recorded"), "policy": tuple(POLICIES)},
              x="cpu_percent", y=("latency_us",), panels="arrivals", points="policy")

VECTOR, BURST = 48, 8


def plan(p):
    states = [IdleState(name, *times) for name, times in SKYLAKE.items()]
    machine = Machine(idle_states=states[: list(SKYLAKE).index(p.deepest) + 1])
    work = machine.word("work")
    guest = Program("guest")
    with guest.repeat(p.interrupts):
        getattr(guest, WAITS.get(p.policy, "halt_take"))(work, 1)
        guest.compute(p.work)
    vcpu = machine.vcpu(guest, {VECTOR: Program("on_interrupt").word_add(work).eoi()})
    times = list(accumulate(gaps(p), initial=100_000))
    if p.source == "device":
        machine.device("device", "msi", vcpu, VECTOR, at_ns=times)
    else:
        machine.vcpu(sender(p, vcpu, times))
    policy, features = POLICIES[p.policy]
    return Plan("halt_polling", machine, policy, features=features, technology="apicv", until_ns=times[-1] + 200_000)


def sender(p, target, times):
    """Another vCPU, which works until it is time; what the sending takes makes the next one late."""
    program = Program("sender")
    for before, after in zip([0, *times], times):
        program.compute(round((after - before) * p.core_hz / 1e9))
        program.pv_ipi(VECTOR, target, 1) if p.source == "pv-ipi" else program.ipi(icr(VECTOR), target)
    return program


def gaps(p):
    """The times between arrivals, in nanoseconds: p.interrupts - 1 of them."""
    mean, count = p.mean_us * 1000, p.interrupts - 1
    chance = random.Random(1)
    if p.arrivals == "periodic":
        return [mean] * count
    if p.arrivals == "poisson":
        return [round(chance.expovariate(1 / mean)) for _ in range(count)]
    if p.arrivals == "bursts":  # of 8, 20 times as dense as the mean
        far = BURST * mean - (BURST - 1) * mean // 20
        return [round(chance.expovariate(1 / far)) if n % BURST == 0 else mean // 20 for n in range(count)]
    recorded = recorded_gaps(p.trace)
    scale = mean * len(recorded) / sum(recorded)
    return [round(recorded[n % len(recorded)] * scale) for n in range(count)]


def recorded_gaps(name):
    """Between the interrupts that KVM accepted for vCPU 0, as recorded."""
    from virqsim.replay import read

    trace = read(paths.find("traces") / name)
    times = [event.time_ns for event in trace.events
             if event.name == "kvm_apic_accept_irq" and event.time_ns is not None and event.fields["apicid"] == 0]
    found = [after - before for before, after in zip(times, times[1:]) if after > before]
    if not found:
        raise VirqsimError(f"halt_polling: trace: {name}: has no interrupts for vCPU 0")
    return found


def report(results, p):
    """Latency against CPU time."""
    latency = results.latency.set_index("source").loc["msi" if p.source == "device" else "ipi"]
    states = results.vcpus[results.vcpus["vcpu"] == 0].groupby("state")["time_ns"].sum()
    used = results.time_ns - states["BLOCKED"] - states["PARKED"]
    handled = latency["count"]  # one that comes while another is pending is the same
    needed = handled * p.work / p.core_hz * 1e9
    return pd.DataFrame([{
        "latency_us": latency["mean_ns"] / 1000, "p99_us": latency["p99_ns"] / 1000,
        "cpu_percent": 100 * used / results.time_ns,
        "burnt_us": (used - needed) / handled / 1000,
        "exits": results.exits[results.exits["vcpu"] == 0]["count"].sum() / handled,
    }]).round(2)


if __name__ == "__main__":
    virqsim.main(__file__)
