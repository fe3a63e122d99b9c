/* SPDX-License-Identifier: Apache-2.0 */
/* CSV text as fields (RFC 4180): separated by commas, rows by CRLF or LF; a field in quotes may hold commas, doubled
 * quotes and line ends. A cursor over borrowed memory; no allocation, no I/O. What a field means is the caller's. */
#ifndef ISTHMUS_BASE_CSV_H
#define ISTHMUS_BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>

struct csv {
    const char *at, *end;   /* borrowed */
    const char *line_start; /* of the line that `at` is in */
    int line;               /* from 1 on */
    bool whole;             /* nothing comes behind `end` */
};

struct csv_field {
    const char *text; /* borrowed; a quoted one without its outer quotes: see csv_unquote */
    size_t size;
    bool quoted;
    bool last;        /* of its row */
    int line, column; /* where it begins; columns are bytes; both from 1 on */
    int stray_line,
        stray_column; /* of text behind the closing quote, which is left out; 0 if none */
};

/* At the beginning of `text`, behind a byte order mark. */
struct csv csv_of(const char *text, size_t size, bool whole);

/* The next field, whose separator is stepped over. False if it has no end: when the text is whole, a quote is not
 * closed; else more text is needed, and c may be anywhere within the row. */
bool csv_next(struct csv *c, struct csv_field *f);

/* Steps over an empty line. */
bool csv_skip_line(struct csv *c);

/* The field's text with doubled quotes made one; `out` has room for f->size bytes. Returns the size. */
size_t csv_unquote(const struct csv_field *f, char *out);

#endif
