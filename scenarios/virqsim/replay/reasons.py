"""The many names of an exit reason, and the one that the kernel prints today.

Numbers: SDM 3D appendix C "VMX Basic Exit Reasons"; APM 2 appendix C "SVM
Intercept Exit Codes". Names: KVM's, which models/virt/exit_reasons.def uses
too; that table holds only the reasons that virqsim can cause.
"""

from __future__ import annotations

from .. import library

VMX = {
    0: "EXCEPTION_NMI", 1: "EXTERNAL_INTERRUPT", 2: "TRIPLE_FAULT", 3: "INIT_SIGNAL", 4: "SIPI_SIGNAL",
    7: "INTERRUPT_WINDOW", 8: "NMI_WINDOW", 9: "TASK_SWITCH", 10: "CPUID", 12: "HLT", 13: "INVD", 14: "INVLPG",
    15: "RDPMC", 16: "RDTSC", 18: "VMCALL", 19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST",
    23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE", 26: "VMOFF", 27: "VMON", 28: "CR_ACCESS", 29: "DR_ACCESS",
    30: "IO_INSTRUCTION", 31: "MSR_READ", 32: "MSR_WRITE", 33: "INVALID_STATE", 34: "MSR_LOAD_FAIL",
    36: "MWAIT_INSTRUCTION", 37: "MONITOR_TRAP_FLAG", 39: "MONITOR_INSTRUCTION", 40: "PAUSE_INSTRUCTION",
    41: "MCE_DURING_VMENTRY", 43: "TPR_BELOW_THRESHOLD", 44: "APIC_ACCESS", 45: "EOI_INDUCED", 46: "GDTR_IDTR",
    47: "LDTR_TR", 48: "EPT_VIOLATION", 49: "EPT_MISCONFIG", 50: "INVEPT", 51: "RDTSCP", 52: "PREEMPTION_TIMER",
    53: "INVVPID", 54: "WBINVD", 55: "XSETBV", 56: "APIC_WRITE", 57: "RDRAND", 58: "INVPCID", 59: "VMFUNC",
    60: "ENCLS", 61: "RDSEED", 62: "PML_FULL", 63: "XSAVES", 64: "XRSTORS", 67: "UMWAIT", 68: "TPAUSE",
    74: "BUS_LOCK", 75: "NOTIFY",
}

SVM = {
    **{n: f"read_cr{n}" for n in (0, 2, 3, 4, 8)}, **{0x10 + n: f"write_cr{n}" for n in (0, 2, 3, 4, 8)},
    **{0x20 + n: f"read_dr{n}" for n in range(8)}, **{0x30 + n: f"write_dr{n}" for n in range(8)},
    0x60: "interrupt", 0x61: "nmi", 0x62: "smi", 0x63: "init", 0x64: "vintr", 0x65: "cr0_sel_write",
    0x66: "read_idtr", 0x67: "read_gdtr", 0x68: "read_ldtr", 0x69: "read_rt", 0x6a: "write_idtr",
    0x6b: "write_gdtr", 0x6c: "write_ldtr", 0x6d: "write_rt", 0x6e: "rdtsc", 0x6f: "rdpmc", 0x70: "pushf",
    0x71: "popf", 0x72: "cpuid", 0x73: "rsm", 0x74: "iret", 0x75: "swint", 0x76: "invd", 0x77: "pause",
    0x78: "hlt", 0x79: "invlpg", 0x7a: "invlpga", 0x7b: "io", 0x7c: "msr", 0x7d: "task_switch",
    0x7e: "ferr_freeze", 0x7f: "shutdown", 0x80: "vmrun", 0x81: "hypercall", 0x82: "vmload", 0x83: "vmsave",
    0x84: "stgi", 0x85: "clgi", 0x86: "skinit", 0x87: "rdtscp", 0x88: "icebp", 0x89: "wbinvd", 0x8a: "monitor",
    0x8b: "mwait", 0x8d: "xsetbv", 0x400: "npf", 0x401: "avic_incomplete_ipi",
    0x402: "avic_unaccelerated_access", 0x403: "vmgexit",
}

OF_ELBRUS = "is an interception of an Elbrus machine; what is replayed, under --tech epic-hw too, are recordings of Intel's and AMD's"

# libtraceevent's KVM plugin, which `trace-cmd report` and `perf script` use,
# has names of its own where this table differs from `EXIT_` and the kernel's.
_PLUGIN = {
    "PENDING_INTERRUPT": "INTERRUPT_WINDOW", "EXIT_INTR": "interrupt", "EXIT_IOIO": "io",
    "EXIT_CR0_SEL_WRITE": "cr0_sel_write", "EXIT_NESTED_PAGE_FAULT": "npf", "EXIT_VMMCALL": "hypercall",
    "VMXOFF": "VMOFF", "VMXON": "VMON",
}

_VMX_NAMES, _SVM_NAMES = frozenset(VMX.values()), frozenset(SVM.values())


def normal(name: str) -> str:
    """The kernel's present name of a reason, whichever tool or kernel printed it."""
    name = name.removesuffix(" FAILED_VMENTRY")
    if name in _VMX_NAMES or name in _SVM_NAMES:
        return name
    if name in _PLUGIN:
        return _PLUGIN[name]
    if name.startswith("EXIT_EXCP_"):
        return f"{name.removeprefix('EXIT_EXCP_')} excp"
    if name.startswith("EXIT_"):
        return name.removeprefix("EXIT_").lower()
    return name.upper() if name.upper() in _VMX_NAMES else name


def vendor(name: str) -> str | None:
    """`vmx` or `svm`, from a normal name; None when it tells nothing."""
    if name in _VMX_NAMES:
        return "vmx"
    return "svm" if name in _SVM_NAMES or name.endswith(" excp") else None


def is_elbrus(name: str) -> bool:
    """An interception of e2k's, as virqsim names them."""
    return any(row["name"] == name and row["vendor"] == "e2k" for row in library.describe()["exit_reasons"])


def by_number(isa: int, number: int) -> str:
    """The name for the raw fields of `trace-cmd report -R`: isa 1 is VMX, 2 is SVM."""
    if isa == 1:
        return VMX.get(number & 0xffff, f"UNKNOWN ({number})")
    return SVM.get(number, f"{'excp' if 0x40 <= number < 0x60 else 'UNKNOWN'} ({number})")
