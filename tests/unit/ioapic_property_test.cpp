/*
 * The I/O APIC against a second, literal reading of its data sheet (82093AA 3.2.4), under random
 * operations with fixed seeds. The reading keeps what software wrote and what devices drove, and
 * no entry; it says beforehand what each operation sends and what each entry reads.
 */
#include <array>
#include <cstring>
#include <random>
#include <string>

#include "unit/ioapic_bench.h"

namespace
{

constexpr unsigned OPERATIONS = 3000, SEEDS = 10;

/* ---- operations ---- */

enum operation {
    DRIVE,
    WRITE_LOW,
    WRITE_HIGH,
    BROADCAST,
    EOI_REGISTER,
    SELECT,
    OPERATIONS_THERE_ARE
};

struct Step {
    operation what;
    unsigned pin;
    uint32_t value;
    bool accepted; /* what it sends */
};

/* Few vectors, so that entries share them; every field of an entry, and its other bits. */
uint32_t low_half(uint32_t random)
{
    const uint32_t vector = 0x30 + (random & 3) * 0x11;
    const bool often_open = random >> 17 & 3;

    return (random & 0xfffeff00u & ~(often_open ? 0x10000u : 0)) | vector;
}

std::vector<Step> steps(unsigned seed, unsigned count = OPERATIONS)
{
    std::mt19937 random(seed);
    std::vector<Step> list(count);
    for (Step &step : list) {
        const unsigned what = random() % (OPERATIONS_THERE_ARE + 4);
        step.what = what < OPERATIONS_THERE_ARE ? static_cast<operation>(what) : DRIVE;
        step.pin = random() % (random() % 2 ? 3 : IOAPIC_PINS);
        step.value = random();
        if (step.what == WRITE_LOW)
            step.value = low_half(step.value);
        if (step.what == BROADCAST || step.what == EOI_REGISTER)
            step.value = low_half(step.value) & 0xff;
        step.accepted = random() % 8;
    }
    return list;
}

void perform(IoapicBench &bench, const Step &step)
{
    bench.accepts = [&step](const IoapicBench::Sent &) { return step.accepted; };
    switch (step.what) {
    case DRIVE:
        return bench.drive(step.pin, step.value & 1);
    case WRITE_LOW:
        return bench.write(IoapicBench::low(step.pin), step.value);
    case WRITE_HIGH:
        return bench.write(IoapicBench::high(step.pin), step.value);
    case BROADCAST:
        return bench.eoi(static_cast<uint8_t>(step.value));
    case EOI_REGISTER:
        return ioapic_write(&bench.io, IoapicBench::EOI, 4, step.value);
    case SELECT:
        return ioapic_write(&bench.io, IoapicBench::IOREGSEL, 4, step.value);
    case OPERATIONS_THERE_ARE:
        break;
    }
}

/* ---- the second reading ---- */

/* One line of a message, to compare. */
std::string line(unsigned pin, unsigned vector, unsigned delivery, bool logical, bool level,
                 unsigned destination)
{
    std::string text;
    for (unsigned part :
         {pin, vector, delivery, unsigned{logical}, unsigned{level}, destination})
        text += std::to_string(part) + " ";
    return text;
}

std::vector<std::string> lines(const std::vector<IoapicBench::Sent> &sent)
{
    std::vector<std::string> found;
    for (const IoapicBench::Sent &s : sent)
        found.push_back(
            line(s.pin, s.msg.vector, s.msg.delivery, s.msg.logical, s.msg.level, s.msg.dest));
    return found;
}

class Reading
{
  public:
    /* What the step makes the APIC send. */
    std::vector<std::string> after(const Step &step)
    {
        std::vector<std::string> sent;

        if (step.what == BROADCAST || step.what == EOI_REGISTER) {
            for (Pin &pin : pins)
                if (pin.is_level() && pin.vector() == step.value) {
                    pin.awaits_eoi = false;
                    look(pin, step, false, sent);
                }
            return sent;
        }
        if (step.what == SELECT)
            return sent;
        Pin &pin = pins[step.pin];
        const bool was_active = pin.is_active();
        if (step.what == DRIVE)
            pin.high = step.value & 1;
        else
            (step.what == WRITE_LOW ? pin.written_low : pin.written_high) = step.value;
        if (!pin.is_level())
            pin.awaits_eoi = false;
        look(pin, step, step.what == DRIVE && !was_active && pin.is_active(), sent);
        return sent;
    }

