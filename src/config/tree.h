/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration folder holds, as a tree of nodes that know where they stand; and the list of problems. YAML and
 * CSV become the same nodes. Everything lives in one arena and is freed at once. Bounded: file size, depth, node count. */
#ifndef ISTHMUS_CONFIG_TREE_H
#define ISTHMUS_CONFIG_TREE_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_FILE_MAX     (UINT32_C(256) << 20) /* bytes of one file */
#define TREE_DEPTH_MAX    24
#define TREE_NODES_MAX    UINT32_C(40000000)
#define TREE_PROBLEMS_MAX 1000 /* more are counted, not kept */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    const char *file; /* relative to the folder */
    int line, column;
    const char *key; /* in a map; NULL in a list */
    int key_line, key_column;
    const char *text;                 /* of a scalar; "" for an empty one */
    struct node *child, *last, *next; /* children of a list or map, in order */
    bool used; /* a key that somebody asked for: what stays unused is unknown */
};

struct arena;

struct tree {
    struct arena *arena;
    struct config_problem *problems;
    size_t problem_count, problem_capacity, error_count;
    uint32_t node_count;
    bool no_memory;
    bool warns; /* while a warning is being noted */
};

void tree_init(struct tree *t);
/* The problems' texts live in the arena: both go together. */
void tree_fini(struct tree *t);

char *tree_copy(struct tree *t, const char *text,
                size_t size); /* never NULL: "" when memory is out */
char *tree_print(struct tree *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct node *tree_node(struct tree *t, struct node *parent, enum node_kind kind, const char *file,
                       int line, int column);

/* Notes a problem at a place; `proposal` may be "". */
void tree_problem(struct tree *t, const char *file, int line, int column, const char *proposal,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));
/* At a node's value, or at its key. */
void node_problem(struct tree *t, const struct node *n, const char *proposal, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
/* Worth a look, and no reason not to run. */
void node_warning(struct tree *t, const struct node *n, const char *proposal, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
void key_problem(struct tree *t, const struct node *n, const char *proposal, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

/* yaml.c, csv.c: a file's text becomes nodes below `parent` (a map: sections are appended; a list: rows). */
void yaml_read(struct tree *t, struct node *root, const char *file, const char *text, size_t size);
void csv_read(struct tree *t, struct node *list, const char *file, const char *text, size_t size);

/* The child with that key, or NULL; marks it used. */
struct node *node_get(const struct node *map, const char *key);

/* ${NAME} and ${NAME:-default} replaced from the environment. */
void node_expand(struct tree *t, struct node *n);

/* The candidate nearest to `word` (edit distance at most a third of its length), or NULL. */
const char *nearest(const char *word, const char *const *candidates, size_t count);

#endif
