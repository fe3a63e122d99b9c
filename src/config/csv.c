/* SPDX-License-Identifier: Apache-2.0 */
/* Tag lists as CSV (RFC 4180): a header row names the columns, each row becomes the same map that YAML would give. Empty
 * fields are left out. Quoted fields may hold commas, quotes (doubled) and line ends. */
#include "base/csv.h"
#include "base/utf8.h"
#include "config/tree.h"

#include <string.h>

#define COLUMNS_MAX 64

struct list { /* a file being read */
    struct tree *t;
    const char *file;
    struct csv text;
    const char *names[COLUMNS_MAX];
    size_t count;
};

struct field {
    const char *text;
    int line, column;
    bool last; /* of its row */
};

static struct field take_field(struct list *l)
{
    struct csv_field raw;
    struct field f = {.text = ""};
    bool ends = csv_next(&l->text, &raw);
    f.line = raw.line;
    f.column = raw.column;
    if (!ends) {
        tree_problem(l->t, l->file, f.line, f.column, "close it with \"",
                     "a quoted field has no end");
        f.last = true;
        return f;
    }
    if (raw.stray_line) {
        tree_problem(l->t, l->file, raw.stray_line, raw.stray_column, "write a comma here",
                     "text follows the closing quote");
    }
    char *text = tree_copy(l->t, raw.text, raw.size);
    if (*text) {
        text[csv_unquote(&raw, text)] = 0;
    }
    f.text = text;
    f.last = raw.last;
    return f;
}

static bool take_header(struct list *l)
{
    struct field f;
    do {
        f = take_field(l);
        if (l->count == COLUMNS_MAX || !*f.text) {
            tree_problem(l->t, l->file, f.line, f.column,
                         "name each column, for example path,device,address",
                         l->count == COLUMNS_MAX ? "too many columns" : "a column has no name");
            return false;
        }
        for (size_t i = 0; i < l->count; i++) {
            if (!strcmp(l->names[i], f.text)) {
                tree_problem(l->t, l->file, f.line, f.column, "keep one of them",
                             "the column '%s' stands here twice", f.text);
            }
        }
        l->names[l->count++] = f.text;
    } while (!f.last);
    return true;
}

static void take_row(struct list *l, struct node *rows)
{
    struct node *row = tree_node(l->t, rows, NODE_MAP, l->file, l->text.line, 1);
    struct field f = {0};
    for (size_t i = 0; row && !f.last; i++) {
        f = take_field(l);
        if (i >= l->count) {
            tree_problem(l->t, l->file, f.line, f.column, "quote texts that hold commas",
                         "the row has more fields than the header has columns");
            while (!f.last) {
                f = take_field(l);
            }
            return;
        }
        if (*f.text) {
            struct node *n = tree_node(l->t, row, NODE_SCALAR, l->file, f.line, f.column);
            if (n) {
                n->key = l->names[i];
                n->key_line = f.line;
                n->key_column = f.column;
                n->text = f.text;
                node_expand(l->t, n);
            }
        }
    }
}

void csv_read(struct tree *t, struct node *list, const char *file, const char *text, size_t size)
{
    struct list l = {.t = t, .file = file, .text = csv_of(text, size, true)};
    if (memchr(text, 0, size)) {
        tree_problem(t, file, 0, 0, "save it as CSV text",
                     "the file holds NUL bytes: it is no text");
        return;
    }
    size_t valid = utf8_valid(text, size);
    if (valid < size) {
        tree_problem(t, file, 0, 0, "save the file as UTF-8 text", "not UTF-8 text at byte %zu",
                     valid);
        return;
    }
    if (l.text.at == l.text.end || !take_header(&l)) {
        return;
    }
    while (l.text.at < l.text.end && !t->no_memory) {
        if (!csv_skip_line(&l.text)) {
            take_row(&l, list);
        }
    }
}
