/* SPDX-License-Identifier: Apache-2.0 */
#include "history/words.h"

#include "history/bits.h"

/* Byte 0 of a column: the kind. All sums are modulo 2^64, so nothing can overflow. */
enum kind { WORDS_PLAIN, WORDS_DELTA, WORDS_DELTA2, WORDS_RUNS, KIND_END };

void write_varint(struct writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        write_u8(w, (uint8_t)(v | 0x80));
    }
    write_u8(w, (uint8_t)v);
}

uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(r);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static uint64_t zigzag(uint64_t v)
{
    return v << 1 ^ (uint64_t)((int64_t)v >> 63);
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ -(v & 1);
}

static unsigned width_of(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* The least word as a signed number, and the width of the greatest above it. */
static uint64_t least(const uint64_t *v, uint32_t count, unsigned *width)
{
    int64_t min = (int64_t)v[0], max = min;
    for (uint32_t i = 1; i < count; i++) {
        min = (int64_t)v[i] < min ? (int64_t)v[i] : min;
        max = (int64_t)v[i] > max ? (int64_t)v[i] : max;
    }
    *width = width_of((uint64_t)max - (uint64_t)min);
    return (uint64_t)min;
}

static void differ(const uint64_t *v, uint32_t count, uint64_t *d)
{
    for (uint32_t i = 1; i < count; i++) {
        d[i - 1] = v[i] - v[i - 1];
    }
}

/* The words above their least, in multiples of their greatest common unit. */
static void write_packed(struct words_scratch *s, const uint64_t *v, uint32_t count,
                         struct writer *out)
{
    unsigned width;
    uint64_t min = least(v, count, &width), unit = 0;
    for (uint32_t i = 0; i < count && unit != 1; i++) {
        unit = gcd(v[i] - min, unit);
    }
    for (uint32_t i = 0; i < count; i++) {
        s->b[i] = unit > 1 ? (v[i] - min) / unit : v[i] - min;
    }
    memset(s->b + count, 0, (-count % BITS_LANES) * sizeof *s->b);
    width = 0;
    for (uint32_t i = 0; i < count; i++) {
        width = width_of(s->b[i]) > width ? width_of(s->b[i]) : width;
    }
    write_varint(out, zigzag(min));
    write_u8(out, (uint8_t)width);
    if (width) {
        write_varint(out, unit);
        uint8_t *room = write_room(out, bits_size(count, width));
        if (room) {
            bits_pack(s->b, count, width, room);
        }
    }
}

static void read_packed(struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t min = unzigzag(read_varint(in));
    unsigned width = read_u8(in);
    uint64_t unit = width ? read_varint(in) : 0;
    if (width > 64) {
        in->bad = true;
        return;
    }
    const uint8_t *bytes = read_bytes(in, bits_size(count, width));
    if (!bytes) {
        return;
    }
    bits_unpack(bytes, count, width, v);
    for (uint32_t i = 0; i < count; i++) {
        v[i] = v[i] * unit + min;
    }
}

static void write_runs(struct words_scratch *s, const uint64_t *v, uint32_t count,
                       struct writer *out)
{
    uint64_t lengths[WORDS_MAX];
    uint32_t runs = 0;
    for (uint32_t i = 0; i < count; runs++) {
        uint32_t from = i;
        while (i < count && v[i] == v[from]) {
            i++;
        }
        s->a[runs] = v[from];
        lengths[runs] = i - from;
    }
    write_varint(out, runs);
    write_packed(s, s->a, runs, out);
    write_packed(s, lengths, runs, out);
}

static void read_runs(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t runs = read_varint(in);
    if (runs == 0 || runs > count) {
        in->bad = true;
        return;
    }
    read_packed(in, (uint32_t)runs, s->a);
    read_packed(in, (uint32_t)runs, s->b);
    uint32_t at = 0;
    for (uint32_t r = 0; r < runs && !in->bad; r++) {
        if (s->b[r] > count - at) {
            in->bad = true;
            return;
        }
        for (uint32_t i = 0; i < s->b[r]; i++) {
            v[at++] = s->a[r];
        }
    }
    in->bad |= at != count;
}

static void write_kind(struct words_scratch *s, enum kind kind, const uint64_t *v, uint32_t count,
                       struct writer *out)
{
    write_u8(out, (uint8_t)kind);
    if (kind == WORDS_RUNS) {
        write_runs(s, v, count, out);
        return;
    }
    for (unsigned order = kind; order; order--, count--) {
        write_varint(out, zigzag(v[0]));
        differ(v, count, s->a);
        v = s->a;
    }
    write_packed(s, v, count, out);
}

int words_encode(struct words_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    enum kind best = WORDS_PLAIN;
    size_t least_size = SIZE_MAX;
    for (enum kind kind = WORDS_PLAIN; kind < KIND_END; kind++) {
        uint8_t trial[2 * WORDS_BYTES_MAX];
        struct writer w = writer_of(trial, sizeof trial);
        if ((kind == WORDS_DELTA && count < 2) || (kind == WORDS_DELTA2 && count < 3)) {
            continue;
        }
        write_kind(s, kind, v, count, &w);
        if (!w.bad && writer_used(&w) < least_size) {
            least_size = writer_used(&w);
            best = kind;
        }
    }
    write_kind(s, best, v, count, out);
    return out->bad ? ERR_FULL : ERR_OK;
}

int words_decode(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    uint8_t kind = read_u8(in);
    uint64_t first[2];
    if (kind >= KIND_END || (kind < WORDS_RUNS && count <= kind)) {
        return ERR_MALFORMED;
    }
    if (kind == WORDS_RUNS) {
        read_runs(s, in, count, v);
        return in->bad ? ERR_MALFORMED : ERR_OK;
    }
    for (unsigned i = 0; i < kind; i++) {
        first[i] = unzigzag(read_varint(in));
    }
    read_packed(in, count - kind, kind ? s->a : v);
    for (unsigned order = kind; order--;) {
        uint64_t *from = s->a, *to = order ? s->a : v, sum = first[order];
        for (uint32_t i = 0; i < count - order; i++) {
            uint64_t d = from[i];
            to[i] = sum;
            sum += d;
        }
    }
    return in->bad ? ERR_MALFORMED : ERR_OK;
}
