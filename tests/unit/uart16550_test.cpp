/* The 16550 alone: bytes in both directions, which interrupt is shown, and what takes it back. */
#include <gtest/gtest.h>

#include <string>
#include <vector>

extern "C" {
#include "device/uart16550.h"
}

namespace
{

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct Port {
    uart16550_port port{};
    uart16550 chip{};
    event_queue events{};
    std::vector<char> memory = std::vector<char>(event_queue_bytes(2));
    std::string sent;
    std::vector<bool> line;

    explicit Port(bool instant = false)
    {
        event_queue_init(&events, memory.data(), 2);
        port.line = [](uart16550_port *self, bool level) {
            reinterpret_cast<Port *>(self)->line.push_back(level);
        };
        port.send = [](uart16550_port *self, uint8_t byte) {
            reinterpret_cast<Port *>(self)->sent += (char)byte;
        };
        uart16550_init(&chip, instant, &events, &port);
        out(LCR, 0x83); /* 115200 baud, 8 bits, no parity, one stop bit */
        out(0, 1);
        out(1, 0);
        out(LCR, 3);
        out(MCR, 0x0b);
    }
    void out(unsigned offset, unsigned value)
    {
        uart16550_write(&chip, offset, (uint8_t)value);
    }
    unsigned in(unsigned offset)
    {
        return uart16550_read(&chip, offset);
    }
    void after(uint64_t ps)
    {
        event_queue_run(&events, (sim_time){events.now.ps + ps + 1}, UINT64_MAX);
    }
    bool asserted() const
    {
        return !line.empty() && line.back();
    }
    uint64_t byte() const
    {
        return uart16550_byte_ps(&chip);
    }
};

TEST(Uart16550, AByteTakesItsTimeByDivisorAndFormat)
{
    Port p;
    EXPECT_EQ(86805556u, p.byte()) << "ten bits at 115200 baud";
    p.out(LCR, 0x0f); /* parity and two stop bits */
    EXPECT_EQ(104166667u, p.byte());
    p.out(LCR, 0x80);
    p.out(0, 12);
    EXPECT_EQ(729166667u, p.byte()) << "five data bits at 9600 baud";
    EXPECT_EQ(0u, Port(true).byte());
}

TEST(Uart16550, TheDivisorLatchStandsBehindDlab)
{
    Port p;
    p.out(IER, 5);
    p.out(LCR, 0x83);
    EXPECT_EQ(1u, p.in(0));
    EXPECT_EQ(0u, p.in(1));
    p.out(LCR, 3);
    EXPECT_EQ(5u, p.in(IER));
    p.out(SCR, 0xa5);
    EXPECT_EQ(0xa5u, p.in(SCR));
    EXPECT_EQ(0xffu, p.in(8));
}

TEST(Uart16550, TheHoldingRegisterIsEmptyAsSoonAsTheShiftRegisterHasItsByte)
{
    Port p;
    EXPECT_EQ(0x60u, p.in(LSR));
    p.out(RBR, 'a');
    EXPECT_EQ(0x20u, p.in(LSR)) << "it is shifted";
    p.out(RBR, 'b');
    EXPECT_EQ(0x00u, p.in(LSR));
    p.out(RBR, 'c'); /* lost: there is no room */
    p.after(p.byte());
    EXPECT_EQ("a", p.sent);
    EXPECT_EQ(0x20u, p.in(LSR));
    p.after(p.byte());
    EXPECT_EQ("ab", p.sent);
    EXPECT_EQ(0x60u, p.in(LSR));
}

TEST(Uart16550, TheInterruptOfAnEmptyThrIsTakenBackByReadingItOrByAByte)
{
    Port p;
    p.out(IER, 2);
    EXPECT_TRUE(p.asserted()) << "enabled while empty";
    EXPECT_EQ(2u, p.in(IIR));
    EXPECT_FALSE(p.asserted());
    EXPECT_EQ(1u, p.in(IIR));
    p.out(RBR, 'a');
    EXPECT_TRUE(p.asserted()) << "the byte went on to the shift register at once";
    p.out(RBR, 'b');
    EXPECT_FALSE(p.asserted());
    p.after(p.byte());
    EXPECT_TRUE(p.asserted());
    p.out(IER, 0);
    EXPECT_FALSE(p.asserted());
    p.out(IER, 2);
    EXPECT_TRUE(p.asserted());
}

TEST(Uart16550, WithFifosItTakesSixteenBytesAndInterruptsWhenTheLastOneLeavesForTheLine)
{
    Port p;
    p.out(IIR, 0x07);
    p.out(IER, 2);
    p.in(IIR);
    for (int n = 0; n < 18; n++)
        p.out(RBR, 'a' + n);
    EXPECT_FALSE(p.asserted());
    p.after(15 * p.byte());
    EXPECT_EQ("abcdefghijklmno", p.sent);
    EXPECT_FALSE(p.asserted());
    p.after(p.byte());
    EXPECT_TRUE(p.asserted());
    EXPECT_EQ(0xc2u, p.in(IIR));
    p.after(p.byte());
    EXPECT_EQ("abcdefghijklmnopq", p.sent)
        << "one in the shift register, sixteen behind it, and one lost";
}

TEST(Uart16550, ReceivedDataInterruptsUntilItIsRead)
{
    Port p;
    p.out(IER, 1);
    uart16550_receive(&p.chip, 'x');
    EXPECT_TRUE(p.asserted());
    EXPECT_EQ(4u, p.in(IIR));
    EXPECT_EQ(0x61u, p.in(LSR));
    EXPECT_EQ((unsigned)'x', p.in(RBR));
    EXPECT_FALSE(p.asserted());
    EXPECT_EQ(0x60u, p.in(LSR));
}

TEST(Uart16550, TheTriggerLevelHoldsTheInterruptBackAndATimeOutBringsIt)
{
    Port p;
    p.out(IIR, 0x81); /* 8 bytes */
    p.out(IER, 1);
    for (int n = 0; n < 7; n++)
        uart16550_receive(&p.chip, '0' + n);
    EXPECT_FALSE(p.asserted());
    p.after(4 * p.byte());
    EXPECT_TRUE(p.asserted());
    EXPECT_EQ(0xccu, p.in(IIR));
    EXPECT_EQ((unsigned)'0', p.in(RBR));
    EXPECT_FALSE(p.asserted()) << "reading starts the time anew";
    uart16550_receive(&p.chip, '7');
    uart16550_receive(&p.chip, '8');
    EXPECT_EQ(0xc4u, p.in(IIR)) << "eight are there";
    for (int n = 1; n < 9; n++)
        EXPECT_EQ((unsigned)'0' + n, p.in(RBR));
    p.after(9 * p.byte());
    EXPECT_FALSE(p.asserted()) << "nothing waits";
}

TEST(Uart16550, AnOverrunGoesFirstAndIsTakenBackByTheLineStatus)
{
    Port p;
    p.out(IER, 7);
    uart16550_receive(&p.chip, 'x');
    uart16550_receive(&p.chip, 'y');
    EXPECT_EQ(6u, p.in(IIR));
    EXPECT_EQ(0x63u, p.in(LSR));
    EXPECT_EQ(4u, p.in(IIR));
    EXPECT_EQ((unsigned)'y', p.in(RBR)) << "without a FIFO the new byte stays";
    EXPECT_EQ(2u, p.in(IIR)) << "and the empty THR is last";
    EXPECT_EQ(1u, p.in(IIR));
}

TEST(Uart16550, AFullFifoKeepsWhatItHas)
{
    Port p;
    p.out(IIR, 1);
    for (int n = 0; n < 17; n++)
        uart16550_receive(&p.chip, 'a' + n);
    EXPECT_EQ(0x63u, p.in(LSR));
    for (int n = 0; n < 16; n++)
        EXPECT_EQ((unsigned)'a' + n, p.in(RBR));
    EXPECT_EQ(0x60u, p.in(LSR));
}

TEST(Uart16550, TheFifosAreClearedOnRequestAndWhenTheyAreSwitched)
{
    Port p;
    p.out(IIR, 1);
    uart16550_receive(&p.chip, 'a');
    p.out(IIR, 3);
    EXPECT_EQ(0x60u, p.in(LSR));
    uart16550_receive(&p.chip, 'a');
    p.out(IIR, 0);
    EXPECT_EQ(0x60u, p.in(LSR));
    EXPECT_EQ(1u, p.in(IIR)) << "no FIFOs";
    p.out(RBR, 'a');
    p.out(RBR, 'b');
    p.out(IIR, 1);
    EXPECT_EQ(0x20u, p.in(LSR)) << "b is gone, a is on the line";
    p.after(3 * p.byte());
    EXPECT_EQ("a", p.sent);
}

TEST(Uart16550, ATransmitterThatIsClearedIsEmptyAndSaysSo)
{
    Port p;
    p.out(IIR, 1);
    p.out(IER, 2);
    p.out(RBR, 'a');
    p.out(RBR, 'b');
    EXPECT_FALSE(p.asserted());
    p.out(IIR, 5);
    EXPECT_TRUE(p.asserted());
    EXPECT_EQ(0x20u, p.in(LSR));
}

TEST(Uart16550, WithoutTheEnableBitTheOthersOfFcrDoNotCount)
{
    Port p;
    uart16550_receive(&p.chip, 'x');
    p.out(RBR, 'a');
    p.out(RBR, 'b');
    p.out(IIR, 0xc6);
    EXPECT_EQ(0x01u, p.in(LSR));
    p.after(2 * p.byte());
    EXPECT_EQ("ab", p.sent);
    EXPECT_EQ((unsigned)'x', p.in(RBR));
}

TEST(Uart16550, OnAPcOut2GatesTheLine)
{
    Port p;
    p.out(MCR, 0);
    p.out(IER, 2);
    EXPECT_FALSE(p.asserted());
    EXPECT_EQ(2u, p.in(IIR));
    p.out(IER, 0);
    p.out(IER, 2);
    p.out(MCR, 8);
    EXPECT_TRUE(p.asserted());
}

TEST(Uart16550, InLoopbackWhatIsSentIsReceived)
{
    Port p;
    p.out(MCR, 0x1b);
    p.out(IER, 1);
    p.out(RBR, 'z');
    p.after(p.byte());
    EXPECT_EQ("", p.sent);
    EXPECT_FALSE(p.asserted());
    EXPECT_EQ(4u, p.in(IIR));
    EXPECT_EQ((unsigned)'z', p.in(RBR));
}

/* on1_ide: KVM saw QEMU lower and raise line 4 for each byte that Linux wrote. */
TEST(Uart16550, InstantlyEachByteLowersTheLineAndRaisesItAgain)
{
    Port p(true);
    p.out(IER, 2);
    p.line.clear();
    for (char c : std::string("ok")) {
        p.out(RBR, (unsigned)c);
        p.after(0);
    }
    EXPECT_EQ("ok", p.sent);
    EXPECT_EQ((std::vector<bool>{false, true, false, true}), p.line);
}

} // namespace
