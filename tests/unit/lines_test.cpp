/* Cache lines between CPUs, and a core between its threads: what they add to a guest's time. */
#include <gtest/gtest.h>

#include <set>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t SOCKET = 700, REMOTE = 9000;
constexpr uint64_t STAMP = 1, OPERATION = 1; /* every other cost is 1 */

/* vCPU 1 writes word 1; then vCPU 0 does `then`, each operation between two stamps of its own. */
Plan written_by_another(const std::vector<std::string> &then)
{
    Plan p;
    std::string reader = "[\"spin_until\",0,1]";

    p.cost = 1;
    p.costs = {{"line.socket", SOCKET}, {"line.remote", REMOTE}};
    for (size_t n = 0; n < then.size(); n++) {
        const std::string stamp = ",[\"stamp\"," + std::to_string(n) + "]";
        reader += stamp + "," + then[n] + stamp;
    }
    p.programs = {{"reader", reader},
                  {"writer", "[\"word_add\",1,1],[\"word_add\",0,1],[\"compute\",100000]"}};
    p.vcpus = {{0, "reader", {}}, {2, "writer", {}}};
    return p;
}

uint64_t took(Machine &m, int n)
{
    return m.stamps(0, n, "sum_cycles") - STAMP - OPERATION;
}

TEST(Lines, AWordComesFromTheCoreThatWroteItAndThenStays)
{
    Machine m(written_by_another({"[\"word_read\",1]", "[\"word_read\",1]"}));
    m.run();
    EXPECT_EQ(SOCKET, took(m, 0));
    EXPECT_EQ(0u, took(m, 1));
}

TEST(Lines, AnotherSocketIsFarther)
{
    Plan p = written_by_another({"[\"word_read\",1]", "[\"word_add\",1,1]"});
    p.sockets = 2;
    Machine m(p);
    m.run();
    EXPECT_EQ(REMOTE, took(m, 0));
    EXPECT_EQ(REMOTE, took(m, 1)) << "the copy there has to go first";
}

TEST(Lines, AWriterNeedsTheOnlyCopy)
{
    Machine m(written_by_another({"[\"word_read\",1]", "[\"word_add\",1,1]",
                                  "[\"word_add\",1,1]", "[\"word_read\",1]"}));
    m.run();
    EXPECT_EQ(SOCKET, took(m, 0));
    EXPECT_EQ(SOCKET, took(m, 1));
    EXPECT_EQ(0u, took(m, 2));
    EXPECT_EQ(0u, took(m, 3));
}

TEST(Lines, AWordThatNobodyHasTouchedIsThere)
{
    Machine m(written_by_another({"[\"word_add\",5,1]", "[\"word_read\",6]"}));
    m.run();
    EXPECT_EQ(0u, took(m, 0));
    EXPECT_EQ(0u, took(m, 1));
}

TEST(Lines, TheThreadsOfACoreShareItsCaches)
{
    Plan p = written_by_another({"[\"word_read\",1]", "[\"word_add\",1,1]"});
    p.threads_per_core = 2;
    p.costs["smt.shared"] = 0;
    p.vcpus[1].pin = 1;
    Machine m(p);
    m.run();
    EXPECT_EQ(0u, took(m, 0));
    EXPECT_EQ(0u, took(m, 1));
}

TEST(Lines, WhoTakesFromAWordWritesIt)
{
    Machine m(
        written_by_another({"[\"word_read\",1]", "[\"spin_take\",1,1]", "[\"word_add\",1,1]"}));
    m.run();
    EXPECT_EQ(SOCKET, took(m, 1));
    EXPECT_EQ(0u, took(m, 2));
}

/* Three ask at once for the line of word 1, which goes from one to the next. */
TEST(Lines, WhoeverAsksForALineWaitsForThoseWhoAskedBefore)
{
    Plan p;
    p.cost = 1;
    p.costs = {{"line.socket", SOCKET}, {"line.remote", REMOTE}};
    p.programs = {{"first", "[\"compute\",50000],[\"word_add\",1,1],[\"compute\",90000]"},
                  {"other", "[\"compute\",100000],[\"stamp\",0],[\"word_add\",1,1],["
                            "\"stamp\",0]"}};
    p.vcpus = {{0, "first", {}}, {1, "other", {}}, {2, "other", {}}, {3, "other", {}}};
    Machine m(p);
    std::multiset<uint64_t> waits;
    m.run();
    for (int vcpu = 1; vcpu < 4; vcpu++)
        waits.insert(m.stamps(vcpu, 0, "sum_cycles") - STAMP - OPERATION);
    ASSERT_EQ(3u, waits.size());
    auto at = waits.begin();
    EXPECT_NEAR(SOCKET, *at++, 3 * SOCKET / 10);
    EXPECT_NEAR(2 * SOCKET, *at++, 3 * SOCKET / 10);
    EXPECT_NEAR(3 * SOCKET, *at++, 3 * SOCKET / 10);
}

/* vCPU 1 waits for word 1, or for another; vCPU 0 writes word 1 twice. What the second time takes. */
uint64_t written_while_another_spins_on(unsigned word)
{
    Plan p;
    p.cost = 1;
    p.costs = {{"line.socket", SOCKET}, {"line.remote", REMOTE}};
    p.programs = {
        {"writer",
         "[\"compute\",50000],[\"word_add\",1,1],[\"compute\",50000],[\"stamp\",0],[\"word_"
         "add\",1,1],[\"stamp\",0],[\"word_add\",2,1]"},
        {"spinner", "[\"spin_until\"," + std::to_string(word) + "," +
                        std::to_string(word == 1 ? 2 : 1) + "]"}};
    p.vcpus = {{0, "writer", {}}, {1, "spinner", {}}};
    Machine m(p);
    m.run();
    return took(m, 0);
}

