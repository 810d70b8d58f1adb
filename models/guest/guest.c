#include <string.h>

#include "guest/guest.h"

const struct guest_op_info guest_ops[GUEST_OP_COUNT] = {
#define OP(name, a, b, c, what) [GUEST_##name] = {#name, {#a, #b, #c}, what},
#include "guest/guest_ops.def"
#undef OP
};

unsigned guest_op_operands(enum guest_op op)
{
    unsigned n = 0;

    while (n < 3 && strcmp(guest_ops[op].operand[n], "none") != 0)
        n++;
    return n;
}

/* Pairs a repeat with its end. What repeats nothing but empty loops is one itself: going round in
   it would take no simulated time and, for large numbers, all of the real one. */
static void link_loop(struct guest_insn *insn, uint32_t repeat, uint32_t end)
{
    uint32_t i = repeat + 1;

    insn[repeat].match = end;
    insn[end].match = repeat;
    while (insn[i].op == GUEST_repeat && insn[i].operand[0] == 0)
        i = insn[i].match + 1;
    if (i == end)
        insn[repeat].operand[0] = 0;
}

bool guest_program_link(struct guest_insn *insn, uint32_t count, uint32_t *offender)
{
    uint32_t open[GUEST_LOOPS_MAX];
    uint32_t depth = 0;

    for (uint32_t i = 0; i < count; i++) {
        *offender = i;
        if (insn[i].op == GUEST_repeat) {
            if (depth == GUEST_LOOPS_MAX)
                return false;
            open[depth++] = i;
        } else if (insn[i].op == GUEST_end) {
            if (depth == 0 || open[depth - 1] + 1 == i)
                return false;
            link_loop(insn, open[--depth], i);
        }
    }
    if (depth)
        *offender = open[depth - 1];
    return depth == 0;
}

void guest_init(struct guest *g, const struct guest_program *main, uint64_t seed,
                uint64_t stream)
{
    g->frame = g->frames;
    g->depth = 0;
    g->done = 0;
    g->random = rng_stream(seed, stream);
    g->frames[0] = (struct guest_frame){.program = main};
}

void guest_restart(struct guest *g, const struct guest_program *main)
{
    g->frame = g->frames;
    g->depth = 0;
    g->frames[0] = (struct guest_frame){.program = main};
}

/* Loops and ends: moves the frame to an operation, or to the program's end. */
static const struct guest_insn *resolve(struct guest_frame *f)
{
    while (f->pc < f->program->count) {
        const struct guest_insn *i = &f->program->insn[f->pc];

        if (i->op == GUEST_repeat) {
            if (i->operand[0] == 0) {
                f->pc = i->match + 1;
            } else {
                f->turns[f->loops++] = i->operand[0];
                f->pc++;
            }
        } else if (i->op == GUEST_end) {
            if (--f->turns[f->loops - 1]) {
                f->pc = i->match + 1;
            } else {
                f->loops--;
                f->pc++;
            }
        } else {
            return i;
        }
    }
    return NULL;
}

const struct guest_insn *guest_fetch(struct guest *g)
{
    static const struct guest_insn iret = {.op = GUEST_iret}, uiret = {.op = GUEST_uiret};
    const struct guest_insn *i = resolve(g->frame);

    if (i && i->op != GUEST_iret && i->op != GUEST_uiret)
        return i;
    if (!guest_in_handler(g))
        return NULL;
    return g->frame->user ? &uiret : &iret;
}

void guest_next(struct guest *g)
{
    g->frame->part = 0;
    g->frame->pc++;
    if (!guest_in_handler(g))
        g->done++;
}

/* The program of this delivery. */
static const struct guest_program *next_program(struct guest_handler *h)
{
    const uint32_t n = h->delivered < h->count ? h->delivered : h->count - 1;

    h->delivered++;
    return h->programs[n];
}

static bool enter(struct guest *g, struct guest_handler *h, unsigned vector, trace_flow flow,
                  bool interrupts_enabled)
{
    if (g->depth + 1 == GUEST_FRAMES_MAX)
        return false;
    g->frame = &g->frames[++g->depth];
    *g->frame = (struct guest_frame){
        .program = h ? next_program(h) : NULL,
        .vector = (uint16_t)vector,
        .flow = flow,
        .interrupts_enabled = interrupts_enabled,
        .unnamed = !h,
    };
    return true;
}

bool guest_enter_trap(struct guest *g, unsigned vector, bool interrupts_enabled)
{
    return enter(g, NULL, vector, 0, interrupts_enabled);
}

void guest_name_trap(struct guest *g, unsigned vector, trace_flow flow)
{
    g->frame->program = next_program(&g->handler[vector]);
    g->frame->vector = (uint16_t)vector;
    g->frame->flow = flow;
    g->frame->unnamed = false;
}

bool guest_enter_handler(struct guest *g, unsigned vector, trace_flow flow,
                         bool interrupts_enabled)
{
    return enter(g, &g->handler[vector], vector, flow, interrupts_enabled);
}

bool guest_enter_user_handler(struct guest *g, unsigned vector, trace_flow flow,
                              bool interrupts_enabled)
{
    if (!enter(g, &g->user_handler, vector, flow, interrupts_enabled))
        return false;
    g->frame->user = true;
    return true;
}

bool guest_leave_handler(struct guest *g)
{
    const bool enabled = g->frame->interrupts_enabled;

    g->frame = &g->frames[--g->depth];
    return enabled;
}
