/* SPDX-License-Identifier: Apache-2.0 */
#include "table/csv_write.h"

#include "table/csv_cell.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE ((size_t)64 << 10)

struct csv_writer {
    struct table_sink sink;
    size_t used;
    int err; /* the first of the sink's */
    char buffer[BUFFER_SIZE];
};

static void flush(struct csv_writer *w)
{
    if (w->err == ERR_OK && w->used) {
        w->err = w->sink.write(w->sink.context, w->buffer, w->used);
    }
    w->used = 0;
}

static void put(struct csv_writer *w, const char *text, size_t size)
{
    while (size) {
        if (w->used == BUFFER_SIZE) {
            flush(w);
        }
        size_t part = BUFFER_SIZE - w->used < size ? BUFFER_SIZE - w->used : size;
        memcpy(w->buffer + w->used, text, part);
        w->used += part;
        text += part;
        size -= part;
    }
}

/* In quotes where RFC 4180 wants them, and when empty: an empty field without them is null. */
static void put_text(struct csv_writer *w, const char *text, size_t size)
{
    bool quote = !size;
    for (size_t i = 0; i < size && !quote; i++) {
        quote = text[i] == ',' || text[i] == '"' || text[i] == '\r' || text[i] == '\n';
    }
    if (!quote) {
        put(w, text, size);
        return;
    }
    put(w, "\"", 1);
    for (const char *mark; (mark = memchr(text, '"', size));) {
        size_t part = (size_t)(mark - text) + 1;
        put(w, text, part);
        put(w, "\"", 1);
        text += part;
        size -= part;
    }
    put(w, text, size);
    put(w, "\"", 1);
}

static void put_cell(struct csv_writer *w, const struct batch *b, size_t column, size_t row)
{
    enum column_type type = b->columns[column].type;
    union cell v = b->cells[column][row];
    if (type == COLUMN_TEXT) {
        put_text(w, (const char *)batch_bytes(b, v), v.bytes.size);
        return;
    }
    char text[CELL_TEXT_SIZE];
    if (type != COLUMN_BYTES) {
        put(w, text, cell_print(type, v, text));
        return;
    }
    if (!v.bytes.size) {
        put(w, "\"\"", 2);
    }
    for (size_t at = 0; at < v.bytes.size; at += BASE64_PART) {
        size_t left = v.bytes.size - at;
        put(w, text,
            base64_print(batch_bytes(b, v) + at, left < BASE64_PART ? left : BASE64_PART, text));
    }
}

int csv_writer_new(struct csv_writer **out, const struct batch *shape, struct table_sink sink)
{
    struct csv_writer *w = malloc(sizeof *w);
    *out = w;
    if (!w) {
        return ERR_NOMEM;
    }
    w->sink = sink;
    w->used = 0;
    w->err = ERR_OK;
    for (size_t i = 0; i < shape->column_count; i++) {
        put(w, ",", i > 0);
        put_text(w, shape->columns[i].name, strlen(shape->columns[i].name));
    }
    put(w, "\r\n", 2);
    return ERR_OK;
}

int csv_write(struct csv_writer *w, const struct batch *b)
{
    for (size_t row = 0; row < b->rows && w->err == ERR_OK; row++) {
        for (size_t i = 0; i < b->column_count; i++) {
            put(w, ",", i > 0);
            if (b->present[i][row]) {
                put_cell(w, b, i, row);
            }
        }
        put(w, "\r\n", 2);
    }
    return w->err;
}

int csv_finish(struct csv_writer *w)
{
    flush(w);
    return w->err;
}

void csv_writer_free(struct csv_writer *w)
{
    free(w);
}