TEST(Lines, WhoSpinsOnAWordTakesACopyAfterEachWrite)
{
    EXPECT_EQ(SOCKET, written_while_another_spins_on(1));
    EXPECT_EQ(0u, written_while_another_spins_on(2));
}

/* Two IPIs from vCPU 0 to vCPU 1, which spins; what the sender's operations took. */
Plan two_ipis(const std::string &technology)
{
    Plan p;
    p.cost = 1;
    p.costs = {{"line.socket", 0}, {"line.remote", REMOTE}};
    p.sockets = 2;
    p.technology = technology;
    p.programs = {
        {"sender",
         "[\"compute\",90000],[\"stamp\",0],[\"ipi\",48,1],[\"stamp\",0],[\"compute\",90000],"
         "[\"stamp\",1],[\"ipi\",48,1],[\"stamp\",1]"},
        {"target", "[\"compute\",900000]"},
        {"handler", "[\"eoi\"]"}};
    p.vcpus = {{0, "sender", {}}, {2, "target", {{48, "handler"}}}};
    return p;
}

uint64_t far_lines(Machine &m, int n)
{
    return m.stamps(0, n, "sum_cycles") / REMOTE;
}

TEST(Lines, WhoPostsAnInterruptTakesTheTargetsMemory)
{
    Machine m(two_ipis("apicv"));
    m.run();
    EXPECT_EQ(2u, far_lines(m, 0)) << "the descriptor and the mode; the books are nobody's yet";
    EXPECT_EQ(1u, far_lines(m, 1)) << "the target has not left its guest: only the descriptor";
}

TEST(Lines, ATargetThatLeavesAndEntersWritesItsModeEachTime)
{
    Machine m(two_ipis("none"));
    m.run();
    EXPECT_EQ(3u, far_lines(m, 0))
        << "the APIC's page, and the mode, which is read and exchanged";
    EXPECT_EQ(3u, far_lines(m, 1));
}

/* vCPU 0 sends IPIs to vCPU 1, which halts, and polls as soon as its window has grown, so that it has
   touched all three lines. */
uint64_t far_lines_to_one_that_polls(std::map<std::string, bool> features)
{
    Plan p;
    p.cost = 1;
    p.costs = {{"line.socket", 0}, {"line.remote", REMOTE}};
    p.sockets = 2;
    p.technology = "apicv";
    p.features = std::move(features);
    p.halt_poll_ns = 1000000;
    const std::string once = "[\"compute\",90000],[\"ipi\",48,1],";
    p.programs = {
        {"sender", once + once + once + once + once + once +
                       "[\"compute\",90000],[\"stamp\",0],[\"ipi\",48,1],[\"stamp\",0]"},
        {"target", "[\"halt_until\",0,7]"},
        {"handler", "[\"word_add\",0,1],[\"eoi\"]"}};
    p.vcpus = {{0, "sender", {}}, {2, "target", {{48, "handler"}}}};
    Machine m(p);
    m.run();
    return far_lines(m, 0);
}

TEST(Lines, WhatIsReadBeforeItIsWrittenComesTwice)
{
    EXPECT_EQ(4u, far_lines_to_one_that_polls({}))
        << "the books twice, the descriptor, the mode";
}

TEST(Lines, AKickAfterThePostWritesTheMode)
{
    EXPECT_EQ(5u, far_lines_to_one_that_polls({{"wake-after-post", false}}));
}

TEST(Lines, TheHardwarePostsInItsOwnTime)
{
    Machine m(two_ipis("ipiv"));
    m.run();
    EXPECT_EQ(0u, far_lines(m, 0));
    EXPECT_EQ(0u, far_lines(m, 1));
}

/* Two vCPUs on the two threads of a core; vCPU 0 computes while vCPU 1 does what `other` says. */
uint64_t computing_beside(const std::string &other, unsigned pin)
{
    Plan p;
    p.cost = 1;
    p.costs = {{"smt.shared", 54}};
    p.threads_per_core = 2;
    p.features = {{"hlt-in-guest", true}};
    p.programs = {
        {"main", "[\"compute\",5000],[\"stamp\",0],[\"compute\",10000],[\"stamp\",0]"},
        {"other", other}};
    p.vcpus = {{0, "main", {}}, {pin, "other", {}}};
    p.until_ns = 100000;
    Machine m(p);
    m.run();
    return m.stamps(0, 0, "sum_cycles");
}

TEST(Threads, WorkTakesLongerBesideWork)
{
    EXPECT_EQ(15401u, computing_beside("[\"compute\",90000]", 1));
    EXPECT_EQ(15401u, computing_beside("[\"spin_until\",0,1]", 1));
}

TEST(Threads, NotBesideOneThatHaltsOrIsDoneOrIsOnAnotherCore)
{
    EXPECT_EQ(10001u, computing_beside("[\"unmask_halt\"]", 1));
    EXPECT_EQ(10001u, computing_beside("[\"compute\",10]", 1));
    EXPECT_EQ(10001u, computing_beside("[\"compute\",90000]", 2));
}

} // namespace
