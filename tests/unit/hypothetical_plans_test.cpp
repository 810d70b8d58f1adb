/*
 * Declared features that somebody got wrong: each is refused in one line that
 * says which feature, which access, and what is missing or would be right.
 */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

/* What a plan with these features says; "" when it is taken. */
std::string said(const std::string &features, const std::string &technology = "apicv")
{
    Plan p;
    p.technology = technology;
    p.programs = {{"main", "[\"cpuid\"]"}};
    p.vcpus = {{0, "main", {}}};
    p.hypothetical = features;
    return Machine(p).error();
}

std::string feature(const std::string &rules, const std::string &name = "mine")
{
    return "{\"name\":\"" + name + R"(","title":"t","base":"apicv","rules":[)" + rules + "]}";
}

std::string of_rules(const std::string &rules)
{
    const std::string line = said(feature(rules));
    EXPECT_TRUE(line.empty() || line.find("plan: hypothetical[0]") == 0) << line;
    return line.substr(std::min(line.size(), std::string("plan: hypothetical[0]").size()));
}

#define POST      R"("verdict":"virtualized","effect":"post","costs":{"hw.ipi_virtualized":1}})"
#define TRAP      R"("verdict":"traps","exit":"APIC_WRITE"})"
#define IPI       R"({"access":"ipi.unicast",)"
#define OTHERWISE R"("when":"otherwise",)"

TEST(HypotheticalPlans, AWholeDeclarationIsTakenAndNamesTheTechnology)
{
    const std::string whole =
        feature(IPI R"("when":{"target":["running"]},)" POST "," IPI OTHERWISE TRAP);
    EXPECT_EQ("", said(whole));
    EXPECT_EQ("", said(whole, "mine"));
    EXPECT_EQ("", said(""));
    EXPECT_EQ("plan: technology: there is no technology \"mine\"",
              said(feature(IPI TRAP, "yours"), "mine"));
}

TEST(HypotheticalPlans, WhatIsLeftUndefinedIsListed)
{
    EXPECT_EQ(": feature mine: ipi.unicast: undefined when target=preempted, target=halted, "
              "target=nobody; add a rule or when=\"otherwise\"",
              of_rules(IPI R"("when":{"target":["running"]},)" POST));
    EXPECT_EQ(": feature mine: ipi.unicast: undefined when vector=below-16 and target=halted; "
              "add a rule or when=\"otherwise\"",
              of_rules(IPI R"("when":{"target":["running","preempted","nobody"]},)" POST "," IPI
                           R"("when":{"target":["halted"],"vector":["legal"]},)" TRAP));
}

TEST(HypotheticalPlans, AListThatIsTooLongEndsWithHowManyMore)
{
    const std::string line = of_rules(
        IPI
        R"("when":{"apic":["xapic"],"vector":["legal"],"target":["nobody"],"outstanding":["no"]},)" POST);
    EXPECT_NE(std::string::npos, line.find("undefined when apic=xapic and vector=legal and "
                                           "target=running and outstanding=no, "))
        << line;
    EXPECT_NE(std::string::npos, line.find(", +29; add a rule or when=")) << line;
}

TEST(HypotheticalPlans, RulesThatContradictEachOtherOrNeverApplyAreNamed)
{
    EXPECT_EQ(": feature mine: ipi.unicast: rules 0 and 1 both apply when vector=legal and "
              "target=running",
              of_rules(IPI R"("when":{"target":["running"]},)" POST "," IPI
                           R"("when":{"vector":["legal"]},)" TRAP));
    EXPECT_EQ(": feature mine: ipi.unicast: rules 0 and 1 both apply when anything",
              of_rules(IPI POST "," IPI TRAP));
    EXPECT_EQ(": feature mine: ipi.unicast: rule 1 never applies",
              of_rules(IPI POST "," IPI OTHERWISE TRAP));
    EXPECT_EQ(": feature mine: ipi.unicast: rule 1 never applies",
              of_rules(IPI OTHERWISE POST "," IPI OTHERWISE TRAP));
}

TEST(HypotheticalPlans, WordsThatDoNotExistAreRefusedWhereTheyStand)
{
    EXPECT_EQ(".rules[0].access: there is no access \"ipi\"",
              of_rules(R"({"access":"ipi",)" POST));
    EXPECT_EQ(".rules[0].when.colour: there is no condition \"colour\"",
              of_rules(IPI R"("when":{"colour":["red"]},)" POST));
    EXPECT_EQ(".rules[0].when.waiting: ipi.unicast does not depend on waiting",
              of_rules(IPI R"("when":{"waiting":["no"]},)" POST));
    EXPECT_EQ(".rules[0].when.target[1]: \"asleep\" is no value of target",
              of_rules(IPI R"("when":{"target":["halted","asleep"]},)" POST));
    EXPECT_EQ(".rules[0].when.target: a list of values belongs here, one at least",
              of_rules(IPI R"("when":{"target":[]},)" POST));
    EXPECT_EQ(".rules[0].when: \"otherwise\" or an object of conditions and lists of values "
              "belongs here",
              of_rules(IPI R"("when":"else",)" POST));
    EXPECT_EQ(".rules[0].verdict: \"stays\" is not one of: unchanged, virtualized, traps",
              of_rules(IPI R"("verdict":"stays"})"));
    EXPECT_EQ(".rules[0].effect: there is no effect \"fly\"",
              of_rules(IPI R"("verdict":"virtualized","effect":"fly","costs":{}})"));
    EXPECT_EQ(".rules[0].exit: there is no exit reason \"FLY\"",
              of_rules(IPI R"("verdict":"traps","exit":"FLY"})"));
    EXPECT_EQ(".rules[0].costs.hw.fly: there is no such cost",
              of_rules(IPI R"("verdict":"virtualized","effect":"post","costs":{"hw.fly":1}})"));
}

