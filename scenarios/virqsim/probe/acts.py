"""What is probed: one operation of the sender's each."""

from ..guest import icr, icr_nmi, logical_flat, logical_x2apic
from .bench import (
    DEBUG_PORT,
    DEVICE_PAGE,
    EVENT_PAGE,
    EVENT_PORT,
    PIC_MASK_PORT,
    PV_IPI_DESTINATIONS,
    VECTOR,
    Bench,
    timer_cycles,
)


def unicast(bench: Bench) -> None:
    bench.sender.ipi(icr(VECTOR), 1)


def logical(bench: Bench) -> None:
    address = logical_x2apic if bench.probe.guest_apic == "x2apic" else logical_flat
    bench.sender.ipi(icr(VECTOR, logical=True), address(bench.probe.target_ids))


def nmi(bench: Bench) -> None:
    bench.sender.ipi(icr_nmi(), 1)


def all_but_self(bench: Bench) -> None:
    bench.sender.ipi(icr(VECTOR, shorthand="all-but-self"))


def broadcast_loop(bench: Bench) -> None:
    for apic_id in bench.probe.target_ids:
        bench.sender.ipi(icr(VECTOR), apic_id)


def broadcast_pv(bench: Bench) -> None:
    for first in bench.probe.target_ids[::PV_IPI_DESTINATIONS]:
        bench.sender.pv_ipi(VECTOR, first, min(PV_IPI_DESTINATIONS, bench.probe.targets - first + 1))


def senduipi(bench: Bench) -> None:
    bench.sender.senduipi(0)


def self_ipi(bench: Bench) -> None:
    bench.sender.self_ipi(VECTOR)


def self_icr(bench: Bench) -> None:
    bench.sender.ipi(icr(VECTOR, shorthand="self"))


def tsc_deadline(bench: Bench) -> None:
    bench.sender.tsc_deadline(timer_cycles(bench))


def count(bench: Bench) -> None:
    bench.sender.timer_count(bench.timer_counts(timer_cycles(bench)))


def next_period(bench: Bench) -> None:
    """The timer ticks by itself."""


def write_tpr(bench: Bench) -> None:
    bench.sender.tpr(0x20)


def write_cr8(bench: Bench) -> None:
    bench.sender.cr8(2)


def read_cr8(bench: Bench) -> None:
    bench.sender.cr8_read()


def device(bench: Bench) -> None:
    bench.sender.signal(0)


def port_of_the_pic(bench: Bench) -> None:
    bench.sender.port_in(PIC_MASK_PORT, 1)


def port_of_qemu(bench: Bench) -> None:
    bench.sender.port_out(DEBUG_PORT, 1)


def port_of_an_eventfd(bench: Bench) -> None:
    bench.sender.port_out(EVENT_PORT, 2)


def page_of_qemu(bench: Bench) -> None:
    bench.sender.mmio_write(DEVICE_PAGE, 4)


def page_of_an_eventfd(bench: Bench) -> None:
    bench.sender.mmio_write(EVENT_PAGE, 2)


def global_flag(bench: Bench) -> None:
    bench.sender.clgi().stgi()


def halt(bench: Bench) -> None:
    bench.sender.halt()


def pause_loop(bench: Bench) -> None:
    bench.sender.pause_take(bench.sent)


def mwait(bench: Bench) -> None:
    bench.sender.mwait(bench.sent, bench.probe.repetitions + 1)  # more than there ever is: a store ends it


def lock(bench: Bench) -> None:
    lock = bench.machine.lock("lock")
    bench.sender.lock(lock).unlock(lock)
