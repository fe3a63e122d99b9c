/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts: what services may deliver. */
#include "config/load.h"

#include "tag/glob.h"

#include <stdlib.h>
#include <string.h>

const struct field contract_fields[] = {
    {"name", true},       {"service", true},     {"tags", true},
    {"purpose", false},   {"owner", false},      {"custodian", false},
    {"freshness", false}, {"live_first", false}, {0}};

static uint32_t find_service(struct load *l, const struct node *at, const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; name && i < l->box_count; i++) {
        if (l->boxes[i].node && !strcmp(l->boxes[i].name, name)) {
            return (uint32_t)i;
        }
        if (l->boxes[i].node && n < 64) {
            names[n++] = l->boxes[i].name;
        }
    }
    if (name) {
        const char *near = nearest(name, names, n);
        node_problem(&l->tree, at,
                     near ? tree_print(&l->tree, "did you mean '%s'?", near)
                          : "declare it under services:",
                     "no service is called '%s'", name);
    }
    return PLAN_NONE;
}

/* What a contract promises its service must always be able to read. */
static void check_reach(struct load *l, const struct node *at, const bool *matched, uint32_t box)
{
    uint32_t zone = box == PLAN_NONE ? 0 : l->boxes[box].zone;
    for (size_t i = 0; matched && box != PLAN_NONE && i < l->tag_count; i++) {
        const struct load_tag *t = l->tags + i;
        if (matched[i] && !load_may_read(l, zone, t)) {
            const char *from = l->zones[zone].name, *to = l->zones[t->tag.zone].name;
            node_problem(&l->tree, at,
                         tree_print(&l->tree,
                                    "add to conduits: {name: %s-%s, from: %s, to: %s, read: true}",
                                    from, to, from, to),
                         "no conduit without an end lets the service's zone '%s' read %s in '%s'",
                         from, t->path, to);
            return;
        }
    }
}

/* Adds the ids of all tags that any of the globs matches, each once. */
static uint32_t add_feed_tags(struct load *l, const struct node *globs, struct plan_feed *feed)
{
    bool *matched = calloc(l->tag_count + 1, sizeof *matched);
    uint32_t count = 0;
    for (const struct node *g = globs ? globs->child : NULL; matched && g; g = g->next) {
        bool any = false;
        for (size_t i = 0; i < l->tag_count; i++) {
            if (g->kind == NODE_SCALAR && glob_matches(g->text, l->tags[i].path)) {
                any = true;
                matched[i] = true;
            }
        }
        if (!any) {
            node_problem(&l->tree, g, "* matches within a level, ** any number of levels",
                         "no tag matches '%s'", g->text);
        }
    }
    for (size_t i = 0; matched && i < l->tag_count; i++) {
        if (matched[i]) {
            uint32_t at = plan_build_feed_tag(l->plan, l->tags[i].tag.id);
            feed->first_tag = count++ ? feed->first_tag : at;
        }
    }
    check_reach(l, globs, matched, feed->box);
    l->tree.no_memory |= !matched;
    free(matched);
    return count;
}

static void load_contract(struct load *l, const struct node *n)
{
    check_fields(l, n, "a contract", contract_fields, NULL);
    const char *name = field_text(l, n, "name", NULL);
    if (!name || !check_name(l, node_get(n, "name"), name) ||
        service_is_left_out(l, field_text(l, n, "service", NULL))) {
        return;
    }
    struct plan_feed feed = {.name = plan_build_text(l->plan, name),
                             .purpose = plan_build_text(l->plan, field_text(l, n, "purpose", "")),
                             .owner = plan_build_text(l->plan, field_text(l, n, "owner", "")),
                             .custodian =
                                 plan_build_text(l->plan, field_text(l, n, "custodian", ""))};
    feed.box = find_service(l, node_get(n, "service"), field_text(l, n, "service", NULL));
    const char *live = field_text(l, n, "live_first", "true");
    feed.live_first = !strcmp(live, "true");
    if (!feed.live_first && strcmp(live, "false") != 0) {
        node_problem(&l->tree, node_get(n, "live_first"), "write true or false", "'%s' is neither",
                     live);
    }
    const char *freshness = field_text(l, n, "freshness", "5s");
    double ms;
    if (text_duration(freshness, &ms) && ms <= 864e5) {
        feed.freshness_ms = (uint32_t)ms;
    } else {
        node_problem(&l->tree, node_get(n, "freshness"), "write a duration, for example 5s",
                     "'%s' is no usable freshness", freshness);
    }
    const struct node *globs = node_get(n, "tags");
    if (globs && globs->kind != NODE_LIST) {
        node_problem(&l->tree, globs, "write a list: [\"site/area/**\"]",
                     "tags must be a list of globs");
        globs = NULL;
    }
    feed.tag_count = add_feed_tags(l, globs, &feed);
    if (feed.box != PLAN_NONE) {
        plan_build_feed(l->plan, &feed);
        l->contract_count++;
    }
}

void load_contracts(struct load *l)
{
    load_each(l, "contracts", load_contract);
}
