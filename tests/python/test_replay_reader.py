"""Traces are read in every form that a tool writes, or refused in one line that names the place."""

import gzip
import os
import subprocess
from pathlib import Path

import pytest
from replay_files import FORMS, ROOT, recordings, trace
from virqsim import VirqsimError
from virqsim.replay import lines, payloads, reader, reasons, tracedat
from virqsim.replay.lines import Lines

# The story that every file of trace_forms/ tells in its own words.
STORY = [
    ("kvm_entry", {}),
    ("kvm_exit", {"reason": "EXTERNAL_INTERRUPT"}),
    ("kvm_inj_virq", {"irq": 0x31, "reinjected": False}),
    ("kvm_entry", {}),
    ("kvm_exit", {"reason": "MSR_WRITE"}),
    ("kvm_eoi", {"vector": 49}),
    ("kvm_msr", {"access": "write", "msr": 0x80b, "value": 0}),
    ("kvm_entry", {}),
    ("kvm_exit", {"reason": "IO_INSTRUCTION"}),
    ("kvm_pio", {"access": "write", "port": 0x80, "size": 1}),
]
GOOD = (FORMS / "tracefs_5_flags.txt").read_text()


@pytest.mark.parametrize("form", sorted(path.name for path in FORMS.glob("*.txt")))
def test_every_form_tells_the_same_story(form):
    events = reader.read(FORMS / form).events
    assert [event.name for event in events] == [name for name, _ in STORY]
    for event, (_, fields) in zip(events, STORY, strict=True):
        assert {key: event.fields[key] for key in fields} == fields
        assert event.vcpu == 0


def test_new_and_old_two_word_exits_give_the_same_host_vector():
    for form in ("tracefs_5_flags", "plugin_names_two_words", "trace_cmd_report_raw", "folded_behind_the_time"):
        kick = reader.read(FORMS / f"{form}.txt").events[1]
        assert kick.fields["intr_info"] & 0xff == 0xfd, form


def test_nanoseconds_and_microseconds_are_both_kept():
    assert reader.read(FORMS / "trace_cmd_report.txt").events[0].time_ns == 500_000_010_001
    assert reader.read(FORMS / "perf_script.txt").events[0].time_ns == 500_000_010_000


@pytest.mark.parametrize("recorded, normal", [
    ("PENDING_INTERRUPT", "INTERRUPT_WINDOW"), ("EXIT_INTR", "interrupt"), ("EXIT_VINTR", "vintr"),
    ("EXIT_MSR", "msr"), ("EXIT_IOIO", "io"), ("EXIT_NPF", "npf"), ("EXIT_EXCP_GP", "GP excp"),
    ("EXIT_AVIC_INCOMPLETE_IPI", "avic_incomplete_ipi"), ("apic_access", "APIC_ACCESS"),
    ("hlt", "hlt"), ("HLT", "HLT"), ("VMRESUME FAILED_VMENTRY", "VMRESUME"), ("UNKNOWN (99)", "UNKNOWN (99)"),
])
def test_a_reason_has_one_name(recorded, normal):
    assert reasons.normal(recorded) == normal


@pytest.mark.parametrize("name", recordings())
def test_the_lines_of_a_recording_add_up_to_its_own_header(name):
    read = trace(name)
    assert read.header.exits
    assert sum(read.exits().values()) == sum(read.header.exits.values())


def test_gzip_is_read_through(tmp_path):
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(GOOD.encode()))
    assert len(reader.read(tmp_path / "t.txt.gz").events) == len(STORY)


