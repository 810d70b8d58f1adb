/*
 * The interrupt machine of a PC on the bench: an 8254, an 8259A pair, PCI interrupt
 * routing, an MSI function, an I/O APIC and four local APICs, wired as a chipset does
 * it, and nobody who runs a program. What the ports hear is checked against what the
 * chips say of themselves.
 */
#ifndef VIRQSIM_TESTS_IRQ_MACHINE_BENCH_H
#define VIRQSIM_TESTS_IRQ_MACHINE_BENCH_H

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "shim.h"

class Machine
{
  public:
    enum : unsigned { CPUS = 4, LINES = 24 };
    enum : uint64_t {
        LOGICAL = 1 << 11,
        ACTIVE_LOW = 1 << 13,
        LEVEL = 1 << 15,
        MASKED = 1 << 16
    };

    /* What happened, as words: two machines with the same past have the same. */
    std::vector<std::string> log;

    struct pit timer;
    struct pirq bridge;
    struct msi function;
    struct i8259 pic;
    struct ioapic io;
    std::array<struct lapic, CPUS> apic;

    /* Lawful traffic is checked as it goes; of the other kind nothing is expected but to survive. */
    enum traffic { LAWFUL, HOSTILE };

    explicit Machine(traffic expected = LAWFUL) : lawful(expected == LAWFUL)
    {
        event_queue_init(&queue, storage, EVENTS);
        trace.events = &queue;
        pic_port.machine = io_port.machine = bridge_port.machine = this;
        function_port.machine = timer_output.machine = this;
        ioapic_config config{};
        config.version = IOAPIC_VERSION_20;
        config.port = &io_port;
        ioapic_init(&io, &config);
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            power_up(cpu);
        i8259_init(&pic, &pic_port, 0);
        fabric = {apics.data(), CPUS, &trace};
        write(0, LAPIC_LVT_LINT0, IRQ_EXTINT << 8);
        const pirq_config wiring = {PIRQ_ICH9, &bridge_port};
        pirq_init(&bridge, &wiring);
        const msi_config capable = {MESSAGES, true, true, 0, &function_port};
        msi_init(&function, &capable);
        pit_init(&timer, &queue, &timer_output);
        initialize_pic(0x20, 0x20, 0x04);
        initialize_pic(0xa0, 0x28, 0x02);
    }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;

    /* ---- what devices do ---- */

    void drive(unsigned line, bool level)
    {
        hear(devices, line, level);
    }

    /* A pin of a PCI device. */
    void drive_pci(unsigned device, unsigned pin, bool level)
    {
        pirq_drive(&bridge, device % PIRQ_DEVICES, static_cast<pirq_pin>(pin % PIRQ_PINS),
                   level);
    }

    /* The function has cause for a message. */
    void message(unsigned n)
    {
        note("cause", n, static_cast<unsigned>(msi_raise(&function, n % MESSAGES)));
    }

    void pass(uint64_t ps)
    {
        event_queue_run(&queue, sim_time{queue.now.ps + ps}, UINT64_MAX);
    }

    /* ---- what a core does ---- */

    /* It takes the vector that it would get now. */
    bool take(unsigned cpu)
    {
        const int vector = lapic_pending(&apic[cpu]);

        if (vector == NO_VECTOR)
            return false;
        check(lapic_acknowledge(&apic[cpu]) == vector, "acknowledged what was pending");
        check(waiting[cpu].erase(vector) == 1, "nothing is invented");
        check(served[cpu].insert(vector).second, "nothing is served inside itself");
        note("take", cpu, static_cast<unsigned>(vector));
        return true;
    }

    void finish(unsigned cpu)
    {
        if (!served[cpu].empty())
            served[cpu].erase(std::prev(served[cpu].end()));
        write(cpu, LAPIC_EOI, 0);
    }

    void write(unsigned cpu, uint16_t offset, uint32_t value)
    {
        lapic_write(&apic[cpu], offset, value, queue.now);
    }

