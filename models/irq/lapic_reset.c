/*
 * How the local APIC comes into a state: power-up, INIT, and IA32_APIC_BASE
 * with its transitions between disabled, xAPIC and x2APIC mode.
 */
#include "irq/lapic_parts.h"

/* IA32_APIC_BASE: SDM 3A "Local APIC Status and Location". */
enum { BASE_BSP = 1 << 8, BASE_EXTD = 1 << 10, BASE_EN = 1 << 11 };

/* MAXPHYADDR, as of a Xeon; assumed. */
#define BASE_PAGE     ((UINT64_C(1) << 46) - 0x1000)
#define BASE_RESERVED (~(BASE_PAGE | BASE_BSP | BASE_EXTD | BASE_EN))

/* By enum lapic_mode. */
static const uint64_t mode_bits[] = {0, BASE_EN, BASE_EN | BASE_EXTD};

/* SDM 3A figure "Local x2APIC State Transitions with IA32_APIC_BASE, INIT, and RESET":
   allowed[from][to]. */
static const bool allowed[3][3] = {
    [LAPIC_MODE_DISABLED] = {true, true, false},
    [LAPIC_MODE_XAPIC] = {true, true, true},
    [LAPIC_MODE_X2APIC] = {true, false, true},
};

static void withdraw(const struct lapic *l, trace_flow flow, unsigned vector)
{
    if (flow)
        trace_put(l->config.trace, flow, TRACE_REFUSED, l->config.index, vector,
                  TRACE_REFUSED_DISABLED);
}

/* Nobody will take what waits in IRR, and the NMI: their flows end. What is in service was taken.
 */
static void withdraw_pending(struct lapic *l)
{
    for (unsigned v = 0; v < VECTORS; v++) {
        if (vec_has(&l->regs.IRR, v))
            withdraw(l, l->pending_flow[v], v);
        l->pending_flow[v] = l->service_flow[v] = 0;
    }
    if (l->nmi_pending)
        withdraw(l, l->nmi_flow, 2);
    l->nmi_flow = 0;
}

/* SDM 3A "Local APIC State After Power-Up or Reset"; `id` is what ID keeps through INIT. */
static void reset_registers(struct lapic *l, uint32_t id)
{
    withdraw_pending(l);
    l->regs = (struct lapic_regs){
#define REG(name, offset, xapic, x2apic, reset, ...) .name = (reset),
#define VEC(...)
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
    };
    l->regs.ID = id;
    if (l->config.version)
        l->regs.VERSION = l->config.version;
    l->esr_pending = 0;
    l->extint_message = l->nmi_pending = l->smi_pending = false;
    l->init_pending = l->sipi_pending = false;
    lapic_timer_reset(l);
    lapic_lint_reset(l);
}

/* Firmware's work, where the configuration says that it is done. */
static void enable_by_firmware(struct lapic *l)
{
    if (l->config.software_enabled)
        l->regs.SVR |= LAPIC_SVR_ENABLE;
}

static uint32_t initial_id(const struct lapic *l)
{
    return l->config.apic_id << 24;
}

void lapic_init(struct lapic *l, const struct lapic_config *config)
{
    *l = (struct lapic){
        .mode = config->mode,
        .timer_deadline = SIM_TIME_NEVER,
        .base = 0xfee00000 | (config->bootstrap ? BASE_BSP : 0),
        .waits_for_sipi = config->waits_for_sipi,
        .config = *config,
    };
    reset_registers(l, initial_id(l));
    enable_by_firmware(l);
}

void lapic_reset(struct lapic *l)
{
    reset_registers(l, l->regs.ID);
    enable_by_firmware(l);
}

void lapic_restore(struct lapic *l, const struct lapic *saved)
{
    const struct lapic_config config = l->config;

    *l = *saved;
    l->config = config;
}

/* ---- INIT and SIPI: SDM 3A "MP Initialization Protocol Algorithm" ---- */

/* A SIPI that came behind the INIT is still to be taken. */
bool lapic_take_init(struct lapic *l)
{
    const bool sipi = l->sipi_pending;

    if (!l->init_pending)
        return false;
    lapic_reset(l);
    l->waits_for_sipi = !(l->base & BASE_BSP);
    l->sipi_pending = l->waits_for_sipi && sipi;
    return true;
}

bool lapic_take_sipi(struct lapic *l, uint8_t *vector)
{
    if (!l->waits_for_sipi || !l->sipi_pending)
        return false;
    l->waits_for_sipi = l->sipi_pending = false;
    *vector = l->sipi_vector;
    return true;
}

/* ---- IA32_APIC_BASE ---- */

uint64_t lapic_base(const struct lapic *l)
{
    return l->base | mode_bits[l->mode];
}

/* False for EXTD without EN, the one combination that is no mode. */
static bool mode_of(uint64_t base, enum lapic_mode *mode)
{
    for (unsigned m = LAPIC_MODE_DISABLED; m <= LAPIC_MODE_X2APIC; m++) {
        if ((base & (BASE_EN | BASE_EXTD)) == mode_bits[m]) {
            *mode = (enum lapic_mode)m;
            return true;
        }
    }
    return false;
}

/* What was written to the xAPIC ID, and the ICR's destination, does not survive: SDM 3A
   "x2APIC Transitions From xAPIC Mode". */
static void enter_mode(struct lapic *l, enum lapic_mode mode)
{
    l->mode = mode;
    if (mode == LAPIC_MODE_DISABLED)
        reset_registers(l, initial_id(l));
    l->regs.ID = initial_id(l);
    l->regs.ICR_HI = 0;
    if (lapic_follows(l, LAPIC_QUIRK_X2_ICR))
        l->regs.ICR_LO = 0;
}

bool lapic_set_base(struct lapic *l, uint64_t value)
{
    enum lapic_mode mode;

    if (value & BASE_RESERVED || !mode_of(value, &mode) || !allowed[l->mode][mode])
        return false;
    if (mode == LAPIC_MODE_X2APIC && l->config.no_x2apic)
        return false;
    l->base = value & (BASE_PAGE | BASE_BSP);
    if (mode != l->mode)
        enter_mode(l, mode);
    return true;
}

/* SDM 3A "x2APIC State Transitions": outside xAPIC mode nobody answers at the page. */
bool lapic_claims(const struct lapic *l, uint64_t address)
{
    const uint64_t page = l->base & BASE_PAGE;

    return l->mode == LAPIC_MODE_XAPIC && address >= page && address - page < 0x1000;
}
