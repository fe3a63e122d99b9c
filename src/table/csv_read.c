/* SPDX-License-Identifier: Apache-2.0 */
#include "table/csv_read.h"

#include "base/csv.h"
#include "base/utf8.h"
#include "table/csv_cell.h"

#include <stdlib.h>
#include <string.h>

struct csv_reader {
    struct csv_input input;
    struct table_problem *problem;
    char *buffer;  /* CSV_ROW_MAX: what was read and not taken yet */
    char *scratch; /* CSV_ROW_MAX: a field without its quotes */
    struct csv text;
    struct csv_field *fields; /* of the row taken last */
    size_t field_capacity;
    char **names; /* of the columns */
    size_t count;
    size_t *chosen; /* columns of the batch: their places in a row */
    size_t chosen_count;
};

/* Moves what is left to the buffer's beginning and reads on. 0, or an error. */
static int refill(struct csv_reader *c, const char *from)
{
    size_t left = (size_t)(c->text.end - from);
    if (left == CSV_ROW_MAX) {
        return table_problem_note(c->problem, ERR_TOO_LONG,
                                  "line %d: a row of more than 1 MiB; is a quote not closed?",
                                  c->text.line);
    }
    memmove(c->buffer, from, left);
    int got = c->input.read(c->input.context, c->buffer + left, CSV_ROW_MAX - left);
    if (got < 0) {
        return table_problem_note(c->problem, got, "line %d: can't read on", c->text.line);
    }
    c->text.line_start = c->text.at = c->buffer;
    c->text.end = c->buffer + left + got;
    c->text.whole = !got;
    return ERR_OK;
}

static int field_room(struct csv_reader *c, size_t count)
{
    if (count < c->field_capacity) {
        return ERR_OK;
    }
    if (count == TABLE_COLUMNS_MAX) {
        return table_problem_note(c->problem, ERR_TOO_LONG, "line %d: more than %u fields",
                                  c->text.line, TABLE_COLUMNS_MAX);
    }
    size_t capacity = c->field_capacity ? c->field_capacity * 2 : 64;
    struct csv_field *fields = realloc(c->fields, capacity * sizeof *fields);
    if (!fields) {
        return ERR_NOMEM;
    }
    c->fields = fields;
    c->field_capacity = capacity;
    return ERR_OK;
}

/* Cuts a row into fields. Their number; 0 if it is not whole yet; or an error. */
static int cut_row(struct csv_reader *c)
{
    size_t count = 0;
    do {
        int err = field_room(c, count);
        if (err) {
            return err;
        }
        if (!csv_next(&c->text, &c->fields[count])) {
            return 0;
        }
        if (c->fields[count].stray_line) {
            return table_problem_note(c->problem, ERR_MALFORMED,
                                      "line %d, byte %d: text follows the closing quote",
                                      c->fields[count].stray_line, c->fields[count].stray_column);
        }
    } while (!c->fields[count++].last);
    return (int)count;
}

/* The next row's fields, which are borrowed until the next call. Their number, 0 at the end, or an error. */
static int take_row(struct csv_reader *c)
{
    for (;;) {
        struct csv start = c->text;
        /* With one column an empty line is a null. */
        while (c->count != 1 && csv_skip_line(&c->text)) {
            start = c->text;
        }
        if (c->text.at == c->text.end && c->text.whole) {
            return 0;
        }
        int count = c->text.at < c->text.end ? cut_row(c) : 0;
        if (count) {
            return count;
        }
        c->text.line = start.line;
        if (c->text.whole) {
            return table_problem_note(c->problem, ERR_MALFORMED,
                                      "line %d: a quoted field has no end", start.line);
        }
        int err = refill(c, start.at);
        if (err) {
            return err;
        }
    }
}

static int take_header(struct csv_reader *c)
{
    int count = take_row(c);
    if (count <= 0) {
        return count ? count
                     : table_problem_note(c->problem, ERR_SHORT,
                                          "the text is empty; the first row names the columns");
    }
    c->names = calloc((size_t)count, sizeof *c->names);
    for (size_t i = 0; c->names && i < (size_t)count; i++) {
        size_t size = csv_unquote(&c->fields[i], c->scratch);
        if (!size || memchr(c->scratch, 0, size) || utf8_valid(c->scratch, size) < size) {
            return table_problem_note(c->problem, ERR_MALFORMED,
                                      "line %d: column %zu has no name, or not one in UTF-8",
                                      c->fields[i].line, i + 1);
        }
        c->names[i] = strndup(c->scratch, size);
        c->count = i + 1;
        if (!c->names[i]) {
            return ERR_NOMEM;
        }
    }
    return c->names ? ERR_OK : ERR_NOMEM;
}

