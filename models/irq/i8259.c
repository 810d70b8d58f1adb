/*
 * The 8259A pair: what each chip is told (command words), what it sees (inputs),
 * and what it answers (INT, INTA, polls). Sections are those of the Intel 8259A
 * data sheet, by title. Writes are decoded by the rows of i8259_regs.def.
 *
 * Left out: the data bus buffer's enable pin (BUF, M/S), the third INTA pulse of
 * MCS-80/85 mode, and time between pulses. docs/models/i8259.md has the list.
 */
#include "irq/i8259.h"

#include <assert.h>
#include <stddef.h>

enum { MASTER, SLAVE, PAIR };
enum { LEVELS = 8, NO_LEVEL = -1, DEFAULT_LEVEL = 7, SLAVE_PORTS = 0x80 };

/* A bus that nobody drives. */
enum { FLOATING = 0xff };

/* ICW1_LTIM and the like: the bits of a field, in place. */
enum {
#define REG(...)
#define FIELD(reg, name, high, low, meaning) reg##_##name = (2 << (high)) - (1 << (low)),
#include "irq/i8259_regs.def"
#undef REG
#undef FIELD
};

static bool follows(const struct i8259 *pic, enum i8259_quirk quirk)
{
    return pic->quirks >> quirk & 1;
}

static uint8_t bit(int level)
{
    return (uint8_t)(1u << level);
}

/* ---- inputs: figure "Priority Cell - Simplified Logic Diagram" ---- */

static uint8_t level_triggered(const struct i8259_chip *chip)
{
    return chip->icw1 & ICW1_LTIM ? 0xff : chip->elcr;
}

/* IRR at `lines`. It is transparent but for a poll, which freezes it. */
static void sense(struct i8259_chip *chip, uint8_t lines)
{
    const uint8_t by_level = level_triggered(chip);
    const uint8_t seen = (chip->level & by_level) | (chip->edge & ~by_level);

    if (!chip->poll)
        chip->request = (chip->request & ~lines) | (seen & lines);
}

/* The edges that outlive their line. None, by "Edge and Level Triggered Modes". */
static uint8_t outliving(const struct i8259 *pic, const struct i8259_chip *chip)
{
    const uint8_t cascade = chip == &pic->chip[MASTER] ? bit(I8259_CASCADE) : 0;

    return (follows(pic, I8259_QUIRK_EDGE_LATCHED) ? ~cascade : 0) |
           (follows(pic, I8259_QUIRK_SLAVE_LATCHED) ? cascade : 0);
}

static void drive(struct i8259 *pic, struct i8259_chip *chip, int input, bool level)
{
    const uint8_t line = bit(input);

    if (level == !!(chip->level & line))
        return;
    chip->level ^= line;
    if (level)
        chip->edge |= line;
    else
        chip->edge &= ~line | outliving(pic, chip);
    sense(chip, line);
}

/* ---- the priority resolver: "Fully Nested Mode", "Special Mask Mode" ---- */

/* 0 is the highest. */
static int priority(const struct i8259_chip *chip, int level)
{
    return (level - chip->highest) & (LEVELS - 1);
}

static int highest_of(const struct i8259_chip *chip, uint8_t levels)
{
    for (int i = 0; i < LEVELS; i++) {
        const int level = (chip->highest + i) % LEVELS;
        if (levels & bit(level))
            return level;
    }
    return NO_LEVEL;
}

/* In special mask mode a masked level holds up nobody. */
static uint8_t heeded_in_service(const struct i8259_chip *chip)
{
    return chip->special_mask ? chip->in_service & ~chip->mask : chip->in_service;
}

/* "The Special Fully Nest Mode": the levels in service that let their own slave through. */
static uint8_t open_to_slaves(const struct i8259 *pic, const struct i8259_chip *chip)
{
    const bool master = chip == &pic->chip[MASTER];

    return master && chip->icw4 & ICW4_SFNM ? chip->cascade : 0;
}

