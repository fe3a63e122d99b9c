/* SPDX-License-Identifier: Apache-2.0 */
/* What a device may send: frames one behind the other, identities, values of every kind. The first byte chooses the
 * question that was asked. */
#include <isthmus/driver.h>
#include <stdlib.h>

#include "south/modbus/address.h"
#include "south/modbus/pdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct modbus_request questions[] = {
    {.unit = 1, .function = MODBUS_READ_COILS, .count = 10},
    {.unit = 1, .function = MODBUS_READ_HOLDING, .count = 4},
    {.unit = 1, .function = MODBUS_READ_INPUT, .count = 125},
    {.unit = 1, .function = MODBUS_WRITE_REGISTER, .start = 1, .value = 3},
    {.unit = 1, .function = MODBUS_MASK_WRITE, .start = 4, .mask = 0xf2, .value = 0x25},
    {.unit = 1, .function = MODBUS_IDENTIFY, .read_code = 1},
};

static void use(const struct modbus_frame *frame, const struct modbus_request *q)
{
    struct modbus_identity identity;
    struct modbus_object o;
    if (!modbus_identity_open(&identity, frame)) {
        while (modbus_identity_next(&identity, &o)) {
            if (o.size && o.text[o.size - 1] == 0 && !modbus_object_name(o.id)) {
                continue;
            }
        }
    }
    if (!modbus_answers(frame, q) || q->function < 3 || q->function > 4) {
        return;
    }
    for (uint8_t order = 0; order < 4; order++) {
        for (uint8_t type = ISTHMUS_BOOL; type <= ISTHMUS_BYTES; type++) {
            struct modbus_point p = {.count = q->count < 4 ? q->count : 4,
                                     .bytes = 8,
                                     .order = order,
                                     .type = type,
                                     .bit = -1};
            struct isthmus_sample s;
            uint8_t text[8];
            if (type < ISTHMUS_TEXT) {
                modbus_decode(&p, modbus_values(frame), &s);
            } else if (modbus_decode_bytes(&p, modbus_values(frame), text) > sizeof text) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    const struct modbus_request *q = questions + data[0] % (sizeof questions / sizeof *questions);
    for (size_t at = 1; at < size;) {
        struct modbus_frame frame;
        int n = modbus_next_frame(data + at, size - at, &frame);
        if (n <= 0) {
            break;
        }
        if ((size_t)n > size - at) {
            abort();
        }
        use(&frame, q);
        at += (size_t)n;
    }
    return 0;
}
