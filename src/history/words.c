/* SPDX-License-Identifier: Apache-2.0 */
/* Columns made of columns: equal steps with breaks, and dictionaries of few distinct words. */
#include "history/words.h"

#include "history/flat.h"

#include <stdlib.h>

#define DICT_MAX   256u
#define RARE       32u   /* one break in so many words: nothing else can be smaller */
#define DICT_SLOTS 1024u /* of the hash table; a power of two */

/* The step that most words follow by, if there is one: the candidate of a majority vote. */
static uint64_t common_step(const uint64_t *v, uint32_t count)
{
    uint64_t step = 0;
    uint32_t votes = 0;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t own = v[i] - v[i - 1];
        step = votes ? step : own;
        votes += votes == 0 || own == step ? 1u : UINT32_MAX;
    }
    return step;
}

COLUMN_CODE
static uint32_t count_breaks(const uint64_t *v, uint32_t count, uint64_t step)
{
    uint64_t breaks = 0;
    for (uint32_t i = 1; i < count; i++) {
        breaks += v[i] - v[i - 1] != step;
    }
    return (uint32_t)breaks;
}

/* How often the common step is broken; `count` if the first words show no such step. */
static uint32_t expect_breaks(const uint64_t *v, uint32_t count, uint64_t *step)
{
    uint32_t sample = count < 64 ? count : 64;
    *step = common_step(v, sample);
    return count_breaks(v, sample, *step) < sample / 2 ? count_breaks(v, count, *step) : count;
}

static void write_steps(struct words_scratch *s, const uint64_t *v, uint32_t count, uint64_t step,
                        struct writer *out)
{
    uint32_t breaks = 0;
    for (uint32_t i = 1, last = 0; i < count; i++) {
        if (v[i] - v[i - 1] != step) {
            s->places[breaks] = i - last;
            s->values[breaks++] = v[i] - v[i - 1];
            last = i;
        }
    }
    write_u8(out, COLUMN_STEPS);
    write_varint(out, zigzag(v[0]));
    write_varint(out, zigzag(step));
    write_varint(out, breaks);
    if (breaks) {
        flat_encode(s, s->places, breaks, out);
        flat_encode(s, s->values, breaks, out);
    }
}

static void read_flat(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    flat_decode(s, read_u8(in), in, count, v);
}

