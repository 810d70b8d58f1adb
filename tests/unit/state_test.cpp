/*
 * virqsim_vcpu_state(): what it says of a vCPU is what the plan has just made of it. Every cost is 100
 * cycles of a nanosecond, so the instants are those of the plan.
 */
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

const uint64_t US = 1000000;

/* A state, by path: "apic.TPR". */
class State
{
  public:
    State(Machine &m, unsigned vcpu)
    {
        char *text = virqsim_vcpu_state(m.sim(), vcpu);
        json_.reset(json_loads(text, 0, nullptr), json_decref);
        virqsim_free(text);
    }
    json_t *at(const std::string &path) const
    {
        json_t *j = json_.get();
        std::istringstream parts(path);
        for (std::string key; std::getline(parts, key, '.');)
            j = json_object_get(j, key.c_str());
        return j;
    }
    long long number(const std::string &path) const
    {
        EXPECT_TRUE(json_is_integer(at(path))) << path;
        return json_integer_value(at(path));
    }
    bool is(const std::string &path) const
    {
        EXPECT_TRUE(json_is_boolean(at(path))) << path;
        return json_is_true(at(path));
    }
    std::string text(const std::string &path) const
    {
        EXPECT_TRUE(json_is_string(at(path))) << path;
        return json_string_value(at(path));
    }
    std::set<int> set(const std::string &path) const
    {
        std::set<int> values;
        size_t i;
        json_t *v;
        EXPECT_TRUE(json_is_array(at(path))) << path;
        json_array_foreach(at(path), i, v) values.insert((int)json_integer_value(v));
        return values;
    }
    bool lists(const std::string &path, const std::string &name) const
    {
        size_t i;
        json_t *v;
        json_array_foreach(at(path), i, v)
        {
            if (name == json_string_value(v))
                return true;
        }
        return false;
    }

  private:
    std::shared_ptr<json_t> json_;
};

Plan alone(const std::string &technology, const std::string &program)
{
    Plan p;
    p.technology = technology;
    p.programs = {{"guest", program},
                  {"handler", R"(["compute",20000],["eoi"],["compute",20000])"}};
    p.vcpus = {{0, "guest", {{48, "handler"}, {49, "handler"}}}};
    return p;
}

State after(Machine &m, uint64_t us, unsigned vcpu = 0)
{
    EXPECT_EQ("", m.error());
    m.run(us * US);
    return State(m, vcpu);
}

TEST(State, AVectorGoesFromIrrToIsrAndAway)
{
    Machine m(alone("none", R"(["mask"],["self_ipi",48],["compute",100000],["unmask"],)"
                            R"(["compute",100000])"));
    const State pending = after(m, 50), served = after(m, 115), done = after(m, 140);

    EXPECT_EQ((std::set<int>{48}), pending.set("apic.IRR"));
    EXPECT_EQ(1, pending.number("apic.flows.IRR.48"));
    EXPECT_EQ(0, pending.number("apic.PPR"));
    EXPECT_FALSE(pending.is("guest.IF"));
    EXPECT_EQ("GUEST", pending.text("thread.state"));
    EXPECT_EQ("INTERRUPT_WINDOW", served.text("thread.last_exit"));
    EXPECT_EQ("delivery", served.text("thread.last_exit_cause"));
    EXPECT_EQ((std::set<int>{}), served.set("apic.IRR"));
    EXPECT_EQ((std::set<int>{48}), served.set("apic.ISR"));
    EXPECT_EQ(1, served.number("apic.flows.ISR.48"));
    EXPECT_EQ(48, served.number("apic.PPR"));
    EXPECT_EQ((std::set<int>{48}), served.set("guest.handlers"));
    EXPECT_EQ((std::set<int>{}), done.set("apic.ISR"));
    EXPECT_EQ((std::set<int>{48}), done.set("guest.handlers")); /* it has not returned yet */
}

TEST(State, TheTaskPriorityHoldsAClassBack)
{
    Machine m(alone("none", R"(["tpr",79],["self_ipi",48],["compute",100000])"));
    const State s = after(m, 50);

    EXPECT_EQ((std::set<int>{48}), s.set("apic.IRR"));
    EXPECT_EQ(79, s.number("apic.TPR"));
    EXPECT_EQ(79, s.number("apic.PPR"));
    EXPECT_EQ(3, s.number("vmx.TPR_threshold"));
    EXPECT_TRUE(s.lists("vmx.controls", "use TPR shadow"));
    EXPECT_FALSE(s.lists("vmx.controls", "virtual-interrupt delivery"));
}

TEST(State, RviAndSviFollowTheVirtualApicPage)
{
    Machine m(alone("apicv", R"(["mask"],["self_ipi",48],["compute",100000],["unmask"],)"
                             R"(["compute",100000])"));
    const State pending = after(m, 50), served = after(m, 115);

    EXPECT_EQ(48, pending.number("vmx.RVI"));
    EXPECT_EQ(0, pending.number("vmx.SVI"));
    EXPECT_TRUE(pending.is("vmx.recognized"));
    EXPECT_EQ(0, served.number("vmx.RVI"));
    EXPECT_EQ(48, served.number("vmx.SVI"));
    EXPECT_EQ(48, served.number("apic.PPR"));
    EXPECT_TRUE(served.lists("vmx.controls", "process posted interrupts"));
}

