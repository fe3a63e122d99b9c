/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: every encoding by data made for it, any mixture by chance, extremes, hostile bytes; summaries against the obvious
 * way to reckon them; tables. */
#include "history/block.h"
#include "tag/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START_NS INT64_C(1800000000000000000)
#define NS       INT64_C(1000000000)
#define ENTRIES  700u

struct bed {
    struct block_scratch *scratch;
    struct block in, out;
    uint8_t text[BLOCK_TEXT_MAX], back[BLOCK_TEXT_MAX], bytes[BLOCK_BYTES_MAX];
    struct block_entry entries[ENTRIES], entries_back[ENTRIES];
    uint64_t seed;
};

static uint64_t draw(struct bed *bed)
{
    uint64_t z = bed->seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* About a bell of deviation 1. */
static double draw_bell(struct bed *bed)
{
    double sum = -6;
    for (unsigned i = 0; i < 12; i++) {
        sum += (double)(draw(bed) >> 11) * 0x1p-53;
    }
    return sum;
}

static uint64_t word_of(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

/* A block of zeros, good, once a second. */
static struct block *fresh(struct bed *bed, enum value_type type, uint32_t count)
{
    struct block *b = &bed->in;
    b->type = type;
    b->count = count;
    b->text = value_is_long(type) ? bed->text : NULL;
    b->text_size = 0;
    for (uint32_t i = 0; i < count; i++) {
        b->time[i] = START_NS + i * NS;
        b->value[i] = 0;
        b->status[i] = 0;
        b->text_at[i] = 0;
    }
    bed->out.text = bed->back;
    bed->out.text_capacity = sizeof bed->back;
    return b;
}

static void assert_same(const struct block *a, const struct block *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->time, b->time, a->count * sizeof *a->time);
    assert_memory_equal(a->value, b->value, a->count * sizeof *a->value);
    assert_memory_equal(a->status, b->status, a->count * sizeof *a->status);
    for (uint32_t i = 0; value_is_long(a->type) && i < a->count; i++) {
        assert_memory_equal(a->text + a->text_at[i], b->text + b->text_at[i], a->value[i]);
    }
}

/* Encodes, decodes and compares; returns the bytes. What lies behind the block is not written to. */
static uint32_t round_trip(struct bed *bed)
{
    int size = block_encode(bed->scratch, &bed->in, bed->bytes, sizeof bed->bytes);
    assert_in_range(size, 1, BLOCK_BYTES_MAX);
    if (!value_is_long(bed->in.type)) {
        assert_in_range(size, 1, BLOCK_NUMBER_BYTES_MAX);
    }
    assert_int_equal(block_decode(bed->scratch, bed->bytes, (size_t)size, BLOCK_ALL, &bed->out), 0);
    assert_same(&bed->in, &bed->out);
    uint8_t *small = malloc((size_t)size);
    assert_non_null(small);
    if (!value_is_long(bed->in.type)) { /* what packs texts asks for some more room than it fills */
        assert_int_equal(block_encode(bed->scratch, &bed->in, small, (size_t)size), size);
        assert_memory_equal(small, bed->bytes, (size_t)size);
    }
    int less = block_encode(bed->scratch, &bed->in, small, (size_t)size - 1);
    free(small);
    assert_int_equal(less, ERR_FULL);
    return (uint32_t)size;
}

/* --- each encoding, by data made for it: bytes for 1,024 samples, all parts and the head together --- */

static void fill_constant(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->value[i] = 42;
}
static void fill_line(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->value[i] = UINT64_C(1000000007) * i;
}
static void fill_runs(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->value[i] = word_of(i < 300 ? 20.5 : i < 301 ? 21.25 : -1e300);
}
static void fill_ramp(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = (i ? b->value[i - 1] : UINT64_C(5000000000)) + 997 + draw(bed) % 4;
}
static void fill_curve(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->value[i] = (uint64_t)(int64_t)(sin(i * 0.01) * 1e9);
}
static void fill_noise(struct bed *bed, struct block *b, uint32_t i)
{
    (void)i;
    b->value[i] = (uint64_t)(int64_t)rint(draw_bell(bed) * 20);
}
static void fill_walk(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = (i ? b->value[i - 1] : 0) + (uint64_t)(int64_t)rint(draw_bell(bed) * 20);
}
static void fill_spikes(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] =
        (uint64_t)(int64_t)rint(draw_bell(bed) * 4) + (i % 100 == 7 ? UINT64_C(1) << 45 : 0);
}
static void fill_unit(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = 3 + 250 * (draw(bed) % 16);
}
static void fill_dictionary(struct bed *bed, struct block *b, uint32_t i)
{
    static const double few[5] = {0.1, 1e17, -3.14159265358979, 2.5e-9, 1234.5678};
    b->value[i] = word_of(few[draw(bed) % 5]);
}
static void fill_decimals(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = word_of(rint(2000 + draw_bell(bed) * 4) / 100);
}
static void fill_scaled(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = word_of(rint(2000 + draw_bell(bed) * 4) * 0.01);
}
static void fill_sums(struct bed *bed, struct block *b, uint32_t i)
{
    double v = 0;
    for (unsigned k = 0; k < 10; k++) {
        v += rint(200 + draw_bell(bed)) / 100;
    }
    b->value[i] = word_of(v);
}
static void fill_holes(struct bed *bed, struct block *b, uint32_t i)
{
    fill_decimals(bed, b, i);
    if (i % 100 == 50) {
        b->value[i] = i % 200 == 50 ? UINT64_C(0x7ff8000000000123) : word_of(-0.0);
    }
}
static void fill_singles(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = word_of((double)(float)(rint(2000 + draw_bell(bed) * 4) / 100));
}
static void fill_single_bits(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = word_of((double)(float)(1 + 0.001 * draw_bell(bed)) * (i % 2 ? 1 : -1));
}
static void fill_doubles(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = word_of(100 * (1 + 0.001 * draw_bell(bed)));
}
static void fill_random(struct bed *bed, struct block *b, uint32_t i)
{
    b->value[i] = draw(bed);
}
static void fill_jitter(struct bed *bed, struct block *b, uint32_t i)
{
    b->time[i] += (int64_t)(draw(bed) % 51) * 1000000;
}
static void fill_late_clock(struct bed *bed, struct block *b, uint32_t i)
{
    b->time[i] = (i ? b->time[i - 1] : START_NS) + (draw(bed) % 20 ? NS : 2 * NS);
}
static void fill_equal_times(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->time[i] = START_NS + i / 7 * NS / 3;
}
static void fill_status(struct bed *bed, struct block *b, uint32_t i)
{
    (void)bed;
    b->status[i] = i / 100 % 3 == 1 ? 0x80050000u : i == 5 ? UINT32_MAX : 0;
}

