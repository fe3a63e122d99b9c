/* SPDX-License-Identifier: Apache-2.0 */
/* Entries as columns of what cannot be foreseen: a full block of good samples on a regular clock that lies right behind the
 * one before leaves zeros in most of them, and a column of zeros is not stored. */
#include "history/scratch.h"

#include <math.h>

enum column {
    COLUMN_LACK,     /* BLOCK_SAMPLES - count */
    COLUMN_NOT_GOOD, /* count - good */
    COLUMN_BAD,      /* samples */
    COLUMN_GAP, /* first_ns - last_ns of the one before; of a chunk's first one, as of its second */
    COLUMN_SPAN,        /* last_ns - first_ns - (count - 1) × gap */
    COLUMN_NOT_COVERED, /* last_ns - first_ns - good_ns */
    COLUMN_FIRST_STATUS,
    COLUMN_LAST_STATUS,
    COLUMN_HOLE, /* offset - the end of the one before */
    COLUMN_SIZE,
    COLUMN_INTEGRAL, /* its word - that of what the sum lets expect */
    COLUMN_TIMES,    /* two for each: min_ns and max_ns - first_ns */
    COLUMN_ENDS,     /* two for each: first and last */
    COLUMN_EXTREMES, /* two for each: min and max */
    COLUMN_SUM,
    COLUMNS
};

_Static_assert(COLUMNS <= TABLE_COLUMNS, "the scratch has room for the columns");

/* What the columns of an entry follow from. */
struct state {
    int64_t last_ns; /* of the entry before */
    uint64_t end;    /* of its block */
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

static bool has_two(enum column c)
{
    return c == COLUMN_TIMES || c == COLUMN_ENDS || c == COLUMN_EXTREMES;
}

static bool has_floats(enum column c, enum value_type type)
{
    return c == COLUMN_EXTREMES || c == COLUMN_SUM || (c == COLUMN_ENDS && value_is_float(type));
}

/* The word of what the integral would be if all samples but the last were held equally long. */
static uint64_t expected_integral(enum value_type type, const struct block_summary *b)
{
    double last =
        value_is_long(type) ? 0 : value_as_double(type, (union slot_value){.u64 = b->last});
    double mean = b->good > 1 ? (b->sum - last) / (b->good - 1) : 0;
    double integral = mean * ((double)b->good_ns / 1e9);
    return isfinite(integral) ? word_of(integral) : 0;
}

static void take_apart(const struct block_entry *e, enum value_type type, uint64_t gap,
                       struct state *state, uint64_t (*c)[WORDS_MAX], uint32_t i)
{
    const struct block_summary *b = &e->summary;
    uint64_t first_ns = (uint64_t)b->first_ns, span = (uint64_t)b->last_ns - first_ns;
    c[COLUMN_LACK][i] = BLOCK_SAMPLES - b->count;
    c[COLUMN_NOT_GOOD][i] = b->count - b->good;
    c[COLUMN_BAD][i] = b->bad;
    c[COLUMN_GAP][i] = gap;
    c[COLUMN_SPAN][i] = span - (b->count - 1) * gap;
    c[COLUMN_NOT_COVERED][i] = span - (uint64_t)b->good_ns;
    c[COLUMN_FIRST_STATUS][i] = b->first_status;
    c[COLUMN_LAST_STATUS][i] = b->last_status;
    c[COLUMN_HOLE][i] = e->offset - state->end;
    c[COLUMN_SIZE][i] = e->size;
    c[COLUMN_INTEGRAL][i] = word_of(b->integral) - expected_integral(type, b);
    c[COLUMN_TIMES][2 * i] = b->good ? (uint64_t)b->min_ns - first_ns : (uint64_t)b->min_ns;
    c[COLUMN_TIMES][2 * i + 1] = b->good ? (uint64_t)b->max_ns - first_ns : (uint64_t)b->max_ns;
    c[COLUMN_ENDS][2 * i] = b->first;
    c[COLUMN_ENDS][2 * i + 1] = b->last;
    c[COLUMN_EXTREMES][2 * i] = word_of(b->min);
    c[COLUMN_EXTREMES][2 * i + 1] = word_of(b->max);
    c[COLUMN_SUM][i] = word_of(b->sum);
    state->last_ns = b->last_ns;
    state->end = e->offset + e->size;
}

/* The other way; false: no entry of a sound table. */
static bool put_together(struct block_entry *e, enum value_type type, struct state *state,
                         bool chained, uint64_t (*c)[WORDS_MAX], uint32_t i)
{
    struct block_summary *b = &e->summary;
    uint64_t gap = c[COLUMN_GAP][i], first_ns = (uint64_t)state->last_ns + (chained ? gap : 0);
    uint64_t count = BLOCK_SAMPLES - c[COLUMN_LACK][i], good = count - c[COLUMN_NOT_GOOD][i],
             bad = c[COLUMN_BAD][i];
    uint64_t span = c[COLUMN_SPAN][i] + (count - 1) * gap;
    uint64_t statuses = c[COLUMN_FIRST_STATUS][i] | c[COLUMN_LAST_STATUS][i];
    b->count = (uint32_t)count;
    b->good = (uint32_t)good;
    b->bad = (uint32_t)bad;
    b->first_ns = (int64_t)first_ns;
    b->last_ns = (int64_t)(first_ns + span);
    b->good_ns = (int64_t)(span - c[COLUMN_NOT_COVERED][i]);
    b->first_status = (uint32_t)c[COLUMN_FIRST_STATUS][i];
    b->last_status = (uint32_t)c[COLUMN_LAST_STATUS][i];
    b->min_ns = (int64_t)(c[COLUMN_TIMES][2 * i] + (good ? first_ns : 0));
    b->max_ns = (int64_t)(c[COLUMN_TIMES][2 * i + 1] + (good ? first_ns : 0));
    b->first = c[COLUMN_ENDS][2 * i];
    b->last = c[COLUMN_ENDS][2 * i + 1];
    b->min = double_of(c[COLUMN_EXTREMES][2 * i]);
    b->max = double_of(c[COLUMN_EXTREMES][2 * i + 1]);
    b->sum = double_of(c[COLUMN_SUM][i]);
    b->integral = double_of(c[COLUMN_INTEGRAL][i] + expected_integral(type, b));
    e->offset = state->end + c[COLUMN_HOLE][i];
    e->size = (uint32_t)c[COLUMN_SIZE][i];
    bool falls = b->last_ns < b->first_ns || (chained && b->first_ns < state->last_ns);
    state->last_ns = b->last_ns;
    state->end = e->offset + e->size;
    return count - 1 < BLOCK_SAMPLES && good <= count && bad <= count && !falls &&
           (statuses | c[COLUMN_SIZE][i]) <= UINT32_MAX;
}

static bool is_zero(const uint64_t *v, uint32_t count)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        all |= v[i];
    }
    return all == 0;
}

