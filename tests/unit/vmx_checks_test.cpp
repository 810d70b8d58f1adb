/* What VM entry checks, each row of vmx_checks.def both ways: the state that the row refuses, and
   the nearest that it lets pass. Conditions are typed from SDM 3C "Checks on VMX Controls" and
   "Checks on the Guest State Area". */
#include "vmx_bench.h"

#include <functional>
#include <set>
#include <string>

namespace
{

using State = std::function<void(VmxBench &)>;

struct Row {
    vmx_check_id id;
    vmx_failure failure;
    State refused, passed;
};

void set(VmxBench &m, vmcs_field f, uint64_t value)
{
    vmcs_set(&m.cpu.vmcs, f, value);
}

State field(vmcs_field f, uint64_t value)
{
    return [=](VmxBench &m) { set(m, f, value); };
}

/* Controls that are cleared, then controls that are set. */
State controls(std::initializer_list<Control> cleared, std::initializer_list<Control> added)
{
    const std::vector<Control> off(cleared), on(added);

    return [=](VmxBench &m) {
        for (Control c : off)
            m.off(c);
        for (Control c : on)
            m.controls({c});
    };
}

/* KVM without virtual-interrupt delivery: the TPR threshold counts. */
State threshold(uint32_t value, uint8_t tpr, bool page)
{
    return [=](VmxBench &m) {
        m.off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
        m.off(VMX_PROCESS_POSTED_INTERRUPTS);
        if (page) {
            m.off(VMX_VIRTUALIZE_X2APIC_MODE);
            m.controls({VMX_VIRTUALIZE_APIC_ACCESSES});
        }
        set(m, VMCS_TPR_THRESHOLD, value);
        m.apic.regs.TPR = tpr;
    };
}

enum Type { EXTERNAL, RESERVED, NMI, EXCEPTION, SOFTWARE, PRIVILEGED, TRAP, OTHER };

constexpr uint64_t injected(Type type, unsigned vector, bool error_code = false)
{
    return UINT64_C(0x80000000) | (uint64_t)error_code << 11 | (uint64_t)type << 8 | vector;
}

State inject(uint64_t info, const State &also = nullptr)
{
    return [=](VmxBench &m) {
        set(m, VMCS_ENTRY_INTR_INFO, info);
        if (also)
            also(m);
    };
}

State page_at(uint64_t address)
{
    return [=](VmxBench &m) {
        controls({VMX_VIRTUALIZE_X2APIC_MODE}, {VMX_VIRTUALIZE_APIC_ACCESSES})(m);
        set(m, VMCS_APIC_ACCESS_ADDR, address);
    };
}

State table_at(uint64_t address, uint16_t last)
{
    return [=](VmxBench &m) {
        set(m, VMCS_PID_POINTER_TABLE, address);
        set(m, VMCS_LAST_PID_INDEX, last);
    };
}

/* Flags of virt_cpu. */
State flags(std::initializer_list<bool virt_cpu::*> set_ones)
{
    const std::vector<bool virt_cpu::*> ones(set_ones);

    return [=](VmxBench &m) {
        for (bool virt_cpu::*flag : ones)
            m.cpu.*flag = true;
    };
}

void masked(VmxBench &m)
{
    m.cpu.interrupts_enabled = false;
}

const auto halted = flags({&virt_cpu::halted}), shut_down = flags({&virt_cpu::shut_down}),
           waiting = flags({&virt_cpu::waits_for_sipi}), sti = flags({&virt_cpu::shadow}),
           mov_ss = flags({&virt_cpu::mov_ss_shadow}), in_nmi = flags({&virt_cpu::nmi_blocked});

constexpr uint64_t WIDTH = UINT64_C(1) << 52; /* the first address that is too wide */

/* Everything off that needs the TPR shadow. */
State without_shadow(Control left)
{
    return [=](VmxBench &m) {
        for (Control c : {VMX_USE_TPR_SHADOW, VMX_VIRTUALIZE_X2APIC_MODE,
                          VMX_APIC_REGISTER_VIRTUALIZATION, VMX_VIRTUAL_INTERRUPT_DELIVERY,
                          VMX_PROCESS_POSTED_INTERRUPTS, VMX_IPI_VIRTUALIZATION})
            m.off(c);
        m.controls({left});
    };
}

State with_shadow(Control left)
{
    return [=](VmxBench &m) {
        without_shadow(left)(m);
        m.controls({VMX_USE_TPR_SHADOW});
    };
}

State timer_vector(uint16_t vector)
{
    return [=](VmxBench &m) {
        m.controls({VMX_APIC_TIMER_VIRTUALIZATION});
        set(m, VMCS_VIRTUAL_TIMER_VECTOR, vector);
    };
}

#define CONTROL(id) VMX_CHECK_##id, VMX_INVALID_CONTROL
#define GUEST(id)   VMX_CHECK_##id, VMX_INVALID_GUEST_STATE

State uinv(uint16_t value, bool load)
{
    return [=](VmxBench &m) {
        set(m, VMCS_GUEST_UINV, value);
        if (load)
            m.controls({VMX_LOAD_UINV});
    };
}

const std::vector<Row> rows = {
    {CONTROL(MSR_BITMAP), field(VMCS_MSR_BITMAP, 0x1800), field(VMCS_MSR_BITMAP, 0x1000)},
    {CONTROL(MSR_BITMAP), field(VMCS_MSR_BITMAP, WIDTH),
     field(VMCS_MSR_BITMAP, WIDTH - 0x1000)},
    {CONTROL(VIRTUAL_APIC_PAGE), field(VMCS_VIRTUAL_APIC_PAGE, 0x1008),
     field(VMCS_VIRTUAL_APIC_PAGE, 0x1000)},
    {CONTROL(VIRTUAL_APIC_PAGE), field(VMCS_VIRTUAL_APIC_PAGE, WIDTH),
     field(VMCS_VIRTUAL_APIC_PAGE, WIDTH - 0x1000)},
    {CONTROL(THRESHOLD_RESERVED), threshold(0x10, 0xff, true), threshold(0x0f, 0xff, true)},
    {CONTROL(THRESHOLD_RESERVED), threshold(0x80000001, 0xff, false),
     threshold(1, 0xff, false)},
    {CONTROL(THRESHOLD_RESERVED), threshold(0x10, 0xff, true), field(VMCS_TPR_THRESHOLD, 0x10)},
    {CONTROL(THRESHOLD_ABOVE_TPR), threshold(5, 0x4f, false), threshold(5, 0x50, false)},
    {CONTROL(THRESHOLD_ABOVE_TPR), threshold(5, 0x4f, false), threshold(5, 0x4f, true)},
    {CONTROL(THRESHOLD_ABOVE_TPR), threshold(1, 0, false), field(VMCS_TPR_THRESHOLD, 1)},
    {CONTROL(VIRTUAL_NMIS), controls({VMX_NMI_EXITING}, {}),
     controls({VMX_NMI_EXITING, VMX_VIRTUAL_NMIS}, {})},
    {CONTROL(NMI_WINDOW), controls({VMX_VIRTUAL_NMIS}, {VMX_NMI_WINDOW_EXITING}),
     controls({}, {VMX_NMI_WINDOW_EXITING})},
    {CONTROL(APIC_ACCESS_PAGE), page_at(0xfee00300), page_at(0xfee00000)},
    {CONTROL(APIC_ACCESS_PAGE), page_at(WIDTH), field(VMCS_APIC_ACCESS_ADDR, WIDTH)},
    {CONTROL(X2APIC_SHADOW), without_shadow(VMX_VIRTUALIZE_X2APIC_MODE),
     with_shadow(VMX_VIRTUALIZE_X2APIC_MODE)},
    {CONTROL(REGISTERS_SHADOW), without_shadow(VMX_APIC_REGISTER_VIRTUALIZATION),
     with_shadow(VMX_APIC_REGISTER_VIRTUALIZATION)},
    {CONTROL(DELIVERY_SHADOW), without_shadow(VMX_VIRTUAL_INTERRUPT_DELIVERY),
     with_shadow(VMX_VIRTUAL_INTERRUPT_DELIVERY)},
    {CONTROL(IPI_SHADOW), without_shadow(VMX_IPI_VIRTUALIZATION),
     with_shadow(VMX_IPI_VIRTUALIZATION)},
    {CONTROL(X2APIC_OR_PAGE), controls({}, {VMX_VIRTUALIZE_APIC_ACCESSES}),
     controls({VMX_VIRTUALIZE_X2APIC_MODE}, {VMX_VIRTUALIZE_APIC_ACCESSES})},
    {CONTROL(DELIVERY_EXITING), controls({VMX_EXTERNAL_INTERRUPT_EXITING}, {}),
     controls({VMX_EXTERNAL_INTERRUPT_EXITING, VMX_VIRTUAL_INTERRUPT_DELIVERY,
               VMX_PROCESS_POSTED_INTERRUPTS},
              {})},
    {CONTROL(POSTED_DELIVERY), controls({VMX_VIRTUAL_INTERRUPT_DELIVERY}, {}),
     controls({VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_PROCESS_POSTED_INTERRUPTS}, {})},
    {CONTROL(POSTED_ACKNOWLEDGE), controls({VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT}, {}),
     controls({VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT, VMX_PROCESS_POSTED_INTERRUPTS}, {})},
    {CONTROL(POSTED_VECTOR), field(VMCS_POSTED_INTR_VECTOR, 0x100),
     field(VMCS_POSTED_INTR_VECTOR, 0xff)},
    {CONTROL(POSTED_DESCRIPTOR), field(VMCS_POSTED_INTR_DESC, 0x20),
     field(VMCS_POSTED_INTR_DESC, 0x40)},
    {CONTROL(POSTED_DESCRIPTOR), field(VMCS_POSTED_INTR_DESC, WIDTH),
     field(VMCS_POSTED_INTR_DESC, WIDTH - 0x40)},
    {CONTROL(PID_TABLE), table_at(0x1004, 3), table_at(0x1008, 3)},
    {CONTROL(PID_TABLE), table_at(WIDTH, 3), table_at(WIDTH - 0x1000, 3)},
    {CONTROL(PID_TABLE_END), table_at(WIDTH - 0x1000, 512), table_at(WIDTH - 0x1000, 511)},
    {CONTROL(TIMER_DELIVERY),
     controls({VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_PROCESS_POSTED_INTERRUPTS},
              {VMX_APIC_TIMER_VIRTUALIZATION}),
     controls({}, {VMX_APIC_TIMER_VIRTUALIZATION})},
    {CONTROL(TIMER_RDTSC), controls({}, {VMX_APIC_TIMER_VIRTUALIZATION, VMX_RDTSC_EXITING}),
     controls({}, {VMX_RDTSC_EXITING})},
    {CONTROL(TIMER_VECTOR), timer_vector(0x100), timer_vector(0xff)},
    {CONTROL(TIMER_VECTOR), timer_vector(0x100), field(VMCS_VIRTUAL_TIMER_VECTOR, 0x100)},
    {CONTROL(SAVED_TIMER), controls({}, {VMX_SAVE_PREEMPTION_TIMER}),
     controls({}, {VMX_SAVE_PREEMPTION_TIMER, VMX_ACTIVATE_PREEMPTION_TIMER})},
    {CONTROL(EVENT_TYPE), inject(injected(RESERVED, 0x51)), inject(injected(EXTERNAL, 0x51))},
    {CONTROL(EVENT_TYPE), inject(injected(OTHER, 0)), inject(injected(OTHER, 0) & 0x7fffffff)},
    {CONTROL(EVENT_NMI), inject(injected(NMI, 3)), inject(injected(NMI, 2))},
    {CONTROL(EVENT_EXCEPTION), inject(injected(EXCEPTION, 32)),
     inject(injected(EXCEPTION, 31))},
    {CONTROL(EVENT_ERROR_CODE), inject(injected(EXTERNAL, 13, true)),
     inject(injected(EXTERNAL, 13))},
    {CONTROL(EVENT_RESERVED), inject(injected(EXTERNAL, 0x51) | 1 << 12),
     inject(injected(EXTERNAL, 0x51))},
    {CONTROL(EVENT_RESERVED), inject(injected(EXTERNAL, 0x51) | 1 << 30),
     inject(injected(EXTERNAL, 0x51))},
    {CONTROL(ERROR_CODE_RESERVED),
     inject(injected(EXCEPTION, 14, true), field(VMCS_ENTRY_ERROR_CODE, 0x10000)),
     inject(injected(EXCEPTION, 14, true), field(VMCS_ENTRY_ERROR_CODE, 0xffff))},
    {CONTROL(INSTRUCTION_LENGTH),
     inject(injected(SOFTWARE, 0x80), field(VMCS_ENTRY_LENGTH, 16)),
     inject(injected(SOFTWARE, 0x80), field(VMCS_ENTRY_LENGTH, 15))},
    {CONTROL(INSTRUCTION_LENGTH), inject(injected(TRAP, 3), field(VMCS_ENTRY_LENGTH, 16)),
     inject(injected(EXTERNAL, 0x51), field(VMCS_ENTRY_LENGTH, 16))},
    {GUEST(INTERRUPT_IF), inject(injected(EXTERNAL, 0x51), masked),
     inject(injected(NMI, 2), masked)},
    {GUEST(ACTIVE_IN_SHADOW), flags({&virt_cpu::shadow, &virt_cpu::halted}), sti},
    {GUEST(ACTIVE_IN_SHADOW), flags({&virt_cpu::mov_ss_shadow, &virt_cpu::shut_down}), mov_ss},
    {GUEST(HLT_EVENT), inject(injected(EXCEPTION, 3), halted),
     inject(injected(EXCEPTION, 1), halted)},
    {GUEST(HLT_EVENT), inject(injected(SOFTWARE, 18), halted),
     inject(injected(EXCEPTION, 18), halted)},
    {GUEST(HLT_EVENT), inject(injected(TRAP, 3), halted),
     inject(injected(EXTERNAL, 0x51), halted)},
    {GUEST(HLT_EVENT), inject(injected(TRAP, 3), halted), inject(injected(NMI, 2), halted)},
    {GUEST(SHUTDOWN_EVENT), inject(injected(EXTERNAL, 0x51), shut_down),
     inject(injected(NMI, 2), shut_down)},
    {GUEST(SHUTDOWN_EVENT), inject(injected(EXCEPTION, 1), shut_down),
     inject(injected(EXCEPTION, 18), shut_down)},
    {GUEST(SIPI_EVENT), inject(injected(NMI, 2), waiting), waiting},
    {GUEST(STI_OR_MOV_SS), flags({&virt_cpu::shadow, &virt_cpu::mov_ss_shadow}), sti},
    {GUEST(STI_IF),
     [](VmxBench &m) {
         masked(m);
         sti(m);
     },
     [](VmxBench &m) {
         masked(m);
         mov_ss(m);
     }},
    {GUEST(UINV), uinv(0x100, true), uinv(0xff, true)},
    {GUEST(UINV), uinv(0x8000, true), uinv(0x8000, false)},
    {GUEST(INTERRUPT_SHADOW), inject(injected(EXTERNAL, 0x51), sti), sti},
    {GUEST(INTERRUPT_SHADOW), inject(injected(EXTERNAL, 0x51), mov_ss),
     inject(injected(EXCEPTION, 6), mov_ss)},
    {GUEST(NMI_MOV_SS), inject(injected(NMI, 2), mov_ss), inject(injected(NMI, 2))},
    {GUEST(NMI_STI), inject(injected(NMI, 2), sti), inject(injected(EXCEPTION, 6), sti)},
    {GUEST(NMI_BLOCKED), inject(injected(NMI, 2), in_nmi),
     inject(injected(NMI, 2),
            [](VmxBench &m) {
                in_nmi(m);
                m.off(VMX_VIRTUAL_NMIS);
            })},
    {GUEST(NMI_BLOCKED), inject(injected(NMI, 2), in_nmi),
     inject(injected(EXTERNAL, 0x51), in_nmi)},
};

std::string failing(const VmxBench &m)
{
    const vmx_check *check = vmx_check_entry(&m.cpu);

    return check ? check->name : "none";
}

} // namespace

