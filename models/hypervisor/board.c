/*
 * The PC's interrupt controllers beside the local APICs, and its timers, when
 * the plan has them: in the kernel (KVM), in userspace (QEMU), or split, where
 * the 8259A and the I/O APIC are QEMU's and the local APICs KVM's.
 *
 * The chips are the same models wherever they stand (irq/chipset.h). What
 * differs is the way to them and back: a vCPU's access ends in KVM or goes on
 * to userspace; INTR kicks the vCPU thread or signals it; a split I/O APIC
 * learns of an EOI by KVM_EXIT_IOAPIC_EOI.
 */
#include "hypervisor/hypervisor.h"

enum { BOOT_VCPU = 0, IOAPIC_PAGE_BYTES = 0x1000, NMI_VECTOR = 2 };
enum { IOWIN = 0x10 };       /* an offset in the I/O APIC's page */
enum { FIRST_ENTRY = 0x10 }; /* the index of pin 0's entry */

static struct board *board_of(struct chipset_port *port)
{
    return EVENT_OWNER(port, struct board, port);
}

/* --- interrupts out of the chips --- */

/* KVM: kvm_apic_accept_pic_intr(). */
bool board_extint(const struct vcpu *v)
{
    const struct board *board = v->hypervisor->board;

    return board && lapic_extint(&v->apic) && i8259_output(&board->chipset.pic);
}

uint8_t board_acknowledge(struct vcpu *v, trace_flow *flow)
{
    lapic_acknowledge_extint(&v->apic);
    chipset_set_extint_target(&v->hypervisor->board->chipset, v->index);
    return chipset_acknowledge(&v->hypervisor->board->chipset, flow);
}

/* Whoever has the request now looks for it before its next entry; until then it is told. */
static void tell_of_intr(struct board *board)
{
    struct vcpu *v = &board->hypervisor->vcpu[board->chipset.extint_target];
    uint8_t vector = 0;
    const trace_flow flow = chipset_request(&board->chipset, &vector);

    if (flow && board_extint(v))
        extint_tell(v, board->actor, vector, flow);
}

/* LINT0 may be programmed for another mode than ExtINT, and the APIC has an interrupt of its own. */
static void tell_of_lint(struct board *board, struct vcpu *v)
{
    const int vector = lapic_pending(&v->apic);

    if (v->apic.nmi_pending)
        extint_tell(v, board->actor, NMI_VECTOR, v->apic.nmi_flow);
    else if (vector != NO_VECTOR)
        extint_tell(v, board->actor, (unsigned)vector, v->apic.pending_flow[vector]);
}

static void intr(struct chipset_port *port, bool level)
{
    struct board *board = board_of(port);

    struct vcpu *v = &board->hypervisor->vcpu[BOOT_VCPU];

    lapic_lint(&v->apic, 0, level);
    if (!level)
        return;
    tell_of_intr(board);
    if (!lapic_extint(&v->apic))
        tell_of_lint(board, v);
}

static void accept(void *context, unsigned index, const struct irq_msg *msg)
{
    struct board *board = context;

    hypervisor_accept(&board->hypervisor->vcpu[index], msg, board->actor);
}

/* The first APIC that is meant runs the INTA cycle; the interrupt is the 8259A's request. */
static bool send_extint(struct board *board, const struct irq_msg *msg)
{
    struct hypervisor *h = board->hypervisor;

    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        if (!apic_matches(&h->vcpu[i].apic, msg) ||
            lapic_accept(&h->vcpu[i].apic, msg) != LAPIC_INTA)
            continue;
        chipset_set_extint_target(&board->chipset, (uint16_t)i);
        tell_of_intr(board);
        return true;
    }
    return false;
}

/* SDM 3A "Interrupt Command Register (ICR)": an NMI is vector 2, whatever the vector field says. */
static bool send(struct chipset_port *port, const struct irq_msg *msg)
{
    struct board *board = board_of(port);
    struct irq_msg m = *msg;

    if (m.delivery == IRQ_EXTINT)
        return send_extint(board, msg);
    if (m.delivery == IRQ_NMI)
        m.vector = NMI_VECTOR;
    return apic_fabric_route(&board->hypervisor->fabric, &m, accept, board) > 0;
}

void board_drive(struct board *board, unsigned gsi, unsigned driver, bool level)
{
    chipset_drive(&board->chipset, gsi, driver, level);
}

/* --- the timers --- */

static void drive_pit(struct board *board)
{
    const bool replaced = board->has_hpet && hpet_replaces_legacy(&board->hpet);

    board_drive(board, HPET_LINE_PIT, BOARD_DRIVER_PIT, board->pit_level && !replaced);
}

static void pit_changed(struct wire_listener *listener, bool level)
{
    struct board *board = EVENT_OWNER(listener, struct board, pit_out);

    board->pit_level = level;
    drive_pit(board);
}

