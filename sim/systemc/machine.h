/*
 * The machine as a SystemC module.
 *
 * One SC_METHOD lets the machine's own event queue run, and sleeps until its
 * next event. Alone in a simulation, the machine runs as if SystemC were not
 * there; beside other modules it never runs past their next activity, so what
 * they do to it (a rising interrupt line, an MSI) happens at their time.
 *
 * With a device bound to `memory` or `ports`, or an observer, the machine keeps
 * step with SystemC event by event, so the device is called at the very instant
 * of the guest's access and needs no temporal decoupling.
 *
 * A test bench that simulates for a given time calls run_for() rather than
 * sc_start(t): SystemC does not tell anybody where sc_start(t) will stop, and
 * a machine that finds itself alone runs to its end.
 */
#ifndef VIRQSIM_SYSTEMC_MACHINE_H
#define VIRQSIM_SYSTEMC_MACHINE_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <systemc>
#include <tlm>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include "virqsim.h"

class virqsim_machine : public sc_core::sc_module
{
  public:
    /*
     * What outside devices write to and debuggers look at.
     *
     * b_transport: a 32-bit write to FEExxxxxH is an MSI (SDM 3A "Message
     * Signalled Interrupts"). It is posted: it arrives after the annotated delay.
     * transport_dbg: a 32-bit read at FEE00000H + 1000H * vcpu + offset is that
     * register of that vCPU's local APIC.
     */
    tlm_utils::simple_target_socket_optional<virqsim_machine> messages;

    /*
     * Guest accesses to regions whose handler is `external`. Two address spaces,
     * two sockets: a device model written for either plugs in as it is. The delay
     * that b_transport returns is how long the device takes. What nobody answers
     * reads as ones.
     */
    tlm_utils::simple_initiator_socket_optional<virqsim_machine> memory, ports;

    /* The interrupt lines of the plan's devices, by number: a rising edge makes one act. */
    sc_core::sc_vector<sc_core::sc_in<bool>> lines;

    /* Notified when the run has ended, or broken a law, or was interrupted. */
    sc_core::sc_event finished;

    /* Throws std::runtime_error with one line when the plan is wrong. */
    virqsim_machine(sc_core::sc_module_name name, const std::string &plan_json);

    /* Calls `observer` after every event and every disturbance. The machine then keeps step with
       SystemC. To be asked for before the simulation starts. */
    void observe(std::function<void(uint64_t now_ps)> observer);

    /* Simulates for so long, its last instant left out, as sc_start(t) does. */
    void run_for(sc_core::sc_time duration);

    /* Ends the run at the next event boundary. May be called from a signal handler. */
    void interrupt();

    virqsim_state state() const;
    /* For the trace, the results and the probes; time is moved by the module alone. */
    virqsim *core();

  private:
    struct message {
        uint64_t address;
        uint32_t data;
    };
    struct closer {
        void operator()(virqsim *sim) const;
    };

    void start_of_simulation() override;
    void step();
    void lines_changed();
    void messages_arrive();

    void run(uint64_t until_ps, uint64_t budget);
    void run_this_instant(uint64_t now_ps);
    void run_ahead(uint64_t until_ps);
    void catch_up();
    void disturbed();
    bool resting() const;

    void receive(tlm::tlm_generic_payload &write, sc_core::sc_time &delay);
    unsigned inspect(tlm::tlm_generic_payload &read);
    uint64_t access(bool port, bool write, uint64_t address, unsigned size, uint64_t *value);
    static uint64_t access_from_core(void *self, bool port, bool write, uint64_t address,
                                     unsigned size, uint64_t *value);

    std::unique_ptr<virqsim, closer> sim_;
    virqsim_state state_ = VIRQSIM_RUNNING;
    std::function<void(uint64_t)> observer_;
    bool lockstep_ = false;
    bool inside_run_ = false;
    std::atomic<bool> interrupted_{false};
    std::vector<bool> levels_;
    std::multimap<sc_core::sc_time, message> on_their_way_;
    sc_core::sc_event arrival_, disturbance_, horizon_;
};
#endif
