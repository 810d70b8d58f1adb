/* Ten statements that SDM 3C makes exactly, in its chapter "APIC Virtualization and Virtual
   Interrupts", each for every value it speaks of; the section's title is beside its tests. */
#include "uintr_bench.h"

#include <functional>
#include <random>
#include <set>
#include <string>

struct Statement : ::testing::Test, VmxBench {
    void status(unsigned svi, unsigned rvi)
    {
        vmcs_set(&cpu.vmcs, VMCS_GUEST_INTR_STATUS, svi << 8 | rvi);
    }
    /* Not by an evaluation, nor by one ever after. */
    void forget()
    {
        cpu.recognized = false;
    }
};

/* A guest in xAPIC mode: the same by the page. */
struct PageStatement : Statement {
    PageStatement()
    {
        off(VMX_VIRTUALIZE_X2APIC_MODE);
        controls({VMX_VIRTUALIZE_APIC_ACCESSES});
    }
    virt_verdict write(uint16_t offset, uint32_t value)
    {
        cpu.message_flow = flow();
        return virt_vmx.apic_write(&cpu, offset, value, now);
    }
};

/* ---- 1. "TPR Virtualization" ---- */

TEST_F(Statement, Sdm30_1_2_WithoutDeliveryTheTprExitsExactlyBelowTheThreshold)
{
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    for (unsigned threshold = 0; threshold < 16; threshold++)
        for (unsigned value = 0; value < 256; value++) {
            virt_vmx.set_tpr_threshold(&cpu, (uint8_t)threshold);
            const virt_verdict v = tpr((uint8_t)value);
            EXPECT_EQ(value >> 4 < threshold ? VIRT_EXIT_AFTER : VIRT_DONE, v.path);
            EXPECT_EQ(value, apic.regs.TPR) << "the exit follows the write";
        }
}

TEST_F(PageStatement, Sdm30_1_2_Cr8AndTheApicPageAreTprVirtualizationToo)
{
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    virt_vmx.set_tpr_threshold(&cpu, 7);
    for (unsigned priority = 0; priority < 16; priority++) {
        const virt_path path = priority < 7 ? VIRT_EXIT_AFTER : VIRT_DONE;
        EXPECT_EQ(path, virt_vmx.write_cr8(&cpu, (uint8_t)priority).path);
        EXPECT_EQ(path, write(0x080, priority << 4).path);
    }
}

TEST_F(Statement, Sdm30_1_2_WithDeliveryItIsPprVirtualizationAndAnEvaluationAndNoExit)
{
    for (unsigned threshold = 0; threshold < 16; threshold++)
        for (unsigned value = 0; value < 256; value++) {
            virt_vmx.set_tpr_threshold(&cpu, (uint8_t)threshold);
            status(0, 0x81);
            forget();
            expect_stay(tpr((uint8_t)value), VIRT_DONE);
            EXPECT_EQ(value, apic.regs.PPR);
            EXPECT_EQ(value >> 4 < 8, cpu.recognized);
        }
}

/* ---- 2. "PPR Virtualization" ---- */

TEST_F(Statement, Sdm30_1_3_VpprIsVtprUnlessSviIsOfAHigherClass)
{
    for (unsigned svi = 0; svi < 256; svi++)
        for (unsigned value = 0; value < 256; value++) {
            const unsigned vppr = value >> 4 >= svi >> 4 ? value : svi & 0xf0;
            status(svi, 0);
            tpr((uint8_t)value);
            ASSERT_EQ(vppr, apic.regs.PPR) << "SVI " << svi << ", VTPR " << value;
            apic.regs.PPR = 0;
            expect_quiet(enter());
            ASSERT_EQ(vppr, apic.regs.PPR) << "at an entry";
        }
}

/* ---- 3. "EOI Virtualization" ---- */