/* The level that would be acknowledged now, or NO_LEVEL. INT is whether there is one. */
static int winner(const struct i8259 *pic, const struct i8259_chip *chip)
{
    const uint8_t open = open_to_slaves(pic, chip);
    const uint8_t ignored = follows(pic, I8259_QUIRK_SFNM_LOW) ? open : 0;
    const int wants = highest_of(chip, chip->request & ~chip->mask);
    const int has = highest_of(chip, heeded_in_service(chip) & ~ignored);

    if (!chip->initialized || wants == NO_LEVEL)
        return NO_LEVEL;
    if (has == NO_LEVEL || priority(chip, wants) < priority(chip, has))
        return wants;
    return wants == has && open & bit(has) ? wants : NO_LEVEL;
}

/* ---- the wires between the chips, and to whoever listens ---- */

static void settle_cascade(struct i8259 *pic)
{
    drive(pic, &pic->chip[MASTER], I8259_CASCADE, winner(pic, &pic->chip[SLAVE]) != NO_LEVEL);
}

static void settle(struct i8259 *pic)
{
    settle_cascade(pic);
    const bool output = winner(pic, &pic->chip[MASTER]) != NO_LEVEL;
    if (output == pic->output)
        return;
    pic->output = output;
    pic->port->output(pic->port, output);
}

/* ---- acknowledgement: "Interrupt Sequence", "Automatic End of Interrupt (AEOI) Mode" ---- */

/* The winner goes from IRR to ISR. */
static int take(const struct i8259 *pic, struct i8259_chip *chip)
{
    const int level = winner(pic, chip);

    if (level == NO_LEVEL)
        return NO_LEVEL;
    chip->in_service |= bit(level);
    chip->edge &= ~bit(level);
    chip->request &= ~bit(level);
    sense(chip, bit(level));
    return level;
}

/* "Specific Rotation (Specific Priority)". */
static void set_lowest(struct i8259_chip *chip, int level)
{
    chip->highest = (uint8_t)((level + 1) % LEVELS);
}

/* "End of Interrupt (EOI)", "Automatic Rotation (Equal Priority Devices)". */
static void end(struct i8259_chip *chip, int level, bool rotates)
{
    if (level == NO_LEVEL)
        return;
    chip->in_service &= ~bit(level);
    if (rotates)
        set_lowest(chip, level);
}

/* At the end of the last pulse. */
static void end_automatically(struct i8259_chip *chip, int level)
{
    if (chip->icw4 & ICW4_AEOI)
        end(chip, level, chip->rotate_in_auto_eoi);
}

/* "Interrupt Sequence Outputs": of MCS-80/85 mode the byte in the second pulse, which is the one
   that an x86 core reads. */
static uint8_t vector(const struct i8259_chip *chip, int level)
{
    if (chip->icw4 & ICW4_UPM)
        return chip->base | (uint8_t)level;
    if (chip->icw1 & ICW1_ADI)
        return (chip->icw1 & ICW1_A7_A5) | (uint8_t)(level << 2);
    return (chip->icw1 & ICW1_A7_A5 & ~(1 << 5)) | (uint8_t)(level << 3);
}

/* Without a request the chip behaves as if IR7 were requested, but for ISR. */
static int level_or_default(int level)
{
    return level == NO_LEVEL ? DEFAULT_LEVEL : level;
}

static struct i8259_answer answer(const struct i8259 *pic, unsigned index, int level)
{
    const int first = index == SLAVE ? LEVELS : 0;

    return (struct i8259_answer){
        .vector = vector(&pic->chip[index], level_or_default(level)),
        .line = (int8_t)(level == NO_LEVEL ? I8259_NO_LINE : first + level),
    };
}

/* "Cascade Mode": who puts the vector on the bus when the master acknowledges `level`. */
enum { NOBODY = -1 };
static int responder(const struct i8259 *pic, int level)
{
    const struct i8259_chip *master = &pic->chip[MASTER];
    const struct i8259_chip *slave = &pic->chip[SLAVE];

    if (!(master->cascade & bit(level_or_default(level))))
        return MASTER;
    return (slave->cascade & ICW3_ID) == level_or_default(level) ? SLAVE : NOBODY;
}

/* With its level in service the slave's INT falls; an automatic EOI lets it rise again, which is
   the edge that the master needs. */
static void settle_before_end(struct i8259 *pic)
{
    if (!follows(pic, I8259_QUIRK_AEOI_SLAVE))
        settle_cascade(pic);
}

