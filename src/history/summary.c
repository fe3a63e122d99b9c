/* SPDX-License-Identifier: Apache-2.0 */
/* Samples are taken in eight lanes, sample i by lane i % 8, so that compilers make vector code of plain C; the lanes are then
 * added 0+4, 1+5, 2+6, 3+7, then 0+2, 1+3, then 0+1. Whoever adds in this order gets the same bits. */
#include "history/bits.h"
#include "history/block.h"
#include "tag/status.h"

#include <math.h>
#include <string.h>

#define LANES   8u
#define STRETCH 64u /* of a search; BLOCK_SAMPLES is a multiple of both */
#define PADDED  BLOCK_SAMPLES

/* The samples as the sums take them; what is not good is 0 and held for no time. Zeros behind the last. */
struct view {
    _Alignas(64) double number[PADDED], held[PADDED];
    _Alignas(64) uint64_t good[PADDED]; /* all ones or 0 */
    uint64_t count, bad;
    int64_t good_ns;
};

/* Of a block. */
struct part {
    enum value_type type;
    uint32_t count;
    const int64_t *time;
    const uint64_t *value;
    const uint32_t *status;
};

struct sums {
    double sum, integral, min, max;
};

COLUMN_CODE
static void number_all(const struct part *b, double *number)
{
    if (value_is_float(b->type)) {
        memcpy(number, b->value, b->count * sizeof *number);
    } else if (!value_is_signed(b->type)) {
        for (uint32_t i = 0; i < b->count; i++) {
            number[i] = (double)b->value[i];
        }
    } else {
        for (uint32_t i = 0; i < b->count; i++) {
            number[i] = (double)(int64_t)b->value[i];
        }
    }
}

static double word_as_double(uint64_t word)
{
    double v;
    memcpy(&v, &word, sizeof v);
    return v;
}

static uint64_t double_as_word(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

/* How long each sample holds, in ns: whole numbers below 2^51 by way of the double whose last place is 1, because a cast is
 * no vector instruction before AVX-512. */
COLUMN_CODE
static void hold_all(const struct part *b, struct view *w)
{
    uint32_t end = b->count - 1;
    const uint64_t *time = (const uint64_t *)b->time;
    if (time[end] - time[0] < UINT64_C(1) << 51) {
        for (uint32_t i = 0; i < end; i++) {
            w->held[i] =
                word_as_double(time[i + 1] - time[i] + UINT64_C(0x4338000000000000)) - 0x1.8p52;
        }
    } else {
        for (uint32_t i = 0; i < end; i++) {
            w->held[i] = (double)(time[i + 1] - time[i]);
        }
    }
    w->held[end] = 0;
}

COLUMN_CODE
static void look(const struct part *b, struct view *w)
{
    uint64_t good = 0, bad = 0, good_ns = 0;
    uint32_t end = b->count - 1;
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t of_status = ((uint64_t)(b->status[i] >> 30) - 1) >> 63;
        uint64_t size = double_as_word(w->number[i]) & INT64_MAX;
        uint64_t is_number =
            (size - UINT64_C(0x7ff0000000000001)) >> 63; /* up to infinity: no NaN */
        w->good[i] = -(of_status & is_number);
        good += of_status & is_number;
        bad += b->status[i] >> 31;
    }
    for (uint32_t i = 0; i < end; i++) {
        good_ns += ((uint64_t)b->time[i + 1] - (uint64_t)b->time[i]) & w->good[i];
    }
    w->count = good;
    w->bad = bad;
    w->good_ns = (int64_t)good_ns;
}

/* Takes out what is not good. */
COLUMN_CODE
static void leave_good(struct view *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        w->number[i] = word_as_double(double_as_word(w->number[i]) & w->good[i]);
        w->held[i] = word_as_double(double_as_word(w->held[i]) & w->good[i]);
    }
}

/* Two lanes: the vectors that every processor has. */
typedef double pair __attribute__((vector_size(16)));
typedef int64_t pair_mask __attribute__((vector_size(16)));
#define PAIRS (LANES / 2)

static pair pick(pair_mask which, pair a, pair b)
{
    return (pair)(((pair_mask)a & which) | ((pair_mask)b & ~which));
}

static double fold(const pair lanes[PAIRS])
{
    pair sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    return sum[0] + sum[1];
}

static double least(const pair lanes[PAIRS])
{
    double least = lanes[0][0];
    for (unsigned l = 1; l < LANES; l++) {
        least = lanes[l / 2][l % 2] < least ? lanes[l / 2][l % 2] : least;
    }
    return least;
}

