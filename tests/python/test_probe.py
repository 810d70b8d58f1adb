"""Exits per operation, against the table that was collected from the manuals and from KVM.

tests/data/exits_per_operation.csv has the command line of each row. What no
model covers must say so and end with status 3: never a number.
"""

import csv
import json
from pathlib import Path

import pytest
from virqsim.probe import OPERATIONS, Probe, probe

with (Path(__file__).parent.parent / "data" / "exits_per_operation.csv").open() as file:
    ROWS = list(csv.DictReader(file))

def reasons(cell):
    """`REASON:n;REASON:n` as a dictionary."""
    return {reason: int(count) for reason, count in (pair.split(":") for pair in filter(None, cell.split(";")))}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_exits_of_an_operation_are_those_of_the_table(virqsim, row):
    said = virqsim("probe", *row["probe"].split(), "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["per_operation"] == {
        "sender": reasons(row["sender_exits"]),
        "target": reasons(row["target_exits"]),
        "eoi": reasons(row["eoi_exits"]),
        "userspace_exits": int(row["userspace_exits"]),
    }


@pytest.mark.parametrize(("operation", "software", "hardware"), [
    # Without EPIC virtualization each access to the CEPIC is intercepted: ICR is read until it is idle, and written;
    # VECT_INTA is read before the handler; EOI is written.
    ("ipi.unicast", [{"mu:gpa_data": 2}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("ipi.self", [{"mu:gpa_data": 2}, {"mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("ipi.unicast --target halted", [{"mu:gpa_data": 2}, {"mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("ipi.unicast --target if-off", [{"mu:gpa_data": 2}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}],
     [{}, {}, {}]),
    ("timer.oneshot", [{"mu:gpa_data": 1}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("msi.irqfd", [{}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("msi.passthrough", [{}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    # A level's end is told to the CEPIC and to the IOEPIC, which KVM emulates, or through which it passes the store.
    ("ioepic.edge", [{}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 1}], [{}, {}, {}]),
    ("ioepic.level", [{}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 2}], [{}, {}, {"mu:gpa_data": 1}]),
    ("ioepic.level --target halted", [{}, {"mu:gpa_data": 1}, {"mu:gpa_data": 2}], [{}, {}, {"mu:gpa_data": 1}]),
    ("ioepic.passthrough", [{}, {"cu:hv_int": 1, "mu:gpa_data": 1}, {"mu:gpa_data": 2}],
     [{}, {}, {"mu:gpa_data": 1}]),
    ("tpr.write_register", [{"mu:gpa_data": 1}, {}, {}], [{}, {}, {}]),
    ("cpu.hlt", [{"cu:wait_trap": 1}, {}, {}], [{"cu:wait_trap": 1}, {}, {}]),
])
def test_elbrus_with_and_without_epic_virtualization(virqsim, operation, software, hardware):
    for tech, expected in (("epic-sw", software), ("epic-hw", hardware)):
        said = virqsim("probe", *operation.split(), "--tech", tech, "--json")
        assert said.status == 0, said.err
        document = json.loads(said.out)
        assert [document["per_operation"][who] for who in ("sender", "target", "eoi")] == expected
        assert (document["profile"], document["profile_kind"]) == ("elbrus-16c", "assumed throughout")


@pytest.mark.parametrize("tech", ["epic-sw", "epic-hw"])
def test_a_legacy_guest_of_an_elbrus_machine_is_intercepted_whatever_the_machine_virtualizes(virqsim, tech):
    for operation, sender, target in (
            ("ipi.unicast", {"mu:gpa_data": 2}, {"cu:hv_int": 1, "mu:gpa_data": 1}),  # ICR2 and ICR; the vector is read
            ("ipi.unicast --target if-off", {"mu:gpa_data": 2}, {"cu:hv_int": 1, "mu:gpa_data": 1}),
            ("ipi.unicast --target halted", {"mu:gpa_data": 2}, {"mu:gpa_data": 1}),
            ("timer.oneshot", {"mu:gpa_data": 1}, {"cu:hv_int": 1, "mu:gpa_data": 1}),
            ("msi.irqfd", {}, {"cu:hv_int": 1, "mu:gpa_data": 1})):
        said = virqsim("probe", *operation.split(), "--tech", tech, "--guest-apic", "xapic", "--json")
        assert said.status == 0, said.err
        counts = json.loads(said.out)["per_operation"]
        assert (counts["sender"], counts["target"], counts["eoi"]) == (sender, target, {"mu:gpa_data": 1})


@pytest.mark.parametrize(("arguments", "status", "error"), [
    ("tpr.write_cr8 --tech epic-hw", 3, "probe: tpr.write_cr8 with --guest-apic epic: not modelled"),
    ("ipi.unicast --tech epic-hw --guest-apic x2apic", 2,
     "probe: --guest-apic: x2apic: a guest of epic-hw has another (epic, xapic)"),
    ("ioepic.edge --tech none", 2, "probe: ioepic.edge: needs an EPIC guest (--tech epic-sw, epic-hw)"),
    ("ioepic.edge --tech epic-hw --guest-apic xapic", 3, "probe: ioepic.edge with --guest-apic xapic: not modelled"),
    ("ipi.unicast --tech none --guest-apic epic", 2,
     "probe: --guest-apic: epic: a guest of none has another (xapic, x2apic, none)"),
])
def test_what_elbrus_has_not_gets_no_number(virqsim, arguments, status, error):
    said = virqsim("probe", *arguments.split(), "--json")
    assert (said.status, said.out, said.err) == (status, "", error + "\n")


@pytest.mark.parametrize(("arguments", "target", "eoi", "userspace"), [
    # Linux's mask_and_ack_8259A() takes one access more at the slave, and unmask_8259A_irq() one at either.
    ("pic.slave --tech none --guest-apic none", {"EXTERNAL_INTERRUPT": 1}, {"IO_INSTRUCTION": 5}, 0),
    ("pic.master --tech apicv --guest-apic none", {"EXTERNAL_INTERRUPT": 1}, {"IO_INSTRUCTION": 4}, 0),
    ("pic.master --tech apicv --guest-apic x2apic", {"EXTERNAL_INTERRUPT": 1}, {"IO_INSTRUCTION": 4}, 0),
    ("pic.master --tech none --guest-apic none --target if-off", {"INTERRUPT_WINDOW": 1, "EXTERNAL_INTERRUPT": 1},
     {"IO_INSTRUCTION": 4}, 0),
    ("pic.master --tech none --guest-apic none --target halted", {}, {"IO_INSTRUCTION": 4}, 0),
    ("pic.master --tech none --guest-apic none --irqchip split", {"EXTERNAL_INTERRUPT": 1}, {"IO_INSTRUCTION": 4}, 5),
    ("ioapic.edge --tech none", {"EXTERNAL_INTERRUPT": 1}, {"MSR_WRITE": 1}, 0),
    ("ioapic.edge --tech none --guest-apic xapic", {"EXTERNAL_INTERRUPT": 1}, {"APIC_ACCESS": 1}, 0),
    ("ioapic.edge --tech apicv", {}, {}, 0),
    ("ioapic.level --tech none", {"EXTERNAL_INTERRUPT": 1}, {"MSR_WRITE": 1}, 0),
    ("ioapic.level --tech apicv --irqchip split", {}, {"EOI_INDUCED": 1}, 1),
    ("msi.irqfd --tech apicv --target halted", {}, {}, 0),
    ("msi.irqfd --tech x2avic --target halted --features=+idle-hlt", {}, {}, 0),  # a target's own HLT is not counted
    ("msi.passthrough --tech svm --guest-apic xapic --target halted --features=+idle-hlt", {}, {"npf": 1}, 0),
    # PV EOI: not for a level, which the I/O APIC waits for, and not what APICv or AVIC virtualize anyway.
    ("ioapic.edge --tech svm --features=+pv-eoi", {"interrupt": 1}, {}, 0),
    ("ioapic.level --tech svm --features=+pv-eoi", {"interrupt": 1}, {"msr": 1}, 0),
    ("ioapic.level --tech apicv --features=+pv-eoi", {}, {"EOI_INDUCED": 1}, 0),
    ("msi.irqfd --tech apicv --features=-virtual-interrupt-delivery,-posted-interrupts,+pv-eoi",
     {"EXTERNAL_INTERRUPT": 1}, {}, 0),
    ("msi.irqfd --tech apicv --features=-virtual-interrupt-delivery,-posted-interrupts --guest-apic xapic",
     {"EXTERNAL_INTERRUPT": 1}, {"APIC_WRITE": 1}, 0),  # the register is virtualized, its meaning is not
    ("msi.irqfd --tech apicv --features=-posted-interrupts", {"EXTERNAL_INTERRUPT": 1}, {}, 0),
    ("msi.irqfd --tech vtd-pi --target halted --features=+hlt-in-guest", {}, {}, 0),
    ("msi.irqfd --tech eli --features=+pv-eoi", {"EXCEPTION_NMI": 1}, {"MSR_WRITE": 1}, 0),  # never offered there
    # ELI: two exits an interrupt without it, one with delivery only, none with both (Gordon et al., 2012).
    ("msi.passthrough --tech eli --features=-direct-eoi", {}, {"MSR_WRITE": 1}, 0),
    ("msi.passthrough --tech eli --target if-off", {}, {}, 0),
    ("msi.passthrough --tech eli --target halted", {}, {"MSR_WRITE": 1}, 0),
    # While APICv or AVIC is inhibited it is as without.
    ("msi.irqfd --tech apicv --inhibit HYPERV", {"EXTERNAL_INTERRUPT": 1}, {"MSR_WRITE": 1}, 0),
    ("msi.irqfd --tech logical-ipiv --inhibit HYPERV", {"EXTERNAL_INTERRUPT": 1}, {"MSR_WRITE": 1}, 0),
    ("msi.irqfd --tech svm --features=+avic --guest-apic xapic --inhibit SEV", {"interrupt": 1}, {"npf": 1}, 0),
    ("msi.irqfd --tech avic --guest-apic xapic --inhibit PIT_REINJ --inhibit NESTED", {"interrupt": 1}, {"npf": 1}, 0),
    ("msi.passthrough --tech eli-delivery", {}, {"MSR_WRITE": 1}, 0),
    ("msi.passthrough --tech ipiv-pi", {}, {}, 0),
    ("msi.passthrough --tech ipiv", {"EXTERNAL_INTERRUPT": 1}, {}, 0),
    ("msi.irqfd --tech eli", {"EXCEPTION_NMI": 1}, {"MSR_WRITE": 1}, 0),
    ("msi.irqfd --tech svm", {"interrupt": 1}, {"msr": 1}, 0),
    ("msi.irqfd --tech x2avic", {}, {}, 0),
    ("msi.irqfd --tech avic", {}, {"msr": 1}, 0),  # an x2APIC guest's registers are software's, delivery is AVIC's
    # An assigned device behind AMD's IOMMU: forwarded by the host, or posted in guest virtual APIC mode.
    ("msi.passthrough --tech svm --guest-apic xapic", {"interrupt": 1}, {"npf": 1}, 0),
    ("msi.passthrough --tech avic --guest-apic xapic", {"interrupt": 1}, {}, 0),
    ("msi.passthrough --tech x2avic", {"interrupt": 1}, {}, 0),
    ("msi.passthrough --tech x2avic --features=+iommu-avic", {}, {}, 0),
    ("msi.passthrough --tech avic-pi --guest-apic xapic", {}, {}, 0),
    ("msi.passthrough --tech avic-pi --guest-apic xapic --target halted", {}, {}, 0),
    ("msi.passthrough --tech avic-pi --guest-apic xapic --target preempted", {}, {}, 0),
    ("msi.passthrough --tech x2avic-pi --target if-off", {}, {}, 0),
    ("ioapic.edge --tech avic --guest-apic xapic", {}, {}, 0),
    ("ioapic.level --tech avic --guest-apic xapic", {}, {"avic_unaccelerated_access": 1}, 0),
    ("pic.master --tech avic --guest-apic xapic", {"interrupt": 1}, {"io": 4}, 0),
])
def test_the_combinations_that_the_table_leaves_out_follow_from_the_features(virqsim, arguments, target, eoi, userspace):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    counts = json.loads(said.out)["per_operation"]
    assert counts == {"sender": {}, "target": target, "eoi": eoi, "userspace_exits": userspace}


@pytest.mark.parametrize(("irqchip", "userspace"), [("kernel", 0), ("userspace", 1)])
def test_a_hlts_wake_up_is_not_counted_where_its_controllers_are_userspaces(virqsim, irqchip, userspace):
    said = virqsim("probe", "cpu.hlt", "--tech", "none", "--irqchip", irqchip, "--guest-apic", "xapic", "--json")
    counts = json.loads(said.out)["per_operation"]
    assert (counts["sender"], counts["userspace_exits"]) == ({"HLT": 1}, userspace)


@pytest.mark.parametrize(("arguments", "counts"), [
    ("cpu.clgi_stgi --tech svm", ({"clgi": 1, "stgi": 1}, {}, {})),
    ("cpu.clgi_stgi --tech x2avic --features=+vgif", ({}, {}, {})),
    # An NMI: the kick, and the IRET by which SVM learns that NMIs are open again; VMX has a control for that.
    ("ipi.nmi --tech none", ({"MSR_WRITE": 1}, {"EXTERNAL_INTERRUPT": 1}, {})),
    ("ipi.nmi --tech ipiv", ({"APIC_WRITE": 1}, {"EXTERNAL_INTERRUPT": 1}, {})),
    ("ipi.nmi --tech svm --target if-off", ({"msr": 1}, {"interrupt": 1}, {"iret": 1})),
    ("ipi.nmi --tech svm --target halted", ({"msr": 1}, {}, {"iret": 1})),
    ("ipi.nmi --tech svm --features=+vgif", ({"msr": 1}, {"interrupt": 1}, {"iret": 1})),
    ("ipi.nmi --tech svm --features=+vgif,+vnmi", ({"msr": 1}, {"interrupt": 1}, {})),
    ("ipi.nmi --tech avic --guest-apic xapic", ({"avic_incomplete_ipi": 1}, {"interrupt": 1}, {"iret": 1})),
])
def test_amds_global_flag_and_nmis_exit_as_vgif_and_vnmi_have_it(virqsim, arguments, counts):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["per_operation"] == dict(zip(("sender", "target", "eoi"), counts, strict=True)) | {
        "userspace_exits": 0}


@pytest.mark.parametrize(("arguments", "sender", "target", "eoi"), [
    # Who counts for the guest's timer decides what its expiry costs; its own timer, what arming does.
    ("timer.tsc_deadline --tech none --features=-preemption-timer", "MSR_WRITE:1", "EXTERNAL_INTERRUPT:1", "MSR_WRITE:1"),
    ("timer.tsc_deadline --tech none --features=-timer-advance", "MSR_WRITE:1", "PREEMPTION_TIMER:1", "MSR_WRITE:1"),
    ("timer.tsc_deadline --tech apicv --features=-timer-advance,-preemption-timer", "MSR_WRITE:1", "EXTERNAL_INTERRUPT:1", ""),
    ("timer.tsc_deadline --tech apicv --features=+timer-posting,+hlt-in-guest", "MSR_WRITE:1", "", ""),
    ("timer.tsc_deadline --tech apicv --features=+timer-posting,+hlt-in-guest,-timer-advance", "MSR_WRITE:1", "", ""),
    ("timer.tsc_deadline --tech x2avic --features=+timer-posting,+hlt-in-guest", "msr:1", "", ""),
    ("timer.periodic --tech avic --guest-apic xapic --features=+timer-posting,+hlt-in-guest --target halted", "", "", ""),
    ("timer.tsc_deadline --tech ipiv --features=+timer-posting,+hlt-in-guest --target halted", "MSR_WRITE:1", "", ""),
    ("timer.tsc_deadline --tech apic-timer", "", "", ""),
    ("timer.tsc_deadline --tech apic-timer --guest-apic xapic", "", "", ""),
    ("timer.tsc_deadline --tech apic-timer --features=+timer-posting,+hlt-in-guest", "", "", ""),
    ("timer.tsc_deadline --tech apic-timer --features=+hlt-in-guest --target halted", "", "", ""),
    ("timer.tsc_deadline --tech apic-timer --target halted", "HLT:1", "", ""),  # a timer of the host wakes it
    ("timer.tsc_deadline --tech apicv --target halted", "HLT:1;MSR_WRITE:1", "", ""),
    ("timer.tsc_deadline --tech apicv --features=+mwait-in-guest", "MSR_WRITE:1", "EXTERNAL_INTERRUPT:1", ""),
    ("timer.tsc_deadline --tech svm --features=-timer-advance", "msr:1", "interrupt:1", "msr:1"),
    ("timer.tsc_deadline --tech svm --target halted", "hlt:1;msr:1", "", "msr:1"),
    ("timer.oneshot --tech none", "MSR_WRITE:1", "PREEMPTION_TIMER:1", "MSR_WRITE:1"),
    ("timer.oneshot --tech apic-timer", "MSR_WRITE:1", "PREEMPTION_TIMER:1", ""),
    ("timer.oneshot --tech apicv --guest-apic xapic", "APIC_WRITE:1", "PREEMPTION_TIMER:1", ""),
    ("timer.oneshot --tech apicv --features=+timer-posting,+hlt-in-guest", "MSR_WRITE:1", "", ""),
    # One that expires while the other thread runs is found at the vCPU's next load, kvm_lapic_restart_hv_timer(), or was
    # a timer of the host's meanwhile: no exit delivers it.
    *((f"timer.{kind} --tech none --target preempted{features}", "MSR_WRITE:1", "", "MSR_WRITE:1")
      for kind in ("tsc_deadline", "oneshot") for features in ("", " --features=-preemption-timer")),
    ("timer.tsc_deadline --tech apicv --target preempted", "MSR_WRITE:1", "", ""),
    ("timer.oneshot --tech svm --target preempted", "msr:1", "", "msr:1"),
    ("timer.tsc_deadline --tech apic-timer --target preempted", "", "", ""),
    ("timer.tsc_deadline --tech direct --target preempted", "", "", "MSR_WRITE:1"),  # the stand-in's is injected
    ("timer.tsc_deadline --tech did --target preempted", "", "", ""),
    # One that expires while IF is clear waits for a window, unless the CPU has the virtual interrupt, or the timer.
    *((f"timer.{kind} --tech none --target if-off", "MSR_WRITE:1", "PREEMPTION_TIMER:1;INTERRUPT_WINDOW:1", "MSR_WRITE:1")
      for kind in ("tsc_deadline", "oneshot")),
    ("timer.tsc_deadline --tech apicv --target if-off", "MSR_WRITE:1", "PREEMPTION_TIMER:1", ""),
    ("timer.oneshot --tech apicv --features=+timer-posting,+hlt-in-guest --target if-off", "MSR_WRITE:1", "", ""),
    ("timer.oneshot --tech svm --target if-off", "msr:1", "interrupt:1;vintr:1", "msr:1"),
    ("timer.tsc_deadline --tech apic-timer --target if-off", "", "", ""),
    *((f"timer.tsc_deadline --tech {tech} --target if-off", "", "", "") for tech in ("direct", "did")),
    ("timer.periodic --tech none", "", "PREEMPTION_TIMER:1", "MSR_WRITE:1"),
    ("timer.periodic --tech none --features=-preemption-timer", "", "EXTERNAL_INTERRUPT:1", "MSR_WRITE:1"),
    ("timer.periodic --tech apic-timer --target halted", "HLT:1", "", ""),
    ("timer.periodic --tech apicv --features=+timer-posting,+hlt-in-guest", "", "", ""),
    ("timer.periodic --tech svm", "", "interrupt:1", "msr:1"),
])
def test_the_exits_of_a_timer_are_those_of_who_counts_for_it(virqsim, arguments, sender, target, eoi):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    counts = json.loads(said.out)["per_operation"]
    assert counts == {"sender": reasons(sender), "target": reasons(target), "eoi": reasons(eoi), "userspace_exits": 0}


@pytest.mark.parametrize(("target", "least_ns", "most_ns"), [
    ("running", 0, 10_000),
    ("if-off", 100_000 / 2.5, 100_000 / 2.5 + 10_000),  # the cycles until IF is set again, at 2.5 GHz
    ("preempted", 490_000, 510_000),  # the other half of the other thread's slice
])
@pytest.mark.parametrize("operation", ["timer.tsc_deadline", "timer.oneshot"])
def test_a_timer_expires_in_the_condition_that_is_asked_for(operation, target, least_ns, most_ns):
    latency = probe(Probe(operation, "none", target=target))["latency_ns"]
    assert least_ns < latency["p50"] <= latency["max"] < most_ns


# Direct interrupt delivery. What follows from the texts (docs/models/direct.md), part by part:
#   an ICR write exits, but where the guest has the physical ICR;
#   an assigned device's interrupt does not exit where its guest runs;
#   a virtual one is a kick: ELI's is #NP, Sekiyama's an NMI, both EXCEPTION_NMI; DID's is an interrupt and exits not;
#   what is injected opens a window first when IF is off, and its EOI exits; DID injects nothing;
#   a guest that is not running is left by nobody's interrupt; Sekiyama's HLT stays in the guest;
#   a timer that is passed through exits neither when it is armed nor when it expires.
NMI, EOI, WINDOW = {"EXCEPTION_NMI": 1}, {"MSR_WRITE": 1}, {"INTERRUPT_WINDOW": 1}
ICR = ARM = {"MSR_WRITE": 1}
TARGETS = ("running", "halted", "preempted", "if-off")
HAVE_ICR = ("--tech apicv --features=+ipi-passthrough", "--tech did --features=+direct-ipi")
DIRECT = [
    *((f"msi.passthrough --tech {tech} --target {target}", {}, {}, {})
      for tech in ("eli", "direct", "did") for target in ("running", "if-off")),
    ("msi.passthrough --tech eli --target halted", {}, {}, EOI),
    ("msi.passthrough --tech direct --target halted", {}, {}, {}),
    ("msi.passthrough --tech direct --target halted --features=-hlt-in-guest", {}, {}, EOI),
    ("msi.passthrough --tech did --target halted", {}, {}, {}),
    ("msi.passthrough --tech eli --target preempted", {}, {}, EOI),
    ("msi.passthrough --tech direct --target preempted", {}, {}, EOI),
    ("msi.passthrough --tech did --target preempted", {}, {}, {}),
    *((f"{operation} --tech {tech} --target {target}", sender, exits, EOI)
      for operation, sender in (("msi.irqfd", {}), ("ipi.unicast", ICR))
      for tech, target, exits in (("eli", "running", NMI), ("eli", "halted", {}), ("eli", "preempted", {}),
                                  ("eli", "if-off", NMI | WINDOW), ("direct", "running", NMI), ("direct", "halted", NMI),
                                  ("direct", "preempted", {}), ("direct", "if-off", NMI | WINDOW))),
    *((f"{operation} --tech did --target {target}", sender, {}, {})
      for operation, sender in (("msi.irqfd", {}), ("ipi.unicast", ICR)) for target in TARGETS),
    *((f"ipi.{kind} --tech {tech} --targets 3", ICR, {"EXCEPTION_NMI": 3}, {"MSR_WRITE": 3})
      for kind in ("logical", "all_but_self") for tech in ("eli", "direct")),
    *((f"ipi.{kind} --tech did --targets 3", ICR, {}, {}) for kind in ("logical", "all_but_self")),
    ("ipi.broadcast_loop --tech direct --targets 3", {"MSR_WRITE": 3}, {"EXCEPTION_NMI": 3}, {"MSR_WRITE": 3}),
    ("ipi.broadcast_loop --tech did --targets 3", {"MSR_WRITE": 3}, {}, {}),
    ("ipi.broadcast_pv --tech direct --targets 3 --features=+pv-ipi", {"VMCALL": 1}, {"EXCEPTION_NMI": 3}, {"MSR_WRITE": 3}),
    ("ipi.broadcast_pv --tech did --targets 3 --features=+pv-ipi", {"VMCALL": 1}, {}, {}),
    *((f"ipi.{kind} --tech {tech}", ICR, {}, eoi)
      for kind in ("self", "self_icr") for tech, eoi in (("eli", EOI), ("direct", EOI), ("did", {}))),
    # The guest has the physical ICR: by posting (Passthrough IPI), or directly.
    *((f"ipi.unicast {how} --target {target}", {}, {}, {}) for how in HAVE_ICR for target in TARGETS),
    *((f"ipi.{kind} {how}", {}, {}, {}) for how in HAVE_ICR for kind in ("self", "self_icr")),
    *((f"ipi.{kind} {how} --targets 3", {}, {}, {})
      for how in HAVE_ICR for kind in ("logical", "all_but_self", "broadcast_loop")),
    ("ipi.unicast --tech apicv --features=+ipi-passthrough --guest-apic xapic", {"APIC_WRITE": 1}, {}, {}),
    # A timer interrupt's three pairs of exit and entry (Sekiyama, LinuxCon 2012): set, fire, EOI. The second was an
    # interrupt of the host's before KVM had the preemption timer.
    *((f"timer.{kind} --tech none --features=-preemption-timer", ARM, {"EXTERNAL_INTERRUPT": 1}, EOI)
      for kind in ("tsc_deadline", "oneshot")),
    *((f"timer.{kind} --tech eli", ARM, {"PREEMPTION_TIMER": 1}, EOI) for kind in ("tsc_deadline", "oneshot")),
    *((f"timer.{kind} --tech {tech}", {}, {}, {}) for kind in ("tsc_deadline", "oneshot") for tech in ("direct", "did")),
    ("timer.tsc_deadline --tech direct --features=-direct-timer", ARM, {"PREEMPTION_TIMER": 1}, EOI),
    ("timer.tsc_deadline --tech direct --features=-direct-timer,-preemption-timer", ARM, NMI, EOI),
    # Without the EOI passed through only that is left; an xAPIC's EOI cannot be passed through.
    ("msi.passthrough --tech direct --features=-direct-eoi", {}, {}, EOI),
    ("msi.irqfd --tech did --features=-direct-eoi", {}, {}, EOI),
    ("msi.passthrough --tech did --guest-apic xapic", {}, {}, {"APIC_ACCESS": 1}),
    # The controllers that the hypervisor emulates: an edge is an interrupt like any; a level's EOI must be seen.
    ("ioapic.edge --tech did", {}, {}, {}),
    ("ioapic.level --tech did", {}, NMI, EOI),
    ("pic.master --tech did", {}, NMI, {"IO_INSTRUCTION": 4}),
]


@pytest.mark.parametrize(("arguments", "sender", "target", "eoi"), DIRECT, ids=[row[0] for row in DIRECT])
def test_direct_delivery_exits_where_its_texts_say(virqsim, arguments, sender, target, eoi):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    counts = json.loads(said.out)["per_operation"]
    assert counts == {"sender": sender, "target": target, "eoi": eoi, "userspace_exits": 0}



@pytest.mark.parametrize(("arguments", "exits"), [
    ("cpu.pause_loop --tech none", {}),
    ("cpu.pause_loop --tech none --features=+pause-loop-exiting", {"PAUSE_INSTRUCTION": 1}),
    ("cpu.pause_loop --tech ipiv --features=+pause-loop-exiting --profile haswell", {"PAUSE_INSTRUCTION": 1}),
    ("cpu.pause_loop --tech svm", {}),
    ("cpu.pause_loop --tech avic --features=+pause-filter", {"pause": 1}),
    ("cpu.mwait --tech none", {"MONITOR_INSTRUCTION": 1, "MWAIT_INSTRUCTION": 1}),
    ("cpu.mwait --tech svm", {"monitor": 1, "mwait": 1}),
    ("cpu.mwait --tech apicv --features=+mwait-in-guest", {}),
    ("cpu.mwait --tech x2avic --features=+mwait-in-guest", {}),
    ("cpu.hlt --tech x2avic --features=+idle-hlt", {"idle-halt": 1}),
    ("cpu.hlt --tech svm --features=+idle-hlt --irqchip split", {"idle-halt": 1}),
    ("lock.contended --tech none", {}),
    ("lock.contended --tech none --features=+pv-unhalt", {"HLT": 1}),
    ("lock.contended --tech svm --features=+pv-unhalt,+idle-hlt", {"idle-halt": 1}),
])
def test_what_a_guest_waits_with_exits_by_its_control_or_stays(virqsim, arguments, exits):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["per_operation"] == {"sender": exits, "target": {}, "eoi": {}, "userspace_exits": 0}


def test_every_operation_of_the_table_is_known_by_name():
    assert {row["probe"].split()[0] for row in ROWS} <= set(OPERATIONS)


@pytest.mark.parametrize(("arguments", "sender", "userspace"), [
    # Where the 8259A is, its ports are answered: in the kernel, or in QEMU.
    ("pio.kernel_device --tech none --irqchip userspace --guest-apic none", {"IO_INSTRUCTION": 1}, 1),
    ("pio.kernel_device --tech none --irqchip split", {"IO_INSTRUCTION": 1}, 1),
    ("pio.kernel_device --tech svm", {"io": 1}, 0),
    ("pio.user_device --tech x2avic", {"io": 1}, 1),
    ("pio.ioeventfd --tech svm --irqchip userspace --guest-apic xapic", {"io": 1}, 0),
    ("mmio.user_device --tech svm", {"npf": 1}, 1),
    ("mmio.user_device --tech none --features=-nested-paging", {"EXCEPTION_NMI": 1}, 1),
    ("mmio.ioeventfd --tech apicv", {"EPT_MISCONFIG": 1}, 0),
    ("mmio.ioeventfd --tech avic --guest-apic xapic", {"npf": 1}, 0),
])
def test_a_devices_access_leaves_the_guest_and_the_kernel_where_the_device_is(virqsim, arguments, sender, userspace):
    said = virqsim("probe", *arguments.split(), "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["per_operation"] == {"sender": sender, "target": {}, "eoi": {}, "userspace_exits": userspace}


@pytest.mark.parametrize(("arguments", "sender", "target", "eoi"), [
    ("--tech uintr", {}, {}, {}),
    ("--tech uintr --guest-apic xapic", {}, {}, {}),
    ("--tech uintr --target if-off", {}, {}, {}),
    ("--tech uintr --target halted", {}, {}, {}),
    ("--tech uintr --target preempted", {}, {}, {}),
    ("--tech uintr --irqchip split", {}, {}, {}),
    ("--tech ipiv --features=+user-interrupts", {}, {}, {}),
    ("--tech apicv --features=+user-interrupts", {"APIC_WRITE": 1}, {}, {}),
    ("--tech apicv --features=+user-interrupts --guest-apic xapic", {"APIC_WRITE": 1}, {}, {}),
    # Injected, a notification needs no EOI; what a sleeper's kernel does for it is the kernel's, EOI and self-IPI included.
    ("--tech none --features=+user-interrupts", {"APIC_WRITE": 1}, {"EXTERNAL_INTERRUPT": 1}, {}),
    ("--tech none --features=+user-interrupts --target halted", {"APIC_WRITE": 1}, {"MSR_WRITE": 1}, {"MSR_WRITE": 1}),
    ("--tech apicv --features=+user-interrupts --target halted", {"APIC_WRITE": 1}, {}, {}),
])
def test_a_user_interrupt_leaves_the_guest_as_the_control_bits_have_it(virqsim, arguments, sender, target, eoi):
    said = virqsim("probe", "ipi.user", *arguments.split(), "--json")
    assert said.status == 0, said.err
    document = json.loads(said.out)
    assert document["per_operation"] == {"sender": sender, "target": target, "eoi": eoi, "userspace_exits": 0}
    assert 0 < document["latency_ns"]["p50"]


def test_a_probe_is_one_document_of_a_fixed_form(virqsim):
    document = json.loads(virqsim("probe", "ipi.unicast", "--tech", "none", "--json").out)
    assert list(document) == ["operation", "technology", "guest_apic", "irqchip", "condition", "inhibit", "per_operation",
                              "latency_ns"]
    assert document["inhibit"] == []
    assert list(document["per_operation"]) == ["sender", "target", "eoi", "userspace_exits"]
    assert 0 < document["latency_ns"]["p50"] <= document["latency_ns"]["p99"] <= document["latency_ns"]["max"] * 1.032


def test_an_answer_says_what_inhibits(virqsim):
    words = ("probe", "msi.irqfd", "--tech", "avic", "--guest-apic", "xapic", "--inhibit", "PIT_REINJ", "--inhibit", "NESTED")
    assert json.loads(virqsim(*words, "--json").out)["inhibit"] == ["PIT_REINJ", "NESTED"]
    shown = virqsim(*words).out.splitlines()[0]
    assert shown == "msi.irqfd, avic, xapic, target running, inhibited by PIT_REINJ NESTED: exits of one operation"


def test_counts_do_not_depend_on_the_number_of_repetitions(virqsim):
    counts = [json.loads(virqsim("probe", "ipi.unicast", "--tech", "none", "--repetitions", n, "--json").out)["per_operation"]
              for n in (1, 7)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("arguments", "line"), [
    (["ipi.unicats", "--tech", "none"], "probe: operation: 'ipi.unicats' is unknown; did you mean ipi.unicast?"),
    (["ipi.unicast", "--tech", "apicw"], "probe: --tech: 'apicw' is unknown; did you mean apicv?"),
    (["ipi.unicast", "--tech", "none", "--features", "+pv-eio"], "features: 'pv-eio' is unknown; did you mean pv-eoi?"),
    (["ipi.unicast", "--tech", "none", "--features", "pv-eoi"], "features: 'pv-eoi': write +pv-eoi or -pv-eoi"),
    (["ipi.unicast", "--tech", "none", "--targets", "2"], "probe: --targets: ipi.unicast has one target at most"),
    (["ipi.self", "--tech", "none", "--target", "halted"], "probe: --target: ipi.self has no target to be halted"),
    *((["timer.periodic", "--tech", "none", "--target", target], f"probe: --target: timer.periodic has no target to be {target}")
      for target in ("preempted", "if-off")),
    (["ipi.unicast", "--tech", "none", "--guest-apic", "none"], "probe: --guest-apic: ipi.unicast needs a local APIC"),
    (["ipi.broadcast_pv", "--tech", "apicv"], "probe: ipi.broadcast_pv: needs --features=+pv-ipi"),
    (["ipi.unicast", "--tech", "avic", "--inhibit", "NESTD"], "probe: --inhibit: 'NESTD' is unknown; did you mean NESTED?"),
    *((["msi.irqfd", "--tech", tech, "--inhibit", "HYPERV"],
       f"probe: --inhibit: {tech} has neither APICv nor AVIC to be inhibited here") for tech in ("none", "svm", "eli", "epic-hw")),
    (["msi.irqfd", "--tech", "avic", "--features=-avic", "--inhibit", "SEV"],
     "probe: --inhibit: avic has neither APICv nor AVIC to be inhibited here"),
    *((["msi.irqfd", "--tech", tech, "--inhibit", "HYPERV", "--inhibit", "PIT_REINJ"],
       "probe: --inhibit: PIT_REINJ inhibits nothing on VMX (DISABLED, HYPERV, ABSENT, BLOCKIRQ, PHYSICAL_ID_ALIASED, "
       "APIC_ID_MODIFIED, APIC_BASE_MODIFIED do)") for tech in ("apicv", "logical-ipiv")),
    (["ipi.user", "--tech", "ipiv"], "probe: ipi.user: needs --features=+user-interrupts"),
    (["ipi.user", "--tech", "uintr", "--features=-user-interrupts"], "probe: ipi.user: needs --features=+user-interrupts"),
    (["ipi.user", "--tech", "x2avic", "--features=+user-interrupts"],
     "plan: features: user-interrupts is not a feature of SVM (x2avic)"),
    (["ipi.user", "--tech", "uintr", "--irqchip", "userspace", "--guest-apic", "xapic"],
     "plan: machine.vcpus[0].user_interrupts: needs a local APIC in the kernel"),
])
def test_options_that_make_no_sense_are_refused(refused, arguments, line):
    assert refused("probe", *arguments).startswith(line)


# The page's table of direct delivery

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models" / "direct.md"
OF_THE_PAGE = [*((operation, target) for operation in ("msi.passthrough", "msi.irqfd", "ipi.unicast")
                 for target in ("running", "halted", "preempted", "if-off")),
               *((operation, "running") for operation in ("ipi.self", "timer.tsc_deadline", "timer.oneshot"))]


def exits_in_words(operation, technology, target):
    counts = probe(Probe(operation, technology, target=target))["per_operation"]
    names = [reason for part in ("sender", "target", "eoi") for reason in counts[part]]
    return ", ".join(f"`{name}`" for name in names) or "none"


def test_the_page_on_direct_delivery_has_what_probe_counts():
    technologies = ("none", "eli", "direct", "did")
    rows = [("operation", "target", *(f"`{technology}`" for technology in technologies)), ("---",) * 6]
    rows += [(f"`{operation}`", target, *(exits_in_words(operation, technology, target) for technology in technologies))
             for operation, target in OF_THE_PAGE]
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    assert table in PAGE.read_text(), f"the table is\n{table}"
