/*
 * The 8254's ports and its place in time. What a counter does with a pulse is
 * in pit_counter.c; here time becomes a number of pulses, and OUT 0 an event.
 */
#include "device/pit.h"

/* What firmware leaves in counter 1: low byte only, mode 2, 15 us. */
enum { REFRESH_CONTROL = 0x14, REFRESH_COUNT = 18 };
enum { NMI_SC_GATE_2 = 1 << 0, NMI_SC_REFRESH = 4, NMI_SC_OUT_2 = 5 };
enum { READ_BACK_NOT_STATUS = 1 << 4, READ_BACK_NOT_COUNT = 1 << 5 };

/* ---- time ---- */

static uint64_t pulse_now(const struct pit *p)
{
    return clock_count(&p->clock, p->events->now).n;
}

static void catch_up(struct pit *p)
{
    for (unsigned n = 0; n < PIT_COUNTERS; n++)
        pit_counter_advance(&p->counter[n], pulse_now(p));
}

/* Tells of a change of OUT 0 and arms the event for the next one. */
static void settle(struct pit *p)
{
    const uint64_t next = pit_counter_next_edge(&p->counter[0]);
    const bool changed = p->output != p->counter[0].out;

    event_arm(p->events, &p->edge, clock_edge(&p->clock, (cycles){next}));
    p->output = p->counter[0].out;
    if (changed && p->listener)
        p->listener->changed(p->listener, p->output);
}

static void pit_edge(struct event *e)
{
    struct pit *p = EVENT_OWNER(e, struct pit, edge);

    catch_up(p);
    settle(p);
}

/* ---- the effects of writes, one for each name in pit_regs.def ---- */

static void pit_on_none(struct pit *p, uint16_t port, uint8_t value)
{
    (void)p, (void)port, (void)value;
}

static void pit_on_count(struct pit *p, uint16_t port, uint8_t value)
{
    pit_counter_write(&p->counter[port - PIT_COUNTER_0], value);
}

static void pit_on_control(struct pit *p, uint16_t port, uint8_t value)
{
    (void)port;
    pit_counter_control(&p->counter[value >> 6], value);
}

static void pit_on_counter_latch(struct pit *p, uint16_t port, uint8_t value)
{
    (void)port;
    pit_counter_latch_count(&p->counter[value >> 6]);
}

static void pit_on_read_back(struct pit *p, uint16_t port, uint8_t value)
{
    (void)port;
    for (unsigned n = 0; n < PIT_COUNTERS; n++) {
        if (!(value >> (n + 1) & 1))
            continue;
        if (!(value & READ_BACK_NOT_COUNT))
            pit_counter_latch_count(&p->counter[n]);
        if (!(value & READ_BACK_NOT_STATUS))
            pit_counter_latch_status(&p->counter[n]);
    }
}

static void pit_on_nmi_sc(struct pit *p, uint16_t port, uint8_t value)
{
    (void)port;
    p->nmi_sc = value;
    pit_counter_gate(&p->counter[2], value & NMI_SC_GATE_2);
}

/* ---- the table ---- */

enum access { RO = 1, WO = 2, RW = RO | WO };

static const struct pit_row {
    uint16_t port;
    uint8_t access, writable, select, match;
    void (*effect)(struct pit *p, uint16_t port, uint8_t value);
} rows[] = {
#define REG(name, port, width, access, reset, writable, select, match, effect, section, title) \
    {port, access, writable, select, match, pit_on_##effect},
#define FIELD(...)
#include "device/pit_regs.def"
#undef REG
#undef FIELD
};

/* The register that takes `value`, or the first one there is to read. */
static const struct pit_row *find_row(uint16_t port, enum access want, uint8_t value)
{
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct pit_row *row = &rows[i];

        if (row->port == port && row->access & want && (value & row->select) == row->match)
            return row;
    }
    return NULL;
}

/* ---- the interface ---- */

void pit_init(struct pit *p, struct event_queue *events, struct wire_listener *listener)
{
    *p = (struct pit){
        .clock = clock_of_hz(PIT_HZ),
        .events = events,
        .listener = listener,
    };
    for (unsigned n = 0; n < PIT_COUNTERS; n++)
        pit_counter_init(&p->counter[n], n != 2);
    pit_counter_control(&p->counter[1], REFRESH_CONTROL);
    pit_counter_write(&p->counter[1], REFRESH_COUNT);
    event_init(events, &p->edge, EVENT_PHASE_DEVICE, pit_edge);
}

bool pit_owns(uint16_t port)
{
    return (port >= PIT_COUNTER_0 && port <= PIT_CONTROL) || port == PIT_NMI_SC;
}

bool pit_output(const struct pit *p, unsigned counter)
{
    struct pit_counter now = p->counter[counter];

    pit_counter_advance(&now, pulse_now(p));
    return now.out;
}

uint8_t pit_read(struct pit *p, uint16_t port)
{
    if (!find_row(port, RO, 0))
        return 0xff;
    catch_up(p);
    if (port != PIT_NMI_SC)
        return pit_counter_read(&p->counter[port - PIT_COUNTER_0]);

    const uint64_t refreshes = p->counter[1].periods;
    return (uint8_t)(p->nmi_sc | p->counter[2].out << NMI_SC_OUT_2 |
                     (refreshes & 1) << NMI_SC_REFRESH);
}

void pit_write(struct pit *p, uint16_t port, uint8_t value)
{
    const struct pit_row *row = find_row(port, WO, value);

    if (!row)
        return;
    catch_up(p);
    row->effect(p, port, value & row->writable);
    settle(p);
}

void pit_restore(struct pit *p, const struct pit *saved)
{
    for (unsigned n = 0; n < PIT_COUNTERS; n++)
        p->counter[n] = saved->counter[n];
    p->nmi_sc = saved->nmi_sc;
    catch_up(p);
    settle(p);
}
