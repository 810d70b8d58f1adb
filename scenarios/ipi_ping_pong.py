"""How long does an IPI take from one vCPU to another and back?

Pairs of vCPUs, each on a physical CPU of its own, send IPIs to each other in
turn and wait for the answer by spinning or by halting. Half of a round trip is
one IPI; the stamps with id 1 are round trips as the guest itself measures them.
"""

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, icr

PARAMETERS = {
    "pairs": Parameter(1, "pairs of vCPUs", "how many play side by side"),
    "rounds": Parameter(100, "rounds", "how often each pair plays"),
    "wait": Parameter("halt", "", "how a vCPU waits", choices=("halt", "spin")),
    "guest_apic": Parameter("x2apic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
    "halt_poll_ns": Parameter(200_000, "ns", "the longest time that KVM polls before it blocks"),
}

PING, PONG = 48, 49


def plan(p):
    machine = Machine(guest_apic=p.guest_apic)
    for pair in range(p.pairs):
        add_pair(machine, pair, p)
    return Plan("ipi_ping_pong", machine, Hypervisor(halt_poll_ns=p.halt_poll_ns))


def add_pair(machine, pair, p):
    pings, pongs = machine.word(f"pings{pair}"), machine.word(f"pongs{pair}")
    first, second = 2 * pair, 2 * pair + 1
    player, partner = Program(f"player{pair}"), Program(f"partner{pair}")
    player.stamp(1)
    with player.repeat(p.rounds):
        player.ipi(icr(PING), second)
        wait(player, p.wait, pongs)
        player.stamp(1)
    with partner.repeat(p.rounds):
        wait(partner, p.wait, pings)
        partner.ipi(icr(PONG), first)
    machine.vcpu(player, {PONG: Program(f"on_pong{pair}").eoi().word_add(pongs)})
    machine.vcpu(partner, {PING: Program(f"on_ping{pair}").eoi().word_add(pings)})


def wait(program, how, word):
    if how == "halt":
        program.halt_take(word)
    else:
        program.spin_take(word)


if __name__ == "__main__":
    virqsim.main(__file__)
