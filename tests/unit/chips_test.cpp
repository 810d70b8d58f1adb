/*
 * The interrupt controllers on a board of their own, through virqsim.h: what an
 * operation answers, what comes of it, state put in its place; and that nothing
 * which can be asked does harm.
 */
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "virqsim.h"

namespace
{

struct Board {
    explicit Board(const virqsim_chips_config &config)
        : chips(virqsim_chips_open(&config, &error), virqsim_chips_close)
    {
    }

    virqsim_chips_status operator()(virqsim_chips_operation operation, uint64_t address = 0,
                                    uint64_t value = 0, uint32_t cpu = 0, uint32_t size = 4)
    {
        return virqsim_chips_do(chips.get(), operation, cpu, size, address, value, &result);
    }

    std::vector<virqsim_chips_effect> effects() const
    {
        uint32_t count;
        const virqsim_chips_effect *first = virqsim_chips_effects(chips.get(), &count);
        return {first, first + count};
    }

    virqsim_error error{};
    uint64_t result = 0;
    std::unique_ptr<virqsim_chips, void (*)(virqsim_chips *)> chips;
};

virqsim_chips_config with_cpus(std::vector<uint32_t> ids, bool wait_for_sipi = false)
{
    virqsim_chips_config config{};

    config.cpus = static_cast<uint32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), config.apic_id);
    config.ioapic_version = 0x20;
    config.x2apic = true;
    config.wait_for_sipi = wait_for_sipi;
    return config;
}

constexpr uint64_t SVR = 0xfee000f0, ICR_HIGH = 0xfee00310, ICR = 0xfee00300, EOI = 0xfee000b0;

void enable(Board &board, uint32_t cpu)
{
    EXPECT_EQ(board(VIRQSIM_MEMORY_WRITE, SVR, 0x1ff, cpu), VIRQSIM_DONE);
}

void route(Board &board, unsigned pin, uint32_t low, uint8_t destination = 0)
{
    board(VIRQSIM_MEMORY_WRITE, 0xfec00000, 0x11 + 2 * pin);
    board(VIRQSIM_MEMORY_WRITE, 0xfec00010, uint32_t{destination} << 24);
    board(VIRQSIM_MEMORY_WRITE, 0xfec00000, 0x10 + 2 * pin);
    board(VIRQSIM_MEMORY_WRITE, 0xfec00010, low);
}

/* --- configurations --- */

TEST(Chips, AreRefusedInOneLineWhenTheConfigurationIsWrong)
{
    auto many = with_cpus({0}), version = with_cpus({0}), follows = with_cpus({0});
    many.cpus = VIRQSIM_CHIPS_CPUS + 1;
    version.ioapic_version = 0x12;
    follows.follows = VIRQSIM_KVM + 1;

    for (const auto &config : {many, version, follows}) {
        const Board board(config);
        EXPECT_EQ(board.chips, nullptr);
        EXPECT_EQ(std::string(board.error.message).find("chips: "), 0u);
    }
}

/* --- answers --- */

TEST(Chips, APortOfThe8259AsAnswersAndAnotherIsAnOpenBus)
{
    Board board(with_cpus({}));

    EXPECT_EQ(board(VIRQSIM_PORT_WRITE, 0x21, 0x55), VIRQSIM_DONE);
    EXPECT_EQ(board(VIRQSIM_PORT_READ, 0x21), VIRQSIM_VALUE);
    EXPECT_EQ(board.result, 0x55u);
    EXPECT_EQ(board(VIRQSIM_PORT_READ, 0x60), VIRQSIM_OPEN_BUS);
    EXPECT_EQ(board.result, 0xffu);
}

TEST(Chips, WithoutALocalApicItsPageIsAnOpenBusOfTheAccessWidth)
{
    Board board(with_cpus({}));

    EXPECT_EQ(board(VIRQSIM_MEMORY_READ, 0xfee00020, 0, 0, 1), VIRQSIM_OPEN_BUS);
    EXPECT_EQ(board.result, 0xffu);
    EXPECT_EQ(board(VIRQSIM_MEMORY_READ, 0xfee00020, 0, 0, 4), VIRQSIM_OPEN_BUS);
    EXPECT_EQ(board.result, 0xffffffffu);
}

