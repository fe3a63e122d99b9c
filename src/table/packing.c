/* SPDX-License-Identifier: Apache-2.0 */
#include "table/packing.h"

#include "table/thrift.h"

/* What we write: blocks of 128 values in four miniblocks, as the specification proposes. */
enum { BLOCK = 128, MINIS = 4, MINI = BLOCK / MINIS, GROUP = 8 };

struct hybrid hybrid_of(struct reader in, unsigned width)
{
    struct hybrid h = {.in = in, .width = width};
    h.in.bad |= width > 32;
    return h;
}

static void hybrid_begin_run(struct hybrid *h)
{
    uint64_t head = read_varint(&h->in);
    h->packed = head & 1;
    if (h->packed) {
        /* Each group of eight values takes `width` bytes. A width of 0 takes none, however many there are. */
        h->left = head >> 1 > UINT32_MAX ? 0 : (head >> 1) * GROUP;
        h->in.bad |= h->width && h->left / GROUP > reader_left(&h->in) / h->width;
        h->bits = 0;
        h->bit_count = 0;
    } else {
        h->left = head >> 1;
        h->value = (uint32_t)read_le(&h->in, (h->width + 7) / 8);
        h->in.bad |= h->width < 32 && h->value >> h->width != 0;
    }
}

uint32_t hybrid_next(struct hybrid *h)
{
    while (!h->left && !h->in.bad) {
        hybrid_begin_run(h);
    }
    if (h->in.bad) {
        return 0;
    }
    h->left--;
    if (!h->packed) {
        return h->value;
    }
    while (h->bit_count < h->width) {
        h->bits |= (uint64_t)read_u8(&h->in) << h->bit_count;
        h->bit_count += 8;
    }
    uint32_t v = (uint32_t)(h->bits & ((UINT64_C(1) << h->width) - 1));
    h->bits >>= h->width;
    h->bit_count -= h->width;
    return v;
}

/* Appends values of `width` bits, least significant bit first. */
struct bit_writer {
    struct writer *w;
    uint64_t bits;
    unsigned count; /* always below 8 between values */
};

static void put_bits(struct bit_writer *b, uint64_t v, unsigned width)
{
    while (width) {
        unsigned part = width < 32 ? width : 32;
        b->bits |= (v & ((UINT64_C(1) << part) - 1)) << b->count;
        b->count += part;
        for (; b->count >= 8; b->count -= 8) {
            write_u8(b->w, (uint8_t)b->bits);
            b->bits >>= 8;
        }
        v = part < 32 ? 0 : v >> 32;
        width -= part;
    }
}

static size_t run_length(const uint32_t *values, size_t count, size_t enough)
{
    size_t n = 1;
    while (n < count && n < enough && values[n] == values[0]) {
        n++;
    }
    return n;
}

static void put_packed(struct writer *w, const uint32_t *values, size_t count, unsigned width)
{
    size_t groups = (count + GROUP - 1) / GROUP;
    struct bit_writer b = {.w = w};
    write_varint(w, (uint64_t)groups << 1 | 1);
    for (size_t i = 0; i < groups * GROUP; i++) {
        put_bits(&b, i < count ? values[i] : 0, width);
    }
}

void hybrid_encode(struct writer *w, const uint32_t *values, size_t count, unsigned width)
{
    for (size_t at = 0; at < count;) {
        size_t run = run_length(values + at, count - at, SIZE_MAX);
        if (run >= GROUP) {
            write_varint(w, (uint64_t)run << 1);
            write_le(w, values[at], (width + 7) / 8);
            at += run;
            continue;
        }
        size_t end = at;
        do {
            end += GROUP;
        } while (end < count && run_length(values + end, count - end, GROUP) < GROUP);
        end = end < count ? end : count;
        put_packed(w, values + at, end - at, width);
        at = end;
    }
}

/* The worst is a run of eight after each packed group: two heads and a value more per 16 values. */
size_t hybrid_bound(size_t count, unsigned width)
{
    return (count / GROUP + 1) * (width + 10);
}

static int64_t wrap(uint64_t v, unsigned bits)
{
    return bits == 32 ? (int32_t)(uint32_t)v : (int64_t)v;
}

