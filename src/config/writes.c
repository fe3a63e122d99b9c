/* SPDX-License-Identifier: Apache-2.0 */
/* writes: the write contracts, by which OT says what may be written, by whom and how. */
#include "config/load.h"

#include "config/config.h"
#include "guard/contract.h"
#include "rule/expr.h"
#include "tag/glob.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct field write_fields[] = {
    {"name", true},       {"tags", true},       {"type", false},      {"owner", true},
    {"callers", true},    {"approvers", false}, {"approval", false},  {"range", false},
    {"step", false},      {"rate", false},      {"lifetime", false},  {"times", false},
    {"when", false},      {"presence", false},  {"lease", false},     {"revert", false},
    {"heartbeat", false}, {"readback", false},  {"tolerance", false}, {0}};

struct write_load {
    struct load *l;
    const struct node *node;
    const char *name;
    const char *asset; /* path of the one that it is for; NULL: for no asset type */
    struct plan_write write;
    double low, high; /* what all its tags allow */
    uint32_t period_ms;
};

static uint32_t duration(struct write_load *w, const char *key, double least_ms, double most_ms)
{
    struct load *l = w->l;
    const char *text = field_text(l, w->node, key, NULL);
    double ms = 0;
    if (text && (!text_duration(text, &ms) || ms < least_ms || ms > most_ms)) {
        node_problem(&l->tree, node_get(w->node, key),
                     tree_print(&l->tree, "write a duration from %g s to %g h", least_ms / 1000,
                                most_ms / 3600e3),
                     "'%s' is no usable %s", text, key);
        return 0;
    }
    return (uint32_t)ms;
}

/* "./running" of a contract for an asset type lies below the asset. */
static const char *whole_path(const struct write_load *w, const char *path)
{
    bool relative = w->asset && path && path[0] == '.' && path[1] == '/';
    return relative ? tree_print(&w->l->tree, "%s%s", w->asset, path + 1) : path;
}

static const struct load_tag *find_tag(struct write_load *w, const char *key)
{
    struct load *l = w->l;
    const char *path = whole_path(w, field_text(l, w->node, key, NULL));
    for (size_t i = 0; path && i < l->tag_count; i++) {
        if (!strcmp(l->tags[i].path, path)) {
            return l->tags + i;
        }
    }
    if (path) {
        node_problem(&l->tree, node_get(w->node, key),
                     "write the whole path of a tag; or, in a contract for an asset type, ./name",
                     "there is no tag '%s'", path);
    }
    return NULL;
}

static bool has_check(const struct isthmus_driver *d)
{
    return d->size >= offsetof(struct isthmus_driver, check_write) + sizeof d->check_write &&
           d->check_write;
}

static const struct load_device *device_of(const struct load *l, const struct load_tag *t)
{
    for (size_t i = 0; i < l->device_count; i++) {
        if (l->devices[i].index == t->tag.device) {
            return l->devices + i;
        }
    }
    return NULL;
}

/* Whether the device could be written to at all at that address. */
static void check_device(struct write_load *w, const struct node *at, const struct load_tag *t)
{
    struct load *l = w->l;
    char why[256] = "";
    const struct load_device *d = device_of(l, t);
    if (!d || !d->driver) {
        return;
    }
    if (!strcmp(field_text(l, d->node, "safety", "false"), "true")) {
        node_problem(&l->tree, at, "leave it out: its own logic protects people",
                     "'%s' belongs to the safety device %s, which nobody may write to", t->path,
                     d->name);
    } else if (!d->driver->write) {
        node_problem(&l->tree, at, "leave it out",
                     "'%s' can't be written: the driver %s only reads", t->path, d->driver->name);
    } else if (has_check(d->driver) &&
               d->driver->check_write(t->address, (enum isthmus_type)t->tag.raw_type,
                                      t->tag.max_length, why, sizeof why)) {
        node_problem(&l->tree, at, why, "'%s' can't be written", t->path);
    }
    const char *period = field_text(l, d->node, "period", NULL);
    double ms;
    if (period && text_duration(period, &ms) && ms > w->period_ms && ms < UINT32_MAX / 4) {
        w->period_ms = (uint32_t)ms;
    }
}

