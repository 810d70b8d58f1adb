/* Random declared features, complete as they must be, for a plan whose technology is known. */
#ifndef VIRQSIM_TESTS_RANDOM_FEATURE_H
#define VIRQSIM_TESTS_RANDOM_FEATURE_H

#include <random>

#include "plan.h"
#include "shim.h"

namespace plans
{

class Draw
{
  public:
    explicit Draw(uint64_t seed) : engine_(seed)
    {
    }
    uint64_t below(uint64_t n)
    {
        return engine_() % n;
    }
    bool chance(unsigned percent)
    {
        return below(100) < percent;
    }
    template <class T> const T &of(const std::vector<T> &v)
    {
        return v[below(v.size())];
    }

  private:
    std::mt19937_64 engine_;
};

namespace declared
{

struct Access {
    const char *name;
    uint32_t conditions, effects;
    uint64_t exits;
};
inline const std::vector<Access> accesses = {
#define ACCESS(id, name, conditions, effects, exits, meaning)                                  \
    {name, conditions, effects, exits},
#include "virt/hypothetical_accesses.def"
#undef ACCESS
};

struct Condition {
    const char *name;
    std::vector<const char *> values;
};
inline const std::vector<Condition> conditions = {
#define CONDITION(id, name, meaning, ...) {name, {__VA_ARGS__}},
#include "virt/hypothetical_conditions.def"
#undef CONDITION
};

enum Needs { NONE, DELIVERY, POSTING, EXPIRY };
struct Effect {
    const char *name;
    Needs needs;
};
inline const std::vector<Effect> effects = {
#define EFFECT(id, name, needs, meaning) {name, needs},
#include "virt/hypothetical_effects.def"
#undef EFFECT
};

struct Exit {
    const char *name;
    bool svm;
};
inline const std::vector<Exit> exits = {
    {"", false},
#define VMX                                     false
#define SVM                                     true
#define E2K                                     true
#define EXIT(id, vendor, number, name, meaning) {name, vendor},
#include "virt/exit_reasons.def"
#undef EXIT
#undef SVM
#undef E2K
#undef VMX
};

/* What the plan's technology has, by its name and the features switched off. */
struct Ground {
    bool svm, delivers, posts, timer;

    explicit Ground(const Plan &p)
    {
        const auto off = [&p](const char *feature) {
            const auto f = p.features.find(feature);
            return f != p.features.end() && !f->second;
        };
        const std::string &t = p.technology;
        const bool apicv = t == "apicv" || t == "ipiv" || t == "vtd-pi";

        const bool avic = t.find("avic") != std::string::npos;

        svm = t == "svm" || avic;
        delivers = apicv || avic;
        posts = apicv && !off("posted-interrupts");
        timer = !svm && !off("preemption-timer");
    }
};

/* The right end of a rule: what becomes of the access. */
inline std::string verdict(Draw &d, const Access &a, const Ground &g)
{
    const bool expiry = std::string(a.name) == "timer.expiry";
    std::vector<std::string> all;

    if (!expiry || g.timer)
        all.push_back("\"verdict\":\"unchanged\"");
    for (size_t e = 0; e < effects.size(); e++) {
        const Needs needs = effects[e].needs;
        if (a.effects >> e & 1 && (needs != POSTING || g.posts) &&
            ((needs != DELIVERY && needs != EXPIRY) || g.delivers))
            all.push_back(std::string("\"verdict\":\"virtualized\",\"effect\":\"") +
                          effects[e].name + "\",\"costs\":{\"hw.posted\":1}");
    }
    for (size_t x = 0; x < EXIT_E2K_RR_IDR; x++) /* no access has one of e2k */
        if (a.exits >> x & 1 && exits[x].svm == g.svm)
            all.push_back(std::string("\"verdict\":\"traps\",\"exit\":\"") + exits[x].name +
                          "\",\"cycles\":{\"value\":9,\"low\":0,\"high\":9,"
                          "\"kind\":\"assumed\",\"source\":\"a test\"}");
    return all.empty() ? "" : d.of(all);
}

/* One rule for each value of one of its conditions, the last one for the rest; or one for all. */
inline std::string rules(Draw &d, const Access &a, const Ground &g)
{
    std::vector<size_t> usable;
    std::string s;
    const auto add = [&](const std::string &when) {
        const std::string then = verdict(d, a, g);
        if (!then.empty())
            s += std::string(s.empty() ? "" : ",") + "{\"access\":\"" + a.name + "\"," + when +
                 then + "}";
    };

    for (size_t c = 0; c < conditions.size(); c++)
        if (a.conditions >> c & 1)
            usable.push_back(c);
    if (usable.empty() || d.chance(30)) {
        add("");
        return s;
    }
    const Condition &c = conditions[d.of(usable)];
    for (size_t v = 0; v + 1 < c.values.size(); v++)
        add(std::string("\"when\":{\"") + c.name + "\":[\"" + c.values[v] + "\"]},");
    add("\"when\":\"otherwise\",");
    return s;
}

} // namespace declared

/* A feature with rules for some accesses, on whatever the plan has. */
inline void declare_features(Plan &p)
{
    Draw d(p.seed + 1);
    const declared::Ground ground(p);
    std::string all;

    for (const declared::Access &a : declared::accesses) {
        const bool expiry = std::string(a.name) == "timer.expiry";
        if (!d.chance(expiry ? 100 : 25))
            continue;
        const std::string rules = declared::rules(d, a, ground);
        all += rules.empty() ? "" : (all.empty() ? "" : ",") + rules;
    }
    p.hypothetical = "{\"name\":\"drawn\",\"title\":\"by lot\",\"base\":\"" + p.technology +
                     "\",\"rules\":[" + all + "]}";
}

} // namespace plans
#endif
