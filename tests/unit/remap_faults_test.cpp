/* The remapping unit's registers and fault records (VT-d revision 5.10, 7.2, 7.3, chapter 11). */
#include <algorithm>
#include <cstring>
#include <utility>

#include "unit/remap_bench.h"

namespace
{

/* ---- registers ---- */

using Registers = RemapBench;

struct Register {
    const char *name;
    uint16_t offset;
    unsigned width;
    uint64_t reset, writable;
    bool readable;
};

enum { RO, WO, RW };
const Register registers[] = {
#define REG(name, offset, width, access, reset, writable, clears, ...)                         \
    {#name,         offset, width, reset, (access) == RW ? (writable) & ~UINT64_C(clears) : 0, \
     (access) != WO},
#define RECORDS(...)
#include "irq/remap_regs.def"
#undef REG
#undef RECORDS
};

TEST_F(Registers, HaveTheirResetValues)
{
    for (const Register &r : registers)
        EXPECT_EQ(read(r.offset, r.width), r.readable ? r.reset : 0) << r.name;
    EXPECT_EQ(read(REMAP_FECTL), fectl_im);
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        EXPECT_EQ(record(n, 0) | record(n, 1), 0u);
}

TEST_F(Registers, CapabilitiesTellWhereTheRecordsAre)
{
    const uint64_t cap = read(REMAP_CAP, 8), ecap = read(REMAP_ECAP, 8);

    EXPECT_EQ((cap >> 24 & 0x3ff) * 16, REMAP_FRCD);
    EXPECT_EQ((cap >> 40 & 0xff) + 1, REMAP_FRCD_COUNT);
    EXPECT_EQ((cap >> 16 & 0x3f) + 1, REMAP_ADDRESS_WIDTH);
    EXPECT_TRUE(cap >> 59 & 1) << "posted interrupts";
    EXPECT_EQ(ecap, 0x19u) << "coherent, remapping, extended mode; no invalidation queue";
}

TEST_F(Registers, AWriteChangesTheWritableBitsAndNoOthers)
{
    for (const Register &r : registers) {
        if (r.offset == REMAP_GCMD)
            continue;
        write(r.offset, UINT64_MAX, r.width);
        const uint64_t ones = r.reset | r.writable;
        EXPECT_EQ(read(r.offset, r.width), ones) << r.name;
        write(r.offset, 0, r.width);
        EXPECT_EQ(read(r.offset, r.width), r.reset & ~r.writable) << r.name;
    }
}

TEST_F(Registers, A64BitRegisterIsTwoHalves)
{
    write(REMAP_IRTA + 4, 0x11223344);
    write(REMAP_IRTA, 0x55667fff);
    EXPECT_EQ(read(REMAP_IRTA, 8), UINT64_C(0x112233445566780f));
    EXPECT_EQ(read(REMAP_IRTA), 0x5566780fu);
    EXPECT_EQ(read(REMAP_IRTA + 4), 0x11223344u);
}

TEST_F(Registers, TwoNeighboursCanBeAccessedAtOnce)
{
    write(REMAP_FECTL, UINT64_C(0x1234) << 32, 8);
    EXPECT_EQ(read(REMAP_FECTL), 0u);
    EXPECT_EQ(read(REMAP_FEDATA), 0x1234u);
    EXPECT_EQ(read(REMAP_FECTL, 8), UINT64_C(0x1234) << 32);
}

TEST_F(Registers, OddSizesAndUnalignedAccessesDoNothing)
{
    write(REMAP_FEADDR, 0xfee01000);
    for (const unsigned size : {0u, 1u, 2u, 3u, 5u, 7u, 16u}) {
        write(REMAP_FEADDR, 0, size);
        EXPECT_EQ(read(REMAP_FEADDR, size), 0u);
    }
    for (const unsigned off : {1u, 2u, 3u}) {
        write(static_cast<uint16_t>(REMAP_FEADDR + off), 0);
        EXPECT_EQ(read(static_cast<uint16_t>(REMAP_FEADDR + off)), 0u);
    }
    write(REMAP_FEADDR - 4, 0, 8);
    EXPECT_EQ(read(REMAP_FEADDR), 0xfee01000u);
}

TEST_F(Registers, ThePlacesBetweenThemReadZeroAndTakeNothing)
{
    enable();
    const remap before = unit;
    for (unsigned offset = 0; offset < 0x10000; offset += 4) {
        bool known = offset >= REMAP_FRCD && offset < REMAP_FRCD + 16u * REMAP_FRCD_COUNT;
        for (const Register &r : registers)
            known |= offset >= r.offset && offset < r.offset + r.width;
        if (known)
            continue;
        write(static_cast<uint16_t>(offset), 0xffffffff);
        EXPECT_EQ(read(static_cast<uint16_t>(offset)), 0u) << offset;
    }
    EXPECT_EQ(0, memcmp(&before.regs, &unit.regs, sizeof before.regs));
}

TEST_F(Registers, GlobalStatusFollowsTheCommands)
{
    EXPECT_EQ(read(REMAP_GSTS), 0u);
    write(REMAP_GCMD, gcmd_sirtp);
    EXPECT_EQ(read(REMAP_GSTS), gcmd_sirtp);
    write(REMAP_GCMD, gcmd_ire);
    EXPECT_EQ(read(REMAP_GSTS), gcmd_ire | gcmd_sirtp) << "the pointer stays set";
    write(REMAP_GCMD, gcmd_ire | gcmd_cfi);
    EXPECT_EQ(read(REMAP_GSTS), gcmd_ire | gcmd_sirtp | gcmd_cfi);
    write(REMAP_GCMD, 0);
    EXPECT_EQ(read(REMAP_GSTS), gcmd_sirtp);
    write(REMAP_GCMD, 0xffffffff & ~(gcmd_ire | gcmd_cfi));
    EXPECT_EQ(read(REMAP_GSTS), gcmd_sirtp) << "no DMA remapping, no queue";
    EXPECT_EQ(read(REMAP_GCMD), 0u);
}

TEST_F(Registers, TheTableIsTakenBySirtpAndNotByWritingItsAddress)
{
    enable(false, 0);
    write(REMAP_IRTA, base | 0x800 | 15, 8);
    EXPECT_EQ(reason(handle(2)), 0x21u);
    EXPECT_FALSE(remap_extended(&unit));
    write(REMAP_GCMD, gcmd_ire | gcmd_sirtp);
    EXPECT_EQ(reason(handle(2)), 0x22u);
    EXPECT_TRUE(remap_extended(&unit));
}

/* ---- what a record holds ---- */

using Record = RemapBench;

const std::pair<unsigned, bool> fault_table[] = {
#define FAULT(name, reason, qualified, meaning) {reason, qualified},
#include "irq/remap_faults.def"
#undef FAULT
};

TEST_F(Record, HasReasonSourceAndIndex)
{
    enable();
    fault(0xbeef, 0x1234);
    EXPECT_EQ(record(0, 0), UINT64_C(0xbeef) << 48);
    EXPECT_EQ(record(0, 1), UINT64_C(1) << 63 | UINT64_C(0x22) << 32 | 0x1234);
    EXPECT_EQ(read(REMAP_FSTS), ppf);
}

TEST_F(Record, HasNoIndexWhereTheRequestHasNone)
{
    enable();
    translate(0xfee01000, 0x31);
    translate(handle(0x100, true), 0x10001);
    EXPECT_EQ(record(0, 0), 0u);
    EXPECT_EQ(record(0, 1) >> 32 & 0xff, 0x25u);
    EXPECT_EQ(record(1, 0), 0u);
    EXPECT_EQ(record(1, 1) >> 32 & 0xff, 0x20u);
}

TEST_F(Record, IsLeftOutOfByAsking)
{
    enable();
    EXPECT_EQ(reason(handle(5)), 0x22u);
    EXPECT_EQ(read(REMAP_FSTS), 0u);
    EXPECT_FALSE(recorded(0));
}

TEST_F(Record, IsLeftOutOfByWhatPasses)
{
    enable();
    entry(5, present | vector_of(0x31));
    entry(6, present | posted_mode | vector_of(0x31));
    translate(handle(5));
    translate(handle(6));
    EXPECT_EQ(read(REMAP_FSTS), 0u);
}

/* Table "Interrupt Remapping Fault Conditions": 22H, 24H and 26H to 28H are qualified. */
TEST_F(Record, IsSuppressedByTheEntryForQualifiedFaultsOnly)
{
    enable();
    entry(1, fpd);
    EXPECT_EQ(translate(handle(1)).reason, 0x22);
    entry(1, present | fpd | 1 << 12);
    EXPECT_EQ(translate(handle(1)).reason, 0x24);
    entry(1, present | fpd, source(3, 0, 0));
    EXPECT_EQ(translate(handle(1)).reason, 0x26);
    entry(1, present | fpd | posted_mode);
    for (const remap_fault why :
         {REMAP_FAULT_DESCRIPTOR_ACCESS, REMAP_FAULT_DESCRIPTOR_RESERVED}) {
        remap_verdict v = translate(handle(1));
        EXPECT_EQ(v.outcome, REMAP_POST);
        remap_post_failed(&unit, &v, why);
        EXPECT_EQ(v.outcome, REMAP_FAULT);
    }
    EXPECT_EQ(read(REMAP_FSTS), 0u);

    translate(handle(1, true), 0x10000);
    unit.config.table_fails = true;
    translate(handle(1));
    enable(false, 0);
    translate(handle(2));
    translate(0xfee00000, 0);
    const unsigned unqualified[] = {0x20, 0x23, 0x21, 0x25};
    for (unsigned n = 0; n < 4; n++)
        EXPECT_EQ(record(n, 1) >> 32 & 0xff, unqualified[n]);

    for (const auto &[reason, qualified] : fault_table)
        EXPECT_EQ(qualified, std::count(unqualified, unqualified + 4, reason) == 0) << reason;
}

TEST_F(Record, OfAPostThatFailedHasTheEntrysIndex)
{
    enable();
    entry(9, present | posted_mode);
    remap_verdict v = translate(handle(9));
    remap_post_failed(&unit, &v, REMAP_FAULT_DESCRIPTOR_ACCESS);
    EXPECT_EQ(record(0, 0), UINT64_C(9) << 48);
    EXPECT_EQ(record(0, 1), UINT64_C(1) << 63 | UINT64_C(0x27) << 32 | device);
    v = translate(handle(9));
    remap_post_failed(&unit, &v, REMAP_FAULT_DESCRIPTOR_RESERVED);
    EXPECT_EQ(record(1, 1) >> 32 & 0xff, 0x28u);
}

TEST_F(Record, IsClearedByWritingItsTopBitAndByNothingElse)
{
    enable();
    fault(1);
    const uint64_t low = record(0, 0), high = record(0, 1);
    for (uint16_t at = 0; at < 16; at = static_cast<uint16_t>(at + 4))
        write(static_cast<uint16_t>(REMAP_FRCD + at), at == 12 ? 0x7fffffff : 0xffffffff);
    EXPECT_EQ(record(0, 0), low);
    EXPECT_EQ(record(0, 1), high);
    clear_record(0);
    EXPECT_EQ(record(0, 1), high & ~(UINT64_C(1) << 63));
    EXPECT_EQ(read(REMAP_FSTS) & ppf, 0u);
}

/* ---- the ring: 7.2.1 ---- */

using Ring = RemapBench;

TEST_F(Ring, RecordsFollowEachOtherAndTheFirstOneIsNamed)
{
    enable();
    fault(10);
    clear_record(0);
    fault(11);
    fault(12);
    EXPECT_EQ(read(REMAP_FSTS), ppf | 1u << 8) << "record 1 was the first of these";
    EXPECT_FALSE(recorded(0));
    EXPECT_EQ(record(1, 0) >> 48, 11u);
    EXPECT_EQ(record(2, 0) >> 48, 12u);
    clear_record(1);
    EXPECT_EQ(read(REMAP_FSTS), ppf | 1u << 8) << "record 2 is still pending";
}

TEST_F(Ring, OverflowsWhenTheNextRecordIsNotFree)
{
    enable();
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        fault(n);
    EXPECT_EQ(read(REMAP_FSTS), ppf);
    fault(100);
    EXPECT_EQ(read(REMAP_FSTS), ppf | pfo);
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        EXPECT_EQ(record(n, 0) >> 48, n);
}

TEST_F(Ring, RecordsNothingUntilTheOverflowIsCleared)
{
    enable();
    for (unsigned n = 0; n <= REMAP_FRCD_COUNT; n++)
        fault(n);
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        clear_record(n);
    fault(200);
    EXPECT_EQ(read(REMAP_FSTS) & (ppf | pfo), pfo);
    write(REMAP_FSTS, 0);
    EXPECT_EQ(read(REMAP_FSTS) & pfo, pfo) << "a 0 leaves it";
    write(REMAP_FSTS, pfo);
    EXPECT_EQ(read(REMAP_FSTS) & pfo, 0u);
    fault(201);
    EXPECT_EQ(record(0, 0) >> 48, 201u) << "where it had stopped";
}

TEST_F(Ring, StartsOverWhenRemappingIsDisabled)
{
    enable();
    fault(1);
    clear_record(0);
    write(REMAP_GCMD, 0);
    write(REMAP_GCMD, gcmd_ire);
    fault(2);
    EXPECT_EQ(record(0, 0) >> 48, 2u);
    EXPECT_FALSE(recorded(1));
}

/* ---- the fault event: 7.3, 5.1.6 ---- */

class Event : public RemapBench
{
  protected:
    void program(uint32_t address, uint32_t data, uint32_t upper = 0)
    {
        write(REMAP_FEDATA, data);
        write(REMAP_FEADDR, address);
        write(REMAP_FEUADDR, upper);
    }
    void mask(bool masked)
    {
        write(REMAP_FECTL, masked ? fectl_im : 0);
    }
};

TEST_F(Event, IsSentWithTheFirstFaultAndNotWithTheNext)
{
    enable();
    program(0xfee07000, 0x41);
    mask(false);
    fault(1);
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].vector, 0x41);
    EXPECT_EQ(port.sent[0].dest, 7u);
    EXPECT_EQ(port.sent[0].delivery, IRQ_FIXED);
    EXPECT_FALSE(port.sent[0].level || port.sent[0].logical);
    EXPECT_EQ(read(REMAP_FECTL), 0u);
    fault(2);
    EXPECT_EQ(port.sent.size(), 1u);
    clear_record(0);
    fault(3);
    EXPECT_EQ(port.sent.size(), 1u) << "record 1 is not serviced yet";
    clear_record(1);
    clear_record(2);
    fault(4);
    EXPECT_EQ(port.sent.size(), 2u);
}