static void hpet_line(struct hpet_port *port, unsigned number, bool level)
{
    board_drive(EVENT_OWNER(port, struct board, hpet_port), number, BOARD_DRIVER_HPET, level);
}

static void hpet_legacy(struct hpet_port *port, bool replaces)
{
    (void)replaces;
    drive_pit(EVENT_OWNER(port, struct board, hpet_port));
}

/* Firmware leaves counter 0 in mode 2, with OUT high: a guest's own mode 2 then makes no edge. Its
   18.2 ticks a second, to a masked input, are left out. The HPET as in QEMU's Q35 machine:
   100 MHz, inputs 8 and 16 to 23, no messages. Its input 2 is the PIT's here, which the legacy
   replacement reaches. */
static void timers_init(struct board *board, struct event_queue *events)
{
    enum { ROUTES = 0xff0100, COUNTER_0_MODE_2 = 0x34 };
    const struct hpet_config config = {.clock = clock_of_hz(HPET_HZ_QEMU),
                                       .routes = {ROUTES, ROUTES, ROUTES},
                                       .events = events,
                                       .port = &board->hpet_port};

    board->pit_out.changed = pit_changed;
    board->hpet_port = (struct hpet_port){hpet_line, NULL, hpet_legacy};
    pit_init(&board->pit, events, NULL);
    pit_write(&board->pit, PIT_CONTROL, COUNTER_0_MODE_2);
    board->pit.listener = &board->pit_out;
    board->pit_level = true;
    chipset_start_asserted(&board->chipset, HPET_LINE_PIT, BOARD_DRIVER_PIT);
    if (board->has_hpet)
        hpet_init(&board->hpet, &config);
}

/* --- accesses --- */

static bool on_ioapic(const struct access *a)
{
    return a->instruction == VIRT_MMIO && a->address >= IOAPIC_BASE &&
           a->address - IOAPIC_BASE < IOAPIC_PAGE_BYTES;
}

static bool on_pic(const struct access *a)
{
    return a->instruction == VIRT_PORT_IO && a->address <= UINT16_MAX &&
           i8259_owns((uint16_t)a->address);
}

static bool on_pit(const struct access *a)
{
    return a->instruction == VIRT_PORT_IO && a->address <= UINT16_MAX &&
           pit_owns((uint16_t)a->address);
}

static bool on_hpet(const struct board *board, const struct access *a)
{
    return board->has_hpet && a->instruction == VIRT_MMIO && hpet_owns(a->address);
}

bool board_controls(const struct board *board, const struct access *a)
{
    return board && a->kind == ACCESS_INSTRUCTION && (on_pic(a) || on_ioapic(a));
}

/* The 8259A pair, the I/O APIC and the PIT stand together; the HPET is always QEMU's. */
bool board_owns(const struct board *board, const struct access *a, enum region_handler *handler)
{
    if (!board || a->kind != ACCESS_INSTRUCTION)
        return false;
    if (!on_pic(a) && !on_ioapic(a) && !on_pit(a) && !on_hpet(board, a))
        return false;
    *handler = board->hypervisor->policy.irqchip == IRQCHIP_KERNEL && !on_hpet(board, a)
                   ? REGION_KERNEL
                   : REGION_USERSPACE;
    return true;
}

/* KVM: KVM_REQ_SCAN_IOAPIC. A vCPU that runs leaves, and makes its EOI-exit bitmap anew. */
static void scan(const struct board *board, struct vcpu *v)
{
    struct hypervisor *h = board->hypervisor;

    if (v == board->actor || !vcpu_in_guest_mode(v) || v->kicked)
        return;
    v->kicked = true;
    host_send(v->thread.pcpu, HOST_RESCHEDULE,
              hv_after(h, h->costs.of[COST_KVM_KICK].n + h->costs.of[COST_HW_IPI].n), 0);
}

/* KVM: ioapic_write_indirect() asks those whom a fixed entry named before and names now, and
   everybody about any other. QEMU writes the routes of a split irqchip anew, which asks everybody
   (kvm_arch_irq_routing_update()). */
static bool scans(const struct board *board, const struct vcpu *v, const struct irq_msg *before,
                  const struct irq_msg *now)
{
    return board->hypervisor->policy.irqchip == IRQCHIP_SPLIT || now->delivery != IRQ_FIXED ||
           apic_matches(&v->apic, before) || apic_matches(&v->apic, now);
}

/* The EOIs that the hypervisor wants to see are those of the entries' vectors. */
static void write_entry(struct board *board, unsigned pin, const struct access *a)
{
    struct hypervisor *h = board->hypervisor;
    const struct irq_msg before = ioapic_message(&board->chipset.ioapic, pin);

    chipset_page_write(&board->chipset, IOWIN, a->size, (uint32_t)a->value);
    if (h->policy.irqchip == IRQCHIP_USERSPACE)
        return;
    const struct irq_msg now = ioapic_message(&board->chipset.ioapic, pin);
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        controls_set_eoi_exits(&h->vcpu[i]);
        if (scans(board, &h->vcpu[i], &before, &now))
            scan(board, &h->vcpu[i]);
    }
}

