/*
 * The local APIC: IRR, ISR, priorities, ICR, LVT, timer (SDM 3A chapter
 * "Advanced Programmable Interrupt Controller (APIC)").
 *
 * It knows one core and the messages that pass it, and no hypervisor. The
 * register file is also the virtual-APIC page of a vCPU: virtualization
 * hardware (models/virt) works on the same storage, as it does in KVM.
 *
 * Left out: the delivery status of messages, which are accepted at once, and
 * the APIC bus. docs/models/lapic.md has the whole list.
 */
#ifndef VIRQSIM_IRQ_LAPIC_H
#define VIRQSIM_IRQ_LAPIC_H

#include "irq/irq_msg.h"
#include "port/vec256.h"

/* Offsets in the APIC page, as software writes them: LAPIC_TPR = 0x080, and so on. */
enum lapic_offset {
#define REG(name, offset, ...) LAPIC_##name = (offset),
#define VEC(name, offset, ...) LAPIC_##name = (offset),
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
};

enum {
    LAPIC_SVR_ENABLE = 1 << 8, /* SDM 3A "Spurious Interrupt" */
    LAPIC_SVR_NO_FOCUS = 1 << 9,
    LAPIC_SVR_SUPPRESS_EOI_BROADCAST = 1 << 12,
    LAPIC_LVT_ACTIVE_LOW = 1 << 13, /* SDM 3A "Local Vector Table" */
    LAPIC_LVT_REMOTE_IRR = 1 << 14,
    LAPIC_LVT_LEVEL = 1 << 15,
    LAPIC_LVT_MASKED = 1 << 16,
    LAPIC_ESR_SEND_ACCEPT = 1 << 2, /* SDM 3A "Error Handling" */
    LAPIC_ESR_REDIRECTABLE_IPI = 1 << 4,
    LAPIC_ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6,
    LAPIC_ESR_ILLEGAL_REGISTER = 1 << 7,
};

/* One word per row of the table; the three vector registers are sets. */
struct lapic_regs {
#define REG(name, ...) uint32_t name;
#define VEC(name, ...) struct vec256 name;
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
};

/* IA32_APIC_BASE bits 11 (EN) and 10 (EXTD): SDM 3A "x2APIC State Transitions". */
enum lapic_mode { LAPIC_MODE_DISABLED, LAPIC_MODE_XAPIC, LAPIC_MODE_X2APIC };

/* Where a reference departs from the SDM, and may be followed; a bit each. */
enum lapic_quirk {
#define QUIRK(name, id, qemu, kvm, title) LAPIC_QUIRK_##name,
#include "irq/lapic_quirks.def"
#undef QUIRK
    LAPIC_QUIRK_COUNT
};

/* What the APIC asks of its surroundings; each pointer is required. */
struct lapic_port {
    /* The ICR or the self-IPI register was written: send this message. Its flow is 0; whoever
       sends gives it one. */
    void (*send)(struct lapic_port *self, const struct irq_msg *msg);
    /* A level-triggered vector's EOI is broadcast to the I/O APICs. */
    void (*broadcast_eoi)(struct lapic_port *self, uint8_t vector);
    /* A timer register or IA32_TSC_DEADLINE was written, or a period began: the owner re-arms
       what counts for it. `deadline` is when the timer expires next, never in the past;
       SIM_TIME_NEVER: it was disarmed. */
    void (*timer_armed)(struct lapic_port *self, sim_time deadline);
};

struct lapic_config {
    uint16_t index;         /* in the fabric; `where` of its trace records */
    uint32_t apic_id;       /* the initial APIC ID; x2APIC ID */
    bool bootstrap;         /* IA32_APIC_BASE.BSP */
    enum lapic_mode mode;   /* at power-up; firmware's work is done before a plan starts */
    bool software_enabled;  /* SVR bit 8 after power-up and INIT, for the same reason */
    bool waits_for_sipi;    /* after power-up, as an application processor does */
    uint32_t version;       /* the version register; 0: the table's */
    bool no_x2apic;         /* CPUID.1:ECX.x2APIC is 0 */
    bool no_redirectable;   /* this processor sends no lowest-priority IPIs */
    bool p6;                /* P6 family: APR, focus processors, "send accept error" */
    uint32_t quirks;        /* of enum lapic_quirk; 0: the SDM */
    struct clock bus_clock; /* what the timer divides */
    struct clock tsc_clock; /* what IA32_TSC_DEADLINE counts */
    struct trace *trace;
    struct lapic_port *port;
};

/* LINT0 and LINT1: the pin, and the level-triggered vector whose EOI it awaits. */
struct lapic_pin {
    bool level;
    int16_t awaits; /* NO_VECTOR: Remote IRR is 0 */
};
enum { LAPIC_PINS = 2 };

