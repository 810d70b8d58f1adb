/*
 * The HPET's counting, matching, lines and registers. Sections are those of
 * the IA-PC HPET specification 1.0a.
 *
 * A timer compares when the main counter steps: it matches at the clock edge
 * at which the counter becomes equal to the comparator.
 */
#include "device/hpet.h"

enum { NO_LINE = -1, HALF_BYTES = 4, REGISTER_BYTES = 8 };

/* ---- what the registers say ---- */

static bool is_set(const struct hpet_timer *t, uint64_t bit)
{
    return t->TIM_CONF & bit;
}

static bool enabled(const struct hpet *h)
{
    return h->regs.GEN_CONF & HPET_ENABLE;
}

static bool status(const struct hpet *h, unsigned n)
{
    return h->regs.GINTR_STA >> n & 1;
}

static bool has_route(uint64_t conf, unsigned route)
{
    return conf >> 32 >> route & 1;
}

static unsigned route_of(uint64_t conf)
{
    return (unsigned)(conf & HPET_ROUTE) >> HPET_ROUTE_SHIFT;
}

/* 2.3.5, LEG_RT_CNF: timers 0 and 1 then ignore their routes. */
static int line_of(const struct hpet *h, unsigned n)
{
    const uint64_t conf = h->timer[n].TIM_CONF;

    if (hpet_replaces_legacy(h) && n < 2)
        return n == 0 ? HPET_LINE_PIT : HPET_LINE_RTC;
    return has_route(conf, route_of(conf)) ? (int)route_of(conf) : NO_LINE;
}

/* 2.3.6: a level-triggered interrupt is active until its status bit is cleared. */
static bool asserts(const struct hpet *h, unsigned n)
{
    const struct hpet_timer *t = &h->timer[n];
    const bool may = enabled(h) && is_set(t, HPET_INTERRUPT);

    return may && is_set(t, HPET_LEVEL) && !is_set(t, HPET_FSB) && status(h, n);
}

static uint32_t asserted_lines(const struct hpet *h)
{
    uint32_t lines = 0;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (asserts(h, n) && line_of(h, n) != NO_LINE)
            lines |= UINT32_C(1) << line_of(h, n);
    return lines;
}

/* ---- time ---- */

static uint64_t mask_of(const struct hpet_timer *t)
{
    return is_set(t, HPET_32_BIT) ? UINT32_MAX : UINT64_MAX;
}

/* `n` steps ahead on the timer's circle of counts, where 0 is once around. 2^64 steps are more
   than time has, and so is one less. */
static uint64_t ahead(const struct hpet_timer *t, uint64_t n)
{
    const uint64_t before = (n - 1) & mask_of(t);

    return before == UINT64_MAX ? before : before + 1;
}

static uint64_t steps_to_match(const struct hpet *h, unsigned n)
{
    const struct hpet_timer *t = &h->timer[n];

    return ahead(t, t->TIM_COMP - h->regs.MAIN_CNT);
}

/* Would anybody see the next match when it happens? */
static bool is_visible(const struct hpet *h, unsigned n)
{
    const struct hpet_timer *t = &h->timer[n];
    const bool asserted = is_set(t, HPET_LEVEL) && !is_set(t, HPET_FSB) && status(h, n);

    return enabled(h) && is_set(t, HPET_INTERRUPT) && !asserted;
}

static sim_time next_visible_match(const struct hpet *h)
{
    uint64_t steps = UINT64_MAX;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (is_visible(h, n) && steps_to_match(h, n) < steps)
            steps = steps_to_match(h, n);
    if (steps > UINT64_MAX - h->tick)
        return SIM_TIME_NEVER;
    return clock_edge(&h->config.clock, (cycles){h->tick + steps});
}

static void pulse(struct hpet *h, int line)
{
    struct hpet_port *port = h->config.port;

    if (line == NO_LINE || h->lines >> line & 1)
        return;
    port->line(port, (unsigned)line, true);
    port->line(port, (unsigned)line, false);
}

/* 2.3.8: the status of a level-triggered timer is set even if the timer may not interrupt. */
static void matched(struct hpet *h, unsigned n)
{
    const struct hpet_timer *t = &h->timer[n];
    struct hpet_port *port = h->config.port;

    if (is_set(t, HPET_LEVEL))
        h->regs.GINTR_STA |= UINT64_C(1) << n;
    if (!is_set(t, HPET_INTERRUPT))
        return;
    if (is_set(t, HPET_FSB))
        port->message(port, (uint32_t)(t->TIM_FSB >> 32), (uint32_t)t->TIM_FSB);
    else if (!is_set(t, HPET_LEVEL))
        pulse(h, line_of(h, n));
}

