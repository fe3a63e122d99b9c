/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and the boxes they live in; options of devices and services. */
#include "config/load.h"

#include "config/config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A host's first numeric address; numeric texts and localhost ask nobody. */
static bool resolve(const char *host, char *ip, size_t size)
{
    struct in6_addr any;
    if (inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1) {
        snprintf(ip, size, "%s", host);
        return true;
    }
    if (!strcmp(host, "localhost")) {
        snprintf(ip, size, "127.0.0.1");
        return true;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
    if (getaddrinfo(host, NULL, &hints, &found)) {
        return false;
    }
    bool ok = getnameinfo(found->ai_addr, found->ai_addrlen, ip, (socklen_t)size, NULL, 0,
                          NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    return ok;
}

#define NOWHERE "255.255.255.255" /* to which no connection can be made */

/* "host:port" → "ip:port" ("[ip6]:port"). A host that is not known is a problem for `check`, and NULL; a gateway starts all the
 * same, for the name service must stop no plant: until it is started again, that address leads nowhere. */
static const char *numeric_address(struct load *l, const struct node *n)
{
    const char *colon = strrchr(n->text, ':');
    if (!colon) {
        return n->text; /* options_parse has said what is wrong */
    }
    size_t size = (size_t)(colon - n->text);
    bool brackets = size >= 2 && n->text[0] == '[' && colon[-1] == ']';
    char *host = tree_copy(&l->tree, n->text + brackets, size - 2u * brackets);
    char ip[INET6_ADDRSTRLEN + 64];
    if (!resolve(host, ip, sizeof ip)) {
        if (!l->assign || n->text[0] == ':') {
            node_problem(&l->tree, n, "write a numeric address, or check the name service",
                         "the host '%s' is not known", host);
            return NULL;
        }
        node_warning(&l->tree, n, "check the name service, and restart the gateway then",
                     "the host '%s' is not known now: nothing is connected there", host);
        return tree_print(&l->tree, NOWHERE ":%s", colon + 1);
    }
    return tree_print(&l->tree, strchr(ip, ':') ? "[%s]:%s" : "%s:%s", ip, colon + 1);
}

static const struct isthmus_option *find_option(const struct isthmus_option *table,
                                                const char *name)
{
    for (; table->name; table++) {
        if (!strcmp(table->name, name)) {
            return table;
        }
    }
    return NULL;
}

#define OPTIONS_MAX 128

struct plan_range load_options(struct load *l, const struct node *map, const char *what,
                               const struct isthmus_option *table, struct node **addresses,
                               size_t address_capacity, size_t *address_count)
{
    struct option_pair pairs[OPTIONS_MAX] = {{0}};
    struct node *nodes[OPTIONS_MAX];
    size_t count = 0, bad = SIZE_MAX, setting_count;
    *address_count = 0;
    for (struct node *n = map->child; n; n = n->next) {
        const struct isthmus_option *o = find_option(table, n->key);
        if (!o || count == OPTIONS_MAX) {
            continue; /* the section's own, or unknown: check_fields has said so */
        }
        if (n->kind != NODE_SCALAR) {
            node_problem(&l->tree, n, "", "'%s' must be a single value", n->key);
            continue;
        }
        if (o->type == ISTHMUS_OPTION_FILE && *n->text) {
            n->text = load_path(l, n->text);
        }
        bool address = o->type == ISTHMUS_OPTION_ADDRESS || o->type == ISTHMUS_OPTION_BIND;
        const char *text = address ? numeric_address(l, n) : n->text;
        if (text && address) {
            n->text = text;
            if (*address_count < address_capacity) {
                addresses[(*address_count)++] = n;
            }
        }
        nodes[count] = n;
        pairs[count++] = (struct option_pair){n->key, text ? text : n->text};
    }
    struct isthmus_setting *settings = NULL;
    char why[256];
    int err = options_parse(table, pairs, count, &settings, &setting_count, &bad, why, sizeof why);
    if (err == ERR_CONFIG && bad < count) {
        node_problem(&l->tree, nodes[bad], "", "%s: %s", what, why);
    } else if (err == ERR_CONFIG) {
        key_problem(&l->tree, map, "", "%s: %s", what, why);
    } else if (err) {
        l->tree.no_memory = true;
    }
    struct plan_range range = {0, 0};
    for (size_t i = 0; i < count; i++) {
        uint32_t at = plan_build_option(l->plan, pairs[i].key, pairs[i].value);
        range.first = range.count++ ? range.first : at;
    }
    free(settings);
    return range;
}

const struct field device_fields[] = {{"name", true},
                                      {"driver", true},
                                      {"box", false},
                                      {"zone", false},
                                      {"description", false},
                                      {"safety", false},
                                      {0}};

struct box_draft { /* boxes are added to the plan when all their devices are known */
    const char *name, *driver;
    const struct node *addresses[256];
    size_t address_count;
};

static size_t find_draft(struct load *l, struct box_draft *drafts, size_t *count, const char *name,
                         const char *driver, const struct node *at)
{
    for (size_t i = 0; i < *count; i++) {
        if (!strcmp(drafts[i].name, name)) {
            if (strcmp(drafts[i].driver, driver) != 0) {
                node_problem(&l->tree, at, "give it a box of its own with box: …",
                             "the box '%s' runs the driver '%s' already", name, drafts[i].driver);
            }
            return i;
        }
    }
    drafts[*count] = (struct box_draft){.name = name, .driver = driver};
    return (*count)++;
}

/* The options of the driver that plays history, in the place of the device's own. */
static void play_instead(struct load *l, struct plan_device *device)
{
    const struct config_replay *r = l->replay;
    device->first_option = plan_build_option(l->plan, "source", r->source);
    plan_build_option(l->plan, "from", r->from);
    plan_build_option(l->plan, "to", r->to);
    plan_build_option(l->plan, "speed", r->speed);
    device->option_count = 4;
}

static void load_device(struct load *l, const struct node *n, struct box_draft *drafts,
                        size_t *draft_count)
{
    char why[256] = "";
    const char *name = field_text(l, n, "name", NULL), *driver = field_text(l, n, "driver", NULL);
    if (!name || !driver || !check_name(l, node_get(n, "name"), name)) {
        check_fields(l, n, "a device", device_fields, NULL);
        return;
    }
    for (size_t i = 0; i < l->device_count; i++) {
        if (!strcmp(l->devices[i].name, name)) {
            node_problem(&l->tree, node_get(n, "name"), "give each device a name of its own",
                         "two devices are called '%s' (the other in %s:%d)", name,
                         l->devices[i].node->file, l->devices[i].node->line);
            return;
        }
    }
    struct load_device *d = l->devices + l->device_count;
    *d = (struct load_device){
        .name = name, .node = n, .driver = module_driver(driver, why, sizeof why)};
    struct plan_device device = {.name = plan_build_text(l->plan, name),
                                 .description =
                                     plan_build_text(l->plan, field_text(l, n, "description", ""))};
    device.zone = d->zone = load_zone(l, node_get(n, "zone"), field_text(l, n, "zone", NULL));
    const char *own_box = field_text(l, n, "box", driver);
    const char *safety = field_text(l, n, "safety", "false");
    if (strcmp(safety, "true") != 0 && strcmp(safety, "false") != 0) {
        node_problem(&l->tree, node_get(n, "safety"), "write true or false", "'%s' is neither",
                     safety);
    }
    size_t box = find_draft(l, drafts, draft_count, l->replay ? "replay" : own_box,
                            l->replay ? "replay" : driver, n);
    device.box = d->box = (uint32_t)box;
    if (!d->driver) {
        node_problem(&l->tree, node_get(n, "driver"), "modbus is built in", "%s", why);
    } else {
        check_fields(l, n, "a device", device_fields, d->driver->options);
        struct node *addresses[16];
        size_t count;
        struct plan_range range =
            load_options(l, n, name, d->driver->options, addresses, 16, &count);
        device.first_option = range.first;
        device.option_count = range.count;
        for (size_t i = 0; !l->replay && i < count && drafts[box].address_count < 256; i++) {
            drafts[box].addresses[drafts[box].address_count++] = addresses[i];
        }
        const char *period = field_text(l, n, "period", NULL);
        const struct isthmus_option *o = find_option(d->driver->options, "period");
        double ms = 0;
        if (o && !l->replay &&
            text_duration(period        ? period
                          : o->fallback ? o->fallback
                                        : "",
                          &ms)) {
            device.period_ms = (uint32_t)ms;
        }
    }
    if (l->replay) {
        play_instead(l, &device);
    }
    d->index = plan_build_device(l->plan, &device);
    l->device_count++;
}

static void add_box(struct load *l, const struct box_draft *draft)
{
    struct plan_box box = {.name = plan_build_text(l->plan, draft->name),
                           .module = plan_build_text(l->plan, draft->driver),
                           .kind = BOX_SOUTH};
    for (size_t i = 0; i < draft->address_count; i++) {
        uint32_t at = plan_build_option(l->plan, "connect", draft->addresses[i]->text);
        box.first_address = i ? box.first_address : at;
        box.address_count++;
    }
    l->boxes[l->box_count++] = (struct load_box){.name = draft->name};
    plan_build_box(l->plan, &box);
}

void load_devices(struct load *l)
{
    const struct node *list = node_get(l->root, "devices"),
                      *services = node_get(l->root, "services");
    size_t count = 0, others = 0;
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        count++;
    }
    for (const struct node *n = services ? services->child : NULL; n; n = n->next) {
        others++;
    }
    l->devices = calloc(count + 1, sizeof *l->devices);
    l->boxes = calloc(count + others + 1, sizeof *l->boxes);
    struct box_draft *drafts = calloc(count + 1, sizeof *drafts);
    size_t draft_count = 0;
    if (!l->devices || !l->boxes || !drafts) {
        l->tree.no_memory = true;
    } else if (list && list->kind != NODE_LIST) {
        node_problem(&l->tree, list, "write - name: …", "devices must be a list");
    } else {
        for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
            if (n->kind == NODE_MAP) {
                load_device(l, n, drafts, &draft_count);
            } else {
                node_problem(&l->tree, n, "write - name: …", "a device must be a map");
            }
        }
        for (size_t i = 0; i < draft_count; i++) {
            add_box(l, drafts + i);
        }
    }
    free(drafts);
}
