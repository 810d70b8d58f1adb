"""Published figures beside simulated ones: `virqsim validate`. `--exits` is in groundtruth/.

Two groups. What a profile is calibrated on comes out as it went in, up to the
loop around the operation: that shows that the sums are paid, nothing more.
Predictions were never used to set a cost. Neither kind is a proof: no source
names a machine of which all costs are known, and most keys of a profile are
assumed (docs/costs.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click

from . import features, profiles, runner
from .guest import Program, icr, logical_x2apic
from .plan import Hypervisor, Machine, Plan
from .profiles import Profile

VECTOR = 48
ROUNDS = 50
SETTLE = 100_000  # cycles, longer than any exit, entry and handler
TIMER = 50_000  # cycles from arming to the deadline
BIG_VM = 80  # vCPUs
KERNEL_PORT, USER_PORT, EVENT_PORT = 0x4D0, 0xE1, 0x600
USER_MMIO, EVENT_MMIO = 0xD0000000, 0xD0001000

_VMEXIT = "kvm-unit-tests vmexit, commit b7ffc44d5b2e, 2017"
_EVENTFD = "kvm-unit-tests vmexit with pci-testdev, QEMU commit 22773d6066a7, 2013"
_IPIV = "kvm-unit-tests vmexit ipi, '[PATCH 0/5] IPI virtualization support for VM', 2021"
_IPI_BENCHMARK = "ipi_benchmark, the same series; 100000 IPIs a run assumed"
_PASSTHROUGH = "'[RFC] KVM: X86: implement Passthrough IPI', 2020"
_PREEMPTION = "kvm-unit-tests tscdeadline_latency, commit ce7a058a2117, 2016"
_PV_IPI = "ipi_benchmark, commit 4180bf1b655a, 2018; 100000 broadcasts a run assumed"


@dataclass(frozen=True)
class Setting:
    """Under what a measurement is repeated."""

    technology: str
    features: str = ""
    guest_apic: str = "x2apic"


Measure = Callable[[Profile, Setting], float]


def _run(profile: Profile, setting: Setting, plan: Plan) -> dict[str, Any]:
    switched = features.parse(setting.features)
    return runner.run(plan.resolve(profile, setting.technology, switched)).document


def _stamped(document: dict[str, Any]) -> float:
    """The mean between two stamps, in cycles."""
    row = next(row for row in document["stamps"] if row["id"] == 1)
    return row["sum_cycles"] / row["count"]


def _latency(document: dict[str, Any], source: str, profile: Profile) -> float:
    """Raised to the handler's first instruction, the mean, in cycles."""
    row = next(row for row in document["latency"] if row["source"] == source)
    return row["mean_ps"] * profile.clocks["core_hz"] / 1e12


def _operation(act: Callable[[Program], object]) -> Measure:
    """Cycles of an operation of one vCPU, repeated."""
    def measure(profile: Profile, setting: Setting) -> float:
        machine, guest = Machine(setting.guest_apic), Program("guest")
        machine.region("port", KERNEL_PORT, KERNEL_PORT + 3, "kernel")
        machine.region("port", EVENT_PORT, EVENT_PORT, "eventfd")
        machine.region("mmio", EVENT_MMIO, EVENT_MMIO + 3, "eventfd")
        guest.stamp(1)
        with guest.repeat(ROUNDS):
            act(guest)
        guest.stamp(1)
        machine.vcpu(guest)
        return _stamped(_run(profile, setting, Plan("operation", machine))) / ROUNDS
    return measure


def _ipi_plan(setting: Setting) -> Plan:
    """Calls on another vCPU that spins: an IPI there, a shared word back before its EOI."""
    machine = Machine(setting.guest_apic)
    done = machine.word("done")
    guest = Program("guest").compute(SETTLE).stamp(1)
    for n in range(1, ROUNDS + 1):
        guest.ipi(icr(VECTOR), 1).spin_until(done, n)
    guest.stamp(1)
    machine.vcpu(guest)
    machine.vcpu(Program("idle").spin_until(done, ROUNDS), {VECTOR: Program("call").word_add(done).eoi()})
    return Plan("ipi", machine)


def _call(profile: Profile, setting: Setting) -> float:
    """Cycles from the IPI to the word back."""
    return _stamped(_run(profile, setting, _ipi_plan(setting))) / ROUNDS


def _call_ns(profile: Profile, setting: Setting) -> float:
    return _call(profile, setting) * 1e9 / profile.clocks["core_hz"]


def _one_way(profile: Profile, setting: Setting) -> float:
    """Cycles from the IPI to the other's handler."""
    return _latency(_run(profile, setting, _ipi_plan(setting)), "ipi", profile)


