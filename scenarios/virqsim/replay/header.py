"""What a trace says about itself in its comment lines.

Recordings made for virqsim state their own exit counts and KVM's module
parameters; tracefs states how many events it wrote.

    # exits by reason in this file: io=626; msr=180
    # ground truth, exits by reason in the window of this file: vcpu0 msr=400; vcpu1 PF excp=200
    # module parameters: kvm.halt_poll_ns=200000 kvm_intel.enable_apicv=N
    # virqsim machine: technology=none features=+pv-eoi guest_apic=x2apic irqchip=kernel
    # entries-in-buffer/entries-written: 1655/1655   #P:2
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COUNTS = re.compile(r"#\s*(?:ground truth, )?exits by reason in (?:this file|the window of this file(?: \(.*?\))?):\s*(.*)")
_COUNT = re.compile(r"\s*(?:vcpu(?P<vcpu>\d+) )?(?P<reason>[^=;]+)=(?P<count>\d+)")
_MACHINE = re.compile(r"#.*\bvirqsim machine: technology=(?P<technology>\S+) features=(?P<features>\S*) "
                      r"guest_apic=(?P<guest_apic>\w+) irqchip=(?P<irqchip>\w+)")
_PARAMETERS = re.compile(r"#\s*module parameters:\s*(.*)")


@dataclass
class Header:
    """The file's own words. `exits`: (vCPU or None for all, reason) to a count, with the line that says so."""

    exits: dict[tuple[int | None, str], int] = field(default_factory=dict)
    exits_line: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    """What `virqsim export` says that the run was made on: technology, features, guest_apic, irqchip."""
    machine_line: int = 0
    counted: int = 0
    """Events whose times are a clock's count."""
    no_entries: bool = False
    order_note: str = ""
    """What was done to put the lines in order."""
    again_line: int = 0
    """Where another recording begins."""
    gap_line: int = 0
    """Where its writer says, by three dots, that lines between events were left out."""

    def read(self, number: int, line: str) -> None:
        """Takes in one comment line."""
        counts = _COUNTS.match(line)
        if counts:
            self.exits_line = number
            self.exits = {(int(m["vcpu"]) if m["vcpu"] else None, m["reason"].strip()): int(m["count"])
                          for m in _COUNT.finditer(counts[1])}
        machine = _MACHINE.match(line)
        if machine:
            self.machine, self.machine_line = machine.groupdict(), number
        parameters = _PARAMETERS.match(line)
        if parameters:
            words = (word.partition("=") for word in parameters[1].split())
            self.parameters = {name.rpartition(".")[2]: value for name, _, value in words}
