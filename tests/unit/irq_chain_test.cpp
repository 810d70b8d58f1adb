/*
 * From a device's pin or message to a core, through the real models: PCI interrupt routing, the
 * 8259A pair, the I/O APIC, the APICs. What each model does alone is in its own test.
 */
#include "lapic_bench.h"
#include "msi_bench.h"

extern "C" {
#include "irq/chipset.h"
}

namespace
{

enum : uint32_t { LEVEL = 1 << 15, MASKED = 1 << 16 };
enum : int { NOTHING = -1 };
enum : unsigned { CPUS = 2, PIRQ_DRIVER = 0 };
enum : uint8_t { MASTER_BASE = 0x30, SLAVE_BASE = 0x38 };

/* A board with two CPUs. INTR is LINT0 of the first one. */
class IrqChain : public ::testing::Test, public pirq_port, public chipset_port
{
  protected:
    Recorder recorder;
    lapic apic[CPUS];
    lapic *by_index[CPUS] = {&apic[0], &apic[1]};
    apic_fabric fabric{by_index, CPUS, &recorder.trace};
    struct chipset chips {
    };
    struct pirq router {
    };
    struct Bus : lapic_port {
        IrqChain *board;
    } bus{};
    MsiPort function;

    IrqChain() : pirq_port{on_output}, chipset_port{on_intr, on_send}
    {
        bus.send = [](lapic_port *, const irq_msg *) {};
        bus.broadcast_eoi = [](lapic_port *self, uint8_t vector) {
            chipset_eoi(&static_cast<Bus *>(self)->board->chips, vector);
        };
        bus.timer_armed = [](lapic_port *, sim_time) {};
        bus.board = this;
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            power_up(cpu);
        chipset_init(&chips, IOAPIC_VERSION_20, &recorder.trace, this);
        wire_pci(PIRQ_ICH9);
        lapic_write(&apic[0], LAPIC_LVT_LINT0, IRQ_EXTINT << 8, {0});
        function.heard = [this](const Sent &s) { write_to_memory({s.address, s.data}); };
    }

    void power_up(unsigned cpu)
    {
        lapic_config config{};
        config.index = static_cast<uint16_t>(cpu);
        config.apic_id = cpu;
        config.mode = LAPIC_MODE_XAPIC;
        config.software_enabled = true;
        config.bus_clock = config.tsc_clock = clock_of_hz(1000000000);
        config.trace = &recorder.trace;
        config.port = &bus;
        lapic_init(&apic[cpu], &config);
        lapic_write(&apic[cpu], LAPIC_LDR, 1u << (24 + cpu), {0});
    }
    void wire_pci(pirq_board board)
    {
        const pirq_config config{board, this};
        pirq_init(&router, &config);
    }

    /* ---- the wires ---- */

    static void on_output(pirq_port *self, unsigned irq, bool level)
    {
        chipset_drive(&static_cast<IrqChain *>(self)->chips, irq, PIRQ_DRIVER, level);
    }
    static void on_intr(chipset_port *self, bool level)
    {
        lapic_lint(&static_cast<IrqChain *>(self)->apic[0], 0, level);
    }
    static void accept(void *context, unsigned index, const irq_msg *msg)
    {
        lapic_accept(&static_cast<IrqChain *>(context)->apic[index], msg);
    }
    static bool on_send(chipset_port *self, const irq_msg *msg)
    {
        IrqChain *board = static_cast<IrqChain *>(self);
        return apic_fabric_route(&board->fabric, msg, accept, board);
    }
    void write_to_memory(const msi_message &write)
    {
        irq_msg msg{};
        if (msi_decode(&write, &msg))
            apic_fabric_route(&fabric, &msg, accept, this);
    }

    /* ---- software ---- */

