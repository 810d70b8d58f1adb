"""A run as KVM's tracepoints: what the lines say, that trace-cmd reads the file, and that a replay of either
charges what the run charged."""

import ctypes
import json
import random
import shutil
import struct
import subprocess
from collections import Counter
from ctypes.util import find_library
from itertools import pairwise

import pytest

from virqsim import Hypervisor, Machine, Plan, Program, icr, library, profiles, runner
from virqsim import trace as vqt
from virqsim.export import export
from virqsim.replay import reader
from virqsim.replay.compare import Replay, by_reason
from virqsim.tracepoints import formats, tracedat
from virqsim.tracepoints.lines import Lines

PROFILE = profiles.load("skylake-sp")
needs_trace_cmd = pytest.mark.skipif(not shutil.which("trace-cmd"), reason="trace-cmd is not installed")


def run(plan, folder):
    return runner.run(plan.resolve(PROFILE), folder=folder, trace=True)


def lines(path):
    return [line.partition(": ")[2] for line in path.read_text().splitlines() if not line.startswith("#")]


def of_vcpu(path, number):
    who = f"CPU {number}/KVM-{1000 + number}"
    return [line.partition(": ")[2] for line in path.read_text().splitlines() if who in line]


def after_exit(path, number, reason):
    """What a vCPU's thread prints from its first exit for a reason to the next entry."""
    mine = of_vcpu(path, number)
    begin = next(n for n, line in enumerate(mine) if f"reason {reason} " in line)
    end = next(n for n, line in enumerate(mine) if n > begin and line.startswith("kvm_entry"))
    return mine[begin + 1:end]


def one(technology, *, guest_apic="x2apic", features=None):
    """vCPU 0 sends vCPU 1, which works, one interrupt, and leaves the guest in each way that has operands."""
    machine = Machine(guest_apic)
    machine.vcpu(Program("sender").compute(50_000).ipi(icr(48), 1).port_out(0x80, 1, 0x55).wrmsr(0x1b, 0xfee00900)
                 .mmio_write(0x1000, 4, 7).timer_mode(0xec, 2).compute(9000))
    machine.vcpu(Program("target").compute(400_000), {48: Program("handler").eoi()})
    return Plan("one", machine, technology=technology, features=features or {})


def test_an_exit_is_followed_by_what_kvm_prints_of_its_operands(tmp_path):
    run(one("none"), tmp_path / "run")
    path = export(tmp_path / "run", "ftrace")
    assert after_exit(path, 0, "MSR_WRITE") == [
        "kvm_apic: apic_write APIC_ICR = 0x100000030",
        "kvm_apic_ipi: dst 1 vec 48 (Fixed|physical|de-assert|edge|dst)",
        "kvm_apic_accept_irq: apicid 1 vec 48 (Fixed|edge)",
        "kvm_msr: msr_write 830 = 0x100000030"]
    assert after_exit(path, 0, "IO_INSTRUCTION") == [
        "kvm_pio: pio_write at 0x80 size 1 count 1 val 0x55 ", "kvm_userspace_exit: reason KVM_EXIT_IO (2)"]
    assert "kvm_msr: msr_write 1b = 0xfee00900" in lines(path)
    assert "kvm_mmio: mmio write len 4 gpa 0x1000 val 0x7" in lines(path)
    assert "kvm_apic: apic_write APIC_LVTT = 0x400ec" in lines(path)


def test_in_xapic_mode_an_ipi_is_two_writes_to_the_page_and_one_message(tmp_path):
    run(one("svm", guest_apic="xapic"), tmp_path / "run")
    said = of_vcpu(export(tmp_path / "run", "ftrace"), 0)
    assert [line for line in said if "ICR" in line] == [
        "kvm_apic: apic_write APIC_ICR2 = 0x1000000", "kvm_apic: apic_write APIC_ICR = 0x30"]
    assert sum(line.startswith("kvm_apic_ipi") for line in said) == 1


