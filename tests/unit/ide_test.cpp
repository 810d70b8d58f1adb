/* An IDE channel alone: what a driver writes and reads, what the medium is asked for, INTRQ. */
#include <gtest/gtest.h>

#include <vector>

extern "C" {
#include "device/ide.h"
}

namespace
{

struct Channel {
    ide_port port{};
    ide chip{};
    std::vector<ide_request> requests;
    std::vector<bool> line;

    explicit Channel(uint64_t sectors = 1 << 20)
    {
        port.line = [](ide_port *self, bool level) {
            reinterpret_cast<Channel *>(self)->line.push_back(level);
        };
        port.start = [](ide_port *self, const ide_request *r) {
            reinterpret_cast<Channel *>(self)->requests.push_back(*r);
        };
        ide_init(&chip, sectors, &port);
    }
    void out(ide_reg reg, uint32_t value)
    {
        ide_write(&chip, reg, value);
    }
    uint32_t in(ide_reg reg)
    {
        return ide_read(&chip, reg);
    }
    uint32_t status() /* without acknowledging */
    {
        return in(IDE_ALT_STATUS);
    }
    void address(uint32_t lba, unsigned count)
    {
        out(IDE_COUNT, count);
        out(IDE_LBA_LOW, lba & 0xff);
        out(IDE_LBA_MID, lba >> 8 & 0xff);
        out(IDE_LBA_HIGH, lba >> 16 & 0xff);
        out(IDE_DEVICE, 0xe0 | lba >> 24);
    }
    void complete(bool ok = true)
    {
        ide_complete(&chip, requests.back().tag, ok);
    }
    void move_sector(bool write)
    {
        for (int n = 0; n < 256; n++) {
            if (write)
                out(IDE_DATA, 0);
            else
                in(IDE_DATA);
        }
    }
    bool asserted() const
    {
        return !line.empty() && line.back();
    }
};

enum { IDLE = 0x50, TRANSFER = 0x58, AT_WORK = 0xd0 };

TEST(Ide, ARegisterHasAnotherMeaningForAReadAndForAWrite)
{
    EXPECT_EQ(IDE_STATUS, ide_find(IDE_COMMAND_BLOCK, 7, false));
    EXPECT_EQ(IDE_COMMAND, ide_find(IDE_COMMAND_BLOCK, 7, true));
    EXPECT_EQ(IDE_ERROR, ide_find(IDE_COMMAND_BLOCK, 1, false));
    EXPECT_EQ(IDE_FEATURES, ide_find(IDE_COMMAND_BLOCK, 1, true));
    EXPECT_EQ(IDE_ALT_STATUS, ide_find(IDE_CONTROL_BLOCK, 0, false));
    EXPECT_EQ(IDE_CONTROL, ide_find(IDE_CONTROL_BLOCK, 0, true));
    EXPECT_EQ(IDE_BM_TABLE, ide_find(IDE_BUS_MASTER_BLOCK, 4, true));
    EXPECT_EQ(IDE_REG_COUNT, ide_find(IDE_BUS_MASTER_BLOCK, 1, false));
}

TEST(Ide, ADmaReadAsLinuxDoesItShowsTheStatusesThatWereRecorded)
{
    Channel c;
    EXPECT_EQ(0x50u, c.in(IDE_STATUS));
    c.address(0x10, 8);
    c.out(IDE_BM_TABLE, 0x57b2000);
    c.out(IDE_BM_COMMAND, 8);
    c.out(IDE_COMMAND, 0xc8);
    EXPECT_EQ(0x58u, c.status());
    EXPECT_TRUE(c.requests.empty()) << "the bus master does not run yet";
    c.out(IDE_BM_COMMAND, 9);
    ASSERT_EQ(1u, c.requests.size());
    EXPECT_EQ(IDE_READ, c.requests[0].does);
    EXPECT_EQ(0x10u, c.requests[0].lba);
    EXPECT_EQ(8u, c.requests[0].sectors);
    EXPECT_EQ(1u, c.in(IDE_BM_STATUS)) << "active";
    EXPECT_FALSE(c.asserted());
    c.complete();
    EXPECT_TRUE(c.asserted());
    EXPECT_EQ(4u, c.in(IDE_BM_STATUS)) << "interrupt, and no longer active";
    EXPECT_EQ(9u, c.in(IDE_BM_COMMAND)) << "software stops it";
    c.out(IDE_BM_COMMAND, 8);
    EXPECT_EQ(0x50u, c.status());
    EXPECT_TRUE(c.asserted()) << "the alternate status acknowledges nothing";
    EXPECT_EQ(0x50u, c.in(IDE_STATUS));
    EXPECT_FALSE(c.asserted());
    c.out(IDE_BM_STATUS, 4);
    EXPECT_EQ(0u, c.in(IDE_BM_STATUS));
    EXPECT_EQ(0x57b2000u, c.in(IDE_BM_TABLE));
    EXPECT_EQ((std::vector<bool>{true, false}), c.line);
}

/* tests/data/ide_request.txt: a request of a Linux guest's, port by port. */
TEST(Ide, ReadsGiveWhatARecordedGuestRead)
{
    static const struct {
        unsigned port;
        bool write;
        uint32_t value;
    } recorded[] = {
        /* port 0: the medium answers */
        {0x1f7, false, 0x50}, {0x1f6, true, 0xa0},  {0x3f6, false, 0x50},
        {0x1f7, false, 0x50}, {0x1f1, true, 0x0},   {0x1f2, true, 0x8},
        {0x1f3, true, 0x30},  {0x1f4, true, 0x0},   {0x1f5, true, 0x0},
        {0x1f6, true, 0xe0},  {0x1f7, false, 0x50}, {0xc004, true, 0x57b2000},
        {0xc000, false, 0x8}, {0xc000, true, 0x8},  {0x1f7, true, 0xc8},
        {0x3f6, false, 0x58}, {0xc000, false, 0x8}, {0xc000, true, 0x9},
        {0, false, 0},        {0xc002, false, 0x4}, {0xc000, false, 0x9},
        {0xc000, true, 0x8},  {0x3f6, false, 0x50}, {0x3f6, false, 0x50},
        {0x1f7, false, 0x50}, {0xc002, false, 0x4}, {0xc002, true, 0x4},
    };
    Channel c;
    const auto reg_of = [](unsigned port, bool write) {
        if (port == 0x3f6)
            return ide_find(IDE_CONTROL_BLOCK, 0, write);
        return port >= 0xc000 ? ide_find(IDE_BUS_MASTER_BLOCK, port - 0xc000, write)
                              : ide_find(IDE_COMMAND_BLOCK, port - 0x1f0, write);
    };
    c.out(IDE_BM_COMMAND, 8);
    for (const auto &r : recorded) {
        if (!r.port)
            c.complete();
        else if (r.write)
            c.out(reg_of(r.port, true), r.value);
        else
            EXPECT_EQ(r.value, c.in(reg_of(r.port, false))) << std::hex << r.port;
    }
    EXPECT_EQ(0x30u, c.requests.at(0).lba);
    EXPECT_EQ((std::vector<bool>{true, false}), c.line);
}

TEST(Ide, TheBusMasterMayBeStartedBeforeTheCommand)
{
    Channel c;
    c.address(5, 1);
    c.out(IDE_BM_COMMAND, 9);
    EXPECT_TRUE(c.requests.empty());
    c.out(IDE_COMMAND, 0xca);
    ASSERT_EQ(1u, c.requests.size());
    EXPECT_EQ(IDE_WRITE, c.requests[0].does);
}

TEST(Ide, APioReadInterruptsForEachSectorAndNotAtItsEnd)
{
    Channel c(UINT64_C(1) << 28);
    c.address(0x1234567, 2);
    c.out(IDE_COMMAND, 0x20);
    for (unsigned n = 0; n < 2; n++) {
        ASSERT_EQ(n + 1, c.requests.size());
        EXPECT_EQ(0x1234567u + n, c.requests[n].lba);
        EXPECT_EQ(1u, c.requests[n].sectors);
        EXPECT_EQ((uint32_t)AT_WORK, c.status());
        c.complete();
        EXPECT_TRUE(c.asserted());
        EXPECT_EQ((uint32_t)TRANSFER, c.in(IDE_STATUS));
        EXPECT_FALSE(c.asserted());
        c.move_sector(false);
    }
    EXPECT_EQ((uint32_t)IDLE, c.status());
    EXPECT_EQ(2u, c.requests.size());
    EXPECT_FALSE(c.asserted());
}

TEST(Ide, APioWriteInterruptsAfterEachSectorAndNotForTheFirst)
{
    Channel c;
    c.address(7, 2);
    c.out(IDE_COMMAND, 0x30);
    EXPECT_EQ((uint32_t)TRANSFER, c.status());
    EXPECT_FALSE(c.asserted());
    for (unsigned n = 0; n < 2; n++) {
        c.move_sector(true);
        ASSERT_EQ(n + 1, c.requests.size());
        EXPECT_EQ(7u + n, c.requests[n].lba);
        EXPECT_EQ((uint32_t)AT_WORK, c.status());
        c.complete();
        EXPECT_TRUE(c.asserted());
        EXPECT_EQ(n ? IDLE : TRANSFER, c.in(IDE_STATUS));
    }
    c.move_sector(true);
    EXPECT_EQ(2u, c.requests.size()) << "nobody asked for more";
}

TEST(Ide, TheExtendedCommandsTakeTheValuesBeforeTheLastWritesToo)
{
    Channel c(UINT64_C(1) << 48);
    c.out(IDE_COUNT, 0x01);
    c.address(0x998877, 0x02);
    c.address(0x665544, 0x00);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_COMMAND, 0x25);
    ASSERT_EQ(1u, c.requests.size());
    EXPECT_EQ(UINT64_C(0x998877665544), c.requests[0].lba);
    EXPECT_EQ(0x200u, c.requests[0].sectors);
    c.complete();
    EXPECT_EQ(0x44u, c.in(IDE_LBA_LOW));
    c.out(IDE_CONTROL, 0x80);
    EXPECT_EQ(0x77u, c.in(IDE_LBA_LOW));
    EXPECT_EQ(0x88u, c.in(IDE_LBA_MID));
    EXPECT_EQ(0x99u, c.in(IDE_LBA_HIGH));
    EXPECT_EQ(0x02u, c.in(IDE_COUNT));
    c.out(IDE_FEATURES, 0);
    EXPECT_EQ(0x44u, c.in(IDE_LBA_LOW))
        << "a write of the command block shows the present ones";
}

