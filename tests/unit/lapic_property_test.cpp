/*
 * Properties that hold whatever happens to a local APIC: messages, pins, local
 * sources, the timer, software's writes, INIT, changes of mode. A run is a list
 * of operations from a fixed seed.
 */
#include <algorithm>
#include <map>
#include <random>

#include "unit/lapic_bench.h"

namespace
{

struct Operation {
    unsigned kind;
    uint32_t a, b;
};

std::vector<Operation> operations(unsigned seed, size_t count)
{
    std::mt19937 random(seed);
    std::vector<Operation> list(count);
    for (Operation &o : list)
        o = {(unsigned)(random() % 100), (uint32_t)random(), (uint32_t)random()};
    return list;
}

/* What the books need to know, and what must come out the same again. */
struct Counts {
    uint64_t acknowledged = 0, nmis = 0;
    std::vector<uint64_t> transcript;
};

class Properties : public LapicBench, public ::testing::WithParamInterface<unsigned>
{
  protected:
    Counts counts;

    Properties()
    {
        config.bootstrap = GetParam() % 2;
        config.p6 = GetParam() % 3 == 0;
        config.version = GetParam() % 4 == 0 ? 0x00050014 : 0;
        power_up();
        port.loop_back = nullptr;
    }

    std::vector<char> bytes() const
    {
        return {(const char *)&apic, (const char *)(&apic + 1)};
    }
    void note(uint64_t value)
    {
        counts.transcript.push_back(value);
    }

    /* ---- the operations ---- */

    void send(irq_msg msg)
    {
        msg.flow = trace_new_flow(&recorder.trace);
        note(accept(msg));
    }
    void message(uint32_t a, uint32_t b)
    {
        const irq_delivery modes[] = {IRQ_FIXED, IRQ_FIXED,   IRQ_FIXED, IRQ_LOWEST_PRIORITY,
                                      IRQ_NMI,   IRQ_STARTUP, IRQ_SMI,   IRQ_EXTINT};
        irq_msg msg = of_mode(modes[b % 8], (uint8_t)a);
        msg.level = b >> 8 & 1;
        send(msg);
    }
    /* Legal delivery modes mostly; sometimes masked; few vectors, so that they meet. */
    static uint32_t entry(uint32_t a, uint32_t b)
    {
        const uint32_t modes[] = {0, 0, 0, 0, IRQ_NMI, IRQ_SMI, IRQ_EXTINT, 3};
        return modes[b % 8] << 8 | (a & 0xe000) | (a % 8 ? 0 : LAPIC_LVT_MASKED) |
               (0x30 + (b >> 8 & 0x73));
    }
    /* Seldom disabled, or EXTD without EN; soon enabled again. */
    static uint64_t base_of(uint32_t a)
    {
        const uint64_t en = 0x800, extd = 0x400;
        return 0xfee00000 | (a % 16 ? en : 0) | (a % 8 == 1 ? extd : 0);
    }
    void store(uint16_t offset, uint32_t value)
    {
        if (apic.mode == LAPIC_MODE_X2APIC)
            note(wrmsr(lapic_msr(offset), value));
        else
            lapic_page_write(&apic, offset, 4, value, now);
    }
    void acknowledge()
    {
        const int pending = lapic_pending(&apic);
        const int top = vec_highest(&apic.regs.ISR);
        note((uint64_t)pending);
        if (pending == NO_VECTOR) {
            EXPECT_EQ(lapic_acknowledge(&apic), (uint8_t)apic.regs.SVR);
            return;
        }
        EXPECT_GT(pending >> 4, top == NO_VECTOR ? 0 : top >> 4) << "nesting";
        EXPECT_GT(pending >> 4, (int)apic.regs.TPR >> 4);
        EXPECT_EQ(pending, vec_highest(&apic.regs.IRR)) << "priority inversion";
        EXPECT_EQ(lapic_acknowledge(&apic), pending);
        EXPECT_EQ(vec_highest(&apic.regs.ISR), pending);
        counts.acknowledged++;
    }
    void finish()
    {
        const int top = vec_highest(&apic.regs.ISR);
        store(LAPIC_EOI, 0);
        if (top != NO_VECTOR && apic.mode != LAPIC_MODE_DISABLED) {
            EXPECT_FALSE(vec_has(&apic.regs.ISR, (unsigned)top));
        }
    }
    void pass_time(uint32_t a)
    {
        irq_msg msg;
        now.ps += a % 3000 * ns;
        for (int i = 0; i < 3 && lapic_timer_expired(&apic, now, &msg); i++)
            send(msg);
    }
    void timer(uint32_t a, uint32_t b)
    {
        store(LAPIC_LVT_TIMER, (a % 3) << 17 | 0x40 | (b & 0x3f));
        store(LAPIC_TIMER_DIVIDE, b >> 8 & 0xb);
        store(LAPIC_TIMER_INITIAL, b >> 12 & 0x3ff);
        lapic_set_tsc_deadline(&apic, now.ps / 500 + (b >> 20), now);
    }
    void start_up(uint32_t a)
    {
        uint8_t vector = 0;
        send(of_mode(IRQ_INIT));
        if (a & 1)
            send(of_mode(IRQ_STARTUP, (uint8_t)a));
        note(lapic_take_init(&apic));
        note(lapic_take_sipi(&apic, &vector));
        note(vector);
    }
    void take_others()
    {
        note(apic.nmi_pending);
        counts.nmis += apic.nmi_pending;
        apic.nmi_pending = false;
        note(lapic_extint(&apic));
        lapic_acknowledge_extint(&apic);
    }
    void read_everything()
    {
        const std::vector<char> before = bytes();
        for (unsigned offset = 0; offset < 0x400; offset += 0x10) {
            uint64_t value = 0;
            if (apic.mode == LAPIC_MODE_X2APIC)
                note(rdmsr(lapic_msr((uint16_t)offset), &value));
            else if (is_register(offset))
                value = lapic_page_read(&apic, (uint16_t)offset, 4, now);
            note(value);
        }
        note(lapic_ppr(&apic) | (uint64_t)lapic_apr(&apic) << 8);
        note((uint64_t)lapic_pending(&apic) << 1 | lapic_extint(&apic));
        EXPECT_EQ(bytes(), before);
    }
    /* Whatever may be read without ESR bit 7, the one thing that a read changes. */
    bool is_register(unsigned offset) const
    {
        if (offset == LAPIC_LVT_CMCI)
            return config.version == 0;
        return !(offset < 0x20 || (offset >= 0x40 && offset < 0x80) ||
                 (offset >= 0x290 && offset < 0x2f0) || (offset >= 0x3a0 && offset < 0x3e0) ||
                 offset == 0x3f0);
    }

