/*
 * A remapping unit on the bench, with its table and what it sends. Entries and
 * requests are put together here by shifts typed from the specification, not
 * with the model's own tables.
 */
#ifndef VIRQSIM_TESTS_REMAP_BENCH_H
#define VIRQSIM_TESTS_REMAP_BENCH_H

#include <gtest/gtest.h>

#include <vector>

#include "shim.h"

inline constexpr uint64_t present = 1, fpd = 2, posted_mode = 1 << 15, urgent_post = 1 << 14;
inline constexpr uint32_t gcmd_ire = 1u << 25, gcmd_sirtp = 1u << 24, gcmd_cfi = 1u << 23;
inline constexpr uint32_t pfo = 1, ppf = 2, fectl_ip = 1u << 30, fectl_im = 1u << 31;
inline constexpr uint16_t device = 0x0310; /* bus 3, device 2, function 0 */

inline uint64_t vector_of(uint64_t v)
{
    return v << 16;
}
inline uint64_t destination(uint64_t xapic_id)
{
    return xapic_id << 40;
}

/* Bits 127:64. */
inline uint64_t source(uint64_t svt, uint64_t sq, uint64_t sid)
{
    return svt << 18 | sq << 16 | sid;
}

/* A remappable request's address: the handle's bits 14:0 in 19:5, bit 15 in 2. */
inline uint64_t handle(uint32_t h, bool subhandle_valid = false)
{
    return 0xfee00010u | (h & 0x7fffu) << 5 | (h >> 15 & 1) << 2 | (subhandle_valid ? 8u : 0u);
}

class KeptMessages : public remap_port
{
  public:
    std::vector<irq_msg> sent;

    KeptMessages() : remap_port{keep}
    {
    }

  private:
    static void keep(remap_port *self, const irq_msg *msg)
    {
        static_cast<KeptMessages *>(self)->sent.push_back(*msg);
    }
};

class RemapBench : public ::testing::Test
{
  protected:
    static constexpr uint64_t base = 0x12345000;

    std::vector<remap_words> table = std::vector<remap_words>(65536);
    KeptMessages port;
    remap unit{};

    RemapBench()
    {
        const remap_config config{table.data(), static_cast<uint32_t>(table.size()), false,
                                  &port};
        remap_init(&unit, &config);
    }

    uint64_t read(uint16_t offset, unsigned size = 4) const
    {
        return remap_read(&unit, offset, size);
    }
    void write(uint16_t offset, uint64_t value, unsigned size = 4)
    {
        remap_write(&unit, offset, size, value);
    }

    /* As software does it: the table first, then remapping, which stays on if it is on.
       2^(s+1) entries. */
    void enable(bool extended = false, unsigned s = 15, bool compatibility = false)
    {
        const uint32_t cfi = compatibility ? gcmd_cfi : 0;

        write(REMAP_IRTA, base | (extended ? 0x800 : 0) | s, 8);
        write(REMAP_GCMD, (read(REMAP_GSTS) & gcmd_ire) | gcmd_sirtp | cfi);
        write(REMAP_GCMD, gcmd_ire | cfi);
    }
    void entry(uint32_t index, uint64_t low, uint64_t high = 0)
    {
        table[index] = {{low, high}};
    }
    remap_verdict ask(uint64_t address, uint32_t data = 0, uint16_t from = device) const
    {
        return remap_ask(&unit, from, address, data);
    }
    remap_verdict translate(uint64_t address, uint32_t data = 0, uint16_t from = device)
    {
        remap_verdict verdict{};
        remap_translate(&unit, from, address, data, &verdict);
        return verdict;
    }
    /* 0: not blocked. */
    unsigned reason(uint64_t address, uint32_t data = 0, uint16_t from = device) const
    {
        const remap_verdict verdict = ask(address, data, from);
        EXPECT_EQ(verdict.outcome == REMAP_FAULT, verdict.reason != 0);
        return verdict.reason;
    }
    /* Makes a fault that is recorded: entry `index` is not present. */
    void fault(uint32_t index, uint16_t from = device)
    {
        entry(index, 0);
        translate(handle(index), 0, from);
    }
    uint64_t record(unsigned n, unsigned word) const
    {
        return read(static_cast<uint16_t>(REMAP_FRCD + n * 16 + word * 8), 8);
    }
    bool recorded(unsigned n) const
    {
        return record(n, 1) >> 63;
    }
    void clear_record(unsigned n)
    {
        write(static_cast<uint16_t>(REMAP_FRCD + n * 16 + 12), 1u << 31);
    }
};

#endif
