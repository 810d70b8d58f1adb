/* The wiring of the PC's interrupt controllers: whose interrupt an assertion becomes. */
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "shim.h"

extern "C" {
#include "irq/chipset.h"
}

namespace
{

struct Sink {
    trace_sink sink{};
    std::vector<trace_record> records;
};

void keep(trace_sink *s, const trace_record *r)
{
    reinterpret_cast<Sink *>(s)->records.push_back(*r);
}

struct Chipset : testing::Test {
    struct Port {
        chipset_port port{};
        bool intr = false;
        unsigned rises = 0;
        std::vector<irq_msg> sent;
    } port;
    event_queue events{};
    struct trace trace {
    };
    Sink sink;
    struct chipset chips {
    };

    static void on_intr(chipset_port *p, bool level)
    {
        auto *self = reinterpret_cast<Port *>(p);
        self->intr = level;
        self->rises += level;
    }
    static bool on_send(chipset_port *p, const irq_msg *msg)
    {
        reinterpret_cast<Port *>(p)->sent.push_back(*msg);
        return true;
    }
    void SetUp() override
    {
        sink.sink.put = keep;
        trace.events = &events;
        trace.sinks = &sink.sink;
        port.port = {on_intr, on_send};
        chipset_init(&chips, IOAPIC_VERSION_11, &trace, &port.port);
    }
    /* Linux's initialization, vectors 30H and 38H; then the mask. */
    void start_pic(uint16_t mask = 0)
    {
        const std::vector<std::pair<uint16_t, uint8_t>> words = {{0x20, 0x11},
                                                                 {0x21, 0x30},
                                                                 {0x21, 4},
                                                                 {0x21, 1},
                                                                 {0xa0, 0x11},
                                                                 {0xa1, 0x38},
                                                                 {0xa1, 2},
                                                                 {0xa1, 1},
                                                                 {0x21, (uint8_t)mask},
                                                                 {0xa1, (uint8_t)(mask >> 8)}};
        for (auto [at, value] : words)
            chipset_port_write(&chips, at, value);
    }
    void route(unsigned pin, uint32_t low)
    {
        chipset_page_write(&chips, 0, 4, 0x10 + 2 * pin);
        chipset_page_write(&chips, 0x10, 4, low);
    }
    void raise(unsigned gsi)
    {
        chipset_drive(&chips, gsi, 0, true);
    }
    void lower(unsigned gsi)
    {
        chipset_drive(&chips, gsi, 0, false);
    }
    uint8_t acknowledge()
    {
        return chipset_acknowledge(&chips, &taken);
    }
    std::vector<trace_event> events_of(trace_flow flow) const
    {
        std::vector<trace_event> list;
        for (const auto &r : sink.records)
            if (r.flow == flow)
                list.push_back((trace_event)r.event);
        return list;
    }
    trace_flow taken = 0;
};

using Events = std::vector<trace_event>;

TEST_F(Chipset, AnIsaLineReachesTheMasterAndKeepsItsFlow)
{
    start_pic();
    raise(5);
    EXPECT_TRUE(port.intr);
    EXPECT_EQ(acknowledge(), 0x35);
    EXPECT_EQ(taken, 1u);
    EXPECT_EQ(events_of(1), (Events{TRACE_RAISED, TRACE_ROUTED, TRACE_PENDING}));
}

TEST_F(Chipset, ALineOfTheSlaveComesThroughTheCascade)
{
    start_pic();
    raise(12);
    EXPECT_EQ(acknowledge(), 0x3c);
}

TEST_F(Chipset, TheTimersInputIsPin2OfTheIoApic)
{
    start_pic(0xffff);
    route(2, 0x40);
    raise(0);
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].vector, 0x40);
}

TEST_F(Chipset, InputsAbove15AreTheIoApicsAlone)
{
    start_pic();
    route(20, 0x8000 | 0x51);
    raise(20);
    EXPECT_FALSE(port.intr);
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].flow, 1u);
}

TEST_F(Chipset, TheCascadeHasNoDevice)
{
    start_pic();
    raise(2);
    EXPECT_FALSE(port.intr);
    EXPECT_TRUE(sink.records.empty());
}

TEST_F(Chipset, AnAssertionThatNobodyTookEndsWhenTheInputFalls)
{
    start_pic(0xffff);
    raise(5);
    EXPECT_EQ(events_of(1), (Events{TRACE_RAISED}));
    lower(5);
    EXPECT_EQ(events_of(1), (Events{TRACE_RAISED, TRACE_REFUSED}));
    EXPECT_EQ(sink.records.back().b, (uint64_t)TRACE_REFUSED_MASKED);
}

TEST_F(Chipset, ARequestThatWaitedBehindTheMaskKeepsTheFlowOfItsAssertion)
{
    start_pic(0xffff);
    raise(5);
    chipset_port_write(&chips, 0x21, 0);
    EXPECT_TRUE(port.intr);
    EXPECT_EQ(acknowledge(), 0x35);
    EXPECT_EQ(taken, 1u);
}

