/* Interrupt moderation by interval (EITR) and by commands in flight (vIC). */
#include "device/moderation.h"

#include <stddef.h>

#define PS_PER_US UINT64_C(1000000)

/* ---- adaptive: Linux' ixgbevf.h ---- */

enum { LOWEST_LATENCY, LOW_LATENCY, BULK_LATENCY, CLASSES };
enum { LOW_BYTES_PER_US = 10, BULK_BYTES_PER_US = 20 };
enum { SETTING_BITS = 0xff8, UNITS_PER_US = 4 };

/* IXGBE_100K_ITR, IXGBE_20K_ITR and IXGBE_12K_ITR: 10, 50 and 84 us. */
static const uint32_t setting_of[CLASSES] = {40, 200, 336};

/* What the register holds has a granularity of 2 us. */
static uint64_t setting_ps(uint32_t setting)
{
    return (setting & SETTING_BITS) / UNITS_PER_US * PS_PER_US;
}

static uint8_t next_class(uint8_t latency, uint64_t bytes_per_us)
{
    switch (latency) {
    case LOWEST_LATENCY:
        return bytes_per_us > LOW_BYTES_PER_US ? LOW_LATENCY : LOWEST_LATENCY;
    case LOW_LATENCY:
        if (bytes_per_us > BULK_BYTES_PER_US)
            return BULK_LATENCY;
        return bytes_per_us <= LOW_BYTES_PER_US ? LOWEST_LATENCY : LOW_LATENCY;
    default:
        return bytes_per_us <= BULK_BYTES_PER_US ? LOW_LATENCY : BULK_LATENCY;
    }
}

static void adapt(struct moderation *m)
{
    const uint32_t us = m->setting / UNITS_PER_US;
    uint32_t wanted;

    if (m->frames == 0 || us == 0)
        return;
    m->latency = next_class(m->latency, (uint64_t)m->frames * m->config.frame_bytes / us);
    m->frames = 0;
    wanted = setting_of[m->latency];
    m->setting = 10 * wanted * m->setting / (9 * wanted + m->setting);
}

/* ---- vIC, Algorithm 1 ---- */

enum { CIF_THRESHOLD = 4, IOPS_THRESHOLD = 2000 };

/* Of `skip_up` completions `count_up` interrupt, below so many in flight. */
static const struct {
    uint32_t below, count_up, skip_up;
} ratios[] = {
    {1 * CIF_THRESHOLD, 1, 1},
    {2 * CIF_THRESHOLD, 4, 5},
    {3 * CIF_THRESHOLD, 3, 4},
    {4 * CIF_THRESHOLD, 2, 3},
};

static bool skips(struct moderation *m, uint32_t in_flight)
{
    uint32_t count_up = 1, skip_up = in_flight / (2 * CIF_THRESHOLD);

    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        if (in_flight < ratios[i].below) {
            count_up = ratios[i].count_up;
            skip_up = ratios[i].skip_up;
            break;
        }
    }
    m->counter = m->counter + 1 < skip_up ? m->counter + 1 : 0;
    return m->counter && m->counter <= skip_up - count_up;
}

static void count_completion(struct moderation *m, sim_time now)
{
    const uint64_t epoch = now.ps / m->config.epoch_ps;

    if (epoch != m->epoch) {
        m->fast = epoch == m->epoch + 1 && (time_wide)m->finished * PS_PER_SECOND >=
                                               (time_wide)IOPS_THRESHOLD * m->config.epoch_ps;
        m->epoch = epoch;
        m->finished = 0;
    }
    m->finished++;
}

/* ---- */

void moderation_init(struct moderation *m, const struct moderation_config *config)
{
    *m = (struct moderation){.config = *config, .setting = setting_of[LOW_LATENCY]};
}

bool moderation_wants(struct moderation *m, sim_time now, uint32_t in_flight)
{
    if (m->config.kind != MODERATION_vic)
        return true;
    count_completion(m, now);
    return !m->fast || in_flight < CIF_THRESHOLD || !skips(m, in_flight);
}

void moderation_taken(struct moderation *m, uint32_t frames)
{
    if (m->config.kind != MODERATION_adaptive)
        return;
    m->frames += frames;
    adapt(m);
}

void moderation_sent(struct moderation *m, sim_time now)
{
    if (m->config.kind == MODERATION_fixed)
        m->free_at = time_plus_ps(now, m->config.interval_ps);
    else if (m->config.kind == MODERATION_adaptive)
        m->free_at = time_plus_ps(now, setting_ps(m->setting));
}
