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
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from . import actions, episodes, implied, recorded, switched
from .actions import HALT, KICK, WINDOW, Actions, Region
from .disturbance import Disturbance, is_noise
from .episodes import Episode
from .reader import Event, Trace
from .recorded import Recorded
from .sources import Sources
from .steps import Arrival, Delivery, Step

_PERIODIC = 1  # SDM 3A "Local Vector Table", the timer's mode
_TOLD = "restart"  # KVM_RUN returned by a signal: userspace has an interrupt to inject


@dataclass
class Demand:
    """The guest's side of a whole trace."""

    recorded: Recorded
    steps: dict[int, list[Step]]
    regions: dict[tuple[str, int], Region]
    timers: dict[int, tuple[int, int]]  # vCPU to (vector, mode of LVT timer), as set before the window
    carried: Counter[tuple[int, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    inhibits: tuple[str, ...] = ()  # reasons against APICv or AVIC that were there before the guest ran

    def groups(self, step: Step) -> list[list[Arrival]]:
        """What met the step in the guest, in turns: one kick served a whole turn.

        Where the hardware took each by itself, each is a turn of its own.
        """
        met = step.met("guest")
        if step.hidden:
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
        self.position = Positions(self.steps)
        self._offered_ns = {event.line: event.time_ns for event in trace.events
                            if event.name == "kvm_apic_accept_irq" and event.time_ns is not None}

    def demand(self) -> Demand:
        self._arrivals()
        inhibits = switched.mark(self.trace, self.recorded, self.steps, self.position)
        for steps in self.steps.values():
            _settle_sources(steps)
            _settle_states(steps)
            _pass_on(steps)
            if not self.injected:
                implied.injections(steps)
            _deliveries(steps, self.recorded)
            _settle_beginning(steps)
            _forget_masked(steps)
            if self.undisturbed:
                steps[:] = Disturbance(self.trace, list(steps), self._offered_ns, Step).taken_out()
            _timer_arms(steps, self.timers.get(steps[0].vcpu, (0, 0))[1])
            _noise(steps)
        self._say()
        return Demand(self.recorded, self.steps, self.regions, self.timers, self.carried, self.notes, inhibits)

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
        sources = Sources(self.recorded, self.timers, list(self.steps), accepted)
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
            if following.reason in KICK and step.episode.named("kvm_inj_virq"):
                following.episode.immediate = True


class Positions:
    """Where a vCPU was when the event of an index was printed: (step, in the guest before its exit)."""

    def __init__(self, steps: dict[int, list[Step]]) -> None:
        self._steps = steps
        self.again()

    def again(self) -> None:
        """From the beginning."""
        self._at = dict.fromkeys(self._steps, 0)

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


def _settle_sources(steps: list[Step]) -> None:
    """An IPI whose ICR write is not in the recording comes from nowhere, like a device's interrupt."""
    for step in steps:
        if step.operation is None or step.operation[0] not in ("ipi", "self_ipi"):
            for arrival in step.sends:
                arrival.source, arrival.sender = "device", None
            step.sends = []


def _settle_states(steps: list[Step]) -> None:
    """A remote arrival in the guest that no kick followed met the next exit instead, or was posted."""
    for step in steps:
        kicked = step.reason in KICK
        for arrival in step.arrivals:
            if arrival.state == "guest" and not kicked and not step.hidden:
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
    pending: list[Arrival] = []
    running: list[Delivery] = []
    extints: set[int] = set()  # vectors that an 8259A gave before
    for hidden, part in groupby(steps, lambda step: step.hidden):
        if hidden:
            same = list(part)
            _hand_over(same[0], pending)
            _end_in_hardware(same[min(1, len(same) - 1)], running)
            _assume_deliveries(same)
            pending, running = [], []
        else:
            pending, running = _follow(steps, part, recorded, pending, running, extints)
    for arrival in pending:  # the recording ended while the guest had them masked
        if arrival.source != "extint":
            arrival.delivered = Delivery(arrival.vector, len(steps), arrival)


def _hand_over(step: Step, pending: list[Arrival]) -> None:
    """The hardware delivers what waits."""
    for arrival in pending:
        arrival.delivered = Delivery(arrival.vector, step.number, arrival, hidden=True)
        step.deliveries.append(arrival.delivered)


def _end_in_hardware(step: Step, running: list[Delivery]) -> None:
    """The handlers that run acknowledge without a line, when the hardware delivers."""
    for delivery in reversed(running):
        delivery.ended = step.number
        step.eois.append(delivery)


def _follow(steps: list[Step], part: Iterable[Step], recorded: Recorded, pending: list[Arrival], running: list[Delivery],
            extints: set[int]) -> tuple[list[Arrival], list[Delivery]]:
    """Steps behind which KVM delivers: what is pending, and which handlers run, behind them."""
    for step in part:
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
    return pending, running


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
            told = _TOLD in earlier.episode.to_userspace() and not earlier.deliveries
            if (earlier.reason in KICK or told) and not earlier.arrivals:
                at = _before_immediate(steps, earlier, vector) if earlier.reason in KICK else earlier
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

    Unless that was of the same vector: it would have been coalesced. Or userspace injected that, and
    was told before the entry that there is more, so that the entry injects it again: then it comes behind.
    """
    before = steps[kick.number - 1] if kick.episode.immediate and kick.number else kick
    again = any(event.fields["reinjected"] for event in before.episode.named("kvm_inj_virq"))
    if before is not kick and (again or _TOLD in kick.episode.to_userspace()) and kick.number + 1 < len(steps):
        return steps[kick.number + 1]
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

    Where acknowledgements leave one (of level-triggered interrupts; under AVIC of all
    of an x2APIC guest's; where only the delivery is the hardware's), each tells of one run:
    interrupts beyond those came twice. The handler acknowledges already, so the exit is
    no operation of its own.
    """
    for runs in _by_vector(steps).values():
        _match_runs(runs)
    for step in steps:
        step.deliveries += [a.delivered for a in step.arrivals if a.delivered and not a.delivered.last]
        step.deliveries += [a.joins for a in step.arrivals if a.joins and a.joins.last is a]


def _by_vector(steps: list[Step]) -> dict[int, list[tuple[int, Step, Arrival | None]]]:
    """Each vector's arrivals, and its EOIs that left (None), in the order of lines."""
    found: dict[int, list[tuple[int, Step, Arrival | None]]] = {}
    for step in steps:
        for arrival in step.arrivals:
            if arrival.mode in ("Fixed", "LowPrio") and arrival.source != "extint":
                found.setdefault(arrival.vector, []).append((arrival.line, step, arrival))
        eois = step.episode.named("kvm_eoi") if step.operation == ("eoi",) else []
        if eois:
            found.setdefault(eois[-1].fields["vector"], []).append((eois[-1].line, step, None))
    return {vector: sorted(runs, key=lambda run: run[0]) for vector, runs in found.items()}


def _match_runs(runs: list[tuple[int, Step, Arrival | None]]) -> None:
    """From the end: each EOI takes the interrupt before it; what has none left for it joins the run behind it.

    What comes after the last EOI, or has a vector without any, is taken to run.
    """
    eois: list[Step] = []  # whose interrupts are not found yet, the latest first
    run: Delivery | None = None  # that what came before joins
    for _, step, arrival in reversed(runs):
        if arrival is None:
            eois.append(step)
        elif run is None or eois:
            run = arrival.delivered = Delivery(arrival.vector, arrival.step, arrival, hidden=True)
            if eois:
                run.ended = eois[0].number
                eois.pop(0).operation = None
            else:
                run = None
        else:
            later = run.arrival
            run.last = run.last or later
            later.delivered, later.joins = None, run
            run.arrival, arrival.delivered = arrival, run


def _timer_arms(steps: list[Step], mode: int) -> None:
    """An expiry needs a timer that is armed: before the window, or by a step; by its own, if that was late; or it is periodic."""
    armed = False
    for step in steps:
        if step.operation and step.operation[0] == "timer_mode":
            mode = int(step.operation[2])
        arms = step.operation and step.operation[0] in ("tsc_deadline", "timer_count")
        line = min((e.line for e in step.episode.events if recorded.is_timer_arm(e)), default=0) if arms else 0
        for arrival in (a for a in step.arrivals if a.source == "timer"):
            arrival.at_once = bool(line) and arrival.line > line
            arrival.armed = armed or arrival.at_once
            armed = armed and mode == _PERIODIC
        if step.operation and arms:
            armed = bool(step.operation[1]) and not any(a.at_once for a in step.arrivals)


def _forget_masked(steps: list[Step]) -> None:
    """An 8259A's edges that no INTA followed: its pin, or the APIC's LINT0, was masked."""
    for step in steps:
        step.arrivals = [a for a in step.arrivals if a.source != "extint" or a.delivered]


def _noise(steps: list[Step]) -> None:
    for step in steps:
        step.noise = is_noise(step)