    /* The INTA cycle. */
    bool take_from_pic()
    {
        if (!i8259_output(&pic))
            return false;
        check(lapic_extint(&apic[0]), "LINT0 passes INT on");
        const int line = i8259_pending(&pic);
        const i8259_answer answer = i8259_acknowledge(&pic);

        check(answer.line == line, "INTA gives what was pending");
        check(line == I8259_NO_LINE || lines >> line & 1, "the 8259As invent nothing");
        check(line == I8259_NO_LINE || answer.vector == 0x20 + line, "a line has one vector");
        note("inta", answer.vector, static_cast<unsigned>(answer.line));
        return true;
    }

    void out(uint16_t port, uint8_t value)
    {
        i8259_write(&pic, port, value);
    }

    /* By a core's broadcast, or by the EOI register. */
    void end_of_interrupt(uint8_t vector, bool by_register)
    {
        for (unsigned pin = 0; pin < LINES; pin++)
            if (ioapic_message(&io, pin).vector == vector)
                on_the_way &= ~(1u << pin);
        note("eoi", vector);
        if (by_register)
            ioapic_write(&io, 0x40, 4, vector);
        else
            ioapic_eoi(&io, vector);
    }

    /* ---- redirection entries, through the window ---- */

    uint64_t entry(unsigned pin)
    {
        return window(0x10 + 2 * pin) | static_cast<uint64_t>(window(0x11 + 2 * pin)) << 32;
    }

    void set_entry(unsigned pin, uint64_t value)
    {
        set_window(0x11 + 2 * pin, static_cast<uint32_t>(value >> 32));
        set_window(0x10 + 2 * pin, static_cast<uint32_t>(value));
    }

    uint32_t window(unsigned index)
    {
        ioapic_write(&io, 0x00, 4, index);
        return ioapic_read(&io, 0x10, 4);
    }

    void set_window(unsigned index, uint32_t value)
    {
        ioapic_write(&io, 0x00, 4, index);
        ioapic_write(&io, 0x10, 4, value);
    }

    /* ---- the whole of it ---- */

    void restore(const Machine &saved)
    {
        event_queue_run(&queue, saved.queue.now, UINT64_MAX);
        devices = saved.devices;
        bridges = saved.bridges;
        ticks = saved.ticks;
        lines = saved.lines;
        on_the_way = saved.on_the_way;
        waiting = saved.waiting;
        served = saved.served;
        pirq_restore(&bridge, &saved.bridge);
        msi_restore(&function, &saved.function);
        i8259_restore(&pic, &saved.pic);
        ioapic_restore(&io, &saved.io);
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            lapic_restore(&apic[cpu], &saved.apic[cpu]);
        pit_restore(&timer, &saved.timer);
        log = saved.log;
    }