    uint64_t entry(unsigned n) const
    {
        const Pin &pin = pins[n];
        return (pin.written_low & 0x1afffu) | (pin.awaits_eoi ? 0x4000u : 0) |
               uint64_t{pin.written_high & 0xff000000u} << 32;
    }

  private:
    struct Pin {
        bool high = false, awaits_eoi = false;
        uint32_t written_low = 0x10000, written_high = 0;

        unsigned vector() const
        {
            return written_low & 0xff;
        }
        unsigned delivery() const
        {
            return written_low >> 8 & 7;
        }
        bool is_active() const
        {
            return written_low >> 13 & 1 ? !high : high;
        }
        bool is_masked() const
        {
            return written_low >> 16 & 1;
        }
        bool is_level() const
        {
            return written_low >> 15 & 1 && delivery() < 2;
        }
    };
    std::array<Pin, IOAPIC_PINS> pins;

    void look(Pin &pin, const Step &step, bool edge, std::vector<std::string> &sent)
    {
        const bool reserved = pin.delivery() == 3 || pin.delivery() == 6;
        const bool wants = pin.is_level() ? pin.is_active() && !pin.awaits_eoi : edge;

        if (!wants || pin.is_masked() || reserved)
            return;
        sent.push_back(line(static_cast<unsigned>(&pin - pins.data()), pin.vector(),
                            pin.delivery(), pin.written_low >> 11 & 1, pin.is_level(),
                            pin.written_high >> 24));
        pin.awaits_eoi = pin.is_level() && step.accepted;
    }
};

/* ---- properties ---- */

class RandomOperations : public testing::TestWithParam<unsigned>
{
  protected:
    IoapicBench bench;

    void run(const std::vector<Step> &list)
    {
        for (const Step &step : list)
            perform(bench, step);
        bench.accepts = [](const IoapicBench::Sent &) { return true; };
        bench.sent.clear();
    }
};

/* No edge of an open pin lost, none doubled, none invented; a level while it is asserted, open
   and not answered, and at no other time. */
TEST_P(RandomOperations, SendWhatTheDataSheetSaysAndNothingElse)
{
    Reading reading;
    unsigned messages = 0;
    for (const Step &step : steps(GetParam())) {
        bench.sent.clear();
        perform(bench, step);
        ASSERT_EQ(lines(bench.sent), reading.after(step)) << "operation " << step.what;
        messages += static_cast<unsigned>(bench.sent.size());
        for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
            ASSERT_EQ(bench.entry(pin), reading.entry(pin)) << "pin " << pin;
    }
    EXPECT_GT(messages, OPERATIONS / 20);
}

TEST_P(RandomOperations, NoMessageLeavesAPinThatIsMaskedOrNotAsserted)
{
    for (const Step &step : steps(GetParam())) {
        bench.sent.clear();
        perform(bench, step);
        for (const IoapicBench::Sent &s : bench.sent) {
            EXPECT_FALSE(ioapic_masked(&bench.io, s.pin));
            EXPECT_TRUE(ioapic_asserted(&bench.io, s.pin));
        }
    }
}

TEST_P(RandomOperations, ReadsAnywhereOfAnySizeChangeNothing)
{
    std::mt19937 random(GetParam());
    for (const Step &step : steps(GetParam(), OPERATIONS / 10)) {
        perform(bench, step);
        const struct ioapic before = bench.io;
        const size_t sent = bench.sent.size();
        for (uint16_t offset = 0; offset < 0x50; offset++)
            ioapic_read(&bench.io, offset, random() % 10);
        for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
            ioapic_message(&bench.io, pin);
        EXPECT_EQ(std::memcmp(&before, &bench.io, sizeof before), 0);
        EXPECT_EQ(bench.sent.size(), sent);
    }
}

/* An EOI of the vector that an entry has ends what it waits for: when the line is inactive it is
   over, when it is asserted it is sent again. */
TEST_P(RandomOperations, RemoteIrrIsNeverStuck)
{
    run(steps(GetParam()));
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (!bench.remote_irr(pin))
            continue;
        bench.drive(pin, bench.entry(pin) & IoapicBench::ACTIVE_LOW);
        EXPECT_TRUE(bench.remote_irr(pin));
        bench.eoi(ioapic_message(&bench.io, pin).vector);
        EXPECT_FALSE(bench.remote_irr(pin));
    }
}

