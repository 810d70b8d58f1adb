/*
 * An IDE channel: registers, the four protocols of commands, the bus master's start and stop.
 *
 * A command goes through `command`, `left` and `asked`: the protocol's table row says
 * what comes next when the host has moved a sector, when the medium has answered,
 * and when the bus master is started.
 */
#include "device/ide.h"

enum protocol { PIO_IN, PIO_OUT, DMA, NO_DATA };

struct ide_row {
    uint8_t code;
    enum protocol protocol;
    enum ide_does does;
    bool extended;
};

static const struct ide_row commands[] = {
#define COMMAND(code, name, protocol, does, extended) {code, protocol, IDE_##does, extended},
#include "device/ide_commands.def"
#undef COMMAND
};

enum { READY = IDE_STATUS_DRDY | IDE_STATUS_DSC, BUSY = READY | IDE_STATUS_BSY };
enum { LBA28_SECTORS = 256, LBA48_SECTORS = 65536 };

static const struct ide_row *find_command(uint8_t code)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (commands[i].code == code)
            return &commands[i];
    return NULL;
}

/* --- INTRQ --- */

/* Device Control register: nIEN leaves INTRQ high-impedance. Only the device that is selected drives it. */
static void settle_line(struct ide *c)
{
    const bool level = c->intrq && !(c->reg[IDE_CONTROL] & IDE_CONTROL_nIEN) &&
                       !(c->reg[IDE_DEVICE] & IDE_DEVICE_DEV);

    if (level && !c->line)
        c->reg[IDE_BM_STATUS] |= IDE_BM_STATUS_INT;
    if (level == c->line)
        return;
    c->line = level;
    c->port->line(c->port, level);
}

static void set_intrq(struct ide *c, bool level)
{
    c->intrq = level;
    settle_line(c);
}

/* --- the protocols --- */

static void finish(struct ide *c, uint32_t status, uint32_t error)
{
    c->command = NULL;
    c->asked = false;
    c->reg[IDE_STATUS] = status;
    c->reg[IDE_ERROR] = error;
    c->reg[IDE_BM_STATUS] &= ~(uint32_t)IDE_BM_STATUS_ACTIVE;
}

static void fail(struct ide *c, uint32_t error)
{
    finish(c, READY | IDE_STATUS_ERR, error);
    set_intrq(c, true);
}

static void ask(struct ide *c, uint32_t sectors)
{
    const struct ide_request request = {c->command->does, c->lba, sectors, ++c->tag};

    c->asked = true;
    c->reg[IDE_STATUS] = BUSY;
    c->port->start(c->port, &request);
}

/* The host may move a sector, by the Data register. */
static void offer(struct ide *c)
{
    c->word = 0;
    c->reg[IDE_STATUS] = READY | IDE_STATUS_DRQ;
}

static void run_dma(struct ide *c)
{
    const bool can = c->command && c->command->protocol == DMA && !c->asked;

    if (!can || !(c->reg[IDE_BM_COMMAND] & IDE_BM_COMMAND_START))
        return;
    ask(c, c->left);
}

/* What the row says comes first. */
static void begin(struct ide *c)
{
    switch (c->command->protocol) {
    case PIO_IN:
        if (c->command->does == IDE_READ) {
            ask(c, 1);
        } else {
            offer(c);
            set_intrq(c, true);
        }
        break;
    case PIO_OUT: /* "PIO data-out command protocol": the first sector without an interrupt */
        offer(c);
        break;
    case DMA: /* "DMA command protocol": until the bus master runs */
        c->reg[IDE_STATUS] = READY | IDE_STATUS_DRQ;
        run_dma(c);
        break;
    case NO_DATA:
        if (c->command->does == IDE_FLUSH) {
            ask(c, 0);
        } else {
            finish(c, READY, 0);
            set_intrq(c, true);
        }
        break;
    }
}

/* The host has moved a sector. */
static void sector_moved(struct ide *c)
{
    if (c->command->protocol == PIO_OUT) {
        ask(c, 1);
        return;
    }
    c->lba++;
    if (--c->left)
        ask(c, 1);
    else
        finish(c, READY, 0);
}

/* The medium has done what it was asked for. */
static void answered(struct ide *c)
{
    c->asked = false;
    if (c->command->protocol == PIO_IN) {
        offer(c);
    } else if (c->command->protocol == PIO_OUT && c->left > 1) {
        c->lba++;
        c->left--;
        offer(c);
    } else {
        finish(c, READY, 0);
    }
    set_intrq(c, true);
}

bool ide_complete(struct ide *c, uint32_t tag, bool ok)
{
    if (!c->asked || tag != c->tag)
        return false;
    if (ok)
        answered(c);
    else
        fail(c, c->command->does == IDE_READ ? IDE_ERROR_UNC : IDE_ERROR_ABRT);
    return true;
}

/* --- the address and the count --- */