    /* Do IRR and ISR hold what was accepted and taken, and nothing else? */
    void compare() const
    {
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
            EXPECT_EQ(members(apic[cpu].regs.IRR), waiting[cpu]) << "IRR of " << cpu;
            EXPECT_EQ(members(apic[cpu].regs.ISR), served[cpu]) << "ISR of " << cpu;
        }
    }

    /* All lines low; every core takes and finishes what there is, until there is nothing. */
    void settle()
    {
        pit_write(&timer, PIT_CONTROL, 0x30); /* mode 0: OUT is low, and waits for a count */
        for (unsigned number = 0; number < PIRQ_DEVICES * PIRQ_PINS; number++)
            drive_pci(number / PIRQ_PINS, number, false);
        for (unsigned line = 0; line < LINES; line++)
            drive(line, entry(line) & ACTIVE_LOW);
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            write(cpu, LAPIC_TPR, 0);
        for (bool busy = true; busy;) {
            busy = false;
            for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                busy = take(cpu) || !served[cpu].empty() || busy;
                finish(cpu);
            }
        }
        for (uint8_t level = 0; level < 8; level++) {
            out(0xa0, static_cast<uint8_t>(0x60 | level));
            out(0x20, static_cast<uint8_t>(0x60 | level));
        }
    }

    uint32_t remote_irrs() const
    {
        uint32_t pins = 0;
        for (unsigned pin = 0; pin < LINES; pin++)
            pins |= static_cast<uint32_t>(ioapic_remote_irr(&io, pin)) << pin;
        return pins;
    }

  private:
    struct PicPort : i8259_port {
        Machine *machine = nullptr;
        PicPort() : i8259_port{changed}
        {
        }
        static void changed(i8259_port *self, bool level)
        {
            Machine *machine = static_cast<PicPort *>(self)->machine;
            machine->note("int", level);
            lapic_lint(&machine->apic[0], 0, level);
        }
    };
    struct IoPort : ioapic_port {
        Machine *machine = nullptr;
        IoPort() : ioapic_port{sent}
        {
        }
        static bool sent(ioapic_port *self, unsigned pin, const irq_msg *msg)
        {
            return static_cast<IoPort *>(self)->machine->pin_sends(pin, *msg);
        }
    };
    struct BridgePort : pirq_port {
        Machine *machine = nullptr;
        BridgePort() : pirq_port{output}
        {
        }
        static void output(pirq_port *self, unsigned irq, bool level)
        {
            Machine *machine = static_cast<BridgePort *>(self)->machine;
            machine->hear(machine->bridges, irq, level);
        }
    };
    struct FunctionPort : msi_port {
        Machine *machine = nullptr;
        FunctionPort() : msi_port{sent}
        {
        }
        static void sent(msi_port *self, unsigned n, msi_message write)
        {
            static_cast<FunctionPort *>(self)->machine->memory_write(n, write);
        }
    };
    struct TimerOutput : wire_listener {
        Machine *machine = nullptr;
        TimerOutput() : wire_listener{changed}
        {
        }
        static void changed(wire_listener *self, bool level)
        {
            Machine *machine = static_cast<TimerOutput *>(self)->machine;
            machine->hear(machine->ticks, 0, level);
        }
    };
    struct CpuPort : lapic_port {
        Machine *machine = nullptr;
        CpuPort() : lapic_port{sent, broadcast, armed}
        {
        }
        static void sent(lapic_port *self, const irq_msg *msg)
        {
            static_cast<CpuPort *>(self)->machine->route(*msg);
        }
        static void broadcast(lapic_port *self, uint8_t vector)
        {
            static_cast<CpuPort *>(self)->machine->end_of_interrupt(vector, false);
        }
        static void armed(lapic_port *, sim_time)
        {
        }
    };

    const bool lawful;
    static constexpr uint32_t EVENTS = 8;
    static constexpr uint8_t MESSAGES = 8;
    alignas(64) unsigned char storage[1024];
    event_queue queue{};
    struct trace trace {
    };
    PicPort pic_port;
    IoPort io_port;
    BridgePort bridge_port;
    FunctionPort function_port;
    TimerOutput timer_output;
    std::array<CpuPort, CPUS> cpu_port;
    std::array<lapic *, CPUS> apics{};
    apic_fabric fabric{};
    uint32_t devices = 0, bridges = 0, ticks = 0; /* who drives a line, a bit each line */
    uint32_t lines = 0;                           /* any of them does */
    uint32_t on_the_way = 0; /* level-triggered pins whose message no EOI has answered */
    unsigned sent_by_pins = 0;
    std::array<std::set<int>, CPUS> waiting, served; /* what IRR and ISR must hold */

    void power_up(unsigned cpu)
    {
        lapic_config config{};
        config.index = static_cast<uint16_t>(cpu);
        config.apic_id = cpu;
        config.mode = LAPIC_MODE_XAPIC;
        config.software_enabled = true;
        config.bus_clock = clock_of_hz(1000000000);
        config.tsc_clock = clock_of_hz(2000000000);
        config.trace = &trace;
        config.port = &cpu_port[cpu];
        cpu_port[cpu].machine = this;
        lapic_init(&apic[cpu], &config);
        apics[cpu] = &apic[cpu];
        write(cpu, LAPIC_LDR, 0x01000000u << cpu);
    }

    void initialize_pic(uint16_t chip, uint8_t base, uint8_t cascade)
    {
        out(chip, 0x11);
        out(chip + 1, base);
        out(chip + 1, cascade);
        out(chip + 1, 0x01);
    }

    /* One of a line's drivers moves; the line is the OR of all. */
    void hear(uint32_t &driver, unsigned line, bool level)
    {
        const uint32_t bit = 1u << line;

        driver = level ? driver | bit : driver & ~bit;
        const bool high = (devices | bridges | ticks) & bit;
        if (high == !!(lines & bit))
            return;
        lines ^= bit;
        if (line < I8259_LINES && line != I8259_CASCADE)
            i8259_drive(&pic, line, high);
        drive_pin(line, high);
    }

    void memory_write(unsigned n, const msi_message &write)
    {
        irq_msg msg;

        note("message", n, write.data);
        if (msi_decode(&write, &msg))
            route(msg);
    }

    /* A pin that becomes asserted, and is open, sends once. */
    void drive_pin(unsigned pin, bool level)
    {
        const bool before = ioapic_asserted(&io, pin);
        const bool silent = ioapic_masked(&io, pin) || on_the_way >> pin & 1;
        const unsigned sent = sent_by_pins;

        ioapic_drive(&io, pin, level);
        if (ioapic_asserted(&io, pin) && !before)
            check(sent_by_pins - sent == (silent ? 0 : 1), "a new assertion is sent once");
    }

    bool pin_sends(unsigned pin, const irq_msg &msg)
    {
        check(!ioapic_masked(&io, pin), "a masked pin is silent");
        check(ioapic_asserted(&io, pin), "a pin that is not asserted is silent");
        check(msg.level == ioapic_is_level(&io, pin),
              "the message has the entry's trigger mode");
        check(msg.vector == ioapic_message(&io, pin).vector, "and its vector");
        check(!(on_the_way >> pin & 1), "a level is sent again after its EOI only");
        sent_by_pins++;
        note("pin", pin, msg.vector);
        const bool accepted = route(msg) > 0;
        if (accepted && msg.level)
            on_the_way |= 1u << pin;
        return accepted;
    }

    unsigned route(const irq_msg &msg)
    {
        irq_msg numbered = msg;
        numbered.flow = trace_new_flow(&trace);
        return apic_fabric_route(&fabric, &numbered, accept, this);
    }

    static void accept(void *context, unsigned cpu, const irq_msg *msg)
    {
        Machine *m = static_cast<Machine *>(context);
        const lapic_answer answer = lapic_accept(&m->apic[cpu], msg);

        if (answer == LAPIC_ACCEPTED && msg->delivery <= IRQ_LOWEST_PRIORITY)
            m->check(m->waiting[cpu].insert(msg->vector).second, "what waits is not accepted");
        if (answer == LAPIC_COALESCED && msg->delivery <= IRQ_LOWEST_PRIORITY)
            m->check(m->waiting[cpu].count(msg->vector), "what merges into another finds it");
        m->note("accept", cpu, msg->vector, static_cast<unsigned>(answer));
    }

    void check(bool holds, const char *what) const
    {
        EXPECT_TRUE(holds || !lawful) << what << ", after: " << (log.empty() ? "" : log.back());
    }

    template <typename... Words> void note(const char *what, Words... words)
    {
        std::string line = what;
        ((line += " " + std::to_string(words)), ...);
        log.push_back(line);
    }

    static std::set<int> members(const vec256 &set)
    {
        std::set<int> found;
        for (unsigned v = 0; v < VECTORS; v++)
            if (vec_has(&set, v))
                found.insert(static_cast<int>(v));
        return found;
    }
};
#endif
