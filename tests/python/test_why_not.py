"""`virqsim explain --why-not`: a plan for each reason, in which that one holds the interrupt back.

Every cost is 100 cycles of a nanosecond, so that what is under way can be met there; but a sender tells its target
at once.
"""

import itertools
import json

import pytest
from virqsim import Hypervisor, Inhibit, Machine, Plan, Program, VirqsimError, icr, profiles, runner
from virqsim.again import Again
from virqsim.explain import case, times, whynot
from virqsim.explain.flows import Flows

V, OTHER, HIGHER = 48, 60, 80
US = 1000  # cycles


class Asked:
    """A plan, simulated; why(...) asks."""

    def __init__(self, plan, technology="none", features=None, schedule=None):
        document = plan.resolve(profiles.load("unit"), technology, features)
        document["run"] |= {"schedule": schedule} if schedule else {}
        document["costs"]["cycles"] = dict.fromkeys(document["costs"]["cycles"], 100)
        document["costs"]["cycles"] |= dict.fromkeys(("line.socket", "kvm.post", "kvm.accept"), 0)
        self.again = Again(runner.run(document), lambda done: None)
        self.flows = Flows(self.again.trace, self.again.plan)

    def case(self, at_us, vector=V, vcpu=0):
        return case.case(self.again, self.flows, vector, vcpu, int(at_us * 10**6))

    def why(self, at_us, vector=V, vcpu=0):
        """The names of the reasons, the first one first."""
        return [reason.name for reason in self.reasons(at_us, vector, vcpu)]

    def reasons(self, at_us, vector=V, vcpu=0):
        return whynot.reasons(self.case(at_us, vector, vcpu))

    def state(self, at_us, vcpu=0):
        return self.case(at_us, vcpu=vcpu).state

    def at(self, event, vector=V):
        """When the vector's first such record was, in microseconds."""
        records = self.again.trace.of(event)
        return int(records[records["a"] == vector]["ps"][0]) / 10**6


def handlers(*vectors):
    return {vector: Program(f"on_{vector}").compute(20 * US).eoi().compute(US) for vector in vectors}


def alone(guest, *vectors, devices=(), hypervisor=None, **machine):
    built = Machine(**machine)
    built.vcpu(guest, handlers(*(vectors or (V,))))
    for device in devices:
        built.device(**device)
    return Plan("why", built, hypervisor or Hypervisor(halt_poll_ns=0))


def bell(vector=V, at_us=50, kind="msi"):
    return {"name": "bell", "kind": kind, "vcpu": 0, "vector": vector, "at_ns": [at_us * 1000]}


def sent(technology, features=None, target=None, **machine):
    """vCPU 1 sends V to vCPU 0, which computes, at about 50 us."""
    built = Machine(**machine)
    built.vcpu(target or Program("target").compute(200 * US), handlers(V))
    built.vcpu(Program("sender").compute(50 * US).ipi(icr(V), 0).compute(200 * US))
    return Asked(Plan("sent", built, Hypervisor(halt_poll_ns=0)), technology, features)


# nothing is pending


def test_never_raised():
    asked = Asked(alone(Program("guest").compute(100 * US), devices=[bell()]))
    (reason,) = asked.reasons(10)
    assert reason.name == "never raised"
    assert "raised at 50.0000 us (flow 1)" in reason.sentence
    assert reason.evidence == ("IRR[48] = 0", "ISR[48] = 0")


def test_already_over():
    asked = Asked(alone(Program("guest").compute(200 * US), devices=[bell()]))
    (reason,) = asked.reasons(150)
    assert reason.name == "not pending"
    assert "flow 1, raised at 50.0000 us) has been retired" in reason.sentence


def test_in_service():
    asked = Asked(alone(Program("guest").compute(200 * US), devices=[bell()]))
    reached = asked.at("HANDLER")
    assert asked.why(reached + 1) == ["in service"]
    assert "ISR[48] = 1" in asked.reasons(reached + 1)[0].evidence


def test_an_nmi_is_in_service_without_a_bit():
    asked = Asked(alone(Program("guest").compute(200 * US), 2, devices=[bell(kind="nmi")]))
    assert asked.why(asked.at("HANDLER", 2) + 1, vector=2) == ["in service"]


def test_the_sender_is_still_sending_it():
    asked = sent("none")
    raised = asked.at("RAISED")
    assert asked.why(raised + 0.05) == ["the sender is still sending it"]
    assert "vCPU 1 sent it at" in asked.reasons(raised + 0.05)[0].sentence


