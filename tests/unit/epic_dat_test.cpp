/* The Destination Address Table: a row for each physical core. */
#include <gtest/gtest.h>

#include "shim.h"

namespace
{

uint64_t command(epic_dat_operation op, uint64_t cepic_id, uint64_t guest = 0,
                 uint64_t dest = 0)
{
    return uint64_t{op} << 6 | cepic_id << 20 | dest << 40 | guest << 52;
}

TEST(EpicDat, AWrittenRowIsFoundByGuestAndDestination)
{
    epic_dat dat = {};
    epic_dat_command(&dat, command(EPIC_DAT_WRITE, 0x102, 7, 3));
    EXPECT_EQ(0x12, epic_dat_find(&dat, 7, 3));
    EXPECT_EQ(EPIC_DAT_MISS, epic_dat_find(&dat, 7, 4));
    EXPECT_EQ(EPIC_DAT_MISS, epic_dat_find(&dat, 8, 3));
}

TEST(EpicDat, InvalidatedItIsAMissAndReadsAsZero)
{
    epic_dat dat = {};
    epic_dat_command(&dat, command(EPIC_DAT_WRITE, 5, 0xfff, 0x3ff));
    EXPECT_EQ(UINT64_C(0xfff3ff00'00000000), epic_dat_command(&dat, command(EPIC_DAT_READ, 5)));
    epic_dat_command(&dat, command(EPIC_DAT_INVALIDATE, 5));
    EXPECT_EQ(EPIC_DAT_MISS, epic_dat_find(&dat, 0xfff, 0x3ff));
    EXPECT_EQ(0u, epic_dat_command(&dat, command(EPIC_DAT_READ, 5)));
}

TEST(EpicDat, ACoreHasOneRowWhichTheNextGuestTakes)
{
    epic_dat dat = {};
    epic_dat_command(&dat, command(EPIC_DAT_WRITE, 1, 7, 0));
    epic_dat_command(&dat, command(EPIC_DAT_WRITE, 1, 8, 0));
    EXPECT_EQ(EPIC_DAT_MISS, epic_dat_find(&dat, 7, 0));
    EXPECT_EQ(1, epic_dat_find(&dat, 8, 0));
}

TEST(EpicDat, AnEmptyTableMissesEverything)
{
    const epic_dat dat = {};
    EXPECT_EQ(EPIC_DAT_MISS, epic_dat_find(&dat, 0, 0));
}

TEST(EpicDat, TheReservedOperationDoesNothing)
{
    epic_dat dat = {};
    epic_dat_command(&dat, command(EPIC_DAT_WRITE, 1, 7, 0));
    epic_dat_command(&dat, command(epic_dat_operation(1), 1, 9, 9));
    EXPECT_EQ(1, epic_dat_find(&dat, 7, 0));
}

} // namespace
