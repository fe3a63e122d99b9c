/* SPDX-License-Identifier: Apache-2.0 */
/* Services: what faces the office network. */
#include "config/load.h"

#include "config/config.h"

#include "box/reach.h"
#include "box/service.h"
#include "guard/vouch.h"

#include <stdlib.h>
#include <string.h>

const struct field service_fields[] = {
    {"name", true}, {"module", true}, {"zone", false}, {"description", false}, {0}};

#define LOCAL_BOX "local"

/* While history is played only consoles and APIs are there, unless it was asked for: what is played must not be taken for what is. */
bool service_is_left_out(struct load *l, const char *service)
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

/* Where it delivers to, with ", " between them: before names are resolved, for those are what people agree on. */
static const char *written_addresses(struct load *l, const struct node *n,
                                     const struct isthmus_option *options)
{
    const char *all = "";
    for (const struct isthmus_option *o = options; o->name; o++) {
        const char *text =
            o->type == ISTHMUS_OPTION_ADDRESS ? field_text(l, n, o->name, o->fallback) : NULL;
        if (text && *text) {
            all = tree_print(&l->tree, "%s%s%s", all, *all ? ", " : "", text);
        }
    }
    return all;
}

static void load_service(struct load *l, const struct node *n)
{
    char why[256] = "";
    const char *to = "", *away = NULL;
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
    if (service_is_left_out(l, name)) {
        return;
    }
    struct node *listen = l->replay && l->replay->listen ? node_get(n, "listen") : NULL;
    if (listen) {
        listen->text = tree_copy(&l->tree, l->replay->listen, strlen(l->replay->listen));
    }
    struct plan_box box = {
        .name = plan_build_text(l->plan, name),
        .module = plan_build_text(l->plan, module),
        .place = plan_build_text(l->plan, tree_print(&l->tree, "%s:%d", n->file, n->line)),
        .kind = BOX_NORTH};
    const char *zone = field_text(l, n, "zone", NULL);
    box.zone = zone ? load_zone(l, node_get(n, "zone"), zone) : 0;
    const struct service *service = module_service(module, why, sizeof why);
    if (!service) {
        node_problem(&l->tree, node_get(n, "module"),
                     "http, oidc, sparkplug and syslog are built in", "%s", why);
    } else {
        check_fields(l, n, "a service", service_fields, service->options);
        load_tls(l, n, service->options);
        to = written_addresses(l, n, service->options);
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
            const char *text = field_text(l, n, o->name, o->fallback);
            const char *verb = o->type == ISTHMUS_OPTION_BIND      ? "bind"
                               : o->type == ISTHMUS_OPTION_ADDRESS ? "connect"
                               : o->type == ISTHMUS_OPTION_FILE    ? "read"
                                                                   : NULL;
            if (verb && text && *text) {
                if (o->type == ISTHMUS_OPTION_BIND) {
                    check_listener(l, n, service->options, text);
                } else if (o->type == ISTHMUS_OPTION_ADDRESS) {
                    check_audit_way(l, n, service->options, text);
                }
                away = o->type == ISTHMUS_OPTION_FILE || reach_is_loopback(text) ? away : text;
                uint32_t at = plan_build_option(l->plan, verb, text);
                box.first_address = box.address_count++ ? box.first_address : at;
            }
        }
        if (!strcmp(module, VOUCH_MODULE)) {
            load_provider(l, n, name, &box);
        }
    }
    l->boxes[l->box_count++] = (struct load_box){name, n, module, to, away, box.zone};
    l->service_count++;
    plan_build_box(l->plan, &box);
}

/* Every gateway has one box more, which serves the API on the socket in the state folder and has no address: what it says of
 * who calls can be believed, for no network reaches it. */
static void add_local(struct load *l)
{
    struct plan_box box = {.name = plan_build_text(l->plan, LOCAL_BOX),
                           .module = plan_build_text(l->plan, "http"),
                           .kind = BOX_NORTH,
                           .zone = PLAN_NONE,
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
    load_each(l, "services", load_service);
    add_local(l);
}
