/* A CEPIC alone on the bench: what it sends, ends and arms is kept. */
#ifndef VIRQSIM_TESTS_CEPIC_BENCH_H
#define VIRQSIM_TESTS_CEPIC_BENCH_H

#include <gtest/gtest.h>

#include <vector>

#include "recorder.h"

class CepicBench : private cepic_port
{
  public:
    enum : uint32_t {
        SOFT_EN = 1 << 10,
        BSP = 1 << 8,
        STAT = 1 << 12,
        MASK = 1 << 16,
        PERIODIC = 1 << 17
    };
    enum : uint32_t {
        SMI = 1 << 9,
        NMI = 1 << 10,
        INIT = 1 << 11,
        STARTUP = 1 << 12,
        NM_TIMER = 1 << 16,
        NM_SPECIAL = 1 << 17
    };

    cepic c;
    Recorder recorder;
    std::vector<epic_msg> sent;
    std::vector<unsigned> ended;
    size_t coalesced = 0; /* by accept() */
    sim_time armed[CEPIC_TIMERS] = {SIM_TIME_NEVER, SIM_TIME_NEVER};
    sim_time now = {0};

    explicit CepicBench(bool enabled = true, uint16_t id = 0x102) : cepic_port{take, end, arm}
    {
        cepic_config config = {};
        config.index = 1;
        config.id = id;
        config.enabled = enabled;
        config.clock = clock_of_hz(100000000);
        config.trace = &recorder.trace;
        config.port = this;
        cepic_init(&c, &config);
    }
    CepicBench(const CepicBench &) = delete;
    CepicBench &operator=(const CepicBench &) = delete;

    cepic_answer accept(unsigned vector, epic_delivery delivery = EPIC_FIXED_EXT,
                        trace_flow flow = 0)
    {
        epic_msg msg = {};
        msg.vector = static_cast<uint16_t>(vector);
        msg.delivery = static_cast<uint8_t>(delivery);
        msg.flow = flow;
        const cepic_answer answer = cepic_accept(&c, &msg);
        coalesced += answer == CEPIC_COALESCED;
        return answer;
    }
    uint64_t read(unsigned offset, unsigned size = 4)
    {
        return cepic_read(&c, static_cast<uint16_t>(offset), size, now);
    }
    void write(unsigned offset, uint64_t value, unsigned size = 4)
    {
        cepic_write(&c, static_cast<uint16_t>(offset), size, value, now);
    }
    /* As a handler does it: the vector, and what CPR was, for the EOI. */
    struct Taken {
        unsigned vector, cpr;
    };
    Taken take_interrupt()
    {
        const uint64_t inta = read(CEPIC_VECT_INTA);
        return {unsigned(inta & 0x3ff), unsigned(inta >> 16 & 7)};
    }
    void end_interrupt(Taken taken)
    {
        write(CEPIC_EOI, uint64_t{taken.cpr} << 16);
    }
    unsigned core_priority()
    {
        return read(CEPIC_CPR) >> 8 & 7;
    }
    uint64_t errors()
    {
        write(CEPIC_ESR, 0);
        return read(CEPIC_ESR);
    }
    bool expired(epic_msg *msg)
    {
        return cepic_timer_expired(&c, now, msg);
    }

  private:
    static void take(cepic_port *self, const epic_msg *msg)
    {
        static_cast<CepicBench *>(self)->sent.push_back(*msg);
    }
    static void end(cepic_port *self, uint16_t vector)
    {
        static_cast<CepicBench *>(self)->ended.push_back(vector);
    }
    static void arm(cepic_port *self, cepic_timer_id timer, sim_time deadline)
    {
        static_cast<CepicBench *>(self)->armed[timer] = deadline;
    }
};
#endif