static uint64_t wide(const struct ide *c, enum ide_reg reg)
{
    return (uint64_t)c->before[reg] << 8 | c->reg[reg];
}

static uint64_t address(const struct ide *c, bool extended)
{
    const uint64_t low =
        c->reg[IDE_LBA_LOW] | c->reg[IDE_LBA_MID] << 8 | c->reg[IDE_LBA_HIGH] << 16;

    if (!extended)
        return low | (uint64_t)(c->reg[IDE_DEVICE] & 0xf) << 24;
    return low | (uint64_t)(c->before[IDE_LBA_LOW] | c->before[IDE_LBA_MID] << 8 |
                            (uint32_t)c->before[IDE_LBA_HIGH] << 16)
                     << 24;
}

/* 0 stands for the most. */
static uint32_t count(const struct ide *c, bool extended)
{
    const uint32_t n = (uint32_t)(extended ? wide(c, IDE_COUNT) : c->reg[IDE_COUNT]);

    if (n)
        return n;
    return extended ? LBA48_SECTORS : LBA28_SECTORS;
}

/* --- the effects of writes, one for each name in ide_regs.def --- */

typedef void effect(struct ide *c, enum ide_reg reg, uint32_t value);

static void ide_on_none(struct ide *c, enum ide_reg reg, uint32_t value)
{
    (void)c, (void)reg, (void)value;
}

static bool is_busy(const struct ide *c)
{
    return c->reg[IDE_STATUS] & IDE_STATUS_BSY;
}

static bool offers(const struct ide *c, enum protocol protocol)
{
    return c->command && c->command->protocol == protocol &&
           c->reg[IDE_STATUS] & IDE_STATUS_DRQ;
}

static void ide_on_data(struct ide *c, enum ide_reg reg, uint32_t value)
{
    (void)reg, (void)value;
    if (offers(c, PIO_OUT) && ++c->word == IDE_SECTOR_WORDS)
        sector_moved(c);
}

/* Command block: nothing is changed while the device is busy. A write shows the present values again. */
static void ide_on_parameter(struct ide *c, enum ide_reg reg, uint32_t value)
{
    c->reg[IDE_CONTROL] &= ~(uint32_t)IDE_CONTROL_HOB;
    if (is_busy(c))
        return;
    c->before[reg] = (uint8_t)c->reg[reg];
    c->reg[reg] = value;
}

static void ide_on_device(struct ide *c, enum ide_reg reg, uint32_t value)
{
    c->reg[IDE_CONTROL] &= ~(uint32_t)IDE_CONTROL_HOB;
    if (is_busy(c))
        return;
    c->reg[reg] = value;
    settle_line(c);
}

static void ide_on_command(struct ide *c, enum ide_reg reg, uint32_t value)
{
    const struct ide_row *row = find_command((uint8_t)value);

    (void)reg;
    c->reg[IDE_CONTROL] &= ~(uint32_t)IDE_CONTROL_HOB;
    if (c->reg[IDE_DEVICE] & IDE_DEVICE_DEV || c->command || is_busy(c))
        return;
    set_intrq(c, false);
    c->reg[IDE_ERROR] = 0;
    if (!row) {
        fail(c, IDE_ERROR_ABRT);
        return;
    }
    c->lba = address(c, row->extended);
    c->left = row->does == IDE_READ || row->does == IDE_WRITE ? count(c, row->extended) : 1;
    if ((row->does == IDE_READ || row->does == IDE_WRITE) && c->lba + c->left > c->sectors) {
        fail(c, IDE_ERROR_IDNF);
        return;
    }
    c->command = row;
    begin(c);
}

/* "Software reset protocol"; at once. The signature says what kind of device there is. */
static void reset(struct ide *c)
{
    static const enum ide_reg signature[] = {IDE_COUNT, IDE_LBA_LOW, IDE_LBA_MID, IDE_LBA_HIGH,
                                             IDE_DEVICE};
    static const uint8_t values[] = {1, 1, 0, 0, 0};

    finish(c, READY, 1);
    for (size_t i = 0; i < sizeof values; i++)
        c->reg[signature[i]] = values[i];
    set_intrq(c, false);
}

static void ide_on_control(struct ide *c, enum ide_reg reg, uint32_t value)
{
    const bool was_reset = c->reg[reg] & IDE_CONTROL_SRST;

    c->reg[reg] = value;
    if (value & IDE_CONTROL_SRST)
        reset(c);
    if (value & IDE_CONTROL_SRST)
        c->reg[IDE_STATUS] = IDE_STATUS_BSY;
    else if (was_reset)
        c->reg[IDE_STATUS] = READY;
    settle_line(c);
}

