#include <vector>

#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"
#include "trace_file.h"

/*
 * A device that lives outside: a doorbell register, 3 ns away, that raises an
 * interrupt line 7 us after it was written, and a status register that counts.
 */
struct doorbell : sc_core::sc_module {
    tlm_utils::simple_target_socket<doorbell> registers{"registers"};
    sc_core::sc_out<bool> line{"line"};
    std::vector<sc_core::sc_time> rung;
    uint32_t reads = 0;

    explicit doorbell(sc_core::sc_module_name name) : sc_module(name)
    {
        registers.register_b_transport(this, &doorbell::access);
        SC_HAS_PROCESS(doorbell);
        SC_METHOD(move_line);
        sensitive << ready_;
        dont_initialize();
    }

  private:
    sc_core::sc_event ready_;

    void access(tlm::tlm_generic_payload &payload, sc_core::sc_time &delay)
    {
        EXPECT_EQ(delay, sc_core::SC_ZERO_TIME) << "called at the instant of the access";
        EXPECT_EQ(payload.get_data_length(), 4u);
        if (payload.is_write()) {
            EXPECT_EQ(payload.get_address(), 0xd0000000u);
            EXPECT_EQ(*reinterpret_cast<uint32_t *>(payload.get_data_ptr()), 42u);
            rung.push_back(sc_core::sc_time_stamp());
            ready_.notify(7, sc_core::SC_US);
        } else {
            *reinterpret_cast<uint32_t *>(payload.get_data_ptr()) = ++reads;
        }
        delay += sc_core::sc_time(3, sc_core::SC_NS);
        payload.set_response_status(tlm::TLM_OK_RESPONSE);
    }

    void move_line()
    {
        const bool rises = !line.read();
        line = rises;
        if (rises) /* and falls again after a microsecond */
            ready_.notify(1, sc_core::SC_US);
    }
};

TEST(SystemcHost, AnOutsideDeviceAnswersTheGuestAndInterruptsIt)
{
    std::string main;
    for (const char *wait : {"1", "2", "3"}) /* read, ring, and sleep until it answered */
        main += std::string(R"(["mmio_read",3489660932,4],["mmio_write",3489660928,4,42],)") +
                R"(["halt_until",0,)" + wait + "],";
    main.pop_back();
    const std::string json =
        plan("apicv", R"({"pin":0,"program":"main","handlers":{"51":"done"}})",
             R"("main":[)" + main + R"(],"done":[["word_add",0,1],["eoi"]])",
             R"({"name":"doorbell","kind":"msi","vcpu":0,"vector":51})",
             R"({"space":"mmio","first":3489660928,"last":3489665023,"handler":"external"})");
    virqsim_machine machine("machine", json);
    doorbell bell("bell");
    sc_core::sc_signal<bool> line("line");
    machine.memory.bind(bell.registers);
    machine.lines[0].bind(line);
    bell.line.bind(line);
    const scratch file("device.vqt");
    keep_trace(machine.core(), file.path);

    sc_core::sc_start(10, sc_core::SC_MS);

    EXPECT_EQ(machine.state(), VIRQSIM_ENDED);
    end_trace(machine.core());
    EXPECT_EQ(bell.reads, 3u);
    ASSERT_EQ(bell.rung.size(), 3u);
    const std::vector<record> raised = records_of(read_all(file.path), "RAISED");
    ASSERT_EQ(raised.size(), 3u);
    for (size_t n = 0; n < raised.size(); n++)
        EXPECT_EQ(raised[n].ps, bell.rung[n].value() + 7000000u)
            << "the line rose 7 us after the write";
}
