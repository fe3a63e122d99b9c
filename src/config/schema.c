/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of all sections and modules as one JSON Schema, for editors and forms. What a table does not know (which
 * device a tag names, what an address means) only `isthmus check` finds. Everywhere a text may hold ${NAME}, and numbers
 * and truth values may be written as texts. */
#include "config/load.h"

#include "base/json.h"
#include "box/service.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#define MODULES_MAX 64

static const struct {
    const char *name;
    const struct field *fields;
    bool list;
} sections[] = {{"gateway", gateway_fields, false},
                {"journal", journal_fields, false},
                {"zones", zone_fields, true},
                {"conduits", conduit_fields, true},
                {"types", type_fields, true},
                {"assets", asset_fields, true},
                {"tags", tag_fields, true},
                {"contracts", contract_fields, true},
                {"retention", retention_fields, true},
                {"writes", write_fields, true},
                {"keys", key_fields, true},
                {"people", people_fields, true}};

static void put_raw(struct json *j, const char *text)
{
    json_raw(j, text, strlen(text));
}

static void put_texts(struct json *j, const char *choices)
{
    json_key(j, "enum");
    json_open(j, '[');
    for (const char *p = choices; p;) {
        size_t size = strcspn(p, "|");
        json_text_n(j, p, size);
        p = p[size] ? p + size + 1 : NULL;
    }
    json_close(j, ']');
}

static void put_pattern(struct json *j, const char *pattern)
{
    json_pair_text(j, "type", "string");
    json_pair_text(j, "pattern", pattern);
}

static void put_number(struct json *j, const struct isthmus_option *o, const char *type)
{
    json_key(j, "type");
    json_open(j, '[');
    json_text(j, type);
    json_text(j, "string");
    json_close(j, ']');
    if (o->min != 0 || o->max != 0) {
        json_pair_double(j, "minimum", o->min);
        json_pair_double(j, "maximum", o->max);
    }
}

static void put_type(struct json *j, const struct isthmus_option *o)
{
    switch (o->type) {
    case ISTHMUS_OPTION_INT:
        put_number(j, o, "integer");
        break;
    case ISTHMUS_OPTION_NUMBER:
        put_number(j, o, "number");
        break;
    case ISTHMUS_OPTION_BOOL:
        json_key(j, "enum");
        put_raw(j, "[true,false,\"true\",\"false\"]");
        break;
    case ISTHMUS_OPTION_DURATION:
        put_pattern(j, "^[0-9][0-9.]*(us|ms|s|min|h|d)$");
        break;
    case ISTHMUS_OPTION_CHOICE:
        put_texts(j, o->choices);
        break;
    case ISTHMUS_OPTION_ADDRESS:
    case ISTHMUS_OPTION_BIND:
        put_pattern(j, ":[0-9]+$");
        break;
    case ISTHMUS_OPTION_TEXT:
    case ISTHMUS_OPTION_FILE:
    case ISTHMUS_OPTION_FOLDER:
        json_key(j, "type");
        put_raw(j, "[\"string\",\"number\",\"boolean\"]");
    }
}

static void put_option(struct json *j, const struct isthmus_option *o)
{
    json_key(j, o->name);
    json_open(j, '{');
    if (o->help) {
        json_pair_text(j, "description", o->help);
    }
    if (o->fallback) {
        json_pair_text(j, "default", o->fallback);
    }
    json_key(j, "anyOf");
    json_open(j, '[');
    json_open(j, '{');
    put_type(j, o);
    json_close(j, '}');
    put_raw(j, "{\"$ref\":\"#/$defs/variable\"}");
    json_close(j, ']');
    json_close(j, '}');
}

/* One map: the section's own keys, and (devices, services) those of a module, whose name `key` has to hold. */
static void put_map(struct json *j, const struct field *fields, const char *key, const char *module,
                    const struct isthmus_option *options)
{
    json_pair_text(j, "type", "object");
    json_pair_bool(j, "additionalProperties", false);
    json_key(j, "properties");
    json_open(j, '{');
    for (const struct field *f = fields; f->name; f++) {
        json_key(j, f->name);
        if (module && !strcmp(f->name, key)) {
            json_open(j, '{');
            json_pair_text(j, "const", module);
            json_close(j, '}');
        } else {
            json_bool(j, true);
        }
    }
    for (const struct isthmus_option *o = options; o && o->name; o++) {
        put_option(j, o);
    }
    json_close(j, '}');
    json_key(j, "required");
    json_open(j, '[');
    for (const struct field *f = fields; f->name; f++) {
        if (f->required) {
            json_text(j, f->name);
        }
    }
    for (const struct isthmus_option *o = options; o && o->name; o++) {
        if (!o->fallback) {
            json_text(j, o->name);
        }
    }
    json_close(j, ']');
}

static void put_section(struct json *j, size_t i)
{
    json_key(j, sections[i].name);
    json_open(j, '{');
    if (sections[i].list) {
        json_pair_text(j, "type", "array");
        json_key(j, "items");
        json_open(j, '{');
    }
    put_map(j, sections[i].fields, NULL, NULL, NULL);
    if (sections[i].list) {
        json_close(j, '}');
    }
    json_close(j, '}');
}

/* A list whose items are each of exactly one module. */
static void put_modules(struct json *j, const char *section, const char *side)
{
    bool south = !strcmp(side, "south");
    char(*names)[MODULE_NAME_SIZE] = calloc(MODULES_MAX + 1, sizeof *names);
    size_t count = names ? module_names(side, names, MODULES_MAX) : 0;
    j->bad |= !names;
    json_key(j, section);
    json_open(j, '{');
    json_pair_text(j, "type", "array");
    json_key(j, "items");
    json_open(j, '{');
    json_key(j, "oneOf");
    json_open(j, '[');
    for (size_t i = 0; i < count; i++) {
        char why[256];
        const struct isthmus_driver *d = south ? module_driver(names[i], why, sizeof why) : NULL;
        const struct service *s = south ? NULL : module_service(names[i], why, sizeof why);
        if (d || s) {
            json_open(j, '{');
            json_pair_text(j, "title", names[i]);
            put_map(j, south ? device_fields : service_fields, south ? "driver" : "module",
                    names[i], d ? d->options : s->options);
            json_close(j, '}');
        }
    }
    json_close(j, ']');
    json_close(j, '}');
    json_close(j, '}');
    free(names);
}

void config_schema(struct json *j)
{
    json_open(j, '{');
    json_pair_text(j, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_pair_text(j, "title", "A file of an Isthmus configuration folder");
    json_pair_text(j, "type", "object");
    json_pair_bool(j, "additionalProperties", false);
    json_key(j, "properties");
    json_open(j, '{');
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        put_section(j, i);
    }
    put_modules(j, "devices", "south");
    put_modules(j, "services", "north");
    json_close(j, '}');
    json_key(j, "$defs");
    json_open(j, '{');
    json_key(j, "variable");
    json_open(j, '{');
    put_pattern(j, "\\$\\{[^}]+\\}");
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, '}');
    json_newline(j);
}