static void suits_each_signal(void **state)
{
    struct bed *bed = *state;
    static const struct {
        const char *name;
        enum value_type type;
        void (*fill)(struct bed *, struct block *, uint32_t);
        uint32_t bytes; /* at most */
    } cases[] = {
        {"constant", VALUE_INT32, fill_constant, 32},
        {"line", VALUE_UINT64, fill_line, 40},
        {"set point", VALUE_FLOAT64, fill_runs, 80},
        {"ramp", VALUE_UINT64, fill_ramp, 300},
        {"curve", VALUE_INT64, fill_curve, 2400},
        {"noise", VALUE_INT16, fill_noise, 890},
        {"walk", VALUE_INT32, fill_walk, 900},
        {"spikes", VALUE_INT64, fill_spikes, 800},
        {"unit", VALUE_UINT16, fill_unit, 570},
        {"dictionary", VALUE_FLOAT64, fill_dictionary, 480},
        {"decimals", VALUE_FLOAT64, fill_decimals, 600},
        {"scaled by a gateway", VALUE_FLOAT64, fill_scaled, 600},
        {"sums of decimals", VALUE_FLOAT64, fill_sums, 1100},
        {"decimals with holes", VALUE_FLOAT64, fill_holes, 750},
        {"singles", VALUE_FLOAT32, fill_singles, 600},
        {"bits of singles", VALUE_FLOAT32, fill_single_bits, 4000},
        {"doubles", VALUE_FLOAT64, fill_doubles, 6100},
        {"random words", VALUE_UINT64, fill_random, 8300},
        {"random doubles", VALUE_FLOAT64, fill_random, 8300},
        {"jitter", VALUE_BOOL, fill_jitter, 800},
        {"polls missed", VALUE_BOOL, fill_late_clock, 90},
        {"equal times", VALUE_BOOL, fill_equal_times, 160},
        {"status", VALUE_BOOL, fill_status, 110},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct block *b = fresh(bed, cases[c].type, BLOCK_SAMPLES);
        for (uint32_t i = 0; i < b->count; i++) {
            cases[c].fill(bed, b, i);
        }
        uint32_t bytes = round_trip(bed);
        if (bytes > cases[c].bytes) {
            fail_msg("%s: %u bytes", cases[c].name, bytes);
        }
        for (b->count = 1; b->count < 200; b->count += 1 + b->count / 8) {
            round_trip(bed);
        }
    }
}

