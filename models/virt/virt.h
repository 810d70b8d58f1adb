/*
 * What virtualization hardware does for interrupts: one interface, an
 * architecture a file behind it (vmx.c, svm.c, e2k.c).
 *
 * Whether an operation leaves the guest is decided here, from control bits
 * alone (VMCS or VMCB fields, MSR bitmap): nobody asks which technology this
 * is. The hardware answers with a verdict and does nothing else; the run loop
 * pays the cost, moves the vCPU and writes VM_EXIT and VM_ENTRY to the trace.
 *
 * Two groups of operations: what the guest and the outside world do to the
 * hardware while the guest runs, and what the hypervisor writes into its
 * control structure between an exit and an entry.
 */
#ifndef VIRQSIM_VIRT_VIRT_H
#define VIRQSIM_VIRT_VIRT_H

#include "irq/lapic.h"
#include "irq/posted.h"
#include "virt/avic.h"
#include "virt/e2k.h"
#include "virt/svm.h"
#include "virt/uintr.h"
#include "virt/vmcs.h"

enum exit_reason {
    EXIT_NONE,
#define EXIT(id, vendor, number, name, meaning) EXIT_##id,
#include "virt/exit_reasons.def"
#undef EXIT
    EXIT_REASON_COUNT
};

enum virt_vendor { VIRT_VMX, VIRT_SVM, VIRT_E2K, VIRT_VENDORS };
extern const char *const virt_vendor_titles[VIRT_VENDORS]; /* for people */

/* As host vectors: no interrupts, but AVIC's signal from one CPU to another, and the NMI. */
enum { VIRT_DOORBELL = 0, VIRT_NMI = 2 };

struct exit_reason_info {
    const char *name; /* KVM's */
    enum virt_vendor vendor;
    uint32_t number; /* the architecture's */
    const char *meaning;
};
extern const struct exit_reason_info exit_reasons[EXIT_REASON_COUNT];

/* The reason KVM prints as `name`, or EXIT_NONE. */
enum exit_reason exit_reason_by_name(const char *name);

enum virt_path {
    VIRT_NATIVE, /* nothing intervened: the instruction does what it does without a hypervisor */
    VIRT_DONE,   /* the hardware virtualized it: complete, the guest goes on */
    VIRT_EXIT,   /* the guest leaves before the instruction (fault-like) */
    VIRT_EXIT_AFTER, /* the instruction is complete, then the guest leaves (trap-like) */
};

struct virt_verdict {
    enum virt_path path;
    enum exit_reason reason;
    uint64_t qualification; /* the part that matters here: offset, vector, MSR, port, address */
    uint64_t value;         /* what a read returned, for VIRT_DONE */
    struct posted_descriptor *notify; /* IPI virtualization: this CPU sends NV to NDST */
    int retired;                      /* the vector whose EOI was virtualized, or NO_VECTOR */
};

/* Instructions whose exiting is one control bit or none. */
enum virt_instruction {
    VIRT_CPUID,
    VIRT_HYPERCALL,
    VIRT_PAUSE, /* detail: the TSC, which PAUSE-loop exiting measures with */
    VIRT_HLT,
    VIRT_MONITOR,
    VIRT_MWAIT,
    VIRT_WBINVD,
    VIRT_STGI, /* SVM: the global interrupt flag */
    VIRT_CLGI,
    VIRT_PORT_IO,     /* detail: the port */
    VIRT_MMIO,        /* detail: the address; a page marked as MMIO */
    VIRT_UNMAPPED,    /* detail: the address; a page that the hypervisor has not mapped */
    VIRT_OPAQUE_MMIO, /* detail: the address; the same by an instruction that nobody emulates */
    VIRT_TRIPLE_FAULT, /* the processor shuts down */
    VIRT_UNKNOWN,      /* it leaves for a reason that nobody asked for */
    VIRT_IRET,         /* the end of an NMI handler: NMIs are open again */
    VIRT_SENDUIPI,     /* its ordinary IPI; detail: VIRT_USER_IPI */
};
enum { VIRT_INSTRUCTIONS = VIRT_SENDUIPI + 1 };

/* The notification vector, and NDST as the UPID has it. */
#define VIRT_USER_IPI(nv, ndst) ((uint64_t)(nv) | (uint64_t)(ndst) << 32)

/* What the hardware keeps of the PAUSEs since the last entry, by the TSC. */
struct virt_pause_loop {
    bool any;
    uint64_t first; /* VMX: of the present loop */
    uint64_t last;
    uint32_t left; /* SVM: the filter's counter */
};

