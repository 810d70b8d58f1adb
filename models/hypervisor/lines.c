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

void line_fetch(struct vcpu *v, struct cache_line *l, bool write)
{
    const struct hypervisor *h = v->hypervisor;
    const struct pcpu *p = v->thread.pcpu;

    if (l->sockets) { /* else nobody has it, and the first one has no wait */
        const uint64_t asked = clock_count(&h->core, hv_now(h)).n + vcpu_owes(v);
        const uint64_t from = asked > l->comes.n ? asked : l->comes.n;

        l->comes.n = from + distance(h, l, p, write);
        v->stall.n += l->comes.n - asked;
    }
    line_claim(l, p, write);
}

void line_lose(struct cache_line *l)
{
    memset(l->holders, 0, sizeof l->holders);
    l->sockets = 1;
    l->alone = true;
}
