"""`virqsim explain`: the story of one interrupt, its steps and the registers' bits around them.

Every cost is 100 cycles of a nanosecond.
"""

import json

import pytest
from virqsim import Hypervisor, Machine, Plan, Program, icr, profiles, runner
from virqsim.again import Again
from virqsim.explain.flows import Flows
from virqsim.explain.story import Story

V = 48
US = 1000  # cycles


class Told:
    """A plan, simulated; flow n's story."""

    def __init__(self, machine, technology, features=None, **hypervisor):
        plan = Plan("told", machine, Hypervisor(halt_poll_ns=0, **hypervisor)).resolve(profiles.load("unit"), technology, features)
        plan["costs"]["cycles"] = dict.fromkeys(plan["costs"]["cycles"], 100)
        self.again = Again(runner.run(plan), lambda done: None)
        self.flows = Flows(self.again.trace, self.again.plan)

    def story(self, number=1):
        return Story(self.again, self.flows, self.flows[number])


def sent(technology, target=None, **how):
    """vCPU 1 sends V at 50 us to vCPU 0, which computes; all handlers take 20 us to their EOI."""
    machine = Machine(guest_apic=how.pop("guest_apic", "x2apic"))
    machine.vcpu(target or Program("target").compute(100 * US), {V: Program("on_48").compute(20 * US).eoi().compute(US)})
    machine.vcpu(Program("sender").compute(50 * US).ipi(icr(V), 0).compute(100 * US))
    return Told(machine, technology, **how)


def steps(story):
    return [step.name for step in story.steps]


def registers(story, name):
    """What the first step of that name changed."""
    step = next(step for step in story.steps if step.name == name)
    return {change.name: (change.before, change.after) for change in step.registers}


def section(story, name):
    return next(step for step in story.steps if step.name == name).section


def test_in_software_every_step_is_the_hypervisors():
    story = sent("none").story()
    assert steps(story) == ["raised", "exited", "routed", "pending", "notified", "exited", "injected", "entered", "handler",
                            "exited", "eoi", "retired"]
    assert registers(story, "pending") == {"IRR[48]": ("0", "1")}
    assert registers(story, "injected").items() >= {"IRR[48]": ("1", "0"), "ISR[48]": ("0", "1"), "PPR": ("00H", "30H")}.items()
    assert registers(story, "entered") == {"vCPU": ("ENTERING", "GUEST"), "IF": ("1", "0")}
    assert registers(story, "eoi").items() >= {"ISR[48]": ("1", "0"), "PPR": ("30H", "00H")}.items()
    assert section(story, "pending") == 'SDM 3A 11.8.4 "Interrupt Acceptance for Fixed Interrupts"'
    assert section(story, "injected") == 'SDM 3C 27.6 "Event Injection"'


def test_posted_interrupts_are_taken_from_pir_when_the_notification_arrives():
    story = sent("apicv").story()
    assert steps(story) == ["raised", "exited", "routed", "pending", "notified", "taken", "injected", "handler", "eoi", "retired"]
    assert registers(story, "pending") == {"PIR[48]": ("0", "1"), "ON": ("0", "1")}
    assert registers(story, "taken") == {"PIR[48]": ("1", "0"), "ON": ("1", "0"), "IRR[48]": ("0", "1"), "RVI": ("00H", "30H")}
    assert registers(story, "injected") == {"IRR[48]": ("1", "0"), "ISR[48]": ("0", "1"), "RVI": ("30H", "00H"), "SVI": ("00H", "30H"),
                                            "PPR": ("00H", "30H"), "IF": ("1", "0")}
    assert registers(story, "eoi") == {"ISR[48]": ("1", "0"), "SVI": ("30H", "00H"), "PPR": ("30H", "00H")}
    at = {step.name: step.ps for step in story.steps}
    assert at["taken"] - at["notified"] == 500_000  # kvm.post, two lines of the target, kvm.kick and hw.ipi
    assert section(story, "pending") == "KVM: vmx_deliver_posted_interrupt()"
    assert section(story, "taken") == 'SDM 3C 30.6 "Posted-Interrupt Processing"'
    assert section(story, "eoi") == 'SDM 3C 30.1.4 "EOI Virtualization"'


def test_with_ipi_virtualization_the_hardware_posts():
    story = sent("ipiv").story()
    assert steps(story) == ["raised", "routed", "pending", "notified", "taken", "injected", "handler", "eoi", "retired"]
    assert section(story, "pending") == 'SDM 3C 30.1.6 "IPI Virtualization"'
    assert "hardware" in next(step for step in story.steps if step.name == "pending").sentence