/* PAUSEs at a steady pace, as a loop executes them: the first at `tsc`, then one every `turn`
   counts, which are at least 1. */
struct virt_pauses {
    uint64_t tsc, turn;
};

/* MONITOR and MWAIT: a range is watched; and the core waits for a store to it. */
enum virt_monitor { VIRT_MONITOR_OFF, VIRT_MONITOR_ARMED, VIRT_MONITOR_WAITING };

struct virt_cpu {
    const struct virt_ops *ops;
    /* Where the plan declares features (hypothetical.h): their rules, and the rule that decided the
       last operation, until its cost is paid; NULL: the hardware's own. */
    const struct hypothetical_rule *ruled;
    const struct hypothetical *hypothetical;
    union {
        struct vmcs vmcs;
        struct vmcb vmcb;
        struct e2k e2k;
    };
    struct lapic *apic;                   /* its register file is the virtual-APIC page */
    struct posted_descriptor *descriptor; /* this vCPU's, where it has one */
    /* IPI virtualization: descriptors by APIC ID; NULL entries are invalid. */
    struct posted_descriptor *const *pid_table;
    /* Where external interrupts do not exit they go through the guest's IDT, or the one that the
       hypervisor has put in its place: a gate of that is the guest's own, or not present and so an
       exit. `direct`: what the physical APIC holds for the guest; it stands in the guest's IRR. */
    bool shadow_idt;
    struct vec256 guest_gates, direct;
    struct uintr *user; /* user interrupts; NULL: CR4.UINTR is 0 */
    /* AVIC: the table of physical APIC IDs, and room for as many targets; those of the last ICR
       write. */
    struct avic_table *avic;
    struct cepic *cepic; /* e2k: the guest's EPIC controller, in place of `apic`; else NULL */
    struct e2k_guest *guest; /* and where its cores are */
    struct avic_target *target;
    uint32_t target_count;

    /* MSR bitmaps, the parts that matter; a set bit exits. x2APIC: bit n is MSR 800H + n. */
    uint64_t x2apic_read_exits, x2apic_write_exits;
    bool tsc_deadline_exits; /* reads and writes */
    bool
        apic_page_is_mmio; /* nested page tables: marked as MMIO; else it has a slot, and is not mapped */

    /* Guest state that decides what can be delivered. */
    bool interrupts_enabled; /* RFLAGS.IF */
    bool shadow;             /* VMX: blocking by STI; SVM: by either: one instruction long */
    bool mov_ss_shadow;      /* VMX: blocking by MOV SS or POP SS, as long */
    bool nmi_blocked;        /* an NMI handler runs */
    bool gif_clear;          /* SVM: the guest's GIF is 0, since it has executed CLGI */
    bool halted;             /* activity state HLT, HLT executed without an exit */
    bool user_mode;          /* CPL is 3, in 64-bit mode */
    bool shut_down, waits_for_sipi; /* VMX: the activity states that no guest here comes into */
    bool
        timer_expired; /* VMX: the VMX-preemption timer, whose deadline is the run loop's, is at 0 */
    uint8_t
        monitor; /* enum virt_monitor; a store to the range, seen by the caller, switches it off */
    struct virt_pause_loop pause_loop;
    /* VMX, APIC-timer virtualization: the guest's deadline has come, as the run loop says, and this
       is its interrupt's flow; 0: it has not. The next boundary makes it pending. */
    trace_flow timer_event;
    /* The flow of the ICR or self-IPI write under way, given by the caller before apic_write()
       and wrmsr(). Hardware that completes the write announces the destination with ROUTED (a:
       vector, b: this flow; where: the destination's index) and lets the vector carry it. */
    trace_flow message_flow;
    bool passive_context; /* software switches a part of the guest's context: e2k */
    bool delivery_faults; /* the next delivery meets an unmapped page (IDT or stack) */
    bool recognized;      /* VMX: the last evaluation found a virtual interrupt to deliver */
};

/* What happened at an instruction boundary, or at the end of a VM entry. */
struct virt_boundary {
    struct virt_verdict exit; /* path VIRT_EXIT, or VIRT_NATIVE when the guest stays */
    int vector;               /* delivered to the guest's IDT now, or NO_VECTOR */
    bool nmi;                 /* it is the NMI (vector 2) */
    bool injected;            /* by event injection, else by virtual-interrupt delivery */
    bool notification;        /* it was UINV: taken, and nothing is delivered */
    bool user;                /* it is a user interrupt, of this TRACE_USER_VECTOR */
};

