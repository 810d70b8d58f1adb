"""Plans: the one document that a run depends on (docs/plan.md), built from Python.

A scenario says what machine there is and what its guests do; which technology,
costs and seed it runs with is decided by who runs it: Plan.resolve().
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import library
from .errors import VirqsimError
from .guest import Program
from .hypothetical import Hypothetical, in_force
from .nic import Moderation, Queue
from .profiles import Profile

Handler = Program | Sequence[Program]

UINV = 236  # Linux's: UINTR_NOTIFICATION_VECTOR


@dataclass(frozen=True)
class Inhibit:
    """A time in which KVM has a reason to do without APICv or AVIC.

    Args:
        reason: KVM's name of it (`virqsim list inhibits`).
        from_ns: when it comes.
        until_ns: when it goes; 0: never.
    """

    reason: str
    from_ns: int = 0
    until_ns: int = 0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong around the guest (`virqsim list faults`, docs/faults.md).

    Args:
        kind: its name.
        at_ns: when it begins.
        for_ns: how long it lasts; None: `absent-vcpu` and `moved`, which do not last, and the default of `off-cpu`.
        of: whom it befalls, by the key that the list says: `{"device": 0}`; and of a storm `every_ns`, of an
            `absent-vcpu` its `vector`, of one that is `moved` its `cpu`.
    """

    kind: str
    at_ns: int
    for_ns: int | None = None
    of: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As the plan has it."""
        lasts = {} if self.for_ns is None else {"for_ns": self.for_ns}
        return {"kind": self.kind, "at_ns": self.at_ns, **lasts, **self.of}


@dataclass(frozen=True)
class PauseLoop:
    """When a loop of PAUSEs exits, with pause-loop-exiting or pause-filter; None is KVM's default.

    kvm-intel's ple_gap and ple_window are counts of the TSC; of kvm-amd, pause_filter_thresh is cycles and
    pause_filter_count, here `window`, a number of PAUSEs.
    """

    gap: int | None = None
    window: int | None = None
    grow: int | None = None
    shrink: int | None = None
    max: int | None = None


@dataclass(frozen=True)
class IdleState:
    """One way for a physical CPU to sleep, as Linux' intel_idle has it.

    Args:
        name: `C1`, `C6`.
        exit_ns: how long it takes to wake up; of the first state it is part of host.idle_exit.
        residency_ns: how long a sleep must be for the state to be worth while.
    """

    name: str
    exit_ns: int
    residency_ns: int


@dataclass(frozen=True)
class GuestPoll:
    """The haltpoll governor in the guest, with the feature guest-halt-poll; Linux' defaults."""

    ns: int = 200_000
    grow: int = 2
    grow_start_ns: int = 50_000
    shrink: int = 2


@dataclass(frozen=True)
class Scheduler:
    """A fair scheduler of the host's, Linux' CFS; the defaults are those of Linux 6.1 on eight CPUs and more."""

    latency_ns: int = 24_000_000
    wakeup_granularity_ns: int = 4_000_000


