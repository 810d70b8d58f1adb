"""How should a guest interrupt all its vCPUs: by shorthand, by logical destinations, one by one, or by a hypercall?

vCPU 0 sends to all the others and waits until each has handled it, as a TLB
shootdown does. The stamps with id 1 are that time, as the guest measures it.
"""

import virqsim
from virqsim import Machine, Parameter, Plan, Program, icr, logical_x2apic

PARAMETERS = {
    "vcpus": Parameter(8, "vCPUs", "how many there are, the sender included"),
    "rounds": Parameter(20, "broadcasts", "how often it sends"),
    "how": Parameter("shorthand", "", "the way of sending; pv needs --features=+pv-ipi",
                     choices=("shorthand", "logical", "loop", "pv")),
    "pause": Parameter(10_000, "cycles", "work of the sender between two broadcasts"),
}

VECTOR = 48
PV_IPI_DESTINATIONS = 128  # of one KVM_HC_SEND_IPI by a 64-bit guest
CLUSTER = 16  # APIC IDs that one logical destination reaches


def plan(p):
    if p.vcpus < 2:
        raise virqsim.VirqsimError(f"ipi_broadcast: vcpus: {p.vcpus} is too few to interrupt another (2 or more)")
    machine = Machine()
    handled, done = machine.word("handled"), machine.word("done")
    others = p.vcpus - 1
    sender = Program("sender")
    for n in range(1, p.rounds + 1):
        sender.compute(p.pause).stamp(1)
        send(sender, p.how, others)
        sender.spin_until(handled, n * others).stamp(1)
    sender.word_add(done)
    machine.vcpu(sender)
    target, handler = Program("target").spin_until(done, 1), Program("handler").word_add(handled).eoi()
    for _ in range(others):
        machine.vcpu(target, {VECTOR: handler})
    return Plan("ipi_broadcast", machine, technology="apicv", features={"pv-ipi": True} if p.how == "pv" else {})


def send(sender, how, others):
    if how == "shorthand":
        sender.ipi(icr(VECTOR, shorthand="all-but-self"))
    elif how == "logical":
        for first in range(0, others + 1, CLUSTER):
            sender.ipi(icr(VECTOR, logical=True), logical_x2apic(range(max(first, 1), min(first + CLUSTER, others + 1))))
    elif how == "loop":
        for apic_id in range(1, others + 1):
            sender.ipi(icr(VECTOR), apic_id)
    else:
        for first in range(1, others + 1, PV_IPI_DESTINATIONS):
            sender.pv_ipi(VECTOR, first, min(PV_IPI_DESTINATIONS, others - first + 1))


if __name__ == "__main__":
    virqsim.main(__file__)