struct i8259_answer i8259_acknowledge(struct i8259 *pic)
{
    struct i8259_chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
    struct i8259_answer given = {FLOATING, I8259_NO_LINE};
    const int level = take(pic, master);
    const int who = responder(pic, level);
    const int slave_level = who == SLAVE ? take(pic, slave) : NO_LEVEL;

    if (who != NOBODY)
        given = answer(pic, (unsigned)who, who == SLAVE ? slave_level : level);
    settle_before_end(pic);
    end_automatically(slave, slave_level);
    end_automatically(master, level);
    settle(pic);
    return given;
}

int i8259_pending(const struct i8259 *pic)
{
    const int level = winner(pic, &pic->chip[MASTER]);

    switch (responder(pic, level)) {
    case MASTER:
        return answer(pic, MASTER, level).line;
    case SLAVE:
        return answer(pic, SLAVE, winner(pic, &pic->chip[SLAVE])).line;
    default:
        return I8259_NO_LINE;
    }
}

/* KVM's poll: what it finds is over at once, in the master too, and a 7 is nothing found. */
static uint8_t poll_without_service(struct i8259 *pic, struct i8259_chip *chip, int level)
{
    struct i8259_chip *master = &pic->chip[MASTER];

    end(chip, level, false);
    if (level == NO_LEVEL)
        return DEFAULT_LEVEL;
    if (chip != master) {
        end(master, I8259_CASCADE, false);
        master->edge &= ~bit(I8259_CASCADE);
        sense(master, bit(I8259_CASCADE));
    }
    return POLL_I | (uint8_t)level;
}

/* "Poll Command": the read takes the place of INTA. */
static uint8_t poll(struct i8259 *pic, struct i8259_chip *chip)
{
    const int level = take(pic, chip);
    uint8_t word = level == NO_LEVEL ? 0 : POLL_I | (uint8_t)level;

    settle_before_end(pic);
    chip->poll = false;
    sense(chip, 0xff);
    end_automatically(chip, level);
    if (follows(pic, I8259_QUIRK_POLL_ODD))
        word = poll_without_service(pic, chip, level);
    settle(pic);
    return word;
}

/* ---- command words, one function for each effect in i8259_regs.def ---- */

/* "Initialization Command Words 1 and 2 (ICW1, ICW2)", a to f. Of ISR and of rotation in AEOI mode
   it says nothing; both start anew here. */
static void i8259_on_icw1(struct i8259 *pic, unsigned index, uint8_t value)
{
    const struct i8259_chip was = pic->chip[index];

    pic->chip[index] = (struct i8259_chip){
        .level = follows(pic, I8259_QUIRK_RERAISE) ? was.level & was.elcr : was.level,
        .in_service = follows(pic, I8259_QUIRK_ICW1_ISR) ? was.in_service : 0,
        .elcr = was.elcr,
        .base = was.base,
        .icw1 = value,
        .cascade = index == SLAVE ? DEFAULT_LEVEL : 0,
        .awaits = I8259_AWAITS_ICW2,
    };
    sense(&pic->chip[index], 0xff);
}

/* QEMU and KVM take no notice of what a PC never sets. */
static void wire_for_pc(struct i8259_chip *chip, unsigned index)
{
    chip->icw1 &= ~ICW1_LTIM;
    chip->icw4 |= ICW4_UPM;
    chip->cascade = index == MASTER ? bit(I8259_CASCADE) : I8259_CASCADE;
    sense(chip, 0xff);
}

/* The last ICW: figure "Initialization Sequence", "ready to accept interrupt requests". */
static void be_ready(struct i8259 *pic, unsigned index)
{
    struct i8259_chip *chip = &pic->chip[index];

    chip->awaits = I8259_AWAITS_OCW;
    chip->initialized = true;
    if (follows(pic, I8259_QUIRK_PC_WIRED))
        wire_for_pc(chip, index);
}

static void await_icw4(struct i8259 *pic, unsigned index)
{
    if (pic->chip[index].icw1 & ICW1_IC4)
        pic->chip[index].awaits = I8259_AWAITS_ICW4;
    else
        be_ready(pic, index);
}

static void i8259_on_icw2(struct i8259 *pic, unsigned index, uint8_t value)
{
    pic->chip[index].base = value & ICW2_T7_T3;
    if (pic->chip[index].icw1 & ICW1_SNGL)
        await_icw4(pic, index);
    else
        pic->chip[index].awaits = I8259_AWAITS_ICW3;
}

