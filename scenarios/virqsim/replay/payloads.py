"""The text of each KVM event, in the variants of its kernels and tools.

A payload's fields are named groups; FIELDS says how each is read. The formats
are those of arch/x86/kvm/trace.h and include/trace/events/kvm.h, from the
oldest kernels that print them to today's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import reasons

Fields = dict[str, Any]


def _hex(text: str) -> int:
    return int(text, 16)


def _any(text: str) -> int:
    return int(text, 0)


# How a group is read; a group that is not here stays text.
FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("vcpu", "vector", "gsi", "level", "pin", "chip", "size", "count", "number"), int),
    **dict.fromkeys(("rip", "info1", "info2", "intr_info", "apicid", "msr", "dst", "port", "gpa", "address"), _hex),
    **dict.fromkeys(("value", "irq"), _any),
    **dict.fromkeys(("immediate", "reinjected", "masked", "coalesced", "failed"), bool),
}

_EXIT = (r"(?:vcpu (?P<vcpu>\d+) )?reason (?P<reason>.+?)(?: rip 0x(?P<rip>[0-9a-f]+)(?: \S+\+0x[0-9a-f]+)?)?"
         r"(?: info1 0x(?P<info1>[0-9a-f]+) info2 0x(?P<info2>[0-9a-f]+) intr_info 0x(?P<intr_info>[0-9a-f]+)"
         r" error_code 0x[0-9a-f]+(?: .*)?| info (?P<word1>[0-9a-f]+) (?P<word2>[0-9a-f]+))?$")
_MESSAGE = r"\((?P<mode>\w+)\|(?P<trigger>edge|level)"
_ROUTED = r"\((?P<mode>\w+)\|(?P<logical>physical|logical)\|(?P<trigger>edge|level)(?P<masked>\|masked)?(?:\|rh)?\)"

PAYLOADS = {name: re.compile(pattern) for name, pattern in {
    "kvm_entry": r"vcpu (?P<vcpu>\d+)(?:, rip 0x(?P<rip>[0-9a-f]+))?(?P<immediate>\[immediate exit\])?",
    "kvm_exit": _EXIT,
    "kvm_inj_virq": r"(?:IRQ|Soft/INTn|irq) (?P<irq>0x[0-9a-f]+|\d+)(?P<reinjected> \[reinjected\])?",
    "kvm_apic_ipi": r"dst (?P<dst>[0-9a-f]+) vec (?P<vector>\d+) \((?P<mode>\w+)\|(?P<logical>\w+)\|[\w-]+\|"
                    r"(?P<trigger>\w+)\|(?P<shorthand>[\w-]+)\)",
    "kvm_apic_accept_irq": rf"apicid (?P<apicid>[0-9a-f]+) vec (?P<vector>\d+) {_MESSAGE}",
    "kvm_apicv_accept_irq": rf"apicid (?P<apicid>[0-9a-f]+) vec (?P<vector>\d+) {_MESSAGE}",
    "kvm_pic_set_irq": r"chip (?P<chip>\d+) pin (?P<pin>\d+) \((?P<trigger>edge|level)(?P<masked>\|masked)?\)"
                       r"(?P<coalesced> \(coalesced\))?",
    "kvm_ioapic_set_irq": rf"pin (?P<pin>\d+) dst (?P<dst>[0-9a-f]+) vec[ =](?P<vector>\d+) {_ROUTED}"
                          r"(?P<coalesced> \(coalesced\))?",
    "kvm_msi_set_irq": rf"dst (?P<dst>[0-9a-f]+) vec (?P<vector_text>[0-9a-f]+) {_ROUTED}",
    "kvm_set_irq": r"gsi (?P<gsi>\d+) level (?P<level>\d+)",
    "kvm_ack_irq": r"irqchip (?P<irqchip>.+) pin (?P<pin>\d+)",
    "kvm_eoi": r"apicid (?P<apicid>[0-9a-f]+) vector (?P<vector>-?\d+)",
    "kvm_pv_eoi": r"apicid (?P<apicid>[0-9a-f]+) vector (?P<vector>-?\d+)",
    "kvm_msr": r"msr_(?P<access>read|write) (?P<msr>[0-9a-f]+) = (?P<value>0x[0-9a-f]+)(?P<failed> \(#GP\))?",
    "kvm_apic": r"apic_(?P<access>read|write) (?P<register>\S+) = (?P<value>0x[0-9a-f]+)",
    "kvm_pio": r"pio_(?P<access>read|write) at 0x(?P<port>[0-9a-f]+) size (?P<size>\d+) count (?P<count>\d+)"
               r"(?: val (?P<value>0x[0-9a-f]+))?",
    "kvm_mmio": r"mmio (?P<access>[\w-]+) len (?P<size>\d+) gpa 0x(?P<gpa>[0-9a-f]+) val (?P<value>0x[0-9a-f]+)",
    "kvm_fast_mmio": r"fast mmio at gpa 0x(?P<gpa>[0-9a-f]+)",
    "kvm_userspace_exit": r"reason (?P<reason>\S+) \((?P<number>\d+)\)",
    "kvm_cr": r"cr_(?P<access>read|write) (?P<register>\d+) = (?P<value>0x[0-9a-f]+)",
    "kvm_page_fault": r"(?:vcpu (?P<vcpu>\d+) rip 0x(?P<rip>[0-9a-f]+) )?address (?:0x)?(?P<address>[0-9a-f]+)",
    "tracing_mark_write": r"(?P<text>.*)",
}.items()}


def parse(event: str, text: str) -> Fields | None:
    """An event's fields, {} for one that nobody here asks about, None when the text is not of its format."""
    pattern = PAYLOADS.get(event)
    if pattern is None:
        return {}
    if "=" in text and event in _RAW and re.match(r"\w+=", text):
        return _raw(event, text)
    match = pattern.match(text)
    if match is None:
        return None
    fields = {key: FIELDS.get(key, str)(value) if value is not None or FIELDS.get(key) is bool else None
              for key, value in match.groupdict().items()}
    return _REFINE.get(event, lambda f: f)(fields)


