/* CEPIC: acceptance, four classes of priority, acknowledgement, EOI, registers, timers. */
#include <random>

#include "cepic_bench.h"

namespace
{

constexpr unsigned LOW = 0x051, LOW_TOO = 0x0a0, MIDDLE = 0x151, HIGH = 0x3f0;

/* ---- acceptance and priority ---- */

TEST(Cepic, AFixedInterruptWaitsInCirAndIsTakenByItsAcknowledgement)
{
    CepicBench b;
    EXPECT_EQ(CEPIC_ACCEPTED, b.accept(LOW));
    EXPECT_EQ(LOW | CepicBench::STAT, b.read(CEPIC_CIR));
    EXPECT_EQ(int(LOW), cepic_waiting(&b.c));
    const auto taken = b.take_interrupt();
    EXPECT_EQ(LOW, taken.vector);
    EXPECT_EQ(0u, taken.cpr);
    EXPECT_EQ(-1, cepic_waiting(&b.c));
    EXPECT_EQ(1u, b.core_priority());
}

TEST(Cepic, APriorityIsTheVectorsBits9To8PlusOne)
{
    CepicBench b;
    for (unsigned c = 0; c < 4; c++) {
        b.accept(c << 8 | 0x10);
        EXPECT_EQ(c, b.take_interrupt().cpr);
        EXPECT_EQ(c + 1, b.core_priority());
    }
}

TEST(Cepic, OfTwoTheHigherVectorIsTakenFirst)
{
    CepicBench b;
    b.accept(LOW_TOO);
    const auto first = b.take_interrupt();
    b.accept(LOW);
    b.accept(LOW_TOO);
    EXPECT_EQ(-1, cepic_waiting(&b.c)) << "of the same class as what is in service";
    b.end_interrupt(first);
    EXPECT_EQ(LOW_TOO, b.take_interrupt().vector);
    b.end_interrupt({LOW_TOO, 0});
    EXPECT_EQ(LOW, b.take_interrupt().vector);
}

TEST(Cepic, AHigherClassInterruptsALowerAndEoiReturnsToIt)
{
    CepicBench b;
    b.accept(LOW);
    const auto low = b.take_interrupt();
    b.accept(MIDDLE);
    const auto middle = b.take_interrupt();
    EXPECT_EQ(MIDDLE, middle.vector);
    EXPECT_EQ(1u, middle.cpr);
    b.end_interrupt(middle);
    EXPECT_EQ(1u, b.core_priority());
    b.end_interrupt(low);
    EXPECT_EQ(0u, b.core_priority());
    EXPECT_EQ((std::vector<unsigned>{MIDDLE, LOW}), b.ended);
}

TEST(Cepic, BeforeItIsTakenAHigherClassTakesItsPlaceInCirAndItGoesBack)
{
    CepicBench b;
    b.accept(LOW);
    b.accept(HIGH);
    EXPECT_EQ(int(HIGH), cepic_waiting(&b.c));
    EXPECT_EQ(UINT64_C(1) << LOW % 64, b.read(CEPIC_PMIRR + LOW / 64 * 8, 8));
    const auto high = b.take_interrupt();
    b.end_interrupt(high);
    EXPECT_EQ(LOW, b.take_interrupt().vector);
}

TEST(Cepic, AVectorSentAgainWhileItWaitsInPmirrIsCoalesced)
{
    CepicBench b;
    b.accept(HIGH);
    b.take_interrupt();
    EXPECT_EQ(CEPIC_ACCEPTED, b.accept(LOW));
    EXPECT_EQ(CEPIC_COALESCED, b.accept(LOW));
}

TEST(Cepic, AVectorSentAgainWhileItStandsInCirComesTwice)
{
    CepicBench b;
    b.accept(LOW);
    EXPECT_EQ(CEPIC_ACCEPTED, b.accept(LOW));
    b.end_interrupt(b.take_interrupt());
    EXPECT_EQ(int(LOW), cepic_waiting(&b.c));
}

TEST(Cepic, CprHoldsBackWhatIsNotAboveIt)
{
    CepicBench b;
    b.write(CEPIC_CPR, 2 << 8);
    b.accept(MIDDLE);
    EXPECT_EQ(-1, cepic_waiting(&b.c));
    b.write(CEPIC_CPR, 1 << 8);
    EXPECT_EQ(int(MIDDLE), cepic_waiting(&b.c));
}

TEST(Cepic, AnAcknowledgementOfNothingGivesTheSpuriousVectorAndChangesNothing)
{
    CepicBench b;
    b.write(CEPIC_SVR, 0x3ff);
    EXPECT_EQ(0x3ffu, b.take_interrupt().vector);
    EXPECT_EQ(0u, b.core_priority());
}

TEST(Cepic, AnEoiOfNothingEndsNothing)
{
    CepicBench b;
    b.write(CEPIC_EOI, 0);
    EXPECT_TRUE(b.ended.empty());
}

TEST(Cepic, WithoutSoftEnFixedInterruptsAreRefusedAndNonMaskableOnesAreNot)
{
    CepicBench b(false);
    EXPECT_EQ(CEPIC_REFUSED, b.accept(LOW));
    EXPECT_EQ(CEPIC_ACCEPTED, b.accept(0, EPIC_NMI));
}

TEST(Cepic, VectorZeroAndUnknownModesAreRefusedAndNoted)
{
    CepicBench b;
    EXPECT_EQ(CEPIC_REFUSED, b.accept(0));
    EXPECT_EQ(uint64_t{1 << 10}, b.errors());
    EXPECT_EQ(CEPIC_REFUSED, b.accept(LOW, epic_delivery(7)));
    EXPECT_EQ(uint64_t{1 << 10}, b.errors());
    EXPECT_EQ(0u, b.errors());
}

TEST(Cepic, ErrorsMakeOneInterruptUntilEsrIsWritten)
{
    CepicBench b;
    b.write(CEPIC_ESR2, HIGH);
    b.accept(0);
    EXPECT_EQ(int(HIGH), cepic_waiting(&b.c));
    b.end_interrupt(b.take_interrupt());
    b.accept(0);
    EXPECT_EQ(-1, cepic_waiting(&b.c));
    b.errors();
    b.accept(0);
    EXPECT_EQ(int(HIGH), cepic_waiting(&b.c));
    b.end_interrupt(b.take_interrupt());
    b.errors();
    b.write(CEPIC_ESR2, HIGH | CepicBench::MASK);
    b.accept(0);
    EXPECT_EQ(-1, cepic_waiting(&b.c));
}

/* ---- what cannot be masked ---- */

TEST(Cepic, EachModeThatCannotBeMaskedHasItsBit)
{
    CepicBench b;
    b.accept(0, EPIC_SMI);
    b.accept(0, EPIC_NM_SPECIAL);
    b.accept(0, EPIC_NMI);
    b.accept(0, EPIC_INIT);
    b.accept(0x7e, EPIC_STARTUP);
    EXPECT_EQ(CepicBench::SMI | CepicBench::NM_SPECIAL | CepicBench::NMI | CepicBench::INIT |
                  CepicBench::STARTUP | 0x7e,
              b.read(CEPIC_PNMIRR));
    EXPECT_EQ(CEPIC_COALESCED, b.accept(0, EPIC_NMI));
}

TEST(Cepic, WritingOnesClearsThem)
{
    CepicBench b;
    b.accept(0, EPIC_NMI);
    b.accept(0, EPIC_SMI);
    b.write(CEPIC_PNMIRR, CepicBench::NMI);
    EXPECT_EQ(CepicBench::SMI, b.read(CEPIC_PNMIRR));
    EXPECT_EQ(CEPIC_ACCEPTED, b.accept(0, EPIC_NMI));
}

TEST(Cepic, AMaskHoldsThemBack)
{
    CepicBench b;
    b.write(CEPIC_PNMIRR_MASK, CepicBench::NMI);
    b.accept(0, EPIC_NMI);
    EXPECT_EQ(0u, cepic_nonmaskable(&b.c));
    b.write(CEPIC_PNMIRR_MASK, 0);
    EXPECT_EQ(CepicBench::NMI, cepic_nonmaskable(&b.c));
}

/* ---- ICR ---- */

TEST(Cepic, AnIcrWriteSendsWhatItsFieldsSay)
{
    CepicBench b;
    b.write(CEPIC_ICR, UINT64_C(0x0003fd00'12312000) | LOW | EPIC_SELF << 10, 8);
    ASSERT_EQ(1u, b.sent.size());
    EXPECT_EQ(LOW, b.sent[0].vector);
    EXPECT_EQ(0x3fd, b.sent[0].dest);
    EXPECT_EQ(0x123, b.sent[0].guest);
    EXPECT_EQ(EPIC_FIXED_IPI, b.sent[0].delivery);
    EXPECT_EQ(EPIC_SELF, b.sent[0].shorthand);
    EXPECT_EQ(1, b.sent[0].source);
}

TEST(Cepic, ByHalvesTheLowOneSends)
{
    CepicBench b;
    b.write(CEPIC_ICR + 4, 0x2a << 8);
    EXPECT_TRUE(b.sent.empty());
    b.write(CEPIC_ICR, MIDDLE);
    ASSERT_EQ(1u, b.sent.size());
    EXPECT_EQ(0x2a, b.sent[0].dest);
    EXPECT_EQ(MIDDLE, b.sent[0].vector);
}

TEST(Cepic, ADeliveryModeThatThereIsNotSendsNothing)
{
    CepicBench b;
    b.write(CEPIC_ICR, 7 << 13 | LOW, 8);
    EXPECT_TRUE(b.sent.empty());
    EXPECT_EQ(uint64_t{1 << 11}, b.errors());
}

/* ---- registers ---- */

TEST(Cepic, AfterPowerUpOnlyIdAndControlSayAnything)
{
    CepicBench b(false, 0x3ff);
    EXPECT_EQ(0x3ffu, b.read(CEPIC_ID));
    for (unsigned offset : {CEPIC_CTRL, CEPIC_CPR, CEPIC_ESR, CEPIC_CIR, CEPIC_PNMIRR,
                            CEPIC_TIMER_LVTT, CEPIC_SVR})
        EXPECT_EQ(0u, b.read(offset)) << std::hex << offset;
}

TEST(Cepic, ReservedAndReadOnlyBitsStay)
{
    CepicBench b(false);
    b.write(CEPIC_CTRL, ~0u);
    EXPECT_EQ(CepicBench::SOFT_EN, b.read(CEPIC_CTRL));
    b.write(CEPIC_ID, 0);
    EXPECT_EQ(0x102u, b.read(CEPIC_ID));
}

TEST(Cepic, AnAccessToNowhereIsNoted)
{
    CepicBench b;
    for (unsigned offset : {0x020u, 0x180u, 0x300u}) {
        EXPECT_EQ(0u, b.read(offset));
        EXPECT_EQ(uint64_t{1 << 5}, b.errors()) << std::hex << offset;
    }
    b.write(CEPIC_CIR, 1);
    EXPECT_EQ(uint64_t{1 << 5}, b.errors()) << "read-only";
    b.read(CEPIC_EOI);
    EXPECT_EQ(uint64_t{1 << 5}, b.errors()) << "write-only";
    b.read(CEPIC_CTRL, 8);
    EXPECT_EQ(uint64_t{1 << 5}, b.errors()) << "wider than the register";
    b.read(CEPIC_CTRL + 2);
    EXPECT_EQ(uint64_t{1 << 5}, b.errors()) << "not aligned";
}

TEST(Cepic, WhatGatheredInMemoryIsTakenIn)
{
    CepicBench b;
    cepic_or_pending(&b.c, HIGH / 64, UINT64_C(1) << HIGH % 64);
    EXPECT_EQ(int(HIGH), cepic_waiting(&b.c));
    cepic_or_nonmaskable(&b.c, CepicBench::NMI);
    EXPECT_EQ(CepicBench::NMI, cepic_nonmaskable(&b.c));
}

/* ---- timers: 100 MHz, so 10 000 ps a tick ---- */

TEST(CepicTimer, ExpiresAfterItsCountAndDivider)
{
    CepicBench b;
    epic_msg msg;
    b.write(CEPIC_TIMER_DIV, 0xb);
    b.write(CEPIC_TIMER_LVTT, MIDDLE);
    b.write(CEPIC_TIMER_INIT, 100);
    EXPECT_EQ(1000000u, b.armed[CEPIC_TIMER].ps);
    b.now.ps = 400000;
    EXPECT_EQ(60u, b.read(CEPIC_TIMER_CUR));
    EXPECT_FALSE(b.expired(&msg));
    b.now.ps = 1000000;
    ASSERT_TRUE(b.expired(&msg));
    EXPECT_EQ(MIDDLE, msg.vector);
    EXPECT_EQ(0u, b.read(CEPIC_TIMER_CUR));
}

TEST(CepicTimer, DividesByTwoAtPowerUpAndTheStepsLeftTakeTheNewLength)
{
    CepicBench b;
    b.write(CEPIC_TIMER_INIT, 100);
    EXPECT_EQ(2000000u, b.armed[CEPIC_TIMER].ps);
    b.now.ps = 1000000;
    b.write(CEPIC_TIMER_DIV, 0xb);
    EXPECT_EQ(1500000u, b.armed[CEPIC_TIMER].ps);
}

TEST(CepicTimer, APeriodBeginsWhereTheLastOneEnded)
{
    CepicBench b;
    epic_msg msg;
    b.write(CEPIC_TIMER_DIV, 0xb);
    b.write(CEPIC_TIMER_LVTT, CepicBench::PERIODIC | MIDDLE);
    b.write(CEPIC_TIMER_INIT, 100);
    b.now.ps = 1300000; /* late */
    EXPECT_TRUE(b.expired(&msg));
    EXPECT_EQ(2000000u, b.armed[CEPIC_TIMER].ps);
}

TEST(CepicTimer, AMaskedOneExpiresWithoutAnInterruptAndACountOfZeroStops)
{
    CepicBench b;
    epic_msg msg;
    b.write(CEPIC_TIMER_LVTT, CepicBench::MASK | MIDDLE);
    b.write(CEPIC_TIMER_INIT, 1);
    b.now.ps = 20000;
    EXPECT_FALSE(b.expired(&msg));
    b.write(CEPIC_TIMER_INIT, 5);
    b.write(CEPIC_TIMER_INIT, 0);
    EXPECT_EQ(SIM_TIME_NEVER.ps, b.armed[CEPIC_TIMER].ps);
}

TEST(CepicTimer, TheNonMaskableOneSetsItsBit)
{
    CepicBench b;
    b.write(CEPIC_NM_TIMER_DIV, 0xb);
    b.write(CEPIC_NM_TIMER_INIT, 10);
    EXPECT_EQ(100000u, b.armed[CEPIC_NM_TIMER].ps);
    EXPECT_EQ(SIM_TIME_NEVER.ps, b.armed[CEPIC_TIMER].ps);
    b.now.ps = 50000;
    EXPECT_EQ(5u, b.read(CEPIC_NM_TIMER_CUR));
    b.now.ps = 99999;
    cepic_nm_timer_expired(&b.c, b.now, 7);
    EXPECT_EQ(0u, cepic_nonmaskable(&b.c)) << "it is early";
    b.now.ps = 100000;
    cepic_nm_timer_expired(&b.c, b.now, 7);
    EXPECT_EQ(CepicBench::NM_TIMER, cepic_nonmaskable(&b.c));
    EXPECT_EQ(7u, cepic_nonmaskable_flow(&b.c));
}

TEST(CepicTimer, ANonMaskablePeriodBeginsWhereTheLastOneEnded)
{
    CepicBench b;
    b.write(CEPIC_NM_TIMER_DIV, 0xb);
    b.write(CEPIC_NM_TIMER_LVTT, CepicBench::PERIODIC);
    b.write(CEPIC_NM_TIMER_INIT, 100);
    b.now.ps = 1300000; /* late */
    cepic_nm_timer_expired(&b.c, b.now, 7);
    EXPECT_EQ(2000000u, b.armed[CEPIC_NM_TIMER].ps);
}

/* What one trap serves is one interrupt; what software clears unserved is nobody's. */
TEST(Cepic, OneTrapServesAllThatCannotBeMasked)
{
    CepicBench b;
    b.accept(0, EPIC_NMI, 11);
    b.accept(0, EPIC_SMI, 12);
    b.accept(0, EPIC_NMI, 13); /* held already */
    EXPECT_EQ(2u, cepic_nonmaskable_count(&b.c));
    const trace_flow first = cepic_nonmaskable_flow(&b.c);
    EXPECT_NE(0u, first);
    EXPECT_EQ(first, cepic_serve_nonmaskable(&b.c, CepicBench::NMI | CepicBench::SMI));
    EXPECT_EQ(0u, cepic_nonmaskable_count(&b.c));
    b.accept(0, EPIC_SMI, 14);
    EXPECT_EQ(0u, cepic_nonmaskable_count(&b.c)) << "the bit is set until it is written";
    b.write(CEPIC_PNMIRR, CepicBench::NMI | CepicBench::SMI);
    b.accept(0, EPIC_SMI, 15);
    EXPECT_EQ(1u, cepic_nonmaskable_count(&b.c));
    b.write(CEPIC_PNMIRR, CepicBench::SMI);
    EXPECT_EQ(0u, cepic_nonmaskable_count(&b.c));
}

TEST(Cepic, WhatIsHeldBackIsServedByNobody)
{
    CepicBench b;
    b.write(CEPIC_PNMIRR_MASK, CepicBench::NMI);
    b.accept(0, EPIC_NMI, 16);
    EXPECT_EQ(0u, cepic_nonmaskable_flow(&b.c));
    EXPECT_EQ(0u, cepic_serve_nonmaskable(&b.c, cepic_nonmaskable(&b.c)));
    EXPECT_EQ(1u, cepic_nonmaskable_count(&b.c));
}

/* ---- properties ---- */

/* Interrupts that gave way in CIR to a higher class, and met their own vector in PMIRR again. */
size_t displaced(const CepicBench &b)
{
    return b.recorder.of(TRACE_COALESCED).size() - b.coalesced;
}

/* Every fixed interrupt that is accepted is taken once, higher classes first, and ended once. */
TEST(CepicProperty, WhatIsAcceptedIsTakenOnceAndInOrder)
{
    std::mt19937 random(1);
    for (int round = 0; round < 200; round++) {
        CepicBench b;
        std::vector<CepicBench::Taken> stack;
        size_t accepted = 0, taken = 0;
        for (int step = 0; step < 300; step++) {
            switch (random() % 3) {
            case 0:
                accepted += b.accept(1 + random() % 1023) == CEPIC_ACCEPTED;
                break;
            case 1:
                if (cepic_waiting(&b.c) >= 0) {
                    const unsigned before = b.core_priority();
                    stack.push_back(b.take_interrupt());
                    taken++;
                    ASSERT_EQ(before, stack.back().cpr);
                    ASSERT_GT(epic_priority(stack.back().vector), before);
                }
                break;
            default:
                if (!stack.empty()) {
                    b.end_interrupt(stack.back());
                    ASSERT_EQ(stack.back().vector, b.ended.back());
                    stack.pop_back();
                }
            }
            ASSERT_LE(stack.size(), 4u);
        }
        while (!stack.empty() || cepic_waiting(&b.c) >= 0) {
            if (cepic_waiting(&b.c) >= 0)
                stack.push_back(b.take_interrupt()), taken++;
            b.end_interrupt(stack.back());
            stack.pop_back();
        }
        EXPECT_EQ(accepted, taken + displaced(b));
        EXPECT_EQ(taken, b.ended.size());
        EXPECT_EQ(taken, b.recorder.of(TRACE_RETIRED).size());
    }
}

TEST(CepicProperty, NoAccessOfRandomPlaceSizeAndValueBreaksIt)
{
    std::mt19937_64 random(2);
    CepicBench b;
    for (int step = 0; step < 100000; step++) {
        const unsigned offset = random() % 0x400, size = 1u << random() % 4;
        b.now.ps += random() % 1000;
        if (random() % 2)
            b.write(offset, random(), size);
        else
            b.read(offset, size);
        ASSERT_LT(cepic_waiting(&b.c), 1024);
    }
}

} // namespace