TEST(State, AnInterruptForOneThatIsPreemptedStaysInPirAndNobodyIsNotified)
{
    Plan p = alone("ipiv", R"(["compute",10000000])");
    p.programs["sender"] = R"(["compute",1500000],["ipi",48,0],["compute",1000000])";
    p.vcpus.push_back({1, "sender", {}});
    p.load = {0};
    Machine m(p);
    const State parked = after(m, 1600);

    EXPECT_EQ("PARKED", parked.text("thread.state"));
    EXPECT_FALSE(parked.is("thread.on_cpu"));
    EXPECT_TRUE(json_is_null(parked.at("pcpu.runs")));
    EXPECT_EQ((std::set<int>{48}), parked.set("posted.PIR"));
    EXPECT_TRUE(parked.is("posted.SN"));
    EXPECT_FALSE(parked.is("posted.ON"));
    EXPECT_EQ((std::set<int>{}), parked.set("apic.IRR"));
}

TEST(State, ANotificationOnItsWayIsAnArrivalAtTheCpu)
{
    Plan p = alone("apicv", R"(["compute",10000000])");
    p.programs["sender"] = R"(["compute",10000],["ipi",48,0],["compute",1000000])";
    p.vcpus.push_back({1, "sender", {}});
    Machine m(p);
    for (uint64_t ns = 10000; State(m, 0).set("posted.PIR").empty() && ns < 20000; ns++)
        m.run(ns * 1000);
    const State posted(m, 0);

    EXPECT_EQ((std::set<int>{48}), posted.set("posted.PIR"));
    EXPECT_TRUE(posted.is("posted.ON"));
    /* kvm.post, two lines of the target, kvm.kick and hw.ipi */
    EXPECT_NEAR((double)(posted.number("time_ps") + 500000),
                (double)posted.number("pcpu.arriving_ps.POSTED"), 1000);
}

TEST(State, UnderSvmAWindowIsVirqAndAvicHasNone)
{
    const std::string program = R"(["mask"],["self_ipi",48],["compute",100000],["unmask"],)"
                                R"(["compute",100000])";
    Machine plain(alone("svm", program)), avic(alone("x2avic", program));
    const State window = after(plain, 50), backed = after(avic, 50);

    EXPECT_TRUE(window.is("svm.V_IRQ"));
    EXPECT_TRUE(window.is("hypervisor.window_open"));
    EXPECT_TRUE(window.lists("svm.intercepts", "VINTR"));
    EXPECT_FALSE(window.is("svm.AVIC"));
    EXPECT_TRUE(backed.is("svm.AVIC"));
    EXPECT_FALSE(backed.is("svm.V_IRQ"));
    EXPECT_EQ((std::set<int>{48}), backed.set("apic.IRR"));
    EXPECT_EQ(nullptr, backed.at("vmx"));
    EXPECT_EQ(nullptr, backed.at("posted"));
}

TEST(State, AHaltedGuestSaysSoInItsThreadOrInItsActivity)
{
    Machine exits(alone("none", R"(["halt"])"));
    Plan p = alone("none", R"(["halt"])");
    p.features["hlt-in-guest"] = true;
    Machine stays(p);

    EXPECT_EQ("BLOCKED", after(exits, 50).text("thread.state"));
    EXPECT_EQ("HLT", after(exits, 50).text("thread.last_exit"));
    EXPECT_EQ("GUEST", after(stays, 50).text("thread.state"));
    EXPECT_EQ("HLT", after(stays, 50).text("guest.activity"));
}

TEST(State, TheTimersDeadlineIsTheApics)
{
    Machine m(
        alone("none", R"(["timer_mode",48,2],["tsc_deadline",80000],["compute",100000])"));
    const State s = after(m, 10);
    const long long deadline = s.number("apic.timer_deadline_ps");

    EXPECT_EQ(2 << 17 | 48, s.number("apic.LVT_TIMER"));
    EXPECT_GT(deadline, (long long)(80 * US));
    EXPECT_LT(deadline, (long long)(90 * US));
    EXPECT_TRUE(json_is_null(after(m, 95).at("apic.timer_deadline_ps")));
}

TEST(State, ThePinsOfTheBoardSayWhatHoldsThemBack)
{
    Plan p = alone("none", R"(["compute",300000])");
    p.chipset = R"({"ioapic":"ich9"})";
    /* pin 16: level, vector 49, to APIC 0; then unmasked */
    p.programs["guest"] =
        R"(["mmio_write",4273995776,4,48],["mmio_write",4273995792,4,98353],["compute",50000],)"
        R"(["signal",0],["compute",50000],["mmio_write",4273995792,4,32817],["compute",200000])";
    p.devices = R"({"name":"line","kind":"line","gsi":16})";
    p.programs["handler"] = R"(["compute",500000],["eoi"])";
    Machine m(p);
    const State masked = after(m, 80), sent = after(m, 150);
    const auto pin = [](const State &s, const char *what) {
        return json_is_true(json_object_get(json_array_get(s.at("board.ioapic"), 16), what));
    };

    EXPECT_TRUE(pin(masked, "asserted") && pin(masked, "masked") && pin(masked, "level"));
    EXPECT_FALSE(pin(masked, "remote_irr"));
    EXPECT_TRUE(pin(sent, "remote_irr"));
    EXPECT_FALSE(pin(sent, "masked"));
    EXPECT_EQ((std::set<int>{49}), sent.set("apic.TMR"));
    EXPECT_EQ(49, json_integer_value(
                      json_object_get(json_array_get(sent.at("board.ioapic"), 16), "vector")));
}

TEST(State, ThereIsNoneOfAVcpuThatIsNotThere)
{
    Machine m(alone("none", R"(["compute",100])"));

    EXPECT_EQ(nullptr, virqsim_vcpu_state(m.sim(), 1));
    EXPECT_EQ(nullptr, virqsim_vcpu_state(m.sim(), UINT32_MAX));
}

} // namespace