/* 2.3.9.2.2: with each match of a periodic timer the comparator goes on by the period. What is
   visible has an event of its own, so that several matches at a time are seen by nobody. */
static void advance_timer(struct hpet *h, unsigned n, uint64_t steps)
{
    struct hpet_timer *t = &h->timer[n];
    const uint64_t first = steps_to_match(h, n);

    if (first > steps)
        return;
    if (is_set(t, HPET_PERIODIC)) {
        const uint64_t matches = 1 + (steps - first) / ahead(t, t->period);
        t->TIM_COMP = (t->TIM_COMP + matches * t->period) & mask_of(t);
    }
    matched(h, n);
}

static void catch_up(struct hpet *h)
{
    const uint64_t now = clock_count(&h->config.clock, h->config.events->now).n;
    const uint64_t steps = enabled(h) ? now - h->tick : 0;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        advance_timer(h, n, steps);
    h->regs.MAIN_CNT += steps;
    h->tick = now;
}

/* Tells the port what has changed and arms the event. */
static void settle(struct hpet *h)
{
    struct hpet_port *port = h->config.port;
    const uint32_t lines = asserted_lines(h);
    const uint32_t changed = lines ^ h->lines;
    const bool legacy = hpet_replaces_legacy(h);

    event_arm(h->config.events, &h->match, next_visible_match(h));
    h->lines = lines;
    if (legacy != h->legacy) {
        h->legacy = legacy;
        port->legacy(port, legacy);
    }
    for (unsigned line = 0; line < 32; line++)
        if (changed >> line & 1)
            port->line(port, line, lines >> line & 1);
}

static void hpet_match(struct event *e)
{
    struct hpet *h = EVENT_OWNER(e, struct hpet, match);

    catch_up(h);
    settle(h);
}

/* ---- the effects of writes, one for each name in hpet_regs.def ---- */

/* A write to (part of) a register: the bits that it may change, and what it changes them to. */
struct written {
    uint64_t mask, value, old;
};

static void hpet_on_none(struct hpet *h, struct hpet_timer *t, struct written w)
{
    (void)h, (void)t, (void)w;
}

static void hpet_on_status(struct hpet *h, struct hpet_timer *t, struct written w)
{
    (void)t;
    h->regs.GINTR_STA = w.old & ~w.value;
}

/* 2.3.8: "the value read back will not match" a route that is not supported. The upper half of a
   timer that is forced to 32 bits is lost. 2.3.6: an edge-triggered timer has no status. */
static void hpet_on_conf(struct hpet *h, struct hpet_timer *t, struct written w)
{
    uint64_t conf = t->TIM_CONF;

    if (!(conf & HPET_LEVEL))
        h->regs.GINTR_STA &= ~(UINT64_C(1) << (t - h->timer));
    if (!has_route(conf, route_of(conf)))
        conf = (conf & ~(uint64_t)HPET_ROUTE) | (w.old & HPET_ROUTE);
    if (!(conf & HPET_FSB_CAPABLE))
        conf &= ~(uint64_t)HPET_FSB;
    if (!(conf & HPET_PERIODIC))
        conf &= ~(uint64_t)HPET_VALUE_SET;
    t->TIM_CONF = conf;
    t->TIM_COMP &= mask_of(t);
    t->period &= mask_of(t);
}

/* 2.3.9.2.2: a periodic timer's comparator stays unless VAL_SET_CNF asks for it, once. */
static void hpet_on_comp(struct hpet *h, struct hpet_timer *t, struct written w)
{
    (void)h;
    if (is_set(t, HPET_PERIODIC) && !is_set(t, HPET_VALUE_SET))
        t->TIM_COMP = w.old;
    t->period = (t->period & ~w.mask) | w.value;
    t->TIM_CONF &= ~(uint64_t)HPET_VALUE_SET;
    t->TIM_COMP &= mask_of(t);
    t->period &= mask_of(t);
}

/* ---- the table ---- */

enum access { RO = 1, WO = 2, RW = RO | WO };

