/*
 * A binary heap, as most simulators have it. An event that is moved leaves its
 * old entry behind, and the entry is dropped when it comes to the top.
 */
#include "bench.h"

struct Heap {
    static constexpr const char *name = "heap";

    struct Event {
        void (*fire)(Event &);
        uint64_t armed; /* the serial number of the entry that counts */
    };

    explicit Heap(unsigned slots)
    {
        entries.reserve(2 * slots);
    }

    template <void (*fire)(Event &)> void add(Event &e)
    {
        e = {fire, 0};
    }
    void arm(Event &e, uint64_t delay)
    {
        e.armed = ++serial;
        push({time + delay, serial, &e});
    }
    void move(Event &e, uint64_t delay)
    {
        arm(e, delay);
    }
    uint64_t now() const
    {
        return time;
    }
    void run(uint64_t until)
    {
        while (!entries.empty() && entries[0].at < until) {
            const Entry first = pop();
            if (first.event->armed != first.serial)
                continue;
            time = first.at;
            first.event->armed = 0;
            first.event->fire(*first.event);
        }
        time = until;
    }

  private:
    struct Entry {
        uint64_t at, serial;
        Event *event;

        bool operator<(const Entry &o) const
        {
            return at != o.at ? at < o.at : serial < o.serial;
        }
    };

    void push(const Entry &entry)
    {
        size_t hole = entries.size();

        entries.push_back(entry);
        for (; hole > 0 && entry < entries[(hole - 1) / 2]; hole = (hole - 1) / 2)
            entries[hole] = entries[(hole - 1) / 2];
        entries[hole] = entry;
    }
    Entry pop()
    {
        const Entry first = entries[0], last = entries.back();
        size_t hole = 0;

        entries.pop_back();
        const size_t size = entries.size();
        if (size == 0)
            return first;
        for (size_t child; (child = 2 * hole + 1) < size; hole = child) {
            if (child + 1 < size && entries[child + 1] < entries[child])
                child++;
            if (!(entries[child] < last))
                break;
            entries[hole] = entries[child];
        }
        entries[hole] = last;
        return first;
    }

    std::vector<Entry> entries;
    uint64_t time = 0, serial = 0;
};

int main(int argc, char **argv)
{
    return bench_main<Heap>(argc, argv);
}