def test_under_avic_the_hardware_sets_irr_and_rings():
    story = sent("x2avic").story()
    assert steps(story) == ["raised", "routed", "pending", "notified", "injected", "handler", "eoi", "retired"]
    assert registers(story, "pending") == {"IRR[48]": ("0", "1")}
    assert section(story, "pending").startswith("APM 2 15.29")
    assert section(story, "injected").startswith("APM 2 15.29")


def test_under_svm_the_window_is_v_irq():
    target = Program("target").mask().compute(60 * US).unmask().compute(100 * US)
    story = sent("svm", target).story()
    assert steps(story)[:5] == ["raised", "exited", "routed", "pending", "notified"]
    assert [step.sentence for step in story.steps if step.name == "exited"][2].endswith("for its sake: vintr")
    assert section(story, "injected").startswith("APM 2 15.20")


def test_a_pv_eoi_needs_no_exit_and_no_hardware():
    """The hypervisor finds it at the guest's next exit."""
    story = sent("none", Program("target").compute(100 * US).cpuid(), features={"pv-eoi": True}).story()
    assert steps(story)[-3:] == ["handler", "eoi", "retired"]
    eoi = next(step for step in story.steps if step.name == "eoi")
    assert "acknowledged it in memory, without an exit" in eoi.sentence
    assert eoi.ps > 100_000_000


def test_a_preempted_vcpu_takes_pir_before_its_next_entry():
    machine = Machine()
    machine.vcpu(Program("target").compute(3000 * US), {V: Program("on_48").eoi()})
    machine.vcpu(Program("sender").compute(1500 * US).ipi(icr(V), 0).compute(100 * US))
    machine.load(0)
    story = Told(machine, "ipiv", time_slice_ns=1_000_000).story()
    # SN: the sender's hardware notifies nobody
    assert steps(story) == ["raised", "routed", "pending", "taken", "injected", "handler", "eoi", "retired"]
    taken = next(step for step in story.steps if step.name == "taken")
    assert taken.section == "KVM: vmx_sync_pir_to_irr()"
    assert registers(story, "taken")["PIR[48]"] == ("1", "0")


def test_a_device_that_the_iommu_posts_is_pending_by_hardware():
    machine = Machine()
    machine.vcpu(Program("guest").compute(100 * US), {V: Program("on_48").eoi()})
    machine.assigned("disk", vcpu=0, vector=V, at_ns=[50_000])
    told = Told(machine, "vtd-pi")
    story = told.story()
    assert steps(story) == ["raised", "routed", "pending", "notified", "taken", "injected", "handler", "eoi", "retired"]
    assert section(story, "pending").startswith("VT-d 5.2.3")
    assert told.flows.source(told.flows[1]) == "msi of disk"


def test_an_msi_of_qemus_is_posted_by_the_hypervisor():
    machine = Machine()
    machine.vcpu(Program("guest").compute(100 * US), {V: Program("on_48").eoi()})
    machine.device("disk", "msi", vcpu=0, vector=V, at_ns=[50_000])
    assert section(Told(machine, "vtd-pi").story(), "pending") == "KVM: vmx_deliver_posted_interrupt()"


def test_a_second_interrupt_of_a_pending_vector_ends_at_once():
    machine = Machine()
    machine.vcpu(Program("guest").mask().compute(100 * US).unmask().compute(10 * US), {V: Program("on_48").eoi()})
    machine.device("disk", "msi", vcpu=0, vector=V, at_ns=[50_000, 60_000])
    told = Told(machine, "none")
    assert steps(told.story(2)) == ["raised", "routed", "coalesced"]
    assert (told.flows[2].end, told.flows[2].latency_ps) == ("coalesced", None)


def test_of_a_broadcast_each_destination_has_its_own_story():
    machine = Machine()
    for _ in range(3):
        machine.vcpu(Program(f"target{_}").compute(100 * US), {V: Program(f"on_{_}").eoi()})
    machine.vcpu(Program("sender").compute(50 * US).ipi(icr(V, shorthand="all-but-self"), 0).compute(100 * US))
    told = Told(machine, "none")
    flows = [told.flows[number] for number in range(1, told.flows.count + 1) if told.flows.has(number)]
    assert sorted(flow.vcpu for flow in flows) == [0, 1, 2]
    assert {flow.raised_ps for flow in flows} == {flows[0].raised_ps}
    for flow in flows:
        story = Story(told.again, told.flows, flow)
        assert (steps(story)[0], steps(story)[-1]) == ("raised", "retired")
        assert {step.vcpu for step in story.steps} == {3, flow.vcpu}


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv", "vtd-pi", "eli", "svm", "avic", "x2avic"])
@pytest.mark.parametrize("scenario", ["ipi_ping_pong", "timer_ticks", "legacy_guest", "delivery_in_software"])
def test_every_kind_of_story_can_be_told_and_its_bits_come_and_go(virqsim, scenario, technology):
    virqsim("run", scenario, "--tech", technology, "--out", "run")
    for row in json.loads(virqsim("explain", "run", "--json").out):
        said = virqsim("explain", "run", "--flow", row["number"], "--json")
        assert (said.status, said.err) == (0, "")
        story = json.loads(said.out)
        times = [step["time_ps"] for step in story["steps"]]
        assert times == sorted(times)
        assert all(step["sentence"] and step["section"] for step in story["steps"])
        bits = {}
        for step in story["steps"]:
            for change in step["registers"]:
                if change["name"].startswith(("PIR[", "IRR[", "ISR[")):
                    assert bits.get(change["name"], change["before"]) == change["before"]
                    bits[change["name"]] = change["after"]
        if row["end"] == "retired":
            assert set(bits.values()) <= {"0"}
            assert story["latency_ps"] == row["latency_ps"] > 0


