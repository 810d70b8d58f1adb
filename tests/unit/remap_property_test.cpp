/*
 * The remapping unit under random entries, requests and register writes. The
 * verdicts are compared with a decoder written here straight from the
 * specification's bit numbers; fixed seeds.
 */
#include <algorithm>
#include <cstring>
#include <random>

#include "unit/remap_bench.h"

namespace
{

struct Expected {
    int outcome;
    unsigned reason, vector, delivery;
    bool urgent, logical, level, recorded;
    uint64_t descriptor;
    uint32_t dest;
};

bool bit(uint64_t value, unsigned n)
{
    return value >> n & 1;
}

Expected blocked(unsigned reason, bool recorded = true)
{
    Expected e{};
    e.outcome = REMAP_FAULT;
    e.reason = reason;
    e.recorded = recorded;
    return e;
}

Expected compatibility(uint64_t address, uint32_t data)
{
    Expected e{};
    e.outcome = REMAP_PASS;
    e.vector = data & 0xff;
    e.delivery = data >> 8 & 7;
    if (bit(address, 3) && e.delivery == 0)
        e.delivery = 1;
    e.logical = bit(address, 2);
    e.level = bit(data, 15);
    e.dest = address >> 12 & 0xff;
    return e;
}

bool requester_allowed(uint64_t high, unsigned from)
{
    const unsigned sid = high & 0xffff, sq = high >> 16 & 3, svt = high >> 18 & 3;

    if (svt == 0)
        return true;
    if (svt == 2)
        return from / 256 >= sid / 256 && from / 256 <= sid % 256;
    if (svt == 3)
        return false;
    if (sid / 8 != from / 8)
        return false;
    switch (sq) {
    case 0:
        return sid % 8 == from % 8;
    case 1:
        return sid % 4 == from % 4;
    case 2:
        return sid % 2 == from % 2;
    default:
        return true;
    }
}

Expected entry_says(uint64_t low, uint64_t high, bool extended, unsigned from)
{
    const bool record = !bit(low, 1);
    Expected e{};

    if (!bit(low, 0))
        return blocked(0x22, record);
    if (!requester_allowed(high, from))
        return blocked(0x26, record);
    e.vector = low >> 16 & 0xff;
    if (bit(low, 15)) {
        if (low & 0x3fff0030fcull || high & 0xfff00000ull || high >> (32 + 14))
            return blocked(0x24, record);
        e.outcome = REMAP_POST;
        e.urgent = bit(low, 14);
        e.descriptor = (high >> 32) << 32 | (low >> 38) << 6;
        return e;
    }
    e.delivery = low >> 5 & 7;
    if (low & 0xff007000ull || high >> 20 || e.delivery == 3 || e.delivery == 6)
        return blocked(0x24, record);
    if (!extended && low & 0xffff00ff00000000ull)
        return blocked(0x24, record);
    e.outcome = REMAP_PASS;
    e.level = bit(low, 4) && e.delivery <= 1;
    if (bit(low, 3) && e.delivery == 0)
        e.delivery = 1;
    e.logical = bit(low, 2);
    e.dest = static_cast<uint32_t>(extended ? low >> 32 : low >> 40);
    return e;
}

class Random : public RemapBench, public ::testing::WithParamInterface<unsigned>
{
  protected:
    /* What the test knows of the unit, and what it will do next. */
    struct Driver {
        std::mt19937_64 rng;
        bool remapping, extended, compatible;
        unsigned size;
    } now{std::mt19937_64(GetParam()), false, false, false, 0};

    uint64_t below(uint64_t n)
    {
        return now.rng() % n;
    }
    /* One in a few bits is set, so that reserved ones are often clear. */
    uint64_t sparse()
    {
        return now.rng() & now.rng() & now.rng();
    }

