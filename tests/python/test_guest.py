"""The assembler of guest programs, against what the core says that a guest can do."""

import inspect

import pytest
from virqsim import Program, VirqsimError, icr, library, logical_flat, logical_x2apic


def methods():
    own = {"operations", "follow"}
    return {name: method for name, method in vars(Program).items() if not name.startswith("_") and name not in own}


def test_every_operation_of_the_core_is_a_method_and_the_other_way_round():
    assert sorted(methods()) == sorted(library.names("guest_operations"))


@pytest.mark.parametrize("row", library.describe()["guest_operations"], ids=lambda row: row["name"])
def test_a_method_takes_the_operands_of_the_core(row):
    parameters = list(inspect.signature(methods()[row["name"]]).parameters)[1:]
    assert parameters == row["operands"]


@pytest.mark.parametrize("name", sorted(set(methods()) - {"end"}))
def test_a_method_writes_its_own_name_and_its_operands_in_order(name):
    program = Program("p")
    count = len(inspect.signature(methods()[name]).parameters) - 1
    getattr(program, name)(*range(1, count + 1))
    if name == "repeat":
        program.end()
    assert program.operations[0] == [name, *range(1, count + 1)]


def test_loops_nest_and_close_themselves():
    program = Program("p")
    with program.repeat(2):
        program.cpuid()
        with program.repeat(3):
            program.pause()
    assert program.operations == [["repeat", 2], ["cpuid"], ["repeat", 3], ["pause"], ["end"], ["end"]]


def test_an_open_loop_is_refused():
    program = Program("p")
    program.repeat(2)
    with pytest.raises(VirqsimError, match=r"^program p: 1 repeat without its end$"):
        program.operations


def test_an_end_without_a_loop_is_refused():
    with pytest.raises(VirqsimError, match=r"^program p: end: there is no repeat to close$"):
        Program("p").end()


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, "1", True, None])
def test_an_operand_must_be_a_whole_number_of_64_bits(value):
    with pytest.raises(VirqsimError, match=r"^program p: compute: cycles: .* is not a whole number"):
        Program("p").compute(value)


# SDM 3A "Interrupt Command Register (ICR)": vector 7:0, destination mode 11, shorthand 19:18.
@pytest.mark.parametrize(("value", "expected"), [
    (icr(0x30), 0x30),
    (icr(0x30, logical=True), 0x830),
    (icr(0x30, shorthand="self"), 0x40030),
    (icr(0x30, shorthand="all"), 0x80030),
    (icr(0x30, shorthand="all-but-self"), 0xC0030),
])
def test_an_icr_has_its_fields_where_the_manual_has_them(value, expected):
    assert value == expected


@pytest.mark.parametrize("vector", [15, 256])
def test_a_vector_that_no_ipi_can_carry_is_refused(vector):
    with pytest.raises(VirqsimError, match="cannot be sent"):
        icr(vector)


def test_a_logical_x2apic_destination_is_cluster_and_bit():
    assert logical_x2apic([0x21, 0x23]) == 0x2000A


def test_a_logical_x2apic_destination_reaches_one_cluster_only():
    with pytest.raises(VirqsimError, match="one cluster"):
        logical_x2apic([15, 16])


def test_a_flat_destination_is_a_bit_for_each_of_eight():
    assert logical_flat([0, 7]) == 0x81
    with pytest.raises(VirqsimError, match="8 logical IDs"):
        logical_flat([8])
