/* A function's interrupts on the bench: what it sends is kept. */
#ifndef VIRQSIM_TESTS_MSI_BENCH_H
#define VIRQSIM_TESTS_MSI_BENCH_H

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "shim.h"

struct Sent {
    unsigned n;
    uint64_t address;
    uint32_t data;

    bool operator==(const Sent &other) const
    {
        return n == other.n && address == other.address && data == other.data;
    }
};

class MsiPort : public msi_port
{
  public:
    std::vector<Sent> sent;
    std::function<void(const Sent &)> heard = [](const Sent &) {};

    MsiPort() : msi_port{keep}
    {
    }

    /* The numbers of the messages since the last look. */
    std::vector<unsigned> take()
    {
        std::vector<unsigned> numbers;
        for (const Sent &s : sent)
            numbers.push_back(s.n);
        sent.clear();
        return numbers;
    }

  private:
    static void keep(msi_port *self, unsigned n, msi_message write)
    {
        MsiPort *port = static_cast<MsiPort *>(self);
        port->sent.push_back({n, write.address, write.data});
        port->heard(port->sent.back());
    }
};

using Numbers = std::vector<unsigned>;
#endif
