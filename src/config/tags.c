/* SPDX-License-Identifier: Apache-2.0 */
/* Tags: listed one by one (YAML, CSV) or made from asset types. An asset's tag is its path, a slash, and the type's tag;
 * in an address {name} stands for a parameter, {name+4} and {name-1} for whole-number arithmetic on it. */
#include "config/load.h"

#include "config/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct field tag_fields[] = {
    {"path", false},       {"name", false},        {"device", false},
    {"address", true},     {"type", false},        {"unit", false},
    {"range", false},      {"low", false},         {"high", false},
    {"scale", false},      {"offset", false},      {"deadband", false},
    {"max_length", false}, {"description", false}, {0}};
const struct field type_fields[] = {
    {"name", true}, {"parameters", false}, {"tags", true}, {"description", false}, {0}};
const struct field asset_fields[] = {{"path", true},
                                     {"type", true},
                                     {"device", true},
                                     {"zone", false},
                                     {"with", false},
                                     {"description", false},
                                     {0}};

static const struct load_device *find_device(struct load *l, const struct node *at,
                                             const char *name)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < l->device_count; i++) {
        if (!strcmp(l->devices[i].name, name)) {
            return l->devices + i;
        }
        if (n < 256) {
            names[n++] = l->devices[i].name;
        }
    }
    const char *near = nearest(name, names, n);
    node_problem(&l->tree, at,
                 near ? tree_print(&l->tree, "did you mean '%s'?", near)
                      : "declare it under devices:",
                 "no device is called '%s'", name);
    return NULL;
}

/* Levels of letters, digits and a few marks, with single slashes between. */
static bool check_path(struct load *l, const struct node *at, const char *path)
{
    size_t n = strlen(path);
    bool ok = n && n <= 255 && path[0] != '/' && path[n - 1] != '/' && !strstr(path, "//");
    for (const unsigned char *p = (const unsigned char *)path; *p && ok; p++) {
        ok = *p > 0x20 && *p != 0x7f && !strchr("*?#+\\\"'{}[]<>,;", *p);
    }
    if (!ok) {
        node_problem(
            &l->tree, at,
            "write levels with / between, without spaces and wildcards: site/area/unit/tag",
            "'%s' is no tag path", path);
    }
    return ok;
}

static bool pair_of(struct load *l, const struct node *n, double *low, double *high)
{
    const struct node *a = n->kind == NODE_LIST ? n->child : NULL, *b = a ? a->next : NULL;
    if (!b || b->next || a->kind || b->kind || !text_number(a->text, low) ||
        !text_number(b->text, high)) {
        node_problem(&l->tree, n, "write two numbers: [0, 100]", "'%s' must be a pair of numbers",
                     n->key);
        return false;
    }
    return true;
}

static void read_range(struct load *l, const struct node *n, struct plan_tag *t)
{
    const struct node *range = node_get(n, "range");
    bool low = false, high = false;
    if (range) {
        low = high = pair_of(l, range, &t->low, &t->high);
    } else {
        low = field_number(l, n, "low", &t->low);
        high = field_number(l, n, "high", &t->high);
    }
    if (low != high) {
        key_problem(&l->tree, n, "give both low and high", "half a range");
    } else if (low && t->low >= t->high) {
        node_problem(&l->tree, range ? range : node_get(n, "low"), "write the lower end first",
                     "the range from %g to %g is empty", t->low, t->high);
    }
    t->has_range = low && high;
}

static void read_scale(struct load *l, const struct node *n, struct plan_tag *t)
{
    const struct node *scale = node_get(n, "scale");
    t->scale = 1;
    if (scale && scale->kind == NODE_LIST) { /* [raw low, raw high, low, high] */
        double v[4];
        const struct node *c = scale->child;
        int i = 0;
        for (; c && i < 4 && c->kind == NODE_SCALAR && text_number(c->text, v + i); c = c->next) {
            i++;
        }
        if (i != 4 || c || v[0] == v[1]) {
            node_problem(&l->tree, scale, "write [raw low, raw high, low, high], or a factor",
                         "'scale' must be four numbers with two different raw ones");
            return;
        }
        t->scale = (v[3] - v[2]) / (v[1] - v[0]);
        t->offset = v[2] - v[0] * t->scale;
        t->has_scale = 1;
        return;
    }
    bool factor = field_number(l, n, "scale", &t->scale);
    bool offset = field_number(l, n, "offset", &t->offset);
    t->has_scale = factor || offset;
    if (factor && t->scale == 0) {
        node_problem(&l->tree, scale, "", "a scale of 0 makes every value the same");
    }
}

