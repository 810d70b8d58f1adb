"""On which hardware and hypervisor a trace was recorded, told from the trace itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache, cached_property

from .. import features, library
from ..errors import VirqsimError
from . import reasons
from .reader import Event, Trace

APIC_PAGE = 0xfee00
_X2APIC_MSRS = range(0x800, 0x900)


@dataclass(frozen=True)
class Recorded:
    """The recording's technology, in the words of a plan, and what its trace does not show."""

    vendor: str
    technology: str
    guest_apic: str
    irqchip: str
    features: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def hides_deliveries(self) -> bool:
        """The hardware delivered and retired interrupts: no injections, no EOIs in the trace; KVM's own irqchip only."""
        return self.irqchip != "userspace" and bool(_features(self.technology, self.features) & {
            "virtual-interrupt-delivery", "avic", "delivery-by-ipi"})

    @cached_property
    def injects(self) -> bool:
        """KVM delivers every interrupt itself, so that an EOI implies a line of its injection."""
        return not _features(self.technology, self.features) & {"virtual-interrupt-delivery", "avic", "direct-interrupts"}


def detect(trace: Trace) -> Recorded:
    """Looks at the whole trace, before the window too: the guest sets its APIC up there.

    Raises:
        VirqsimError: exits of both vendors, or of neither's but an Elbrus machine's.
    """
    vendor = _vendor(trace)
    if trace.header.machine:
        return _as_stated(trace, vendor)
    accelerated = _accelerated(trace)
    guest_apic = _guest_apic(trace)
    technology = _accelerator(trace, vendor, guest_apic) if accelerated else {"vmx": "none", "svm": "svm"}[vendor]
    switched, seen = {}, _reasons(trace)
    if seen["PF excp"] and not seen["npf"]:
        switched["nested-paging"] = False
    if any(event.name == "kvm_pv_eoi" for event in trace.events) or _unexplained_eois(trace):
        switched["pv-eoi"] = True
    if vendor == "vmx" and not _preemption_timer(trace):
        switched["preemption-timer"] = False
    if vendor == "vmx" and guest_apic == "xapic" and not accelerated and not seen["APIC_ACCESS"]:
        switched["apic-access-page"] = False
        if not _apic_page_slot(trace):
            switched["apic-page-slot"] = False
    return Recorded(vendor, technology, guest_apic, _irqchip(trace), switched)


def _as_stated(trace: Trace, vendor: str) -> Recorded:
    """An exported run says on what it was made."""
    said, known = trace.header.machine, library.describe()
    place = f"{trace.path}:{trace.header.machine_line}"
    if said["technology"] not in {row["name"] for row in known["technologies"]}:
        raise VirqsimError(f"{place}: technology {said['technology']!r} is not known here; without this line it is told from the events")
    if library.vendor(said["technology"]) != vendor and any(event.name == "kvm_exit" for event in trace.events):
        raise VirqsimError(f"{place}: technology {said['technology']}, and the exits are {vendor}'s; without this line it is "
                           "told from the events")
    try:
        switched = features.parse(said["features"])
    except VirqsimError as error:
        raise VirqsimError(f"{place}: {error}") from None
    for key, table in (("guest_apic", "guest_apics"), ("irqchip", "irqchips")):
        if said[key] not in known[table]:
            raise VirqsimError(f"{place}: {key} {said[key]!r}: one of {', '.join(known[table])}")
    return Recorded(vendor, said["technology"], said["guest_apic"], said["irqchip"], switched)


@cache
def _features_of(technology: str) -> frozenset[str]:
    rows = library.describe()["technologies"]
    return frozenset(next((row["features"] for row in rows if row["name"] == technology), ()))


def _features(technology: str, switched: dict[str, bool]) -> set[str]:
    return {name for name in _features_of(technology) | set(switched) if switched.get(name, True)}


def _reasons(trace: Trace) -> Counter[str]:
    return Counter(event.fields["reason"] for event in trace.events if event.name == "kvm_exit")


def _vendor(trace: Trace) -> str:
    seen: dict[str, Event] = {}
    for event in trace.events:
        if event.name == "kvm_exit":
            vendor = reasons.vendor(event.fields["reason"])
            if vendor:
                seen.setdefault(vendor, event)
            elif reasons.is_elbrus(event.fields["reason"]):
                raise VirqsimError(f"{trace.path}:{event.line}: {event.fields['reason']}: {reasons.OF_ELBRUS}")
    if len(seen) == 2:
        vmx, svm = seen["vmx"], seen["svm"]
        raise VirqsimError(f"{trace.path}: exits of both vendors: {vmx.fields['reason']} in line {vmx.line}, "
                           f"{svm.fields['reason']} in line {svm.line}; replay one machine's trace")
    return next(iter(seen), "vmx")