/* --- anything --- */

static void fill_by_chance(struct bed *bed, struct block *b)
{
    static void (*const fills[])(struct bed *, struct block *, uint32_t) = {
        fill_constant,    fill_line,        fill_runs,       fill_ramp,   fill_curve,  fill_noise,
        fill_walk,        fill_spikes,      fill_unit,       fill_scaled, fill_sums,   fill_holes,
        fill_single_bits, fill_doubles,     fill_dictionary, fill_random, fill_jitter, fill_status,
        fill_singles,     fill_equal_times, fill_late_clock};
    size_t n = sizeof fills / sizeof *fills;
    for (uint32_t i = 0, which = 0; i < b->count; i++) {
        which = draw(bed) % 64 ? which : (uint32_t)(draw(bed) % n);
        fills[which](bed, b, i);
        b->time[i] = i && b->time[i] < b->time[i - 1] ? b->time[i - 1] : b->time[i];
    }
}

static void keeps_any_mixture(void **state)
{
    struct bed *bed = *state;
    for (uint32_t round = 0; round < 300; round++) {
        enum value_type type = (enum value_type)(1 + draw(bed) % VALUE_FLOAT64);
        struct block *b = fresh(bed, type, 1 + (uint32_t)(draw(bed) % BLOCK_SAMPLES));
        fill_by_chance(bed, b);
        round_trip(bed);
    }
    for (uint32_t round = 0; round < 64; round++) { /* words of every width */
        struct block *b = fresh(bed, round % 2 ? VALUE_FLOAT64 : VALUE_INT64,
                                1 + (uint32_t)(draw(bed) % BLOCK_SAMPLES));
        for (uint32_t i = 0; i < b->count; i++) {
            b->value[i] = draw(bed) >> round;
            b->status[i] = (uint32_t)draw(bed);
        }
        round_trip(bed);
    }
}

static void keeps_extremes(void **state)
{
    struct bed *bed = *state;
    static const uint64_t words[] = {0,
                                     1,
                                     UINT64_MAX,
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_C(0x7ff0000000000000),
                                     UINT64_C(0xfff0000000000000),
                                     UINT64_C(0x7ff0000000000001),
                                     UINT64_C(0xfff8000000000000),
                                     UINT64_C(0x7fefffffffffffff),
                                     UINT64_C(0x0010000000000000),
                                     UINT64_C(0x3ff0000000000000)};
    for (uint32_t round = 0; round < 100; round++) {
        struct block *b =
            fresh(bed, round % 2 ? VALUE_FLOAT64 : VALUE_INT64, 1 + (uint32_t)(draw(bed) % 300));
        for (uint32_t i = 0; i < b->count; i++) {
            b->value[i] = words[draw(bed) % (round % 12 + 1)];
            b->status[i] = draw(bed) % 2 ? UINT32_MAX : 0;
            b->time[i] = round % 3 ? INT64_MIN : i < b->count / 2 ? INT64_MIN : INT64_MAX;
        }
        round_trip(bed);
        struct block_summary s;
        block_summarise(b, &s);
    }
}

