"""What the host of a recording did to the guest is told from the recording, and taken out of a prediction."""

from collections import Counter

import pytest
from replay_files import recordings, trace
from virqsim import profiles
from virqsim.replay import demand, reader
from virqsim.replay.compare import Replay

COSTS = profiles.load("skylake-sp")
ARM, HALT, EOI = 0x10, 0x20, 0x30  # instructions of the guest


class Story:
    """A vCPU that arms its deadline timer and halts for it, turn after turn; times in microseconds."""

    def __init__(self):
        self.now, self.lines = 1_000_000, ["# tracer: nop"]
        self("kvm_entry: vcpu 0, rip 0x1", 0)

    def __call__(self, event, after=10):
        self.now += after
        self.lines.append(f"  guest-7     [001] .....  {self.now // 10**6}.{self.now % 10**6:06}: {event}")

    def exit(self, reason, rip, after=10):
        self(f"kvm_exit: vcpu 0 reason {reason} rip {rip:#x} info1 0x1 info2 0x0 intr_info 0x0 error_code 0x0", after)

    def entry(self, rip, after=10):
        self(f"kvm_entry: vcpu 0, rip {rip:#x}", after)

    def deliver(self, rip):
        self("kvm_inj_virq: IRQ 0xec", 1)
        self.entry(rip)
        self.exit("msr", EOI)
        self("kvm_apic: apic_write APIC_EOI = 0x0", 1)
        self("kvm_eoi: apicid 0 vector 236", 1)
        self("kvm_msr: msr_write 80b = 0x0", 1)
        self.entry(EOI + 2)

    def arm(self, held=0, offered=False, also=()):
        """`held`: so long the host stays out; the timer is `offered` at the end of that."""
        self.exit("msr", ARM)
        self("kvm_msr: msr_write 6e0 = 0x1000", 1)
        for event in also:
            self(event, 1)
        if offered:
            self("kvm_apic_accept_irq: apicid 0 vec 236 (Fixed|edge)", held)

    def usual(self):
        """HLT 25 us behind the exit of the arm; the timer ends it."""
        self.arm()
        self.entry(ARM + 2)
        self.exit("hlt", HALT, 14)
        self("kvm_apic_accept_irq: apicid 0 vec 236 (Fixed|edge)", 200)
        self.deliver(HALT + 1)

    def windowed(self, held, also=()):
        """The timer was there before the HLT: a window exit delivers it."""
        self.arm(held, True, also)
        self.entry(ARM + 2)
        self.exit("hlt", HALT, 14)
        self.entry(HALT + 1)
        self.exit("vintr", HALT + 1)
        self.deliver(HALT + 1)

    def at_once(self, held):
        """The guest had interrupts on: no HLT comes to pass."""
        self.arm(held, True)
        self.deliver(ARM + 2)

    def read(self, folder):
        path = folder / "story.txt"
        path.write_text("\n".join(self.lines) + "\n")
        return reader.read(path)


def story(*turns, usual=6):
    told = Story()
    for _ in range(usual):
        told.usual()
    for name, *arguments in turns:
        getattr(told, name)(*arguments)
    told.usual()
    return told


def exits(read, undisturbed):
    return Replay(read, COSTS, undisturbed=undisturbed).under().by_reason


def added(told, folder):
    """What the host added to the exits, and spared."""
    read = told.read(folder)
    difference = Counter(exits(read, False))
    assert difference == Counter(event.fields["reason"] for event in read.counted_exits())
    difference.subtract(exits(read, True))
    return {reason: n for reason, n in difference.items() if n}


def test_a_timer_that_met_a_drawn_out_exit_meets_the_halt_behind_it(tmp_path):
    assert added(story(("windowed", 200)), tmp_path) == {"vintr": 1}


def test_a_halt_that_was_spared_comes_back(tmp_path):
    assert added(story(("at_once", 200)), tmp_path) == {"hlt": -1}


@pytest.mark.parametrize("turn", ["windowed", "at_once"])
@pytest.mark.parametrize("held", [5, 24])
def test_what_came_before_the_usual_time_of_the_halt_was_no_doing_of_the_host(turn, held, tmp_path):
    assert added(story((turn, held)), tmp_path) == {}


def test_one_microsecond_later_it_was(tmp_path):
    assert added(story(("windowed", 26)), tmp_path) == {"vintr": 1}


def test_where_nothing_is_usual_nothing_is_late(tmp_path):
    assert added(story(("windowed", 200), usual=3), tmp_path) == {}
    assert added(story(("windowed", 200), usual=4), tmp_path) == {"vintr": 1}


def test_where_something_else_was_there_too_the_order_stays(tmp_path):
    device = ("kvm_msi_set_irq: dst 0 vec 36 (Fixed|physical|edge)", "kvm_apic_accept_irq: apicid 0 vec 36 (Fixed|edge)")
    told = story(("windowed", 200, device))
    read = told.read(tmp_path)
    assert exits(read, False).get("vintr") == exits(read, True).get("vintr")


def test_the_hosts_own_interrupts_go_and_what_they_took_along_kicks(tmp_path):
    told = story()
    told.exit("interrupt", 0x40, 5)
    told.entry(0x40)
    told.arm()
    told.entry(ARM + 2)
    told.exit("interrupt", 0x44, 30)
    told("kvm_apic_accept_irq: apicid 0 vec 236 (Fixed|edge)")
    told.deliver(0x44)
    told.usual()
    assert added(told, tmp_path) == {"interrupt": 1}


def test_numbers_of_steps_are_their_places(tmp_path):
    taken = demand.extract(story(("windowed", 200), ("at_once", 200)).read(tmp_path), undisturbed=True)
    for number, step in enumerate(taken.steps[0]):
        assert step.number == number
        assert all(arrival.step == number for arrival in step.arrivals)
        assert all(delivery.step == number for delivery in step.deliveries)
        assert all(taken.steps[0][d.ended].reason == "msr" for d in step.deliveries if d.ended is not None)


@pytest.mark.parametrize("name", ["svm_default_x2apic_mixed_spin", "svm_default_x2apic_pingpong_spin"])
def test_the_window_exits_of_the_slow_machine_were_its_hosts(name):
    # A thread of the host that woke another stood still in that for ten times the usual time.
    read = trace(name)
    assert exits(read, False)["vintr"] > 40
    assert exits(read, True)["vintr"] <= 1


@pytest.mark.parametrize("name", [name for name in recordings() if not name.startswith(("svm", "vmx"))])
def test_an_undisturbed_linux_guest_comes_to_its_end(name):
    outcome = Replay(trace(name), COSTS, undisturbed=True).under()
    assert outcome.notes == []
    assert outcome.results.document["state"] == "ended"
