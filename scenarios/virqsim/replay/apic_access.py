"""A guest's access to its APIC as an operation of a guest program.

Register names are KVM's (arch/x86/kvm/trace.h); offsets are those of the
register page, SDM 3A "Local APIC Register Address Map". In x2APIC mode MSR
800H + n is offset 16 n.
"""

from __future__ import annotations

from collections.abc import Mapping

Operation = tuple[str | int, ...]

REGISTERS = {
    "APIC_ID": 0x20, "APIC_LVR": 0x30, "APIC_TASKPRI": 0x80, "APIC_ARBPRI": 0x90, "APIC_PROCPRI": 0xa0,
    "APIC_EOI": 0xb0, "APIC_RRR": 0xc0, "APIC_LDR": 0xd0, "APIC_DFR": 0xe0, "APIC_SPIV": 0xf0, "APIC_ISR": 0x100,
    "APIC_TMR": 0x180, "APIC_IRR": 0x200, "APIC_ESR": 0x280, "APIC_ICR": 0x300, "APIC_ICR2": 0x310,
    "APIC_LVTT": 0x320, "APIC_LVTTHMR": 0x330, "APIC_LVTPC": 0x340, "APIC_LVT0": 0x350, "APIC_LVT1": 0x360,
    "APIC_LVTERR": 0x370, "APIC_TMICT": 0x380, "APIC_TMCCT": 0x390, "APIC_TDCR": 0x3e0, "APIC_SELF_IPI": 0x3f0,
}
TSC_DEADLINE = 0x6e0
ICR_SHORTHAND = 0xc0000
_MASKED = 1 << 16


def from_name(register: str) -> int | None:
    """The offset of a register that KVM names, or prints as a hexadecimal number."""
    if register in REGISTERS:
        return REGISTERS[register]
    try:
        return int(register, 16)
    except ValueError:
        return None


def from_msr(msr: int) -> int:
    """The offset that an x2APIC MSR stands for."""
    return (msr - 0x800) << 4


def write(offset: int, value: int, icr2: int) -> Operation | None:
    """The operation for a write; None for ICR2, which the ICR write behind it carries.

    `value` is 64 bits wide for an x2APIC ICR; in xAPIC mode `icr2` holds the destination.
    """
    low = value & 0xffffffff
    operations: Mapping[int, Operation | None] = {
        0xb0: ("eoi",),
        0x80: ("tpr", low & 0xff),
        0x300: ("ipi", low, value >> 32 if value >> 32 else icr2 >> 24),
        0x310: None,
        0x320: ("timer_mode", low & 0xff, 3 if low & _MASKED else low >> 17 & 3),
        0x380: ("timer_count", low, 0),
        0x3f0: ("self_ipi", low & 0xff),
    }
    return operations.get(offset, ("apic_write", offset, low))


def targets(icr: int, dest: int, sender: int, vcpus: list[int]) -> list[int]:
    """Whom an xAPIC's ICR addresses (SDM 3A "Interrupt Command Register"), APIC IDs being vCPU numbers and logical ones flat."""
    shorthand = icr >> 18 & 3
    if shorthand:
        return {1: [sender], 2: vcpus, 3: [vcpu for vcpu in vcpus if vcpu != sender]}[shorthand]
    if icr & 0x800:
        return [vcpu for vcpu in vcpus if vcpu < 8 and dest >> vcpu & 1]
    return vcpus if dest == 0xff else [vcpu for vcpu in vcpus if vcpu == dest]
