/*
 * Points 1 to 60 of the conformance list in docs/models/lapic.md, a test each.
 * CR8 is VMX's (TPR shadow) or SVM's; what needs running code is a plan.
 */
#include <memory>

#include "plans.h"
#include "unit/lapic_bench.h"
#include "virt_machine.h"

namespace
{

enum : uint64_t { page_at = 0xfee00000, en = 0x800, extd = 0x400 };
enum : uint32_t { one_shot = 0, periodic = 1 << 17, tsc_deadline = 2 << 17, by_1 = 0xb };

/* One APIC with its registers as software sees them: the page, the MSRs. */
class Apic : public LapicBench
{
  protected:
    uint32_t page(uint16_t offset)
    {
        return lapic_page_read(&apic, offset, 4, now);
    }
    bool base(uint64_t bits)
    {
        return lapic_set_base(&apic, page_at | bits);
    }
    void write_whole_page()
    {
        for (unsigned offset = 0; offset < 0x1000; offset += 4)
            lapic_page_write(&apic, (uint16_t)offset, 4, ~0u, now);
    }
    /* Faults, and the mode stays. */
    void expect_fault(lapic_mode from, uint64_t bits)
    {
        power_up(from);
        const uint64_t before = lapic_base(&apic);
        EXPECT_FALSE(base(bits));
        EXPECT_EQ(lapic_base(&apic), before);
    }
};

/* ---- existence, enabling, disabling ---- */

TEST_F(Apic, Point01_TheVersionIsOfAnIntegratedApic)
{
    EXPECT_GE(page(LAPIC_VERSION) & 0xff, 0x10u);
    EXPECT_LE(page(LAPIC_VERSION) & 0xff, 0x15u);
}

TEST_F(Apic, Point02_EnReadsBackZero)
{
    EXPECT_TRUE(base(0));
    EXPECT_EQ(lapic_base(&apic), page_at);
}

TEST_F(Apic, Point03_CpuidSaysThatADisabledApicIsNotThere)
{
    base(0);
    EXPECT_FALSE(lapic_cpuid(&apic));
}

TEST_F(Apic, Point04_NobodyAnswersAtThePageOfADisabledApic)
{
    base(0);
    write_whole_page();
    EXPECT_EQ(page(LAPIC_VERSION), UINT32_MAX);
    EXPECT_FALSE(lapic_claims(&apic, page_at));
}

TEST_F(Apic, Point08_EnabledAgainItIsInXapicMode)
{
    base(0);
    EXPECT_TRUE(base(en));
    EXPECT_EQ(lapic_base(&apic), page_at | en);
}

TEST_F(Apic, Point09_CpuidSaysThatItIsThereAgain)
{
    base(0);
    base(en);
    EXPECT_TRUE(lapic_cpuid(&apic));
}

TEST_F(Apic, Point10_TheVersionIsTheSameAsBefore)
{
    const uint32_t before = page(LAPIC_VERSION);
    base(0);
    write_whole_page();
    base(en);
    EXPECT_EQ(page(LAPIC_VERSION), before);
    EXPECT_EQ(errors(), 0u);
}

TEST_F(Apic, Point13_FromXapicModeToX2apicMode)
{
    EXPECT_TRUE(base(en | extd));
    EXPECT_EQ(lapic_base(&apic), page_at | en | extd);
    EXPECT_TRUE(lapic_cpuid(&apic));
}

TEST_F(Apic, Point15_ThePageMoves)
{
    base(0);
    EXPECT_TRUE(lapic_set_base(&apic, 0xfed40000 | en));
    EXPECT_TRUE(lapic_claims(&apic, 0xfed40030));
    EXPECT_FALSE(lapic_claims(&apic, 0xfed41000));
    EXPECT_FALSE(lapic_claims(&apic, 0xfee00030));
    EXPECT_EQ(page(LAPIC_VERSION), apic.regs.VERSION);
}

TEST_F(Apic, Point16_ABaseBeyondMaxphyaddrFaults)
{
    for (unsigned b = 46; b < 64; b++) {
        EXPECT_FALSE(base(en | UINT64_C(1) << b)) << b;
        EXPECT_EQ(lapic_base(&apic), page_at | en);
    }
}

TEST_F(Apic, Point17_ReservedLowBitsFault)
{
    for (unsigned b : {0, 1, 2, 3, 4, 5, 6, 7, 9}) {
        EXPECT_FALSE(base(en | UINT64_C(1) << b)) << b;
        EXPECT_EQ(lapic_base(&apic), page_at | en);
    }
}

/* ---- CR8 ---- */

/* What the guest sees of one CPU: CR8, its APIC's page and mode. */
class Cr8 : public ::testing::TestWithParam<const virt_ops *>
{
  protected:
    VirtMachine m{GetParam(), LAPIC_MODE_XAPIC};

