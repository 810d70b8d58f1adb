/*
 * Guest programs and where one vCPU stands in them.
 *
 * A guest is a set of programs: one per vCPU and one per vector (or several:
 * the n-th delivery runs the n-th). This file fetches operations and keeps the
 * frames of nested handlers; what an operation does to the machine is not known
 * here (hypervisor/guest_run.c asks the hardware).
 */
#ifndef VIRQSIM_GUEST_GUEST_H
#define VIRQSIM_GUEST_GUEST_H

#include "port/rng.h"
#include "port/trace.h"
#include "port/vec256.h"

enum guest_op {
#define OP(name, a, b, c, what) GUEST_##name,
#include "guest/guest_ops.def"
#undef OP
    GUEST_OP_COUNT
};

struct guest_op_info {
    const char *name;
    const char *operand[3]; /* "none" past the last */
    const char *what;
};
extern const struct guest_op_info guest_ops[GUEST_OP_COUNT];
unsigned guest_op_operands(enum guest_op op);

struct guest_insn {
    uint64_t operand[3];
    uint32_t op;    /* enum guest_op */
    uint32_t match; /* repeat: the index of its end; end: of its repeat */
};

struct guest_program {
    const char *name;
    const struct guest_insn *insn;
    uint32_t count;
};

/* Pairs each repeat with its end. False, and the index of the offender: one stands alone, is
   empty, or is nested deeper than GUEST_LOOPS_MAX. */
bool guest_program_link(struct guest_insn *insn, uint32_t count, uint32_t *offender);

enum { GUEST_FRAMES_MAX = 20, GUEST_LOOPS_MAX = 4 };

/* Linux' SPIN_THRESHOLD: turns of the loop until a paravirtual lock's waiter halts. */
enum { GUEST_SPIN_THRESHOLD = 1 << 15 };

/* The main program's frame, and one for each handler that is nested in it: a handler can be
   interrupted only by a higher priority class (15 of them), an NMI and an ExtINT. */
struct guest_frame {
    const struct guest_program *program;
    uint32_t pc;
    uint16_t vector; /* of a handler */
    uint8_t part;    /* how many accesses of the present operation are done */
    bool fetched;    /* the word of the present operation has come for its next look */
    uint8_t loops;
    uint64_t remaining;  /* cycles of interrupted work, to be done before the next operation */
    uint64_t ticket;     /* lock: drawn, and not served yet; the first is 1 */
    uint64_t turns_spun; /* ... and how long it has spun since */
    uint64_t polled;     /* rx_poll: how many frames so far */
    uint64_t turns[GUEST_LOOPS_MAX];
    trace_flow flow;         /* of a handler */
    bool interrupts_enabled; /* of the code that the handler interrupted */
    bool acknowledged;
    bool user;    /* a handler of user interrupts, which ends by UIRET */
    bool unnamed; /* a trap whose vector the guest does not know yet: it has no program */
};

/* What a vector's delivery runs: `count` programs, the last one again and again. */
struct guest_handler {
    const struct guest_program *const *programs;
    uint32_t count;
    uint32_t delivered;
};

struct guest {
    struct guest_frame *frame; /* the innermost */
    uint32_t depth;
    struct rng random;
    uint64_t done;                     /* operations of the main program, for progress */
    struct guest_handler *handler;     /* by vector */
    struct guest_handler user_handler; /* of all user vectors: UIHANDLER is one address */
    struct guest_frame frames[GUEST_FRAMES_MAX];
};

/* handler[] is filled by the caller. */
void guest_init(struct guest *g, const struct guest_program *main, uint64_t seed,
                uint64_t stream);

/* The vCPU was reset: this program from its beginning, and no handler. */
void guest_restart(struct guest *g, const struct guest_program *main);

/* The next operation that concerns the machine, loops and ends resolved; NULL when the main
   program has ended. A handler's end is given as GUEST_iret, of user interrupts as GUEST_uiret.
   Asking again gives the same. */
const struct guest_insn *guest_fetch(struct guest *g);

/* The present operation is complete. */
void guest_next(struct guest *g);

/* A vector's handler begins. False: handlers are nested too deep, as only a guest does that
   unmasks interrupts after its EOI faster than it returns; its stack would overflow. */
bool guest_enter_handler(struct guest *g, unsigned vector, trace_flow flow,
                         bool interrupts_enabled);
/* Of an EPIC guest a trap begins, and later the guest learns its vector; until then `vector`
   stands in for it. */
bool guest_enter_trap(struct guest *g, unsigned vector, bool interrupts_enabled);
void guest_name_trap(struct guest *g, unsigned vector, trace_flow flow);
/* The same for user interrupts; `vector` is a TRACE_USER_VECTOR. */
bool guest_enter_user_handler(struct guest *g, unsigned vector, trace_flow flow,
                              bool interrupts_enabled);
/* It returns; true: interrupts were enabled in the code that it interrupted. */
bool guest_leave_handler(struct guest *g);

/* User code: the main program, and the handlers of user interrupts. */
static inline bool guest_in_user_mode(const struct guest *g)
{
    return g->depth == 0 || g->frame->user;
}

static inline bool guest_in_handler(const struct guest *g)
{
    return g->depth > 0;
}
#endif