static void read_deadband(struct load *l, const struct node *n, struct plan_tag *t)
{
    const char *text = field_text(l, n, "deadband", NULL);
    if (!text) {
        return;
    }
    size_t size = strlen(text);
    bool percent = size && text[size - 1] == '%';
    char *number = tree_copy(&l->tree, text, percent ? size - 1 : size);
    const struct node *at = node_get(n, "deadband");
    if (!text_number(number, &t->deadband) || t->deadband < 0) {
        node_problem(&l->tree, at, "write a number in the tag's unit, or 1%", "'%s' is no deadband",
                     text);
    } else if (percent && !t->has_range) {
        node_problem(&l->tree, at, "add range: [low, high]", "a deadband in percent needs a range");
    } else {
        t->deadband_kind = percent ? DEADBAND_PERCENT : DEADBAND_ABSOLUTE;
    }
}

/* Checks the address by the driver and settles both types. */
static void read_address(struct load *l, const struct node *n, const struct load_device *device,
                         const char *address, struct plan_tag *t)
{
    const struct node *at = node_get(n, "address");
    const char *type = field_text(l, n, "type", NULL);
    enum value_type wanted = type ? value_type_find(type, strlen(type)) : 0;
    if (type && !wanted) {
        node_problem(&l->tree, node_get(n, "type"),
                     "bool, int8 … int64, uint8 … uint64, float32, float64, text, bytes",
                     "no type is called '%s'", type);
        return;
    }
    t->address = plan_build_text(l->plan, address);
    enum isthmus_type raw = 0;
    char why[256] = "";
    if (device && device->driver &&
        device->driver->check_address(address, t->has_scale ? 0 : (enum isthmus_type)wanted,
                                      t->max_length, &raw, why, sizeof why)) {
        node_problem(&l->tree, at, "", "address '%s': %s", address, why);
        return;
    }
    t->raw_type = raw ? (uint8_t)raw : (uint8_t)VALUE_FLOAT64;
    t->type = wanted ? (uint8_t)wanted : t->has_scale ? (uint8_t)VALUE_FLOAT64 : t->raw_type;
    bool text = value_is_long((enum value_type)t->type),
         raw_text = value_is_long((enum value_type)t->raw_type);
    if (text != raw_text || (text && t->has_scale)) {
        node_problem(&l->tree, at, "", "the address gives %s, which can't become %s",
                     value_type_name((enum value_type)t->raw_type),
                     value_type_name((enum value_type)t->type));
        t->type = t->raw_type;
    }
}

static bool keep(struct load *l, const struct load_tag *tag)
{
    if (l->tag_count == l->tag_capacity) {
        size_t capacity = l->tag_capacity ? l->tag_capacity * 2 : 256;
        struct load_tag *tags = realloc(l->tags, capacity * sizeof *tags);
        if (!tags) {
            l->tree.no_memory = true;
            return false;
        }
        l->tags = tags;
        l->tag_capacity = capacity;
    }
    l->tags[l->tag_count++] = *tag;
    return true;
}

static uint8_t count_levels(const char *path)
{
    uint8_t levels = *path != 0;
    for (; *path && levels < UINT8_MAX; path++) {
        levels = (uint8_t)(levels + (*path == '/'));
    }
    return levels;
}

static void add_tag(struct load *l, const struct node *n, const char *path, const char *address,
                    const struct load_device *device, uint32_t zone, const char *asset,
                    const char *asset_type)
{
    struct plan_tag t = {.max_length = 64,
                         .device = PLAN_NONE,
                         .box = PLAN_NONE,
                         .zone = zone,
                         .type = VALUE_FLOAT64,
                         .raw_type = VALUE_FLOAT64};
    double length;
    if (field_number(l, n, "max_length", &length)) {
        if (length < 1 || length > SLOT_BYTES_MAX || length != (uint16_t)length) {
            node_problem(&l->tree, node_get(n, "max_length"), "write a whole number from 1 to 1000",
                         "'max_length' is out of range");
        } else {
            t.max_length = (uint16_t)length;
        }
    }
    const char *unit = field_text(l, n, "unit", "");
    if (*unit && !unit_is_valid(unit)) {
        node_problem(&l->tree, node_get(n, "unit"), unit_proposal(unit),
                     "'%s' is no UCUM unit code", unit);
    }
    read_range(l, n, &t);
    read_scale(l, n, &t);
    read_deadband(l, n, &t);
    if (device) {
        t.device = device->index;
        t.box = device->box;
    }
    read_address(l, n, device, address, &t);
    if (!value_is_long((enum value_type)t.type)) {
        t.max_length = 0;
    }
    t.path = plan_build_text(l->plan, path);
    t.unit = plan_build_text(l->plan, unit);
    t.description = plan_build_text(l->plan, field_text(l, n, "description", ""));
    t.asset_type = plan_build_text(l->plan, asset_type);
    t.asset_levels = count_levels(asset);
    if (l->replay) { /* history is of what became of the device's values */
        t.raw_type = t.type;
        t.has_scale = 0;
        t.deadband_kind = DEADBAND_NONE;
    }
    keep(l, &(struct load_tag){.tag = t, .path = path, .address = address, .node = n});
}

