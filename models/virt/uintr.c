/* User interrupts: what a processor does to the two structures in memory and to UIRR. */
#include "virt/uintr.h"

#include "port/bits.h"

static const struct bit_field fields[UINTR_FIELD_COUNT] = {
#define FIELD(structure, name, high, low, section, meaning)                                    \
    [UINTR_##structure##_##name] = {high, low},
#include "virt/uintr_fields.def"
#undef FIELD
};

uint64_t uintr_get(const struct uintr_words *w, enum uintr_field f)
{
    return bits_get(w->word, fields[f]);
}

void uintr_put(struct uintr_words *w, enum uintr_field f, uint64_t value)
{
    bits_put(w->word, fields[f], value);
}

/* A bit that no field of the structure, which has the fields first..last, names. */
static bool reserved_bits_set(const struct uintr_words *w, enum uintr_field first,
                              enum uintr_field last)
{
    for (unsigned n = 0; n < 2; n++) {
        uint64_t known = 0;

        for (unsigned f = first; f <= last; f++)
            known |= bits_mask(fields[f], n);
        if (w->word[n] & ~known)
            return true;
    }
    return false;
}

/* SDM 2 "SENDUIPI": bits 15:14 and 69:64 must be 0, too. */
static bool entry_is_valid(const struct uintr_words *entry)
{
    return uintr_get(entry, UINTR_UITTE_V) &&
           !reserved_bits_set(entry, UINTR_UITTE_V, UINTR_UITTE_UPIDADDR) &&
           uintr_get(entry, UINTR_UITTE_UV) < UINTR_VECTORS &&
           uintr_get(entry, UINTR_UITTE_UPIDADDR) % UINTR_UPID_SIZE == 0;
}

uint8_t uintr_vector_of(const struct uintr *u, uint64_t index)
{
    return (uint8_t)uintr_get(&u->uitt[index], UINTR_UITTE_UV);
}

/* The request, whose flow ends here when the bit is set already. */
static void request(struct uintr_upid *upid, unsigned vector, trace_flow flow)
{
    const uint64_t puir = uintr_get(&upid->words, UINTR_UPID_PUIR);
    const bool fresh = !(puir >> vector & 1);

    trace_put(upid->trace, flow, fresh ? TRACE_PENDING : TRACE_COALESCED, upid->owner,
              TRACE_USER_VECTOR(vector), TRACE_HELD_PUIR);
    uintr_put(&upid->words, UINTR_UPID_PUIR, puir | UINT64_C(1) << vector);
    if (fresh)
        upid->flow[vector] = flow;
}

/* "sendNotify": ON and SN are both clear, and ON is then set. */
static struct uintr_sent notification(struct uintr_upid *upid)
{
    struct uintr_words *const w = &upid->words;

    if (uintr_get(w, UINTR_UPID_ON) || uintr_get(w, UINTR_UPID_SN))
        return (struct uintr_sent){.outcome = UINTR_POSTED};
    uintr_put(w, UINTR_UPID_ON, 1);
    return (struct uintr_sent){
        .outcome = UINTR_NOTIFY,
        .nv = (uint8_t)uintr_get(w, UINTR_UPID_NV),
        .ndst = (uint32_t)uintr_get(w, UINTR_UPID_NDST),
    };
}

struct uintr_sent uintr_send(struct uintr *u, uint64_t index, trace_flow flow, uint16_t sender)
{
    const struct uintr_words *entry;
    struct uintr_upid *upid;
    uint64_t at;
    unsigned vector;

    if (u->uitt_entries == 0)
        return (struct uintr_sent){.outcome = UINTR_UD};
    if (index >= u->uitt_entries || !entry_is_valid(&u->uitt[index]))
        return (struct uintr_sent){.outcome = UINTR_GP};
    entry = &u->uitt[index];
    at = uintr_get(entry, UINTR_UITTE_UPIDADDR) / UINTR_UPID_SIZE;
    if (at >= u->memory_upids)
        return (struct uintr_sent){.outcome = UINTR_PF};
    upid = &u->memory[at];
    if (reserved_bits_set(&upid->words, UINTR_UPID_ON, UINTR_UPID_PUIR))
        return (struct uintr_sent){.outcome = UINTR_GP};
    vector = uintr_vector_of(u, index);
    trace_put(upid->trace, flow, TRACE_ROUTED, upid->owner, TRACE_USER_VECTOR(vector),
              TRACE_PARENT(sender, flow));
    request(upid, vector, flow);
    return notification(upid);
}

void uintr_process_notification(struct uintr *u)
{
    struct uintr_upid *const upid = u->upid;
    uint64_t taken;

    uintr_put(&upid->words, UINTR_UPID_ON, 0);
    taken = uintr_get(&upid->words, UINTR_UPID_PUIR);
    uintr_put(&upid->words, UINTR_UPID_PUIR, 0);
    for (; taken; taken &= taken - 1) {
        const unsigned vector = (unsigned)__builtin_ctzll(taken);
        const uint64_t bit = UINT64_C(1) << vector;

        if (u->uirr & bit)
            trace_put(upid->trace, upid->flow[vector], TRACE_COALESCED, upid->owner,
                      TRACE_USER_VECTOR(vector), TRACE_HELD_UIRR);
        else
            u->flow[vector] = upid->flow[vector];
        u->uirr |= bit;
    }
}

uint8_t uintr_deliver(struct uintr *u)
{
    const unsigned vector = 63 - (unsigned)__builtin_clzll(u->uirr);

    u->uirr &= ~(UINT64_C(1) << vector);
    u->uif = false;
    return (uint8_t)vector;
}
