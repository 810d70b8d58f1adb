/* A local APIC on the bench: what it sends, broadcasts, arms and traces is kept. */
#ifndef VIRQSIM_TESTS_LAPIC_BENCH_H
#define VIRQSIM_TESTS_LAPIC_BENCH_H

#include <gtest/gtest.h>

#include <vector>

#include "recorder.h"

inline bool operator==(sim_time a, sim_time b)
{
    return a.ps == b.ps;
}

inline const sim_time never = SIM_TIME_NEVER;
constexpr uint64_t ns = PS_PER_NS;

/* The surroundings of one APIC. What it sends to itself arrives at once, as a core's would. */
class Port : public lapic_port
{
  public:
    std::vector<irq_msg> sent;
    std::vector<uint8_t> broadcasts;
    std::vector<sim_time> armed;
    lapic *loop_back = nullptr;

    Port() : lapic_port{keep_message, keep_broadcast, keep_deadline}
    {
    }

  private:
    static void keep_message(lapic_port *self, const irq_msg *msg)
    {
        Port *port = static_cast<Port *>(self);
        port->sent.push_back(*msg);
        if (port->loop_back && msg->shorthand == IRQ_SELF)
            lapic_accept(port->loop_back, msg);
    }
    static void keep_broadcast(lapic_port *self, uint8_t vector)
    {
        static_cast<Port *>(self)->broadcasts.push_back(vector);
    }
    static void keep_deadline(lapic_port *self, sim_time deadline)
    {
        static_cast<Port *>(self)->armed.push_back(deadline);
    }
};

inline irq_msg fixed(uint8_t vector, bool level = false, trace_flow flow = 0)
{
    irq_msg msg{};
    msg.vector = vector;
    msg.level = level;
    msg.flow = flow;
    return msg;
}

inline irq_msg of_mode(irq_delivery delivery, uint8_t vector = 0)
{
    irq_msg msg = fixed(vector);
    msg.delivery = delivery;
    return msg;
}

/* Bus clock 1 GHz, TSC 2 GHz: one bus cycle is 1 ns. */
class LapicBench : public ::testing::Test
{
  protected:
    Recorder recorder;
    Port port;
    lapic apic;
    lapic_config config{};
    sim_time now{0};

    LapicBench()
    {
        config.index = 7;
        config.apic_id = 7;
        config.mode = LAPIC_MODE_XAPIC;
        config.software_enabled = true;
        config.bus_clock = clock_of_hz(1000000000);
        config.tsc_clock = clock_of_hz(2000000000);
        config.trace = &recorder.trace;
        config.port = &port;
        power_up();
    }

    void power_up()
    {
        lapic_init(&apic, &config);
        port.loop_back = &apic;
    }
    void power_up(lapic_mode mode)
    {
        config.mode = mode;
        power_up();
    }

    uint32_t read(uint16_t offset)
    {
        return lapic_read(&apic, offset, now);
    }
    void write(uint16_t offset, uint32_t value)
    {
        lapic_write(&apic, offset, value, now);
    }
    bool wrmsr(uint32_t msr, uint64_t value)
    {
        return lapic_wrmsr(&apic, msr, value, now);
    }
    bool rdmsr(uint32_t msr, uint64_t *value)
    {
        return lapic_rdmsr(&apic, msr, value, now);
    }
    uint64_t msr(uint16_t offset)
    {
        uint64_t value = 0;
        EXPECT_TRUE(rdmsr(lapic_msr(offset), &value));
        return value;
    }
    lapic_answer accept(const irq_msg &msg)
    {
        return lapic_accept(&apic, &msg);
    }
    uint32_t errors()
    {
        write(LAPIC_ESR, 0);
        return read(LAPIC_ESR);
    }
};

#endif
