/*
 * The 8259A pair under random operations. The reference is the data sheet read
 * word for word: sets of levels, an order that is really rotated, a walk from
 * the highest priority down; slow, and nothing like the model's arithmetic.
 */
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "unit/i8259_bench.h"

namespace
{

using Levels = std::set<int>;

Levels levels_of(unsigned bits)
{
    Levels levels;
    for (int level = 0; level < 8; level++)
        if (bits & 1u << level)
            levels.insert(level);
    return levels;
}

unsigned bits_of(const Levels &levels)
{
    unsigned bits = 0;
    for (int level : levels)
        bits += 1u << level;
    return bits;
}

/* ---- the reference ---- */

struct ReferenceChip {
    bool is_master = false;
    Levels high;  /* inputs */
    Levels risen; /* and not acknowledged since */
    Levels level_by_elcr;
    Levels in_service, masked;
    std::vector<int> order = {0, 1, 2, 3, 4, 5, 6, 7}; /* highest priority first */
    std::optional<Levels> frozen;                      /* the requests, after a poll command */
    std::vector<int> icws_to_come;
    bool ready = false, ltim = false, adi = false, upm = false, aeoi = false, sfnm = false;
    bool special_mask = false, rotates_in_aeoi = false, reads_isr = false;
    unsigned address = 0, t7_t3 = 0, icw3 = 0;

    Levels requests() const
    {
        if (frozen)
            return *frozen;
        Levels requests;
        for (int level : high)
            if (ltim || level_by_elcr.count(level) || risen.count(level))
                requests.insert(level);
        return requests;
    }

    void drive(int input, bool level)
    {
        if (level && high.insert(input).second)
            risen.insert(input);
        if (!level) {
            high.erase(input);
            risen.erase(input);
        }
    }

    /* "inhibits all further interrupts of the same or lower priority"; in special mask mode a
       masked level does not; in special fully nested mode a slave is not locked out. */
    std::optional<int> interrupt() const
    {
        const Levels asking = requests();

        for (int level : order) {
            const bool asks = asking.count(level) && !masked.count(level);
            const bool serves =
                in_service.count(level) && !(special_mask && masked.count(level));
            const bool admits = sfnm && is_master && icw3 & 1u << level;

            if (asks && (!serves || admits))
                return ready ? std::optional<int>(level) : std::nullopt;
            if (serves)
                return std::nullopt;
        }
        return std::nullopt;
    }

    std::optional<int> acknowledge()
    {
        const auto level = interrupt();
        if (!level)
            return level;
        in_service.insert(*level);
        risen.erase(*level);
        if (frozen)
            frozen->erase(*level);
        return level;
    }

    void end_automatically(std::optional<int> level)
    {
        if (!level || !aeoi)
            return;
        in_service.erase(*level);
        if (rotates_in_aeoi)
            make_lowest(*level);
    }

    void make_lowest(int level)
    {
        while (order.back() != level)
            std::rotate(order.begin(), order.begin() + 1, order.end());
    }

    std::optional<int> highest_in_service() const
    {
        for (int level : order)
            if (in_service.count(level) && !(special_mask && masked.count(level)))
                return level;
        return std::nullopt;
    }

    unsigned vector(int level) const
    {
        if (upm)
            return t7_t3 * 8 + level;
        return adi ? address / 32 * 32 + level * 4 : address / 64 * 64 + level * 8;
    }

    void icw1(unsigned value)
    {
        ReferenceChip fresh;
        fresh.is_master = is_master;
        fresh.high = high;
        fresh.level_by_elcr = level_by_elcr;
        fresh.t7_t3 = t7_t3;
        fresh.icw3 = is_master ? 0 : 7;
        fresh.address = value & 0xe0;
        fresh.ltim = value & 8;
        fresh.adi = value & 4;
        fresh.icws_to_come = {2};
        if (!(value & 2))
            fresh.icws_to_come.push_back(3);
        if (value & 1)
            fresh.icws_to_come.push_back(4);
        *this = fresh;
    }