static void add_tag(struct write_load *w, const struct node *at, const struct load_tag *t)
{
    struct load *l = w->l;
    if (value_is_long((enum value_type)t->tag.type)) {
        node_problem(&l->tree, at, "leave it out", "'%s' is a %s, which can't be commanded",
                     t->path, value_type_name((enum value_type)t->tag.type));
        return;
    }
    for (size_t i = 0; i < l->write_count; i++) {
        if (l->writes[i].tag == t->tag.id) {
            node_problem(&l->tree, at, "let one contract speak for a tag",
                         "'%s' stands in the write contract %s already", t->path,
                         l->writes[i].contract);
            return;
        }
    }
    struct load_write *more = realloc(l->writes, (l->write_count + 1) * sizeof *more);
    if (!more) {
        l->tree.no_memory = true;
        return;
    }
    l->writes = more;
    l->writes[l->write_count++] = (struct load_write){t->tag.id, w->name};
    check_device(w, at, t);
    uint32_t place = plan_build_write_tag(l->plan, t->tag.id);
    w->write.first_tag = w->write.tag_count++ ? w->write.first_tag : place;
    if (t->tag.has_range) {
        w->low = fmax(w->low, t->tag.low);
        w->high = fmin(w->high, t->tag.high);
    }
    if (t->tag.type == VALUE_BOOL) {
        w->low = fmax(w->low, 0);
        w->high = fmin(w->high, 1);
    }
}

/* The part of a tag's path that the contract's globs are held against; NULL: it is none of the asset's. */
static const char *path_for(const struct write_load *w, const char *path)
{
    size_t size = w->asset ? strlen(w->asset) : 0;
    if (!w->asset) {
        return path;
    }
    return !strncmp(path, w->asset, size) && path[size] == '/' ? path + size + 1 : NULL;
}

static void load_write_tags(struct write_load *w)
{
    struct load *l = w->l;
    const struct node *globs = node_get(w->node, "tags");
    if (globs && globs->kind != NODE_LIST) {
        node_problem(&l->tree, globs, "write a list: [\"site/area/**\"]",
                     "tags must be a list of globs");
        return;
    }
    for (const struct node *g = globs ? globs->child : NULL; g; g = g->next) {
        bool any = false;
        for (size_t i = 0; i < l->tag_count; i++) {
            const char *path = path_for(w, l->tags[i].path);
            if (g->kind == NODE_SCALAR && path && glob_matches(g->text, path)) {
                any = true;
                add_tag(w, g, l->tags + i);
            }
        }
        if (!any) {
            node_problem(&l->tree, g, "* matches within a level, ** any number of levels",
                         "no tag%s%s matches '%s'", w->asset ? " of the asset " : "",
                         w->asset ? w->asset : "", g->kind == NODE_SCALAR ? g->text : "this");
        }
    }
}

static bool caller_is_known(struct load *l, const char *name)
{
    if (!strncmp(name, "service:", 8)) {
        for (size_t i = 0; i < l->box_count; i++) {
            if (l->boxes[i].node && !strcmp(l->boxes[i].name, name + 8)) {
                return true;
            }
        }
        return false;
    }
    if (!strcmp(name, "local")) {
        return true;
    }
    static const char *const kinds[] = {"role:", "user:", "token:"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!strncmp(name, kinds[i], strlen(kinds[i])) && name[strlen(kinds[i])]) {
            return strlen(name) < COMMAND_WHO_SIZE;
        }
    }
    return false;
}

static void load_callers(struct write_load *w, const char *key, const char *option)
{
    struct load *l = w->l;
    const struct node *list = node_get(w->node, key);
    if (list && (list->kind != NODE_LIST || !list->child)) {
        node_problem(&l->tree, list, "write a list: [role:operator, user:anna, service:cloud]",
                     "%s must be a list", key);
        return;
    }
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        if (n->kind != NODE_SCALAR || !caller_is_known(l, n->text)) {
            node_problem(&l->tree, n,
                         "write role:NAME, user:NAME, token:NAME, local, or service:NAME of one "
                         "that is declared",
                         "nobody is called '%s'", n->kind == NODE_SCALAR ? n->text : "this");
            continue;
        }
        uint32_t place = plan_build_option(l->plan, option, n->text);
        w->write.first_caller = w->write.caller_count++ ? w->write.first_caller : place;
    }
}

