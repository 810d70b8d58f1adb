"""How long does it take to start a processor, and what happens when the guest shuts down?

vCPU 0 sends INIT and then a start-up IPI to all others, one after the other, and each says that it runs.
Linux waits 10 ms after INIT on old processors and not at all on others; `wait_us` is that time.

With `shutdown=reset` the guest's first life ends in a triple fault: QEMU resets the machine, and the same happens
again in its second one. With `shutdown=stop` QEMU has the option -no-reboot.

The report has the time from the start-up IPI to the other's first instruction (on average over the first
seven of each life), and exits and returns to userspace for each processor started.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, icr_init, icr_startup

PARAMETERS = {
    "processors": Parameter(3, "", "how many are started", least=1, most=63),
    "wait_us": Parameter(10, "us", "between INIT and the start-up IPI", least=0),
    "shutdown": Parameter("none", "", "how the guest's first life ends", choices=("none", "reset", "stop")),
}

LIVES = ("first", "last")
MEASURED = 7  # processors of each life: there are 16 stamp ids, and each start has one of its own


def plan(p):
    machine = Machine()
    lives = 2 if p.shutdown == "reset" else 1
    first, last = (boot(machine, p, life) for life in LIVES)
    if p.shutdown != "none":
        first.triple_fault()
    machine.vcpu(first, after_reset=last if lives == 2 else None)
    for number in range(1, p.processors + 1):
        other = Program(f"processor{number}").word_add(machine.word(f"up{number}")).compute(1_000)
        machine.vcpu(other, waits_for_sipi=True)
    return Plan("processor_startup", machine, Hypervisor(no_reboot=p.shutdown == "stop"))


def boot(machine, p, life):
    """One processor after the other, in the guest's first life or its last."""
    program = Program(f"boot_{life}")
    for number in range(1, p.processors + 1):
        program.ipi(icr_init(), number).compute(round(p.wait_us * p.core_hz / 1e6))
        stamp(program, number, life)
        program.ipi(icr_startup(), number)
        program.spin_until(machine.word(f"up{number}"), 2 if life == "last" and p.shutdown == "reset" else 1)
        stamp(program, number, life)
    return program


def stamp(program, number, life):
    """Of an id for this start alone: with one for all, the way from a start to the next would be an interval too."""
    if number <= MEASURED:
        program.stamp(2 * number + LIVES.index(life))


def report(results, p):
    """For each processor started."""
    lives = 2 if p.shutdown == "reset" else 1
    started = p.processors * lives
    returns = results.userspace_exits.groupby("reason")["count"].sum()
    up_us = results.stamps["mean_cycles"].mean() / p.tsc_hz * 1e6
    return pd.DataFrame([{
        "started": started, "up_us": round(up_us, 2),
        "exits": results.exits["count"].sum() / started,
        "eagain": int(returns.get("KVM_RUN_EAGAIN", 0)), "shutdowns": int(returns.get("KVM_EXIT_SHUTDOWN", 0)),
    }]).round(2)


if __name__ == "__main__":
    virqsim.main(__file__)
