"""What a guest demanded is told apart from what the recorded hardware charged."""

from collections import Counter

import pytest
from replay_files import replay, trace
from virqsim.replay import demand, reader, recorded


@pytest.mark.parametrize("name, technology, guest_apic, irqchip", [
    ("on2_ppong", "svm", "x2apic", "kernel"),
    ("xapic2_ppong", "svm", "xapic", "kernel"),
    ("split1_ide", "svm", "x2apic", "split"),
    ("off1_idle", "svm", "xapic", "userspace"),
    ("pic1_ide", "svm", "none", "kernel"),
    ("vmx_noapicv_x2apic_mixed_spin", "none", "x2apic", "kernel"),
    ("vmx_apicv_x2apic_mixed_spin", "apicv", "x2apic", "kernel"),
    ("vmx_apicv_xapic_ipi_hlt", "apicv", "xapic", "kernel"),
])
def test_the_recorded_technology_is_told_from_the_trace(name, technology, guest_apic, irqchip):
    found = recorded.detect(trace(name))
    assert (found.technology, found.guest_apic, found.irqchip) == (technology, guest_apic, irqchip)


def test_paravirtual_eois_are_a_feature_of_the_recording():
    assert recorded.detect(trace("on1_sleeps")).features == {"pv-eoi": True}
    assert recorded.detect(trace("svm_default_x2apic_ipi_spin")).features == {}


@pytest.mark.parametrize(("reason", "switched_off"), [
    ("EPT_VIOLATION", {"apic-access-page"}), ("EPT_MISCONFIG", {"apic-access-page", "apic-page-slot"}),
])
def test_how_an_access_left_tells_what_kvm_did_with_the_apic_page(tmp_path, reason, switched_off):
    line = " vcpu0-9 [001] d..1. 5.{:06}: {}\n".format
    path = tmp_path / "t.txt"
    path.write_text("# tracer: nop\n" + line(1, "kvm_entry: vcpu 0, rip 0x1") + line(
        2, f"kvm_exit: vcpu 0 reason {reason} rip 0x1 info1 0x182 info2 0x0 intr_info 0x0 error_code 0x0") + line(
        3, "kvm_apic: apic_write APIC_LVTERR = 0x31") + line(4, "kvm_entry: vcpu 0, rip 0x2"))
    features = recorded.detect(reader.read(path)).features
    assert {name for name, on in features.items() if not on} == switched_off


def steps(name):
    return [step for life in replay(name).demand.steps.values() for step in life]


def arrivals(name):
    return Counter((a.source, a.state) for step in steps(name) for a in step.arrivals)


def test_an_ipi_to_a_spinning_vcpu_met_it_in_the_guest():
    assert arrivals("svm_default_x2apic_ipi_spin") == {("ipi", "guest"): 200}


def test_an_ipi_to_a_halted_vcpu_met_it_blocked():
    assert arrivals("svm_default_x2apic_ipi_hlt") == {("ipi", "blocked"): 200}


def test_a_self_ipi_met_its_sender_in_the_host():
    assert arrivals("vmx_noapicv_x2apic_self_ipi_spin") == {("self", "host"): 100}


def test_a_posted_ipi_is_seen_though_its_target_never_left_the_guest():
    assert arrivals("vmx_apicv_x2apic_ipi_spin") == {("ipi", "guest"): 60}


def test_timers_are_told_from_devices():
    assert arrivals("vmx_noapicv_x2apic_lapict_fire_spin_spin") == {("timer", "guest"): 100}
    assert arrivals("svm_default_x2apic_msi_signal_spin") == {("device", "guest"): 200}
    assert arrivals("svm_default_x2apic_pic_master_spin") == {("extint", "guest"): 167}


def test_interrupts_that_waited_for_a_window_met_a_masked_guest():
    deliveries = [d for step in steps("vmx_noapicv_x2apic_ipi_cli") for d in step.deliveries]
    assert len(deliveries) == 100 and all(d.windowed for d in deliveries)


def test_every_delivery_finds_its_end():
    for name in ("on2_ppong", "pic1_ide", "xapic2_ppong", "svm_default_x2apic_mixed_spin"):
        open_ends = [d for step in steps(name) for d in step.deliveries if d.ended is None]
        assert len(open_ends) <= 2, name  # those that the recording's end cut off


def test_the_hosts_own_interrupts_are_what_no_interrupt_explains():
    # The header: vcpu0 call_function=3, call_function_single=1, timer_L1=1
    assert sum(step.noise for step in steps("svm_default_x2apic_ipi_spin")) == 5


def test_register_pairs_and_repeated_reads_are_one_operation():
    operations = Counter(step.operation[0] for step in steps("xapic2_ppong") if step.operation)
    assert operations["ipi"] == 63  # each an ICR2 and an ICR write
    assert "apic_write" not in operations


def test_what_is_hidden_is_said():
    notes = demand.extract(trace("vmx_apicv_x2apic_mixed_spin")).notes
    assert any("self-IPIs" in note for note in notes)
