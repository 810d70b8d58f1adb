/* An IDE disk: a driver's port accesses are its requests. */
#include "hypervisor/disk_parts.h"

static struct disk *of_port(struct ide_port *port)
{
    return EVENT_OWNER(port, struct disk, ide_port);
}

static void starts(struct ide_port *port, const struct ide_request *request)
{
    struct disk *d = of_port(port);
    struct disk_request *r = &d->request[request->tag % DISK_IDE_REQUESTS];

    r->name = request->tag;
    r->number = d->under_way;
    d->ended = false;
    disk_tell(d, d->issued);
    disk_start(d, r);
}

static void line(struct ide_port *port, bool level)
{
    disk_interrupt(of_port(port), level);
}

static uint32_t requests(const struct disk *d)
{
    (void)d;
    return DISK_IDE_REQUESTS;
}

static void init(struct disk *d)
{
    d->under_way = DISK_NO_REQUEST;
    d->ide_port = (struct ide_port){line, starts};
}

/* --- accesses --- */

/* False: it is none of the channel's ports. IDE_REG_COUNT: there is no register. */
static bool find(const struct access *a, enum ide_reg *reg)
{
    static const struct {
        uint16_t first, count;
        enum ide_block block;
    } blocks[] = {
        {DISK_IDE_COMMAND, 8, IDE_COMMAND_BLOCK},
        {DISK_IDE_CONTROL, 1, IDE_CONTROL_BLOCK},
        {DISK_IDE_BUS_MASTER, 8, IDE_BUS_MASTER_BLOCK},
    };

    for (unsigned n = 0; a->instruction == VIRT_PORT_IO && n < sizeof blocks / sizeof blocks[0];
         n++) {
        const uint64_t offset = a->address - blocks[n].first;

        if (a->address < blocks[n].first || offset >= blocks[n].count)
            continue;
        *reg = ide_find(blocks[n].block, (unsigned)offset, a->write);
        return true;
    }
    return false;
}

static bool owns(const struct disk *d, const struct access *a)
{
    enum ide_reg reg;

    (void)d;
    return find(a, &reg);
}

static bool is_eventfd(const struct disk *d, const struct access *a)
{
    (void)d, (void)a;
    return false;
}

static void do_access(struct disk *d, const struct access *a)
{
    enum ide_reg reg;

    if (!find(a, &reg) || reg == IDE_REG_COUNT)
        return;
    if (a->write)
        ide_write(&d->ide, reg, (uint32_t)a->value);
    else
        ide_read(&d->ide, reg);
}

static void notified(struct disk *d)
{
    (void)d;
}

static void completed(struct disk *d, struct disk_request *r)
{
    d->ended |= ide_complete(&d->ide, r->name, true);
}

/* --- the driver --- */

/* Its port accesses follow; a second request has to wait for the first. */
static void issue(struct disk *d, unsigned vcpu)
{
    if (d->under_way != DISK_NO_REQUEST || d->issued == d->asked)
        return;
    d->ended = false;
    d->under_way = disk_issue_next(d, vcpu);
}

static struct access no_access(const struct disk *d)
{
    (void)d;
    return guest_no_access();
}

/* Its last request was answered, and there is no more to its command. */
static bool has_ended(const struct disk *d)
{
    return d->under_way != DISK_NO_REQUEST && d->ended && !d->ide.command;
}

static void seen(struct disk *d, unsigned vcpu)
{
    if (has_ended(d))
        disk_reached(d, d->under_way, TRACE_DISK_SEEN, vcpu);
}

static uint32_t reap(struct vcpu *v, struct disk *d)
{
    if (!has_ended(d))
        return 0;
    disk_reap_one(v, d, d->under_way);
    d->under_way = DISK_NO_REQUEST;
    return 1;
}

static uint64_t under_way(const struct disk *d)
{
    return d->under_way != DISK_NO_REQUEST;
}

const struct disk_model disk_ide = {
    .requests = requests,
    .init = init,
    .owns = owns,
    .is_eventfd = is_eventfd,
    .access = do_access,
    .notified = notified,
    .completed = completed,
    .issue = issue,
    .seen = seen,
    .reap = reap,
    .after_issue = no_access,
    .after_reap = no_access,
    .under_way = under_way,
};