def test_an_ipi_under_way_to_another_vcpu_is_no_reason():
    machine = Machine()
    for name in ("first", "second"):
        machine.vcpu(Program(name).compute(200 * US), {V: Program(f"on_{name}").eoi()})
    machine.vcpu(Program("sender").compute(50 * US).ipi(icr(V), 0).compute(200 * US))
    asked = Asked(Plan("one", machine))
    assert asked.why(asked.at("RAISED") + 0.05, vcpu=0) == ["the sender is still sending it"]
    assert asked.why(asked.at("RAISED") + 0.05, vcpu=1) == ["never raised"]


def test_the_handler_is_about_to_start():
    asked = sent("none")
    assert asked.why(asked.at("INJECTED") + 0.05) == ["would be delivered at the next entry"]


def test_the_host_has_not_forwarded_it():
    machine = Machine()
    machine.vcpu(Program("guest").compute(200 * US), handlers(V))
    machine.assigned("disk", vcpu=0, vector=V, at_ns=[50_000])
    assert Asked(Plan("disk", machine)).why(50.05) == ["on its way"]


# the timer and the local vector table


def timer(*programmed):
    guest = Program("guest")
    for call in programmed:
        call(guest)
    return Asked(alone(guest.compute(200 * US)))


def test_the_timer_has_not_expired():
    asked = timer(lambda g: g.timer_mode(V, 2), lambda g: g.tsc_deadline(80 * US))
    (reason,) = asked.reasons(40)
    assert reason.name == "the timer has not expired"
    deadline = asked.state(40)["apic"]["timer_deadline_ps"]
    assert f"expires at {times.us(deadline)} us" in reason.sentence


def test_the_timer_is_not_armed():
    assert timer(lambda g: g.timer_mode(V, 2)).why(40) == ["the timer is not armed"]


def test_the_timer_is_masked():
    asked = timer(lambda g: g.timer_mode(V, 3), lambda g: g.timer_count(10, 1))
    (reason,) = asked.reasons(40)
    assert reason.name == "masked in the local vector table"
    assert reason.evidence == ("LVT_TIMER = 00010030H: bit 16 is set",)


def test_the_timers_expiry_has_not_been_looked_at():
    asked = timer(lambda g: g.timer_mode(V, 2), lambda g: g.tsc_deadline(80 * US))
    deadline = asked.at("RAISED", V | 2 << 17)
    assert asked.why(deadline + 0.05) == ["the timer's expiry has not been looked at"]


# the chips before the APIC


def chipset(guest, on_other=None, gsi=16):
    """A card asserts its line at 50 us, for good."""
    machine = Machine(chipset="ich9")
    machine.vcpu(guest, {OTHER: on_other} if on_other else {})
    machine.line("card", gsi, at_ns=[50_000])
    return Asked(Plan("card", machine))


def ioapic(guest, pin, low):
    return guest.mmio_write(0xFEC00000, 4, 0x10 + 2 * pin).mmio_write(0xFEC00010, 4, low)


LEVEL, MASKED = 1 << 15, 1 << 16


def test_masked_at_the_io_apic():
    asked = chipset(ioapic(Program("guest"), 16, V | LEVEL | MASKED).compute(200 * US))
    (reason,) = asked.reasons(60)
    assert reason.name == "masked at the I/O APIC"
    assert reason.evidence == ("I/O APIC pin 16: asserted, mask = 1, Remote IRR = 0",)


def test_remote_irr_is_set():
    """The handler gives the entry another vector, so that its EOI does not reach it."""
    on_other = ioapic(Program("on_other"), 16, V | LEVEL).eoi()
    asked = chipset(ioapic(Program("guest"), 16, OTHER | LEVEL).compute(200 * US), on_other)
    (reason,) = asked.reasons(asked.at("RETIRED", OTHER) + 5)
    assert reason.name == "Remote IRR is set"
    assert reason.evidence == ("I/O APIC pin 16: asserted, mask = 0, Remote IRR = 1",)


def pic(guest, mask):
    """The master and the slave with bases V and V + 8; the master's mask."""
    for port, value in ((0x20, 0x11), (0x21, V), (0x21, 4), (0x21, 1), (0xA0, 0x11), (0xA1, V + 8), (0xA1, 2), (0xA1, 1),
                        (0xA1, 0xFF), (0x21, mask)):
        guest.port_out(port, 1, value)
    return guest


