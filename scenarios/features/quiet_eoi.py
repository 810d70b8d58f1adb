"""What if a CPU without virtual-interrupt delivery could take an EOI that nobody waits for?

This is what paravirtual EOI does with a bit in memory, for guests that know
nothing of it: while nothing waits behind the interrupt and no I/O APIC listens,
the EOI need not exit.
"""

from virqsim import Hypothetical, unchanged, virtualized

quiet_eoi = Hypothetical(
    "quiet-eoi",
    title="none, and an EOI exits only when an interrupt waits or the I/O APIC listens",
    base="none",
    rules=[
        virtualized("eoi", when="waiting=no, eoi-exit=clear", effect="retire", cost={"hw.apic_access": 1}),
        unchanged("eoi", when="otherwise"),
    ])