static void access_page(struct board *board, const struct access *a)
{
    const uint16_t offset = (uint16_t)(a->address - IOAPIC_BASE);
    const unsigned selected = board->chipset.ioapic.select;
    const bool entry = selected >= FIRST_ENTRY && selected < FIRST_ENTRY + 2 * IOAPIC_PINS;

    if (!a->write)
        chipset_page_read(&board->chipset, offset, a->size);
    else if (offset == IOWIN && entry)
        write_entry(board, (selected - FIRST_ENTRY) / 2, a);
    else
        chipset_page_write(&board->chipset, offset, a->size, (uint32_t)a->value);
}

static void access_port(struct board *board, uint16_t port, bool write, uint8_t value)
{
    if (pit_owns(port) && write)
        pit_write(&board->pit, port, value);
    else if (pit_owns(port))
        pit_read(&board->pit, port);
    else if (write)
        chipset_port_write(&board->chipset, port, value);
    else
        chipset_port_read(&board->chipset, port);
}

/* The chips have eight data lines: an access of two or four bytes is one of each port. */
static void access_ports(struct board *board, const struct access *a)
{
    for (unsigned n = 0; n < a->size; n++)
        access_port(board, (uint16_t)(a->address + n), a->write, (uint8_t)(a->value >> 8 * n));
}

static void access_hpet(struct board *board, const struct access *a)
{
    const uint16_t offset = (uint16_t)(a->address - HPET_BASE);

    if (a->write)
        hpet_write(&board->hpet, offset, a->size, a->value);
    else
        hpet_read(&board->hpet, offset, a->size);
}

void board_access(struct vcpu *v)
{
    struct board *board = v->hypervisor->board;
    enum region_handler handler;

    if (!board_owns(board, &v->access, &handler))
        return;
    board->actor = v;
    if (on_ioapic(&v->access))
        access_page(board, &v->access);
    else if (on_hpet(board, &v->access))
        access_hpet(board, &v->access);
    else
        access_ports(board, &v->access);
    board->actor = NULL;
}

/* --- the end of an interrupt --- */

void board_eoi_arrived(struct vcpu *v, uint8_t vector)
{
    struct board *board = v->hypervisor->board;

    if (!board)
        return;
    board->actor = v;
    chipset_eoi(&board->chipset, vector);
    board->actor = NULL;
}

/* KVM: kvm_ioapic_send_eoi(). */
void board_eoi(struct vcpu *v, uint8_t vector)
{
    if (v->hypervisor->policy.irqchip != IRQCHIP_SPLIT) {
        board_eoi_arrived(v, vector);
        return;
    }
    v->eoi_for_userspace = true;
    v->eoi_vector = vector;
}

/* Does the hypervisor wait for the EOI of this pin's interrupts at this vCPU: it is level-triggered,
   or KVM counts the acknowledgements of the RTC's or the PIT's (ioapic_scan_entry()). */
static bool waits_for_eoi(const struct board *board, const struct vcpu *v, unsigned pin)
{
    enum { RTC_PIN = 8 };
    const struct irq_msg m = ioapic_message(&board->chipset.ioapic, pin);
    const bool counted = board->hypervisor->policy.irqchip == IRQCHIP_KERNEL &&
                         (pin == RTC_PIN || pin == CHIPSET_TIMER_PIN);

    return (m.level || counted) && apic_matches(&v->apic, &m);
}

void board_eoi_exits(const struct vcpu *v, struct vec256 *vectors)
{
    const struct board *board = v->hypervisor->board;

    for (unsigned pin = 0; board && pin < IOAPIC_PINS; pin++)
        if (waits_for_eoi(board, v, pin))
            vec_set(vectors, ioapic_message(&board->chipset.ioapic, pin).vector);
}

/* What firmware leaves behind: both 8259As initialized, everything masked (IBM PC AT BIOS: bases
   08H and 70H). */
static void start_as_firmware(struct chipset *c)
{
    static const struct {
        uint8_t port, value;
    } writes[] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xff},
        {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff},
    };

    for (unsigned i = 0; i < sizeof writes / sizeof writes[0]; i++)
        chipset_port_write(c, writes[i].port, writes[i].value);
}

void board_init(struct hypervisor *h)
{
    struct board *board = h->board;

    if (!board)
        return;
    board->hypervisor = h;
    board->port = (struct chipset_port){intr, send};
    chipset_init(&board->chipset, board->ioapic_version, h->trace, &board->port);
    timers_init(board, h->events);
    start_as_firmware(&board->chipset);
}