TEST_F(Event, WaitsWhileItIsMasked)
{
    enable();
    program(0xfee07000, 0x41);
    fault(1);
    EXPECT_EQ(port.sent.size(), 0u);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im | fectl_ip);
    mask(true);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im | fectl_ip);
    mask(false);
    EXPECT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(read(REMAP_FECTL), 0u);
    mask(true);
    mask(false);
    EXPECT_EQ(port.sent.size(), 1u);
}

TEST_F(Event, IsForgottenWhenAllIsServicedBeforeItIsUnmasked)
{
    enable();
    fault(1);
    fault(2);
    clear_record(0);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im | fectl_ip);
    clear_record(1);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im);
    mask(false);
    EXPECT_EQ(port.sent.size(), 0u);
}

TEST_F(Event, AnOverflowIsAConditionToBeServicedToo)
{
    enable();
    for (unsigned n = 0; n <= REMAP_FRCD_COUNT; n++)
        fault(n);
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        clear_record(n);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im | fectl_ip);
    write(REMAP_FSTS, pfo);
    EXPECT_EQ(read(REMAP_FECTL), fectl_im);
}

TEST_F(Event, ASuppressedFaultIsNone)
{
    enable();
    mask(false);
    entry(1, fpd);
    translate(handle(1));
    EXPECT_EQ(port.sent.size(), 0u);
}

