/*
 * The 8259A pair through its ports: one section for each section of the data
 * sheet. pin.history is what INT did: "+" rose, "-" fell.
 */
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "unit/i8259_bench.h"

namespace
{

using Lines = std::vector<int>;

/* ---- power-up and initialization ---- */

struct PowerUp : PicBench {
    PowerUp()
    {
        i8259_init(&pic, &pin, 0);
        pin.history.clear();
    }
};

TEST_F(PowerUp, EverythingIsZeroAndNothingIsAsked)
{
    for (uint16_t port : {MASTER, SLAVE})
        EXPECT_EQ(in(port) | in(port + DATA) | isr(port), 0);
    EXPECT_EQ(in(ELCR1) | in(ELCR2), 0);
    EXPECT_FALSE(intr());
    EXPECT_EQ(i8259_pending(&pic), I8259_NO_LINE);
}

TEST_F(PowerUp, AChipThatSawNoIcwAsksForNothing)
{
    for (unsigned line = 0; line < I8259_LINES; line++)
        raise(line);
    EXPECT_EQ(pin.history, "");
    EXPECT_EQ(irr(MASTER), 0xfb);
}

using Initialization = PicBench;

TEST_F(Initialization, IntWaitsForTheLastIcw)
{
    out(MASTER, 0x11);
    raise(3);
    for (unsigned icw : {0x20, 0x04}) {
        out(MASTER + DATA, icw);
        EXPECT_FALSE(intr());
    }
    out(MASTER + DATA, UPM);
    EXPECT_EQ(take(), 3);
}

TEST_F(Initialization, TheNumberOfIcwsFollowsFromSnglAndIc4)
{
    const std::map<unsigned, unsigned> icws_after_the_first = {
        {0, 2}, {SNGL, 1}, {IC4, 3}, {SNGL | IC4, 2}};

    for (auto [icw1, count] : icws_after_the_first) {
        out(MASTER, 0x10 | icw1);
        for (unsigned i = 0; i < count; i++) {
            out(MASTER + DATA, 0x5a);
            EXPECT_EQ(in(MASTER + DATA), 0x00) << icw1 << ", an ICW is no mask";
        }
        out(MASTER + DATA, 0xa5);
        EXPECT_EQ(in(MASTER + DATA), 0xa5) << icw1 << ", after the last one";
    }
}

TEST_F(Initialization, Icw1InTheMiddleStartsAgain)
{
    out(MASTER, 0x11);
    out(MASTER + DATA, 0x40);
    master_with(0);
    out(MASTER + DATA, 0x0f);
    EXPECT_EQ(in(MASTER + DATA), 0x0f);
}

TEST_F(Initialization, Icw1ClearsTheMaskAndTheService)
{
    raise(1);
    take();
    out(MASTER + DATA, 0xf0);
    out(MASTER, 0x11);
    EXPECT_EQ(in(MASTER + DATA), 0);
    EXPECT_EQ(isr(MASTER), 0);
}

TEST_F(Initialization, Icw1ResetsTheEdgeSenseSoThatALineMustRiseAgain)
{
    raise(5);
    master_with(0);
    EXPECT_EQ(irr(MASTER), 0);
    raise(5);
    EXPECT_EQ(take(), NOTHING);
    lower(5);
    raise(5);
    EXPECT_EQ(take(), 5);
}

TEST_F(Initialization, ALevelThatIsHighOutlivesIcw1)
{
    out(ELCR1, 0x20);
    raise(5);
    master_with(0);
    EXPECT_EQ(take(), 5);
}

TEST_F(Initialization, ALineThatRisesAmongTheIcwsIsRemembered)
{
    out(SLAVE, 0x11);
    raise(8);
    slave_with(0);
    EXPECT_EQ(take(), NOTHING) << "that ICW1 was the second one";
    out(SLAVE, 0x11);
    lower(8);
    raise(8);
    for (unsigned icw : {0x70, 0x02, 0x01})
        out(SLAVE + DATA, icw);
    EXPECT_EQ(take(), 8);
}

TEST_F(Initialization, Icw1MakesIr0TheHighestAgain)
{
    out(MASTER, R | SL | 3);
    master_with(0);
    raise(4);
    raise(0);
    EXPECT_EQ(take(), 0);
}

TEST_F(Initialization, Icw1SelectsIrrForReading)
{
    raise(1);
    take();
    isr(MASTER);
    out(MASTER, 0x11);
    raise(6);
    EXPECT_EQ(in(MASTER), 0x40);
}

TEST_F(Initialization, Icw1ForgetsAPollCommand)
{
    raise(1);
    out(MASTER, POLL);
    master_with(0);
    EXPECT_EQ(in(MASTER), 0x00);
    EXPECT_EQ(in(MASTER + DATA), 0x00);
}

TEST_F(Initialization, Icw1ClearsSpecialMaskMode)
{
    out(MASTER, SET_SMM);
    master_with(0);
    raise(1);
    take();
    out(MASTER + DATA, 0x02);
    raise(4);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(Initialization, Icw1ClearsRotationInAutomaticEoi)
{
    out(MASTER, R);
    master_with(AEOI);
    for (unsigned line : {0, 1})
        raise(line);
    take();
    lower(0);
    raise(0);
    EXPECT_EQ(take(), 0);
}

TEST_F(Initialization, WithoutIcw4ItsFunctionsAreZero)
{
    master_with(AEOI | SFNM);
    initialize(MASTER, 0, 0x20, 0x04, 0);
    raise(3);
    i8259_acknowledge(&pic);
    EXPECT_EQ(isr(MASTER), 0x08) << "no automatic EOI";
    EXPECT_EQ(i8259_vector(&pic, 3), 0x18) << "MCS-80/85";
}

TEST_F(Initialization, ElcrIsNotTheChipsAndStays)
{
    out(ELCR1, 0xf8);
    out(ELCR2, 0xde);
    master_with(0);
    slave_with(0);
    EXPECT_EQ(in(ELCR1), 0xf8);
    EXPECT_EQ(in(ELCR2), 0xde);
}

TEST_F(Initialization, Icw2GivesTheUpperFiveBitsOfTheVector)
{
    initialize(MASTER, UPM, 0xaf, 0x04);
    raise(3);
    EXPECT_EQ(inta(), 0xabu);
    EXPECT_EQ(i8259_vector(&pic, 7), 0xaf);
    EXPECT_EQ(i8259_vector(&pic, 8), SLAVE_BASE);
}

/* ---- fully nested mode ---- */

using FullyNested = PicBench;

TEST_F(FullyNested, Ir0IsServedFirstAndTheSlaveComesInTheMastersThird)
{
    for (unsigned line : {7, 15, 3, 8, 1, 0, 12})
        raise(line);
    EXPECT_EQ(serve_all(), (Lines{0, 1, 8, 12, 15, 3, 7}));
}

TEST_F(FullyNested, AcknowledgementMovesTheRequestIntoService)
{
    raise(4);
    EXPECT_EQ(irr(MASTER), 0x10);
    EXPECT_EQ(inta(), MASTER_BASE + 4u);
    EXPECT_EQ(irr(MASTER), 0x00);
    EXPECT_EQ(isr(MASTER), 0x10);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(FullyNested, WhatIsInServiceHoldsUpItsOwnLevelAndTheLowerOnes)
{
    raise(3);
    take();
    lower(3);
    raise(3);
    raise(5);
    EXPECT_EQ(take(), NOTHING);
    EXPECT_EQ(irr(MASTER), 0x28);
    raise(1);
    EXPECT_EQ(take(), 1);
    EXPECT_EQ(isr(MASTER), 0x0a);
}

TEST_F(FullyNested, ANonSpecificEoiEndsTheHighestThatIsInService)
{
    raise(3);
    take();
    raise(1);
    take();
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x08);
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x00);
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x00);
}