def test_an_injected_interrupt_and_its_eoi_are_lines_and_the_hardwares_own_are_not(tmp_path):
    for technology, injected, eois in (("none", 1, 1), ("apicv", 0, 0)):
        run(one(technology), tmp_path / technology)
        said = of_vcpu(export(tmp_path / technology, "ftrace"), 1)
        assert said.count("kvm_inj_virq: IRQ 0x30") == injected
        assert said.count("kvm_eoi: apicid 1 vector 48") == eois


def test_a_posted_interrupt_is_accepted_twice_as_kvm_says_it(tmp_path):
    run(one("apicv"), tmp_path / "run")
    said = lines(export(tmp_path / "run", "ftrace"))
    assert [line.partition(":")[0] for line in said if "accept_irq" in line] == ["kvm_apic_accept_irq", "kvm_apicv_accept_irq"]


def test_an_ipi_that_the_hardware_sends_leaves_no_line(tmp_path):
    run(one("ipiv"), tmp_path / "run")
    assert not [line for line in lines(export(tmp_path / "run", "ftrace")) if "ipi" in line or "accept" in line]


def test_a_paravirtual_eoi_is_seen_at_the_next_exit(tmp_path):
    for technology in ("none", "svm"):
        machine = Machine()
        machine.vcpu(Program("sender").compute(50_000).ipi(icr(48), 1))
        machine.vcpu(Program("target").compute(400_000).cpuid(), {48: Program("handler").eoi()})
        run(Plan("pv", machine, technology=technology, features={"pv-eoi": True}), tmp_path / technology)
        said = [line.partition(":")[0] for line in of_vcpu(export(tmp_path / technology, "ftrace"), 1)]
        at = said.index("kvm_pv_eoi")
        assert said[at - 2:at + 1] == ["kvm_exit", "kvm_eoi", "kvm_pv_eoi"]
        assert "cpuid" in of_vcpu(tmp_path / technology / "trace.txt", 1)[at - 2].lower()


def test_the_first_lines_give_kvms_parameters_the_machine_and_the_counts_of_exits(tmp_path):
    run(one("apicv", features={"preemption-timer": False}), tmp_path / "run")
    first, second, third = export(tmp_path / "run", "ftrace").read_text().splitlines()[:3]
    assert "kvm_intel.enable_apicv=Y" in first
    assert "kvm_intel.preemption_timer=N" in first
    assert second == "# virqsim machine: technology=apicv features=-preemption-timer guest_apic=x2apic irqchip=kernel"
    assert third.startswith("# exits by reason in this file: ")


# trace.dat


def test_a_record_has_its_fields_where_its_format_file_says():
    record = formats.TRACEPOINTS["kvm_msr"].pack(1234, 77, {"write": True, "ecx": 0x830, "data": 0x100000030, "exception": 1})
    assert struct.unpack_from("<HBBiIIQB", record) == (1234, 0, 0, 77, 1, 0x830, 0x100000030, 1)
    text = tracedat.format_file(formats.TRACEPOINTS["kvm_msr"])
    assert "field:u64 data;\toffset:16;\tsize:8;\tsigned:0;" in text
    assert len(record) % 4 == 0


def test_a_field_stands_where_the_compiler_would_put_it():
    assert [field.offset for field in formats.TRACEPOINTS["kvm_entry"].fields] == [8, 16]
    assert [field.offset for field in formats.TRACEPOINTS["kvm_inj_virq"].fields] == [8, 12, 13]


