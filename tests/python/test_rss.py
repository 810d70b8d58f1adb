"""Receive-side scaling: the hash as Microsoft publishes it, and what it does to a card with several queues."""

from ipaddress import IPv4Address

import pytest
from virqsim import Scenario, VirqsimError, profiles, rss, run

# "Verifying the RSS Hash Calculation", Microsoft: source, destination, the hash of addresses, and with ports.
PUBLISHED = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xD718262A, 0xC626B0EA),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xD2D0A5DE, 0x5C2B394A),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xAFC7327F),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5D1809C5, 0x10E828A2),
]


@pytest.mark.parametrize(("source", "source_port", "destination", "destination_port", "addresses", "ports"), PUBLISHED)
def test_the_hash_is_the_published_one(source, source_port, destination, destination_port, addresses, ports):
    words = rss.Connection(IPv4Address(source), source_port, IPv4Address(destination), destination_port).words
    assert rss.toeplitz(words[:8]) == addresses
    assert rss.toeplitz(words) == ports


def test_a_connection_stays_in_its_queue_and_every_frame_has_one():
    of = rss.connections(50)
    for queues in (1, 3, 8):
        spread = rss.spread(range(1000), queues, of)
        assert sorted(at for arrivals in spread for at in arrivals.document["at_ns"]) == list(range(1000))
    one = rss.spread(range(10), 4, of[:1])
    assert [len(arrivals.document["at_ns"]) for arrivals in one].count(10) == 1


def test_without_connections_nothing_can_be_spread():
    with pytest.raises(VirqsimError, match="0 connections for 4 queues"):
        rss.spread([1], 4, [])


def rows(**parameters):
    scenario, costs = Scenario.load("receive_side_scaling"), profiles.load("skylake-sp")
    results = run("receive_side_scaling", technology="vtd-pi", **parameters)
    assert results.document["state"] == "ended"
    return scenario.report(results, scenario.values(parameters, costs.clocks))


def test_many_connections_are_spread_evenly_and_one_is_not_spread():
    many, one = rows(connections=4096, frames=800), rows(connections=1, frames=800)
    assert many["frames"].sum() == one["frames"].sum() == 800
    assert many["share"].between(0.2, 0.3).all()
    assert sorted(one["share"]) == [0, 0, 0, 1]
    assert many["wait_p99_ns"].max() < one["wait_p99_ns"].max(), "one vCPU has them all"
    assert one["exits"].sum() == 0
