"""The answer of `virqsim replay`: rates, times, latencies, bands, bill and ranking, and the page that shows them."""

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from replay_files import TRACES, replay, trace
from virqsim import profiles
from virqsim.replay import answer, bars, demand, life, rank, reader, tables, unknown

TRACE = "vmx_noapicv_x2apic_mixed_spin"


@pytest.fixture(scope="module")
def document():
    taken = replay(TRACE)
    return answer.document(taken, answer.ask(taken, None, None), [answer.ask(taken, "apicv", {})])


def test_rates_are_exits_over_the_recorded_seconds(document):
    recorded = document["recorded"]
    read = trace(TRACE)
    counted = [event.time_ns for event in read.events[read.begin:read.end]]
    assert recorded["seconds"] == pytest.approx((counted[-1] - counted[0]) / 1e9)
    assert recorded["exits_per_second"]["HLT"] * recorded["seconds"] == pytest.approx(recorded["exits"]["HLT"])


def test_a_recordings_time_is_divided_without_rest(document):
    parts = document["recorded"]["time_ns"]
    assert set(parts) == set(life.PARTS)
    # Two vCPUs, each from its first event to its last.
    assert 0.9 * 2e9 * document["recorded"]["seconds"] < sum(parts.values()) <= 2e9 * document["recorded"]["seconds"]
    assert parts["blocked"] > parts["exit"] > 0


def test_a_wait_is_blocked_a_poll_is_polling_and_the_rest_is_exit():
    events = [SimpleNamespace(time_ns=ns) for ns in (0, 100, 1100)]
    wakeups = [SimpleNamespace(fields={"how": how, "ns": ns}) for how, ns in (("wait", 600), ("poll", 150))]
    episode = SimpleNamespace(left=1, resumed=2, guest_ns=100, named=lambda *_: wakeups, to_userspace=lambda: [])
    step = SimpleNamespace(episode=episode, reason="HLT")
    assert life._of_step(SimpleNamespace(events=events), step) == {"guest": 100, "exit": 250, "blocked": 600, "polling": 150}


def test_bands_hold_the_middle(document):
    for column in (document["replayed"], document["what_if"]["apicv"]):
        low, high = (column["band"][end]["time_ns"]["exit"] for end in ("low", "high"))
        assert low < column["time_ns"]["exit"] < high
        means = [column["band"][end]["latency_by_source_ns"]["ipi"]["mean"] for end in ("low", "high")]
        assert means[0] < column["latency_by_source_ns"]["ipi"]["mean"] < means[1]


def test_the_bill_adds_up(document):
    assert sum(line["count"] for line in document["bill"]) == sum(document["replayed"]["exits"].values())
    assert sum(line["share"] for line in document["bill"]) == pytest.approx(1)
    prices = [line["ns"] * line["count"] for line in document["bill"]]
    assert prices == sorted(prices, reverse=True)


def test_a_feature_buys_what_its_replay_spares(document):
    ranked = document["ranking"]
    saved = [each["exits_saved"] for each in ranked]
    assert saved == sorted(saved, reverse=True) and saved[0] > 0
    best = ranked[0]
    here = replay(TRACE).under(None, dict.fromkeys(best["features"], True))
    assert sum(here.by_reason.values()) == best["exits"]


def test_a_feature_without_effect_is_not_ranked():
    outcome = replay(TRACE).under("ipiv")
    assert all(each.exits_saved for each in rank.rank(outcome))


def test_all_of_a_profiles_costs_move_to_one_end():
    costs = profiles.load("skylake-sp")
    for end in ("low", "high"):
        assert costs.at(end).cycles == {key: getattr(number, end) for key, number in costs.costs.items()}


# What the trace does not tell.

def unknown_of(text, tmp_path):
    (tmp_path / "t.txt").write_text(text)
    read = reader.read(tmp_path / "t.txt")
    return {row.what: row for row in unknown.find(read, demand.extract(read))}


