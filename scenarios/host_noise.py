"""What do the host's own interrupts cost a guest that only works?

A vCPU computes. Its physical CPU has the host's tick, `hz` times a second, and a device of the host's
(a network card for other guests, say) interrupts it `device_hz` times a second, with `work` cycles each.
The guest is given none of them; each makes it leave.

The report has how many microseconds the guest loses in a second of its work, the exits in that, and how
many nanoseconds each has cost it.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program

PARAMETERS = {
    "hz": Parameter(250, "Hz", "the host's tick (CONFIG_HZ); 0: none", least=0, most=100_000),
    "device_hz": Parameter(5_000, "Hz", "interrupts of the host's device; 0: none", least=0, most=100_000),
    "work": Parameter(5_000, "cycles", "of each of those", least=0),
    "work_ms": Parameter(200, "ms", "the guest's own work", least=1),
}

WORKED = 1  # stamp id


def plan(p):
    machine = Machine()
    guest = Program("guest").stamp(WORKED)
    with guest.repeat(p.work_ms):
        guest.compute(p.core_hz // 1000)
    machine.vcpu(guest.stamp(WORKED))
    if p.device_hz:
        machine.host_interrupts(0, every_ns=10**9 // p.device_hz, cycles=p.work)
    return Plan("host_noise", machine, Hypervisor(tick_ns=10**9 // p.hz if p.hz else None))


def report(results, p):
    """The guest's time, against its work alone."""
    took_ns = results.stamps.set_index("id").loc[WORKED, "mean_cycles"] / p.tsc_hz * 1e9
    exits, work_ns = results.exits["count"].sum(), p.work_ms * 1e6
    return pd.DataFrame([{
        "lost_us_per_s": (took_ns - work_ns) / p.work_ms,
        "exits_per_s": exits / p.work_ms * 1000,
        "ns_each": (took_ns - work_ns) / exits if exits else 0.0,
    }]).round(1)


if __name__ == "__main__":
    virqsim.main(__file__)