TEST_F(Statement, Sdm30_1_4_AnEoiRetiresSviGoesToTheNextAndThenLooksAtTheBitmap)
{
    std::mt19937 random(3);

    for (int n = 0; n < 5000; n++) {
        std::set<unsigned> in_service;
        apic.regs.ISR = vec256{};
        for (unsigned left = random() % 4; left; left--)
            in_service.insert(16 + random() % 240);
        for (unsigned vector : in_service)
            vec_set(&apic.regs.ISR, vector);
        const unsigned vector = in_service.empty() ? 0 : *in_service.rbegin();
        const bool exits = random() % 2;
        const auto word = (vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + vector / 64);
        vmcs_set(&cpu.vmcs, word, exits ? UINT64_C(1) << vector % 64 : 0);
        apic.regs.TPR = random() % 256;
        status(vector, 0xff);
        forget();

        const virt_verdict v = eoi();
        in_service.erase(vector);
        const unsigned next = in_service.empty() ? 0 : *in_service.rbegin();
        const unsigned value = apic.regs.TPR;
        ASSERT_FALSE(vec_has(&apic.regs.ISR, vector));
        ASSERT_EQ(next, svi());
        ASSERT_EQ(value >> 4 >= next >> 4 ? value : next & 0xf0, apic.regs.PPR);
        ASSERT_EQ(exits ? VIRT_EXIT_AFTER : VIRT_DONE, v.path) << "trap-like";
        ASSERT_EQ(exits ? vector : 0, v.qualification);
        ASSERT_EQ(!exits && 0xf > apic.regs.PPR >> 4, cpu.recognized)
            << "nothing is evaluated where the EOI exits";
    }
}

/* ---- 4. "Self-IPI Virtualization" ---- */

TEST_F(PageStatement, Sdm30_1_5_RviBecomesTheMaximumOfItselfAndTheVector)
{
    for (unsigned rvi_before = 0; rvi_before < 256; rvi_before++)
        for (unsigned vector = 16; vector < 256; vector += 7) {
            apic.regs.IRR = vec256{};
            status(0, rvi_before);
            expect_stay(write(0x300, 0x40000 | vector), VIRT_DONE);
            ASSERT_EQ(std::max(rvi_before, vector), rvi());
            ASSERT_TRUE(vec_has(&apic.regs.IRR, vector));
        }
}

/* ---- 5. "IPI Virtualization" ---- */

TEST_F(Statement, Sdm30_1_6_AnIllegalVectorExitsWhateverTheTarget)
{
    for (unsigned vector = 0; vector < 32; vector++)
        for (uint32_t target = 0; target < 6; target++) {
            const bool refused = vector < 16 || target > 3 || target == 2 /* not valid */;
            const virt_verdict v = ipi(target, (uint8_t)vector);
            EXPECT_EQ(refused ? VIRT_EXIT_AFTER : VIRT_DONE, v.path);
            EXPECT_EQ(refused ? EXIT_VMX_APIC_WRITE : EXIT_NONE, v.reason);
            EXPECT_EQ(refused ? 0x300u : 0u, v.qualification);
        }
}

TEST_F(Statement, Sdm30_1_6_TheLastPidPointerIndexBoundsTheTarget)
{
    for (unsigned last = 0; last < 4; last++) {
        vmcs_set(&cpu.vmcs, VMCS_LAST_PID_INDEX, last);
        for (uint32_t target : {0u, 1u, 3u})
            EXPECT_EQ(target > last ? VIRT_EXIT_AFTER : VIRT_DONE, ipi(target, 0x31).path);
        EXPECT_EQ(VIRT_EXIT_AFTER, ipi(UINT32_MAX, 0x31).path);
    }
}

/* What another agent sees of the descriptor when its PIR bit has just been set. */
struct PirWatch : trace_sink {
    const posted_descriptor *descriptor;
    bool posted = false, outstanding = false;

    explicit PirWatch(const posted_descriptor *d) : trace_sink{look, nullptr}, descriptor(d)
    {
    }
    static void look(trace_sink *self, const trace_record *r)
    {
        auto *w = static_cast<PirWatch *>(self);

        if (r->event != TRACE_PENDING)
            return;
        w->posted = true;
        w->outstanding = w->descriptor->on;
    }
};

