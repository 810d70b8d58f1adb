/*
 * A counter of the 8254, after the "Mode Definitions" of its data sheet.
 *
 * Between two changes of OUT the counting element only counts down, so a jump
 * over any number of pulses is a few steps: to the next load or change of OUT,
 * and the next, and the rest. Whole periods of modes 2 and 3 are left out.
 */
#include "device/pit_counter.h"

/* What the modes have in common and where they differ: data sheet, "Mode Definitions" and
   figure "Gate Pin Operations Summary". */
static const struct {
    bool starts_high;   /* OUT after the control word */
    bool write_loads;   /* a count written at any time is loaded by the next pulse */
    bool trigger_loads; /* so is the count register after a rising edge of GATE */
    bool gate_enables;  /* GATE low stops the count */
    bool periodic;      /* reloads itself; takes its first count without a trigger */
    bool strobes;       /* terminal count is a pulse of OUT, one CLK long */
} modes[] = {
    {.write_loads = true, .gate_enables = true},
    {.starts_high = true, .trigger_loads = true},
    {.starts_high = true, .trigger_loads = true, .gate_enables = true, .periodic = true},
    {.starts_high = true, .trigger_loads = true, .gate_enables = true, .periodic = true},
    {.starts_high = true, .write_loads = true, .gate_enables = true, .strobes = true},
    {.starts_high = true, .trigger_loads = true, .strobes = true},
};

enum { RATE_GENERATOR = 2, SQUARE_WAVE = 3 };
enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum { CONTROL_BITS = 0x3f, CONTROL_BCD = 1 << 0, STATUS_NULL_COUNT = 6, STATUS_OUTPUT = 7 };

static unsigned access_of(const struct pit_counter *c)
{
    return c->control >> 4 & 3;
}

/* Modes 6 and 7 are 2 and 3: "Control Word Format", x10 and x11. */
unsigned pit_counter_mode(const struct pit_counter *c)
{
    const unsigned m = c->control >> 1 & 7;

    return m & 2 ? m & 3 : m;
}

/* ---- numbers ---- */

/* How many states the counting element has. */
static uint32_t modulus(const struct pit_counter *c)
{
    return c->control & CONTROL_BCD ? 10000 : 65536;
}

static uint32_t from_decades(uint16_t bcd)
{
    return (bcd >> 12) * 1000u + (bcd >> 8 & 0xf) * 100u + (bcd >> 4 & 0xf) * 10u + (bcd & 0xf);
}

