/* MSI-X: PCI Local Bus 3.0, 6.8.2 "MSI-X Capability and Table Structures" and 6.8.3. */
#include "msi_bench.h"

#include <random>
#include <set>

namespace
{

enum : uint16_t { CONTROL = 0x02 };
enum : uint32_t { ADDRESS = 0x00, UPPER = 0x04, DATA = 0x08, VECTOR_CONTROL = 0x0c };
enum : uint32_t { ENABLE = 0x8000, FUNCTION_MASK = 0x4000 };

/* A function's MSI-X with its own storage. */
struct Function {
    MsiPort port;
    std::vector<msix_entry> table;
    std::vector<uint64_t> pending;
    msix cap;

    explicit Function(uint16_t entries)
        : table(entries), pending(MSIX_PENDING_WORDS(entries), ~UINT64_C(0))
    {
        msix_config config{};
        config.entries = entries;
        config.table = table.data();
        config.pending = pending.data();
        config.table_at = 0x2000 | 4;
        config.pending_at = 0x3800 | 4;
        config.next = 0x40;
        config.port = &port;
        msix_init(&cap, &config);
    }

    static uint32_t at(unsigned n, uint32_t word)
    {
        return n * MSIX_ENTRY_BYTES + word;
    }
    uint64_t read(uint32_t offset, unsigned size = 4)
    {
        return msix_table_read(&cap, offset, size);
    }
    void write(uint32_t offset, uint64_t value, unsigned size = 4)
    {
        msix_table_write(&cap, offset, size, value);
    }
    void control(uint32_t value)
    {
        msix_write(&cap, CONTROL, 2, value);
    }
    void mask(unsigned n, bool masked)
    {
        write(at(n, VECTOR_CONTROL), masked);
    }
    void set_up(unsigned n, uint64_t address, uint32_t data)
    {
        write(at(n, ADDRESS), address, 8);
        write(at(n, DATA), data);
        mask(n, false);
    }
    msi_answer raise(unsigned n)
    {
        return msix_raise(&cap, n);
    }
    uint64_t pending_word(unsigned n)
    {
        return msix_pending_read(&cap, n * 8, 8);
    }
};

class Msix : public ::testing::Test, public Function
{
  protected:
    Msix() : Function(70)
    {
    }