TEST_F(Statement, Sdm30_1_6_PirComesFirstAndANotificationOnlyWithOnAndSnClear)
{
    for (bool on : {false, true})
        for (bool sn : {false, true}) {
            PirWatch watch(&other);
            trace.sinks = &watch;
            other.pir = vec256{};
            other.on = on;
            other.sn = sn;
            const virt_verdict v = ipi(1, 0x31);
            EXPECT_TRUE(watch.posted);
            EXPECT_EQ(on, watch.outstanding) << "ON is set after PIR";
            EXPECT_TRUE(vec_has(&other.pir, 0x31));
            EXPECT_EQ(!on && !sn ? &other : nullptr, v.notify);
            EXPECT_EQ(on || !sn, other.on);
            trace.sinks = &kept;
        }
}

/* ---- 6. "Virtual-Interrupt Delivery" ---- */

TEST_F(Statement, Sdm30_2_2_DeliveryNeedsIfAndNoBlockingAndNoInterruptWindowExiting)
{
    for (unsigned bits = 0; bits < 16; bits++) {
        const bool masked = bits & 1, sti = bits & 2, mov_ss = bits & 4, window = bits & 8;
        VmxBench m;
        m.self_ipi(0x51);
        m.cpu.interrupts_enabled = !masked;
        m.cpu.shadow = sti;
        m.cpu.mov_ss_shadow = mov_ss;
        virt_vmx.open_window(&m.cpu, window);
        EXPECT_EQ(bits ? NO_VECTOR : 0x51, m.boundary().vector) << bits;
    }
}

TEST_F(Statement, Sdm30_2_2_ItWakesFromHltAndNotFromShutdownOrWaitForSipi)
{
    const struct {
        bool virt_cpu::*state;
        int delivered;
    } rows[] = {
        {&virt_cpu::halted, 0x51},
        {&virt_cpu::shut_down, NO_VECTOR},
        {&virt_cpu::waits_for_sipi, NO_VECTOR},
    };

    for (const auto &row : rows) {
        VmxBench m;
        m.self_ipi(0x51);
        m.cpu.*row.state = true;
        EXPECT_EQ(row.delivered, m.boundary().vector);
        EXPECT_EQ(row.delivered == NO_VECTOR, m.cpu.*row.state);
        EXPECT_EQ(row.delivered == NO_VECTOR, m.cpu.recognized) << "it waits, recognized";
    }
}

TEST_F(Statement, Sdm30_2_2_ItEndsMwait)
{
    self_ipi(0x51);
    cpu.monitor = VIRT_MONITOR_WAITING;
    EXPECT_EQ(0x51, boundary().vector);
    EXPECT_FALSE(virt_waits(&cpu));
}

