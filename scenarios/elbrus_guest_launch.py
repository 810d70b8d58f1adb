"""What does leaving and entering a guest cost on Elbrus, and for which causes does it leave?

Each vCPU, on a core of its own, does one thing that a guest of e2k leaves for,
`rounds` times: it reads the identification register (whose value the hypervisor
replaces), calls the hypervisor, touches a page that is not mapped, a device, the
I/O space, flushes the cache, waits for an event, is interrupted for the host,
meets a trap whose page is not mapped, or does several of these things in one wide
instruction (one interception, several causes). The last one uses up its time quantum
beside another thread (`--features=-guest-quantum`: the host's tick ends it).

Each operation stands between two stamps; what lies between them, less that of no
operation, is what the guest loses by it (with the wait, where it waits). The
interceptions are those of its vCPU by that cause. Every time is assumed: profile
elbrus-16c.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, drivers

PARAMETERS = {
    "rounds": Parameter(20, "rounds", "how often each operation is done", least=1),
    "slice_us": Parameter(200, "us", "the guest's time quantum, where it shares its core", least=1),
}

VECTOR = 48
PAGE, DEVICE, PORT = 0x2000, 0xFEBF_0000, 0x80

OPERATIONS = (
    ("nothing", "", lambda program: program.compute(1)),
    ("identification register, replaced", "cu:rr_idr", lambda program: program.cpuid()),
    ("hypercall", "hcall", lambda program: program.hypercall()),
    ("unmapped page", "mu:gpa_data", lambda program: program.touch(PAGE)),
    ("device of userspace", "mu:gpa_data", lambda program: program.mmio_write(DEVICE, 4)),
    ("I/O space", "mu:mas_ioaddr", lambda program: program.port_out(PORT, 1)),
    ("cache flush", "mu:cache_flush", lambda program: program.wbinvd()),
    ("interrupt for the host", "cu:hv_int", lambda program: program.host_interrupt().compute(1)),
    ("trap on an unmapped page", "mu:gpa_instr",
     lambda program: program.delivery_fault().self_ipi(VECTOR).compute(1)),
    ("wide: two pages and that register", "mu:gpa_data",
     lambda program: drivers.wide(program, "mu:gpa_data", "mu:gpa_data", "cu:rr_idr")),
    ("wait for an event", "cu:wait_trap", lambda program: program.timer_count(200, 1).halt()),
)
"""What, the cause that it is to have, and the operations of the guest. vCPU n and stamp n are operation n's."""


def plan(p):
    machine, on_interrupt = Machine("epic"), Program("on_interrupt").eoi()
    for number, (_, _, operation) in enumerate(OPERATIONS):
        guest = Program(f"guest{number}").setup(True).timer_mode(VECTOR, 0).setup(False)
        with guest.repeat(p.rounds):
            operation(guest.stamp(number)).stamp(number)
        machine.vcpu(guest, {VECTOR: on_interrupt})
    shares = Program("shares").compute(p.core_hz // 1_000_000 * p.slice_us * p.rounds)
    machine.load(machine.vcpu(shares))
    return Plan("elbrus_guest_launch", machine, Hypervisor(halt_poll_ns=0, time_slice_ns=p.slice_us * 1000),
                technology="epic-hw", features={"guest-quantum": True})


def report(results, p):
    """What each operation takes, and how often its vCPU left the guest by that cause."""
    counts = results.exits.groupby(["vcpu", "reason"])["count"].sum()
    cycles = results.stamps.set_index("id")["max_cycles"]
    rows = [(what, cause or "-", str(cycles[n] - cycles[0]), int(counts.get((n, cause), 0)))
            for n, (what, cause, _) in enumerate(OPERATIONS)]
    shares = len(OPERATIONS)
    ended_by = "cu:g_tmr" if (shares, "cu:g_tmr") in counts else "cu:hv_int"
    rows.append(("end of the time quantum", ended_by, "-", int(counts.get((shares, ended_by), 0))))
    return pd.DataFrame(rows, columns=["operation", "cause", "cycles", "interceptions"])


if __name__ == "__main__":
    virqsim.main(__file__)
