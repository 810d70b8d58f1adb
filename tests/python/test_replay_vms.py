"""A trace of a host with several VMs: they are told apart, and each is replayed as if it had been recorded alone."""

import gzip
import re
from itertools import permutations

import pytest
from replay_files import TRACES
from virqsim import profiles
from virqsim.errors import VirqsimError
from virqsim.replay import reader
from virqsim.replay.compare import Replay, by_reason

ONE, TWO = "on1_blk", "on2_ppong"  # vCPU 0 alone; two vCPUs
THREAD = re.compile(r"^(\s*)(.*?)-(\d+)(\s+\[)")


def lines(name):
    with gzip.open(TRACES / f"{name}.txt.gz", "rt") as text:
        return [line for line in text if not line.startswith("#")]


def threads(name):
    return {int(THREAD.match(line)[3]) for line in lines(name)}


def seconds(line):
    return float(re.search(r" (\d+\.\d+): ", line)[1])


def interleaved(*recordings):
    """As if all had begun at the same time."""
    begin = seconds(recordings[0][0])
    moved = [[re.sub(r" (\d+\.\d+): ", lambda m: f" {float(m[1]) - since + begin:.6f}: ", line, count=1) for line in each]
             for each, since in ((each, seconds(each[0])) for each in recordings)]
    return sorted(sum(moved, []), key=seconds)


def written(folder, *recordings):
    path = folder / "host.txt"
    path.write_text("# tracer: nop\n" + "".join(interleaved(*recordings)))
    return path


def with_process(each, process):
    return [THREAD.sub(rf"\1\2-\3 ({process:7})\4", line) for line in each]


def as_perf(each, process):
    return [re.sub(r"^(\s*)(.*?)-(\d+)\s+(\[\d+\]) \S+ ", rf"\1\2 {process}/\3 \4 ", line) for line in each]


def alone(name, folder):
    path = folder / f"{name}.txt"
    path.write_text("# tracer: nop\n" + "".join(lines(name)))
    return path


@pytest.mark.parametrize("name, vm", [(ONE, max(threads(ONE))), (TWO, max(threads(TWO)))])
@pytest.mark.parametrize("named", [False, True])
def test_each_is_replayed_as_if_it_were_alone(name, vm, named, tmp_path):
    both = [with_process(lines(each), min(threads(each))) if named else lines(each) for each in (ONE, TWO)]
    read = reader.read(written(tmp_path, *both), vm=min(threads(name)) if named else vm)
    mine = reader.read(alone(name, tmp_path))
    assert [(e.name, e.pid, e.vcpu, e.fields) for e in read.events] == [(e.name, e.pid, e.vcpu, e.fields) for e in mine.events]
    assert ("record-tgid" in read.vm_note) == (not named)
    costs = profiles.load("skylake-sp")
    assert Replay(read, costs).under("apicv").by_reason == Replay(mine, costs).under("apicv").by_reason


def test_perfs_process_and_thread_tell_them_apart(tmp_path):
    path = written(tmp_path, as_perf(lines(ONE), 5000), as_perf(lines(TWO), 4000))
    assert by_reason(reader.read(path, vm=4000).exits()) == by_reason(reader.read(alone(TWO, tmp_path)).exits())


def test_without_a_choice_the_line_says_which_there_are(tmp_path, virqsim):
    path = written(tmp_path, lines(ONE), lines(TWO))
    one, two = (max(threads(ONE)), sorted(threads(TWO))[1])
    said = virqsim("replay", str(path))
    assert (said.status, said.out) == (2, "")
    assert said.err.strip() == (f"{path}: several VMs: {two} (2 vCPUs, 915 exits), {one} (1 vCPUs, 1143 exits); "
                                "choose one with --vm NUMBER")
    assert virqsim("anonymize", str(path), "--vm", str(one), "--out", str(tmp_path / "one.txt")).status == 0
    assert by_reason(reader.read(tmp_path / "one.txt").exits()) == by_reason(reader.read(alone(ONE, tmp_path)).exits())
    said = virqsim("replay", str(path), "--vm", "99999")
    assert said.status == 2 and f"no VM 99999; there are: {two} (" in said.err


def test_a_choice_of_the_only_one_is_that_one_and_of_another_none(tmp_path):
    path = alone(TWO, tmp_path)
    assert reader.read(path, vm=max(threads(TWO))).events == reader.read(path).events
    with pytest.raises(VirqsimError, match="no VM 77; there are: "):
        reader.read(path, vm=77)


def line(thread, event, at, process=None):
    named = f" ({process})" if process else ""
    return f"  qemu-{thread}{named} [000] .....  1.{at:06}: {event}\n"


def life(thread, vcpu, at, process=None):
    return [line(thread, f"kvm_entry: vcpu {vcpu}, rip 0x1", at, process),
            line(thread, f"kvm_exit: vcpu {vcpu} reason HLT rip 0x1 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0", at + 1, process)]


def test_threads_of_one_vm_may_be_met_in_any_order(tmp_path):
    path = tmp_path / "t.txt"
    for first, second, third in permutations((10, 11, 12)):
        path.write_text("".join([*life(first, 2, 1), *life(second, 1, 3), *life(third, 0, 5)]))
        assert len(reader.read(path).events) == 6


def test_a_vm_begins_where_a_vcpu_comes_again(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("".join([*life(10, 0, 1), *life(11, 1, 3), *life(20, 1, 5), *life(21, 0, 7), *life(30, 0, 9)]))
    for vm, threads in ((10, {10, 11}), (21, {20, 21}), (30, {30})):
        assert {event.pid for event in reader.read(path, vm=vm).events} == threads


def test_two_recordings_behind_each_other_are_no_two_vms(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("".join([*life(10, 0, 1, 9), *life(20, 0, 3, 9)]))
    with pytest.raises(VirqsimError, match=r"t.txt:3: vCPU 0 of process 9 is thread 20 here and thread 10 elsewhere"):
        reader.read(path)
    path.write_text("".join([*life(10, 0, 1), *life(10, 1, 3)]))
    with pytest.raises(VirqsimError, match=r"t.txt:3: thread 10 is vCPU 1 here and vCPU 0 before: two recordings"):
        reader.read(path)


@pytest.mark.parametrize("task, of", [("vhost-9-30", 10), ("vhost-19-8", 20), ("kvm-pit/9-31", 10), ("qemu-13", 10), ("qemu-18", 20),
                                      ("kworker/0:1-15", None)])
def test_whose_a_thread_is_that_is_no_vcpus(task, of, tmp_path):
    raised = f"  {task} [000] .....  1.000007: kvm_set_irq: gsi 4 level 1 source 0\n"
    path = tmp_path / "t.txt"
    path.write_text("".join([*life(10, 0, 1), *life(20, 0, 3), raised]))
    for vm in (10, 20):
        read = reader.read(path, vm=vm)
        assert [event.name for event in read.events].count("kvm_set_irq") == (vm == of)
        assert ("1 events of threads whose VM is not known" in read.vm_note) == (of is None)