    Cr8()
    {
        if (GetParam() == &virt_vmx)
            m.controls({VMX_USE_TPR_SHADOW});
        else
            m.cpu.vmcb.v_intr_masking = true;
    }
    uint32_t page(uint16_t offset)
    {
        return lapic_page_read(&m.apic, offset, 4, m.now);
    }
    void write_whole_page()
    {
        for (unsigned offset = 0; offset < 0x1000; offset += 4)
            lapic_page_write(&m.apic, (uint16_t)offset, 4, ~0u, m.now);
    }
    void base(uint64_t bits)
    {
        ASSERT_TRUE(lapic_set_base(&m.apic, page_at | bits));
    }
    uint64_t cr8()
    {
        const virt_verdict v = m.cpu.ops->read_cr8(&m.cpu);
        expect_stay(v, VIRT_DONE);
        return v.value;
    }
    void set_cr8(uint8_t value)
    {
        expect_stay(m.cpu.ops->write_cr8(&m.cpu, value), VIRT_DONE);
    }
    void expect_apart_from_the_page()
    {
        const uint64_t before = cr8();
        write_whole_page();
        EXPECT_EQ(cr8(), before);
        set_cr8((uint8_t)(before ^ 5));
        EXPECT_EQ(cr8(), before ^ 5);
        EXPECT_EQ(page(LAPIC_TPR), UINT32_MAX);
    }
};

TEST_P(Cr8, Point05_WritesToThePageOfADisabledApicDoNotReachIt)
{
    base(0);
    set_cr8(3);
    write_whole_page();
    EXPECT_EQ(cr8(), 3u);
}

TEST_P(Cr8, Point06_WorksWhileTheApicIsDisabled)
{
    base(0);
    for (uint8_t value = 0; value < 16; value++) {
        set_cr8(value);
        EXPECT_EQ(cr8(), value);
    }
}

TEST_P(Cr8, Point07_IsNotSeenInThePageOfADisabledApic)
{
    base(0);
    set_cr8(9);
    EXPECT_EQ(page(LAPIC_TPR), UINT32_MAX);
}

TEST_P(Cr8, Point11_IsTprAfterTheApicWasEnabledAgain)
{
    base(0);
    base(en);
    EXPECT_EQ(cr8(), 0u);
    EXPECT_EQ(page(LAPIC_TPR), 0u);
}

TEST_P(Cr8, Point12_IsTheUpperHalfOfTprInThePage)
{
    const uint8_t value = (uint8_t)(cr8() ^ 15);
    set_cr8(value);
    EXPECT_EQ(page(LAPIC_TPR), (uint32_t)value << 4);
}

TEST_P(Cr8, Point14_WorksInX2apicModeWhichHasNoPage)
{
    base(en | extd);
    expect_apart_from_the_page();
}

INSTANTIATE_TEST_SUITE_P(Of, Cr8, ::testing::Values(&virt_vmx, &virt_svm),
                         [](const auto &i) { return i.param == &virt_vmx ? "Vmx" : "Svm"; });

/* ---- mode transitions ---- */

TEST_F(Apic, Point18_X2apicToExtdWithoutEnFaults)
{
    expect_fault(LAPIC_MODE_X2APIC, extd);
}

TEST_F(Apic, Point19_X2apicToXapicFaults)
{
    expect_fault(LAPIC_MODE_X2APIC, en);
}

TEST_F(Apic, Point20_X2apicToDisabledIsAllowed)
{
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_TRUE(base(0));
}

TEST_F(Apic, Point21_DisabledToExtdWithoutEnFaults)
{
    expect_fault(LAPIC_MODE_DISABLED, extd);
}

TEST_F(Apic, Point22_DisabledToX2apicFaults)
{
    expect_fault(LAPIC_MODE_DISABLED, en | extd);
}

TEST_F(Apic, Point23_DisabledToXapicIsAllowed)
{
    power_up(LAPIC_MODE_DISABLED);
    EXPECT_TRUE(base(en));
}

TEST_F(Apic, Point24_XapicToExtdWithoutEnFaults)
{
    expect_fault(LAPIC_MODE_XAPIC, extd);
}

TEST_F(Apic, Point25_X2apicModeThatCpuidDoesNotOfferFaults)
{
    config.no_x2apic = true;
    expect_fault(LAPIC_MODE_XAPIC, en | extd);
}

/* ---- the APIC ID ---- */

TEST_F(Apic, Point26_TheXapicIdIsTheInitialOne)
{
    EXPECT_EQ(page(LAPIC_ID), config.apic_id << 24);
}

TEST_F(Apic, Point27_TheXapicIdCanBeWritten)
{
    lapic_page_write(&apic, LAPIC_ID, 4, 0x08ffffff, now);
    EXPECT_EQ(page(LAPIC_ID), 0x08000000u);
    EXPECT_EQ(lapic_id(&apic), 8u);
    lapic_reset(&apic);
    EXPECT_EQ(lapic_id(&apic), 8u) << "INIT keeps it";
}

TEST_F(Apic, Point28_TheX2apicIdCannotBeWritten)
{
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_FALSE(wrmsr(0x802, 8));
}

TEST_F(Apic, Point29_TheX2apicIdIsTheInitialOneWhateverWasWritten)
{
    write(LAPIC_ID, 0x99000000);
    EXPECT_TRUE(base(en | extd));
    EXPECT_EQ(msr(LAPIC_ID), config.apic_id);
}

TEST_F(Apic, Point30_TheX2apicIdHas32BitsAndGivesTheLogicalId)
{
    config.apic_id = 0x123;
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_EQ(msr(LAPIC_ID), 0x123u);
    EXPECT_EQ(msr(LAPIC_LDR), 0x00120008u);
}

TEST_F(Apic, Point31_TheXapicIdIsTheInitialOneAfterDisabling)
{
    write(LAPIC_ID, 0x08000000);
    base(0);
    base(en);
    EXPECT_EQ(page(LAPIC_ID), config.apic_id << 24);
}

/* ---- IPIs ---- */

/* CPUs whose APICs reach each other; what arrived is counted by vector. */
class Cpus : public ::testing::Test
{
  protected:
    struct Cpu : lapic_port {
        Cpus *machine = nullptr;
        lapic apic{};
        std::vector<int> got;
    };
    Recorder recorder;
    std::vector<std::unique_ptr<Cpu>> cpus;
    std::vector<lapic *> apics;
    apic_fabric fabric{};
    const sim_time now{0};