TEST_F(FullyNested, ASpecificEoiEndsTheLevelThatItNames)
{
    raise(3);
    take();
    raise(1);
    take();
    out(MASTER, SL | EOI | 3);
    EXPECT_EQ(isr(MASTER), 0x02);
    out(MASTER, SL | EOI | 6);
    EXPECT_EQ(isr(MASTER), 0x02) << "of a level that is not in service";
}

TEST_F(FullyNested, AnEoiLetsThroughWhatWaitedForIt)
{
    raise(3);
    take();
    raise(5);
    pin.history.clear();
    out(MASTER, EOI);
    EXPECT_EQ(pin.history, "+");
    EXPECT_EQ(take(), 5);
}

TEST_F(FullyNested, SlWithoutRotationOrEoiIsNoOperation)
{
    raise(3);
    take();
    out(MASTER, R);
    const i8259 before = pic;
    out(MASTER, SL | 3);
    EXPECT_EQ(memcmp(&before.chip, &pic.chip, sizeof(pic.chip)), 0);
}

/* ---- rotation ---- */

using Rotation = PicBench;

TEST_F(Rotation, SetPriorityNamesTheLowest)
{
    out(MASTER, R | SL | 5);
    for (unsigned line : {0, 1, 3, 4, 5, 6, 7, 8})
        raise(line);
    EXPECT_EQ(serve_all(), (Lines{6, 7, 0, 1, 8, 3, 4, 5}));
}

TEST_F(Rotation, SetPriorityEndsNothing)
{
    raise(5);
    take();
    out(MASTER, R | SL | 5);
    EXPECT_EQ(isr(MASTER), 0x20);
    raise(0);
    EXPECT_EQ(take(), 0) << "5 is the lowest now, in service or not";
}

TEST_F(Rotation, RotateOnNonSpecificEoiMakesTheEndedLevelTheLowest)
{
    raise(4);
    take();
    raise(6);
    out(MASTER, R | EOI);
    raise(3);
    raise(5);
    EXPECT_EQ(serve_all(), (Lines{5, 6, 3}));
}

TEST_F(Rotation, RotateOnNonSpecificEoiOfNothingRotatesNothing)
{
    out(MASTER, R | EOI);
    raise(7);
    raise(0);
    EXPECT_EQ(serve_all(), (Lines{0, 7}));
}