static void load_listed(struct load *l)
{
    const struct node *list = node_get(l->root, "tags");
    if (list && list->kind != NODE_LIST) {
        node_problem(&l->tree, list, "write - path: …", "tags must be a list");
        return;
    }
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        check_fields(l, n, "a tag", tag_fields, NULL);
        if (n->kind != NODE_MAP) {
            continue;
        }
        const char *path = field_text(l, n, "path", NULL),
                   *device = field_text(l, n, "device", NULL);
        const char *address = field_text(l, n, "address", NULL);
        if (!path || !device) {
            key_problem(&l->tree, n, "add path: … and device: …",
                        "a tag needs a path and a device");
            continue;
        }
        const struct load_device *d = find_device(l, node_get(n, "device"), device);
        if (check_path(l, node_get(n, "path"), path) && address) {
            add_tag(l, n, path, address, d, d ? d->zone : 0, "", "");
        }
    }
}

/* ---- Asset types ---- */

static const char *parameter(struct load *l, const struct node *type, const struct node *asset,
                             const char *name)
{
    const struct node *given = node_get(node_get(asset, "with"), name);
    const struct node *declared = node_get(node_get(type, "parameters"), name);
    (void)l;
    return given ? given->text : declared && *declared->text ? declared->text : NULL;
}

/* One "{name}" or "{name+4}"; NULL and a problem when it can't be filled in. */
static const char *fill_one(struct load *l, const struct node *type, const struct node *asset,
                            const struct node *at, const char *text, size_t size)
{
    char *name = tree_copy(&l->tree, text, size);
    char *sign = strpbrk(name, "+-");
    long add = sign ? strtol(sign, NULL, 10) : 0;
    if (sign) {
        *sign = 0;
    }
    const char *value = parameter(l, type, asset, name);
    if (!value) {
        node_problem(&l->tree, asset, tree_print(&l->tree, "add with: {%s: …}", name),
                     "the parameter '%s' (used in %s:%d) has no value", name, at->file, at->line);
        return NULL;
    }
    if (!sign) {
        return value;
    }
    char *end;
    long number = strtol(value, &end, 10);
    if (*end || end == value) {
        node_problem(&l->tree, asset, "write a whole number",
                     "the parameter '%s' is no number: '%s'", name, value);
        return NULL;
    }
    return tree_print(&l->tree, "%ld", number + add);
}

static const char *fill(struct load *l, const struct node *type, const struct node *asset,
                        const struct node *n)
{
    const char *p = n->text, *open, *out = "";
    while ((open = strchr(p, '{'))) {
        const char *close = strchr(open, '}');
        const char *value =
            close ? fill_one(l, type, asset, n, open + 1, (size_t)(close - open - 1)) : NULL;
        if (!value) {
            if (!close) {
                node_problem(&l->tree, n, "close it with }", "'%s' has a { without an end",
                             n->text);
            }
            return NULL;
        }
        out = tree_print(&l->tree, "%s%.*s%s", out, (int)(open - p), p, value);
        p = close + 1;
    }
    return tree_print(&l->tree, "%s%s", out, p);
}

static const struct node *find_type(struct load *l, const struct node *at, const char *name)
{
    const struct node *types = node_get(l->root, "types");
    const char *names[128];
    size_t n = 0;
    for (const struct node *t = types ? types->child : NULL; t; t = t->next) {
        const struct node *type_name = node_get(t, "name");
        if (type_name && !strcmp(type_name->text, name)) {
            return t;
        }
        if (type_name && n < 128) {
            names[n++] = type_name->text;
        }
    }
    const char *near = nearest(name, names, n);
    node_problem(&l->tree, at,
                 near ? tree_print(&l->tree, "did you mean '%s'?", near)
                      : "declare it under types:",
                 "no asset type is called '%s'", name);
    return NULL;
}

