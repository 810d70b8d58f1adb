/* Reads back the trace that a run kept, as far as the SystemC host's tests look at it. */
#ifndef VIRQSIM_TESTS_SYSTEMC_TRACE_FILE_H
#define VIRQSIM_TESTS_SYSTEMC_TRACE_FILE_H

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

struct record {
    uint64_t ps;
    uint32_t flow;
    uint16_t event, where;
    uint64_t a, b;
};
static_assert(sizeof(record) == 32, "docs/results.md says 32");

/* The names of the header's events, in order. */
inline std::vector<std::string> event_names(const std::string &trace)
{
    const size_t end = trace.find("\"exit_reasons\"");
    std::vector<std::string> names;

    for (size_t at = trace.find("\"events\""); (at = trace.find("\"name\"", at)) < end;) {
        const size_t first = trace.find('"', trace.find(':', at)) + 1;
        names.push_back(trace.substr(first, trace.find('"', first) - first));
        at = first;
    }
    return names;
}

/* The records of one event. */
inline std::vector<record> records_of(const std::string &trace, const std::string &event)
{
    const std::vector<std::string> names = event_names(trace);
    std::vector<record> found;
    uint32_t length;

    std::memcpy(&length, &trace[8], sizeof length);
    for (size_t at = 12 + length; at + sizeof(record) <= trace.size(); at += sizeof(record)) {
        record r;
        std::memcpy(&r, &trace[at], sizeof r);
        if (names.at(r.event) == event)
            found.push_back(r);
    }
    return found;
}
#endif