TEST(Ide, ACountOfZeroIsTheMost)
{
    Channel c;
    c.address(0, 0);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_COMMAND, 0xc8);
    EXPECT_EQ(256u, c.requests.at(0).sectors);
    c.complete();
    c.out(IDE_BM_COMMAND, 8);
    c.address(0, 0);
    c.address(0, 0);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_COMMAND, 0x35);
    EXPECT_EQ(65536u, c.requests.at(1).sectors);
}

TEST(Ide, WithoutInterruptsEnabledTheLineWaitsForThem)
{
    Channel c;
    c.out(IDE_CONTROL, 2);
    c.out(IDE_COMMAND, 0xe7);
    ASSERT_EQ(IDE_FLUSH, c.requests.at(0).does);
    EXPECT_EQ((uint32_t)AT_WORK, c.status());
    c.complete();
    EXPECT_FALSE(c.asserted());
    EXPECT_EQ(0u, c.in(IDE_BM_STATUS));
    c.out(IDE_CONTROL, 0);
    EXPECT_TRUE(c.asserted());
    EXPECT_EQ(4u, c.in(IDE_BM_STATUS));
}

TEST(Ide, ANewCommandTakesBackTheInterruptOfTheLast)
{
    Channel c;
    c.out(IDE_COMMAND, 0xef);
    EXPECT_TRUE(c.asserted());
    c.out(IDE_COMMAND, 0xe7);
    EXPECT_FALSE(c.asserted());
}

