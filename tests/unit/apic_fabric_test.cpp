/*
 * The fabric: who is meant by a message. Numbers in comments ("point 35") are
 * those of the conformance list in docs/models/lapic.md.
 */
#include <algorithm>
#include <memory>
#include <random>

#include "unit/lapic_bench.h"

namespace
{

using Indices = std::vector<unsigned>;

class Fabric : public ::testing::Test
{
  protected:
    Recorder recorder;
    Port port;
    std::vector<std::unique_ptr<lapic>> apics;
    std::vector<lapic *> by_index;
    apic_fabric fabric{};
    std::vector<trace_flow> flows;

    void build(const std::vector<uint32_t> &ids, lapic_mode mode)
    {
        apics.clear();
        by_index.clear();
        for (uint32_t id : ids) {
            lapic_config config{};
            config.index = (uint16_t)apics.size();
            config.apic_id = id;
            config.mode = mode;
            config.software_enabled = true;
            config.bus_clock = config.tsc_clock = clock_of_hz(1000000000);
            config.trace = &recorder.trace;
            config.port = &port;
            apics.push_back(std::make_unique<lapic>());
            lapic_init(apics.back().get(), &config);
            by_index.push_back(apics.back().get());
        }
        fabric = {by_index.data(), (uint32_t)by_index.size(), &recorder.trace};
    }
    void build(uint32_t count, lapic_mode mode)
    {
        std::vector<uint32_t> ids(count);
        for (uint32_t i = 0; i < count; i++)
            ids[i] = i;
        build(ids, mode);
    }

    void set_ldr(unsigned index, uint8_t ldr, uint32_t dfr = UINT32_MAX)
    {
        lapic_write(by_index[index], LAPIC_LDR, (uint32_t)ldr << 24, {0});
        lapic_write(by_index[index], LAPIC_DFR, dfr, {0});
    }

    static void note(void *context, unsigned index, const irq_msg *msg)
    {
        auto *self = static_cast<Fabric *>(context);
        self->reached.push_back(index);
        self->flows.push_back(msg->flow);
    }
    Indices reached;

    Indices route(const irq_msg &msg)
    {
        reached.clear();
        flows.clear();
        recorder.records.clear();
        const unsigned count = apic_fabric_route(&fabric, &msg, note, this);
        EXPECT_EQ(count, reached.size());
        return reached;
    }

    static irq_msg physical(uint32_t dest)
    {
        irq_msg msg = fixed(0x40);
        msg.dest = dest;
        return msg;
    }
    static irq_msg logical(uint32_t dest)
    {
        irq_msg msg = physical(dest);
        msg.logical = true;
        return msg;
    }
    static irq_msg shorthand(irq_shorthand who, unsigned source)
    {
        irq_msg msg = fixed(0x40);
        msg.shorthand = (uint8_t)who;
        msg.source = (uint16_t)source;
        return msg;
    }
    static irq_msg lowest(irq_msg msg)
    {
        msg.delivery = IRQ_LOWEST_PRIORITY;
        return msg;
    }

