"""The manuals' sections, by what happens in them.

Intel's numbers are those of the edition 326019-082 (3C) and of its sibling (3A); other editions have the
same titles under other numbers.
"""

ICR = 'SDM 3A 11.6.1 "Interrupt Command Register (ICR)"'
MP_INITIALIZATION = 'SDM 3A "MP Initialization Protocol Algorithm"'
USER_NOTIFICATION = 'SDM 3A "User-Interrupt Notification Processing"'
TIMER = 'SDM 3A 11.5.4 "APIC Timer"'
LVT = 'SDM 3A 11.5.1 "Local Vector Table"'
MSI = 'SDM 3A 11.11 "Message Signalled Interrupts"'
DESTINATION = 'SDM 3A 11.6.2 "Determining IPI Destination"'
PRIORITIES = 'SDM 3A 11.8.3.1 "Task and Processor Priorities"'
ACCEPTANCE = 'SDM 3A 11.8.4 "Interrupt Acceptance for Fixed Interrupts"'
EOI = 'SDM 3A 11.8.5 "Signaling Interrupt Servicing Completion"'
INTERRUPT_FLAG = 'SDM 3A "Masking Maskable Hardware Interrupts"'
STACK_SHADOW = 'SDM 3A "Masking Exceptions and Interrupts When Switching Stacks"'
PROCEDURES = 'SDM 3A "Exception- and Interrupt-Handler Procedures"'
STARTUP = 'SDM 3A "MP Initialization Protocol Algorithm"'
NMI = 'SDM 3A "Nonmaskable Interrupt (NMI)"'

EOI_VIRTUALIZATION = 'SDM 3C 30.1.4 "EOI Virtualization"'
SELF_IPI = 'SDM 3C 30.1.5 "Self-IPI Virtualization"'
IPI_VIRTUALIZATION = 'SDM 3C 30.1.6 "IPI Virtualization"'
EVALUATION = 'SDM 3C 30.2.1 "Evaluation of Pending Virtual Interrupts"'
VIRTUAL_DELIVERY = 'SDM 3C 30.2.2 "Virtual-Interrupt Delivery"'
POSTED = 'SDM 3C 30.6 "Posted-Interrupt Processing"'
GUEST_TIMER = 'SDM 3C "Guest-Timer Events"'
INJECTION = 'SDM 3C 27.6 "Event Injection"'
INSTRUCTION_EXITS = 'SDM 3C 26.1 "Instructions That Cause VM Exits"'
OTHER_EXITS = 'SDM 3C 26.2 "Other Causes of VM Exits"'
IOMMU_POSTING = 'VT-d 5.2.3 "Interrupt-Posting Hardware Operation"'

E2K_INJECTION = "seen: hv_intercepts.c, exc_interrupt in TIR"
E2K_LEGACY = "seen: arch/e2k/kvm/lapic.c; that the read is one access is assumed"

AMD_APIC = 'APM 2 chapter 16 "Advanced Programmable Interrupt Controller (APIC)"'
AMD_PROCEDURES = 'APM 2 "Long-Mode Interrupt Control Transfers"'
AMD_INSTRUCTIONS = 'APM 2 15.9 "Instruction Intercepts"'
AMD_INTERRUPTS = 'APM 2 15.13 "Exception, Interrupt and Abort Intercepts"'
AMD_INJECTION = 'APM 2 15.20 "Event Injection"'
AMD_VIRTUAL = 'APM 2 15.21 "Interrupt and Local APIC Support"'
AMD_GIF = 'APM 2 "Global Interrupt Flag, STGI and CLGI Instructions"'
AVIC = 'APM 2 15.29 "Advanced Virtual Interrupt Controller"'

ELI = 'Gordon et al., "ELI: Bare-Metal Performance for I/O Virtualization"'
IOAPIC = '82093AA data sheet 3.2.4 "I/O Redirection Table Registers"'
PIC = '8259A data sheet "Interrupt Request Register (IRR) and In-Service Register (ISR)"'
PIC_MASK = '8259A data sheet "Interrupt Mask Register (IMR)"'


DECLARED = "docs/hypothetical.md: a rule of the plan's own"


def kvm(*functions: str) -> str:
    """Of what no manual defines: who in KVM does it."""
    return f"KVM: {', '.join(f'{name}()' for name in functions)}"
