/* SPDX-License-Identifier: Apache-2.0 */
/* retention: for how long the history of which tags is kept. The first class with a glob that matches a tag is its class. */
#include "config/load.h"

#include "tag/glob.h"

#include <stdlib.h>

const struct field retention_fields[] = {
    {"tags", true}, {"raw", false}, {"summaries", false}, {"size", false}, {0}};

static uint64_t age(struct load *l, const struct node *map, const char *key)
{
    const char *text = field_text(l, map, key, NULL);
    double ms = 0;
    if (text && (!text_duration(text, &ms) || ms < 1000)) {
        node_problem(&l->tree, node_get(map, key), "write an age, for example 30d or 10y",
                     "'%s' is no usable age", text);
        return 0;
    }
    return (uint64_t)(ms / 1000);
}

static void load_retention(struct load *l, const struct node *n)
{
    struct plan_header *h = plan_build_header(l->plan);
    struct plan_retention r = {.raw_s = age(l, n, "raw"), .summaries_s = age(l, n, "summaries")};
    const char *size = field_text(l, n, "size", NULL);
    check_fields(l, n, "a class of retention", retention_fields, NULL);
    if (size && (!text_bytes(size, &r.bytes) || r.bytes < UINT64_C(1) << 20)) {
        node_problem(&l->tree, node_get(n, "size"),
                     "write a size of at least 1 MiB, for example 2GiB", "'%s' is no usable size",
                     size);
    }
    if (r.summaries_s && (!r.raw_s || r.summaries_s < r.raw_s)) {
        node_problem(&l->tree, node_get(n, "summaries"),
                     "give raw too, and keep summaries for longer",
                     "summaries are what is left of samples after 'raw'");
    }
    const struct node *globs = node_get(n, "tags");
    if (globs && globs->kind != NODE_LIST) {
        node_problem(&l->tree, globs, "write a list: [\"site/area/**\"]",
                     "tags must be a list of globs");
        return;
    }
    if (h->retention_count == RETENTIONS_MAX) {
        node_problem(&l->tree, n, "join some of them",
                     "there are more than %u classes of retention", RETENTIONS_MAX);
        return;
    }
    size_t count = 1;
    for (const struct node *g = globs ? globs->child : NULL; g; g = g->next) {
        count++;
    }
    struct load_retention *to = l->retentions + h->retention_count;
    *to = (struct load_retention){.globs = globs, .matched = calloc(count, sizeof *to->matched)};
    l->tree.no_memory |= !to->matched;
    h->retentions[h->retention_count++] = r;
}

void load_retentions(struct load *l)
{
    const struct node *list = node_get(l->root, "retention");
    if (list && list->kind != NODE_LIST) {
        node_problem(&l->tree, list, "write - tags: [\"**\"] …", "retention must be a list");
        return;
    }
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        if (n->kind == NODE_MAP) {
            load_retention(l, n);
        } else {
            node_problem(&l->tree, n, "write - tags: [\"**\"] …",
                         "each class of retention must be a map");
        }
    }
}

uint8_t retention_of(struct load *l, const char *path)
{
    uint32_t count = plan_build_header(l->plan)->retention_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct load_retention *r = l->retentions + i;
        size_t at = 0;
        for (const struct node *g = r->globs ? r->globs->child : NULL; g; g = g->next, at++) {
            if (r->matched && g->kind == NODE_SCALAR && glob_matches(g->text, path)) {
                r->matched[at] = true;
                return (uint8_t)(i + 1);
            }
        }
    }
    return 0;
}

void check_retentions(struct load *l)
{
    uint32_t count = plan_build_header(l->plan)->retention_count;
    for (uint32_t i = 0; i < count; i++) {
        struct load_retention *r = l->retentions + i;
        size_t at = 0;
        for (const struct node *g = r->globs ? r->globs->child : NULL; r->matched && g;
             g = g->next, at++) {
            if (!r->matched[at]) {
                node_problem(&l->tree, g,
                             "* matches within a level, ** any number of levels; the first class "
                             "that matches has a tag",
                             "no tag is left for '%s'", g->kind == NODE_SCALAR ? g->text : "this");
            }
        }
        free(r->matched);
        r->matched = NULL;
    }
}