/* Reads the first bytes, behind a byte order mark. */
static int begin(struct csv_reader *c)
{
    c->text = (struct csv){.at = c->buffer, .end = c->buffer};
    int err = ERR_OK;
    while (err == ERR_OK && !c->text.whole && c->text.end - c->buffer < 3) {
        err = refill(c, c->buffer);
    }
    c->text = csv_of(c->buffer, (size_t)(c->text.end - c->buffer), c->text.whole);
    return err ? err : take_header(c);
}

int csv_open(struct csv_reader **out, struct csv_input input, struct table_problem *problem)
{
    *out = NULL;
    problem->text[0] = 0;
    struct csv_reader *c = calloc(1, sizeof *c);
    if (!c) {
        return ERR_NOMEM;
    }
    c->input = input;
    c->problem = problem;
    c->buffer = malloc(CSV_ROW_MAX);
    c->scratch = malloc(CSV_ROW_MAX);
    int err = c->buffer && c->scratch ? begin(c) : ERR_NOMEM;
    if (err) {
        csv_close(c);
        return err;
    }
    *out = c;
    return ERR_OK;
}

void csv_close(struct csv_reader *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        free(c->names[i]);
    }
    free(c->names);
    free(c->buffer);
    free(c->scratch);
    free(c->fields);
    free(c->chosen);
    free(c);
}

size_t csv_column_count(const struct csv_reader *c)
{
    return c->count;
}

const char *csv_column_name(const struct csv_reader *c, size_t index)
{
    return c->names[index];
}

int csv_select(struct csv_reader *c, const size_t *columns, size_t count)
{
    size_t *chosen = calloc(count, sizeof *chosen);
    if (!chosen) {
        return ERR_NOMEM;
    }
    memcpy(chosen, columns, count * sizeof *chosen);
    free(c->chosen);
    c->chosen = chosen;
    c->chosen_count = count;
    return ERR_OK;
}

static int field_problem(struct csv_reader *c, size_t column, int err, const char *what,
                         const char *more)
{
    return table_problem_note(c->problem, err, "line %d, column '%.60s': %s%s",
                              c->fields[column].line, c->names[column], what, more);
}

static int take_cell(struct csv_reader *c, size_t column, struct batch *into, size_t to)
{
    const struct csv_field *f = &c->fields[column];
    enum column_type type = into->columns[to].type;
    if (!f->size && !f->quoted) {
        return into->columns[to].nullable ? ERR_OK
                                          : field_problem(c, column, ERR_MALFORMED, "is empty", "");
    }
    size_t size = csv_unquote(f, c->scratch);
    if (type == COLUMN_TEXT && utf8_valid(c->scratch, size) < size) {
        return field_problem(c, column, ERR_MALFORMED, "is not UTF-8 text", "");
    }
    if (column_is_long(type)) {
        int bytes = type == COLUMN_BYTES ? base64_parse(c->scratch, size) : (int)size;
        if (bytes < 0) {
            return field_problem(c, column, bytes, "is no base64", "");
        }
        int err = batch_set_bytes(into, to, c->scratch, (size_t)bytes);
        return err ? field_problem(c, column, err, "is longer than 64 KiB", "") : ERR_OK;
    }
    union cell v = {0};
    int err = cell_parse(type, c->scratch, size, &v);
    if (err) {
        return field_problem(c, column, err, err == ERR_RANGE ? "is out of range of " : "is no ",
                             column_type_name(type));
    }
    batch_set(into, to, v);
    return ERR_OK;
}

int csv_read_rows(struct csv_reader *c, struct batch *into)
{
    size_t wanted = c->chosen ? c->chosen_count : c->count;
    int rows = 0;
    if (into->column_count != wanted) {
        return ERR_RANGE;
    }
    while (!batch_is_full(into)) {
        int fields = take_row(c);
        if (fields <= 0) {
            return fields ? fields : rows;
        }
        if ((size_t)fields != c->count) {
            return table_problem_note(c->problem, ERR_MALFORMED,
                                      "line %d: %d fields, but the header names %zu columns",
                                      c->fields[0].line, fields, c->count);
        }
        for (size_t i = 0; i < wanted; i++) {
            int err = take_cell(c, c->chosen ? c->chosen[i] : i, into, i);
            if (err) {
                return err;
            }
        }
        batch_end_row(into);
        rows++;
    }
    return rows;
}