def test_masked_at_the_8259a():
    asked = chipset(pic(Program("guest"), 0xFF).compute(200 * US), gsi=5)
    (reason,) = asked.reasons(60, vector=V + 5)
    assert reason.name == "masked at the 8259A"
    assert reason.evidence == ("8259A: IRR[5] = 1, IMR[5] = 1, ISR = 0",)


def test_lint0_is_masked():
    asked = chipset(pic(Program("guest").apic_write(0x350, 0x10700), 0).compute(200 * US), gsi=5)
    (reason,) = asked.reasons(60, vector=V + 5)
    assert reason.name == "LINT0 does not take it"
    assert reason.evidence == ("8259A: IRR[5] = 1, IMR[5] = 0, ISR = 0", "LVT_LINT0 = 00010700H")


def test_the_8259a_serves_another():
    machine = Machine(chipset="ich9")
    machine.vcpu(pic(Program("guest").apic_write(0x350, 0x700), 0).compute(500 * US),
                 {V + 3: Program("on_3").compute(100 * US).unmask().compute(100 * US), V + 5: Program("on_5")})
    machine.line("first", 3, at_ns=[50_000])
    machine.line("second", 5, at_ns=[80_000])
    asked = Asked(Plan("cards", machine))
    (reason,) = asked.reasons(90, vector=V + 5)
    assert reason.name == "the 8259A serves another"
    assert reason.evidence == ("8259A: IRR[5] = 1, IMR[5] = 0, ISR = [3]",)


# pending


def test_in_pir_with_the_notification_under_way():
    asked = sent("apicv")
    (reason,) = asked.reasons(asked.at("NOTIFIED") + 0.1)
    assert reason.name == "in PIR, the notification under way"
    assert reason.evidence == ("PIR[48] = 1", "ON = 1", "SN = 0", "NV = F2H")
    # kvm.kick and hw.ipi: 200 ns
    assert f"arrives at {asked.at('NOTIFIED') + 0.2:.4f} us" in reason.sentence


def test_the_doorbell_is_under_way():
    asked = sent("x2avic")
    assert asked.why(asked.at("NOTIFIED") + 0.1) == ["the doorbell is under way"]


def test_the_guest_has_not_left_yet():
    asked = sent("none")
    (reason,) = asked.reasons(asked.at("NOTIFIED") + 0.1)
    assert reason.name == "the guest has not left yet"
    assert f"RESCHEDULE interrupt that makes the guest leave arrives at {asked.at('NOTIFIED') + 0.2:.4f} us" in reason.sentence


def test_nothing_holds_it_back():
    # between posted-interrupt processing, which costs 100 ns, and the delivery
    asked = sent("apicv")
    (reason,) = asked.reasons(asked.at("NOTIFIED") + 0.25)
    assert reason.name == "would be delivered at the next instruction boundary"
    assert reason.evidence == ("IRR[48] = 1", "RVI = 30H", "PPR = 00H")


@pytest.mark.parametrize("technology", ["none", "apicv", "svm", "x2avic"])
def test_if_is_0(technology):
    guest = Program("guest").mask().self_ipi(V).compute(100 * US).unmask().compute(100 * US)
    asked = Asked(alone(guest), technology)
    assert asked.why(60) == ["IF = 0"]
    assert "IF = 0" in asked.reasons(60)[0].evidence


@pytest.mark.parametrize(("technology", "section"), [("none", "SDM 3A"), ("apicv", "SDM 3C 30.2.2"), ("svm", "APM 2 15.21"),
                                                     ("x2avic", "APM 2 15.29")])
def test_the_section_is_that_of_the_mechanism(technology, section):
    guest = Program("guest").mask().self_ipi(V).compute(100 * US)
    assert Asked(alone(guest), technology).reasons(60)[0].section.startswith(section)


@pytest.mark.parametrize(("technology", "when_it_leaves"), [
    ("none", ("TPR threshold = 3",)), ("apicv", ()), ("svm", ("CR8 writes exit = 1",)), ("x2avic", ())])
def test_the_task_priority(technology, when_it_leaves):
    asked = Asked(alone(Program("guest").tpr(0x4F).self_ipi(V).compute(100 * US)), technology)
    assert asked.why(60) == ["the processor priority: TPR"]
    assert asked.reasons(60)[0].evidence == ("TPR = 4FH", "PPR = 4FH", *when_it_leaves)