TEST(Chips, AnMsrThatIsNoneOfTheApicFaults)
{
    Board board(with_cpus({0}));

    EXPECT_EQ(board(VIRQSIM_MSR_READ, 0x1b), VIRQSIM_VALUE);
    EXPECT_EQ(board.result, 0xfee00900u);
    EXPECT_EQ(board(VIRQSIM_MSR_READ, 0x10), VIRQSIM_FAULT);
    EXPECT_EQ(board(VIRQSIM_MSR_WRITE, 0x80b, 0), VIRQSIM_FAULT) << "in xAPIC mode";
    EXPECT_EQ(board(VIRQSIM_MSR_WRITE, 0x1b, 0xfee00d00), VIRQSIM_DONE);
    EXPECT_EQ(board(VIRQSIM_MSR_WRITE, 0x80b, 0), VIRQSIM_DONE);
}

TEST(Chips, WhatThereIsNotIsRefusedAndDoesNothing)
{
    Board board(with_cpus({0}));

    EXPECT_EQ(board(VIRQSIM_LINE, 16, 1), VIRQSIM_REFUSED);
    EXPECT_EQ(board(VIRQSIM_PIN, 24, 1), VIRQSIM_REFUSED);
    EXPECT_EQ(board(VIRQSIM_TAKE, 0, 0, 1), VIRQSIM_REFUSED);
    EXPECT_EQ(board(VIRQSIM_MSR_READ, 0x1b, 0, 1), VIRQSIM_REFUSED);
    EXPECT_EQ(board(VIRQSIM_MEMORY_READ, SVR, 0, 0, 8), VIRQSIM_REFUSED);
    EXPECT_EQ(board(VIRQSIM_MEMORY_READ, SVR, 0, 0, 0), VIRQSIM_REFUSED);
    EXPECT_EQ(board(static_cast<virqsim_chips_operation>(VIRQSIM_WAIT + 1)), VIRQSIM_REFUSED);
    EXPECT_TRUE(board.effects().empty());
}

/* --- what comes of it --- */

TEST(Chips, ALevelPinReachesTheCpuAndComesBackAtEoi)
{
    Board board(with_cpus({0, 2}));
    enable(board, 1);
    route(board, 4, 0x8031, 2);

    EXPECT_EQ(board(VIRQSIM_PIN, 4, 1), VIRQSIM_DONE);
    const auto raised = board.effects();
    ASSERT_EQ(raised.size(), 4u);
    EXPECT_EQ(raised[0].kind, VIRQSIM_MESSAGE);
    EXPECT_EQ(raised[0].where, 4u);
    EXPECT_EQ(raised[0].dest, 2u);
    EXPECT_TRUE(raised[0].on) << "level-triggered";
    EXPECT_EQ(raised[1].kind, VIRQSIM_IRR);
    EXPECT_EQ(raised[1].where, 1u) << "the index, not the APIC ID";
    EXPECT_EQ(raised[1].vector, 0x31);
    EXPECT_EQ(raised[2].kind, VIRQSIM_TMR);
    EXPECT_EQ(raised[3].kind, VIRQSIM_REMOTE_IRR);
    EXPECT_TRUE(raised[3].on);

    EXPECT_EQ(board(VIRQSIM_TAKE, 0, 0, 0), VIRQSIM_NOTHING);
    EXPECT_EQ(board(VIRQSIM_TAKE, 0, 0, 1), VIRQSIM_VALUE);
    EXPECT_EQ(board.result, 0x31u);

    EXPECT_EQ(board(VIRQSIM_MEMORY_WRITE, EOI, 0, 1), VIRQSIM_DONE);
    const auto ended = board.effects();
    ASSERT_EQ(ended.size(), 3u) << "sent again; Remote IRR is as it was";
    EXPECT_EQ(ended[0].kind, VIRQSIM_MESSAGE);
    EXPECT_EQ(ended[1].kind, VIRQSIM_IRR);
    EXPECT_EQ(ended[2].kind, VIRQSIM_ISR);
    EXPECT_FALSE(ended[2].on);
}

