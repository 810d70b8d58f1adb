"""The text of each KVM event, in the variants of its kernels and tools.

A payload's fields are named groups; FIELDS says how each is read. The formats
are those of arch/x86/kvm/trace.h and include/trace/events/kvm.h, from the
oldest kernels that print them to today's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import raw, reasons

Fields = dict[str, Any]


def _hex(text: str) -> int:
    return int(text, 16)


def _any(text: str) -> int:
    return int(text, 0)


# How a group is read; a group that is not here stays text.
FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("vcpu", "vector", "gsi", "level", "pin", "chip", "size", "count", "number", "ns"), int),
    **dict.fromkeys(("rip", "info1", "info2", "intr_info", "apicid", "msr", "dst", "port", "gpa", "address", "inhibits",
                     "icr_high", "icr_low"), _hex),
    **dict.fromkeys(("value", "irq"), _any),
    **dict.fromkeys(("immediate", "reinjected", "masked", "coalesced", "failed"), bool),
}

_IS_RAW = re.compile(r"\w+=\S")
_EXIT = (r"(?:vcpu (?P<vcpu>\d+) )?reason (?P<reason>.+?)(?: rip 0x(?P<rip>[0-9a-f]+)(?: \S+\+0x[0-9a-f]+)?)?"
         r"(?: info1 0x(?P<info1>[0-9a-f]+) info2 0x(?P<info2>[0-9a-f]+) intr_info 0x(?P<intr_info>[0-9a-f]+)"
         r" error_code 0x[0-9a-f]+(?: .*)?| info (?P<word1>[0-9a-f]+) (?P<word2>[0-9a-f]+))?$")
_MESSAGE = r"\((?P<mode>\w+)\|(?P<trigger>edge|level)"
_ROUTED = r"\((?P<mode>\w+)\|(?P<logical>physical|logical)\|(?P<trigger>edge|level)(?P<masked>\|masked)?(?:\|rh)?\)"

PAYLOADS = {name: re.compile(pattern) for name, pattern in {
    "kvm_entry": r"vcpu (?P<vcpu>\d+)(?:, rip 0x(?P<rip>[0-9a-f]+))?"
                 r"(?: intr_info 0x[0-9a-f]+ error_code 0x[0-9a-f]+)?(?P<immediate>\[immediate exit\])?",
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
    "kvm_vcpu_wakeup": r"(?P<how>wait|poll) time (?P<ns>-?\d+) ns",
    "kvm_avic_incomplete_ipi": r"vcpu=(?P<sender>\d+), icrh:icrl=(?:0x)?(?P<icr_high>[0-9a-f]+):(?P<icr_low>[0-9a-f]+), "
                               r"id=(?P<number>\d+), index=\d+",
    "kvm_apicv_inhibit_changed": r"(?P<what>set|cleared) reason=(?P<number>\d+), inhibits=0x(?P<inhibits>[0-9a-f]+)",
    "tracing_mark_write": r"(?P<text>.*)",
}.items()}


def parse(event: str, text: str) -> Fields | None:
    """An event's fields, {} for one that nobody here asks about, None when the text is not of its format."""
    pattern = PAYLOADS.get(event)
    if pattern is None:
        return {}
    match = pattern.match(text)
    if match is None:
        return raw.fields(event, text) if _IS_RAW.match(text) and raw.knows(event) else None
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
