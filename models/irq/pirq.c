/* PCI interrupts: pins to lines by the board, lines to inputs by the registers. */
#include "irq/pirq.h"

#include "irq/pci_registers.h"

enum { ABSENT = PCI_ABSENT, DISABLE = 1 << 7, IRQ = 0xf, CONFIGURATION_SPACE = 0x100 };

static const struct pci_register rows[PIRQ_LINES] = {
#define REG(name, piix3, ich9, width, access, reset, writable, section, title)                 \
    {{[PIRQ_PIIX3] = (piix3), [PIRQ_ICH9] = (ich9)},                                           \
     width,                                                                                    \
     reset,                                                                                    \
     writable,                                                                                 \
     offsetof(struct pirq_regs, name)},
#define FIELD(...)
#include "irq/pirq_regs.def"
#undef REG
#undef FIELD
};

static struct pci_registers registers(const struct pirq *p)
{
    return (struct pci_registers){rows, PIRQ_LINES, p->config.board, CONFIGURATION_SPACE};
}

void pirq_init(struct pirq *p, const struct pirq_config *config)
{
    *p = (struct pirq){.config = *config};
    const struct pci_registers r = registers(p);
    pci_registers_reset(&r, &p->regs);
}

void pirq_restore(struct pirq *p, const struct pirq *saved)
{
    const struct pirq_config config = p->config;

    *p = *saved;
    p->config = config;
}

/* ---- the board: pins to lines ---- */

/* Neighbouring slots have their pins in turn, so that INTA#, which all devices use, is spread.
   i440FX: slot 1 starts at PIRQA#. Q35: slot 0 at PIRQE#; 25 to 31 are the ICH9's own devices, as
   its route registers have them at reset, but for 30, the bridge to the slots of a PCI bus. */
unsigned pirq_line(enum pirq_board board, unsigned device, enum pirq_pin pin)
{
    enum { FIRST_OWN_DEVICE = 25, PCI_BRIDGE = 30, PIRQE = 4 };

    if (board == PIRQ_PIIX3)
        return (device + pin + PIRQ_PINS - 1) % PIRQ_PINS;
    if (device == PCI_BRIDGE)
        return PIRQE + pin;
    if (device >= FIRST_OWN_DEVICE)
        return pin;
    return PIRQE + (device + pin) % PIRQ_PINS;
}

/* ---- the bridge: lines to inputs ---- */

/* No PCI device may have what the timer, the keyboard, the cascade, the clock and the coprocessor
   have. */
static bool reserved(unsigned irq)
{
    return irq < 3 || irq == 8 || irq == 13;
}

int pirq_route(const struct pirq *p, unsigned line)
{
    if (line >= PIRQ_LINES)
        return PIRQ_NOT_ROUTED;
    const char *regs = (const char *)&p->regs;
    const uint32_t control = *(const uint32_t *)(const void *)(regs + rows[line].storage);
    const unsigned irq = control & IRQ;
    return control & DISABLE || reserved(irq) ? PIRQ_NOT_ROUTED : (int)irq;
}

/* An input is asserted while any line is that drives it. */
static uint32_t asserted(const struct pirq *p)
{
    uint32_t inputs = 0;

    for (unsigned n = 0; n < PIRQ_LINES; n++) {
        const int irq = pirq_route(p, n);
        if (!wire_level(&p->line[n]))
            continue;
        if (irq != PIRQ_NOT_ROUTED)
            inputs |= UINT32_C(1) << irq;
        if (p->config.board == PIRQ_ICH9)
            inputs |= UINT32_C(1) << (PIRQ_IOAPIC_PIN + n);
    }
    return inputs;
}

/* Those that fall before those that rise. Looks again after each: whoever hears of it may drive
   other lines. */
static void tell(struct pirq *p)
{
    for (uint32_t now = asserted(p); now != p->output; now = asserted(p)) {
        const uint32_t falling = p->output & ~now, rising = now & ~p->output;
        const unsigned irq = (unsigned)__builtin_ctz(falling ? falling : rising);
        p->output ^= UINT32_C(1) << irq;
        p->config.port->output(p->config.port, irq, p->output >> irq & 1);
    }
}

void pirq_drive(struct pirq *p, unsigned device, enum pirq_pin pin, bool level)
{
    if (device >= PIRQ_DEVICES || (unsigned)pin >= PIRQ_PINS)
        return;
    wire_drive(&p->line[pirq_line(p->config.board, device, pin)], device, level);
    tell(p);
}

uint32_t pirq_read(const struct pirq *p, uint16_t offset, unsigned size)
{
    const struct pci_registers r = registers(p);

    return pci_registers_read(&r, &p->regs, offset, size);
}

void pirq_write(struct pirq *p, uint16_t offset, unsigned size, uint32_t value)
{
    const struct pci_registers r = registers(p);

    pci_registers_write(&r, &p->regs, offset, size, value);
    tell(p);
}