struct delta delta_of(struct reader in, unsigned value_bits)
{
    struct delta d = {.in = in, .value_bits = value_bits, .first = true};
    uint64_t block = read_varint(&d.in), minis = read_varint(&d.in);
    d.left = read_varint(&d.in);
    d.value = (uint64_t)zigzag_decode(read_varint(&d.in));
    if (d.in.bad || !minis || minis > DELTA_MINIBLOCKS_MAX || !block || block > UINT16_MAX + 1 ||
        block % 128 || block % minis || block / minis % 32) {
        d.in.bad = true;
        return d;
    }
    d.mini_count = d.mini = (unsigned)minis;
    d.mini_at = d.mini_size = (size_t)(block / minis);
    return d;
}

static void delta_begin_mini(struct delta *d)
{
    if (d->mini == d->mini_count) {
        d->min_delta = zigzag_decode(read_varint(&d->in));
        d->widths = read_bytes(&d->in, d->mini_count);
        d->mini = 0;
    }
    d->width = d->widths ? d->widths[d->mini] : 0;
    if (d->width > d->value_bits) {
        d->in.bad = true;
    }
    d->packed = read_bytes(&d->in, d->mini_size / 8 * d->width);
    d->mini++;
    d->mini_at = 0;
}

/* `width` bits from bit `at` on. They lie within a miniblock, whose size is a multiple of 32 values. */
static uint64_t bits_at(const uint8_t *p, size_t at, unsigned width)
{
    if (!width) {
        return 0;
    }
    unsigned shift = at % 8, bytes = (shift + width + 7) / 8;
    uint64_t v = 0;
    p += at / 8;
    for (unsigned i = 0; i < bytes && i < 8; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    v >>= shift;
    if (bytes > 8) {
        v |= (uint64_t)p[8] << (64 - shift);
    }
    return width == 64 ? v : v & ((UINT64_C(1) << width) - 1);
}

int64_t delta_next(struct delta *d)
{
    if (!d->left) {
        d->in.bad = true;
    }
    if (d->in.bad) {
        return 0;
    }
    d->left--;
    if (d->first) {
        d->first = false;
        return wrap(d->value, d->value_bits);
    }
    if (d->mini_at == d->mini_size) {
        delta_begin_mini(d);
    }
    if (d->in.bad) {
        return 0;
    }
    d->value += (uint64_t)d->min_delta + bits_at(d->packed, d->mini_at++ * d->width, d->width);
    return wrap(d->value, d->value_bits);
}

struct reader delta_rest(struct delta d)
{
    while (d.left && !d.in.bad) {
        delta_next(&d);
    }
    return d.in;
}

static unsigned bit_length(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static void put_block(struct writer *w, const uint64_t *deltas, size_t count, int64_t min,
                      uint64_t mask)
{
    uint8_t widths[MINIS] = {0};
    for (size_t i = 0; i < count; i++) {
        unsigned width = bit_length((deltas[i] - (uint64_t)min) & mask);
        uint8_t *widest = &widths[i / MINI];
        *widest = width > *widest ? (uint8_t)width : *widest;
    }
    write_varint(w, zigzag_encode(min));
    write_bytes(w, widths, MINIS);
    for (size_t i = 0; i < count; i += MINI) {
        struct bit_writer b = {.w = w};
        for (size_t k = i; k < i + MINI; k++) {
            put_bits(&b, k < count ? (deltas[k] - (uint64_t)min) & mask : 0, widths[i / MINI]);
        }
    }
}

void delta_encode(struct writer *w, const uint64_t *values, size_t count, unsigned value_bits)
{
    uint64_t mask = value_bits == 64 ? UINT64_MAX : UINT32_MAX;
    write_varint(w, BLOCK);
    write_varint(w, MINIS);
    write_varint(w, count);
    write_varint(w, zigzag_encode(count ? wrap(values[0], value_bits) : 0));
    for (size_t at = 1; at < count; at += BLOCK) {
        uint64_t deltas[BLOCK];
        size_t n = count - at < BLOCK ? count - at : BLOCK;
        int64_t min = INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            int64_t delta = wrap(values[at + i] - values[at + i - 1], value_bits);
            deltas[i] = (uint64_t)delta;
            min = delta < min ? delta : min;
        }
        put_block(w, deltas, n, min, mask);
    }
}

size_t delta_bound(size_t count)
{
    return 40 + (count / BLOCK + 1) * (10 + MINIS + BLOCK * 8);
}
