/* The names of the trace's vocabulary. */
#include "port/trace.h"

const char *trace_event_name(enum trace_event event)
{
    static const char *const names[] = {
#define EVENT(name, a, b, meaning) #name,
#include "port/trace_events.def"
#undef EVENT
    };

    return (unsigned)event < TRACE_EVENT_COUNT ? names[event] : "UNKNOWN";
}