static uint16_t to_decades(uint32_t n)
{
    return (uint16_t)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* "Operation Common to All Modes", "Counter": 0 is the largest count. Count 1 is illegal in the
   periodic modes (figure "Minimum and Maximum Initial Counts") and counts as 2. */
static uint32_t initial_count(const struct pit_counter *c)
{
    const bool bcd = c->control & CONTROL_BCD;
    const uint32_t count = bcd ? from_decades(c->count_register) : c->count_register;

    if (count == 0)
        return modulus(c);
    return count == 1 && modes[pit_counter_mode(c)].periodic ? 2 : count;
}

uint16_t pit_counter_value(const struct pit_counter *c)
{
    return c->control & CONTROL_BCD ? to_decades(c->element) : (uint16_t)c->element;
}

/* ---- the counting element ---- */

static bool counts(const struct pit_counter *c)
{
    const bool enabled = c->gate || !modes[pit_counter_mode(c)].gate_enables;

    return c->loaded && enabled && !c->half_written;
}

/* Goes down by `n` pulses that do not change OUT; past zero on to the highest count. */
static void count_down(struct pit_counter *c, uint64_t n)
{
    const uint64_t by = pit_counter_mode(c) == SQUARE_WAVE ? 2 * n : n;

    if (!counts(c))
        return;
    if (by <= c->element)
        c->element -= (uint32_t)by;
    else
        c->element = modulus(c) - 1 - (uint32_t)((by - c->element - 1) % modulus(c));
}

/* The count register into the counting element. "Mode 3": an odd count less one. */
static void load(struct pit_counter *c)
{
    c->initial = initial_count(c);
    c->element = pit_counter_mode(c) == SQUARE_WAVE ? c->initial & ~1u : c->initial;
    c->null_count = false;
    c->loaded = true;
}

/* The pulse that `load_next` announced. It ends a strobe, and begins the pulse of mode 1. */
static void load_pulse(struct pit_counter *c)
{
    load(c);
    c->load_next = false;
    c->terminal_count = false;
    c->out = pit_counter_mode(c) > 1;
}

/* How many pulses, all of them counted, until OUT changes; 0: it does not. */
static uint32_t pulses_to_change(const struct pit_counter *c)
{
    const unsigned mode = pit_counter_mode(c);

    if (modes[mode].strobes && !c->out)
        return 1;
    if (!counts(c) || c->terminal_count)
        return 0;
    if (mode == RATE_GENERATOR)
        return c->out ? c->element - 1 : 1;
    if (mode == SQUARE_WAVE) /* an odd count's high half has one pulse more */
        return c->element / 2 + (c->out ? c->initial % 2 : 0);
    return c->element;
}

/* The pulse that changes OUT. */
static void change_out(struct pit_counter *c)
{
    const unsigned mode = pit_counter_mode(c);
    const bool reloads = mode == SQUARE_WAVE || (mode == RATE_GENERATOR && !c->out);

    if (reloads)
        load(c);
    else
        count_down(c, 1);
    if (!modes[mode].periodic)
        c->terminal_count = true;
    else if (!c->out)
        c->periods++;
    c->out = !c->out;
}

/* The next pulse that does more than count. */
static uint64_t next_action(const struct pit_counter *c)
{
    const uint32_t n = c->load_next ? 1 : pulses_to_change(c);

    return n == 0 ? PIT_NO_PULSE : c->pulse + n;
}

/* Periods of one count are alike, and a new count begins a new one. */
static void skip_whole_periods(struct pit_counter *c, uint64_t until)
{
    const bool repeats = modes[pit_counter_mode(c)].periodic && counts(c);

    if (!repeats || c->load_next || c->null_count)
        return;
    const uint64_t whole = (until - c->pulse) / c->initial;
    c->pulse += whole * c->initial;
    c->periods += whole;
}

void pit_counter_advance(struct pit_counter *c, uint64_t pulse)
{
    while (c->pulse < pulse) {
        skip_whole_periods(c, pulse);
        const uint64_t action = next_action(c);

        if (action > pulse) {
            count_down(c, pulse - c->pulse);
            c->pulse = pulse;
            return;
        }
        count_down(c, action - 1 - c->pulse);
        c->pulse = action;
        if (c->load_next)
            load_pulse(c);
        else
            change_out(c);
    }
}

/* A load may come first; the change of OUT, if there is one, is the action after it. */
uint64_t pit_counter_next_edge(const struct pit_counter *c)
{
    struct pit_counter ahead = *c;

    while (next_action(&ahead) != PIT_NO_PULSE) {
        pit_counter_advance(&ahead, next_action(&ahead));
        if (ahead.out != c->out)
            return ahead.pulse;
    }
    return PIT_NO_PULSE;
}

/* ---- what software writes ---- */

void pit_counter_init(struct pit_counter *c, bool gate)
{
    *c = (struct pit_counter){.gate = gate};
    pit_counter_control(c, ACCESS_BOTH << 4);
}

/* "Operation Common to All Modes", "Programming": needs no pulse. */
void pit_counter_control(struct pit_counter *c, uint8_t word)
{
    *c = (struct pit_counter){
        .control = word & CONTROL_BITS,
        .gate = c->gate,
        .null_count = true,
        .pulse = c->pulse,
        .periods = c->periods,
        .element = c->element,
    };
    c->out = modes[pit_counter_mode(c)].starts_high;
}

static void write_count(struct pit_counter *c, uint16_t count)
{
    const unsigned mode = pit_counter_mode(c);
    const bool first = modes[mode].periodic && !c->loaded;

    c->count_register = count;
    c->count_written = true;
    c->null_count = true;
    c->half_written = false;
    if (modes[mode].write_loads || first)
        c->load_next = true;
    if (mode == 0) /* OUT was high "until a new count is written" */
        c->out = false;
}

void pit_counter_write(struct pit_counter *c, uint8_t byte)
{
    switch (access_of(c)) {
    case ACCESS_LOW:
        write_count(c, byte);
        break;
    case ACCESS_HIGH:
        write_count(c, (uint16_t)(byte << 8));
        break;
    default:
        c->write_high_next = !c->write_high_next;
        if (!c->write_high_next) {
            write_count(c, (uint16_t)(byte << 8 | c->low_byte));
            break;
        }
        c->low_byte = byte;
        if (pit_counter_mode(c) == 0) { /* "Mode 0": the first byte disables counting */
            c->half_written = true;
            c->out = false;
        }
        break;
    }
}

/* "Operation Common to All Modes", "Gate". A trigger before the first count finds nothing to
   load. "Mode 2", "Mode 3": GATE low sets OUT high without a pulse. */
void pit_counter_gate(struct pit_counter *c, bool level)
{
    const unsigned mode = pit_counter_mode(c);
    const bool trigger = level && !c->gate;

    c->gate = level;
    if (trigger && modes[mode].trigger_loads && c->count_written)
        c->load_next = true;
    if (!level && modes[mode].periodic)
        c->out = true;
}

/* ---- what software reads ---- */

void pit_counter_latch_count(struct pit_counter *c)
{
    if (c->count_latched)
        return;
    c->count_latched = true;
    c->latched_count = pit_counter_value(c);
}

void pit_counter_latch_status(struct pit_counter *c)
{
    if (c->status_latched)
        return;
    c->status_latched = true;
    c->latched_status =
        (uint8_t)(c->out << STATUS_OUTPUT | c->null_count << STATUS_NULL_COUNT | c->control);
}

uint8_t pit_counter_read(struct pit_counter *c)
{
    const uint16_t count = c->count_latched ? c->latched_count : pit_counter_value(c);
    const bool both = access_of(c) == ACCESS_BOTH;
    const bool high = both ? c->read_high_next : access_of(c) == ACCESS_HIGH;

    if (c->status_latched) {
        c->status_latched = false;
        return c->latched_status;
    }
    c->read_high_next = both && !high;
    if (!c->read_high_next) /* the last byte of it */
        c->count_latched = false;
    return (uint8_t)(high ? count >> 8 : count);
}
