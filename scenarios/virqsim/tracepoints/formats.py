"""KVM's tracepoints: their fields, and how the kernel prints them (Linux 6.1, arch/x86/kvm/trace.h and
include/trace/events/kvm.h).

A row has the C type and the name of each field, the `print fmt` of the event's format file, by
which trace-cmd and KernelShark print a record, and the same in Python.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from .. import library

Values = Mapping[str, Any]

_SIZES = {"u8": 1, "bool": 1, "u16": 2, "u32": 4, "int": 4, "unsigned int": 4, "u64": 8, "unsigned long": 8}
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
COMMON = (("unsigned short", "common_type", 0, 2, 0), ("unsigned char", "common_flags", 2, 1, 0),
          ("unsigned char", "common_preempt_count", 3, 1, 0), ("int", "common_pid", 4, 4, 1))
"""Before the fields of each event: C type, name, offset, size, whether signed."""

ISA = {"vmx": 1, "svm": 2, "e2k": 3}
"""What kvm_exit calls the vendors; the last is virqsim's own, for runs of an Elbrus machine."""
KVM_EXITS = {"KVM_EXIT_IO": 2, "KVM_EXIT_HLT": 5, "KVM_EXIT_MMIO": 6, "KVM_EXIT_IRQ_WINDOW_OPEN": 7,
             "KVM_EXIT_INTR": 10, "KVM_EXIT_SET_TPR": 11, "KVM_EXIT_IOAPIC_EOI": 26}
APIC_REGISTERS = {
    0x20: "APIC_ID", 0x30: "APIC_LVR", 0x80: "APIC_TASKPRI", 0xa0: "APIC_PROCPRI", 0xb0: "APIC_EOI", 0xd0: "APIC_LDR",
    0xe0: "APIC_DFR", 0xf0: "APIC_SPIV", 0x100: "APIC_ISR", 0x180: "APIC_TMR", 0x200: "APIC_IRR", 0x280: "APIC_ESR",
    0x300: "APIC_ICR", 0x310: "APIC_ICR2", 0x320: "APIC_LVTT", 0x330: "APIC_LVTTHMR", 0x340: "APIC_LVTPC",
    0x350: "APIC_LVT0", 0x360: "APIC_LVT1", 0x370: "APIC_LVTERR", 0x380: "APIC_TMICT", 0x390: "APIC_TMCCT",
    0x3e0: "APIC_TDCR", 0x3f0: "APIC_SELF_IPI",
}
_MODES = dict(enumerate(("Fixed", "LowPrio", "SMI", "Res3", "NMI", "INIT", "SIPI", "ExtINT")))
_SHORTHANDS = dict(enumerate(("dst", "self", "all", "all-but-self")))
_IRQCHIPS = {0: "PIC master", 1: "PIC slave", 2: "IOAPIC"}
_MMIO = {0: "unsatisfied-read", 1: "read", 2: "write"}


def symbolic(what: str, names: Mapping[int, str]) -> str:
    """The kernel's __print_symbolic() of an expression."""
    pairs = ", ".join('{ %#x, "%s" }' % pair for pair in names.items())
    return f"__print_symbolic({what}, {pairs})"


@cache
def exit_reasons() -> dict[str, tuple[str, int]]:
    """The exits that virqsim causes: name to vendor and number."""
    return {row["name"]: (row["vendor"], row["number"]) for row in library.describe()["exit_reasons"]}


def _reasons(vendor: str) -> dict[int, str]:
    return {number: name for name, (whose, number) in exit_reasons().items() if whose == vendor}


class Field(NamedTuple):
    """One field of an event's record."""

    type: str
    name: str
    offset: int
    size: int

    @property
    def signed(self) -> bool:
        """As the format file has it."""
        return self.type == "int"


