/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding tries the predictions on the words as whole steps above the least of them, guesses from the widths of what each
 * missed how many bits that would take, and writes the cheapest. The exponential mean with weight 2^-shift costs the decoder
 * hardly more than a difference: when s is the running sum of the residuals, the prediction is just s >> shift. */
#include "history/flat.h"

#include <math.h>

#define SHIFTS    4u /* that encoding tries: 0..3 */
#define SHIFT_MAX 15u
#define FEW       64u
/* A residual whose high part would be longer than this gets a patch. */
#define HIGH_BITS 5u

struct plan {
    enum column_kind kind;
    unsigned flags, shift, width, patches;
    uint64_t base, unit, slope, centre;
    uint64_t bits; /* about */
};

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

struct range {
    int64_t min, max;
};

COLUMN_CODE
static struct range range_of(const uint64_t *v, uint32_t count)
{
    struct range g = {.min = (int64_t)v[0], .max = (int64_t)v[0]};
    for (uint32_t i = 1; i < count; i++) {
        g.min = (int64_t)v[i] < g.min ? (int64_t)v[i] : g.min;
        g.max = (int64_t)v[i] > g.max ? (int64_t)v[i] : g.max;
    }
    return g;
}

/* x: the words as whole steps above the least. */
static uint64_t find_unit(const uint64_t *v, uint32_t count, uint64_t min, uint64_t *x)
{
    uint64_t unit = 0;
    for (uint32_t i = 0; i < count && unit != 1; i++) {
        unit = gcd(v[i] - min, unit);
    }
    for (uint32_t i = 0; i < count; i++) {
        x[i] = unit > 1 ? (v[i] - min) / unit : v[i] - min;
    }
    return unit > 1 ? unit : 1;
}

/* Residuals. Each begins such that the first is the centre that is expected. */
COLUMN_CODE
static void miss_line(const uint64_t *x, uint32_t count, uint64_t slope, uint64_t *r)
{
    for (uint32_t i = 0; i < count; i++) {
        r[i] = x[i] - i * slope;
    }
}

static void miss_smooth(const uint64_t *x, uint32_t count, unsigned shift, uint64_t centre,
                        uint64_t *r)
{
    uint64_t sum = 0, half = shift ? UINT64_C(1) << (shift - 1) : 0, from = x[0] - centre;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t guess = (uint64_t)((int64_t)(sum + half) >> shift);
        r[i] = x[i] - from - guess;
        sum += r[i];
    }
}

static void miss_curve(const uint64_t *x, uint32_t count, uint64_t slope, uint64_t *r)
{
    uint64_t before = x[0] - slope, d = slope;
    for (uint32_t i = 0; i < count; i++) {
        r[i] = x[i] - before - d;
        d = x[i] - before;
        before = x[i];
    }
}

static uint64_t size_of_miss(uint64_t r)
{
    uint64_t z = zigzag(r);
    return z < UINT64_C(1) << 53 ? z : UINT64_C(1) << 53;
}

/* Which shift misses by least, and by how much the curve misses (in *curve). */
static unsigned best_shift(const uint64_t *x, uint32_t count, uint64_t *least, uint64_t *curve)
{
    uint64_t sum[SHIFTS] = {0}, miss[SHIFTS] = {0}, d = 0;
    *curve = 0;
    for (uint32_t i = 1; i < count; i++) {
        for (unsigned k = 0; k < SHIFTS; k++) {
            uint64_t r = x[i] - x[0] - (uint64_t)((int64_t)(sum[k] + (UINT64_C(1) << k >> 1)) >> k);
            sum[k] += r;
            miss[k] += size_of_miss(r);
        }
        uint64_t step = x[i] - x[i - 1];
        *curve += size_of_miss(step - d);
        d = step;
    }
    unsigned best = 0;
    for (unsigned k = 1; k < SHIFTS; k++) {
        best = miss[k] < miss[best] ? k : best;
    }
    *least = miss[best];
    return best;
}

