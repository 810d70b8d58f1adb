/* Random plans, each from a seed: machines and guests that do a little of everything. */
#ifndef VIRQSIM_TESTS_RANDOM_PLAN_H
#define VIRQSIM_TESTS_RANDOM_PLAN_H

#include "plan.h"
#include "random_feature.h"

namespace plans
{

/* Where devices have their entries of an MSI-X table; those of plans that may have one. */
const unsigned TABLES = 0x5000, ENTRY = 16;

inline std::string table_of(const Plan &p, unsigned entry)
{
    const bool direct =
        p.technology == "eli" || p.technology == "direct" || p.technology == "did";

    return direct || p.guest_apic == "none"
               ? ""
               : ",\"table\":" + std::to_string(TABLES + entry * ENTRY);
}

/* Masked, another message, unmasked; sometimes to nobody, sometimes not all of it. */
inline std::string move_entry(Draw &d, unsigned vcpus)
{
    const unsigned entry = TABLES + (unsigned)d.below(2) * ENTRY;
    const unsigned dest = (unsigned)(d.chance(10) ? 99 : d.below(vcpus));
    const auto store = [entry](unsigned offset, uint64_t value) {
        return "[\"mmio_write\"," + std::to_string(entry + offset) + ",4," +
               std::to_string(value) + "]";
    };
    const std::string message =
        store(0, 0xfee00000 | dest << 12) + "," + store(8, 32 + d.below(6) * 23);

    return (d.chance(90) ? store(12, 1) + "," : "") + message +
           (d.chance(90) ? "," + store(12, 0) : "");
}

inline std::string operation(Draw &d, unsigned vcpus, bool handler)
{
    const std::string vector = std::to_string(32 + d.below(6) * 23);
    const std::string dest = std::to_string(d.below(vcpus));
    switch (d.below(handler ? 15 : 24)) {
    case 0:
    case 1:
        return "[\"compute\"," + std::to_string(d.below(5000)) + "]";
    case 2:
        return "[\"compute_uniform\",10," + std::to_string(10 + d.below(9000)) + "]";
    case 3:
    case 4:
        return "[\"ipi\"," + vector + "," + dest + "]";
    case 5: {
        const unsigned shorthand = (1 + (unsigned)d.below(3)) << 18;
        const unsigned mode = (unsigned)d.of<unsigned>({0, 0, 0, 4, 5}) << 8;
        const std::string ipi =
            "[\"ipi\"," + std::to_string(shorthand | mode | (32 + d.below(6) * 23)) + ",0]";
        if (mode != 5 << 8 || d.chance(10)) /* after INIT a SIPI, as a rule */
            return ipi;
        return ipi + ",[\"compute\"," + std::to_string(d.below(9000)) + "],[\"ipi\"," +
               std::to_string(shorthand | 6 << 8 | d.below(256)) + ",0]";
    }
    case 6:
        return "[\"ipi\"," + std::to_string((1u << 11) | (32 + d.below(200))) + "," +
               std::to_string(1 << d.below(4)) + "]";
    case 7:
        return "[\"self_ipi\"," + vector + "]";
    case 8:
        return "[\"tpr\"," + std::to_string(d.below(4) * 32) +
               "],[\"compute\",300],[\"tpr\",0]";
    case 9:
        return "[\"cr8\"," + std::to_string(d.below(6)) +
               "],[\"cr8_read\"],[\"compute\",300],[\"cr8\",0]";
    case 10:
        if (d.chance(20))
            return "[\"apic_write\",800,327728]"; /* a TSC deadline, masked */
        return "[\"timer_mode\",48," + std::to_string(d.of<unsigned>({0, 1, 2, 2, 2, 3})) + "]";
    case 11:
        return "[\"tsc_deadline\"," + std::to_string(d.below(30000)) + "]";
    case 12:
        return "[\"timer_count\"," + std::to_string(d.below(2000)) + "," +
               std::to_string(1 << d.below(4)) + "]";
    case 13:
        return "[\"port_out\",128,1,0],[\"mmio_read\",4096,4],[\"cpuid\"]";
    case 14:
        return "[\"signal\"," + std::to_string(d.below(8)) +
               "],[\"word_add\",0,1],[\"word_read\",1],[\"spin_until\",0,1]";
    case 15:
        return "[\"mask\"],[\"compute\"," + std::to_string(d.below(3000)) + "],[\"unmask\"]";
    case 16:
        return "[\"unmask_halt\"]";
    case 17:
        return "[\"host_interrupt\"],[\"delivery_fault\"]";
    case 18: /* as spin_lock_irqsave() has it; or interruptible */
        return d.chance(50)
                   ? "[\"mask\"],[\"lock\",0],[\"compute\",700],[\"unlock\",0],[\"unmask\"]"
                   : "[\"lock\",2],[\"compute\",2000],[\"unlock\",2]";
    case 19:
        return "[\"word_add\",4,1],[\"pause_take\",4,1],[\"pause\"],[\"pause\"]";
    case 20:
        return "[\"word_add\",5,2],[\"mwait_take\",5,1],[\"mwait\",6," +
               std::to_string(d.below(3)) + "],[\"word_add\",6,1]";
    case 21:
        return "[\"pv_yield\",0," + std::to_string(vcpus) + "]";
    case 22:
        return move_entry(d, vcpus);
    default:
        return "[\"hypercall\"],[\"apic_read\",48],[\"pv_ipi\"," + vector + ",0," +
               std::to_string(vcpus) + "]";
    }
}

inline std::string program(Draw &d, unsigned vcpus, bool handler)
{
    std::string s;
    const uint64_t length = handler ? d.below(3) : 20 + d.below(60);

    if (handler && d.chance(30))
        s = "[\"eoi\"]," +
            (d.chance(50) ? std::string("[\"tpr\",240],[\"unmask\"],") : std::string());
    for (uint64_t i = 0; i < length; i++)
        s += operation(d, vcpus, handler) + ",";
    if (handler)
        return s + "[\"mask\"],[\"eoi\"],[\"tpr\",0]";
    return "[\"repeat\"," + std::to_string(1 + d.below(5)) + "]," + s +
           "[\"compute\",10],[\"end\"]";
}

inline bool on_svm(const Plan &p)
{
    return p.technology == "svm" || p.technology.find("avic") != std::string::npos;
}

inline void choose_features(Draw &d, Plan &p)
{
    static const std::vector<std::string> free_ones = {"hlt-in-guest", "pause-in-guest",
                                                       "fastpath", "pv-eoi"};
    for (const auto &f : free_ones)
        if (d.chance(25))
            p.features[f] = d.chance(50);
    const bool direct =
        p.technology == "eli" || p.technology == "direct" || p.technology == "did";
    const bool vmx = p.technology == "none" || p.technology == "apicv" ||
                     p.technology == "ipiv" || p.technology == "uintr" ||
                     p.technology == "vtd-pi" || p.technology == "apic-timer" || direct;
    if (vmx && d.chance(30))
        p.features["preemption-timer"] = false;
    const bool posts = vmx && !direct && p.technology != "none";
    p.features["timer-advance"] = d.chance(40);
    p.timer_advance_ns = d.chance(50) ? 0 : d.below(8000);
    const bool avic = p.technology.find("avic") != std::string::npos;
    if ((posts || avic) && d.chance(25))
        p.features["timer-posting"] = p.features["hlt-in-guest"] = true;
    if (direct)
        p.features["direct-eoi"] = d.chance(80);
    if (p.technology == "did" && d.chance(60))
        p.features["direct-ipi"] = true;
    if (p.technology == "vtd-pi" || p.technology == "apicv")
        p.features["ipi-passthrough"] = d.chance(40);
    if (on_svm(p))
        p.features["vnmi"] = p.features["vgif"] = d.chance(50);
    if (avic)
        p.features["erratum-1235"] = d.chance(30);
    const bool needs_posting = p.features["timer-posting"] || p.features["ipi-passthrough"];
    if (p.technology == "apicv" && !needs_posting && d.chance(30))
        p.features["posted-interrupts"] = false;
    if (p.technology == "none" && d.chance(30))
        p.features["apic-access-page"] = false;
    if (p.features.count("apic-access-page"))
        p.features["apic-page-slot"] = d.chance(50);
}

/* What the guest waits with: after the other features, which it must agree with. */
inline void choose_waiting(Draw &d, Plan &p)
{
    const bool amd = on_svm(p);
    const auto is = [&p](const char *f, bool on) {
        return p.features.count(f) && p.features[f] == on;
    };
    p.features["mwait-in-guest"] = d.chance(50);
    p.features["pv-sched-yield"] = d.chance(50);
    p.features["guest-halt-poll"] = p.seed % 4 == 1;
    if (!is("hlt-in-guest", true) && p.technology != "direct") {
        p.features["pv-unhalt"] = d.chance(50);
        if (amd)
            p.features["idle-hlt"] = d.chance(50);
    }
    if (is("pause-in-guest", false) || d.chance(40))
        return;
    p.features[amd ? "pause-filter" : "pause-loop-exiting"] = true;
    p.pause_loop = "{\"gap\":" + std::to_string(d.below(3000)) +
                   ",\"window\":" + std::to_string(1 + d.below(2000)) +
                   ",\"grow\":" + std::to_string(d.below(4)) +
                   ",\"shrink\":" + std::to_string(d.below(3)) + "}";
}

/* Accesses to the 8259A pair and the I/O APIC that make interrupts flow more often than not. */
inline std::string chipset_access(Draw &d, unsigned vcpus)
{
    const auto out = [](unsigned port, uint64_t value) {
        return "[\"port_out\"," + std::to_string(port) + ",1," + std::to_string(value) + "]";
    };
    switch (d.below(6)) {
    case 0:
        return out(0x20, 0x11) + "," + out(0x21, 64) + "," + out(0x21, 4) + "," + out(0x21, 1) +
               "," + out(0xa0, 0x11) + "," + out(0xa1, 72) + "," + out(0xa1, 2) + "," +
               out(0xa1, 1) + ",[\"apic_write\",848,1792]";
    case 1:
        return out(d.chance(50) ? 0x20 : 0xa0,
                   d.of<uint64_t>({0x20, 0x60 + d.below(8), 0x0c, d.below(256)}));
    case 2:
        return out(d.chance(50) ? 0x21 : 0xa1, d.below(256)) + ",[\"port_in\",33,1]";
    case 3:
        return out(d.chance(50) ? 0x4d0 : 0x4d1, d.below(256));
    case 4: {
        const uint64_t low = (32 + d.below(200)) | d.of<uint64_t>({0, 0, 0, 1, 4, 7}) << 8 |
                             (d.chance(50) ? 1u << 15 : 0) | (d.chance(20) ? 1u << 16 : 0);
        const auto write = [](uint64_t reg, uint64_t value) {
            return "[\"mmio_write\",4273995776,4," + std::to_string(reg) +
                   "],[\"mmio_write\",4273995792,4," + std::to_string(value) + "]";
        };
        const uint64_t pin = d.of<uint64_t>({0, 2, 5, 9, 17, 20});
        return write(0x11 + 2 * pin, d.below(vcpus) << 24) + "," + write(0x10 + 2 * pin, low);
    }
    default:
        return "[\"lower\"," + std::to_string(4 + d.below(3)) + "]";
    }
}

/* Three devices with lines, and programs that meddle with the controllers. Without a chipset the
   devices are messages, so that every plan has as many. */
inline void add_chipset(Draw &d, Plan &p)
{
    const bool has = d.chance(60);
    const unsigned vcpus = (unsigned)p.vcpus.size();

    for (unsigned gsi : {0u, 9u, 20u})
        p.devices +=
            has ? ",{\"name\":\"l\",\"kind\":\"line\",\"gsi\":" + std::to_string(gsi) +
                      ",\"pulse_ns\":" + std::to_string(d.chance(50) ? d.below(5000) : 0) +
                      ",\"at_ns\":[3000,20000," + std::to_string(30000 + d.below(90000)) + "]}"
                : ",{\"name\":\"m\",\"kind\":\"msi\",\"vcpu\":0,\"vector\":220}";
    if (!has)
        return;
    p.chipset = d.chance(50) ? "{\"ioapic\":\"82093aa\"}" : "{\"ioapic\":\"ich9\"}";
    for (auto &[name, operations] : p.programs) {
        std::string more;
        for (uint64_t i = name[0] == 'h' ? d.below(3) : 6 + d.below(10); i; i--)
            more += chipset_access(d, vcpus) + ",";
        operations = more + operations;
    }
}

/* Something goes wrong, at times that a run comes to. */
inline void add_faults(Draw &d, Plan &p)
{
    const bool fixed = p.technology == "eli" || p.technology == "direct" ||
                       p.technology == "did" || p.housekeeping_cpu >= 0;
    const std::string vcpu = std::to_string(d.below(p.vcpus.size()));
    std::vector<std::string> faults = {
        R"("storm","for_ns":20000,"every_ns":300,"device":0)",
        R"("storm","for_ns":20000,"every_ns":700,"device":4)",
        R"("masked-msi","for_ns":30000,"device":0)",
        R"("absent-vcpu","vector":50,"apic_id":)" + std::to_string(p.vcpus.size()),
        R"("off-cpu","for_ns":300000,"vcpu":)" + vcpu,
        R"("stall","for_ns":20000,"thread":0)",
    };
    if (!p.chipset.empty())
        faults.push_back(R"("stuck-line","for_ns":60000,"gsi":5)");
    if (!fixed)
        faults.push_back(R"("moved","vcpu":)" + vcpu +
                         ",\"cpu\":" + std::to_string(d.below(p.physical_cpus)));
    for (const std::string &fault : faults) {
        const std::string at = std::to_string(d.below(150000));
        if (d.chance(20) && (fault.find("stall") == std::string::npos || !p.threads.empty()))
            p.faults += (p.faults.empty() ? "{\"kind\":" : ",{\"kind\":") + fault +
                        ",\"at_ns\":" + at + "}";
    }
    p.watchdog = "{}";
}

/* Reasons against APICv, for a while each. */
inline void add_inhibits(Draw &d, Plan &p)
{
    static const std::vector<std::string> reasons = {
#define INHIBIT(id, ...) #id,
#include "hypervisor/inhibits.def"
#undef INHIBIT
    };
    for (const std::string &reason : reasons) {
        const uint64_t from = d.below(150000);
        if (d.chance(85))
            continue;
        p.inhibits += (p.inhibits.empty() ? "" : ",") + std::string("{\"reason\":\"") + reason +
                      "\",\"from_ns\":" + std::to_string(from);
        if (d.chance(80))
            p.inhibits += ",\"until_ns\":" + std::to_string(from + 1 + d.below(60000));
        p.inhibits += "}";
    }
    p.pit_reinject = d.chance(20);
}

/* Guests that give their APICs other IDs, logical more often than physical. */
inline void add_identities(Draw &d, Plan &p)
{
    if (p.guest_apic != "xapic" || d.chance(60))
        return;
    for (auto &[name, operations] : p.programs) {
        const unsigned reg = d.of<unsigned>({0x20, 0xd0, 0xd0, 0xd0, 0xe0});
        const uint64_t value = d.of<uint64_t>({1, 2, 4, 8, 3, 0x11, 0x21, 0}) << 24;

        if (name[0] != 'h')
            operations = "[\"apic_write\"," + std::to_string(reg) + "," +
                         std::to_string(value) + "]," + operations;
    }
}

/* Hypervisors in the guests of SVM, with vGIF or without: each round of a program clears GIF for a
   while. */
inline void add_global_flag(Plan &p)
{
    const std::string last = "[\"compute\",10],[\"end\"]";

    if (!on_svm(p) || p.seed % 3)
        return;
    for (auto &[name, operations] : p.programs) {
        const size_t at = operations.rfind(last);
        if (at != std::string::npos)
            operations.insert(at, "[\"clgi\"],[\"compute\"," +
                                      std::to_string(500 + p.seed % 7 * 1000) +
                                      "],[\"cpuid\"],[\"stgi\"],");
    }
}

inline std::string user_operation(Draw &d)
{
    switch (d.below(8)) {
    case 0:
        return "[\"clui\"],[\"compute\"," + std::to_string(d.below(4000)) + "],[\"stui\"]";
    case 1:
        return "[\"upid_suppress\",1],[\"compute\"," + std::to_string(d.below(4000)) +
               "],[\"upid_suppress\",0],[\"self_ipi\",200]";
    case 2:
        return "[\"upid_notify\",201],[\"compute\"," + std::to_string(d.below(4000)) +
               "],[\"upid_notify\",200]" + (d.chance(70) ? ",[\"self_ipi\",200]" : "");
    default:
        return "[\"senduipi\"," + std::to_string(d.below(4)) + "]";
    }
}

/* User interrupts between the vCPUs, of VMX guests that can have them. The vector of notifications
   is sometimes a device's too. */
inline void add_user_interrupts(Draw &d, Plan &p)
{
    const bool vmx = !on_svm(p);

    if (!vmx || p.guest_apic == "none" || p.irqchip == "userspace" ||
        (p.technology != "uintr" && d.chance(60)))
        return;
    p.features["user-interrupts"] = true;
    for (auto &[name, operations] : p.programs)
        for (uint64_t i = name[0] == 'h' ? d.below(2) : 5 + d.below(10); i; i--)
            operations = user_operation(d) + "," + operations;
    p.programs["user"] =
        (d.chance(30) ? "[\"stui\"]," : "") + std::string("[\"compute\",100]") +
        (d.chance(30) ? ",[\"port_out\",128,1,0]" : "") + (d.chance(30) ? ",[\"uiret\"]" : "");
    for (Vcpu &v : p.vcpus) {
        std::string targets;
        for (unsigned n = 0; n < 4; n++)
            targets += std::string(n ? "," : "") +
                       "{\"vcpu\":" + std::to_string(d.below(p.vcpus.size())) +
                       ",\"vector\":" + std::to_string(d.below(4) * 21) + "}";
        v.user_interrupts = "{\"uinv\":200,\"handler\":\"user\",\"targets\":[" + targets + "]}";
    }
}

/* Threads of the host's beside the vCPUs, with work that makes a device act. Their draws are their
   own, so that the rest of a plan does not depend on them. */
inline void add_threads(Plan &p)
{
    static const char *const kinds[] = {"main-loop", "aio-worker", "aio-worker", "vhost"};
    Draw d(p.seed + 7919);

    if (d.chance(50))
        return;
    for (const char *kind : kinds) {
        if (d.chance(30))
            continue;
        uint64_t at = d.below(5000);
        std::string times = std::to_string(at);
        for (uint64_t n = d.below(30); n; n--)
            times += "," + std::to_string(at += d.below(20000));
        p.threads += std::string(p.threads.empty() ? "" : ",") + "{\"kind\":\"" + kind +
                     "\",\"pin\":" + std::to_string(d.below(p.physical_cpus)) +
                     ",\"work\":[{\"at_ns\":[" + times +
                     "],\"cycles\":" + std::to_string(d.below(4000)) +
                     ",\"sleep_ns\":" + std::to_string(d.chance(50) ? 0 : d.below(30000)) +
                     ",\"after_cycles\":" + std::to_string(d.below(900)) +
                     ",\"signals\":" + std::to_string(d.below(4)) +
                     (kind[0] == 'm' && d.chance(60)
                          ? ",\"pauses_ns\":" + std::to_string(1 + d.below(30000))
                          : "") +
                     "}]}";
    }
}

/* The number of the vhost worker among the threads; -1: there is none. */
inline int vhost_worker(const Plan &p)
{
    const size_t worker = p.threads.find("\"vhost\"");
    int before = -1;

    if (worker == std::string::npos)
        return -1;
    for (size_t at = p.threads.find("\"kind\""); at < worker;
         at = p.threads.find("\"kind\"", at + 1))
        before++;
    return before;
}

/* The path of a card that is none of the guest's: by a thread of the host's, where there is one. */
inline std::string software_path(const Plan &p, unsigned card)
{
    std::vector<std::string> paths;

    if (p.threads.find("\"main-loop\"") != std::string::npos)
        paths.emplace_back("\"userspace\"");
    if (vhost_worker(p) >= 0)
        paths.push_back("\"vhost\",\"thread\":" + std::to_string(vhost_worker(p)));
    if (paths.empty())
        paths.emplace_back("\"emulated\"");
    return paths[(p.seed + card) % paths.size()];
}

/* Two cards: their queues share handlers' vectors with everybody, and some drivers never look. */
inline void add_nics(Draw &d, Plan &p)
{
    const unsigned vcpus = (unsigned)p.vcpus.size();

    if (d.chance(50))
        return;
    for (unsigned card = 0; card < 2; card++) {
        const bool assigned = d.chance(60);
        p.nics += std::string(card ? "," : "") + "{\"name\":\"n\",\"path\":" +
                  (assigned ? "\"assigned\"" : software_path(p, card)) +
                  ",\"auto_mask\":" + (d.chance(50) ? "true" : "false") +
                  ",\"ring\":" + std::to_string(1 + d.below(20)) + ",\"moderation\":" +
                  d.of<std::string>({"{\"kind\":\"none\"}", "{\"kind\":\"adaptive\"}",
                                     "{\"kind\":\"fixed\",\"interval_ns\":7000}",
                                     "{\"kind\":\"vic\",\"epoch_ns\":20000}"}) +
                  ",\"queues\":[";
        for (unsigned n = 0; n < 2; n++)
            p.nics += std::string(n ? "," : "") +
                      "{\"vcpu\":" + std::to_string(d.below(vcpus)) +
                      ",\"vector\":" + std::to_string(32 + d.below(6) * 23) +
                      (assigned ? ",\"cpu\":" + std::to_string(d.below(p.physical_cpus)) : "") +
                      ",\"arrivals\":{\"count\":60,\"gap_ns\":3000,\"kind\":" +
                      d.of<std::string>({"\"poisson\"", "\"periodic\"", "\"heavy_tailed\"",
                                         "\"bursts\",\"burst\":20,\"within_ns\":100"}) +
                      "}}";
        p.nics += "]}";
    }
    for (auto &[name, operations] : p.programs)
        if (name[0] == 'h' || d.chance(30)) {
            const std::string queue = std::to_string(d.below(4));
            operations = "[\"rx_poll\",7," + queue + "," + std::to_string(d.below(5)) +
                         "],[\"rx_unmask\"," + queue + "]," + operations;
        }
    const bool posted = p.technology.find("-pi") != std::string::npos;
    const bool direct =
        p.technology == "eli" || p.technology == "direct" || p.technology == "did";
    if (!posted && !direct)
        p.features["masked-delivery"] = d.chance(50);
}

/* What a driver, or somebody who is none, does to the disks: requests that have an end and accesses that
   have no meaning. */
inline std::string disk_operation(Draw &d, unsigned disks)
{
    const std::string disk = std::to_string(d.below(disks));
    const auto port = [](unsigned number, bool write, unsigned value) {
        return (write ? "[\"port_out\"," : "[\"port_in\",") + std::to_string(number) + ",1" +
               (write ? "," + std::to_string(value) : "") + "]";
    };
    switch (d.below(6)) {
    case 0:
    case 1:
        return "[\"disk_ask\"," + disk + "," + std::to_string(1 + d.below(9)) +
               ",40],[\"disk_issue\"," + disk + "]";
    case 2:
        return "[\"disk_interrupt\"," + disk + "],[\"disk_reap\"," + disk + ",7]";
    case 3: /* a DMA command, the bus master's start, and an acknowledgement */
        return port(0x1f7, true, d.of<unsigned>({0xc8, 0xca, 0xe7, 0x20, 0xef, 0x91})) + "," +
               port(0xc000, true, 9) + "," + port(0x1f7, false, 0) + "," +
               port(0xc000, true, 8);
    case 4:
        return port(d.of<unsigned>({0x1f0, 0x1f2, 0x1f6, 0x3f6, 0xc002, 0xc001, 0x1f7}),
                    d.chance(60), (unsigned)d.below(256));
    default: /* the ISR's status, and a notification that nobody asked for */
        return d.chance(50) ? "[\"mmio_read\",4273946624,1]"
                            : "[\"mmio_write\",4273954816,2,0]";
    }
}

/* Disks, where there are threads to serve them; IDE has a line where there is a chipset. */
inline void add_disks(Plan &p)
{
    Draw d(p.seed + 104729);
    const auto has = [&p](const char *kind) {
        return p.threads.find(kind) != std::string::npos;
    };
    const std::string latency =
        ",\"latency_ns\":" + std::to_string(1 + d.below(9000)) +
        ",\"latency_high_ns\":" + std::to_string(9001 + d.below(30000)) + "}";

    if (!has("main-loop") || !has("aio-worker"))
        return;
    p.disks =
        "{\"kind\":\"virtio-blk\",\"device\":" + std::to_string(p.chipset.empty() ? 0 : 6) +
        ",\"space\":\"mmio\",\"base\":4273942528,\"queue_size\":" +
        std::to_string(1 << d.below(5)) +
        ",\"event_idx\":" + (d.chance(50) ? "true" : "false") +
        ",\"indirect\":" + (d.chance(50) ? "true" : "false") +
        ",\"ioeventfd\":" + (d.chance(50) ? "true" : "false") + latency;
    const bool shadow = d.chance(70);
    p.disks += ",{\"kind\":\"nvme\",\"device\":0,\"base\":4273864704,\"queue_size\":" +
               std::to_string(2 << d.below(4)) + ",\"pair\":" + std::to_string(1 + d.below(3)) +
               ",\"shadow_doorbells\":" + (shadow ? "true" : "false") +
               ",\"ioeventfd\":" + (shadow && d.chance(70) ? "true" : "false") +
               ",\"coalesce\":" + std::to_string(1 + d.below(4)) + ",\"coalesce_ns\":9000" +
               latency;
    if (!p.chipset.empty())
        p.disks += ",{\"kind\":\"ide\",\"device\":5" + latency;
    for (auto &[name, operations] : p.programs)
        for (uint64_t i = name[0] == 'h' ? d.below(2) : 6 + d.below(12); i; i--)
            operations = disk_operation(d, p.chipset.empty() ? 2 : 3) + "," + operations;
}

/* A transmit queue of QEMU's and one of vhost's, of few slots, that interrupt by the same message. */
inline void add_tx_queues(Plan &p)
{
    Draw d(p.seed + 15485863);
    const bool main_loop = p.threads.find("\"main-loop\"") != std::string::npos;
    const auto queue = [&d](unsigned page, const std::string &backend) {
        return "{\"device\":0,\"base\":" + std::to_string(0xfeb10000 + page * 4096) +
               ",\"queue_size\":" + std::to_string(1 << d.below(6)) +
               ",\"event_idx\":" + (d.chance(50) ? "true" : "false") +
               ",\"backend\":" + backend + "}";
    };
    unsigned queues = 0;

    if (main_loop)
        p.tx_queues = queue(queues++, d.chance(50) ? "\"userspace\"" : "\"ioeventfd\"");
    if (vhost_worker(p) >= 0) {
        const std::string worker = std::to_string(vhost_worker(p));

        p.tx_queues += (queues ? "," : "") + queue(queues, "\"vhost\",\"thread\":" + worker);
        queues++;
    }
    if (!queues)
        return;
    for (auto &[name, operations] : p.programs)
        for (uint64_t i = name[0] == 'h' ? d.below(2) : 4 + d.below(9); i; i--) {
            const std::string n = std::to_string(d.below(queues));

            operations =
                (d.chance(60) ? "[\"tx_send\"," + n + ",8," + std::to_string(d.below(9))
                              : "[\"tx_reap\"," + n + ",8") +
                "]," + operations;
        }
}

/* A serial port whose registers are written and read at random. */
inline void add_serial(Plan &p)
{
    Draw d(p.seed + 32452843);

    if (p.chipset.empty() || d.chance(40))
        return;
    p.serial = R"({"device":4})";
    for (auto &[name, operations] : p.programs)
        for (uint64_t i = name[0] == 'h' ? d.below(3) : 4 + d.below(12); i; i--) {
            const std::string port = std::to_string(0x3f8 + d.below(8));

            operations =
                (d.chance(60) ? "[\"port_out\"," + port + ",1," + std::to_string(d.below(256))
                              : "[\"port_in\"," + port + ",1") +
                "]," + operations;
        }
}

/* A fair scheduler, vCPUs of different weights, and some that may run anywhere. */
inline void add_scheduler(Plan &p)
{
    Draw d(p.seed + 104729);
    const bool direct =
        p.technology == "eli" || p.technology == "direct" || p.technology == "did";

    if (d.chance(30))
        p.tick_ns = 10000 + d.below(200000);
    if (d.chance(20))
        p.host_interrupts = "{\"cpu\":" + std::to_string(d.below(p.physical_cpus)) +
                            ",\"every_ns\":" + std::to_string(5000 + d.below(90000)) +
                            ",\"at_ns\":[100,4000],\"cycles\":" + std::to_string(d.below(900)) +
                            "}";
    if (d.chance(50))
        return;
    p.scheduler = "{\"latency_ns\":" + std::to_string(d.below(200000)) +
                  ",\"wakeup_granularity_ns\":" + std::to_string(d.below(50000)) + "}";
    for (Vcpu &v : p.vcpus) {
        v.nice = (int)d.below(40) - 20;
        v.roams = !direct && d.chance(60);
    }
}

/* vCPUs that wait for INIT and SIPI, and machines that are reset, or stopped. */
inline void add_startup(Plan &p)
{
    Draw d(p.seed + 15485863);
    static const char *const ends[] = {"[\"triple_fault\"]", "[\"unknown_exit\"]",
                                       "[\"opaque_mmio\",4096]"};

    for (size_t i = 0; i < p.vcpus.size(); i++) {
        if (i && p.guest_apic != "none" && d.chance(15)) {
            p.vcpus[i].startup = ",\"waits_for_sipi\":true";
            p.programs["main0"] = "[\"ipi\",17664," + std::to_string(i) +
                                  "],[\"compute\",900],[\"ipi\",17984," + std::to_string(i) +
                                  "]," + p.programs["main0"];
        }
        if (d.chance(40))
            p.vcpus[i].startup +=
                ",\"after_reset\":\"main" + std::to_string(d.below(p.vcpus.size())) + "\"";
    }
    if (d.chance(85))
        return;
    p.no_reboot = d.chance(30);
    std::string &program = p.programs["main" + std::to_string(d.below(p.vcpus.size()))];
    program += ",[\"compute\"," + std::to_string(d.below(200000)) + "]," +
               ends[d.chance(80) ? 0 : 1 + d.below(2)];
}

inline Plan random_plan(uint64_t seed)
{
    Draw d(seed);
    Plan p;
    const unsigned vcpus = 1 + (unsigned)d.below(5);

    p.seed = seed;
    p.technology =
        d.of<std::string>({"none", "apicv", "ipiv", "uintr", "vtd-pi", "apic-timer", "eli",
                           "direct", "did", "svm", "avic", "x2avic", "avic-pi", "x2avic-pi"});
    p.guest_apic = d.of<std::string>({"xapic", "x2apic", "xapic", "x2apic", "none"});
    p.irqchip = d.of<std::string>({"kernel", "kernel", "split", "userspace"});
    if (p.irqchip == "userspace" && p.guest_apic == "x2apic")
        p.guest_apic = "xapic";
    p.physical_cpus = 1 + (unsigned)d.below(vcpus);
    p.threads_per_core = d.chance(50) ? 2 : 1;
    p.sockets = d.chance(50) ? 2 : 1;
    p.halt_poll_ns = d.chance(50) ? 0 : 200000;
    p.time_slice_ns = 50000 + d.below(100000);
    p.cost = d.of<uint64_t>({1, 7, 100, 1000});
    p.until_ns = 2000000;
    choose_features(d, p);
    choose_waiting(d, p);
    for (unsigned i = 0; i < vcpus; i++) {
        Vcpu v{(unsigned)d.below(p.physical_cpus), "main" + std::to_string(i), {}};
        p.programs[v.program] = program(d, vcpus, false);
        for (unsigned n = 0; n < 6; n++)
            v.handlers[32 + n * 23] = "handler" + std::to_string(d.below(3));
        p.vcpus.push_back(v);
    }
    for (unsigned i = 0; i < 3; i++)
        p.programs["handler" + std::to_string(i)] = program(d, vcpus, true);
    if (d.chance(40))
        p.load.push_back((unsigned)d.below(p.physical_cpus));
    static const char *const kinds[] = {"msi", "level", "extint", "nmi"};
    for (unsigned i = 0; i < 4; i++)
        p.devices += std::string(i ? "," : "") + "{\"name\":\"d\",\"kind\":\"" + kinds[i] +
                     "\",\"vcpu\":" + std::to_string(d.below(vcpus)) +
                     ",\"vector\":" + std::to_string(60 + i * 40) +
                     ",\"delay_ns\":" + std::to_string(d.below(3000)) +
                     ",\"at_ns\":[1000,5000," + std::to_string(6000 + d.below(100000)) + "]" +
                     (i == 0 ? table_of(p, 0) : "") + "}";
    add_chipset(d, p);
    p.devices += ",{\"name\":\"vf\",\"kind\":\"assigned\",\"vector\":200,\"vcpu\":" +
                 std::to_string(d.below(vcpus)) +
                 ",\"cpu\":" + std::to_string(d.below(p.physical_cpus)) +
                 ",\"at_ns\":[2000,2100,40000]" + (d.chance(50) ? ",\"urgent\":true" : "") +
                 table_of(p, 1) + "}";
    add_threads(p);
    add_disks(p);
    add_tx_queues(p);
    add_serial(p);
    add_scheduler(p);
    if (seed % 5 < 2)
        p.idle_states = R"({"name":"C1","exit_ns":2000,"residency_ns":2000},)"
                        R"({"name":"C6","exit_ns":20000,"residency_ns":30000})";
    if (p.features["timer-posting"])
        p.housekeeping_cpu = (int)p.physical_cpus++;
    add_inhibits(d, p);
    add_identities(d, p);
    add_user_interrupts(d, p);
    add_nics(d, p);
    add_faults(d, p);
    add_startup(p);
    add_global_flag(p);
    if (seed % 3 == 0)
        declare_features(p);
    return p;
}

} // namespace plans
#endif