static void keeps_texts(void **state)
{
    struct bed *bed = *state;
    struct block *b = fresh(bed, VALUE_TEXT, BLOCK_SAMPLES);
    for (uint32_t i = 0; i < sizeof bed->text; i++) {
        bed->text[i] = (uint8_t)draw(bed);
    }
    b->text_size = sizeof bed->text;
    for (uint32_t i = 0; i < BLOCK_SAMPLES; i++) { /* all different: their bytes cannot be fewer */
        b->text_at[i] = 256 * i;
        b->value[i] = i % 257;
    }
    round_trip(bed);
    for (uint32_t i = 0; i < BLOCK_SAMPLES; i++) { /* three, wherever they lie */
        b->text_at[i] = (uint32_t)(draw(bed) % 3) * 1000;
        b->value[i] = 1000;
    }
    assert_in_range(round_trip(bed), 3000, 3400);
    memset(bed->text, 'x', sizeof bed->text);
    for (uint32_t i = 0; i < BLOCK_SAMPLES; i++) { /* packed */
        b->text_at[i] = 0;
        b->value[i] = i % 700;
    }
    b->type = VALUE_BYTES;
    assert_in_range(round_trip(bed), 1, 2000);
    fresh(bed, VALUE_TEXT, 3); /* all empty, and nowhere */
    b->text = NULL;
    round_trip(bed);
}

static void refuses_what_is_no_block(void **state)
{
    struct bed *bed = *state;
    struct block *b = fresh(bed, VALUE_INT8, 2);
    b->time[1] = b->time[0] - 1;
    assert_int_equal(block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes), ERR_MALFORMED);
    b->time[1] = b->time[0];
    b->count = 0;
    assert_int_equal(block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes), ERR_MALFORMED);
    b->count = BLOCK_SAMPLES + 1;
    assert_int_equal(block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes), ERR_MALFORMED);
    fresh(bed, VALUE_TEXT, 2);
    b->text_size = 10;
    b->text_at[1] = 5;
    b->value[1] = 6;
    assert_int_equal(block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes), ERR_MALFORMED);
    fresh(bed, VALUE_TEXT, 500);
    b->text_size = sizeof bed->text;
    for (uint32_t i = 0; i < 500; i++) {
        b->text_at[i] = i;
        b->value[i] = 1000 + i;
        bed->text[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes), ERR_TOO_LONG);
}

static void decodes_parts_alone(void **state)
{
    struct bed *bed = *state;
    struct block *b = fresh(bed, VALUE_FLOAT64, 500);
    fill_by_chance(bed, b);
    int size = block_encode(bed->scratch, b, bed->bytes, sizeof bed->bytes);
    assert_true(size > 0);
    for (unsigned parts = 0; parts < BLOCK_ALL; parts++) {
        memset(bed->out.time, 0x55, sizeof bed->out.time);
        memset(bed->out.status, 0x55, sizeof bed->out.status);
        assert_int_equal(block_decode(bed->scratch, bed->bytes, (size_t)size, parts, &bed->out), 0);
        assert_int_equal(bed->out.count, b->count);
        assert_int_equal(bed->out.type, b->type);
        assert_true(!(parts & BLOCK_TIME) ==
                    !!memcmp(b->time, bed->out.time, b->count * sizeof *b->time));
        assert_true(!(parts & BLOCK_STATUS) ||
                    !memcmp(b->status, bed->out.status, b->count * sizeof *b->status));
        assert_true(!(parts & BLOCK_VALUE) ||
                    !memcmp(b->value, bed->out.value, b->count * sizeof *b->value));
    }
}

/* --- hostile bytes --- */

