/* The table of exit reasons, and its search by KVM's names. */
#include "virt/virt.h"

#include <string.h>

const char *const virt_vendor_titles[VIRT_VENDORS] = {
    [VIRT_VMX] = "VMX", [VIRT_SVM] = "SVM", [VIRT_E2K] = "e2k"};

const struct exit_reason_info exit_reasons[EXIT_REASON_COUNT] = {
    [EXIT_NONE] = {"none", VIRT_VMX, 0, "the guest did not leave"},
#define EXIT(id, vendor, number, name, meaning)                                                \
    [EXIT_##id] = {name, VIRT_##vendor, number, meaning},
#include "virt/exit_reasons.def"
#undef EXIT
};

enum exit_reason exit_reason_by_name(const char *name)
{
    for (int r = EXIT_NONE + 1; r < EXIT_REASON_COUNT; r++)
        if (!strcmp(exit_reasons[r].name, name))
            return (enum exit_reason)r;
    return EXIT_NONE;
}