/* Both are there at an entry: the virtual interrupt's handler begins, and then the guest leaves. */
TEST_F(Statement, Sdm30_2_2_ItComesBeforeAnExternalInterrupt)
{
    request(0x51);
    EXPECT_EQ(0x51, enter().vector);
    expect_exit(virt_vmx.external_interrupt(&cpu, 0xec), VIRT_EXIT,
                EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_EQ(0x51, svi()) << "in the handler already";
}

/* ---- 7. "Evaluation of Pending Virtual Interrupts" ---- */

using Operation = std::function<void(VmxBench &)>;

struct Named {
    std::string name;
    Operation run;
};

static std::string numbered(const char *name, unsigned n)
{
    return name + std::string(" ") + std::to_string(n);
}

/* An evaluation would recognize 51H. */
static void pending(VmxBench &m)
{
    m.cpu.interrupts_enabled = false;
    m.request(0x51);
    m.cpu.recognized = false;
}

/* An evaluation would no longer recognize 51H. */
static void outranked(VmxBench &m)
{
    m.cpu.interrupts_enabled = false;
    m.self_ipi(0x51);
    m.apic.regs.TPR = m.apic.regs.PPR = 0xff;
}

static const std::vector<Named> triggers = {
    {"VM entry", [](VmxBench &m) { m.enter(); }},
    {"TPR virtualization", [](VmxBench &m) { m.tpr((uint8_t)m.apic.regs.TPR); }},
    {"EOI virtualization", [](VmxBench &m) { m.eoi(); }},
    {"self-IPI virtualization", [](VmxBench &m) { m.self_ipi(0x31); }},
    {"posted-interrupt processing",
     [](VmxBench &m) { virt_vmx.external_interrupt(&m.cpu, VmxBench::NV); }},
};

TEST(Evaluation, Sdm30_2_1_TheFiveTriggersEvaluateEachBothWays)
{
    for (const Named &trigger : triggers) {
        SCOPED_TRACE(trigger.name);
        VmxBench lower, higher;
        pending(lower);
        trigger.run(lower);
        EXPECT_TRUE(lower.cpu.recognized);
        outranked(higher);
        ASSERT_TRUE(higher.cpu.recognized);
        trigger.run(higher);
        EXPECT_FALSE(higher.cpu.recognized);
    }
}

static void add_msrs(std::vector<Named> *list)
{
    for (uint32_t msr = 0x800; msr < 0x840; msr++) {
        list->push_back({numbered("RDMSR", msr),
                         [=](VmxBench &m) { virt_vmx.rdmsr(&m.cpu, msr, VmxBench::now); }});
        if (msr != 0x808 && msr != 0x80b) /* of 83FH: vector 0 */
            list->push_back({numbered("WRMSR", msr), [=](VmxBench &m) {
                                 m.pass({msr});
                                 virt_vmx.wrmsr(&m.cpu, msr, 0, VmxBench::now);
                             }});
    }
    for (uint32_t msr : {0x808u, 0x80bu, 0x83fu})
        list->push_back({numbered("WRMSR of reserved bits", msr), [=](VmxBench &m) {
                             virt_vmx.wrmsr(&m.cpu, msr, 0x10051, VmxBench::now);
                         }});
    for (uint32_t target = 0; target < 5; target++)
        list->push_back(
            {numbered("IPI to", target), [=](VmxBench &m) { m.ipi(target, 0x61); }});
}

static void use_page(VmxBench &m)
{
    m.off(VMX_VIRTUALIZE_X2APIC_MODE);
    m.controls({VMX_VIRTUALIZE_APIC_ACCESSES});
}

static void add_page(std::vector<Named> *list)
{
    for (unsigned offset = 0; offset < 0x400; offset += 4) {
        const auto at = (uint16_t)offset;
        list->push_back({numbered("page read", offset), [=](VmxBench &m) {
                             use_page(m);
                             virt_vmx.apic_read(&m.cpu, at, VmxBench::now);
                         }});
        if (offset != 0x080 && offset != 0x0b0)
            list->push_back({numbered("page write", offset), [=](VmxBench &m) {
                                 use_page(m);
                                 virt_vmx.apic_write(&m.cpu, at, 0x61, VmxBench::now);
                             }});
    }
}

static void add_instructions(std::vector<Named> *list)
{
    for (int i = VIRT_CPUID; i <= VIRT_SENDUIPI; i++)
        list->push_back({numbered("instruction", (unsigned)i), [=](VmxBench &m) {
                             m.off(VMX_HLT_EXITING);
                             virt_vmx.instruction(&m.cpu, (virt_instruction)i, 0);
                         }});
    list->push_back({"MOV from CR8", [](VmxBench &m) { virt_vmx.read_cr8(&m.cpu); }});
    list->push_back({"MOV to CR8 that exits", [](VmxBench &m) {
                         m.controls({VMX_CR8_LOAD_EXITING});
                         virt_vmx.write_cr8(&m.cpu, 0);
                     }});
    list->push_back({"TPR without delivery", [](VmxBench &m) {
                         m.off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
                         m.tpr(m.cpu.recognized ? 0xff : 0);
                     }});
    list->push_back({"EOI that exits", [](VmxBench &m) {
                         m.exit_on_eoi(0);
                         m.eoi();
                     }});
}

static void add_events(std::vector<Named> *list)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (vector != VmxBench::NV)
            list->push_back({numbered("external interrupt", vector), [=](VmxBench &m) {
                                 virt_vmx.external_interrupt(&m.cpu, (uint8_t)vector);
                             }});
    list->push_back({"notification that is not processed", [](VmxBench &m) {
                         m.off(VMX_PROCESS_POSTED_INTERRUPTS);
                         virt_vmx.external_interrupt(&m.cpu, VmxBench::NV);
                     }});
    list->push_back({"post", [](VmxBench &m) { posted_post(&m.descriptor, 0x61, m.flow()); }});
    list->push_back({"timer", [](VmxBench &m) {
                         m.controls({VMX_ACTIVATE_PREEMPTION_TIMER});
                         virt_vmx.preemption_timer(&m.cpu);
                     }});
    list->push_back({"boundary", [](VmxBench &m) { m.boundary(); }});
    list->push_back({"boundary with a window", [](VmxBench &m) {
                         m.cpu.interrupts_enabled = true;
                         virt_vmx.open_window(&m.cpu, true);
                         m.boundary();
                     }});
}

