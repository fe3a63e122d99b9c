/* SPDX-License-Identifier: Apache-2.0 */
#include "table/parquet_meta.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "table/thrift.h"

#include <stdio.h>
#include <stdlib.h>

#define NESTING_MAX 16u
#define NAME_MAX    1000u

struct element {                                   /* SchemaElement */
    int64_t type, repetition, children, converted; /* -1: not there */
    struct reader name;
    int logical; /* enum parquet_logical, 0: none */
    int unit;    /* of a timestamp */
    bool utc;    /* of a timestamp */
    bool is_signed;
};

static void take_timestamp(struct reader *r, struct element *e)
{
    struct thrift_field f = {0}, unit = {0}, empty = {0};
    while (thrift_next(r, &f)) {
        if (f.id == 1) {
            e->utc = thrift_bool(r, &f);
        } else if (f.id == 2 && thrift_struct(r, &f)) {
            while (thrift_next(r, &unit)) {
                e->unit = unit.id;
                thrift_struct(r, &unit);
                while (thrift_next(r, &empty)) {
                    thrift_skip(r, &empty);
                }
            }
        } else {
            thrift_skip(r, &f);
        }
    }
}

static void take_integer(struct reader *r, struct element *e)
{
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        if (f.id == 2) {
            e->is_signed = thrift_bool(r, &f);
        } else {
            thrift_skip(r, &f);
        }
    }
}

static void take_logical(struct reader *r, struct element *e)
{
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        e->logical = f.id;
        if (f.id == LOGICAL_TIMESTAMP && thrift_struct(r, &f)) {
            take_timestamp(r, e);
        } else if (f.id == LOGICAL_INTEGER && thrift_struct(r, &f)) {
            take_integer(r, e);
        } else {
            thrift_skip(r, &f);
        }
    }
}

static struct element take_element(struct reader *r)
{
    struct element e = {.type = -1, .converted = -1, .is_signed = true};
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        switch (f.id) {
        case 1:
            e.type = thrift_int(r, &f);
            break;
        case 3:
            e.repetition = thrift_int(r, &f);
            break;
        case 4:
            e.name = thrift_binary(r, &f);
            break;
        case 5:
            e.children = thrift_int(r, &f);
            break;
        case 6:
            e.converted = thrift_int(r, &f);
            break;
        case 10:
            if (thrift_struct(r, &f)) {
                take_logical(r, &e);
            }
            break;
        default:
            thrift_skip(r, &f);
        }
    }
    return e;
}

static const char *settle_time(struct leaf *l, const struct element *e)
{
    static const int64_t ticks[] = {0, NS_PER_MS, NS_PER_US, 1};
    int unit = e->logical == LOGICAL_TIMESTAMP              ? e->unit
               : e->converted == CONVERTED_TIMESTAMP_MILLIS ? PARQUET_MILLIS
                                                            : PARQUET_MICROS;
    if (unit < PARQUET_MILLIS || unit > PARQUET_NANOS) {
        return "a time of unknown unit";
    }
    l->column.type = COLUMN_TIME;
    l->tick_ns = ticks[unit];
    l->zoneless = e->logical == LOGICAL_TIMESTAMP && !e->utc;
    return NULL;
}

/* LogicalTypes.md: integers of all widths and signs, dates, timestamps. */
static const char *settle_integer(struct leaf *l, const struct element *e)
{
    bool wide = l->storage == PARQUET_INT64;
    bool old_time =
        e->converted == CONVERTED_TIMESTAMP_MILLIS || e->converted == CONVERTED_TIMESTAMP_MICROS;
    if (wide && (e->logical == LOGICAL_TIMESTAMP || (!e->logical && old_time))) {
        return settle_time(l, e);
    }
    if (!wide && (e->logical == LOGICAL_DATE || (!e->logical && e->converted == CONVERTED_DATE))) {
        l->column.type = COLUMN_TIME;
        l->tick_ns = 86400 * NS_PER_S;
        l->zoneless = true;
        return NULL;
    }
    bool plain = !e->logical && e->converted < 0;
    bool old = !e->logical && e->converted >= CONVERTED_UINT_8 && e->converted <= CONVERTED_INT_64;
    if (!plain && !old && e->logical != LOGICAL_INTEGER) {
        return "of a logical type (DECIMAL, TIME or such) that is not supported";
    }
    l->is_unsigned = old ? e->converted <= CONVERTED_UINT_64 : !plain && !e->is_signed;
    l->column.type = !l->is_unsigned ? COLUMN_INT64 : wide ? COLUMN_UINT64 : COLUMN_UINT32;
    return NULL;
}

