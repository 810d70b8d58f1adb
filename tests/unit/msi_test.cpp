/*
 * Message signalled interrupts: what address and data say (SDM 3A "Message Signalled Interrupts"),
 * and the MSI capability (PCI Local Bus 3.0, 6.8.1 and 6.8.3).
 */
#include "msi_bench.h"

#include <random>
#include <set>

namespace
{

/* ---- address and data ---- */

irq_msg decoded(uint64_t address, uint32_t data)
{
    const msi_message m{address, data};
    irq_msg msg{};
    EXPECT_TRUE(msi_decode(&m, &msg)) << std::hex << address << " " << data;
    return msg;
}

bool is_interrupt(uint64_t address, uint32_t data)
{
    const msi_message m{address, data};
    irq_msg msg{};
    return msi_decode(&m, &msg);
}

TEST(MsiMessage, DestinationVectorAndModesAreWhereTheManualHasThem)
{
    const irq_msg msg = decoded(0xfeeab004, 0x8153 | 1 << 14);

    EXPECT_EQ(0xabu, msg.dest);
    EXPECT_EQ(0x53u, msg.vector);
    EXPECT_EQ(IRQ_LOWEST_PRIORITY, msg.delivery);
    EXPECT_TRUE(msg.logical);
    EXPECT_TRUE(msg.level);
    EXPECT_FALSE(msg.deassert);
    EXPECT_EQ(IRQ_NO_SHORTHAND, msg.shorthand);
    EXPECT_EQ(TRACE_NOWHERE, msg.source);
    EXPECT_EQ(0u, msg.flow);
}

/* SDM 3A "Message Address Register Format", item 3 and 4, as docs/models/msi.md reads it. */
TEST(MsiMessage, TheRedirectionHintMakesAFixedInterruptALowestPriorityOne)
{
    const struct {
        unsigned hint, logical, delivery;
        irq_delivery expected;
    } table[] = {
        {0, 0, 0, IRQ_FIXED},
        {0, 1, 0, IRQ_FIXED},
        {1, 0, 0, IRQ_LOWEST_PRIORITY},
        {1, 1, 0, IRQ_LOWEST_PRIORITY},
        {0, 0, 1, IRQ_LOWEST_PRIORITY},
        {0, 1, 1, IRQ_LOWEST_PRIORITY},
        {1, 0, 1, IRQ_LOWEST_PRIORITY},
        {1, 1, 1, IRQ_LOWEST_PRIORITY},
        {1, 1, 2, IRQ_SMI},
        {1, 1, 4, IRQ_NMI},
        {1, 1, 5, IRQ_INIT},
        {1, 1, 7, IRQ_EXTINT},
    };

    for (const auto &row : table) {
        const irq_msg msg =
            decoded(0xfee03000 | row.hint << 3 | row.logical << 2, row.delivery << 8 | 0x40);
        EXPECT_EQ(row.expected, msg.delivery) << row.hint << row.logical << row.delivery;
        EXPECT_EQ(row.logical, msg.logical) << row.hint << row.logical << row.delivery;
    }
}

TEST(MsiMessage, OnlyFixedAndLowestPriorityCanBeLevelTriggered)
{
    for (const unsigned delivery : {0, 1, 2, 4, 5, 7}) {
        EXPECT_EQ(delivery <= 1, decoded(0xfee00000, 0xc040 | delivery << 8).level) << delivery;
        EXPECT_FALSE(decoded(0xfee00000, 0x4040 | delivery << 8).level) << delivery;
    }
}

TEST(MsiMessage, ALevelMessageIsDeliveredWhateverItsLevelBitSays)
{
    const irq_msg assert_ = decoded(0xfee01000, 0xc0d3), deassert = decoded(0xfee01000, 0x80d3);

    EXPECT_TRUE(deassert.level);
    EXPECT_EQ(assert_.deassert, deassert.deassert);
}

TEST(MsiMessage, ReservedDeliveryModesAreNoInterrupt)
{
    EXPECT_FALSE(is_interrupt(0xfee01000, 0x03e1));
    EXPECT_FALSE(is_interrupt(0xfee01000, 0x06e1));
    EXPECT_TRUE(is_interrupt(0xfee01000, 0x07e1));
}

TEST(MsiMessage, OnlyTheMegabyteOfTheApicsIsAnInterrupt)
{
    EXPECT_TRUE(is_interrupt(0xfee00000, 0x40));
    EXPECT_TRUE(is_interrupt(0xfeeffffc, 0x40));
    EXPECT_FALSE(is_interrupt(0xfedffffc, 0x40));
    EXPECT_FALSE(is_interrupt(0xfef00000, 0x40));
    EXPECT_FALSE(is_interrupt(0x1fee00000, 0x40));
    EXPECT_FALSE(is_interrupt(0xfee00000fee00000, 0x40));
}

TEST(MsiMessage, ReservedBitsAreIgnored)
{
    const irq_msg plain = decoded(0xfee12000, 0x0041);
    const irq_msg noisy = decoded(0xfee12ff3, 0xffff3841);

    EXPECT_EQ(plain.dest, noisy.dest) << "15-bit destination IDs are left out";
    EXPECT_EQ(plain.vector, noisy.vector);
    EXPECT_EQ(plain.delivery, noisy.delivery);
    EXPECT_EQ(plain.level, noisy.level);
    EXPECT_EQ(plain.logical, noisy.logical);
}

TEST(MsiMessage, EncodingIsTheInverseOfDecoding)
{
    for (const uint8_t delivery : {0, 1, 2, 4, 5, 7})
        for (const bool logical : {false, true})
            for (const bool level : {false, true})
                for (unsigned dest = 0; dest < 0x100; dest += 5) {
                    irq_msg msg{};
                    msi_message m{};
                    msg.vector = static_cast<uint8_t>(0x10 + dest % 0xef);
                    msg.delivery = delivery;
                    msg.logical = logical;
                    msg.level = level && delivery <= IRQ_LOWEST_PRIORITY;
                    msg.dest = dest;
                    ASSERT_TRUE(msi_encode(&msg, &m));
                    const irq_msg back = decoded(m.address, m.data);
                    EXPECT_EQ(msg.vector, back.vector);
                    EXPECT_EQ(msg.delivery, back.delivery);
                    EXPECT_EQ(msg.logical, back.logical);
                    EXPECT_EQ(msg.level, back.level);
                    EXPECT_EQ(msg.dest, back.dest);
                    EXPECT_EQ(delivery == IRQ_LOWEST_PRIORITY, bool(m.address >> 3 & 1));
                }
}

TEST(MsiMessage, WhatNoWriteCanSayIsNotEncoded)
{
    const irq_msg plain{};
    msi_message m{};

    EXPECT_TRUE(msi_encode(&plain, &m));
    for (const auto &spoil : std::vector<std::function<void(irq_msg &)>>{
             [](irq_msg &msg) { msg.dest = 0x100; },
             [](irq_msg &msg) { msg.shorthand = IRQ_ALL_BUT_SELF; },
             [](irq_msg &msg) { msg.delivery = IRQ_STARTUP; },
             [](irq_msg &msg) { msg.delivery = 3; },
             [](irq_msg &msg) { msg.deassert = true; }}) {
        irq_msg msg = plain;
        spoil(msg);
        EXPECT_FALSE(msi_encode(&msg, &m));
    }
}

/* ---- the capability ---- */

enum : uint16_t { CONTROL = 0x02, ADDRESS = 0x04, UPPER = 0x08 };
enum : unsigned { ENABLE = 1 };

class Msi : public ::testing::Test
{
  protected:
    MsiPort port;
    msi cap;
    msi_config config{};

