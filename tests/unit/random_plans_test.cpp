/*
 * Laws that hold for every plan, asked of random ones: nothing is lost, the
 * same plan gives the same results however the run is cut into pieces, the
 * stages of a latency add up, and each vCPU is in exactly one state at a time.
 */
#include <gtest/gtest.h>

#include "plans.h"
#include "random_plan.h"

namespace
{

using plans::Draw;
using plans::Machine;
using plans::Plan;
using plans::random_plan;

void expect_stages_add_up(json_t *results)
{
    size_t i, j;
    json_t *l, *stage;
    json_array_foreach(json_object_get(results, "latency"), i, l)
    {
        json_int_t sum = 0;
        json_array_foreach(json_object_get(l, "stages"), j, stage) sum +=
            json_integer_value(json_object_get(stage, "sum_ps"));
        EXPECT_EQ(sum, json_integer_value(json_object_get(l, "sum_ps")));
    }
}

void expect_one_state_at_a_time(json_t *results)
{
    size_t i;
    json_t *v, *ps;
    const char *name;
    json_array_foreach(json_object_get(results, "vcpus"), i, v)
    {
        json_int_t sum = 0;
        json_object_foreach(json_object_get(v, "states_ps"), name, ps) sum +=
            json_integer_value(ps);
        EXPECT_EQ(sum, json_integer_value(json_object_get(results, "time_ps")));
    }
}

/* A thread with a queue of its own gets its CPU, whoever else wants that. */
void expect_threads_in_one_state_at_a_time(json_t *results)
{
    size_t i;
    json_t *t, *ps;
    const char *name;
    json_array_foreach(json_object_get(results, "threads"), i, t)
    {
        json_int_t sum = 0;
        json_object_foreach(json_object_get(t, "states_ps"), name, ps) sum +=
            json_integer_value(ps);
        EXPECT_EQ(sum, json_integer_value(json_object_get(results, "time_ps")));
        const bool pooled =
            json_string_value(json_object_get(t, "kind")) == std::string("aio-worker");
        const bool whole =
            json_integer_value(json_object_get(results, "time_ps")) >= 2000000000;
        EXPECT_TRUE(pooled || !whole || json_integer_value(json_object_get(t, "items")) > 0)
            << "thread " << i;
    }
}

/* Where the time of a disk's requests went is all of it. */
void expect_disks_add_up(json_t *results)
{
    size_t i;
    json_t *disk;
    json_array_foreach(json_object_get(results, "disks"), i, disk)
    {
        uint64_t sum = 0;
        const char *stage;
        json_t *ps;
        json_object_foreach(json_object_get(disk, "stages_ps"), stage, ps)
        {
            EXPECT_LE(0, json_integer_value(ps)) << stage;
            sum += (uint64_t)json_integer_value(ps);
        }
        EXPECT_EQ((uint64_t)json_integer_value(json_object_get(disk, "sum_ps")), sum);
    }
}

class RandomPlans : public testing::TestWithParam<uint64_t>
{
};

TEST_P(RandomPlans, LoseNothingAndAddUp)
{
    for (uint64_t seed = GetParam(); seed < GetParam() + 25; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Machine run(random_plan(seed));
        ASSERT_EQ("", run.error());
        run.run();
        json_t *results = run.results();
        const char *broken = json_string_value(json_object_get(results, "broken"));
        if (broken && std::string(broken).find("nest more than") != std::string::npos)
            continue; /* the random guest's own fault, told as such */
        EXPECT_STREQ(nullptr, broken);
        expect_stages_add_up(results);
        expect_one_state_at_a_time(results);
        expect_threads_in_one_state_at_a_time(results);
        expect_disks_add_up(results);
    }
}

/* The state of a vCPU, or of one that is not there: it is whole, and its time is the run's. */
void look_at_the_state(Machine &m, unsigned vcpu)
{
    char *text = virqsim_vcpu_state(m.sim(), vcpu);
    if (!text)
        return;
    json_t *state = json_loads(text, 0, nullptr);
    virqsim_free(text);
    ASSERT_NE(nullptr, state);
    ASSERT_EQ(virqsim_now(m.sim()),
              (uint64_t)json_integer_value(json_object_get(state, "time_ps")));
    json_decref(state);
}

TEST_P(RandomPlans, GiveTheSameHoweverTheRunIsCutAndLookedAt)
{
    for (uint64_t seed = GetParam(); seed < GetParam() + 10; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const Plan plan = random_plan(seed);
        Machine whole(plan), pieces(plan);
        Draw d(seed);

        whole.run(VIRQSIM_NEVER, UINT64_MAX);
        for (uint64_t until = 0; pieces.run(until, 1 + d.below(50)) == VIRQSIM_RUNNING;)
            if (virqsim_next(pieces.sim()) >= until) {
                if (d.below(20) == 0)
                    look_at_the_state(pieces, (unsigned)d.below(8));
                until = virqsim_now(pieces.sim()) + d.below(2000000);
            }
        EXPECT_EQ(whole.text(), pieces.text());
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlans, testing::Range<uint64_t>(0, 400, 25));

} // namespace