/* And without the EOI, as systems without an EOI register do it: Linux, __eoi_ioapic_pin(). */
TEST_P(RandomOperations, RemoteIrrEndsWhenTheEntryBecomesEdgeTriggered)
{
    run(steps(GetParam()));
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        const uint32_t before = bench.read(IoapicBench::low(pin));
        bench.write(IoapicBench::low(pin), static_cast<uint32_t>(IoapicBench::MASKED));
        EXPECT_FALSE(bench.remote_irr(pin));
        bench.write(IoapicBench::low(pin), before | static_cast<uint32_t>(IoapicBench::MASKED));
        EXPECT_FALSE(bench.remote_irr(pin));
    }
    EXPECT_TRUE(bench.sent.empty());
}

TEST_P(RandomOperations, AnOpenLevelIsServedAsLongAsItIsAsserted)
{
    run(steps(GetParam()));
    bench.write(IoapicBench::low(9), static_cast<uint32_t>(IoapicBench::MASKED));
    bench.drive(9, true);
    bench.set(9, IoapicBench::LEVEL | 0xe9);
    for (int round = 0; round < 5; round++) {
        EXPECT_EQ(bench.vectors(), IoapicBench::Vectors{0xe9});
        bench.eoi(0xe9);
    }
    bench.drive(9, false);
    bench.vectors();
    bench.eoi(0xe9);
    EXPECT_EQ(bench.vectors(), IoapicBench::Vectors{});
}

TEST_P(RandomOperations, ARestoredIoapicHasTheSameFuture)
{
    IoapicBench other;
    run(steps(GetParam()));
    for (const Step &step : steps(GetParam() + 1000, 300))
        perform(other, step);
    other.sent.clear();
    ioapic_restore(&other.io, &bench.io);
    EXPECT_TRUE(other.sent.empty()) << "to restore sends nothing";
    for (const Step &step : steps(GetParam() + 2000)) {
        perform(bench, step);
        perform(other, step);
    }
    EXPECT_EQ(lines(bench.sent), lines(other.sent));
    for (unsigned index = 0; index < 0x50; index++)
        EXPECT_EQ(bench.read(index), other.read(index)) << index;
}

/* Whoever follows QEMU or KVM has the weaker promise that nothing breaks. */
TEST_P(RandomOperations, EveryMixOfQuirksSurvivesHostileAccesses)
{
    std::mt19937 random(GetParam());
    IoapicBench hostile(random() % 2 ? IOAPIC_VERSION_20 : IOAPIC_VERSION_11,
                        static_cast<uint32_t>(random()));
    for (const Step &step : steps(GetParam())) {
        perform(hostile, step);
        hostile.drive(random() % 64, random() & 1);
        ioapic_write(&hostile.io, static_cast<uint16_t>(random() % 0x50), random() % 18,
                     static_cast<uint32_t>(random()));
        ioapic_read(&hostile.io, static_cast<uint16_t>(random()), random() % 18);
        for (const IoapicBench::Sent &s : hostile.sent)
            EXPECT_LT(s.pin, unsigned{IOAPIC_PINS});
        hostile.sent.clear();
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(1u, 1u + SEEDS));

} // namespace
