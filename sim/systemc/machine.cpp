#include "machine.h"

#include <cstring>
#include <stdexcept>
#include <utility>

using sc_core::sc_time;
using sc_core::SC_ZERO_TIME;

namespace
{
/* Events between two looks at the interrupt flag: a few milliseconds' worth. */
constexpr uint64_t SLICE = 1 << 16;
constexpr uint64_t NO_LIMIT = UINT64_MAX;

constexpr uint64_t APIC_BASE = 0xfee00000;
constexpr uint64_t APIC_PAGE = 0x1000;

/* The constructor insists on a resolution of 1 ps, so values are picoseconds. */
uint64_t now_ps()
{
    return sc_core::sc_time_stamp().value();
}

sc_time of_ps(uint64_t ps)
{
    return sc_time::from_value(ps);
}

virqsim *open_plan(const std::string &plan_json)
{
    if (sc_core::sc_get_time_resolution() != sc_time(1, sc_core::SC_PS))
        throw std::runtime_error("SystemC's time resolution must be 1 ps");
    virqsim_error error;
    virqsim *sim = virqsim_open(plan_json.data(), plan_json.size(), &error);
    if (!sim)
        throw std::runtime_error(error.message);
    return sim;
}

/* Driving a line low is no edge, so it tells whether the device is there and nothing else. */
unsigned count_devices(virqsim *sim)
{
    unsigned n = 0;
    while (virqsim_drive_line(sim, n, false))
        n++;
    return n;
}
} // namespace

void virqsim_machine::closer::operator()(virqsim *sim) const
{
    virqsim_close(sim);
}

virqsim_machine::virqsim_machine(sc_core::sc_module_name name, const std::string &plan_json)
    : sc_module(name), messages("messages"), memory("memory"), ports("ports"), lines("lines"),
      sim_(open_plan(plan_json))
{
    lines.init(count_devices(sim_.get()));
    levels_.resize(lines.size());
    messages.register_b_transport(this, &virqsim_machine::receive);
    messages.register_transport_dbg(this, &virqsim_machine::inspect);
    virqsim_set_external(sim_.get(), access_from_core, this);

    SC_HAS_PROCESS(virqsim_machine);
    SC_METHOD(step);
    SC_METHOD(lines_changed);
    for (auto &line : lines)
        sensitive << line;
    SC_METHOD(messages_arrive);
    sensitive << arrival_;
    dont_initialize();
}

void virqsim_machine::start_of_simulation()
{
    lockstep_ = memory.size() > 0 || ports.size() > 0 || observer_;
}

void virqsim_machine::observe(std::function<void(uint64_t now_ps)> observer)
{
    observer_ = std::move(observer);
}

void virqsim_machine::run_for(sc_time duration)
{
    horizon_.notify(duration);
    sc_core::sc_start(duration);
}

void virqsim_machine::interrupt()
{
    interrupted_ = true;
}

virqsim_state virqsim_machine::state() const
{
    return state_;
}

virqsim *virqsim_machine::core()
{
    return sim_.get();
}

/*
 * Runs the machine as far as SystemC allows, then sleeps until its next event or
 * until something from outside disturbs it.
 *
 * sc_time_to_pending_activity() is 0 while a delta cycle is pending: then others
 * may still act at this instant, and the machine's clock must not pass it.
 */
void virqsim_machine::step()
{
    const sc_time quiet = sc_core::sc_time_to_pending_activity();

    if (lockstep_ || quiet == SC_ZERO_TIME)
        run_this_instant(now_ps());
    else if (sc_core::sc_pending_activity())
        run_ahead(now_ps() + quiet.value());
    else
        run_ahead(VIRQSIM_NEVER);

    if (resting() || interrupted_) {
        finished.notify(SC_ZERO_TIME);
        return; /* nothing wakes this process any more: it has no static sensitivity */
    }
    const uint64_t next = virqsim_next(sim_.get());
    if (next == VIRQSIM_NEVER)
        next_trigger(disturbance_);
    else
        next_trigger(of_ps(next - now_ps()), disturbance_);
}

/* Over for good; an idle machine is not: the world outside may wake it. */
bool virqsim_machine::resting() const
{
    return state_ == VIRQSIM_ENDED || state_ == VIRQSIM_BROKEN;
}

void virqsim_machine::run(uint64_t until_ps, uint64_t budget)
{
    inside_run_ = true;
    state_ = virqsim_run(sim_.get(), until_ps, budget);
    inside_run_ = false;
    if (observer_)
        observer_(virqsim_now(sim_.get()));
}

