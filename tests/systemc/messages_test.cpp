#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"

/* Writes MSIs, and looks into the APIC page by debug transport. */
struct bench : sc_core::sc_module {
    tlm_utils::simple_initiator_socket<bench> socket{"socket"};

    explicit bench(sc_core::sc_module_name name) : sc_module(name)
    {
    }

    tlm::tlm_response_status write(uint64_t address, uint32_t data, double delay_ns)
    {
        tlm::tlm_generic_payload payload;
        fill(payload, tlm::TLM_WRITE_COMMAND, address, &data);
        sc_core::sc_time delay(delay_ns, sc_core::SC_NS);
        socket->b_transport(payload, delay);
        return payload.get_response_status();
    }

    unsigned look(uint64_t address, uint32_t &value)
    {
        tlm::tlm_generic_payload payload;
        fill(payload, tlm::TLM_READ_COMMAND, address, &value);
        return socket->transport_dbg(payload);
    }

  private:
    static void fill(tlm::tlm_generic_payload &payload, tlm::tlm_command command,
                     uint64_t address, uint32_t *data)
    {
        payload.set_command(command);
        payload.set_address(address);
        payload.set_data_ptr(reinterpret_cast<unsigned char *>(data));
        payload.set_data_length(sizeof *data);
        payload.set_streaming_width(sizeof *data);
    }
};

TEST(SystemcHost, AnMsiWrittenToTheTargetSocketArrivesAfterItsAnnotatedDelay)
{
    const std::string json =
        plan("none", R"({"pin":0,"program":"main","handlers":{"60":"a","61":"a"}})",
             R"("main":[["halt_until",0,2]],"a":[["word_add",0,1],["eoi"]])");
    virqsim_machine machine("machine", json);
    bench outside("outside");
    outside.socket.bind(machine.messages);

    machine.run_for(sc_core::sc_time(1, sc_core::SC_MS));
    EXPECT_EQ(machine.state(), VIRQSIM_IDLE) << "the guest waits for an interrupt";
    EXPECT_EQ(outside.write(0xfee00000, 61, 500), tlm::TLM_OK_RESPONSE);
    EXPECT_EQ(outside.write(0xfee00000, 60, 0), tlm::TLM_OK_RESPONSE);
    EXPECT_EQ(outside.write(0xfed00000, 60, 0), tlm::TLM_ADDRESS_ERROR_RESPONSE);

    uint32_t pending = 0;
    EXPECT_EQ(outside.look(0xfee00210, pending), 4u); /* IRR, vectors 32 to 63 */
    EXPECT_EQ(pending, 1u << (60 - 32));
    EXPECT_EQ(outside.look(0xfee01210, pending), 0u) << "there is no vCPU 1";

    machine.run_for(sc_core::sc_time(1, sc_core::SC_MS));
    EXPECT_EQ(machine.state(), VIRQSIM_ENDED) << "both were taken";
}
