"""The trace reader and the exports, on a trace written here by hand."""

import csv
import json
import random
import shutil
import subprocess
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from vcd import reader as vcd
from vcd.reader import TokenKind

from virqsim import Machine, Plan, Program, icr, profiles, runner
from virqsim import trace as vqt
from virqsim.export import WRITERS, export

EVENTS = ["RAISED", "ROUTED", "PENDING", "HANDLER", "EOI", "RETIRED", "VM_EXIT", "VM_ENTRY", "VCPU_STATE"]
HEADER = {
    "plan_hash": "0", "technology": "none", "core_hz": 1, "tsc_hz": 1,
    "events": [{"name": name, "a": "a", "b": "b", "meaning": ""} for name in EVENTS],
    "exit_reasons": ["HLT", "MSR_WRITE"],
    "states": ["OUT", "GUEST", "HANDLING", "BLOCKED"],
    "causes": ["operation", "delivery", "acknowledge", "handler", "host"],
    "sources": ["ipi", "timer", "msi"], "held": ["IRR"], "refused": [], "notify": [], "inject": [], "kvm_exits": [],
}
US = 1_000_000  # picoseconds
NOWHERE = vqt.NOWHERE

# vCPU 1 halts; vCPU 0 and then a device interrupt it; its first EOI exits, inside the handler.
RECORDS = [
    (0, 0, "VCPU_STATE", 0, 0, 1), (0, 0, "VCPU_STATE", 1, 0, 1),
    (1 * US, 0, "VM_EXIT", 1, 0, 0), (1 * US, 0, "VCPU_STATE", 1, 1, 2), (2 * US, 0, "VCPU_STATE", 1, 2, 3),
    (3 * US, 1, "RAISED", 0, 48, 0), (3 * US, 1, "ROUTED", 1, 48, 0), (3 * US, 1, "PENDING", 1, 48, 0),
    (4 * US, 0, "VCPU_STATE", 1, 3, 2), (5 * US, 0, "VCPU_STATE", 1, 2, 1), (5 * US, 1, "HANDLER", 1, 48, 0),
    (6 * US, 2, "RAISED", NOWHERE, 64, 2 << 32), (6 * US, 3, "ROUTED", 1, 64, 2 | NOWHERE << 32), (6 * US, 3, "PENDING", 1, 64, 0),
    (7 * US, 3, "HANDLER", 1, 64, 0), (8 * US, 3, "RETIRED", 1, 64, 0),
    # The state changes before the reason is told: both orders must do.
    (9 * US, 0, "VCPU_STATE", 1, 1, 2), (9 * US, 0, "VM_EXIT", 1, 1 | 2 << 16, 0x80B),
    (10 * US, 0, "VCPU_STATE", 1, 2, 1), (11 * US, 1, "RETIRED", 1, 48, 0), (12 * US, 0, "VM_ENTRY", 0, vqt.NO_VECTOR, 0),
]


@pytest.fixture
def run(tmp_path):
    records = np.array([(ps, flow, EVENTS.index(name), where, a, b) for ps, flow, name, where, a, b in RECORDS],
                       vqt.RECORD)
    header = json.dumps(HEADER).encode()
    header += b" " * (-(12 + len(header)) % 32)
    (tmp_path / "trace.vqt").write_bytes(vqt.MAGIC + len(header).to_bytes(4, "little") + header + records.tobytes())
    return tmp_path


def slices(events, tid, pid=1):
    """(name, begin, end, depth) of a track, checking that ends match begins."""
    stack, done, last = [], [], 0.0
    for event in events:
        if event["ph"] not in "BE" or (event["pid"], event["tid"]) != (pid, tid):
            continue
        assert event["ts"] >= last
        last = event["ts"]
        if event["ph"] == "B":
            stack.append(event)
        else:
            begin = stack.pop()
            assert begin["name"] == event["name"]
            done.append((begin["name"], begin["ts"], event["ts"], len(stack)))
    assert not stack
    return sorted(done, key=lambda s: (s[1], s[3]))


def timeline(run):
    return json.loads(export(run, "perfetto").read_text())["traceEvents"]


def test_a_host_thread_has_a_track_of_its_own(tmp_path):
    machine = Machine()
    machine.vcpu(Program("main").compute(10**6))
    machine.work(machine.thread("vhost", pin=1), at_ns=[1000], cycles=5000)
    runner.run(Plan("threads", machine).resolve(profiles.load("unit")), folder=tmp_path / "run", trace=True)
    events = [e for e in json.loads(export(tmp_path / "run", "perfetto").read_text())["traceEvents"] if e["pid"] == 2]
    assert [e["args"]["name"] for e in events if e["ph"] == "M"] == ["host", "vhost 0"]
    assert [name for name, *_ in slices(events, tid=1, pid=2)] == ["READY", "on CPU 1"]