TEST(Ide, WhatItDoesNotKnowItAborts)
{
    Channel c;
    c.out(IDE_COMMAND, 0x91);
    EXPECT_EQ(0x51u, c.status());
    EXPECT_EQ(4u, c.in(IDE_ERROR));
    EXPECT_TRUE(c.asserted());
    c.out(IDE_COMMAND, 0xef);
    EXPECT_EQ((uint32_t)IDLE, c.status());
    EXPECT_EQ(0u, c.in(IDE_ERROR));
}

TEST(Ide, ASectorThatIsNotThereIsNotFound)
{
    Channel c(100);
    c.address(99, 2);
    c.out(IDE_COMMAND, 0x20);
    EXPECT_TRUE(c.requests.empty());
    EXPECT_EQ(0x10u, c.in(IDE_ERROR));
    EXPECT_EQ(0x51u, c.in(IDE_STATUS));
    c.address(99, 1);
    c.out(IDE_COMMAND, 0x20);
    EXPECT_EQ(1u, c.requests.size());
}

TEST(Ide, AMediumThatFailsEndsTheCommandWithAnError)
{
    Channel c;
    c.address(0, 4);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_COMMAND, 0xc8);
    c.complete(false);
    EXPECT_EQ(0x51u, c.status());
    EXPECT_EQ(0x40u, c.in(IDE_ERROR));
    EXPECT_TRUE(c.asserted());
    EXPECT_EQ(4u, c.in(IDE_BM_STATUS));
    c.out(IDE_COMMAND, 0xe7);
    c.complete(false);
    EXPECT_EQ(4u, c.in(IDE_ERROR));
}