TEST_F(Rotation, RotateOnSpecificEoiDoesBoth)
{
    raise(1);
    take();
    out(MASTER, R | SL | EOI | 1);
    EXPECT_EQ(isr(MASTER), 0);
    lower(1);
    raise(1);
    raise(0);
    raise(7);
    EXPECT_EQ(serve_all(), (Lines{7, 0, 1}));
}

TEST_F(Rotation, TheHighestInServiceIsThatOfTheRotatedOrder)
{
    out(MASTER, R | SL | 3);
    raise(1);
    take();
    raise(6);
    take();
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x02);
}

TEST_F(Rotation, EachChipRotatesByItself)
{
    out(SLAVE, R | SL | 0);
    for (unsigned line : {0, 1, 8, 9})
        raise(line);
    EXPECT_EQ(serve_all(), (Lines{0, 1, 9, 8}));
}

/* ---- automatic EOI ---- */

using AutomaticEoi = PicBench;

TEST_F(AutomaticEoi, NothingStaysInService)
{
    master_with(AEOI);
    raise(3);
    EXPECT_EQ(take(), 3);
    EXPECT_EQ(isr(MASTER), 0);
}

TEST_F(AutomaticEoi, TheSameLevelCanInterruptItself)
{
    master_with(AEOI);
    out(ELCR1, 0x10);
    raise(4);
    EXPECT_EQ(take(), 4);
    EXPECT_EQ(take(), 4);
    lower(4);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(AutomaticEoi, IsAChipsOwnMode)
{
    master_with(AEOI);
    raise(9);
    EXPECT_EQ(take(), 9);
    EXPECT_EQ(isr(MASTER), 0);
    EXPECT_EQ(isr(SLAVE), 0x02);
}

TEST_F(AutomaticEoi, TheSlavesIntPulsesSoThatTheMasterSeesEachRequest)
{
    master_with(AEOI);
    slave_with(AEOI);
    for (unsigned line : {10, 11, 15})
        raise(line);
    for (int line : {10, 11, 15})
        EXPECT_EQ(take(), line);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(AutomaticEoi, RotatesWhenTold)
{
    const auto order = [&] {
        master_with(AEOI);
        out(MASTER, R);
        Lines lines;
        for (int round = 0; round < 4; round++) {
            for (unsigned line : {0, 1}) {
                lower(line);
                raise(line);
            }
            lines.push_back(take());
        }
        return lines;
    };
    EXPECT_EQ(order(), (Lines{0, 1, 0, 1}));
}

TEST_F(AutomaticEoi, StopsRotatingWhenTold)
{
    master_with(AEOI);
    out(MASTER, R);
    raise(2 + 1);
    EXPECT_EQ(take(), 3);
    out(MASTER, 0);
    for (unsigned line : {1, 4})
        raise(line);
    EXPECT_EQ(take(), 4) << "the order stays";
    lower(4);
    raise(4);
    EXPECT_EQ(take(), 4) << "and moves no more";
}

TEST_F(AutomaticEoi, ASpuriousInterruptRotatesNothing)
{
    master_with(AEOI);
    out(MASTER, R);
    inta();
    raise(0);
    raise(7);
    EXPECT_EQ(take(), 0);
}

/* ---- masks ---- */

using Masks = PicBench;

TEST_F(Masks, AMaskedRequestWaitsInIrr)
{
    out(MASTER + DATA, 0x08);
    raise(3);
    EXPECT_EQ(irr(MASTER), 0x08);
    EXPECT_FALSE(intr());
    out(MASTER + DATA, 0x00);
    EXPECT_EQ(take(), 3);
}

TEST_F(Masks, MaskingTakesIntBack)
{
    raise(3);
    out(MASTER + DATA, 0x08);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(Masks, AMaskDoesNotChangeWhatLowerLevelsGet)
{
    out(MASTER + DATA, 0x02);
    raise(1);
    raise(6);
    EXPECT_EQ(take(), 6);
}

TEST_F(Masks, TheMastersThirdBitMasksTheWholeSlave)
{
    out(MASTER + DATA, 0x04);
    raise(12);
    EXPECT_EQ(take(), NOTHING);
    EXPECT_EQ(irr(MASTER), 0x04);
    out(MASTER + DATA, 0x00);
    EXPECT_EQ(take(), 12);
}

using SpecialMask = PicBench;

TEST_F(SpecialMask, AMaskedLevelInServiceHoldsUpNobody)
{
    raise(2 + 1);
    take();
    out(MASTER + DATA, 0x08);
    out(MASTER, SET_SMM);
    raise(6);
    EXPECT_EQ(take(), 6);
}

TEST_F(SpecialMask, AnUnmaskedLevelInServiceStillDoes)
{
    raise(3);
    take();
    out(MASTER, SET_SMM);
    raise(6);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(SpecialMask, IsHeardOfAtIntAtOnce)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    raise(6);
    pin.history.clear();
    out(MASTER, SET_SMM);
    out(MASTER, RESET_SMM);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(SpecialMask, SmmIsHeededWithEsmmOnly)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    raise(6);
    out(MASTER, OCW3 | 0x20);
    EXPECT_FALSE(intr());
    out(MASTER, SET_SMM);
    out(MASTER, OCW3);
    EXPECT_TRUE(intr());
}

TEST_F(SpecialMask, ANonSpecificEoiPassesOverMaskedLevels)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    out(MASTER, SET_SMM);
    raise(6);
    take();
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x08);
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x08);
    out(MASTER, SL | EOI | 3);
    EXPECT_EQ(isr(MASTER), 0x00);
}