def test_a_track_nests_handlers_in_the_guest_and_states_in_exits(run):
    assert slices(timeline(run), tid=2) == [
        ("GUEST", 0, 1, 0),
        ("HLT", 1, 5, 0), ("HANDLING", 1, 2, 1), ("BLOCKED", 2, 4, 1), ("HANDLING", 4, 5, 1),
        ("GUEST", 5, 9, 0), ("handler 0x30", 5, 9, 1), ("handler 0x40", 7, 8, 2),
        ("MSR_WRITE", 9, 10, 0), ("HANDLING", 9, 10, 1),
        ("GUEST", 10, 12, 0), ("handler 0x30", 10, 11, 1),
    ]


def test_an_arrow_leads_from_who_raised_an_interrupt_to_its_handler(run):
    ends = defaultdict(dict)
    for event in timeline(run):
        if event["ph"] in "sf":
            ends[event["id"]][event["ph"]] = (event["tid"], event["ts"])
    assert ends == {1: {"s": (1, 3), "f": (2, 5)}, 3: {"s": (10000, 6), "f": (2, 7)}}


def test_a_local_apic_shows_what_is_requested_and_what_is_in_service(run):
    assert slices(timeline(run), tid=1, pid=3) == [
        ("IRR 0x30", 3, 5, 0), ("ISR 0x30", 5, 6, 0), ("IRR 0x40 ISR 0x30", 6, 7, 0), ("ISR 0x30,0x40", 7, 8, 0),
        ("ISR 0x30", 8, 11, 0)]


def test_tracks_have_names_and_devices_have_their_own(run):
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in timeline(run) if e["name"] == "thread_name"}
    assert names == {(1, 0): "all vCPUs", (1, 1): "vCPU 0", (1, 2): "vCPU 1", (3, 0): "local APIC of vCPU 0",
                     (3, 1): "local APIC of vCPU 1", (3, 10000): "msi 0"}
    assert {e["args"]["name"] for e in timeline(run) if e["name"] == "process_name"} == {"guest (none)", "controllers"}


def test_every_arrow_begins_and_ends_in_a_slice_and_passes_the_local_apic(tmp_path):
    """As Perfetto's trace processor binds them: to the slice that is open on the track when the event comes."""
    machine = Machine()
    machine.vcpu(Program("sender").compute(9000).ipi(icr(48), 1).compute(9000), {64: Program("on_nic").eoi()})
    machine.vcpu(Program("target").halt_until(0, 1), {48: Program("on_ipi").eoi().word_add(0)})
    machine.device("nic", "msi", 0, 64, 0, [3000, 3100])
    runner.run(Plan("arrows", machine).resolve(profiles.load("unit")), folder=tmp_path / "run", trace=True)
    events = json.loads(export(tmp_path / "run", "perfetto").read_text())["traceEvents"]
    depth, steps = defaultdict(int), defaultdict(list)
    for event in sorted((e for e in events if "ts" in e), key=lambda e: e["ts"]):
        track = event["pid"], event["tid"]
        depth[track] += {"B": 1, "E": -1}.get(event["ph"], 0)
        if event["ph"] in "stf":
            assert depth[track] > 0, event
            steps[event["id"]].append((event["ph"], *track))
    assert len(steps) == 3
    assert [("s", 1, 1), ("t", 3, 1), ("f", 1, 2)] in steps.values()
    assert sum(path == [("s", 3, 10000), ("t", 3, 0), ("f", 1, 1)] for path in steps.values()) == 2


@pytest.mark.skipif(not shutil.which("trace_processor_shell"), reason="Perfetto's trace_processor_shell is not installed")
def test_perfettos_trace_processor_reads_it(run, tmp_path):
    (tmp_path / "query.sql").write_text("select name, value from stats where severity = 'error' and value > 0;\n")
    said = subprocess.run(["trace_processor_shell", "-q", tmp_path / "query.sql", export(run, "perfetto")],
                          capture_output=True, text=True, check=True)
    assert said.stdout.strip().splitlines()[1:] == []


def test_the_counter_says_how_many_interrupts_wait(run):
    counts = [(e["ts"], e["args"]["interrupts"]) for e in timeline(run) if e["ph"] == "C"]
    assert counts == [(3, 1), (5, 0), (6, 1), (7, 0)]