    void next_icw(unsigned value)
    {
        switch (icws_to_come.front()) {
        case 2:
            t7_t3 = value / 8;
            break;
        case 3:
            icw3 = value;
            break;
        default:
            upm = value & 0x01;
            aeoi = value & 0x02;
            sfnm = value & 0x10;
        }
        icws_to_come.erase(icws_to_come.begin());
        ready = icws_to_come.empty();
    }

    void ocw2(unsigned command, int level)
    {
        const auto highest = highest_in_service();

        switch (command) {
        case 0: /* rotate in automatic EOI mode: clear, set */
        case 4:
            rotates_in_aeoi = command == 4;
            break;
        case 1: /* non-specific EOI, and with rotation */
        case 5:
            if (highest)
                in_service.erase(*highest);
            if (highest && command == 5)
                make_lowest(*highest);
            break;
        case 3: /* specific EOI, and with rotation */
        case 7:
            in_service.erase(level);
            if (command == 7)
                make_lowest(level);
            break;
        case 6: /* set priority */
            make_lowest(level);
        }
    }

    void ocw3(unsigned value)
    {
        if (value & 0x40)
            special_mask = value & 0x20;
        if (value & 0x02)
            reads_isr = value & 0x01;
        if (value & 0x04 && !frozen)
            frozen = requests();
    }

    void write(bool a0, unsigned value)
    {
        if (a0 && !icws_to_come.empty())
            next_icw(value);
        else if (a0)
            masked = levels_of(value);
        else if (value & 0x10)
            icw1(value);
        else if (value & 0x08)
            ocw3(value);
        else
            ocw2(value / 32, value % 8);
    }

    unsigned read(bool a0) const
    {
        if (a0)
            return bits_of(masked);
        return bits_of(reads_isr ? in_service : requests());
    }
};

struct Reference {
    ReferenceChip master, slave;

    Reference()
    {
        master.is_master = true;
    }

    void wire()
    {
        master.drive(2, slave.interrupt().has_value());
    }

    ReferenceChip &chip(unsigned port)
    {
        return port == SLAVE || port == SLAVE + DATA || port == ELCR2 ? slave : master;
    }

    void write(unsigned port, unsigned value)
    {
        if (port >= ELCR1)
            chip(port).level_by_elcr = levels_of(value & (port == ELCR1 ? 0xf8 : 0xde));
        else
            chip(port).write(port & 1, value);
        wire();
    }

    unsigned read(unsigned port)
    {
        if (port >= ELCR1)
            return bits_of(chip(port).level_by_elcr);
        return chip(port).frozen ? poll(chip(port)) : chip(port).read(port & 1);
    }

    unsigned poll(ReferenceChip &polled)
    {
        const auto level = polled.acknowledge();
        wire();
        polled.frozen.reset();
        polled.end_automatically(level);
        wire();
        return level ? 0x80 + *level : 0;
    }

    void drive(unsigned line, bool level)
    {
        if (line != 2)
            (line < 8 ? master : slave).drive(static_cast<int>(line % 8), level);
        wire();
    }

    unsigned acknowledge()
    {
        const auto level = master.acknowledge();
        const int seen = level.value_or(7);
        std::optional<int> from_slave;
        unsigned byte = 0xff;

        if (!(master.icw3 & 1u << seen)) {
            byte = master.vector(seen);
        } else if (slave.icw3 % 8 == static_cast<unsigned>(seen)) {
            from_slave = slave.acknowledge();
            byte = slave.vector(from_slave.value_or(7));
        }
        wire();
        slave.end_automatically(from_slave);
        master.end_automatically(level);
        wire();
        return byte;
    }
};

/* ---- random operations ---- */

enum Kind { WRITE, READ, DRIVE, INTA };

struct Operation {
    Kind kind;
    unsigned where, what;
};

const std::array<unsigned, 6> ports = {MASTER,       MASTER + DATA, SLAVE,
                                       SLAVE + DATA, ELCR1,         ELCR2};

/* Mostly what a driver writes, sometimes anything anywhere. */
class Source
{
  public:
    explicit Source(unsigned seed) : random(seed)
    {
        initialize(MASTER, 4);
        initialize(SLAVE, 2);
    }

