/* SPDX-License-Identifier: Apache-2.0 */
#include "north/sparkplug/topic.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static bool is_forbidden(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '+' || c == '#';
}

/* The length of `text` cut to `size` bytes between two characters. */
static size_t cut_utf8(const char *text, size_t size)
{
    size_t n = strlen(text);
    if (n <= size) {
        return n;
    }
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) {
        size--;
    }
    return size;
}

void topic_level(char out[TOPIC_MAX], const char *name)
{
    size_t n = cut_utf8(name, TOPIC_MAX - 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = name[i] == '/' || is_forbidden((unsigned char)name[i]) ? '_' : name[i];
    }
    out[n] = '\0';
}

/* Steps over `text` at the start of *at. */
static bool take(const char **at, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(*at, text, n) != 0) {
        return false;
    }
    *at += n;
    return true;
}

enum topic_kind topic_parse(const char *topic, const char *group, const char *node,
                            const char **device)
{
    const char *at = topic;
    if (take(&at, "spBv1.0/STATE/")) {
        return TOPIC_STATE;
    }
    at = topic;
    if (!take(&at, "spBv1.0/") || !take(&at, group) || !take(&at, "/")) {
        return TOPIC_OTHER;
    }
    bool node_command = take(&at, "NCMD/");
    if ((!node_command && !take(&at, "DCMD/")) || !take(&at, node)) {
        return TOPIC_OTHER;
    }
    if (node_command) {
        return *at ? TOPIC_OTHER : TOPIC_NCMD;
    }
    *device = at + 1;
    return *at == '/' && at[1] && !strchr(at + 1, '/') ? TOPIC_DCMD : TOPIC_OTHER;
}

int state_parse(const void *data, size_t size, bool *online, int64_t *timestamp_ms)
{
    if (size > STATE_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *state = json_object_get(root, "online"), *time = json_object_get(root, "timestamp");
    bool good = json_is_boolean(state) && json_is_integer(time);
    if (good) {
        *online = json_is_true(state);
        *timestamp_ms = json_integer_value(time);
    }
    json_decref(root);
    return good ? ERR_OK : ERR_MALFORMED;
}

/* ---- Templates. ---- */

struct name_range {
    const char *at;
    size_t size;
};

static bool is_name(struct name_range n, const char *name)
{
    return strlen(name) == n.size && !memcmp(n.at, name, n.size);
}

/* The text for a name, or NULL: no such. */
static const char *look_up(struct name_range n, const struct topic_names *names, char number[16])
{
    const struct {
        const char *name, *text;
    } table[] = {
        {"gateway", names->gateway}, {"group", names->group}, {"node", names->node},
        {"device", names->device},   {"path", names->path},   {"feed", names->feed},
    };
    if (is_name(n, "id")) {
        snprintf(number, 16, "%u", names->id);
        return number;
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (is_name(n, table[i].name)) {
            return table[i].text ? table[i].text : "";
        }
    }
    return NULL;
}

struct expansion {
    char *out;
    size_t used;
    char why[96];
};

static int append(struct expansion *e, const char *text, size_t size)
{
    if (size >= TOPIC_MAX - e->used) {
        snprintf(e->why, sizeof e->why, "the topic is longer than %u bytes", TOPIC_MAX - 1);
        return ERR_TOO_LONG;
    }
    for (size_t i = 0; i < size; i++) {
        e->out[e->used++] = is_forbidden((unsigned char)text[i]) ? '_' : text[i];
    }
    return ERR_OK;
}

/* The name in braces that begins at `*at`, which is stepped over. */
static int append_name(struct expansion *e, const char **at, const struct topic_names *names)
{
    char number[16];
    const char *end = strchr(*at, '}');
    if (!end) {
        snprintf(e->why, sizeof e->why, "a brace is not closed");
        return ERR_MALFORMED;
    }
    struct name_range name = {*at + 1, (size_t)(end - *at - 1)};
    const char *text = look_up(name, names, number);
    if (!text) {
        snprintf(e->why, sizeof e->why,
                 "unknown name {%.*s}; known: gateway group node device path feed id",
                 (int)(name.size < 24 ? name.size : 24), name.at);
        return ERR_MALFORMED;
    }
    *at = end + 1;
    return append(e, text, strlen(text));
}

static int expand(struct expansion *e, const char *template, const struct topic_names *names)
{
    int err = ERR_OK;
    for (const char *at = template; *at && !err;) {
        if (*at == '{') {
            err = append_name(e, &at, names);
        } else if (*at == '}' || is_forbidden((unsigned char)*at)) {
            snprintf(e->why, sizeof e->why, "'+', '#', '}' and control characters can't be here");
            err = ERR_MALFORMED;
        } else {
            err = append(e, at++, 1);
        }
    }
    if (!err && !e->used) {
        snprintf(e->why, sizeof e->why, "it is empty");
        err = ERR_MALFORMED;
    }
    e->out[e->used] = '\0';
    return err;
}

int template_check(const char *template, char *why, size_t why_size)
{
    char out[TOPIC_MAX];
    struct expansion e = {.out = out};
    static const struct topic_names names = {"g", "g", "n", "d", "p", "f", 1};
    int err = expand(&e, template, &names);
    snprintf(why, why_size, "%s", e.why);
    return err ? ERR_MALFORMED : ERR_OK;
}

int template_expand(const char *template, const struct topic_names *names, char out[TOPIC_MAX])
{
    struct expansion e = {.out = out};
    return expand(&e, template, names);
}
