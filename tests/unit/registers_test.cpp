/*
 * What the chips do, against the tables that were typed from their manuals
 * (tests/spec): reset values, the bits that a write changes, reserved bits.
 * tests/python/test_registers.py compares those tables with the models' own.
 */
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "lapic_bench.h"
#include "timer_bench.h"

namespace
{

using Row = std::map<std::string, std::string>;

std::vector<std::string> cells(const std::string &line)
{
    std::vector<std::string> found;
    std::stringstream rest(line);
    for (std::string cell; std::getline(rest, cell, ',');)
        found.push_back(cell);
    return found;
}

/* The rows of a table of tests/spec, by the heads of its columns. */
std::vector<Row> spec(const std::string &file)
{
    std::ifstream text(VIRQSIM_SPEC "/" + file);
    std::vector<std::string> heads;
    std::vector<Row> rows;
    for (std::string line; std::getline(text, line);) {
        if (line.empty() || line[0] == '#')
            continue;
        if (heads.empty()) {
            heads = cells(line);
            continue;
        }
        const std::vector<std::string> values = cells(line);
        for (size_t n = 0; n < heads.size() && n < values.size(); n++)
            rows.resize(rows.size() + (n == 0)), rows.back()[heads[n]] = values[n];
    }
    EXPECT_FALSE(rows.empty()) << file;
    return rows;
}

uint64_t hex(const std::string &digits)
{
    return std::stoull(digits, nullptr, 16);
}

/* What a write of all ones and one of none leave differs in the writable bits and in no others. */
template <typename Read, typename Write>
void expect_writable(const Row &row, Read read, Write write)
{
    write(~uint64_t{0});
    const uint64_t ones = read();
    write(0);
    EXPECT_EQ(ones ^ read(), hex(row.at("writable"))) << row.at("name");
}

bool readable(const std::string &access)
{
    return access == "RO" || access == "RW";
}

/* ---- the local APIC ---- */

class LapicRegisters : public LapicBench
{
  protected:
    const std::vector<Row> rows = spec("lapic_regs.csv");