/* "Mon-Fri 06:00-22:00", "Sat 08:00-12:00", "00:00-24:00" (every day). */
static bool parse_hours(const char *text, struct plan_hours *out)
{
    static const char *const names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    unsigned days[2] = {0, 6}, found = 0, h1, m1, h2, m2;
    int end = 0;
    while (found < 2) {
        unsigned d = 0;
        while (d < 7 && strncmp(text, names[d], 3) != 0) {
            d++;
        }
        if (d == 7) {
            break;
        }
        days[found++] = d;
        text += 3;
        if (found == 1 && *text == '-') {
            text++;
        } else {
            break;
        }
    }
    if (found && *text++ != ' ') {
        return false;
    }
    days[1] = found == 1 ? days[0] : days[1];
    if (sscanf(text, "%2u:%2u-%2u:%2u%n", &h1, &m1, &h2, &m2, &end) != 4 || text[end] || h1 > 23 ||
        m1 > 59 || h2 > 24 || m2 > 59 || h2 * 60 + m2 > 1440) {
        return false;
    }
    *out = (struct plan_hours){.from_minute = (uint16_t)(h1 * 60 + m1),
                               .to_minute = (uint16_t)(h2 * 60 + m2)};
    for (unsigned d = days[0];; d = (d + 1) % 7) {
        out->days |= (uint8_t)(1u << d);
        if (d == days[1]) {
            return true;
        }
    }
}

static void load_hours(struct write_load *w)
{
    struct load *l = w->l;
    const struct node *list = node_get(w->node, "times");
    const struct node *n = list && list->kind == NODE_LIST ? list->child : list;
    for (; n; n = n == list ? NULL : n->next) {
        if (w->write.hour_count == PLAN_HOURS_MAX) {
            node_problem(&l->tree, n, "join some of them", "there are more than %u times",
                         PLAN_HOURS_MAX);
            return;
        }
        if (n->kind != NODE_SCALAR ||
            !parse_hours(n->text, w->write.hours + w->write.hour_count++)) {
            node_problem(&l->tree, n, "write for example \"Mon-Fri 06:00-22:00\"",
                         "'%s' is no time of the week", n->kind == NODE_SCALAR ? n->text : "this");
        }
    }
}

/* "6/min": count per duration of one unit, or of a duration: "10/5min". */
static void load_rate(struct write_load *w)
{
    struct load *l = w->l;
    const char *text = field_text(l, w->node, "rate", NULL);
    char *end = NULL, per[32];
    double ms = 0;
    unsigned long count = text ? strtoul(text, &end, 10) : 0;
    if (!text) {
        return;
    }
    bool digits = end[0] == '/' && end[1] >= '0' && end[1] <= '9';
    snprintf(per, sizeof per, "%s%s", digits ? "" : "1", *end == '/' ? end + 1 : "?");
    if (!count || count > GUARD_RATE_MAX || !text_duration(per, &ms) || ms < 1 || ms > 864e5) {
        node_problem(&l->tree, node_get(w->node, "rate"),
                     tree_print(&l->tree,
                                "write at most %u per time of at most a day, for example "
                                "6/min or 10/5min",
                                GUARD_RATE_MAX),
                     "'%s' is no usable rate", text);
        return;
    }
    w->write.rate_count = (uint32_t)count;
    w->write.rate_ms = (uint32_t)ms;
}

static void load_range(struct write_load *w)
{
    struct load *l = w->l;
    const struct node *range = node_get(w->node, "range");
    w->write.low = -INFINITY; /* each tag's own range holds anyway */
    w->write.high = INFINITY;
    if (!range) {
        return;
    }
    const struct node *low = range->kind == NODE_LIST ? range->child : NULL;
    const struct node *high = low ? low->next : NULL;
    if (!high || high->next || low->kind != NODE_SCALAR || high->kind != NODE_SCALAR ||
        !text_number(low->text, &w->write.low) || !text_number(high->text, &w->write.high) ||
        w->write.low > w->write.high) {
        node_problem(&l->tree, range, "write [low, high]", "it is no range");
    } else if (w->write.low < w->low || w->write.high > w->high) {
        node_problem(&l->tree, range,
                     tree_print(&l->tree, "stay within [%.10g, %.10g]", w->low, w->high),
                     "the contract allows more than the range of its tags");
    }
}

/* A value of the tag: a number, true or false. */
static bool value_field(struct write_load *w, const char *key, double *out)
{
    const char *text = field_text(w->l, w->node, key, NULL);
    if (text && (!strcmp(text, "true") || !strcmp(text, "false"))) {
        *out = text[0] == 't';
        return true;
    }
    return field_number(w->l, w->node, key, out);
}