    Operation next()
    {
        if (queued.empty())
            invent();
        const Operation operation = queued.front();
        queued.erase(queued.begin());
        return operation;
    }

    unsigned below(unsigned limit)
    {
        return static_cast<unsigned>(random()) % limit;
    }

  private:
    std::mt19937 random;
    std::vector<Operation> queued;

    void write(unsigned port, unsigned value)
    {
        queued.push_back({WRITE, port, value & 0xff});
    }

    bool one_in(unsigned n)
    {
        return below(n) == 0;
    }

    void initialize(unsigned chip, unsigned icw3)
    {
        const unsigned icw1 = 0x11 | (one_in(6) ? below(256) & 0xee : 0);

        write(chip, one_in(8) ? icw1 & ~1u : icw1);
        write(chip + DATA, below(256));
        if (!(icw1 & SNGL))
            write(chip + DATA, one_in(8) ? below(256) : icw3);
        write(chip + DATA,
              one_in(8) ? below(256) : UPM | (below(4) * 2 & AEOI) | (one_in(3) ? SFNM : 0));
    }

    void invent()
    {
        const unsigned chip = below(2) ? MASTER : SLAVE;

        switch (below(32)) {
        case 0:
            initialize(chip, chip == MASTER ? 4 : 2);
            break;
        case 1:
            write(ports[below(6)], below(256));
            break;
        case 2:
        case 3:
            write(chip + DATA, below(256) & below(256));
            break;
        case 4:
            write(chip, OCW3 | (below(256) & 0x63));
            break;
        case 5:
            write(chip, POLL | (below(256) & 3));
            break;
        case 6:
            write(below(2) ? ELCR1 : ELCR2, below(256));
            break;
        case 7:
        case 8:
            write(chip, below(256) & 0xe7);
            break;
        case 9:
        case 10:
        case 11:
        case 12:
            write(chip, EOI);
            break;
        case 13:
            queued.push_back({INTA, 0, 0});
            break;
        case 14:
        case 15:
        case 16:
        case 17:
            queued.push_back({READ, ports[below(6)], 0});
            break;
        case 18:
        case 19:
        case 20:
        case 21:
            queued.push_back({INTA, 1, 0});
            break;
        default:
            queued.push_back({DRIVE, below(16), below(2)});
        }
    }
};

/* What was read or acknowledged; a core's INTA (where = 1) waits for INT. */
int apply(i8259 &pic, const Operation &o)
{
    switch (o.kind) {
    case WRITE:
        i8259_write(&pic, static_cast<uint16_t>(o.where), static_cast<uint8_t>(o.what));
        return NOTHING;
    case READ:
        return i8259_read(&pic, static_cast<uint16_t>(o.where));
    case DRIVE:
        i8259_drive(&pic, o.where, o.what);
        return NOTHING;
    default:
        if (o.where && !i8259_output(&pic))
            return NOTHING;
        return i8259_acknowledge(&pic).vector;
    }
}

int apply(Reference &reference, const Operation &o)
{
    switch (o.kind) {
    case WRITE:
        reference.write(o.where, o.what);
        return NOTHING;
    case READ:
        return static_cast<int>(reference.read(o.where));
    case DRIVE:
        reference.drive(o.where, o.what);
        return NOTHING;
    default:
        if (o.where && !reference.master.interrupt())
            return NOTHING;
        return static_cast<int>(reference.acknowledge());
    }
}

bool same_state(const i8259 &a, const i8259 &b)
{
    return memcmp(&a.chip, &b.chip, sizeof(a.chip)) == 0 && a.output == b.output;
}

class RandomOperations : public testing::TestWithParam<unsigned>
{
  protected:
    enum { STEPS = 4000 };
    IntPin pin;
    i8259 pic;
    Source source{GetParam()};

