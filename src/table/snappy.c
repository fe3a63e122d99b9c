/* SPDX-License-Identifier: Apache-2.0 */
#include "table/snappy.h"

#include "base/bytes.h"
#include "table/thrift.h"

/* A copy may reach into what it writes itself (offset < length): that repeats a pattern. */
static void copy_back(struct writer *w, size_t offset, size_t length)
{
    if (!offset || offset > writer_used(w)) {
        w->bad = true;
        return;
    }
    uint8_t *to = write_room(w, length);
    for (size_t i = 0; to && i < length; i++) {
        to[i] = *(to + i - offset);
    }
}

static void take_literal(struct reader *r, struct writer *w, uint8_t tag)
{
    size_t length = tag >> 2;
    if (length >= 60) {
        length = (size_t)read_le(r, length - 59);
    }
    length++;
    const uint8_t *p = read_bytes(r, length);
    if (p) {
        write_bytes(w, p, length);
    }
}

int snappy_decode(const void *data, size_t data_size, void *out, size_t size)
{
    struct reader r = reader_of(data, data_size);
    struct writer w = writer_of(out, size);
    if (read_varint(&r) != size) {
        return ERR_MALFORMED;
    }
    while (reader_left(&r) && !w.bad) {
        uint8_t tag = read_u8(&r);
        size_t offset;
        switch (tag & 3) {
        case 0:
            take_literal(&r, &w, tag);
            break;
        case 1:
            offset = (size_t)(tag >> 5) << 8 | read_u8(&r);
            copy_back(&w, offset, 4 + (tag >> 2 & 7));
            break;
        default:
            offset = (size_t)read_le(&r, (tag & 3) == 2 ? 2 : 4);
            copy_back(&w, offset, 1 + (tag >> 2));
        }
    }
    return r.bad || w.bad || writer_used(&w) != size ? ERR_MALFORMED : ERR_OK;
}
