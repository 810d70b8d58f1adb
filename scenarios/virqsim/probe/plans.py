"""The plans around an operation: who else takes part, and who awaits whom."""

from ..guest import Program, icr
from ..plan import UINV
from . import acts
from .bench import (
    ASLEEP_CYCLES,
    KERNEL_VECTOR,
    LOCK_CYCLES,
    NMI,
    SETTLE_CYCLES,
    SPIN_CYCLES,
    TIMER_CYCLES,
    USER_VECTOR,
    VECTOR,
    Act,
    Around,
    Bench,
    pause_cycles,
)
from .devices import DEVICES

_LDR = 0x0D0  # the logical destination register's offset in the APIC page


def to_others(bench: Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts the targets, each in the condition that the probe asks for."""
    probe = bench.probe
    target = _target(bench, repetitions)
    bench.add_sender()
    for apic_id in probe.target_ids:
        main = target if probe.guest_apic != "xapic" else _with_logical_id(target, apic_id)
        bench.machine.vcpu(main, {VECTOR: bench.handler, NMI: bench.nmi_handler})
        if probe.target == "preempted":
            bench.machine.load(pin=apic_id)
    _act_on_targets(bench, act, repetitions)


def to_user(bench: Bench, act: Act, repetitions: int) -> None:
    """The operation is a user interrupt; a halted target sleeps in its kernel, as after uintr_wait() on Linux."""
    machine = bench.machine
    bench.add_sender()
    machine.vcpu(_user_target(bench, repetitions), {KERNEL_VECTOR: Program("on_wake_up").eoi()})
    if bench.probe.target == "preempted":
        machine.load(pin=1)
    machine.user_interrupts(0)
    machine.user_interrupts(1, Program("on_user_interrupt").word_add(bench.acknowledged))
    machine.user_target(0, 1, USER_VECTOR)
    _act_on_targets(bench, act, repetitions)


def _user_target(bench: Bench, repetitions: int) -> Program:
    """Before it sleeps the kernel has notifications come as interrupts of its own; afterwards it takes what was posted."""
    if bench.probe.target != "halted":
        return _target(bench, repetitions)
    main = Program("target").word_add(bench.ready)
    for _ in range(repetitions):
        main.upid_notify(KERNEL_VECTOR).halt().upid_notify(UINV).self_ipi(UINV)
    return main.spin_until(bench.done, 1)


def from_device(bench: Bench, act: Act, repetitions: int) -> None:
    """A device interrupts vCPU 0, which an 8259A's INTR reaches; its backend runs beside vCPU 1."""
    machine, (prepare, vector, handler) = bench.machine, DEVICES[bench.probe.operation](bench)
    machine.vcpu(prepare.follow(_target(bench, repetitions)), {vector: handler.word_add(bench.acknowledged)})
    if bench.probe.target == "preempted":
        machine.load(pin=0)
    bench.add_sender()
    _act_on_targets(bench, act, repetitions)


def _act_on_targets(bench: Bench, act: Act, repetitions: int) -> None:
    probe, sender = bench.probe, bench.sender
    sender.spin_until(bench.ready, probe.targets)
    for n in range(1, repetitions + 1):
        if probe.target == "if-off":
            sender.spin_until(bench.closed, n * probe.targets)
        sender.compute(pause_cycles(bench))
        act(bench)
        if probe.target == "if-off":
            sender.compute(SETTLE_CYCLES).word_add(bench.sent)
        sender.spin_until(bench.acknowledged, n * probe.targets)
    sender.word_add(bench.done)


def _target(bench: Bench, repetitions: int) -> Program:
    main = Program("target").word_add(bench.ready)
    if bench.probe.target == "halted":
        for _ in range(repetitions):
            main.halt()
    elif bench.probe.target == "if-off":
        for n in range(1, repetitions + 1):
            main.mask().word_add(bench.closed).spin_until(bench.sent, n).unmask()
    return main.spin_until(bench.done, 1)


def _with_logical_id(target: Program, apic_id: int) -> Program:
    """The target's program for a flat xAPIC guest, which gives each APIC its own logical ID first."""
    main = Program(f"{target.name}{apic_id}")
    if apic_id <= 7:
        main.apic_write(_LDR, 1 << apic_id << 24)
    return main.follow(target)


def to_itself(bench: Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts the sender."""
    bench.add_sender()
    for n in range(1, repetitions + 1):
        act(bench)
        bench.sender.spin_until(bench.acknowledged, n).compute(SETTLE_CYCLES)


ONESHOT, PERIODIC, TSC_DEADLINE = range(3)  # modes of LVT_TIMER


def timer(mode: int) -> Around:
    """The sender's timer in that mode; until the interrupt it is in the condition that the probe asks for."""
    def around(bench: Bench, act: Act, repetitions: int) -> None:
        sender, condition = bench.sender, bench.probe.target
        bench.add_sender()
        if condition == "preempted":
            bench.machine.load(pin=0)
        sender.timer_mode(VECTOR, mode).setup(True)
        sender.timer_count(bench.timer_counts(TIMER_CYCLES) if mode == PERIODIC else 0, 1).setup(False)
        for n in range(1, repetitions + 1):
            if condition == "if-off":
                sender.mask()
            act(bench)
            if condition == "if-off":
                sender.compute(TIMER_CYCLES + SETTLE_CYCLES).unmask()
            (sender.halt_until if condition == "halted" else sender.spin_until)(bench.acknowledged, n)
        sender.setup(True).timer_count(0).setup(False)
    return around


def alone(bench: Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts nobody."""
    bench.add_sender()
    for _ in range(repetitions):
        act(bench)


def halting(bench: Bench, act: Act, repetitions: int) -> None:
    """vCPU 0 halts, and vCPU 1 wakes it; only the HLT is the operation."""
    bench.add_sender()
    waker = Program("waker")
    for n in range(1, repetitions + 1):
        bench.sender.compute(SETTLE_CYCLES).word_add(bench.drowsy)
        act(bench)
        waker.spin_until(bench.drowsy, n).compute(ASLEEP_CYCLES).ipi(icr(VECTOR), 0)
    bench.machine.vcpu(waker)


def waiting(bench: Bench, act: Act, repetitions: int) -> None:
    """vCPU 0 waits for the word `sent`, which vCPU 1 sets a while later."""
    bench.add_sender()
    waker, cycles = Program("waker"), SPIN_CYCLES if act is acts.pause_loop else ASLEEP_CYCLES
    for n in range(1, repetitions + 1):
        bench.sender.compute(SETTLE_CYCLES).word_add(bench.drowsy)  # so long that no loop goes on
        act(bench)
        bench.sender.spin_until(bench.acknowledged, n)
        waker.spin_until(bench.drowsy, n).compute(cycles).word_add(bench.sent).word_add(bench.acknowledged)
    bench.machine.vcpu(waker)


def contending(bench: Bench, act: Act, repetitions: int) -> None:
    """vCPU 0 takes a lock that vCPU 1 holds."""
    bench.add_sender()
    holder, lock = Program("holder"), bench.machine.lock("lock")
    for n in range(1, repetitions + 1):
        holder.lock(lock).word_add(bench.drowsy).compute(LOCK_CYCLES).unlock(lock).spin_until(bench.acknowledged, n)
        bench.sender.spin_until(bench.drowsy, n)
        act(bench)
        bench.sender.word_add(bench.acknowledged)
    bench.machine.vcpu(holder)