TEST(VmxChecks, EveryRowRefusesWhatItNamesAndLetsItsNeighbourPass)
{
    for (const Row &row : rows) {
        SCOPED_TRACE(vmx_checks[row.id].name);
        VmxBench bad, good;
        row.refused(bad);
        EXPECT_EQ(vmx_checks[row.id].name, failing(bad));
        EXPECT_EQ(row.failure, vmx_checks[row.id].failure);
        row.passed(good);
        EXPECT_EQ("none", failing(good));
    }
}

TEST(VmxChecks, NoRowIsWithoutATest)
{
    std::set<vmx_check_id> tested;

    for (const Row &row : rows)
        tested.insert(row.id);
    for (int id = 0; id < VMX_CHECK_COUNT; id++)
        EXPECT_TRUE(tested.count((vmx_check_id)id)) << vmx_checks[id].name;
}

TEST(VmxChecks, ErrorCodesGoWithEightExceptionsAndNothingElse)
{
    const std::set<unsigned> with_code = {8, 10, 11, 12, 13, 14, 17, 21};

    for (unsigned vector = 0; vector < 32; vector++)
        for (bool code : {false, true}) {
            VmxBench m;
            inject(injected(EXCEPTION, vector, code))(m);
            EXPECT_EQ(code == with_code.count(vector) ? "none" : "EVENT_ERROR_CODE", failing(m))
                << vector << (code ? " with" : " without") << " an error code";
        }
}