static const char *settle_bytes(struct leaf *l, const struct element *e)
{
    bool text = e->logical == LOGICAL_STRING || e->logical == LOGICAL_ENUM ||
                e->logical == LOGICAL_JSON ||
                (!e->logical && (e->converted == CONVERTED_UTF8 || e->converted == CONVERTED_ENUM ||
                                 e->converted == CONVERTED_JSON));
    if (!text && (e->logical || e->converted >= 0)) {
        return "of a logical type (DECIMAL or such) that is not supported";
    }
    l->column.type = text ? COLUMN_TEXT : COLUMN_BYTES;
    return NULL;
}

/* Our type for the file's; what it is if there is none. */
static const char *settle(struct leaf *l, const struct element *e, bool nested)
{
    l->storage = (enum parquet_type)e->type;
    l->column.nullable = e->repetition == PARQUET_OPTIONAL;
    if (nested || e->repetition == PARQUET_REPEATED) {
        return "nested or repeated, which is not supported";
    }
    switch (e->type) {
    case PARQUET_BOOLEAN:
        l->column.type = COLUMN_BOOL;
        return NULL;
    case PARQUET_INT32:
    case PARQUET_INT64:
        return settle_integer(l, e);
    case PARQUET_FLOAT:
    case PARQUET_DOUBLE:
        l->column.type = COLUMN_DOUBLE;
        return NULL;
    case PARQUET_BYTE_ARRAY:
        return settle_bytes(l, e);
    case PARQUET_INT96:
        return "stored as INT96 (an old form of time), which is not supported";
    case PARQUET_FIXED:
        return "stored as FIXED_LEN_BYTE_ARRAY, which is not supported";
    default:
        return "stored in a way that Parquet does not know";
    }
}

static int take_leaf(struct parquet_meta *m, const struct element *e, bool nested,
                     struct table_problem *problem)
{
    size_t size = reader_left(&e->name);
    const char *name = size ? (const char *)e->name.at : "";
    if (e->type < 0 || e->repetition < 0 || size > NAME_MAX || memchr(name, 0, size) ||
        utf8_valid(name, size) < size) {
        return table_problem_note(problem, ERR_MALFORMED, "column %zu is described badly",
                                  m->leaf_count + 1);
    }
    struct leaf *l = &m->leaves[m->leaf_count];
    l->column.name = strndup(name, size);
    if (!l->column.name) {
        return ERR_NOMEM;
    }
    l->unsupported = settle(l, e, nested);
    m->leaf_count++;
    return ERR_OK;
}

/* The schema is a tree, flattened depth first; its root stands for the row. */
static int read_schema(struct parquet_meta *m, struct reader r, size_t count,
                       struct table_problem *problem)
{
    int64_t open[NESTING_MAX]; /* children to come, per level */
    size_t depth = 0;
    struct element root = take_element(&r);
    open[0] = root.children;
    for (size_t i = 1; i < count && !r.bad; i++) {
        while (depth > 0 && open[depth] == 0) {
            depth--;
        }
        struct element e = take_element(&r);
        if (r.bad || e.children < 0 || open[depth]-- <= 0 || depth + 1 == NESTING_MAX) {
            return table_problem_note(problem, ERR_MALFORMED, "the schema is no tree");
        }
        if (e.children) {
            open[++depth] = e.children;
            continue;
        }
        int err = take_leaf(m, &e, depth > 0, problem);
        if (err) {
            return err;
        }
    }
    if (r.bad || !m->leaf_count) {
        return table_problem_note(problem, ERR_MALFORMED, "the schema names no columns");
    }
    return ERR_OK;
}

int meta_read(struct parquet_meta *m, const void *footer, size_t size,
              struct table_problem *problem)
{
    *m = (struct parquet_meta){0};
    struct reader r = reader_of(footer, size), schema = {.bad = true};
    struct thrift_field f = {0};
    size_t elements = 0;
    while (thrift_next(&r, &f)) {
        struct reader here = r;
        if (f.id == 2) {
            elements = thrift_list(&here, &f, THRIFT_STRUCT);
            schema = here;
        } else if (f.id == 3) {
            m->rows = (uint64_t)thrift_int(&here, &f);
        } else if (f.id == 4) {
            m->groups_left = thrift_list(&here, &f, THRIFT_STRUCT);
            m->groups = here;
        } else if (f.id == 8) {
            return table_problem_note(problem, ERR_UNSUPPORTED, "the file is encrypted");
        }
        r.bad |= here.bad;
        thrift_skip(&r, &f);
    }
    if (r.bad || schema.bad) {
        return table_problem_note(problem, ERR_MALFORMED, "the footer is damaged");
    }
    if (elements < 2 || elements > TABLE_COLUMNS_MAX) {
        return table_problem_note(problem, ERR_RANGE, "the file has no columns, or more than %u",
                                  TABLE_COLUMNS_MAX);
    }
    m->leaves = calloc(elements, sizeof *m->leaves);
    return m->leaves ? read_schema(m, schema, elements, problem) : ERR_NOMEM;
}