/* Whatever the bytes: an error, or a block that keeps the promises. They lie at the end of their memory. */
static void survive(struct bed *bed, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    struct block *b = &bed->out;
    if (block_decode(bed->scratch, copy, size, BLOCK_ALL, b) == 0) {
        assert_in_range(b->count, 1, BLOCK_SAMPLES);
        for (uint32_t i = 0; i < b->count; i++) {
            assert_true(i == 0 || b->time[i] >= b->time[i - 1]);
            assert_true(!value_is_long(b->type) || b->value[i] <= b->text_size - b->text_at[i]);
        }
    }
    free(copy);
}

static void survives_damage(void **state)
{
    struct bed *bed = *state;
    for (enum value_type type = VALUE_BOOL; type < VALUE_TYPE_END; type++) {
        struct block *b = fresh(bed, type, 40 + (uint32_t)(draw(bed) % 100));
        if (value_is_long(type)) {
            memset(bed->text, 'a', 1000);
            b->text_size = 1000;
            for (uint32_t i = 0; i < b->count; i++) {
                b->value[i] = draw(bed) % 30;
            }
        } else {
            fill_by_chance(bed, b);
        }
        static uint8_t bytes[4096];
        int size = block_encode(bed->scratch, b, bytes, sizeof bytes);
        assert_true(size > 0);
        for (size_t cut = 0; cut < (size_t)size; cut++) {
            assert_true(block_decode(bed->scratch, bytes, cut, BLOCK_ALL, &bed->out) < 0 ||
                        cut + 1 >= (size_t)size);
            survive(bed, bytes, cut);
        }
        for (size_t i = 0; i < (size_t)size; i++) {
            uint8_t was = bytes[i];
            for (unsigned flip = 1; flip < 256; flip += i < 64 ? 1 : 37) {
                bytes[i] = (uint8_t)(was ^ flip);
                survive(bed, bytes, (size_t)size);
            }
            bytes[i] = was;
        }
    }
}

/* --- summaries --- */

/* Sums in the eight lanes that summary.c promises. */
static double in_lanes(const double *v, uint32_t count)
{
    double lane[8] = {0};
    for (uint32_t i = 0; i < count; i++) {
        lane[i % 8] += v[i];
    }
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void summarise_slowly(const struct block *b, struct block_summary *s)
{
    double sums[BLOCK_SAMPLES] = {0}, integrals[BLOCK_SAMPLES] = {0};
    uint32_t end = b->count - 1;
    *s = (struct block_summary){.count = b->count, .first_ns = b->time[0], .last_ns = b->time[end]};
    s->first = b->value[0];
    s->last = b->value[end];
    s->first_status = b->status[0];
    s->last_status = b->status[end];
    for (uint32_t i = 0; i < b->count; i++) {
        double v = value_is_long(b->type)
                       ? 0
                       : value_as_double(b->type, (union slot_value){.u64 = b->value[i]});
        s->bad += status_severity(b->status[i]) == SEVERITY_BAD;
        if (status_severity(b->status[i]) != SEVERITY_GOOD || isnan(v)) {
            continue;
        }
        uint64_t held = i < end ? (uint64_t)b->time[i + 1] - (uint64_t)b->time[i] : 0;
        s->good_ns = (int64_t)((uint64_t)s->good_ns + held);
        s->good++;
        if (value_is_long(b->type)) {
            continue;
        }
        if (s->good == 1 || v < s->min) {
            s->min = v;
            s->min_ns = b->time[i];
        }
        if (s->good == 1 || v > s->max) {
            s->max = v;
            s->max_ns = b->time[i];
        }
        sums[i] = v;
        integrals[i] = held ? v * (double)held : 0;
    }
    s->sum = in_lanes(sums, b->count);
    s->integral = in_lanes(integrals, b->count) / 1e9;
}

static void assert_same_summary(const struct block_summary *a, const struct block_summary *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->good, b->good);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->first_status, b->first_status);
    assert_int_equal(a->last_status, b->last_status);
    assert_int_equal(a->first_ns, b->first_ns);
    assert_int_equal(a->last_ns, b->last_ns);
    assert_int_equal(a->first, b->first);
    assert_int_equal(a->last, b->last);
    assert_int_equal(a->min_ns, b->min_ns);
    assert_int_equal(a->max_ns, b->max_ns);
    assert_int_equal(a->good_ns, b->good_ns);
    assert_int_equal(word_of(a->min), word_of(b->min));
    assert_int_equal(word_of(a->max), word_of(b->max));
    assert_true(word_of(a->sum) == word_of(b->sum) || (isnan(a->sum) && isnan(b->sum)));
    assert_true(word_of(a->integral) == word_of(b->integral) ||
                (isnan(a->integral) && isnan(b->integral)));
}