static void i8259_on_icw3(struct i8259 *pic, unsigned index, uint8_t value)
{
    pic->chip[index].cascade = value;
    await_icw4(pic, index);
}

static void i8259_on_icw4(struct i8259 *pic, unsigned index, uint8_t value)
{
    pic->chip[index].icw4 = value;
    be_ready(pic, index);
}

static void i8259_on_ocw1(struct i8259 *pic, unsigned index, uint8_t value)
{
    pic->chip[index].mask = value;
}

static uint8_t ended_by_non_specific(const struct i8259 *pic, const struct i8259_chip *chip)
{
    return follows(pic, I8259_QUIRK_SMM_NSEOI) ? chip->in_service : heeded_in_service(chip);
}

static void i8259_on_ocw2(struct i8259 *pic, unsigned index, uint8_t value)
{
    struct i8259_chip *chip = &pic->chip[index];
    const bool rotates = value & OCW2_R;
    const int level = value & OCW2_L;

    switch (value & (OCW2_R | OCW2_SL | OCW2_EOI)) {
    case OCW2_EOI:
    case OCW2_R | OCW2_EOI:
        end(chip, highest_of(chip, ended_by_non_specific(pic, chip)), rotates);
        break;
    case OCW2_SL | OCW2_EOI:
    case OCW2_R | OCW2_SL | OCW2_EOI:
        end(chip, level, rotates);
        break;
    case OCW2_R | OCW2_SL:
        set_lowest(chip, level);
        break;
    case OCW2_R:
    case 0:
        chip->rotate_in_auto_eoi = rotates;
        break;
    default: /* OCW2_SL alone: no operation */
        break;
    }
}

static void i8259_on_ocw3(struct i8259 *pic, unsigned index, uint8_t value)
{
    struct i8259_chip *chip = &pic->chip[index];

    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM && !follows(pic, I8259_QUIRK_SMM_NONE);
    if (value & OCW3_RR)
        chip->read_in_service = value & OCW3_RIS;
    if (value & OCW3_P)
        chip->poll = true;
}

static void i8259_on_elcr(struct i8259 *pic, unsigned index, uint8_t value)
{
    struct i8259_chip *chip = &pic->chip[index];

    chip->elcr = value;
    if (follows(pic, I8259_QUIRK_ELCR_LIVE))
        chip->edge = chip->request;
    else
        sense(chip, 0xff);
}

static void i8259_on_none(struct i8259 *pic, unsigned index, uint8_t value)
{
    (void)pic, (void)index, (void)value;
}

/* ---- ports ---- */

enum { RO = 1, WO = 2, RW = RO | WO };
enum { ANY = -1, OCW = I8259_AWAITS_OCW, ICW2, ICW3, ICW4 };

struct row {
    uint16_t port;
    uint8_t access, writable, chip;
    int awaits;
    uint8_t select, match;
    void (*effect)(struct i8259 *pic, unsigned index, uint8_t value);
};

#define FIELD(...)
static const struct row rows[] = {
#define REG(name, port, width, access, reset, writable, chip, awaits, select, match, effect,   \
            ...)                                                                               \
    {port, access, writable, chip, awaits, select, match, i8259_on_##effect},
#include "irq/i8259_regs.def"
#undef REG
};

/* PORT_OCW1 and the like, in the master. */
enum {
#define REG(name, port, ...) PORT_##name = (port),
#include "irq/i8259_regs.def"
#undef REG
};

/* i8259_init() relies on it. */
#define REG(name, port, width, access, reset, ...) static_assert((reset) == 0, #name);
#include "irq/i8259_regs.def"
#undef REG
#undef FIELD

enum { ROWS = sizeof(rows) / sizeof(rows[0]), NO_CHIP = -1 };

/* Whose register of that row answers at the port: MASTER, SLAVE, or NO_CHIP. */
static int chip_at(const struct row *row, uint16_t port)
{
    if (port == row->port)
        return row->chip == SLAVE ? SLAVE : MASTER;
    return row->chip == PAIR && port == row->port + SLAVE_PORTS ? SLAVE : NO_CHIP;
}

static const struct row *row_at(uint16_t port)
{
    for (size_t i = 0; i < ROWS; i++)
        if (chip_at(&rows[i], port) != NO_CHIP)
            return &rows[i];
    return NULL;
}

