/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events become nodes. Anchors and aliases are refused: they are the one YAML feature that lets a small file
 * grow without bound, and asset types serve the purpose better. Several documents in one file are refused too. */
#include "config/tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct walk {
    struct tree *t;
    const char *file;
    struct node *stack[TREE_DEPTH_MAX];
    int depth;
    /* the key that waits for its value, per level of map */
    const char *key[TREE_DEPTH_MAX];
    int key_line[TREE_DEPTH_MAX], key_column[TREE_DEPTH_MAX];
    int documents;
    bool stopped;
};

static void fail(struct walk *w, const yaml_mark_t *at, const char *proposal, const char *text)
{
    tree_problem(w->t, w->file, (int)at->line + 1, (int)at->column + 1, proposal, "%s", text);
    w->stopped = true;
}

static int by_key(const void *a, const void *b)
{
    const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
    int order = strcmp(x->key, y->key);
    order = order ? order : (x->key_line > y->key_line) - (x->key_line < y->key_line);
    return order ? order : (x->key_column > y->key_column) - (x->key_column < y->key_column);
}

/* Of a whole map, by sorting: each key against each would take hours on a large hostile one. */
static void find_twins(struct walk *w, const struct node *map)
{
    size_t count = 0, n = 0;
    for (const struct node *c = map->child; c; c = c->next) {
        count++;
    }
    const struct node **sorted = count > 1 ? malloc(count * sizeof *sorted) : NULL;
    w->t->no_memory |= count > 1 && !sorted;
    for (const struct node *c = map->child; sorted && c; c = c->next) {
        sorted[n++] = c;
    }
    if (sorted) {
        qsort(sorted, n, sizeof *sorted, by_key);
    }
    for (size_t i = 1; i < n; i++) {
        if (!strcmp(sorted[i]->key, sorted[i - 1]->key)) {
            key_problem(w->t, sorted[i], "keep one of them", "the key '%s' stands here twice",
                        sorted[i]->key);
        }
    }
    free(sorted);
}

/* A scalar in key position of a map. */
static void take_key(struct walk *w, const yaml_event_t *e, int level)
{
    const char *key = tree_copy(w->t, (const char *)e->data.scalar.value, e->data.scalar.length);
    w->key[level] = key;
    w->key_line[level] = (int)e->start_mark.line + 1;
    w->key_column[level] = (int)e->start_mark.column + 1;
}

static struct node *add(struct walk *w, enum node_kind kind, const yaml_event_t *e)
{
    struct node *parent = w->depth ? w->stack[w->depth - 1] : NULL;
    struct node *n = tree_node(w->t, parent, kind, w->file, (int)e->start_mark.line + 1,
                               (int)e->start_mark.column + 1);
    if (!n) {
        w->stopped = true;
        return NULL;
    }
    if (parent && parent->kind == NODE_MAP) {
        int level = w->depth - 1;
        n->key = w->key[level];
        n->key_line = w->key_line[level];
        n->key_column = w->key_column[level];
        w->key[level] = NULL;
    }
    return n;
}

static void open_collection(struct walk *w, enum node_kind kind, const yaml_event_t *e)
{
    if (w->depth == TREE_DEPTH_MAX) {
        fail(w, &e->start_mark, "write it flatter", "nested too deeply");
        return;
    }
    bool top = w->depth == 0;
    if (!top && w->stack[w->depth - 1]->kind == NODE_MAP && !w->key[w->depth - 1]) {
        fail(w, &e->start_mark, "write a plain word as key", "a key must be a plain word");
        return;
    }
    if (top && kind != NODE_MAP) {
        fail(w, &e->start_mark, "begin with a section, for example devices:",
             "a file holds sections, each with its key");
        return;
    }
    struct node *n = top ? w->stack[0] : add(w, kind, e); /* the files' top levels are merged */
    if (n) {
        w->stack[w->depth++] = n;
    }
}

static void take_scalar(struct walk *w, const yaml_event_t *e)
{
    const char *value = (const char *)e->data.scalar.value;
    if (w->depth == 0) {
        if (e->data.scalar.length) {
            fail(w, &e->start_mark, "begin with a section, for example devices:",
                 "a file holds sections, each with its key");
        }
        return;
    }
    if (strlen(value) != e->data.scalar.length) {
        fail(w, &e->start_mark, "", "a text holds a NUL character");
        return;
    }
    int level = w->depth - 1;
    if (w->stack[level]->kind == NODE_MAP && !w->key[level]) {
        take_key(w, e, level);
        return;
    }
    struct node *n = add(w, NODE_SCALAR, e);
    if (n) {
        n->text = tree_copy(w->t, value, e->data.scalar.length);
        bool plain_null = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                          (!strcmp(value, "~") || !strcmp(value, "null"));
        if (plain_null) {
            n->text = "";
        }
        node_expand(w->t, n);
    }
}

static void take(struct walk *w, const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++w->documents > 1) {
            fail(w, &e->start_mark, "make two files", "a file holds one document");
        }
        break;
    case YAML_ALIAS_EVENT:
        fail(w, &e->start_mark, "write the value itself, or use an asset type",
             "aliases (*) are not used here");
        return;
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        take_scalar(w, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        open_collection(w, NODE_LIST, e);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        open_collection(w, NODE_MAP, e);
        break;
    case YAML_SEQUENCE_END_EVENT:
        w->depth--;
        break;
    case YAML_MAPPING_END_EVENT:
        w->depth--;
        if (w->depth > 0) { /* sections of the same name are joined */
            find_twins(w, w->stack[w->depth]);
        }
        break;
    default:
        break;
    }
    if (anchor && !w->stopped) {
        fail(w, &e->start_mark, "leave it out, or use an asset type",
             "anchors (&) are not used here");
    }
}

/* The commonest mistake behind libyaml's "cannot start any token". libyaml counts characters, not bytes, so only its line
 * number leads back to the text. */
static bool tab_indents(const char *text, size_t size, size_t line)
{
    const char *end = text + size;
    for (; line && text; line--) {
        text = memchr(text, '\n', (size_t)(end - text));
        text = text ? text + 1 : NULL;
    }
    while (text && text < end && *text == ' ') {
        text++;
    }
    return text && text < end && *text == '\t';
}

void yaml_read(struct tree *t, struct node *root, const char *file, const char *text, size_t size)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        t->no_memory = true;
        return;
    }
    struct walk w = {.t = t, .file = file};
    w.stack[0] = root;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    for (bool end = false; !end && !w.stopped && !t->no_memory;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            const yaml_mark_t *at = &parser.problem_mark;
            const char *why = parser.problem ? parser.problem : "not readable";
            if (parser.error == YAML_READER_ERROR) {
                tree_problem(t, file, 0, 0, "save the file as UTF-8 text",
                             "not UTF-8 text at byte %zu: %s", parser.problem_offset, why);
            } else {
                tree_problem(t, file, (int)at->line + 1, (int)at->column + 1,
                             tab_indents(text, size, at->line)
                                 ? "indent with spaces: YAML takes no tabs"
                                 : "",
                             "not valid YAML: %s", why);
            }
            break;
        }
        end = e.type == YAML_STREAM_END_EVENT;
        take(&w, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
}