static void add_hypervisor(std::vector<Named> *list)
{
    list->push_back({"inject", [](VmxBench &m) { virt_vmx.inject(&m.cpu, 0x61, false); }});
    list->push_back({"cancel", [](VmxBench &m) { virt_vmx.cancel_injection(&m.cpu); }});
    list->push_back({"threshold", [](VmxBench &m) { virt_vmx.set_tpr_threshold(&m.cpu, 0); }});
    list->push_back(
        {"NMI window", [](VmxBench &m) { virt_vmx.open_nmi_window(&m.cpu, true); }});
    list->push_back({"RVI and SVI", [](VmxBench &m) { virt_vmx.sync(&m.cpu); }});
    list->push_back({"window, opened and closed", [](VmxBench &m) {
                         virt_vmx.open_window(&m.cpu, true);
                         virt_vmx.open_window(&m.cpu, false);
                     }});
    list->push_back({"questions", [](VmxBench &m) {
                         bool nmi;
                         virt_vmx.posts(&m.cpu);
                         virt_vmx.delivers(&m.cpu);
                         virt_vmx.interrupted_delivery(&m.cpu, &nmi);
                     }});
}

TEST(Evaluation, Sdm30_2_1_NoOtherOperationEvaluates)
{
    std::vector<Named> others;

    add_msrs(&others);
    add_page(&others);
    add_instructions(&others);
    add_events(&others);
    add_hypervisor(&others);
    for (const Named &operation : others) {
        VmxBench lower, higher;
        pending(lower);
        operation.run(lower);
        EXPECT_FALSE(lower.cpu.recognized) << operation.name;
        outranked(higher);
        operation.run(higher);
        EXPECT_TRUE(higher.cpu.recognized) << operation.name;
    }
}

TEST(Evaluation, Sdm30_2_1_AnInstructionBoundaryDeliversNothingThatWasNotRecognized)
{
    VmxBench m;

    pending(m);
    m.cpu.interrupts_enabled = true;
    expect_quiet(m.boundary());
    m.tpr(0);
    EXPECT_EQ(0x51, m.boundary().vector);
    EXPECT_FALSE(m.cpu.recognized) << "delivery ends it";
}

/* ---- 8. "Posted-Interrupt Processing" ---- */

TEST_F(Statement, Sdm30_6_OnlyTheNotificationVectorIsProcessedAllOthersExit)
{
    for (unsigned nv = 0; nv < 256; nv += 51)
        for (unsigned vector = 0; vector < 256; vector++) {
            vmcs_set(&cpu.vmcs, VMCS_POSTED_INTR_VECTOR, nv);
            posted_post(&descriptor, 0x31, flow());
            const virt_verdict v = virt_vmx.external_interrupt(&cpu, (uint8_t)vector);
            EXPECT_EQ(vector == nv ? VIRT_DONE : VIRT_EXIT, v.path);
            EXPECT_EQ(vector != nv, descriptor.on);
            EXPECT_EQ(vector != nv, (bool)vec_has(&descriptor.pir, 0x31));
        }
}

/* 31H is in VIRR already, so that moving it leaves a record: of what the descriptor is then. */
struct MoveWatch : trace_sink {
    const posted_descriptor *descriptor;
    bool moved = false, outstanding = true;

    explicit MoveWatch(const posted_descriptor *d) : trace_sink{look, nullptr}, descriptor(d)
    {
    }
    static void look(trace_sink *self, const trace_record *r)
    {
        auto *w = static_cast<MoveWatch *>(self);

        if (r->event != TRACE_COALESCED)
            return;
        w->moved = true;
        w->outstanding = w->descriptor->on;
    }
};