void meta_fini(struct parquet_meta *m)
{
    for (size_t i = 0; i < m->leaf_count; i++) {
        free((char *)m->leaves[i].column.name);
    }
    free(m->leaves);
    *m = (struct parquet_meta){0};
}

/* ColumnMetaData. */
static struct chunk take_chunk_meta(struct reader *r)
{
    struct chunk c = {.storage = (enum parquet_type) - 1};
    struct thrift_field f = {0};
    int64_t data = -1, dictionary = -1, size = -1, values = -1;
    while (thrift_next(r, &f)) {
        switch (f.id) {
        case 1:
            c.storage = (enum parquet_type)thrift_int(r, &f);
            break;
        case 4:
            c.codec = (int32_t)thrift_int(r, &f);
            break;
        case 5:
            values = thrift_int(r, &f);
            break;
        case 7:
            size = thrift_int(r, &f);
            break;
        case 9:
            data = thrift_int(r, &f);
            break;
        case 11:
            dictionary = thrift_int(r, &f);
            break;
        default:
            thrift_skip(r, &f);
        }
    }
    /* Some writers leave a dictionary offset of 0 where there is none. */
    int64_t start = dictionary > 0 && dictionary < data ? dictionary : data;
    r->bad |= start < 0 || size < 0 || values < 0;
    c.start = (uint64_t)start;
    c.size = (uint64_t)size;
    c.values = (uint64_t)values;
    return c;
}

/* ColumnChunk; without metadata it stays all zero. */
static struct chunk take_chunk(struct reader *r, bool *elsewhere)
{
    struct chunk c = {0};
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        if (f.id == 3 && thrift_struct(r, &f)) {
            c = take_chunk_meta(r);
        } else {
            *elsewhere |= f.id == 1; /* file_path */
            thrift_skip(r, &f);
        }
    }
    return c;
}

static size_t take_chunks(const struct parquet_meta *m, struct reader *r, struct chunk *chunks,
                          size_t count, bool *elsewhere)
{
    size_t taken = 0;
    r->bad |= count != m->leaf_count;
    while (taken < count && !r->bad) {
        chunks[taken++] = take_chunk(r, elsewhere);
    }
    return taken;
}

static int check_chunks(const struct parquet_meta *m, const struct chunk *chunks, uint64_t rows,
                        uint64_t file_size, struct table_problem *problem)
{
    for (size_t i = 0; i < m->leaf_count; i++) {
        const struct chunk *c = &chunks[i];
        const struct leaf *l = &m->leaves[i];
        if (c->start > file_size || c->size > file_size - c->start || c->storage != l->storage ||
            (!l->unsupported && c->values != rows)) {
            return table_problem_note(problem, ERR_MALFORMED,
                                      "row group %zu, column '%.60s': its place, size or type in "
                                      "the footer can't be",
                                      m->group, l->column.name);
        }
    }
    return ERR_OK;
}

int meta_next_group(struct parquet_meta *m, struct chunk *chunks, uint64_t *rows,
                    uint64_t file_size, struct table_problem *problem)
{
    if (!m->groups_left) {
        return 0;
    }
    m->groups_left--;
    m->group++;
    struct reader *r = &m->groups;
    struct thrift_field f = {0};
    size_t taken = 0;
    int64_t count = -1;
    bool elsewhere = false;
    while (thrift_next(r, &f)) {
        if (f.id == 1) {
            taken = take_chunks(m, r, chunks, thrift_list(r, &f, THRIFT_STRUCT), &elsewhere);
        } else if (f.id == 3) {
            count = thrift_int(r, &f);
        } else {
            thrift_skip(r, &f);
        }
    }
    if (r->bad || taken != m->leaf_count || count < 0) {
        return table_problem_note(problem, ERR_MALFORMED, "row group %zu is described badly",
                                  m->group);
    }
    if (elsewhere) {
        return table_problem_note(problem, ERR_UNSUPPORTED,
                                  "row group %zu lies in another file, which is not supported",
                                  m->group);
    }
    *rows = (uint64_t)count;
    int err = check_chunks(m, chunks, *rows, file_size, problem);
    return err ? err : 1;
}