TEST(HypotheticalPlans, WhatDoesNotFitTogetherIsRefused)
{
    EXPECT_EQ(".rules[0].effect: ipi.unicast cannot have the effect retire",
              of_rules(IPI R"("verdict":"virtualized","effect":"retire","costs":{}})"));
    EXPECT_EQ(".rules[0].exit: ipi.unicast cannot leave with HLT",
              of_rules(IPI R"("verdict":"traps","exit":"HLT"})"));
    EXPECT_EQ(".rules[0].exit: avic_incomplete_ipi is an exit of SVM, and apicv is VMX",
              of_rules(IPI R"("verdict":"traps","exit":"avic_incomplete_ipi"})"));
    EXPECT_EQ(".rules[0].exit: no such key; there are: access, when, verdict",
              of_rules(IPI R"("verdict":"unchanged","exit":"APIC_WRITE"})"));
    EXPECT_EQ(".rules[0]: ipi.unicast is virtualized at no cost; give costs or cycles",
              of_rules(IPI R"("verdict":"virtualized","effect":"post"})"));
    EXPECT_EQ("plan: hypothetical[0].rules[0].effect: post needs posted-interrupts, which none "
              "has not",
              said(feature(IPI POST), "none"));
    EXPECT_EQ("plan: hypothetical: timer.deadline: the effect arm-timer needs rules for "
              "timer.expiry, which say what becomes of it",
              said(feature(R"({"access":"timer.deadline","verdict":"virtualized",)"
                           R"("effect":"arm-timer","costs":{}})")));
    EXPECT_EQ("plan: hypothetical[0].rules[0]: timer.expiry: unchanged needs preemption-timer, "
              "which svm has not",
              said(feature(R"({"access":"timer.expiry","verdict":"unchanged"})"), "svm"));
}

TEST(HypotheticalPlans, AnAssumedNumberHasARangeAndAReason)
{
    const auto with = [](const std::string &cycles) {
        return of_rules(IPI R"("verdict":"virtualized","effect":"post","cycles":)" + cycles +
                        "}");
    };
    EXPECT_EQ("", with(R"({"value":5,"low":5,"high":9,"kind":"assumed","source":"a guess"})"));
    EXPECT_EQ(".rules[0].cycles.value: 4 is out of range (5..1000000000)",
              with(R"({"value":4,"low":5,"high":9,"kind":"assumed","source":"a guess"})"));
    EXPECT_EQ(".rules[0].cycles.high: 4 is out of range (5..1000000000)",
              with(R"({"value":5,"low":5,"high":4,"kind":"assumed","source":"a guess"})"));
    EXPECT_EQ(".rules[0].cycles.kind: \"measured\" is not one of: assumed",
              with(R"({"value":5,"low":5,"high":9,"kind":"measured","source":"a guess"})"));
    EXPECT_EQ(".rules[0].cycles.source: is empty; say why this number was assumed",
              with(R"({"value":5,"low":5,"high":9,"kind":"assumed","source":""})"));
}

TEST(HypotheticalPlans, FeaturesHaveNamesOfTheirOwnAndShareNoAccess)
{
    EXPECT_EQ("plan: hypothetical[0].name: \"ipiv\" is not hypothetical",
              said(feature(IPI TRAP, "ipiv")));
    EXPECT_EQ("plan: hypothetical[0].name: \"pv-eoi\" is not hypothetical",
              said(feature(IPI TRAP, "pv-eoi")));
    EXPECT_EQ("plan: hypothetical[0].name: \"My IPIs\" is not 1 to 40 of a-z, 0-9 and -",
              said(feature(IPI TRAP, "My IPIs")));
    EXPECT_EQ("plan: hypothetical[1].name: \"mine\" is declared twice",
              said(feature(IPI TRAP) + "," + feature(IPI TRAP)));
    EXPECT_EQ(
        "plan: hypothetical[1]: feature yours: ipi.unicast: another feature has rules for it",
        said(feature(IPI TRAP) + "," + feature(IPI TRAP, "yours")));
    EXPECT_EQ("", said(feature(IPI TRAP) + "," +
                       feature(R"({"access":"ipi.logical",)" TRAP, "yours")));
}

TEST(HypotheticalPlans, AFeatureWithoutRulesOrWithTooManyIsRefused)
{
    std::string many = IPI TRAP;
    for (int i = 0; i < 254; i++)
        many += "," IPI TRAP;
    EXPECT_EQ("plan: hypothetical[0].rules: is empty; a feature has at least one rule",
              said(feature("")));
    EXPECT_EQ("plan: hypothetical: 255 rules are too many (at most 254)", said(feature(many)));
    EXPECT_EQ("plan: hypothetical[0].base: there is no technology \"apicw\"",
              said(R"({"name":"mine","title":"t","base":"apicw","rules":[]})"));
}

} // namespace