    LapicRegisters()
    {
        config.apic_id = 0;
        power_up();
    }
};

TEST_F(LapicRegisters, ChangeInTheirWritableBitsAlone)
{
    for (const Row &row : rows) {
        const auto offset = (uint16_t)hex(row.at("offset"));
        if (row.at("xapic") != "RW")
            continue;
        power_up();
        expect_writable(
            row, [&] { return read(offset); },
            [&](uint64_t value) { write(offset, (uint32_t)value); });
    }
}

/* One bit at a time. The ICR's bit 12 is delivery status: docs/models/lapic.md says why it is
   ignored, and not reserved as the figure has it. */
TEST_F(LapicRegisters, FaultInX2apicModeOnReservedBitsAlone)
{
    constexpr uint64_t high_half = ~uint64_t{0} << 32, delivery_status = 1 << 12;
    for (const Row &row : rows) {
        if (row.at("x2apic") != "RW" && row.at("x2apic") != "WO")
            continue;
        uint64_t reserved = hex(row.at("x2apic_reserved"));
        if (row.at("name") == "ICR_LO")
            reserved &= ~delivery_status;
        else
            reserved |= high_half;
        for (unsigned bit = 0; bit < 64; bit++) {
            power_up(LAPIC_MODE_X2APIC);
            EXPECT_EQ(wrmsr((uint32_t)hex(row.at("msr")), uint64_t{1} << bit),
                      !(reserved >> bit & 1))
                << row.at("name") << " bit " << bit;
        }
    }
}

/* ---- chips with a page of registers: the remapping unit, the HPET ---- */

/* The rows of `space`, of all if there is none. `others`: registers whose writes do more than
   store, which tests of their own look at. */
void expect_page(const std::string &file, const std::string &space, const std::string &others,
                 const std::function<uint64_t(uint16_t, unsigned)> &read,
                 const std::function<void(uint16_t, unsigned, uint64_t)> &write)
{
    for (const Row &row : spec(file)) {
        const auto offset = (uint16_t)hex(row.at("offset"));
        const auto width = (unsigned)std::stoul(row.at("width"));
        if (others.find(row.at("name")) != std::string::npos ||
            (!space.empty() && row.at("space") != space))
            continue;
        if (row.at("reset") != "-" && readable(row.at("access"))) {
            EXPECT_EQ(read(offset, width), hex(row.at("reset"))) << row.at("name");
        }
        if (row.at("access") == "RW")
            expect_writable(
                row, [&] { return read(offset, width); },
                [&](uint64_t value) { write(offset, width, value); });
        const uint64_t before = read(offset, width);
        if (row.at("access") == "RO") {
            write(offset, width, ~before);
            EXPECT_EQ(read(offset, width), before) << row.at("name");
        }
    }
}

TEST(RemapRegisters, AreThoseOfTheSpecification)
{
    struct remap unit;
    remap_port port{[](remap_port *, const irq_msg *) {}};
    remap_config config{};
    config.port = &port;
    remap_init(&unit, &config);
    expect_page(
        "remap_regs.csv", "", "FSTS FRCD",
        [&](uint16_t offset, unsigned size) { return remap_read(&unit, offset, size); },
        [&](uint16_t offset, unsigned size, uint64_t value) {
            remap_write(&unit, offset, size, value);
        });
}

class MsiRegisters : public testing::TestWithParam<const char *>
{
};

/* Of a function that wants all there are: each bit of MASK has its message, and all can be allocated. */
TEST_P(MsiRegisters, AreThoseOfTheSpecification)
{
    struct msi function;
    msi_port port{[](msi_port *, unsigned, msi_message) {}};
    const msi_config config = {MSI_MAX_MESSAGES, GetParam() == std::string("64"), true, 0,
                               &port};
    msi_init(&function, &config);
    expect_page(
        "msi_regs.csv", GetParam(), "",
        [&](uint16_t offset, unsigned size) { return msi_read(&function, offset, size); },
        [&](uint16_t offset, unsigned size, uint64_t value) {
            msi_write(&function, offset, size, static_cast<uint32_t>(value));
        });
}

INSTANTIATE_TEST_SUITE_P(AddressWidths, MsiRegisters, testing::Values("32", "64"));

class PirqRegisters : public testing::TestWithParam<pirq_board>
{
};

TEST_P(PirqRegisters, AreThoseOfTheDataSheets)
{
    struct pirq bridge;
    pirq_port port{[](pirq_port *, unsigned, bool) {}};
    const pirq_config config = {GetParam(), &port};
    pirq_init(&bridge, &config);
    expect_page(
        "pirq_regs.csv", GetParam() == PIRQ_PIIX3 ? "PIIX3" : "ICH9", "",
        [&](uint16_t offset, unsigned size) { return pirq_read(&bridge, offset, size); },
        [&](uint16_t offset, unsigned size, uint64_t value) {
            pirq_write(&bridge, offset, size, static_cast<uint32_t>(value));
        });
}

INSTANTIATE_TEST_SUITE_P(Boards, PirqRegisters, testing::Values(PIRQ_PIIX3, PIRQ_ICH9));

/* Its configuration registers have bits that a write sets only to what they may be. */
TEST(HpetRegisters, AreThoseOfTheSpecification)
{
    TimeBase time;
    struct hpet block;
    hpet_port port{[](hpet_port *, unsigned, bool) {}, [](hpet_port *, uint32_t, uint32_t) {},
                   [](hpet_port *, bool) {}};
    hpet_config config{};
    config.clock = clock_of_hz(14318180);
    config.events = &time.queue;
    config.port = &port;
    hpet_init(&block, &config);
    expect_page(
        "hpet_regs.csv", "", "GINTR_STA TIM_CONF",
        [&](uint16_t offset, unsigned size) { return hpet_read(&block, offset, size); },
        [&](uint16_t offset, unsigned size, uint64_t value) {
            hpet_write(&block, offset, size, value);
        });
}

} // namespace