    void build(unsigned count, lapic_mode mode = LAPIC_MODE_XAPIC)
    {
        cpus.clear();
        apics.clear();
        for (unsigned i = 0; i < count; i++) {
            cpus.push_back(std::make_unique<Cpu>());
            Cpu &cpu = *cpus.back();
            cpu.machine = this;
            cpu.send = send_through;
            cpu.broadcast_eoi = [](lapic_port *, uint8_t) {};
            cpu.timer_armed = [](lapic_port *, sim_time) {};
            lapic_config config{};
            config.index = (uint16_t)i;
            config.apic_id = i;
            config.mode = mode;
            config.software_enabled = true;
            config.bus_clock = config.tsc_clock = clock_of_hz(1000000000);
            config.trace = &recorder.trace;
            config.port = &cpu;
            lapic_init(&cpu.apic, &config);
            apics.push_back(&cpu.apic);
        }
        fabric = {apics.data(), count, &recorder.trace};
    }

    static void send_through(lapic_port *port, const irq_msg *msg)
    {
        Cpus *self = static_cast<Cpu *>(port)->machine;
        irq_msg m = *msg;
        m.flow = trace_new_flow(&self->recorder.trace);
        apic_fabric_route(&self->fabric, &m, arrive, self);
    }
    static void arrive(void *context, unsigned index, const irq_msg *msg)
    {
        auto *self = static_cast<Cpus *>(context);
        self->cpus[index]->got.push_back(msg->vector);
        lapic_accept(self->apics[index], msg);
    }

