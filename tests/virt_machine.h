/* One vCPU's hardware on a bench: its APIC, its descriptor, and a trace that is kept. */
#ifndef VIRQSIM_TESTS_VIRT_MACHINE_H
#define VIRQSIM_TESTS_VIRT_MACHINE_H

#include "shim.h"

#include <gtest/gtest.h>
#include <initializer_list>
#include <vector>

using Control = enum vmx_control; /* vmx_control() is also a function */

struct TraceKeeper : trace_sink {
    std::vector<trace_record> records;

    TraceKeeper() : trace_sink{keep, nullptr}
    {
    }
    static void keep(trace_sink *self, const trace_record *r)
    {
        static_cast<TraceKeeper *>(self)->records.push_back(*r);
    }
    size_t count(trace_event event) const
    {
        size_t n = 0;
        for (const trace_record &r : records)
            n += r.event == event;
        return n;
    }
};

struct QuietPort : lapic_port {
    std::vector<irq_msg> sent;
    std::vector<uint8_t> broadcasts;

    QuietPort()
    {
        send = [](lapic_port *self, const irq_msg *m) {
            static_cast<QuietPort *>(self)->sent.push_back(*m);
        };
        broadcast_eoi = [](lapic_port *self, uint8_t vector) {
            static_cast<QuietPort *>(self)->broadcasts.push_back(vector);
        };
        timer_armed = [](lapic_port *, sim_time) {};
    }
};

struct VirtMachine {
    static constexpr sim_time now{0};

    event_queue events{};
    TraceKeeper kept;
    struct trace trace {
        &events, &kept, 0
    };
    QuietPort port;
    lapic apic{};
    posted_descriptor descriptor{}, other{};
    posted_descriptor *pid_table[4] = {&descriptor, &other, nullptr, &other};
    virt_cpu cpu{};

    VirtMachine(const virt_ops *ops, lapic_mode mode)
    {
        lapic_config config{};
        config.mode = mode;
        config.software_enabled = true;
        config.bus_clock = clock_of_hz(25000000);
        config.tsc_clock = clock_of_hz(2500000000);
        config.trace = &trace;
        config.port = &port;
        lapic_init(&apic, &config);
        descriptor.trace = other.trace = &trace;
        other.owner = 1;
        cpu.ops = ops;
        cpu.apic = &apic;
        cpu.descriptor = &descriptor;
        cpu.pid_table = pid_table;
        cpu.interrupts_enabled = true;
        cpu.x2apic_read_exits = cpu.x2apic_write_exits = ~UINT64_C(0);
        cpu.tsc_deadline_exits = true;
    }
    trace_flow flow()
    {
        return trace_new_flow(&trace);
    }
    void controls(std::initializer_list<Control> on)
    {
        for (Control c : on)
            vmx_control(&cpu.vmcs, c, true);
    }
    /* MSRs 800H + n that do not exit. */
    void pass(std::initializer_list<unsigned> msrs)
    {
        for (unsigned msr : msrs)
            cpu.x2apic_write_exits &= ~(UINT64_C(1) << (msr - 0x800));
    }
    uint8_t rvi() const
    {
        return (uint8_t)vmcs_get(&cpu.vmcs, VMCS_GUEST_INTR_STATUS);
    }
    uint8_t svi() const
    {
        return (uint8_t)(vmcs_get(&cpu.vmcs, VMCS_GUEST_INTR_STATUS) >> 8);
    }
    /* What the hypervisor does for a vector: into IRR, and the control structure follows. */
    void request(uint8_t vector)
    {
        lapic_set_pending(&apic, vector, flow());
        cpu.ops->sync(&cpu);
    }
};

inline void expect_stay(const virt_verdict &v, virt_path path)
{
    EXPECT_EQ(path, v.path) << "exit " << exit_reasons[v.reason].name;
    EXPECT_EQ(EXIT_NONE, v.reason);
}

inline void expect_exit(const virt_verdict &v, virt_path path, exit_reason why)
{
    EXPECT_EQ(path, v.path);
    EXPECT_STREQ(exit_reasons[why].name, exit_reasons[v.reason].name);
}
#endif
