/* SPDX-License-Identifier: Apache-2.0 */
/* Replies are proven against their request before a value is looked at: the byte count that a device declares is
 * believed only when it equals both what was asked and what came. */
#include "south/modbus/pdu.h"

#include "tag/status.h"

#define MBAP_SIZE    7u
#define MEI_IDENTIFY 14u

static bool fits(uint16_t start, uint16_t count, uint16_t max)
{
    return count >= 1 && count <= max && (uint32_t)start + count <= 65536;
}

static bool is_legal(const struct modbus_request *q)
{
    switch (q->function) {
    case MODBUS_READ_COILS:
    case MODBUS_READ_DISCRETE:
        return fits(q->start, q->count, MODBUS_READ_BITS_MAX);
    case MODBUS_READ_HOLDING:
    case MODBUS_READ_INPUT:
        return fits(q->start, q->count, MODBUS_READ_WORDS_MAX);
    case MODBUS_WRITE_COIL:
        return q->value <= 1;
    case MODBUS_WRITE_REGISTER:
    case MODBUS_MASK_WRITE:
        return true;
    case MODBUS_WRITE_COILS:
        return fits(q->start, q->count, 1968) && q->data;
    case MODBUS_WRITE_REGISTERS:
        return fits(q->start, q->count, MODBUS_WRITE_MAX) && q->data;
    case MODBUS_READ_WRITE:
        return fits(q->start, q->count, MODBUS_READ_WORDS_MAX) &&
               fits(q->write_start, q->write_count, 121) && q->data;
    case MODBUS_IDENTIFY:
        return q->read_code >= 1 && q->read_code <= 4;
    default:
        return false;
    }
}

static void encode_body(struct writer *w, const struct modbus_request *q)
{
    if (q->function == MODBUS_IDENTIFY) {
        write_u8(w, MEI_IDENTIFY);
        write_u8(w, q->read_code);
        write_u8(w, q->object);
        return;
    }
    write_u16be(w, q->start);
    switch (q->function) {
    case MODBUS_WRITE_COIL:
        write_u16be(w, q->value ? 0xff00 : 0);
        break;
    case MODBUS_WRITE_REGISTER:
        write_u16be(w, q->value);
        break;
    case MODBUS_MASK_WRITE:
        write_u16be(w, q->mask);
        write_u16be(w, q->value);
        break;
    case MODBUS_WRITE_COILS:
        write_u16be(w, q->count);
        write_u8(w, (uint8_t)((q->count + 7) / 8));
        write_bytes(w, q->data, (size_t)(q->count + 7) / 8);
        break;
    case MODBUS_WRITE_REGISTERS:
        write_u16be(w, q->count);
        write_u8(w, (uint8_t)(q->count * 2));
        write_bytes(w, q->data, (size_t)q->count * 2);
        break;
    case MODBUS_READ_WRITE:
        write_u16be(w, q->count);
        write_u16be(w, q->write_start);
        write_u16be(w, q->write_count);
        write_u8(w, (uint8_t)(q->write_count * 2));
        write_bytes(w, q->data, (size_t)q->write_count * 2);
        break;
    default:
        write_u16be(w, q->count);
    }
}

int modbus_encode(struct writer *w, const struct modbus_request *q)
{
    if (!is_legal(q)) {
        return ERR_RANGE;
    }
    struct writer out = *w; /* nothing is written unless all of it fits */
    write_u16be(&out, q->transaction);
    write_u16be(&out, 0);
    uint8_t *length = write_room(&out, 2);
    write_u8(&out, q->unit);
    write_u8(&out, q->function);
    encode_body(&out, q);
    if (out.bad) {
        return ERR_FULL;
    }
    struct writer at_length = writer_of(length, 2);
    write_u16be(&at_length, (uint16_t)(out.at - length - 2));
    *w = out;
    return ERR_OK;
}

int modbus_next_frame(const uint8_t *bytes, size_t size, struct modbus_frame *frame)
{
    struct reader r = reader_of(bytes, size);
    uint16_t transaction = read_u16be(&r);
    uint16_t protocol = read_u16be(&r);
    if (!r.bad && protocol != 0) {
        return ERR_MALFORMED;
    }
    uint16_t length = read_u16be(&r);
    if (!r.bad && (length < 3 || length > MODBUS_FRAME_MAX - 6)) {
        return ERR_MALFORMED; /* unit, function and at least a byte */
    }
    struct reader body = read_part(&r, length);
    if (r.bad) {
        return 0;
    }
    *frame = (struct modbus_frame){.transaction = transaction, .unit = read_u8(&body)};
    uint8_t function = read_u8(&body);
    frame->function = function & 0x7f;
    if (function & 0x80) {
        frame->exception = read_u8(&body);
        if (frame->exception == 0 || reader_left(&body) > 0) {
            return ERR_MALFORMED;
        }
    }
    frame->size = reader_left(&body);
    frame->data = body.at;
    return (int)(length + 6);
}