struct lapic {
    struct lapic_regs regs;
    enum lapic_mode mode;
    uint32_t esr_pending; /* errors since ESR was last written */
    struct lapic_pin pin[LAPIC_PINS];
    bool extint_message; /* an ExtINT message waits for its INTA cycle */
    bool nmi_pending;
    bool smi_pending; /* nobody takes it: for whoever models SMM */
    bool init_pending, sipi_pending;
    bool waits_for_sipi; /* SDM 3A "MP Initialization Protocol Algorithm" */
    uint8_t sipi_vector;
    uint64_t tsc_deadline;   /* IA32_TSC_DEADLINE; 0: disarmed */
    sim_time timer_deadline; /* when the timer expires next, or SIM_TIME_NEVER */
    /* LVT_TIMER bits 18:17 and what TIMER_DIVIDE says, as the timer heard of them:
       virtualization hardware writes the registers before anybody emulates the write. */
    uint8_t timer_mode;
    uint8_t timer_divisor;
    uint64_t base; /* IA32_APIC_BASE without the mode: the page, BSP */
    struct lapic_config config;
    trace_flow pending_flow[VECTORS]; /* whose interrupt each IRR bit is */
    trace_flow service_flow[VECTORS]; /* and each ISR bit */
    trace_flow nmi_flow;
};

/* Power-up, into the configured mode. Asks nothing of the port. */
void lapic_init(struct lapic *l, const struct lapic_config *config);

/* INIT: the registers as after power-up, but for the APIC ID; the mode stays (SDM 3A "Local
   APIC State After It Receives an INIT Reset (Wait-for-SIPI State)"). What was pending ends as
   REFUSED. */
void lapic_reset(struct lapic *l);

/* Everything but the configuration comes from `saved`. The port hears nothing: the owner re-arms
   its timer for `timer_deadline`. */
void lapic_restore(struct lapic *l, const struct lapic *saved);

/* The core performs the INIT that is pending: lapic_reset(); then it waits for a SIPI, unless it
   is the bootstrap processor. False: none is pending. */
bool lapic_take_init(struct lapic *l);

/* The core leaves wait-for-SIPI and starts at `vector` << 12. False: it does not. */
bool lapic_take_sipi(struct lapic *l, uint8_t *vector);

/* What a message met when it arrived. */
enum lapic_answer {
    LAPIC_ACCEPTED,
    LAPIC_COALESCED,      /* the vector was pending already */
    LAPIC_DISABLED,       /* software-disabled: fixed interrupts are dropped */
    LAPIC_ILLEGAL_VECTOR, /* below 16: an error (ESR), not an interrupt */
    LAPIC_INTA,           /* ExtINT: lapic_extint() asks for an INTA cycle */
    LAPIC_IGNORED,        /* no interrupt: SMI, INIT level de-assert, SIPI to a running core */
};

/*
 * A message for this APIC. Fixed and lowest-priority: sets TMR by the trigger
 * mode, then IRR, and writes PENDING, COALESCED or REFUSED to the trace. NMI
 * does the same with its pending flag. INIT and SIPI set theirs and leave the
 * trace to whoever acts on them. SMI and ExtINT set theirs too; their flow, if
 * they have one, ends as REFUSED, since they make no interrupt of their own.
 */
enum lapic_answer lapic_accept(struct lapic *l, const struct irq_msg *msg);

/* Would a fixed interrupt be accepted: TMR, or ESR and trace, as for lapic_accept(); IRR not
   touched. For those who hold the vector elsewhere (PIR). LAPIC_ACCEPTED or the refusal. */
enum lapic_answer lapic_check(struct lapic *l, const struct irq_msg *msg);

/* Sets the IRR bit for a flow that was accepted elsewhere (PIR to IRR); COALESCED when held. */
void lapic_set_pending(struct lapic *l, uint8_t vector, trace_flow flow);

/* SDM 3A "Task and Processor Priorities". PPR is computed, never stored. */
uint8_t lapic_ppr(const struct lapic *l);

/* Is this vector's class above PPR's? Not so of NO_VECTOR. */
bool lapic_takes(const struct lapic *l, int vector);

/* The vector the core would get now (IRR's highest, if its class is above PPR's), or
   NO_VECTOR. Changes nothing. */
int lapic_pending(const struct lapic *l);

/* The core takes `vector`, which is in IRR: to ISR. */
void lapic_serve(struct lapic *l, uint8_t vector);

/* The core takes `lapic_pending()`: IRR to ISR. The spurious vector when there is none. */
uint8_t lapic_acknowledge(struct lapic *l);

