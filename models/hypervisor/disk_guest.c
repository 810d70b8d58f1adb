/* The guest's end of the disks: the application, the driver, and the handler. */
#include "hypervisor/disk_parts.h"

static struct disk *named(const struct vcpu *v, const struct guest_insn *i)
{
    return &v->hypervisor->disk[i->operand[0]];
}

void disk_ask(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);
    const uint64_t depth = i->operand[1], total = i->operand[2];

    while (d->asked - d->reaped < depth && d->asked < total) {
        disk_reached(d, d->asked++, TRACE_DISK_ASKED, v->index);
        vcpu_pay(v, COST_GUEST_DISK_SUBMIT);
    }
}

uint32_t disk_issue_next(struct disk *d, unsigned vcpu)
{
    disk_reached(d, d->issued, TRACE_DISK_ISSUED, vcpu);
    return d->issued++;
}

void disk_reap_one(struct vcpu *v, struct disk *d, uint32_t number)
{
    d->reaped++;
    vcpu_pay(v, COST_GUEST_DISK_REAP);
    disk_reached(d, number, TRACE_DISK_REAPED, v->index);
}

static void reap(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);
    struct hypervisor *h = v->hypervisor;

    h->word[i->operand[1]] += disk_model_of(d)->reap(v, d);
    guest_word_changed(h, i->operand[1]);
}

void disk_seen(struct vcpu *v, const struct guest_insn *i)
{
    disk_model_of(named(v, i))->seen(named(v, i), v->index);
}

void disk_drive(struct vcpu *v, const struct guest_insn *i)
{
    if (i->op == GUEST_disk_reap)
        reap(v, i);
    else
        disk_model_of(named(v, i))->issue(named(v, i), v->index);
}

struct access disk_access_of(const struct vcpu *v, const struct guest_insn *i)
{
    const struct disk *d = named(v, i);
    const struct disk_model *m = disk_model_of(d);

    return i->op == GUEST_disk_reap ? m->after_reap(d) : m->after_issue(d);
}

struct access disk_store(const struct disk *d, uint64_t offset, uint8_t size, uint64_t value)
{
    return (struct access){.kind = ACCESS_INSTRUCTION,
                           .instruction = d->port ? VIRT_PORT_IO : VIRT_MMIO,
                           .address = d->base + offset,
                           .value = value,
                           .size = size,
                           .write = true};
}
