"""The trace as Linux would have printed KVM's tracepoints, for tools that read those.

The lines are tracefs text, Linux 6.1. A vCPU's thread is `CPU n/KVM` with the
process number 1000 + n; APIC IDs are vCPU numbers. Guests here have no
instruction addresses, so every rip is 0. Times have nanoseconds, as with
`trace-cmd report -t`; steps of an interrupt that KVM has no tracepoint for
(RAISED, NOTIFIED, HANDLER, ...) leave no line. Nor do kvm_msr, kvm_apic and
kvm_pio, as the trace has no operands of the guest's: counting works on this
text, but `virqsim replay` needs those lines and gets a poor guest from it.

Nor do kvm_set_irq, kvm_pic_set_irq, kvm_ioapic_set_irq and kvm_ack_irq: the trace has an input's interrupts,
not every change of its level, and not the chips' masks and triggers, which those lines print.
"""

from .trace import NO_VECTOR, NOWHERE

FIRST_PID = 1000
HEADER = """\
# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""


def exit_line(trace, vcpu, a, b):
    return (f"kvm_exit: vcpu {vcpu} reason {trace.exit_reason(a)} rip 0x0 info1 {b:#018x} "
            "info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000")


def injected_line(trace, vcpu, a, b):
    """Virtual-interrupt delivery is the hardware's own; KVM prints what it injects itself."""
    if trace.header["inject"][b] == "event injection" and a != NO_VECTOR:
        return f"kvm_inj_virq: IRQ {a:#x}"


def accepted_line(trace, vcpu, a, b, coalesced=""):
    if trace.header["held"][b] in ("IRR", "PIR"):
        return f"kvm_apic_accept_irq: apicid {vcpu:x} vec {a} (Fixed|edge){coalesced}"


def wakeup_line(trace, vcpu, a, b):
    return f"kvm_vcpu_wakeup: {'poll' if b else 'wait'} time {a} ns, polling valid"


def polling_line(trace, vcpu, a, b):
    return f"kvm_halt_poll_ns: vcpu {vcpu}: halt_poll_ns {a} ({'grow' if a > b else 'shrink'} {b})"


def ple_window_line(trace, vcpu, a, b):
    return f"kvm_ple_window_update: vcpu {vcpu} old {b} new {a} ({'growed' if a > b else 'shrinked'})"


LINES = {
    "VM_EXIT": exit_line,
    "VM_ENTRY": lambda trace, vcpu, a, b: f"kvm_entry: vcpu {vcpu}, rip 0x0",
    "USERSPACE": lambda trace, vcpu, a, b: f"kvm_userspace_exit: reason {trace.header['kvm_exits'][a]} (0)",
    "EOI": lambda trace, vcpu, a, b: f"kvm_eoi: apicid {vcpu:x} vector {a}",
    "INJECTED": injected_line,
    "PENDING": accepted_line,
    "COALESCED": lambda *record: accepted_line(*record, coalesced=" (coalesced)"),
    "WAKEUP": wakeup_line,
    "HALT_POLL": polling_line,
    "PLE_WINDOW": ple_window_line,
}


def write(trace, path):
    cpu_of = {}
    with path.open("w") as file:
        file.write(HEADER)
        for ps, _, event, where, a, b in trace.records.tolist():
            name = trace.events[event]
            if name == "THREAD" and b:
                cpu_of[where] = a
            if name not in LINES or where == NOWHERE:
                continue
            line = LINES[name](trace, where, a, b)
            if line:
                ns = ps // 1000
                file.write(f" {f'CPU {where}/KVM':>15}-{FIRST_PID + where:<5} [{cpu_of.get(where, 0):03}] ..... "
                           f"{ns // 10**9:5}.{ns % 10**9:09}: {line}\n")