/* The level of LINT0 or LINT1 (`pin`), before the LVT entry's polarity; and an event of another
   local source, by its LVT entry (LAPIC_LVT_THERMAL, _PERF, _CMCI). SDM 3A "Local Vector Table".
   Of a globally disabled APIC the pins are INTR and NMI. */
void lapic_lint(struct lapic *l, unsigned pin, bool level);
void lapic_local_event(struct lapic *l, uint16_t lvt);

/* Is the core asked to run an INTA cycle: a LINT pin programmed as ExtINT is asserted, or an
   ExtINT message waits. Changes nothing. */
bool lapic_extint(const struct lapic *l);

/* The core runs the INTA cycle; a message asks for one. A pin asks as long as it is asserted. */
void lapic_acknowledge_extint(struct lapic *l);

/* EOI: clears the highest ISR bit; returns its vector, or NO_VECTOR when none was set. */
int lapic_eoi(struct lapic *l);

/* Register accesses by offset, xAPIC page layout, whoever makes them. In xAPIC mode a reserved
   offset, and one that is not a multiple of 10H, sets ESR "illegal register address" and reads
   0; a write to a read-only register and a read of EOI do nothing. A disabled APIC reads all
   ones, as an unclaimed bus does. */
uint32_t lapic_read(struct lapic *l, uint16_t offset, sim_time now);
void lapic_write(struct lapic *l, uint16_t offset, uint32_t value, sim_time now);

/* Is this physical address in the register page: xAPIC mode alone has one. */
bool lapic_claims(const struct lapic *l, uint64_t address);

/* A core's access to that page, of `size` bytes at `offset`. Whatever is not one aligned 32-bit
   register is a reserved address; without a page a read gives all ones. */
uint32_t lapic_page_read(struct lapic *l, uint16_t offset, unsigned size, sim_time now);
void lapic_page_write(struct lapic *l, uint16_t offset, unsigned size, uint32_t value,
                      sim_time now);

/* The same through x2APIC MSRs 800H to 83FH; false: #GP. ICR is one 64-bit register. */
bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *value, sim_time now);
bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value, sim_time now);

enum { MSR_TSC_DEADLINE = 0x6e0 };

/* IA32_TSC_DEADLINE. Ignored, and reads 0, unless the timer is in that mode. */
uint64_t lapic_tsc_deadline(const struct lapic *l);
void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc, sim_time now);

/* The timer's deadline has come: re-arms a periodic timer, disarms the others. Fills `msg`
   (a self-addressed fixed message, flow 0) and returns true unless the LVT masks it.
   Before the deadline it does nothing and returns false. */
bool lapic_timer_expired(struct lapic *l, sim_time now, struct irq_msg *msg);

/* What an ICR value means, given the mode: SDM 3A "Interrupt Command Register (ICR)". */
struct irq_msg lapic_decode_icr(const struct lapic *l, uint64_t icr);

static inline uint32_t lapic_id(const struct lapic *l)
{
    return l->mode == LAPIC_MODE_X2APIC ? l->config.apic_id : l->regs.ID >> 24;
}

/* SDM 3A "Lowest Priority Delivery Mode": what P6 processors arbitrate with; computed. */
uint8_t lapic_apr(const struct lapic *l);

/* P6 family: the message that this APIC sent found nobody. SDM 3A "Error Handling". */
void lapic_not_accepted(struct lapic *l);

/* IA32_APIC_BASE (1BH): SDM 3A "x2APIC State Transitions". False: #GP. */
uint64_t lapic_base(const struct lapic *l);
bool lapic_set_base(struct lapic *l, uint64_t value);

/* The LDR's own bits in xAPIC mode. In x2APIC mode they follow from the ID (SDM 3A "Deriving
   Logical x2APIC ID from the Local x2APIC ID"): cluster in 31:16, one bit in 15:0. */
uint32_t lapic_logical_id(const struct lapic *l);

/* CPUID.1:EDX.APIC[9], which follows IA32_APIC_BASE.EN: SDM 3A "Enabling or Disabling the Local
   APIC". */
static inline bool lapic_cpuid(const struct lapic *l)
{
    return l->mode != LAPIC_MODE_DISABLED;
}

static inline bool lapic_follows(const struct lapic *l, enum lapic_quirk quirk)
{
    return l->config.quirks >> quirk & 1;
}

static inline bool lapic_enabled(const struct lapic *l)
{
    return l->mode != LAPIC_MODE_DISABLED && l->regs.SVR & LAPIC_SVR_ENABLE;
}

/* The x2APIC MSR that is this register: SDM 3A "x2APIC Register Address Space". */
static inline uint32_t lapic_msr(uint16_t offset)
{
    return 0x800u + (offset >> 4);
}
#endif
