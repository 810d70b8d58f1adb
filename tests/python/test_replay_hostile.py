"""Traces that other people bring: cut, merged and filtered in ways that tools allow. A replay is what it would be of the
whole trace, or says what is missing, or is refused in one line."""

import gzip
import re

import pytest
from replay_files import FORMS, TRACES
from virqsim import profiles
from virqsim.errors import VirqsimError
from virqsim.replay import fidelity, lines, reader, unknown
from virqsim.replay.compare import Replay, by_reason
from virqsim.replay.lines import Lines

COSTS = profiles.load("skylake-sp")
GOOD = (FORMS / "tracefs_5_flags.txt").read_text()
TWO = "on2_ppong"


def recorded(name=TWO):
    with gzip.open(TRACES / f"{name}.txt.gz", "rt") as text:
        return [line for line in text if not line.startswith("#")]


def read(folder, said):
    path = folder / "t.txt"
    path.write_text("".join(said))
    return reader.read(path)


def refused(folder, said):
    with pytest.raises(VirqsimError) as error:
        read(folder, said)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(folder / "t.txt"))


def what(taken):
    return {row.what: (row.count, row.of) for row in unknown.find(taken.trace, taken.demand)}


# Order.


def test_cpus_that_stand_one_behind_the_other_are_merged(tmp_path):
    whole = recorded()
    cpus = {cpu: [line for line in whole if f"[{cpu}]" in line] for cpu in ("000", "001")}
    assert all(cpus.values())
    taken = Replay(read(tmp_path, [*cpus["001"], *cpus["000"]]), COSTS)
    assert "2 CPUs stand one behind the other" in taken.trace.header.order_note
    assert unknown.absent(taken.trace, False)[0] == taken.trace.header.order_note
    assert taken.under().by_reason == Replay(read(tmp_path, whole), COSTS).under().by_reason
    assert read(tmp_path, whole).header.order_note == ""


def test_clocks_that_differ_between_cpus_change_no_order(tmp_path):
    skewed = [re.sub(r"(\d+)(\.\d+: )", lambda m: str(int(m[1]) + 5) + m[2], line, count=1) if "[001]" in line else line
              for line in recorded()]
    given = read(tmp_path, skewed)
    assert [event.line for event in given.events] == sorted(event.line for event in given.events)


def test_lines_in_no_order_are_refused(tmp_path):
    assert "lines are in no order that can be replayed" in refused(tmp_path, recorded()[::-1])


def test_times_may_be_as_large_as_a_line_can_say(tmp_path):
    late = [re.sub(r" \d+(\.\d+: )", r" 18446744072\1", line, count=1) for line in recorded()[:200]]
    assert read(tmp_path, late).events[-1].time_ns > 2**63


def test_a_clock_that_jumps_once_is_said(tmp_path):
    whole = recorded()
    jumped = whole[:3000] + [re.sub(r"(\d+)(\.\d+: )", lambda m: str(int(m[1]) - 20) + m[2], line, count=1) for line in whole[3000:]]
    assert what(Replay(read(tmp_path, jumped), COSTS))["clock jumps back on a CPU"][0] == 2  # one on each


@pytest.mark.parametrize("begins", ["# tracer: nop\n", "cpus=2\n"])
def test_a_second_recording_in_the_file_is_refused(tmp_path, begins):
    whole = recorded()
    assert refused(tmp_path, [begins, *whole[:100], begins, *whole[200:]]).startswith(":102: another recording begins here")
    read(tmp_path, [begins, *whole])


# What was lost, or left out.


@pytest.mark.parametrize("said", ["  qemu   186 [001]   93.97: PERF_RECORD_LOST lost 12\n",
                                  "Processed 12345 events and lost 3 chunks!\n"])
def test_what_perf_lost_is_never_replayed_over(tmp_path, said):
    whole = recorded()
    assert refused(tmp_path, [*whole[:50], said, *whole[50:]]).startswith(f":51: {' '.join(said.split())}: events were lost")


def test_a_hole_is_seen_by_an_exit_without_an_entry(tmp_path):
    whole = recorded()
    left = [n for n, line in enumerate(whole) if "kvm_exit" in line and "-186 " in line]
    cut = whole[:left[20] + 1] + whole[left[40]:]
    (hole, count), = [item for item in what(Replay(read(tmp_path, cut), COSTS)).items() if "lines are missing" in item[0]]
    assert hole.endswith(f"first before line {left[20] + 2}")
    assert count[0] >= 1


@pytest.mark.parametrize("event", ["kvm_entry", "kvm_apic_ipi", "kvm_pv_eoi", "kvm_vcpu_wakeup", "kvm_apic:",
                                   "kvm_userspace_exit", "kvm_pio", "kvm_eoi", "kvm_set_irq", "kvm_msi_set_irq",
                                   "kvm_inj_virq"])
@pytest.mark.parametrize("name", [TWO, "xapic2_ppong", "vmx_noapicv_x2apic_mixed_spin"])
def test_a_kind_of_events_that_others_imply_may_be_missing(tmp_path, name, event):
    taken = Replay(read(tmp_path, [line for line in recorded(name) if event not in line]), COSTS)
    assert fidelity.of_outcome(taken, taken.under()).verdict == fidelity.RIGHT


