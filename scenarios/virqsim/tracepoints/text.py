"""As the text of tracefs, Linux 6.1.

Guests here have no instruction addresses, so every rip is 0. Times have
nanoseconds, as with `trace-cmd report -t`. The first lines say what KVM's
module parameters would have been, on what machine it ran, and how many exits
there are, as in the recordings of traces/.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .. import profiles
from ..hypothetical import underneath
from ..trace import Trace
from .formats import E2K_TRACEPOINTS
from .lines import Lines, _features, comm

HEADER = """\
# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""
_PARAMETERS = (  # a parameter, what turns it on, and whose it is
    ("kvm_intel.enable_apicv", "virtual-interrupt-delivery", "vmx"), ("kvm_intel.enable_ipiv", "ipi-virtualization", "vmx"),
    ("kvm_intel.flexpriority", "apic-page-slot", "vmx"), ("kvm_intel.preemption_timer", "preemption-timer", "vmx"),
    ("kvm_intel.ept", "nested-paging", "vmx"), ("kvm_amd.avic", "avic", "svm"), ("kvm_amd.npt", "nested-paging", "svm"),
)


def parameters(plan: dict[str, Any]) -> str:
    """KVM's module parameters under which a host would run the plan."""
    from .. import library

    vendor = next((row["vendor"] for row in library.describe()["technologies"] if row["name"] == plan["technology"]), "vmx")
    on = _features(plan)
    words = [f"kvm.halt_poll_ns={plan['hypervisor']['halt_poll_ns']}"]
    return " ".join(words + [f"{name}={'Y' if by in on else 'N'}" for name, by, whose in _PARAMETERS if whose == vendor])


def machine(plan: dict[str, Any]) -> str:
    """On what it ran, in a plan's words: what a host's own recording leaves its reader to guess."""
    switched = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(plan.get("features", {}).items()))
    return (f"virqsim machine: technology={underneath(plan)} features={switched} "
            f"guest_apic={plan['machine']['guest_apic']} irqchip={plan['hypervisor']['irqchip']}")


def write(trace: Trace, path: Path, plan: dict[str, Any] | None = None) -> None:
    """Writes the trace's tracepoints, a line each."""
    exits = Counter(trace.exit_reason(a) for a in trace.of("VM_EXIT")["a"].tolist())
    with path.open("w") as file:
        if plan:
            file.write(f"# module parameters: {parameters(plan)}\n# {machine(plan)}\n")
            caveat = profiles.caveat_of(plan)
            file.write(f"# times:{caveat}; a kvm_exit is an interception, by its name\n" if caveat else "")
        file.write(f"# exits by reason in this file: {'; '.join(f'{r}={n}' for r, n in sorted(exits.items()))}\n")
        file.write(HEADER)
        for ns, cpu, pid, name, values in Lines(trace, plan):
            file.write(f" {comm(pid):>15}-{pid:<5} [{cpu:03}] ..... {ns // 10**9:5}.{ns % 10**9:09}: "
                       f"{name}: {E2K_TRACEPOINTS[name].text(values)}\n")