    RandomOperations()
    {
        i8259_init(&pic, &pin, 0);
    }
};

TEST_P(RandomOperations, AgreeWithTheDataSheetReadWordForWord)
{
    Reference reference;

    for (int step = 0; step < STEPS; step++) {
        const Operation o = source.next();
        ASSERT_EQ(apply(pic, o), apply(reference, o)) << "step " << step;
        const ReferenceChip *chips[] = {&reference.master, &reference.slave};
        for (unsigned i = 0; i < 2; i++) {
            ASSERT_EQ(pic.chip[i].level, bits_of(chips[i]->high)) << "step " << step;
            ASSERT_EQ(pic.chip[i].request, bits_of(chips[i]->requests())) << "step " << step;
            ASSERT_EQ(pic.chip[i].in_service, bits_of(chips[i]->in_service)) << "step " << step;
            ASSERT_EQ(pic.chip[i].highest, chips[i]->order.front()) << "step " << step;
        }
        ASSERT_EQ(i8259_output(&pic), reference.master.interrupt().has_value()) << step;
    }
}

/* Is there, in this chip, an unmasked request or a service of higher priority than `level`? */
bool inverts(const i8259_chip &chip, unsigned level)
{
    for (unsigned higher = chip.highest; higher != level; higher = (higher + 1) % 8) {
        const bool masked = chip.mask & 1u << higher;
        if (chip.request & 1u << higher && !masked)
            return true;
        if (chip.in_service & 1u << higher && !(chip.special_mask && masked))
            return true;
    }
    return false;
}

TEST_P(RandomOperations, AnIntaGivesAnUnmaskedRequestOfTheHighestPriorityOrIsSpurious)
{
    for (int step = 0; step < STEPS; step++) {
        const Operation o = source.next();
        if (o.kind != INTA) {
            apply(pic, o);
            continue;
        }
        const i8259 before = pic;
        const i8259_answer given = i8259_acknowledge(&pic);
        ASSERT_EQ(given.line, i8259_pending(&before));
        if (given.line == I8259_NO_LINE) {
            ASSERT_EQ(pic.chip[1].in_service, before.chip[1].in_service);
            continue;
        }
        const unsigned line = static_cast<unsigned>(given.line);
        ASSERT_TRUE(i8259_requests(&before) & ~i8259_masked(&before) & 1u << line);
        ASSERT_EQ(given.vector, i8259_vector(&before, line));
        ASSERT_FALSE(inverts(before.chip[line / 8], line % 8));
    }
}

TEST_P(RandomOperations, WithNothingRequestedAnIntaPutsNothingInService)
{
    for (int step = 0; step < STEPS; step++) {
        apply(pic, source.next());
        if (i8259_output(&pic))
            continue;
        const i8259 before = pic;
        i8259_acknowledge(&pic);
        ASSERT_EQ(pic.chip[0].in_service, before.chip[0].in_service);
        i8259_restore(&pic, &before);
    }
}

TEST_P(RandomOperations, ReadsAndQueriesChangeNothingButAPoll)
{
    for (int step = 0; step < STEPS; step++) {
        apply(pic, source.next());
        const i8259 before = pic;
        for (unsigned port : ports) {
            const bool polls = port < ELCR1 && pic.chip[port >= SLAVE].poll;
            if (!polls)
                i8259_read(&pic, static_cast<uint16_t>(port));
        }
        i8259_pending(&pic);
        i8259_requests(&pic);
        ASSERT_TRUE(same_state(before, pic));
    }
}

TEST_P(RandomOperations, IntIsToldExactlyWhenItChanges)
{
    for (int step = 0; step < STEPS; step++) {
        const bool before = i8259_output(&pic);
        pin.history.clear();
        apply(pic, source.next());
        const bool after = i8259_output(&pic);
        ASSERT_EQ(pin.history, before == after ? "" : after ? "+" : "-") << step;
    }
}

TEST_P(RandomOperations, ASavedPairHasTheSameFuture)
{
    IntPin another;
    i8259 restored;
    std::vector<Operation> future;
    std::vector<int> results;

    i8259_init(&restored, &another, 0);
    for (int round = 0; round < 20; round++) {
        for (unsigned steps = source.below(150); steps; steps--)
            apply(pic, source.next());
        const i8259 saved = pic;
        future.clear();
        results.clear();
        for (int step = 0; step < 100; step++) {
            future.push_back(source.next());
            results.push_back(apply(pic, future.back()));
        }
        i8259_restore(&restored, &saved);
        ASSERT_EQ(another.history.empty() ? false : another.history.back() == '+',
                  i8259_output(&saved));
        for (size_t step = 0; step < future.size(); step++)
            ASSERT_EQ(apply(restored, future[step]), results[step]);
        ASSERT_TRUE(same_state(restored, pic));
    }
}

/* Drivers that end what they began: service nests as the priorities say, and non-specific EOIs
   unwind it. */
TEST_P(RandomOperations, InFullyNestedModeServiceIsAStack)
{
    const std::vector<int> by_priority = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};
    const auto rank = [&](int line) {
        return std::find(by_priority.begin(), by_priority.end(), line) - by_priority.begin();
    };
    std::vector<int> stack;

