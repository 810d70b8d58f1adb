"""What two states say of one vector, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..again import State

NMI = 2
"""The vector by which traces name what cannot be masked."""


@dataclass(frozen=True)
class Change:
    """A register's bit or field, before and after."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} {self.before}→{self.after}"


def held(state: State, vector: int) -> dict[str, str]:
    """The bits and fields of a state that have to do with a vector, by the manuals' names."""
    if "epic" in state:
        return _of_epic(state, vector)
    apic, guest, posted = state["apic"], state["guest"], state.get("posted")
    bits = {"vCPU": state["thread"]["state"]}
    if posted:
        bits |= {f"PIR[{vector}]": _bit(vector in posted["PIR"]), "ON": _bit(posted["ON"]), "SN": _bit(posted["SN"])}
    bits |= {f"{name}[{vector}]": _bit(vector in apic[name]) for name in ("IRR", "ISR", "TMR")}
    bits |= {"TPR": f"{apic['TPR']:02X}H", "PPR": f"{apic['PPR']:02X}H", "IF": _bit(guest["IF"])}
    if "vmx" in state and "virtual-interrupt delivery" in state["vmx"]["controls"]:
        bits |= {name: f"{state['vmx'][name]:02X}H" for name in ("RVI", "SVI")}
    if "vmx" in state:
        bits["interrupt-window exiting"] = _bit("interrupt-window exiting" in state["vmx"]["controls"])
        if "RVI" not in bits and "use TPR shadow" in state["vmx"]["controls"]:
            bits["TPR threshold"] = str(state["vmx"]["TPR_threshold"])
    if "svm" in state:
        bits |= {"V_IRQ": _bit(state["svm"]["V_IRQ"]), "GIF": _bit(state["svm"]["GIF"])}
        if not state["svm"]["AVIC"]:
            bits["CR8 writes exit"] = _bit("CR8_WRITE" in state["svm"]["intercepts"])
    if "svm" in state and state["svm"]["avic_entry"]:
        bits["IsRunning"] = _bit(state["svm"]["avic_entry"]["IsRunning"])
    bits |= _of_chips(state.get("board"), vector)
    bits |= {"NMI pending": _bit(apic["nmi_pending"]), "NMI blocked": _bit(guest["nmi_blocked"])} if vector == NMI else {}
    return bits


def _of_epic(state: State, vector: int) -> dict[str, str]:
    """Of an Elbrus guest's CEPIC, and of the trap that the hypervisor adds without EPIC virtualization."""
    epic, guest, e2k = state["epic"], state["guest"], state["e2k"]
    bits = {"vCPU": state["thread"]["state"], f"PMIRR[{vector}]": _bit(vector in epic["PMIRR"]),
            "CIR": "empty" if epic["CIR"] is None else f"{epic['CIR']:03X}H", "CPR": str(epic["CPR"]), "IF": _bit(guest["IF"])}
    if e2k["epic"]:
        bits["DAT row"] = "valid" if epic["loaded"] else "invalid"
    else:
        bits["exc_interrupt"] = _bit(e2k["exc_interrupt"])
    if vector == NMI:
        bits |= {"NMI pending": _bit(epic["nonmaskable"]), "NMI blocked": _bit(guest["nmi_blocked"])}
    return bits


def _of_chips(board: dict[str, Any] | None, vector: int) -> dict[str, str]:
    """The 8259A's bits of the input that has this vector, and Remote IRR of the I/O APIC's pins that send it."""
    if board is None:
        return {}
    pic, bits = board["pic"], {}
    for line in (n for n, of_line in enumerate(pic["vectors"]) if of_line == vector):
        bits |= {f"8259A IRR[{line}]": _bit(line in pic["requests"]), f"8259A ISR[{line}]": _bit(line in pic["in_service"])}
    return bits | {f"Remote IRR of pin {pin['pin']}": _bit(pin["remote_irr"]) for pin in board["ioapic"]
                   if pin["vector"] == vector and pin["level"]}


def changes(before: State, after: State, vector: int) -> list[Change]:
    """Where two states of a vCPU differ about a vector."""
    was, now = held(before, vector), held(after, vector)
    return [Change(name, was.get(name, "-"), now.get(name, "-")) for name in {**was, **now} if was.get(name) != now.get(name)]


def _bit(on: bool) -> str:
    return "1" if on else "0"
