/*
 * The chips of a PC together, under random operations with fixed seeds: what is
 * accepted is taken once and nothing else is; what is over leaves nothing behind;
 * a machine restored in the middle has the same future; no access breaks it.
 */
#include <random>

#include "irq_machine_bench.h"

namespace
{

constexpr unsigned OPERATIONS = 1500, SEEDS = 8;

enum operation {
    DRIVE,
    PROGRAM,
    MASK,
    MESSAGE,
    PROGRAM_MESSAGES,
    MASK_MESSAGES,
    PCI,
    ROUTE,
    TICK,
    TIME,
    IPI,
    TAKE,
    FINISH,
    INTA,
    PIC_EOI,
    PIC_MASK,
    PRIORITY,
    EOI_REGISTER,
    OPERATIONS_THERE_ARE
};

/* One operation, with numbers that it makes of what it needs. */
struct Step {
    operation what;
    uint32_t a, b, c;
};

std::vector<Step> steps(unsigned seed, unsigned count = OPERATIONS)
{
    std::mt19937 random(seed);
    std::vector<Step> list(count);
    for (Step &step : list) {
        step.what = static_cast<operation>(random() % OPERATIONS_THERE_ARE);
        step.a = random();
        step.b = random();
        step.c = random();
    }
    return list;
}

/* Edges and levels have vectors of their own: TMR says what the last message of a vector was, and
   with it whether its EOI is broadcast. */
uint8_t edge_vector(uint32_t number)
{
    return static_cast<uint8_t>(0x30 + number % 0x60);
}

uint8_t level_vector(uint32_t number)
{
    return static_cast<uint8_t>(0x90 + number % 0x60);
}

/* One, all, nobody; or some, by their logical IDs. */
struct Destination {
    uint8_t id;
    bool logical;
};

Destination destination(uint32_t number)
{
    static const uint8_t ids[] = {0, 1, 2, 3, 9, 0xff};
    const bool logical = number & 0x100;
    return {logical ? static_cast<uint8_t>(number & 0x1f) : ids[number % 6], logical};
}

void mask(Machine &m, unsigned pin, bool masked)
{
    const uint64_t open = m.entry(pin) & ~uint64_t{Machine::MASKED};
    m.set_entry(pin, masked ? open | Machine::MASKED : open);
}

/* Software that keeps to the rules masks a pin to program it, and lets what is in service end
   first. The pins of the ISA lines are active high, since the 8259A hears the same lines. */
void program(Machine &m, unsigned pin, uint32_t a, uint32_t b)
{
    const Destination to = destination(b);
    const uint64_t lowest_priority = (a >> 8 & 1) << 8;
    uint64_t entry = static_cast<uint64_t>(to.id) << 56 | lowest_priority;

    mask(m, pin, true);
    if (ioapic_remote_irr(&m.io, pin))
        return;
    if (to.logical)
        entry |= Machine::LOGICAL;
    if (a & Machine::LEVEL)
        entry |= Machine::LEVEL | level_vector(a);
    else
        entry |= edge_vector(a);
    if (pin >= I8259_LINES)
        entry |= a & Machine::ACTIVE_LOW;
    m.set_entry(pin, entry);
}

/* The data's low bits number the messages, so eight vectors follow each other. */
void program_messages(Machine &m, uint32_t a, uint32_t b)
{
    const Destination to = destination(b);
    const uint32_t logical = to.logical ? 1u << 2 : 0, lowest_priority = (a >> 8 & 1) << 8;

    msi_write(&m.function, 0x02, 2, 3u << 4 | 1); /* eight messages, enabled */
    msi_write(&m.function, 0x04, 4,
              0xfee00000u | static_cast<uint32_t>(to.id) << 12 | logical | logical << 1);
    msi_write(&m.function, 0x0c, 2, lowest_priority | edge_vector(a));
}

/* Counter 0, mode 2, a tick in half a millisecond or more. */
void program_timer(Machine &m, uint32_t a)
{
    pit_write(&m.timer, PIT_CONTROL, 0x34);
    pit_write(&m.timer, PIT_COUNTER_0, static_cast<uint8_t>(a));
    pit_write(&m.timer, PIT_COUNTER_0, static_cast<uint8_t>(2 + a % 8));
}

void send_ipi(Machine &m, unsigned cpu, uint32_t a, uint32_t b)
{
    const Destination to = destination(b);
    const uint32_t shorthand = a & 3u << 18, assert_level = 1u << 14;

    m.write(cpu, LAPIC_ICR_HI, static_cast<uint32_t>(to.id) << 24);
    m.write(cpu, LAPIC_ICR_LO,
            edge_vector(a) | (to.logical ? 1u << 11 : 0) | shorthand | assert_level);
}

void perform(Machine &m, const Step &s)
{
    const unsigned cpu = s.a % Machine::CPUS, pin = s.a % Machine::LINES;

    switch (s.what) {
    case DRIVE:
        return m.drive(pin, s.b & 1);
    case PROGRAM:
        return program(m, pin, s.b, s.c);
    case MASK:
        return mask(m, pin, s.b & 1);
    case MESSAGE:
        return m.message(s.a);
    case PROGRAM_MESSAGES:
        return program_messages(m, s.b, s.c);
    case MASK_MESSAGES:
        return msi_write(&m.function, 0x10, 4, s.b & s.c);
    case PCI:
        return m.drive_pci(s.a, s.b, s.c & 1);
    case ROUTE:
        return pirq_write(&m.bridge, static_cast<uint16_t>(0x60 + s.a % 4), 1, s.b & 0x8f);
    case TICK:
        return program_timer(m, s.a);
    case TIME:
        return m.pass(s.a % (PS_PER_NS * 1000000));
    case IPI:
        return send_ipi(m, cpu, s.b, s.c);
    case TAKE:
        m.take(cpu);
        return;
    case FINISH:
        return m.finish(cpu);
    case INTA:
        m.take_from_pic();
        return;
    case PIC_EOI:
        return m.out(s.a & 1 ? 0x20 : 0xa0,
                     s.b & 1 ? 0x20 : static_cast<uint8_t>(0x60 | s.c % 8));
    case PIC_MASK:
        return m.out(s.a & 1 ? 0x21 : 0xa1, static_cast<uint8_t>(s.b & s.c));
    case PRIORITY:
        return m.write(cpu, LAPIC_TPR, s.b % 12 << 4);
    case EOI_REGISTER:
        return m.end_of_interrupt(level_vector(s.b), true);
    case OPERATIONS_THERE_ARE:
        break;
    }
}

class RandomTraffic : public testing::TestWithParam<unsigned>
{
};

TEST_P(RandomTraffic, LosesAndInventsNothing)
{
    Machine m;
    for (const Step &s : steps(GetParam())) {
        perform(m, s);
        m.compare();
        if (HasFailure())
            return;
    }
    EXPECT_GT(m.log.size(), OPERATIONS / 4);
}

TEST_P(RandomTraffic, LeavesNothingBehindOnceLinesAreLowAndHandlersAreDone)
{
    Machine m;
    for (const Step &s : steps(GetParam()))
        perform(m, s);
    m.settle();
    m.compare();
    EXPECT_EQ(m.remote_irrs(), 0u);
    for (const lapic &apic : m.apic) {
        EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
        EXPECT_TRUE(vec_empty(&apic.regs.IRR));
        EXPECT_TRUE(vec_empty(&apic.regs.ISR));
    }
    EXPECT_EQ(i8259_requests(&m.pic), 0);
    EXPECT_EQ(i8259_in_service(&m.pic), 0);
    EXPECT_FALSE(i8259_output(&m.pic));
}

/* A handler that has run once for an assertion that lasts runs again, until the line is low. */
TEST_P(RandomTraffic, ServesAnOpenLevelTriggeredPinAsLongAsItIsAsserted)
{
    Machine m;
    for (const Step &s : steps(GetParam()))
        perform(m, s);
    m.settle();
    mask(m, 17, true);
    m.set_entry(17, uint64_t{2} << 56 | Machine::LEVEL | level_vector(0));
    m.drive(17, true);
    for (int round = 0; round < 5; round++) {
        ASSERT_TRUE(m.take(2));
        m.finish(2);
    }
    m.drive(17, false);
    m.settle();
    EXPECT_FALSE(m.take(2));
    EXPECT_EQ(m.remote_irrs(), 0u);
}

TEST_P(RandomTraffic, HasTheSameFutureInAMachineThatIsRestored)
{
    const std::vector<Step> past = steps(GetParam()), future = steps(GetParam() + 1000);
    Machine first, second;
    for (const Step &s : past)
        perform(first, s);
    for (const Step &s : steps(GetParam() + 2000, 300))
        if (s.what != TIME)
            perform(second, s);
    second.restore(first);
    for (const Step &s : future) {
        perform(first, s);
        perform(second, s);
        ASSERT_EQ(first.log, second.log);
        first.log.clear();
        second.log.clear();
    }
    for (unsigned pin = 0; pin < Machine::LINES; pin++)
        EXPECT_EQ(first.entry(pin), second.entry(pin));
    EXPECT_EQ(i8259_requests(&first.pic), i8259_requests(&second.pic));
    EXPECT_EQ(i8259_in_service(&first.pic), i8259_in_service(&second.pic));
}

/* ---- accesses that no sane software makes ---- */

uint16_t any_offset(std::mt19937 &random)
{
    static const uint16_t near[] = {0x00, 0x10, 0x40, 0x43, 0x61,  0x60,
                                    0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
    const auto number = static_cast<uint16_t>(random());
    switch (random() % 3) {
    case 0:
        return near[number % (sizeof near / sizeof near[0])];
    case 1:
        return number & 0xff0;
    default:
        return number;
    }
}

TEST_P(RandomTraffic, HostileAccessesOfAnySizeAnywhereBreakNothing)
{
    std::mt19937 random(GetParam());
    Machine m(Machine::HOSTILE);
    for (unsigned n = 0; n < OPERATIONS; n++) {
        const uint16_t offset = any_offset(random);
        const uint32_t value = random();
        struct lapic *apic = &m.apic[random() % Machine::CPUS];
        uint64_t read = 0;
        i8259_write(&m.pic, offset, static_cast<uint8_t>(value));
        i8259_read(&m.pic, any_offset(random));
        ioapic_write(&m.io, offset, random() % 18, value);
        ioapic_read(&m.io, any_offset(random), random() % 18);
        lapic_page_write(apic, offset, random() % 18, value, sim_time{n});
        lapic_page_read(apic, any_offset(random), random() % 18, sim_time{n});
        lapic_rdmsr(apic, 0x800 + random() % 0x50, &read, sim_time{n});
        lapic_wrmsr(apic, 0x800 + random() % 0x50, value, sim_time{n});
        msi_write(&m.function, offset, random() % 18, value);
        msi_read(&m.function, any_offset(random), random() % 18);
        pirq_write(&m.bridge, offset, random() % 18, value);
        pirq_read(&m.bridge, any_offset(random), random() % 18);
        pit_write(&m.timer, any_offset(random), static_cast<uint8_t>(value));
        pit_read(&m.timer, any_offset(random));
        m.drive_pci(random(), random(), random() & 1);
        m.message(random());
        m.pass(random() % 100000);
        lapic_set_base(apic, value | static_cast<uint64_t>(random()) << 32);
        m.drive(random() % Machine::LINES, random() & 1);
        m.take(random() % Machine::CPUS);
        m.take_from_pic();
        m.log.clear();
    }
    SUCCEED();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTraffic, testing::Range(1u, 1u + SEEDS));

} // namespace
