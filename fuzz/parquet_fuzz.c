/* SPDX-License-Identifier: Apache-2.0 */
/* A Parquet file that somebody wants to import. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "table/parquet_read.h"

#define COLUMNS_MAX 32
#define ROWS_MAX    5000 /* a run of a few bytes may stand for billions of rows */

struct input {
    const uint8_t *data;
    size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_input(void *context, uint64_t offset, void *out, size_t size)
{
    const struct input *in = context;
    if (offset > in->size || size > in->size - offset) {
        abort();
    }
    if (size) {
        memcpy(out, in->data + offset, size);
    }
    return ERR_OK;
}

/* What every reader of a batch relies on. */
static void check_batch(const struct batch *b)
{
    for (size_t i = 0; i < b->column_count; i++) {
        enum column_type type = b->columns[i].type;
        for (size_t row = 0; row < b->rows; row++) {
            union cell v = b->cells[i][row];
            if (!b->present[i][row]) {
                if (!b->columns[i].nullable) {
                    abort();
                }
            } else if (column_is_long(type)) {
                if (v.bytes.size > b->heap_used || v.bytes.at > b->heap_used - v.bytes.size ||
                    (type == COLUMN_TEXT &&
                     utf8_valid(batch_bytes(b, v), v.bytes.size) < v.bytes.size)) {
                    abort();
                }
            } else if ((type == COLUMN_BOOL && v.u64 > 1) ||
                       (type == COLUMN_UINT32 && v.u64 > UINT32_MAX)) {
                abort();
            }
        }
    }
}

static void read_rows(struct parquet *p)
{
    struct column columns[COLUMNS_MAX];
    size_t chosen[COLUMNS_MAX], count = 0;
    struct batch *b;
    for (size_t i = 0; i < parquet_column_count(p) && count < COLUMNS_MAX; i++) {
        struct parquet_column c = parquet_column(p, i);
        if (!c.unsupported) {
            columns[count] = c.column;
            chosen[count++] = i;
        }
    }
    if (!count || parquet_select(p, chosen, count) ||
        batch_new(&b, columns, count, 500, (size_t)64 << 10)) {
        return;
    }
    for (int rows = 0, n = 1; n > 0 && rows < ROWS_MAX; rows += n) {
        batch_clear(b);
        n = parquet_read(p, b);
        check_batch(b);
    }
    batch_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct table_source source = {.read = read_input, .context = &in, .size = size};
    struct table_problem problem;
    struct parquet *p;
    int err = parquet_open(&p, source, (size_t)64 << 20, &problem);
    if (err == ERR_OK) {
        read_rows(p);
    } else if (!problem.text[0]) {
        abort();
    }
    parquet_close(p);
    return 0;
}
