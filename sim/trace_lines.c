/*
 * Recorded traces, line by line, in the form of whichever tool wrote them:
 *
 *    qemu-8396    [001] d..1.  1404.389421: kvm_exit: vcpu 0 reason ...      tracefs
 *     qemu-6660  [007]   398.691403: kvm_userspace_exit:   reason ...        trace-cmd report
 *       CPU 0/KVM 1821753 [015] 4831258.258053: kvm:kvm_msr: msr_write ...   perf script
 *    microkvm [012] 98222.234315: kvm_set_irq: ...                           cut by hand
 *    87162647182125: kvm_halt_poll_ns: vcpu 0: ...
 *     kvm_entry:            vcpu 0
 *
 * Task names hold blanks, dashes and brackets; what cannot be one is a number in brackets before a
 * time, so a line is read from there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virqsim.h"

enum { NAMES = 1024, NAME_BYTES = 40 };

struct virqsim_lines {
    char name[NAMES][NAME_BYTES];
    uint32_t names;
    uint16_t slot[2 * NAMES]; /* a hash table of numbers + 1 */
};

/* A piece of a line that is read from its front. */
struct cursor {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Digits, at least one and no more than a number of 64 bits has for sure. */
static bool take_number(struct cursor *c, uint64_t *number)
{
    const char *from = c->at;

    for (*number = 0; c->at < c->end && is_digit(*c->at) && c->at - from < 19; c->at++)
        *number = *number * 10 + (uint64_t)(*c->at - '0');
    return c->at > from && (c->at == c->end || !is_digit(*c->at));
}

/* FNV-1a; the number + 1 of a name, which is given one if it is new; 0: the table is full. */
static uint16_t intern(struct virqsim_lines *lines, const char *text, size_t length)
{
    uint32_t hash = 2166136261u, at;

    if (!length || length >= NAME_BYTES)
        return 0;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    for (at = hash % (2 * NAMES); lines->slot[at]; at = (at + 1) % (2 * NAMES)) {
        const char *name = lines->name[lines->slot[at] - 1];

        if (!memcmp(name, text, length) && !name[length])
            return lines->slot[at];
    }
    if (lines->names == NAMES)
        return 0;
    memcpy(lines->name[lines->names], text, length);
    return lines->slot[at] = (uint16_t)++lines->names;
}

/* Seconds with a fraction, or a count without one, and a colon. */
static bool take_time(struct cursor *c, struct virqsim_line *line)
{
    uint64_t unit = 1000000000, *time_ns = &line->time_ns;
    bool counted = true;

    if (!take_number(c, time_ns))
        return false;
    if (take(c, '.')) {
        if (*time_ns > UINT64_MAX / unit - 1)
            return false;
        counted = false;
        *time_ns *= unit;
        for (; c->at < c->end && is_digit(*c->at); c->at++)
            *time_ns += (uint64_t)(*c->at - '0') * (unit /= 10);
    }
    if (!take(c, ':'))
        return false;
    line->flags = counted ? VIRQSIM_LINE_COUNTED : 0;
    return true;
}

/* `system:event:` or `event:`, with a blank or the line's end behind it. */
static bool take_event(struct virqsim_lines *lines, struct cursor *c, uint16_t *event)
{
    for (int part = 0; part < 2; part++) {
        const char *from = c->at;

        if (c->at == c->end || is_digit(*c->at) || (*c->at >= 'A' && *c->at <= 'Z'))
            return false;
        while (c->at < c->end && is_word(*c->at))
            c->at++;
        *event = intern(lines, from, (size_t)(c->at - from));
        if (!take(c, ':') || !*event)
            return false;
        if (c->at == c->end || is_blank(*c->at)) {
            skip_blanks(c);
            return true;
        }
    }
    return false;
}

/* Interrupts off, need-resched, context, preemption and migration: 4 or 5 characters and a blank. */
static void skip_flags(struct cursor *c)
{
    const char *from = c->at;

    while (c->at < c->end && (is_word(*c->at) || *c->at == '.' || *c->at == '#'))
        c->at++;
    if (c->at - from < 4 || c->at - from > 5 || c->at == c->end || !is_blank(*c->at))
        c->at = from;
    skip_blanks(c);
}

/* Drops what is blank at the end of a piece. */
static void trim(struct cursor *c)
{
    while (c->end > c->at && is_blank(c->end[-1]))
        c->end--;
}

/* A number at the end of a piece, which loses it; false: there is none. */
static bool take_number_at_end(struct cursor *c, int32_t *taken)
{
    const char *at = c->end;
    uint64_t number;

    while (at > c->at && is_digit(at[-1]))
        at--;
    if (!take_number(&(struct cursor){at, c->end}, &number) || number > INT32_MAX)
        return false;
    *taken = (int32_t)number;
    c->end = at;
    return true;
}

/* The thread's number at the end of what stands before the CPU: `-8396`, `1821753`, or perf's
   `1821750/1821753`, the process's before it. */
static bool take_pid_at_end(struct cursor *c, struct virqsim_line *line)
{
    struct cursor whole = *c;
    int32_t thread;

    if (!take_number_at_end(c, &thread))
        return false;
    if (c->end - c->at > 1 && c->end[-1] == '/' && is_digit(c->end[-2])) {
        c->end--;
        (void)take_number_at_end(c, &line->process);
    }
    if (c->end > c->at && c->end[-1] != '-' && !is_blank(c->end[-1])) {
        *c = whole;
        line->process = -1;
        return false;
    }
    line->pid = thread;
    c->end -= c->end > c->at && c->end[-1] == '-';
    return true;
}

/* `(4100)`, the thread's process, of trace options that print it; perf's flags stand there too. */
static void drop_between(struct cursor *c, int32_t *process)
{
    const char *at = c->end;

    if (at > c->at && at[-1] == ')') {
        struct cursor inside = {c->at, at - 1};

        if (!take_number_at_end(&inside, process))
            *process = -1;
        while (at > c->at && *at != '(')
            at--;
        c->end = at > c->at ? at : c->end;
    } else {
        while (at > c->at && !is_blank(at[-1]))
            at--;
        if (c->end - at >= 4 && c->end - at <= 5 && at > c->at && is_blank(at[-1]) &&
            memchr(at, '.', (size_t)(c->end - at)))
            c->end = at;
    }
    trim(c);
}

static void read_thread(struct cursor before, const char *start, struct virqsim_line *line)
{
    skip_blanks(&before);
    trim(&before);
    drop_between(&before, &line->process);
    if (take_pid_at_end(&before, line))
        trim(&before);
    line->task = (uint32_t)(before.at - start);
    line->task_length = (uint32_t)(before.end - before.at);
}

/* `[001] d..1.  1404.389421:` at a bracket; the rest of the line is behind it. */
static bool take_cpu_and_time(struct cursor *c, struct virqsim_line *line)
{
    uint64_t cpu;

    if (!take(c, '[') || !take_number(c, &cpu) || cpu > INT32_MAX || !take(c, ']') ||
        c->at == c->end || !is_blank(*c->at))
        return false;
    skip_blanks(c);
    skip_flags(c);
    if (!take_time(c, line)) {
        line->time_ns = VIRQSIM_NEVER;
        return false;
    }
    line->cpu = (int32_t)cpu;
    return true;
}

static bool take_front(struct cursor *c, struct virqsim_line *line)
{
    for (const char *at = c->at; (at = memchr(at, '[', (size_t)(c->end - at))); at++) {
        struct cursor here = {at, c->end};

        if (take_cpu_and_time(&here, line)) {
            read_thread((struct cursor){c->at, at}, c->at, line);
            c->at = here.at;
            return true;
        }
    }
    return false;
}

/* `name=` and a decimal number behind it; false: it is not there. */
static bool find_member(struct cursor c, const char *name, uint64_t *number)
{
    size_t length = strlen(name);

    for (; c.end - c.at > (ptrdiff_t)length; c.at++)
        if (!memcmp(c.at, name, length) && c.at[length] == '=') {
            c.at += length + 1;
            return take_number(&c, number) && (c.at == c.end || is_blank(*c.at));
        }
    return false;
}

/* kvm_exit, kvm_entry as the members of their structures, as trace-cmd report -R has them. The reason is a number, whose
   name `=ISA:NUMBER` says of whom. */
static void read_raw_exit(struct virqsim_lines *lines, struct cursor c,
                          struct virqsim_line *line)
{
    uint64_t vcpu, isa, reason;
    char name[NAME_BYTES];

