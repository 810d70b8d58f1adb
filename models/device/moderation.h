/*
 * Interrupt moderation: which of a queue's frames are worth an interrupt, and when.
 *
 *   none      each frame, at once
 *   fixed     the interval of Intel's EITR: after an interrupt a counter runs, and until it is 0
 *             what comes waits; then one interrupt stands for all of it. A counter that has come to
 *             0 stays there: the next frame interrupts at once (I210 Datasheet 333016, 7.3.4 and
 *             Figure 7-15; the 82599 and X710 describe the same counter).
 *   adaptive  the same, and the driver changes the interval: three classes by bytes for each
 *             microsecond of the last interval, smoothed (Linux: ixgbevf_update_itr(),
 *             ixgbevf_set_itr()).
 *   vic       no timer: of many in flight only some of the completions interrupt (Ahmad, Gulati,
 *             Mashtizadeh, "vIC: Interrupt Coalescing for Virtual Machine Storage Device IO",
 *             USENIX ATC 2011, Algorithm 1).
 *
 * docs/models/nic.md has the numbers and what is assumed.
 */
#ifndef VIRQSIM_DEVICE_MODERATION_H
#define VIRQSIM_DEVICE_MODERATION_H

#include <stdint.h>
#include "port/time.h"

#define MODERATION_KINDS(KIND)                                                                 \
    KIND(none, "an interrupt for each frame")                                                  \
    KIND(fixed, "an interval between two interrupts, as EITR's")                               \
    KIND(adaptive, "the interval follows the load, as Linux' ixgbe sets it")                   \
    KIND(vic, "every R-th, by how many are in flight")

enum moderation_kind {
#define KIND(name, meaning) MODERATION_##name,
    MODERATION_KINDS(KIND) MODERATION_KIND_COUNT
#undef KIND
};

struct moderation_config {
    enum moderation_kind kind;
    uint64_t interval_ps; /* fixed */
    uint32_t frame_bytes; /* adaptive */
    uint64_t epoch_ps;    /* vic: over which the rate is measured; not 0 */
};

struct moderation {
    struct moderation_config config;
    sim_time free_at; /* the counter is 0 from here on */

    /* adaptive */
    uint32_t setting; /* EITR, as the driver keeps it: a quarter of a microsecond a unit */
    uint8_t latency;  /* the class: 0 lowest, 1 low, 2 bulk */
    uint32_t frames;  /* since the driver last looked */

    /* vic */
    uint64_t epoch;    /* its number */
    uint64_t finished; /* in it */
    bool fast;         /* the last one had so many that it is worth while */
    uint32_t counter;  /* of those that may be skipped */
};

void moderation_init(struct moderation *m, const struct moderation_config *config);

/* A frame has come, and `in_flight` others are on their way: is it to interrupt? */
bool moderation_wants(struct moderation *m, sim_time now, uint32_t in_flight);

/* The driver has taken so many, and has found the ring empty. */
void moderation_taken(struct moderation *m, uint32_t frames);

/* An interrupt was sent. Those to come are sent at free_at or later. */
void moderation_sent(struct moderation *m, sim_time now);
#endif