@dataclass(frozen=True)
class Tracepoint:
    """One of KVM's tracepoints."""

    name: str
    types: tuple[tuple[str, str], ...]
    print_fmt: Callable[[bool], str]
    """Of an Elbrus machine's run, or of any other's."""
    text: Callable[[Values], str]

    @property
    def fields(self) -> list[Field]:
        """Its fields where the kernel puts them: behind the common ones, each aligned to its size."""
        fields, offset = [], 8
        for kind, name in self.types:
            size = _SIZES[kind]
            offset += -offset % size
            fields.append(Field(kind, name, offset, size))
            offset += size
        return fields

    def pack(self, number: int, pid: int, values: Values) -> bytes:
        """A record of the ring buffer, a multiple of 4 bytes long."""
        record = bytearray(struct.pack("<HBBi", number, 0, 0, pid))
        for field in self.fields:
            record += bytes(field.offset - len(record))
            record += struct.pack("<" + _CODES[field.size], int(values.get(field.name, 0)) & (1 << 8 * field.size) - 1)
        return bytes(record) + bytes(-len(record) % 4)


def _exit_fmt(e2k: bool) -> str:
    vmx, svm, elbrus = (symbolic("REC->exit_reason", _reasons(vendor)) for vendor in ISA)
    reason = elbrus if e2k else f"(REC->isa == 1) ? {vmx} : {svm}"
    return ('"vcpu %u reason %s rip 0x%lx info1 0x%016llx info2 0x%016llx intr_info 0x%08x error_code 0x%08x", '
            f"REC->vcpu_id, {reason}, REC->guest_rip, REC->info1, REC->info2, REC->intr_info, REC->error_code")


def _exit_text(v: Values) -> str:
    return (f"vcpu {v['vcpu_id']} reason {v['reason']} rip 0x0 info1 {v['info1']:#018x} info2 {v.get('info2', 0):#018x} "
            f"intr_info 0x00000000 error_code 0x00000000")


def _mode(bits: int) -> str:
    return _MODES[bits >> 8 & 7]


def _trigger(level: Any) -> str:
    return "level" if level else "edge"


def _register(offset: int) -> str:
    return APIC_REGISTERS.get(offset, f"{offset:#x}")


def _rw(write: Any) -> str:
    return "write" if write else "read"


_ACCEPT = (("u32", "apicid"), ("u16", "dm"), ("u16", "tm"), ("u8", "vec"))
_ACCEPT_FMT = (f'"apicid %x vec %u (%s|%s)", REC->apicid, REC->vec, {symbolic("(REC->dm >> 8 & 0x7)", _MODES)}, '
               'REC->tm ? "level" : "edge"')


def _accept_text(v: Values) -> str:
    return f"apicid {v['apicid']:x} vec {v['vec']} ({_mode(v['dm'])}|{_trigger(v['tm'])})"


def _eoi_text(v: Values) -> str:
    return f"apicid {v['apicid']:x} vector {v['vector']}"