TEST_F(Statement, Sdm30_6_OnIsClearedBeforePirIsMoved)
{
    request(0x31);
    posted_post(&descriptor, 0x31, flow());
    MoveWatch watch(&descriptor);
    trace.sinks = &watch;
    ASSERT_TRUE(descriptor.on);
    virt_vmx.external_interrupt(&cpu, NV);
    EXPECT_TRUE(watch.moved);
    EXPECT_FALSE(watch.outstanding);
    trace.sinks = &kept;
}

TEST_F(Statement, Sdm30_6_RviBecomesTheMaximumOfItselfAndPir)
{
    for (unsigned rvi_before = 0; rvi_before < 256; rvi_before += 3)
        for (unsigned posted = 0; posted < 256; posted += 5) {
            status(0, rvi_before);
            apic.regs.IRR = vec256{};
            if (posted)
                posted_post(&descriptor, (uint8_t)posted, flow());
            virt_vmx.external_interrupt(&cpu, NV);
            ASSERT_EQ(std::max(rvi_before, posted), rvi());
            ASSERT_TRUE(vec_empty(&descriptor.pir));
        }
}

/*
 * Step 4, the physical EOI, and that nothing comes between the steps, have
 * nobody to see them: the host's APICs are not modelled, and one call does all.
 */

/* ---- 9. "Virtualizing User-Interrupt Notifications" ---- */

TEST(UserInterrupts, Sdm30_2_3_TheVirtualEoiOfANotificationDoesNotLookAtTheEoiExitBitmap)
{
    for (unsigned uinv = 16; uinv < 256; uinv++)
        for (bool in_bitmap : {false, true}) {
            UintrBench m;
            m.user.uinv = (uint8_t)uinv;
            if (in_bitmap)
                m.exit_on_eoi((uint8_t)uinv);
            m.post(7);
            m.self_ipi((uint8_t)uinv);
            const virt_boundary b = m.boundary();
            ASSERT_TRUE(b.notification) << uinv;
            ASSERT_FALSE(virt_exits(&b.exit)) << uinv;
            ASSERT_TRUE(vec_empty(&m.apic.regs.ISR)) << uinv;
            ASSERT_EQ(UINT64_C(1) << 7, m.user.uirr) << uinv;
            m.user.uinv = 0; /* of an ordinary interrupt it does */
            m.serve((uint8_t)uinv);
            ASSERT_EQ(in_bitmap ? VIRT_EXIT_AFTER : VIRT_DONE, m.eoi().path) << uinv;
        }
}

/* ---- 10. "Virtualizing SENDUIPI" ---- */

TEST(UserInterrupts,
     Sdm30_7_WithTheTprShadowAndWithoutIpiVirtualizationSenduipiIsAnApicWriteExit)
{
    for (bool shadow : {false, true})
        for (bool ipi : {false, true})
            for (bool page : {false, true}) {
                UintrBench m;
                if (page)
                    m.use_page();
                if (!shadow)
                    m.off(VMX_USE_TPR_SHADOW);
                if (!ipi)
                    m.off(VMX_IPI_VIRTUALIZATION);
                const virt_verdict v = m.senduipi(0x31, page ? 0x100 : 1);
                SCOPED_TRACE(shadow * 4 + ipi * 2 + page);
                if (!shadow) {
                    expect_stay(v, VIRT_NATIVE); /* the physical ICR is written */
                } else if (ipi) {
                    expect_stay(v, VIRT_DONE);
                    EXPECT_EQ(&m.other, v.notify);
                } else {
                    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
                    EXPECT_EQ(0x300u, v.qualification);
                }
                EXPECT_EQ(shadow && ipi, (bool)vec_has(&m.other.pir, 0x31));
                EXPECT_EQ(shadow ? 0x31u : 0u, m.apic.regs.ICR_LO);
            }
}

/* The path that it shares with the ICR. */
TEST_F(PageStatement, Sdm30_7_WithoutIpiVirtualizationAnIcrThatIsNoSelfIpiIsAnApicWriteExit)
{
    off(VMX_IPI_VIRTUALIZATION);
    const virt_verdict v = write(0x300, 0x31);
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    EXPECT_EQ(0x300u, v.qualification);
    EXPECT_EQ(0x31u, apic.regs.ICR_LO) << "after the write";
    EXPECT_TRUE(vec_empty(&other.pir));
}