static void read_steps(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t word = unzigzag(read_varint(in)), step = unzigzag(read_varint(in)),
             breaks = read_varint(in);
    if (breaks >= count) {
        in->bad = true;
        return;
    }
    if (breaks) {
        read_flat(s, in, (uint32_t)breaks, s->places);
        read_flat(s, in, (uint32_t)breaks, s->values);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < breaks && !in->bad; i++) {
        if (s->places[i] == 0 || s->places[i] >= count - at) {
            in->bad = true;
            return;
        }
        for (uint32_t end = at + (uint32_t)s->places[i]; at < end; at++, word += step) {
            v[at] = word;
        }
        word += s->values[i] - step;
    }
    for (; at < count; at++, word += step) {
        v[at] = word;
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* A table of the distinct words. `slot` maps into words[], `rank` to the place in the sorted dictionary. */
struct dict {
    uint64_t words[DICT_MAX];
    uint32_t count;
    uint16_t slot[DICT_SLOTS]; /* 1 + index; 0: free */
};

static uint32_t dict_find(struct dict *d, uint64_t word)
{
    uint64_t at = word * UINT64_C(0x9e3779b97f4a7c15) >> 54;
    while (d->slot[at] && d->words[d->slot[at] - 1] != word) {
        at = (at + 1) % DICT_SLOTS;
    }
    return (uint32_t)at;
}

/* The distinct words; false if there are more than `limit`. */
static bool dict_fill(struct dict *d, const uint64_t *v, uint32_t count, uint32_t limit)
{
    memset(d->slot, 0, sizeof d->slot);
    d->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = dict_find(d, v[i]);
        if (d->slot[at]) {
            continue;
        }
        if (d->count == limit) {
            return false;
        }
        d->words[d->count++] = v[i];
        d->slot[at] = (uint16_t)d->count;
    }
    return true;
}

static void write_dict(struct words_scratch *s, struct dict *d, const uint64_t *v, uint32_t count,
                       struct writer *out)
{
    qsort(d->words, d->count, sizeof *d->words, by_size);
    memcpy(s->values, d->words, d->count * sizeof *d->words);
    memset(d->slot, 0, sizeof d->slot);
    for (uint32_t i = 0; i < d->count; i++) {
        d->slot[dict_find(d, d->words[i])] = (uint16_t)(i + 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        s->places[i] = d->slot[dict_find(d, v[i])] - 1u;
    }
    write_u8(out, COLUMN_DICT);
    write_varint(out, d->count);
    flat_encode(s, s->values, d->count, out);
    flat_encode(s, s->places, count, out);
}

static void read_dict(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    uint64_t distinct = read_varint(in), all = 0;
    if (distinct == 0 || distinct > DICT_MAX) {
        in->bad = true;
        return;
    }
    read_flat(s, in, (uint32_t)distinct, s->values);
    read_flat(s, in, count, s->places);
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        all |= s->places[i] >= distinct;
        v[i] = s->values[s->places[i] % DICT_MAX];
    }
    in->bad |= all != 0;
}

/* Keeps the trial if it is the smaller one; returns the size of what was kept. */
static uint32_t keep_smaller(struct writer *out, uint8_t *from, const struct writer *trial)
{
    if (!trial->bad && (out->bad || writer_used(trial) < (size_t)(out->at - from))) {
        out->at = from;
        out->bad = false;
        write_bytes(out, trial->start, writer_used(trial));
    }
    return out->bad ? UINT32_MAX / 8 : (uint32_t)(out->at - from);
}

/* Whether a dictionary may be smaller than `bits` a word: judged by how many of the first words are distinct. */
static bool dict_promises(struct dict *d, const uint64_t *v, uint32_t count, uint32_t bits)
{
    uint32_t sample = count < 64 ? count : 64, limit = count / 4 < DICT_MAX ? count / 4 : DICT_MAX;
    return dict_fill(d, v, sample, sample / 2) && bits_of(d->count - 1) + 2 < bits &&
           dict_fill(d, v, count, limit);
}

int words_encode(struct words_scratch *s, const uint64_t *v, uint32_t count, struct writer *out)
{
    uint8_t *from = out->at;
    uint64_t step;
    uint32_t breaks = count < 8 ? count : expect_breaks(v, count, &step);
    if (breaks && breaks <= count / RARE) {
        write_steps(s, v, count, step, out);
        return out->bad ? ERR_FULL : ERR_OK;
    }
    flat_encode(s, v, count, out);
    uint32_t size = out->bad ? UINT32_MAX / 8 : (uint32_t)(out->at - from);
    if (count < 8 || size < 16) {
        return out->bad ? ERR_FULL : ERR_OK;
    }
    struct writer trial = writer_of(s->trial, sizeof s->trial);
    if (breaks <= count / 4) {
        write_steps(s, v, count, step, &trial);
        size = keep_smaller(out, from, &trial);
    }
    struct dict d;
    if (dict_promises(&d, v, count, size * 8 / count)) {
        trial = writer_of(s->trial, sizeof s->trial);
        write_dict(s, &d, v, count, &trial);
        keep_smaller(out, from, &trial);
    }
    return out->bad ? ERR_FULL : ERR_OK;
}

int words_decode(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    unsigned kind = read_u8(in);
    if (kind == COLUMN_STEPS) {
        read_steps(s, in, count, v);
    } else if (kind == COLUMN_DICT) {
        read_dict(s, in, count, v);
    } else {
        flat_decode(s, kind, in, count, v);
    }
    return in->bad ? ERR_MALFORMED : ERR_OK;
}