static void summarises_as_the_slow_way(void **state)
{
    struct bed *bed = *state;
    struct block_summary quick, slow;
    for (uint32_t round = 0; round < 600; round++) {
        enum value_type type = (enum value_type)(1 + round % VALUE_BYTES);
        struct block *b =
            fresh(bed, type, 1 + (uint32_t)(draw(bed) % (round % 5 ? 50 : BLOCK_SAMPLES)));
        fill_by_chance(bed, b);
        for (uint32_t i = 0; i < b->count && round % 3; i++) {
            b->status[i] = draw(bed) % 4 ? 0 : (uint32_t)draw(bed);
        }
        block_summarise(b, &quick);
        summarise_slowly(b, &slow);
        assert_same_summary(&quick, &slow);
    }
}

static void holds_a_sample_until_the_next(void **state)
{
    struct bed *bed = *state;
    struct block *b = fresh(bed, VALUE_FLOAT64, 5);
    static const double values[5] = {2, 4, NAN, 8, 16};
    for (uint32_t i = 0; i < 5; i++) {
        b->value[i] = word_of(values[i]);
    }
    b->status[1] = 0x80000000; /* bad */
    struct block_summary s;
    block_summarise(b, &s);
    assert_int_equal(s.good, 3);
    assert_int_equal(s.bad, 1);
    assert_int_equal(s.good_ns, 2 * NS);
    assert_true(s.sum == 26 && s.integral == 10 && s.min == 2 && s.max == 16);
    assert_int_equal(s.max_ns, START_NS + 4 * NS);
}

/* --- tables --- */

static uint32_t table_round_trip(struct bed *bed, enum value_type type, uint32_t count)
{
    int size = table_encode(bed->scratch, type, bed->entries, count, bed->bytes, sizeof bed->bytes);
    assert_in_range(size, 1, TABLE_BYTES_MAX(count));
    assert_int_equal(table_count(bed->bytes, (size_t)size), count);
    assert_int_equal(
        table_decode(bed->scratch, type, bed->bytes, (size_t)size, bed->entries_back, count),
        count);
    for (uint32_t i = 0; i < count; i++) {
        const struct block_entry *a = bed->entries + i, *b = bed->entries_back + i;
        assert_same_summary(&a->summary, &b->summary);
        assert_int_equal(a->offset, b->offset);
        assert_int_equal(a->size, b->size);
        assert_int_equal(a->crc, b->crc);
    }
    assert_int_equal(
        table_decode(bed->scratch, type, bed->bytes, (size_t)size, bed->entries_back, count - 1),
        ERR_FULL);
    return (uint32_t)size;
}

static void keeps_tables(void **state)
{
    struct bed *bed = *state;
    for (uint32_t round = 0; round < 40; round++) {
        enum value_type type = (enum value_type)(1 + draw(bed) % (VALUE_TYPE_END - 1));
        uint32_t count = 1 + (uint32_t)(draw(bed) % ENTRIES);
        int64_t now = round % 4 ? START_NS : INT64_MIN;
        uint64_t offset = draw(bed) % 4096;
        for (uint32_t i = 0; i < count; i++) {
            struct block *b = fresh(bed, type, 1 + (uint32_t)(draw(bed) % 30));
            fill_by_chance(bed, b);
            uint64_t behind = (uint64_t)now + draw(bed) % 3 * NS - (uint64_t)b->time[0];
            for (uint32_t k = 0; k < b->count; k++) {
                b->time[k] = (int64_t)((uint64_t)b->time[k] + behind);
            }
            struct block_entry *e = bed->entries + i;
            block_summarise(b, &e->summary);
            e->offset = offset;
            e->size = (uint32_t)draw(bed) % 9000;
            e->crc = (uint32_t)draw(bed);
            offset += e->size + (draw(bed) % 8 ? 0 : 4096);
            now = e->summary.last_ns;
        }
        table_round_trip(bed, type, count);
    }
}

