"""Runs a probe, and counts what its operation cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from .. import features, hypothetical, library, profiles, runner
from ..errors import NotModelled, VirqsimError, unknown
from ..hypothetical import Hypothetical
from . import plans
from .bench import Bench, Probe
from .operations import ON_ELBRUS, OPERATIONS, WITH_EPIC, Operation


def probe(probe: Probe) -> dict[str, Any]:
    """Probes; the document that `virqsim probe --json` prints.

    Latencies are nanoseconds from raised to the handler's first instruction,
    null where the operation interrupts nobody; where no number of the profile is
    known, its name and `profile_kind` say so.

    Raises:
        NotModelled: no model covers the operation or the technology.
        VirqsimError: there is no such thing, or the options contradict each other.
    """
    probe = replace(probe, guest_apic=probe.guest_apic or _usual_apic(probe.tech))
    declared = hypothetical.declared(probe.hypothetical)
    switched = features.parse(probe.features, declared)
    operation = _checked(probe, switched, declared)
    profile = profiles.load(probe.profile or profiles.default(probe.tech))

    def results(repetitions: int) -> dict[str, Any]:
        bench = Bench(probe, profile.clocks)
        operation.around(bench, operation.act, repetitions)
        document = runner.run(bench.plan().resolve(profile, probe.tech, switched, declared=declared)).document
        if document["state"] != "ended" or document["partial"]:
            raise VirqsimError(f"probe: {probe.operation}: the run did not end: {document['broken'] or document['state']}")
        return document

    idle, busy = results(0), results(probe.repetitions)
    return {
        "operation": probe.operation,
        "technology": probe.tech,
        "guest_apic": probe.guest_apic,
        "irqchip": probe.irqchip,
        "condition": probe.target,
        "inhibit": list(probe.inhibit),
        "per_operation": _per_operation(operation, _counts(busy, operation) - _counts(idle, operation), probe.repetitions),
        "latency_ns": _latency(busy, operation.source),
        **_caveat(busy),
    }


def _checked(probe: Probe, switched: dict[str, bool], declared: dict[str, Hypothetical]) -> Operation:
    """The operation's row, when the options fit it."""
    if probe.operation not in OPERATIONS:
        raise unknown("probe: operation", probe.operation, OPERATIONS)
    runner.check_technology(probe.tech, declared, "probe: --tech")
    has = "epic, xapic" if library.vendor(probe.tech) == "e2k" else "xapic, x2apic, none"
    if probe.guest_apic not in has.split(", "):
        raise VirqsimError(f"probe: --guest-apic: {probe.guest_apic}: a guest of {probe.tech} has another ({has})")
    on_elbrus = ON_ELBRUS | (WITH_EPIC if probe.guest_apic == "epic" else set())
    if library.vendor(probe.tech) == "e2k" and probe.operation not in on_elbrus:
        raise NotModelled(f"probe: {probe.operation} with --guest-apic {probe.guest_apic}: not modelled")
    if OPERATIONS[probe.operation].only_epic and probe.guest_apic != "epic":
        raise VirqsimError(f"probe: {probe.operation}: needs an EPIC guest (--tech epic-sw, epic-hw)")
    if probe.guest_apic == "none" and not OPERATIONS[probe.operation].without_apic:
        raise VirqsimError(f"probe: --guest-apic: {probe.operation} needs a local APIC (xapic, x2apic)")
    _check_inhibits(probe, switched, declared)
    operation = OPERATIONS[probe.operation]
    if operation.vendor and library.vendor(probe.tech) != operation.vendor:
        raise VirqsimError(f"probe: --tech: {probe.operation} is {operation.vendor.upper()}'s; {probe.tech} has none")
    if operation.around not in (plans.to_others, plans.to_user, plans.from_device) and probe.target not in operation.conditions:
        raise VirqsimError(f"probe: --target: {probe.operation} has no target to be {probe.target}")
    if probe.targets > 1 and not operation.many:
        many = ", ".join(row.name for row in OPERATIONS.values() if row.many)
        raise VirqsimError(f"probe: --targets: {probe.operation} has one target at most; several have {many}")
    if operation.needs and not switched.get(operation.needs, operation.needs in _own_features(probe.tech, declared)):
        raise VirqsimError(f"probe: {probe.operation}: needs --features=+{operation.needs}")
    return operation