@pytest.mark.parametrize("technology", ["none", "apicv", "svm", "x2avic"])
def test_a_higher_class_is_in_service(technology):
    machine = Machine()
    on_higher = Program("on_80").self_ipi(V).unmask().compute(100 * US).eoi()
    machine.vcpu(Program("guest").compute(300 * US), {**handlers(V), HIGHER: on_higher})
    machine.device(**bell(HIGHER))
    asked = Asked(Plan("nested", machine), technology)
    (reason,) = asked.reasons(100)
    assert reason.name == "the processor priority: in service"
    assert reason.evidence == ("ISR = {80}", "PPR = 50H")


def test_the_vector_itself_is_in_service_and_interrupts_are_off():
    machine = Machine()
    machine.vcpu(Program("guest").compute(300 * US), {V: Program("on_48").compute(100 * US).eoi()})
    machine.device(**{**bell(), "at_ns": [50_000, 80_000]})
    asked = Asked(Plan("twice", machine))
    assert asked.why(100) == ["the processor priority: in service", "IF = 0"]
    assert "vector itself is in service" in asked.reasons(100)[0].sentence


def test_a_higher_one_goes_first():
    asked = Asked(alone(Program("guest").mask().self_ipi(V).self_ipi(HIGHER).compute(100 * US), V, HIGHER))
    assert asked.why(60) == ["a higher one is before it", "IF = 0"]
    assert asked.why(60, vector=HIGHER) == ["IF = 0"]


def test_nmis_are_blocked():
    machine = Machine()
    machine.vcpu(Program("guest").compute(300 * US), {2: Program("on_nmi").compute(100 * US)})
    machine.device(**{**bell(kind="nmi"), "at_ns": [50_000, 80_000]})
    (reason,) = Asked(Plan("nmis", machine)).reasons(100, vector=2)
    assert (reason.name, reason.evidence) == ("NMIs are blocked", ("NMI pending = 1", "NMI blocked = 1"))


@pytest.mark.parametrize(("vgif", "says"), [(False, "its STGI exits"), (True, "the hardware waits for its STGI")])
def test_the_global_interrupt_flag(vgif, says):
    guest = Program("hypervisor").clgi().compute(100 * US).stgi().compute(100 * US)
    asked = Asked(alone(guest, devices=[bell()]), "svm", {"vgif": vgif})
    (reason,) = asked.reasons(80)
    assert (reason.name, reason.evidence) == ("GIF = 0", ("GIF = 0", f"V_IRQ = {vgif:d}"))
    assert says in reason.sentence


@pytest.mark.parametrize(("flag", "name"), [("shadow", "the shadow of STI"), ("mov_ss_shadow", "the shadow of MOV SS")])
def test_a_shadow(flag, name):
    """No guest program makes one that lasts; the check is asked alone."""
    asked = sent("apicv")
    met = asked.case(asked.at("NOTIFIED") + 0.25)
    met.state["guest"][flag] = True
    assert [reason.name for reason in whynot.reasons(met)] == [name]


# pending, and the vCPU is elsewhere


def test_the_vcpu_is_preempted():
    machine = Machine()
    machine.vcpu(Program("target").compute(5000 * US), handlers(V))
    machine.vcpu(Program("sender").compute(1500 * US).ipi(icr(V), 0).compute(200 * US))
    machine.load(0)
    plan = Plan("shared", machine, Hypervisor(time_slice_ns=1_000_000))
    asked = Asked(plan, "ipiv")
    (reason,) = asked.reasons(1600)
    assert reason.name == "the vCPU is preempted"
    assert reason.evidence == ("state PARKED", "physical CPU 0 runs something else", "IRR[48] = 0", "PIR[48] = 1", "SN = 1")


def test_the_vcpu_sleeps_with_interrupts_off():
    asked = sent("none", target=Program("target").mask().halt())
    assert asked.why(80) == ["IF = 0", "the vCPU sleeps"]


@pytest.mark.parametrize("technology", ["none", "apicv", "svm", "x2avic"])
def test_the_vcpu_has_not_been_started(technology):
    machine = Machine()
    machine.vcpu(Program("boot").compute(50 * US).ipi(icr(V), 1).compute(200 * US))
    machine.vcpu(Program("other").compute(US), handlers(V), waits_for_sipi=True)
    asked = Asked(Plan("unstarted", machine, Hypervisor(halt_poll_ns=0)), technology)
    first = asked.reasons(100, vcpu=1)[0]
    assert (first.name, first.evidence) == ("the vCPU waits for a start-up IPI", ("activity state = wait-for-SIPI",))


