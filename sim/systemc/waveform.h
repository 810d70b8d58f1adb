/*
 * A VCD file (IEEE 1364-2001 "Value change dump files") of the machine's probes.
 *
 * It is written here rather than by sc_trace(): the machine may run ahead of
 * SystemC, so the times are the machine's own; and the file holds no date, so
 * the same plan gives the same bytes.
 */
#ifndef VIRQSIM_SYSTEMC_WAVEFORM_H
#define VIRQSIM_SYSTEMC_WAVEFORM_H

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "virqsim.h"

/* Lives as long as the machine runs. */
class waveform
{
  public:
    /* Watches the probes whose names match a pattern (`*` is a wildcard); all when there is
       none. Throws std::runtime_error when a pattern matches nothing or the file cannot be
       made. */
    waveform(virqsim *sim, const std::string &path, const std::vector<std::string> &patterns);
    waveform(const waveform &) = delete;
    waveform &operator=(const waveform &) = delete;

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
    void changed(uint64_t now_ps);

    virqsim *sim_;
    std::string path_;
    std::ofstream file_;
    std::vector<probe> probes_;
    uint64_t time_ = 0;
};
#endif