    /* The same question without a shortcut. */
    Indices asked_one_by_one(const irq_msg &msg)
    {
        Indices found;
        for (unsigned i = 0; i < by_index.size(); i++)
            if (apic_matches(by_index[i], &msg))
                found.push_back(i);
        return found;
    }
};

/* ---- physical ---- */

TEST_F(Fabric, APhysicalDestinationIsOneApic)
{
    build({4, 0, 9}, LAPIC_MODE_XAPIC);
    EXPECT_EQ(route(physical(4)), Indices{0});
    EXPECT_EQ(route(physical(9)), Indices{2});
    EXPECT_EQ(route(physical(1)), Indices{});
}

TEST_F(Fabric, ADisabledApicIsNotThere)
{
    build(2, LAPIC_MODE_XAPIC);
    lapic_set_base(by_index[1], 0xfee00000);
    EXPECT_EQ(route(physical(1)), Indices{});
    EXPECT_EQ(route(physical(0xff)), Indices{0});
}

/* ---- shorthands ---- */

TEST_F(Fabric, ShorthandsNameTheSenderTheOthersOrAll)
{
    build(4, LAPIC_MODE_XAPIC);
    EXPECT_EQ(route(shorthand(IRQ_SELF, 2)), Indices{2});
    EXPECT_EQ(route(shorthand(IRQ_ALL_INCLUDING_SELF, 2)), (Indices{0, 1, 2, 3}));
    EXPECT_EQ(route(shorthand(IRQ_ALL_BUT_SELF, 2)), (Indices{0, 1, 3}));
}

TEST_F(Fabric, ShorthandsGoByTheSendersPlaceAndNotByItsId)
{
    build({3, 2, 1, 0}, LAPIC_MODE_XAPIC);
    EXPECT_EQ(route(shorthand(IRQ_SELF, 0)), Indices{0});
    EXPECT_EQ(route(shorthand(IRQ_ALL_BUT_SELF, 0)), (Indices{1, 2, 3}));
}

/* ---- logical, xAPIC ---- */

TEST_F(Fabric, ClusterReachesEachMatchOnce)
{
    build(3, LAPIC_MODE_XAPIC);
    set_ldr(0, 0x31, 0x0fffffff);
    set_ldr(1, 0x36, 0x0fffffff);
    set_ldr(2, 0x41, 0x0fffffff);
    EXPECT_EQ(route(logical(0x37)), (Indices{0, 1}));
    EXPECT_EQ(route(logical(0x36)), Indices{1});
    EXPECT_EQ(route(logical(0xff)), (Indices{0, 1, 2}));
}

/* SDM 3A "Logical Destination Mode": all ones "guarantees a match on all clusters". */
TEST_F(Fabric, ClusterFNamesTheMembersOfEveryCluster)
{
    build(3, LAPIC_MODE_XAPIC);
    set_ldr(0, 0x31, 0x0fffffff);
    set_ldr(1, 0x42, 0x0fffffff);
    set_ldr(2, 0x00, 0x0fffffff);
    EXPECT_EQ(route(logical(0xf1)), Indices{0});
    EXPECT_EQ(route(logical(0xf3)), (Indices{0, 1}));
    EXPECT_EQ(route(logical(0xff)), (Indices{0, 1}));
    EXPECT_EQ(route(logical(0xf0)), Indices{});
}

TEST_F(Fabric, AnLdrOfZeroIsNotReachedInAnyModel)
{
    build(1, LAPIC_MODE_XAPIC);
    for (uint32_t dfr : {0xffffffffu, 0x0fffffffu})
        for (uint32_t dest = 0; dest < 256; dest++) {
            set_ldr(0, 0, dfr);
            EXPECT_EQ(route(logical(dest)), Indices{}) << dest;
        }
}

TEST_F(Fabric, AReservedDestinationFormatMatchesNothing)
{
    build(1, LAPIC_MODE_XAPIC);
    set_ldr(0, 0x31, 0x5fffffff);
    EXPECT_EQ(route(logical(0x31)), Indices{});
}

/* ---- logical, x2APIC ---- */

TEST_F(Fabric, X2apicClusterReachesTheMembersOfItsCluster)
{
    build({0, 15, 16, 17, 270}, LAPIC_MODE_X2APIC);
    EXPECT_EQ(route(logical(0x00008001)), (Indices{0, 1}));
    EXPECT_EQ(route(logical(0x00010003)), (Indices{2, 3}));
    EXPECT_EQ(route(logical(0x00104000)), Indices{4});
    EXPECT_EQ(route(logical(0x0010ffff)), Indices{4});
    EXPECT_EQ(route(logical(0x00020001)), Indices{});
    EXPECT_EQ(route(logical(0x00010000)), Indices{});
    EXPECT_EQ(route(logical(0xffffffff)), (Indices{0, 1, 2, 3, 4}));
}

/* ---- lowest priority ---- */

TEST_F(Fabric, LowestPriorityGoesToTheLowestPpr)
{
    build(3, LAPIC_MODE_XAPIC);
    lapic_write(by_index[0], LAPIC_TPR, 0x30, {0});
    lapic_write(by_index[1], LAPIC_TPR, 0x10, {0});
    lapic_write(by_index[2], LAPIC_TPR, 0x20, {0});
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{1});
    EXPECT_EQ(route(lowest(shorthand(IRQ_ALL_BUT_SELF, 1))), Indices{2});
    const irq_msg busy = fixed(0x55);
    lapic_accept(by_index[1], &busy);
    lapic_acknowledge(by_index[1]);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{2});
}