TEST(Ide, WhileItIsBusyCommandsAndParametersAreIgnored)
{
    Channel c;
    c.address(3, 1);
    c.out(IDE_COMMAND, 0x20);
    c.out(IDE_LBA_LOW, 9);
    c.out(IDE_DEVICE, 0xf0);
    c.out(IDE_COMMAND, 0xe7);
    EXPECT_EQ(1u, c.requests.size());
    EXPECT_EQ(3u, c.in(IDE_LBA_LOW));
    EXPECT_EQ((uint32_t)AT_WORK, c.status()) << "device 0 is still selected";
}

TEST(Ide, AResetForgetsTheRequestUnderWayAndShowsTheSignature)
{
    Channel c;
    c.address(3, 9);
    c.out(IDE_COMMAND, 0x20);
    const uint32_t tag = c.requests.back().tag;
    c.out(IDE_CONTROL, 4);
    EXPECT_EQ(0x80u, c.status());
    c.out(IDE_COMMAND, 0xe7);
    EXPECT_EQ(1u, c.requests.size()) << "no commands while it is reset";
    c.out(IDE_CONTROL, 0);
    EXPECT_EQ((uint32_t)IDLE, c.status());
    EXPECT_EQ(1u, c.in(IDE_COUNT));
    EXPECT_EQ(1u, c.in(IDE_LBA_LOW));
    EXPECT_EQ(1u, c.in(IDE_ERROR));
    EXPECT_EQ(0u, c.in(IDE_DEVICE));
    EXPECT_FALSE(ide_complete(&c.chip, tag, true));
    EXPECT_EQ((uint32_t)IDLE, c.status());
    EXPECT_FALSE(c.asserted());
}

TEST(Ide, AnAnswerToAnEarlierRequestIsForgotten)
{
    Channel c;
    c.address(3, 1);
    c.out(IDE_COMMAND, 0x20);
    const uint32_t tag = c.requests.back().tag;
    c.out(IDE_CONTROL, 4);
    c.out(IDE_CONTROL, 0);
    c.out(IDE_COMMAND, 0xe7);
    ide_complete(&c.chip, tag, true);
    EXPECT_EQ((uint32_t)AT_WORK, c.status());
}

TEST(Ide, ATransferThatIsStoppedIsOver)
{
    Channel c;
    c.address(3, 1);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_COMMAND, 0xc8);
    c.out(IDE_BM_COMMAND, 8);
    EXPECT_EQ(0u, c.in(IDE_BM_STATUS));
    c.complete();
    EXPECT_FALSE(c.asserted());
}

TEST(Ide, OfASecondDeviceThereIsOnlyAStatusOfZero)
{
    Channel c;
    c.out(IDE_DEVICE, 0xb0);
    EXPECT_EQ(0u, c.in(IDE_STATUS));
    EXPECT_EQ(0u, c.status());
    c.out(IDE_COMMAND, 0xe7);
    EXPECT_TRUE(c.requests.empty());
}

TEST(Ide, OnlyTheSelectedDeviceDrivesTheLine)
{
    Channel c;
    c.out(IDE_COMMAND, 0xef);
    EXPECT_TRUE(c.asserted());
    c.out(IDE_DEVICE, 0xb0);
    EXPECT_FALSE(c.asserted());
    c.in(IDE_STATUS);
    c.out(IDE_DEVICE, 0xa0);
    EXPECT_TRUE(c.asserted()) << "a status of the other device acknowledges nothing";
}