TEST_F(Event, HasItsUpperDestinationBitsInExtendedModeOnly)
{
    for (const bool extended : {false, true}) {
        enable(extended);
        program(0xfee07000, 0x41, 0x123456ff);
        mask(false);
        fault(1);
        EXPECT_EQ(port.sent.back().dest, extended ? 0x12345607u : 7u);
        clear_record(extended ? 1 : 0);
    }
}

TEST_F(Event, KnowsTwoDeliveryModesTheHintAndTheDestinationMode)
{
    enable();
    mask(false);
    const struct {
        uint32_t address, data;
        irq_delivery delivery;
        bool logical;
    } cases[] = {
        {0xfee00000, 0x041, IRQ_FIXED, false},
        {0xfee00000, 0x141, IRQ_LOWEST_PRIORITY, false},
        {0xfee00008, 0x041, IRQ_LOWEST_PRIORITY, false},
        {0xfee00004, 0x041, IRQ_FIXED, true},
        {0xfee00000, 0xfe41, IRQ_FIXED, false},
    };
    for (unsigned n = 0; n < 5; n++) {
        program(cases[n].address, cases[n].data);
        fault(1);
        EXPECT_EQ(port.sent.back().delivery, cases[n].delivery) << n;
        EXPECT_EQ(port.sent.back().logical, cases[n].logical) << n;
        EXPECT_EQ(port.sent.back().vector, 0x41) << n;
        EXPECT_FALSE(port.sent.back().level) << "trigger mode and level are fixed at 0";
        clear_record(n);
    }
}

} // namespace