    void write_entry()
    {
        static const uint64_t low_reserved = 0xff007000ull,
                              high_reserved = 0xfffffffffff00000ull;
        uint64_t low = sparse() | (below(8) != 0) | below(2) << 15;
        uint64_t high = sparse();

        if (below(4)) {
            low &= bit(low, 15) ? ~0x3fff0030fcull : ~low_reserved;
            high &= bit(low, 15) ? 0x3fff000fffffull : ~high_reserved;
        }
        if (below(2))
            high = (high & ~0xffffull) | device;
        if (!now.extended && below(2))
            low &= ~0xffff00ff00000000ull;
        entry(static_cast<uint32_t>(below(64)), low, high);
    }
    void program()
    {
        const uint32_t state = (now.remapping ? gcmd_ire : 0) | (now.compatible ? gcmd_cfi : 0);

        now.extended = below(2);
        now.size = static_cast<unsigned>(3 + below(4));
        write(REMAP_IRTA, base | (now.extended ? 0x800 : 0) | now.size, 8);
        write(REMAP_GCMD, state | gcmd_sirtp);
    }
    void command()
    {
        now.remapping = below(8) != 0;
        now.compatible = below(2);
        write(REMAP_GCMD, (now.remapping ? gcmd_ire : 0) | (now.compatible ? gcmd_cfi : 0));
    }
    Expected expected(uint64_t address, uint32_t data, uint16_t from)
    {
        const uint32_t h = (address >> 5 & 0x7fff) | (bit(address, 2) ? 0x8000 : 0);
        const bool subhandle = bit(address, 3);
        const uint32_t index = h + (subhandle ? data & 0xffff : 0);

        if (!now.remapping)
            return compatibility(address, data);
        if (!bit(address, 4))
            return now.extended || !now.compatible ? blocked(0x25)
                                                   : compatibility(address, data);
        if (subhandle && data >> 16)
            return blocked(0x20);
        if (index >= 2u << now.size)
            return blocked(0x21);
        if (unit.config.table_fails)
            return blocked(0x23);
        return entry_says(table[index].word[0], table[index].word[1], now.extended, from);
    }
    void check(const Expected &e, const remap_verdict &v)
    {
        ASSERT_EQ(e.outcome, v.outcome);
        ASSERT_EQ(e.reason, v.reason);
        if (v.outcome == REMAP_POST) {
            ASSERT_EQ(e.vector, v.vector);
            ASSERT_EQ(e.urgent, v.urgent);
            ASSERT_EQ(e.descriptor, v.descriptor);
        }
        if (v.outcome == REMAP_PASS) {
            ASSERT_EQ(e.vector, v.message.vector);
            ASSERT_EQ(e.delivery, v.message.delivery);
            ASSERT_EQ(e.logical, v.message.logical);
            ASSERT_EQ(e.level, v.message.level);
            ASSERT_EQ(e.dest, v.message.dest);
        }
    }
    unsigned pending() const
    {
        unsigned n = 0;
        for (unsigned r = 0; r < REMAP_FRCD_COUNT; r++)
            n += recorded(r);
        return n;
    }
    void request(unsigned counts[3])
    {
        const bool far = below(16) == 0;
        const uint64_t address = 0xfee00000 | (below(8) ? 16 : 0) | (below(2) ? 8 : 0) |
                                 below(4) | (far ? now.rng() & 0xfffec : below(64) << 5);
        const uint32_t data = static_cast<uint32_t>(below(8)   ? below(16)
                                                    : below(2) ? now.rng()
                                                               : now.rng() & 0xffff);
        const uint16_t from = below(2) ? device : static_cast<uint16_t>(device ^ below(16));
        const Expected e = expected(address, data, from);
        const bool overflow = read(REMAP_FSTS) & pfo;
        const unsigned before = pending();
        const size_t events = port.sent.size();
        const bool masked = read(REMAP_FECTL) & fectl_im;

        const remap_verdict asked = ask(address, data, from);
        ASSERT_EQ(before, pending()) << "asking changes nothing";
        const remap_verdict v = translate(address, data, from);
        check(e, asked);
        check(e, v);
        counts[v.outcome]++;
        const bool full = !overflow && read(REMAP_FSTS) & pfo;
        const bool records = e.recorded && !overflow && !full;
        ASSERT_EQ(pending(), before + records);
        ASSERT_FALSE(full && !e.recorded);
        ASSERT_EQ(port.sent.size(), events + (records && !before && !masked));
    }
    void service()
    {
        if (below(2))
            write(REMAP_FSTS, pfo);
        for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
            if (below(4))
                clear_record(n);
    }
    void step(unsigned counts[3])
    {
        const uint64_t which = below(32);

        if (which < 8)
            write_entry();
        else if (which == 8)
            program();
        else if (which == 9)
            command();
        else if (which == 10)
            service();
        else if (which == 11)
            write(REMAP_FECTL, below(2) ? fectl_im : 0);
        else if (which == 12)
            unit.config.table_fails = below(8) == 0;
        else
            request(counts);
    }
};

TEST_P(Random, VerdictsAreTheSpecificationsAndRecordsFollowThem)
{
    unsigned counts[3] = {};

    command();
    program();
    for (int n = 0; n < 20000 && !HasFatalFailure(); n++)
        step(counts);
    for (const int outcome : {REMAP_PASS, REMAP_POST, REMAP_FAULT})
        EXPECT_GT(counts[outcome], 1000u) << "this run says little about outcome " << outcome;
}

TEST_P(Random, ASavedUnitGoesOnAsTheOriginalDoes)
{
    unsigned counts[3] = {};

    command();
    program();
    for (int n = 0; n < 500 && !HasFatalFailure(); n++)
        step(counts);

    const remap saved = unit;
    const Driver driver = now;
    const std::vector<remap_words> entries = table;
    size_t sent = port.sent.size();
    for (int n = 0; n < 500 && !HasFatalFailure(); n++)
        step(counts);
    const remap end = unit;
    const size_t events = port.sent.size() - sent;

    now = driver;
    std::copy(entries.begin(), entries.end(), table.begin());
    sent = port.sent.size();
    remap_init(&unit, &saved.config);
    remap_restore(&unit, &saved);
    ASSERT_EQ(port.sent.size(), sent) << "restoring sends nothing";
    for (int n = 0; n < 500 && !HasFatalFailure(); n++)
        step(counts);
    EXPECT_EQ(0, memcmp(&end.regs, &unit.regs, sizeof end.regs));
    EXPECT_EQ(0, memcmp(end.record, unit.record, sizeof end.record));
    EXPECT_EQ(end.next_record, unit.next_record);
    EXPECT_EQ(end.table, unit.table);
    EXPECT_EQ(port.sent.size() - sent, events);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Random, ::testing::Values(1u, 2u, 3u, 4u));

} // namespace