@pytest.mark.parametrize("name", [TWO, "xapic2_ppong", "on1_ide", "svm_default_x2apic_ipi_hlt"])
def test_an_apics_own_line_stands_in_for_that_of_its_msr(tmp_path, name):
    taken = Replay(read(tmp_path, [line for line in recorded(name) if "kvm_msr" not in line]), COSTS)
    assert fidelity.of_outcome(taken, taken.under()).verdict == fidelity.RIGHT


@pytest.mark.parametrize("name, event", [("on1_ide", "kvm_msr"), (TWO, "kvm_apic_accept_irq"),
                                         ("svm_default_x2apic_ipi_hlt", "kvm_inj_virq")])
def test_it_says_which_kind_is_missing(tmp_path, name, event):
    taken = Replay(read(tmp_path, [line for line in recorded(name) if event not in line]), COSTS)
    assert any(said.startswith(f"no {event}, which other events imply") for said in unknown.absent(taken.trace, False))


def test_ipis_are_told_by_their_own_lines_where_nobody_says_who_was_offered_what(tmp_path):
    name = "svm_default_x2apic_ipi_hlt"
    taken = Replay(read(tmp_path, [line for line in recorded(name) if "kvm_apic_accept_irq" not in line]), COSTS)
    assert fidelity.of_outcome(taken, taken.under()).verdict == fidelity.RIGHT
    assert taken.under("ipiv").by_reason == Replay(read(tmp_path, recorded(name)), COSTS).under("ipiv").by_reason


@pytest.mark.parametrize("name", ["on1_blk", "on1_ide", "svm_default_x2apic_mixed_spin", "vmx_noapicv_x2apic_ipi_cli"])
def test_injections_that_were_not_recorded_are_where_they_were(tmp_path, name):
    def delivered(said):
        return [[[d.vector for d in step.deliveries] for step in life]
                for life in Replay(read(tmp_path, said), COSTS).demand.steps.values()]
    whole, implied = (delivered([line for line in recorded(name) if left_out not in line]) for left_out in ("#", "kvm_inj_virq"))
    steps = sum(map(len, whole))
    wrong = sum(a != b for one, other in zip(whole, implied, strict=True) for a, b in zip(one, other, strict=True))
    assert wrong <= 0.01 * steps


def test_nested_guests_are_said(tmp_path):
    nested = GOOD.replace("reason IO_INSTRUCTION", "reason VMRESUME").replace(
        "kvm_inj_virq: IRQ 0x31", "kvm_nested_vmexit: vcpu 0 reason CPUID rip 0x1 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0")
    rows = what(Replay(read(tmp_path, nested), COSTS))
    assert rows["signs of a guest's own guests (kvm_nested_*, VMRESUME, vmrun)"][0] == 2


def test_of_a_short_excerpt_no_verdict_is_worth_much(tmp_path, virqsim):
    (tmp_path / "t.txt").write_text(GOOD)
    assert "so few exits tell little" in virqsim("replay", str(tmp_path / "t.txt"), "--tech", "none").out
    assert "so few exits tell little" not in virqsim("replay", TRACES / "vmx_apicv_x2apic_ipi_spin.txt.gz", "--tech", "none").out


# Forms.


def test_a_clocks_count_is_said_to_be_taken_for_nanoseconds(tmp_path):
    counted = [re.sub(r" (\d+)\.(\d+): ", r" \1\2: ", line, count=1) for line in recorded()]
    count, of = what(Replay(read(tmp_path, counted), COSTS))["times without a fraction"]
    assert count == of == len(counted)
    (line,) = Lines([b"  kvm_entry: vcpu 0\n"])
    assert (line.kind, line.counted) == (lines.EVENT, False)


def test_todays_kernels_say_more_at_entries_and_exits(tmp_path):
    more = re.sub(r"(kvm_entry: vcpu 0, rip 0x\w+?)(\[|\n)", r"\1 intr_info 0x80000031 error_code 0x00000000\2", GOOD)
    more = re.sub(r"(kvm_exit: .* error_code 0x0+)", r"\1 requests 0x0000000000000020", more)
    assert more.count("intr_info 0x80000031") == 3 and more.count("requests") == 3
    assert [e.fields for e in read(tmp_path, more).events] == [e.fields for e in read(tmp_path, GOOD).events]


def test_a_form_that_is_not_known_names_those_that_are(tmp_path):
    without = re.sub(r"\[00\d\] +\S+ +\d+\.\d+: ", "", "".join(recorded()[:50]))
    assert "perf script -F comm,tid,cpu,time,event,trace can be read" in refused(tmp_path, re.sub(r"^\s+", "", without, flags=re.M))


def test_callchains_are_passed_over(tmp_path):
    chain = "\tffffffffc0a8b0d1 vcpu_enter_guest+0x1a1 ([kvm])\n\tffffffffc0a8c0d1 kvm_vcpu_ioctl+0x1 ([kvm])\n\n"
    taken = read(tmp_path, [line + chain for line in recorded()])
    assert by_reason(taken.exits()) == by_reason(read(tmp_path, recorded()).exits())