@dataclass(frozen=True)
class Hypervisor:
    """KVM's parameters; the defaults are those of Linux on x86, times in nanoseconds.

    `tick_ns` is the period of the host's tick (4 000 000 with Linux' CONFIG_HZ=250), on CPUs that have a
    thread to run; None: there is none, and a slice's end is the only interrupt of the scheduler's.

    `idle_check_ns` is how long a guest of Elbrus with assigned devices sleeps at most before KVM looks
    for interrupts of theirs (None: 10 ms, assumed).
    `timer_advance_ns` is how far ahead the guest's timer expires with the feature
    timer-advance; 0: KVM tunes it by itself, for each vCPU.

    `pit_reinject` says that KVM's own PIT injects lost ticks again, which is QEMU's default
    (`lost_tick_policy=delay`) and keeps AVIC off. `inhibits` are put in force besides those
    that the machine brings about.

    `no_reboot` is QEMU's option: where a guest shuts down (Program.triple_fault()) the machine stops, and
    is not reset.

    `without_rechecks` makes it a hypervisor with a fault: these of KVM's second looks are left out
    (`virqsim list rechecks`, docs/race.md).

    With a `scheduler` threads have weights, preempt each other when they wake up, and may roam;
    without one they share their CPU in turns of `time_slice_ns` (docs/models/host.md).
    """

    irqchip: str = "kernel"
    halt_poll_ns: int = 200_000
    halt_poll_grow: int = 2
    halt_poll_grow_start_ns: int = 10_000
    halt_poll_shrink: int = 0
    time_slice_ns: int = 3_000_000
    timer_advance_ns: int = 0
    pit_reinject: bool = False
    no_reboot: bool = False
    inhibits: tuple[Inhibit, ...] = ()
    pause_loop: PauseLoop = PauseLoop()
    without_rechecks: tuple[str, ...] = ()
    scheduler: Scheduler | None = None
    idle_check_ns: int | None = None
    tick_ns: int | None = None

    def document(self) -> dict[str, Any]:
        """The plan's `hypervisor`, without what is left to its defaults."""
        document = {**asdict(self), "inhibits": [asdict(each) for each in self.inhibits]}
        pause_loop = {key: value for key, value in document.pop("pause_loop").items() if value is not None}
        document["without_rechecks"] = list(self.without_rechecks)
        for each in ("scheduler", "idle_check_ns", "tick_ns"):
            if document[each] is None:
                del document[each]
        return {**document, "pause_loop": pause_loop} if pause_loop else document