COLUMN_CODE
static void add_up(const struct view *w, uint32_t count, struct sums *out)
{
    const pair none = {0}, infinite = none + INFINITY;
    pair sum[PAIRS], integral[PAIRS], min[PAIRS],
        max[PAIRS]; /* max: of the negative numbers the least */
    for (unsigned p = 0; p < PAIRS; p++) {
        sum[p] = integral[p] = none;
        min[p] = max[p] = infinite;
    }
    for (uint32_t i = 0; i < count; i += LANES) {
        for (unsigned p = 0; p < PAIRS; p++) {
            pair v = *(const pair *)(w->number + i + 2 * p),
                 held = *(const pair *)(w->held + i + 2 * p);
            pair_mask good = *(const pair_mask *)(w->good + i + 2 * p);
            pair low = pick(good, v, infinite), high = pick(good, -v, infinite);
            sum[p] += v;
            integral[p] += pick(held > none, v * held, none);
            min[p] = pick(low < min[p], low, min[p]);
            max[p] = pick(high < max[p], high, max[p]);
        }
    }
    out->sum = fold(sum);
    out->integral = fold(integral) / 1e9;
    out->min = least(min);
    out->max = -least(max);
}

/* The first good sample with this number. There is one. */
COLUMN_CODE
static uint32_t find(const struct view *w, double number)
{
    uint32_t i = 0;
    for (uint64_t found = 0;; i += STRETCH) { /* the stretch it lies in */
        for (uint32_t k = i; k < i + STRETCH; k++) {
            found |= w->good[k] & -(uint64_t)(w->number[k] == number);
        }
        if (found) {
            break;
        }
    }
    while (!w->good[i] || w->number[i] != number) {
        i++;
    }
    return i;
}

COLUMN_CODE
static bool range_of_numbers(const double *number, uint32_t count, double *low, double *high)
{
    const pair first = *(const pair *)number;
    pair min[PAIRS], max[PAIRS]; /* max: of the negative numbers the least */
    pair_mask numbers = first == first;
    for (unsigned p = 0; p < PAIRS; p++) {
        min[p] = max[p] = (pair){0} + INFINITY;
    }
    for (uint32_t i = 0; i < count; i += LANES) {
        for (unsigned p = 0; p < PAIRS; p++) {
            pair v = *(const pair *)(number + i + 2 * p);
            numbers &= v == v;
            min[p] = pick(v < min[p], v, min[p]);
            max[p] = pick(-v < max[p], -v, max[p]);
        }
    }
    *low = least(min);
    *high = -least(max);
    return numbers[0] && numbers[1];
}

bool block_range(const struct block *b, uint32_t from, uint32_t to, double *low, double *high)
{
    _Alignas(64) double number[PADDED];
    const struct part part = {.type = b->type, .count = to - from, .value = b->value + from};
    uint32_t status = 0;
    for (uint32_t i = from; i < to; i++) {
        status |= b->status[i];
    }
    number_all(&part, number);
    for (uint32_t i = part.count; i % LANES; i++) {
        number[i] = number[0];
    }
    return range_of_numbers(number, part.count, low, high) && status == 0;
}

void block_summarise(const struct block *b, struct block_summary *out)
{
    block_summarise_part(b, 0, b->count, out);
}

void block_summarise_part(const struct block *block, uint32_t from, uint32_t to,
                          struct block_summary *out)
{
    const struct part part = {.type = block->type,
                              .count = to - from,
                              .time = block->time + from,
                              .value = block->value + from,
                              .status = block->status + from},
                      *b = &part;
    struct view w;
    struct sums sums;
    uint32_t end = b->count - 1;
    if (value_is_long(b->type)) {
        memset(w.number, 0, b->count * sizeof *w.number);
    } else {
        number_all(b, w.number);
    }
    hold_all(b, &w);
    look(b, &w);
    if (w.count < b->count) {
        leave_good(&w, b->count);
    }
    *out = (struct block_summary){
        .count = b->count, .good = (uint32_t)w.count, .bad = (uint32_t)w.bad};
    out->first_ns = b->time[0];
    out->last_ns = b->time[end];
    out->first = b->value[0];
    out->last = b->value[end];
    out->first_status = b->status[0];
    out->last_status = b->status[end];
    out->good_ns = w.good_ns;
    if (w.count && !value_is_long(b->type)) {
        for (uint32_t i = b->count; i % STRETCH; i++) {
            w.good[i] = 0;
            w.number[i] = w.held[i] = 0;
        }
        add_up(&w, b->count, &sums);
        uint32_t least = find(&w, sums.min), most = find(&w, sums.max);
        out->min = w.number[least];
        out->max = w.number[most];
        out->min_ns = b->time[least];
        out->max_ns = b->time[most];
        out->sum = sums.sum;
        out->integral = sums.integral;
    }
}