bool i8259_owns(uint16_t port)
{
    return row_at(port);
}

static bool takes(const struct i8259 *pic, const struct row *row, uint16_t port, uint8_t value)
{
    const int index = chip_at(row, port);

    return index != NO_CHIP && row->access & WO && (value & row->select) == row->match &&
           (row->awaits == ANY || row->awaits == pic->chip[index].awaits);
}

static bool is_late(const struct i8259 *pic, const struct row *row)
{
    return follows(pic, I8259_QUIRK_SMM_LATE) && row->effect == i8259_on_ocw3;
}

void i8259_write(struct i8259 *pic, uint16_t port, uint8_t value)
{
    for (size_t i = 0; i < ROWS; i++)
        if (takes(pic, &rows[i], port, value)) {
            rows[i].effect(pic, (unsigned)chip_at(&rows[i], port), value & rows[i].writable);
            if (!is_late(pic, &rows[i]))
                settle(pic);
            return;
        }
}

/* "Reading the 8259A Status"; a poll goes before either register, and IMR. */
static uint8_t read_chip(struct i8259 *pic, struct i8259_chip *chip, uint16_t port)
{
    if (chip->poll)
        return poll(pic, chip);
    if (port == PORT_OCW1 || port == PORT_OCW1 + SLAVE_PORTS)
        return chip->mask;
    return chip->read_in_service ? chip->in_service : chip->request;
}

uint8_t i8259_read(struct i8259 *pic, uint16_t port)
{
    const struct row *row = row_at(port);

    if (!row)
        return FLOATING;
    struct i8259_chip *chip = &pic->chip[chip_at(row, port)];
    return row->chip == PAIR ? read_chip(pic, chip, port) : chip->elcr;
}

/* ---- lines, state, and what the pair says of itself ---- */

void i8259_init(struct i8259 *pic, struct i8259_port *port, uint32_t quirks)
{
    *pic = (struct i8259){.port = port, .quirks = quirks};
}

void i8259_drive(struct i8259 *pic, unsigned line, bool level)
{
    if (line >= I8259_LINES || line == I8259_CASCADE)
        return;
    drive(pic, &pic->chip[line / LEVELS], (int)(line % LEVELS), level);
    settle(pic);
}

bool i8259_output(const struct i8259 *pic)
{
    return pic->output;
}

static uint16_t by_line(uint8_t of_master, uint8_t of_slave)
{
    return (uint16_t)(of_slave << LEVELS | of_master);
}

uint16_t i8259_requests(const struct i8259 *pic)
{
    return by_line(pic->chip[MASTER].request, pic->chip[SLAVE].request);
}

uint16_t i8259_in_service(const struct i8259 *pic)
{
    return by_line(pic->chip[MASTER].in_service, pic->chip[SLAVE].in_service);
}

uint16_t i8259_masked(const struct i8259 *pic)
{
    return by_line(pic->chip[MASTER].mask, pic->chip[SLAVE].mask);
}

uint8_t i8259_vector(const struct i8259 *pic, unsigned line)
{
    return vector(&pic->chip[line / LEVELS % 2], (int)(line % LEVELS));
}

void i8259_load(struct i8259 *pic, unsigned chip, const struct i8259_state *state)
{
    pic->chip[chip] = (struct i8259_chip){
        .level = state->level,
        .edge = state->request,
        .in_service = state->in_service,
        .mask = state->mask,
        .elcr = pic->chip[chip].elcr,
        .base = state->base & ICW2_T7_T3,
        .highest = state->highest % LEVELS,
        .icw4 = ICW4_UPM | (state->auto_eoi ? ICW4_AEOI : 0),
        .cascade = chip == MASTER ? bit(I8259_CASCADE) : I8259_CASCADE,
        .initialized = true,
    };
    sense(&pic->chip[chip], 0xff);
    settle(pic);
}

void i8259_restore(struct i8259 *pic, const struct i8259 *saved)
{
    const bool told = pic->output;

    pic->chip[MASTER] = saved->chip[MASTER];
    pic->chip[SLAVE] = saved->chip[SLAVE];
    pic->output = saved->output;
    if (pic->output != told)
        pic->port->output(pic->port, pic->output);
}
