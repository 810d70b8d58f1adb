"""Published figures beside simulated ones: `virqsim validate`. `--exits` is in groundtruth/.

Two kinds. What a profile is calibrated on comes out as it went in, up to the
loop around the operation: that shows that the sums are paid, nothing more.
Predictions were never used to set a cost. Each file of this package has the
figures of one kind of measurement, with the sequence that the measuring program
went through; a row is simulated under the profile of the machine that the
publication names, or that comes nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import broadcasts, calls, direct, exits, hackbench, round_trips, timers
from .figure import WITHIN, Benches, compare

FIGURES = (*round_trips.FIGURES, *calls.FIGURES, *hackbench.FIGURES, *broadcasts.FIGURES, *timers.FIGURES, *exits.FIGURES,
           *direct.FIGURES)
"""Every figure; a new file adds its own here."""


@dataclass(frozen=True)
class Order:
    """Rows of one unit whose published figures fall from one to the next."""

    what: str
    ids: tuple[str, ...]


ORDERS = (
    Order("a call by IPI: with and without IPI virtualization, xAPIC and x2APIC",
          ("V4.1-xapic-off", "V4.1-xapic-on", "V4.1-x2apic-off", "V4.1-x2apic-on")),
    Order("IPI virtualization is worth more in xAPIC mode", ("V4.1-x2apic-change", "V4.1-xapic-change")),
    Order("a call by IPI in Linux", ("V4.3-off", "V4.3-on")),
    Order("a call to its end, in Linux", ("V4.2-normal-off", "V4.2-normal-on")),
    Order("a broadcast to the one other", ("V4.2-broadcast-off", "V4.2-broadcast-on")),
    Order("an IPI that is passed through", ("V4.10-off", "V4.10-on")),
    Order("broadcasts: one by one, by cluster, by hypercall", ("H5.10-physical", "H5.8-broadcast", "H5.9-broadcast")),
    Order("a device in QEMU and an eventfd, MMIO and ports",
          ("X1.24-mmio-no-eventfd", "X1.24-portio-no-eventfd", "X1.24-mmio-datamatch-eventfd",
           "X1.24-portio-datamatch-eventfd")),
    Order("the hypercall is worth more where each is addressed alone", ("H5.10-gain", "H5.9-gain")),
    Order("erratum 1235 costs the sender an exit, not the receiver", ("A4.2-send", "A4.2-receive")),
    Order("a timer's latency: on the host, on the preemption timer, ahead of the deadline",
          ("P4.4-host", "P4.4-before", "P4.4-after")),
    Order("a timer's latency: the wait before KVM's preparations, next to the entry", ("P4.5-before", "P4.5-after")),
    Order("exits of an assigned device's interrupt", ("ELI-baseline", "ELI-delivery", "ELI-both")),
    Order("exits on a dedicated CPU: as before, of emulated devices, of assigned ones",
          ("E2.10-before", "E2.10-virtual", "E2.10-after")),
    Order("sending an IPI that is passed through", ("V4.11-off", "V4.11-on")),
)


def validate(profile: str | None = None) -> dict[str, Any]:
    """Simulates every figure; the document that `virqsim validate --json` prints.

    `error` is how far the simulated figure is from the published one, as a
    fraction of the latter (the difference itself where that is 0); `all_low`
    and `all_high` are simulated with every cost at that end of its range.

    Args:
        profile: one for all rows, instead of each row's own.

    Raises:
        VirqsimError: there is no such profile.
    """
    benches = Benches(profile)
    rows = [compare(figure, benches) for figure in FIGURES]
    orders = [_check(order, {row["id"]: row for row in rows}) for order in ORDERS]
    return {"rows": rows, "orders": orders, "summary": _summary(rows, orders)}


def _check(order: Order, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    simulated = [rows[id]["simulated"] for id in order.ids]
    falls = all(one > next for one, next in zip(simulated, simulated[1:], strict=False))
    return {"what": order.what, "ids": list(order.ids), "simulated": simulated, "right": falls}


def _summary(rows: list[dict[str, Any]], orders: list[dict[str, Any]]) -> dict[str, Any]:
    predictions = [row for row in rows if row["kind"] == "prediction"]
    counts = [row for row in predictions if row["unit"] == "exits"]
    times = [row for row in predictions if row["unit"] != "exits"]
    return {
        "predictions": len(predictions),
        "mean_absolute_error": _mean_error(predictions),
        "mean_absolute_error_of_counts": _mean_error(counts),
        "mean_absolute_error_of_times": _mean_error(times),
        "within_10_percent": sum(abs(row["error"]) <= WITHIN for row in predictions),
        "orders": len(orders),
        "orders_right": sum(order["right"] for order in orders),
    }


def _mean_error(rows: list[dict[str, Any]]) -> float:
    return round(sum(abs(row["error"]) for row in rows) / len(rows), 4)