static bool echoes(const struct modbus_frame *frame, const struct modbus_request *q)
{
    struct reader r = reader_of(frame->data, frame->size);
    bool same = read_u16be(&r) == q->start;
    uint16_t second = read_u16be(&r);
    switch (q->function) {
    case MODBUS_WRITE_COIL:
        same = same && second == (q->value ? 0xff00 : 0);
        break;
    case MODBUS_WRITE_REGISTER:
        same = same && second == q->value;
        break;
    case MODBUS_MASK_WRITE:
        same = same && second == q->mask && read_u16be(&r) == q->value;
        break;
    default:
        same = same && second == q->count;
    }
    return same && !r.bad && reader_left(&r) == 0;
}

bool modbus_answers(const struct modbus_frame *frame, const struct modbus_request *q)
{
    if (frame->unit != q->unit || frame->function != q->function || frame->exception) {
        return false;
    }
    size_t bytes;
    switch (q->function) {
    case MODBUS_READ_COILS:
    case MODBUS_READ_DISCRETE:
        bytes = ((size_t)q->count + 7) / 8;
        break;
    case MODBUS_READ_HOLDING:
    case MODBUS_READ_INPUT:
    case MODBUS_READ_WRITE:
        bytes = (size_t)q->count * 2;
        break;
    case MODBUS_IDENTIFY:
        return frame->size >= 6 && frame->data[0] == MEI_IDENTIFY && frame->data[1] == q->read_code;
    default:
        return echoes(frame, q);
    }
    return frame->size == bytes + 1 && frame->data[0] == bytes;
}

int modbus_identity_open(struct modbus_identity *i, const struct modbus_frame *frame)
{
    struct reader r = reader_of(frame->data, frame->size);
    uint8_t mei = read_u8(&r);
    read_u8(&r); /* read code */
    read_u8(&r); /* conformity */
    uint8_t more = read_u8(&r);
    uint8_t next = read_u8(&r);
    uint8_t count = read_u8(&r);
    *i = (struct modbus_identity){.objects = r, .left = count};
    for (uint8_t k = 0; k < count; k++) {
        read_u8(&r);
        read_bytes(&r, read_u8(&r));
    }
    if (r.bad || mei != MEI_IDENTIFY || reader_left(&r) > 0 || (more != 0 && more != 0xff)) {
        return ERR_MALFORMED;
    }
    i->next_object = more ? next : 0;
    return ERR_OK;
}

bool modbus_identity_next(struct modbus_identity *i, struct modbus_object *out)
{
    if (!i->left) {
        return false;
    }
    i->left--;
    out->id = read_u8(&i->objects);
    out->size = read_u8(&i->objects);
    out->text = read_bytes(&i->objects, out->size);
    return !i->objects.bad;
}

const char *modbus_object_name(uint8_t id)
{
    static const char *const names[] = {
        "VendorName",  "ProductCode", "MajorMinorRevision",  "VendorUrl",
        "ProductName", "ModelName",   "UserApplicationName",
    };
    return id < sizeof names / sizeof *names ? names[id] : NULL;
}

static const struct {
    const char *text;
    enum status_code status;
} exceptions[] = {
    [0] = {"unknown exception", STATUS_BAD_DEVICE_FAILURE},
    [1] = {"illegal function", STATUS_BAD_NOT_SUPPORTED},
    [2] = {"illegal data address", STATUS_BAD_NODE_UNKNOWN},
    [3] = {"illegal data value", STATUS_BAD_OUT_OF_RANGE},
    [4] = {"server device failure", STATUS_BAD_DEVICE_FAILURE},
    [5] = {"acknowledged, still working", STATUS_BAD_RESOURCE},
    [6] = {"server device busy", STATUS_BAD_RESOURCE},
    [7] = {"negative acknowledge", STATUS_BAD_NOT_SUPPORTED},
    [8] = {"memory parity error", STATUS_BAD_DEVICE_FAILURE},
    [10] = {"gateway path unavailable", STATUS_BAD_NO_COMMUNICATION},
    [11] = {"gateway target failed to respond", STATUS_BAD_NO_COMMUNICATION},
};

static size_t exception_index(uint8_t e)
{
    return e < sizeof exceptions / sizeof *exceptions && exceptions[e].text ? e : 0;
}

const char *modbus_exception_text(uint8_t exception)
{
    return exceptions[exception_index(exception)].text;
}

uint32_t modbus_exception_status(uint8_t exception)
{
    return (uint32_t)exceptions[exception_index(exception)].status;
}
