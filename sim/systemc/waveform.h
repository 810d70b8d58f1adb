/*
 * A VCD file (IEEE 1364-2001 "Value change dump files") of the machine's probes.
 *
 * It is written here rather than by sc_trace(): the probes are the core's, no
 * signals of SystemC; and the file holds no date, so the same plan gives the
 * same bytes.
 */
#ifndef VIRQSIM_SYSTEMC_WAVEFORM_H
#define VIRQSIM_SYSTEMC_WAVEFORM_H

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "virqsim.h"

class waveform
{
  public:
    /* Watches the probes whose names match a pattern (`*` is a wildcard); all when there is
       none. Throws std::runtime_error when a pattern matches nothing or the file cannot be
       made. */
    waveform(virqsim *sim, const std::string &path, const std::vector<std::string> &patterns);
    waveform(const waveform &) = delete;
    waveform &operator=(const waveform &) = delete;

    /* Writes what changed since the last time. */
    void sample(uint64_t now_ps);

    /* Ends the file, once the machine rests; throws std::runtime_error when not all of it could
       be written. */
    void close(uint64_t now_ps);

  private:
    struct probe {
        unsigned number;
        unsigned bits;
        std::string name, id;
        uint64_t shown;
    };

    void choose(const std::vector<std::string> &patterns);
    void declare();
    void put(const probe &p);

    virqsim *sim_;
    std::string path_;
    std::ofstream file_;
    std::vector<probe> probes_;
    uint64_t time_ = 0;
};
#endif
