/* Which accesses to the APIC leave the guest: control bits and operation to verdict, by SDM 3C
   30.3 to 30.5 (326019-082). The lists of registers are typed from the manual. */
#include "virt_machine.h"

#include <set>

/* Controls, in the order of the columns below. */
enum Mode { EPT, PAGE, SHADOW, DELIVERY, REGISTERS, BOTH, IPI, IPI_ALONE, MODES };

static const std::initializer_list<Control> mode_controls[MODES] = {
    {VMX_USE_TPR_SHADOW},
    {VMX_VIRTUALIZE_APIC_ACCESSES},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW, VMX_VIRTUAL_INTERRUPT_DELIVERY},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW, VMX_APIC_REGISTER_VIRTUALIZATION},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW, VMX_VIRTUAL_INTERRUPT_DELIVERY,
     VMX_APIC_REGISTER_VIRTUALIZATION},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW, VMX_VIRTUAL_INTERRUPT_DELIVERY,
     VMX_APIC_REGISTER_VIRTUALIZATION, VMX_IPI_VIRTUALIZATION},
    {VMX_VIRTUALIZE_APIC_ACCESSES, VMX_USE_TPR_SHADOW, VMX_IPI_VIRTUALIZATION},
};

struct Page : VirtMachine {
    explicit Page(Mode mode) : VirtMachine(&virt_vmx, LAPIC_MODE_XAPIC)
    {
        controls(mode_controls[mode]);
        vmcs_set(&cpu.vmcs, VMCS_LAST_PID_INDEX, 3);
    }
    virt_verdict read(unsigned offset)
    {
        return virt_vmx.apic_read(&cpu, (uint16_t)offset, now);
    }
    virt_verdict write(unsigned offset, uint32_t value)
    {
        return virt_vmx.apic_write(&cpu, (uint16_t)offset, value, now);
    }
};

/* 30.4.3: what can be written without an APIC-access exit. */
static const std::set<unsigned> with_registers = {0x020, 0x080, 0x0b0, 0x0d0, 0x0e0, 0x0f0,
                                                  0x280, 0x300, 0x310, 0x320, 0x330, 0x340,
                                                  0x350, 0x360, 0x370, 0x380, 0x3e0};
static const std::set<unsigned> writable[MODES] = {
    {},
    {},
    {0x080},
    {0x080, 0x0b0, 0x300},
    with_registers,
    with_registers,
    with_registers,
    {0x080, 0x300},
};

/* 30.4.2: what can be read; besides these, the version, ISR, TMR and IRR. IPI virtualization is of
   writes alone. */
static bool readable(Mode mode, unsigned offset)
{
    if (mode == IPI_ALONE)
        return offset == 0x080;
    const bool registers = mode == REGISTERS || mode == BOTH || mode == IPI;
    const bool vector = offset >= 0x100 && offset <= 0x270 && offset % 0x10 == 0;

    return writable[mode].count(offset) || (registers && (offset == 0x030 || vector));
}

TEST(VmxApicPage, Sdm30_4_2_EveryReadIsVirtualizedOrExitsBeforeIt)
{
    for (int mode = PAGE; mode < MODES; mode++)
        for (unsigned offset = 0; offset < 0x1000; offset += 4) {
            SCOPED_TRACE(testing::Message()
                         << "controls " << mode << ", offset " << std::hex << offset);
            Page page((Mode)mode);
            const virt_verdict v = page.read(offset);
            if (readable((Mode)mode, offset)) {
                expect_stay(v, VIRT_DONE);
            } else {
                expect_exit(v, VIRT_EXIT, EXIT_VMX_APIC_ACCESS);
                EXPECT_EQ(offset, v.qualification);
            }
        }
}

TEST(VmxApicPage, Sdm30_4_3_EveryWriteIsVirtualizedOrExitsBeforeIt)
{
    for (int mode = PAGE; mode < MODES; mode++)
        for (unsigned offset = 0; offset < 0x1000; offset += 4) {
            SCOPED_TRACE(testing::Message()
                         << "controls " << mode << ", offset " << std::hex << offset);
            Page page((Mode)mode);
            const virt_verdict v = page.write(offset, 0);
            EXPECT_EQ(!writable[mode].count(offset), v.reason == EXIT_VMX_APIC_ACCESS);
            EXPECT_EQ(!writable[mode].count(offset), v.path == VIRT_EXIT);
        }
}