    void run(const Operation &o)
    {
        choose(o);
        for (const irq_msg &msg : port.sent)
            if (msg.shorthand == IRQ_SELF)
                send(msg);
        port.sent.clear();
    }
    void choose(const Operation &o)
    {
        const uint32_t a = o.a, b = o.b;
        if (o.kind < 22)
            message(a, b);
        else if (o.kind < 40)
            acknowledge();
        else if (o.kind < 54)
            finish();
        else if (o.kind < 66)
            lapic_lint(&apic, a % 2, b % 2);
        else if (o.kind < 70)
            store(a % 3 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1, entry(a, b));
        else if (o.kind < 74)
            store(a % 2 ? LAPIC_LVT_PERF : LAPIC_LVT_THERMAL, entry(a & 0x7ff, b) & 0x107ff);
        else if (o.kind < 77)
            lapic_local_event(&apic, a % 2 ? LAPIC_LVT_PERF : LAPIC_LVT_CMCI);
        else if (o.kind < 82)
            pass_time(a);
        else if (o.kind < 84)
            timer(a, b);
        else if (o.kind < 87)
            store(LAPIC_TPR, a & b & 0xff);
        else if (o.kind < 89)
            store(LAPIC_ICR_LO, 0x44000 | (a & 0xff));
        else if (o.kind < 91)
            take_others();
        else if (o.kind < 93)
            read_everything();
        else if (o.kind < 95)
            store(LAPIC_ESR, 0), store(LAPIC_LVT_ERROR, b & 0xff);
        else if (o.kind < 98)
            store(LAPIC_SVR, a % 8 ? 0x1ef : 0xef);
        else if (o.kind < 99)
            note(lapic_set_base(&apic, base_of(a)));
        else
            start_up(a);
    }

    /* ---- what holds at every moment ---- */

    unsigned requests() const
    {
        unsigned n = 0;
        for (uint64_t word : apic.regs.IRR.word)
            n += (unsigned)__builtin_popcountll(word);
        return n;
    }

