/* Registers in configuration space: bytes of rows. */
#include "irq/pci_registers.h"

#include <stdbool.h>

static bool possible(unsigned size)
{
    return size == 1 || size == 2 || size == 4;
}

static const struct pci_register *row_at(const struct pci_registers *r, unsigned offset)
{
    for (unsigned n = 0; n < r->count; n++) {
        const struct pci_register *row = &r->row[n];
        const unsigned first = row->offset[r->layout];

        if (first != PCI_ABSENT && first < r->end && offset >= first &&
            offset < first + row->width)
            return row;
    }
    return NULL;
}

static uint32_t *word(void *storage, const struct pci_register *row)
{
    return (uint32_t *)(void *)((char *)storage + row->storage);
}

static uint32_t stored(const void *storage, const struct pci_register *row)
{
    return *(const uint32_t *)(const void *)((const char *)storage + row->storage);
}

void pci_registers_reset(const struct pci_registers *r, void *storage)
{
    for (unsigned n = 0; n < r->count; n++)
        *word(storage, &r->row[n]) = r->row[n].reset;
}

static uint8_t read_byte(const struct pci_registers *r, const void *storage, unsigned offset)
{
    const struct pci_register *row = row_at(r, offset);

    if (!row)
        return 0;
    return (uint8_t)(stored(storage, row) >> (offset - row->offset[r->layout]) * 8);
}

static void write_byte(const struct pci_registers *r, void *storage, unsigned offset,
                       uint8_t value)
{
    const struct pci_register *row = row_at(r, offset);

    if (!row)
        return;
    const unsigned shift = (offset - row->offset[r->layout]) * 8;
    const uint32_t changes = row->writable & UINT32_C(0xff) << shift;
    uint32_t *reg = word(storage, row);
    *reg = (*reg & ~changes) | ((uint32_t)value << shift & changes);
}

uint32_t pci_registers_read(const struct pci_registers *r, const void *storage, unsigned offset,
                            unsigned size)
{
    uint32_t value = 0;

    if (!possible(size))
        return 0;
    for (unsigned n = 0; n < size; n++)
        value |= (uint32_t)read_byte(r, storage, offset + n) << n * 8;
    return value;
}

void pci_registers_write(const struct pci_registers *r, void *storage, unsigned offset,
                         unsigned size, uint32_t value)
{
    if (!possible(size))
        return;
    for (unsigned n = 0; n < size; n++)
        write_byte(r, storage, offset + n, (uint8_t)(value >> n * 8));
}
