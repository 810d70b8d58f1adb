/* Through this header GoogleTest, which is C++, sees the C code. */
#ifndef VIRQSIM_TESTS_SHIM_H
#define VIRQSIM_TESTS_SHIM_H

#include <cassert>
#include <cstddef>
#include <cstdint>

extern "C" {
#include "cost/cost.h"
#include "device/hpet.h"
#include "device/pit.h"
#include "irq/amd_iommu.h"
#include "irq/apic_fabric.h"
#include "irq/cepic.h"
#include "irq/epic_dat.h"
#include "irq/i8259.h"
#include "irq/ioapic.h"
#include "irq/ioepic.h"
#include "irq/lapic.h"
#include "irq/msi.h"
#include "irq/msix.h"
#include "irq/pirq.h"
#include "irq/posted.h"
#include "irq/remap.h"
#include "port/event.h"
#include "port/trace.h"
#include "port/wire.h"
#include "virt/hypothetical.h"
#include "virt/technology.h"
#include "virt/virt.h"
}
#endif