    /* Nobody's request has a flow, and somebody's is never forgotten. */
    void check_sets()
    {
        ASSERT_EQ((apic.regs.IRR.word[0] | apic.regs.ISR.word[0]) & 0xffff, 0u);
        for (unsigned v = 0; v < VECTORS; v++)
            ASSERT_EQ(vec_has(&apic.regs.IRR, v), apic.pending_flow[v] != 0) << v;
    }
    /* Remote IRR is 1 while a vector of the pin waits for its EOI, and only then. */
    void check_remote_irr()
    {
        const int16_t awaits = apic.pin[0].awaits;
        ASSERT_EQ(apic.pin[1].awaits, NO_VECTOR);
        ASSERT_EQ((apic.regs.LVT_LINT0 & LAPIC_LVT_REMOTE_IRR) != 0, awaits != NO_VECTOR);
        ASSERT_TRUE(awaits == NO_VECTOR || vec_has(&apic.regs.IRR, (unsigned)awaits) ||
                    vec_has(&apic.regs.ISR, (unsigned)awaits));
        const uint32_t lvt = apic.regs.LVT_LINT0;
        const bool is_level = (lvt & 0x700) == 0 && lvt & LAPIC_LVT_LEVEL;
        const bool asserted = apic.pin[0].level != !!(lvt & LAPIC_LVT_ACTIVE_LOW);
        ASSERT_TRUE(apic.mode == LAPIC_MODE_DISABLED || !is_level || !asserted ||
                    lvt & LAPIC_LVT_MASKED || awaits != NO_VECTOR)
            << "a level that nobody hears";
    }
    /* accepted = acknowledged + coalesced + pending + cleared by reset */
    void check_books()
    {
        std::map<trace_flow, uint64_t> held;
        uint64_t accepted = 0, coalesced = 0, cleared = 0;
        for (const trace_record &r : recorder.records) {
            accepted += (r.event == TRACE_PENDING || r.event == TRACE_COALESCED) &&
                        r.b == TRACE_HELD_IRR;
            coalesced += r.event == TRACE_COALESCED && r.b == TRACE_HELD_IRR;
            if (r.event == TRACE_PENDING)
                held[r.flow] = r.b;
            if (r.event == TRACE_REFUSED)
                cleared += held.count(r.flow) && held[r.flow] == TRACE_HELD_IRR;
        }
        ASSERT_EQ(accepted, counts.acknowledged + coalesced + requests() + cleared);
    }
};

TEST_P(Properties, EveryInvariantHoldsAfterEveryOperation)
{
    unsigned step = 0;
    for (const Operation &o : operations(GetParam(), 10000)) {
        run(o);
        check_sets();
        check_remote_irr();
        if (++step % 1000 == 0)
            check_books();
        ASSERT_FALSE(HasFailure()) << "step " << step << " of kind " << o.kind;
    }
    EXPECT_GT(counts.acknowledged, 300u);
}

/* Each flow has one end, and it has it once. */
TEST_P(Properties, EveryFlowIsTakenCoalescedOrRefused)
{
    for (const Operation &o : operations(GetParam() + 1000, 10000))
        run(o);
    std::map<trace_flow, std::vector<uint16_t>> lives;
    for (const trace_record &r : recorder.records)
        if (r.flow && r.event != TRACE_RAISED && r.event != TRACE_ROUTED)
            lives[r.flow].push_back(r.event);
    const std::vector<std::vector<uint16_t>> ends = {
        {TRACE_PENDING},                           /* waits, in service at an INIT, or an NMI */
        {TRACE_PENDING, TRACE_EOI, TRACE_RETIRED}, /* served */
        {TRACE_PENDING, TRACE_REFUSED},            /* cleared by a reset */
        {TRACE_COALESCED},
        {TRACE_REFUSED}};
    for (const auto &[flow, life] : lives)
        EXPECT_NE(std::find(ends.begin(), ends.end(), life), ends.end()) << "flow " << flow;
    for (const trace_record &r : recorder.of(TRACE_RAISED))
        EXPECT_TRUE(lives.count(r.flow)) << "flow " << r.flow << " has no end";
}

/* With its pin at rest and everything served, no Remote IRR is left. */
TEST_P(Properties, RemoteIrrIsNeverStuck)
{
    unsigned seen = 0;
    for (const Operation &o : operations(GetParam() + 2000, 10000)) {
        run(o);
        if (o.kind != 55 || apic.mode == LAPIC_MODE_DISABLED)
            continue;
        seen += apic.pin[0].awaits != NO_VECTOR;
        lapic_lint(&apic, 0, apic.regs.LVT_LINT0 & LAPIC_LVT_ACTIVE_LOW);
        apic.regs.TPR = 0;
        while (lapic_pending(&apic) != NO_VECTOR || !vec_empty(&apic.regs.ISR))
            lapic_pending(&apic) != NO_VECTOR ? acknowledge() : finish();
        ASSERT_EQ(apic.pin[0].awaits, NO_VECTOR);
        ASSERT_FALSE(apic.regs.LVT_LINT0 & LAPIC_LVT_REMOTE_IRR);
    }
    EXPECT_GT(seen, 0u);
}

/* Save, run on; restore, run on: the same answers and the same state. */
TEST_P(Properties, ARestoredStateHasTheSameFuture)
{
    const auto list = operations(GetParam() + 3000, 10000);
    for (size_t at = 0; at + 300 <= list.size(); at += 300) {
        for (size_t i = at; i < at + 100; i++)
            run(list[i]);
        const lapic saved = apic;
        const sim_time then = now;
        const trace_flow flows = recorder.trace.flows;
        counts.transcript.clear();
        for (size_t i = at + 100; i < at + 300; i++)
            run(list[i]);
        const std::vector<char> future = bytes();
        const Counts first = counts;

        lapic_restore(&apic, &saved);
        now = then;
        recorder.trace.flows = flows;
        counts.transcript.clear();
        for (size_t i = at + 100; i < at + 300; i++)
            run(list[i]);
        ASSERT_EQ(counts.transcript, first.transcript);
        ASSERT_EQ(bytes(), future);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Properties, ::testing::Range(1u, 13u));

} // namespace
