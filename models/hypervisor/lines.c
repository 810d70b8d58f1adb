/*
 * Memory that CPUs take from each other, a cache line at a time.
 *
 * The core that wrote a line last holds it, and those that have read it since.
 * Who wants it otherwise waits until it has come, from another core of the
 * socket or from another socket, and behind whoever asked before. The threads
 * of a core share its caches.
 *
 * Left out: where a line's home is, capacity (nothing is evicted), and work that
 * a core does meanwhile: it waits.
 */
#include <string.h>

#include "hypervisor/hypervisor.h"

/* A writer's copy must be the only one, so it waits for the farthest; a reader takes the nearest. */
static uint64_t distance(const struct hypervisor *h, const struct cache_line *l,
                         const struct pcpu *p, bool write)
{
    const uint8_t mine = (uint8_t)(1u << p->socket);
    const bool far = write ? l->sockets & ~mine : !(l->sockets & mine);

    return h->costs.of[far ? COST_LINE_REMOTE : COST_LINE_SOCKET].n;
}

void line_claim(struct cache_line *l, const struct pcpu *p, bool write)
{
    if (write) {
        memset(l->holders, 0, sizeof l->holders);
        l->sockets = 0;
    }
    l->alone = write || !l->sockets;
    l->holders[p->core / 64] |= UINT64_C(1) << (p->core % 64);
    l->sockets |= (uint8_t)(1u << p->socket);
}

/* It comes so much later than it is asked for, and than whoever asked before has it. */
static uint64_t comes_after(struct cache_line *l, uint64_t asked, uint64_t distance)
{
    const uint64_t from = asked > l->comes.n ? asked : l->comes.n;

    l->comes.n = from + distance;
    return l->comes.n - asked;
}

void line_fetch(struct vcpu *v, struct cache_line *l, bool write)
{
    const struct hypervisor *h = v->hypervisor;
    const struct pcpu *p = v->thread.pcpu;

    if (l->sockets) { /* else nobody has it, and the first one has no wait */
        const uint64_t asked = clock_count(&h->core, hv_now(h)).n + vcpu_owes(v);

        v->stall.n += comes_after(l, asked, distance(h, l, p, write));
    }
    line_claim(l, p, write);
}

void line_copy(struct vcpu *v, struct cache_line *l)
{
    const struct hypervisor *h = v->hypervisor;
    const struct pcpu *p = v->thread.pcpu;

    if (line_here(l, p, false))
        return;
    comes_after(l, clock_count(&h->core, hv_now(h)).n, distance(h, l, p, false));
    line_claim(l, p, false);
}

void line_lose(struct cache_line *l)
{
    memset(l->holders, 0, sizeof l->holders);
    l->sockets = 1;
    l->alone = true;
}