TEST(Chips, The8259APairsVectorComesFirstAndSaysSo)
{
    Board board(with_cpus({0}));
    enable(board, 0);
    for (const auto &[port, value] :
         {std::pair{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}})
        board(VIRQSIM_PORT_WRITE, port, value);
    board(VIRQSIM_MEMORY_WRITE, 0xfee00350, 0x700); /* LINT0: ExtINT */
    board(VIRQSIM_MSI, 0xfee00000, 0xf1);
    board(VIRQSIM_LINE, 3, 1);

    EXPECT_EQ(board(VIRQSIM_INT), VIRQSIM_VALUE);
    EXPECT_EQ(board.result, 1u);
    EXPECT_EQ(board(VIRQSIM_TAKE), VIRQSIM_FROM_PIC);
    EXPECT_EQ(board.result, 0x23u);
    EXPECT_EQ(board(VIRQSIM_TAKE), VIRQSIM_VALUE);
    EXPECT_EQ(board.result, 0xf1u);
}

TEST(Chips, ACpuTakesInitStartupAndNmiAtOnce)
{
    Board board(with_cpus({0, 1}, true));

    board(VIRQSIM_MEMORY_WRITE, ICR_HIGH, 1 << 24);
    board(VIRQSIM_MEMORY_WRITE, ICR, 0x4613);
    ASSERT_EQ(board.effects().size(), 1u);
    EXPECT_EQ(board.effects()[0].kind, VIRQSIM_STARTED);
    EXPECT_EQ(board.effects()[0].vector, 0x13);
    board(VIRQSIM_MEMORY_WRITE, ICR, 0x4400);
    ASSERT_EQ(board.effects().size(), 1u);
    EXPECT_EQ(board.effects()[0].kind, VIRQSIM_NMI);
    board(VIRQSIM_MEMORY_WRITE, ICR, 0x4500);
    ASSERT_EQ(board.effects().size(), 1u);
    EXPECT_EQ(board.effects()[0].kind, VIRQSIM_INITIALIZED);
    board(VIRQSIM_MEMORY_WRITE, ICR, 0x4500);
    EXPECT_TRUE(board.effects().empty()) << "it waits already";
}

TEST(Chips, TimersExpireInWaitOnly)
{
    Board board(with_cpus({0}));
    enable(board, 0);
    board(VIRQSIM_MEMORY_WRITE, 0xfee003e0, 0xb);
    board(VIRQSIM_MEMORY_WRITE, 0xfee00320, 0x31);
    board(VIRQSIM_MEMORY_WRITE, 0xfee00380, 10'000'000); /* 10 ms at 1 GHz */

    board(VIRQSIM_WAIT, 0, 9);
    EXPECT_TRUE(board.effects().empty());
    board(VIRQSIM_MEMORY_READ, 0xfee00390);
    EXPECT_EQ(board.result, 1'000'000u);
    EXPECT_EQ(board(VIRQSIM_WAIT, 0, 2), VIRQSIM_DONE);
    ASSERT_EQ(board.effects().size(), 1u);
    EXPECT_EQ(board.effects()[0].kind, VIRQSIM_IRR);
}

/* --- state --- */

TEST(Chips, StateThatIsPutInPlaceReadsBackAndTakesEffect)
{
    Board board(with_cpus({0}));
    virqsim_lapic_state apic;
    virqsim_ioapic_state io;
    virqsim_pic_state pic;

    enable(board, 0);
    ASSERT_TRUE(virqsim_chips_lapic(board.chips.get(), 0, &apic));
    apic.page[0x200 / 16 + 0x41 / 32] = 1u << 0x41 % 32;
    apic.page[0x080 / 16] = 0x30;
    ASSERT_TRUE(virqsim_chips_load_lapic(board.chips.get(), 0, &apic));
    ASSERT_TRUE(virqsim_chips_lapic(board.chips.get(), 0, &apic));
    EXPECT_EQ(apic.pending, 0x41);
    EXPECT_EQ(apic.ppr, 0x30u);

    virqsim_chips_ioapic(board.chips.get(), &io);
    io.entry[7] = 0x8051;
    io.level = 1u << 7;
    virqsim_chips_load_ioapic(board.chips.get(), &io);
    virqsim_chips_ioapic(board.chips.get(), &io);
    EXPECT_EQ(io.entry[7], 0xc051u) << "sent: Remote IRR";

    ASSERT_TRUE(virqsim_chips_pic(board.chips.get(), 0, &pic));
    pic.request = pic.level = 1 << 5;
    pic.base = 0x70;
    ASSERT_TRUE(virqsim_chips_load_pic(board.chips.get(), 0, &pic));
    EXPECT_EQ(board(VIRQSIM_INTA), VIRQSIM_FROM_PIC);
    EXPECT_EQ(board.result, 0x75u);

    EXPECT_FALSE(virqsim_chips_lapic(board.chips.get(), 1, &apic));
    EXPECT_FALSE(virqsim_chips_load_lapic(board.chips.get(), 1, &apic));
    EXPECT_FALSE(virqsim_chips_pic(board.chips.get(), 2, &pic));
    EXPECT_FALSE(virqsim_chips_load_pic(board.chips.get(), 2, &pic));
}

