/*
 * Registers in the configuration space of a PCI function. Configuration accesses carry byte
 * enables (PCI Local Bus 3.0, 3.2.2.3 "Configuration Space Decoding"), so whoever writes two
 * bytes of a register changes these and no others, and one access may reach several registers.
 *
 * Whose bits mean what is the owner's affair; here are only bytes.
 */
#ifndef VIRQSIM_IRQ_PCI_REGISTERS_H
#define VIRQSIM_IRQ_PCI_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

enum {
    PCI_LAYOUTS = 2,
    PCI_ABSENT = 0xff /* for an offset: this layout has no such register */
};

struct pci_register {
    uint8_t offset[PCI_LAYOUTS];
    uint8_t width; /* in bytes, 1 to 4 */
    uint32_t reset, writable;
    size_t storage; /* of a uint32_t in the owner's structure of registers */
};

/* A table of registers, and what of it there is. */
struct pci_registers {
    const struct pci_register *row;
    unsigned count;
    unsigned layout;
    unsigned end; /* registers at this offset and above are absent */
};

void pci_registers_reset(const struct pci_registers *r, void *storage);

/* `size` is 1, 2 or 4; any other size does nothing and reads 0. Where no register is, bytes read
   0 and ignore writes, and so do read-only bits. */
uint32_t pci_registers_read(const struct pci_registers *r, const void *storage, unsigned offset,
                            unsigned size);
void pci_registers_write(const struct pci_registers *r, void *storage, unsigned offset,
                         unsigned size, uint32_t value);
#endif