/* ---- special fully nested mode ---- */

struct SpecialFullyNested : PicBench {
    SpecialFullyNested()
    {
        master_with(SFNM);
        raise(12);
        take();
    }
};

TEST_F(SpecialFullyNested, AHigherLevelOfTheSlaveInServiceInterrupts)
{
    raise(9);
    EXPECT_EQ(take(), 9);
    EXPECT_EQ(isr(SLAVE), 0x12);
    EXPECT_EQ(isr(MASTER), 0x04);
}

TEST_F(SpecialFullyNested, ALowerOneDoesNot)
{
    raise(14);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(SpecialFullyNested, TheMastersLowerLevelsAreHeldUpByTheSlave)
{
    raise(3);
    EXPECT_EQ(take(), NOTHING);
    raise(1);
    EXPECT_EQ(take(), 1);
}

TEST_F(SpecialFullyNested, AnInputWithoutASlaveHoldsUpItself)
{
    raise(1);
    take();
    lower(1);
    raise(1);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(SpecialFullyNested, TheNormalModeMasksTheSlaveOut)
{
    master_with(0);
    raise(13);
    out(SLAVE, EOI);
    EXPECT_EQ(take(), 13);
    raise(9);
    EXPECT_EQ(take(), NOTHING);
    out(MASTER, EOI);
    EXPECT_EQ(take(), 9);
}

/* ---- poll ---- */

using Poll = PicBench;

TEST_F(Poll, TheReadAcknowledgesTheHighestLevel)
{
    raise(6);
    raise(4);
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER), 0x84);
    EXPECT_EQ(isr(MASTER), 0x10);
    EXPECT_EQ(irr(MASTER), 0x40);
}

TEST_F(Poll, WithoutARequestBit7IsClear)
{
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER), 0x00);
    EXPECT_EQ(isr(MASTER), 0x00);
}

TEST_F(Poll, IsForOneRead)
{
    raise(6);
    raise(4);
    out(MASTER, POLL);
    in(MASTER);
    EXPECT_EQ(in(MASTER), 0x40) << "IRR again";
}

TEST_F(Poll, GoesBeforeTheRegisterThatTheSameWordSelects)
{
    raise(4);
    out(MASTER, POLL | READ_ISR);
    EXPECT_EQ(in(MASTER), 0x84);
    EXPECT_EQ(in(MASTER), 0x10);
}

TEST_F(Poll, AnyReadOfTheChipIsIt)
{
    raise(4);
    out(MASTER + DATA, 0x80);
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER + DATA), 0x84);
    EXPECT_EQ(in(MASTER + DATA), 0x80);
}

TEST_F(Poll, FreezesTheRequestsUntilTheRead)
{
    raise(4);
    out(MASTER, POLL);
    raise(1);
    lower(4);
    EXPECT_EQ(in(MASTER), 0x84);
    EXPECT_EQ(irr(MASTER), 0x02);
}

TEST_F(Poll, OfTheMasterThenOfTheSlaveFindsTheSlavesLine)
{
    raise(13);
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER), 0x82);
    out(SLAVE, POLL);
    EXPECT_EQ(in(SLAVE), 0x85);
    EXPECT_FALSE(intr());
}

TEST_F(Poll, OfTheSlaveAloneTakesItsIntBack)
{
    raise(13);
    out(SLAVE, POLL);
    EXPECT_EQ(in(SLAVE), 0x85);
    EXPECT_EQ(irr(MASTER), 0x00);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(Poll, EndsItselfInAutomaticEoi)
{
    master_with(AEOI);
    raise(4);
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER), 0x84);
    EXPECT_EQ(isr(MASTER), 0x00);
}

TEST_F(Poll, InAutomaticEoiTheSlavesIntPulsesForTheNextRequest)
{
    slave_with(AEOI);
    raise(13);
    raise(14);
    out(MASTER, POLL);
    EXPECT_EQ(in(MASTER), 0x82);
    out(SLAVE, POLL);
    EXPECT_EQ(in(SLAVE), 0x85);
    EXPECT_EQ(irr(MASTER), 0x04);
}

TEST_F(Poll, AnIntaInTheMeantimeTakesTheRequestAndThePollFindsNone)
{
    raise(4);
    out(MASTER, POLL);
    EXPECT_EQ(take(), 4);
    out(MASTER, EOI);
    EXPECT_EQ(in(MASTER), 0x00);
}

/* ---- reading status ---- */

using Status = PicBench;

TEST_F(Status, TheSelectedRegisterIsRememberedUntilAnotherIsSelected)
{
    raise(4);
    take();
    raise(6);
    EXPECT_EQ(in(MASTER), 0x40);
    EXPECT_EQ(isr(MASTER), 0x10);
    out(MASTER, EOI);
    out(MASTER, OCW3 | 1);
    EXPECT_EQ(in(MASTER), 0x00) << "RIS without RR selects nothing";
    EXPECT_EQ(irr(MASTER), 0x40);
}

