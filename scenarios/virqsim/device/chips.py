"""The interrupt controllers alone: the second half of `sim/virqsim.h`, for Python."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from .. import library
from ..errors import VirqsimError

FOLLOWS = ("manuals", "qemu", "kvm")  # enum virqsim_follows
MODES = ("disabled", "xapic", "x2apic")


class Chips:
    """An 8259A pair, an I/O APIC and local APICs, from power-on.

    Args:
        apic_ids: one for each CPU; none: the I/O APIC's messages leave the board.
        x2apic: the CPUs announce x2APIC.
        wait_for_sipi: all CPUs but the first wait for a start-up IPI.
        ioapic_version: 0x11 or 0x20.
        follows: one of FOLLOWS: with whose quirks.

    Raises:
        VirqsimError: there is no such board.
    """

    def __init__(self, apic_ids: Sequence[int] = (), x2apic: bool = True, wait_for_sipi: bool = False,
                 ioapic_version: int = 0x20, follows: str = "manuals") -> None:
        self._ffi, self.lib = library.core()
        self.apic_ids = tuple(apic_ids)
        config = self._ffi.new("struct virqsim_chips_config *", {
            "cpus": len(apic_ids), "apic_id": list(apic_ids), "ioapic_version": ioapic_version,
            "follows": FOLLOWS.index(follows), "x2apic": x2apic, "wait_for_sipi": wait_for_sipi,
        })
        error = self._ffi.new("struct virqsim_error *")
        self._chips = self.lib.virqsim_chips_open(config, error)
        if self._chips == self._ffi.NULL:
            raise VirqsimError(self._ffi.string(error.message).decode())
        self._result = self._ffi.new("uint64_t *")
        self._count = self._ffi.new("uint32_t *")

    def do(self, operation: int, cpu: int = 0, size: int = 4, address: int = 0, value: int = 0) -> tuple[int, int]:
        """Performs one operation (enum virqsim_chips_operation): its status, and its result."""
        status = self.lib.virqsim_chips_do(self._chips, operation, cpu, size, address, value, self._result)
        return status, self._result[0]

    def effects(self) -> list[Any]:
        """What came of the last operation: struct virqsim_chips_effect, valid until the next."""
        effects = self.lib.virqsim_chips_effects(self._chips, self._count)
        return [effects[n] for n in range(self._count[0])]

    def pic(self, chip: int) -> Any:
        """struct virqsim_pic_state of the master (0) or the slave (1): a copy."""
        state = self._ffi.new("struct virqsim_pic_state *")
        self.lib.virqsim_chips_pic(self._chips, chip, state)
        return state

    def ioapic(self) -> Any:
        """struct virqsim_ioapic_state: a copy."""
        state = self._ffi.new("struct virqsim_ioapic_state *")
        self.lib.virqsim_chips_ioapic(self._chips, state)
        return state

    def lapic(self, cpu: int) -> Any:
        """struct virqsim_lapic_state of one CPU, by index: a copy."""
        state = self._ffi.new("struct virqsim_lapic_state *")
        self.lib.virqsim_chips_lapic(self._chips, cpu, state)
        return state

    def load_pic(self, chip: int, state: Any) -> None:
        """Puts a state in the place of a chip's."""
        self.lib.virqsim_chips_load_pic(self._chips, chip, state)

    def load_ioapic(self, state: Any) -> None:
        """Puts a state in the place of the I/O APIC's."""
        self.lib.virqsim_chips_load_ioapic(self._chips, state)

    def load_lapic(self, cpu: int, state: Any) -> None:
        """Puts TPR, IRR, ISR and TMR in the place of a local APIC's."""
        self.lib.virqsim_chips_load_lapic(self._chips, cpu, state)

    def close(self) -> None:
        """Gives the board back; a second call does nothing."""
        if self._chips != self._ffi.NULL:
            self.lib.virqsim_chips_close(self._chips)
            self._chips = self._ffi.NULL

    def __enter__(self) -> Chips:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
