/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded cursors over borrowed memory. A cursor that is asked for more than there is goes bad for good:
 * reads give zero, writes do nothing, so a codec checks once, at its end. No allocation, no I/O. */
#ifndef ISTHMUS_BASE_BYTES_H
#define ISTHMUS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end; /* borrowed */
    bool bad;
};

struct writer {
    uint8_t *start, *at, *end; /* borrowed */
    bool bad;
};

static inline struct reader reader_of(const void *data, size_t size)
{
    return (struct reader){.at = data, .end = (const uint8_t *)data + size, .bad = false};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

/* Borrows the next `size` bytes and steps over them; NULL and bad if there are fewer. */
static inline const uint8_t *read_bytes(struct reader *r, size_t size)
{
    if (r->bad || (size_t)(r->end - r->at) < size) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += size;
    return p;
}

/* A cursor over the next `size` bytes, which are stepped over; it is bad if there are fewer. */
static inline struct reader read_part(struct reader *r, size_t size)
{
    const uint8_t *p = read_bytes(r, size);
    return p ? reader_of(p, size) : (struct reader){.bad = true};
}

static inline uint64_t read_be(struct reader *r, size_t width)
{
    const uint8_t *p = read_bytes(r, width);
    uint64_t v = 0;
    for (size_t i = 0; p && i < width; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static inline uint64_t read_le(struct reader *r, size_t width)
{
    const uint8_t *p = read_bytes(r, width);
    uint64_t v = 0;
    for (size_t i = 0; p && i < width; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static inline uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_be(r, 1);
}
static inline uint16_t read_u16be(struct reader *r)
{
    return (uint16_t)read_be(r, 2);
}
static inline uint32_t read_u32be(struct reader *r)
{
    return (uint32_t)read_be(r, 4);
}
static inline uint64_t read_u64be(struct reader *r)
{
    return read_be(r, 8);
}
static inline uint16_t read_u16le(struct reader *r)
{
    return (uint16_t)read_le(r, 2);
}
static inline uint32_t read_u32le(struct reader *r)
{
    return (uint32_t)read_le(r, 4);
}
static inline uint64_t read_u64le(struct reader *r)
{
    return read_le(r, 8);
}

static inline struct writer writer_of(void *memory, size_t capacity)
{
    uint8_t *p = memory;
    return (struct writer){.start = p, .at = p, .end = p + capacity, .bad = false};
}

static inline size_t writer_used(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline size_t writer_left(const struct writer *w)
{
    return w->bad ? 0 : (size_t)(w->end - w->at);
}

/* Room for `size` bytes, to be filled by the caller; NULL and bad if there is less. */
static inline uint8_t *write_room(struct writer *w, size_t size)
{
    if (w->bad || (size_t)(w->end - w->at) < size) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = w->at;
    w->at += size;
    return p;
}

static inline void write_bytes(struct writer *w, const void *data, size_t size)
{
    uint8_t *p = write_room(w, size);
    if (p && size) {
        memcpy(p, data, size);
    }
}

static inline void write_be(struct writer *w, uint64_t v, size_t width)
{
    uint8_t *p = write_room(w, width);
    for (size_t i = 0; p && i < width; i++) {
        p[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
    }
}

static inline void write_le(struct writer *w, uint64_t v, size_t width)
{
    uint8_t *p = write_room(w, width);
    for (size_t i = 0; p && i < width; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static inline void write_u8(struct writer *w, uint8_t v)
{
    write_be(w, v, 1);
}
static inline void write_u16be(struct writer *w, uint16_t v)
{
    write_be(w, v, 2);
}
static inline void write_u32be(struct writer *w, uint32_t v)
{
    write_be(w, v, 4);
}
static inline void write_u64be(struct writer *w, uint64_t v)
{
    write_be(w, v, 8);
}
static inline void write_u16le(struct writer *w, uint16_t v)
{
    write_le(w, v, 2);
}
static inline void write_u32le(struct writer *w, uint32_t v)
{
    write_le(w, v, 4);
}
static inline void write_u64le(struct writer *w, uint64_t v)
{
    write_le(w, v, 8);
}

/* ULEB128, as Thrift, Protocol Buffers and our own columns have it: at most ten bytes; bad beyond 64 bits. */
static inline uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = read_u8(r);
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static inline void write_varint(struct writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        write_u8(w, (uint8_t)(v | 0x80));
    }
    write_u8(w, (uint8_t)v);
}

#endif