def test_the_vcpu_is_in_an_exit_handler():
    asked = sent("none")
    left = asked.at("NOTIFIED") + 0.35
    (reason,) = asked.reasons(left)
    assert reason.name == "the vCPU is not in its guest"
    assert "after an exit by EXTERNAL_INTERRUPT (delivery)" in reason.sentence


def test_the_vcpu_is_in_userspace():
    machine, target, sender = Machine(), Program("target"), Program("sender").compute(50 * US)
    with target.repeat(100):
        target.port_out(0xE1)
    with sender.repeat(10):
        sender.ipi(icr(V), 0).compute(777)
    machine.vcpu(target, {V: Program("on_48").eoi()})
    machine.vcpu(sender)
    asked = Asked(Plan("busy", machine))
    asked_at = (50 + 0.05 * n for n in range(400))
    met = next(at for at in asked_at if asked.state(at)["thread"]["state"] == "USERSPACE" and asked.case(at).requested)
    (reason,) = asked.reasons(met)
    assert reason.name == "the vCPU is not in its guest"
    assert "after KVM_EXIT_IO" in reason.sentence


# nobody looks, since a second look is left out


def lost(technology, recheck, wait):
    """An interrupt that comes when the target, which waits for it, has looked for the last time; asked at the end."""
    machine = Machine()
    taken = machine.word("taken")
    machine.vcpu(wait(Program("target").signal(0), taken), {V: Program("on_48").eoi().word_add(taken)})
    machine.device("disk", "msi", 0, V)
    plan = Plan("lost", machine, Hypervisor(halt_poll_ns=0, without_rechecks=(recheck,)))
    for place, past in itertools.product(range(3), range(1, 8)):  # the target's steps, before the interrupt
        schedule = {"window_ns": 5000, "hold": [{"place": place, "past": past}]}
        asked = Asked(plan, technology, schedule=schedule)
        if asked.flows[1].end == "pending":
            return asked.case(asked.again.end_ps / 10**6)
    raise AssertionError("nothing was lost")


@pytest.mark.parametrize(("technology", "name", "evidence"), [
    ("apicv", "in PIR, and nobody looks there", "ON = 1"), ("none", "nobody makes the guest leave", "IRR[48] = 1"),
    ("svm", "nobody makes the guest leave", "IRR[48] = 1")])
def test_the_look_before_the_entry_is_left_out(technology, name, evidence):
    of = lost(technology, "kvm_vcpu_exit_request", lambda target, taken: target.cpuid().spin_until(taken, 1))
    (reason,) = whynot.reasons(of)
    assert (reason.name, evidence in reason.evidence) == (name, True)
    assert "kvm_vcpu_exit_request, which the plan leaves out" in reason.sentence


@pytest.mark.parametrize("technology", ["apicv", "none", "svm"])
def test_the_look_before_the_sleep_is_left_out(technology):
    of = lost(technology, "kvm_vcpu_check_block", lambda target, taken: target.halt_until(taken, 1))
    (reason,) = whynot.reasons(of)
    assert reason.name == "the vCPU sleeps, and nobody wakes it"
    assert "kvm_vcpu_check_block, which the plan leaves out" in reason.sentence
    assert reason.evidence[:2] == ("state BLOCKED", "physical CPU 0 runs no vCPU")


@pytest.mark.parametrize(("left_out", "names"), [
    ((), ["the vCPU is preempted"]), (("pi_set_on",), ["in PIR, and nobody looks there"])])
def test_the_look_when_the_vcpu_has_its_cpu_again_is_left_out(left_out, names):
    machine = Machine()
    machine.vcpu(Program("target").compute(5000 * US), handlers(V))
    machine.load(0)
    machine.assigned("disk", vcpu=0, vector=V, at_ns=[1_600_000])  # in the load's slice
    asked = Asked(Plan("shared", machine, Hypervisor(time_slice_ns=1_000_000, without_rechecks=left_out)), "vtd-pi")
    assert asked.why(1700) == ["the vCPU is preempted"]
    at = 1700 if not left_out else 2100
    assert asked.why(at) == names
    assert not left_out or asked.reasons(at)[0].evidence == ("PIR[48] = 1", "ON = 0", "SN = 0")


def test_it_says_while_what_apicv_is_off():
    machine = Machine()
    machine.vcpu(Program("target").mask().compute(200 * US), handlers(V))
    machine.device(**bell())
    inhibits = (Inhibit("HYPERV", from_ns=20_000, until_ns=100_000),)
    asked = Asked(Plan("off", machine, Hypervisor(halt_poll_ns=0, inhibits=inhibits)), "apicv")
    assert [asked.case(at).inhibits for at in (10, 60, 150)] == [(), ("HYPERV",), ()]
    assert asked.why(60) == ["IF = 0"]
    assert "interrupt-window exiting = 1" in asked.reasons(60)[0].evidence