struct virt_ops {
    enum virt_vendor vendor;

    /* The guest touches its APIC: by MMIO (offset in the APIC page) or by MSR. */
    struct virt_verdict (*apic_read)(struct virt_cpu *v, uint16_t offset, sim_time now);
    struct virt_verdict (*apic_write)(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                      sim_time now);
    struct virt_verdict (*rdmsr)(struct virt_cpu *v, uint32_t msr, sim_time now);
    struct virt_verdict (*wrmsr)(struct virt_cpu *v, uint32_t msr, uint64_t value,
                                 sim_time now);
    struct virt_verdict (*read_cr8)(struct virt_cpu *v);
    struct virt_verdict (*write_cr8)(struct virt_cpu *v, uint8_t cr8);
    struct virt_verdict (*instruction)(struct virt_cpu *v, enum virt_instruction i,
                                       uint64_t detail);

    /* A loop need not be executed PAUSE by PAUSE: the number of the one that instruction() is to
       decide, from 1, UINT64_MAX where all stay; and `n` before it were executed. */
    uint64_t (*pauses_to_exit)(const struct virt_cpu *v, struct virt_pauses p);
    void (*pauses)(struct virt_cpu *v, struct virt_pauses p, uint64_t n);

    /* A physical interrupt reached the CPU while the guest runs: VIRT_EXIT, or VIRT_DONE when it
       was the notification vector and posted-interrupt processing took it. */
    struct virt_verdict (*external_interrupt)(struct virt_cpu *v, uint8_t host_vector);
    /* The host's timer for this guest is the hardware's own (VMX-preemption timer). */
    struct virt_verdict (*preemption_timer)(struct virt_cpu *v);

    /* APIC-timer virtualization: the deadline that the guest has armed, in counts of the TSC; 0:
       none. NULL where there is no such thing. */
    uint64_t (*guest_deadline)(const struct virt_cpu *v);
    void (*set_guest_deadline)(struct virt_cpu *v, uint64_t tsc);

    /* An instruction boundary in the guest: window exits, then virtual-interrupt delivery, in the
       priority of SDM 3A "Priority Among Concurrent Events". Delivery clears IF, ends HLT and
       moves the vector from IRR to ISR. Cheap when nothing is pending: the run loop asks often. */
    struct virt_boundary (*boundary)(struct virt_cpu *v);

    /* VM entry: event injection first, then what boundary() does, TPR threshold included. */
    struct virt_boundary (*enter)(struct virt_cpu *v);

    /* For hardware that is declared, not modelled (hypothetical.h): an exit that it has decided on,
       and IRR, ISR or TPR that it has changed while the guest runs. */
    struct virt_verdict (*leave)(struct virt_cpu *v, enum virt_path path, enum exit_reason why,
                                 uint64_t qualification);
    void (*changed)(struct virt_cpu *v);

    /* The hypervisor's side. */
    void (*inject)(struct virt_cpu *v, uint8_t vector, bool nmi); /* at the next entry */
    void (*cancel_injection)(struct virt_cpu *v);
    /* Interrupt-window exiting or V_IRQ; NMI-window exiting or the IRET intercept. */
    void (*open_window)(struct virt_cpu *v, bool open);
    void (*open_nmi_window)(struct virt_cpu *v, bool open);
    void (*set_tpr_threshold)(struct virt_cpu *v, uint8_t tpr_class);
    bool (*posts)(const struct virt_cpu *v);    /* posted interrupts are processed */
    bool (*delivers)(const struct virt_cpu *v); /* virtual-interrupt delivery is on */
    void (*sync)(struct virt_cpu *v);           /* IRR or ISR changed: RVI and SVI follow */
    bool (*eoi_exits)(const struct virt_cpu *v, uint8_t vector); /* it waits for this EOI */
    /* An exit interrupted the delivery of this vector (IDT vectoring, EXITINTINFO); NO_VECTOR: none. */
    int (*interrupted_delivery)(const struct virt_cpu *v, bool *nmi);
};

extern const struct virt_ops virt_vmx, virt_svm, virt_e2k;

/* HLT or MWAIT without an exit: nothing is executed until something ends it. */
static inline bool virt_waits(const struct virt_cpu *v)
{
    return v->halted || v->monitor == VIRT_MONITOR_WAITING;
}

/* Exit path in the verdict, in one line. */
static inline bool virt_exits(const struct virt_verdict *v)
{
    return v->path == VIRT_EXIT || v->path == VIRT_EXIT_AFTER;
}
#endif
