/* SPDX-License-Identifier: Apache-2.0 */
/* Writing columns that are not made of others. Works on the words as whole steps above the least of them. First the mean miss
 * of each prediction is measured, then those that are close to the least one are tried: how many bits their misses take is
 * guessed from a histogram of their widths. The exponential mean with weight 2^-shift costs the decoder hardly more than a
 * difference: when s is the running sum of the residuals, the prediction is just s >> shift. */
#include "history/flat.h"

#include <math.h>
#include <stdlib.h>

#define SHIFTS 4u   /* that encoding tries: 0..3 */
#define WINDOW 128u /* words on which shifts are compared */
#define LEVEL  256u /* words of which the level is the mean */
#define SOME   17u  /* words of which it is about the median */
/* A prediction that misses by so many bits more than the least may still be the cheapest. */
#define CLOSE 0.15
/* A residual whose high part would have more bits than this gets a patch. */
#define HIGH_BITS 5u

struct plan {
    enum column_kind kind;
    unsigned flags, shift, width;
    uint64_t base, unit, slope, centre;
    uint64_t bits; /* about */
    bool fresh;    /* the residuals in s->r are this plan's */
};

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

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Division that leaves no rest is a product with the inverse modulo 2^64. */
struct divisor {
    uint64_t inverse, greatest; /* quotient: what is above it was no multiple */
    unsigned shift;
};

static struct divisor divisor_of(uint64_t unit)
{
    struct divisor d = {.shift = (unsigned)__builtin_ctzll(unit)};
    uint64_t odd = unit >> d.shift;
    d.greatest = UINT64_MAX / odd;
    d.inverse = odd; /* right in three bits; each round doubles them */
    for (unsigned i = 0; i < 5; i++) {
        d.inverse *= 2 - odd * d.inverse;
    }
    return d;
}

static uint64_t divide(uint64_t x, const struct divisor *d)
{
    return (x >> d->shift) * d->inverse;
}

/* The greatest unit of which all x are multiples; x are divided by it. */
COLUMN_CODE
static uint64_t take_unit(uint64_t *x, uint32_t count)
{
    uint64_t unit = 0;
    for (uint32_t i = 0; i < count && unit != 1; i += count / 16 + 1) {
        unit = gcd(x[i], unit);
    }
    if (unit <= 1) {
        return 1;
    }
    struct divisor d = divisor_of(unit);
    for (uint32_t i = 0; i < count; i++) {
        if (divide(x[i], &d) > d.greatest || x[i] >> d.shift << d.shift != x[i]) {
            unit = gcd(x[i], unit);
            d = divisor_of(unit);
        }
    }
    for (uint32_t i = 0; unit > 1 && i < count; i++) {
        x[i] = divide(x[i], &d);
    }
    return unit;
}

/* Residuals. Each kind begins such that the first one is the centre that is expected. */
COLUMN_CODE
static void miss_line(const uint64_t *x, uint32_t count, uint64_t slope, uint64_t *r)
{
    for (uint32_t i = 0; i < count; i++) {
        r[i] = x[i] - i * slope;
    }
}

