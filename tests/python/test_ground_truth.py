"""The simulator's exits, operation by operation, against those of recorded KVM.

tests/data/ground_truth.csv has the recording, ground_truth.py the plans and the
tables of what differs or is not modelled.
"""

import ground_truth
import pytest

ROWS = ground_truth.rows()

# What ground_truth.csv has no row for, from the recording's notes: the number of the note,
# configuration, guest APIC, operation, condition, vCPU, exits of each operation.
NOTES = [
    (3, "vmx-apicv", "xapic", "ipi", "cli", "vcpu1", ""),
    (3, "vmx-apicv", "x2apic", "ipi_burst", "spin", "vcpu1", ""),
    (4, "svm-default", "xapic", "ipi", "cli", "vcpu1", "interrupt:1;vintr:1;npf:1"),
    (5, "vmx-apicv-hltnoexit", "xapic", "ipi", "hlt", "vcpu1", ""),
    (7, "vmx-apicv-split", "x2apic", "ioapic_level", "spin", "vcpu0", "EOI_INDUCED:1;IO_INSTRUCTION:1"),
    (9, "vmx-apicv-nopreempt", "x2apic", "tscd_fire_spin", "spin", "vcpu0", "EXTERNAL_INTERRUPT:1;MSR_WRITE:1"),
    (10, "svm-default", "x2apic", "cr8_mask_irq", "spin", "vcpu0", "msr:2;write_cr8:1"),
    (10, "vmx-noapicv", "x2apic", "cr8_mask_irq", "spin", "vcpu0", "MSR_WRITE:2;TPR_BELOW_THRESHOLD:1"),
    (10, "vmx-noapicv-noflexprio", "x2apic", "cr8_mask_irq", "spin", "vcpu0", "MSR_WRITE:2;TPR_BELOW_THRESHOLD:1"),
    (10, "vmx-apicv", "x2apic", "cr8_mask_irq", "spin", "vcpu0", ""),
    (13, "vmx-noapicv", "x2apic", "nmi_ipi", "spin", "vcpu1", "EXTERNAL_INTERRUPT:1"),
    (13, "vmx-apicv", "x2apic", "nmi_ipi", "spin", "vcpu1", "EXTERNAL_INTERRUPT:1"),
    (13, "svm-default", "x2apic", "nmi_ipi", "spin", "vcpu1", "interrupt:1;iret:1"),
    (14, "vmx-noapicv-userirqchip", "x2apic", "pic_master", "spin", "vcpu0",
     "EXTERNAL_INTERRUPT:1;PREEMPTION_TIMER:1;IO_INSTRUCTION:5"),
    (14, "vmx-noapicv-nopreempt-userirqchip", "x2apic", "pic_master", "spin", "vcpu0",
     "EXTERNAL_INTERRUPT:2;IO_INSTRUCTION:5"),
    (14, "svm-userirqchip", "x2apic", "pic_master", "spin", "vcpu0", "interrupt:2;io:5"),
    (17, "vmx-noapicv-pveoi", "x2apic", "ipi", "spin", "vcpu1", "EXTERNAL_INTERRUPT:1"),
    (17, "svm-pveoi", "x2apic", "ipi", "spin", "vcpu1", "interrupt:1"),
]
COLUMNS = ("configuration", "guest_apic", "operation", "condition", "vcpu", "exits_per_operation")


def those(holds):
    return pytest.mark.parametrize("row", [row for row in ROWS if holds(row)], ids=ground_truth.name)


def modelled(row):
    return not ground_truth.reason_not_modelled(row)


@those(lambda row: modelled(row) and not ground_truth.reason_for_difference(row))
def test_an_operation_costs_the_exits_that_kvm_recorded(row):
    assert ground_truth.agree(row, here := ground_truth.simulated(row)), here


@those(lambda row: modelled(row) and ground_truth.reason_for_difference(row))
def test_a_difference_that_is_explained_is_still_one(row):
    assert not ground_truth.agree(row, ground_truth.simulated(row))


@pytest.mark.parametrize("note", NOTES, ids=lambda note: "/".join(map(str, note[:6])))
def test_an_operation_costs_the_exits_that_the_recordings_notes_say(note):
    row = dict(zip(COLUMNS, note[1:], strict=True))
    assert ground_truth.agree(row, here := ground_truth.simulated(row)), here


@pytest.mark.parametrize("configuration", ["svm-default", "vmx-noapicv"])
@pytest.mark.parametrize("guest_apic", ["xapic", "x2apic"])
def test_each_vector_of_a_burst_takes_a_kick_or_a_window(configuration, guest_apic):
    """Note 4: which of the two depends on whether the target keeps up with the sender."""
    row = dict(zip(COLUMNS, (configuration, guest_apic, "ipi_burst", "spin", "vcpu1", ""), strict=True))
    exits = ground_truth.simulated(row)
    ways_in = [exits.get(reason, 0) for reason in ("EXTERNAL_INTERRUPT", "INTERRUPT_WINDOW", "interrupt", "vintr")]
    assert 4 - ground_truth.NOISE <= sum(ways_in) <= 4.6


def test_every_operation_of_the_recording_is_modelled_or_says_why_not():
    unknown = {row["operation"] for row in ROWS if modelled(row)} - {*ground_truth.OPERATIONS}
    assert unknown == set()


def test_every_reason_not_to_model_a_row_applies_to_some():
    used = {ground_truth.reason_not_modelled(row) for row in ROWS} - {None}
    assert used == {why for _, why in ground_truth.NOT_MODELLED}
