"""What does one trip through the guest run loop cost, by what the guest asked for?

One vCPU repeats one operation after another, as kvm-unit-tests' vmexit does,
between two readings of its time stamp counter. The report puts the cycles of
an operation beside those of commit b7ffc44d5b2e (hardware not stated), on
which the profile skylake-sp is calibrated: for that profile the two agree by
construction, up to the loop around the operation.
"""

import pandas as pd

import virqsim
from virqsim import Machine, Parameter, Plan, Program

PARAMETERS = {
    "repetitions": Parameter(100, "operations", "how often each operation is repeated"),
}

KERNEL_PORT = 0x4D0  # ELCR: a port that KVM's own 8259A answers
QEMU_PORT = 0xE1  # a port that nobody in the kernel answers

# Stamp id: name of the test, the operation, cycles published.
OPERATIONS = {
    1: ("cpuid", lambda guest: guest.cpuid(), 1291),
    2: ("vmcall", lambda guest: guest.hypercall(), 1181),
    3: ("mov_to_cr8", lambda guest: guest.cr8(0), 16),
    4: ("outl_to_kernel", lambda guest: guest.port_out(KERNEL_PORT), 1391),
    5: ("inl_from_kernel", lambda guest: guest.port_in(KERNEL_PORT), 2339),
    6: ("inl_from_qemu", lambda guest: guest.port_in(QEMU_PORT), 6209),
}


def plan(p):
    machine = Machine()
    machine.region("port", KERNEL_PORT, KERNEL_PORT + 3, "kernel")
    guest = Program("guest")
    for number, (_, operate, _) in OPERATIONS.items():
        guest.stamp(number)
        with guest.repeat(p.repetitions):
            operate(guest)
        guest.stamp(number)
    machine.vcpu(guest)
    return Plan("guest_run_loop", machine)


def report(results, p):
    cycles = results.stamps.set_index("id")["mean_cycles"] / p.repetitions
    return pd.DataFrame([
        {"operation": name, "cycles": float(cycles[number]), "published_cycles": published}
        for number, (name, _, published) in OPERATIONS.items() if number in cycles.index])


if __name__ == "__main__":
    virqsim.main(__file__)
