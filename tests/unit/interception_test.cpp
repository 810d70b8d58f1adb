/* Interceptions of e2k: several causes and their order, replaced values, causes without a handler. */
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "plans.h"

extern "C" {
#include "hypervisor/interception.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

std::vector<uint32_t> order(const e2k_intc &i)
{
    std::vector<uint32_t> numbers;
    for (unsigned n = 0; e2k_intc_nth(&i, n) != E2K_INTC_END; n++)
        numbers.push_back(e2k_intc_nth(&i, n));
    return numbers;
}

/* parse_INTC_registers(), handle_cu_intercepts(). */
TEST(E2kIntc, CausesAreHandledInKvmsOrder)
{
    e2k_intc i;
    e2k_intc_begin(&i);
    EXPECT_TRUE(order(i).empty());
    const std::vector<uint32_t> wanted = {22, 25, 21, 24, 0x108, 0x103, 0x104, 0,
                                          7,  12, 26, 30, 31,    16,    20};
    for (uint32_t number :
         {20u, 31u, 0u, 0x108u, 24u, 7u, 22u, 0x103u, 30u, 16u, 12u, 25u, 0x104u, 26u, 21u})
        e2k_intc_add(&i, number, 0, 0);
    EXPECT_EQ(wanted, order(i));
}

TEST(E2kIntc, EachBitAndCodeHasAPlace)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        e2k_intc i;
        e2k_intc_begin(&i);
        e2k_intc_add(&i, bit, 0, 0);
        const bool known = E2K_KNOWN_CAUSES >> bit & 1;
        if (known)
            EXPECT_EQ(std::vector<uint32_t>{bit}, order(i)) << bit;
    }
    for (unsigned event = 0; event < E2K_MU_EVENTS; event++) {
        e2k_intc i;
        e2k_intc_begin(&i);
        e2k_intc_add(&i, E2K_MU + event, 0, 0);
        EXPECT_EQ(std::vector<uint32_t>{E2K_MU + event}, order(i));
    }
}

TEST(E2kIntc, ThereAreSoManyEntries)
{
    e2k_intc i;
    e2k_intc_begin(&i);
    for (unsigned n = 0; n < 20; n++)
        e2k_intc_add(&i, E2K_MU + 3, n, 0);
    EXPECT_EQ(11u, i.mu_count);
    EXPECT_EQ(10u, i.mu[10].address);
}

/* Each cause of the architecture's tables has a row, but those that never come together. */
TEST(Interception, EachCauseHasAFate)
{
    unsigned rows = 0;
    for (unsigned r = 0; r < EXIT_REASON_COUNT; r++) {
        const bool e2k = exit_reasons[r].vendor == VIRT_E2K && r != EXIT_NONE;
        const bool alone = r == EXIT_E2K_HCALL || r == EXIT_E2K_WAIT_TRAP;
        EXPECT_EQ(e2k && !alone, interception_fate((enum exit_reason)r) != INTERCEPTION_UNKNOWN)
            << exit_reasons[r].name;
        rows += e2k;
    }
    EXPECT_EQ(47u, rows);
    for (unsigned bit = 0; bit < 32; bit++) {
        bool named = false;
        for (const auto &reason : exit_reasons)
            named |= reason.vendor == VIRT_E2K && reason.number == bit && reason.name;
        EXPECT_EQ(bool(E2K_KNOWN_CAUSES >> bit & 1), named) << bit;
    }
}

/* ---- in the machine ---- */

Plan one(const std::string &operation)
{
    Plan p;
    p.technology = "epic-hw";
    p.guest_apic = "epic";
    p.programs = {{"guest", "[\"stamp\",0]," + operation + ",[\"stamp\",0]"}};
    p.vcpus = {{0, "guest", {}}};
    return p;
}

std::string intercept(uint32_t causes, const std::vector<unsigned> &events)
{
    uint64_t codes = 0;
    for (size_t n = 0; n < events.size(); n++)
        codes |= uint64_t{events[n]} << 5 * n;
    return "[\"intercept\"," + std::to_string(causes) + "," + std::to_string(codes) + "," +
           std::to_string(events.size()) + "]";
}

uint64_t cycles(const std::string &operation)
{
    Machine m(one(operation));
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0)) << operation;
    return m.stamps(0, 0, "sum_cycles");
}

/* One interception for all of them: each further entry costs its handling alone. */
TEST(Interception, AWideInstructionLeavesOnce)
{
    const uint64_t page = cycles(intercept(0, {3}));
    EXPECT_EQ(page + 100, cycles(intercept(0, {3, 3})));
    EXPECT_EQ(page + 300, cycles(intercept(E2K_RR_IDR, {3, 3, 4})));
    Machine m(one(intercept(E2K_RR_IDR | E2K_CAUSE(24), {3})));
    m.run();
    EXPECT_EQ(1u, m.exits(0, "cu:hv_int")) << "it counts as the cause that is handled first";
    Machine access(one(intercept(E2K_RR_IDR, {3})));
    access.run();
    EXPECT_EQ(1u, access.exits(0, "mu:gpa_data"));
}

/* VIRT_CTRL_CU as KVM has it: hypervisor.c's kvm_hv_setup_ctxt_state(). */
TEST(Interception, WhatVirtCtrlCuDoesNotNameStaysInTheGuest)
{
    for (unsigned bit : {1u, 2u, 3u, 4u, 5u, 8u, 11u, 16u, 18u, 21u}) {
        Machine m(one(intercept(E2K_CAUSE(bit), {})));
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << bit;
        EXPECT_EQ(0u, m.exits(0)) << bit;
    }
    for (unsigned bit : {0u, 6u, 7u, 10u, 27u, 29u, 31u}) {
        Machine m(one(intercept(E2K_CAUSE(bit), {})));
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << bit;
        EXPECT_EQ(1u, m.exits(0)) << bit;
    }
}

std::string broken(Machine &m)
{
    const json_t *said = json_object_get(m.results(), "broken");
    return json_is_string(said) ? json_string_value(said) : "";
}

TEST(Interception, WithoutAHandlerTheRunEndsAccounted)
{
    for (const auto &[operation, name] : std::vector<std::pair<std::string, std::string>>{
             {intercept(0, {16}), "mu:tlb_flush"},
             {intercept(E2K_HCEM, {}), "cu:hcem"},
             {intercept(E2K_RR_IDR, {3, 19}), "mu:tlb_entry_probe"}}) {
        Plan p = one("[\"epic_ipi\",48,0],[\"mask\"]," + operation + ",[\"compute\",1000]");
        Machine m(p);
        ASSERT_EQ(VIRQSIM_BROKEN, m.run());
        EXPECT_EQ("the host gave up: vcpu 0 left its guest by " + name +
                      ", for which KVM has no handler",
                  broken(m));
        EXPECT_EQ(VIRQSIM_BROKEN, m.run()) << "it stays so";
    }
}

} // namespace