TEST(VmxApicPage, WithoutTheApicAccessPageEveryAccessIsAnEptViolation)
{
    Page page(EPT);
    const virt_verdict v = page.write(0x300, 0);

    expect_exit(v, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_EQ(0xfee00300u, v.qualification);
    expect_exit(page.read(0x080), VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
}

TEST(VmxApicPage, WithoutASlotItIsMmioLikeAnyDevices)
{
    Page page(EPT);
    page.cpu.apic_page_is_mmio = true;

    expect_exit(page.write(0x300, 0), VIRT_EXIT, EXIT_VMX_EPT_MISCONFIG);
    expect_exit(page.read(0x080), VIRT_EXIT, EXIT_VMX_EPT_MISCONFIG);
}

TEST(VmxApicPage, WithoutEptThePageFaultExitsAndItsInformationSaysSo)
{
    for (const bool mmio : {false, true}) {
        Page page(EPT);
        page.cpu.apic_page_is_mmio = mmio;
        vmcs_set(&page.cpu.vmcs, VMCS_EXCEPTION_BITMAP, 1u << 14);

        const virt_verdict v = page.write(0x300, 0);
        expect_exit(v, VIRT_EXIT, EXIT_VMX_EXCEPTION_NMI);
        EXPECT_EQ(0xfee00300u, v.qualification);
        /* valid, error code, hardware exception, vector 14 */
        EXPECT_EQ(0x80000b0eu, vmcs_get(&page.cpu.vmcs, VMCS_EXIT_INTR_INFO));
        EXPECT_EQ(0u, vmcs_get(&page.cpu.vmcs, VMCS_IDT_VECTORING_INFO));
    }
}

TEST(VmxApicPage, TheTimersCurrentCountIsNeverVirtualized)
{
    for (int mode = PAGE; mode < MODES; mode++)
        expect_exit(Page((Mode)mode).read(0x390), VIRT_EXIT, EXIT_VMX_APIC_ACCESS);
}

struct Write {
    const char *what;
    Mode mode;
    unsigned offset;
    uint32_t value;
    virt_path path;
    exit_reason reason;
};

/* 30.4.3.2 "APIC-Write Emulation". */
static const Write writes[] = {
    {"TPR, shadow", SHADOW, 0x080, 0x20, VIRT_DONE, EXIT_NONE},
    {"TPR, delivery", DELIVERY, 0x080, 0x20, VIRT_DONE, EXIT_NONE},
    {"EOI, shadow", SHADOW, 0x0b0, 0, VIRT_EXIT, EXIT_VMX_APIC_ACCESS},
    {"EOI, delivery", DELIVERY, 0x0b0, 0, VIRT_DONE, EXIT_NONE},
    {"EOI, registers without delivery", REGISTERS, 0x0b0, 0, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"ICR high", BOTH, 0x310, 0x01000000, VIRT_DONE, EXIT_NONE},
    {"ICR high, without registers", DELIVERY, 0x310, 0x01000000, VIRT_EXIT,
     EXIT_VMX_APIC_ACCESS},
    {"ICR low, to another", BOTH, 0x300, 0x31, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"ICR low, registers without delivery", REGISTERS, 0x300, 0x00040031, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"self-IPI", BOTH, 0x300, 0x00040031, VIRT_DONE, EXIT_NONE},
    {"self-IPI, level assert is ignored", BOTH, 0x300, 0x00044031, VIRT_DONE, EXIT_NONE},
    {"self-IPI, logical is ignored", BOTH, 0x300, 0x00040831, VIRT_DONE, EXIT_NONE},
    {"self-IPI, illegal vector", BOTH, 0x300, 0x0004000f, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"self-IPI, level-triggered", BOTH, 0x300, 0x00048031, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"self-IPI, NMI", BOTH, 0x300, 0x00040431, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"self-IPI, reserved bit 13", BOTH, 0x300, 0x00042031, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"self-IPI, delivery status", BOTH, 0x300, 0x00041031, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"all but self", IPI, 0x300, 0x000c0031, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, to another", IPI, 0x300, 0x31, VIRT_DONE, EXIT_NONE},
    {"IPI, level assert is ignored", IPI, 0x300, 0x4031, VIRT_DONE, EXIT_NONE},
    {"IPI, logical", IPI, 0x300, 0x0831, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, lowest priority", IPI, 0x300, 0x0131, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, level-triggered", IPI, 0x300, 0x8031, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, reserved bit 16", IPI, 0x300, 0x10031, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, vector 15", IPI, 0x300, 0x0f, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"IPI, IPI virtualization alone", IPI_ALONE, 0x300, 0x31, VIRT_DONE, EXIT_NONE},
    {"self-IPI, IPI virtualization alone", IPI_ALONE, 0x300, 0x00040031, VIRT_EXIT_AFTER,
     EXIT_VMX_APIC_WRITE},
    {"ICR high, IPI virtualization alone", IPI_ALONE, 0x310, 0x01000000, VIRT_EXIT,
     EXIT_VMX_APIC_ACCESS},
    {"LVT timer", BOTH, 0x320, 0x20031, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"spurious vector", BOTH, 0x0f0, 0x1ff, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
    {"timer's initial count", BOTH, 0x380, 1000, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE},
};

TEST(VmxApicPage, Sdm30_4_3_2_WhatAWriteDoesDependsOnTheRegisterAndTheValue)
{
    for (const Write &w : writes) {
        SCOPED_TRACE(w.what);
        Page page(w.mode);
        const virt_verdict v = page.write(w.offset, w.value);
        EXPECT_EQ(w.path, v.path);
        EXPECT_STREQ(exit_reasons[w.reason].name, exit_reasons[v.reason].name);
        if (v.reason == EXIT_VMX_APIC_WRITE) {
            EXPECT_EQ(w.offset, v.qualification);
        }
    }
}

TEST(VmxApicPage, Sdm30_4_3_2_AnIpisDestinationIsTheTopByteOfIcrHigh)
{
    Page page(IPI);

    page.write(0x310, 0x01000000);
    EXPECT_EQ(&page.other, page.write(0x300, 0x31).notify);
    page.write(0x310, 0x04000000);
    expect_exit(page.write(0x300, 0x31), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
}

TEST(VmxApicPage, AWriteThatExitsAfterItLeavesItsValueOnThePage)
{
    Page page(BOTH);

    page.write(0x320, 0x20031);
    EXPECT_EQ(0x20031u, page.apic.regs.LVT_TIMER);
    EXPECT_TRUE(page.port.sent.empty()) << "nothing acts on it before the hypervisor does";
}

TEST(VmxApicPage, AWriteThatExitsBeforeItLeavesThePageAlone)
{
    Page page(SHADOW);

    page.write(0x320, 0x20031);
    EXPECT_EQ(0x10000u, page.apic.regs.LVT_TIMER);
}

TEST(VmxApicPage, AReadGivesWhatThePageHolds)
{
    Page page(BOTH);

    page.apic.regs.TPR = 0x50;
    vec_set(&page.apic.regs.IRR, 0xe5);
    EXPECT_EQ(0x50u, page.read(0x080).value);
    EXPECT_EQ(1u << 5, page.read(0x270).value);
    EXPECT_EQ(0x01060015u, page.read(0x030).value);
}

TEST(VmxApicPage, ATaskPriorityKeepsOneByteAndAnIcrHighOnlyItsDestination)
{
    Page page(BOTH);

    page.write(0x080, 0xabcdef35);
    page.write(0x310, 0x12345678);
    EXPECT_EQ(0x35u, page.apic.regs.TPR);
    EXPECT_EQ(0x12000000u, page.apic.regs.ICR_HI);
}

/* 30.5: guests in x2APIC mode. Columns: what the controls are, which MSRs the bitmap passes. */
struct X2apic : ::testing::Test, VirtMachine {
    X2apic() : VirtMachine(&virt_vmx, LAPIC_MODE_X2APIC)
    {
        controls({VMX_USE_MSR_BITMAPS, VMX_USE_TPR_SHADOW, VMX_VIRTUALIZE_X2APIC_MODE});
        vmcs_set(&cpu.vmcs, VMCS_LAST_PID_INDEX, 3);
        cpu.x2apic_read_exits = cpu.x2apic_write_exits = 0;
    }
    virt_verdict read(uint32_t msr)
    {
        return virt_vmx.rdmsr(&cpu, msr, now);
    }
    virt_verdict write(uint32_t msr, uint64_t value)
    {
        return virt_vmx.wrmsr(&cpu, msr, value, now);
    }
};

TEST_F(X2apic, Sdm30_5_OnlyTheTprIsReadFromThePageWithoutRegisterVirtualization)
{
    apic.regs.TPR = 0x30;
    const virt_verdict tpr = read(0x808);
    expect_stay(tpr, VIRT_DONE);
    EXPECT_EQ(0x30u, tpr.value);
    for (uint32_t msr = 0x800; msr < 0x840; msr++)
        if (msr != 0x808)
            expect_stay(read(msr), VIRT_NATIVE);
}

TEST_F(X2apic, Sdm30_5_WithRegisterVirtualizationEveryReadComesFromThePage)
{
    controls({VMX_APIC_REGISTER_VIRTUALIZATION});
    for (uint32_t msr = 0x800; msr < 0x840; msr++)
        expect_stay(read(msr), VIRT_DONE);
    vec_set(&apic.regs.ISR, 0x41);
    apic.regs.ICR_LO = 0x31;
    apic.regs.ICR_HI = 7;
    EXPECT_EQ(2u, read(0x812).value);
    EXPECT_EQ(UINT64_C(0x700000031), read(0x830).value);
}

TEST_F(X2apic, Sdm30_5_OnlyFourRegistersAreEverVirtualizedForWrites)
{
    controls({VMX_APIC_REGISTER_VIRTUALIZATION, VMX_VIRTUAL_INTERRUPT_DELIVERY,
              VMX_IPI_VIRTUALIZATION});
    const std::set<uint32_t> virtualized = {0x808, 0x80b, 0x830, 0x83f};
    for (uint32_t msr = 0x800; msr < 0x840; msr++) {
        SCOPED_TRACE(msr);
        EXPECT_EQ(virtualized.count(msr) != 0, write(msr, 0).path != VIRT_NATIVE);
    }
}

TEST_F(X2apic, TheMsrBitmapComesBeforeEveryVirtualization)
{
    controls({VMX_APIC_REGISTER_VIRTUALIZATION, VMX_VIRTUAL_INTERRUPT_DELIVERY,
              VMX_IPI_VIRTUALIZATION});
    cpu.x2apic_read_exits = cpu.x2apic_write_exits = ~UINT64_C(0);
    for (uint32_t msr = 0x800; msr < 0x840; msr++) {
        expect_exit(read(msr), VIRT_EXIT, EXIT_VMX_MSR_READ);
        expect_exit(write(msr, 0), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
        EXPECT_EQ(msr, write(msr, 0).qualification);
    }
}

TEST_F(X2apic, WithoutMsrBitmapsEveryMsrExits)
{
    vmx_control(&cpu.vmcs, VMX_USE_MSR_BITMAPS, false);
    cpu.tsc_deadline_exits = false;
    expect_exit(read(0x808), VIRT_EXIT, EXIT_VMX_MSR_READ);
    expect_exit(write(0x80b, 0), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(write(0x6e0, 0), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(read(0x6e0), VIRT_EXIT, EXIT_VMX_MSR_READ);
}

TEST_F(X2apic, AnMsrOutsideTheApicsAlwaysExits)
{
    expect_exit(read(0x10), VIRT_EXIT, EXIT_VMX_MSR_READ);
    expect_exit(write(0xc0000080, 0), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(write(0x840, 0), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
}

TEST_F(X2apic, TheDeadlineExitsUnlessItIsPassedThrough)
{
    expect_exit(write(0x6e0, 1), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(read(0x6e0), VIRT_EXIT, EXIT_VMX_MSR_READ);
    cpu.tsc_deadline_exits = false;
    expect_stay(write(0x6e0, 1), VIRT_NATIVE);
    expect_stay(read(0x6e0), VIRT_NATIVE);
}

TEST_F(X2apic, WithoutVirtualizationAPassedMsrReachesThePhysicalApic)
{
    vmx_control(&cpu.vmcs, VMX_VIRTUALIZE_X2APIC_MODE, false);
    expect_stay(write(0x80b, 0), VIRT_NATIVE);
    expect_stay(read(0x808), VIRT_NATIVE);
}

TEST_F(X2apic, TheTprIsVirtualizedByTheShadowAlone)
{
    expect_stay(write(0x808, 0x40), VIRT_DONE);
    EXPECT_EQ(0x40u, apic.regs.TPR);
    expect_stay(write(0x80b, 0), VIRT_NATIVE);
    expect_stay(write(0x83f, 0x31), VIRT_NATIVE);
}

TEST_F(X2apic, Sdm30_5_ReservedBitsFaultInsteadOfBeingVirtualized)
{
    controls({VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_IPI_VIRTUALIZATION});
    expect_stay(write(0x808, 0x100), VIRT_NATIVE);
    expect_stay(write(0x80b, 1), VIRT_NATIVE);
    expect_stay(write(0x83f, 0x131), VIRT_NATIVE);
    expect_stay(write(0x830, 0x100031), VIRT_NATIVE);
    EXPECT_EQ(0u, apic.regs.TPR);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    EXPECT_EQ(0u, apic.regs.ICR_LO);
}

/* 30.5: the bits of EAX on which a virtualized WRMSR of 830H faults are 31:20, 17:16 and 13; any
   other outside of the vector and the level (14) makes it an IPI that the hypervisor must send. */
TEST_F(X2apic, Sdm30_5_EachBitOfTheIcrFaultsExitsOrIsVirtualized)
{
    controls({VMX_IPI_VIRTUALIZATION});
    for (unsigned bit = 0; bit < 32; bit++) {
        SCOPED_TRACE(bit);
        const bool faults = bit >= 20 || bit == 17 || bit == 16 || bit == 13;
        const bool of_the_message = bit >= 8 && bit != 14;
        apic.regs.ICR_LO = 0;
        const virt_verdict v = write(0x830, UINT64_C(1) << 32 | 0x31 | UINT64_C(1) << bit);
        EXPECT_EQ(faults ? VIRT_NATIVE : of_the_message ? VIRT_EXIT_AFTER : VIRT_DONE, v.path);
        EXPECT_EQ(faults, apic.regs.ICR_LO == 0) << "a fault leaves the page alone";
    }
}

TEST_F(X2apic, Sdm30_5_ASelfIpiBelow16ExitsAfterIt)
{
    controls({VMX_VIRTUAL_INTERRUPT_DELIVERY});
    const virt_verdict v = write(0x83f, 0x0f);
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    EXPECT_EQ(0x3f0u, v.qualification);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    expect_stay(write(0x83f, 0x10), VIRT_DONE);
}

TEST_F(X2apic, Sdm30_5_TheIcrIsVirtualizedForOnePhysicalFixedEdgeDestination)
{
    const struct {
        const char *what;
        uint64_t icr;
        virt_path path;
    } rows[] = {
        {"unicast", 0x100000031, VIRT_DONE},
        {"unicast, level assert", 0x100004031, VIRT_DONE},
        {"logical", 0x100000831, VIRT_EXIT_AFTER},
        {"self shorthand", 0x000040031, VIRT_EXIT_AFTER},
        {"all but self", 0x0000c0031, VIRT_EXIT_AFTER},
        {"NMI", 0x100000431, VIRT_EXIT_AFTER},
        {"level-triggered", 0x100008031, VIRT_EXIT_AFTER},
        {"vector 15", 0x10000000f, VIRT_EXIT_AFTER},
        {"index past the table", 0x400000031, VIRT_EXIT_AFTER},
        {"invalid PID pointer", 0x200000031, VIRT_EXIT_AFTER},
        {"broadcast", 0xffffffff00000031, VIRT_EXIT_AFTER},
    };

    controls({VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_IPI_VIRTUALIZATION});
    for (const auto &row : rows) {
        SCOPED_TRACE(row.what);
        const virt_verdict v = write(0x830, row.icr);
        EXPECT_EQ(row.path, v.path);
        if (v.path == VIRT_EXIT_AFTER) {
            EXPECT_EQ(EXIT_VMX_APIC_WRITE, v.reason);
            EXPECT_EQ(0x300u, v.qualification);
        }
        EXPECT_EQ((uint32_t)row.icr, apic.regs.ICR_LO);
        EXPECT_EQ((uint32_t)(row.icr >> 32), apic.regs.ICR_HI);
    }
}

/* 30.3 and 26.1.3: MOV to and from CR8. */
TEST_F(X2apic, Sdm30_3_Cr8IsBits7To4OfTheShadowedTpr)
{
    expect_stay(virt_vmx.write_cr8(&cpu, 5), VIRT_DONE);
    EXPECT_EQ(0x50u, apic.regs.TPR);
    apic.regs.TPR = 0x7f;
    EXPECT_EQ(7u, virt_vmx.read_cr8(&cpu).value);
}

TEST_F(X2apic, Sdm26_1_3_TheCr8ExitingControlsComeBeforeTheShadow)
{
    controls({VMX_CR8_LOAD_EXITING, VMX_CR8_STORE_EXITING});
    expect_exit(virt_vmx.write_cr8(&cpu, 5), VIRT_EXIT, EXIT_VMX_CR_ACCESS);
    expect_exit(virt_vmx.read_cr8(&cpu), VIRT_EXIT, EXIT_VMX_CR_ACCESS);
    EXPECT_EQ(0u, apic.regs.TPR);
}

TEST_F(X2apic, WithNeitherShadowNorExitingCr8IsThePhysicalTpr)
{
    vmx_control(&cpu.vmcs, VMX_USE_TPR_SHADOW, false);
    expect_stay(virt_vmx.write_cr8(&cpu, 5), VIRT_NATIVE);
    expect_stay(virt_vmx.read_cr8(&cpu), VIRT_NATIVE);
}