def _accelerated(trace: Trace) -> bool:
    """The hardware delivers interrupts; KVM's parameters say so, or what only it causes."""
    for parameter in ("enable_apicv", "avic"):
        if parameter in trace.header.parameters:
            return trace.header.parameters[parameter] in ("Y", "1")
    seen = _reasons(trace)
    return any(event.name == "kvm_apicv_accept_irq" for event in trace.events) or any(
        seen[reason] for reason in ("EOI_INDUCED", "APIC_WRITE", "avic_incomplete_ipi"))


def _unexplained_eois(trace: Trace) -> bool:
    """Most of the EOIs are at exits that have nothing to do with the APIC: the guest wrote them to memory."""
    register = {"msr", "MSR_WRITE", "npf", "EPT_VIOLATION", "EPT_MISCONFIG", "APIC_ACCESS", "APIC_WRITE", "EOI_INDUCED",
                "avic_unaccelerated_access", "PF excp"}
    left: dict[int | None, str] = {}
    found: Counter[bool] = Counter()
    for event in trace.events:
        if event.name == "kvm_exit":
            left[event.pid] = event.fields["reason"]
        elif event.name == "kvm_eoi" and event.pid in left:
            found[left[event.pid] in register] += 1
    return found[False] > found[True]


def _accelerator(trace: Trace, vendor: str, guest_apic: str) -> str:
    """Whose hardware it was. An x2APIC guest's EOIs leave under AVIC, as any access to these MSRs, and not under x2AVIC."""
    if vendor == "vmx":
        return "ipiv" if trace.header.parameters.get("enable_ipiv") in ("Y", "1") else "apicv"
    eoi = any(event.name == "kvm_msr" and event.fields["access"] == "write" and event.fields["msr"] == 0x80b
              for event in trace.events)
    return "x2avic" if guest_apic == "x2apic" and not eoi else "avic"


def _apic_page_slot(trace: Trace) -> bool:
    """Accesses to the APIC's page were violations, not misconfigurations; flexpriority decides that."""
    if "flexpriority" in trace.header.parameters:
        return trace.header.parameters["flexpriority"] in ("Y", "1")
    left: dict[int | None, str] = {}  # why each vCPU left last
    for event in trace.events:
        if event.name == "kvm_exit":
            left[event.vcpu] = event.fields["reason"]
        elif event.name == "kvm_apic" and left.get(event.vcpu) == "EPT_MISCONFIG":
            return False
    return True


def _preemption_timer(trace: Trace) -> bool:
    if "preemption_timer" in trace.header.parameters:
        return trace.header.parameters["preemption_timer"] in ("Y", "1")
    armed = any(is_timer_arm(event) for event in trace.events)
    return not armed or bool(_reasons(trace)["PREEMPTION_TIMER"])


def is_timer_arm(event: Event) -> bool:
    """The guest wrote the TSC deadline or the initial count."""
    fields = event.fields
    if event.name == "kvm_msr" and fields["access"] == "write":
        return fields["msr"] in (0x6e0, 0x838)
    return event.name == "kvm_apic" and fields["access"] == "write" and fields["register"] == "APIC_TMICT"


def _guest_apic(trace: Trace) -> str:
    """What the guest's driver used last: the kernel of a guest may start in xAPIC mode and leave it."""
    mode = None
    left: dict[int | None, str] = {}  # why each thread left last
    for event in trace.events:
        fields = event.fields
        if event.name == "kvm_exit":
            left[event.pid] = fields["reason"]
        if event.name == "kvm_msr" and fields["msr"] in _X2APIC_MSRS:
            mode = "x2apic"
        elif event.name == "kvm_apic" and left.get(event.pid) in ("msr", "MSR_READ", "MSR_WRITE"):
            mode = "x2apic"  # its kvm_msr stands behind it, or was not recorded
        elif mode != "x2apic" and (
                event.name == "kvm_mmio" and fields["gpa"] >> 12 == APIC_PAGE or event.name == "kvm_apic"
                or event.name == "kvm_exit" and fields["reason"] in ("APIC_WRITE", "APIC_ACCESS")):
            mode = mode or "xapic"
    if mode is None:
        accepted = any(event.name == "kvm_apic_accept_irq" for event in trace.events)
        injected = any(event.name == "kvm_inj_virq" for event in trace.events)
        mode = "none" if injected and not accepted else "x2apic"
    return mode


def _irqchip(trace: Trace) -> str:
    """Where the interrupt controllers are emulated."""
    names = {event.name for event in trace.events}
    to_user = {event.fields["reason"] for event in trace.events if event.name == "kvm_userspace_exit"}
    if "KVM_EXIT_HLT" in to_user or "KVM_EXIT_IRQ_WINDOW_OPEN" in to_user:
        return "userspace"
    if "KVM_EXIT_IOAPIC_EOI" in to_user or "kvm_msi_set_irq" in names and "kvm_ioapic_set_irq" not in names:
        return "split"
    return "kernel"