# what became of it, and the command


def test_it_says_what_became_of_it():
    asked = sent("none")
    handler = asked.at("HANDLER")
    assert whynot.afterwards(asked.case(asked.at("NOTIFIED") + 0.1)) == (f"Flow 1 comes to its handler at {handler:.4f} us, "
                                       f"{(handler - asked.at('NOTIFIED') - 0.1) * 1000:.1f} ns later.")
    assert "came to its handler" in whynot.afterwards(asked.case(handler + 1))


def test_one_that_stays_pending_is_said_to():
    asked = Asked(alone(Program("guest").mask().self_ipi(V).compute(100 * US)))
    assert whynot.afterwards(asked.case(60)) == "Flow 1 is still pending at the run's end."


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv", "svm", "x2avic"])
def test_there_is_an_answer_at_any_time(technology):
    """And as long as the vector is pending, one of those for what is pending."""
    asked = sent(technology)
    for at in range(500, 600):
        met = asked.case(at / 10)
        found = whynot.reasons(met)
        assert found
        assert all(reason.sentence and reason.evidence and reason.section for reason in found)
        assert not met.pending or found[0].name not in ("never raised", "not pending", "on its way")


def test_the_command_answers_in_words_and_as_json(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=2", "--out", "run")
    said = virqsim("explain", "run", "--why-not", 48, "--at", "0.1us")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("vector 48 (30H, class 3) at vCPU 1, at 0.1000 us: never raised\n")
    document = json.loads(virqsim("explain", "run", "--why-not", 48, "--at", "0.1us", "--json").out)
    assert (document["vcpu"], document["time_ps"], document["reasons"][0]["name"]) == (1, 100_000, "never raised")
    assert document["state"]["apic"]["IRR"] == []


@pytest.mark.parametrize(("arguments", "line"), [
    (["--why-not", 48, "--at", "5"], "--at: '5' is not a time: write a number and ps, ns, us, ms, s, as in 12.5us"),
    (["--why-not", 48, "--at", "1h"], "--at: '1h' is not a time: write a number and ps, ns, us, ms, s, as in 12.5us"),
    (["--why-not", 48, "--at", "1s"], "--at: 1000000.0000us is beyond the run's end ("),
    (["--why-not", 48, "--at", "1us", "--vcpu", 7], "--vcpu: 7 is no vCPU of this run (0..1)"),
    (["--why-not", 99, "--at", "1us"], "--why-not: vector 99 goes nowhere in this run; say which vCPU you mean with --vcpu"),
    (["--why-not", 48], "virqsim: --why-not VECTOR goes with --at TIME; --vcpu goes with both"),
    (["--at", "1us"], "virqsim: --why-not VECTOR goes with --at TIME; --vcpu goes with both"),
    (["--vcpu", 1], "virqsim: --why-not VECTOR goes with --at TIME; --vcpu goes with both"),
    (["--why-not", 48, "--at", "1us", "--flow", 1], "virqsim: --flow and --why-not are two questions; ask one"),
])
def test_a_wrong_question_is_refused(virqsim, refused, arguments, line):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=2", "--out", "run")
    assert refused("explain", "run", *arguments).startswith(line)


@pytest.mark.parametrize(("text", "ps"), [("1ps", 1), ("12.5us", 12_500_000), ("0.0001 ns", 0), ("3ms", 3 * 10**9), ("2s", 2 * 10**12)])
def test_times_are_read_exactly(text, ps):
    assert times.parse("at", text) == ps


def test_no_time_is_refused():
    with pytest.raises(VirqsimError):
        times.parse("at", "-1us")


def test_the_hardwares_own_timer_is_counted_too():
    """APIC-timer virtualization: KVM's APIC knows no deadline, the VMCS does."""
    guest = Program("guest").timer_mode(V, 2).tsc_deadline(80 * US).compute(200 * US)
    asked = Asked(alone(guest), "apic-timer")
    assert asked.why(40) == ["the timer has not expired"]
    assert asked.state(40)["apic"]["timer_deadline_ps"] == pytest.approx(asked.at("RAISED", V | 2 << 17) * 10**6)
    assert asked.why(150) == ["the timer is not armed"]