    for (auto [port, icw3] : {std::pair<unsigned, unsigned>{MASTER, 4}, {SLAVE, 2}}) {
        apply(pic, {WRITE, port, 0x11});
        for (unsigned icw : {port, icw3, 1u})
            apply(pic, {WRITE, port + DATA, icw});
    }
    for (int step = 0; step < STEPS; step++) {
        const unsigned what = source.below(8);
        if (what < 5) {
            apply(pic, {DRIVE, source.below(16), source.below(2)});
        } else if (what < 7 && i8259_output(&pic)) {
            const int line = i8259_acknowledge(&pic).line;
            ASSERT_NE(line, I8259_NO_LINE);
            ASSERT_TRUE(stack.empty() || rank(line) < rank(stack.back()));
            stack.push_back(line);
        } else if (!stack.empty()) {
            if (stack.back() >= 8)
                apply(pic, {WRITE, SLAVE, EOI});
            apply(pic, {WRITE, MASTER, EOI});
            stack.pop_back();
        }
        unsigned served = 0;
        for (int line : stack)
            served |= 1u << line | (line >= 8 ? 1u << I8259_CASCADE : 0);
        ASSERT_EQ(i8259_in_service(&pic), served) << step;
    }
}

TEST_P(RandomOperations, WithAnyQuirksIntAlternatesAndPendingKeepsItsWord)
{
    const unsigned quirks = source.below(1u << I8259_QUIRK_COUNT);

    i8259_init(&pic, &pin, quirks);
    pin.history.clear();
    for (int step = 0; step < STEPS; step++) {
        const Operation o = source.next();
        const int pending = i8259_pending(&pic);
        if (o.kind == INTA) {
            ASSERT_EQ(i8259_acknowledge(&pic).line, pending);
        } else {
            apply(pic, o);
        }
        ASSERT_EQ(i8259_output(&pic), !pin.history.empty() && pin.history.back() == '+');
        ASSERT_LT(pic.chip[0].highest | pic.chip[1].highest, 8);
    }
    EXPECT_EQ(pin.history.find("++"), std::string::npos);
    EXPECT_EQ(pin.history.find("--"), std::string::npos);
    EXPECT_GT(pin.history.size(), 50u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(0u, 12u));

} // namespace
