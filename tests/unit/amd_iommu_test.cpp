/* AMD's IOMMU in guest virtual APIC mode, alone: entries, doorbell, log, registers. */
#include "shim.h"

#include <gtest/gtest.h>
#include <vector>

namespace
{

constexpr uint64_t GA_EN = 1 << 17, GAM = 1 << 25, LOG_EN = 1 << 28, INT_EN = 1 << 29;
constexpr uint64_t RUN = 1 << 8, OVERFLOWED = 1 << 9, LOGGED = 1 << 10;
constexpr uint64_t LENGTH_256 = UINT64_C(8) << 56;
constexpr uint64_t PAGE = UINT64_C(0xabcde12345000);

struct AmdIommu : ::testing::Test {
    amd_irte table[4]{};
    std::vector<uint64_t> log = std::vector<uint64_t>(256);
    struct amd_iommu u {
    };

    AmdIommu()
    {
        const amd_iommu_config config = {table, 4, log.data(), (uint32_t)log.size()};
        amd_iommu_init(&u, &config);
        amd_iommu_write(&u, AMD_IOMMU_GA_LOG_BASE, LENGTH_256);
        amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | GAM | LOG_EN | INT_EN);
    }
    amd_iommu_verdict raise(uint32_t index = 0)
    {
        return amd_iommu_translate(&u, 0x1234, index);
    }
    uint64_t status() const
    {
        return amd_iommu_read(&u, AMD_IOMMU_STATUS);
    }
    void acknowledge(uint64_t bits)
    {
        amd_iommu_write(&u, AMD_IOMMU_STATUS, bits);
    }
};

/* The bits as "Interrupt Remapping Tables" and Linux (union irte_ga_lo, irte_ga_hi) have them. */
TEST_F(AmdIommu, EntriesHaveTheirFieldsWhereTheSpecificationHasThem)
{
    const amd_irte remapped = amd_irte_remapped(0x41, 0x89abcdef);
    EXPECT_EQ(UINT64_C(0xabcdef01), remapped.word[0]);
    EXPECT_EQ(UINT64_C(0x8900000000000041), remapped.word[1]);
    amd_irte guest = amd_irte_guest(0x42, PAGE, 0xfeedf00d);
    EXPECT_EQ(UINT64_C(0xfeedf00d00000085), guest.word[0]);
    EXPECT_EQ(PAGE | 0x42, guest.word[1]);
    amd_irte_set_running(&guest, true, 0x89abcdef);
    EXPECT_EQ(UINT64_C(0xfeedf00dabcdefc5), guest.word[0]);
    EXPECT_EQ(PAGE | UINT64_C(0x8900000000000042), guest.word[1]);
    amd_irte_set_running(&guest, false, 7);
    EXPECT_EQ(UINT64_C(0xfeedf00dabcdef85), guest.word[0]); /* the destination stays */
}

TEST_F(AmdIommu, ARemappedEntryPassesAMessage)
{
    table[1] = amd_irte_remapped(0x41, 0x89abcdef);
    amd_iommu_verdict v = raise(1);
    EXPECT_EQ(AMD_IOMMU_PASS, v.outcome);
    EXPECT_EQ(0x41, v.message.vector);
    EXPECT_EQ(0x89abcdefu, v.message.dest);
    EXPECT_EQ(IRQ_FIXED, v.message.delivery);
    EXPECT_FALSE(v.message.logical);
    table[1].word[0] |= 1 << 2 | 1 << 6;
    v = raise(1);
    EXPECT_EQ(IRQ_LOWEST_PRIORITY, v.message.delivery);
    EXPECT_TRUE(v.message.logical);
}

TEST_F(AmdIommu, AVcpuThatRunsIsPostedToAndItsDoorbellRung)
{
    table[0] = amd_irte_guest(0x42, PAGE, 5);
    amd_irte_set_running(&table[0], true, 9);
    const amd_iommu_verdict v = raise();
    EXPECT_EQ(AMD_IOMMU_POST, v.outcome);
    EXPECT_EQ(0x42, v.vector);
    EXPECT_EQ(PAGE, v.page);
    EXPECT_TRUE(v.doorbell);
    EXPECT_EQ(9u, v.destination);
    EXPECT_FALSE(v.logged || v.interrupt);
    EXPECT_EQ(RUN, status());
}

TEST_F(AmdIommu, OneThatDoesNotRunIsLoggedAndTheFirstEntryInterruptsTheHost)
{
    uint32_t tag = 0;
    table[0] = amd_irte_guest(0x42, PAGE, 0xfeedf00d);
    amd_iommu_verdict v = raise();
    EXPECT_EQ(AMD_IOMMU_POST, v.outcome);
    EXPECT_FALSE(v.doorbell);
    EXPECT_TRUE(v.logged && v.interrupt);
    EXPECT_EQ(UINT64_C(0x10001234feedf00d), log[0]);
    EXPECT_EQ(RUN | LOGGED, status());
    v = raise();
    EXPECT_TRUE(v.logged && !v.interrupt); /* until software has cleared the bit */
    acknowledge(LOGGED);
    EXPECT_EQ(RUN, status());
    EXPECT_TRUE(raise().interrupt);
    for (int n = 0; n < 3; n++)
        EXPECT_TRUE(amd_iommu_take_log(&u, &tag) && tag == 0xfeedf00d) << n;
    EXPECT_FALSE(amd_iommu_take_log(&u, &tag));
    EXPECT_EQ(24u, amd_iommu_read(&u, AMD_IOMMU_GA_LOG_HEAD));
    EXPECT_EQ(24u, amd_iommu_read(&u, AMD_IOMMU_GA_LOG_TAIL));
}

