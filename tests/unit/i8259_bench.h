/* The 8259A pair with its ports, lines and INT, in the words of the data sheet. */
#ifndef VIRQSIM_TESTS_I8259_BENCH_H
#define VIRQSIM_TESTS_I8259_BENCH_H

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shim.h"

enum : uint16_t { MASTER = 0x20, SLAVE = 0xa0, DATA = 1, ELCR1 = 0x4d0, ELCR2 = 0x4d1 };
enum : uint8_t { LTIM = 0x08, ADI = 0x04, SNGL = 0x02, IC4 = 0x01 };
enum : uint8_t { SFNM = 0x10, AEOI = 0x02, UPM = 0x01 };
enum : uint8_t { R = 0x80, SL = 0x40, EOI = 0x20 };
enum : uint8_t { OCW3 = 0x08, SET_SMM = 0x68, RESET_SMM = 0x48, POLL = 0x0c };
enum : uint8_t { READ_IRR = 0x0a, READ_ISR = 0x0b };
enum : uint8_t { MASTER_BASE = 0x20, SLAVE_BASE = 0x70 };
enum : int { NOTHING = -1 };

/* Remembers what INT did: "+-" is a pulse. */
struct IntPin : i8259_port {
    std::string history;

    IntPin() : i8259_port{changed}
    {
    }

    static void changed(i8259_port *self, bool level)
    {
        static_cast<IntPin *>(self)->history += level ? '+' : '-';
    }
};

class PicBench : public testing::Test
{
  protected:
    IntPin pin;
    i8259 pic;

    explicit PicBench(uint32_t quirks = 0)
    {
        i8259_init(&pic, &pin, quirks);
        initialize(MASTER, UPM, MASTER_BASE, 0x04);
        initialize(SLAVE, UPM, SLAVE_BASE, 0x02);
        pin.history.clear();
    }

    void out(uint16_t port, unsigned value)
    {
        i8259_write(&pic, port, static_cast<uint8_t>(value));
    }

    uint8_t in(unsigned port)
    {
        return i8259_read(&pic, static_cast<uint16_t>(port));
    }

    void initialize(uint16_t chip, unsigned icw4, unsigned base, unsigned icw3,
                    unsigned icw1 = IC4)
    {
        out(chip, 0x10 | icw1);
        out(chip + DATA, base);
        if (!(icw1 & SNGL))
            out(chip + DATA, icw3);
        if (icw1 & IC4)
            out(chip + DATA, icw4);
    }

    void master_with(unsigned icw4, unsigned icw1 = IC4)
    {
        initialize(MASTER, UPM | icw4, MASTER_BASE, 0x04, icw1);
    }

    void slave_with(unsigned icw4, unsigned icw1 = IC4)
    {
        initialize(SLAVE, UPM | icw4, SLAVE_BASE, 0x02, icw1);
    }

    void raise(unsigned line)
    {
        i8259_drive(&pic, line, true);
    }

    void lower(unsigned line)
    {
        i8259_drive(&pic, line, false);
    }

    bool intr() const
    {
        return i8259_output(&pic);
    }

    unsigned inta()
    {
        return i8259_acknowledge(&pic).vector;
    }

    /* INTA when INT is high, as a core does it: the line, NOTHING, or I8259_NO_LINE - 1. */
    int take()
    {
        enum { SPURIOUS = I8259_NO_LINE - 1 };
        if (!intr())
            return NOTHING;
        const int line = i8259_acknowledge(&pic).line;
        return line == I8259_NO_LINE ? SPURIOUS : line;
    }

    /* Every interrupt that is pending, taken and ended one after the other. */
    std::vector<int> serve_all()
    {
        std::vector<int> order;
        for (int line = take(); line != NOTHING && order.size() < 32; line = take()) {
            order.push_back(line);
            if (line >= 8)
                out(SLAVE, EOI);
            out(MASTER, EOI);
        }
        return order;
    }

    uint8_t irr(uint16_t chip)
    {
        out(chip, READ_IRR);
        return in(chip);
    }

    uint8_t isr(uint16_t chip)
    {
        out(chip, READ_ISR);
        return in(chip);
    }
};
#endif