static void load_lease(struct write_load *w)
{
    struct load *l = w->l;
    const struct load_tag *heartbeat = find_tag(w, "heartbeat");
    bool reverts = value_field(w, "revert", &w->write.revert);
    w->write.lease_ms = duration(w, "lease", 1000, 864e5);
    w->write.heartbeat = heartbeat ? heartbeat->tag.id : 0;
    if (w->write.lease_ms && !reverts) {
        node_problem(&l->tree, node_get(w->node, "lease"), "add revert: the value to go back to",
                     "a lease needs a value to revert to");
    }
    if (reverts && (w->write.revert < fmax(w->write.low, w->low) ||
                    w->write.revert > fmin(w->write.high, w->high))) {
        node_problem(&l->tree, node_get(w->node, "revert"), "choose one within the range",
                     "the contract itself would not allow this value");
    }
    if (!w->write.lease_ms && (reverts || heartbeat)) {
        node_problem(&l->tree, node_get(w->node, reverts ? "revert" : "heartbeat"),
                     "add lease: 10min, or leave it out", "without a lease it means nothing");
    }
    if (heartbeat) {
        check_device(w, node_get(w->node, "heartbeat"), heartbeat);
    }
    if (heartbeat && value_is_long((enum value_type)heartbeat->tag.type)) {
        node_problem(&l->tree, node_get(w->node, "heartbeat"), "name a number or a bool",
                     "a text can't count");
    }
    if (w->write.lease_ms && !heartbeat) {
        node_warning(&l->tree, node_get(w->node, "lease"),
                     "name a tag on which the PLC itself falls back: heartbeat: path",
                     "the lease protects against a lost caller, not against a lost gateway");
    }
}

static void load_numbers(struct write_load *w)
{
    struct load *l = w->l;
    double number = 0;
    const struct load_tag *presence = find_tag(w, "presence");
    w->write.presence = presence ? presence->tag.id : 0;
    if (presence && presence->tag.type != VALUE_BOOL) {
        node_problem(&l->tree, node_get(w->node, "presence"), "name a tag of type bool",
                     "presence is true or false");
    }
    if (field_number(l, w->node, "step", &w->write.step) && !(w->write.step > 0)) {
        node_problem(&l->tree, node_get(w->node, "step"), "write a number above 0",
                     "no change would be allowed");
    }
    if (field_number(l, w->node, "tolerance", &w->write.tolerance) && w->write.tolerance < 0) {
        node_problem(&l->tree, node_get(w->node, "tolerance"), "write 0 or more",
                     "nothing is so near");
    }
    if (field_number(l, w->node, "lifetime", &number)) {
        if (!(number >= 1) || number > 1e15 || number != floor(number)) {
            node_problem(&l->tree, node_get(w->node, "lifetime"),
                         "write how many, for example 100000", "it is no count of writes");
        } else {
            w->write.lifetime = (uint64_t)number;
        }
    }
    w->write.approval_ms = duration(w, "approval", 1000, 864e5);
    if (node_get(w->node, "approvers") && !w->write.approval_ms) {
        node_problem(&l->tree, node_get(w->node, "approvers"), "add approval: 10min",
                     "without the time that they have nobody is asked to approve");
    }
    w->write.readback_ms = duration(w, "readback", 100, 36e5);
    uint32_t usual = w->period_ms * 3 > 5000 ? w->period_ms * 3 : 5000;
    if (w->write.readback_ms && w->write.readback_ms < w->period_ms) {
        node_warning(&l->tree, node_get(w->node, "readback"),
                     tree_print(&l->tree, "give it %u ms", usual),
                     "the device is read more seldom than that, so no command could be confirmed");
    }
    w->write.readback_ms = w->write.readback_ms ? w->write.readback_ms : usual;
}

static bool find_expr_tag(void *context, const char *path, size_t size, struct expr_tag *out)
{
    const struct write_load *w = context;
    const struct load *l = w->l;
    bool by_id = size && path[0] == '#';
    uint32_t id = by_id ? (uint32_t)strtoul(path + 1, NULL, 10) : 0;
    path = whole_path(w, tree_copy(&w->l->tree, path, size));
    size = strlen(path);
    for (size_t i = 0; i < l->tag_count; i++) {
        const struct load_tag *t = l->tags + i;
        bool same =
            by_id ? t->tag.id == id : strlen(t->path) == size && !strncmp(t->path, path, size);
        if (same && !value_is_long((enum value_type)t->tag.type)) {
            *out = (struct expr_tag){.id = t->tag.id,
                                     .boolean = t->tag.type == VALUE_BOOL,
                                     .low = t->tag.has_range ? t->tag.low : -INFINITY,
                                     .high = t->tag.has_range ? t->tag.high : INFINITY};
            return true;
        }
    }
    return false;
}

