"""What KVM prints for an operation that left the guest: the access to the APIC, an MSR, a port or a page.

VM_EXIT's qualification says which register, MSR or address was accessed; the operation and its
operands say what with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

APIC_PAGE = 0xfee00000
X2APIC = 0x800
EOI = 0xb0
_ICR, _ICR2, _TDCR, _SELF_IPI = 0x300, 0x310, 0x3e0, 0x3f0
_SELF = 1 << 18  # the shorthand
_MASKED = 1 << 16
_ASSERT = 1 << 14
_MSR_EXITS = ("msr", "MSR_READ", "MSR_WRITE")
_PAGE_EXITS = ("npf", "PF excp", "EPT_VIOLATION", "EPT_MISCONFIG")
_REGISTER_EXITS = ("APIC_ACCESS", "APIC_WRITE", "avic_unaccelerated_access")
_IPI_EXITS = ("avic_incomplete_ipi",)
_NOT_RUNNING = 1  # APM 2 "AVIC IPI Delivery": KVM only wakes the target
_DIVIDE = {1: 11, 2: 0, 4: 1, 8: 2, 16: 3, 32: 8, 64: 9, 128: 10}  # SDM 3A "Divide Configuration Register"
_HYPERCALLS = {"pv_ipi": 10, "pv_yield": 11, "unlock": 5}  # KVM_HC_SEND_IPI, _SCHED_YIELD, _KICK_CPU
_READS = ("apic_read", "rdmsr", "cr8_read", "port_in", "mmio_read")

Event = tuple[str, dict[str, Any]]


class Exit(NamedTuple):
    """An exit by an operation of the guest's."""

    vcpu: int
    reason: str
    operation: str
    operands: tuple[int, int, int]
    qualification: int
    flow: int
    tsc: int
    region: str  # who answers the port or the page: kernel, userspace, eventfd, ...
    x2apic: bool  # how wide a destination is


def information(vendor: str, reason: str, qualification: int, operation: str) -> tuple[int, int]:
    """EXITINFO1 and 2, or the exit qualification and nothing, as far as they follow from what a record has."""
    if reason in ("IO_INSTRUCTION", "io"):  # SDM 3C "Exit Qualification for I/O Instructions"; APM 2 "IOIO Intercept"
        read = operation == "port_in"
        return (qualification << 16 | 1 << 4 | read if vendor == "svm" else qualification << 16 | read << 3), 0
    if reason in _MSR_EXITS:  # neither says which MSR; AMD's says whether it was a write
        return int(vendor == "svm" and operation not in _READS), 0
    if vendor == "svm" and reason in (*_PAGE_EXITS, *_IPI_EXITS):
        return 0, qualification
    return qualification, 0


def before(e: Exit) -> Iterator[Event]:
    """What KVM prints before it sends what the operation sends."""
    if e.operation in _HYPERCALLS and e.reason in ("VMCALL", "hypercall"):
        yield "kvm_hypercall", {"nr": _HYPERCALLS[e.operation], "a0": e.operands[0]}
    elif e.reason in ("VMCALL", "hypercall"):
        yield "kvm_hypercall", {"nr": 0}
    if e.reason in _PAGE_EXITS and e.operation == "touch":
        yield "kvm_page_fault", {"vcpu_id": e.vcpu, "fault_address": e.qualification or e.operands[0], "error_code": 2}
    if e.reason in _IPI_EXITS:
        yield "kvm_avic_incomplete_ipi", {"vcpu": e.vcpu, "icrh": e.operands[1] << (0 if e.x2apic else 24),
                                          "icrl": e.operands[0] & 0xffffffff, "id": e.qualification >> 32,
                                          "index": e.qualification & 0x1ff}
    register = _register(e)
    if register is None:
        return
    write = e.operation not in _READS
    value = _value(e, register)
    if e.reason in _PAGE_EXITS or e.reason == "APIC_ACCESS":
        yield "kvm_mmio", {"type": 2 if write else 1, "len": 4, "gpa": APIC_PAGE + register, "val": value & 0xffffffff}
    yield "kvm_apic", {"rw": write, "reg": register, "val": value & 0xffffffff if register != _ICR else value}
    if register == _ICR or register == _SELF_IPI:
        icr = value & 0xffffffff if register == _ICR else value | _SELF
        yield "kvm_apic_ipi", {"icr_low": icr & ~(1 << 12), "dest_id": e.operands[1] if e.operation == "ipi" else 0}


def after(e: Exit) -> Iterator[Event]:
    """What KVM prints when the operation is done."""
    if e.reason in _MSR_EXITS:
        write = e.operation not in _READS
        yield "kvm_msr", {"write": write, "ecx": e.qualification, "data": _msr_value(e)}
    elif e.operation in ("port_in", "port_out"):
        yield "kvm_pio", {"rw": e.operation == "port_out", "port": e.operands[0], "size": e.operands[1] or 1, "count": 1,
                          "val": e.operands[2] & 0xffffffff}
    elif e.operation in ("mmio_read", "mmio_write"):
        write = e.operation == "mmio_write"
        gpa = e.qualification or e.operands[0]
        if write and e.region == "eventfd" and e.reason != "EPT_VIOLATION":
            yield "kvm_fast_mmio", {"gpa": gpa}
        else:
            yield "kvm_mmio", {"type": 2 if write else 1, "len": e.operands[1] or 4, "gpa": gpa, "val": e.operands[2]}
    elif e.operation in ("cr8", "cr8_read") and e.reason in ("CR_ACCESS", "write_cr8"):
        yield "kvm_cr", {"rw": e.operation == "cr8", "cr": 8, "val": e.operands[0]}


def _register(e: Exit) -> int | None:
    """The offset of the APIC's register that KVM handles; None: none."""
    if e.reason in _MSR_EXITS:
        return (e.qualification - X2APIC) << 4 if X2APIC <= e.qualification < X2APIC + 0x100 else None
    if e.reason in _PAGE_EXITS:
        return e.qualification & 0xff0 if e.qualification & ~0xfff == APIC_PAGE and e.operation != "touch" else None
    if e.reason in _REGISTER_EXITS:
        return e.qualification & 0xff0
    return _ICR if e.reason in _IPI_EXITS and e.qualification >> 32 != _NOT_RUNNING else None


def _value(e: Exit, register: int) -> int:
    """What was written to a register."""
    first, second, _ = e.operands
    if e.operation == "ipi":
        if register == _ICR2:
            return second << 24
        return first | (second << 32 if e.reason in _MSR_EXITS else 0)
    if e.operation == "self_ipi":
        return first | (_SELF | _ASSERT if register == _ICR else 0)
    if e.operation == "timer_mode":
        return first | (_MASKED if second == 3 else second << 17)
    if e.operation == "timer_count":
        return _DIVIDE.get(second, 0) if register == _TDCR else first
    if e.operation == "apic_write":
        return second
    return first if e.operation == "tpr" else 0


def _msr_value(e: Exit) -> int:
    register = _register(e)
    if register is not None:
        return _value(e, register)
    if e.operation == "tsc_deadline":
        return e.tsc + e.operands[0] if e.operands[0] else 0
    return e.operands[1] if e.operation == "wrmsr" else 0
