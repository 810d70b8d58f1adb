"""The replay's test of honesty: the same guest was recorded on several machines, and a replay of one
recording under another machine's technology must give what was recorded there."""

import pytest
from replay_files import replayed, trace
from virqsim import profiles
from virqsim.replay.compare import Replay, by_reason

NONE, APICV, SVM = "vmx_noapicv_x2apic_mixed_spin", "vmx_apicv_x2apic_mixed_spin", "svm_default_x2apic_mixed_spin"


def turns(read):
    """Indexes of vCPU 0's ping-pong IPIs: each begins a turn of `mixed`."""
    return [index for index in range(read.begin, read.end)
            if read.events[index].name == "kvm_msr" and read.events[index].vcpu == 0
            and read.events[index].fields["msr"] == 0x830]


def mixed(name, first_turns):
    """A recording of `mixed`, cut before a turn: two of them hold the same work, but for a line or two."""
    read = trace(name)
    read.end = turns(read)[first_turns]
    read.marker = None
    return read


def both(here, technology, there, undisturbed=False):
    """Exits of a replay, and of the recording on the machine that was replayed, over the same turns."""
    n = min(len(turns(trace(here))), len(turns(trace(there)))) - 1
    replay = Replay(mixed(here, n), profiles.load("skylake-sp"), undisturbed=undisturbed)
    return replay.under(technology).by_reason, by_reason(mixed(there, n).exits()), n


def off(one, other, ignoring=()):
    return {reason: one.get(reason, 0) - other.get(reason, 0)
            for reason in (one.keys() | other.keys()) - set(ignoring) if one.get(reason, 0) != other.get(reason, 0)}


def test_mixed_without_apicv_becomes_mixed_with_apicv():
    here, there, _ = both(NONE, "apicv", APICV)
    difference = off(here, there)
    assert difference.pop("EXTERNAL_INTERRUPT", 0) <= 1  # the recording's one tick of the host
    assert all(abs(n) <= 1 for n in difference.values()), difference  # where the cut falls


def test_mixed_with_apicv_becomes_mixed_without_but_for_what_apicv_hides():
    here, there, n = both(APICV, "none", NONE)
    difference = off(here, there)
    hidden = n // 8 * 2  # self-IPIs by MSR 83FH and their EOIs, of which APICv leaves no trace
    assert abs(difference.pop("MSR_WRITE") + hidden) <= 3
    assert difference.pop("EXTERNAL_INTERRUPT", 0) >= -1
    assert all(abs(n) <= 1 for n in difference.values()), difference


@pytest.mark.parametrize("technology, there", [("none", NONE), ("apicv", APICV)])
def test_mixed_on_amd_becomes_mixed_on_intel(technology, there):
    here, there, _ = both(SVM, technology, there, undisturbed=True)
    # The first touch of a device's page is its own reason on Intel only, and seen in the window there.
    here["EPT_MISCONFIG"] -= there.get("EPT_VIOLATION", 0)
    difference = off(here, there, ignoring=("EPT_VIOLATION",))
    assert all(abs(n) <= 2 for n in difference.values()), difference
    if technology == "apicv":
        assert "INTERRUPT_WINDOW" not in here


@pytest.mark.parametrize("name, technology, per_operation", [
    ("vmx_noapicv_x2apic_ipi_spin", "apicv", {"MSR_WRITE": 1}),
    ("vmx_noapicv_x2apic_ipi_spin", "ipiv", {}),
    ("vmx_noapicv_x2apic_ipi_cli", "apicv", {"MSR_WRITE": 1}),
    ("vmx_noapicv_x2apic_ipi_cli", "svm", {"msr": 2, "interrupt": 1, "vintr": 1}),
    ("vmx_noapicv_x2apic_self_ipi_spin", "apicv", {}),
    ("vmx_noapicv_x2apic_self_ipi_spin", "svm", {"msr": 2}),
    ("vmx_noapicv_x2apic_tscd_fire_hlt_spin", "apicv", {"MSR_WRITE": 1, "HLT": 1}),
    ("vmx_noapicv_x2apic_tscd_fire_hlt_spin", "svm", {"msr": 2, "hlt": 1}),
    ("vmx_noapicv_x2apic_lapict_fire_spin_spin", "svm", {"msr": 2, "interrupt": 1}),
    ("vmx_noapicv_x2apic_cr8_mask_irq_spin", "svm", {"msr": 2, "write_cr8": 1}),
    ("vmx_noapicv_x2apic_pic_master_spin", "apicv", {"IO_INSTRUCTION": 5, "EXTERNAL_INTERRUPT": 1}),
    ("vmx_apicv_x2apic_ipi_spin", "none", {"MSR_WRITE": 2, "EXTERNAL_INTERRUPT": 1}),
    ("vmx_apicv_x2apic_pingpong_spin", "none", {"MSR_WRITE": 4, "HLT": 2}),
    ("vmx_apicv_x2apic_tscd_fire_spin_spin", "svm", {"msr": 2, "interrupt": 1}),
    ("vmx_apicv_x2apic_ioapic_level_spin", "none", {"IO_INSTRUCTION": 1, "MSR_WRITE": 1, "EXTERNAL_INTERRUPT": 1}),
    ("vmx_apicv_xapic_ipi_hlt", "none", {"APIC_ACCESS": 3, "HLT": 1}),
    ("svm_default_x2apic_ipi_spin", "apicv", {"MSR_WRITE": 1}),
    ("svm_default_x2apic_ipi_hlt", "apicv", {"MSR_WRITE": 1, "HLT": 1}),
    ("svm_default_x2apic_msi_signal_spin", "apicv", {}),
])
def test_one_operation_costs_what_the_other_hardware_charged(name, technology, per_operation):
    # The counts are those of the recordings there: tests/data/ground_truth.csv.
    n = int(next(line for line in _labels(name) if line.startswith("N=")).removeprefix("N="))
    difference = off(replayed(name, technology), {reason: n * each for reason, each in per_operation.items()})
    noise = sum(difference.pop(reason, 0) for reason in ("EXTERNAL_INTERRUPT", "interrupt"))
    assert 0 <= noise <= 5  # the host's own interrupts stay what they were
    assert not difference


def _labels(name):
    """The words of the header that describe the operation."""
    import gzip

    from replay_files import TRACES

    with gzip.open(TRACES / f"{name}.txt.gz", "rt") as lines:
        return next(line for line in lines if line.startswith("# operation:")).split()
