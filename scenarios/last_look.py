"""Can an interrupt be lost between the last look at it and the entry, or the sleep?

One interrupt comes while its target leaves the guest and enters it again
(`target=running`), goes to sleep (`halting`), waits for its CPU (`preempted`), or
is taken to another one (`moved`), and the target waits for it for ever. `virqsim race` moves the interrupt to every
place that it can have among the steps of the run loop:

    virqsim race last_look --set target=halting
    virqsim race last_look --set target=halting --without kvm_vcpu_check_block
"""

import virqsim
from virqsim import Fault, Hypervisor, Machine, Parameter, Plan, Program, icr

PARAMETERS = {
    "target": Parameter("running", "", "what the interrupt's target is about to do",
                        choices=("running", "halting", "preempted", "moved")),
    "source": Parameter("msi", "", "a message by irqfd, an assigned device, or another vCPU",
                        choices=("msi", "assigned", "ipi")),
    "poll_ns": Parameter(0, "ns", "the longest halt polling"),
}

VECTOR = 48
MOVED_NS = 2_000  # in the middle of its work


def plan(p):
    machine = Machine(physical_cpus=3 if p.target == "moved" else None)
    taken = machine.word("taken")
    main = Program("target")
    if p.target in ("preempted", "moved"):
        main.compute(10_000)
    elif p.source == "ipi":
        main.word_add(machine.word("go"))
    else:
        main.signal(0)
    main.cpuid() if p.target != "halting" else main.compute(1)
    main.halt_until(taken, 1) if p.target == "halting" else main.spin_until(taken, 1)
    machine.vcpu(main, {VECTOR: Program("handler").eoi().word_add(taken)})
    if p.target == "preempted":
        machine.vcpu(other(p), pin=0)
    elif p.source == "ipi" and p.target == "moved":
        machine.vcpu(Program("sender").compute(4_000).ipi(icr(VECTOR), 0))
    elif p.source == "ipi":
        machine.vcpu(Program("sender").spin_until(machine.word("go"), 1).ipi(icr(VECTOR), 0))
    by_itself = (MOVED_NS,) if p.target == "moved" and p.source != "ipi" else ()
    if p.source == "assigned":
        machine.assigned("disk", 0, VECTOR, at_ns=by_itself)
    else:
        machine.device("disk", "msi", 0, VECTOR, at_ns=by_itself)
    faults = [Fault("moved", MOVED_NS, of={"vcpu": 0, "cpu": 2})] if p.target == "moved" else []
    return Plan("last_look", machine, Hypervisor(halt_poll_ns=p.poll_ns, time_slice_ns=20_000), technology="apicv",
                faults=faults)


def other(p):
    """Who has the CPU when the interrupt comes, and then wants it no longer."""
    program = Program("other").compute(1_000)
    program.ipi(icr(VECTOR), 0) if p.source == "ipi" else program.signal(0)
    return program.compute(1_000).halt()


if __name__ == "__main__":
    virqsim.main(__file__)
