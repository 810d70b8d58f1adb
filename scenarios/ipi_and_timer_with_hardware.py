"""What do IPIs and the guest's own timer still cost where the hardware delivers them?

One vCPU sends IPIs to another, one sends them to itself, and one has a timer that ticks by
the TSC deadline. `target` is what those that are interrupted are doing: working, waiting for
their CPU, asleep. Compare `--tech none,apicv,ipiv,apic-timer` or `svm,avic,x2avic`; `counts`
says who counts for the timer (docs/models/timer.md).
"""

import pandas as pd

import virqsim
from virqsim import Machine, Parameter, Plan, Program, conditions, icr

COUNTS = {
    "technology": {},
    "host": {"preemption-timer": False},
    "posted": {"timer-posting": True, "hlt-in-guest": True},
}

PARAMETERS = {
    "interrupts": Parameter(30, "interrupts", "of each kind", least=1, most=200),
    "target": Parameter("running", "", "what who is interrupted is doing", choices=conditions.CONDITIONS),
    "counts": Parameter("technology", "", "who counts for the timer", choices=tuple(COUNTS)),
}

KINDS = ("IPI", "self-IPI", "timer")  # kind n interrupts vCPU n; vCPU 3 sends the IPIs
SENDER = len(KINDS)
IPI, TIMER = 48, 236
TSC_DEADLINE = 2


def plan(p):
    machine = Machine()
    words = [machine.word(f"handled{n}") for n in range(len(KINDS))]
    # A preempted vCPU arms it when its slice begins, for the middle of the next thread's.
    period_ns = conditions.FIRST_NS if p.target == "preempted" else conditions.GAP_NS
    deadline = period_ns * p.tsc_hz // 10**9
    target = conditions.wait(Program("target"), p.target, words[0], p.interrupts)
    machine.vcpu(target, {IPI: Program("on_ipi").eoi().word_add(words[0])})
    myself = Program("myself")
    with myself.repeat(p.interrupts):
        myself.compute(50_000).self_ipi(IPI).spin_take(words[1])
    machine.vcpu(myself, {IPI: Program("on_self_ipi").eoi().word_add(words[1])})
    ticks = Program("ticks").setup(True).timer_mode(TIMER, TSC_DEADLINE).setup(False).tsc_deadline(deadline)
    conditions.wait(ticks, p.target, words[2], p.interrupts)
    machine.vcpu(ticks, {TIMER: Program("on_tick").tsc_deadline(deadline).eoi().word_add(words[2])})
    for vcpu in (0, 2):
        conditions.meet(machine, p.target, vcpu)
    machine.vcpu(sender(p))
    return Plan("ipi_and_timer_with_hardware", machine, conditions.hypervisor(), features=COUNTS[p.counts])


def sender(p):
    program = Program("sender").compute(conditions.FIRST_NS * p.core_hz // 10**9)
    with program.repeat(p.interrupts):
        program.ipi(icr(IPI), destination=0).compute(conditions.GAP_NS * p.core_hz // 10**9)
    return program


def report(results, p):
    """Exits for one interrupt of each kind: to raise it (or to arm the timer), to deliver it, to acknowledge it; and
    the target's HLT."""
    halts = results.exits["reason"].isin(("HLT", "hlt"))
    exits = results.exits[~halts].groupby(["vcpu", "cause"])["count"].sum()
    halted = results.exits[halts].groupby("vcpu")["count"].sum()
    delivered = results.accounting.groupby("vcpu")["delivered"].sum()
    raised = [exits.get((SENDER, "operation"), 0), exits.get((1, "operation"), 0), exits.get((2, "handler"), 0)]
    rows = []
    for number, kind in enumerate(KINDS):
        of = {"raise": raised[number]}
        of |= {name: exits.get((number, cause), 0)
               for name, cause in (("deliver", "delivery"), ("acknowledge", "acknowledge"))}
        of |= {"all": sum(of.values()), "halt": halted.get(number, 0)}
        rows.append({"kind": kind, **{name: count / delivered[number] for name, count in of.items()}})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    virqsim.main(__file__)