/* Bus Master IDE Command Register: a transfer that is stopped is not taken up again; the disk's command is lost with it. */
static void ide_on_bm_command(struct ide *c, enum ide_reg reg, uint32_t value)
{
    const bool before = c->reg[reg] & IDE_BM_COMMAND_START;
    const bool now = value & IDE_BM_COMMAND_START;

    c->reg[reg] = value;
    if (now && !before) {
        c->reg[IDE_BM_STATUS] |= IDE_BM_STATUS_ACTIVE;
        run_dma(c);
    }
    if (!now && before && c->reg[IDE_BM_STATUS] & IDE_BM_STATUS_ACTIVE)
        finish(c, READY, 0);
}

/* Bus Master IDE Status Register: bits 6:5 are kept, bits 2:1 cleared by writing 1. */
static void ide_on_bm_status(struct ide *c, enum ide_reg reg, uint32_t value)
{
    const uint32_t kept = IDE_BM_STATUS_D0DMA | IDE_BM_STATUS_D1DMA;

    c->reg[reg] &= ~(value & (IDE_BM_STATUS_INT | IDE_BM_STATUS_ERROR));
    c->reg[reg] = (c->reg[reg] & ~kept) | (value & kept);
}

static void ide_on_bm_table(struct ide *c, enum ide_reg reg, uint32_t value)
{
    c->reg[reg] = value;
}

/* --- the table --- */

enum access { RO = 1, WO = 2, RW = RO | WO };

static const struct {
    enum ide_block block;
    uint8_t offset, access;
    uint32_t reset, writable;
    effect *effect;
} rows[IDE_REG_COUNT] = {
#define REG(name, block, offset, width, access, reset, writable, effect, title)                \
    {IDE_##block##_BLOCK, offset, access, reset, writable, ide_on_##effect},
#define FIELD(...)
#include "device/ide_regs.def"
#undef REG
#undef FIELD
};

/* --- the interface --- */

void ide_init(struct ide *c, uint64_t sectors, struct ide_port *port)
{
    *c = (struct ide){.sectors = sectors, .port = port};
    for (unsigned i = 0; i < IDE_REG_COUNT; i++)
        c->reg[i] = rows[i].reset;
}

enum ide_reg ide_find(enum ide_block block, unsigned offset, bool write)
{
    for (unsigned i = 0; i < IDE_REG_COUNT; i++)
        if (rows[i].block == block && rows[i].offset == offset &&
            rows[i].access & (write ? WO : RO))
            return (enum ide_reg)i;
    return IDE_REG_COUNT;
}

/* Of the words of IDENTIFY DEVICE those by which a driver sizes the disk (IDENTIFY DEVICE): 49 the
   capabilities LBA and DMA, 60 and 61 the sectors of 28 bits, 83 LBA48, 100 to 103 those of 48. */
static uint16_t identity(const struct ide *c, unsigned word)
{
    enum { CAPABILITIES = 49, SECTORS_28 = 60, COMMAND_SETS = 83, SECTORS_48 = 100 };
    const uint64_t most = (UINT64_C(1) << 28) - 1;
    const uint64_t sectors_28 = c->sectors < most ? c->sectors : most;

    if (word == CAPABILITIES)
        return 1 << 9 | 1 << 8;
    if (word == SECTORS_28 || word == SECTORS_28 + 1)
        return (uint16_t)(sectors_28 >> 16 * (word - SECTORS_28));
    if (word == COMMAND_SETS)
        return 1 << 14 | 1 << 10;
    if (word >= SECTORS_48 && word < SECTORS_48 + 4)
        return (uint16_t)(c->sectors >> 16 * (word - SECTORS_48));
    return 0;
}

static uint32_t read_data(struct ide *c)
{
    uint32_t value = 0;

    if (!offers(c, PIO_IN))
        return 0;
    if (c->command->does == IDE_NOTHING)
        value = identity(c, c->word);
    if (++c->word == IDE_SECTOR_WORDS)
        sector_moved(c);
    return value;
}

/* "Device 0 only configurations": of a device 1 that is not there, device 0 answers for the status with 0. */
uint32_t ide_read(struct ide *c, enum ide_reg reg)
{
    const bool absent = c->reg[IDE_DEVICE] & IDE_DEVICE_DEV;

    switch (reg) {
    case IDE_DATA:
        return read_data(c);
    case IDE_STATUS:
        if (!absent)
            set_intrq(c, false);
        return absent ? 0 : c->reg[IDE_STATUS];
    case IDE_ALT_STATUS:
        return absent ? 0 : c->reg[IDE_STATUS];
    case IDE_COUNT:
    case IDE_LBA_LOW:
    case IDE_LBA_MID:
    case IDE_LBA_HIGH:
        return c->reg[IDE_CONTROL] & IDE_CONTROL_HOB ? c->before[reg] : c->reg[reg];
    default:
        return c->reg[reg];
    }
}

void ide_write(struct ide *c, enum ide_reg reg, uint32_t value)
{
    rows[reg].effect(c, reg, value & rows[reg].writable);
}
