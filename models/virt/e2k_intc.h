/*
 * e2k: what an interception hands over, INTC_INFO_CU and INTC_INFO_MU.
 *
 * One interception has one cause or several: bits of INTC_INFO_CU's header, and
 * an entry of INTC_INFO_MU for each access of a wide instruction that the memory
 * unit could not complete. Conditional events and exceptions intercept only where
 * VIRT_CTRL_CU says so. The hypervisor may replace an entry's data; glaunch then
 * completes the operation with it (Linux for e2k: restore_intc_info_cu(),
 * restore_intc_info_mu()). Bits and codes: exit_reasons.def.
 */
#ifndef VIRQSIM_VIRT_E2K_INTC_H
#define VIRQSIM_VIRT_E2K_INTC_H

#include <stdbool.h>
#include <stdint.h>

/* INTC_INFO_CU_PAIRS_MAX; INTC_INFO_MU_ITEM_MAX. */
enum { E2K_INTC_CU_ENTRIES = 2, E2K_INTC_MU_ENTRIES = 11 };
enum { E2K_ICE_READ_CU = 1 }; /* INTC_INFO_CU's entries: a register was read */

/* Of exit_reasons.def's numbers: a bit of the header, or this and INTC_INFO_MU's event code. */
enum { E2K_MU = 0x100, E2K_MU_EVENTS = 20, E2K_MU_EVENT_BITS = 5 };

struct e2k_intc_entry {
    uint8_t event;
    bool replaced; /* the hypervisor hands `data` back */
    uint64_t address, data;
};

struct e2k_intc {
    uint32_t causes; /* INTC_INFO_CU's header: evn_c 15:0, exc_c 23:16, evn_u 31:24 */
    uint8_t cu_count, mu_count;
    struct e2k_intc_entry cu[E2K_INTC_CU_ENTRIES], mu[E2K_INTC_MU_ENTRIES];
};

#define E2K_CAUSE(bit)  (UINT32_C(1) << (bit))
#define E2K_CONDITIONAL UINT32_C(0x00ffffff)
#define E2K_RR_IDR      E2K_CAUSE(0)
#define E2K_RW_SCLKR    E2K_CAUSE(6)
#define E2K_RW_SCLKM3   E2K_CAUSE(7)
#define E2K_HCEM        E2K_CAUSE(9)
#define E2K_VIRT        E2K_CAUSE(10)
#define E2K_WAIT_TRAP   E2K_CAUSE(30)
/* Bits that mean something. */
#define E2K_KNOWN_CAUSES UINT32_C(0xff7f1fff)

/* A new interception, without a cause so far. */
void e2k_intc_begin(struct e2k_intc *i);
/* One of its causes, by the number of exit_reasons.def. */
void e2k_intc_add(struct e2k_intc *i, uint32_t number, uint64_t address, uint64_t data);

/* The causes in the order in which KVM handles them (parse_INTC_registers(),
   handle_cu_intercepts()): the number of the nth, or E2K_INTC_END. */
enum { E2K_INTC_END = 0xffff };
uint32_t e2k_intc_nth(const struct e2k_intc *i, unsigned n);
#endif
