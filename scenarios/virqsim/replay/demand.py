"""What the guest demanded, apart from what the recorded hardware charged for it.

Of each exit this says whether the guest asked for it (an operation) or the
hardware charged it (a kick, a window, a timer), and of each interrupt who
raised it and how it found its target:

    guest     in the guest, so that it had to be kicked or posted to
    host      outside, for another exit: the entry took it along
    blocked   in HLT

Orders are what counts: times of a recording are those of another machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from . import actions, apic_access, episodes, implied, recorded
from .actions import HALT, KICK, WINDOW, Actions, Region
from .apic_access import Operation
from .disturbance import Disturbance, is_noise
from .episodes import Episode
from .reader import Event, Trace
from .recorded import Recorded


@dataclass(eq=False)
class Arrival:
    """One interrupt that was offered to a vCPU.

    `source`: ipi, self, timer, device or extint. `step` is the target's step
    that it met: in the guest part before its exit, or in the host's after it.
    """

    source: str
    target: int
    vector: int
    trigger: str
    mode: str
    line: int
    state: str = "host"
    step: int = 0
    sender: Step | None = None
    armed: bool = False  # of a timer: a step armed it,
    at_once: bool = False  # and it is the step that it met
    delivered: Delivery | None = None
    pin: int = -1


@dataclass(eq=False)
class Delivery:
    """One run of a handler: from the entry behind `step` to the EOI in step `ended` (None: not seen)."""

    vector: int
    step: int
    arrival: Arrival | None
    extint: bool = False
    ended: int | None = None
    windowed: bool = False


@dataclass(eq=False)
class Step:
    """One episode with its meaning. `eois`: paravirtual EOIs before the exit; `eoi`: the exit is one."""

    vcpu: int
    number: int
    episode: Episode
    operation: Operation | None
    arrivals: list[Arrival] = field(default_factory=list)
    sends: list[Arrival] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    eois: list[Delivery] = field(default_factory=list)
    eoi: Delivery | None = None
    noise: bool = False  # an interrupt of the host's own
    carried: bool = False  # nothing that virqsim models: it is counted unchanged

    @property
    def reason(self) -> str:
        """The exit reason."""
        return self.episode.reason

    def met(self, state: str) -> list[Arrival]:
        """The arrivals that found the vCPU in this state."""
        return [arrival for arrival in self.arrivals if arrival.state == state]


@dataclass
class Demand:
    """The guest's side of a whole trace."""

    recorded: Recorded
    steps: dict[int, list[Step]]
    regions: dict[tuple[str, int], Region]
    timers: dict[int, tuple[int, int]]  # vCPU to (vector, mode of LVT timer), as set before the window
    carried: Counter[tuple[int, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def groups(self, step: Step) -> list[list[Arrival]]:
        """What met the step in the guest, in turns: one kick served a whole turn.

        Where the hardware took each by itself, each is a turn of its own.
        """
        met = step.met("guest")
        if self.recorded.hides_deliveries:
            return [[arrival] for arrival in met]
        return [met] if met else []


def extract(trace: Trace, undisturbed: bool = False) -> Demand:
    """Takes a trace apart; `undisturbed`: as it would have been without what the host did to the guest."""
    return _Extractor(trace, undisturbed).demand()


class _Extractor:
    """One pass over the exits for operations, one over all events for interrupts, one for deliveries."""

    def __init__(self, trace: Trace, undisturbed: bool) -> None:
        self.trace = trace
        self.undisturbed = undisturbed
        self.recorded = recorded.detect(trace)
        names = {event.name for event in trace.events}
        self.injected = "kvm_inj_virq" in names or "kvm_eoi" not in names or not self.recorded.injects
        self.regions: dict[tuple[str, int], Region] = {}
        self.carried: Counter[tuple[int, str]] = Counter()
        self.notes: list[str] = []
        self.timers = _timers_before(trace)
        self.steps = {vcpu: self._operations(vcpu, life) for vcpu, life in episodes.split(trace).items()}
        if self.recorded.irqchip == "userspace":
            _mark_immediate(self.steps)
        self.position = _Positions(self.steps)
        self._offered_ns = {event.line: event.time_ns for event in trace.events
                            if event.name == "kvm_apic_accept_irq" and event.time_ns is not None}

    def demand(self) -> Demand:
        self._arrivals()
        for steps in self.steps.values():
            _settle_sources(steps)
            _settle_states(steps, self.recorded)
            _pass_on(steps)
            if not self.injected:
                implied.injections(steps)
            _deliveries(steps, self.recorded)
            _settle_beginning(steps)
            _forget_masked(steps)
            if self.undisturbed:
                steps[:] = Disturbance(self.trace, list(steps), self._offered_ns, Step).taken_out()
            _timer_arms(steps)
            _noise(steps)
        self._say()
        return Demand(self.recorded, self.steps, self.regions, self.timers, self.carried, self.notes)

    def _operations(self, vcpu: int, life: list[Episode]) -> list[Step]:
        access = Actions(self.recorded, self.regions)
        steps = []
        for number, episode in enumerate(life):
            operation = access.of(episode)
            step = Step(vcpu, number, episode, None if operation == actions.CARRIED else operation)
            if operation == actions.CARRIED:
                step.carried = True
                self.carried[vcpu, episode.reason] += 1
            steps.append(step)
        return steps

    def _arrivals(self) -> None:
        """Every interrupt offered in the window, to the step of the target that it met."""
        names = {event.name for event in self.trace.events}
        accepted = "kvm_apic_accept_irq" in names or "kvm_eoi" not in names  # without an EOI nobody may have been offered any
        sources = _Sources(self.recorded, self.timers, list(self.steps), accepted)
        for index in range(self.trace.begin, self.trace.end):
            for arrival in sources.take(self.trace.events[index]):
                if arrival.target not in self.steps:
                    continue
                arrival.step, in_guest = self.position.of(arrival.target, index)
                sender = self.trace.events[index].vcpu
                self._name_sender(arrival, sender, index)
                arrival.state = "guest" if in_guest and sender != arrival.target else "host"
                self.steps[arrival.target][arrival.step].arrivals.append(arrival)
                if arrival.source in ("ipi", "self") and sender is not None:
                    arrival.sender = self.steps[sender][self.position.of(sender, index)[0]]
                    arrival.sender.sends.append(arrival)

    def _name_sender(self, arrival: Arrival, sender: int | None, index: int) -> None:
        """Without a kvm_apic_ipi, what its own ICR write offers is told by that."""
        if arrival.source in ("device", "timer") and sender in self.steps:
            operation = self.steps[sender][self.position.of(sender, index)[0]].operation
            if operation and operation[0] in ("ipi", "self_ipi") and int(operation[1]) & 0xff == arrival.vector:
                arrival.source = "self" if sender == arrival.target else "ipi"

    def _say(self) -> None:
        """What the trace cannot show."""
        if self.recorded.hides_deliveries:
            self.notes.append("recorded with interrupt delivery in hardware: injections, EOIs, self-IPIs and the "
                              "interrupt flag are not in the trace; each interrupt is taken to be delivered where it "
                              "arrived, and its handler to acknowledge and return")
        if self.recorded.irqchip == "userspace":
            self.notes.append("recorded with the interrupt controllers in userspace: of interrupts that are no IPIs, who raised "
                              "them is not in the trace; each is replayed as a device's")
        if self.carried:
            what = ", ".join(f"{reason} {n}" for reason, n in _by_reason(self.carried).items())
            self.notes.append(f"exits that have nothing to do with interrupts are counted unchanged: {what}")
        noise = sum(step.noise for steps in self.steps.values() for step in steps)
        if noise:
            self.notes.append(f"{noise} exits by the host's own interrupts are replayed as such under every technology")
        self.notes.append("times of the recording are not replayed, only its order; memory on which guests spin "
                          "is not in a trace and is put back as waits between vCPUs")


def _by_reason(counts: Counter[tuple[int, str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (_, reason), n in counts.items():
        total[reason] += n
    return total


def _mark_immediate(lives: dict[int, list[Step]]) -> None:
    """What userspace injects makes KVM leave again at once; older kernels do not print that at the entry."""
    for steps in lives.values():
        for step, following in pairwise(steps):
            if following.reason in KICK and step.episode.named("kvm_inj_virq") and not following.episode.to_userspace():
                following.episode.immediate = True


class _Positions:
    """Where a vCPU was when the event of an index was printed: (step, in the guest before its exit)."""

    def __init__(self, steps: dict[int, list[Step]]) -> None:
        self._steps = steps
        self._at = dict.fromkeys(steps, 0)

    def of(self, vcpu: int, index: int) -> tuple[int, bool]:
        """Asked with ascending indexes."""
        steps, at = self._steps[vcpu], self._at[vcpu]
        while at + 1 < len(steps) and (steps[at].episode.resumed or 0) <= index:
            at += 1
        self._at[vcpu] = at
        episode = steps[at].episode
        if episode.left is None:  # the last: in the guest to the end, or the first: the recording begins in the host
            return at, episode.resumed is None
        return at, index < episode.left


def _timers_before(trace: Trace) -> dict[int, tuple[int, int]]:
    """Each vCPU's LVT timer as the guest set it before the window; else as its arms and expiries show."""
    timers: dict[int, tuple[int, int]] = {}
    for index, event in enumerate(trace.events):
        if event.name == "kvm_apic" and event.fields["register"] == "APIC_LVTT" and event.vcpu is not None:
            if event.fields["access"] == "write" and (index < trace.begin or event.vcpu not in timers):
                timers[event.vcpu] = event.fields["value"] & 0xff, event.fields["value"] >> 17 & 3
    deadline = {e.vcpu for e in trace.events if recorded.is_timer_arm(e) and e.fields.get("msr") == 0x6e0}
    own = _raised_by_nobody(trace, timers)
    armed = {e.vcpu for e in trace.events if recorded.is_timer_arm(e)}
    for vcpu, vectors in own.items():
        if vcpu in armed:
            timers[vcpu] = max(vectors, key=lambda v: (vectors[v], v)), 2 if vcpu in deadline else 0
    return timers


def _raised_by_nobody(trace: Trace, known: dict[int, tuple[int, int]]) -> dict[int, Counter[int]]:
    """What a vCPU's own thread offers it without a line before that says who raised it: its timer's, as a rule."""
    found: dict[int, Counter[int]] = {}
    raised: dict[int | None, bool] = {}
    for event in trace.events:
        if event.name in ("kvm_apic_ipi", "kvm_set_irq", "kvm_msi_set_irq"):
            raised[event.pid] = True
        elif event.name in ("kvm_entry", "kvm_exit", "kvm_msr"):
            raised[event.pid] = False
        elif event.name == "kvm_apic_accept_irq" and event.vcpu == event.fields["apicid"] and event.vcpu not in known:
            if not raised.get(event.pid) and event.fields["trigger"] == "edge":
                found.setdefault(event.vcpu, Counter())[event.fields["vector"]] += 1
    return found


_SHORTHAND = {"dst": 0, "self": 1, "all": 2, "all-but-self": 3}
_TARGET_NOT_RUNNING = 1  # APM 2 "AVIC IPI Delivery"


class _Sources:
    """Tells who raised each interrupt, from what its thread printed before."""

    def __init__(self, recorded: Recorded, timers: dict[int, tuple[int, int]], vcpus: list[int],
                 accepted: bool) -> None:
        self._recorded = recorded
        self._accepted_are_told = accepted
        self._timers = timers
        self._vcpus = vcpus
        self._icr2: dict[int | None, int] = {}
        self._sent: dict[int | None, list[Arrival]] = {}  # by an ICR that userspace has
        self._context: dict[int | None, Event] = {}
        self._levels: dict[tuple[int, int], int] = {}

    def take(self, event: Event) -> Iterator[Arrival]:
        """The interrupts that an event offers to vCPUs."""
        if self._recorded.irqchip == "userspace":
            yield from self._by_userspace(event)
        if event.name == "kvm_apic_ipi" and not self._accepted_are_told:
            yield from self._told_by_ipi(event)
        elif event.name in ("kvm_apic_ipi", "kvm_set_irq", "kvm_msi_set_irq"):
            self._context[event.pid] = event
        elif event.name in ("kvm_entry", "kvm_exit", "kvm_ioapic_set_irq", "kvm_msr"):
            before = self._context.get(event.pid)
            if before and not (event.name == "kvm_ioapic_set_irq" and self._pic_follows(before)):
                self._context.pop(event.pid, None)
        elif event.name == "kvm_apic_accept_irq":
            yield self._accepted(event)
        elif event.name == "kvm_avic_incomplete_ipi" and event.fields["number"] == _TARGET_NOT_RUNNING:
            yield from self._woken(event)
        elif event.name == "kvm_pic_set_irq":
            yield from self._pic(event)

    def _told_by_ipi(self, event: Event) -> Iterator[Arrival]:
        """Without any kvm_apic_accept_irq the IPI's own line says to whom it goes; a logical destination is taken for flat."""
        fields = event.fields
        if event.vcpu is None or fields["mode"] not in ("Fixed", "LowPrio"):
            return
        icr = _SHORTHAND[fields["shorthand"]] << 18 | (0x800 if fields["logical"] == "logical" else 0)
        for target in apic_access.targets(icr, fields["dst"], event.vcpu, self._vcpus):
            yield Arrival("self" if target == event.vcpu else "ipi", target, fields["vector"], fields["trigger"],
                          fields["mode"], event.line)

    def _by_userspace(self, event: Event) -> Iterator[Arrival]:
        """An ICR of userspace's: it sends when userspace has the exit."""
        fields = event.fields
        if event.name == "kvm_userspace_exit":
            yield from self._sent.pop(event.pid, [])
        elif event.name == "kvm_mmio" and fields["access"] == "write" and fields["gpa"] >> 12 == recorded.APIC_PAGE:
            offset, value = fields["gpa"] & 0xff0, fields["value"]
            if offset == 0x310:
                self._icr2[event.pid] = value >> 24
            elif offset == 0x300 and event.vcpu is not None and value >> 8 & 7 in (0, 1):
                targets = apic_access.targets(value, self._icr2.get(event.pid, 0), event.vcpu, self._vcpus)
                self._sent[event.pid] = [Arrival("self" if target == event.vcpu else "ipi", target, value & 0xff, "edge",
                                                 "Fixed", event.line) for target in targets]

    def _woken(self, event: Event) -> Iterator[Arrival]:
        """AVIC put the IPI into its targets' registers, and left so that KVM wakes them: that is no line of its own."""
        low, high = event.fields["icr_low"], event.fields["icr_high"]
        wide = self._recorded.guest_apic == "x2apic"
        if event.vcpu is None or low >> 8 & 7 > 1 or wide and low & 0x800:
            return  # whom a cluster's mask addresses is the guest's own doing
        for target in apic_access.targets(low, high if wide else high >> 24, event.vcpu, self._vcpus):
            yield Arrival("self" if target == event.vcpu else "ipi", target, low & 0xff, "edge", "Fixed", event.line)

    def _pic_follows(self, before: Event) -> bool:
        """The order of a line's two controllers differs between kernels."""
        return before.name == "kvm_set_irq"

    def _accepted(self, event: Event) -> Arrival:
        fields, before = event.fields, self._context.get(event.pid)
        target, vector = fields["apicid"], fields["vector"]
        own = event.vcpu == target
        if before and before.name == "kvm_apic_ipi" and before.fields["vector"] == vector:
            source = "self" if own else "ipi"
        elif vector == self._timers.get(target, (None,))[0]:
            source = "timer"
        elif before or not own or target in self._timers:
            source = "device"
        else:
            source = "timer"
        return Arrival(source, target, vector, fields["trigger"], fields["mode"], event.line)

    def _pic(self, event: Event) -> Iterator[Arrival]:
        """A rising edge on an unmasked pin of an 8259A; the boot CPU takes it."""
        fields, before = event.fields, self._context.get(event.pid)
        pin = fields["chip"], fields["pin"]
        level = before.fields["level"] if before and before.name == "kvm_set_irq" else 0
        rising = level and not self._levels.get(pin)
        self._levels[pin] = level
        if rising and not fields["masked"] and self._accepted_are_told:  # the APIC may take that line too
            yield Arrival("extint", 0, 0, fields["trigger"], "ExtINT", event.line, pin=fields["pin"])


def _settle_sources(steps: list[Step]) -> None:
    """An IPI whose ICR write is not in the recording comes from nowhere, like a device's interrupt."""
    for step in steps:
        if step.operation is None or step.operation[0] not in ("ipi", "self_ipi"):
            for arrival in step.sends:
                arrival.source, arrival.sender = "device", None
            step.sends = []


def _settle_states(steps: list[Step], recorded: Recorded) -> None:
    """A remote arrival in the guest that no kick followed met the next exit instead, or was posted."""
    for step in steps:
        kicked = step.reason in KICK
        for arrival in step.arrivals:
            if arrival.state == "guest" and not kicked and not recorded.hides_deliveries:
                arrival.state = "host"
            if arrival.state == "host" and (step.reason in HALT or step.episode.exit is None):
                arrival.state = "blocked"
            if arrival.state == "host" and arrival.source == "timer" and (kicked or step.reason == "PREEMPTION_TIMER"):
                arrival.state = "guest"


def _pass_on(steps: list[Step]) -> None:
    """The first exit of two that are one operation is none of its own: what met it meets the second."""
    for step, following in pairwise(steps):
        charge = not step.reason or step.reason in actions.CHARGES or step.carried
        if step.operation is None and not charge and not step.episode.named("kvm_inj_virq"):
            for arrival in step.arrivals:
                arrival.step, arrival.state = following.number, "host"
            following.arrivals[:0], step.arrivals = step.arrivals, []


def _deliveries(steps: list[Step], recorded: Recorded) -> None:
    """Follows pending interrupts to their injection, and handlers to their EOI."""
    if recorded.hides_deliveries:
        return _assume_deliveries(steps)
    pending: list[Arrival] = []
    running: list[Delivery] = []
    extints: set[int] = set()  # vectors that an 8259A gave before
    for step in steps:
        _end_paravirtual(step, running)
        pending += step.arrivals
        _end_by_write(step, running)
        for event in step.episode.named("kvm_inj_virq"):
            if _is_repeated(event, step, steps, recorded):
                continue
            delivery = _deliver(steps, step, event.fields["irq"], pending, recorded.guest_apic == "none")
            if delivery.extint:
                extints.add(delivery.vector)
            delivery.extint = delivery.vector in extints
            running = [r for r in running if r.vector != delivery.vector] + [delivery]
            step.deliveries.append(delivery)
    for arrival in pending:  # the recording ended while the guest had them masked
        if arrival.source != "extint":
            arrival.delivered = Delivery(arrival.vector, len(steps), arrival)


def _settle_beginning(steps: list[Step]) -> None:
    """A recording that begins in the host begins in a HLT only if what arrives there ends it: is delivered at once."""
    first = steps[0]
    met = first.met("blocked")
    if first.episode.exit is None and len(steps) > 1 and met and not first.episode.named("kvm_vcpu_wakeup"):
        if all(arrival.delivered and arrival.delivered.step > first.number for arrival in met):
            for arrival in met:
                arrival.state = "host"


def _is_repeated(event: Event, step: Step, steps: list[Step], recorded: Recorded) -> bool:
    """`[reinjected]`: a delivery that an exit interrupted, or the 8259A's second line for the first."""
    if not event.fields["reinjected"]:
        return False
    before = steps[step.number - 1].deliveries if step.number else []
    same = [d for d in (*before, *step.deliveries) if d.vector == event.fields["irq"] and d.ended is None]
    return bool(same) or recorded.irqchip != "userspace"


def _deliver(steps: list[Step], step: Step, vector: int, pending: list[Arrival], no_apic: bool) -> Delivery:
    """An injection takes its vector's arrivals off the list; the first is the one that was delivered."""
    mine = [a for a in pending if a.vector == vector and a.source != "extint"]
    extint = not mine
    mine = mine or [a for a in pending if a.source == "extint" and a.pin == vector & 7][:1]
    if not mine:
        mine, extint = [_unseen(steps, step, vector)], no_apic  # a guest without an APIC has its 8259A only
    for arrival in mine:
        if arrival in pending:
            pending.remove(arrival)
        arrival.vector = vector
    delivery = Delivery(vector, step.number, mine[0], extint, windowed=step.reason in WINDOW)
    mine[0].delivered = delivery
    return delivery


def _unseen(steps: list[Step], step: Step, vector: int) -> Arrival:
    """An interrupt whose raising is not in the trace: userspace injected it, or it was pending before."""
    at = step
    if step.reason in WINDOW:
        for earlier in reversed(steps[max(0, step.number - 8):step.number]):
            if earlier.reason in KICK and not earlier.arrivals:
                at = _before_immediate(steps, earlier, vector)
                break
    state = "guest" if at.reason in KICK and not at.episode.immediate else "blocked" if at.reason in HALT else "host"
    if at is step and step.reason in WINDOW and step.number:
        at = steps[step.number - 1]
    if at.episode.exit is None:
        state = "blocked"
    arrival = Arrival("device", step.vcpu, vector, "edge", "Fixed", 0, state, at.number)
    at.arrivals.append(arrival)
    return arrival


def _before_immediate(steps: list[Step], kick: Step, vector: int) -> Step:
    """An entry that was made to leave at once delivered one interrupt; another that waits behind it came before.

    Unless that was of the same vector: it would have been coalesced.
    """
    before = steps[kick.number - 1] if kick.episode.immediate and kick.number else kick
    return kick if any(delivery.vector == vector for delivery in before.deliveries) else before


def _end_paravirtual(step: Step, running: list[Delivery]) -> None:
    """kvm_pv_eoi is printed at the exit behind the guest's write to memory; without it, a kvm_eoi that no EOI explains."""
    printed = step.episode.named("kvm_pv_eoi")
    eois = step.episode.named("kvm_eoi")
    for event in printed or eois[:len(eois) - (step.operation == ("eoi",))]:
        ended = _pop(running, event.fields["vector"])
        if ended:
            ended.ended = step.number
            step.eois.append(ended)


def _end_by_write(step: Step, running: list[Delivery]) -> None:
    """An EOI that left the guest: the APIC's, or the 8259A's by its command port."""
    if step.operation == ("eoi",):
        vectors = [event.fields["vector"] for event in step.episode.named("kvm_eoi")]
        inner = running[-1].vector if running else -1
        step.eoi = _pop(running, vectors[-1] if vectors else inner)
    for event in step.episode.named("kvm_ack_irq"):
        if event.fields["irqchip"].startswith("PIC"):
            ending = next((r for r in reversed(running) if r.extint and r.vector & 7 == event.fields["pin"] & 7), None)
            if ending:
                running.remove(ending)
                step.eoi = ending
    if step.eoi:
        step.eoi.ended = step.number


def _pop(running: list[Delivery], vector: int) -> Delivery | None:
    for delivery in reversed(running):
        if delivery.vector == vector and not delivery.extint:
            running.remove(delivery)
            return delivery
    return None


def _assume_deliveries(steps: list[Step]) -> None:
    """Hardware delivery leaves no line: each interrupt is taken where it met the vCPU.

    The one EOI that does leave a line is that of a level-triggered interrupt;
    its handler acknowledges already, so the exit is no operation of its own.
    """
    level: list[Delivery] = []
    for step in steps:
        vectors = [event.fields["vector"] for event in step.episode.named("kvm_eoi")]
        ended = _pop(level, vectors[-1]) if step.operation == ("eoi",) and vectors else None
        if ended:
            ended.ended, step.operation = step.number, None
        for arrival in step.arrivals:
            if arrival.mode in ("Fixed", "LowPrio") and arrival.source != "extint":
                arrival.delivered = Delivery(arrival.vector, step.number, arrival)
                step.deliveries.append(arrival.delivered)
                level.append(arrival.delivered)


def _timer_arms(steps: list[Step]) -> None:
    """An expiry needs a timer that is armed: before the window, or by a step; by its own, if that was late."""
    armed = False
    for step in steps:
        arms = step.operation and step.operation[0] in ("tsc_deadline", "timer_count")
        line = min((e.line for e in step.episode.events if recorded.is_timer_arm(e)), default=0) if arms else 0
        for arrival in (a for a in step.arrivals if a.source == "timer"):
            arrival.at_once = bool(line) and arrival.line > line
            arrival.armed = armed or arrival.at_once
            armed = False
        if step.operation and arms:
            armed = bool(step.operation[1]) and not any(a.at_once for a in step.arrivals)


def _forget_masked(steps: list[Step]) -> None:
    """An 8259A's edges that no INTA followed: its pin, or the APIC's LINT0, was masked."""
    for step in steps:
        step.arrivals = [a for a in step.arrivals if a.source != "extint" or a.delivered]


def _noise(steps: list[Step]) -> None:
    for step in steps:
        step.noise = is_noise(step)
