"""What does the guest's timer tick cost, and how late does it come?

One vCPU works or sleeps while its local APIC timer ticks: one-shot by the TSC
deadline or by the APIC's count, armed anew in each handler, or periodic by that
count. The latency `timer` is from the expiry, by the guest's clock, to the first
instruction of the handler. Who counts for the guest is the technology's affair,
or `counts`: a timer of the host, either timer at the deadline and not ahead of
it, one of another CPU that posts the interrupt, the hardware's own
(docs/models/timer.md).
"""

import virqsim
from virqsim import Machine, Parameter, Plan, Program

COUNTS = {
    "technology": {},
    "host": {"preemption-timer": False},
    "at-deadline": {"timer-advance": False},
    "host-at-deadline": {"preemption-timer": False, "timer-advance": False},
    "posted": {"timer-posting": True, "hlt-in-guest": True},
    "hardware": {"apic-timer-virtualization": True},
}

PARAMETERS = {
    "mode": Parameter("tsc-deadline", "", "what ticks", choices=("tsc-deadline", "one-shot", "periodic")),
    "counts": Parameter("technology", "", "who counts", choices=tuple(COUNTS)),
    "ticks": Parameter(100, "ticks", "how many"),
    "period": Parameter(250, "us", "between two ticks"),
    "work": Parameter(2_000, "cycles", "of the handler, each tick"),
    "between": Parameter("work", "", "what the vCPU does between ticks", choices=("work", "halt")),
}

VECTOR = 236
ONE_SHOT, PERIODIC, TSC_DEADLINE = range(3)


def plan(p):
    machine = Machine()
    ticks = machine.word("ticks")
    guest, handler = Program("guest"), Program("on_tick")
    count = p.period * p.apic_timer_hz // 10**6
    if p.mode == "tsc-deadline":
        deadline = p.period * p.tsc_hz // 10**6
        guest.timer_mode(VECTOR, TSC_DEADLINE).tsc_deadline(deadline)
        handler.tsc_deadline(deadline)
    elif p.mode == "one-shot":
        guest.timer_mode(VECTOR, ONE_SHOT).timer_count(count, 1)
        handler.timer_count(count)
    else:
        guest.timer_mode(VECTOR, PERIODIC).timer_count(count, 1)
    handler.compute(p.work).word_add(ticks).eoi()
    if p.between == "halt":
        guest.halt_until(ticks, p.ticks)
    else:
        guest.spin_until(ticks, p.ticks)
    machine.vcpu(guest, {VECTOR: handler})
    return Plan("timer_ticks", machine, features=COUNTS[p.counts])


if __name__ == "__main__":
    virqsim.main(__file__)
