/* PREPIC: registers, lines, errors, and whose a message is. */
#include <gtest/gtest.h>

#include <vector>

#include "plans.h"

extern "C" {
#include "irq/prepic.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

enum : uint32_t { MASK = 1 << 16, VIRT_EN = 1 << 12, EPIC_EN = 1 << 11, BSP = 1 << 8 };

class PrepicBench : private prepic_port
{
  public:
    prepic p;
    std::vector<epic_msg> sent;

    explicit PrepicBench(unsigned processor = 2, bool bootstrap = false) : prepic_port{take}
    {
        prepic_init(&p, processor, bootstrap, this);
    }
    PrepicBench(const PrepicBench &) = delete;
    PrepicBench &operator=(const PrepicBench &) = delete;

    void write(unsigned offset, uint32_t value, unsigned size = 4)
    {
        prepic_write(&p, static_cast<uint16_t>(offset), size, value);
    }
    uint32_t read(unsigned offset, unsigned size = 4)
    {
        return prepic_read(&p, static_cast<uint16_t>(offset), size);
    }

  private:
    static void take(prepic_port *self, const epic_msg *msg)
    {
        static_cast<PrepicBench *>(self)->sent.push_back(*msg);
    }
};

epic_msg guest_message(uint16_t guest)
{
    epic_msg msg = {};
    msg.vector = 0x123;
    msg.dest = 0x105;
    msg.guest = guest;
    return msg;
}

TEST(Prepic, ItKnowsItsOwnCores)
{
    PrepicBench b;
    EXPECT_EQ(0x200u, b.read(PREPIC_ID));
    EXPECT_TRUE(prepic_is_local(&b.p, 0x200));
    EXPECT_TRUE(prepic_is_local(&b.p, 0x20f));
    EXPECT_FALSE(prepic_is_local(&b.p, 0x00f));
    EXPECT_FALSE(prepic_is_local(&b.p, 0x300));
    b.write(PREPIC_ID, 0);
    EXPECT_EQ(0x200u, b.read(PREPIC_ID));
}

TEST(Prepic, OneProcessorStartsTheMachine)
{
    EXPECT_EQ(uint32_t{EPIC_EN | BSP}, PrepicBench(0, true).read(PREPIC_CTRL));
    EXPECT_EQ(uint32_t{EPIC_EN}, PrepicBench(1).read(PREPIC_CTRL));
}

/* __setup_prepic() */
TEST(Prepic, ARisingLineSendsItsMessage)
{
    PrepicBench b;
    for (unsigned line = 0; line < PREPIC_LINES; line++) {
        prepic_drive(&b.p, line, true);
        prepic_drive(&b.p, line, false);
    }
    EXPECT_TRUE(b.sent.empty()) << "all are masked";
    b.write(PREPIC_LINP + 4, 0x205u << 20 | 4 << 13 | 0x2f1);
    prepic_drive(&b.p, 1, true);
    prepic_drive(&b.p, 1, true);
    prepic_drive(&b.p, 2, true);
    ASSERT_EQ(1u, b.sent.size());
    EXPECT_EQ(0x2f1, b.sent[0].vector);
    EXPECT_EQ(0x205, b.sent[0].dest);
    EXPECT_EQ(EPIC_NMI, b.sent[0].delivery);
    prepic_drive(&b.p, 1, false);
    prepic_drive(&b.p, 1, true);
    EXPECT_EQ(2u, b.sent.size());
}

TEST(Prepic, AGuestsMessageNeedsVirtualization)
{
    PrepicBench b;
    const epic_msg host = guest_message(0), guest = guest_message(7);
    EXPECT_EQ(PREPIC_TAKEN, prepic_pass(&b.p, &host));
    b.write(PREPIC_ERR_INT, 0x201u << 20 | 0x3ee);
    EXPECT_EQ(PREPIC_NOT_VIRTUAL, prepic_pass(&b.p, &guest));
    ASSERT_EQ(1u, b.sent.size());
    EXPECT_EQ(0x3ee, b.sent[0].vector);
    EXPECT_EQ(0x201, b.sent[0].dest);
    EXPECT_NE(0u, b.read(PREPIC_ERR_STAT));
    EXPECT_EQ(7u << 20 | 0x123, b.read(PREPIC_ERR_MSG_LO));
    EXPECT_EQ(0x105u << 8, b.read(PREPIC_ERR_MSG_HI));
    prepic_pass(&b.p, &guest);
    EXPECT_EQ(1u, b.sent.size()) << "one interrupt until its status is written back";
    b.write(PREPIC_ERR_STAT, b.read(PREPIC_ERR_STAT));
    EXPECT_EQ(0u, b.read(PREPIC_ERR_STAT));
    prepic_pass(&b.p, &guest);
    EXPECT_EQ(2u, b.sent.size());
    b.write(PREPIC_CTRL2, VIRT_EN);
    EXPECT_EQ(PREPIC_TAKEN, prepic_pass(&b.p, &guest));
    b.write(PREPIC_CTRL, 0);
    EXPECT_EQ(PREPIC_OFF, prepic_pass(&b.p, &host));
}

TEST(Prepic, WhereNothingIsNothingHappens)
{
    PrepicBench b;
    b.write(PREPIC_LINP, 0, 8);
    b.write(PREPIC_LINP + 2, 0);
    EXPECT_EQ(uint32_t{MASK}, b.read(PREPIC_LINP));
    EXPECT_EQ(0u, b.read(PREPIC_LINP, 2));
    b.write(PREPIC_LINP + 4 * PREPIC_LINES, UINT32_MAX);
    EXPECT_EQ(0u, b.read(PREPIC_LINP + 4 * PREPIC_LINES));
    b.write(PREPIC_ERR_INT, UINT32_MAX);
    EXPECT_EQ(0x3ff1e3ffu, b.read(PREPIC_ERR_INT));
}

/* ---- in the machine: from one processor to another a message takes a hop more ---- */

uint64_t latency(unsigned sockets, const std::string &device)
{
    Plan p;
    p.technology = "epic-hw";
    p.guest_apic = "epic";
    p.sockets = sockets;
    p.physical_cpus = 4;
    p.costs["hw.epic_hop"] = 7000;
    p.devices = device;
    p.programs = {{"sender", device.empty() ? "[\"compute\",20000],[\"epic_ipi\",300,1]"
                                            : "[\"compute\",20000],[\"signal\",0]"},
                  {"target", "[\"spin_until\",0,1]"},
                  {"on", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "sender", {}}, {3, "target", {{300, "on"}}}};
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    return m.latency(device.empty() ? "ipi" : "msi", "max_ps");
}

TEST(Prepic, AMessageToAnotherProcessorTakesAHopMore)
{
    const std::string assigned =
        R"({"name":"d","kind":"assigned","vcpu":1,"vector":300,"cpu":0})";
    EXPECT_EQ(latency(1, "") + 7000000, latency(2, ""));
    EXPECT_EQ(latency(1, assigned) + 7000000, latency(2, assigned));
}

TEST(Prepic, FourProcessorsAreAll)
{
    Plan p;
    p.technology = "epic-hw";
    p.guest_apic = "epic";
    p.sockets = 5;
    p.programs = {{"guest", "[\"pause\"]"}};
    p.vcpus = {{0, "guest", {}}};
    EXPECT_EQ("plan: machine.topology.sockets: 5 is out of range (1..4)", Machine(p).error());
}

} // namespace
