/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that were written with a few decimals are n / 10^d or, if a gateway scaled them, n × 10^-d: the nearest double to
 * that. Where a number is some units in the last place beside it, or is no such number at all, the difference of the words
 * stands in a list. Other doubles are taken by their bits, in an order in which neighbours are near. The same for floats of 32
 * bits, which come widened. The encoder proves its choice by decoding. */
#include "history/floats.h"

#include <math.h>

enum float_kind {
    FLOAT_BITS,       /* word = order of the bits */
    FLOAT_QUOTIENT,   /* n / 10^d */
    FLOAT_PRODUCT,    /* n × 10^-d */
    FLOAT_KIND = 3,   /* the mask */
    FLOAT_SINGLE = 4, /* of 32 bits, widened */
    FLOAT_OFF = 8,    /* a list of differences */
    FLOAT_NEAR = 16,  /* a column of differences */
    FLOAT_FLAGS_END = 32,
};

#define DECIMALS_MAX 14u
#define PROBES       24u
#define NEAR_BITS    44u /* what is farther off has no integer near it */

static const double power[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                               1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
static const double part[DECIMALS_MAX + 1] = {1e0,  1e-1, 1e-2,  1e-3,  1e-4,  1e-5,  1e-6, 1e-7,
                                              1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14};

struct form {
    unsigned kind, decimals;
};

static uint64_t word_of(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

static double double_of(uint64_t word)
{
    double v;
    memcpy(&v, &word, sizeof v);
    return v;
}

/* Integers up to 2^51 to doubles and back, by way of the double whose last place is 1. (Not by a cast: that is no vector
 * instruction before AVX-512.) Beyond, something wrong but always the same. */
#define MAGIC      0x1.8p52
#define SCALED_MAX 0x1p51

static double double_from(uint64_t n)
{
    return double_of(n + UINT64_C(0x4338000000000000)) - MAGIC;
}

static uint64_t nearest(double v)
{
    return word_of(v + MAGIC) - UINT64_C(0x4338000000000000);
}

COLUMN_CODE
static void scale_up(const uint64_t *v, uint32_t count, double factor, uint64_t *n)
{
    for (uint32_t i = 0; i < count; i++) {
        double scaled = double_of(v[i]) * factor;
        n[i] = fabs(scaled) < SCALED_MAX ? nearest(scaled) : 0;
    }
}

/* n and v are not the same: only then are these loops vector code. */
COLUMN_CODE
static void scale_down(const uint64_t *restrict n, uint32_t count, struct form f,
                       uint64_t *restrict v)
{
    double divisor = power[f.decimals], factor = part[f.decimals];
    switch (f.kind) {
    case FLOAT_QUOTIENT:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of(double_from(n[i]) / divisor);
        }
        break;
    case FLOAT_PRODUCT:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of(double_from(n[i]) * factor);
        }
        break;
    case FLOAT_QUOTIENT | FLOAT_SINGLE:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of((double)(float)(double_from(n[i]) / divisor));
        }
        break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of((double)(float)(double_from(n[i]) * factor));
        }
        break;
    }
}

/* The bits as signed integers in the order of the numbers; its own inverse. */
static uint64_t order(uint64_t word)
{
    return word ^ ((uint64_t)((int64_t)word >> 63) >> 1);
}

COLUMN_CODE
static void bits_to_order(const uint64_t *v, uint32_t count, bool single, uint64_t *n)
{
    for (uint32_t i = 0; i < count && !single; i++) {
        n[i] = order(v[i]);
    }
    for (uint32_t i = 0; i < count && single; i++) {
        float f = (float)double_of(v[i]);
        int32_t bits;
        memcpy(&bits, &f, sizeof bits);
        n[i] = (uint64_t)(int64_t)(bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1));
    }
}

