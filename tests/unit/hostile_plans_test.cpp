/*
 * Plans that somebody got wrong: valid random ones with a value exchanged,
 * removed or driven to an extreme. Each is refused in one line that begins
 * with "plan: ", or is a machine that runs as far as its budget goes; the
 * sanitizers watch either way.
 */
#include <gtest/gtest.h>

#include "plans.h"
#include "random_plan.h"

namespace
{

using plans::Draw;
using plans::Machine;

constexpr uint64_t BUDGET = 20000;

/* Every value of a document, with the container it stands in. */
struct Spot {
    json_t *parent;
    std::string key; /* of an object */
    size_t index;    /* of an array */
};

void collect(json_t *at, std::vector<Spot> &spots)
{
    const char *key;
    size_t index;
    json_t *value;

    json_object_foreach(at, key, value)
    {
        spots.push_back({at, key, 0});
        collect(value, spots);
    }
    json_array_foreach(at, index, value)
    {
        spots.push_back({at, "", index});
        collect(value, spots);
    }
}

json_t *wrong_value(Draw &d)
{
    static const std::vector<json_int_t> numbers = {
        -1,
        0,
        1,
        2,
        15,
        16,
        255,
        256,
        1024,
        1025,
        65535,
        65536,
        1 << 20,
        INT32_MAX,
        UINT32_MAX,
        json_int_t{1} << 40,
        json_int_t{1} << 50,
        INT64_MAX,
    };
    switch (d.below(8)) {
    case 0:
        return json_string("");
    case 1:
        return json_string(std::string(300, 'x').c_str());
    case 2:
        return json_null();
    case 3:
        return json_object();
    case 4:
        return json_array();
    case 5:
        return json_real(0.5);
    default:
        return json_integer(d.of(numbers));
    }
}

void spoil(Draw &d, json_t *document)
{
    std::vector<Spot> spots;
    collect(document, spots);
    const Spot &s = d.of(spots);

    if (json_is_object(s.parent)) {
        if (d.chance(20))
            json_object_del(s.parent, s.key.c_str());
        else if (d.chance(10))
            json_object_set_new(s.parent, "surprise", wrong_value(d));
        else
            json_object_set_new(s.parent, s.key.c_str(), wrong_value(d));
    } else if (d.chance(20)) {
        json_array_remove(s.parent, s.index);
    } else {
        json_array_set_new(s.parent, s.index, wrong_value(d));
    }
}

std::string spoiled_plan(uint64_t seed)
{
    Draw d(seed);
    json_t *document = json_loads(plans::random_plan(seed / 8).json().c_str(), 0, nullptr);

    for (uint64_t n = 1 + d.below(2); n; n--)
        spoil(d, document);
    char *text = json_dumps(document, JSON_COMPACT);
    const std::string copy(text);
    free(text);
    json_decref(document);
    return copy;
}

class HostilePlans : public testing::TestWithParam<uint64_t>
{
};

TEST_P(HostilePlans, AreRefusedInOneLineOrRun)
{
    unsigned refused = 0;
    for (uint64_t seed = GetParam(); seed < GetParam() + 250; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Machine m(spoiled_plan(seed));
        const std::string error = m.error();
        if (error.empty()) {
            m.run(VIRQSIM_NEVER, BUDGET);
            m.text();
            continue;
        }
        refused++;
        EXPECT_EQ(0u, error.find("plan: ")) << error;
        EXPECT_EQ(std::string::npos, error.find('\n')) << error;
        EXPECT_GT(error.size(), 12u);
    }
    EXPECT_GT(refused, 50u) << "the plans are not spoiled enough to say anything";
}

INSTANTIATE_TEST_SUITE_P(Seeds, HostilePlans, testing::Range<uint64_t>(0, 4000, 250));

/* 200 to 255: in xAPIC mode the last one is everybody's address, but not to this hypercall. */
TEST(HostilePlans, AHypercallForAllDestinationsDoesNotMeanEverybody)
{
    for (const auto &[apic, first] :
         {std::pair{"xapic", "128"}, std::pair{"x2apic", "4294967295"}}) {
        plans::Plan p;
        p.guest_apic = apic;
        p.physical_cpus = 1;
        p.vcpus = std::vector<plans::Vcpu>(200, {0, "idle", {}});
        p.vcpus[0].program = "sender";
        p.programs = {{"sender", std::string("[\"pv_ipi\",48,") + first + ",128]"},
                      {"idle", "[\"compute\",1]"}};
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(*apic == 'x' && first[0] == '1' ? 72u : 127u,
                  json_array_size(json_object_get(m.results(), "accounting")));
    }
}

TEST(HostilePlans, AnIretOutsideOfAHandlerEndsTheProgram)
{
    plans::Plan p;
    p.programs = {{"main", "[\"cpuid\"],[\"iret\"],[\"cpuid\"]"}};
    p.vcpus = {{0, "main", {}}};
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "CPUID"));
}

TEST(HostilePlans, LoopsAroundNothingButEmptyLoopsTakeNoTime)
{
    plans::Plan p;
    p.programs = {{"main",
                   "[\"repeat\",1099511627776],[\"repeat\",1099511627776],[\"repeat\",0],"
                   "[\"cpuid\"],[\"end\"],[\"end\"],[\"end\"],[\"cpuid\"]"}};
    p.vcpus = {{0, "main", {}}};
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "CPUID"));
}

TEST(HostilePlans, AnOperandThatTheMachineCannotBeIsRefusedByItsName)
{
    plans::Plan p;
    p.vcpus = {{0, "main", {}}};
    p.programs = {{"main", "[\"mmio_read\",4096,0]"}};
    EXPECT_EQ("plan: programs.main[0]: size 0 is not 1, 2, 4 or 8", Machine(p).error());
    p.programs = {{"main", "[\"port_in\",128,8]"}};
    EXPECT_EQ("plan: programs.main[0]: size 8 is not 1, 2 or 4", Machine(p).error());
    p.programs = {{"main", "[\"cpuid\"]"}};
    p.guest_apic = "xapic";
    p.vcpus = std::vector<plans::Vcpu>(256, {0, "main", {}});
    EXPECT_EQ("plan: machine.vcpus: 256 are too many (at most 255)", Machine(p).error());
}

TEST(HostilePlans, AKeyOfSeveralLinesIsRefusedInOne)
{
    Machine m(std::string("{\"a\\nb\\u0001\":1}"));
    EXPECT_EQ(0u, m.error().find("plan: a?b?: no such key")) << m.error();
}

TEST(HostilePlans, TextThatIsNoJsonIsRefusedWithItsPlace)
{
    for (const char *text :
         {"", "{", "[]", "nonsense", "{\"format\":1,\"format\":2}", "\xff\xfe"}) {
        Machine m((std::string(text)));
        EXPECT_EQ(0u, m.error().find("plan: ")) << text;
    }
}

} // namespace
