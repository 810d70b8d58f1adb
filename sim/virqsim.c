/* The door: virqsim.h. */
#include "virqsim.h"

#include <stdlib.h>

#include "describe.h"
#include "irq/msi_message.h"
#include "plan_parts.h"
#include "simulation.h"

struct virqsim *virqsim_open(const char *plan_json, size_t length, struct virqsim_error *error)
{
    struct virqsim *sim = calloc(1, sizeof *sim);

    if (!sim) {
        snprintf(error->message, sizeof error->message, "plan: there is no memory for it");
        return NULL;
    }
    if (!plan_read(sim, plan_json, length, error)) {
        virqsim_close(sim);
        return NULL;
    }
    return sim;
}

void virqsim_close(struct virqsim *sim)
{
    if (!sim)
        return;
    virqsim_trace_close(sim, &(struct virqsim_error){{0}});
    arena_free(&sim->arena);
    free(sim);
}

static enum virqsim_state state_now(const struct virqsim *sim)
{
    if (sim->machine.running == 0 || sim->machine.stopped ||
        !time_before(sim->events.now, sim->plan.until))
        return VIRQSIM_ENDED;
    if (virqsim_next(sim) == VIRQSIM_NEVER)
        return VIRQSIM_IDLE;
    return VIRQSIM_RUNNING;
}

/* What is pending once no event is left is pending for ever; a program's end leaves things undone. */
static void watch_the_end(struct virqsim *sim)
{
    const bool rests = event_queue_next(&sim->events).ps == SIM_TIME_NEVER.ps;

    if (rests && sim->machine.running && !sim->machine.stopped)
        watchdog_look_at_rest(&sim->watchdog);
    else
        watchdog_look(&sim->watchdog);
}

/* The law is held up to a run that rests: a host that runs event by event would pay for little
   else. virqsim_results() does so for a run that was interrupted. */
enum virqsim_state virqsim_run(struct virqsim *sim, uint64_t until_ps, uint64_t budget)
{
    const uint64_t until = until_ps < sim->plan.until.ps ? until_ps : sim->plan.until.ps;

    /* An idle machine is not over: the world outside may have woken it since. */
    if (sim->state == VIRQSIM_ENDED || sim->state == VIRQSIM_BROKEN)
        return sim->state;
    sim->fired += sim->schedule ? explore_run(&sim->schedule->explore, &sim->events,
                                              (sim_time){until}, budget)
                                : event_queue_run(&sim->events, (sim_time){until}, budget);
    sim->state = state_now(sim);
    if (sim->state != VIRQSIM_RUNNING)
        watch_the_end(sim);
    if ((sim->state != VIRQSIM_RUNNING || sim->machine.crashed || sim->machine.unhandled) &&
        !machine_balance(sim))
        sim->state = VIRQSIM_BROKEN;
    return sim->state;
}

uint64_t virqsim_now(const struct virqsim *sim)
{
    return sim->events.now.ps;
}

uint64_t virqsim_next(const struct virqsim *sim)
{
    const uint64_t next = sim->schedule ? explore_next(&sim->schedule->explore, &sim->events).ps
                                        : event_queue_next(&sim->events).ps;

    return next < sim->plan.until.ps ? next : sim->plan.until.ps;
}

double virqsim_progress(const struct virqsim *sim)
{
    const struct hypervisor *h = &sim->machine;
    double done = 0;

    if (sim->plan.until.ps != SIM_TIME_NEVER.ps)
        return (double)sim->events.now.ps / (double)sim->plan.until.ps;
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        done += (double)h->vcpu[i].guest.done;
    return sim->plan.operations > 0 ? done / sim->plan.operations : 1;
}

char *virqsim_describe(void)
{
    json_t *d = describe_everything();
    char *text = json_dumps(d, JSON_COMPACT);

    json_decref(d);
    return text;
}

void virqsim_free(char *string)
{
    free(string);
}

/* --- the world outside --- */

bool virqsim_drive_line(struct virqsim *sim, unsigned device, bool level)
{
    if (device >= hypervisor_plan_devices(&sim->machine))
        return false;
    wire_drive(&sim->machine.device[device].line, 0, level);
    return true;
}

bool virqsim_apic_read(struct virqsim *sim, unsigned vcpu, uint16_t offset, uint32_t *value)
{
    if (vcpu >= sim->machine.vcpu_count || offset >= 0x400 || offset % 16)
        return false;
    *value = lapic_read(&sim->machine.vcpu[vcpu].apic, offset, sim->events.now);
    return true;
}