    void write(unsigned cpu, uint16_t offset, uint32_t value)
    {
        lapic_page_write(apics[cpu], offset, 4, value, now);
    }
    void set_ldr(unsigned cpu, uint32_t ldr, uint32_t dfr)
    {
        write(cpu, LAPIC_LDR, ldr << 24);
        write(cpu, LAPIC_DFR, dfr);
    }
    /* Sends F1H from CPU 0 and tells how often each CPU got it. All have taken it then. */
    std::vector<unsigned> ipi(uint32_t icr, uint32_t dest = 0)
    {
        std::vector<unsigned> times;
        if (apics[0]->mode == LAPIC_MODE_X2APIC) {
            lapic_wrmsr(apics[0], 0x830, (uint64_t)dest << 32 | icr | 0xf1, now);
        } else {
            write(0, LAPIC_ICR_HI, dest << 24);
            write(0, LAPIC_ICR_LO, icr | 0xf1);
        }
        for (auto &cpu : cpus) {
            times.push_back((unsigned)cpu->got.size());
            if (!cpu->got.empty()) {
                EXPECT_EQ(lapic_acknowledge(&cpu->apic), 0xf1);
            }
            EXPECT_EQ(lapic_pending(&cpu->apic), NO_VECTOR);
            lapic_eoi(&cpu->apic);
            cpu->got.clear();
        }
        return times;
    }
    using Times = std::vector<unsigned>;
    enum : uint32_t { logical = 1 << 11, self = 1 << 18, all = 2 << 18 };
    enum : uint32_t { flat = 0xffffffff, cluster = 0x0fffffff };
};

TEST_F(Cpus, Point32_TwoWithOneXapicIdBothGetItOnce)
{
    build(2);
    for (uint32_t id = 0; id < 256; id++) {
        write(0, LAPIC_ID, id << 24);
        write(1, LAPIC_ID, id << 24);
        EXPECT_EQ(ipi(0, id), (Times{1, 1})) << id;
    }
}

TEST_F(Cpus, Point33_TheSelfShorthandInXapicMode)
{
    build(2);
    EXPECT_EQ(ipi(self), (Times{1, 0}));
}

TEST_F(Cpus, Point34_TheSelfShorthandInX2apicMode)
{
    build(2, LAPIC_MODE_X2APIC);
    EXPECT_EQ(ipi(self), (Times{1, 0}));
}

TEST_F(Cpus, Point35_PhysicalFfReachesEverybodyOnce)
{
    build(3);
    EXPECT_EQ(ipi(0, 0xff), (Times{1, 1, 1}));
}

TEST_F(Cpus, Point36_PhysicalAllOnesReachesEverybodyInX2apicModeOnce)
{
    build(3, LAPIC_MODE_X2APIC);
    EXPECT_EQ(ipi(0, 0xffffffff), (Times{1, 1, 1}));
    EXPECT_EQ(ipi(0, 0xff), (Times{0, 0, 0}));
}

TEST_F(Cpus, Point37_TheShorthandForAllReachesEverybodyOnce)
{
    for (lapic_mode mode : {LAPIC_MODE_XAPIC, LAPIC_MODE_X2APIC}) {
        build(3, mode);
        EXPECT_EQ(ipi(all), (Times{1, 1, 1}));
    }
}

TEST_F(Cpus, Point38_FlatOneBitReachesItsOwnerAndNeverAnLdrOfZero)
{
    build(2);
    set_ldr(0, 0, flat);
    set_ldr(1, 0x01, flat);
    for (uint32_t dest = 1; dest < 255; dest += 2)
        EXPECT_EQ(ipi(logical, dest), (Times{0, 1})) << dest;
    for (uint32_t dest = 0; dest < 255; dest += 2)
        EXPECT_EQ(ipi(logical, dest), (Times{0, 0})) << dest;
}

TEST_F(Cpus, Point39_FlatEachOfTheEightBits)
{
    build(2);
    for (unsigned bit = 0; bit < 8; bit++) {
        set_ldr(1, 1u << bit, flat);
        for (uint32_t dest = 0; dest < 255; dest++)
            EXPECT_EQ(ipi(logical, dest), (Times{0, dest >> bit & 1})) << dest;
    }
}

TEST_F(Cpus, Point40_ClusterReachesItsMembers)
{
    build(2);
    set_ldr(0, 0, cluster);
    for (uint32_t c = 0; c < 15; c++)
        for (unsigned bit = 0; bit < 4; bit++) {
            set_ldr(1, c << 4 | 1u << bit, cluster);
            for (uint32_t dest = 0; dest < 0xf0; dest++) {
                const unsigned times = dest >> 4 == c && dest >> bit & 1;
                ASSERT_EQ(ipi(logical, dest), (Times{0, times})) << dest;
            }
        }
}

TEST_F(Cpus, Point41_FlatTwoBitsReachTheirOwnersOnce)
{
    build(2);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 8; j++) {
            set_ldr(0, 1u << i, flat);
            set_ldr(1, 1u << j, flat);
            for (uint32_t dest = 0; i != j && dest < 256; dest++)
                ASSERT_EQ(ipi(logical, dest), (Times{dest >> i & 1, dest >> j & 1})) << dest;
        }
}

