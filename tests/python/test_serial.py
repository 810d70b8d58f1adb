"""QEMU's serial port in the machine: what Linux does for a line of text, and what it costs."""

import copy

import pytest
from virqsim import Machine, Plan, Program, Scenario, VirqsimError, drivers, profiles, run, runner
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


def test_the_fifo_takes_one_to_sixteen_bytes():
    with pytest.raises(VirqsimError, match=r"^serial_transmit: fifo: 17 is not in 1\.\.16$"):
        drivers.serial_transmit(Program("p"), bytes(17), 17)
    with pytest.raises(VirqsimError, match=r"^serial_print: there is nothing to write$"):
        drivers.serial_print(Program("p"), b"")


def lines(technology="none", **parameters):
    scenario, costs = Scenario.load("console_output"), profiles.load("skylake-sp")
    results = run("console_output", technology=technology, **parameters)
    assert results.document["state"] == "ended", results.document["broken"]
    return scenario.report(results, scenario.values(parameters, costs.clocks)).iloc[0]


@pytest.mark.parametrize(("length", "fifo", "exits"), [
    (16, "on", 1 + 3 + 16 + 2 + 1), (17, "on", 1 + 2 * 3 + 17 + 2 + 1), (64, "on", 1 + 4 * 3 + 64 + 2 + 1),
    (16, "off", 1 + 16 * 3 + 16 + 2 + 1)])
@pytest.mark.parametrize("technology", ["none", "apicv", "x2avic"])
def test_a_line_of_a_programs_is_a_look_at_three_registers_for_what_the_transmitter_takes(technology, length, fifo, exits):
    row = lines(technology, length=length, fifo=fifo, lines=3)
    assert row["to_userspace"] * length == pytest.approx(exits, abs=0.01 * length)
    assert row["interrupts_per_line"] == 2


@pytest.mark.parametrize(("length", "fifo", "exits"), [(64, "on", 2 + 4 + 64 + 2), (64, "off", 2 + 2 * 64 + 2)])
def test_a_message_of_the_kernels_needs_no_interrupt(length, fifo, exits):
    row = lines(how="printk", length=length, fifo=fifo, lines=3)
    assert row["exits_per_line"] == exits
    assert row["interrupts_per_line"] == 0


def test_the_fifo_saves_most_of_what_is_not_a_character():
    with_it, without = lines(), lines(fifo="off")
    assert with_it["exits_per_character"] < 1.5 < 4 < without["exits_per_character"]
    assert with_it["us_per_character"] < without["us_per_character"] / 2


@pytest.mark.parametrize("irqchip", ["kernel", "split", "userspace"])
def test_wherever_the_controllers_stand_every_line_is_written(irqchip):
    assert lines(irqchip=irqchip, lines=4)["interrupts_per_line"] == 2
