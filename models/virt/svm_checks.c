/*
 * The checks of VMRUN on what concerns interrupts: APM 2 "Canonicalization and
 * Consistency Checks", "Event Injection". The table is svm_checks.def. And the
 * VMCB's fields from vmcb_fields.def.
 *
 * Left out: everything that is not about interrupts (ASID, EFER, CR0, CR3, CR4,
 * addresses of the permission maps).
 */
#include <stddef.h>

#include "virt/virt.h"

const struct vmcb_field_info vmcb_fields[VMCB_FIELD_COUNT] = {
#define FIELD(name, offset, high, low, value, what) {#name, offset, high, low, what},
#include "virt/vmcb_fields.def"
#undef FIELD
};

uint64_t vmcb_get(const struct vmcb *b, enum vmcb_field f)
{
    switch (f) {
#define FIELD(name, offset, high, low, value, what)                                            \
    case VMCB_##name:                                                                          \
        return value;
#include "virt/vmcb_fields.def"
#undef FIELD
    case VMCB_FIELD_COUNT:
        break;
    }
    return 0;
}

const struct svm_check svm_checks[SVM_CHECK_COUNT] = {
#define CHECK(name, section, condition, meaning) {#name, section, meaning},
#include "virt/svm_checks.def"
#undef CHECK
};

enum { TYPE_EXCEPTION = 3, NMI_VECTOR = 2, EXCEPTIONS = 32 };

/* APM 2 "Exceptions and Interrupts": vectors below 32, but for the NMI's. */
static bool is_exception(unsigned vector)
{
    return vector < EXCEPTIONS && vector != NMI_VECTOR;
}

/* The table's words. */
#define GET(field)       vmcb_get(b, VMCB_##field)
#define INTERCEPTS(name) svm_intercepts(b, SVM_##name)
#define EVENT            ((uint32_t)GET(EVENTINJ))
#define INJECTS          (EVENT >> 31)
#define TYPE             (EVENT >> 8 & 7)
#define VECTOR           (EVENT & 0xff)

static bool holds(const struct vmcb *b, enum svm_check_id id)
{
    switch (id) {
#define CHECK(name, section, condition, meaning)                                               \
    case SVM_CHECK_##name:                                                                     \
        return condition;
#include "virt/svm_checks.def"
#undef CHECK
    case SVM_CHECK_COUNT:
        break;
    }
    return true;
}

const struct svm_check *svm_check_entry(const struct vmcb *b)
{
    for (unsigned n = 0; n < SVM_CHECK_COUNT; n++)
        if (!holds(b, (enum svm_check_id)n))
            return &svm_checks[n];
    return NULL;
}
