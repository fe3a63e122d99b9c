/* SPDX-License-Identifier: Apache-2.0 */
/* Tag lists as CSV (RFC 4180): a header row names the columns, each row becomes the same map that YAML would give. Empty
 * fields are left out. Quoted fields may hold commas, quotes (doubled) and line ends. */
#include "config/tree.h"

#include <string.h>

#define COLUMNS_MAX 64

struct csv {
    struct tree *t;
    const char *file;
    const char *at, *end;
    int line;
    const char *line_start;
    const char *names[COLUMNS_MAX];
    size_t count;
};

struct field {
    const char *text;
    int line, column;
    bool last; /* of its row */
};

static int column_of(const struct csv *c, const char *p)
{
    return (int)(p - c->line_start) + 1;
}

static void next_line(struct csv *c)
{
    c->line++;
    c->line_start = c->at;
}

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

/* Steps over a quoted field; its bytes without the outer quotes, NULL if it has no end. */
static const char *skip_quoted(struct csv *c, size_t *size)
{
    const char *start = ++c->at;
    while (c->at < c->end) {
        char ch = *c->at++;
        if (ch == '\n') {
            next_line(c);
        } else if (ch == '"' && (c->at == c->end || *c->at != '"')) {
            *size = (size_t)(c->at - 1 - start);
            return start;
        } else if (ch == '"') {
            c->at++;
        }
    }
    return NULL;
}

static const char *take_quoted(struct csv *c)
{
    int line = c->line, column = column_of(c, c->at);
    size_t size;
    const char *raw = skip_quoted(c, &size);
    if (!raw) {
        tree_problem(c->t, c->file, line, column, "close it with \"", "a quoted field has no end");
        return "";
    }
    char *out = tree_copy(c->t, raw, size);
    size_t used = 0;
    for (size_t i = 0; out[i]; i++) {
        out[used++] = out[i];
        i += out[i] == '"'; /* doubled: one of the two */
    }
    if (used < size) {
        out[used] = 0;
    }
    return out;
}

static struct field take_field(struct csv *c)
{
    struct field f = {.line = c->line, .column = column_of(c, c->at)};
    if (c->at < c->end && *c->at == '"') {
        f.text = take_quoted(c);
        if (!at_line_end(c) && *c->at != ',') {
            tree_problem(c->t, c->file, c->line, column_of(c, c->at), "write a comma here",
                         "text follows the closing quote");
            while (!at_line_end(c) && *c->at != ',') {
                c->at++;
            }
        }
    } else {
        const char *start = c->at;
        while (!at_line_end(c) && *c->at != ',') {
            c->at++;
        }
        f.text = tree_copy(c->t, start, (size_t)(c->at - start));
    }
    f.last = at_line_end(c);
    if (f.last) {
        take_line_end(c);
    } else {
        c->at++;
    }
    return f;
}

static bool take_header(struct csv *c)
{
    struct field f;
    do {
        f = take_field(c);
        if (c->count == COLUMNS_MAX || !*f.text) {
            tree_problem(c->t, c->file, f.line, f.column,
                         "name each column, for example path,device,address",
                         c->count == COLUMNS_MAX ? "too many columns" : "a column has no name");
            return false;
        }
        for (size_t i = 0; i < c->count; i++) {
            if (!strcmp(c->names[i], f.text)) {
                tree_problem(c->t, c->file, f.line, f.column, "keep one of them",
                             "the column '%s' stands here twice", f.text);
            }
        }
        c->names[c->count++] = f.text;
    } while (!f.last);
    return true;
}

static void take_row(struct csv *c, struct node *list)
{
    struct node *row = tree_node(c->t, list, NODE_MAP, c->file, c->line, 1);
    struct field f = {0};
    for (size_t i = 0; row && !f.last; i++) {
        f = take_field(c);
        if (i >= c->count) {
            tree_problem(c->t, c->file, f.line, f.column, "quote texts that hold commas",
                         "the row has more fields than the header has columns");
            while (!f.last) {
                f = take_field(c);
            }
            return;
        }
        if (*f.text) {
            struct node *n = tree_node(c->t, row, NODE_SCALAR, c->file, f.line, f.column);
            if (n) {
                n->key = c->names[i];
                n->key_line = f.line;
                n->key_column = f.column;
                n->text = f.text;
                node_expand(c->t, n);
            }
        }
    }
}

/* The first byte that no UTF-8 text can hold there (RFC 3629), or `end`. */
static const char *skip_utf8(const char *text, const char *end)
{
    const uint8_t *p = (const uint8_t *)text, *e = (const uint8_t *)end;
    while (p < e) {
        unsigned n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0u) == 0xe0 ? 3 : 4;
        if ((n == 4 && (*p < 0xf0 || *p > 0xf4)) || (size_t)(e - p) < n) {
            break;
        }
        uint32_t code = n == 1 ? *p : *p & (0x7fu >> n);
        unsigned i = 1;
        for (; i < n && (p[i] & 0xc0u) == 0x80; i++) {
            code = code << 6 | (p[i] & 0x3fu);
        }
        if (i < n || (n == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (n == 4 && (code < 0x10000 || code > 0x10ffff))) {
            break;
        }
        p += n;
    }
    return (const char *)p;
}

void csv_read(struct tree *t, struct node *list, const char *file, const char *text, size_t size)
{
    struct csv c = {
        .t = t, .file = file, .at = text, .end = text + size, .line = 1, .line_start = text};
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        c.at += 3;
        c.line_start = c.at;
    }
    if (memchr(text, 0, size)) {
        tree_problem(t, file, 0, 0, "save it as CSV text",
                     "the file holds NUL bytes: it is no text");
        return;
    }
    const char *bad = skip_utf8(text, c.end);
    if (bad != c.end) {
        tree_problem(t, file, 0, 0, "save the file as UTF-8 text", "not UTF-8 text at byte %zu",
                     (size_t)(bad - text));
        return;
    }
    if (c.at == c.end || !take_header(&c)) {
        return;
    }
    while (c.at < c.end && !t->no_memory) {
        if (at_line_end(&c)) {
            take_line_end(&c);
        } else {
            take_row(&c, list);
        }
    }
}