COLUMN_CODE
static void order_to_bits(const uint64_t *restrict n, uint32_t count, bool single,
                          uint64_t *restrict v)
{
    for (uint32_t i = 0; i < count && !single; i++) {
        v[i] = order(n[i]);
    }
    for (uint32_t i = 0; i < count && single; i++) {
        int32_t bits = (int32_t)(uint32_t)n[i];
        float f;
        bits ^= (int32_t)((uint32_t)(bits >> 31) >> 1);
        memcpy(&f, &bits, sizeof f);
        v[i] = word_of((double)f);
    }
}

COLUMN_CODE
static uint32_t count_off(const uint64_t *a, const uint64_t *b, uint32_t count)
{
    uint64_t off = 0;
    for (uint32_t i = 0; i < count; i++) {
        off += a[i] != b[i];
    }
    return (uint32_t)off;
}

static void forward(const uint64_t *v, uint32_t count, struct form f, uint64_t *n)
{
    if ((f.kind & FLOAT_KIND) == FLOAT_BITS) {
        bits_to_order(v, count, f.kind & FLOAT_SINGLE, n);
    } else {
        scale_up(v, count, power[f.decimals], n);
    }
}

static void backward(const uint64_t *n, uint32_t count, struct form f, uint64_t *v)
{
    if ((f.kind & FLOAT_KIND) == FLOAT_BITS) {
        order_to_bits(n, count, f.kind & FLOAT_SINGLE, v);
    } else {
        scale_down(n, count, f, v);
    }
}

/* n: the form's integers for the words v, back: what they give again. Returns how many of those differ. */
static uint32_t prove(const uint64_t *v, uint32_t count, struct form f, uint64_t *n, uint64_t *back)
{
    forward(v, count, f, n);
    backward(n, count, f, back);
    return count_off(v, back, count);
}

/* About how many bits a word takes: its integer, and how far off that is. */
static double cost(const uint64_t *v, const uint64_t *n, const uint64_t *back, uint32_t count)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    uint32_t off_bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        unsigned off = bits_of(zigzag(v[i] - back[i]));
        off_bits += off > NEAR_BITS ? 80 : off ? off + 1 : 0;
        if (off <= NEAR_BITS) {
            min = (int64_t)n[i] < min ? (int64_t)n[i] : min;
            max = (int64_t)n[i] > max ? (int64_t)n[i] : max;
        }
    }
    return min > max ? 128 : bits_of((uint64_t)max - (uint64_t)min) + (double)off_bits / count;
}

/* Whether at most half of the words are distinct: then a dictionary of their bits is best. */
static bool are_few(const uint64_t *v, uint32_t count)
{
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (v[k] != v[i]) {
            k++;
        }
        distinct += k == i;
    }
    return distinct <= count / 2;
}

/* The cheapest form for some words of the column: if one brings all of them back, that with the fewest decimals. */
static struct form guess(struct floats_scratch *s, const uint64_t *v, uint32_t count)
{
    uint64_t probe[PROBES], n[PROBES], back[PROBES];
    uint32_t probes = count < PROBES ? count : PROBES;
    for (uint32_t i = 0; i < probes; i++) {
        probe[i] = v[(uint64_t)i * count / probes];
    }
    struct form best = {.kind = FLOAT_BITS | FLOAT_SINGLE};
    if (prove(probe, probes, best, n, back) || prove(v, count, best, s->column, s->back)) {
        best.kind = FLOAT_BITS;
        prove(probe, probes, best, n, back);
    }
    unsigned single = best.kind & FLOAT_SINGLE;
    double least = cost(probe, n, back, probes);
    /* Each decimal too many costs three bits: once a form is good, four of them in vain end the search. */
    double good = 0.75 * least;
    for (unsigned d = 0; d <= DECIMALS_MAX && (least > good || d <= best.decimals + 4); d++) {
        for (unsigned kind = FLOAT_QUOTIENT; kind <= FLOAT_PRODUCT; kind++) {
            struct form f = {.kind = kind | single, .decimals = d};
            if (prove(probe, probes, f, n, back) == 0) {
                return f;
            }
            double bits = cost(probe, n, back, probes);
            if (bits > least) {
                break; /* a product can be little better than the quotient */
            }
            if (bits + 1 < least) {
                least = bits;
                best = f;
            }
        }
    }
    return are_few(probe, probes) ? (struct form){.kind = FLOAT_BITS | single} : best;
}