def test_no_two_cpus_hit_a_tracepoint_in_the_same_nanosecond(tmp_path):
    run(one("none"), tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    hits = list(Lines(vqt.read(tmp_path / "run" / "trace.vqt"), plan))
    assert len({hit.cpu for hit in hits}) > 1
    assert all(a.ns < b.ns if a.cpu != b.cpu else a.ns <= b.ns for a, b in pairwise(hits))


@needs_trace_cmd
@pytest.mark.parametrize("raw", [[], ["-R"], ["-N"]])
def test_trace_cmd_reports_as_many_events_as_the_text_has_lines(tmp_path, raw):
    run(random_plan(3), tmp_path / "run")
    report = subprocess.run(["trace-cmd", "report", "-t", *raw, "-i", export(tmp_path / "run", "trace.dat")],
                            capture_output=True, text=True, check=True)
    said = report.stdout.splitlines()
    assert said[0].startswith("cpus=")
    assert len(said) - 1 == len(lines(export(tmp_path / "run", "ftrace")))
    assert "FAILED" not in report.stdout
    assert report.stderr.strip() == ""


@needs_trace_cmd
def test_without_plugins_trace_cmd_prints_the_lines_of_the_text(tmp_path):
    run(random_plan(5), tmp_path / "run")
    report = subprocess.run(["trace-cmd", "report", "-t", "-N", "-i", export(tmp_path / "run", "trace.dat")],
                            capture_output=True, text=True, check=True).stdout
    said = [" ".join(line.split()) for line in report.splitlines()[1:]]
    text = [" ".join(line.replace(".....", "").split()) for line in export(tmp_path / "run", "ftrace").read_text().splitlines()
            if not line.startswith("#")]
    assert said == text


@pytest.mark.skipif(not find_library("kshark"), reason="KernelShark's library is not installed")
def test_kernelshark_loads_every_event(tmp_path):
    run(random_plan(3), tmp_path / "run")
    path = export(tmp_path / "run", "trace.dat")
    kshark, context, rows = ctypes.CDLL(find_library("kshark")), ctypes.c_void_p(), ctypes.POINTER(ctypes.c_void_p)()
    kshark.kshark_load_entries.restype = ctypes.c_ssize_t
    assert kshark.kshark_instance(ctypes.byref(context))
    stream = kshark.kshark_open(context, str(path).encode())
    assert stream >= 0
    loaded = kshark.kshark_load_entries(context, stream, ctypes.byref(rows))
    assert loaded == len(lines(export(tmp_path / "run", "ftrace")))


@needs_trace_cmd
def test_hours_between_two_events_are_kept(tmp_path):
    machine = Machine()
    machine.vcpu(Program("late").cpuid().compute(2_500_000_000 * 3600).cpuid())
    run(Plan("late", machine), tmp_path / "run")
    report = subprocess.run(["trace-cmd", "report", "-i", export(tmp_path / "run", "trace.dat")],
                            capture_output=True, text=True, check=True).stdout
    exits = [line for line in report.splitlines() if "kvm_exit" in line]
    assert [round(float(line.split("]")[1].split(":")[0])) for line in exits] == [0, 3600]


# export, import, replay


def replayed(path):
    replay = Replay(reader.read(path), PROFILE)
    return by_reason(replay.recorded_exits), replay.under().by_reason


def random_plan(seed, vcpus=3):
    """A little of everything that a trace of KVM's shows."""
    draw = random.Random(seed)
    count, machine = draw.randint(1, vcpus), Machine(draw.choice(["x2apic", "xapic"]))
    both = [lambda p: p.compute(draw.randrange(100, 5000)), lambda p: p.cpuid(), lambda p: p.hypercall(),
            lambda p: p.port_out(0x80, 1, draw.randrange(256)), lambda p: p.port_in(0x70, 1),
            lambda p: p.mmio_write(0x1000, 4, draw.randrange(100))]
    main_only = [lambda p: p.ipi(icr(48 + 16 * draw.randrange(3)), draw.randrange(count)), lambda p: p.self_ipi(0x60),
                 lambda p: p.tsc_deadline(draw.randrange(1000, 20000)).compute(draw.choice([100, 40000])),
                 lambda p: p.compute(draw.randrange(5000, 50000)),
                 lambda p: p.mask().compute(draw.randrange(100, 30000)).unmask(),
                 lambda p: p.tsc_deadline(draw.randrange(20000, 60000)).unmask_halt()]
    for vcpu in range(count):
        main, handlers = Program(f"main{vcpu}").setup(True).timer_mode(0xec, 2).setup(False), {}
        for _ in range(draw.randint(3, 25)):
            draw.choice(both + main_only)(main)
        for vector in (48, 64, 80, 0x60, 0xec):
            handlers[vector] = Program(f"on{vcpu}_{vector}")
            for _ in range(draw.randrange(3)):
                draw.choice(both)(handlers[vector])
            handlers[vector].eoi()
        machine.vcpu(main.compute(200_000), handlers)
    for number in range(draw.randrange(3)):
        at_ns = sorted(draw.randrange(1000, 80_000) for _ in range(draw.randint(1, 4)))
        machine.device(f"device{number}", "msi", draw.randrange(count), 48 + 16 * number, 0, at_ns)
    return Plan(f"random{seed}", machine, technology=draw.choice(["none", "apicv", "svm"]))


def test_random_runs_come_back_with_the_same_counts(tmp_path):
    """A few races are decided otherwise; the sum over all plans says how few."""
    exits, off, exact, plans = 0, 0, 0, 60
    for seed in range(plans):
        run(random_plan(seed), tmp_path / str(seed))
        was, now = replayed(export(tmp_path / str(seed), "ftrace"))
        difference = sum(((Counter(was) - Counter(now)) + (Counter(now) - Counter(was))).values())
        exits, off, exact = exits + sum(was.values()), off + difference, exact + (not difference)
    assert exact >= 0.9 * plans
    assert off <= 0.02 * exits


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changed", [
    {"features": {"pv-eoi": True}}, {"hypervisor": Hypervisor(irqchip="split")}, {"technology": "ipiv"},
    {"technology": "none", "features": {"preemption-timer": False}},
], ids=["pv-eoi", "split", "ipiv", "no preemption timer"])
def test_other_hypervisors_and_features_come_back_too(tmp_path, changed, seed):
    plan = random_plan(seed)
    for name, value in changed.items():
        setattr(plan, name, value)
    run(plan, tmp_path / "run")
    was, now = replayed(export(tmp_path / "run", "ftrace"))
    assert now == was