TEST_F(Cpus, Point42_FlatTwoMatchingBitsAreOneInterrupt)
{
    build(2);
    set_ldr(0, 0x24, flat);
    set_ldr(1, 0x24, flat);
    EXPECT_EQ(ipi(logical, 0x24), (Times{1, 1}));
    EXPECT_EQ(ipi(logical, 0x20), (Times{1, 1}));
}

TEST_F(Cpus, Point43_ClusterTwoMembersOnceEach)
{
    build(2);
    for (uint32_t c = 0; c < 15; c++) {
        set_ldr(0, c << 4 | 1, cluster);
        set_ldr(1, c << 4 | 4, cluster);
        EXPECT_EQ(ipi(logical, c << 4 | 5), (Times{1, 1})) << c;
        EXPECT_EQ(ipi(logical, c << 4 | 7), (Times{1, 1})) << c;
    }
}

TEST_F(Cpus, Point44_ClusterTwoMatchingBitsAreOneInterrupt)
{
    build(2);
    set_ldr(0, 0x36, cluster);
    set_ldr(1, 0x36, cluster);
    EXPECT_EQ(ipi(logical, 0x36), (Times{1, 1}));
    EXPECT_EQ(ipi(logical, 0x32), (Times{1, 1}));
}

TEST_F(Cpus, Point45_TheDfrSelectsTheModelOfEachCpuAtAnyTime)
{
    build(2);
    set_ldr(0, 0x12, cluster);
    set_ldr(1, 0x12, flat);
    EXPECT_EQ(ipi(logical, 0x22), (Times{0, 1}));
    EXPECT_EQ(ipi(logical, 0x12), (Times{1, 1}));
    set_ldr(0, 0x12, flat);
    EXPECT_EQ(ipi(logical, 0x22), (Times{1, 1}));
}

/* ---- NMI ---- */

