/* An I/O APIC alone on the bench: what it sends is kept, and accepted or not as a test says. */
#ifndef VIRQSIM_TESTS_IOAPIC_BENCH_H
#define VIRQSIM_TESTS_IOAPIC_BENCH_H

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "shim.h"

class IoapicBench : private ioapic_port
{
  public:
    enum : uint64_t {
        LOGICAL = 1 << 11,
        DELIVERY_STATUS = 1 << 12,
        ACTIVE_LOW = 1 << 13,
        REMOTE_IRR = 1 << 14,
        LEVEL = 1 << 15,
        MASKED = 1 << 16
    };
    enum : uint16_t { IOREGSEL = 0x00, IOWIN = 0x10, EOI = 0x40 };
    enum : uint32_t { ID = 0x00, VER = 0x01, ARB = 0x02 };

    struct Sent {
        unsigned pin;
        irq_msg msg;
    };
    using Vectors = std::vector<unsigned>;

    struct ioapic io;
    std::vector<Sent> sent;
    /* Does a local APIC accept it? */
    std::function<bool(const Sent &)> accepts = [](const Sent &) { return true; };

    explicit IoapicBench(uint8_t version = IOAPIC_VERSION_20, uint32_t quirks = 0,
                         bool extended_destination = false)
        : ioapic_port{take}
    {
        const ioapic_config config{version, extended_destination, quirks, this};
        ioapic_init(&io, &config);
    }
    IoapicBench(const IoapicBench &) = delete;
    IoapicBench &operator=(const IoapicBench &) = delete;

    static constexpr uint64_t mode(unsigned delivery)
    {
        return uint64_t{delivery} << 8;
    }
    static constexpr uint64_t to(unsigned destination)
    {
        return uint64_t{destination} << 56;
    }

    /* ---- pins and EOI ---- */

    void drive(unsigned pin, bool level)
    {
        ioapic_drive(&io, pin, level);
    }
    void pulse(unsigned pin)
    {
        drive(pin, true);
        drive(pin, false);
    }
    void eoi(uint8_t vector)
    {
        ioapic_eoi(&io, vector);
    }

    /* The vectors that were sent since the last time. */
    Vectors vectors()
    {
        Vectors found;
        for (const Sent &s : std::exchange(sent, {}))
            found.push_back(s.msg.vector);
        return found;
    }

    /* ---- registers ---- */

    uint32_t read(uint32_t index)
    {
        ioapic_write(&io, IOREGSEL, 4, index);
        return ioapic_read(&io, IOWIN, 4);
    }
    void write(uint32_t index, uint32_t value)
    {
        ioapic_write(&io, IOREGSEL, 4, index);
        ioapic_write(&io, IOWIN, 4, value);
    }
    static constexpr uint32_t low(unsigned pin)
    {
        return 0x10 + 2 * pin;
    }
    static constexpr uint32_t high(unsigned pin)
    {
        return low(pin) + 1;
    }
    uint64_t entry(unsigned pin)
    {
        return read(low(pin)) | uint64_t{read(high(pin))} << 32;
    }
    /* The destination first: an entry that opens is complete. */
    void set(unsigned pin, uint64_t value)
    {
        write(high(pin), static_cast<uint32_t>(value >> 32));
        write(low(pin), static_cast<uint32_t>(value));
    }
    bool remote_irr(unsigned pin)
    {
        return read(low(pin)) & REMOTE_IRR;
    }

  private:
    static bool take(ioapic_port *self, unsigned pin, const irq_msg *msg)
    {
        IoapicBench *bench = static_cast<IoapicBench *>(self);
        const Sent sent{pin, *msg};
        bench->sent.push_back(sent);
        return bench->accepts(sent);
    }
};
#endif