TEST_F(AmdIommu, WithoutGaLogIntrOrTheLogsEnableNothingIsLogged)
{
    table[0] = amd_irte_guest(0x42, PAGE, 1);
    table[0].word[0] &= ~UINT64_C(4);
    EXPECT_FALSE(raise().logged);
    table[0].word[0] |= 4;
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | GAM | INT_EN);
    EXPECT_EQ(0u, status());
    const amd_iommu_verdict v = raise();
    EXPECT_EQ(AMD_IOMMU_POST, v.outcome);
    EXPECT_FALSE(v.logged || v.interrupt);
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | GAM | LOG_EN);
    EXPECT_TRUE(raise().logged);
    EXPECT_FALSE(raise().interrupt); /* GAIntEn is 0 */
}

TEST_F(AmdIommu, AFullLogOverflowsAndStandsUntilItIsStartedAgain)
{
    uint32_t tag;
    table[0] = amd_irte_guest(0x42, PAGE, 1);
    for (int n = 0; n < 255; n++)
        EXPECT_TRUE(raise().logged) << n;
    acknowledge(LOGGED);
    amd_iommu_verdict v = raise();
    EXPECT_TRUE(!v.logged && v.interrupt);
    EXPECT_EQ(AMD_IOMMU_POST, v.outcome); /* IRR has it all the same */
    EXPECT_EQ(OVERFLOWED, status());
    while (amd_iommu_take_log(&u, &tag)) {
    }
    EXPECT_FALSE(raise().logged);
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | GAM | LOG_EN | INT_EN);
    EXPECT_FALSE(raise().logged); /* the overflow has to be cleared first */
    acknowledge(OVERFLOWED);
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | GAM | LOG_EN | INT_EN);
    EXPECT_EQ(RUN, status());
    EXPECT_TRUE(raise().logged);
    EXPECT_EQ(0u, amd_iommu_read(&u, AMD_IOMMU_GA_LOG_TAIL)); /* around the end */
}

TEST_F(AmdIommu, WhatIsNotValidReservedOrDisabledIsBlocked)
{
    const auto blocked = [&](uint32_t index = 0) {
        const amd_iommu_verdict v = raise(index);
        return v.outcome == AMD_IOMMU_BLOCK && v.reported;
    };
    EXPECT_TRUE(blocked(3)); /* not valid */
    EXPECT_TRUE(blocked(4)); /* no entry */
    table[0].word[0] = 2;
    EXPECT_FALSE(raise().reported); /* SupIOPF */
    for (unsigned bit : {3, 4, 5, 72, 75, 116, 119}) {
        table[0] = amd_irte_guest(0x42, PAGE, 1);
        EXPECT_FALSE(blocked());
        table[0].word[bit / 64] |= UINT64_C(1) << bit % 64;
        EXPECT_TRUE(blocked()) << bit;
    }
    for (unsigned bit : {32, 63, 72, 119}) {
        table[0] = amd_irte_remapped(0x42, 1);
        EXPECT_FALSE(blocked());
        table[0].word[bit / 64] |= UINT64_C(1) << bit % 64;
        EXPECT_TRUE(blocked()) << bit;
    }
    for (unsigned type = 2; type < 8; type++) {
        table[0] = amd_irte_remapped(0x42, 1);
        table[0].word[0] |= type << 2;
        EXPECT_TRUE(blocked()) << type;
    }
    table[0] = amd_irte_guest(0x42, PAGE, 1);
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GA_EN | LOG_EN);
    EXPECT_TRUE(blocked()); /* GAMEn is 0 */
    amd_iommu_write(&u, AMD_IOMMU_CONTROL, GAM | LOG_EN);
    EXPECT_TRUE(blocked()); /* GAEn is 0 */
}

TEST_F(AmdIommu, RegistersKeepWhatSoftwareMayWrite)
{
    const struct {
        uint16_t offset;
        uint64_t writable;
    } rows[] = {
        {0x0018, 0x3e020000},         {0x0030, 0},          {0x00e0, 0x0f0ffffffffff000},
        {0x00e8, 0x000ffffffffffff8}, {0x2040, 0x0007fff8}, {0x2048, 0x0007fff8},
    };
    for (const auto &row : rows) {
        const uint64_t fixed = row.offset == 0x30 ? 0x200080 : 0;
        amd_iommu_write(&u, row.offset, UINT64_MAX);
        EXPECT_EQ(row.writable | fixed, amd_iommu_read(&u, row.offset)) << row.offset;
        amd_iommu_write(&u, row.offset, 0);
        EXPECT_EQ(fixed, amd_iommu_read(&u, row.offset)) << row.offset;
    }
    EXPECT_EQ(0u, amd_iommu_read(&u, 0x2050));
}

TEST_F(AmdIommu, PointersBeyondTheLogReadAndWriteNothing)
{
    uint32_t tag;
    table[0] = amd_irte_guest(0x42, PAGE, 1);
    amd_iommu_write(&u, AMD_IOMMU_GA_LOG_HEAD, UINT64_MAX);
    EXPECT_FALSE(amd_iommu_take_log(&u, &tag));
    amd_iommu_write(&u, AMD_IOMMU_GA_LOG_TAIL, UINT64_MAX);
    EXPECT_FALSE(raise().logged);
    EXPECT_EQ(OVERFLOWED, status());
}

} // namespace