def test_csv_has_names_and_words_and_no_vcpu_for_devices(run):
    with export(run, "csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(RECORDS)
    assert [r["vcpu"] for r in rows if r["event"] == "RAISED"] == ["0", ""]
    assert [r["words"] for r in rows if r["event"] == "VM_EXIT"] == [
        "HLT operation qualification 0x0", "MSR_WRITE acknowledge qualification 0x80b"]


def test_parquet_says_what_csv_says(run):
    table = pd.read_parquet(export(run, "parquet"))
    assert table["ps"].tolist() == [r[0] for r in RECORDS]
    assert table["event"].tolist() == [r[2] for r in RECORDS]
    assert table["words"].tolist() == pd.read_csv(export(run, "csv"), keep_default_na=False)["words"].tolist()


def test_ftrace_has_the_lines_that_kvm_would_have_printed(run):
    lines = [line for line in export(run, "ftrace").read_text().splitlines() if not line.startswith("#")]
    assert [line.partition(": ")[2].split(" ")[0] for line in lines] == [
        "kvm_exit:", "kvm_msi_set_irq:", "kvm_apic_accept_irq:", "kvm_exit:"]
    assert lines[0].startswith("       CPU 1/KVM-1001  [000] .....     0.000001000: kvm_exit: vcpu 1 reason HLT ")


def waveform(path):
    """Signal, by its path, to its values: (time in ps, value), as pyvcd reads the file."""
    names, values, scope, at = {}, defaultdict(list), [], 0
    with path.open("rb") as file:
        for token in vcd.tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scope.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scope.pop()
                case TokenKind.VAR:
                    names[token.var.id_code] = ".".join([*scope, token.var.reference])
                case TokenKind.CHANGE_TIME:
                    at = token.time_change
                case TokenKind.CHANGE_SCALAR:
                    values[names[token.scalar_change.id_code]].append((at, token.scalar_change.value))
                case TokenKind.CHANGE_VECTOR:
                    values[names[token.vector_change.id_code]].append((at, token.vector_change.value))
                case TokenKind.CHANGE_STRING:
                    values[names[token.string_change.id_code]].append((at, token.string_change.value))
    assert not scope
    return values


def in_us(changes):
    return [(at // US, value) for at, value in changes]


def test_vcd_shows_states_and_the_vector_in_service(run):
    shown = waveform(export(run, "vcd"))
    assert in_us(shown["virqsim.vcpu1.handler"]) == [(0, 0), (5, 48), (7, 64), (8, 48), (11, 0)]
    assert in_us(shown["virqsim.vcpu1.state"]) == [
        (0, "GUEST"), (1, "HANDLING"), (2, "BLOCKED"), (4, "HANDLING"), (5, "GUEST"), (9, "HANDLING"), (10, "GUEST")]
    assert in_us(shown["virqsim.vcpu1.guest"]) == [(0, "0"), (0, "1"), (1, "0"), (5, "1"), (9, "0"), (10, "1")]


def test_vcd_has_a_bit_for_each_vector_that_is_requested_and_in_service(run):
    shown = waveform(export(run, "vcd"))
    bits = {name.removeprefix("virqsim.vcpu1."): in_us(values)[1:] for name, values in shown.items() if ".v" in name
            and name.startswith("virqsim.vcpu1.i")}
    assert bits == {"irr.v30": [(3, "1"), (5, "0")], "isr.v30": [(5, "1"), (11, "0")],
                    "irr.v40": [(6, "1"), (7, "0")], "isr.v40": [(7, "1"), (8, "0")]}
    assert in_us(shown["virqsim.devices.msi0_0"]) == [(6, "1")]


def test_vcd_shows_a_posted_interrupt_pass_from_the_descriptor_to_the_apic(tmp_path):
    machine = Machine()
    machine.vcpu(Program("sender").compute(9000).ipi(icr(48), 1))
    machine.vcpu(Program("target").compute(90_000), {48: Program("on_ipi").compute(500).eoi()})
    plan = Plan("posted", machine, technology="apicv").resolve(profiles.load("skylake-sp"))
    runner.run(plan, folder=tmp_path / "run", trace=True)
    shown = waveform(export(tmp_path / "run", "vcd"))
    pir, irr, isr = ([at for at, _ in shown[f"virqsim.vcpu1.{name}.v30"][1:]] for name in ("pir", "irr", "isr"))
    assert pir[0] < pir[1] == irr[0] <= irr[1] == isr[0] < isr[1]
    assert [value for _, value in shown["virqsim.vcpu1.pir.v30"]] == ["0", "1", "0"]


@pytest.mark.skipif(not shutil.which("vcd2fst"), reason="GTKWave's tools are not installed")
def test_gtkwaves_tools_keep_every_signal_and_every_change(tmp_path):
    machine = Machine()
    machine.vcpu(Program("sender").compute(9000).ipi(icr(48), 1), {64: Program("on_nic").eoi()})
    machine.vcpu(Program("target").halt_until(0, 1), {48: Program("on_ipi").eoi().word_add(0)})
    machine.device("a card", "msi", 0, 64, 0, [3000])
    runner.run(Plan("waves", machine).resolve(profiles.load("unit")), folder=tmp_path / "run", trace=True)
    mine = export(tmp_path / "run", "vcd")
    subprocess.run(["vcd2fst", mine, tmp_path / "wave.fst"], check=True, capture_output=True)
    (tmp_path / "back.vcd").write_bytes(
        subprocess.run(["fst2vcd", tmp_path / "wave.fst"], check=True, capture_output=True).stdout)
    here, there = waveform(mine), waveform(tmp_path / "back.vcd")
    assert "virqsim.devices.a_card_0" in here
    for name, values in here.items():
        if ".state" not in name and ".cpu" not in name:
            assert [v for v in there[name] if v[0]] == [v for v in values if v[0]], name
    assert [v for v in there["virqsim.vcpu1.state"]][-1] == here["virqsim.vcpu1.state"][-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run whose trace is to be damaged."""
    machine = Machine()
    machine.vcpu(Program("sender").compute(9000).ipi(icr(48), 1).port_out(0x80, 1, 1), {64: Program("on_nic").eoi()})
    machine.vcpu(Program("target").halt_until(0, 1), {48: Program("on_ipi").eoi().word_add(0)})
    machine.device("nic", "msi", 0, 64, 0, [3000])
    folder = tmp_path_factory.mktemp("whole") / "run"
    runner.run(Plan("whole", machine).resolve(profiles.load("unit")), folder=folder, trace=True)
    return folder


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_trace_is_exported_or_refused_in_one_line(whole, tmp_path, seed):
    draw = random.Random(seed)
    data = bytearray((whole / "trace.vqt").read_bytes())
    records = 12 + int.from_bytes(data[8:12], "little")
    for _ in range(draw.randint(1, 3)):
        data[draw.randrange(records, len(data))] = draw.randrange(256)
    (tmp_path / "trace.vqt").write_bytes(data)
    for to in WRITERS:
        try:
            export(tmp_path, to)
        except ValueError as error:
            assert "\n" not in str(error)
            assert str(tmp_path / "trace.vqt") in str(error)


def test_a_record_that_names_what_the_header_has_not_is_refused_by_its_number(whole, tmp_path):
    trace = vqt.read(whole / "trace.vqt")
    data = bytearray((whole / "trace.vqt").read_bytes())
    at = int(np.argmax(trace.records["event"] == trace.number["PENDING"]))
    place = len(data) - 32 * (len(trace.records) - at)
    data[place + 24] = 99  # where it is held
    (tmp_path / "trace.vqt").write_bytes(data)
    with pytest.raises(ValueError, match=f"is damaged: record {at} is a PENDING with a number that means nothing"):
        export(tmp_path, "csv")


def test_a_folder_without_a_trace_and_a_file_that_is_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such trace"):
        export(tmp_path, "csv")
    (tmp_path / "trace.vqt").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a virqsim trace"):
        export(tmp_path, "csv")
    assert [p.name for p in tmp_path.iterdir()] == ["trace.vqt"]


def test_an_unknown_format_is_refused_with_the_known_ones(run):
    with pytest.raises(ValueError, match="perfetto, ftrace, trace.dat, vcd, csv, parquet, stats.txt"):
        export(run, "gif")


def test_a_trace_that_was_cut_short_is_refused(run):
    whole = (run / "trace.vqt").read_bytes()
    for length, line in ((20, "its header is damaged"), (len(whole) - 5, "has 27 of its 32 bytes")):
        (run / "trace.vqt").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=line):
            export(run, "csv")


def test_an_export_that_fails_leaves_nothing(run, monkeypatch):
    def fail(trace, path, plan):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, "csv", (".csv", fail))
    before = sorted(run.iterdir())
    with pytest.raises(OSError):
        export(run, "csv")
    assert sorted(run.iterdir()) == before


def test_an_exit_names_the_operation_that_left_the_guest(tmp_path):
    guest = Program("guest").cpuid().port_out(0xE1).ipi(icr(48), 1).halt_until(0, 1)
    machine = Machine()
    machine.vcpu(guest, {49: Program("on_reply").eoi().word_add(0)})
    machine.vcpu(Program("other").halt_until(1, 1), {48: Program("on_ping").eoi().ipi(icr(49), 0).word_add(1)})
    plan = Plan("named", machine).resolve(profiles.load("unit"))
    runner.run(plan, folder=tmp_path / "run", trace=True)
    trace = vqt.read(tmp_path / "run" / "trace.vqt")
    exits = [(trace.exit_cause(r["a"]), trace.exit_operation(r["a"])) for r in trace.of("VM_EXIT") if r["where"] == 0]
    assert exits == [("operation", ("cpuid", 0)), ("operation", ("port_out", 0xE1)), ("operation", ("ipi", 48)),
                     ("operation", ("halt_until", 0)), ("acknowledge", ("eoi", 0))]
    delivery = [trace.exit_operation(r["a"]) for r in trace.of("VM_EXIT") if trace.exit_cause(r["a"]) == "delivery"]
    assert not any(delivery)
