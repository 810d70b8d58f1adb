"""`trace-cmd report -R`: an event as the members of the kernel's structure.

The structures are those of arch/x86/kvm/trace.h and include/trace/events/kvm.h.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import reasons

Fields = dict[str, Any]

_SHORTHANDS = ("dst", "self", "all", "all-but-self")  # SDM 3A "Interrupt Command Register (ICR)"
_IRQCHIPS = {0: "PIC master", 1: "PIC slave", 2: "IOAPIC"}


def _trigger(level: int | None) -> str:
    return "level" if level else "edge"


def _logical(bit: int) -> str:
    return "logical" if bit & 1 else "physical"


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
                                      "trigger": _trigger(r.get("tm", r.get("trig_mode")))},
    "kvm_apicv_accept_irq": lambda r: _RAW["kvm_apic_accept_irq"](r),
    "kvm_apic_ipi": lambda r: {"dst": r["dest_id"], "vector": r["icr_low"] & 0xff, "mode": _MODES[r["icr_low"] >> 8 & 7],
                               "logical": _logical(r["icr_low"] >> 11), "trigger": _trigger(r["icr_low"] >> 15 & 1),
                               "shorthand": _SHORTHANDS[r["icr_low"] >> 18 & 3]},
    "kvm_pic_set_irq": lambda r: {"chip": r["chip"], "pin": r["pin"], "trigger": _trigger(r["elcr"] >> r["pin"] & 1),
                                  "masked": bool(r["imr"] >> r["pin"] & 1), "coalesced": bool(r["coalesced"])},
    "kvm_ioapic_set_irq": lambda r: {"pin": r["pin"], "dst": r["e"] >> 56, "vector": r["e"] & 0xff,
                                     "mode": _MODES[r["e"] >> 8 & 7], "logical": _logical(r["e"] >> 11),
                                     "trigger": _trigger(r["e"] >> 15 & 1), "masked": bool(r["e"] >> 16 & 1),
                                     "coalesced": bool(r["coalesced"])},
    "kvm_msi_set_irq": lambda r: {"dst": r["address"] >> 12 & 0xff, "vector": r["data"] & 0xff,
                                  "mode": _MODES[r["data"] >> 8 & 7], "logical": _logical(r["address"] >> 2),
                                  "trigger": _trigger(r["data"] >> 15 & 1)},
    "kvm_ack_irq": lambda r: {"irqchip": _IRQCHIPS.get(r["irqchip"], str(r["irqchip"])), "pin": r["pin"]},
    "kvm_cr": lambda r: {"access": "write" if r["rw"] else "read", "register": str(r["cr"]), "value": r["val"]},
    "kvm_page_fault": lambda r: {"vcpu": r.get("vcpu_id"), "rip": r.get("guest_rip"), "address": r["fault_address"]},
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
    "kvm_avic_incomplete_ipi": lambda r: {"sender": str(r["vcpu"]), "icr_high": r["icrh"], "icr_low": r["icrl"], "number": r["id"]},
    "kvm_apicv_inhibit_changed": lambda r: {"what": "set" if r["set"] else "cleared", "number": r["reason"],
                                            "inhibits": r["inhibits"]},
    "kvm_vcpu_wakeup": lambda r: {"how": "wait" if r["waited"] else "poll", "ns": r["ns"]},
    "kvm_userspace_exit": lambda r: {"reason": _KVM_EXITS.get(r["reason"], "KVM_EXIT_OTHER"), "number": r["reason"]},
}
_KVM_EXITS = {2: "KVM_EXIT_IO", 5: "KVM_EXIT_HLT", 6: "KVM_EXIT_MMIO", 7: "KVM_EXIT_IRQ_WINDOW_OPEN",
              10: "KVM_EXIT_INTR", 11: "KVM_EXIT_SET_TPR", 26: "KVM_EXIT_IOAPIC_EOI"}



def knows(event: str) -> bool:
    """Whether an event is read in this form."""
    return event in _RAW


def fields(event: str, text: str) -> Fields | None:
    """An event's fields, None when one is missing or the event is not known in this form."""
    numbers = {key: int(value, 0) for key, value in re.findall(r"(\w+)=(-?(?:0x[0-9a-f]+|\d+))(?=\s|$)", text)}
    numbers.update(_hexadecimal(event, text))
    try:
        return _RAW[event](numbers)
    except (KeyError, ValueError):
        return None


_APIC_IDS = {"kvm_apic_ipi": "dest_id", "kvm_apic_accept_irq": "apicid", "kvm_apicv_accept_irq": "apicid",
             "kvm_eoi": "apicid", "kvm_pv_eoi": "apicid"}
_APIC_MSRS = {0x6e0, *range(0x800, 0x900)}


def _hexadecimal(event: str, text: str) -> dict[str, int]:
    """Members that are printed in hexadecimal without saying so: by libtraceevent 1.x, which takes the format's word.

    Older ones print decimal numbers: an MSR that is one of the APIC's only when read so was printed so.
    """
    name = "ecx" if event == "kvm_msr" else _APIC_IDS.get(event, "")
    match = re.search(rf"\b{name}=([0-9a-f]+)(?=\s|$)", text) if name else None
    if not match:
        return {}
    if name == "ecx" and match[1].isdigit() and int(match[1]) in _APIC_MSRS and int(match[1], 16) not in _APIC_MSRS:
        return {}
    return {name: int(match[1], 16)}
