/* The VMCS fields and control bits, from their tables. */
#include "virt/vmcs.h"

#include <assert.h>

/* SDM 3D appendix B "Field Encoding in VMCS": what an encoding says about itself. */
#define ENCODED_WIDTH(e) ((e) >> 13 & 3)
#define ENCODED_GROUP(e) ((e) >> 10 & 3)

#define FIELD(encoding, name, width, group, what)                                              \
    static_assert(ENCODED_WIDTH(encoding) == (int)VMCS_##width, #name);                        \
    static_assert(ENCODED_GROUP(encoding) == (int)VMCS_##group, #name);
#include "virt/vmcs_fields.def"
#undef FIELD

const struct vmcs_field_info vmcs_fields[VMCS_FIELD_COUNT] = {
#define FIELD(encoding, name, width, group, what)                                              \
    {#name, encoding, VMCS_##width, VMCS_##group, what},
#include "virt/vmcs_fields.def"
#undef FIELD
};

void vmcs_set(struct vmcs *v, enum vmcs_field f, uint64_t value)
{
    static const uint64_t mask[] = {
        [VMCS_WIDTH_16] = UINT16_MAX,
        [VMCS_WIDTH_32] = UINT32_MAX,
        [VMCS_WIDTH_64] = UINT64_MAX,
        [VMCS_WIDTH_NATURAL] = UINT64_MAX,
    };

    v->value[f] = value & mask[vmcs_fields[f].width];
}

struct control {
    enum vmcs_field field;
    uint64_t bit;
    const char *title;
};

static const struct control controls[VMX_CONTROL_COUNT] = {
#define CONTROL(field, bit, name, title) {VMCS_##field, UINT64_C(1) << (bit), title},
    VMX_CONTROLS(CONTROL)
#undef CONTROL
};

void vmx_control(struct vmcs *v, enum vmx_control c, bool on)
{
    const struct control *control = &controls[c];

    if (!on) {
        v->value[control->field] &= ~control->bit;
        return;
    }
    v->value[control->field] |= control->bit;
    if (control->field == VMCS_SECONDARY_CONTROLS)
        vmx_control(v, VMX_ACTIVATE_SECONDARY, true);
    if (control->field == VMCS_TERTIARY_CONTROLS)
        vmx_control(v, VMX_ACTIVATE_TERTIARY, true);
}

const char *vmx_control_title(enum vmx_control c)
{
    return controls[c].title;
}