static int write_chunk(struct block_scratch *s, enum value_type type, const struct block_entry *e,
                       uint32_t n, struct state *state, struct writer *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct block_summary *before = &e[i ? i - 1 : 0].summary,
                                   *b = &e[n > 1 && i == 0 ? 1 : i].summary;
        uint64_t gap = n > 1 ? (uint64_t)b->first_ns - (uint64_t)before->last_ns : 0;
        take_apart(e + i, type, gap, state, s->column, i);
    }
    uint64_t mask = 0;
    for (unsigned c = 0; c < COLUMNS; c++) {
        mask |= (uint64_t)!is_zero(s->column[c], has_two(c) ? 2 * n : n) << c;
    }
    write_varint(out, mask);
    for (unsigned c = 0; c < COLUMNS; c++) {
        uint32_t count = has_two(c) ? 2 * n : n;
        int err = !(mask >> c & 1)      ? ERR_OK
                  : has_floats(c, type) ? floats_encode(&s->floats, s->column[c], count, out)
                                        : words_encode(&s->floats.words, s->column[c], count, out);
        if (err) {
            return err;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        write_u32le(out, e[i].crc);
    }
    return out->bad ? ERR_FULL : ERR_OK;
}

int table_encode(struct block_scratch *s, enum value_type type, const struct block_entry *entries,
                 uint32_t count, uint8_t *out, size_t capacity)
{
    struct writer w = writer_of(out, capacity);
    write_varint(&w, count);
    for (uint32_t from = 0; from < count; from += TABLE_CHUNK) {
        uint32_t n = count - from < TABLE_CHUNK ? count - from : TABLE_CHUNK;
        struct state state = {.last_ns = entries[from].summary.first_ns,
                              .end = entries[from].offset};
        write_varint(&w, zigzag((uint64_t)state.last_ns));
        write_varint(&w, state.end);
        int err = write_chunk(s, type, entries + from, n, &state, &w);
        if (err) {
            return err;
        }
    }
    return w.bad ? ERR_FULL : (int)writer_used(&w);
}

int table_count(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    uint64_t count = read_varint(&in);
    return in.bad || count > size / 4 ? ERR_MALFORMED
                                      : (int)count; /* each has four bytes of checksum at least */
}

static int read_chunk(struct block_scratch *s, enum value_type type, struct reader *in, uint32_t n,
                      struct state *state, struct block_entry *e)
{
    uint64_t mask = read_varint(in);
    if (mask >> COLUMNS) {
        return ERR_MALFORMED;
    }
    for (unsigned c = 0; c < COLUMNS; c++) {
        uint32_t count = has_two(c) ? 2 * n : n;
        int err = ERR_OK;
        if (!(mask >> c & 1)) {
            memset(s->column[c], 0, count * sizeof **s->column);
        } else {
            err = has_floats(c, type) ? floats_decode(&s->floats, in, count, s->column[c])
                                      : words_decode(&s->floats.words, in, count, s->column[c]);
        }
        if (err) {
            return err;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!put_together(e + i, type, state, i > 0, s->column, i)) {
            return ERR_MALFORMED;
        }
        e[i].crc = read_u32le(in);
    }
    return in->bad ? ERR_SHORT : ERR_OK;
}

int table_decode(struct block_scratch *s, enum value_type type, const uint8_t *data, size_t size,
                 struct block_entry *out, uint32_t capacity)
{
    struct reader in = reader_of(data, size);
    int count = table_count(data, size);
    if (count < 0 || (uint32_t)count > capacity) {
        return count < 0 ? count : ERR_FULL;
    }
    read_varint(&in);
    for (uint32_t from = 0; from < (uint32_t)count; from += TABLE_CHUNK) {
        uint32_t n = (uint32_t)count - from < TABLE_CHUNK ? (uint32_t)count - from : TABLE_CHUNK;
        struct state state = {.last_ns = (int64_t)unzigzag(read_varint(&in))};
        state.end = read_varint(&in);
        int err = read_chunk(s, type, &in, n, &state, out + from);
        if (err) {
            return err;
        }
        if (from && out[from].summary.first_ns < out[from - 1].summary.last_ns) {
            return ERR_MALFORMED;
        }
    }
    return reader_left(&in) ? ERR_MALFORMED : count;
}