/* About how many bits the residuals u take at the best width, which is set with the number of patches. */
static uint64_t fit_unary(const uint64_t *u, uint32_t count, struct plan *p)
{
    static const uint32_t high[HIGH_BITS + 1] = {0, 10, 24, 52, 105, 210}; /* tenths */
    uint32_t wide[65] = {0};
    for (uint32_t i = 0; i < count; i++) {
        wide[bits_of(u[i])]++;
    }
    uint64_t least = UINT64_MAX;
    for (unsigned k = 0; k < 64; k++) {
        uint64_t tenths = (uint64_t)count * (k + 1) * 10;
        unsigned patches = 0;
        for (unsigned b = k + 1; b <= 64; b++) {
            bool patched = b > k + HIGH_BITS;
            tenths += wide[b] * (patched ? 120 + b * 12 : high[b - k]);
            patches += patched ? wide[b] : 0;
        }
        if (tenths < least) {
            least = tenths;
            p->width = k;
            p->patches = patches;
        }
    }
    return least / 10;
}

/* Completes a plan for the residuals r: packed from the least one, or in unary above that or about a centre. */
COLUMN_CODE
static void fit(const uint64_t *r, uint32_t count, uint64_t middle, uint64_t *u, struct plan *p)
{
    struct range g = range_of(r, count);
    unsigned width = bits_of((uint64_t)g.max - (uint64_t)g.min);
    bool skew = 4 * ((double)(int64_t)middle - (double)g.min) < (double)g.max - (double)g.min;
    uint64_t centre = skew ? (uint64_t)g.min : middle;
    for (uint32_t i = 0; i < count; i++) {
        u[i] = skew ? r[i] - centre : zigzag(r[i] - centre);
    }
    p->bits = width < 2 ? UINT64_MAX : fit_unary(u, count, p);
    p->flags = COLUMN_UNARY | (skew ? 0u : (unsigned)COLUMN_ZIGZAG) |
               (p->patches ? (unsigned)COLUMN_PATCHED : 0u);
    p->centre = centre;
    if ((uint64_t)width * count <= p->bits) {
        p->bits = (uint64_t)width * count;
        p->flags = 0;
        p->patches = 0;
        p->width = width;
        p->centre = (uint64_t)g.min;
    }
}

COLUMN_CODE
static uint64_t mean(const uint64_t *r, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)(int64_t)r[i];
    }
    double m = sum / count;
    return fabs(m) < 0x1p62 ? (uint64_t)(int64_t)m : r[0];
}

/* The mean step from word to word. */
static int64_t step_of(const uint64_t *x, uint32_t count)
{
    double span = (double)(int64_t)(x[count - 1] - x[0]);
    return count > 1 && fabs(span) < 0x1p62 ? (int64_t)rint(span / (count - 1)) : 0;
}

static void try_line(struct words_scratch *s, uint32_t count, uint64_t slope, struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_LINE, .slope = slope};
    miss_line(s->x, count, slope, s->r);
    fit(s->r, count, mean(s->r, count), s->u, p);
}

static void try_smooth(struct words_scratch *s, uint32_t count, unsigned shift, struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_SMOOTH, .shift = shift};
    uint64_t centre = (uint64_t)step_of(s->x, count) << shift;
    miss_smooth(s->x, count, shift, centre, s->r);
    p->base = s->x[0] - centre;
    fit(s->r, count, centre, s->u, p);
}

static void try_curve(struct words_scratch *s, uint32_t count, struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_CURVE, .slope = s->x[1] - s->x[0]};
    miss_curve(s->x, count, p->slope, s->r);
    p->base = s->x[0] - p->slope;
    fit(s->r, count, 0, s->u, p);
}

static void keep_better(const struct plan *trial, struct plan *best)
{
    if (trial->bits < best->bits) {
        *best = *trial;
    }
}

/* Chooses; s->x holds the words in steps. */
static struct plan choose(struct words_scratch *s, uint32_t count, bool rises)
{
    struct plan best, trial;
    try_line(s, count, 0, &best);
    int64_t step = step_of(s->x, count);
    if (best.bits == 0 || count < 3) {
        return best;
    }
    if (rises && step) {
        try_line(s, count, (uint64_t)step, &trial);
        keep_better(&trial, &best);
    }
    uint64_t least, curve;
    unsigned shift = best_shift(s->x, count, &least, &curve);
    try_smooth(s, count, shift, &trial);
    keep_better(&trial, &best);
    if (curve < least) {
        try_curve(s, count, &trial);
        keep_better(&trial, &best);
    }
    return best;
}

