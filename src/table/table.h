/* SPDX-License-Identifier: Apache-2.0 */
/* A table as it travels between queries and files: named, typed columns, rows in batches. A batch is a structure of
 * arrays of bounded size: it is filled row by row, handed on, cleared and filled again. Nothing is allocated after
 * batch_new. A batch belongs to one thread. */
#ifndef ISTHMUS_TABLE_TABLE_H
#define ISTHMUS_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum column_type {
    COLUMN_INT64 = 1,
    COLUMN_UINT64,
    COLUMN_UINT32, /* a cell's u64 */
    COLUMN_DOUBLE,
    COLUMN_BOOL, /* a cell's u64: 0 or 1 */
    COLUMN_TEXT, /* UTF-8 */
    COLUMN_BYTES,
    COLUMN_TIME, /* a cell's i64: nanoseconds UTC since 1970 */
    COLUMN_TYPE_END
};

#define TABLE_COLUMNS_MAX 10000u
#define TABLE_ROWS_MAX    (UINT32_C(1) << 20)  /* of a batch */
#define TABLE_TEXT_MAX    (UINT32_C(64) << 10) /* longest text or bytes of one cell */
#define TABLE_HEAP_MAX    (UINT32_C(1) << 30)

struct column {
    const char *name;
    enum column_type type;
    bool nullable;
};

union cell {
    int64_t i64;
    uint64_t u64;
    double f64;
    struct {
        uint32_t at, size; /* in the batch's heap */
    } bytes;
};

struct batch {
    struct column *columns; /* owned, with the names */
    size_t column_count, long_columns;
    size_t rows, row_capacity;
    union cell **cells; /* [column][row]; only where present */
    uint8_t **present;  /* [column][row]: 0 null, 1 a value */
    uint8_t *heap;      /* all texts and bytes */
    size_t heap_used, heap_capacity;
};

/* "int64", "uint64", "uint32", "double", "bool", "text", "bytes", "time"; "?" for none. */
const char *column_type_name(enum column_type type);

static inline bool column_is_long(enum column_type t)
{
    return t == COLUMN_TEXT || t == COLUMN_BYTES;
}

/* An empty batch for at most `rows` rows with about `heap` bytes of text; *out is owned by the caller. ERR_RANGE when a
 * limit above is exceeded or there is no column, ERR_NOMEM. */
MUST_USE int batch_new(struct batch **out, const struct column *columns, size_t count, size_t rows,
                       size_t heap);
void batch_free(struct batch *b);
void batch_clear(struct batch *b);

/* Rows that fit into `memory` bytes with `count` columns: at least 1, at most `rows`. */
size_t batch_rows_for(size_t count, size_t rows, size_t memory);

/* A batch that isn't full takes one more row, whatever its texts hold. */
static inline bool batch_is_full(const struct batch *b)
{
    return b->rows == b->row_capacity ||
           b->heap_capacity - b->heap_used < b->long_columns * TABLE_TEXT_MAX;
}

/* Sets a cell of the row in the making; cells that are not set are null. The batch isn't full. */
static inline void batch_set(struct batch *b, size_t column, union cell value)
{
    b->cells[column][b->rows] = value;
    b->present[column][b->rows] = 1;
}
/* Copies a text or bytes; ERR_TOO_LONG beyond TABLE_TEXT_MAX. A cell is set once a row. */
MUST_USE int batch_set_bytes(struct batch *b, size_t column, const void *data, size_t size);

static inline void batch_end_row(struct batch *b)
{
    b->rows++;
}

static inline const uint8_t *batch_bytes(const struct batch *b, union cell cell)
{
    return b->heap + cell.bytes.at;
}

/* Where a table is written to: in order, to a file or a pipe. Returns 0 or a negative err. */
struct table_sink {
    int (*write)(void *context, const void *data, size_t size);
    void *context;
};

/* Where a table is read from: `size` bytes from `offset` on, all of them, or a negative err. */
struct table_source {
    int (*read)(void *context, uint64_t offset, void *data, size_t size);
    void *context;
    uint64_t size;
};

/* What was wrong with a file that was read, and where: one line for a person. */
struct table_problem {
    char text[256];
};

/* Notes the first problem and gives `err` back. */
int table_problem_note(struct table_problem *p, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