    void enable()
    {
        for (unsigned n = 0; n < 70; n++)
            set_up(n, 0xfee00000 | n << 12, 0x4000 + n);
        control(ENABLE);
    }
};

TEST_F(Msix, TheCapabilitySaysHowManyEntriesThereAreAndWhere)
{
    EXPECT_EQ((70u - 1) << 16 | 0x4011, msix_read(&cap, 0, 4));
    EXPECT_EQ(0x2004u, msix_read(&cap, 4, 4));
    EXPECT_EQ(0x3804u, msix_read(&cap, 8, 4));
    EXPECT_EQ(0u, msix_read(&cap, MSIX_LENGTH, 4));
}

TEST_F(Msix, OnlyEnableAndFunctionMaskCanBeWritten)
{
    for (uint16_t offset = 0; offset < MSIX_LENGTH; offset += 4)
        msix_write(&cap, offset, 4, 0xffffffff);
    EXPECT_EQ((70u - 1) << 16 | 0xc0004011, msix_read(&cap, 0, 4));
    EXPECT_EQ(0x2004u, msix_read(&cap, 4, 4));
    EXPECT_EQ(0x3804u, msix_read(&cap, 8, 4));
    msix_write(&cap, CONTROL + 1, 1, 0x80);
    EXPECT_EQ(0x8045u, msix_read(&cap, CONTROL, 2));
}

TEST_F(Msix, AtResetEveryEntryIsMaskedAndNothingPends)
{
    EXPECT_FALSE(msix_enabled(&cap));
    for (unsigned n = 0; n < 70; n++) {
        EXPECT_EQ(0u, read(at(n, ADDRESS), 8));
        EXPECT_EQ(UINT64_C(1) << 32, read(at(n, DATA), 8));
    }
    EXPECT_EQ(0u, pending_word(0));
    EXPECT_EQ(0u, pending_word(1));
}

TEST_F(Msix, AnEntryKeepsItsAddressAndDataButForTheReservedBits)
{
    write(at(3, ADDRESS), 0xffffffffffffffff, 8);
    write(at(3, DATA), 0xffffffff);
    write(at(3, VECTOR_CONTROL), 0xffffffff);
    EXPECT_EQ(0xfffffffffffffffc, read(at(3, ADDRESS), 8));
    EXPECT_EQ(0x1ffffffffu, read(at(3, DATA), 8));
    EXPECT_EQ(0xffffffffu, read(at(3, UPPER)));
    EXPECT_EQ(0u, read(at(2, DATA))) << "its neighbours are not touched";
    EXPECT_EQ(0u, read(at(4, ADDRESS)));
}

/* Undefined by 6.8.2; docs/models/msi.md has the choice. */
TEST_F(Msix, OtherThanWholeAlignedWordsDoNothingAndReadZero)
{
    write(at(0, DATA), 0x12345678);
    for (const unsigned size : {0u, 1u, 2u, 3u, 16u}) {
        write(at(0, DATA), 0xffff, size);
        EXPECT_EQ(0u, read(at(0, DATA), size));
        EXPECT_EQ(0u, msix_pending_read(&cap, 0, size));
    }
    write(at(0, DATA) + 2, 0, 4);
    write(at(0, UPPER), 0, 8);
    EXPECT_EQ(0u, read(at(0, DATA) + 2, 4));
    EXPECT_EQ(0u, read(at(0, UPPER), 8));
    EXPECT_EQ(0x12345678u, read(at(0, DATA)));
}

TEST_F(Msix, BeyondTheLastEntryThereIsNothing)
{
    enable();
    write(at(70, ADDRESS), ~UINT64_C(0), 8);
    EXPECT_EQ(0u, read(at(70, ADDRESS), 8));
    EXPECT_EQ(0u, read(0xfffffff8, 8));
    EXPECT_EQ(0u, msix_pending_read(&cap, 16, 8));
    EXPECT_EQ(MSI_REFUSED, raise(70));
    EXPECT_EQ(MSI_REFUSED, raise(0xffffffff));
    msix_withdraw(&cap, 70);
    EXPECT_TRUE(msix_masked(&cap, 70));
    EXPECT_FALSE(msix_pending(&cap, 70));
}

TEST_F(Msix, AMessageIsAWriteOfItsEntrysDataUnchanged)
{
    set_up(5, 0x12345678fee0300c, 0xdeadbeef);
    control(ENABLE);
    EXPECT_EQ(MSI_SENT, raise(5));
    EXPECT_EQ((std::vector<Sent>{{5, 0x12345678fee0300c, 0xdeadbeef}}), port.sent);
}

TEST_F(Msix, EntriesMayShareAVector)
{
    set_up(1, 0xfee00000, 0x41);
    set_up(2, 0xfee00000, 0x41);
    control(ENABLE);
    mask(1, true);
    EXPECT_EQ(MSI_PENDING, raise(1));
    EXPECT_EQ(MSI_SENT, raise(2));
    EXPECT_EQ((std::vector<Sent>{{2, 0xfee00000, 0x41}}), port.sent);
}

TEST_F(Msix, ADisabledFunctionSendsAndRemembersNothing)
{
    set_up(0, 0xfee00000, 0x40);
    EXPECT_EQ(MSI_REFUSED, raise(0));
    EXPECT_EQ(MSI_REFUSED, raise(1));
    control(ENABLE);
    EXPECT_EQ(Numbers{}, port.take());
    EXPECT_EQ(0u, pending_word(0));
}

/*            mask          raise     raise     unmask
 *  pending             ________|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|____
 *  sent                                          1        */
TEST_F(Msix, AMaskedEntryPendsAndIsSentOnceWhenItIsUnmasked)
{
    enable();
    mask(65, true);
    EXPECT_EQ(MSI_PENDING, raise(65));
    EXPECT_EQ(MSI_COALESCED, raise(65));
    EXPECT_EQ(1u << 1, pending_word(1));
    EXPECT_EQ(1u << 1, msix_pending_read(&cap, 8, 4));
    EXPECT_EQ(Numbers{}, port.take());
    mask(65, false);
    EXPECT_EQ(Numbers{65}, port.take());
    EXPECT_EQ(0u, pending_word(1));
    mask(65, true);
    mask(65, false);
    EXPECT_EQ(Numbers{}, port.take());
}

TEST_F(Msix, PendingBitsAreReadInHalvesToo)
{
    enable();
    control(ENABLE | FUNCTION_MASK);
    for (const unsigned n : {0, 33, 64, 69})
        raise(n);
    EXPECT_EQ(0x0000000200000001u, pending_word(0));
    EXPECT_EQ(1u, msix_pending_read(&cap, 0, 4));
    EXPECT_EQ(2u, msix_pending_read(&cap, 4, 4));
    EXPECT_EQ(0x21u, msix_pending_read(&cap, 8, 4));
    EXPECT_EQ(0u, msix_pending_read(&cap, 12, 4));
    EXPECT_EQ(0u, msix_pending_read(&cap, 2, 4)) << "not aligned";
}

TEST_F(Msix, TheFunctionMaskMasksEveryEntryAndLeavesTheirMasksAlone)
{
    enable();
    mask(2, true);
    control(ENABLE | FUNCTION_MASK);
    for (const unsigned n : {69, 2, 0})
        EXPECT_EQ(MSI_PENDING, raise(n));
    EXPECT_EQ(0u, read(at(0, VECTOR_CONTROL)));
    mask(0, true);
    mask(0, false);
    EXPECT_EQ(Numbers{}, port.take()) << "an entry's mask counts for nothing now";
    control(ENABLE);
    EXPECT_EQ((Numbers{0, 69}), port.take()) << "in order";
    EXPECT_TRUE(msix_pending(&cap, 2));
    mask(2, false);
    EXPECT_EQ(Numbers{2}, port.take());
}

TEST_F(Msix, WhatPendsOutlastsADisabledCapability)
{
    enable();
    mask(1, true);
    raise(1);
    control(0);
    mask(1, false);
    EXPECT_EQ(Numbers{}, port.take()) << "disabled";
    control(ENABLE);
    EXPECT_EQ(Numbers{1}, port.take());
}

/* The implementation note of "MSI-X Configuration": data is visible no later than the mask bit. */
TEST_F(Msix, DataAndUnmaskingInOneQwordSendTheNewData)
{
    enable();
    mask(4, true);
    raise(4);
    write(at(4, DATA), UINT64_C(0x77), 8);
    EXPECT_EQ((std::vector<Sent>{{4, 0xfee04000, 0x77}}), port.sent);
}

TEST_F(Msix, AWithdrawnMessageIsNotSent)
{
    enable();
    mask(1, true);
    raise(1);
    msix_withdraw(&cap, 1);
    EXPECT_FALSE(msix_pending(&cap, 1));
    mask(1, false);
    EXPECT_EQ(Numbers{}, port.take());
}

TEST_F(Msix, AMessageMaskedWhileAnotherIsSentStaysPending)
{
    enable();
    control(ENABLE | FUNCTION_MASK);
    raise(0);
    raise(1);
    port.heard = [this](const Sent &) { control(ENABLE | FUNCTION_MASK); };
    control(ENABLE);
    EXPECT_EQ(Numbers{0}, port.take());
    EXPECT_TRUE(msix_pending(&cap, 1));
}

TEST(MsixSizes, OneEntryAndTwoThousandAndFortyEight)
{
    for (const uint16_t entries : {1, 64, 65, 2048}) {
        Function f(entries);
        EXPECT_EQ(entries - 1u, msix_read(&f.cap, CONTROL, 2));
        f.control(ENABLE);
        EXPECT_EQ(MSI_PENDING, f.raise(entries - 1u));
        EXPECT_EQ(UINT64_C(1) << (entries - 1) % 64, f.pending_word((entries - 1) / 64));
        f.set_up(entries - 1u, 0xfee00000, 0x40);
        EXPECT_EQ(Numbers{entries - 1u}, f.port.take());
    }
}

/* ---- any sequence of operations ---- */

class MsixProperty : public ::testing::TestWithParam<unsigned>
{
};
INSTANTIATE_TEST_SUITE_P(Seeds, MsixProperty, ::testing::Range(0u, 8u));

TEST_P(MsixProperty, NoMessageIsLostAndNoneIsDoubled)
{
    std::mt19937 random(GetParam());
    const unsigned entries = 1 + GetParam() * 19;
    Function f(static_cast<uint16_t>(entries));
    std::set<unsigned> waits, masked;
    std::vector<unsigned> owed(entries), got(entries);
    uint32_t control = 0;

    for (unsigned n = 0; n < entries; n++)
        masked.insert(n);
    for (int i = 0; i < 4000; i++) {
        const unsigned n = random() % entries;
        switch (random() % 8) {
        case 0:
            control = random() % 4 ? uint32_t{ENABLE} : random() & (ENABLE | FUNCTION_MASK);
            f.control(control);
            break;
        case 1:
            waits.erase(n);
            msix_withdraw(&f.cap, n);
            break;
        case 2:
        case 3:
            masked.insert(n);
            f.mask(n, true);
            break;
        case 4:
            masked.erase(n);
            f.mask(n, false);
            break;
        default:
            if (control & ENABLE)
                waits.insert(n);
            EXPECT_EQ(control & ENABLE ? 1 : 0, f.raise(n) != MSI_REFUSED);
        }
        for (auto it = waits.begin(); it != waits.end();) {
            const bool goes = control == ENABLE && !masked.count(*it);
            owed[*it] += goes;
            it = goes ? waits.erase(it) : std::next(it);
        }
        for (const unsigned sent : f.port.take())
            got[sent]++;
        for (unsigned w = 0; w < entries; w++)
            ASSERT_EQ(waits.count(w), msix_pending(&f.cap, w)) << "operation " << i;
        ASSERT_EQ(owed, got) << "operation " << i;
    }
}

TEST_P(MsixProperty, AnyBytesAreBorne)
{
    std::mt19937 random(GetParam());
    Function f(static_cast<uint16_t>(1 + random() % 130));
    const uint32_t fixed = msix_read(&f.cap, 0, 4) & 0x3fffffff;
    const auto offset = [&] { return random() % 8 ? random() % 2100 : random(); };
    const auto size = [&] { return random() % 8 ? 1u << random() % 4 : random(); };
    const auto value = [&] { return uint64_t{random()} << 32 | random(); };

    for (int i = 0; i < 8000; i++) {
        switch (random() % 6) {
        case 0:
            f.raise(random() % 2 ? random() % 140 : random());
            break;
        case 1:
            msix_withdraw(&f.cap, random() % 140);
            break;
        case 2:
            msix_write(&f.cap, static_cast<uint16_t>(offset() % 14), size(), random());
            break;
        case 3:
            msix_pending_read(&f.cap, offset(), size());
            break;
        default:
            f.write(offset(), value(), size());
            f.read(offset(), size());
        }
        ASSERT_EQ(fixed, msix_read(&f.cap, 0, 4) & 0x3fffffff);
        for (unsigned n = 0; msix_enabled(&f.cap) && n < f.table.size(); n++)
            ASSERT_FALSE(msix_pending(&f.cap, n) && !msix_masked(&f.cap, n));
        ASSERT_EQ(0u, f.read(0) & 3);
        if (f.table.size() % 64) {
            ASSERT_EQ(0u, f.pending.back() >> f.table.size() % 64);
        }
    }
}

TEST_P(MsixProperty, ARestoredCapabilityHasTheSameFuture)
{
    std::mt19937 random(GetParam());
    Function one(70), other(70);

    for (int i = 0; i < 4000; i++) {
        if (i == 2000) {
            const msix saved = one.cap;
            msix_restore(&other.cap, &saved);
            one.port.sent.clear();
        }
        const unsigned n = random() % 70, what = random() % 6;
        const uint32_t value = random();
        for (Function *f : {&one, &other}) {
            if (i < 2000 && f == &other)
                continue;
            if (what == 0)
                f->control(value);
            else if (what == 1)
                f->write(Function::at(n, DATA), value);
            else if (what < 4)
                f->mask(n, value & 1);
            else
                f->raise(n);
        }
    }
    EXPECT_FALSE(other.port.sent.empty());
    EXPECT_EQ(one.port.sent, other.port.sent);
}

} // namespace