    if (find_member(c, "vcpu_id", &vcpu) && vcpu <= INT32_MAX)
        line->vcpu = (int32_t)vcpu;
    if (find_member(c, "exit_reason", &reason) && find_member(c, "isa", &isa)) {
        int length = snprintf(name, sizeof name, "=%" PRIu64 ":%" PRIu64, isa, reason);

        line->reason = intern(lines, name, (size_t)length);
    }
}

/* kvm_exit, kvm_entry: whose, and why; the reason ends before ` rip` or another word's value. */
static void read_exit(struct virqsim_lines *lines, struct cursor c, struct virqsim_line *line)
{
    uint64_t number;
    const char *end;

    if (c.end - c.at > 5 && !memcmp(c.at, "vcpu ", 5)) {
        c.at += 5;
        if (take_number(&c, &number) && number <= INT32_MAX)
            line->vcpu = (int32_t)number;
        skip_blanks(&c);
    }
    if (c.end - c.at < 7 || memcmp(c.at, "reason ", 7)) {
        if (line->vcpu < 0)
            read_raw_exit(lines, c, line);
        return;
    }
    c.at += 7;
    for (end = c.at; end < c.end && (c.end - end < 5 || memcmp(end, " rip ", 5)); end++)
        ;
    line->reason = intern(lines, c.at, (size_t)(end - c.at));
}

static void read_line(struct virqsim_lines *lines, struct cursor c, struct virqsim_line *line)
{
    const char *start = c.at;
    bool indented = c.at < c.end && is_blank(*c.at), front;

    trim(&c);
    if (c.at == c.end || *c.at == '#') {
        line->kind = c.at == c.end ? VIRQSIM_LINE_EMPTY : VIRQSIM_LINE_COMMENT;
        return;
    }
    front = take_front(&c, line);
    if (!front) {
        struct cursor alone = c;

        skip_blanks(&alone);
        front = take_time(&alone, line) && alone.at < alone.end && is_blank(*alone.at);
        if (front)
            c = alone;
        else
            line->time_ns = VIRQSIM_NEVER;
    }
    skip_blanks(&c);
    if (front && c.at == c.end)
        line->kind = line->cpu < 0 ? VIRQSIM_LINE_OTHER : VIRQSIM_LINE_FOLDED;
    else if ((front || indented) && take_event(lines, &c, &line->event))
        line->kind = VIRQSIM_LINE_EVENT;
    line->payload = (uint32_t)(c.at - start);
    if (line->kind == VIRQSIM_LINE_EVENT && !strncmp(lines->name[line->event - 1], "kvm_e", 5))
        read_exit(lines, c, line);
}

struct virqsim_lines *virqsim_lines_open(void)
{
    return calloc(1, sizeof(struct virqsim_lines));
}

void virqsim_lines_close(struct virqsim_lines *lines)
{
    free(lines);
}

size_t virqsim_lines_take(struct virqsim_lines *lines, const char *text, size_t length,
                          struct virqsim_line *out, size_t capacity, size_t *used)
{
    const char *at = text, *end = text + length, *newline;
    size_t count = 0;

    for (; count < capacity && at < end && (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1) {
        struct virqsim_line *line = &out[count++];

        *line = (struct virqsim_line){
            .time_ns = VIRQSIM_NEVER, .pid = -1, .process = -1, .cpu = -1, .vcpu = -1};
        read_line(lines, (struct cursor){at, newline}, line);
        line->start = (uint32_t)(at - text);
        line->length = (uint32_t)(newline - at);
    }
    *used = (size_t)(at - text);
    return count;
}

const char *virqsim_lines_name(const struct virqsim_lines *lines, uint32_t n)
{
    return n < lines->names ? lines->name[n] : NULL;
}