/* Puts an integer of the neighbourhood where there is none: for NaN, infinities and what is too great. */
static void fill_in(const uint64_t *v, uint32_t count, double factor, uint64_t *n)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        n[i] = fabs(double_of(v[i]) * factor) < SCALED_MAX ? n[i] : last;
        last = n[i];
    }
}

/* The form for the column; its integers are left in s->column, and what they give in s->back. */
static struct form find_form(struct floats_scratch *s, const uint64_t *v, uint32_t count,
                             uint32_t *off)
{
    struct form f = guess(s, v, count);
    *off = prove(v, count, f, s->column, s->back);
    if (*off == 0) {
        return f;
    }
    for (unsigned i = 0; i < 2 && f.decimals < DECIMALS_MAX;
         i++) { /* the probes may have had few */
        struct form more = {.kind = f.kind, .decimals = f.decimals + 1};
        uint32_t left = prove(v, count, more, s->column, s->back);
        f = left < *off / 2 ? more : f;
        *off = left < *off / 2 ? left : *off;
    }
    forward(v, count, f, s->column);
    fill_in(v, count, power[f.decimals], s->column);
    backward(s->column, count, f, s->back);
    *off = count_off(v, s->back, count);
    return f;
}

static void write_list(const uint64_t *difference, uint32_t count, uint32_t off, struct writer *out)
{
    write_varint(out, off);
    for (uint32_t i = 0, next = 0; i < count; i++) {
        if (difference[i]) {
            write_varint(out, i - next);
            write_varint(out, zigzag(difference[i]));
            next = i + 1;
        }
    }
}

int floats_encode(struct floats_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    uint32_t off;
    struct form f = find_form(s, v, count, &off);
    bool near = off > count / 8;
    write_u8(out, (uint8_t)(f.kind | (near  ? (unsigned)FLOAT_NEAR
                                      : off ? (unsigned)FLOAT_OFF
                                            : 0u)));
    if ((f.kind & FLOAT_KIND) != FLOAT_BITS) {
        write_u8(out, (uint8_t)f.decimals);
    }
    int err = words_encode(&s->words, s->column, count, out);
    if (err || !off) {
        return err;
    }
    for (uint32_t i = 0; i < count; i++) {
        s->back[i] = v[i] - s->back[i];
    }
    if (near) {
        return words_encode(&s->words, s->back, count, out);
    }
    write_list(s->back, count, off, out);
    return out->bad ? ERR_FULL : ERR_OK;
}

static int read_list(struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t n = read_varint(in), at = 0;
    in->bad |= n > count;
    for (uint64_t i = 0; i < n && !in->bad; i++, at++) {
        uint64_t gap = read_varint(in), difference = unzigzag(read_varint(in));
        in->bad |= gap >= count - at;
        if (!in->bad) {
            at += gap;
            v[at] += difference;
        }
    }
    return in->bad ? ERR_MALFORMED : ERR_OK;
}

int floats_decode(struct floats_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    unsigned byte = read_u8(in), kind = byte & FLOAT_KIND;
    struct form f = {.kind = byte & (FLOAT_KIND | FLOAT_SINGLE)};
    f.decimals = kind == FLOAT_BITS ? 0 : read_u8(in);
    if (byte >= FLOAT_FLAGS_END || kind > FLOAT_PRODUCT || f.decimals > DECIMALS_MAX) {
        return ERR_MALFORMED;
    }
    int err = words_decode(&s->words, in, count, s->column);
    if (err) {
        return err;
    }
    backward(s->column, count, f, v);
    if (byte & FLOAT_OFF) {
        return read_list(in, count, v);
    }
    if (byte & FLOAT_NEAR) {
        err = words_decode(&s->words, in, count, s->column);
        for (uint32_t i = 0; !err && i < count; i++) {
            v[i] += s->column[i];
        }
    }
    return err;
}
