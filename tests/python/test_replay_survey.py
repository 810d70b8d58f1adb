"""A survey counts what a replay's reader reads, says what stands in its way, and does not grow with the file."""

import json
import tracemalloc

import pytest
from replay_files import FORMS, TRACES, recordings, trace
from virqsim import VirqsimError
from virqsim.replay import reader, survey
from virqsim.replay.compare import by_reason

GOOD = (FORMS / "tracefs_5_flags.txt").read_text()


@pytest.mark.parametrize("name", recordings("on*") + recordings("vmx_apicv_x2apic*"))
def test_it_counts_what_the_reader_reads(name):
    read, found = trace(name), survey.survey(TRACES / f"{name}.txt.gz")
    assert sum(found.events.values()) == len(read.events)
    assert found.exits == {(event.vcpu, event.fields["reason"]): n for event, n in _counted(read)}
    assert found.seconds == pytest.approx((read.events[-1].time_ns - read.events[0].time_ns) / 1e9)
    assert found.obstacles == []


def _counted(read):
    exits = [event for event in read.events if event.name == "kvm_exit"]
    return [(event, sum((e.vcpu, e.fields["reason"]) == (event.vcpu, event.fields["reason"]) for e in exits))
            for event in {(e.vcpu, e.fields["reason"]): e for e in exits}.values()]


@pytest.mark.parametrize("form", sorted(path.name for path in FORMS.glob("*.txt")))
def test_every_form_is_counted(form):
    document = survey.survey(FORMS / form).document()
    assert document["exits"] == by_reason(reader.read(FORMS / form).exits())


def written(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    return survey.survey(tmp_path / "t.txt")


def test_time_is_the_guests_from_entry_to_exit(tmp_path):
    def line(us, event):
        return f" CPU 0/KVM-41 [000] d.... 5.{us:06}: {event}\n"
    found = written(tmp_path, line(1, "kvm_entry: vcpu 0, rip 0x1") + line(4, "kvm_exit: vcpu 0 reason HLT rip 0x1")
                    + line(14, "kvm_entry: vcpu 0, rip 0x1") + line(15, "kvm_exit: vcpu 0 reason HLT rip 0x1"))
    assert (found.guest_ns, found.host_ns) == (4000, 10000)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_of_any_length_count_the_same(tmp_path, monkeypatch, batch):
    whole = survey.survey(TRACES / "on2_ppong.txt.gz").document()
    monkeypatch.setattr("virqsim.replay.lines._BATCH", 1000 * batch + 1)
    assert survey.survey(TRACES / "on2_ppong.txt.gz").document() == whole


@pytest.mark.parametrize("change, said", [
    (lambda text: text.replace("10/10", "10/25"), "events were lost: line 3"),
    (lambda text: text + "CPU:1 [LOST 23 EVENTS]\n", "CPU:1 [LOST 23 EVENTS]"),
    (lambda text: text + "Processed 9 events and lost 3 chunks!\n", "lost 3 chunks"),
    (lambda text: text + text, "another recording begins in line 23"),
    (lambda text: text + text.replace("KVM-4100", "KVM-5200"), "several VMs: vCPU 0 is entered by threads 4100, 5200"),
    (lambda text: "\n".join(line for line in text.split("\n") if "kvm_exit" not in line), "no kvm_exit events"),
])
def test_what_keeps_it_from_being_replayed_is_said(tmp_path, change, said):
    found = written(tmp_path, change(GOOD))
    assert any(said in sentence for sentence in found.obstacles), found.obstacles
    assert "trace-cmd record -e kvm" in found.document()["record"]


def test_a_clock_that_jumps_back_is_said(tmp_path):
    lines = GOOD.split("\n")
    events = [n for n, line in enumerate(lines) if "kvm_" in line]
    lines[events[0]], lines[events[5]] = lines[events[5]], lines[events[0]]
    assert "jumps back" in " ".join(written(tmp_path, "\n".join(lines)).doubts)


def test_memory_does_not_grow_with_the_file(tmp_path):
    text = "".join(f" CPU 0/KVM-41 [000] d.... 5.{n:09}: kvm_exit: vcpu 0 reason HLT rip {n:#x} info1 0x0\n"
                   for n in range(30_000))
    peaks = []
    for times in (1, 8):
        path = tmp_path / f"{times}.txt"
        path.write_text(text * times)
        tracemalloc.start()
        survey.survey(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_command_counts_and_replays_nothing(virqsim, tmp_path):
    said = virqsim("replay", TRACES / "on1_ide.txt.gz", "--survey", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["exits"]["io"] == 1571
    shown = virqsim("replay", TRACES / "on1_ide.txt.gz", "--survey").out
    assert "in the guest" in shown and "1571" in shown


def test_prose_is_no_trace(tmp_path):
    with pytest.raises(VirqsimError, match="holds no trace events"):
        written(tmp_path, "Dear list,\n")