/* The residuals of the chosen plan, ready to be packed, in s->u. */
static void miss(struct words_scratch *s, uint32_t count, const struct plan *p)
{
    if (p->kind == COLUMN_LINE) {
        miss_line(s->x, count, p->slope, s->r);
    } else if (p->kind == COLUMN_SMOOTH) {
        miss_smooth(s->x, count, p->shift, s->x[0] - p->base, s->r);
    } else {
        miss_curve(s->x, count, p->slope, s->r);
    }
    for (uint32_t i = 0; i < count; i++) {
        s->u[i] = p->flags & COLUMN_ZIGZAG ? zigzag(s->r[i] - p->centre) : s->r[i] - p->centre;
    }
}

static bool is_far(uint64_t u, const struct plan *p)
{
    return bits_of(u) > p->width + HIGH_BITS;
}

/* Puts those residuals that are far off by themselves; zeros take their places. */
static void write_patches(struct words_scratch *s, uint32_t count, const struct plan *p,
                          struct writer *out)
{
    write_varint(out, p->patches);
    for (uint32_t i = 0, next = 0; i < count; i++) {
        if (is_far(s->u[i], p)) {
            write_varint(out, i - next);
            write_varint(out, s->u[i]);
            s->u[i] = 0;
            next = i + 1;
        }
    }
}

static void write_plan(struct words_scratch *s, uint32_t count, const struct plan *p, uint64_t min,
                       struct writer *out)
{
    bool line = p->kind == COLUMN_LINE;
    uint64_t base = p->base + (line ? p->centre : 0);
    miss(s, count, p);
    write_u8(out, (uint8_t)(p->kind | p->flags | (p->unit > 1 ? (unsigned)COLUMN_UNIT : 0u)));
    write_u8(out, (uint8_t)p->width);
    if (p->unit > 1) {
        write_varint(out, p->unit);
    }
    write_varint(out, zigzag(min + p->unit * base));
    write_varint(out, p->kind == COLUMN_SMOOTH ? p->shift : zigzag(p->slope));
    if (!line) {
        write_varint(out, zigzag(p->centre));
    }
    if (p->flags & COLUMN_PATCHED) {
        write_patches(s, count, p, out);
    }
    size_t unary = 0;
    if (p->flags & COLUMN_UNARY) {
        unary = (count + unary_sum(s->u, count, p->width) + 7) / 8;
        write_varint(out, unary);
    }
    memset(s->u + count, 0, (-count % BITS_LANES) * sizeof *s->u);
    uint8_t *room = write_room(out, bits_size(count, p->width));
    if (room) {
        bits_pack(s->u, count, p->width, room);
    }
    room = write_room(out, unary);
    if (room && unary) {
        unary_pack(s->u, count, p->width, room);
    }
}

static void write_few(const uint64_t *v, uint32_t count, struct writer *out)
{
    write_u8(out, COLUMN_FEW);
    for (uint32_t i = 0; i < count; i++) {
        write_varint(out, zigzag(v[i] - (i ? v[i - 1] : 0)));
    }
}

void flat_encode(struct words_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    struct range g = range_of(v, count);
    uint64_t unit = find_unit(v, count, (uint64_t)g.min, s->x);
    struct plan plan = choose(s, count, (int64_t)v[0] == g.min && (int64_t)v[count - 1] == g.max);
    plan.unit = unit;
    struct writer start = *out;
    write_plan(s, count, &plan, (uint64_t)g.min, out);
    if (count <= FEW) {
        uint8_t bytes[10 * FEW + 1];
        struct writer few = writer_of(bytes, sizeof bytes);
        write_few(v, count, &few);
        if (out->bad || writer_used(&few) <= (size_t)(out->at - start.at)) {
            *out = start;
            write_bytes(out, bytes, writer_used(&few));
        }
    }
}

/* What the residuals are, above or about the centre. */
COLUMN_CODE
static void add_centre(uint64_t *u, uint32_t count, bool both_sides, uint64_t centre)
{
    if (both_sides) {
        for (uint32_t i = 0; i < count; i++) {
            u[i] = unzigzag(u[i]) + centre;
        }
    } else if (centre) {
        for (uint32_t i = 0; i < count; i++) {
            u[i] += centre;
        }
    }
}

