"""How a run ends that does not end well, and what `virqsim run` says then."""

import pytest

SCENARIO = """'''How does it end?'''
from virqsim import Machine, Parameter, Plan, Program, drivers
PARAMETERS = {}
def plan(p):
    machine, guest = Machine(%r), Program("guest").compute(100)
    %s
    machine.vcpu(guest.compute(100), {48: Program("on").eoi().unmask().epic_ipi(48, 0)} if %r == "epic" else {})
    return Plan("end", machine, technology=%r)
"""


@pytest.mark.parametrize(("technology", "controller", "acts", "status", "said"), [
    ("epic-hw", "epic", 'drivers.wide(guest, "cu:hcem")', 1,
     "the host gave up: vcpu 0 left its guest by cu:hcem, for which KVM has no handler"),
    ("epic-hw", "epic", "guest.epic_ipi(48, 0)", 1, "the guest crashed: vcpu 0: its handlers nest more than"),
    ("apicv", "x2apic", "guest.unknown_exit()", 0, "ended: vCPU 0 stopped the VM by KVM_EXIT_UNKNOWN"),
    ("apicv", "x2apic", "guest.opaque_mmio(0xFEBF0000)", 0, "ended: vCPU 0 stopped the VM by KVM_EXIT_INTERNAL_ERROR"),
])
def test_each_end_has_its_own_words(virqsim, tmp_path, technology, controller, acts, status, said):
    (tmp_path / "end.py").write_text(SCENARIO % (controller, acts, controller, technology))
    shown = virqsim("run", "end.py", "--out", "out")
    assert shown.status == status
    assert said in (shown.err if status else shown.out) and "law" not in shown.out + shown.err
