/* SPDX-License-Identifier: Apache-2.0 */
/* A CSV table that somebody wants to import: its columns are read as each of the types in turn, beginning with
 * one that depends on the size. */
#include <stdlib.h>
#include <string.h>

#include "table/csv_read.h"

#define COLUMNS_MAX 32

struct input {
    const uint8_t *data;
    size_t size, at;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In pieces, so that rows are cut anywhere. */
static int read_input(void *context, void *out, size_t size)
{
    struct input *in = context;
    size_t n = in->size - in->at < 7 ? in->size - in->at : 7;
    n = n < size ? n : size;
    if (n) {
        memcpy(out, in->data + in->at, n);
    }
    in->at += n;
    return (int)n;
}

static void read_rows(struct csv_reader *c, unsigned shift)
{
    struct column columns[COLUMNS_MAX];
    size_t count = csv_column_count(c);
    struct batch *b;
    for (size_t i = 0; i < count && i < COLUMNS_MAX; i++) {
        columns[i] = (struct column){csv_column_name(c, i),
                                     COLUMN_INT64 + (i + shift) % (COLUMN_TYPE_END - 1), true};
    }
    if (count > COLUMNS_MAX || batch_new(&b, columns, count, 100, 1000)) {
        return;
    }
    while (csv_read_rows(c, b) > 0) {
        batch_clear(b);
    }
    batch_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, 0};
    struct table_problem problem;
    struct csv_reader *c;
    if (csv_open(&c, (struct csv_input){read_input, &in}, &problem) == ERR_OK) {
        read_rows(c, (unsigned)(size % 8));
    } else if (!problem.text[0]) {
        abort();
    }
    csv_close(c);
    return 0;
}