def _timer(halts: bool) -> Measure:
    """Cycles from the TSC deadline to the handler, while the vCPU spins or halts."""
    def measure(profile: Profile, setting: Setting) -> float:
        machine = Machine(setting.guest_apic)
        ticks, guest = machine.word("ticks"), Program("guest").timer_mode(VECTOR, 2)
        for n in range(1, ROUNDS + 1):
            guest.tsc_deadline(TIMER)
            (guest.halt_until if halts else guest.spin_until)(ticks, n)
        machine.vcpu(guest, {VECTOR: Program("on_tick").word_add(ticks).eoi()})
        return _latency(_run(profile, setting, Plan("timer", machine, Hypervisor())), "timer", profile)
    return measure


def _broadcast(send: Callable[[Program], object]) -> Measure:
    """Nanoseconds from a call on all other vCPUs of a big VM to the last one's answer."""
    def measure(profile: Profile, setting: Setting) -> float:
        machine, guest, rounds = Machine(setting.guest_apic), Program("guest"), 5
        done = machine.word("done")
        guest.compute(SETTLE).stamp(1)
        for n in range(1, rounds + 1):
            send(guest)
            guest.spin_until(done, n * (BIG_VM - 1))
        machine.vcpu(guest.stamp(1))
        idle, call = Program("idle").spin_until(done, rounds * (BIG_VM - 1)), Program("call").word_add(done).eoi()
        for _ in range(BIG_VM - 1):
            machine.vcpu(idle, {VECTOR: call})
        cycles = _stamped(_run(profile, setting, Plan("broadcast", machine))) / rounds
        return cycles * 1e9 / profile.clocks["core_hz"]
    return measure


def _one_by_one(guest: Program) -> None:
    for apic_id in range(1, BIG_VM):
        guest.ipi(icr(VECTOR), apic_id)


def _by_cluster(guest: Program) -> None:
    for first in range(0, BIG_VM, 16):
        guest.ipi(icr(VECTOR, logical=True), logical_x2apic(range(max(first, 1), min(first + 16, BIG_VM))))


def _by_hypercall(guest: Program) -> None:
    guest.pv_ipi(VECTOR, 1, BIG_VM - 1)


@dataclass(frozen=True)
class Figure:
    """A published figure, and how to simulate it: `measure` under `of`, or how much less it is than under `less_than`."""

    what: str
    published: float
    unit: str
    measure: Measure
    of: Setting
    source: str
    less_than: Setting | None = None
    calibrated: bool = False

    def simulate(self, profile: Profile) -> float:
        here = self.measure(profile, self.of)
        return self.measure(profile, self.less_than) - here if self.less_than else here


_APICV, _IPIV_ON = Setting("apicv"), Setting("ipiv")
_XAPIC, _XAPIC_IPIV_ON = Setting("apicv", guest_apic="xapic"), Setting("ipiv", guest_apic="xapic")
_HOST_TIMER = Setting("apicv", "-preemption-timer")

FIGURES = (
    *(Figure(what, published, "cycles", _operation(act), _APICV, _VMEXIT, calibrated=True)
      for what, published, act in (
          ("CPUID", 1291, lambda guest: guest.cpuid()),
          ("hypercall", 1181, lambda guest: guest.hypercall()),
          ("MOV to CR8", 16, lambda guest: guest.cr8(0)),
          ("MOV from CR8", 11, lambda guest: guest.cr8_read()),
          ("OUT to a device in the kernel", 1391, lambda guest: guest.port_out(KERNEL_PORT)),
          ("IN from a device in the kernel", 2339, lambda guest: guest.port_in(KERNEL_PORT)),
          ("IN from a device in QEMU", 6209, lambda guest: guest.port_in(USER_PORT)))),
    Figure("OUT to an ioeventfd", 1762, "cycles", _operation(lambda guest: guest.port_out(EVENT_PORT)), _APICV, _EVENTFD,
           calibrated=True),
    Figure("MMIO write to an ioeventfd", 3609, "cycles", _operation(lambda guest: guest.mmio_write(EVENT_MMIO)), _APICV,
           _EVENTFD, calibrated=True),
    Figure("OUT to a device in QEMU", 5287, "cycles", _operation(lambda guest: guest.port_out(USER_PORT)), _APICV, _EVENTFD,
           calibrated=True),
    Figure("MMIO write to a device in QEMU", 8796, "cycles", _operation(lambda guest: guest.mmio_write(USER_MMIO)), _APICV,
           _EVENTFD, calibrated=True),
    Figure("call by IPI, xAPIC", 6059, "cycles", _call, _XAPIC, _IPIV),
    Figure("call by IPI, xAPIC, IPI virtualization", 4713.1, "cycles", _call, _XAPIC_IPIV_ON, _IPIV),
    Figure("what IPI virtualization saves, xAPIC", 1345.9, "cycles", _call, _XAPIC_IPIV_ON, _IPIV, less_than=_XAPIC),
    Figure("call by IPI, x2APIC", 4337.85, "cycles", _call, _APICV, _IPIV),
    Figure("call by IPI, x2APIC, IPI virtualization", 3644.8, "cycles", _call, _IPIV_ON, _IPIV),
    Figure("what IPI virtualization saves, x2APIC", 693.05, "cycles", _call, _IPIV_ON, _IPIV, less_than=_APICV),
    Figure("call by IPI in Linux", 1459, "ns", _call_ns, _APICV, _IPI_BENCHMARK),
    Figure("call by IPI in Linux, IPI virtualization", 1317, "ns", _call_ns, _IPIV_ON, _IPI_BENCHMARK),
    Figure("what IPI virtualization saves in Linux", 142, "ns", _call_ns, _IPIV_ON, _IPI_BENCHMARK, less_than=_APICV),
    Figure("an IPI sent and received", 7000, "cycles", _one_way, _APICV, _PASSTHROUGH),
    Figure("an IPI sent and received, passed through", 2000, "cycles", _one_way, _IPIV_ON, _PASSTHROUGH),
    Figure("timer latency, host timer, spinning", 3200, "cycles", _timer(False), _HOST_TIMER, _PREEMPTION),
    Figure("what the preemption timer saves, spinning", 800, "cycles", _timer(False), _APICV, _PREEMPTION,
           less_than=_HOST_TIMER),
    Figure("broadcast to 79, x2APIC physical", 198_500, "ns", _broadcast(_one_by_one), _APICV, _PV_IPI),
    Figure("broadcast to 79, x2APIC cluster", 92_800, "ns", _broadcast(_by_cluster), _APICV, _PV_IPI),
    Figure("broadcast to 79, by hypercall", 75_700, "ns", _broadcast(_by_hypercall), Setting("apicv", "+pv-ipi"), _PV_IPI),
)