TEST(Ide, IdentifyTellsTheSizeInBothForms)
{
    Channel c(UINT64_C(0x123456789a));
    c.out(IDE_COMMAND, 0xec);
    EXPECT_TRUE(c.asserted());
    EXPECT_EQ((uint32_t)TRANSFER, c.in(IDE_STATUS));
    std::vector<uint32_t> word;
    for (int n = 0; n < 256; n++)
        word.push_back(c.in(IDE_DATA));
    EXPECT_EQ(0x300u, word[49]);
    EXPECT_EQ(0xffffu, word[60]);
    EXPECT_EQ(0x0fffu, word[61]);
    EXPECT_EQ(0x4400u, word[83]);
    EXPECT_EQ(0x789au, word[100]);
    EXPECT_EQ(0x3456u, word[101]);
    EXPECT_EQ(0x12u, word[102]);
    EXPECT_EQ((uint32_t)IDLE, c.status());
}

TEST(Ide, TheBusMastersStatusKeepsWhatSoftwareNotesThere)
{
    Channel c;
    c.out(IDE_BM_STATUS, 0x60);
    EXPECT_EQ(0x60u, c.in(IDE_BM_STATUS));
    c.out(IDE_COMMAND, 0xef);
    EXPECT_EQ(0x64u, c.in(IDE_BM_STATUS));
    c.out(IDE_BM_STATUS, 0x24);
    EXPECT_EQ(0x20u, c.in(IDE_BM_STATUS));
}

TEST(Ide, ASectorIsWholeWithItsLastWord)
{
    Channel c;
    c.address(7, 1);
    c.out(IDE_COMMAND, 0x30);
    for (int n = 0; n < 255; n++)
        c.out(IDE_DATA, 0);
    EXPECT_TRUE(c.requests.empty());
    c.out(IDE_DATA, 0);
    EXPECT_EQ(1u, c.requests.size());
    c.complete();
    c.out(IDE_COMMAND, 0x20);
    c.complete();
    for (int n = 0; n < 255; n++)
        c.in(IDE_DATA);
    EXPECT_EQ((uint32_t)TRANSFER, c.status());
    c.in(IDE_DATA);
    EXPECT_EQ((uint32_t)IDLE, c.status());
    EXPECT_EQ(0u, c.in(IDE_ERROR));
}

TEST(Ide, ARequestIsAnsweredOnce)
{
    Channel c;
    c.address(7, 2);
    c.out(IDE_COMMAND, 0x20);
    EXPECT_TRUE(ide_complete(&c.chip, c.requests.back().tag, true));
    EXPECT_FALSE(ide_complete(&c.chip, c.requests.back().tag, true));
    EXPECT_EQ((uint32_t)TRANSFER, c.status());
}

TEST(Ide, AWriteBeyondTheMediumIsRefusedToo)
{
    Channel c(100);
    c.address(100, 1);
    c.out(IDE_COMMAND, 0x30);
    EXPECT_EQ(0x51u, c.status());
    c.out(IDE_COMMAND, 0xe7);
    EXPECT_EQ(1u, c.requests.size()) << "a flush has no address";
}

TEST(Ide, TheBusMasterIsActiveFromItsStartAndNotBefore)
{
    Channel c;
    c.out(IDE_BM_COMMAND, 8);
    EXPECT_EQ(0u, c.in(IDE_BM_STATUS));
    c.address(3, 1);
    c.out(IDE_COMMAND, 0xc8);
    c.out(IDE_BM_COMMAND, 9);
    c.complete();
    c.out(IDE_BM_COMMAND, 9);
    EXPECT_EQ(4u, c.in(IDE_BM_STATUS)) << "set already: that starts nothing";
    c.out(IDE_BM_COMMAND, 8);
    c.out(IDE_COMMAND, 0xc8);
    c.out(IDE_BM_COMMAND, 9);
    c.out(IDE_BM_COMMAND, 8);
    EXPECT_EQ(0u, c.in(IDE_ERROR)) << "a transfer that is stopped is no error of the disk's";
}

TEST(Ide, AnyWriteOfTheCommandBlockShowsThePresentValues)
{
    Channel c;
    c.out(IDE_LBA_LOW, 0x11);
    c.out(IDE_LBA_LOW, 0x22);
    for (ide_reg reg : {IDE_DEVICE, IDE_COMMAND}) {
        c.out(IDE_CONTROL, 0x80);
        EXPECT_EQ(0x11u, c.in(IDE_LBA_LOW));
        c.out(reg, reg == IDE_COMMAND ? 0xe7 : 0xa0);
        EXPECT_EQ(0x22u, c.in(IDE_LBA_LOW));
    }
}

} // namespace
