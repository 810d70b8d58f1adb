"""QEMU's serial port in the machine: what Linux does for a line of text, and what it costs."""

import copy

import pytest
from virqsim import Machine, Plan, Program, VirqsimError, drivers, profiles, runner
from virqsim.library import Simulation

VECTOR, INPUT = 0x25, 4


def written(text, technology="none", irqchip="kernel"):
    """The results of a guest that writes a text once, each interrupt's handler in its turn."""
    machine = Machine("xapic", chipset="82093aa")
    machine.serial(machine.line("serial", INPUT))
    done = machine.word("done")
    main = drivers.serial_start(Program("main").setup(True))
    drivers.ioapic_route(main, INPUT, VECTOR)
    drivers.serial_write(main.setup(False)).halt_until(done, 2)
    handlers = [drivers.serial_transmit(Program("transmit").eoi(), text).word_add(done),
                drivers.serial_nothing(Program("nothing").eoi()).word_add(done)]
    machine.vcpu(main, {VECTOR: handlers})
    return runner.run(Plan("serial", machine).resolve(profiles.load("skylake-sp"), technology))


@pytest.mark.parametrize("technology", ["none", "apicv", "svm", "x2avic"])
@pytest.mark.parametrize("text", [b"a", b"fifteen letters", b"sixteen letters."])
def test_a_text_costs_seven_exits_and_one_for_each_byte_as_recorded(text, technology):
    """on1_ide: IER; IIR, LSR, MSR, the bytes, IER, IIR; and IIR again, for the edge that came meanwhile."""
    results = written(text, technology)
    assert results.document["state"] == "ended", results.document["broken"]
    users = results.userspace_exits
    assert users[users["cause"] != "setup"]["count"].sum() == 7 + len(text)
    assert results.accounting["delivered"].sum() == 2


def resolved():
    machine = Machine("xapic", chipset="82093aa")
    machine.serial(machine.line("serial", INPUT))
    machine.device("message", "msi", 0, 65)
    machine.vcpu(Program("main").compute(10))
    return copy.deepcopy(Plan("serial", machine).resolve(profiles.load("unit")))


@pytest.mark.parametrize(("keys", "line"), [
    ({"device": 1}, "plan: machine.serial.device: 1 is no device with a line"),
    ({"device": 2}, "plan: machine.serial.device: 2 is no device with a line"),
    ({"base": 65535}, "machine.serial.base"),
    ({"colour": 1}, "colour"),
])
def test_a_wrong_serial_port_is_refused_with_its_place(keys, line):
    plan = resolved()
    plan["machine"]["serial"].update(keys)
    with pytest.raises(VirqsimError) as refused, Simulation(plan):
        pass
    assert line in str(refused.value)


def test_the_fifo_takes_sixteen_bytes():
    with pytest.raises(VirqsimError, match=r"^serial_transmit: 17 bytes are not 1 to 16$"):
        drivers.serial_transmit(Program("p"), bytes(17))
