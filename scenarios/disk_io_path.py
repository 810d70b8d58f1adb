"""Where does the time of a disk request go, and how many exits does it cost?

An application keeps `depth` reads of a disk under way. The disk is QEMU's: an IDE
channel, whose driver makes the 26 port accesses of Linux's libata for each request, an NVMe controller, or a
virtio block device, notified by an ioeventfd and interrupting by a message
or (`--set interrupt=intx`) by a line. A raw image is behind it: a worker of QEMU's pool sleeps
`medium` microseconds for each request, the main loop completes it. `--set
irqchip=` moves the interrupt controllers; the report has the exits and the time of a request by where it
was spent.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, Sweep, VirqsimError, drivers

HARDWARE = ("none", "apicv", "svm", "x2avic")

PARAMETERS = {
    "disk": Parameter("virtio-blk", "", "what the guest sees", choices=("ide", "virtio-blk", "nvme")),
    "depth": Parameter(1, "requests", "how many the application keeps under way", least=1),
    "requests": Parameter(200, "requests", "in all", least=1),
    "medium": Parameter(80, "us", "of each request in the worker's blocking call", least=1),
    "spread": Parameter(0, "us", "of that: drawn evenly from so much below to so much above"),
    "workers": Parameter(64, "threads", "in QEMU's pool", least=1),
    "hardware": Parameter("none", "", "the technology, where --tech does not say", choices=HARDWARE),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
    "guest": Parameter("xapic", "", "the guest's controllers", choices=("8259a", "xapic", "x2apic")),
    "interrupt": Parameter("msi", "", "of virtio-blk", choices=("msi", "intx")),
    "ioeventfd": Parameter("on", "", "of virtio-blk and NVMe", choices=("on", "off")),
    "queues": Parameter(1, "", "of NVMe: a pair of queues and a vector for each vCPU, each vCPU with `depth` requests",
                        least=1, most=16),
    "shadow": Parameter("on", "", "of NVMe: shadow doorbells; an ioeventfd needs them", choices=("on", "off")),
    "event_idx": Parameter("on", "", "of virtio-blk: event suppression by indices", choices=("on", "off")),
}

SWEEP = Sweep(over={"disk": ("ide", "virtio-blk", "nvme"), "irqchip": ("kernel", "split", "userspace"), "hardware": HARDWARE,
                    "spread": (20,), "depth": (1, 2, 4, 8, 16, 32, 64)},
              x="depth", y=("exits", "all_us", "kiops"), panels="disk", points="delivery", repeats=3)

IDE_IRQ, VECTOR = 14, 0x41
PCI_INPUT, PCI_IRQ, ELCR = 20, 11, 0x4D0  # of INTx: at the I/O APIC, and at the 8259A pair, whose ELCR makes it a level
VIRTIO_ISR = 0xFEBF4000 + 0x1000


def plan(p):
    if p.queues > 1 and p.disk != "nvme":
        raise VirqsimError(f"disk_io_path: queues: {p.disk} has one: --set disk=nvme")
    if not 0 <= p.spread < p.medium:
        raise VirqsimError(f"disk_io_path: spread: {p.spread} is not in 0..{p.medium - 1}: the medium takes some time")
    if p.disk == "nvme" and p.interrupt == "intx":
        raise VirqsimError("disk_io_path: interrupt: NVMe has messages alone: --set interrupt=msi")
    if p.disk != "ide" and p.guest == "8259a" and p.interrupt == "msi":
        raise VirqsimError("disk_io_path: guest: 8259a takes no messages: --set interrupt=intx")
    machine = Machine("none" if p.guest == "8259a" else p.guest, chipset="82093aa")
    for vcpu in range(p.queues):
        done = machine.word(f"done by vCPU {vcpu}")
        main = Program(f"main{vcpu}")
        if p.disk == "ide":
            vector, handlers = ide(machine, main, p, done)
        else:
            vector, handlers = with_queue(machine, main, p, done, vcpu)
        machine.vcpu(main.halt_until(done, p.requests), {vector: handlers})
    machine.thread("main-loop", p.queues)
    for n in range(min(p.workers, p.depth * p.queues)):
        machine.thread("aio-worker", p.queues + 1 + n)
    return Plan("disk_io_path", machine, Hypervisor(irqchip=p.irqchip, halt_poll_ns=0), technology=p.hardware)


def latency_ns(p):
    return (p.medium - p.spread) * 1000, (p.medium + p.spread) * 1000


def ide(machine, main, p, done):
    """A channel has one request under way; the others wait in the guest."""
    disk = machine.ide(machine.line("ide", IDE_IRQ), *latency_ns(p))
    vector = route(main, p, IDE_IRQ)
    drivers.ide_issue(main.mask().disk_ask(disk, p.depth, p.requests), disk).unmask()

    def handler(name, last):
        program = begin(Program(name), p, IDE_IRQ)
        drivers.ide_complete(program, disk, done).disk_ask(disk, p.depth, p.requests)
        if not last:
            drivers.ide_issue(program, disk)
        return end(program, p, IDE_IRQ)

    return vector, [handler("on_request", False)] * (p.requests - 1) + [handler("on_last", True)]


def with_queue(machine, main, p, done, vcpu):
    """virtio-blk, or NVMe: the driver fills a ring."""
    intx = p.interrupt == "intx"
    gsi = PCI_IRQ if p.guest == "8259a" else PCI_INPUT
    device = machine.line("virtio", gsi) if intx else machine.device(f"disk{vcpu}", "msi", vcpu, VECTOR)
    if p.disk == "nvme":
        disk = machine.nvme(device, *latency_ns(p), ioeventfd=p.ioeventfd == "on", shadow_doorbells=p.shadow == "on", pair=vcpu + 1,
                            queue_size=256)
    else:
        disk = machine.virtio_blk(device, *latency_ns(p), ioeventfd=p.ioeventfd == "on", event_idx=p.event_idx == "on",
                                  queue_size=256)
    vector = route(main, p, gsi, level=True) if intx else VECTOR
    main.mask().disk_ask(disk, p.depth, p.requests).disk_issue(disk).unmask()
    handler = Program(f"on_request{vcpu}")
    if not intx or p.guest == "8259a":
        begin(handler, p, gsi)
    handler.disk_interrupt(disk)
    if intx:
        handler.mmio_read(VIRTIO_ISR, 1)
    handler.disk_reap(disk, done).disk_ask(disk, p.depth, p.requests).disk_issue(disk)
    if intx:
        end(handler, p, gsi).eoi()
    return vector, handler


def route(main, p, gsi, level=False):
    """The driver's preparations; the vector of this input of the chipset."""
    main.setup(True)
    if p.guest == "8259a":
        drivers.pic_unmask(drivers.pic_start(main), [gsi])
        main.port_out(ELCR + 1, 1, 1 << gsi - 8 if level else 0)
        vector = drivers.PIC_BASE + gsi
    else:
        vector = VECTOR
        drivers.ioapic_route(main, gsi, vector, level=level)
    main.setup(False)
    return vector


def begin(program, p, irq):
    return drivers.pic_mask_and_acknowledge(program, irq) if p.guest == "8259a" else program.eoi()


def end(program, p, irq):
    return drivers.pic_unmask_one(program, irq) if p.guest == "8259a" else program


def report(results, p):
    """For one request: exits, those of them that went on to userspace, notifications and interrupts; microseconds by part."""
    disks = results.document["disks"]
    requests = sum(disk["requests"] for disk in disks)
    counted = results.exits[results.exits["cause"] != "setup"]["count"].sum()
    users = results.userspace_exits[results.userspace_exits["cause"] != "setup"]["count"].sum()
    row = {"exits": counted / requests, "to_userspace": users / requests,
           "interrupts": results.accounting["raised"].sum() / requests}
    row |= {f"{stage}_us": sum(disk["stages_ps"][stage] for disk in disks) / requests / 1e6 for stage in disks[0]["stages_ps"]}
    row |= {"all_us": sum(disk["sum_ps"] for disk in disks) / requests / 1e6, "kiops": requests / results.document["time_ps"] * 1e9}
    return pd.DataFrame([row]).round(2).assign(delivery=f"{results.document['technology']}, {p.irqchip}")


if __name__ == "__main__":
    virqsim.main(__file__)