static void load_permissive(struct write_load *w)
{
    struct load *l = w->l;
    const char *text = field_text(l, w->node, "when", NULL);
    const struct expr_names names = {.context = w, .find = find_expr_tag};
    struct expr_code code;
    struct expr_error error;
    struct expr x;
    char why[160];
    if (!text) {
        return;
    }
    int err = expr_compile(text, &names, &code, &error);
    if (err) {
        l->tree.no_memory |= err == ERR_NOMEM;
        node_problem(&l->tree, node_get(w->node, "when"), error.proposal, "at its character %u: %s",
                     error.column, error.text);
    } else if (!expr_open(&x, code.words, code.size) &&
               expr_never(&x, text, &names, why, sizeof why)) {
        node_problem(&l->tree, node_get(w->node, "when"), "compare with the tags' ranges",
                     "the permissive can't be met: %s", why);
    } else {
        w->write.permissive = plan_build_text(l->plan, text);
        w->write.code = plan_build_code(l->plan, code.words, code.size);
        w->write.code_size = (uint32_t)code.size;
    }
}

static void load_contract(struct load *l, const struct node *n, const char *name, const char *asset)
{
    struct write_load w = {
        .l = l, .node = n, .name = name, .asset = asset, .low = -INFINITY, .high = INFINITY};
    w.write.name = plan_build_text(l->plan, name);
    w.write.owner = plan_build_text(l->plan, field_text(l, n, "owner", ""));
    w.write.place = plan_build_text(l->plan, tree_print(&l->tree, "%s:%d", n->file, n->line));
    load_write_tags(&w);
    load_callers(&w, "callers", "caller");
    load_callers(&w, "approvers", "approver");
    load_range(&w);
    load_numbers(&w);
    load_lease(&w);
    load_rate(&w);
    load_hours(&w);
    load_permissive(&w);
    plan_build_write(l->plan, &w.write);
}

/* Once for each asset of the type, with its own tags; up to the first with which something is wrong. */
static void load_for_type(struct load *l, const struct node *n, const char *name, const char *type)
{
    const struct node *assets = node_get(l->root, "assets");
    size_t found = 0, problems = l->tree.problem_count;
    for (const struct node *a = assets ? assets->child : NULL; a; a = a->next) {
        const char *path = field_text(l, a, "path", NULL);
        if (path && !strcmp(field_text(l, a, "type", ""), type) &&
            l->tree.problem_count == problems) {
            found++;
            load_contract(l, n, name, path);
        }
    }
    if (!found && l->tree.problem_count == problems) {
        node_problem(&l->tree, node_get(n, "type"), "write the name of a type that assets have",
                     "no asset is a '%s'", type);
    }
}

static void load_write(struct load *l, const struct node *n)
{
    check_fields(l, n, "a write contract", write_fields, NULL);
    const char *name = field_text(l, n, "name", NULL), *type = field_text(l, n, "type", NULL);
    if (!name || !check_name(l, node_get(n, "name"), name)) {
        return;
    }
    if (type) {
        load_for_type(l, n, name, type);
    } else {
        load_contract(l, n, name, NULL);
    }
}

/* gateway.inhibit: the key switch. */
static void load_inhibit(struct load *l)
{
    const struct node *gateway = node_get(l->root, "gateway");
    struct write_load w = {.l = l, .node = gateway};
    const struct load_tag *tag =
        gateway && gateway->kind == NODE_MAP ? find_tag(&w, "inhibit") : NULL;
    if (tag && tag->tag.type != VALUE_BOOL) {
        node_problem(&l->tree, node_get(gateway, "inhibit"), "name a tag of type bool",
                     "a key switch is on or off");
    } else if (tag) {
        plan_build_header(l->plan)->inhibit_tag = tag->tag.id;
    }
}

void load_writes(struct load *l)
{
    load_inhibit(l);
    if (!l->replay) {
        load_each(l, "writes", load_write);
    }
}
