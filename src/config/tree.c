/* SPDX-License-Identifier: Apache-2.0 */
#include "config/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (UINT32_C(64) << 10)

struct arena { /* a list of chunks, newest first */
    struct arena *older;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};

static void *arena_get(struct tree *t, size_t size)
{
    size = (size + 15) / 16 * 16;
    if (!t->arena || t->arena->size - t->arena->used < size) {
        size_t wanted = size > CHUNK ? size : CHUNK;
        struct arena *a = calloc(1, sizeof *a + wanted);
        if (!a) {
            t->no_memory = true;
            return NULL;
        }
        a->size = wanted;
        a->older = t->arena;
        t->arena = a;
    }
    void *p = t->arena->data + t->arena->used;
    t->arena->used += size;
    return p;
}

void tree_init(struct tree *t)
{
    *t = (struct tree){0};
}

void tree_fini(struct tree *t)
{
    while (t->arena) {
        struct arena *older = t->arena->older;
        free(t->arena);
        t->arena = older;
    }
    free(t->problems);
    *t = (struct tree){0};
}

char *tree_copy(struct tree *t, const char *text, size_t size)
{
    static char empty[1];
    char *p = arena_get(t, size + 1);
    if (!p) {
        return empty;
    }
    memcpy(p, text, size);
    p[size] = 0;
    return p;
}

static char *print_args(struct tree *t, const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, args);
    return tree_copy(t, text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

char *tree_print(struct tree *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = print_args(t, format, args);
    va_end(args);
    return text;
}

struct node *tree_node(struct tree *t, struct node *parent, enum node_kind kind, const char *file,
                       int line, int column)
{
    struct node *n = t->node_count < TREE_NODES_MAX ? arena_get(t, sizeof *n) : NULL;
    if (!n) {
        t->no_memory = true;
        return NULL;
    }
    t->node_count++;
    *n = (struct node){.kind = kind, .file = file, .line = line, .column = column, .text = ""};
    if (parent) {
        if (parent->last) {
            parent->last->next = n;
        } else {
            parent->child = n;
        }
        parent->last = n;
    }
    return n;
}

static void problem_args(struct tree *t, const char *file, int line, int column,
                         const char *proposal, const char *format, va_list args)
{
    t->error_count += !t->warns;
    if (t->problem_count == TREE_PROBLEMS_MAX) {
        return;
    }
    if (t->problem_count == t->problem_capacity) {
        size_t capacity = t->problem_capacity ? t->problem_capacity * 2 : 16;
        struct config_problem *p = realloc(t->problems, capacity * sizeof *p);
        if (!p) {
            t->no_memory = true;
            return;
        }
        t->problems = p;
        t->problem_capacity = capacity;
    }
    t->problems[t->problem_count++] = (struct config_problem){
        .file = tree_copy(t, file, strlen(file)),
        .line = line,
        .column = column,
        .warning = t->warns,
        .text = print_args(t, format, args),
        .proposal = tree_copy(t, proposal, strlen(proposal)),
    };
}

void tree_problem(struct tree *t, const char *file, int line, int column, const char *proposal,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    problem_args(t, file, line, column, proposal, format, args);
    va_end(args);
}

void node_problem(struct tree *t, const struct node *n, const char *proposal, const char *format,
                  ...)
{
    va_list args;
    va_start(args, format);
    problem_args(t, n->file, n->line, n->column, proposal, format, args);
    va_end(args);
}

void node_warning(struct tree *t, const struct node *n, const char *proposal, const char *format,
                  ...)
{
    va_list args;
    va_start(args, format);
    t->warns = true;
    problem_args(t, n->file, n->line, n->column, proposal, format, args);
    t->warns = false;
    va_end(args);
}

void key_problem(struct tree *t, const struct node *n, const char *proposal, const char *format,
                 ...)
{
    va_list args;
    va_start(args, format);
    problem_args(t, n->file, n->key ? n->key_line : n->line, n->key ? n->key_column : n->column,
                 proposal, format, args);
    va_end(args);
}

struct node *node_get(const struct node *map, const char *key)
{
    for (struct node *n = map ? map->child : NULL; n; n = n->next) {
        if (n->key && !strcmp(n->key, key)) {
            n->used = true;
            return n;
        }
    }
    return NULL;
}

/* One "${…}" at *p (behind "${"); its value, or NULL with a problem noted. */
static const char *expand_one(struct tree *t, struct node *n, const char **p)
{
    const char *close = strchr(*p, '}');
    if (!close) {
        node_problem(t, n, "close it with }", "'%s' has a ${ without an end", n->text);
        return NULL;
    }
    char *name = tree_copy(t, *p, (size_t)(close - *p));
    char *fallback = strstr(name, ":-");
    if (fallback) {
        *fallback = 0;
        fallback += 2;
    }
    *p = close + 1;
    const char *value = getenv(name);
    if (!value && !fallback) {
        node_problem(t, n, tree_print(t, "set it, or write ${%s:-default}", name),
                     "the environment has no %s", name);
    }
    return value ? value : fallback;
}

void node_expand(struct tree *t, struct node *n)
{
    const char *p = n->text, *mark;
    const char *out = "";
    if (!strstr(p, "${")) {
        return;
    }
    while ((mark = strstr(p, "${"))) {
        const char *at = mark + 2;
        const char *value = expand_one(t, n, &at);
        if (!value) {
            return;
        }
        out = tree_print(t, "%s%.*s%s", out, (int)(mark - p), p, value);
        p = at;
    }
    n->text = tree_print(t, "%s%s", out, p);
}

static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) {
        return LONGEST;
    }
    size_t row[LONGEST + 1];
    for (size_t k = 0; k <= m; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= m; k++) {
            size_t change = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            size_t best = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = best < change ? best : change;
        }
    }
    return row[m];
}

const char *nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *found = NULL;
    size_t best = strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, candidates[i]);
        if (d < best) {
            best = d;
            found = candidates[i];
        }
    }
    return found;
}