    void out(uint16_t port, uint8_t value)
    {
        chipset_port_write(&chips, port, value);
    }
    /* As firmware leaves the pair: everything masked but for `open` and the cascade; PCI's
       inputs level triggered. */
    void set_up_pic(uint16_t open)
    {
        const struct {
            uint8_t port, word;
        } initialization[] = {
            {0x20, 0x11}, {0x21, MASTER_BASE}, {0x21, 0x04}, {0x21, 0x01},
            {0xa0, 0x11}, {0xa1, SLAVE_BASE},  {0xa1, 0x02}, {0xa1, 0x01},
        };
        for (const auto &step : initialization)
            out(step.port, step.word);
        out(0x4d1, 0x0e);
        out(0x21, static_cast<uint8_t>(~(open | 1 << 2)));
        out(0xa1, static_cast<uint8_t>(~open >> 8));
    }
    void end_of_slave_interrupt()
    {
        out(0xa0, 0x20);
        out(0x20, 0x20);
    }
    void route_line(unsigned line, uint8_t irq)
    {
        pirq_write(&router, static_cast<uint16_t>(line < 4 ? 0x60 + line : 0x68 + line - 4), 1,
                   irq);
    }
    void route_pin(unsigned pin, uint32_t low, uint32_t dest)
    {
        chipset_page_write(&chips, 0x00, 4, 0x11 + 2 * pin);
        chipset_page_write(&chips, 0x10, 4, dest << 24);
        chipset_page_write(&chips, 0x00, 4, 0x10 + 2 * pin);
        chipset_page_write(&chips, 0x10, 4, low);
    }
    /* The core's interrupt window opens: the vector that it takes. */
    int take(unsigned cpu)
    {
        trace_flow flow;
        if (lapic_extint(&apic[cpu])) {
            lapic_acknowledge_extint(&apic[cpu]);
            return chipset_acknowledge(&chips, &flow);
        }
        return lapic_pending(&apic[cpu]) == NO_VECTOR ? int{NOTHING}
                                                      : lapic_acknowledge(&apic[cpu]);
    }
    void eoi(unsigned cpu)
    {
        lapic_write(&apic[cpu], LAPIC_EOI, 0, {0});
    }
    void drive(unsigned device, bool level)
    {
        pirq_drive(&router, device, PIRQ_INTA, level);
    }
};

/* ---- PIC mode: the i440FX, devices 3 and 7 on PIRQC# ---- */

class PicMode : public IrqChain
{
  protected:
    PicMode()
    {
        wire_pci(PIRQ_PIIX3);
        set_up_pic(1 << 10 | 1 << 11);
        route_line(2, 11);
    }
};

TEST_F(PicMode, APinBecomesTheVectorOfItsLine)
{
    drive(3, true);
    EXPECT_EQ(SLAVE_BASE + 3, take(0));
    drive(3, false);
    end_of_slave_interrupt();
    EXPECT_EQ(NOTHING, take(0));
}

/*  device 3  __|‾‾‾‾‾‾‾‾‾‾‾‾‾|____________________
 *  device 7  _______|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|_______
 *  handler      3B          3 done, EOI  3B      7 done, EOI  */
TEST_F(PicMode, ALineThatTwoDevicesShareInterruptsUntilBothAreServed)
{
    drive(3, true);
    EXPECT_EQ(SLAVE_BASE + 3, take(0));
    drive(7, true);
    EXPECT_EQ(NOTHING, take(0)) << "in service";
    drive(3, false);
    end_of_slave_interrupt();
    EXPECT_EQ(SLAVE_BASE + 3, take(0)) << "device 7 holds the line";
    drive(7, false);
    end_of_slave_interrupt();
    EXPECT_EQ(NOTHING, take(0));
}

TEST_F(PicMode, ALevelThatNobodyServedIsDeliveredAgainAfterEoi)
{
    drive(3, true);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(SLAVE_BASE + 3, take(0));
        end_of_slave_interrupt();
    }
}