/* Secondary and tertiary controls count as 0 while the primary ones do not activate them. */
TEST(VmxChecks, AWordThatIsNotActiveIsNotChecked)
{
    VmxBench m;

    m.controls({VMX_VIRTUALIZE_APIC_ACCESSES});
    EXPECT_EQ("X2APIC_OR_PAGE", failing(m));
    m.off(VMX_PROCESS_POSTED_INTERRUPTS);
    m.off(VMX_ACTIVATE_SECONDARY);
    EXPECT_EQ("none", failing(m));
    set(m, VMCS_PID_POINTER_TABLE, 4);
    EXPECT_EQ("PID_TABLE", failing(m));
    m.off(VMX_ACTIVATE_TERTIARY);
    EXPECT_EQ("none", failing(m));
}

TEST(VmxChecks, ControlsAreCheckedBeforeTheGuestsState)
{
    VmxBench m;

    inject(injected(EXTERNAL, 0x51), masked)(m);
    EXPECT_EQ("INTERRUPT_IF", failing(m));
    m.off(VMX_NMI_EXITING);
    EXPECT_EQ("VIRTUAL_NMIS", failing(m));
}

TEST(VmxChecks, AFailureIsOneOfTheTwoThatTheManualNumbers)
{
    EXPECT_EQ(7, VMX_INVALID_CONTROL);
    EXPECT_EQ(33, VMX_INVALID_GUEST_STATE);
    for (int id = 1; id < VMX_CHECK_COUNT; id++)
        EXPECT_LE(vmx_checks[id - 1].failure, vmx_checks[id].failure) << vmx_checks[id].name;
}
