/*
 * Shared words: the guest's memory, as far as vCPUs wait for each other in it.
 * Who spins on a word hangs in its list, and is told when it changes. Each word
 * is a cache line of its own.
 */
#include "hypervisor/hypervisor.h"

/* It stays for the access that it was fetched for, whoever asks meanwhile. */
bool guest_has_word(struct vcpu *v, uint64_t word, bool write)
{
    struct guest_frame *f = v->guest.frame;

    if (!f->fetched)
        line_take(v, &v->hypervisor->word_line[word], write);
    f->fetched = !f->fetched && v->stall.n > 0;
    return !f->fetched;
}

void guest_spin_stop(struct vcpu *v)
{
    if (!v->spinning)
        return;
    v->spinning = false;
    *v->spin_link = v->spin_next;
    if (v->spin_next)
        v->spin_next->spin_link = v->spin_link;
    if (v->waiting.pausing)
        guest_pause_stop(v);
}

void guest_spin_start(struct vcpu *v, uint64_t word, uint64_t least,
                      void (*then)(struct vcpu *v))
{
    struct vcpu **head = &v->hypervisor->spinners[word];

    v->spinning = true;
    v->spin_longer = 0;
    v->spin_then = then;
    v->spin_least = least;
    v->spin_next = *head;
    v->spin_link = head;
    if (*head)
        (*head)->spin_link = &v->spin_next;
    *head = v;
}

void guest_word_changed(struct hypervisor *h, uint64_t word)
{
    struct vcpu *next;

    for (struct vcpu *v = h->spinners[word]; v; v = next) {
        next = v->spin_next;
        if (h->word[word] < v->spin_least) {
            line_copy(v, &h->word_line[word]);
            continue;
        }
        guest_spin_stop(v);
        line_take(v, &h->word_line[word], false);
        v->extra.n += v->spin_longer;
        vcpu_continue(v, v->spin_then);
    }
}

bool guest_held(struct vcpu *v, void (*then)(struct vcpu *v))
{
    if (!v->held)
        return false;
    v->held = false;
    if (v->hypervisor->word[v->held_word] < v->held_least) {
        guest_spin_start(v, v->held_word, v->held_least, then);
        v->spin_longer = v->held_longer;
    } else {
        v->extra.n += v->held_longer;
        vcpu_continue(v, then);
    }
    return true;
}
