/* A trace whose records are kept, at a time that the test sets. */
#ifndef VIRQSIM_TESTS_RECORDER_H
#define VIRQSIM_TESTS_RECORDER_H

#include <vector>

#include "shim.h"

class Recorder : public trace_sink
{
  public:
    std::vector<trace_record> records;
    event_queue queue{};
    struct trace trace {
    };

    Recorder() : trace_sink{keep, nullptr}
    {
        trace.events = &queue;
        trace.sinks = this;
    }

    std::vector<trace_record> of(trace_event event) const
    {
        std::vector<trace_record> found;
        for (const trace_record &r : records)
            if (r.event == event)
                found.push_back(r);
        return found;
    }

  private:
    static void keep(trace_sink *self, const trace_record *record)
    {
        static_cast<Recorder *>(self)->records.push_back(*record);
    }
};
#endif
