"""Network cards of a machine: their receive queues, when frames arrive, and when a queue interrupts.

    rx = machine.nic("nic", [Queue(vcpu=0, vector=50, arrivals=Arrivals.bursts(1000, 32, 100_000))],
                     moderation=Moderation.fixed(50_000))

What they do is in docs/models/nic.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import VirqsimError


@dataclass(frozen=True)
class Arrivals:
    """When frames arrive; made by one of the methods, times in nanoseconds."""

    document: dict[str, Any]

    @staticmethod
    def periodic(count: int, gap_ns: int, from_ns: int = 0) -> Arrivals:
        """At even distances."""
        return Arrivals({"kind": "periodic", "count": count, "gap_ns": gap_ns, "from_ns": from_ns})

    @staticmethod
    def poisson(count: int, gap_ns: int, from_ns: int = 0) -> Arrivals:
        """At exponentially distributed distances of that mean."""
        return Arrivals({"kind": "poisson", "count": count, "gap_ns": gap_ns, "from_ns": from_ns})

    @staticmethod
    def bursts(count: int, burst: int, gap_ns: int, within_ns: int = 0, from_ns: int = 0) -> Arrivals:
        """In bursts.

        Args:
            count: of frames in all.
            burst: how many one burst has.
            gap_ns: from the begin of one burst to that of the next.
            within_ns: between two frames of a burst.
            from_ns: the first burst.
        """
        return Arrivals({"kind": "bursts", "count": count, "burst": burst, "gap_ns": gap_ns, "within_ns": within_ns,
                         "from_ns": from_ns})

    @staticmethod
    def heavy_tailed(count: int, gap_ns: int, shape: float = 1.5, from_ns: int = 0) -> Arrivals:
        """At distances with a Pareto distribution of that mean; the smaller the shape, which is above 1, the
        heavier its tail."""
        return Arrivals({"kind": "heavy_tailed", "count": count, "gap_ns": gap_ns,
                         "shape_thousandths": round(1000 * shape), "from_ns": from_ns})

    @staticmethod
    def listed(at_ns: Sequence[int]) -> Arrivals:
        """At these times, ascending."""
        return Arrivals({"kind": "listed", "at_ns": list(at_ns)})

    @staticmethod
    def from_file(path: str | Path) -> Arrivals:
        """At the times of a file: one a line, in nanoseconds, ascending; empty lines and `# ...` say nothing.

        Raises:
            VirqsimError: it cannot be read, or a line is no such time.
        """
        times: list[int] = []
        try:
            lines = Path(path).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise VirqsimError(f"arrivals {path}: {getattr(error, 'strerror', None) or 'is not text'}") from None
        for number, line in enumerate(lines, 1):
            text = line.split("#")[0].strip()
            if text and not text.isdecimal():
                raise VirqsimError(f"arrivals {path}: line {number}: {text!r} is no time in nanoseconds")
            if text and times and int(text) < times[-1]:
                raise VirqsimError(f"arrivals {path}: line {number}: {text} is earlier than the one before it")
            if text:
                times.append(int(text))
        return Arrivals.listed(times)


@dataclass(frozen=True)
class Moderation:
    """Which frames interrupt; made by one of the methods."""

    document: dict[str, Any]

    @staticmethod
    def none() -> Moderation:
        """Each frame, at once."""
        return Moderation({"kind": "none"})

    @staticmethod
    def fixed(interval_ns: int) -> Moderation:
        """With an interval between two interrupts, as EITR's."""
        return Moderation({"kind": "fixed", "interval_ns": interval_ns})

    @staticmethod
    def adaptive(frame_bytes: int = 1500) -> Moderation:
        """With an interval that Linux' driver sets by the load."""
        return Moderation({"kind": "adaptive", "frame_bytes": frame_bytes})

    @staticmethod
    def vic(epoch_ns: int = 200_000_000) -> Moderation:
        """By the frames in flight: vIC. The epoch is over which it measures the rate."""
        return Moderation({"kind": "vic", "epoch_ns": epoch_ns})


@dataclass(frozen=True)
class Queue:
    """One receive queue.

    Args:
        vcpu: where it interrupts.
        vector: 16 to 255, the guest's.
        arrivals: of its frames.
        cpu: of an assigned card, the physical CPU that its interrupt reaches where the IOMMU does not
            post; by default the one of the vCPU's thread.
    """

    vcpu: int
    vector: int
    arrivals: Arrivals
    cpu: int | None = None


def devices_of(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The devices of a plan as the trace numbers them: those that it lists, then each queue of its cards."""
    queues = [{"name": f"{nic['name']}, queue {n}", "kind": "assigned" if nic["path"] == "assigned" else "msi",
               "vcpu": queue["vcpu"], "vector": queue["vector"]}
              for nic in plan["machine"].get("nics", []) for n, queue in enumerate(nic["queues"])]
    return [*plan["machine"].get("devices", []), *queues]
