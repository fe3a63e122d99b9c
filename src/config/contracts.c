/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts: what services may deliver, and under which terms. */
#include "config/contracts.h"

#include "config/config.h"

#include "tag/glob.h"

#include <stdlib.h>
#include <string.h>

const struct field contract_fields[] = {{"name", true},
                                        {"service", true},
                                        {"tags", true},
                                        {"purpose", false},
                                        {"owner", false},
                                        {"custodian", false},
                                        {"freshness", false},
                                        {"completeness", false},
                                        {"classification", false},
                                        {"retention", false},
                                        {"returns", false},
                                        {"live_first", false},
                                        {0}};

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
static void check_reach(struct load *l, const struct node *at, const bool *matched, uint32_t zone)
{
    for (size_t i = 0; i < l->tag_count; i++) {
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

/* The tags that any of the globs matches, each once. */
static void find_tags(struct load *l, const struct node *globs, uint32_t box, struct terms *terms)
{
    bool *matched = calloc(l->tag_count + 1, sizeof *matched);
    size_t count = 0;
    for (const struct node *g = globs ? globs->child : NULL; matched && g; g = g->next) {
        bool any = false;
        for (size_t i = 0; i < l->tag_count; i++) {
            if (g->kind == NODE_SCALAR && glob_matches(g->text, l->tags[i].path)) {
                count += !matched[i];
                any = matched[i] = true;
            }
        }
        if (!any) {
            node_problem(&l->tree, g, "* matches within a level, ** any number of levels",
                         "no tag matches '%s'", g->text);
        }
    }
    terms->tags = calloc(count + 1, sizeof *terms->tags);
    l->tree.no_memory |= !matched || !terms->tags;
    for (size_t i = 0; !l->tree.no_memory && i < l->tag_count; i++) {
        const struct load_tag *t = l->tags + i;
        if (matched[i]) {
            terms->tags[terms->tag_count++] =
                (struct terms_tag){.path = t->path,
                                   .type = value_type_name((enum value_type)t->tag.type),
                                   .unit = plan_build_peek(l->plan, t->tag.unit),
                                   .has_range = t->tag.has_range,
                                   .low = t->tag.low,
                                   .high = t->tag.high,
                                   .id = t->tag.id};
        }
    }
    if (matched && box != PLAN_NONE) {
        check_reach(l, globs, matched, l->boxes[box].zone);
    }
    free(matched);
}

/* Two tables, for the tags of one owner stand in a row. */
static void add_feed_tags(struct load *l, struct contract *c)
{
    for (int held = 0; held < 2; held++) {
        uint32_t first = 0, count = 0;
        for (size_t i = 0; i < c->terms.tag_count; i++) {
            if (c->terms.tags[i].held == held) {
                uint32_t at = plan_build_feed_tag(l->plan, c->terms.tags[i].id);
                first = count++ ? first : at;
            }
        }
        *(held ? &c->feed.first_held : &c->feed.first_tag) = first;
        *(held ? &c->feed.held_count : &c->feed.tag_count) = count;
    }
}

static uint32_t read_freshness(struct load *l, const struct node *n)
{
    const char *freshness = field_text(l, n, "freshness", "5s");
    double ms;
    if (text_duration(freshness, &ms) && ms <= 864e5) {
        return (uint32_t)ms;
    }
    node_problem(&l->tree, node_get(n, "freshness"), "write a duration, for example 5s",
                 "'%s' is no usable freshness", freshness);
    return 0;
}

/* In percent; 0: none is promised. */
static double read_completeness(struct load *l, const struct node *n)
{
    const char *text = field_text(l, n, "completeness", NULL);
    char *end = NULL;
    double percent = text ? strtod(text, &end) : 0;
    while (end && *end == ' ') {
        end++;
    }
    bool sign = end && *end == '%' && !end[1];
    if (text && (end == text || (*end && !sign) || !(percent > 0 && percent <= 100))) {
        node_problem(&l->tree, node_get(n, "completeness"), "write a percentage, for example 99.5%",
                     "'%s' is no usable completeness", text);
        return 0;
    }
    return percent;
}

static const char *read_classification(struct load *l, const struct node *n)
{
    static const char *const known[] = {"public", "internal", "confidential", "restricted"};
    const char *text = field_text(l, n, "classification", "internal");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(text, known[i])) {
            return text;
        }
    }
    node_problem(&l->tree, node_get(n, "classification"),
                 "write public, internal, confidential or restricted", "'%s' is none of these",
                 text);
    return "internal";
}

