"""virqsim anonymize: a trace without names, addresses and times, and the shortest part that shows something."""

import re
from collections import Counter

import pytest

from replay_files import TRACES, recordings
from virqsim import profiles
from virqsim.replay import reader
from virqsim.replay.compare import Replay
from virqsim.share import properties, shrink
from virqsim.share.skeleton import Skeleton

PROFILE = profiles.load("skylake-sp")
HEAD = "# secret-host\n# module parameters: kvm_amd.avic=N kvm.secret=7\n"
SECRET = HEAD + """\
 secret-guest-4711  [017] d..1.  1404.389421: kvm_exit: vcpu 0 reason io rip 0xffffffff816c2254 info1 0x0000000002fa0011 info2 0xffffffff816c2255 intr_info 0x80000023 error_code 0x00000000
 secret-guest-4711  [017] .....  1404.389430: kvm_pio: pio_read at 0x2fa size 1 count 1 val 0xcc 
 secret-guest-4711  [017] .....  1404.389431: kvm_emulate_insn: 0:ffffffff816c2254:48 8b
 secret-guest-4711  [017] .....  1404.389440: kvm_entry: vcpu 0, rip 0xffffffff816c2255
 secret-guest-4711  [017] .....  1404.389521: kvm_exit: vcpu 0 reason npf rip 0xffffffff816c3333 info1 0x000000010000000f info2 0x00000000febd5678 intr_info 0x00000000 error_code 0x00000000
 secret-guest-4711  [017] .....  1404.389530: kvm_mmio: mmio write len 4 gpa 0xfebd5678 val 0xdeadbeef
 secret-guest-4711  [017] .....  1404.389540: kvm_entry: vcpu 0, rip 0xffffffff816c3335
 secret-guest-4711  [017] .....  1404.389621: kvm_exit: vcpu 0 reason msr rip 0xffffffff81073914 info1 0x0000000000000001 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000
 secret-guest-4711  [017] .....  1404.389625: kvm_msr: msr_write c0000100 = 0x7f1234567890
 secret-guest-4711  [017] .....  1404.389630: kvm_entry: vcpu 0, rip 0xffffffff81073916
 secret-guest-4711  [017] .....  1404.389721: kvm_exit: vcpu 0 reason msr rip 0xffffffff81073914 info1 0x0000000000000001 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000
 secret-guest-4711  [017] .....  1404.389725: kvm_msr: msr_write 6e0 = 0x1234567890
 secret-guest-4711  [017] .....  1404.389730: kvm_entry: vcpu 0, rip 0xffffffff81073916
"""  # noqa: W291  the kernel writes a blank at the end of kvm_pio


def told(*hits):
    """A trace of AMD's, a microsecond an event: (thread, event, text)."""
    return "".join(f"           {thread}-{100 + int(thread[-1])}     [000] .....     1.{n:06}: {event}: {text}\n"
                   for n, (thread, event, text) in enumerate(hits))


def exits(reason, vcpu=0):
    return (f"vcpu{vcpu}", "kvm_exit", f"vcpu {vcpu} reason {reason} rip 0x0 info1 0x0000000000000000 "
            "info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000")


def enters(vcpu=0):
    return f"vcpu{vcpu}", "kvm_entry", f"vcpu {vcpu}, rip 0x0"


def accepted(vector):
    return "vcpu0", "kvm_apic_accept_irq", f"apicid 0 vec {vector} (Fixed|edge)"


def injected(vector):
    return "vcpu0", "kvm_inj_virq", f"IRQ {vector:#x}"


def test_nothing_of_names_addresses_and_times_is_left(virqsim, tmp_path):
    (tmp_path / "mine.txt").write_text(SECRET)
    said = virqsim("anonymize", "mine.txt")
    assert (said.status, said.out) == (0, "mine-anonymous.txt: 12 of 13 events\n")
    text = (tmp_path / "mine-anonymous.txt").read_text()
    for secret in ("secret", "4711", "017", "1404", "389", "816c", "8107", "2fa", "febd5", "678", "deadbeef", "cc", "7f12",
                   "234567890", "48 8b"):
        assert secret not in text, secret
    assert "# module parameters: avic=N\n" in text
    assert "msr_write c0000100 = 0x0" in text
    assert "msr_write 6e0 = 0x1" in text
    assert re.search(r"kvm_exit: vcpu 0 reason io rip 0x1 info1 0x0000000010000011 ", text)