def test_the_list_has_the_slowest_and_says_how_to_ask(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=5", "--out", "run", "--trace")
    rows = json.loads(virqsim("explain", "run", "--json").out)
    (slowest,) = [row for row in rows if row["why"] == "the slowest ipi"]
    trace = runner_results().trace()
    raised = trace[trace["event"] == "RAISED"].set_index("flow")["time_ns"]
    handled = trace[trace["event"] == "HANDLER"].set_index("flow")["time_ns"]
    assert slowest["latency_ps"] == pytest.approx((handled - raised).max() * 1000)
    said = virqsim("explain", "run").out
    assert f"virqsim explain run --flow {slowest['number']}\n" in said
    (ask,) = [line for line in said.splitlines() if "--why-not" in line]
    assert virqsim(*ask.split()[1:]).status == 0


def runner_results():
    from virqsim import load

    return load("run")


def test_a_story_that_has_no_end_says_what_holds_it_back(virqsim):
    virqsim("race", "last_look", "--set", "target=halting", "--without", "kvm_vcpu_check_block", "--out", "lost")
    said = virqsim("explain", "lost", "--flow", 1).out.splitlines()
    assert said[-1].startswith("It is pending at the run's end, ")
    assert ": the vCPU sleeps, and nobody wakes it; it came before the thread counted as asleep" in said[-1]
    held = json.loads(virqsim("explain", "lost", "--flow", 1, "--json").out)["held_back"]
    assert (held["name"], held["evidence"][0]) == ("the vCPU sleeps, and nobody wakes it", "state BLOCKED")


def test_a_run_without_interrupts_has_nothing_to_explain(virqsim):
    virqsim("run", "guest_run_loop", "--out", "run")
    assert virqsim("explain", "run").out == "No interrupts: nothing to explain.\n"


def test_a_story_is_printed_for_people(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=2", "--tech", "apicv", "--out", "run")
    said = virqsim("explain", "run", "--flow", 1)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("flow 1: ipi of vCPU 0, vector 48 (30H, class 3), to vCPU 1; raised at ")
    assert "PIR[48] 0→1, ON 0→1" in said.out


@pytest.mark.parametrize("number", [0, -1, 5, 10**12])
def test_an_unknown_flow_is_refused(virqsim, refused, number):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=2", "--out", "run")
    assert refused("explain", "run", "--flow", number) == (
        f"--flow: {number} is no interrupt of this run (1 to 4; without --flow: which are worth a look)")


def test_a_run_of_another_version_is_refused(virqsim, refused, tmp_path):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=2", "--out", "run")
    path = tmp_path / "run" / "results.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps({**results, "time_ps": results["time_ps"] + 1}))
    assert "was made by another version" in refused("explain", "run")
    assert refused("explain", "nowhere").startswith("nowhere: is not a run folder")


def test_the_hardwares_own_timer_makes_its_interrupt_pending():
    machine = Machine()
    machine.vcpu(Program("guest").timer_mode(V, 2).tsc_deadline(50 * US).compute(200 * US), {V: Program("on_48").eoi()})
    story = Told(machine, "apic-timer").story()
    assert section(story, "pending") == 'SDM 3C "Guest-Timer Events"'
    assert section(Told(machine, "none").story(), "pending").startswith("SDM 3A 11.8.4")


@pytest.mark.parametrize(("technology", "step"), [("quiet-eoi", "eoi"), ("exitless-timer", "pending")])
def test_what_a_hypothetical_feature_does_is_said_to_be_its(virqsim, technology, step):
    virqsim("run", "timer_ticks", "--tech", technology, "--out", "run")
    story = json.loads(virqsim("explain", "run", "--flow", 2, "--json").out)
    (section,) = [each["section"] for each in story["steps"] if each["step"] == step]
    assert section.startswith("docs/hypothetical.md")
    assert virqsim("bill", "run").status == 0