    Msi()
    {
        config.messages = 4;
        config.address64 = true;
        config.masking = true;
        config.next = 0x70;
        config.port = &port;
        power_up();
    }

    void power_up()
    {
        msi_init(&cap, &config);
    }
    void power_up(uint8_t messages, bool address64, bool masking)
    {
        config.messages = messages;
        config.address64 = address64;
        config.masking = masking;
        power_up();
    }

    uint16_t data_at() const
    {
        return config.address64 ? 0x0c : 0x08;
    }
    uint16_t mask_at() const
    {
        return config.address64 ? 0x10 : 0x0c;
    }
    uint16_t pending_at() const
    {
        return config.address64 ? 0x14 : 0x10;
    }

    uint32_t read(uint16_t offset, unsigned size)
    {
        return msi_read(&cap, offset, size);
    }
    void write(uint16_t offset, unsigned size, uint32_t value)
    {
        msi_write(&cap, offset, size, value);
    }
    void mask(uint32_t bits)
    {
        write(mask_at(), 4, bits);
    }
    uint32_t pending()
    {
        return read(pending_at(), 4);
    }

    /* As software sets it up: address, data, and 2^allocated messages. */
    void enable(unsigned allocated = 2, uint32_t address = 0xfee05000, uint16_t data = 0x40)
    {
        write(ADDRESS, 4, address);
        if (config.address64)
            write(UPPER, 4, 0);
        write(data_at(), 2, data);
        write(CONTROL, 2, allocated << 4 | ENABLE);
    }
};

TEST_F(Msi, TheFourFormsHaveTheirRegistersWhereTheSpecificationHasThem)
{
    const struct {
        bool address64, masking;
        unsigned length;
        uint32_t control;
    } forms[] = {
        {false, false, 0x0a, 0x0004},
        {true, false, 0x0e, 0x0084},
        {false, true, 0x14, 0x0104},
        {true, true, 0x18, 0x0184},
    };

    for (const auto &form : forms) {
        power_up(4, form.address64, form.masking);
        EXPECT_EQ(form.length, msi_length(&cap));
        EXPECT_EQ(0x7005u | form.control << 16, read(0, 4));
        write(ADDRESS, 4, 0xffffffff);
        write(data_at(), 4, 0xffffffff);
        write(mask_at(), 4, 0xffffffff);
        EXPECT_EQ(0xfffffffcu, read(ADDRESS, 4));
        EXPECT_EQ(0xffffu, read(data_at(), 4)) << "above it two reserved bytes, or none";
        EXPECT_EQ(form.masking ? 0xfu : 0u, read(mask_at(), 4)) << "of four messages";
        if (form.address64) {
            EXPECT_EQ(0u, read(UPPER, 4)) << "nobody wrote it";
        }
        EXPECT_EQ(0u, pending());
    }
}

TEST_F(Msi, ReadOnlyBitsStayAsTheyAre)
{
    write(0, 4, 0xffffffff);
    EXPECT_EQ(0x01f5'7005u, read(0, 4));
    write(pending_at(), 4, 0xffffffff);
    EXPECT_EQ(0u, pending());
}

TEST_F(Msi, BytesCanBeWrittenOneByOne)
{
    write(ADDRESS + 1, 1, 0x50);
    write(ADDRESS + 2, 2, 0xfee0);
    EXPECT_EQ(0xfee05000u, read(ADDRESS, 4));
    EXPECT_EQ(0x50u, read(ADDRESS + 1, 1));
    EXPECT_EQ(0xfee0u, read(ADDRESS + 2, 2));
    write(CONTROL, 1, 0x21);
    EXPECT_TRUE(msi_enabled(&cap));
    EXPECT_EQ(4u, msi_allocated(&cap));
}

TEST_F(Msi, OtherSizesDoNothingAndReadZero)
{
    enable();
    for (const unsigned size : {0u, 3u, 5u, 8u, 64u}) {
        write(ADDRESS, size, 0xffffffff);
        EXPECT_EQ(0u, read(ADDRESS, size)) << size;
    }
    EXPECT_EQ(0xfee05000u, read(ADDRESS, 4));
    EXPECT_EQ(0u, read(0xffff, 4)) << "and does not come round to the start";
}

TEST_F(Msi, ADisabledFunctionSendsAndRemembersNothing)
{
    EXPECT_EQ(MSI_REFUSED, msi_raise(&cap, 0));
    mask(1);
    EXPECT_EQ(MSI_REFUSED, msi_raise(&cap, 0));
    EXPECT_EQ(0u, pending());
    mask(0);
    enable();
    EXPECT_EQ(Numbers{}, port.take());
}

TEST_F(Msi, AMessageIsAWriteOfTheDataToTheAddress)
{
    enable(0, 0xfee0500c, 0x4142);
    EXPECT_EQ(MSI_SENT, msi_raise(&cap, 0));
    EXPECT_EQ((std::vector<Sent>{{0, 0xfee0500c, 0x4142}}), port.sent);
}

TEST_F(Msi, TheUpperAddressIsTheUpperHalf)
{
    enable(0);
    write(UPPER, 4, 0x12345678);
    msi_raise(&cap, 0);
    EXPECT_EQ((std::vector<Sent>{{0, 0x12345678fee05000, 0x40}}), port.sent);
}

TEST_F(Msi, TheMessageNumberReplacesAsManyLowBitsOfTheDataAsAreAllocated)
{
    const struct {
        unsigned allocated;
        uint32_t data[4];
    } table[] = {
        {0, {0x4d, 0x4d, 0x4d, 0x4d}},
        {1, {0x4c, 0x4d, 0x4c, 0x4d}},
        {2, {0x4c, 0x4d, 0x4e, 0x4f}},
    };

    for (const auto &row : table) {
        enable(row.allocated, 0xfee00000, 0x4d);
        for (unsigned n = 0; n < 4; n++)
            EXPECT_EQ(row.data[n], msi_compose(&cap, n).data) << row.allocated << n;
    }
}

TEST_F(Msi, ThirtyTwoMessagesAreTheMost)
{
    power_up(32, true, true);
    enable(5, 0xfee00000, 0x40);
    mask(0xffffffff);
    EXPECT_EQ(0xffffffffu, read(mask_at(), 4));
    EXPECT_EQ(MSI_PENDING, msi_raise(&cap, 31));
    EXPECT_EQ(0x80000000u, pending());
    mask(0);
    EXPECT_EQ((std::vector<Sent>{{31, 0xfee00000, 0x5f}}), port.sent);
}

/* Undefined by the specification; docs/models/msi.md has the choice. */
TEST_F(Msi, MoreThanAreWantedAndReservedCodesAllocateWhatIsWanted)
{
    for (unsigned allocated = 2; allocated < 8; allocated++) {
        enable(allocated);
        EXPECT_EQ(4u, msi_allocated(&cap));
        EXPECT_EQ(allocated, read(CONTROL, 2) >> 4 & 7) << "and reads back as written";
    }
}

TEST_F(Msi, ANumberOfMessagesBetweenTwoPowersOfTwoIsTheNextPower)
{
    const unsigned expected[] = {1, 1, 2, 4, 4, 8, 8, 8, 8, 16};

    for (uint8_t wanted = 0; wanted < 10; wanted++) {
        power_up(wanted, true, true);
        enable(7);
        EXPECT_EQ(expected[wanted], msi_allocated(&cap)) << unsigned(wanted);
    }
    power_up(255, true, true);
    enable(7);
    EXPECT_EQ(32u, msi_allocated(&cap));
}

/*            mask 1        raise 1   raise 1   unmask
 *  pending             ________|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|____
 *  sent                                          1        */
TEST_F(Msi, AMaskedMessagePendsAndIsSentOnceWhenItIsUnmasked)
{
    enable();
    mask(1 << 1);
    EXPECT_EQ(MSI_PENDING, msi_raise(&cap, 1));
    EXPECT_EQ(MSI_COALESCED, msi_raise(&cap, 1));
    EXPECT_EQ(1u << 1, pending());
    EXPECT_EQ(Numbers{}, port.take());
    mask(0);
    EXPECT_EQ(Numbers{1}, port.take());
    EXPECT_EQ(0u, pending());
    mask(1 << 1);
    mask(0);
    EXPECT_EQ(Numbers{}, port.take());
}

TEST_F(Msi, TheOtherMessagesOfAMaskedOneGoOut)
{
    enable();
    mask(1 << 1);
    EXPECT_EQ(MSI_SENT, msi_raise(&cap, 0));
    EXPECT_EQ(MSI_PENDING, msi_raise(&cap, 1));
    EXPECT_EQ(MSI_SENT, msi_raise(&cap, 2));
    EXPECT_EQ((Numbers{0, 2}), port.take());
}

TEST_F(Msi, WhatIsUnmaskedTogetherIsSentInOrder)
{
    enable();
    mask(0xf);
    for (const unsigned n : {3, 0, 2})
        msi_raise(&cap, n);
    mask(1 << 0);
    EXPECT_EQ((Numbers{2, 3}), port.take());
    EXPECT_EQ(1u << 0, pending());
}

TEST_F(Msi, AMessageSentAtItsUnmaskingHasTheAddressOfThatMoment)
{
    enable(2, 0xfee01000, 0x40);
    mask(0xf);
    msi_raise(&cap, 0);
    write(ADDRESS, 4, 0xfee02000);
    write(data_at(), 2, 0x80);
    mask(0);
    EXPECT_EQ((std::vector<Sent>{{0, 0xfee02000, 0x80}}), port.sent);
}

TEST_F(Msi, AWithdrawnMessageIsNotSent)
{
    enable();
    mask(0xf);
    msi_raise(&cap, 1);
    msi_raise(&cap, 2);
    msi_withdraw(&cap, 1);
    EXPECT_EQ(1u << 2, pending());
    mask(0);
    EXPECT_EQ(Numbers{2}, port.take());
}

TEST_F(Msi, PendingBitsCanBePolledForever)
{
    enable();
    mask(0xf);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(MSI_PENDING, msi_raise(&cap, 3));
        EXPECT_EQ(1u << 3, pending());
        msi_withdraw(&cap, 3);
        EXPECT_EQ(0u, pending());
    }
    mask(0);
    EXPECT_EQ(Numbers{}, port.take());
}

TEST_F(Msi, WhatPendsOutlastsADisabledCapability)
{
    enable();
    mask(0xf);
    msi_raise(&cap, 1);
    write(CONTROL, 2, 2 << 4);
    mask(0);
    EXPECT_EQ(Numbers{}, port.take()) << "disabled";
    EXPECT_EQ(1u << 1, pending());
    write(CONTROL, 2, 2 << 4 | ENABLE);
    EXPECT_EQ(Numbers{1}, port.take());
}

/* 6.8.1.7: bits of messages that are not allocated do not count. */
TEST_F(Msi, MaskBitsOfMessagesThatAreNotAllocatedDoNotCount)
{
    enable(0);
    mask(0xe);
    for (unsigned n = 0; n < 4; n++)
        EXPECT_EQ(MSI_SENT, msi_raise(&cap, n));
    EXPECT_EQ((Numbers{0, 0, 0, 0}), port.take());
    EXPECT_EQ(0u, pending());
}

TEST_F(Msi, APendingMessageThatIsAllocatedNoMoreWaitsUntilItIs)
{
    enable(2);
    mask(0xf);
    msi_raise(&cap, 3);
    write(CONTROL, 2, 1 << 4 | ENABLE);
    mask(0);
    EXPECT_EQ(Numbers{}, port.take());
    write(CONTROL, 2, 2 << 4 | ENABLE);
    EXPECT_EQ(Numbers{3}, port.take());
}

TEST_F(Msi, WithoutPerVectorMaskingNothingEverPends)
{
    power_up(4, true, false);
    enable();
    mask(0xf);
    EXPECT_EQ(MSI_SENT, msi_raise(&cap, 3));
    EXPECT_EQ(0u, pending());
}

/* A handler that masks the next message, from within the write that unmasks both. */
TEST_F(Msi, AMessageMaskedWhileAnotherIsSentStaysPending)
{
    enable();
    mask(0xf);
    msi_raise(&cap, 0);
    msi_raise(&cap, 1);
    port.heard = [this](const Sent &s) {
        if (s.n == 0)
            mask(1 << 1);
    };
    mask(0);
    EXPECT_EQ(Numbers{0}, port.take());
    EXPECT_EQ(1u << 1, pending());
}

TEST_F(Msi, AMessageRaisedWhileItWaitsForItsTurnIsSentOnce)
{
    enable();
    mask(0xf);
    msi_raise(&cap, 0);
    msi_raise(&cap, 1);
    port.heard = [this](const Sent &s) {
        if (s.n == 0)
            msi_raise(&cap, 1);
    };
    mask(0);
    EXPECT_EQ((Numbers{0, 1}), port.take());
}

/* ---- any sequence of operations ---- */

class MsiProperty : public Msi, public ::testing::WithParamInterface<unsigned>
{
};
INSTANTIATE_TEST_SUITE_P(Seeds, MsiProperty, ::testing::Range(0u, 8u));

/* Against sets and counts: each raise is sent, merged into one that pends, or withdrawn. */
TEST_P(MsiProperty, NoMessageIsLostAndNoneIsDoubled)
{
    std::mt19937 random(GetParam());
    const unsigned power = GetParam() % 6;
    std::set<unsigned> waits;
    std::vector<unsigned> owed(32), got(32);
    uint32_t masked = 0;
    bool on = true;

    power_up(static_cast<uint8_t>(1 << power), random() & 1, true);
    enable(power);
    const auto settle = [&] {
        for (auto it = waits.begin(); it != waits.end();) {
            const bool goes = on && !(masked >> *it & 1);
            owed[*it] += goes;
            it = goes ? waits.erase(it) : std::next(it);
        }
    };
    for (int i = 0; i < 3000; i++) {
        const unsigned n = random() % (1 << power);
        switch (random() % 6) {
        case 0:
            masked = random() & (0xffffffff >> (32 - (1 << power)));
            mask(masked);
            break;
        case 1:
            on = random() % 4;
            write(CONTROL, 2, power << 4 | on);
            break;
        case 2:
            waits.erase(n);
            msi_withdraw(&cap, n);
            break;
        default:
            if (on)
                waits.insert(n);
            EXPECT_EQ(on, msi_raise(&cap, n) != MSI_REFUSED);
        }
        settle();
        for (const unsigned sent : port.take())
            got[sent]++;
        uint32_t bits = 0;
        for (const unsigned w : waits)
            bits |= 1u << w;
        ASSERT_EQ(bits, pending()) << "operation " << i;
        ASSERT_EQ(owed, got) << "operation " << i;
    }
}

/* Raw accesses of any offset and size: what can be read stays within what can be written. */
TEST_P(MsiProperty, AnyBytesAreBorne)
{
    std::mt19937 random(GetParam());

    power_up(static_cast<uint8_t>(random()), random() & 1, random() & 1);
    const uint32_t id = read(0, 2);
    const uint32_t fixed = read(CONTROL, 2) & ~0x71u;
    for (int i = 0; i < 5000; i++) {
        const auto offset = static_cast<uint16_t>(random() % 8 ? random() % 0x1c : random());
        const unsigned size = random() % 8 ? 1u << random() % 3 : random();
        const auto value = static_cast<uint32_t>(random());
        switch (random() % 4) {
        case 0:
            msi_raise(&cap, random() % 2 ? random() % 32 : random());
            break;
        case 1:
            msi_withdraw(&cap, random());
            break;
        default:
            write(offset, size, value);
            read(offset, size);
        }
        ASSERT_EQ(id, read(0, 2));
        ASSERT_EQ(fixed, read(CONTROL, 2) & ~0x71u);
        ASSERT_EQ(0u, read(ADDRESS, 4) & 3);
        const uint32_t allocated = 0xffffffff >> (32 - msi_allocated(&cap));
        if (config.masking && msi_enabled(&cap)) {
            ASSERT_EQ(0u, pending() & allocated & ~read(mask_at(), 4)) << "pending, unmasked";
        }
    }
}

TEST_P(MsiProperty, ARestoredCapabilityHasTheSameFuture)
{
    std::mt19937 random(GetParam());
    MsiPort other_port;
    msi other;
    msi_config other_config = config;

    other_config.port = &other_port;
    msi_init(&other, &other_config);
    for (int i = 0; i < 2000; i++) {
        const unsigned n = random() % 4, what = random() % 4;
        const uint32_t value = random() & 0xf;
        if (i == 1000) {
            const msi saved = cap;
            msi_restore(&other, &saved);
            port.sent.clear();
        }
        for (msi *m : {&cap, &other}) {
            if (i < 1000 && m == &other)
                continue;
            if (what == 0)
                msi_write(m, mask_at(), 4, value);
            else if (what == 1)
                msi_write(m, CONTROL, 2, 2 << 4 | (value != 0));
            else
                msi_raise(m, n);
        }
    }
    EXPECT_FALSE(other_port.sent.empty());
    EXPECT_EQ(port.sent, other_port.sent);
}

} // namespace