TEST_F(PicMode, ARouteChangedWhileItsLineIsAssertedTakesTheRequestAlong)
{
    drive(3, true);
    route_line(2, 10);
    EXPECT_EQ(SLAVE_BASE + 2, take(0));
    end_of_slave_interrupt();
    route_line(2, 0x80);
    EXPECT_EQ(NOTHING, take(0));
    route_line(2, 11);
    EXPECT_EQ(SLAVE_BASE + 3, take(0));
}

TEST_F(PicMode, OtherCpusHearNothing)
{
    drive(3, true);
    EXPECT_EQ(NOTHING, take(1));
}

/* ---- APIC mode: the Q35, devices 2 and 6 on PIRQG#, I/O APIC input 22 ---- */

class ApicMode : public IrqChain
{
  protected:
    enum : unsigned { PIRQG = 6, PIN = 22 };

    ApicMode()
    {
        route_pin(PIN, LEVEL | 0x61, 1);
    }
    bool remote_irr()
    {
        return ioapic_remote_irr(&chips.ioapic, PIN);
    }
};

TEST_F(ApicMode, APinBecomesTheVectorOfItsEntryOnTheCpuThatItNames)
{
    drive(2, true);
    EXPECT_TRUE(remote_irr());
    EXPECT_EQ(NOTHING, take(0));
    EXPECT_EQ(0x61, take(1));
    drive(2, false);
    eoi(1);
    EXPECT_FALSE(remote_irr());
    EXPECT_EQ(NOTHING, take(1));
}

/*  device 2    __|‾‾‾‾‾‾‾‾‾‾‾‾‾|__________________
 *  device 6    _______|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|______
 *  Remote IRR  __|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|‾‾‾‾‾‾‾‾‾‾‾‾|____
 *  CPU 1          61          EOI   61         EOI     */
TEST_F(ApicMode, AnInputThatTwoDevicesShareInterruptsUntilBothAreServed)
{
    drive(2, true);
    EXPECT_EQ(0x61, take(1));
    drive(6, true);
    EXPECT_EQ(NOTHING, take(1)) << "in service, and Remote IRR is set";
    drive(2, false);
    eoi(1);
    EXPECT_TRUE(remote_irr()) << "sent again by the EOI";
    EXPECT_EQ(0x61, take(1)) << "device 6 holds the line";
    drive(6, false);
    eoi(1);
    EXPECT_FALSE(remote_irr());
    EXPECT_EQ(NOTHING, take(1));
}

TEST_F(ApicMode, ALevelThatNobodyServedIsDeliveredAgainAfterEoi)
{
    drive(2, true);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(0x61, take(1));
        EXPECT_EQ(NOTHING, take(1));
        eoi(1);
    }
}

TEST_F(ApicMode, ALevelLetGoBeforeItIsTakenIsDeliveredOnce)
{
    drive(2, true);
    drive(2, false);
    EXPECT_EQ(0x61, take(1)) << "the APIC has accepted it";
    eoi(1);
    EXPECT_EQ(NOTHING, take(1));
}

TEST_F(ApicMode, ALevelAssertedUnderTheMaskIsDeliveredWhenItIsUnmasked)
{
    route_pin(PIN, MASKED | LEVEL | 0x61, 1);
    drive(2, true);
    EXPECT_EQ(NOTHING, take(1));
    route_pin(PIN, LEVEL | 0x61, 1);
    EXPECT_EQ(0x61, take(1));
}

TEST_F(ApicMode, TheSameLineReachesThe8259AWhereItIsRouted)
{
    set_up_pic(1 << 11);
    route_line(PIRQG, 11);
    drive(2, true);
    EXPECT_EQ(SLAVE_BASE + 3, take(0));
    EXPECT_EQ(0x61, take(1));
    drive(2, false);
    end_of_slave_interrupt();
    eoi(1);
    EXPECT_EQ(NOTHING, take(0));
    EXPECT_EQ(NOTHING, take(1));
}

/* ---- messages ---- */

class Messages : public IrqChain
{
  protected:
    struct msi cap {
    };