COLUMN_CODE
static void follow_line(const uint64_t *r, uint32_t count, const struct plan *p, uint64_t *v)
{
    uint64_t base = p->base, unit = p->unit, step = p->slope * p->unit;
    if (unit == 1) {
        for (uint32_t i = 0; i < count; i++) {
            v[i] = base + i * step + r[i];
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            v[i] = base + i * step + r[i] * unit;
        }
    }
}

COLUMN_CODE
static void follow_smooth(const uint64_t *r, uint32_t count, const struct plan *p, uint64_t *v)
{
    uint64_t sum = 0, half = p->shift ? UINT64_C(1) << (p->shift - 1) : 0;
    unsigned shift = p->shift;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t guess = (uint64_t)((int64_t)(sum + half) >> shift);
        v[i] = p->base + p->unit * (guess + r[i]);
        sum += r[i];
    }
}

static void follow_curve(const uint64_t *r, uint32_t count, const struct plan *p, uint64_t *v)
{
    uint64_t x = 0, d = p->slope;
    for (uint32_t i = 0; i < count; i++) {
        d += r[i];
        x += d;
        v[i] = p->base + p->unit * x;
    }
}

static void read_patches(struct reader *in, uint32_t count, uint64_t *places, uint64_t *far,
                         uint32_t *patches)
{
    uint64_t n = read_varint(in), at = 0;
    in->bad |= n > count;
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        uint64_t gap = read_varint(in);
        in->bad |= gap >= count - at;
        at += in->bad ? 0 : gap;
        places[i] = at++;
        far[i] = read_varint(in);
    }
    *patches = in->bad ? 0 : (uint32_t)n;
}

static void read_residuals(struct words_scratch *s, const struct plan *p, struct reader *in,
                           uint32_t count, uint32_t patches)
{
    uint64_t unary = p->flags & COLUMN_UNARY ? read_varint(in) : 0;
    if (unary > UNARY_MAX || p->width > (p->flags & COLUMN_UNARY ? 63 : 64)) {
        in->bad = true;
        return;
    }
    const uint8_t *low = read_bytes(in, bits_size(count, p->width));
    const uint8_t *high = read_bytes(in, unary);
    if (!low || !high) {
        return;
    }
    bits_unpack(low, count, p->width, s->u);
    if (p->flags & COLUMN_UNARY) {
        in->bad |= unary_unpack(high, unary, count, p->width, s->u) != ERR_OK;
    }
    for (uint32_t i = 0; i < patches; i++) {
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

void flat_decode(struct words_scratch *s, unsigned kind, struct reader *in, uint32_t count,
                 uint64_t *v)
{
    struct plan p = {.kind = kind & 7, .flags = kind, .unit = 1};
    if (p.kind == COLUMN_FEW) {
        read_few(in, count, v);
        return;
    }
    uint32_t patches = 0;
    p.width = read_u8(in);
    if (kind & COLUMN_UNIT) {
        p.unit = read_varint(in);
    }
    p.base = unzigzag(read_varint(in));
    uint64_t slope = read_varint(in);
    p.slope = unzigzag(slope);
    p.shift = (unsigned)(slope & SHIFT_MAX);
    in->bad |=
        p.kind > COLUMN_CURVE || kind > 127 || (p.kind == COLUMN_SMOOTH && slope > SHIFT_MAX);
    p.centre = p.kind == COLUMN_LINE ? 0 : unzigzag(read_varint(in));
    if (kind & COLUMN_PATCHED) {
        read_patches(in, count, s->x, s->r, &patches);
    }
    read_residuals(s, &p, in, count, patches);
    if (in->bad) {
        return;
    }
    add_centre(s->u, count, kind & COLUMN_ZIGZAG, p.centre);
    if (p.kind == COLUMN_LINE) {
        follow_line(s->u, count, &p, v);
    } else if (p.kind == COLUMN_SMOOTH) {
        follow_smooth(s->u, count, &p, v);
    } else {
        follow_curve(s->u, count, &p, v);
    }
}