_INHIBITED = ("apic-register-virtualization", "virtual-interrupt-delivery", "avic")
"""What an inhibit takes away; all else that goes with it needs one of these."""


def _check_inhibits(probe: Probe, switched: dict[str, bool], declared: dict[str, Hypothetical]) -> None:
    """Each reason is one that this vendor's part of KVM heeds, and there is something that it takes away."""
    for reason in probe.inhibit:
        if reason not in library.names("inhibits"):
            raise unknown("probe: --inhibit", reason, library.names("inhibits"))
    own = _own_features(probe.tech, declared)
    if probe.inhibit and not any(switched.get(name, name in own) for name in _INHIBITED):
        raise VirqsimError(f"probe: --inhibit: {probe.tech} has neither APICv nor AVIC to be inhibited here")
    vendor = library.vendor(_existing(probe.tech, declared))
    heeded = [row["name"] for row in library.describe()["inhibits"] if row.get(vendor)]
    for reason in probe.inhibit:
        if reason not in heeded:
            raise VirqsimError(f"probe: --inhibit: {reason} inhibits nothing on {vendor.upper()} ({', '.join(heeded)} do)")


def _usual_apic(technology: str) -> str:
    """What a modern guest has on a technology's machine."""
    return "epic" if library.vendor(technology) == "e2k" else "x2apic"


def _own_features(technology: str, declared: dict[str, Hypothetical]) -> list[str]:
    """The hardware's features of a technology that exists, or of the one under a technology that is declared."""
    name = _existing(technology, declared)
    return next(row["features"] for row in library.describe()["technologies"] if row["name"] == name)


def _existing(technology: str, declared: dict[str, Hypothetical]) -> str:
    """The technology itself, or the one under a technology that is declared."""
    return declared[technology].base if technology in declared else technology


_HALTS = ("HLT", "hlt", "idle-halt", "cu:wait_trap")  # a target's own is not the operation


class _Tally(Counter):
    """A Counter whose difference keeps what is negative."""

    def __sub__(self, other: Counter) -> _Tally:
        return _Tally({key: self[key] - other[key] for key in {*self, *other}})


def _counts(document: dict[str, Any], operation: Operation) -> _Tally:
    """(part, reason) to how often, over a run."""
    tally = _Tally()
    sender = 1 if operation.around is plans.from_device else 0
    parts = {"delivery": "target", "acknowledge": "eoi"}
    for row in document["exits"]:
        part = parts.get(row["cause"])
        if row["cause"] == "operation":
            part = "sender" if row["vcpu"] == sender else None if row["reason"] in _HALTS else "target"
        if part:
            tally[part, row["reason"]] += row["count"]
    for row in document["userspace_exits"]:
        of_sender, halts = row["vcpu"] == sender, row["reason"] == "KVM_EXIT_HLT"
        if of_sender and halts if operation.around is plans.halting else of_sender or not halts:
            tally["userspace", row["reason"]] += row["count"]
    return tally


def _per_operation(operation: Operation, tally: _Tally, repetitions: int) -> dict[str, Any]:
    def of(part: str) -> dict[str, int | float]:
        return {reason: _quotient(count, repetitions)
                for (where, reason), count in sorted(tally.items()) if where == part and count}

    return {
        "sender": of("sender"),
        "target": of("target") if operation.interrupts else {},
        "eoi": of("eoi") if operation.interrupts else {},
        "userspace_exits": _quotient(sum(n for (part, _), n in tally.items() if part == "userspace"), repetitions),
    }


def _caveat(document: dict[str, Any]) -> dict[str, str]:
    """Whose latency it is, where no number of the profile is known."""
    keys = ("profile", "profile_kind") if document["profile_kind"] == profiles.ASSUMED_THROUGHOUT else ()
    return {key: document[key] for key in keys}


def _quotient(count: int, repetitions: int) -> int | float:
    """A whole number where it is one; a fraction says that the machine was not quiet."""
    return count // repetitions if count % repetitions == 0 else count / repetitions


def _latency(document: dict[str, Any], source: str | None) -> dict[str, float | None]:
    row = next((row for row in document["latency"] if row["source"] == source), None)
    return {key: row[f"{key}_ps"] / 1000 if row and row["count"] else None for key in ("p50", "p99", "max")}
