"""A vCPU's life as a list of episodes: in the guest, out for one reason, in again.

On AMD, Linux 6.1 prints kvm_exit after it has served the host's interrupts and
looked for a paravirtual EOI, so what the vCPU's own thread prints between
kvm_entry and kvm_exit belongs to the exit too: a thread that prints is not in
the guest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .reader import Event, Trace


@dataclass
class Episode:
    """One exit and the host's work for it, up to the next entry.

    Indexes are those of Trace.events. `exit` is None for the work that a
    recording begins in the middle of.
    """

    vcpu: int
    number: int
    exit: Event | None = None
    entered: int | None = None  # the entry before
    left: int | None = None  # the exit
    resumed: int | None = None  # the entry behind
    immediate: bool = False  # that entry's guest was made to leave at once
    events: list[Event] = field(default_factory=list)  # of this vCPU's thread, in order, the exit not among them
    guest_ns: int = 0

    @property
    def reason(self) -> str:
        """The exit reason, by its normal name; empty without an exit."""
        return self.exit.fields["reason"] if self.exit else ""

    def named(self, *names: str) -> list[Event]:
        """The episode's events of these names."""
        return [event for event in self.events if event.name in names]

    def to_userspace(self) -> list[str]:
        """Why KVM_RUN returned, as often as it did."""
        return [event.fields["reason"] for event in self.named("kvm_userspace_exit")]


def split(trace: Trace) -> dict[int, list[Episode]]:
    """Each vCPU's episodes within the trace's window, in order.

    The last one has no exit: it is the vCPU's time in the guest up to the end,
    or, of a vCPU that printed nothing in the window, all of its time.
    """
    vcpus = {event.vcpu for event in trace.events if event.vcpu is not None}
    vcpus |= {event.fields["apicid"] for event in trace.events if event.name == "kvm_apic_accept_irq"}
    lives = {vcpu: [Episode(vcpu, 0)] for vcpu in vcpus}
    for index in range(trace.begin, trace.end):
        vcpu = trace.events[index].vcpu
        if vcpu is not None:
            _take(trace, lives[vcpu], index)
    if trace.marker is not None:
        _cut_at(lives[trace.events[trace.marker].vcpu or 0], trace.marker)
    return dict(sorted(lives.items()))


def _take(trace: Trace, life: list[Episode], index: int) -> None:
    event, now = trace.events[index], life[-1]
    if event.name == "kvm_entry":
        now.resumed = index
        life.append(Episode(now.vcpu, len(life), entered=index, immediate=event.fields["immediate"]))
    elif event.name == "kvm_exit":
        if now.exit:  # an entry that was not recorded
            now.resumed = index
            now = Episode(now.vcpu, len(life))
            life.append(now)
        now.exit, now.left = event, index
        if now.entered is not None:
            now.guest_ns = (event.time_ns or 0) - (trace.events[now.entered].time_ns or 0)
    else:
        now.events.append(event)


def _cut_at(life: list[Episode], marker: int) -> None:
    """The exit for the END mark, and what follows it, are not the workload's."""
    while len(life) > 1 and (life[-1].left is None or life[-1].left > marker):
        life.pop()
    if life[-1].left == marker:
        life[-1] = Episode(life[-1].vcpu, life[-1].number, entered=life[-1].entered)