@pytest.mark.parametrize("technology", ["none", "apicv", "svm"])
@pytest.mark.parametrize("scenario", ["ipi_ping_pong", "timer_ticks", "legacy_guest", "guest_run_loop", "ipi_broadcast",
                                      "delivery_in_software"])
def test_ready_scenarios_come_back_with_the_same_counts(virqsim, tmp_path, scenario, technology):
    assert virqsim("run", scenario, "--tech", technology, "--trace", "--out", "run").status == 0
    assert virqsim("export", "run", "--to", "ftrace").status == 0
    was, now = replayed(tmp_path / "run" / "trace.txt")
    assert now == was


def run_elsewhere(seed, technology, irqchip, folder):
    """A random plan on another machine."""
    plan = random_plan(seed)
    plan.technology, plan.hypervisor = technology, Hypervisor(irqchip=irqchip)
    if irqchip == "userspace":  # which has no x2APIC for its guests
        plan.machine.guest_apic = "xapic"
    run(plan, folder)
    return plan


REAL = [row["name"] for row in library.describe()["technologies"] if row["vendor"] in ("vmx", "svm")]


@pytest.mark.parametrize("technology", REAL)
def test_every_technology_comes_back_as_itself(tmp_path, technology):
    for seed in range(3):
        plan = run_elsewhere(seed, technology, "kernel", tmp_path / str(seed))
        replay = Replay(reader.read(export(tmp_path / str(seed), "ftrace")), PROFILE)
        told = replay.demand.recorded
        assert (told.technology, told.guest_apic, told.irqchip) == (technology, plan.machine.guest_apic, "kernel")
        assert replay.under().by_reason == by_reason(replay.recorded_exits)


