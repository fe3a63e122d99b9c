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
    FLOAT_FLAGS_END = 16,
};

#define DECIMALS_MAX   14u
#define PROBES         32u
#define OFF_MAX(count) ((count) / 4)

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

COLUMN_CODE
static void scale_down(uint64_t *v, uint32_t count, struct form f)
{
    double divisor = power[f.decimals], factor = part[f.decimals];
    switch (f.kind) {
    case FLOAT_QUOTIENT:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of(double_from(v[i]) / divisor);
        }
        break;
    case FLOAT_PRODUCT:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of(double_from(v[i]) * factor);
        }
        break;
    case FLOAT_QUOTIENT | FLOAT_SINGLE:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of((double)(float)(double_from(v[i]) / divisor));
        }
        break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            v[i] = word_of((double)(float)(double_from(v[i]) * factor));
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
static void order_to_bits(uint64_t *v, uint32_t count, bool single)
{
    for (uint32_t i = 0; i < count && !single; i++) {
        v[i] = order(v[i]);
    }
    for (uint32_t i = 0; i < count && single; i++) {
        int32_t bits = (int32_t)(uint32_t)v[i];
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

static void backward(uint64_t *v, uint32_t count, struct form f)
{
    if ((f.kind & FLOAT_KIND) == FLOAT_BITS) {
        order_to_bits(v, count, f.kind & FLOAT_SINGLE);
    } else {
        scale_down(v, count, f);
    }
}

/* How many words the form does not bring back; n are its integers, `back` what they give. */
static uint32_t prove(const uint64_t *v, uint32_t count, struct form f, uint64_t *n, uint64_t *back)
{
    forward(v, count, f, n);
    memcpy(back, n, count * sizeof *n);
    backward(back, count, f);
    return count_off(v, back, count);
}

/* The fewest decimals for some words of the column, in the form that suits most of them. */
static struct form guess(struct floats_scratch *s, const uint64_t *v, uint32_t count)
{
    uint64_t probe[PROBES], n[PROBES], back[PROBES];
    uint32_t probes = count < PROBES ? count : PROBES, fewest = UINT32_MAX;
    for (uint32_t i = 0; i < probes; i++) {
        probe[i] = v[(uint64_t)i * count / probes];
    }
    struct form best = {.kind = FLOAT_BITS}, singles = {.kind = FLOAT_BITS | FLOAT_SINGLE};
    bool single = prove(probe, probes, singles, n, back) == 0 &&
                  prove(v, count, singles, s->column, s->words.x) == 0;
    for (unsigned d = 0; d <= DECIMALS_MAX && fewest; d++) {
        for (unsigned kind = FLOAT_QUOTIENT; kind <= FLOAT_PRODUCT; kind++) {
            struct form f = {.kind = kind | (single ? (unsigned)FLOAT_SINGLE : 0u), .decimals = d};
            uint32_t off = prove(probe, probes, f, n, back);
            if (off < fewest) {
                fewest = off;
                best = f;
            }
        }
    }
    if (fewest > OFF_MAX(probes)) {
        best = single ? singles : (struct form){.kind = FLOAT_BITS};
    }
    return best;
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

/* A form that brings most words back. Its integers are left in s->column, and what they give in s->words.x. */
static struct form find_form(struct floats_scratch *s, const uint64_t *v, uint32_t count,
                             uint32_t *off)
{
    struct form f = guess(s, v, count);
    *off = prove(v, count, f, s->column, s->words.x);
    if (*off == 0) {
        return f;
    }
    for (unsigned i = 0; i < 2 && *off && f.decimals < DECIMALS_MAX;
         i++) { /* the probes may have had few */
        struct form more = {.kind = f.kind, .decimals = f.decimals + 1};
        uint32_t left = prove(v, count, more, s->column, s->words.x);
        f = left < *off / 2 ? more : f;
        *off = left < *off / 2 ? left : *off;
    }
    if (*off > OFF_MAX(count)) {
        f = (struct form){.kind = FLOAT_BITS | (f.kind & FLOAT_SINGLE)};
        *off = prove(v, count, f, s->column, s->words.x);
        return f;
    }
    forward(v, count, f, s->column);
    fill_in(v, count, power[f.decimals], s->column);
    memcpy(s->words.x, s->column, count * sizeof *s->column);
    backward(s->words.x, count, f);
    *off = count_off(v, s->words.x, count);
    return f;
}

static void write_off(const uint64_t *v, const uint64_t *back, uint32_t count, uint32_t off,
                      struct writer *out)
{
    write_varint(out, off);
    for (uint32_t i = 0, next = 0; i < count; i++) {
        if (back[i] != v[i]) {
            write_varint(out, i - next);
            write_varint(out, zigzag(v[i] - back[i]));
            next = i + 1;
        }
    }
}

int floats_encode(struct floats_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    uint32_t off;
    struct form f = find_form(s, v, count, &off);
    write_u8(out, (uint8_t)(f.kind | (off ? (unsigned)FLOAT_OFF : 0u)));
    if ((f.kind & FLOAT_KIND) != FLOAT_BITS) {
        write_u8(out, (uint8_t)f.decimals);
    }
    if (off) {
        write_off(v, s->words.x, count, off, out);
    }
    return words_encode(&s->words, s->column, count, out);
}

/* The list lies before the column: its end is sought first, then it is applied. */
static void read_off(struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t n = read_varint(in), at = 0;
    in->bad |= n > count;
    for (uint64_t i = 0; i < n && !in->bad; i++, at++) {
        uint64_t gap = read_varint(in), difference = unzigzag(read_varint(in));
        in->bad |= gap >= count - at;
        at += in->bad ? 0 : gap;
        if (v && !in->bad) {
            v[at] += difference;
        }
    }
}

int floats_decode(struct floats_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    unsigned byte = read_u8(in), kind = byte & FLOAT_KIND;
    struct form f = {.kind = byte & (FLOAT_KIND | FLOAT_SINGLE)};
    if (byte >= FLOAT_FLAGS_END || kind > FLOAT_PRODUCT) {
        return ERR_MALFORMED;
    }
    f.decimals = kind == FLOAT_BITS ? 0 : read_u8(in);
    if (f.decimals > DECIMALS_MAX) {
        return ERR_MALFORMED;
    }
    struct reader off = *in;
    if (byte & FLOAT_OFF) {
        read_off(in, count, NULL);
    }
    int err = words_decode(&s->words, in, count, v);
    if (err) {
        return err;
    }
    backward(v, count, f);
    if (byte & FLOAT_OFF) {
        read_off(&off, count, v);
    }
    return ERR_OK;
}