    Messages()
    {
        msi_config config{};
        config.messages = 4;
        config.address64 = config.masking = true;
        config.port = &function;
        msi_init(&cap, &config);
        aim(0xfee01000, 0x50);
    }
    void aim(uint32_t address, uint32_t data)
    {
        msi_write(&cap, 0x04, 4, address);
        msi_write(&cap, 0x0c, 2, data);
        msi_write(&cap, 0x02, 2, 2 << 4 | 1);
    }
    void mask(uint32_t bits)
    {
        msi_write(&cap, 0x10, 4, bits);
    }
};

TEST_F(Messages, EachMessageIsAVectorOfItsOwn)
{
    for (const unsigned n : {0, 3, 1})
        EXPECT_EQ(MSI_SENT, msi_raise(&cap, n));
    for (const int vector : {0x53, 0x51, 0x50}) {
        EXPECT_EQ(vector, take(1)) << "the highest first";
        eoi(1);
    }
    EXPECT_EQ(NOTHING, take(1));
    EXPECT_EQ(NOTHING, take(0));
}

TEST_F(Messages, WhatWasRaisedUnderTheMaskArrivesAtTheUnmasking)
{
    mask(1);
    msi_raise(&cap, 0);
    msi_raise(&cap, 0);
    EXPECT_EQ(NOTHING, take(1));
    mask(0);
    EXPECT_EQ(0x50, take(1));
    eoi(1);
    EXPECT_EQ(NOTHING, take(1));
}

TEST_F(Messages, AHintAmongTwoCpusGoesToTheIdleOne)
{
    aim(0xfee0300c, 0x50);
    lapic_write(&apic[0], LAPIC_TPR, 0x40, {0});
    msi_raise(&cap, 0);
    EXPECT_EQ(NOTHING, take(0));
    EXPECT_EQ(0x50, take(1));
    aim(0xfee03004, 0x60);
    msi_raise(&cap, 0);
    EXPECT_EQ(0x60, take(0)) << "without the hint both";
    EXPECT_EQ(0x60, take(1));
}

TEST_F(Messages, AnEdgeMessageEndsWithoutTheIoApic)
{
    route_pin(22, LEVEL | 0x50, 1);
    drive(2, true);
    EXPECT_EQ(0x50, take(1));
    eoi(1);
    EXPECT_EQ(0x50, take(1)) << "the level again";
    drive(2, false);
    eoi(1);
    msi_raise(&cap, 0);
    EXPECT_EQ(0x50, take(1));
    eoi(1);
    EXPECT_EQ(NOTHING, take(1));
}

TEST_F(Messages, AWriteElsewhereInterruptsNobody)
{
    aim(0xfed01000, 0x50);
    EXPECT_EQ(MSI_SENT, msi_raise(&cap, 0));
    EXPECT_EQ(NOTHING, take(0));
    EXPECT_EQ(NOTHING, take(1));
}

TEST_F(Messages, EntriesOfATableReachDifferentCpus)
{
    std::vector<msix_entry> table(3);
    uint64_t pending[MSIX_PENDING_WORDS(3)];
    msix_config config{};
    msix many;

    config.entries = 3;
    config.table = table.data();
    config.pending = pending;
    config.port = &function;
    msix_init(&many, &config);
    msix_write(&many, 0x02, 2, 0x8000);
    for (unsigned n = 0; n < 3; n++) {
        msix_table_write(&many, n * 16, 8, 0xfee00000 | (n & 1) << 12);
        msix_table_write(&many, n * 16 + 8, 8, 0x71 + 0x10 * n);
    }
    for (unsigned n = 0; n < 3; n++)
        EXPECT_EQ(MSI_SENT, msix_raise(&many, n));
    EXPECT_EQ(0x91, take(0));
    EXPECT_EQ(0x81, take(1));
    eoi(0);
    EXPECT_EQ(0x71, take(0));
}

} // namespace
