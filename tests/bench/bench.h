/* One measurement: `PROGRAM WORKLOAD SIZE EVENTS` prints one line of JSON. */
#ifndef VIRQSIM_BENCH_BENCH_H
#define VIRQSIM_BENCH_BENCH_H

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "workload.h"

/* What is timed. callgrind is told to count inside this function only. */
template <class K> __attribute__((noinline)) void run_measured(K &kernel, uint64_t until)
{
    kernel.run(until);
}

template <class K, class Workload>
int measure(const char *workload, unsigned size, double events)
{
    K kernel(Workload::slots(size));
    Workload work(kernel, size);
    const uint64_t span = Workload::span(size, events), warm = span / 8;

    kernel.run(warm);
    const Outcome before = work.outcome();
    const auto start = std::chrono::steady_clock::now();
    run_measured(kernel, warm + span);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const Outcome after = work.outcome();

    std::printf("{\"kernel\": \"%s\", \"workload\": \"%s\", \"size\": %u, \"events\": %llu, "
                "\"seconds\": %.9f, \"checksum\": \"%016llx\"}\n",
                K::name, workload, size,
                static_cast<unsigned long long>(after.events - before.events), seconds.count(),
                static_cast<unsigned long long>(after.checksum));
    return 0;
}

template <class K> int bench_main(int argc, char **argv)
{
    if (argc == 4) {
        const char *workload = argv[1];
        const unsigned size = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
        const double events = std::strtod(argv[3], nullptr);

        if (!std::strcmp(workload, "phold"))
            return measure<K, Phold<K>>(workload, size, events);
        if (!std::strcmp(workload, "ping_pong"))
            return measure<K, PingPong<K, false>>(workload, size, events);
        if (!std::strcmp(workload, "ping_pong_timer"))
            return measure<K, PingPong<K, true>>(workload, size, events);
    }
    std::fprintf(stderr, "usage: %s phold|ping_pong|ping_pong_timer SIZE EVENTS\n", argv[0]);
    return 2;
}

#endif
