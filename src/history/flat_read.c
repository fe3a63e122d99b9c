/* SPDX-License-Identifier: Apache-2.0 */
/* Reading columns that are not made of others. All lengths are proven before a loop begins, so that the loops themselves
 * have nothing to ask. */
#include "history/flat.h"

struct head {
    unsigned kind, flags, shift, width;
    uint64_t base, unit, slope, centre;
    uint32_t patches; /* their places lie in s->x, their residuals in s->r */
};

/* Four words at a time. */
typedef uint64_t four __attribute__((vector_size(32), aligned(8), may_alias));

COLUMN_CODE
void words_fill(uint64_t *v, uint32_t count, uint64_t base, uint64_t step)
{
    four x = {base, base + step, base + 2 * step, base + 3 * step};
    for (uint32_t i = 0; i < count; i += 4) {
        *(four *)(v + i) = x;
        x += 4 * step;
    }
}

COLUMN_CODE
static void follow_line(const uint64_t *u, uint32_t count, const struct head *h, uint64_t *v)
{
    uint64_t base = h->base, unit = h->unit, step = h->slope * h->unit;
    if (h->flags & COLUMN_ZIGZAG) {
        for (uint32_t i = 0; i < count; i++) {
            v[i] = base + i * step + unzigzag(u[i]) * unit;
        }
    } else if (unit == 1 && step == 0) {
        for (uint32_t i = 0; i < count; i++) {
            v[i] = base + u[i];
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            v[i] = base + i * step + u[i] * unit;
        }
    }
}

/* What the residuals are, above or about the centre; 0 behind the last, up to four. */
COLUMN_CODE
static void centre(uint64_t *u, uint32_t count, const struct head *h)
{
    uint64_t middle = h->centre;
    if (h->flags & COLUMN_ZIGZAG) {
        for (uint32_t i = 0; i < count; i++) {
            u[i] = unzigzag(u[i]) + middle;
        }
    } else if (middle) {
        for (uint32_t i = 0; i < count; i++) {
            u[i] += middle;
        }
    }
}

/* Word i is r[i] plus the sum of all residuals before it, shifted. Works on the sum plus 2^63, as only unsigned numbers can
 * be shifted four at a time. */
COLUMN_CODE
static void follow_smooth(const uint64_t *r, uint32_t count, const struct head *h, uint64_t *v)
{
    const four none = {0};
    uint64_t top = UINT64_C(1) << 63, half = h->shift ? UINT64_C(1) << (h->shift - 1) : 0;
    uint64_t base = h->base - h->unit * (top >> h->shift), unit = h->unit;
    unsigned shift = h->shift;
    four sum = none + (top + half);
    for (uint32_t i = 0; i < count; i += 4) {
        four own = *(const four *)(r + i);
        four upto = own + __builtin_shufflevector(own, none, 4, 0, 1, 2);
        upto += __builtin_shufflevector(upto, none, 4, 5, 0, 1);
        four x = own + ((sum + upto - own) >> shift);
        *(four *)(v + i) = unit == 1 ? x + base : x * unit + base;
        sum += __builtin_shufflevector(upto, none, 3, 3, 3, 3);
    }
}

static void follow_curve(const uint64_t *r, uint32_t count, const struct head *h, uint64_t *v)
{
    uint64_t x = 0, d = h->slope;
    for (uint32_t i = 0; i < count; i++) {
        d += r[i];
        x += d;
        v[i] = h->base + h->unit * x;
    }
}

static void read_patches(struct words_scratch *s, struct reader *in, uint32_t count, struct head *h)
{
    uint64_t n = read_varint(in), at = 0;
    in->bad |= n > count;
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        uint64_t gap = read_varint(in);
        in->bad |= gap >= count - at;
        at += in->bad ? 0 : gap;
        s->x[i] = at++;
        s->r[i] = read_varint(in);
    }
    h->patches = in->bad ? 0 : (uint32_t)n;
}

static void read_residuals(struct words_scratch *s, struct reader *in, uint32_t count,
                           const struct head *h)
{
    uint64_t unary = h->flags & COLUMN_UNARY ? read_varint(in) : 0;
    if (unary > UNARY_MAX || h->width > (h->flags & COLUMN_UNARY ? 63 : 64)) {
        in->bad = true;
        return;
    }
    const uint8_t *low = read_bytes(in, bits_size(count, h->width));
    const uint8_t *high = read_bytes(in, unary);
    if (!low || !high) {
        return;
    }
    bits_unpack(low, count, h->width, s->u);
    if (h->flags & COLUMN_UNARY) {
        in->bad |= unary_unpack(high, unary, count, h->width, s->u) != ERR_OK;
    }
    for (uint32_t i = 0; i < h->patches; i++) {
        s->u[s->x[i]] = s->r[i];
    }
}

static void read_few(struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        last += unzigzag(read_varint(in));
        v[i] = last;
    }
}

static void read_head(struct words_scratch *s, unsigned byte, struct reader *in, uint32_t count,
                      struct head *h)
{
    *h = (struct head){.kind = byte & COLUMN_KIND, .flags = byte & ~(unsigned)COLUMN_KIND};
    h->width = read_u8(in);
    h->unit = h->flags & COLUMN_UNIT ? read_varint(in) : 1;
    h->base = unzigzag(read_varint(in));
    if (h->kind == COLUMN_SMOOTH) {
        h->shift = read_u8(in);
    } else {
        h->slope = unzigzag(read_varint(in));
    }
    h->centre = h->kind == COLUMN_LINE ? 0 : unzigzag(read_varint(in));
    in->bad |= h->kind > COLUMN_CURVE || byte > 127 || h->shift > COLUMN_SHIFT_MAX;
    if (h->flags & COLUMN_PATCHED) {
        read_patches(s, in, count, h);
    }
}

void flat_decode(struct words_scratch *s, unsigned byte, struct reader *in, uint32_t count,
                 uint64_t *v)
{
    struct head h;
    if (byte == COLUMN_FEW) {
        read_few(in, count, v);
        return;
    }
    read_head(s, byte, in, count, &h);
    if (h.kind == COLUMN_LINE && h.width == 0 && !(h.flags & ~(unsigned)COLUMN_UNIT)) {
        words_fill(v, count, h.base, h.slope * h.unit);
        return;
    }
    read_residuals(s, in, count, &h);
    if (in->bad) {
        return;
    }
    if (h.kind == COLUMN_LINE) {
        follow_line(s->u, count, &h, v);
        return;
    }
    centre(s->u, count, &h);
    if (h.kind == COLUMN_SMOOTH) {
        follow_smooth(s->u, count, &h, v);
    } else {
        follow_curve(s->u, count, &h, v);
    }
}

bool words_are_line(struct words_scratch *s, struct reader in, uint32_t count, uint64_t *base,
                    uint64_t *step)
{
    struct head h;
    unsigned byte = read_u8(&in);
    if ((byte & ~(unsigned)COLUMN_UNIT) != COLUMN_LINE) {
        return false;
    }
    read_head(s, byte, &in, count, &h);
    *base = h.base;
    *step = h.slope * h.unit;
    return h.width == 0 && !in.bad;
}
