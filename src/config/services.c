/* SPDX-License-Identifier: Apache-2.0 */
/* Services and the contracts that say what they may deliver. */
#include "config/load.h"

#include "config/config.h"

#include "box/service.h"
#include "tag/glob.h"

#include <stdlib.h>
#include <string.h>

const struct field service_fields[] = {
    {"name", true}, {"module", true}, {"description", false}, {0}};
const struct field contract_fields[] = {
    {"name", true},       {"service", true},     {"tags", true},
    {"purpose", false},   {"owner", false},      {"custodian", false},
    {"freshness", false}, {"live_first", false}, {0}};

#define LOCAL_BOX "local"

/* Of a resolved address, "IP:PORT". */
static bool is_loopback(const char *address)
{
    return !strncmp(address, "127.", 4) || !strncmp(address, "[::1]:", 6);
}

/* While history is played only consoles and APIs are there, unless it was asked for: what is played must not be taken for what is. */
static bool is_left_out(struct load *l, const char *service)
{
    const struct node *list = node_get(l->root, "services");
    for (const struct node *n = list && l->replay && !l->replay->north ? list->child : NULL; n;
         n = n->next) {
        const struct node *name = n->kind == NODE_MAP ? node_get(n, "name") : NULL;
        const struct node *module = name ? node_get(n, "module") : NULL;
        if (name && name->text && service && !strcmp(name->text, service)) {
            return module && module->text && strcmp(module->text, "http") != 0;
        }
    }
    return false;
}

static void load_service(struct load *l, const struct node *n)
{
    char why[256] = "";
    const char *name = field_text(l, n, "name", NULL), *module = field_text(l, n, "module", NULL);
    if (!name || !module || !check_name(l, node_get(n, "name"), name)) {
        check_fields(l, n, "a service", service_fields, NULL);
        return;
    }
    for (size_t i = 0; i < l->box_count; i++) {
        if (!strcmp(l->boxes[i].name, name)) {
            node_problem(&l->tree, node_get(n, "name"), "choose another name",
                         "a box or service is called '%s' already", name);
            return;
        }
    }
    if (is_left_out(l, name)) {
        return;
    }
    struct node *listen = l->replay && l->replay->listen ? node_get(n, "listen") : NULL;
    if (listen) {
        listen->text = tree_copy(&l->tree, l->replay->listen, strlen(l->replay->listen));
    }
    struct plan_box box = {.name = plan_build_text(l->plan, name),
                           .module = plan_build_text(l->plan, module),
                           .kind = BOX_NORTH};
    const struct service *service = module_service(module, why, sizeof why);
    if (!service) {
        node_problem(&l->tree, node_get(n, "module"), "http and sparkplug are built in", "%s", why);
    } else {
        check_fields(l, n, "a service", service_fields, service->options);
        struct node *addresses[16];
        size_t count;
        struct plan_range range = load_options(l, n, name, service->options, addresses, 16, &count);
        box.first_option = range.first;
        box.option_count = range.count;
        for (const struct isthmus_option *o = service->options; o->name; o++) {
            if (!strcmp(o->name, "scope") && !node_get(n, "scope") && o->fallback) {
                /* what a box may know is decided here, so a default must be written down too */
                uint32_t at = plan_build_option(l->plan, "scope", o->fallback);
                box.first_option = box.option_count++ ? box.first_option : at;
            }
        }
        for (const struct isthmus_option *o = service->options; o->name; o++) {
            bool bind = o->type == ISTHMUS_OPTION_BIND;
            const char *text = field_text(l, n, o->name, o->fallback);
            if ((bind || o->type == ISTHMUS_OPTION_ADDRESS) && text && *text) {
                if (bind && !is_loopback(text)) {
                    node_problem(
                        &l->tree, node_get(n, o->name), "listen on 127.0.0.1 or [::1]",
                        "'%s' is no loopback address; others need identities, which are not "
                        "there yet",
                        text);
                }
                uint32_t at = plan_build_option(l->plan, bind ? "bind" : "connect", text);
                box.first_address = box.address_count++ ? box.first_address : at;
            }
        }
    }
    l->boxes[l->box_count++] = (struct named){name, n};
    l->service_count++;
    plan_build_box(l->plan, &box);
}

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
    l->tree.no_memory |= !matched;
    free(matched);
    return count;
}

static void load_contract(struct load *l, const struct node *n)
{
    check_fields(l, n, "a contract", contract_fields, NULL);
    const char *name = field_text(l, n, "name", NULL);
    if (!name || !check_name(l, node_get(n, "name"), name) ||
        is_left_out(l, field_text(l, n, "service", NULL))) {
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

static void each(struct load *l, const char *section,
                 void (*one)(struct load *, const struct node *))
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

/* Every gateway has one box more, which serves the API on the socket in the state folder and has no address: what it says of
 * who calls can be believed, for no network reaches it. */
static void add_local(struct load *l)
{
    struct plan_box box = {.name = plan_build_text(l->plan, LOCAL_BOX),
                           .module = plan_build_text(l->plan, "http"),
                           .kind = BOX_NORTH,
                           .option_count = 1};
    for (size_t i = 0; i < l->box_count; i++) {
        if (!strcmp(l->boxes[i].name, LOCAL_BOX)) {
            node_problem(&l->tree, l->boxes[i].node ? l->boxes[i].node : l->root,
                         "choose another name", "'" LOCAL_BOX "' is the gateway's own");
        }
    }
    box.first_option = plan_build_option(l->plan, "scope", "all");
    plan_build_box(l->plan, &box);
}

void load_services(struct load *l)
{
    each(l, "services", load_service);
    each(l, "contracts", load_contract);
    add_local(l);
}
