/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KNOWN_MAX 128

static size_t known_names(const struct field *fields, const struct isthmus_option *options,
                          const char **names)
{
    size_t n = 0;
    for (; fields->name && n < KNOWN_MAX; fields++) {
        names[n++] = fields->name;
    }
    for (; options && options->name && n < KNOWN_MAX; options++) {
        names[n++] = options->name;
    }
    return n;
}

/* What people write who mean the secret itself. */
static bool is_secret(const char *key)
{
    static const char *const names[] = {"password", "passwd",  "pass",   "passphrase",  "secret",
                                        "token",    "api_key", "apikey", "private_key", "pin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcasecmp(key, names[i])) {
            return true;
        }
    }
    return false;
}

void check_fields(struct load *l, const struct node *map, const char *what,
                  const struct field *fields, const struct isthmus_option *options)
{
    const char *names[KNOWN_MAX];
    if (map->kind != NODE_MAP) {
        node_problem(&l->tree, map, "write keys and values, for example name: …",
                     "%s must be a map", what);
        return;
    }
    size_t count = known_names(fields, options, names);
    for (const struct node *n = map->child; n; n = n->next) {
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = !strcmp(names[i], n->key);
        }
        if (!known && is_secret(n->key)) {
            key_problem(
                &l->tree, n,
                "put it in a file that is yours alone (chmod 600) and name that: see docs/tls.md",
                "'%s' is no key: secrets never stand in the configuration", n->key);
        } else if (!known) {
            const char *near = nearest(n->key, names, count);
            key_problem(&l->tree, n, near ? tree_print(&l->tree, "did you mean '%s'?", near) : "",
                        "%s has no key '%s'", what, n->key);
        }
    }
    for (; fields->name; fields++) {
        if (fields->required && !node_get(map, fields->name)) {
            key_problem(&l->tree, map, tree_print(&l->tree, "add %s: …", fields->name),
                        "%s lacks '%s'", what, fields->name);
        }
    }
}

const char *field_text(struct load *l, const struct node *map, const char *key,
                       const char *fallback)
{
    const struct node *n = node_get(map, key);
    if (!n) {
        return fallback;
    }
    if (n->kind != NODE_SCALAR) {
        node_problem(&l->tree, n, "", "'%s' must be a single value", key);
        return fallback;
    }
    return n->text;
}

bool field_number(struct load *l, const struct node *map, const char *key, double *out)
{
    const struct node *n = node_get(map, key);
    if (!n) {
        return false;
    }
    if (n->kind != NODE_SCALAR || !text_number(n->text, out)) {
        node_problem(&l->tree, n, "write a number", "'%s' is no number: '%s'", key, n->text);
        return false;
    }
    return true;
}

bool check_name(struct load *l, const struct node *at, const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    if (!*name || name[n] || n > 64) {
        node_problem(&l->tree, at, "use letters, digits, '-', '_' and '.', at most 64 of them",
                     "'%s' is no name", name);
        return false;
    }
    return true;
}

void load_each(struct load *l, const char *section, void (*one)(struct load *, const struct node *))
{
    const struct node *list = node_get(l->root, section);
    if (list && list->kind != NODE_LIST) {
        node_problem(&l->tree, list, "write - name: …", "%s must be a list", section);
        return;
    }
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        if (n->kind == NODE_MAP) {
            one(l, n);
        } else {
            node_problem(&l->tree, n, "write - name: …", "each of %s must be a map", section);
        }
    }
}
