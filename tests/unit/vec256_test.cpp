/* Sets of vectors. */
#include <gtest/gtest.h>

extern "C" {
#include "port/vec256.h"
}

namespace
{

TEST(Vec256, StartsEmpty)
{
    const struct vec256 v = {};
    EXPECT_TRUE(vec_empty(&v));
    EXPECT_EQ(vec_highest(&v), NO_VECTOR);
}

TEST(Vec256, HoldsEachVectorAlone)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        struct vec256 v = {};
        EXPECT_TRUE(vec_set(&v, vector));
        for (unsigned other = 0; other < VECTORS; other++)
            ASSERT_EQ(vec_has(&v, other), other == vector) << vector << ", " << other;
        EXPECT_EQ(vec_highest(&v), static_cast<int>(vector));
        vec_clear(&v, vector);
        EXPECT_TRUE(vec_empty(&v));
    }
}

TEST(Vec256, SaysWhetherABitWasClearBefore)
{
    struct vec256 v = {};
    EXPECT_TRUE(vec_set(&v, 200));
    EXPECT_FALSE(vec_set(&v, 200));
    vec_clear(&v, 200);
    EXPECT_TRUE(vec_set(&v, 200));
}

TEST(Vec256, GivesItsVectorsFromTheHighestDown)
{
    struct vec256 v = {};
    for (unsigned vector : {0u, 31u, 63u, 64u, 127u, 128u, 191u, 192u, 255u})
        vec_set(&v, vector);
    for (int vector : {255, 192, 191, 128, 127, 64, 63, 31, 0}) {
        EXPECT_EQ(vec_highest(&v), vector);
        vec_clear(&v, static_cast<unsigned>(vector));
    }
    EXPECT_TRUE(vec_empty(&v));
}

/* A register at vector word n shows vectors 32 n to 32 n + 31 (SDM 3A "Local APIC Register Address Map"). */
TEST(Vec256, ShowsThirtyTwoVectorsInARegister)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        struct vec256 v = {};
        vec_set(&v, vector);
        for (unsigned n = 0; n < 8; n++)
            ASSERT_EQ(vec_word32(&v, n), n == vector / 32 ? 1u << vector % 32 : 0) << vector;
    }
}

} // namespace