_Row = tuple[str, tuple[tuple[str, str], ...], str | Callable[[bool], str], Callable[[Values], str]]
_ROWS: tuple[_Row, ...] = (
    ("kvm_entry", (("unsigned int", "vcpu_id"), ("unsigned long", "rip")),
     '"vcpu %u, rip 0x%lx", REC->vcpu_id, REC->rip',
     lambda v: f"vcpu {v['vcpu_id']}, rip 0x0"),
    ("kvm_exit", (("unsigned int", "exit_reason"), ("unsigned long", "guest_rip"), ("u32", "isa"), ("u64", "info1"),
                  ("u64", "info2"), ("u32", "intr_info"), ("u32", "error_code"), ("unsigned int", "vcpu_id")),
     _exit_fmt, _exit_text),
    ("kvm_inj_virq", (("unsigned int", "vector"), ("bool", "soft"), ("bool", "reinjected")),
     '"%s 0x%x%s", REC->soft ? "Soft/INTn" : "IRQ", REC->vector, REC->reinjected ? " [reinjected]" : ""',
     lambda v: f"IRQ {v['vector']:#x}{' [reinjected]' if v.get('reinjected') else ''}"),
    ("kvm_apic_ipi", (("u32", "icr_low"), ("u32", "dest_id")),
     f'"dst %x vec %u (%s|%s|%s|%s|%s)", REC->dest_id, (u8)REC->icr_low, {symbolic("(REC->icr_low >> 8 & 0x7)", _MODES)}, '
     '(REC->icr_low & (1<<11)) ? "logical" : "physical", (REC->icr_low & (1<<14)) ? "assert" : "de-assert", '
     f'(REC->icr_low & (1<<15)) ? "level" : "edge", {symbolic("(REC->icr_low >> 18 & 0x3)", _SHORTHANDS)}',
     lambda v: f"dst {v['dest_id']:x} vec {v['icr_low'] & 0xff} ({_mode(v['icr_low'])}|"
               f"{'logical' if v['icr_low'] >> 11 & 1 else 'physical'}|{'assert' if v['icr_low'] >> 14 & 1 else 'de-assert'}|"
               f"{_trigger(v['icr_low'] >> 15 & 1)}|{_SHORTHANDS[v['icr_low'] >> 18 & 3]})"),
    ("kvm_apic_accept_irq", _ACCEPT, _ACCEPT_FMT, _accept_text),
    ("kvm_apicv_accept_irq", _ACCEPT, _ACCEPT_FMT, _accept_text),
    ("kvm_eoi", (("u32", "apicid"), ("int", "vector")), '"apicid %x vector %d", REC->apicid, REC->vector', _eoi_text),
    ("kvm_pv_eoi", (("u32", "apicid"), ("int", "vector")), '"apicid %x vector %d", REC->apicid, REC->vector', _eoi_text),
    ("kvm_msr", (("unsigned int", "write"), ("u32", "ecx"), ("u64", "data"), ("u8", "exception")),
     '"msr_%s %x = 0x%llx%s", REC->write ? "write" : "read", REC->ecx, REC->data, REC->exception ? " (#GP)" : ""',
     lambda v: f"msr_{_rw(v['write'])} {v['ecx']:x} = {v['data']:#x}"),
    ("kvm_apic", (("unsigned int", "rw"), ("unsigned int", "reg"), ("u64", "val")),
     f'"apic_%s %s = 0x%llx", REC->rw ? "write" : "read", {symbolic("REC->reg", APIC_REGISTERS)}, REC->val',
     lambda v: f"apic_{_rw(v['rw'])} {_register(v['reg'])} = {v['val']:#x}"),
    ("kvm_pio", (("unsigned int", "rw"), ("unsigned int", "port"), ("unsigned int", "size"), ("unsigned int", "count"),
                 ("unsigned int", "val")),
     '"pio_%s at 0x%x size %d count %d val 0x%x %s", REC->rw ? "write" : "read", REC->port, REC->size, REC->count, '
     'REC->val, REC->count > 1 ? "(...)" : ""',
     lambda v: f"pio_{_rw(v['rw'])} at {v['port']:#x} size {v['size']} count {v['count']} val {v['val']:#x} "),
    ("kvm_mmio", (("u32", "type"), ("u32", "len"), ("u64", "gpa"), ("u64", "val")),
     f'"mmio %s len %u gpa 0x%llx val 0x%llx", {symbolic("REC->type", _MMIO)}, REC->len, REC->gpa, REC->val',
     lambda v: f"mmio {_MMIO[v['type']]} len {v['len']} gpa {v['gpa']:#x} val {v['val']:#x}"),
    ("kvm_fast_mmio", (("u64", "gpa"),), '"fast mmio at gpa 0x%llx", REC->gpa',
     lambda v: f"fast mmio at gpa {v['gpa']:#x}"),
    ("kvm_userspace_exit", (("u32", "reason"), ("int", "errno")),
     '"reason %s (%d)", REC->errno < 0 ? (REC->errno == -4 ? "restart" : "error") : '
     f'{symbolic("REC->reason", {n: name for name, n in KVM_EXITS.items()})}, REC->errno < 0 ? -REC->errno : REC->reason',
     lambda v: f"reason {v['name']} ({v['reason']})" if v["errno"] >= 0 else f"reason restart ({-v['errno']})"),
    ("kvm_cr", (("unsigned int", "rw"), ("unsigned int", "cr"), ("unsigned long", "val")),
     '"cr_%s %x = 0x%lx", REC->rw ? "write" : "read", REC->cr, REC->val',
     lambda v: f"cr_{_rw(v['rw'])} {v['cr']:x} = {v['val']:#x}"),
    ("kvm_page_fault", (("unsigned int", "vcpu_id"), ("unsigned long", "guest_rip"), ("u64", "fault_address"),
                        ("u64", "error_code")),
     '"vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx", REC->vcpu_id, REC->guest_rip, REC->fault_address, '
     "REC->error_code",
     lambda v: f"vcpu {v['vcpu_id']} rip 0x0 address {v['fault_address']:#018x} error_code {v['error_code']:#x}"),
    ("kvm_hypercall", tuple(("unsigned long", name) for name in ("nr", "a0", "a1", "a2", "a3")),
     '"nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx", REC->nr, REC->a0, REC->a1, REC->a2, REC->a3',
     lambda v: " ".join(f"{name} {v.get(name, 0):#x}" for name in ("nr", "a0", "a1", "a2", "a3"))),
    ("kvm_msi_set_irq", (("u64", "address"), ("u64", "data")),
     '"dst %llx vec %u (%s|%s|%s)", (REC->address >> 12) & 0xff, (u8)REC->data, '
     f'{symbolic("(REC->data >> 8 & 0x7)", _MODES)}, (REC->address & (1<<2)) ? "logical" : "physical", '
     '(REC->data & (1<<15)) ? "level" : "edge"',
     lambda v: f"dst {v['address'] >> 12 & 0xff:x} vec {v['data'] & 0xff} ({_mode(v['data'])}|"
               f"{'logical' if v['address'] >> 2 & 1 else 'physical'}|{_trigger(v['data'] >> 15 & 1)})"),
    ("kvm_set_irq", (("unsigned int", "gsi"), ("int", "level"), ("int", "irq_source_id")),
     '"gsi %u level %d source %d", REC->gsi, REC->level, REC->irq_source_id',
     lambda v: f"gsi {v['gsi']} level {v['level']} source 0"),
    ("kvm_ioapic_set_irq", (("u64", "e"), ("int", "pin"), ("bool", "coalesced")),
     f'"pin %u dst %x vec %u (%s|%s|%s%s)%s", REC->pin, (u8)(REC->e >> 56), (u8)REC->e, '
     f'{symbolic("(REC->e >> 8 & 0x7)", _MODES)}, (REC->e & (1<<11)) ? "logical" : "physical", '
     '(REC->e & (1<<15)) ? "level" : "edge", (REC->e & (1<<16)) ? "|masked" : "", REC->coalesced ? " (coalesced)" : ""',
     lambda v: f"pin {v['pin']} dst {v['e'] >> 56:x} vec {v['e'] & 0xff} ({_mode(v['e'])}|physical|"
               f"{_trigger(v['e'] >> 15 & 1)})"),
    ("kvm_pic_set_irq", (("u8", "chip"), ("u8", "pin"), ("u8", "elcr"), ("u8", "imr"), ("bool", "coalesced")),
     '"chip %u pin %u (%s%s)%s", REC->chip, REC->pin, (REC->elcr & (1 << REC->pin)) ? "level":"edge", '
     '(REC->imr & (1 << REC->pin)) ? "|masked":"", REC->coalesced ? " (coalesced)" : ""',
     lambda v: f"chip {v['chip']} pin {v['pin']} (edge)"),
    ("kvm_ack_irq", (("unsigned int", "irqchip"), ("unsigned int", "pin")),
     f'"irqchip %s pin %u", {symbolic("REC->irqchip", _IRQCHIPS)}, REC->pin',
     lambda v: f"irqchip {_IRQCHIPS[v['irqchip']]} pin {v['pin']}"),
    ("kvm_vcpu_wakeup", (("u64", "ns"), ("bool", "waited"), ("bool", "valid")),
     '"%s time %lld ns, polling %s", REC->waited ? "wait" : "poll", REC->ns, REC->valid ? "valid" : "invalid"',
     lambda v: f"{'wait' if v['waited'] else 'poll'} time {v['ns']} ns, polling valid"),
    ("kvm_halt_poll_ns", (("bool", "grow"), ("unsigned int", "vcpu_id"), ("unsigned int", "new"), ("unsigned int", "old")),
     '"vcpu %u: halt_poll_ns %u (%s %u)", REC->vcpu_id, REC->new, REC->grow ? "grow" : "shrink", REC->old',
     lambda v: f"vcpu {v['vcpu_id']}: halt_poll_ns {v['new']} ({'grow' if v['grow'] else 'shrink'} {v['old']})"),
    ("kvm_ple_window_update", (("unsigned int", "vcpu_id"), ("unsigned int", "new"), ("unsigned int", "old")),
     '"vcpu %u old %u new %u (%s)", REC->vcpu_id, REC->old, REC->new, REC->old < REC->new ? "growed" : "shrinked"',
     lambda v: f"vcpu {v['vcpu_id']} old {v['old']} new {v['new']} ({'growed' if v['new'] > v['old'] else 'shrinked'})"),
    ("kvm_avic_incomplete_ipi", (("u32", "vcpu"), ("u32", "icrh"), ("u32", "icrl"), ("u32", "id"), ("u32", "index")),
     '"vcpu=%u, icrh:icrl=%#010x:%08x, id=%u, index=%u", REC->vcpu, REC->icrh, REC->icrl, REC->id, REC->index',
     lambda v: f"vcpu={v['vcpu']}, icrh:icrl={v['icrh']:#010x}:{v['icrl']:08x}, id={v['id']}, index={v['index']}"),
    ("kvm_apicv_inhibit_changed", (("int", "reason"), ("bool", "set"), ("unsigned long", "inhibits")),
     '"%s reason=%u, inhibits=0x%lx", REC->set ? "set" : "cleared", REC->reason, REC->inhibits',
     lambda v: f"{'set' if v['set'] else 'cleared'} reason={v['reason']}, inhibits={v['inhibits']:#x}"),
)