/* A year at once a second is 30,800 blocks: 30 bytes each are a megabyte. */
static void makes_small_tables(void **state)
{
    struct bed *bed = *state;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct block *b = fresh(bed, VALUE_FLOAT64, BLOCK_SAMPLES);
        for (uint32_t k = 0; k < b->count; k++) {
            b->time[k] += i * (int64_t)BLOCK_SAMPLES * NS;
            fill_decimals(bed, b, k);
        }
        struct block_entry *e = bed->entries + i;
        block_summarise(b, &e->summary);
        e->offset = offset;
        e->size = 500 + (uint32_t)(draw(bed) % 100);
        e->crc = (uint32_t)draw(bed);
        offset += e->size;
    }
    assert_in_range(table_round_trip(bed, VALUE_FLOAT64, ENTRIES), ENTRIES, 20 * ENTRIES);
}

static void survives_damaged_tables(void **state)
{
    struct bed *bed = *state;
    static uint8_t bytes[4096];
    for (uint32_t i = 0; i < 20; i++) {
        struct block *b = fresh(bed, VALUE_FLOAT64, 100);
        for (uint32_t k = 0; k < 100; k++) {
            b->time[k] += i * 200 * NS;
            fill_decimals(bed, b, k);
        }
        bed->entries[i] = (struct block_entry){.offset = 100 * i, .size = 100};
        block_summarise(b, &bed->entries[i].summary);
    }
    int size = table_encode(bed->scratch, VALUE_FLOAT64, bed->entries, 20, bytes, sizeof bytes);
    assert_true(size > 0);
    for (size_t at = 0; at < (size_t)size; at++) {
        assert_true(
            table_decode(bed->scratch, VALUE_FLOAT64, bytes, at, bed->entries_back, ENTRIES) < 0);
        for (unsigned flip = 1; flip < 256; flip++) {
            bytes[at] ^= (uint8_t)flip;
            int n = table_decode(bed->scratch, VALUE_FLOAT64, bytes, (size_t)size,
                                 bed->entries_back, ENTRIES);
            for (int i = 0; i < n; i++) {
                const struct block_summary *b = &bed->entries_back[i].summary;
                assert_true(b->count >= 1 && b->count <= BLOCK_SAMPLES && b->good <= b->count);
                assert_true(b->first_ns <= b->last_ns &&
                            (i == 0 || bed->entries_back[i - 1].summary.last_ns <= b->first_ns));
            }
            bytes[at] ^= (uint8_t)flip;
        }
    }
}

static int setup(void **state)
{
    struct bed *bed = aligned_alloc(64, (sizeof *bed + 63) / 64 * 64);
    if (!bed || block_scratch_new(&bed->scratch)) {
        return 1;
    }
    bed->seed = 1;
    *state = bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    block_scratch_free(bed->scratch);
    free(bed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suits_each_signal),
        cmocka_unit_test(keeps_any_mixture),
        cmocka_unit_test(keeps_extremes),
        cmocka_unit_test(keeps_texts),
        cmocka_unit_test(refuses_what_is_no_block),
        cmocka_unit_test(decodes_parts_alone),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(summarises_as_the_slow_way),
        cmocka_unit_test(holds_a_sample_until_the_next),
        cmocka_unit_test(keeps_tables),
        cmocka_unit_test(makes_small_tables),
        cmocka_unit_test(survives_damaged_tables),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