/* --- nothing that can be asked does harm, and the same questions get the same answers --- */

/* Addresses and values near what the chips decode, and some that are not. */
uint64_t draw(std::mt19937 &random, std::initializer_list<uint64_t> bases, uint64_t span)
{
    return *(bases.begin() + random() % bases.size()) + random() % span;
}

uint64_t any_address(std::mt19937 &random, uint32_t operation)
{
    switch (operation) {
    case VIRQSIM_PORT_READ:
    case VIRQSIM_PORT_WRITE:
        return draw(random, {0x20, 0xa0, 0x4d0}, 2);
    case VIRQSIM_MEMORY_READ:
    case VIRQSIM_MEMORY_WRITE:
        return random() % 2 ? 0xfee00000 + random() % 0x40 * 0x10 + (random() % 8 == 0)
                            : draw(random, {0xfec00000, 0xfec00010, 0xfec00040}, 4);
    case VIRQSIM_MSR_READ:
    case VIRQSIM_MSR_WRITE:
        return draw(random, {0x1b, 0x6e0, 0x800, 0x810, 0x820, 0x830}, 0x10);
    case VIRQSIM_MSI:
        return draw(random, {0xfee00000, 0xfee01000, 0xfee11000, 0xfeeff000}, 16);
    default: /* a line or pin; two too many */
        return random() % 26;
    }
}

/* Whatever random writes have switched off. */
void revive(Board &board)
{
    for (uint32_t cpu = 0; cpu < 4; cpu++) {
        board(VIRQSIM_MSR_WRITE, 0x1b, 0xfee00000, cpu);
        board(VIRQSIM_MSR_WRITE, 0x1b, cpu ? 0xfee00800 : 0xfee00900, cpu);
        enable(board, cpu);
        board(VIRQSIM_MEMORY_WRITE, 0xfee000d0, 0x11000000u << cpu, cpu);
    }
    for (const auto &[port, value] : {std::pair{0x20, 0x11},
                                      {0x21, 0x20},
                                      {0x21, 4},
                                      {0x21, 1},
                                      {0xa0, 0x11},
                                      {0xa1, 0x28},
                                      {0xa1, 2},
                                      {0xa1, 1}})
        board(VIRQSIM_PORT_WRITE, port, value);
}

uint64_t hash_of(uint32_t seed, uint32_t follows)
{
    std::mt19937 random(seed);
    auto config = with_cpus({0, 1, 17, 300}, seed % 2);
    config.follows = follows;
    config.ioapic_version = seed % 3 ? 0x20 : 0x11;
    Board board(config);
    uint64_t hash = 0, effects = 0;

    for (unsigned n = 0; n < 10000; n++) {
        if (n % 100 == 0)
            revive(board);
        const uint32_t operation = random() % (VIRQSIM_WAIT + 1);
        const uint64_t address = any_address(random, operation);
        uint64_t value = random() % 4 ? random() & 0xfffff : random() % 256;
        const uint32_t cpu = random() % 5, size = 1u << random() % 4;
        if (operation == VIRQSIM_WAIT)
            value = 0; /* a timer may have any period */
        if (operation == VIRQSIM_MSR_WRITE && address == 0x1b)
            value = 0xfee00000 | (random() & 0xd00);
        hash = hash * 31 + board(static_cast<virqsim_chips_operation>(operation), address,
                                 value, cpu, size);
        hash = hash * 31 + board.result;
        effects += board.effects().size();
        for (const auto &effect : board.effects())
            hash = hash * 31 + effect.kind + 8 * effect.where + 512 * effect.vector + effect.on;
    }
    EXPECT_GT(effects, 400u) << "seed " << seed << ": hardly anything happened";
    return hash;
}

TEST(Chips, AnyOperationsAreBorneAndAnsweredTheSameAgain)
{
    for (uint32_t seed = 1; seed <= 24; seed++)
        EXPECT_EQ(hash_of(seed, seed % 3), hash_of(seed, seed % 3)) << "seed " << seed;
}

} // namespace