class Machine:
    """The physical CPUs, the vCPUs on them, and what stands around.

    Args:
        guest_apic: `xapic`, `x2apic`, `epic` or `none`: what the guest's driver uses; with a
            technology of Elbrus `x2apic` is taken for `epic`.
        physical_cpus: how many; by default as many as the highest pin asks for.
        chipset: the PC's 8259A pair and I/O APIC, `82093aa` (version 11H) or `ich9` (version
            20H, with an EOI register), with the PIT; of an Elbrus machine its IOEPIC, `ioepic-v1`
            or `ioepic-v2`; None: none of them, and devices raise interrupts by themselves.
        hpet: the chipset has an HPET too.
        idle_states: how the physical CPUs sleep, from the lightest; none: all as light as they can.
        guest_poll: how the guest polls before it halts; None: by Linux' defaults.
        housekeeping_cpu: the physical CPU, without vCPUs, that runs the guests' timers with the
            feature timer-posting; by default one more than the others, where the feature is on.
        sockets: the physical CPUs are in so many, of the same size, one after the other.
        threads_per_core: 1, or 2: then CPUs 2n and 2n + 1 share a core.
    """

    def __init__(self, guest_apic: str = "x2apic", physical_cpus: int | None = None,
                 chipset: str | None = None, hpet: bool = False, housekeeping_cpu: int | None = None,
                 sockets: int = 1, threads_per_core: int = 1, idle_states: Sequence[IdleState] = (),
                 guest_poll: GuestPoll | None = None) -> None:
        self.idle_states = tuple(idle_states)
        self.guest_poll = guest_poll
        self.guest_apic = guest_apic
        self.physical_cpus = physical_cpus
        self.housekeeping_cpu = housekeeping_cpu
        self.chipset = chipset
        self.hpet = hpet
        self.sockets = sockets
        self.threads_per_core = threads_per_core
        self.programs: dict[str, Program] = {}
        self._vcpus: list[dict[str, Any]] = []
        self._load: list[dict[str, Any]] = []
        self._threads: list[dict[str, Any]] = []
        self._host_interrupts: list[dict[str, Any]] = []
        self._regions: list[dict[str, Any]] = []
        self._devices: list[dict[str, Any]] = []
        self._disks: list[dict[str, Any]] = []
        self._serial: dict[str, Any] | None = None
        self._nics: list[dict[str, Any]] = []
        self._tx_queues: list[dict[str, Any]] = []
        self._words: dict[str, int] = {}

    def vcpu(self, program: Program, handlers: Mapping[int, Handler] | None = None, pin: int | None = None,
             nice: int = 0, roams: bool = False, waits_for_sipi: bool = False, after_reset: Program | None = None) -> int:
        """Adds a vCPU and returns its number, which is also its APIC ID.

        Args:
            program: its main program, which starts with interrupts enabled.
            handlers: vector to the program of its handler, or to several: the
                n-th delivery runs the n-th, the last one repeats.
            pin: the physical CPU of its thread; by default its own number.
            nice: -20 to 19, with a Scheduler.
            roams: its thread may run on any physical CPU, with a Scheduler; `pin` is where it begins.
            waits_for_sipi: it begins when another vCPU has sent it INIT and a start-up IPI (`icr_init`, `icr_startup`);
                else firmware has done that.
            after_reset: what it runs once the machine was reset; by default `program` again.

        Raises:
            VirqsimError: two programs share a name.
        """
        number = len(self._vcpus)
        named: dict[str, str | list[str]] = {}
        for vector, handler in (handlers or {}).items():
            if isinstance(handler, Program):
                named[str(vector)] = self._name(handler)
            else:
                named[str(vector)] = [self._name(each) for each in handler]
        self._vcpus.append({"pin": number if pin is None else pin, "program": self._name(program), "handlers": named,
                            **_scheduling(nice, roams), **({"waits_for_sipi": True} if waits_for_sipi else {}),
                            **({"after_reset": self._name(after_reset)} if after_reset else {})})
        return number

    def user_interrupts(self, vcpu: int, handler: Program | None = None, uinv: int = UINV) -> None:
        """Gives a vCPU user interrupts, as sender and as receiver.

        Args:
            vcpu: its number.
            handler: the program of its handler, for all user vectors; None: it returns at once.
            uinv: the vector of its notifications.

        Raises:
            VirqsimError: two programs share a name.
        """
        self._vcpus[vcpu]["user_interrupts"] = {
            "uinv": uinv, **({"handler": self._name(handler)} if handler else {}), "targets": []}

    def user_target(self, vcpu: int, target: int, vector: int = 0) -> int:
        """Adds an entry to the target table of a vCPU and returns its index, for Program.senduipi().

        Args:
            vcpu: the sender.
            target: the receiver; both have user_interrupts().
            vector: the user vector, 0 to 63.
        """
        targets = self._vcpus[vcpu]["user_interrupts"]["targets"]
        targets.append({"vcpu": target, "vector": vector})
        return len(targets) - 1

    def _name(self, program: Program) -> str:
        if self.programs.setdefault(program.name, program) is not program:
            raise VirqsimError(f"program {program.name}: two different programs have this name")
        return program.name

    def word(self, name: str) -> int:
        """The number of the shared word of that name; it starts at 0."""
        return self._words.setdefault(name, len(self._words))

    def lock(self, name: str) -> int:
        """The number of the ticket lock of that name, for Program.lock(); it starts free."""
        served = self.word(f"{name}, served")
        self.word(f"{name}, given")
        return served

    def load(self, pin: int, nice: int = 0, roams: bool = False) -> None:
        """Adds a host thread that always wants the physical CPU `pin`; `nice` and `roams` as of vcpu()."""
        self._load.append({"pin": pin, **_scheduling(nice, roams)})

    def host_interrupts(self, cpu: int, every_ns: int = 0, at_ns: Sequence[int] = (), cycles: int = 0) -> None:
        """Adds a device of the host's own, which is no guest's: its interrupts reach a physical CPU.

        Args:
            cpu: that CPU.
            every_ns: their period; 0: there are those at `at_ns`, ascending times, alone.
            cycles: work of each, beside the interrupt itself.
        """
        self._host_interrupts.append({"cpu": cpu, **({"every_ns": every_ns} if every_ns else {}),
                                      **({"at_ns": list(at_ns)} if at_ns else {}), "cycles": cycles})

    def thread(self, kind: str, pin: int, nice: int = 0, roams: bool = False) -> int:
        """Adds a host thread that is no vCPU and returns its number (docs/models/host.md).

        Args:
            kind: `main-loop`, QEMU's, of which there is one at most; `aio-worker`, one of its pool; `vhost`.
            pin: the physical CPU on which it runs.
            nice, roams: as of vcpu().
        """
        self._threads.append({"kind": kind, "pin": pin, "work": [], **_scheduling(nice, roams)})
        return len(self._threads) - 1

    def work(self, thread: int, at_ns: Sequence[int], cycles: int, sleep_ns: int = 0, after_cycles: int = 0,
             signals: int | None = None, pauses_ns: int = 0) -> None:
        """Gives a host thread work of its own.

        Args:
            thread: its number.
            at_ns: ascending times at which there is a piece of it; one that comes before the last
                is done is the same, as an eventfd that was not read yet.
            cycles: of the CPU, for each.
            sleep_ns: then it sleeps so long, in a blocking call.
            after_cycles: and needs the CPU again.
            signals: the device that acts when it is done; None: none does.
            pauses_ns: the main loop then pauses the VM for so long.
        """
        self._threads[thread]["work"].append({
            "at_ns": list(at_ns), "cycles": cycles, "sleep_ns": sleep_ns, "after_cycles": after_cycles,
            **({} if signals is None else {"signals": signals}),
            **({"pauses_ns": pauses_ns} if pauses_ns else {})})

    def region(self, space: str, first: int, last: int, handler: str) -> None:
        """Says who answers accesses to first..last of `port` or `mmio`: kernel, userspace, eventfd, external."""
        self._regions.append({"space": space, "first": first, "last": last, "handler": handler})

    def assigned(self, name: str, vcpu: int, vector: int, cpu: int | None = None, delay_ns: int = 0,
                 at_ns: Sequence[int] = (), urgent: bool = False, table: int | None = None) -> int:
        """Adds a device that is assigned to the guest and returns its number, for Program.signal().

        Args:
            name: for people.
            vcpu: the destination.
            vector: 16 to 255, with an EPIC to 1023; the guest's.
            cpu: the physical CPU that its MSI reaches where the IOMMU does not post; by default
                the one of the vCPU's thread, which must have been added before.
            delay_ns: from the signal to the MSI.
            at_ns: ascending times at which it sends one by itself.
            urgent: where the IOMMU posts, URG of its entry: a preempted vCPU is not to wait for its time slice.
            table: the address of its entry of the MSI-X table, for drivers.msix_move().
        """
        self._devices.append({"name": name, "kind": "assigned", "vcpu": vcpu, "vector": vector,
                              "cpu": self._vcpus[vcpu]["pin"] if cpu is None else cpu,
                              "delay_ns": delay_ns, "at_ns": list(at_ns),
                              **({"urgent": True} if urgent else {}), **({} if table is None else {"table": table})})
        return len(self._devices) - 1

    def device(self, name: str, kind: str, vcpu: int, vector: int, delay_ns: int = 0, at_ns: Sequence[int] = (),
               table: int | None = None) -> int:
        """Adds a source of interrupts outside and returns its number, for Program.signal().

        Args:
            name: for people.
            kind: `msi`, `level`, `extint` or `nmi`.
            vcpu: the destination.
            vector: 16 to 255, with an EPIC to 1023.
            delay_ns: from the signal to the interrupt.
            at_ns: ascending times at which it acts by itself.
            table: of an `msi`, the address of its entry of the MSI-X table, for drivers.msix_move().
        """
        self._devices.append({"name": name, "kind": kind, "vcpu": vcpu, "vector": vector,
                              "delay_ns": delay_ns, "at_ns": list(at_ns), **({} if table is None else {"table": table})})
        return len(self._devices) - 1

    def nic(self, name: str, queues: Sequence[Queue], path: str = "assigned", auto_mask: bool = True, ring: int = 512,
            delay_ns: int = 0, moderation: Moderation | None = None, thread: int | None = None) -> int:
        """Adds a network card and returns the number of its first queue, for Program.rx_poll() and rx_unmask().

        Args:
            name: for people.
            queues: one or more; their vCPUs must have been added before.
            path: `assigned`, a real card or VF that belongs to the guest; `emulated`, one of the host's
                whose frames are in the ring when they arrive; `userspace`, virtio-net whose frames QEMU's main
                loop brings (Machine.thread); `vhost`, one whose frames a vhost worker brings.
            auto_mask: an interrupt masks its queue until the driver unmasks it.
            ring: how many frames a queue holds.
            delay_ns: from a queue's interrupt to the message.
            moderation: by default none.
            thread: of the path vhost, the worker: Machine.thread("vhost", pin).
        """
        first = sum(len(nic["queues"]) for nic in self._nics)
        rows = []
        for queue in queues:
            row = {"vcpu": queue.vcpu, "vector": queue.vector, "arrivals": queue.arrivals.document}
            if path == "assigned":
                row["cpu"] = self._vcpus[queue.vcpu]["pin"] if queue.cpu is None else queue.cpu
            rows.append(row)
        self._nics.append({"name": name, "path": path, "auto_mask": auto_mask, "ring": ring, "delay_ns": delay_ns,
                           "moderation": (moderation or Moderation.none()).document, "queues": rows,
                           **({} if thread is None else {"thread": thread})})
        return first

    def tx_queue(self, device: int, backend: str = "ioeventfd", *, base: int = 0xFEB10000, queue_size: int = 256,
                 event_idx: bool = True, thread: int | None = None) -> int:
        """Adds a transmit queue of virtio-net's and returns its number, for Program.tx_send() and tx_reap().

        Args:
            device: what it interrupts by, an `msi`.
            backend: `userspace` and `ioeventfd`: QEMU's main loop sends (Machine.thread), which hears of frames by an exit
                to userspace, or by an ioeventfd; `vhost`: a vhost worker, by an ioeventfd.
            base: the address of the notification.
            queue_size: of the ring, a power of two.
            event_idx: VIRTIO_F_EVENT_IDX.
            thread: of `vhost`, the worker.
        """
        self._tx_queues.append({"backend": backend, "device": device, "base": base, "queue_size": queue_size,
                                "event_idx": event_idx, **({} if thread is None else {"thread": thread})})
        return len(self._tx_queues) - 1

    def line(self, name: str, gsi: int, delay_ns: int = 0, pulse_ns: int = 0, at_ns: Sequence[int] = (),
             cpu: int | None = None) -> int:
        """Adds a device with an interrupt line and returns its number, for Program.signal() and lower().

        Args:
            name: for people.
            gsi: the chipset's input, 0 to 23: 0 to 15 reach the 8259A pair and the I/O APIC (input 0
                its pin 2), the others the I/O APIC alone. 2 is the cascade. Of an IOEPIC: its pin, 0 to 31.
            delay_ns: from the signal to the assertion.
            pulse_ns: how long it stays asserted; 0: until it is lowered.
            at_ns: ascending times at which it asserts the line by itself.
            cpu: of an Elbrus machine: the device is the host's, assigned to the guest, and where the host
                takes its interrupt, it does so on this physical CPU. None: the hypervisor's own.
        """
        self._devices.append({"name": name, "kind": "line", "gsi": gsi, "delay_ns": delay_ns,
                              "pulse_ns": pulse_ns, "at_ns": list(at_ns),
                              **({} if cpu is None else {"assigned": True, "cpu": cpu})})
        return len(self._devices) - 1

    def serial(self, device: int, base: int = 0x3F8) -> None:
        """Gives the machine QEMU's serial port, a 16550.

        Args:
            device: the line by which it interrupts (Machine.line), of COM1 input 4.
            base: the first of its eight ports.
        """
        self._serial = {"device": device, "base": base}

    def ide(self, device: int, latency_ns: int, latency_high_ns: int | None = None) -> int:
        """Adds QEMU's IDE disk and returns its number, for Program.disk_ask() and drivers.ide_issue().

        Args:
            device: the line by which it interrupts (Machine.line), of the ISA bus input 14.
            latency_ns: of the medium, for each request.
            latency_high_ns: drawn evenly between the two; None: always `latency_ns`.
        """
        return self._disk(kind="ide", device=device, latency_ns=latency_ns, latency_high_ns=latency_high_ns)

    def virtio_blk(self, device: int, latency_ns: int, latency_high_ns: int | None = None, *, space: str = "mmio",
                   base: int = 0xFEBF4000, queue_size: int = 128, event_idx: bool = True, indirect: bool = True,
                   ioeventfd: bool = True) -> int:
        """Adds a virtio block device of QEMU's and returns its number, for Program.disk_ask().

        Args:
            device: by which it interrupts: an `msi` (Machine.device), or a line (Machine.line) for INTx.
            latency_ns: of the medium, for each request.
            latency_high_ns: drawn evenly between the two; None: always `latency_ns`.
            space: `mmio`, or `port` for the legacy interface.
            base: its address there.
            queue_size: of its one queue, a power of two up to 1024.
            event_idx: VIRTIO_F_EVENT_IDX.
            indirect: VIRTIO_F_INDIRECT_DESC: a request takes one descriptor, not three.
            ioeventfd: the notification is one, which the main loop reads; else an exit to userspace.
        """
        return self._disk(kind="virtio-blk", device=device, latency_ns=latency_ns, latency_high_ns=latency_high_ns,
                          space=space, base=base, queue_size=queue_size, event_idx=event_idx, indirect=indirect,
                          ioeventfd=ioeventfd)

    def nvme(self, device: int, latency_ns: int, latency_high_ns: int | None = None, *, base: int = 0xFEBF0000,
             queue_size: int = 128, ioeventfd: bool = True, shadow_doorbells: bool = True, pair: int = 1, coalesce: int = 1,
             coalesce_ns: int = 0) -> int:
        """Adds a pair of queues of an NVMe controller of QEMU's and returns its number, for Program.disk_ask().

        Args:
            device: the `msi` by which it interrupts (Machine.device).
            latency_ns: of the medium, for each request.
            latency_high_ns: drawn evenly between the two; None: always `latency_ns`.
            base: the controller's address.
            queue_size: of its queues, a power of two up to 1024; they hold one less.
            ioeventfd: the doorbells are ioeventfds; else exits to userspace.
            shadow_doorbells: doorbells are written to memory, and their registers only where the controller asks for it.
            pair: its number in the controller, 1 to 64; several at one address are one controller's.
            coalesce: completions for an interrupt, at most 256.
            coalesce_ns: or so long after the first.
        """
        return self._disk(kind="nvme", device=device, latency_ns=latency_ns, latency_high_ns=latency_high_ns, base=base,
                          queue_size=queue_size, ioeventfd=ioeventfd, shadow_doorbells=shadow_doorbells, pair=pair,
                          coalesce=coalesce, coalesce_ns=coalesce_ns)

    def _disk(self, **keys: Any) -> int:
        self._disks.append({key: value for key, value in keys.items() if value is not None})
        return len(self._disks) - 1

    def _chipset(self) -> dict[str, Any]:
        if self.chipset in ("ioepic-v1", "ioepic-v2"):
            return {"ioepic": self.chipset.removeprefix("ioepic-")}
        return {"ioapic": self.chipset, "hpet": self.hpet}

    def document(self, profile: Profile) -> dict[str, Any]:
        """The plan's `machine`, with the profile's clocks."""
        pins = [each["pin"] for each in self._vcpus + self._load + self._threads
                if isinstance(each["pin"], int) and each["pin"] >= 0]
        housekeeping = self.housekeeping_cpu
        if housekeeping is not None and housekeeping >= 0:
            pins.append(housekeeping)
        cpus = max(pins, default=0) + 1 if self.physical_cpus is None else self.physical_cpus
        return {
            **profile.clocks,
            "physical_cpus": cpus,
            **({} if housekeeping is None else {"housekeeping_cpu": housekeeping}),
            "guest_apic": self.guest_apic,
            "vcpus": self._vcpus,
            "load": self._load,
            **({"threads": self._threads} if self._threads else {}),
            **({"host_interrupts": self._host_interrupts} if self._host_interrupts else {}),
            **({"idle_states": [asdict(state) for state in self.idle_states]} if self.idle_states else {}),
            **({"guest_poll": asdict(self.guest_poll)} if self.guest_poll else {}),
            "regions": self._regions,
            "devices": self._devices,
            **({"disks": self._disks} if self._disks else {}),
            **({"serial": self._serial} if self._serial else {}),
            **({"nics": self._nics} if self._nics else {}),
            **({"tx_queues": self._tx_queues} if self._tx_queues else {}),
            **({"chipset": self._chipset()} if self.chipset else {}),
            **({"topology": {"sockets": self.sockets, "threads_per_core": self.threads_per_core}}
               if self.sockets > 1 or self.threads_per_core > 1 else {}),
        }