/* (Adding x before the guess is taken off leaves only two steps to wait for.) */
static void miss_smooth(const uint64_t *x, uint32_t count, unsigned shift, uint64_t base,
                        uint64_t *r)
{
    uint64_t sum = shift ? UINT64_C(1) << (shift - 1) : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t guess = (uint64_t)((int64_t)sum >> shift), above = x[i] - base;
        r[i] = above - guess;
        sum = (sum + above) - guess;
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

/* The mean width in bits of what each prediction misses. */
struct misses {
    double line, smooth, curve;
    unsigned shift;
};

static unsigned width_of(uint64_t r)
{
    return bits_of(zigzag(r));
}

static int by_size(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* About which level x lies above the line i × slope: the mean of some words, of which none counts as farther from their
 * median than four times the range of the middle half. */
static uint64_t level(const uint64_t *x, uint32_t count, uint64_t slope, double *miss)
{
    uint64_t some[SOME];
    uint32_t every = count / LEVEL + 1, n = 0, widths = 0;
    for (uint32_t k = 0; k < SOME; k++) {
        uint32_t i = k * count / SOME;
        some[k] = x[i] - i * slope;
    }
    qsort(some, SOME, sizeof *some, by_size);
    uint64_t median = some[SOME / 2];
    uint64_t range = some[3 * SOME / 4] - some[SOME / 4] + 1, most = INT64_MAX / LEVEL / 4;
    int64_t reach = 4 * (int64_t)(range < most ? range : most), sum = 0; /* no sum overflows */
    for (uint32_t i = 0; i < count; i += every, n++) {
        int64_t off = (int64_t)(x[i] - i * slope - median);
        sum += (off < -reach ? -reach : off > reach ? reach : off) / LEVEL;
    }
    uint64_t mean = median + (uint64_t)(sum * LEVEL / n);
    for (uint32_t i = 0; i < count; i += every) {
        widths += width_of(x[i] - i * slope - mean);
    }
    *miss = (double)widths / n;
    return mean;
}

COLUMN_CODE
static void compare_shifts(const uint64_t *x, uint32_t count, uint64_t step, struct misses *m)
{
    uint64_t sum[SHIFTS], d = x[1] - x[0];
    uint32_t widths[SHIFTS] = {0}, curve = 0;
    for (unsigned k = 0; k < SHIFTS; k++) {
        sum[k] = UINT64_C(1) << k >> 1;
    }
    for (uint32_t i = 1; i < count; i++) {
        uint64_t off =
            x[i] - x[0] - i * step; /* a mean that is centred does not lag behind a ramp */
        for (unsigned k = 0; k < SHIFTS; k++) {
            uint64_t guess = (uint64_t)((int64_t)sum[k] >> k);
            widths[k] += width_of(off - guess);
            sum[k] = (sum[k] + off) - guess;
        }
        curve += width_of(x[i] - x[i - 1] - d);
        d = x[i] - x[i - 1];
    }
    m->shift = 0;
    for (unsigned k = 1; k < SHIFTS; k++) {
        m->shift = widths[k] < widths[m->shift] ? k : m->shift;
    }
    m->smooth = (double)widths[m->shift] / (count - 1);
    m->curve = (double)curve / (count - 1);
}

COLUMN_CODE
static void count_widths(const uint64_t *u, uint32_t count, uint32_t wide[65])
{
    uint32_t even[65] = {0}, odd[65] = {0};
    for (uint32_t i = 0; i + 1 < count; i += 2) {
        even[bits_of(u[i])]++;
        odd[bits_of(u[i + 1])]++;
    }
    for (unsigned b = 0; b <= 64; b++) {
        wide[b] = even[b] + odd[b];
    }
    wide[bits_of(u[count - 1])] += count % 2;
}

/* About how many bits the residuals u take at the best width, which is set; and whether there are patches then. */
static uint64_t fit_unary(const uint64_t *u, uint32_t count, unsigned widest, struct plan *p)
{
    static const uint32_t high[HIGH_BITS + 1] = {0, 10, 24, 52, 105, 210}; /* tenths of bits */
    uint32_t wide[65 + HIGH_BITS];
    uint64_t least = UINT64_MAX, far = 0;
    count_widths(u, count, wide);
    memset(wide + 65, 0, HIGH_BITS * sizeof *wide);
    for (unsigned k = (widest < 63 ? widest : 63) + 1; k-- > 0;) {
        /* of those that are wider than k + HIGH_BITS */
        far += k + HIGH_BITS + 1 <= 64
                   ? wide[k + HIGH_BITS + 1] * (uint64_t)(120 + (k + HIGH_BITS + 1) * 12)
                   : 0;
        uint64_t tenths = (uint64_t)count * (k + 1) * 10 + far;
        for (unsigned b = 1; b <= HIGH_BITS; b++) {
            tenths += wide[k + b] * high[b];
        }
        if (tenths < least) {
            least = tenths;
            p->width = k;
            p->flags = COLUMN_UNARY | (far ? (unsigned)COLUMN_PATCHED : 0u);
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
    uint64_t centre = skew ? (uint64_t)g.min : middle, packed = (uint64_t)width * count;
    for (uint32_t i = 0; i < count; i++) {
        u[i] = skew ? r[i] - centre : zigzag(r[i] - centre);
    }
    p->bits = width < 2 ? packed : fit_unary(u, count, width + 1, p);
    p->flags |= skew ? 0u : (unsigned)COLUMN_ZIGZAG;
    p->fresh = true;
    p->centre = centre;
    if (packed <= p->bits) {
        p->bits = packed;
        p->flags = 0;
        p->width = width;
        p->centre = (uint64_t)g.min;
    }
}

static void try_line(struct words_scratch *s, uint32_t count, uint64_t slope, uint64_t mean,
                     struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_LINE, .slope = slope};
    miss_line(s->x, count, slope, s->r);
    fit(s->r, count, mean, s->u, p);
}

COLUMN_CODE
static void try_smooth(struct words_scratch *s, uint32_t count, unsigned shift, int64_t step,
                       struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_SMOOTH, .shift = shift};
    uint64_t centre = (uint64_t)step << shift;
    p->base = s->x[0] - centre;
    miss_smooth(s->x, count, shift, p->base, s->r);
    fit(s->r, count, centre, s->u, p);
}

static void try_curve(struct words_scratch *s, uint32_t count, struct plan *p)
{
    *p = (struct plan){.kind = COLUMN_CURVE, .slope = s->x[1] - s->x[0]};
    p->base = s->x[0] - p->slope;
    miss_curve(s->x, count, p->slope, s->r);
    fit(s->r, count, 0, s->u, p);
}

static void keep_cheaper(const struct plan *trial, struct plan *best)
{
    best->fresh = false;
    if (trial->bits < best->bits) {
        *best = *trial;
    }
}

/* Chooses; s->x holds the words in steps, of which the greatest is `span`. */
static struct plan choose(struct words_scratch *s, uint32_t count, uint64_t span, bool rises)
{
    struct plan best = {.bits = UINT64_MAX}, trial;
    const uint64_t *x = s->x;
    if (count < 3 || span >> 62) { /* too far apart for means */
        try_line(s, count, 0, x[0], &best);
        return best;
    }
    struct misses m;
    uint32_t window = count < WINDOW ? count : WINDOW;
    int64_t step = (int64_t)rint((double)(int64_t)(x[count - 1] - x[0]) / (count - 1));
    compare_shifts(x + (count - window) / 2, window, (uint64_t)step, &m);
    uint64_t slope = rises ? (uint64_t)step : 0;
    uint64_t mean = level(x, count, slope, &m.line);
    double least = fmin(m.line, fmin(m.smooth, m.curve)) + CLOSE;
    if (m.line <= least) {
        try_line(s, count, slope, mean, &best);
    }
    if (m.smooth <= least) {
        try_smooth(s, count, m.shift, step, &trial);
        keep_cheaper(&trial, &best);
    }
    if (m.curve <= least) {
        try_curve(s, count, &trial);
        keep_cheaper(&trial, &best);
    }
    return best;
}

/* The residuals of the chosen plan, ready to be packed, in s->u. */
COLUMN_CODE
static void miss(struct words_scratch *s, uint32_t count, const struct plan *p)
{
    if (p->kind == COLUMN_LINE && !p->fresh) {
        miss_line(s->x, count, p->slope, s->r);
    } else if (p->kind == COLUMN_SMOOTH && !p->fresh) {
        miss_smooth(s->x, count, p->shift, p->base, s->r);
    } else if (!p->fresh) {
        miss_curve(s->x, count, p->slope, s->r);
    }
    uint64_t centre = p->centre;
    if (p->flags & COLUMN_ZIGZAG) {
        for (uint32_t i = 0; i < count; i++) {
            s->u[i] = zigzag(s->r[i] - centre);
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            s->u[i] = s->r[i] - centre;
        }
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
    uint32_t patches = 0;
    for (uint32_t i = 0; i < count; i++) {
        patches += is_far(s->u[i], p);
    }
    write_varint(out, patches);
    for (uint32_t i = 0, next = 0; patches && i < count; i++) {
        if (is_far(s->u[i], p)) {
            write_varint(out, i - next);
            write_varint(out, s->u[i]);
            s->u[i] = 0;
            next = i + 1;
        }
    }
}

static void write_head(const struct plan *p, uint64_t min, struct writer *out)
{
    bool line = p->kind == COLUMN_LINE;
    write_u8(out, (uint8_t)(p->kind | p->flags | (p->unit > 1 ? (unsigned)COLUMN_UNIT : 0u)));
    write_u8(out, (uint8_t)p->width);
    if (p->unit > 1) {
        write_varint(out, p->unit);
    }
    write_varint(out, zigzag(min + p->unit * (p->base + (line ? p->centre : 0))));
    if (p->kind == COLUMN_SMOOTH) {
        write_u8(out, (uint8_t)p->shift);
    } else {
        write_varint(out, zigzag(p->slope));
    }
    if (!line) {
        write_varint(out, zigzag(p->centre));
    }
}

static void write_residuals(struct words_scratch *s, uint32_t count, const struct plan *p,
                            struct writer *out)
{
    size_t unary = 0;
    miss(s, count, p);
    if (p->flags & COLUMN_PATCHED) {
        write_patches(s, count, p, out);
    }
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

COLUMN_CODE
static bool is_line(const uint64_t *v, uint32_t count, uint64_t slope)
{
    uint64_t off = v[count - 1] - v[0] - (count - 1) * slope;
    off |= v[count / 2] - v[0] - count / 2 * slope;
    for (uint32_t i = 1; off == 0 && i < count;
         i += 128) { /* most others end within the first stretch */
        uint32_t end = i + 128 < count ? i + 128 : count;
        for (uint32_t j = i; j < end; j++) {
            off |= (v[j] - v[j - 1]) ^ slope;
        }
    }
    return off == 0;
}

/* The words above the least one, packed: what no other encoding may exceed by much. */
static void write_packed(struct words_scratch *s, uint32_t count, uint64_t min, uint64_t unit,
                         struct writer *out)
{
    struct range g = range_of(s->x, count);
    struct plan plan = {.kind = COLUMN_LINE, .unit = unit, .width = bits_of((uint64_t)g.max)};
    plan.width = g.min < 0 ? 64 : plan.width;
    write_head(&plan, min, out);
    write_residuals(s, count, &plan, out);
}

COLUMN_CODE
static void take_least(const uint64_t *v, uint32_t count, uint64_t min, uint64_t *x)
{
    for (uint32_t i = 0; i < count; i++) {
        x[i] = v[i] - min;
    }
}

static void write_best(struct words_scratch *s, const uint64_t *v, uint32_t count,
                       struct writer *out)
{
    uint64_t slope = count > 1 ? v[1] - v[0] : 0;
    if (is_line(v, count, slope)) {
        struct plan plan = {.kind = COLUMN_LINE, .slope = slope, .unit = 1};
        write_head(&plan, v[0], out);
        return;
    }
    struct range g = range_of(v, count);
    take_least(v, count, (uint64_t)g.min, s->x);
    uint64_t unit = take_unit(s->x, count);
    uint64_t span = ((uint64_t)g.max - (uint64_t)g.min) / unit;
    struct plan plan =
        choose(s, count, span, (int64_t)v[0] == g.min && (int64_t)v[count - 1] == g.max);
    plan.unit = unit;
    struct writer start = *out;
    write_head(&plan, (uint64_t)g.min, out);
    write_residuals(s, count, &plan, out);
    if (out->bad || (size_t)(out->at - start.at) > (size_t)count * 8) {
        *out = start;
        write_packed(s, count, (uint64_t)g.min, unit, out);
    }
}

void flat_encode(struct words_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    struct writer start = *out;
    write_best(s, v, count, out);
    if (count <= BITS_FEW) {
        uint8_t bytes[10 * BITS_FEW + 1];
        struct writer few = writer_of(bytes, sizeof bytes);
        write_few(v, count, &few);
        if (out->bad || writer_used(&few) <= (size_t)(out->at - start.at)) {
            *out = start;
            write_bytes(out, bytes, writer_used(&few));
        }
    }
}