static void read_terms(struct load *l, const struct node *n, uint32_t box, struct terms *t)
{
    const char *live = field_text(l, n, "live_first", "true");
    t->owner = field_text(l, n, "owner", "");
    t->custodian = field_text(l, n, "custodian", "");
    t->purpose = field_text(l, n, "purpose", "");
    t->retention = field_text(l, n, "retention", "");
    t->returns = field_text(l, n, "returns", "");
    t->classification = read_classification(l, n);
    t->freshness_ms = read_freshness(l, n);
    t->completeness = read_completeness(l, n);
    t->live_first = !strcmp(live, "true");
    if (!t->live_first && strcmp(live, "false") != 0) {
        node_problem(&l->tree, node_get(n, "live_first"), "write true or false", "'%s' is neither",
                     live);
    }
    const struct node *globs = node_get(n, "tags");
    if (globs && globs->kind != NODE_LIST) {
        node_problem(&l->tree, globs, "write a list: [\"site/area/**\"]",
                     "tags must be a list of globs");
        globs = NULL;
    }
    find_tags(l, globs, box, t);
}

static void keep_for_people(struct load *l, struct contract *c)
{
    struct config_contract *list =
        realloc(l->contracts, (l->contract_count + 1) * sizeof *l->contracts);
    char *name = strdup(c->name);
    l->contracts = list ? list : l->contracts;
    if (!list || !name) {
        free(name);
        l->tree.no_memory = true;
        return;
    }
    struct config_contract *to = list + l->contract_count++;
    *to = (struct config_contract){.name = name, .terms = c->text, .terms_size = c->size};
    memcpy(to->digest, c->digest, sizeof to->digest);
    c->text = NULL; /* taken */
}

static void add_contract(struct load *l, struct contract *c)
{
    const struct terms *t = &c->terms;
    contract_effect(l, c);
    add_feed_tags(l, c);
    c->feed.name = plan_build_text(l->plan, c->name);
    c->feed.purpose = plan_build_text(l->plan, t->purpose);
    c->feed.owner = plan_build_text(l->plan, t->owner);
    c->feed.custodian = plan_build_text(l->plan, t->custodian);
    c->feed.classification = plan_build_text(l->plan, t->classification);
    c->feed.retention = plan_build_text(l->plan, t->retention);
    c->feed.returns = plan_build_text(l->plan, t->returns);
    c->feed.live_first = t->live_first;
    c->feed.freshness_ms = t->freshness_ms;
    c->feed.completeness = t->completeness;
    plan_build_feed(l->plan, &c->feed);
    keep_for_people(l, c);
}

static void load_contract(struct load *l, const struct node *n)
{
    check_fields(l, n, "a contract", contract_fields, NULL);
    struct contract c = {.node = n, .name = field_text(l, n, "name", NULL)};
    const char *service = field_text(l, n, "service", NULL);
    if (!c.name || !check_name(l, node_get(n, "name"), c.name) || service_is_left_out(l, service)) {
        return;
    }
    for (size_t i = 0; i < l->contract_count; i++) {
        if (!strcmp(l->contracts[i].name, c.name)) {
            node_problem(&l->tree, node_get(n, "name"), "choose another name",
                         "a contract is called '%s' already", c.name);
            return;
        }
    }
    c.feed.box = find_service(l, node_get(n, "service"), service);
    read_terms(l, n, c.feed.box, &c.terms);
    if (c.feed.box != PLAN_NONE && !l->tree.no_memory) {
        c.box = l->boxes + c.feed.box;
        c.terms.gateway = plan_build_peek(l->plan, plan_build_header(l->plan)->name);
        c.terms.contract = c.name;
        c.terms.service = c.box->name;
        c.terms.module = c.box->module;
        c.terms.to = c.box->to;
        if (terms_text(&c.terms, &c.text, &c.size, c.digest)) {
            l->tree.no_memory = true;
        } else {
            add_contract(l, &c);
        }
    }
    free(c.terms.tags);
    free(c.text);
}

void load_contracts(struct load *l)
{
    load_each(l, "contracts", load_contract);
}
