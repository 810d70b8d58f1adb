/*
 * Where the time of a disk's requests goes.
 *
 * What happens between two marks of a request is one part's, except while the guest's
 * driver is at work on it (from issued to notified, from seen to reaped): that time is
 * divided by what the driver's vCPU did meanwhile.
 */
#include "simulation.h"

static uint64_t state_ps(const struct vcpu_counters *v, enum vcpu_state s, uint64_t now)
{
    return v->state_ps[s] + (v->state == s ? now - v->state_since : 0);
}

static uint64_t in_guest(const struct vcpu_counters *v, uint64_t now)
{
    return state_ps(v, VCPU_GUEST, now);
}

static uint64_t in_userspace(const struct vcpu_counters *v, uint64_t now)
{
    return state_ps(v, VCPU_USERSPACE, now) + state_ps(v, VCPU_LOCKED, now);
}

static void begin_window(const struct counters *c, struct disk_flight *f, uint16_t vcpu,
                         uint64_t now)
{
    f->vcpu = vcpu;
    f->guest_ps = in_guest(&c->vcpu[vcpu], now);
    f->userspace_ps = in_userspace(&c->vcpu[vcpu], now);
}

static void end_window(const struct counters *c, struct disk_flight *f, enum trace_disk from,
                       uint64_t now)
{
    const struct vcpu_counters *v = &c->vcpu[f->vcpu];
    const uint64_t guest = in_guest(v, now) - f->guest_ps;
    const uint64_t userspace = in_userspace(v, now) - f->userspace_ps;

    f->stage[DISK_STAGE_guest] += guest;
    f->stage[DISK_STAGE_userspace] += userspace;
    f->stage[DISK_STAGE_exit] += now - f->at[from] - guest - userspace;
}

/* From its first mark to its last. */
static void measure(struct disk_counters *d, struct disk_flight *f)
{
    const uint64_t *at = f->at;

    f->stage[DISK_STAGE_guest] += at[TRACE_DISK_ISSUED] - at[TRACE_DISK_ASKED];
    f->stage[DISK_STAGE_userspace] += at[TRACE_DISK_SUBMITTED] - at[TRACE_DISK_NOTIFIED];
    f->stage[DISK_STAGE_worker] += at[TRACE_DISK_DONE] - at[TRACE_DISK_SUBMITTED];
    f->stage[DISK_STAGE_completion] += at[TRACE_DISK_COMPLETED] - at[TRACE_DISK_DONE];
    f->stage[DISK_STAGE_injection] += at[TRACE_DISK_SEEN] - at[TRACE_DISK_COMPLETED];
    for (unsigned s = 0; s < DISK_STAGE_COUNT; s++)
        d->stage_sum[s] += f->stage[s];
    latency_add(&d->latency, at[TRACE_DISK_REAPED] - at[TRACE_DISK_ASKED]);
}

static void reach(struct disk_flight *f, enum trace_disk mark, uint64_t now)
{
    f->reached |= (uint16_t)(1u << mark);
    f->at[mark] = now;
}

static bool has_reached(const struct disk_flight *f, enum trace_disk mark)
{
    return f->reached >> mark & 1;
}

/* A mark that is reached a second time, as when a driver starts a command twice, changes nothing. */
static void mark_reached(const struct counters *c, struct disk_counters *d,
                         struct disk_flight *f, const struct trace_record *r)
{
    const enum trace_disk mark = (enum trace_disk)r->b;

    if (has_reached(f, mark))
        return;
    if (mark == TRACE_DISK_REAPED && !has_reached(f, TRACE_DISK_SEEN))
        reach(f, TRACE_DISK_SEEN, r->ps); /* its driver found it without being called */
    else if (mark == TRACE_DISK_REAPED)
        end_window(c, f, TRACE_DISK_SEEN, r->ps);
    else if (mark == TRACE_DISK_NOTIFIED)
        end_window(c, f, TRACE_DISK_ISSUED, r->ps);
    else if (mark == TRACE_DISK_ISSUED || mark == TRACE_DISK_SEEN)
        begin_window(c, f, r->where, r->ps);
    reach(f, mark, r->ps);
    if (mark == TRACE_DISK_REAPED)
        measure(d, f);
}

void disk_counters_put(struct counters *c, const struct trace_record *r)
{
    struct disk_counters *d = &c->disk[TRACE_DISK_INDEX(r->a)];
    struct disk_flight *f = &d->flight[TRACE_DISK_NUMBER(r->a) % DISK_FLIGHTS];

    d->asked += r->b == TRACE_DISK_ASKED;
    d->reaped += r->b == TRACE_DISK_REAPED;
    if (r->b == TRACE_DISK_ASKED)
        *f = (struct disk_flight){.number = TRACE_DISK_NUMBER(r->a)};
    if (f->number == TRACE_DISK_NUMBER(r->a)) /* else DISK_FLIGHTS younger ones overtook it */
        mark_reached(c, d, f, r);
}
