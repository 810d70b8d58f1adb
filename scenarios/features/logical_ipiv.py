"""What if the CPU posted IPIs to logical destinations too?

Intel's IPI virtualization posts what names one APIC ID; Linux's x2apic_cluster
driver sends to logical destinations, which exit. Here the CPU would walk the
destination's bits and post to each, at the price of a unicast each.
"""

from virqsim import Hypothetical, traps, virtualized

EACH = {"hw.ipi_virtualized": 1}

logical_ipiv = Hypothetical(
    "logical-ipiv",
    title="ipiv, and the sender's CPU posts to logical destinations, one after the other",
    base="ipiv",
    rules=[
        virtualized("ipi.logical", when="vector=legal, target=running|preempted|halted", effect="post-each", cost=EACH),
        traps("ipi.logical", when="otherwise", exit="APIC_WRITE"),
    ])