/* Two vCPUs; vCPU 0 takes NMIs and vector 48, and both count into shared words. */
plans::Plan nmi_plan()
{
    plans::Plan p;
    p.technology = "none";
    p.programs = {{"nmi", R"(["word_add",0,1])"}, {"fixed", R"(["eoi"],["word_add",1,1])"}};
    p.vcpus = {{0, "target", {{2, "nmi"}, {48, "fixed"}}}, {1, "sender", {}}};
    return p;
}

/* The one place where it could be taken: between STI and the end of the next instruction. */
TEST(Nmi, Point46_IsNotTakenInTheShadowOfSti)
{
    VirtMachine m(&virt_vmx, LAPIC_MODE_XAPIC);
    m.controls({VMX_NMI_WINDOW_EXITING});
    m.cpu.shadow = true;
    const virt_boundary behind_sti = m.cpu.ops->boundary(&m.cpu);
    EXPECT_FALSE(virt_exits(&behind_sti.exit));
    m.cpu.shadow = false;
    const virt_boundary later = m.cpu.ops->boundary(&m.cpu);
    EXPECT_TRUE(virt_exits(&later.exit));
}

/* One to oneself (ICR 40400H), and another CPU's (400H) while the first one is handled: one is
   taken, one waits. */
TEST(Nmi, Point47_TwoAtAboutTheSameTimeAreTwoDeliveries)
{
    plans::Plan p = nmi_plan();
    p.programs["target"] = R"(["ipi",263168,0],["spin_until",0,2],["word_add",2,1])";
    p.programs["nmi"] = R"(["word_add",0,1],["spin_until",3,1])";
    p.programs["sender"] = R"(["spin_until",0,1],["ipi",1024,0],["word_add",3,1],)"
                           R"(["spin_until",2,1])";
    plans::Machine m(p);
    ASSERT_EQ(m.error(), "");
    EXPECT_EQ(m.run(), VIRQSIM_ENDED);
}

TEST(Nmi, Point48_TenFromInsideTheHandlerAreOneMore)
{
    plans::Plan p = nmi_plan();
    p.programs["target"] = R"(["ipi",263168,0],["compute",100000],["spin_until",0,2],)"
                           R"(["compute",100000],["word_add",2,1])";
    p.programs["nmi"] = R"(["word_add",0,1],["spin_until",3,1])";
    p.programs["sender"] = R"(["spin_until",0,1],["repeat",10],["ipi",1024,0],["end"],)"
                           R"(["word_add",3,1],["spin_until",2,1])";
    plans::Machine m(p);
    ASSERT_EQ(m.error(), "");
    EXPECT_EQ(m.run(), VIRQSIM_ENDED);
    EXPECT_EQ(m.latency("nmi", "count") + m.latency("ipi", "count"), 2u);
}

/* Each handler needs the token (word 5), and only the NMI's gives it back: had the fixed one been
   entered first, the NMI would wait forever, inside it or behind it. */
TEST(Nmi, Point49_AFixedIpiIsNotTakenBeforeTheNmiThatWasSentBefore)
{
    plans::Plan p = nmi_plan();
    p.programs["target"] = R"(["word_add",5,1],["spin_until",1,1],["spin_until",0,1])";
    p.programs["nmi"] = R"(["spin_take",5,1],["word_add",5,1],["word_add",0,1])";
    p.programs["fixed"] = R"(["spin_take",5,1],["eoi"],["word_add",1,1])";
    p.programs["sender"] = R"(["spin_until",5,1],["ipi",1024,0],["ipi",48,0])";
    plans::Machine m(p);
    ASSERT_EQ(m.error(), "");
    EXPECT_EQ(m.run(), VIRQSIM_ENDED);
}

/* ---- the timer: bus clock 1 GHz, TSC 2 GHz ---- */

class ApicTimer : public Apic
{
  protected:
    unsigned fired = 0;

