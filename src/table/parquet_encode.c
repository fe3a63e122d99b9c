/* SPDX-License-Identifier: Apache-2.0 */
#include "table/parquet_encode.h"

#include "table/packing.h"

#include <math.h>
#include <stdlib.h>

int encoder_init(struct encoder *e, size_t rows)
{
    *e = (struct encoder){.rows = rows, .table_size = 64};
    /* A dictionary has at most half as many entries as there are rows: see dictionary_build. */
    while (e->table_size < rows) {
        e->table_size *= 2;
    }
    e->words = calloc(rows, sizeof *e->words);
    e->levels = calloc(rows, sizeof *e->levels);
    e->indexes = calloc(rows, sizeof *e->indexes);
    e->first = calloc(rows, sizeof *e->first);
    e->table = calloc(e->table_size, sizeof *e->table);
    if (!e->words || !e->levels || !e->indexes || !e->first || !e->table) {
        encoder_fini(e);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void encoder_fini(struct encoder *e)
{
    free(e->words);
    free(e->levels);
    free(e->indexes);
    free(e->first);
    free(e->table);
    *e = (struct encoder){0};
}

enum parquet_type column_storage(enum column_type type)
{
    switch (type) {
    case COLUMN_BOOL:
        return PARQUET_BOOLEAN;
    case COLUMN_UINT32:
        return PARQUET_INT32;
    case COLUMN_DOUBLE:
        return PARQUET_DOUBLE;
    case COLUMN_TEXT:
    case COLUMN_BYTES:
        return PARQUET_BYTE_ARRAY;
    default:
        return PARQUET_INT64;
    }
}

enum parquet_encoding column_encoding(enum column_type type)
{
    return type == COLUMN_BOOL || type == COLUMN_DOUBLE || column_is_long(type)
               ? PARQUET_PLAIN
               : PARQUET_DELTA_BINARY_PACKED;
}

/* Order of the column's type (parquet.thrift, ColumnOrder): signed, unsigned, or bytewise for texts. */
static int compare(const struct batch *b, enum column_type type, union cell x, union cell y)
{
    switch (type) {
    case COLUMN_INT64:
    case COLUMN_TIME:
        return (x.i64 > y.i64) - (x.i64 < y.i64);
    case COLUMN_DOUBLE:
        return (x.f64 > y.f64) - (x.f64 < y.f64);
    case COLUMN_TEXT:
    case COLUMN_BYTES: {
        size_t shorter = x.bytes.size < y.bytes.size ? x.bytes.size : y.bytes.size;
        int order = memcmp(batch_bytes(b, x), batch_bytes(b, y), shorter);
        return order ? order : (x.bytes.size > y.bytes.size) - (x.bytes.size < y.bytes.size);
    }
    default:
        return (x.u64 > y.u64) - (x.u64 < y.u64);
    }
}

/* A bound as PLAIN bytes; 0 if it is too long. */
static size_t put_bound(const struct batch *b, enum column_type type, union cell v,
                        uint8_t out[STATISTICS_TEXT_MAX])
{
    struct writer w = writer_of(out, STATISTICS_TEXT_MAX);
    if (column_is_long(type)) {
        write_bytes(&w, batch_bytes(b, v), v.bytes.size);
    } else {
        write_le(&w, v.u64, type == COLUMN_BOOL ? 1 : type == COLUMN_UINT32 ? 4 : 8);
    }
    return writer_used(&w);
}

void column_measure(const struct batch *b, size_t column, struct column_statistics *s)
{
    enum column_type type = b->columns[column].type;
    union cell min = {0}, max = {0};
    *s = (struct column_statistics){0};
    for (size_t row = 0; row < b->rows; row++) {
        union cell v = b->cells[column][row];
        if (!b->present[column][row]) {
            s->nulls++;
            continue;
        }
        if (type == COLUMN_DOUBLE && isnan(v.f64)) {
            continue; /* "NaNs should not be written to min or max" */
        }
        if (!s->bounded || compare(b, type, v, min) < 0) {
            min = v;
        }
        if (!s->bounded || compare(b, type, v, max) > 0) {
            max = v;
        }
        s->bounded = true;
    }
    if (type == COLUMN_DOUBLE && s->bounded) {
        /* Zeros of both signs are equal: "-0.0 should be written into min, +0.0 into max". */
        min.f64 = min.f64 == 0 ? -0.0 : min.f64;
        max.f64 = max.f64 == 0 ? 0.0 : max.f64;
    }
    if (column_is_long(type) &&
        (min.bytes.size > STATISTICS_TEXT_MAX || max.bytes.size > STATISTICS_TEXT_MAX)) {
        s->bounded = false;
    }
    if (s->bounded) {
        s->min_size = put_bound(b, type, min, s->min);
        s->max_size = put_bound(b, type, max, s->max);
    }
}

static uint64_t hash_of(const struct batch *b, bool is_long, union cell v)
{
    uint64_t hash = is_long ? v.bytes.size : v.u64 * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; is_long && i < v.bytes.size; i++) {
        hash = (hash ^ batch_bytes(b, v)[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ hash >> 29;
}

static bool same(const struct batch *b, bool is_long, union cell x, union cell y)
{
    if (!is_long) {
        return x.u64 == y.u64; /* bit for bit: NaN payloads and the sign of zero are kept */
    }
    return x.bytes.size == y.bytes.size &&
           !memcmp(batch_bytes(b, x), batch_bytes(b, y), x.bytes.size);
}

/* The entry of a row's value, made if it is new and there is room; `limit` when there is none. */
static size_t entry_of(struct encoder *e, const struct batch *b, size_t column, size_t row,
                       size_t limit)
{
    bool is_long = column_is_long(b->columns[column].type);
    union cell v = b->cells[column][row];
    size_t at = (size_t)hash_of(b, is_long, v) & (e->table_size - 1);
    while (e->table[at]) {
        size_t entry = e->table[at] - 1;
        if (same(b, is_long, v, b->cells[column][e->first[entry]])) {
            return entry;
        }
        at = (at + 1) & (e->table_size - 1);
    }
    if (e->entries == limit) {
        return limit;
    }
    e->first[e->entries] = (uint32_t)row;
    e->table[at] = (uint32_t)++e->entries;
    return e->entries - 1;
}

static unsigned index_width(size_t entries)
{
    return entries > 1 ? 32 - (unsigned)__builtin_clz((unsigned)entries - 1) : 1;
}

bool dictionary_build(struct encoder *e, const struct batch *b, size_t column)
{
    enum column_type type = b->columns[column].type;
    size_t limit = b->rows / 2, plain = 0, dictionary = 0;
    if (type != COLUMN_DOUBLE && !column_is_long(type)) {
        return false;
    }
    memset(e->table, 0, e->table_size * sizeof *e->table);
    e->entries = e->index_count = 0;
    for (size_t row = 0; row < b->rows; row++) {
        if (!b->present[column][row]) {
            continue;
        }
        size_t known = e->entries, entry = entry_of(e, b, column, row, limit);
        if (entry == limit) {
            return false;
        }
        size_t size = column_is_long(type) ? 4 + b->cells[column][row].bytes.size : 8;
        plain += size;
        dictionary += e->entries > known ? size : 0;
        e->indexes[e->index_count++] = (uint32_t)entry;
    }
    dictionary += e->index_count * index_width(e->entries) / 8;
    return e->entries && dictionary < plain / 2;
}

static void put_plain(const struct batch *b, size_t column, size_t row, struct writer *w)
{
    union cell v = b->cells[column][row];
    if (column_is_long(b->columns[column].type)) {
        write_u32le(w, v.bytes.size);
        write_bytes(w, batch_bytes(b, v), v.bytes.size);
    } else {
        write_u64le(w, v.u64);
    }
}

void dictionary_put(const struct encoder *e, const struct batch *b, size_t column, struct writer *w)
{
    for (size_t i = 0; i < e->entries; i++) {
        put_plain(b, column, e->first[i], w);
    }
}

void dictionary_put_indexes(const struct encoder *e, struct writer *w)
{
    unsigned width = index_width(e->entries);
    write_u8(w, (uint8_t)width);
    hybrid_encode(w, e->indexes, e->index_count, width);
}

void levels_put(struct encoder *e, const struct batch *b, size_t column, struct writer *w)
{
    for (size_t row = 0; row < b->rows; row++) {
        e->levels[row] = b->present[column][row];
    }
    uint8_t *size = write_room(w, 4);
    size_t start = writer_used(w);
    hybrid_encode(w, e->levels, b->rows, 1);
    if (size) {
        struct writer length = writer_of(size, 4);
        write_u32le(&length, (uint32_t)(writer_used(w) - start));
    }
}

static void put_bools(const uint64_t *words, size_t count, struct writer *w)
{
    uint8_t *bits = write_room(w, (count + 7) / 8);
    for (size_t i = 0; bits && i < count; i++) {
        bits[i / 8] = (uint8_t)(i % 8 ? bits[i / 8] | words[i] << i % 8 : words[i]);
    }
}

void values_put(struct encoder *e, const struct batch *b, size_t column, struct writer *w)
{
    enum column_type type = b->columns[column].type;
    size_t count = 0;
    for (size_t row = 0; row < b->rows; row++) {
        if (!b->present[column][row]) {
            continue;
        }
        if (column_encoding(type) == PARQUET_PLAIN && type != COLUMN_BOOL) {
            put_plain(b, column, row, w);
        } else {
            e->words[count++] = b->cells[column][row].u64;
        }
    }
    if (type == COLUMN_BOOL) {
        put_bools(e->words, count, w);
    } else if (column_encoding(type) == PARQUET_DELTA_BINARY_PACKED) {
        delta_encode(w, e->words, count, type == COLUMN_UINT32 ? 32 : 64);
    }
}

size_t page_bound(const struct batch *b)
{
    size_t levels = 4 + hybrid_bound(b->row_capacity, 1);
    size_t fixed = delta_bound(b->row_capacity); /* more than PLAIN's eight bytes */
    size_t indexes = 1 + hybrid_bound(b->row_capacity, 32);
    size_t values = fixed > indexes ? fixed : indexes;
    return levels + values + 4 * b->row_capacity + b->heap_capacity;
}
