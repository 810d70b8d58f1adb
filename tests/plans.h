/* Machines for tests: a plan, opened and run through the C API. */
#ifndef VIRQSIM_TESTS_PLANS_H
#define VIRQSIM_TESTS_PLANS_H

#include <string>

#include <jansson.h>

#include "plan.h"
#include "shim.h"
#include "virqsim.h"

namespace plans
{

/* A machine that runs; destroyed with the test. */
class Machine
{
  public:
    explicit Machine(const Plan &plan) : Machine(plan.json())
    {
    }
    explicit Machine(const std::string &json)
        : sim_(virqsim_open(json.data(), json.size(), &error_))
    {
    }
    ~Machine()
    {
        json_decref(results_);
        virqsim_close(sim_);
    }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;

    std::string error() const
    {
        return sim_ ? "" : error_.message;
    }
    virqsim *sim()
    {
        return sim_;
    }
    virqsim_state run(uint64_t until_ps = VIRQSIM_NEVER, uint64_t budget = 2000000)
    {
        return virqsim_run(sim_, until_ps, budget);
    }
    std::string text()
    {
        char *s = virqsim_results(sim_);
        std::string copy(s);
        virqsim_free(s);
        return copy;
    }
    json_t *results()
    {
        json_decref(results_);
        results_ = json_loads(text().c_str(), 0, nullptr);
        return results_;
    }
    /* Exits of one vCPU by reason and cause; "" stands for any. */
    uint64_t exits(int vcpu, const std::string &reason = "", const std::string &cause = "")
    {
        return counted("exits", vcpu, reason, cause);
    }
    /* ... and returns of KVM_RUN. */
    uint64_t userspace_exits(int vcpu, const std::string &reason = "",
                             const std::string &cause = "")
    {
        return counted("userspace_exits", vcpu, reason, cause);
    }
    /* A number of the intervals between two stamps of one vCPU: "count", "sum_cycles". */
    uint64_t stamps(int vcpu, int id, const char *what)
    {
        size_t i;
        json_t *s;
        json_array_foreach(json_object_get(results(), "stamps"), i, s)
        {
            if (json_integer_value(json_object_get(s, "vcpu")) == vcpu &&
                json_integer_value(json_object_get(s, "id")) == id)
                return (uint64_t)json_integer_value(json_object_get(s, what));
        }
        return 0;
    }
    /* A number of the latencies of one source: "count", "p50_ps", "max_ps". */
    uint64_t latency(const std::string &source, const char *what)
    {
        size_t i;
        json_t *l;
        json_array_foreach(json_object_get(results(), "latency"), i, l)
        {
            if (source == json_string_value(json_object_get(l, "source")))
                return (uint64_t)json_integer_value(json_object_get(l, what));
        }
        return 0;
    }

    /* Of host thread `index`: how long it was in a state, in picoseconds; and its items. */
    uint64_t thread_ps(size_t index, const char *state)
    {
        return (uint64_t)json_integer_value(json_object_get(
            json_object_get(json_array_get(json_object_get(results(), "threads"), index),
                            "states_ps"),
            state));
    }
    uint64_t thread_items(size_t index)
    {
        return (uint64_t)json_integer_value(json_object_get(
            json_array_get(json_object_get(results(), "threads"), index), "items"));
    }
    uint64_t vcpu_ps(size_t index, const char *state)
    {
        return (uint64_t)json_integer_value(json_object_get(
            json_object_get(json_array_get(json_object_get(results(), "vcpus"), index),
                            "states_ps"),
            state));
    }
    uint64_t number(const char *what)
    {
        return (uint64_t)json_integer_value(json_object_get(results(), what));
    }

  private:
    uint64_t counted(const char *table, int vcpu, const std::string &reason,
                     const std::string &cause)
    {
        uint64_t n = 0;
        size_t i;
        json_t *e;
        json_array_foreach(json_object_get(results(), table), i, e)
        {
            const bool same =
                json_integer_value(json_object_get(e, "vcpu")) == vcpu &&
                (reason.empty() || reason == json_string_value(json_object_get(e, "reason"))) &&
                (cause.empty() || cause == json_string_value(json_object_get(e, "cause")));
            n += same ? (uint64_t)json_integer_value(json_object_get(e, "count")) : 0;
        }
        return n;
    }

    virqsim_error error_{};
    virqsim *sim_;
    json_t *results_ = nullptr;
};

} // namespace plans
#endif