def line(ns, event, pid="4100"):
    return f" CPU 0/KVM-{pid} [000] d.... 500.{ns:06}: {event}\n"


def exit_of(reason, vcpu="vcpu 0 "):
    return f"kvm_exit: {vcpu}reason {reason} rip 0x10 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0"


def test_what_others_imply_is_counted_and_its_share_said(tmp_path):
    entry = "kvm_entry: vcpu 0, rip 0x10"
    text = (line(1, entry) + line(2, exit_of("MSR_WRITE")) + line(3, entry)
            + line(4, exit_of("MSR_WRITE")) + line(5, "kvm_msr: msr_write 80b = 0x0")
            + line(6, exit_of("CPUID")) + line(3, "kvm_inj_virq: IRQ 0x31") + line(8, entry))
    rows = unknown_of(text, tmp_path)
    assert (rows["exits whose kvm_msr is missing"].count, rows["exits whose kvm_msr is missing"].of) == (1, 2)
    assert rows["clock jumps back on a CPU"].count == 1
    assert rows["injected interrupts that nothing raised"].count == 1
    assert "trace-cmd record -e kvm" in rows["clock jumps back on a CPU"].record
    assert rows["exits whose kvm_msr is missing"].document()["share"] == 0.5


def test_a_missing_vcpu_number_is_said(tmp_path):
    text = line(1, "kvm_entry: vcpu 0") + line(2, "kvm_exit: reason CPUID rip 0x1 info 0 0") + line(3, "kvm_entry: vcpu 0")
    assert unknown_of(text, tmp_path)["exits without a vCPU number"].count == 1


def test_a_whole_recording_says_everything():
    taken = replay("on1_ide")
    assert unknown.find(taken.trace, taken.demand) == [] and unknown.absent(taken.trace, False) == []


def test_hidden_deliveries_ask_for_a_recording_without_apicv():
    taken = replay("vmx_apicv_x2apic_ipi_spin")
    assert any("enable_apicv=0" in row.record for row in unknown.find(taken.trace, taken.demand))


# The page

class Checker(HTMLParser):
    """Counts elements, and wants every one closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_holds_every_table_and_needs_nothing_else(virqsim, tmp_path):
    said = virqsim("replay", TRACES / f"{TRACE}.txt.gz", "--tech", "apicv", "--html", tmp_path / "p.html", "--json")
    assert said.status == 0, said.err
    page, document = (tmp_path / "p.html").read_text(), json.loads(said.out)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert [tag for tag, _ in checker.seen].count("table") == len(list(tables.tables(document)))
    assert [tag for tag, _ in checker.seen].count("svg") == 3
    assert not any({"src", "href"} & set(attributes) for _, attributes in checker.seen)
    assert not re.search(r"https?://", page)
    for rect in (attributes for tag, attributes in checker.seen if tag == "rect"):
        assert float(rect["width"]) >= 0


def test_bars_with_more_parts_than_colours_have_one_that_is_the_rest():
    many = {f"R{n:02}": float(20 - n) for n in range(12)}
    drawn = bars.bars({"recorded": many, "a technology of a long name": {"R00": 5.0}}, {"recorded": (1.0, 2.0)})
    assert drawn.count("<rect") == 11 and drawn.count("<li>") == 10
    assert "<title>recorded: other 30</title>" in drawn and drawn.count("<path") == 1
    assert "other" not in bars.bars({"recorded": dict(list(many.items())[:9])})
    assert ">174</text>" in drawn and ">5</text>" in drawn
    (left,) = set(re.findall(r"<text x='([\d.]+)' y='\d+' text-anchor='end'", drawn))
    assert float(left) > 7 * len("a technology of a long name")


def test_a_page_that_cannot_be_written_is_one_line(virqsim, tmp_path):
    said = virqsim("replay", TRACES / f"{TRACE}.txt.gz", "--tech", "apicv", "--html", tmp_path / "no" / "p.html")
    assert said.status == 2 and said.err.count("\n") == 1
