/*
 * An I/O APIC and local APICs on one bus, and cores that take interrupts: each
 * step of a handler (taken, EOI, IRET) is a call of its own.
 */
#ifndef VIRQSIM_TESTS_IRQ_BOARD_H
#define VIRQSIM_TESTS_IRQ_BOARD_H

#include <memory>
#include <vector>

#include "shim.h"

/* A redirection entry, by the names of 3.2.4. */
enum : uint64_t {
    LOGICAL = 1 << 11,
    ACTIVE_LOW = 1 << 13,
    REMOTE_IRR = 1 << 14,
    LEVEL = 1 << 15,
    MASKED = 1 << 16
};

constexpr uint64_t to(uint64_t destination)
{
    return destination << 56;
}

constexpr uint64_t delivery(unsigned code)
{
    return uint64_t{code} << 8;
}

class IrqBoard
{
  public:
    struct Sent {
        unsigned pin;
        irq_msg msg;
        bool accepted;
    };

    struct ioapic io;
    std::vector<Sent> sent; /* by the I/O APIC */

    explicit IrqBoard(unsigned cpus, lapic_mode lapics = LAPIC_MODE_XAPIC,
                      uint8_t version = IOAPIC_VERSION_20)
    {
        trace.events = &queue;
        port.board = this;
        ioapic_config config{};
        config.version = version;
        config.port = &port;
        ioapic_init(&io, &config);
        for (unsigned i = 0; i < cpus; i++)
            power_up(i, lapics);
        fabric = {apics.data(), cpus, &trace};
    }
    IrqBoard(const IrqBoard &) = delete;
    IrqBoard &operator=(const IrqBoard &) = delete;

    lapic &apic(unsigned cpu)
    {
        return *apics[cpu];
    }

    /* ---- devices ---- */

    void pin(unsigned n, bool level)
    {
        ioapic_drive(&io, n, level);
    }
    void pulse(unsigned n)
    {
        pin(n, true);
        pin(n, false);
    }

    /* ---- cores ---- */

    /* The core takes what is pending, if its IF is set; NO_VECTOR: nothing. The gate clears IF. */
    int take(unsigned cpu)
    {
        const int vector = cpus[cpu]->if_flag ? lapic_pending(&apic(cpu)) : NO_VECTOR;

        if (vector == NO_VECTOR)
            return vector;
        cpus[cpu]->if_flag = false;
        return lapic_acknowledge(&apic(cpu));
    }
    void eoi(unsigned cpu)
    {
        if (apic(cpu).mode == LAPIC_MODE_X2APIC)
            lapic_wrmsr(&apic(cpu), lapic_msr(LAPIC_EOI), 0, queue.now);
        else
            lapic_page_write(&apic(cpu), LAPIC_EOI, 4, 0, queue.now);
    }
    void iret(unsigned cpu)
    {
        sti(cpu);
    }
    void cli(unsigned cpu)
    {
        cpus[cpu]->if_flag = false;
    }
    void sti(unsigned cpu)
    {
        cpus[cpu]->if_flag = true;
    }

    /* A handler that does nothing but EOI; NO_VECTOR: none ran. */
    int handle(unsigned cpu)
    {
        const int vector = take(cpu);

        if (vector != NO_VECTOR) {
            eoi(cpu);
            iret(cpu);
        }
        return vector;
    }
    /* All that is pending, handled one after the other. */
    std::vector<int> handle_all(unsigned cpu)
    {
        std::vector<int> vectors;

        for (int v = handle(cpu); v != NO_VECTOR && vectors.size() < 100; v = handle(cpu))
            vectors.push_back(v);
        return vectors;
    }
    void write(unsigned cpu, uint16_t offset, uint32_t value)
    {
        lapic_page_write(&apic(cpu), offset, 4, value, queue.now);
    }

    /* ---- the I/O APIC's registers ---- */

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
    uint64_t entry(unsigned n)
    {
        return window(0x11 + 2 * n) * UINT64_C(0x100000000) + window(0x10 + 2 * n);
    }
    /* The destination first: an entry that opens is complete. */
    void set_entry(unsigned n, uint64_t value)
    {
        set_window(0x11 + 2 * n, static_cast<uint32_t>(value >> 32));
        set_window(0x10 + 2 * n, static_cast<uint32_t>(value));
    }
    bool remote_irr(unsigned n)
    {
        return entry(n) & REMOTE_IRR;
    }

  private:
    struct IoPort : ioapic_port {
        IrqBoard *board = nullptr;
        IoPort() : ioapic_port{pin_sends}
        {
        }
        static bool pin_sends(ioapic_port *self, unsigned pin, const irq_msg *msg)
        {
            IrqBoard *board = static_cast<IoPort *>(self)->board;
            const size_t n = board->sent.size();

            board->sent.push_back({pin, *msg, false});
            const bool accepted = board->route(*msg);
            board->sent[n].accepted = accepted;
            return accepted;
        }
    };
    struct Cpu : lapic_port {
        IrqBoard *board;
        lapic apic{};
        bool if_flag = true;

        explicit Cpu(IrqBoard *on) : lapic_port{sends, broadcasts, arms}, board(on)
        {
        }
        static void sends(lapic_port *self, const irq_msg *msg)
        {
            static_cast<Cpu *>(self)->board->route(*msg);
        }
        static void broadcasts(lapic_port *self, uint8_t vector)
        {
            ioapic_eoi(&static_cast<Cpu *>(self)->board->io, vector);
        }
        static void arms(lapic_port *, sim_time)
        {
        }
    };

    event_queue queue{};
    struct trace trace {
    };
    IoPort port;
    std::vector<std::unique_ptr<Cpu>> cpus;
    std::vector<lapic *> apics;
    apic_fabric fabric{};
    bool any_accepted = false;

    void power_up(unsigned i, lapic_mode lapics)
    {
        cpus.push_back(std::make_unique<Cpu>(this));
        lapic_config config{};
        config.index = static_cast<uint16_t>(i);
        config.apic_id = i;
        config.bootstrap = i == 0;
        config.mode = lapics;
        config.software_enabled = true;
        config.bus_clock = config.tsc_clock = clock_of_hz(1000000000);
        config.trace = &trace;
        config.port = cpus[i].get();
        lapic_init(&cpus[i]->apic, &config);
        apics.push_back(&cpus[i]->apic);
    }

    bool route(irq_msg msg)
    {
        msg.flow = trace_new_flow(&trace);
        any_accepted = false;
        apic_fabric_route(&fabric, &msg, accept, this);
        return any_accepted;
    }
    static void accept(void *context, unsigned index, const irq_msg *msg)
    {
        IrqBoard *board = static_cast<IrqBoard *>(context);
        const lapic_answer answer = lapic_accept(&board->apic(index), msg);

        board->any_accepted |= answer == LAPIC_ACCEPTED || answer == LAPIC_COALESCED;
    }
};
#endif