TEST_F(Status, ReadingChangesNothing)
{
    raise(4);
    raise(9);
    take();
    const i8259 before = pic;
    for (unsigned port : {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1})
        in(port);
    EXPECT_EQ(memcmp(&before, &pic, sizeof(pic)), 0);
}

/* ---- edge and level ---- */

using Edge = PicBench;

TEST_F(Edge, ALineThatStaysHighAsksOnce)
{
    raise(4);
    raise(4);
    EXPECT_EQ(serve_all(), (Lines{4}));
    raise(4);
    EXPECT_EQ(serve_all(), Lines());
}

TEST_F(Edge, ARequestThatFallsBeforeIntaIsWithdrawn)
{
    raise(4);
    lower(4);
    EXPECT_EQ(pin.history, "+-");
    EXPECT_EQ(irr(MASTER), 0x00);
}

TEST_F(Edge, ARequestThatRisesDuringItsServiceComesAgain)
{
    raise(4);
    take();
    lower(4);
    raise(4);
    EXPECT_EQ(irr(MASTER), 0x10);
    out(MASTER, EOI);
    EXPECT_EQ(take(), 4);
}

using Level = PicBench;

TEST_F(Level, AsksAsLongAsItIsHigh)
{
    out(ELCR1, 0x20);
    raise(5);
    EXPECT_EQ(take(), 5);
    EXPECT_EQ(irr(MASTER), 0x20);
    out(MASTER, EOI);
    EXPECT_EQ(take(), 5);
    lower(5);
    out(MASTER, EOI);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(Level, LtimMakesEveryInputLevelTriggered)
{
    master_with(0, IC4 | LTIM);
    raise(0);
    take();
    EXPECT_EQ(irr(MASTER), 0x01);
    raise(8);
    EXPECT_EQ(irr(MASTER), 0x05) << "the slave's INT too";
}

TEST_F(Level, ElcrTurnsAHighLineIntoARequestAndBack)
{
    raise(5);
    take();
    out(MASTER, EOI);
    EXPECT_EQ(take(), NOTHING);
    out(ELCR1, 0x20);
    EXPECT_TRUE(intr());
    out(ELCR1, 0x00);
    EXPECT_FALSE(intr());
}

TEST_F(Level, AnEdgeThatWasNeverAcknowledgedSurvivesTheChangeOfMode)
{
    raise(5);
    out(ELCR1, 0x20);
    out(ELCR1, 0x00);
    EXPECT_EQ(take(), 5);
}

TEST_F(Level, ElcrKeepsTheSystemsLinesEdgeTriggered)
{
    out(ELCR1, 0xff);
    out(ELCR2, 0xff);
    EXPECT_EQ(in(ELCR1), 0xf8);
    EXPECT_EQ(in(ELCR2), 0xde);
}

/* ---- cascade ---- */

using Cascade = PicBench;

TEST_F(Cascade, BothChipsHaveTheInterruptInService)
{
    raise(12);
    EXPECT_EQ(irr(MASTER), 0x04);
    EXPECT_EQ(inta(), SLAVE_BASE + 4u);
    EXPECT_EQ(isr(MASTER), 0x04);
    EXPECT_EQ(isr(SLAVE), 0x10);
}

TEST_F(Cascade, BothChipsNeedAnEoi)
{
    raise(12);
    take();
    raise(14);
    out(SLAVE, EOI);
    EXPECT_EQ(take(), NOTHING);
    out(MASTER, EOI);
    EXPECT_EQ(take(), 14);
}

TEST_F(Cascade, Line2IsTheSlavesAndCannotBeDriven)
{
    raise(2);
    EXPECT_EQ(irr(MASTER), 0x00);
    raise(16);
    raise(~0u);
    EXPECT_FALSE(intr());
}

TEST_F(Cascade, ASlaveThatWithdrawsTakesTheMastersRequestWithIt)
{
    raise(12);
    lower(12);
    EXPECT_EQ(irr(MASTER), 0x00);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(Cascade, AHigherRequestOfTheSlaveIsTheOneThatIsAcknowledged)
{
    raise(12);
    raise(9);
    EXPECT_EQ(i8259_pending(&pic), 9);
    EXPECT_EQ(take(), 9);
}

TEST_F(Cascade, AnInputThatIcw3GivesNoSlaveAnswersForItself)
{
    initialize(MASTER, UPM, MASTER_BASE, 0x00);
    raise(12);
    EXPECT_EQ(take(), I8259_CASCADE);
    EXPECT_EQ(isr(SLAVE), 0x00);
}

TEST_F(Cascade, ASingleMasterAnswersForEveryInput)
{
    master_with(0, IC4 | SNGL);
    raise(12);
    EXPECT_EQ(inta(), MASTER_BASE + 2u);
}

TEST_F(Cascade, ASlaveOfAnotherIdentityDoesNotAnswer)
{
    initialize(SLAVE, UPM, SLAVE_BASE, 0x05);
    raise(12);
    EXPECT_EQ(i8259_pending(&pic), I8259_NO_LINE);
    EXPECT_EQ(inta(), 0xffu) << "nobody drives the bus";
    EXPECT_EQ(isr(SLAVE), 0x00);
    EXPECT_EQ(isr(MASTER), 0x04);
}

TEST_F(Cascade, ASlaveHasIdentity7UntilIcw3SaysAnother)
{
    initialize(MASTER, UPM, MASTER_BASE, 0x80);
    slave_with(0, IC4 | SNGL);
    raise(7);
    EXPECT_EQ(inta(), SLAVE_BASE + 7u);
}

/* ---- spurious interrupts: "Edge and Level Triggered Modes", the default IR7 ---- */

using Spurious = PicBench;

TEST_F(Spurious, AnIntaWithoutARequestGivesIr7AndPutsNothingInService)
{
    raise(4);
    lower(4);
    const i8259_answer given = i8259_acknowledge(&pic);
    EXPECT_EQ(given.vector, MASTER_BASE + 7);
    EXPECT_EQ(given.line, I8259_NO_LINE);
    EXPECT_EQ(isr(MASTER), 0x00);
}

TEST_F(Spurious, ARealIr7IsInService)
{
    raise(7);
    const i8259_answer given = i8259_acknowledge(&pic);
    EXPECT_EQ(given.vector, MASTER_BASE + 7);
    EXPECT_EQ(given.line, 7);
    EXPECT_EQ(isr(MASTER), 0x80);
}

TEST_F(Spurious, ASlaveThatIsAddressedInVainGivesItsIr7)
{
    initialize(MASTER, UPM, MASTER_BASE, 0x0c);
    initialize(SLAVE, UPM, SLAVE_BASE, 0x03);
    raise(3);
    const i8259_answer given = i8259_acknowledge(&pic);
    EXPECT_EQ(given.vector, SLAVE_BASE + 7);
    EXPECT_EQ(given.line, I8259_NO_LINE);
    EXPECT_EQ(isr(MASTER), 0x08) << "the master had a request";
    EXPECT_EQ(isr(SLAVE), 0x00);
}

TEST_F(Spurious, AMaskedRequestIsNone)
{
    out(MASTER + DATA, 0xff);
    raise(4);
    EXPECT_EQ(inta(), MASTER_BASE + 7u);
    EXPECT_EQ(irr(MASTER), 0x10);
}

TEST_F(Spurious, WhatIsInServiceAlreadyIsNotTakenTwice)
{
    raise(4);
    take();
    lower(4);
    raise(4);
    EXPECT_EQ(inta(), MASTER_BASE + 7u);
    EXPECT_EQ(isr(MASTER), 0x10);
}

/* ---- MCS-80/85 mode: what a core with two INTA pulses sees of it ---- */

using Mcs80 = PicBench;

TEST_F(Mcs80, TheSecondPulseGivesTheLowAddressByteAtAnIntervalOf4)
{
    initialize(MASTER, 0, 0x12, 0x04, IC4 | ADI | 0xe0);
    for (unsigned level = 0; level < 8; level++)
        EXPECT_EQ(i8259_vector(&pic, level), 0xe0 + 4 * level);
    raise(5);
    EXPECT_EQ(inta(), 0xf4u);
}

TEST_F(Mcs80, AtAnIntervalOf8BitA5IsTheLevels)
{
    initialize(MASTER, 0, 0x12, 0x04, IC4 | 0xe0);
    for (unsigned level = 0; level < 8; level++)
        EXPECT_EQ(i8259_vector(&pic, level), 0xc0 + 8 * level);
}

/* ---- what the pair says of itself ---- */

using Queries = PicBench;

TEST_F(Queries, RequestsServiceAndMasksComeByLine)
{
    out(SLAVE + DATA, 0x80);
    out(MASTER + DATA, 0x02);
    raise(1);
    raise(12);
    raise(15);
    EXPECT_EQ(i8259_requests(&pic), 0x9006);
    EXPECT_EQ(i8259_masked(&pic), 0x8002);
    take();
    EXPECT_EQ(i8259_in_service(&pic), 0x1004);
    EXPECT_EQ(i8259_requests(&pic), 0x8002);
}

TEST_F(Queries, PendingNamesTheLineThatTheNextIntaGives)
{
    EXPECT_EQ(i8259_pending(&pic), I8259_NO_LINE);
    for (unsigned line : {15, 9, 5, 0}) {
        raise(line);
        const int expected = line == 5 ? 9 : static_cast<int>(line);
        EXPECT_EQ(i8259_pending(&pic), expected);
    }
}

TEST_F(Queries, IntIsToldWhenItChangesOnly)
{
    for (unsigned line : {4, 5, 6, 12})
        raise(line);
    EXPECT_EQ(pin.history, "+");
    for (unsigned line : {12, 6, 5, 4})
        lower(line);
    EXPECT_EQ(pin.history, "+-");
}

using Ports = PicBench;

TEST_F(Ports, ThePairOwnsSixPorts)
{
    std::set<uint16_t> owned;
    for (unsigned port = 0; port <= 0xffff; port++)
        if (i8259_owns(static_cast<uint16_t>(port)))
            owned.insert(static_cast<uint16_t>(port));
    EXPECT_EQ(owned, (std::set<uint16_t>{0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1}));
}

TEST_F(Ports, OthersReadAllOnesAndIgnoreWrites)
{
    const i8259 before = pic;
    for (unsigned port = 0; port <= 0xffff; port++)
        if (!i8259_owns(static_cast<uint16_t>(port))) {
            EXPECT_EQ(in(port), 0xff);
            out(static_cast<uint16_t>(port), 0x11);
        }
    EXPECT_EQ(memcmp(&before, &pic, sizeof(pic)), 0);
}

/* Each row's writable bits, by what a register that can be read gives back. */
TEST_F(Ports, WritableBitsOfTheTableAreThoseThatChange)
{
#define FIELD(...)
#define REG(name, port, width, access, reset, writable, ...)                                   \
    if (std::string(#access) == "RW")                                                          \
        for (unsigned value = 0; value < 256; value++) {                                       \
            out(port, value);                                                                  \
            EXPECT_EQ(in(port), value &(writable)) << #name;                                   \
        }
#include "irq/i8259_regs.def"
#undef REG
}

TEST_F(Ports, AnUndefinedBitOfACommandWordIsIgnored)
{
    const auto after = [&](uint16_t port, unsigned value) {
        i8259 other = pic;
        i8259_write(&other, port, static_cast<uint8_t>(value));
        return std::string(reinterpret_cast<const char *>(&other.chip), sizeof(other.chip));
    };
    for (unsigned value = 0x08; value < 0x80; value++) {
        if ((value & 0x18) == 0x08) {
            EXPECT_EQ(after(MASTER, value), after(MASTER, value | 0x80)) << "OCW3 bit 7";
        }
    }
    out(MASTER, 0x11);
    out(MASTER + DATA, 0x20);
    out(MASTER + DATA, 0x04);
    for (unsigned value = 0; value < 0x20; value++)
        EXPECT_EQ(after(MASTER + DATA, value), after(MASTER + DATA, value | 0xe0)) << "ICW4";
}

/* ---- state that comes from elsewhere ---- */

using State = PicBench;

TEST_F(State, LoadingMakesAChipThatIsInTheMiddleOfThings)
{
    const i8259_state slave = {0x0a, 0x0a, 0x00, 0x02, 0xc8, 0, false};
    const i8259_state master = {0x10, 0x90, 0x80, 0x00, 0xc0, 7, false};

    i8259_init(&pic, &pin, 0);
    i8259_load(&pic, 1, &slave);
    i8259_load(&pic, 0, &master);
    EXPECT_EQ(isr(MASTER), 0x80);
    EXPECT_EQ(irr(MASTER), 0x14) << "the slave's INT is high";
    EXPECT_EQ(take(), NOTHING) << "IR7 is the highest, and in service";
    out(MASTER, EOI);
    EXPECT_EQ(inta(), 0xcbu);
    out(SLAVE, EOI);
    out(MASTER, EOI);
    EXPECT_EQ(inta(), 0xc4u);
}

TEST_F(State, LoadingTellsInt)
{
    const i8259_state asking = {0x10, 0x10, 0x00, 0x00, 0xc0, 0, true};
    const i8259_state idle = {0x00, 0x00, 0x00, 0x00, 0xc0, 0, true};

    i8259_load(&pic, 0, &asking);
    i8259_load(&pic, 0, &idle);
    EXPECT_EQ(pin.history, "+-");
}

TEST_F(State, ARestoredPairGoesOnAsTheSavedOneDid)
{
    raise(12);
    raise(3);
    take();
    const i8259 saved = pic;
    EXPECT_EQ(serve_all(), (Lines{}));
    out(SLAVE, EOI);
    out(MASTER, EOI);
    const Lines future = serve_all();

    IntPin another;
    i8259 restored;
    i8259_init(&restored, &another, 0);
    i8259_restore(&restored, &saved);
    EXPECT_EQ(restored.port, &another);
    pic = restored;
    EXPECT_EQ(serve_all(), (Lines{}));
    out(SLAVE, EOI);
    out(MASTER, EOI);
    EXPECT_EQ(serve_all(), future);
}

TEST_F(State, RestoringTellsIntWhenItDiffers)
{
    const i8259 idle = pic;
    raise(3);
    const i8259 asking = pic;
    pin.history.clear();
    i8259_restore(&pic, &asking);
    EXPECT_EQ(pin.history, "");
    i8259_restore(&pic, &idle);
    i8259_restore(&pic, &asking);
    EXPECT_EQ(pin.history, "-+");
}

TEST_F(State, RestoringKeepsThePortAndTheQuirks)
{
    IntPin another;
    i8259 other;
    i8259_init(&other, &another, 0xff);
    i8259_restore(&pic, &other);
    EXPECT_EQ(pic.port, &pin);
    EXPECT_EQ(pic.quirks, 0u);
}

/* ---- quirks: each one is on in its test, and what the data sheet has is in the tests above ---- */

template <unsigned... quirks> struct With : PicBench {
    With() : PicBench((... | (1u << quirks)))
    {
    }
};

using EdgeLatched_quirk = With<I8259_QUIRK_EDGE_LATCHED>;
using SlaveLatched_quirk = With<I8259_QUIRK_SLAVE_LATCHED>;
using Icw1Isr_quirk = With<I8259_QUIRK_ICW1_ISR>;
using SmmNseoi_quirk = With<I8259_QUIRK_SMM_NSEOI>;
using SmmLate_quirk = With<I8259_QUIRK_SMM_LATE>;
using SmmNone_quirk = With<I8259_QUIRK_SMM_NONE>;
using SfnmLow_quirk = With<I8259_QUIRK_SFNM_LOW>;
using AeoiSlave_quirk = With<I8259_QUIRK_AEOI_SLAVE, I8259_QUIRK_SLAVE_LATCHED>;
using ElcrLive_quirk = With<I8259_QUIRK_ELCR_LIVE>;
using ElcrLiveAndEdgeLatched_quirk = With<I8259_QUIRK_ELCR_LIVE, I8259_QUIRK_EDGE_LATCHED>;
using PcWired_quirk = With<I8259_QUIRK_PC_WIRED>;
using PollOdd_quirk = With<I8259_QUIRK_POLL_ODD>;
using Reraise_quirk = With<I8259_QUIRK_RERAISE>;

TEST_F(EdgeLatched_quirk, APulseIsARequest)
{
    raise(4);
    lower(4);
    EXPECT_EQ(take(), 4);
    raise(12);
    lower(12);
    EXPECT_EQ(take(), 12);
}

TEST_F(SlaveLatched_quirk, ASlaveThatWithdrewGivesItsIr7)
{
    raise(12);
    lower(12);
    EXPECT_EQ(irr(MASTER), 0x04);
    EXPECT_EQ(inta(), SLAVE_BASE + 7u);
    EXPECT_EQ(isr(MASTER), 0x04);
    EXPECT_EQ(isr(SLAVE), 0x00);
}

TEST_F(Icw1Isr_quirk, Icw1LeavesTheServiceAlone)
{
    raise(4);
    take();
    master_with(0);
    EXPECT_EQ(isr(MASTER), 0x10);
}

TEST_F(SmmNseoi_quirk, ANonSpecificEoiEndsMaskedLevelsToo)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    out(MASTER, SET_SMM);
    out(MASTER, EOI);
    EXPECT_EQ(isr(MASTER), 0x00);
}

TEST_F(SmmLate_quirk, IntHearsOfSpecialMaskModeAtTheNextEvent)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    raise(6);
    out(MASTER, SET_SMM);
    EXPECT_FALSE(intr());
    out(MASTER + DATA, 0x08);
    EXPECT_TRUE(intr());
}

TEST_F(SmmNone_quirk, SpecialMaskModeCannotBeSet)
{
    raise(3);
    take();
    out(MASTER + DATA, 0x08);
    out(MASTER, SET_SMM);
    raise(6);
    EXPECT_FALSE(intr());
}

TEST_F(SfnmLow_quirk, ASlaveInServiceHoldsUpNobody)
{
    master_with(SFNM);
    raise(12);
    take();
    raise(5);
    EXPECT_EQ(take(), 5);
}

TEST_F(AeoiSlave_quirk, TheMasterSeesOneOfSeveralRequests)
{
    master_with(AEOI);
    slave_with(AEOI);
    raise(10);
    raise(11);
    EXPECT_EQ(take(), 10);
    EXPECT_EQ(take(), NOTHING);
}

TEST_F(ElcrLive_quirk, IrrStaysAsItWasUntilTheLineChanges)
{
    out(ELCR1, 0x20);
    raise(5);
    take();
    out(MASTER, EOI);
    out(ELCR1, 0x00);
    EXPECT_EQ(irr(MASTER), 0x20);
    lower(5);
    EXPECT_EQ(irr(MASTER), 0x00);
}

TEST_F(ElcrLiveAndEdgeLatched_quirk, ALevelThatElcrLeftBehindIsLatchedAsAnEdge)
{
    out(ELCR1, 0x20);
    raise(5);
    take();
    out(MASTER, EOI);
    out(ELCR1, 0x00);
    lower(5);
    EXPECT_EQ(take(), 5);
    EXPECT_EQ(irr(MASTER), 0x00);
}

TEST_F(PcWired_quirk, LtimUpmAndIcw3AreWhatAPcNeeds)
{
    initialize(MASTER, 0, 0x40, 0x00, IC4 | LTIM);
    raise(12);
    EXPECT_EQ(take(), 12);
    raise(0);
    EXPECT_EQ(inta(), 0x40u);
    EXPECT_EQ(irr(MASTER), 0x00);
}

TEST_F(PollOdd_quirk, APollPutsNothingInService)
{
    raise(12);
    out(SLAVE, POLL);
    EXPECT_EQ(in(SLAVE), 0x84);
    EXPECT_EQ(isr(SLAVE) | isr(MASTER) | irr(MASTER), 0x00);
    out(SLAVE, POLL);
    EXPECT_EQ(in(SLAVE), 0x07);
}

TEST_F(Reraise_quirk, AHighLineThatIsDrivenHighAfterIcw1IsARequest)
{
    raise(4);
    master_with(0);
    EXPECT_FALSE(intr());
    raise(4);
    EXPECT_EQ(take(), 4);
}

} // namespace
