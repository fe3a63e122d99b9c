/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files as a user's folder may hold them: nodes with places, or problems. */
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct node *n)
{
    for (; n; n = n->next) {
        if (n->line < 1 || n->column < 1 || !n->text || !n->file) {
            abort();
        }
        walk(n->child);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree t;
    tree_init(&t);
    struct node *root = tree_node(&t, NULL, NODE_MAP, "f", 1, 1);
    char *text = malloc(size + 1); /* files are read with a NUL behind */
    if (root && text) {
        memcpy(text, data, size);
        text[size] = 0;
        yaml_read(&t, root, "f", text, size);
        walk(root->child);
    }
    free(text);
    tree_fini(&t);
    return 0;
}