@pytest.mark.parametrize("technology", ["avic", "did"])
@pytest.mark.parametrize("seed", [6, 10, 12, 19, 28])
def test_what_came_twice_before_its_handler_ran_is_acknowledged_once(tmp_path, technology, seed):
    """There EOIs leave the guest, and deliveries do not."""
    run_elsewhere(seed, technology, "kernel", tmp_path / "run")
    was, now = replayed(export(tmp_path / "run", "ftrace"))
    assert now == was


@pytest.mark.parametrize("technology", ["avic", "did"])
def test_the_eois_tell_which_interrupts_were_one(tmp_path, technology):
    machine = Machine("xapic" if technology == "did" else "x2apic")
    machine.vcpu(Program("target").mask().compute(100_000).unmask().compute(100_000), {48: Program("handler").eoi()})
    machine.device("device", "msi", 0, 48, 0, [10_000, 20_000, 30_000, 60_000])
    run(Plan("twice", machine, technology=technology), tmp_path / "run")
    replay = Replay(reader.read(export(tmp_path / "run", "ftrace")), PROFILE)
    assert [delivery.vector for step in replay.demand.steps[0] for delivery in step.deliveries] == [48, 48]
    assert replay.under().by_reason == by_reason(replay.recorded_exits)


@pytest.mark.parametrize("technology", ["none", "apicv", "eli", "svm", "avic"])
def test_a_userspace_irqchip_comes_back_too(tmp_path, technology):
    for seed in (0, 1, 2, 7, 11, 14):
        run_elsewhere(seed, technology, "userspace", tmp_path / str(seed))
        was, now = replayed(export(tmp_path / str(seed), "ftrace"))
        assert now == was


def test_a_userspace_irqchip_has_no_controller_whose_tracepoints_could_be_hit(tmp_path):
    run_elsewhere(1, "none", "userspace", tmp_path / "run")
    said = {line.partition(":")[0] for line in lines(export(tmp_path / "run", "ftrace"))}
    assert said <= {"kvm_entry", "kvm_exit", "kvm_mmio", "kvm_userspace_exit", "kvm_inj_virq", "kvm_pio", "kvm_msr",
                    "kvm_vcpu_wakeup", "kvm_halt_poll_ns", "kvm_hypercall"}
    run_elsewhere(1, "none", "split", tmp_path / "split")
    assert not {"kvm_ioapic_set_irq", "kvm_pic_set_irq", "kvm_ack_irq"} & {
        line.partition(":")[0] for line in lines(export(tmp_path / "split", "ftrace"))}


def test_an_injection_that_did_not_get_in_is_reinjected(tmp_path):
    run_elsewhere(1, "none", "userspace", tmp_path / "run")
    said = [line for line in lines(export(tmp_path / "run", "ftrace")) if line.startswith(("kvm_inj_virq", "kvm_entry"))]
    again = [n for n, line in enumerate(said) if line.endswith("[reinjected]")]
    assert again
    assert all(said[n - 1] + " [reinjected]" == said[n] for n in again)


@pytest.mark.parametrize("was, now, message", [
    ("technology=apicv", "technology=apicq", "technology 'apicq' is not known here"),
    ("technology=apicv", "technology=svm", "technology svm, and the exits are vmx's"),
    ("features= ", "features=+nonsense ", "nonsense"),
    ("irqchip=kernel", "irqchip=cellar", "irqchip 'cellar': one of kernel, split, userspace"),
])
def test_a_machine_that_cannot_be_is_refused(tmp_path, virqsim, was, now, message):
    run(one("apicv"), tmp_path / "run")
    path = export(tmp_path / "run", "ftrace")
    path.write_text(path.read_text().replace(was, now, 1))
    said = virqsim("replay", str(path))
    assert (said.status, said.out) == (2, "")
    assert f"{path}:2: " in said.err and message in said.err and said.err.count("\n") == 1