static void load_asset(struct load *l, const struct node *n)
{
    check_fields(l, n, "an asset", asset_fields, NULL);
    const char *path = field_text(l, n, "path", NULL), *type_name = field_text(l, n, "type", NULL);
    const char *device = field_text(l, n, "device", NULL);
    if (!path || !type_name || !device || !check_path(l, node_get(n, "path"), path)) {
        return;
    }
    const struct load_device *d = find_device(l, node_get(n, "device"), device);
    const char *zone_name = field_text(l, n, "zone", NULL);
    uint32_t zone = zone_name ? load_zone(l, node_get(n, "zone"), zone_name) : d ? d->zone : 0;
    const struct node *type = find_type(l, node_get(n, "type"), type_name);
    const struct node *with = node_get(n, "with"), *parameters = node_get(type, "parameters");
    for (const struct node *w = with ? with->child : NULL; w && type; w = w->next) {
        if (w->key && !node_get(parameters, w->key)) {
            key_problem(&l->tree, w, "", "the asset type '%s' has no parameter '%s'", type_name,
                        w->key);
        }
    }
    const struct node *tags = type ? node_get(type, "tags") : NULL;
    for (const struct node *t = tags ? tags->child : NULL; t; t = t->next) {
        const char *name = field_text(l, t, "name", NULL);
        const struct node *address = node_get(t, "address");
        const char *filled = address && name ? fill(l, type, n, address) : NULL;
        if (filled) {
            add_tag(l, t, tree_print(&l->tree, "%s/%s", path, name), filled, d, zone, path,
                    type_name);
        }
    }
}

static void load_types(struct load *l)
{
    const struct node *types = node_get(l->root, "types"), *assets = node_get(l->root, "assets");
    for (const struct node *t = types ? types->child : NULL; t; t = t->next) {
        check_fields(l, t, "an asset type", type_fields, NULL);
        const struct node *tags = node_get(t, "tags");
        for (const struct node *n = tags ? tags->child : NULL; n; n = n->next) {
            check_fields(l, n, "a type's tag", tag_fields, NULL);
            const struct node *name = node_get(n, "name");
            if (!name) {
                key_problem(&l->tree, n, "add name: …", "a type's tag lacks 'name'");
            } else {
                check_path(l, name, name->text);
            }
        }
    }
    for (const struct node *n = assets ? assets->child : NULL; n; n = n->next) {
        load_asset(l, n);
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct load_tag *const *)a)->path, (*(struct load_tag *const *)b)->path);
}

static void find_twins(struct load *l)
{
    struct load_tag **sorted = calloc(l->tag_count + 1, sizeof *sorted);
    for (size_t i = 0; sorted && i < l->tag_count; i++) {
        sorted[i] = l->tags + i;
    }
    if (sorted) {
        qsort(sorted, l->tag_count, sizeof *sorted, by_path);
    }
    for (size_t i = 1; sorted && i < l->tag_count; i++) {
        if (!strcmp(sorted[i]->path, sorted[i - 1]->path)) {
            const struct node *other = sorted[i - 1]->node;
            key_problem(&l->tree, sorted[i]->node, "give each tag a path of its own",
                        "two tags have the path '%s' (the other in %s:%d)", sorted[i]->path,
                        other->file, other->line);
        }
    }
    free(sorted);
}

void load_tags(struct load *l)
{
    load_listed(l);
    load_types(l);
    find_twins(l);
    char why[256] = "";
    struct ids *ids = NULL;
    int err = ids_open(&ids, l->state_dir, why, sizeof why);
    for (size_t i = 0; !err && i < l->tag_count; i++) {
        struct load_tag *t = l->tags + i;
        const struct node *unit = node_get(t->node, "unit");
        t->tag.id = ids_of(ids, t->path, value_type_name((enum value_type)t->tag.type),
                           unit ? unit->text : "");
        if (!t->tag.id) {
            err = ERR_FULL;
        } else {
            t->tag.retention = retention_of(l, t->path);
            plan_build_tag(l->plan, &t->tag);
        }
    }
    if (!err && l->assign && !l->tree.error_count) {
        err = ids_save(ids, l->state_dir);
    }
    if (err) {
        tree_problem(&l->tree, "ids.txt", 0, 0, "check the state folder's rights and disk",
                     "permanent ids in %s: %s", l->state_dir, why[0] ? why : err_text(err));
    }
    ids_close(ids);
}
