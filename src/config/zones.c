/* SPDX-License-Identifier: Apache-2.0 */
/* Zones, and the conduits between them. */
#include "config/load.h"

#include "base/clock.h"
#include "tag/glob.h"

#include <stdlib.h>
#include <string.h>

const struct field zone_fields[] = {{"name", true}, {"description", false}, {0}};
const struct field conduit_fields[] = {{"name", true},  {"description", false}, {"from", true},
                                       {"to", true},    {"read", false},        {"command", false},
                                       {"tags", false}, {"until", false},       {0}};

static void add_zone(struct load *l, const char *name, const struct node *n)
{
    struct plan_zone zone = {.name = plan_build_text(l->plan, name)};
    plan_build_zone(l->plan, &zone);
    l->zones[l->zone_count++] = (struct named){name, n};
}

static void load_one_zone(struct load *l, const struct node *n)
{
    check_fields(l, n, "a zone", zone_fields, NULL);
    const char *name = field_text(l, n, "name", NULL);
    bool good = name && check_name(l, node_get(n, "name"), name);
    for (size_t i = 0; good && i < l->zone_count; i++) {
        if (!strcmp(l->zones[i].name, name)) {
            node_problem(&l->tree, node_get(n, "name"), "choose another name",
                         "a zone is called '%s' already", name);
            return;
        }
    }
    if (good) {
        add_zone(l, name, n);
    }
}

void load_zones(struct load *l)
{
    const struct node *list = node_get(l->root, "zones");
    size_t count = 1;
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        count++;
    }
    l->zones = calloc(count, sizeof *l->zones);
    if (!l->zones) {
        l->tree.no_memory = true;
        return;
    }
    load_each(l, "zones", load_one_zone);
    if (!l->zone_count) {
        add_zone(l, "plant", NULL);
    }
}

uint32_t load_zone(struct load *l, const struct node *at, const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; name && i < l->zone_count; i++) {
        if (!strcmp(l->zones[i].name, name)) {
            return (uint32_t)i;
        }
        if (n < 64) {
            names[n++] = l->zones[i].name;
        }
    }
    if (name) {
        const char *near = nearest(name, names, n);
        node_problem(&l->tree, at,
                     near ? tree_print(&l->tree, "did you mean '%s'?", near)
                          : "declare it under zones:",
                     "no zone is called '%s'", name);
    }
    return 0;
}

/* ---- Conduits ---- */

static bool load_truth(struct load *l, const struct node *n, const char *key)
{
    const char *text = field_text(l, n, key, "false");
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        node_problem(&l->tree, node_get(n, key), "write true or false", "'%s' is neither", text);
    }
    return !strcmp(text, "true");
}

static void load_until(struct load *l, const struct node *n, struct plan_conduit *c)
{
    const char *text = field_text(l, n, "until", NULL);
    if (text && (clock_parse(text, strlen(text), &c->until_ns) || c->until_ns <= 0)) {
        node_problem(&l->tree, node_get(n, "until"), "write a time like 2027-01-31T18:00:00Z",
                     "'%s' is no time", text);
    }
}

static void load_globs(struct load *l, const struct node *n, struct plan_conduit *c)
{
    const struct node *globs = node_get(n, "tags");
    if (globs && (globs->kind != NODE_LIST || !globs->child)) {
        node_problem(&l->tree, globs, "write a list: [\"site/area/**\"]",
                     "tags must be a list of globs");
        return;
    }
    for (const struct node *g = globs ? globs->child : NULL; g; g = g->next) {
        uint32_t at = plan_build_option(l->plan, "tags", g->kind == NODE_SCALAR ? g->text : "");
        c->first_glob = c->glob_count++ ? c->first_glob : at;
    }
}

static void add_conduit(struct load *l, struct plan_conduit *c, const struct node *to,
                        const struct node *node)
{
    c->to = load_zone(l, to, to->kind == NODE_SCALAR ? to->text : "");
    if (c->to == c->from) {
        node_problem(&l->tree, to, "leave it out", "within a zone no conduit is needed");
        return;
    }
    plan_build_conduit(l->plan, c);
    l->conduits[l->conduit_count++] = (struct load_conduit){*c, node_get(node, "tags")};
}

static void load_conduit(struct load *l, const struct node *n)
{
    check_fields(l, n, "a conduit", conduit_fields, NULL);
    const char *name = field_text(l, n, "name", NULL), *from = field_text(l, n, "from", NULL);
    const struct node *to = node_get(n, "to");
    if (!name || !from || !to || !check_name(l, node_get(n, "name"), name)) {
        return;
    }
    struct plan_conduit c = {
        .name = plan_build_text(l->plan, name),
        .place = plan_build_text(l->plan, tree_print(&l->tree, "%s:%d", n->file, n->line)),
        .from = load_zone(l, node_get(n, "from"), from),
        .acts = (load_truth(l, n, "read") ? CONDUIT_READ : 0u) |
                (load_truth(l, n, "command") ? CONDUIT_COMMAND : 0u)};
    load_until(l, n, &c);
    load_globs(l, n, &c);
    if (!c.acts) {
        node_problem(&l->tree, n, "write read: true, command: true, or both",
                     "the conduit '%s' lets nothing through", name);
    }
    if (to->kind != NODE_LIST) {
        add_conduit(l, &c, to, n);
    }
    for (const struct node *zone = to->kind == NODE_LIST ? to->child : NULL; zone;
         zone = zone->next) {
        add_conduit(l, &c, zone, n);
    }
}

void load_conduits(struct load *l)
{
    const struct node *list = node_get(l->root, "conduits");
    size_t count = 0;
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        const struct node *to = n->kind == NODE_MAP ? node_get(n, "to") : NULL;
        for (const struct node *zone = to ? to->child : NULL; zone; zone = zone->next) {
            count++;
        }
        count++;
    }
    l->conduits = calloc(count + 1, sizeof *l->conduits);
    if (!l->conduits) {
        l->tree.no_memory = true;
        return;
    }
    load_each(l, "conduits", load_conduit);
}

bool load_may_read(const struct load *l, uint32_t zone, const struct load_tag *t)
{
    bool may = zone == t->tag.zone;
    for (size_t i = 0; !may && i < l->conduit_count; i++) {
        const struct load_conduit *c = l->conduits + i;
        bool leads = c->plan.from == zone && c->plan.to == t->tag.zone &&
                     (c->plan.acts & CONDUIT_READ) && !c->plan.until_ns;
        may = leads && !c->globs;
        for (const struct node *g = leads && c->globs ? c->globs->child : NULL; !may && g;
             g = g->next) {
            may = g->kind == NODE_SCALAR && glob_matches(g->text, t->path);
        }
    }
    return may;
}