def test_delivery_that_was_switched_off_is_seen_and_said(tmp_path, virqsim):
    assert virqsim("run", "inhibited", "--tech", "apicv", "--trace", "--out", "run").status == 0
    assert virqsim("export", "run", "--to", "ftrace").status == 0
    changes = [line for line in lines(tmp_path / "run" / "trace.txt") if line.startswith("kvm_apicv_inhibit_changed")]
    assert changes == ["kvm_apicv_inhibit_changed: set reason=3, inhibits=0x8",
                       "kvm_apicv_inhibit_changed: cleared reason=3, inhibits=0x0"]
    said = virqsim("replay", "run/trace.txt", "--tech", "apicv").out
    assert "changes that left APICv or AVIC switched off: 1 of 2" in said


@pytest.mark.parametrize("technology", ["apicv", "ipiv", "avic", "x2avic"])
@pytest.mark.parametrize("at", [("start=100",), ("guest_apic=x2apic",), ("start=0",), ("length=0",)])
def test_what_was_switched_off_meanwhile_is_off_in_the_replay(virqsim, tmp_path, technology, at):
    """Where a change met several vCPUs, or an operation of several exits, each may differ by one."""
    sets = [word for value in at for word in ("--set", value)]
    assert virqsim("run", "inhibited", *sets, "--tech", technology, "--trace", "--out", "run").status == 0
    was, now = map(Counter, replayed(export(tmp_path / "run", "ftrace")))
    assert ((was - now) + (now - was)).total() <= 0.015 * was.total()


def test_a_periodic_timer_stays_armed(tmp_path):
    machine, ticks = Machine(), 5
    word = machine.word("ticks")
    guest = Program("guest").timer_mode(0xec, 1).timer_count(1000, 1).spin_until(word, ticks)
    machine.vcpu(guest, {0xec: Program("tick").word_add(word).eoi()})
    run(Plan("periodic", machine, technology="apicv"), tmp_path / "run")
    was, now = replayed(export(tmp_path / "run", "ftrace"))
    assert was["PREEMPTION_TIMER"] >= ticks
    assert now == was


@needs_trace_cmd
@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv", "svm", "x2avic"])
def test_a_trace_dat_comes_back_with_the_same_counts(virqsim, tmp_path, technology):
    assert virqsim("run", "ipi_ping_pong", "--tech", technology, "--trace", "--out", "run").status == 0
    assert virqsim("export", "run", "--to", "trace.dat").status == 0
    replay = Replay(reader.read(tmp_path / "run" / "trace.dat"), PROFILE)
    assert replay.demand.recorded.technology == technology
    assert replay.under().by_reason == by_reason(replay.recorded_exits)


@pytest.mark.parametrize("guest_apic", ["x2apic", "xapic"])
def test_an_ipi_that_avic_could_not_send_alone_is_in_the_demand(tmp_path, guest_apic):
    machine = Machine(guest_apic)
    machine.vcpu(Program("sender").compute(200_000).ipi(icr(48), 1).compute(50_000))
    machine.vcpu(Program("target").mask().unmask_halt(), {48: Program("handler").eoi()})
    run(Plan("wake", machine, technology="x2avic"), tmp_path / "run")
    replay = Replay(reader.read(export(tmp_path / "run", "ftrace")), PROFILE)
    assert by_reason(replay.recorded_exits) == replay.under().by_reason == {"avic_incomplete_ipi": 1, "hlt": 1}
    sent = [step.operation for step in replay.demand.steps[0] if step.operation]
    assert sent == [("ipi", 48, 1)]
    write, times = ("MSR_WRITE", 2) if guest_apic == "x2apic" else ("APIC_ACCESS", 3)  # ICR and EOI, in xAPIC mode ICR2 too
    assert replay.under("none").by_reason == {"HLT": 1, write: times}