# Of KVM for e2k (OpenE2K/linux, arch/e2k/include/asm/kvm: trace_kvm.h, and trace_kvm_hv.h for the last).
_EPIC_MODES = dict(enumerate(("fixed(0)", "fixed(1)", "smi", "nm_special", "nmi", "init", "startup", "reserved")))
_ROWS_E2K: tuple[_Row, ...] = (
    ("kvm_epic_ipi", (("u32", "dest_id"), ("u32", "vector")), '"dst %u vec %u", REC->dest_id, REC->vector',
     lambda v: f"dst {v['dest_id']} vec {v['vector']}"),
    ("kvm_epic_accept_irq", (("u32", "epicid"), ("u16", "dm"), ("u8", "tm"), ("u32", "vec"), ("bool", "coalesced")),
     f'"epicid %x vec %u (%s|%s)%s", REC->epicid, REC->vec, {symbolic("REC->dm", _EPIC_MODES)}, '
     'REC->tm ? "level" : "edge", REC->coalesced ? " (coalesced)" : ""',
     lambda v: f"epicid {v['epicid']:x} vec {v['vec']} ({_EPIC_MODES[v['dm']]}|{_trigger(v['tm'])})"
               f"{' (coalesced)' if v['coalesced'] else ''}"),
    ("kvm_epic_eoi", (("u32", "vector"),), '"vector %u", REC->vector', lambda v: f"vector {v['vector']}"),
    ("irq_delivery", (("u32", "vector"), ("u32", "dlvm"), ("int", "vcpu"), ("bool", "dat_active")),
     '"to vcpu %d via %s, vector 0x%x, dlvm %d", REC->vcpu, REC->dat_active ? "icr" : "pmirr", REC->vector, REC->dlvm',
     lambda v: f"to vcpu {v['vcpu']} via {'icr' if v['dat_active'] else 'pmirr'}, vector {v['vector']:#x}, dlvm {v['dlvm']}"),
)


def _by_name(rows: tuple[_Row, ...]) -> dict[str, Tracepoint]:
    return {name: Tracepoint(name, types, fmt if callable(fmt) else (lambda e2k, fmt=fmt: fmt), text)
            for name, types, fmt, text in rows}


TRACEPOINTS = _by_name(_ROWS)
"""Of KVM for x86."""
E2K_TRACEPOINTS = TRACEPOINTS | _by_name(_ROWS_E2K)
"""What a run of an Elbrus machine is exported as: the interrupts as KVM for e2k prints them, the rest as for x86."""
