/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"

#include <string.h>

struct csv csv_of(const char *text, size_t size, bool whole)
{
    bool mark = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3);
    const char *start = text + (mark ? 3 : 0);
    return (struct csv){
        .at = start, .end = text + size, .line_start = start, .line = 1, .whole = whole};
}

static void next_line(struct csv *c)
{
    c->line++;
    c->line_start = c->at;
}

/* The end of the text ends a line too. */
static bool at_line_end(const struct csv *c)
{
    return c->at == c->end || *c->at == '\n' ||
           (*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n');
}

static void take_line_end(struct csv *c)
{
    if (c->at < c->end) {
        c->at += *c->at == '\r' ? 2 : 1;
        next_line(c);
    }
}

static int column_of(const struct csv *c)
{
    return (int)(c->at - c->line_start) + 1;
}

static bool skip_quoted(struct csv *c, struct csv_field *f)
{
    f->quoted = true;
    f->text = ++c->at;
    while (c->at < c->end) {
        char ch = *c->at++;
        if (ch == '\n') {
            next_line(c);
        } else if (ch == '"' && (c->at == c->end || *c->at != '"')) {
            f->size = (size_t)(c->at - 1 - f->text);
            return true;
        } else if (ch == '"') {
            c->at++;
        }
    }
    return false;
}

static void skip_plain(struct csv *c)
{
    while (!at_line_end(c) && *c->at != ',') {
        c->at++;
    }
}

bool csv_next(struct csv *c, struct csv_field *f)
{
    *f = (struct csv_field){.text = c->at, .line = c->line, .column = column_of(c)};
    if (c->at < c->end && *c->at == '"') {
        if (!skip_quoted(c, f)) {
            return false;
        }
        if (!at_line_end(c) && *c->at != ',') {
            f->stray_line = c->line;
            f->stray_column = column_of(c);
            skip_plain(c);
        }
    } else {
        skip_plain(c);
        f->size = (size_t)(c->at - f->text);
    }
    if (c->at == c->end && !c->whole) {
        return false;
    }
    f->last = at_line_end(c);
    if (f->last) {
        take_line_end(c);
    } else {
        c->at++;
    }
    return true;
}

bool csv_skip_line(struct csv *c)
{
    if (c->at == c->end || !at_line_end(c)) {
        return false;
    }
    take_line_end(c);
    return true;
}

size_t csv_unquote(const struct csv_field *f, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < f->size; i++) {
        out[used++] = f->text[i];
        i += f->quoted && f->text[i] == '"'; /* doubled: one of the two */
    }
    return used;
}
