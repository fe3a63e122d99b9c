/* SPDX-License-Identifier: Apache-2.0 */
#include "table/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *column_type_name(enum column_type type)
{
    static const char *const names[COLUMN_TYPE_END] = {
        "?", "int64", "uint64", "uint32", "double", "bool", "text", "bytes", "time"};
    return names[type < COLUMN_TYPE_END ? type : 0];
}

static int make_columns(struct batch *b, const struct column *columns, size_t count, size_t rows)
{
    b->columns = calloc(count, sizeof *b->columns);
    b->cells = calloc(count, sizeof *b->cells);
    b->present = calloc(count, sizeof *b->present);
    if (!b->columns || !b->cells || !b->present) {
        return ERR_NOMEM;
    }
    b->column_count = count;
    for (size_t i = 0; i < count; i++) {
        b->columns[i] = columns[i];
        b->columns[i].name = strdup(columns[i].name);
        b->cells[i] = calloc(rows, sizeof **b->cells);
        b->present[i] = calloc(rows, 1);
        if (!b->columns[i].name || !b->cells[i] || !b->present[i]) {
            return ERR_NOMEM;
        }
        b->long_columns += column_is_long(columns[i].type);
    }
    b->row_capacity = rows;
    return ERR_OK;
}

int batch_new(struct batch **out, const struct column *columns, size_t count, size_t rows,
              size_t heap)
{
    *out = NULL;
    if (!count || count > TABLE_COLUMNS_MAX || !rows || rows > TABLE_ROWS_MAX ||
        heap > TABLE_HEAP_MAX) {
        return ERR_RANGE;
    }
    struct batch *b = calloc(1, sizeof *b);
    int err = b ? make_columns(b, columns, count, rows) : ERR_NOMEM;
    if (err == ERR_OK) {
        /* One row of the longest texts on top: so a batch that isn't full has room for any row. */
        b->heap_capacity = (b->long_columns ? heap : 0) + b->long_columns * TABLE_TEXT_MAX;
        b->heap = malloc(b->heap_capacity + 1);
        err = b->heap ? ERR_OK : ERR_NOMEM;
    }
    if (err) {
        batch_free(b);
        return err;
    }
    *out = b;
    return ERR_OK;
}

void batch_free(struct batch *b)
{
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->column_count; i++) {
        free((char *)b->columns[i].name);
        free(b->cells[i]);
        free(b->present[i]);
    }
    free(b->columns);
    free(b->cells);
    free(b->present);
    free(b->heap);
    free(b);
}

void batch_clear(struct batch *b)
{
    /* The row in the making may be half set. */
    size_t used = b->rows < b->row_capacity ? b->rows + 1 : b->rows;
    for (size_t i = 0; i < b->column_count; i++) {
        memset(b->present[i], 0, used);
    }
    b->rows = 0;
    b->heap_used = 0;
}

size_t batch_rows_for(size_t count, size_t rows, size_t memory)
{
    size_t fit = memory / ((sizeof(union cell) + 1) * (count ? count : 1));
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

int batch_set_bytes(struct batch *b, size_t column, const void *data, size_t size)
{
    if (size > TABLE_TEXT_MAX) {
        return ERR_TOO_LONG;
    }
    union cell cell = {.bytes = {.at = (uint32_t)b->heap_used, .size = (uint32_t)size}};
    if (size) {
        memcpy(b->heap + b->heap_used, data, size);
    }
    b->heap_used += size;
    batch_set(b, column, cell);
    return ERR_OK;
}

int table_problem_note(struct table_problem *p, int err, const char *format, ...)
{
    if (!p->text[0]) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->text, sizeof p->text, format, args);
        va_end(args);
    }
    return err;
}
