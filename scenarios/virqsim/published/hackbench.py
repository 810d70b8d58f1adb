"""hackbench over pipes: what IPI virtualization saves a guest whose CPUs wake each other's tasks.

hackbench -p has far more tasks than CPUs, so no vCPU idles: each writes
messages into pipes and switches to the next task, and each message wakes its
reader on another CPU by a reschedule IPI (Linux: ttwu_queue(),
native_smp_send_reschedule()). How many messages the seconds stand for is not
published, so what is compared is the share that IPI virtualization saves.
"""

from __future__ import annotations

from ..guest import Program, icr
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, change, stamped
from .kernel import ENTRY, FENCES

VECTOR = 0xFD  # RESCHEDULE_VECTOR
MESSAGES = 60
MESSAGE_NS = 8092 // 2
"""One write, one read and the switch between them: half of perf bench sched pipe's 8.09 us for both ways
(tools/perf/Documentation/perf-bench.txt; its machine is not named)."""

_SOURCE = "hackbench -p, '[PATCH 0/5] IPI virtualization support for VM', 2021"


def _share(vcpus: int, setting: Setting, sockets: int) -> Measure:
    """TSC cycles of a vCPU that sends so many messages, and is sent as many."""
    def measure(profile: Profile) -> float:
        machine = Machine(sockets=sockets)
        over = machine.word("over")
        work = MESSAGE_NS * profile.clocks["core_hz"] // 1_000_000_000
        handler = Program("scheduler_ipi").compute(ENTRY).eoi()
        for n in range(vcpus):
            task = Program(f"tasks {n}").stamp(1)
            for _ in range(MESSAGES):
                task.compute_uniform(work // 2, work * 3 // 2).compute(FENCES).ipi(icr(VECTOR), (n + 1) % vcpus)
            machine.vcpu(task.stamp(1).word_add(over).spin_until(over, vcpus), {VECTOR: handler})
        return stamped(setting.run(profile, Plan("hackbench", machine)))
    return measure


def _row(vcpus: int, published: float, sockets: int) -> Figure:
    without, with_it = (_share(vcpus, Setting(technology), sockets) for technology in ("apicv", "ipiv"))
    return Figure(f"V4.5-{vcpus}", f"what IPI virtualization changes in hackbench, {vcpus} vCPUs", published, "%", _SOURCE,
                  "sapphire-rapids", (without, with_it), change)


FIGURES = (_row(8, -18.81, 1), _row(96, -18.20, 2))