def test_the_same_things_keep_the_same_names(virqsim, tmp_path):
    (tmp_path / "mine.txt").write_text(SECRET)
    virqsim("anonymize", "mine.txt")
    lines = (tmp_path / "mine-anonymous.txt").read_text().splitlines()
    msr = [re.search(r"rip (\S+)", line)[1] for line in lines if "reason msr" in line]
    assert msr[0] == msr[1]
    assert [re.search(r" at (\S+)", line)[1] for line in lines if "kvm_pio" in line] == ["0x1000"]


@pytest.mark.parametrize("name", recordings())
def test_a_replay_charges_what_a_replay_of_the_original_does(name, tmp_path):
    """But for races that the times decided: one in a hundred at most."""
    original = reader.read(TRACES / f"{name}.txt.gz")
    (tmp_path / "t.txt").write_text("\n".join(Skeleton(original).lines(original.events)) + "\n")
    here, there = Replay(original, PROFILE), Replay(reader.read(tmp_path / "t.txt"), PROFILE)
    assert there.recorded_exits == here.recorded_exits
    assert there.demand.recorded == here.demand.recorded
    was, now = here.under().exits, there.under().exits
    off = sum(((was - now) + (now - was)).values())
    assert off <= max(1, sum(was.values()) // 100)


def test_to_anonymize_twice_is_to_do_it_once(virqsim, tmp_path):
    virqsim("anonymize", TRACES / "on2_ppong.txt.gz", "--out", "once.txt")
    virqsim("anonymize", "once.txt", "--out", "twice.txt")
    assert (tmp_path / "twice.txt").read_text() == (tmp_path / "once.txt").read_text()


# --shrink


def count(path):
    return Counter(e.fields["reason"] for e in reader.read(path).events if e.name == "kvm_exit")


@pytest.mark.parametrize("name", ["hlt", "HLT"])
def test_a_count_of_exits_needs_only_these_exits(virqsim, tmp_path, name):
    said = virqsim("anonymize", TRACES / "on2_ppong.txt.gz", "--shrink", f"exits:{name}>=3", "--out", "three.txt")
    assert said.status == 0, said.err
    assert count(tmp_path / "three.txt") == {"hlt": 3}


def test_a_replay_that_is_off_stays_off(virqsim, tmp_path):
    said = virqsim("anonymize", TRACES / "svm_default_x2apic_pingpong_spin.txt.gz", "--shrink", "infidelity", "--out", "off.txt")
    assert said.status == 0, said.err
    left = Replay(reader.read(tmp_path / "off.txt"), PROFILE)
    assert left.recorded_exits != left.under().exits
    assert len(left.trace.events) < 50


def test_an_interrupt_that_is_lost_is_not_one_whose_injection_was_taken_away(virqsim, refused, tmp_path):
    works = [exits("cpuid"), accepted(236), injected(236), enters()]
    loses = [exits("hlt"), accepted(35), enters()]
    (tmp_path / "good.txt").write_text(told(enters(), *works * 5))
    assert "does not show 'lost'" in refused("anonymize", "good.txt", "--shrink", "lost")
    (tmp_path / "bad.txt").write_text(told(enters(), *works * 5, *loses, *works * 5))
    assert virqsim("anonymize", "bad.txt", "--shrink", "lost").status == 0
    left = reader.read(tmp_path / "bad-anonymous.txt")
    assert [e.fields["vector"] for e in left.events if e.name == "kvm_apic_accept_irq"][0] == 35
    assert len(left.events) <= 8
    assert "does not show 'lost:0xec'" in refused("anonymize", "bad.txt", "--shrink", "lost:0xec")


def look(tmp_path, *hits, origin):
    (tmp_path / "part.txt").write_text(told(*hits))
    return properties.Look(reader.read(tmp_path / "part.txt"), PROFILE, origin)


def test_what_is_lost_in_a_part_only_is_not_lost(tmp_path):
    shows = properties.parse("lost")
    whole = [enters(), exits("hlt"), accepted(35), enters(), exits("cpuid"), accepted(236), injected(236), enters(),
             exits("cpuid"), enters(), exits("cpuid"), enters()]
    assert shows(look(tmp_path, *whole, origin=range(12)))
    kept = [0, 4, 5, 7, 8, 9, 10, 11]
    assert not shows(look(tmp_path, *(whole[n] for n in kept), origin=kept))
    kept = [0, 1, 2, 3, 8, 9, 10, 11]
    assert shows(look(tmp_path, *(whole[n] for n in kept), origin=kept))


def test_what_was_accepted_as_the_recording_ended_is_not_lost(tmp_path):
    end = [enters(), exits("cpuid"), enters(), exits("hlt"), accepted(35), enters()]
    assert not properties.parse("lost")(look(tmp_path, *end, origin=range(6)))


def test_shrinking_ends_when_no_piece_can_be_taken_away():
    tried = []

    def shows(part):
        tried.append(tuple(part))
        return {3, 17, 18} <= set(part)

    assert shrink.shrink(range(40), shows, 1000) == ([3, 17, 18], True)
    assert all((a, b) in {tuple(t) for t in tried if len(t) == 2} for a, b in ((3, 17), (3, 18), (17, 18)))


def test_shrinking_stops_after_so_many_tests(virqsim, tmp_path):
    kept, smallest = shrink.shrink(range(100), lambda part: 7 in part, 3)
    assert (7 in kept, smallest, len(kept) < 100) == (True, False, True)
    said = virqsim("anonymize", TRACES / "on2_ppong.txt.gz", "--shrink", "exits:hlt>=3", "--tests", "2", "--out", "t.txt")
    assert "stopped after 2 tests" in said.out
    assert count(tmp_path / "t.txt")["hlt"] >= 3


def test_an_exit_and_what_its_thread_prints_go_together():
    class Event:
        def __init__(self, pid, name, vcpu):
            self.pid, self.name, self.vcpu = pid, name, vcpu

    events = [Event(1, "kvm_entry", 0), Event(1, "kvm_exit", 0), Event(2, "kvm_set_irq", None), Event(1, "kvm_msr", 0),
              Event(2, "kvm_apic_accept_irq", None), Event(1, "kvm_entry", 0), Event(2, "kvm_set_irq", None)]
    assert shrink.pieces(events) == [[0], [1, 3, 5], [2, 4], [6]]


@pytest.mark.parametrize(("wanted", "said"), [
    ("nonsense", "is no property (exits:REASON[>=N], infidelity[:REASON[>=N]], lost[:VECTOR], stuck)"),
    ("exits", "it is exits:REASON[>=N]"), ("stuck:1", "it is stuck"), ("exits:hlt>=many", "'many' is not a number"),
    ("lost:x", "'x' is not a number"), ("stuck", "does not show"),
    ("exits:hlt>=100000", "does not show 'exits:hlt>=100000' (its exits: cpuid "), ("exits:cpuidd", "does not show"),
])
def test_a_property_that_is_none_or_is_not_shown_is_refused(refused, tmp_path, wanted, said):
    assert said in refused("anonymize", TRACES / "off1_idle.txt.gz", "--shrink", wanted)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_refused_and_leave_nothing(refused, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    assert refused("anonymize", "empty.txt") == "empty.txt: is empty"
    assert "none.txt" in refused("anonymize", "none.txt")
    (tmp_path / "mine.txt").write_text(SECRET)
    assert "is the trace itself" in refused("anonymize", "mine.txt", "--out", "mine.txt")
    assert "cannot be written" in refused("anonymize", "mine.txt", "--out", "no/such/folder.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.txt", "mine.txt"]


def test_every_property_says_how_it_is_written():
    assert {properties.usage(name).partition(":")[0].partition("[")[0] for name in properties.KINDS} == set(properties.KINDS)
