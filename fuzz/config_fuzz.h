/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a user's folder, whatever it holds, becomes nodes with places, or problems. */
#ifndef ISTHMUS_FUZZ_CONFIG_FUZZ_H
#define ISTHMUS_FUZZ_CONFIG_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

static void walk_nodes(const struct node *n)
{
    for (; n; n = n->next) {
        if (n->line < 1 || n->column < 1 || !n->text || !n->file) {
            abort();
        }
        walk_nodes(n->child);
    }
}

/* Reads the bytes with `read` (yaml_read or csv_read) below a root of that kind. */
static void read_config(void (*read)(struct tree *, struct node *, const char *, const char *,
                                     size_t),
                        enum node_kind kind, const uint8_t *data, size_t size)
{
    struct tree t;
    tree_init(&t);
    struct node *root = tree_node(&t, NULL, kind, "f", 1, 1);
    char *text = malloc(size + 1); /* files are read with a NUL behind */
    if (root && text) {
        memcpy(text, data, size);
        text[size] = 0;
        read(&t, root, "f", text, size);
        walk_nodes(root->child);
    }
    free(text);
    tree_fini(&t);
}

#endif
