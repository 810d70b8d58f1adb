/*
 * virqsim-systemc: runs one plan under SystemC and writes what came out.
 *
 * Exit status: 0 the run ended; 1 it is broken or came to a deadlock (the
 * results say by what); 2 something given was wrong, and nothing was written;
 * 130 it was interrupted, and what it had is written, marked partial.
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/program_options.hpp>
#include <systemc>

#include "machine.h"
#include "waveform.h"

namespace
{
namespace po = boost::program_options;

struct options {
    std::string plan, results, trace, vcd;
    std::vector<std::string> watch;
};

virqsim_machine *interruptible;

extern "C" void on_signal(int)
{
    interruptible->interrupt();
}

/* A file that has its name only once it is whole. */
class output
{
  public:
    /* Made at once, so that a place that cannot be written is refused before the run. */
    explicit output(std::string path) : path_(std::move(path)), temporary_(path_ + ".part")
    {
        if (wanted() && !std::ofstream(temporary_))
            throw std::runtime_error(path_ + ": cannot be written");
    }
    output(const output &) = delete;
    output &operator=(const output &) = delete;
    ~output()
    {
        std::remove(temporary_.c_str());
    }
    bool wanted() const
    {
        return !path_.empty();
    }
    const std::string &temporary() const
    {
        return temporary_;
    }
    void keep()
    {
        if (wanted() && std::rename(temporary_.c_str(), path_.c_str()) != 0)
            throw std::runtime_error(path_ + ": cannot be written");
    }

  private:
    std::string path_, temporary_;
};

/* False: help was asked for, and given. */
bool read_options(int argc, char *argv[], options &o)
{
    po::options_description known("virqsim-systemc runs a plan under SystemC");
    auto option = known.add_options();
    option("help", "show this text");
    option("plan", po::value(&o.plan)->required(), "the plan to run");
    option("results", po::value(&o.results)->required(), "where to write the results");
    option("trace", po::value(&o.trace), "where to keep the full trace");
    option("vcd", po::value(&o.vcd), "where to write a waveform");
    option("watch", po::value(&o.watch)->multitoken(),
           "names of probes for the waveform, * is a wildcard (all)");

    po::variables_map given;
    po::store(po::command_line_parser(argc, argv).options(known).positional({}).run(), given);
    if (given.count("help")) {
        std::cout << known;
        return false;
    }
    po::notify(given);
    if (!o.watch.empty() && o.vcd.empty())
        throw std::runtime_error("--watch needs --vcd, the file to write");
    return true;
}

std::string read_file(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error(path + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_results(virqsim *sim, const std::string &path)
{
    const std::unique_ptr<char, decltype(&virqsim_free)> json(virqsim_results(sim),
                                                              virqsim_free);
    std::ofstream file(path);
    file << json.get();
    file.close();
    if (!file)
        throw std::runtime_error(path + ": cannot be written");
}

/* The machine's lines need something to be bound to; nothing drives these. */
void simulate(virqsim_machine &machine)
{
    sc_core::sc_vector<sc_core::sc_signal<bool>> quiet("quiet", machine.lines.size());
    if (quiet.size() > 0) /* SystemC warns of binding nothing */
        machine.lines.bind(quiet);

    sc_core::sc_spawn_options when;
    when.spawn_method();
    when.dont_initialize();
    when.set_sensitivity(&machine.finished);
    sc_core::sc_spawn([] { sc_core::sc_stop(); }, "stop", &when);

    interruptible = &machine;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    /* That it was stopped is no news, and does not belong on standard output. */
    sc_core::sc_report_handler::set_actions("/OSCI/SystemC", sc_core::SC_DO_NOTHING);
    sc_core::sc_set_stop_mode(sc_core::SC_STOP_IMMEDIATE);
    sc_core::sc_start();
}

int run(const options &o)
{
    virqsim_machine machine("machine", read_file(o.plan));
    output results(o.results), trace(o.trace), vcd(o.vcd);
    std::unique_ptr<waveform> wave;
    virqsim_error error;

    if (vcd.wanted()) {
        wave = std::make_unique<waveform>(machine.core(), vcd.temporary(), o.watch);
        machine.observe([&wave](uint64_t now_ps) { wave->sample(now_ps); });
    }
    if (trace.wanted() &&
        !virqsim_trace_open(machine.core(), trace.temporary().c_str(), &error))
        throw std::runtime_error(error.message);

    simulate(machine);

    if (trace.wanted() && !virqsim_trace_close(machine.core(), &error))
        throw std::runtime_error(error.message);
    if (wave)
        wave->close(virqsim_now(machine.core()));
    write_results(machine.core(), results.temporary());
    trace.keep();
    vcd.keep();
    results.keep();

    switch (machine.state()) {
    case VIRQSIM_ENDED:
        return 0;
    case VIRQSIM_RUNNING:
        std::cerr << "virqsim-systemc: interrupted; the results are marked partial\n";
        return 130;
    case VIRQSIM_IDLE:
        std::cerr << "virqsim-systemc: a deadlock: programs wait and nothing can happen\n";
        return 1;
    case VIRQSIM_BROKEN:
        std::cerr << "virqsim-systemc: the run is broken; the results say by what\n";
        return 1;
    }
    return 1;
}
} // namespace

int sc_main(int argc, char *argv[])
{
    try {
        options o;
        return read_options(argc, argv, o) ? run(o) : 0;
    } catch (const std::exception &e) {
        std::cerr << e.what() << '\n';
        return 2;
    }
}

/* SystemC's library has a main() too, but that prints a banner first. */
int main(int argc, char *argv[])
{
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