TEST_F(Fabric, OfEqualsTheLowestIndexTakesIt)
{
    build(3, LAPIC_MODE_XAPIC);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(route(lowest(physical(0xff))), Indices{0});
}

TEST_F(Fabric, LowestPriorityPassesOverTheSoftwareDisabled)
{
    build(2, LAPIC_MODE_XAPIC);
    lapic_write(by_index[0], LAPIC_SVR, 0xff, {0});
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{1});
    lapic_write(by_index[1], LAPIC_SVR, 0xff, {0});
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{});
    EXPECT_EQ(recorder.of(TRACE_REFUSED).size(), 1u);
}

/* ---- P6: arbitration and focus ---- */

class P6Fabric : public Fabric
{
  protected:
    void SetUp() override
    {
        build(3, LAPIC_MODE_XAPIC);
        for (lapic *l : by_index)
            l->config.p6 = true;
    }
    void request(unsigned index, uint8_t vector)
    {
        const irq_msg msg = fixed(vector);
        lapic_accept(by_index[index], &msg);
    }
};

/* PPR of all three is 0; the APR knows what is pending. */
TEST_F(P6Fabric, LowestPriorityGoesByTheAprWhichCountsPendingRequests)
{
    request(0, 0x51);
    request(1, 0x31);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{2});
    request(2, 0x61);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{1});
}

TEST_F(P6Fabric, TheFocusTakesItWhateverItsPriority)
{
    request(2, 0x40);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{2});
    lapic_acknowledge(by_index[2]);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{2}) << "in service, too";
    lapic_eoi(by_index[2]);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{0});
}

TEST_F(P6Fabric, SvrBit9TurnsFocusCheckingOff)
{
    request(2, 0x40);
    lapic_write(by_index[2], LAPIC_SVR, LAPIC_SVR_ENABLE | LAPIC_SVR_NO_FOCUS | 0xff, {0});
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{0});
}

TEST_F(P6Fabric, AMessageToNobodyIsItsSendersError)
{
    irq_msg msg = physical(77);
    msg.source = 1;
    route(msg);
    EXPECT_EQ(by_index[1]->esr_pending, (uint32_t)LAPIC_ESR_SEND_ACCEPT);
    EXPECT_EQ(by_index[0]->esr_pending, 0u);
    msg.source = TRACE_NOWHERE;
    route(msg);
    EXPECT_EQ(by_index[0]->esr_pending, 0u);
}

TEST_F(Fabric, LaterProcessorsKnowNeitherFocusNorSendAcceptErrors)
{
    build(3, LAPIC_MODE_XAPIC);
    const irq_msg held = fixed(0x40);
    lapic_accept(by_index[2], &held);
    EXPECT_EQ(route(lowest(physical(0xff))), Indices{0});
    irq_msg msg = physical(77);
    msg.source = 1;
    route(msg);
    EXPECT_EQ(by_index[1]->esr_pending, 0u);
}

/* ---- quirks ---- */

TEST_F(Fabric, QuirkOneIdStopsAtTheFirst)
{
    build({5, 5, 6}, LAPIC_MODE_XAPIC);
    EXPECT_EQ(route(physical(5)), (Indices{0, 1}));
    for (lapic *l : by_index)
        l->config.quirks = 1u << LAPIC_QUIRK_ONE_ID;
    EXPECT_EQ(route(physical(5)), Indices{0});
    EXPECT_EQ(route(physical(6)), Indices{2});
    EXPECT_EQ(route(physical(0xff)), (Indices{0, 1, 2}));
    EXPECT_EQ(route(shorthand(IRQ_ALL_BUT_SELF, 2)), (Indices{0, 1}));
}

TEST_F(Fabric, QuirkLogicalFfReachesAnLdrOfZero)
{
    build(2, LAPIC_MODE_XAPIC);
    set_ldr(1, 0x02);
    for (lapic *l : by_index)
        l->config.quirks = 1u << LAPIC_QUIRK_LOGICAL_FF;
    EXPECT_EQ(route(logical(0xff)), (Indices{0, 1}));
    EXPECT_EQ(route(logical(0xfe)), Indices{1});
}