def refused(tmp_path, content, name="t.txt"):
    """The line that says why; it begins with the file."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(VirqsimError) as error:
        reader.read(path)
    text = str(error.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text.removeprefix(str(path))


def line_of(text, word):
    return next(number for number, line in enumerate(text.split("\n"), 1) if word in line)


def test_a_file_cut_in_the_middle_of_a_line_is_refused(tmp_path):
    end = GOOD.rindex("kvm_pio") + len("kvm_pio: pio_write at 0x8")
    said = refused(tmp_path, GOOD[:end])
    assert said.startswith(f":{line_of(GOOD, 'kvm_pio')}:") and "cut short" in said


def test_a_file_cut_in_the_words_of_an_exit_is_refused(tmp_path):
    end = GOOD.rindex("intr_info")
    said = refused(tmp_path, GOOD[:end])
    assert said.startswith(f":{line_of(GOOD, 'IO_INSTRUCTION')}:") and "cut short" in said


def test_a_cut_gzip_file_is_refused(tmp_path):
    assert "cut short" in refused(tmp_path, gzip.compress(GOOD.encode())[:-40], "t.txt.gz")


@pytest.mark.parametrize("loss", ["CPU:1 [LOST 23 EVENTS]", "CPU:0 [EVENTS DROPPED]", "CPU:0 [7 EVENTS DROPPED]"])
def test_lost_events_are_never_replayed_over(tmp_path, loss):
    lines = GOOD.split("\n")
    lines.insert(14, loss)
    said = refused(tmp_path, "\n".join(lines))
    assert said.startswith(f":15: {loss}") and "larger buffer" in said


@pytest.mark.parametrize("dots", ["...", " ...", "[...]"])
def test_an_excerpt_with_something_left_out_is_refused(tmp_path, dots):
    lines = GOOD.split("\n")
    lines.insert(15, dots)
    assert refused(tmp_path, "\n".join(lines)).startswith(":16: part of the trace was left out")
    assert len(reader.read_events(tmp_path / "t.txt").events) == len(STORY)


def test_overwritten_events_are_refused(tmp_path):
    said = refused(tmp_path, GOOD.replace("10/10", "10/25"))
    assert said.startswith(":3:") and "15 of 25" in said


def test_binary_input_is_refused(tmp_path):
    said = refused(tmp_path, GOOD.encode() + b"\x00\xff\x00")
    assert "binary" in said


@pytest.mark.parametrize("status, said", [(3, "install libtracecmd1"), (1, "cut short or is damaged"),
                                          (-11, "cut short or is damaged")])
def test_a_trace_dat_that_cannot_be_read_names_its_cure(tmp_path, monkeypatch, status, said):
    child = tmp_path / "child"
    child.write_text("#!/bin/sh\n" + (f"exit {status}" if status >= 0 else f"kill {status} $$") + "\n")
    child.chmod(0o755)
    monkeypatch.setattr(tracedat.sys, "executable", str(child))
    assert said in refused(tmp_path, b"\x17\x08\x44tracing7\0" + bytes(40), "trace.dat")


def test_zstd_is_read_through_and_a_cut_file_refused(tmp_path):
    (tmp_path / "t.txt").write_text(GOOD)
    packed = subprocess.run(["zstd", "-qc", tmp_path / "t.txt"], stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "t.txt.zst").write_bytes(packed)
    assert len(reader.read(tmp_path / "t.txt.zst").events) == len(STORY)
    assert "cut short" in refused(tmp_path, packed[:-20], "cut.zst")
    assert "zstd file is damaged" in refused(tmp_path, packed[:9] + b"\xff" * 20, "bad.zst")


def test_gzip_members_follow_each_other(tmp_path):
    middle = GOOD.index("\n", len(GOOD) // 2) + 1
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(GOOD[:middle].encode()) + gzip.compress(GOOD[middle:].encode()))
    assert len(reader.read(tmp_path / "t.txt.gz").events) == len(STORY)


@pytest.mark.parametrize("form", sorted(path.name for path in FORMS.glob("*.txt")))
@pytest.mark.parametrize("size", [1, 7, 64])
def test_pieces_of_any_length_give_the_same_lines(form, size):
    text = (FORMS / form).read_bytes()
    pieces = [text[n:n + size] for n in range(0, len(text), size)]
    assert list(Lines(pieces)) == list(Lines([text]))


@pytest.mark.parametrize("line, thread, process", [
    (" qemu 77/78 [001] 3.0: kvm_entry: vcpu 0", 78, 77),  # perf script -F pid,tid
    (" a/5 77/78 [001] 3.0: kvm_entry: vcpu 0", 78, 77),
    (" kworker/5 [001] 3.0: kvm_entry: vcpu 0", None, None),
    (" /78 [001] 3.0: kvm_entry: vcpu 0", None, None),
    (" qemu-77 (4100) [001] .... 3.0: kvm_entry: vcpu 0", 77, 4100),  # the trace option record-tgid
    (" qemu-77 (-----) [001] .... 3.0: kvm_entry: vcpu 0", 77, None),
    (" qemu-77 [001] .... 3.0: kvm_entry: vcpu 0", 77, None),
    (" qemu 9999999999/78 [001] 3.0: kvm_entry: vcpu 0", None, None),
])
def test_a_thread_and_its_process_are_told_apart(line, thread, process):
    (found,) = Lines([line.encode() + b"\n"])
    assert (found.pid, found.process) == (thread, process)


@pytest.mark.parametrize("line, expected", [
    (" CPU 0/KVM-4100  [003] d..1.  500.000010: kvm_entry: vcpu 7", ("CPU 0/KVM", 4100, 3, 500_000_010_000, "kvm_entry", "vcpu 7")),
    (" kworker/5:2-eve 429543 [005] 1.000000001:  kvm:kvm_set_irq: gsi 4", ("kworker/5:2-eve", 429543, 5, 10**9 + 1, "kvm_set_irq", "gsi 4")),
    (" a [b] c-1 [000] 2.5: kvm_eoi: apicid 0", ("a [b] c", 1, 0, 2_500_000_000, "kvm_eoi", "apicid 0")),
    (" qemu 77/78 [001] 3.0: kvm_entry: vcpu 0", ("qemu", 78, 1, 3 * 10**9, "kvm_entry", "vcpu 0")),
    (" qemu-77 (4100) [001] .... 3.0: kvm_entry: vcpu 0", ("qemu", 77, 1, 3 * 10**9, "kvm_entry", "vcpu 0")),
    ("87162647182125: kvm_halt_poll_ns: vcpu 0", ("", None, None, 87162647182125, "kvm_halt_poll_ns", "vcpu 0")),
    ("  kvm_exit:   reason HLT", ("", None, None, None, "kvm_exit", "reason HLT")),
    ("kvm_exit: reason HLT", None),  # prose may begin so
    (" Kvm_exit: x", None), (" note:well", None), (" 12: ", None), ("x [001] 99999999999999999999.0: kvm_entry: y", None),
])
def test_a_line_is_taken_apart(line, expected):
    (found,) = Lines([line.encode() + b"\n"])
    assert (found.kind == lines.EVENT) == (expected is not None)
    if expected:
        assert (found.task, found.pid, found.cpu, found.time_ns, found.event, found.payload) == expected


def test_a_trace_dat_of_each_version_is_read():
    folder = Path(os.environ.get("VIRQSIM_LINUX_TRACES", ROOT.parent / "shared" / "data" / "linux_traces"))
    packed = sorted(folder.glob("*.dat.gz")) if folder.is_dir() else []
    if not packed:
        pytest.skip("no folder of recordings with trace.dat; VIRQSIM_LINUX_TRACES names one")
    for path in packed:
        text = trace(path.name.removesuffix(".dat.gz"))
        assert reader.read(path).exits() == text.exits()


def test_a_perf_data_names_its_cure(tmp_path):
    assert "perf script -i FILE" in refused(tmp_path, b"PERFILE2" + bytes(40), "perf.data")


def test_a_trace_without_exits_is_refused(tmp_path):
    kept = "\n".join(line for line in GOOD.split("\n") if "kvm_exit" not in line)
    assert "no kvm_exit events" in refused(tmp_path, kept)


def test_a_text_that_is_no_trace_is_refused(tmp_path):
    assert "no trace events" in refused(tmp_path, "Dear list,\nmy guest hangs.\n")


def test_an_empty_and_a_missing_file_are_refused(tmp_path):
    assert refused(tmp_path, "") == ": is empty"
    with pytest.raises(VirqsimError, match="No such file"):
        reader.read(tmp_path / "missing")


def test_an_unreadable_payload_names_its_line(tmp_path):
    said = refused(tmp_path, GOOD.replace("IRQ 0x31", "IRQ ???"))
    assert said.startswith(f":{line_of(GOOD, 'kvm_inj_virq')}: kvm_inj_virq: cannot read 'IRQ ???'")


def test_a_header_that_counts_otherwise_is_refused(tmp_path):
    head = "# exits by reason in this file: MSR_WRITE=2; IO_INSTRUCTION=1\n"
    said = refused(tmp_path, head + GOOD)
    assert said.startswith(":1:") and "MSR_WRITE=2, the lines 1" in said


def public_traces():
    folder = Path(os.environ.get("VIRQSIM_PUBLIC_TRACES", ROOT.parent / "shared" / "data" / "public_traces"))
    return sorted(folder.glob("*.txt")) if folder.is_dir() else []


@pytest.mark.skipif(not public_traces(), reason="no folder of public traces; VIRQSIM_PUBLIC_TRACES names one")
def test_every_public_trace_is_read():
    for path in public_traces():
        assert reader.read_events(path).events, path


@pytest.mark.parametrize("payload, event, fields", [
    ("icr_low=251 dest_id=1", "kvm_apic_ipi", {"vector": 251, "dst": 1, "mode": "Fixed", "shorthand": "dst"}),
    ("icr_low=262400 dest_id=1a", "kvm_apic_ipi", {"vector": 0, "dst": 26, "mode": "LowPrio", "shorthand": "self"}),
    ("apicid=a dm=1024 tm=0 vec=2", "kvm_apic_accept_irq", {"apicid": 10, "mode": "NMI", "trigger": "edge"}),
    ("apicid=0 dm=0 tm=32768 vec=36", "kvm_apic_accept_irq", {"vector": 36, "trigger": "level"}),
    ("chip=0 pin=3 elcr=8 imr=247 coalesced=0", "kvm_pic_set_irq", {"trigger": "level", "masked": False}),
    ("chip=1 pin=2 elcr=8 imr=4 coalesced=1", "kvm_pic_set_irq", {"trigger": "edge", "masked": True, "coalesced": True}),
    ("e=98342 pin=3 coalesced=0", "kvm_ioapic_set_irq", {"vector": 38, "trigger": "level", "masked": True, "pin": 3}),
    ("address=4276097024 data=16435", "kvm_msi_set_irq", {"dst": 1, "vector": 51, "trigger": "edge"}),
    ("write=1 ecx=80b data=0x0 exception=0", "kvm_msr", {"msr": 0x80b, "value": 0}),
    ("write=1 ecx=2059 data=0x0 exception=0", "kvm_msr", {"msr": 0x80b}),  # of an older trace-cmd
    ("write=0 ecx=6e0 data=0x0 exception=1", "kvm_msr", {"msr": 0x6e0, "access": "read", "failed": True}),
    ("irqchip=1 pin=4", "kvm_ack_irq", {"irqchip": "PIC slave", "pin": 4}),
    ("ns=59580473 waited=1 valid=1", "kvm_vcpu_wakeup", {"how": "wait", "ns": 59580473}),
])
def test_raw_members_are_read_as_their_text_is(payload, event, fields):
    found = payloads.parse(event, payload)
    assert {key: found[key] for key in fields} == fields