TEST_F(Chipset, ARequestWhoseLineDropsBeforeTheInta)
{
    start_pic();
    raise(5);
    lower(5);
    EXPECT_EQ(events_of(1), (Events{TRACE_RAISED, TRACE_ROUTED, TRACE_PENDING, TRACE_REFUSED}));
    EXPECT_EQ(chipset_pending(&chips, 0x35), 0u);
}

TEST_F(Chipset, TheSpuriousVectorIsAnInterruptOfItsOwn)
{
    start_pic();
    EXPECT_EQ(acknowledge(), 0x37);
    EXPECT_EQ(events_of(taken), (Events{TRACE_RAISED, TRACE_ROUTED, TRACE_PENDING}));
}

TEST_F(Chipset, ALevelStillHighAfterItsEoiIsRaisedAnew)
{
    start_pic();
    chipset_port_write(&chips, 0x4d0, 0x20); /* ELCR: IRQ 5 is level-triggered */
    raise(5);
    EXPECT_EQ(acknowledge(), 0x35);
    EXPECT_EQ(taken, 1u);
    EXPECT_EQ(chipset_pending(&chips, 0x35), 0u) << "in service: nobody's interrupt yet";
    chipset_port_write(&chips, 0x20, 0x65);
    EXPECT_EQ(chipset_pending(&chips, 0x35), 1u);
    EXPECT_EQ(acknowledge(), 0x35);
    EXPECT_EQ(taken, 2u);
}

TEST_F(Chipset, ANewBaseBeforeTheIntaMovesTheInterruptToItsNewVector)
{
    start_pic();
    raise(5);
    for (auto [at, value] :
         {std::pair<uint16_t, uint8_t>{0x20, 0x11}, {0x21, 0x50}, {0x21, 4}, {0x21, 1}})
        chipset_port_write(&chips, at, value);
    lower(5);
    raise(5);
    EXPECT_EQ(acknowledge(), 0x55);
    EXPECT_EQ(chipset_pending(&chips, 0x35), 0u);
}

TEST_F(Chipset, BothControllersMakeAnInterruptOfOneAssertion)
{
    start_pic();
    route(5, 0x61);
    raise(5);
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_TRUE(port.intr);
    acknowledge();
    EXPECT_NE(taken, port.sent[0].flow);
}

TEST_F(Chipset, AnExtIntEntryOfPin0PassesIntrOn)
{
    start_pic();
    route(0, 0x700);
    raise(5);
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].delivery, IRQ_EXTINT);
    EXPECT_EQ(port.sent[0].flow, 0u);
}

TEST_F(Chipset, SeveralDevicesOnOneInputAreAWiredOr)
{
    start_pic();
    chipset_drive(&chips, 5, 0, true);
    chipset_drive(&chips, 5, 1, true);
    EXPECT_EQ(acknowledge(), 0x35);
    chipset_port_write(&chips, 0x20, 0x20);
    chipset_drive(&chips, 5, 0, false);
    EXPECT_FALSE(port.intr) << "an edge needs the line to fall first";
    chipset_drive(&chips, 5, 1, false);
    chipset_drive(&chips, 5, 1, true);
    EXPECT_TRUE(port.intr);
}

/* Whatever happens at the inputs and the ports: each routed request of the 8259A is taken,
   refused or still held, and a flow is taken once. */
TEST_F(Chipset, ThePicsBooksBalanceOverRandomOperations)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        std::mt19937 draw(seed);
        sink.records.clear();
        chipset_init(&chips, IOAPIC_VERSION_11, &trace, &port.port);
        start_pic();
        std::map<trace_flow, unsigned> taken_flows;
        for (unsigned n = 0; n < 800; n++) {
            switch (draw() % 6) {
            case 0:
            case 1:
                chipset_drive(&chips, draw() % 24, draw() % 3, draw() % 2);
                break;
            case 2:
                if (i8259_output(&chips.pic)) {
                    acknowledge();
                    EXPECT_EQ(++taken_flows[taken], 1u);
                }
                break;
            case 3:
                chipset_port_write(&chips, draw() % 2 ? 0xa0 : 0x20, 0x20);
                break;
            case 4:
                chipset_port_write(&chips, draw() % 2 ? 0xa1 : 0x21, (uint8_t)draw());
                break;
            default:
                if (draw() % 20 == 0)
                    start_pic();
                else
                    chipset_port_write(&chips, draw() % 2 ? 0x4d1 : 0x4d0, (uint8_t)draw());
                break;
            }
        }
        uint64_t routed = 0, refused = 0, held = 0;
        for (const auto &r : sink.records) {
            routed += r.event == TRACE_ROUTED;
            refused += r.event == TRACE_REFUSED && r.where != TRACE_NOWHERE;
        }
        for (unsigned vector = 0; vector < 256; vector++)
            held += chipset_pending(&chips, vector);
        ASSERT_EQ(routed, taken_flows.size() + refused + held) << "seed " << seed;
    }
}

} // namespace