/* One event at a time: a run with budget left over would move the machine's clock on. */
void virqsim_machine::run_this_instant(uint64_t now)
{
    while (!resting() && !interrupted_ && virqsim_next(sim_.get()) <= now)
        run(now + 1, 1);
}

void virqsim_machine::run_ahead(uint64_t until_ps)
{
    do
        run(until_ps, SLICE);
    while (state_ == VIRQSIM_RUNNING && !interrupted_ && virqsim_next(sim_.get()) < until_ps);
}

/* Moves the machine's clock to SystemC's, before something from outside happens to it. */
void virqsim_machine::catch_up()
{
    if (!inside_run_ && !resting() && virqsim_now(sim_.get()) < now_ps())
        run(now_ps(), NO_LIMIT);
}

/* Something from outside changed the machine: its next event may be another. */
void virqsim_machine::disturbed()
{
    disturbance_.notify();
    if (observer_)
        observer_(virqsim_now(sim_.get()));
}

void virqsim_machine::lines_changed()
{
    for (unsigned n = 0; n < lines.size(); n++) {
        if (lines[n].read() == levels_[n])
            continue;
        levels_[n] = lines[n].read();
        catch_up();
        virqsim_drive_line(sim_.get(), n, levels_[n]);
        disturbed();
    }
}

void virqsim_machine::receive(tlm::tlm_generic_payload &write, sc_time &delay)
{
    if (!write.is_write()) {
        write.set_response_status(tlm::TLM_COMMAND_ERROR_RESPONSE);
    } else if (write.get_data_length() != sizeof(uint32_t)) {
        write.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    } else if (write.get_byte_enable_ptr()) {
        write.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
    } else if (write.get_address() >> 20 != APIC_BASE >> 20) {
        write.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    } else {
        uint32_t data;
        std::memcpy(&data, write.get_data_ptr(), sizeof data);
        on_their_way_.emplace(sc_core::sc_time_stamp() + delay,
                              message{write.get_address(), data});
        write.set_response_status(tlm::TLM_OK_RESPONSE);
        messages_arrive();
    }
}

/* Delivers what is due and waits for the next: an sc_event remembers one time only. */
void virqsim_machine::messages_arrive()
{
    while (!on_their_way_.empty() && on_their_way_.begin()->first <= sc_core::sc_time_stamp()) {
        const message m = on_their_way_.begin()->second;
        on_their_way_.erase(on_their_way_.begin());
        catch_up();
        virqsim_msi(sim_.get(), m.address, m.data);
        disturbed();
    }
    if (!on_their_way_.empty())
        arrival_.notify(on_their_way_.begin()->first - sc_core::sc_time_stamp());
}

unsigned virqsim_machine::inspect(tlm::tlm_generic_payload &read)
{
    const uint64_t address = read.get_address();
    uint32_t value;

    if (!read.is_read() || read.get_data_length() != sizeof value || address < APIC_BASE)
        return 0;
    const uint64_t vcpu = (address - APIC_BASE) / APIC_PAGE;
    if (vcpu > UINT16_MAX ||
        !virqsim_apic_read(sim_.get(), static_cast<unsigned>(vcpu),
                           static_cast<uint16_t>(address % APIC_PAGE), &value))
        return 0;
    std::memcpy(read.get_data_ptr(), &value, sizeof value);
    return sizeof value;
}

uint64_t virqsim_machine::access(bool port, bool write, uint64_t address, unsigned size,
                                 uint64_t *value)
{
    auto &socket = port ? ports : memory;
    uint64_t data = write ? *value : 0;
    sc_time delay = SC_ZERO_TIME;
    tlm::tlm_generic_payload payload;

    payload.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    payload.set_address(address);
    payload.set_data_ptr(reinterpret_cast<unsigned char *>(&data));
    payload.set_data_length(size);
    payload.set_streaming_width(size);
    payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    if (socket.size() > 0)
        socket->b_transport(payload, delay);
    if (!write)
        *value = payload.is_response_ok() ? data : UINT64_MAX >> (64 - 8 * size);
    return delay.value();
}

uint64_t virqsim_machine::access_from_core(void *self, bool port, bool write, uint64_t address,
                                           unsigned size, uint64_t *value)
{
    return static_cast<virqsim_machine *>(self)->access(port, write, address, size, value);
}
