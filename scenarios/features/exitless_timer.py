"""What if the guest armed its APIC timer, and took its interrupt, without an exit?

The CPU would compare the guest's deadline with the TSC while the guest runs, and
put the vector into the virtual IRR when it is reached. While the vCPU is not in
its guest, KVM has the deadline, as it has the VMX-preemption timer's. What Intel
has announced for the TSC deadline is the technology `apic-timer`; this one needs
no IPI virtualization, and counts an initial count too.
"""

from virqsim import Hypothetical, assumed, virtualized

ARM = assumed(100, low=40, high=300,
              source="as much as a virtualized access to the APIC, and a comparator to load")
EXPIRE = assumed(300, low=100, high=700,
                 source="microcode that sets VIRR and evaluates, as posted-interrupt processing does")

exitless_timer = Hypothetical(
    "exitless-timer",
    title="apicv, and an APIC timer of the guest's own: armed, and its interrupt taken, without an exit",
    base="apicv",
    rules=[
        virtualized("timer.deadline", effect="arm-timer", cycles=ARM),
        virtualized("timer.count", effect="arm-timer", cycles=ARM),
        virtualized("timer.expiry", effect="expire", cycles=EXPIRE),
    ])