def _scheduling(nice: int, roams: bool) -> dict[str, Any]:
    return {**({"nice": nice} if nice else {}), **({"roams": True} if roams else {})}


@dataclass
class Plan:
    """What a scenario's plan() returns.

    `technology` and `features` are what the scenario suggests; the command
    line's --tech and --features go before them. `watchdog` has its limits (docs/watchdog.md);
    None: it looks only at the end.
    """

    name: str
    machine: Machine
    hypervisor: Hypervisor = field(default_factory=Hypervisor)
    until_ns: int = 0
    technology: str = "none"
    features: dict[str, bool] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    watchdog: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        for part, wanted in ((self.machine, Machine), (self.hypervisor, Hypervisor)):
            if not isinstance(part, wanted):
                raise TypeError(f"Plan: {part!r} is no {wanted.__name__}")

    def resolve(self, profile: Profile, technology: str | None = None, features: Mapping[str, bool] | None = None,
                seed: int = 1, declared: Mapping[str, Hypothetical] | None = None) -> dict[str, Any]:
        """The whole plan, as the core reads it.

        Args:
            profile: whose costs.
            technology: in place of the scenario's.
            features: on top of the scenario's.
            seed: of the random streams.
            declared: hypothetical features by name, of which the technology and the features may
                name some: those are part of the plan.

        Raises:
            VirqsimError: a program has an open loop. What only the machine
                can know (a pin, a name) is refused by Simulation().
        """
        technology, declared = technology or self.technology, declared or {}
        switched = {**self.features, **(features or {})}
        hypothetical = in_force(technology, switched, declared)
        plan = housekept({
            "format": "virqsim-plan-1",
            "name": self.name,
            "seed": seed,
            "technology": technology,
            "features": {name: on for name, on in switched.items() if name not in declared},
            **({"hypothetical": [feature.document() for feature in hypothetical]} if hypothetical else {}),
            "machine": _for_technology(self.machine.document(profile), technology),
            "hypervisor": self.hypervisor.document(),
            "costs": {"profile": profile.name,
                      "kind": "assumed" if any(feature.assumes for feature in hypothetical) else profile.known,
                      "cycles": profile.cycles},
            "programs": {name: program.operations for name, program in self.machine.programs.items()},
            "run": {"until_ns": self.until_ns},
            **({"faults": [fault.document() for fault in self.faults]} if self.faults else {}),
            **({} if self.watchdog is None else {"watchdog": dict(self.watchdog)}),
        })
        for part in ("seed", "machine", "hypervisor", "run"):  # Program looks after its own operands
            _check_integers(f"plan: {part}", plan[part])
        return plan


def _for_technology(machine: dict[str, Any], technology: str) -> dict[str, Any]:
    """On a machine that has EPICs a guest's driver that would use the x2APIC uses its EPIC."""
    if library.vendor(technology) == "e2k" and machine["guest_apic"] == "x2apic":
        return {**machine, "guest_apic": "epic"}
    return machine


def housekept(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan with one physical CPU more for the guests' timers, where its features ask for one and it has none."""
    machine = plan["machine"]
    if not plan["features"].get("timer-posting") or "housekeeping_cpu" in machine:
        return plan
    cpus = machine["physical_cpus"]
    return {**plan, "machine": {**machine, "physical_cpus": cpus + 1, "housekeeping_cpu": cpus}}


def _check_integers(place: str, value: Any) -> None:
    """Raises VirqsimError with the place of an integer that JSON readers cannot hold."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_integers(f"{place}.{key}", inner)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            _check_integers(f"{place}[{n}]", inner)
    elif isinstance(value, int) and not -2**63 <= value < 2**63:
        raise VirqsimError(f"{place}: {value} is too large (up to 2**63-1)")