struct hpet_row {
    uint8_t access;
    bool of_timer;
    uint64_t reset, writable;
    size_t storage; /* in struct hpet_regs or struct hpet_timer */
    void (*effect)(struct hpet *h, struct hpet_timer *t, struct written w);
};

enum { SLOTS = (HPET_TIM_CONF + HPET_TIMER_STRIDE) / REGISTER_BYTES };

static const struct hpet_row rows[SLOTS] = {
#define REG(name, offset, width, access, reset, writable, effect, section, title)              \
    [(offset) / REGISTER_BYTES] = {                                                            \
        access, false, reset, writable, offsetof(struct hpet_regs, name), hpet_on_##effect},
#define TIMER(name, offset, width, access, reset, writable, effect, section, title)            \
    [(offset) / REGISTER_BYTES] = {                                                            \
        access, true, reset, writable, offsetof(struct hpet_timer, name), hpet_on_##effect},
#define FIELD(...)
#include "device/hpet_regs.def"
#undef REG
#undef TIMER
#undef FIELD
};

static unsigned timer_at(uint16_t offset)
{
    return offset < HPET_TIM_CONF ? 0 : (offset - HPET_TIM_CONF) / HPET_TIMER_STRIDE;
}

/* The register at this offset, if there is one and 4 or 8 bytes may be accessed there. */
static const struct hpet_row *find_row(uint16_t offset, unsigned size, enum access want)
{
    const unsigned first = offset - timer_at(offset) * HPET_TIMER_STRIDE;
    const bool sized = size == HALF_BYTES || size == REGISTER_BYTES;

    if (!sized || offset % size || timer_at(offset) >= HPET_TIMERS)
        return NULL;
    const struct hpet_row *row = &rows[first / REGISTER_BYTES];
    return row->access & want ? row : NULL;
}

static uint64_t *storage(struct hpet *h, const struct hpet_row *row, unsigned timer)
{
    char *base = row->of_timer ? (char *)&h->timer[timer] : (char *)&h->regs;

    return (uint64_t *)(void *)(base + row->storage);
}

/* ---- the interface ---- */

static void power_up(struct hpet *h)
{
    const uint64_t hz = h->config.clock.hz;
    const uint64_t period_fs = (PS_PER_SECOND * UINT64_C(1000) + hz / 2) / hz;

    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        for (unsigned i = 0; i < SLOTS; i++)
            if (rows[i].access)
                *storage(h, &rows[i], n) = rows[i].reset;
        h->timer[n].TIM_CONF |= (uint64_t)h->config.routes[n] << 32;
        h->timer[n].TIM_CONF |= h->config.fsb ? HPET_FSB_CAPABLE : 0;
    }
    h->regs.GCAP_ID = period_fs << 32 | (uint32_t)h->regs.GCAP_ID;
}

void hpet_init(struct hpet *h, const struct hpet_config *config)
{
    *h = (struct hpet){.config = *config};
    power_up(h);
    event_init(config->events, &h->match, EVENT_PHASE_DEVICE, hpet_match);
}

uint64_t hpet_read(struct hpet *h, uint16_t offset, unsigned size)
{
    const struct hpet_row *row = find_row(offset, size, RO);

    if (!row)
        return 0;
    catch_up(h);
    const uint64_t value = *storage(h, row, timer_at(offset));
    const uint64_t from_half = value >> offset % REGISTER_BYTES * 8;
    return size == HALF_BYTES ? (uint32_t)from_half : value;
}

void hpet_write(struct hpet *h, uint16_t offset, unsigned size, uint64_t value)
{
    const struct hpet_row *row = find_row(offset, size, WO);

    if (!row)
        return;
    catch_up(h);
    const unsigned timer = timer_at(offset), shift = offset % REGISTER_BYTES * 8;
    const uint64_t bytes = size == HALF_BYTES ? (uint64_t)UINT32_MAX << shift : UINT64_MAX;
    const uint64_t mask = bytes & row->writable;
    uint64_t *reg = storage(h, row, timer);
    const struct written w = {.mask = mask, .value = value << shift & mask, .old = *reg};

    *reg = (w.old & ~mask) | w.value;
    row->effect(h, &h->timer[timer], w);
    settle(h);
}

void hpet_restore(struct hpet *h, const struct hpet *saved)
{
    h->regs = saved->regs;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->timer[n] = saved->timer[n];
    h->tick = saved->tick;
    catch_up(h);
    settle(h);
}
