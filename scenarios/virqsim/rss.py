"""Receive-side scaling: which of a card's queues gets a frame, by the hash of its connection.

    queues = [Queue(vcpu, 50, arrivals) for vcpu, arrivals in zip(vcpus, rss.spread(times_ns, 4, rss.connections(64)))]

The hash is Toeplitz' with the key that Microsoft publishes, the table of 128 entries that goes round the
queues is what Linux's drivers set (ethtool_rxfh_indir_default()).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from .errors import VirqsimError
from .nic import Arrivals

KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
TABLE = 128


@dataclass(frozen=True)
class Connection:
    """Whose frames all come into one queue."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int

    @property
    def words(self) -> bytes:
        """What is hashed, as frames have it."""
        return (self.source.packed + self.destination.packed + self.source_port.to_bytes(2, "big")
                + self.destination_port.to_bytes(2, "big"))


def toeplitz(data: bytes, key: bytes = KEY) -> int:
    """The hash of 32 bits: for each bit that is set, the 32 bits of the key that begin there."""
    bits = int.from_bytes(key, "big")
    found = 0
    for n in range(8 * len(data)):
        if data[n // 8] >> 7 - n % 8 & 1:
            found ^= bits >> 8 * len(key) - 32 - n & 0xFFFFFFFF
    return found


def connections(count: int, seed: int = 1) -> list[Connection]:
    """Clients of one server, with addresses and ports drawn at random."""
    chance = random.Random(seed)
    return [Connection(IPv4Address(chance.randrange(0x0A000002, 0x0AFFFFFF)), chance.randrange(32768, 61000),
                       IPv4Address("10.0.0.1"), 443) for _ in range(count)]


def queue_of(connection: Connection, queues: int) -> int:
    """By the low bits of the hash."""
    return toeplitz(connection.words) % TABLE % queues


def spread(times_ns: Sequence[int], queues: int, of: Sequence[Connection], seed: int = 1) -> list[Arrivals]:
    """The arrivals of each queue, where the frames that arrive at these times are of one connection or another.

    Raises:
        VirqsimError: there are no connections, or no queues.
    """
    if not of or not 1 <= queues <= TABLE:
        raise VirqsimError(f"rss: {len(of)} connections for {queues} queues: at least one, and 1 to {TABLE}, belong here")
    chance = random.Random(seed)
    homes = [queue_of(connection, queues) for connection in of]
    times: list[list[int]] = [[] for _ in range(queues)]
    for at in times_ns:
        times[chance.choice(homes)].append(at)
    return [Arrivals.listed(each) for each in times]