TEST_F(Fabric, QuirkClusterFIsOneCluster)
{
    build(2, LAPIC_MODE_XAPIC);
    set_ldr(0, 0x31, 0x0fffffff);
    set_ldr(1, 0xf1, 0x0fffffff);
    EXPECT_EQ(route(logical(0xf1)), (Indices{0, 1}));
    for (lapic *l : by_index)
        l->config.quirks = 1u << LAPIC_QUIRK_CLUSTER_F;
    EXPECT_EQ(route(logical(0xf1)), Indices{1});
}

/* ---- the trace ---- */

TEST_F(Fabric, TheFirstDestinationKeepsTheFlowAndTheOthersGetTheirOwn)
{
    build(3, LAPIC_MODE_XAPIC);
    recorder.trace.flows = 100;
    irq_msg msg = physical(0xff);
    msg.flow = 100;
    route(msg);
    EXPECT_EQ(flows, (std::vector<trace_flow>{100, 101, 102}));
    ASSERT_EQ(recorder.records.size(), 3u);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(recorder.records[i].event, TRACE_ROUTED);
        EXPECT_EQ(recorder.records[i].flow, 100 + i);
        EXPECT_EQ(recorder.records[i].where, i);
        EXPECT_EQ(recorder.records[i].a, 0x40u);
        EXPECT_EQ(recorder.records[i].b, TRACE_PARENT(msg.source, 100));
    }
}

TEST_F(Fabric, AMessageToNobodyIsRefusedNowhere)
{
    build(2, LAPIC_MODE_XAPIC);
    irq_msg msg = physical(77);
    msg.flow = 5;
    route(msg);
    ASSERT_EQ(recorder.records.size(), 1u);
    EXPECT_EQ(recorder.records[0].event, TRACE_REFUSED);
    EXPECT_EQ(recorder.records[0].flow, 5u);
    EXPECT_EQ(recorder.records[0].where, TRACE_NOWHERE);
    EXPECT_EQ(recorder.records[0].b, TRACE_REFUSED_NO_DESTINATION);
}

/* ---- the shortcut gives the answer of the long way ---- */

class FabricShortcut : public Fabric, public ::testing::WithParamInterface<unsigned>
{
  protected:
    /* IDs at their indices, or a few of them out of place. */
    std::vector<uint32_t> some_ids(std::mt19937 &random, uint32_t limit)
    {
        std::vector<uint32_t> ids(limit);
        for (uint32_t i = 0; i < limit; i++)
            ids[i] = i;
        const unsigned out_of_place = random() % 3;
        if (out_of_place == 1)
            std::swap(ids[random() % ids.size()], ids[random() % ids.size()]);
        else if (out_of_place == 2)
            std::shuffle(ids.begin(), ids.end(), random);
        ids.resize(1 + random() % limit);
        return ids;
    }
};

TEST_P(FabricShortcut, AgreesWithAskingEveryApic)
{
    std::mt19937 random(GetParam());
    for (int machine = 0; machine < 12; machine++) {
        const lapic_mode mode = random() % 2 ? LAPIC_MODE_XAPIC : LAPIC_MODE_X2APIC;
        const uint32_t limit = mode == LAPIC_MODE_XAPIC ? 255 : 600;
        build(some_ids(random, limit), mode);
        for (unsigned i = 0; i < by_index.size(); i++)
            set_ldr(i, (uint8_t)random(), random() % 2 ? UINT32_MAX : 0x0fffffff);
        for (int message = 0; message < 200; message++) {
            irq_msg msg = physical(random() % (limit + 20));
            msg.logical = random() % 2;
            const uint32_t some = random(), of_those = random();
            if (msg.logical && mode == LAPIC_MODE_X2APIC)
                msg.dest = some % 40 << 16 | (some >> 16 & of_those & 0xffff);
            ASSERT_EQ(route(msg), asked_one_by_one(msg)) << "destination " << msg.dest;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FabricShortcut, ::testing::Range(0u, 8u));

} // namespace