static void accept_msi(void *context, unsigned index, const struct irq_msg *msg)
{
    struct virqsim *sim = context;

    hypervisor_accept(&sim->machine.vcpu[index], msg, NULL);
}

bool virqsim_msi(struct virqsim *sim, uint64_t address, uint32_t data)
{
    struct hypervisor *h = &sim->machine;
    const struct msi_message write = {address, data};
    struct irq_msg msg;

    if (!msi_decode(&write, &msg))
        return false;
    msg.flow = trace_new_flow(&sim->trace);
    trace_put(&sim->trace, msg.flow, TRACE_RAISED, TRACE_NOWHERE, msg.vector,
              TRACE_SOURCE(TRACE_SOURCE_MSI, h->device_count));
    apic_fabric_route(&h->fabric, &msg, accept_msi, sim);
    return true;
}

void virqsim_set_external(struct virqsim *sim, virqsim_access *access, void *context)
{
    sim->machine.external = access;
    sim->machine.external_context = context;
}

/* --- other orders --- */

bool virqsim_schedule(struct virqsim *sim, uint64_t window_ps, const struct virqsim_hold *hold,
                      uint32_t count)
{
    struct explore_hold holds[VIRQSIM_HOLDS];

    if (count > VIRQSIM_HOLDS || sim->fired)
        return false;
    for (uint32_t n = 0; n < count; n++)
        holds[n] = (struct explore_hold){hold[n].place, hold[n].past};
    return plan_schedule(sim, window_ps, holds, count);
}

void virqsim_exploration(const struct virqsim *sim, struct virqsim_explored *explored)
{
    const struct schedule *s = sim->schedule;

    *explored = (struct virqsim_explored){.findings = sim->watchdog.count};
    if (!s)
        return;
    explored->places = s->explore.places;
    explored->signature = schedule_signature(s);
    for (uint32_t n = 0; n < VIRQSIM_HOLDS; n++)
        explored->past[n] = s->past[n];
}

/* --- watching, for waveforms --- */

/* Values of a vCPU: PROBE(name, bits, expression over `v`). */
#define VCPU_PROBES(PROBE)                                                                     \
    PROBE("state", 4, v->state)                                                                \
    PROBE("pending_vector", 8, watched_vector(vec_highest(&v->apic.regs.IRR)))                 \
    PROBE("in_service_vector", 8, watched_vector(vec_highest(&v->apic.regs.ISR)))              \
    PROBE("posted_vector", 8, watched_vector(vec_highest(&v->descriptor.pir)))                 \
    PROBE("interrupts_enabled", 1, v->hw.interrupts_enabled)

static uint64_t watched_vector(int vector)
{
    return vector == NO_VECTOR ? 0 : (uint64_t)vector;
}

static const struct {
    const char *name;
    unsigned bits;
} vcpu_probes[] = {
#define PROBE(name, bits, value) {name, bits},
    VCPU_PROBES(PROBE)
#undef PROBE
};
enum { PROBES = sizeof vcpu_probes / sizeof vcpu_probes[0] };

bool virqsim_probe(const struct virqsim *sim, unsigned n, char *name, size_t size,
                   unsigned *bits)
{
    const unsigned of_vcpus = sim->machine.vcpu_count * PROBES;

    if (n < of_vcpus) {
        *bits = vcpu_probes[n % PROBES].bits;
        snprintf(name, size, "vcpu%u.%s", n / PROBES, vcpu_probes[n % PROBES].name);
        return true;
    }
    *bits = 1;
    snprintf(name, size, "device%u.line", n - of_vcpus);
    return n - of_vcpus < hypervisor_plan_devices(&sim->machine);
}

uint64_t virqsim_probe_value(const struct virqsim *sim, unsigned n)
{
    const unsigned of_vcpus = sim->machine.vcpu_count * PROBES;

    if (n >= of_vcpus)
        return wire_level(&sim->machine.device[n - of_vcpus].line);
    const struct vcpu *v = &sim->machine.vcpu[n / PROBES];
    const uint64_t values[] = {
#define PROBE(name, bits, value) value,
        VCPU_PROBES(PROBE)
#undef PROBE
    };
    return values[n % PROBES];
}