    void start(uint32_t mode, uint32_t count)
    {
        write(LAPIC_TIMER_DIVIDE, by_1);
        write(LAPIC_LVT_TIMER, mode | 0xd0);
        write(LAPIC_TIMER_INITIAL, count);
    }
    void change_to(uint32_t mode)
    {
        write(LAPIC_LVT_TIMER, mode | 0xd0);
    }
    void arm(uint64_t tsc)
    {
        write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
        lapic_set_tsc_deadline(&apic, tsc, now);
        run_to(now.ps / ns);
    }
    void run_to(uint64_t nanoseconds)
    {
        irq_msg msg;
        now.ps = nanoseconds * ns;
        while (lapic_timer_expired(&apic, now, &msg))
            fired++;
    }
    uint32_t current()
    {
        return read(LAPIC_TIMER_CURRENT);
    }
};

TEST_F(ApicTimer, Point50_OneShotFiresOnceAndNotEarly)
{
    start(one_shot, 1000);
    run_to(999);
    EXPECT_EQ(fired, 0u);
    run_to(1000);
    EXPECT_EQ(fired, 1u);
    run_to(100000);
    EXPECT_EQ(fired, 1u);
}

TEST_F(ApicTimer, Point51_AModeChangeKeepsTheInitialCount)
{
    start(one_shot, 1000);
    change_to(periodic);
    EXPECT_EQ(read(LAPIC_TIMER_INITIAL), 1000u);
}

TEST_F(ApicTimer, Point52_TheModeReadsBackAsWritten)
{
    for (uint32_t mode : {periodic, one_shot, tsc_deadline, periodic, tsc_deadline, one_shot}) {
        change_to(mode);
        EXPECT_EQ(read(LAPIC_LVT_TIMER), mode | 0xd0);
    }
}

TEST_F(ApicTimer, Point53_TheInitialCountStartsTheCurrentCount)
{
    start(one_shot, 1000);
    EXPECT_EQ(current(), 1000u);
}

TEST_F(ApicTimer, Point54_OneShotComesToZeroAndStays)
{
    start(one_shot, 1000);
    for (uint64_t t : {1000, 1001, 5000, 1000000}) {
        run_to(t);
        EXPECT_EQ(current(), 0u) << t;
    }
}

TEST_F(ApicTimer, Point55_OneShotToPeriodicGoesOnFromWhereItWas)
{
    start(one_shot, 1000);
    run_to(500);
    change_to(periodic);
    EXPECT_EQ(current(), 500u);
    run_to(501);
    EXPECT_EQ(current(), 499u);
}

TEST_F(ApicTimer, Point56_AndThenReloads)
{
    start(one_shot, 1000);
    run_to(500);
    change_to(periodic);
    run_to(1000);
    EXPECT_EQ(fired, 1u);
    EXPECT_EQ(current(), 1000u);
    run_to(3000);
    EXPECT_EQ(fired, 3u);
}

TEST_F(ApicTimer, Point57_PeriodicToOneShotGoesOnToZero)
{
    start(periodic, 1000);
    run_to(1500);
    change_to(one_shot);
    EXPECT_EQ(current(), 500u);
    run_to(9000);
    EXPECT_EQ(fired, 2u);
    EXPECT_EQ(current(), 0u);
}

TEST_F(ApicTimer, Point58_ModeChangeDoesNotStartAnExpiredTimer)
{
    start(one_shot, 1000);
    run_to(1000);
    change_to(periodic);
    EXPECT_EQ(current(), 0u);
    run_to(9000);
    EXPECT_EQ(fired, 1u);
}

TEST_F(ApicTimer, Point59_ADeadlineThatIsNowFiresAtOnce)
{
    run_to(1000);
    for (uint64_t tsc : {2000, 1999, 1}) {
        fired = 0;
        arm(tsc);
        EXPECT_EQ(fired, 1u) << tsc;
    }
    fired = 0;
    arm(2001);
    EXPECT_EQ(fired, 0u);
}

TEST_F(ApicTimer, Point60_TheDeadlineReadsZeroAfterwards)
{
    arm(2000);
    EXPECT_EQ(lapic_tsc_deadline(&apic), 2000u);
    run_to(1000);
    EXPECT_EQ(fired, 1u);
    EXPECT_EQ(lapic_tsc_deadline(&apic), 0u);
}

} // namespace
