/* What an operation of the guest costs, where that is more than one thing. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t MORE = 1000;

/* vCPU 0 sends vector 65 to vCPU 1, which waits for it as `wait` says. */
Plan sender(const std::string &technology, const std::string &guest_apic,
            const std::string &wait)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = guest_apic;
    p.halt_poll_ns = 1000000;
    p.programs = {{"sender", R"(["compute",20000],["stamp",0],["ipi",65,1],["stamp",0])"},
                  {"target", wait},
                  {"handler", R"(["word_add",0,1],["eoi"])"}};
    p.vcpus = {{0, "sender", {}}, {1, "target", {{65, "handler"}}}};
    return p;
}

/* How much longer the sender's operation takes if this cost is more. */
uint64_t operation_grows_by(Plan p, const std::string &cost)
{
    Machine before(p);
    before.run();
    p.costs = {{cost, p.cost + MORE}};
    Machine after(p);
    after.run();
    return after.stamps(0, 0, "sum_cycles") - before.stamps(0, 0, "sum_cycles");
}

TEST(GuestCosts, AnIpiByTheApicPageIsTwoAccessesToItWhetherTheSecondTrapsOrIsVirtualized)
{
    const char *spins = R"(["spin_until",0,1])";
    EXPECT_EQ(2 * MORE, operation_grows_by(sender("apicv", "xapic", spins), "hw.apic_page"));
    EXPECT_EQ(2 * MORE, operation_grows_by(sender("ipiv", "xapic", spins), "hw.apic_page"));
    EXPECT_EQ(MORE, operation_grows_by(sender("ipiv", "xapic", spins), "hw.ipi_virtualized"));
    EXPECT_EQ(0u, operation_grows_by(sender("ipiv", "x2apic", spins), "hw.apic_page"));
    EXPECT_EQ(MORE, operation_grows_by(sender("ipiv", "x2apic", spins), "hw.ipi_virtualized"));
}

/* What an IPI's exit takes of each, with the fast path and without. */
struct part {
    const char *cost;
    uint64_t fast, slow;
};

TEST(GuestCosts, TheFastPathOfAnIcrWriteBeginsWithTheSearchForTheDestination)
{
    const part parts[] = {{"kvm.fastpath", 2, 0}, {"kvm.exit", 0, 1}, {"kvm.entry", 0, 1},
                          {"kvm.msr", 0, 1},      {"kvm.apic", 0, 1}, {"kvm.icr", 1, 1}};

    for (const part &p : parts)
        for (const bool fast : {false, true}) {
            Plan plan = sender("apicv", "x2apic", R"(["spin_until",0,1])");
            plan.features["fastpath"] = fast;
            EXPECT_EQ((fast ? p.fast : p.slow) * MORE, operation_grows_by(plan, p.cost))
                << p.cost << (fast ? ", fast" : "");
        }
}

TEST(GuestCosts, AnIcrWriteOfTheApicPageIsNoMsr)
{
    const Plan plan = sender("apicv", "xapic", R"(["spin_until",0,1])");

    EXPECT_EQ(0u, operation_grows_by(plan, "kvm.msr"));
    EXPECT_EQ(MORE, operation_grows_by(plan, "kvm.apic"));
    EXPECT_EQ(MORE, operation_grows_by(plan, "kvm.icr"));
}

/* The fastest of several IPIs is one that comes when the window of polling has grown. */
uint64_t fastest(Plan p, const std::map<std::string, uint64_t> &costs)
{
    p.costs = costs;
    Machine m(p);
    m.run();
    EXPECT_EQ(6u, m.latency("ipi", "count"));
    return m.latency("ipi", "min_ps") / 1000;
}

TEST(GuestCosts, WhoWasPolledForGoesTheWholeWayIntoTheGuest)
{
    Plan p = sender("apicv", "x2apic", R"(["halt_until",0,6])");
    p.programs["sender"] = R"(["repeat",6],["compute",20000],["ipi",65,1],["end"])";
    p.features["fastpath"] = true;
    const uint64_t before = fastest(p, {}), little = 100; /* so that it stays the fastest */
    EXPECT_EQ(little, fastest(p, {{"kvm.poll_wake", p.cost + little}}) - before);
    EXPECT_EQ(little, fastest(p, {{"kvm.entry", p.cost + little}}) - before);
}

} // namespace
