"""Why an interrupt is not being delivered: the checks between it and its handler, in the hardware's order.

A check is a function of a Case that returns a Reason, or None when it holds nothing back. The first
reason is the answer; those after it would hold the interrupt back too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import epicwhynot, sections, unseen, where
from .case import Case, EpicCase
from .reason import Reason
from .times import ns, us

_CLASS = 0xF0
_LVT_MASKED = 1 << 16
_IN_GUEST_MODE = ("ENTERING", "GUEST", "EXITING")
_EXTINT = 7
_MAKES_LEAVE = ("RESCHEDULE", "TIMER", "ASSIGNED")


def reasons(of: Case) -> list[Reason]:
    """What holds it back, the first check first; where nothing does, when it will be delivered."""
    epic = isinstance(of, EpicCase)
    not_pending, pending, next_chance = epicwhynot.CHECKS if epic else (_NOT_PENDING, _PENDING, _next_chance)
    if not of.pending:
        return [next(reason for check in not_pending if (reason := check(of)))]
    held_back = dict.fromkeys(reason for check in pending if (reason := check(of)))  # each once
    return list(held_back) or [next_chance(of)]


Check = Callable[[Case], Reason | None]


# not pending


def _delivering(of: Case) -> Reason | None:
    """It is beyond all checks: the entry will deliver it, or the handler starts."""
    names = {"injecting": "the hypervisor has written it into the control structure: the entry under way delivers it",
             "again": "its delivery was interrupted by an exit; the hypervisor injects it again at the next entry",
             "from_userspace": "userspace has given it to KVM (KVM_INTERRUPT): the next entry injects it"}
    for key, sentence in names.items():
        if of.state["hypervisor"][key] == of.vector:
            return Reason("would be delivered at the next entry", sentence,
                          (f"vCPU {of.vcpu} is in {of.thread['state']}", *of.bit(f"ISR[{of.vector}]")),
                          of.injection)
    return None


def _in_service(of: Case) -> Reason | None:
    without_isr = of.vector in of.state["guest"]["handlers"] and not of.done  # an NMI, or an 8259A's
    if of.vector not in of.state["apic"]["ISR"] and not without_isr:
        return None
    return Reason("in service",
                  f"it has been delivered, and is in service until its handler is through with it{where.told(of.last)}",
                  of.bit(f"ISR[{of.vector}]", "PPR"),
                  of.pick(sections.VIRTUAL_DELIVERY, sections.ACCEPTANCE, sections.AVIC, sections.AMD_APIC))


def _timer_not_looked_at(of: Case) -> Reason | None:
    apic = of.state["apic"]
    if not apic["timer_expired"] or apic["LVT_TIMER"] & 0xFF != of.vector:
        return None
    return Reason("the timer's expiry has not been looked at",
                  f"the timer expired{where.told(of.last)}, and nobody has made an interrupt of it yet. {where.sentence(of)}",
                  (f"vCPU {of.vcpu} is in {of.thread['state']}",), sections.kvm("kvm_inject_pending_timer_irqs"))


def _sender_at_work(of: Case) -> Reason | None:
    sent = of.next
    if not of.done or sent is None or sent.kind != "ipi" or sent.raised_ps > of.ps:
        return None
    return Reason("the sender is still sending it",
                  f"vCPU {sent.raised_by} sent it at {us(sent.raised_ps)} us; the hypervisor, which does that for it, has "
                  "not come to this destination", of.bit(f"IRR[{of.vector}]"), of.vendors(sections.ICR))


def _line_held(of: Case) -> Reason | None:
    """An input is asserted, and its chip holds it back."""
    board = of.state.get("board")
    if board is None:
        return None
    for pin in board["ioapic"] if of.done else ():
        if pin["vector"] != of.vector or not pin["asserted"] or pin["delivery"] == _EXTINT:
            continue
        evidence = (f"I/O APIC pin {pin['pin']}: asserted, mask = {pin['masked']:d}, Remote IRR = {pin['remote_irr']:d}",)
        if pin["masked"]:
            return Reason("masked at the I/O APIC", f"pin {pin['pin']} is asserted, and its entry masks it", evidence,
                          sections.IOAPIC)
        if pin["level"] and pin["remote_irr"]:
            return Reason("Remote IRR is set",
                          f"pin {pin['pin']} is asserted, and the interrupt that it sent before has not come to its EOI",
                          evidence, sections.IOAPIC)
    return _pic_holds(of, board["pic"])


def _pic_holds(of: Case, pic: dict[str, Any]) -> Reason | None:
    for line in (line for line in pic["requests"] if pic["vectors"][line] == of.vector):
        evidence = (f"8259A: IRR[{line}] = 1, IMR[{line}] = {line in pic['masked']:d}, ISR = {pic['in_service'] or 0}",)
        if line in pic["masked"]:
            return Reason("masked at the 8259A", f"input {line} requests, and its mask bit is set", evidence, sections.PIC_MASK)
        if line == of.pic_line:
            lint0 = of.state["apic"]["LVT_LINT0"]
            return Reason("LINT0 does not take it",
                          f"the 8259A asks for input {line}, and no ExtINT entry of this vCPU's APIC passes it",
                          (*evidence, f"LVT_LINT0 = {lint0:08X}H"), of.vendors(sections.LVT))
        return Reason("the 8259A serves another",
                      f"input {line} requests, and one of a higher priority is in service or requested there", evidence,
                      sections.PIC)
    return None


def _lvt_masked(of: Case) -> Reason | None:
    apic = of.state["apic"]
    for name in (name for name in apic if name.startswith("LVT_") and apic[name] & 0xFF == of.vector):
        if apic[name] & _LVT_MASKED and of.done:
            return Reason("masked in the local vector table", f"the {name} entry has this vector, and masks it",
                          (f"{name} = {apic[name]:08X}H: bit 16 is set",), of.vendors(sections.LVT))
    return None


def _timer_counts(of: Case) -> Reason | None:
    apic = of.state["apic"]
    if apic["LVT_TIMER"] & 0xFF != of.vector or not of.done:
        return None
    evidence, section = (f"LVT_TIMER = {apic['LVT_TIMER']:08X}H",), of.vendors(sections.TIMER)
    if apic["timer_deadline_ps"] is None:
        return Reason("the timer is not armed",
                      f"the LVT timer entry has this vector, and the timer is not armed{where.before(of)}", evidence, section)
    expires = us(apic["timer_deadline_ps"])
    return Reason("the timer has not expired", f"the timer is armed, and expires at {expires} us{where.before(of)}", evidence, section)


def _not_arrived(of: Case) -> Reason | None:
    """It is under way: routed, and pending nowhere yet."""
    if of.last is None or of.done:
        return None
    waits = "the host has not come to forward it" if of.last.kind == "msi" else "its sender works through its destinations"
    return Reason("on its way", f"it was routed{where.told(of.last)}, and is pending nowhere yet: {waits}",
                  of.bit(f"IRR[{of.vector}]", f"PIR[{of.vector}]"), of.vendors(sections.DESTINATION))


def _over(of: Case) -> Reason | None:
    then = "" if of.next is None else f"; the next one is raised at {us(of.next.raised_ps)} us (flow {of.next.number})"
    evidence = of.bit(f"IRR[{of.vector}]", f"PIR[{of.vector}]", f"ISR[{of.vector}]")
    section = of.vendors(sections.ACCEPTANCE)
    if of.last is None:
        return Reason("never raised", f"nobody had raised it for vCPU {of.vcpu} by then{then}", evidence, section)
    return Reason("not pending", f"the last one{where.told(of.last)} has been {of.last.end}{then}", evidence, section)


_NOT_PENDING: tuple[Check, ...] = (_delivering, _in_service, _timer_not_looked_at, _sender_at_work, _line_held, _lvt_masked,
                                   _timer_counts, _not_arrived, _over)


# pending: what stands between it and its handler


def _not_started(of: Case) -> Reason | None:
    if of.state["guest"]["activity"] != "wait-for-SIPI":
        return None
    return Reason("the vCPU waits for a start-up IPI", "nothing but that makes it run, and what is pending then is delivered when "
                  "its program lets it", ("activity state = wait-for-SIPI",), of.vendors(sections.STARTUP))


def _notification_in_flight(of: Case) -> Reason | None:
    """In PIR, for a vCPU in its guest: until the notification arrives, the CPU does not look."""
    if not of.posted or of.thread["state"] not in _IN_GUEST_MODE:
        return None
    if unseen.in_pir(of):
        return unseen.posted(of)
    posted, arrives = of.state["posted"], of.state["pcpu"]["arriving_ps"].get("POSTED")
    when = f"arrives at {us(arrives)} us" if arrives is not None else "has arrived, and is processed once the guest runs"
    return Reason("in PIR, the notification under way", f"it is posted, and the notification {when}",
                  of.bit(f"PIR[{of.vector}]", "ON", "SN") + (f"NV = {posted['NV']:02X}H",), sections.POSTED)


def _global_flag(of: Case) -> Reason | None:
    if not of.svm or of.state["svm"]["GIF"]:
        return None
    tells = "its STGI exits" if "STGI" in of.state["svm"]["intercepts"] else "the hardware waits for its STGI"
    return Reason("GIF = 0", f"the guest, a hypervisor itself, has executed CLGI; {tells}", of.bit("GIF", "V_IRQ"),
                  sections.AMD_GIF)


def _nmi_blocked(of: Case) -> Reason | None:
    if not of.nmi or not of.state["guest"]["nmi_blocked"]:
        return None
    return Reason("NMIs are blocked", "the handler of an earlier NMI has not returned",
                  of.bit("NMI pending", "NMI blocked"), sections.NMI)


def _priority(of: Case) -> Reason | None:
    """IRR's class against PPR's: what is in service, or the task priority."""
    apic = of.state["apic"]
    if of.nmi or of.extint or of.vector & _CLASS > apic["PPR"] & _CLASS:
        return None
    section = of.pick(sections.EVALUATION, sections.PRIORITIES, sections.AVIC, sections.AMD_APIC)
    serving = max(apic["ISR"], default=None)
    if serving is not None and serving & _CLASS >= apic["TPR"] & _CLASS:
        what = "itself" if serving == of.vector else f"{serving} ({serving:02X}H)"
        in_service = f"ISR = {{{', '.join(map(str, apic['ISR']))}}}"
        return Reason("the processor priority: in service",
                      f"vector {what} is in service, and its class is not below this one's", (in_service, *of.bit("PPR")),
                      section)
    return Reason("the processor priority: TPR", "the guest's task priority holds its class back",
                  of.bit("TPR", "PPR", "TPR threshold", "CR8 writes exit"), section)


def _higher_first(of: Case) -> Reason | None:
    highest = max(of.state["apic"]["IRR"], default=0)
    if of.nmi or of.extint or highest <= of.vector:
        return None
    return Reason("a higher one is before it", f"vector {highest} ({highest:02X}H) is requested too, and goes first",
                  (f"IRR[{highest}] = 1", *of.bit(f"IRR[{of.vector}]")),
                  of.pick(sections.VIRTUAL_DELIVERY, sections.PRIORITIES, sections.AVIC, sections.AMD_APIC))


def _asked_for(of: Case) -> Reason | None:
    """A guest with a local APIC on an Elbrus machine."""
    if not of.e2k or not of.state["e2k"]["asks_vector"]:
        return None
    return Reason("the guest asks for the vector", "the trap has begun, and the guest reads from its APIC which vector it is for",
                  of.bit(f"IRR[{of.vector}]", "IF"), sections.E2K_LEGACY)


def _interrupt_flag(of: Case) -> Reason | None:
    if of.nmi or of.state["guest"]["IF"] or _asked_for(of):
        return None
    handlers = of.state["guest"]["handlers"]
    why = f": it is in the handler of vector {handlers[-1]}" if handlers else ""
    return Reason("IF = 0", f"the guest does not take interrupts now{why}", of.bit("IF", "interrupt-window exiting", "V_IRQ"),
                  of.pick(sections.VIRTUAL_DELIVERY, sections.INTERRUPT_FLAG, sections.AVIC, sections.AMD_VIRTUAL))


def _shadow(of: Case) -> Reason | None:
    guest = of.state["guest"]
    if guest["mov_ss_shadow"]:
        return Reason("the shadow of MOV SS", "the instruction after MOV SS or POP SS is under way",
                      ("blocking by MOV SS = 1",), sections.STACK_SHADOW)
    if guest["shadow"]:
        return Reason("the shadow of STI", "the instruction after STI is under way", ("blocking by STI = 1",),
                      of.pick(sections.VIRTUAL_DELIVERY, sections.INTERRUPT_FLAG, sections.AVIC, sections.AMD_VIRTUAL))
    return None


def _posted_to_the_absent(of: Case) -> Reason | None:
    """In PIR, for a vCPU that is not in its guest: no other check is made before somebody looks there."""
    return _not_in_guest(of) if of.posted and of.thread["state"] not in _IN_GUEST_MODE else None


def _not_in_guest(of: Case) -> Reason | None:
    if of.thread["state"] == "GUEST":
        return None
    evidence = (*where.evidence(of), *of.bit(f"IRR[{of.vector}]", f"PIR[{of.vector}]", "SN", "IsRunning"))
    if unseen.asleep(of):
        return unseen.slept(of, evidence)
    return Reason(where.NAMES.get(of.thread["state"], where.ELSEWHERE),
                  f"{where.sentence(of)}; an interrupt is looked for before the next entry", evidence,
                  sections.kvm("vcpu_enter_guest"))


_PENDING: tuple[Check, ...] = (_not_started, _notification_in_flight, _posted_to_the_absent, _asked_for, _global_flag,
                               _nmi_blocked, _priority, _higher_first, _interrupt_flag, _shadow, _not_in_guest)


# nothing stands between them


def _next_chance(of: Case) -> Reason:
    """The guest runs: the CPU delivers by itself, or something must make the guest leave first."""
    if of.delivers and not of.nmi and not of.extint:
        return _at_a_boundary(of)
    arrives = [(ps, name) for name, ps in of.state["pcpu"]["arriving_ps"].items() if name in _MAKES_LEAVE]
    evidence = (f"vCPU {of.vcpu} is in GUEST", *of.bit("interrupt-window exiting", "V_IRQ"))
    section = of.injection
    if arrives:
        ps, name = min(arrives)
        return Reason("the guest has not left yet",
                      f"the hypervisor has it, and the {name} interrupt that makes the guest leave arrives at {us(ps)} us; "
                      "the next entry injects it", evidence, section)
    if unseen.in_irr(of):
        return unseen.requested(of, evidence)
    return Reason("would be delivered at the next entry",
                  "nothing holds it back: the guest leaves now, and the next entry injects it", evidence, section)


def _at_a_boundary(of: Case) -> Reason:
    arrives = of.state["pcpu"]["arriving_ps"].get("DOORBELL")
    if arrives is not None:
        return Reason("the doorbell is under way", f"its bit is set, and the doorbell arrives at {us(arrives)} us",
                      of.bit(f"IRR[{of.vector}]"), sections.AVIC)
    return Reason("would be delivered at the next instruction boundary",
                  "nothing holds it back: the CPU evaluates it by itself", of.bit(f"IRR[{of.vector}]", "RVI", "PPR"),
                  of.vendors(sections.VIRTUAL_DELIVERY, sections.AVIC))


def afterwards(of: Case) -> str | None:
    """What became of it."""
    flow = of.last if of.last and not of.done else of.next
    if flow is None:
        return None
    if flow.handler_ps is None:
        return f"Flow {flow.number} is still pending at the run's end." if flow.end == "pending" else (
            f"Flow {flow.number} was {flow.end}.")
    if flow.handler_ps <= of.ps:
        return f"Flow {flow.number} came to its handler at {us(flow.handler_ps)} us."
    return f"Flow {flow.number} comes to its handler at {us(flow.handler_ps)} us, {ns(flow.handler_ps - of.ps)} ns later."


def document(of: Case, found: list[Reason]) -> dict[str, Any]:
    """What --json prints."""
    return {"vector": of.vector, "vcpu": of.vcpu, "time_ps": of.ps,
            "flow": None if of.last is None or of.done else of.last.number, "inhibits": list(of.inhibits),
            "reasons": [reason.document() for reason in found],
            "afterwards": afterwards(of), "state": of.state}
