"""What does an overcommitted guest pay for a contended spinlock, and what helps?

Twice as many vCPUs as physical CPUs take one lock again and again: each works
under it, and then elsewhere for longer. Whoever holds it may lose its CPU, and a
ticket lock is handed to the one that is next even if that has none. Run it
with nothing, with `--features=+pause-loop-exiting` (`+pause-filter` on SVM), with
`--features=+pv-unhalt`, and with both.

With `lock=call` there is no lock: vCPU 0 calls a function on all others (Linux' smp_call_function_many(), a TLB
shootdown) and spins until all have answered, which those without a CPU do not. `ipi` says how it sends the
interrupts: one by one, or by one hypercall (`pv`); `--features=+pv-sched-yield` has it yield to one that is
preempted. `rounds` are calls then, and the others work a time slice for each.

The report has how many times as long it took as the work alone on so many CPUs,
the time from having the lock to having it again (mean and longest), and how often
a loop of PAUSEs exited, a vCPU halted, and a hypercall woke the next.

`ple_gap` is above KVM's 128, since a turn of a loop with Skylake's PAUSE takes 141
cycles: at its nominal frequency such a loop would not be taken for one.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, PauseLoop, Plan, Program, icr

PARAMETERS = {
    "cpus": Parameter(4, "CPUs", "physical CPUs, each with two vCPUs", least=1),
    "rounds": Parameter(1_000, "times", "how often each vCPU takes the lock", least=2),
    "lock": Parameter("ticket", "", "the lock: in order of arrival, or whoever finds it free",
                      choices=("ticket", "test-and-set", "call")),
    "ipi": Parameter("each", "", "of a call: an IPI to each, or one hypercall for all", choices=("each", "pv")),
    "hold": Parameter(5_000, "cycles", "work under the lock"),
    "work": Parameter(50_000, "cycles", "work elsewhere, half to one and a half times as much"),
    "slice_us": Parameter(3_000, "us", "the host's time slice"),
    "ple_gap": Parameter(256, "cycles", "the longest turn of a loop of PAUSEs"),
    "ple_window": Parameter(4_096, "cycles", "how long such a loop runs before it exits; on SVM a number of PAUSEs"),
}

HAS_LOCK, ALL_DONE = 1, 2  # stamp ids
VECTOR, CALL = 48, 251


def plan(p):
    machine = Machine()
    done, over = machine.word("done"), machine.word("over")
    for number in range(2 * p.cpus):
        main = Program(f"vcpu{number}")
        if number == 0:
            main.stamp(ALL_DONE)
            if p.lock != "ticket":
                main.word_add(machine.word("free"))
        with main.repeat(p.rounds):
            work = work_of(number, p)
            main.compute_uniform(work // 2, work * 3 // 2)
            if p.lock != "call":
                take(main, machine, p)
            elif number == 0:
                call(main, machine, p)
        main.word_add(done)
        if number == 0:
            main.halt_until(done, 2 * p.cpus).stamp(ALL_DONE)
            main.word_add(over).ipi(icr(VECTOR, shorthand="all-but-self"))
        else:
            main.ipi(icr(VECTOR), 0).halt_until(over, 1)
        answer = Program(f"answer{number}").word_add(machine.word("answers")).eoi()
        machine.vcpu(main, {CALL: answer}, pin=number % p.cpus)
    policy = Hypervisor(time_slice_ns=p.slice_us * 1000, pause_loop=PauseLoop(gap=p.ple_gap, window=p.ple_window))
    return Plan("lock_holder_preemption", machine, policy)


def work_of(number, p):
    """Between two rounds, in cycles on average."""
    return round(p.slice_us * p.core_hz / 1e6) if p.lock == "call" and number else p.work


def take(program, machine, p):
    if p.lock == "ticket":
        program.lock(machine.lock("lock")).stamp(HAS_LOCK).compute(p.hold).unlock(machine.lock("lock"))
    else:
        free = machine.word("free")
        program.pause_take(free).stamp(HAS_LOCK).compute(p.hold).word_add(free)


def call(program, machine, p):
    """All other vCPUs answer in their handlers."""
    others = 2 * p.cpus - 1
    program.stamp(HAS_LOCK)
    if p.ipi == "pv":
        program.pv_ipi(CALL, 1, others)
    else:
        for number in range(1, others + 1):
            program.ipi(icr(CALL), number)
    program.pv_yield(1, others).pause_take(machine.word("answers"), others)


def report(results, p):
    """Times, and how often a vCPU left the guest for the sake of waiting."""
    stamps = results.stamps.set_index("id")
    rounds, whole = stamps.loc[[HAS_LOCK]], stamps.loc[ALL_DONE]
    hold = 0 if p.lock == "call" else p.hold
    work = sum(work_of(number, p) + hold for number in range(2 * p.cpus)) / p.cpus
    alone = p.rounds * max(work, 2 * p.cpus * hold) / p.core_hz
    exits = results.exits.groupby("reason")["count"].sum()
    of = {name: int(sum(exits.get(reason, 0) for reason in reasons)) for name, reasons in (
        ("pause_exits", ("PAUSE_INSTRUCTION", "pause")), ("halts", ("HLT", "hlt", "idle-halt")),
        ("kicks", ("VMCALL", "hypercall")))}
    return pd.DataFrame([{
        "slowdown": whole["mean_cycles"] / p.tsc_hz / alone,
        "round_us": rounds["mean_cycles"].mean() / p.tsc_hz * 1e6,
        "longest_us": rounds["max_cycles"].max() / p.tsc_hz * 1e6,
        **of}])


if __name__ == "__main__":
    virqsim.main(__file__)
