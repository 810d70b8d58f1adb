#include "waveform.h"

#include <algorithm>
#include <bitset>
#include <fnmatch.h>
#include <sstream>
#include <stdexcept>

namespace
{
/* Identifiers are the printable characters, as the digits of a number. */
std::string identifier(unsigned n)
{
    std::string id;
    do {
        id += static_cast<char>('!' + n % 94);
        n /= 94;
    } while (n);
    return id;
}

std::vector<std::string> split(const std::string &name)
{
    std::vector<std::string> parts;
    std::istringstream stream(name);
    for (std::string part; std::getline(stream, part, '.');)
        parts.push_back(part);
    return parts;
}
} // namespace

waveform::waveform(virqsim *sim, const std::string &path,
                   const std::vector<std::string> &patterns)
    : sim_(sim), path_(path)
{
    choose(patterns);
    file_.open(path);
    if (!file_)
        throw std::runtime_error(path + ": cannot be written");
    declare();
}

void waveform::choose(const std::vector<std::string> &patterns)
{
    std::vector<bool> used(patterns.size());
    char name[64];
    unsigned bits = 0;

    for (unsigned n = 0; virqsim_probe(sim_, n, name, sizeof name, &bits); n++) {
        bool wanted = patterns.empty();
        for (size_t i = 0; i < patterns.size(); i++)
            if (fnmatch(patterns[i].c_str(), name, 0) == 0)
                wanted = used[i] = true;
        if (wanted)
            probes_.push_back({n, bits, name, "", virqsim_probe_value(sim_, n)});
    }
    const auto unused = std::find(used.begin(), used.end(), false);
    if (unused != used.end()) {
        virqsim_probe(sim_, 0, name, sizeof name, &bits);
        throw std::runtime_error(
            "--watch: " + patterns[static_cast<size_t>(unused - used.begin())] +
            " names no probe; they have names such as " + name);
    }
}

/* The header: a scope for each part of a dotted name, then everybody's first value. */
void waveform::declare()
{
    std::vector<std::string> scope;

    file_ << "$timescale 1ps $end\n$scope module virqsim $end\n";
    std::sort(probes_.begin(), probes_.end(),
              [](const probe &a, const probe &b) { return a.name < b.name; });
    for (unsigned i = 0; i < probes_.size(); i++) {
        std::vector<std::string> parts = split(probes_[i].name);
        const std::string leaf = parts.back();
        parts.pop_back();
        probes_[i].id = identifier(i);
        if (parts != scope) {
            for (size_t n = 0; n < scope.size(); n++)
                file_ << "$upscope $end\n";
            for (const std::string &part : parts)
                file_ << "$scope module " << part << " $end\n";
            scope = parts;
        }
        file_ << "$var wire " << probes_[i].bits << ' ' << probes_[i].id << ' ' << leaf
              << " $end\n";
    }
    for (size_t n = 0; n < scope.size() + 1; n++)
        file_ << "$upscope $end\n";
    file_ << "$enddefinitions $end\n#0\n$dumpvars\n";
    for (const probe &p : probes_)
        put(p);
    file_ << "$end\n";
}

void waveform::put(const probe &p)
{
    if (p.bits == 1) {
        file_ << (p.shown & 1) << p.id << '\n';
        return;
    }
    const std::string digits = std::bitset<64>(p.shown).to_string();
    const size_t first = std::min(digits.find('1'), size_t{63});
    file_ << 'b' << digits.substr(first) << ' ' << p.id << '\n';
}

void waveform::sample(uint64_t now_ps)
{
    for (probe &p : probes_) {
        const uint64_t value = virqsim_probe_value(sim_, p.number);
        if (value == p.shown)
            continue;
        if (now_ps != time_) {
            file_ << '#' << now_ps << '\n';
            time_ = now_ps;
        }
        p.shown = value;
        put(p);
    }
}

void waveform::close(uint64_t now_ps)
{
    sample(now_ps);
    if (now_ps > time_)
        file_ << '#' << now_ps << '\n';
    file_.close();
    if (!file_)
        throw std::runtime_error(path_ + ": not all of it could be written");
}