def validate(profile: str = "skylake-sp") -> dict[str, Any]:
    """Simulates every figure; the document that `virqsim validate --json` prints.

    `error_percent` is how far the simulated figure is from the published one,
    of the latter; `all_low` and `all_high` are simulated with every cost at that
    end of its range.

    Raises:
        VirqsimError: there is no such profile.
    """
    costs = profiles.load(profile)
    return {"profile": costs.name, "profile_kind": costs.kind, "figures": [_compare(figure, costs) for figure in FIGURES]}


def _at(profile: Profile, end: str) -> Profile:
    """The profile with every cost at the `low` or the `high` end of its range."""
    return replace(profile, costs={key: replace(n, value=getattr(n, end)) for key, n in profile.costs.items()})


def _compare(figure: Figure, profile: Profile) -> dict[str, Any]:
    simulated = figure.simulate(profile)
    return {
        "what": figure.what,
        "unit": figure.unit,
        "published": figure.published,
        "simulated": round(simulated, 1),
        "error_percent": round(100 * (simulated - figure.published) / figure.published, 1),
        "all_low": round(figure.simulate(_at(profile, "low")), 1),
        "all_high": round(figure.simulate(_at(profile, "high")), 1),
        "calibrated": figure.calibrated,
        "source": figure.source,
    }


@click.command("validate")
@click.option("--profile", default="skylake-sp", show_default=True, metavar="P", help="Whose costs.")
@click.option("--exits", is_flag=True, help="Exits per operation instead, beside those of recorded KVM.")
@click.option("--configuration", metavar="C", help="With --exits: KVM's configuration in the recording, as svm-default.")
@click.option("--operation", metavar="O", help="With --exits: what the recorded guest repeats, as ipi.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
@click.pass_context
def validate_command(ctx: click.Context, profile: str, exits: bool, configuration: str | None, operation: str | None,
                     as_json: bool) -> None:
    """Put published figures beside simulated ones: those that set the profile, and predictions.

    The sources do not name their machines, or name others than the profile's:
    an error tells how far off the simulator may be, not which key is wrong.

    \b
      virqsim validate --exits                      each row of the recording
      virqsim validate --exits --operation ipi
      virqsim validate --exits --configuration svm-default --json

    With --exits a row is equal, within what a race allows, explained, not
    modelled, or different; the exit status is 1 if a row is different.
    """
    if exits:
        from .groundtruth.command import validate_exits

        if ctx.get_parameter_source("profile") != click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--profile does not go with --exits: counts do not depend on it")
        ctx.exit(validate_exits(configuration, operation, as_json))
    if configuration or operation:
        raise click.UsageError("--configuration and --operation go with --exits")
    document = validate(profile)
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    from . import show

    for title, calibrated in (("Calibrated: these set the profile", True), ("Predictions", False)):
        show.table(f"{title} ({document['profile']}, weakest number: {document['profile_kind']})",
                   ["what", "unit", "published", "simulated", "error", "all low", "all high"],
                   [[row["what"], row["unit"], float(row["published"]), row["simulated"], f"{row['error_percent']:+.1f} %",
                     row["all_low"], row["all_high"]]
                    for row in document["figures"] if row["calibrated"] == calibrated])