def _refine_exit(fields: Fields) -> Fields:
    """One form out of four: before Linux 5.11 there were two words, whose meaning the vendor decides."""
    first, second = fields.pop("word1"), fields.pop("word2")
    fields["recorded_reason"] = fields["reason"]
    fields["reason"] = reasons.normal(fields["reason"])
    if first is not None:
        fields["info1"] = _hex(first)
        fields["intr_info" if reasons.vendor(fields["reason"]) == "vmx" else "info2"] = _hex(second)
    return fields


def _refine_msi(fields: Fields) -> Fields:
    """Old kernels print the vector in hexadecimal, new ones in decimal: the accept line that follows decides."""
    fields["vector"] = int(fields["vector_text"]) if fields["vector_text"].isdigit() else None
    return fields


_REFINE: dict[str, Callable[[Fields], Fields]] = {"kvm_exit": _refine_exit, "kvm_msi_set_irq": _refine_msi}

# `trace-cmd report -R`: raw fields, the kernel's structure members.
_MODES = {0: "Fixed", 1: "LowPrio", 2: "SMI", 3: "Res3", 4: "NMI", 5: "INIT", 6: "SIPI", 7: "ExtINT"}
_APIC_REGISTERS = {0x80: "APIC_TASKPRI", 0xb0: "APIC_EOI", 0x300: "APIC_ICR", 0x310: "APIC_ICR2",
                   0x320: "APIC_LVTT", 0x380: "APIC_TMICT", 0x3e0: "APIC_TDCR", 0x3f0: "APIC_SELF_IPI"}
_MMIO = {0: "unsatisfied-read", 1: "read", 2: "write"}

_RAW: dict[str, Callable[[dict[str, int]], Fields]] = {
    "kvm_entry": lambda r: {"vcpu": r["vcpu_id"], "rip": r.get("rip"), "immediate": bool(r.get("immediate_exit", 0))},
    "kvm_exit": lambda r: {"vcpu": r.get("vcpu_id"), "recorded_reason": reasons.by_number(r["isa"], r["exit_reason"]),
                           "reason": reasons.by_number(r["isa"], r["exit_reason"]), "rip": r.get("guest_rip"),
                           "info1": r.get("info1"), "info2": r.get("info2"), "intr_info": r.get("intr_info")},
    "kvm_inj_virq": lambda r: {"irq": r.get("vector", r.get("irq")), "reinjected": bool(r.get("reinjected", 0))},
    "kvm_apic_accept_irq": lambda r: {"apicid": r["apicid"], "vector": r["vec"], "mode": _MODES[r["dm"] >> 8 & 7],
                                      "trigger": "level" if r["trig_mode"] else "edge"},
    "kvm_apicv_accept_irq": lambda r: _RAW["kvm_apic_accept_irq"](r),
    "kvm_set_irq": lambda r: {"gsi": r["gsi"], "level": r["level"]},
    "kvm_eoi": lambda r: {"apicid": r["apicid"], "vector": r["vector"]},
    "kvm_pv_eoi": lambda r: {"apicid": r["apicid"], "vector": r["vector"]},
    "kvm_msr": lambda r: {"access": "write" if r["write"] else "read", "msr": r["ecx"], "value": r["data"],
                          "failed": bool(r.get("exception", 0))},
    "kvm_apic": lambda r: {"access": "write" if r["rw"] else "read", "value": r["val"],
                           "register": _APIC_REGISTERS.get(r["reg"], f"{r['reg']:x}")},
    "kvm_pio": lambda r: {"access": "write" if r["rw"] else "read", "port": r["port"], "size": r["size"],
                          "count": r["count"], "value": r.get("val")},
    "kvm_mmio": lambda r: {"access": _MMIO[r["type"]], "size": r["len"], "gpa": r["gpa"], "value": r["val"]},
    "kvm_fast_mmio": lambda r: {"gpa": r["fast_mmio_gpa"] if "fast_mmio_gpa" in r else r["gpa"]},
    "kvm_userspace_exit": lambda r: {"reason": _KVM_EXITS.get(r["reason"], "KVM_EXIT_OTHER"), "number": r["reason"]},
}
_KVM_EXITS = {2: "KVM_EXIT_IO", 5: "KVM_EXIT_HLT", 6: "KVM_EXIT_MMIO", 7: "KVM_EXIT_IRQ_WINDOW_OPEN",
              10: "KVM_EXIT_INTR", 11: "KVM_EXIT_SET_TPR", 26: "KVM_EXIT_IOAPIC_EOI"}


def _raw(event: str, text: str) -> Fields | None:
    numbers = {key: int(value, 0) for key, value in re.findall(r"(\w+)=(-?(?:0x[0-9a-f]+|\d+))(?=\s|$)", text)}
    try:
        return _RAW[event](numbers)
    except KeyError:
        return None
