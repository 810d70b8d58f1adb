"""Elbrus: what an interception hands over and gets back, as the trace has it."""

import pytest

from virqsim import Hypervisor, Machine, Plan, Program, VirqsimError, drivers, profiles, runner
from virqsim import trace as vqt


def traced(tmp_path, program, technology="epic-hw", vcpu=0, chipset=None):
    """The words of the trace about interceptions, of a machine where this is a vCPU's program."""
    machine = Machine("epic", chipset=chipset)
    for n in range(vcpu):
        machine.vcpu(Program(f"other{n}").compute(1))
    machine.vcpu(program)
    plan = Plan("test", machine, Hypervisor(halt_poll_ns=0)).resolve(profiles.load("elbrus-16c"), technology)
    runner.run(plan, folder=tmp_path / "run", trace=True)
    trace = vqt.read(tmp_path / "run" / "trace.vqt")
    names = ("VM_EXIT", "INTERCEPTED", "COMPLETED")
    return [f"{trace.events[r['event']]} {trace.words(r['event'], r['a'], r['b'])}" for r in trace.records
            if r["where"] == vcpu and trace.events[r["event"]] in names]


@pytest.mark.parametrize("vcpu", [0, 17])
def test_a_guest_reads_its_own_cores_number(tmp_path, vcpu):
    number = vcpu >> 4 << 8 | vcpu & 15
    words = traced(tmp_path, Program("guest").cpuid(), vcpu=vcpu)
    assert words == ["VM_EXIT cu:rr_idr operation qualification 0x0 by cpuid", f"COMPLETED value {number:#x} register"]


def test_causes_are_handled_in_kvms_order_and_the_register_is_completed(tmp_path):
    words = traced(tmp_path, drivers.wide(Program("guest"), "cu:exc_mem_error", "cu:rr_idr", "mu:gpa_data", "mu:tlb_page_flush_last"))
    assert words[0].startswith("VM_EXIT mu:gpa_data operation")
    assert words[1:] == ["INTERCEPTED mu:gpa_data cause 0", "INTERCEPTED mu:tlb_page_flush_last cause 1",
                         "INTERCEPTED cu:rr_idr cause 2", "INTERCEPTED cu:exc_mem_error cause 3",
                         "COMPLETED value 0x0 register"]


def test_a_load_from_an_emulated_controller_is_completed_with_what_it_holds(tmp_path):
    program = drivers.ioepic_route(Program("guest"), 9, 0x2A5, 0)
    program.mmio_read(drivers.IOEPIC + 0x9024, 4).apic_read(0x10)
    words = traced(tmp_path, program, technology="epic-sw", chipset="ioepic-v2")
    completed = [word for word in words if word.startswith("COMPLETED")]
    assert completed == ["COMPLETED value 0x2a5 entry 0x103", "COMPLETED value 0x0 entry 0x103"]


def test_with_virtualization_nothing_of_the_cepic_is_completed_by_kvm(tmp_path):
    assert traced(tmp_path, Program("guest").apic_read(0x10)) == []


def test_a_cause_without_a_handler_ends_the_run():
    machine = Machine("epic")
    machine.vcpu(drivers.wide(Program("guest"), "cu:rr_idr", "cu:hcem").compute(1))
    plan = Plan("test", machine, Hypervisor()).resolve(profiles.load("elbrus-16c"), "epic-hw")
    document = runner.run(plan).document
    assert document["state"] == "broken"
    assert document["broken"] == "the host gave up: vcpu 0 left its guest by cu:hcem, for which KVM has no handler"
    assert [(row["reason"], row["count"]) for row in document["exits"]] == [("cu:rr_idr", 1)]


@pytest.mark.parametrize(("causes", "message"), [
    (["cu:nothing"], "wide: 'cu:nothing' is no cause of an instruction's"),
    (["cu:wait_trap"], "wide: 'cu:wait_trap' is no cause of an instruction's"),
    (["mu:gpa_data"] * 12, "wide: 12 entries of INTC_INFO_MU are too many"),
])
def test_what_no_instruction_has_is_refused(causes, message):
    with pytest.raises(VirqsimError, match=message):
        drivers.wide(Program("guest"), *causes)
