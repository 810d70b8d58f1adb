/* The plan's machine.serial: QEMU's serial port, and the line by which it interrupts. */
#include <inttypes.h>

#include "hypervisor/serial.h"
#include "plan_parts.h"

enum { COM1 = 0x3f8 };

uint32_t plan_count_serial(const json_t *machine)
{
    return json_object_get(machine, "serial") ? SERIAL_EVENTS : 0;
}

void plan_read_serial(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "serial");
    const struct place device_at = place_key(&p, "device");

    if (!json_object_get(machine, "serial") || b->reader.failed)
        return;
    const json_t *json = reader_object(&b->reader, machine, at, "serial");
    struct serial *s = build_take(b, 1, sizeof *s);

    reader_keys(&b->reader, json, &p, KEYS("device", "base"));
    const uint64_t n = reader_uint(&b->reader, json, &p, "device", 0, UINT32_MAX);
    if (b->reader.failed)
        return;
    if (n >= hypervisor_plan_devices(h) || h->device[n].kind != DEVICE_LINE) {
        reader_fail(&b->reader, &device_at, "%" PRIu64 " is no device with a line", n);
        return;
    }
    s->interrupt = &h->device[n];
    s->base = (uint16_t)reader_uint_or(&b->reader, json, &p, "base", 0,
                                       UINT16_MAX + 1 - SERIAL_PORTS, COM1);
    h->serial = s;
}
