"""What does the guest's timer tick cost, and how late does it come?

One vCPU works or sleeps while its local APIC timer ticks: one-shot by the TSC
deadline, armed anew in each handler, or periodic by the APIC's own counter. The
latency `timer` is from the expiry to the first instruction of the handler.
"""

import virqsim
from virqsim import Machine, Parameter, Plan, Program

PARAMETERS = {
    "mode": Parameter("tsc-deadline", "", "what ticks", choices=("tsc-deadline", "periodic")),
    "ticks": Parameter(100, "ticks", "how many"),
    "period": Parameter(250, "us", "between two ticks"),
    "work": Parameter(2_000, "cycles", "of the handler, each tick"),
    "between": Parameter("work", "", "what the vCPU does between ticks", choices=("work", "halt")),
}

VECTOR = 236
PERIODIC, TSC_DEADLINE = 1, 2


def plan(p):
    machine = Machine()
    ticks = machine.word("ticks")
    guest, handler = Program("guest"), Program("on_tick")
    if p.mode == "periodic":
        guest.timer_mode(VECTOR, PERIODIC).timer_count(p.period * p.apic_timer_hz // 10**6, 1)
    else:
        deadline = p.period * p.tsc_hz // 10**6
        guest.timer_mode(VECTOR, TSC_DEADLINE).tsc_deadline(deadline)
        handler.tsc_deadline(deadline)
    handler.compute(p.work).word_add(ticks).eoi()
    if p.between == "halt":
        guest.halt_until(ticks, p.ticks)
    else:
        guest.spin_until(ticks, p.ticks)
    machine.vcpu(guest, {VECTOR: handler})
    return Plan("timer_ticks", machine)


if __name__ == "__main__":
    virqsim.main(__file__)
