/* SPDX-License-Identifier: Apache-2.0 */
/* One parser of option texts for `check`, boxes, and whoever prints forms. The settings are one block of memory: the array,
 * then the texts, so that one free() takes all. A text that equals the table's own fallback is not checked when it is
 * empty: that is how a table says "may be left out". */
#include "box/box.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct complaint {
    char *why;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool complain(const struct complaint *c,
                                                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why, c->size, format, arguments);
    va_end(arguments);
    return false;
}

static bool in_range(const struct isthmus_option *o, const char *text, double v, const char *unit,
                     const struct complaint *c)
{
    if (o->min == 0 && o->max == 0) {
        return true; /* the table names no bounds */
    }
    if (v < o->min || v > o->max) {
        return complain(c, "%s: %s is not within %.15g%s and %.15g%s", o->name, text, o->min, unit,
                        o->max, unit);
    }
    return true;
}

static bool parse_int(const struct isthmus_option *o, const char *text, double *number,
                      const struct complaint *c)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
    if (end == text || *end || errno || strchr(" \t\n", *text)) {
        return complain(c, "%s: '%.64s' is not a whole number", o->name, text);
    }
    *number = (double)v;
    return in_range(o, text, *number, "", c);
}

static bool parse_number(const struct isthmus_option *o, const char *text, double *number,
                         const struct complaint *c)
{
    char *end;
    *number = strtod(text, &end);
    if (end == text || *end || !isfinite(*number) || strchr(" \t\n", *text)) {
        return complain(c, "%s: '%.64s' is not a number", o->name, text);
    }
    return in_range(o, text, *number, "", c);
}

static bool parse_duration(const struct isthmus_option *o, const char *text, double *number,
                           const struct complaint *c)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"us", 0.001}, {"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
    char *end;
    double v = strtod(text, &end);
    bool figure = end != text && *text >= '0' && *text <= '9' && isfinite(v);
    for (size_t i = 0; figure && i < sizeof units / sizeof *units; i++) {
        if (!strcmp(end, units[i].unit)) {
            *number = v * units[i].ms;
            return in_range(o, text, *number, "ms", c);
        }
    }
    return complain(c, "%s: '%.64s' is not a duration; write for example 100ms, 5s, 1min", o->name,
                    text);
}

static bool parse_bool(const struct isthmus_option *o, const char *text, double *number,
                       const struct complaint *c)
{
    *number = !strcmp(text, "true");
    return *number != 0 || !strcmp(text, "false") ||
           complain(c, "%s: '%.64s' is neither true nor false", o->name, text);
}

static bool parse_choice(const struct isthmus_option *o, const char *text, double *number,
                         const struct complaint *c)
{
    size_t size = strlen(text);
    int index = 0;
    for (const char *p = o->choices; p && size; index++) {
        const char *end = strchrnul(p, '|');
        if ((size_t)(end - p) == size && !memcmp(p, text, size)) {
            *number = index;
            return true;
        }
        p = *end ? end + 1 : NULL;
    }
    return complain(c, "%s: '%.64s' is not one of %s", o->name, text, o->choices);
}

static bool parse_port(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && port <= 65535;
}

/* "host:port", "1.2.3.4:port", "[ip6]:port"; numeric: no names. */
static bool parse_address(const struct isthmus_option *o, const char *text, bool numeric,
                          const struct complaint *c)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    char host[256];
    if (n && n < sizeof host && parse_port(colon + 1)) {
        memcpy(host, text, n);
        host[n] = 0;
        struct in6_addr ip;
        if (host[0] == '[' && host[n - 1] == ']') {
            host[n - 1] = 0;
            if (inet_pton(AF_INET6, host + 1, &ip) == 1) {
                return true;
            }
        } else if (inet_pton(AF_INET, host, &ip) == 1 ||
                   (!numeric && !strpbrk(host, ":[]/ \t") && host[0] != '-')) {
            return true;
        }
    }
    return complain(c, "%s: '%.64s' is not an address; write %s", o->name, text,
                    numeric ? "ip:port, for example 127.0.0.1:8080"
                            : "host:port, for example 192.168.1.10:502");
}

static bool parse_one(const struct isthmus_option *o, const char *text, double *number,
                      const struct complaint *c)
{
    *number = 0;
    if (!*text && o->fallback && !*o->fallback) {
        return true;
    }
    switch (o->type) {
    case ISTHMUS_OPTION_TEXT:
        return true;
    case ISTHMUS_OPTION_INT:
        return parse_int(o, text, number, c);
    case ISTHMUS_OPTION_NUMBER:
        return parse_number(o, text, number, c);
    case ISTHMUS_OPTION_BOOL:
        return parse_bool(o, text, number, c);
    case ISTHMUS_OPTION_DURATION:
        return parse_duration(o, text, number, c);
    case ISTHMUS_OPTION_CHOICE:
        return parse_choice(o, text, number, c);
    case ISTHMUS_OPTION_ADDRESS:
        return parse_address(o, text, false, c);
    case ISTHMUS_OPTION_BIND:
        return parse_address(o, text, true, c);
    case ISTHMUS_OPTION_FILE:
    case ISTHMUS_OPTION_FOLDER:
        return *text || complain(c, "%s: no file is named", o->name);
    }
    return complain(c, "%s: the table gives it no known type", o->name);
}

static size_t table_size(const struct isthmus_option *table)
{
    size_t n = 0;
    while (table && table[n].name) {
        n++;
    }
    return n;
}

static size_t find_option(const struct isthmus_option *table, const char *key)
{
    size_t n = table_size(table);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(table[i].name, key)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Every pair is known and stands once. Fills `texts` by table index. */
static bool match_pairs(const struct isthmus_option *table, const struct option_pair *pairs,
                        size_t count, const char **texts, size_t *from, size_t *bad,
                        const struct complaint *c)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = find_option(table, pairs[i].key);
        *bad = i;
        if (at == SIZE_MAX) {
            return complain(c, "there is no option '%.64s'", pairs[i].key);
        }
        if (texts[at]) {
            return complain(c, "'%.64s' is given twice", pairs[i].key);
        }
        texts[at] = pairs[i].value;
        from[at] = i;
    }
    return true;
}

static int fill(const struct isthmus_option *table, size_t n, const char **texts,
                const size_t *from, struct isthmus_setting **out, size_t *bad,
                const struct complaint *c)
{
    size_t bytes = (n + 1) * sizeof **out;
    for (size_t i = 0; i < n; i++) {
        *bad = from[i];
        texts[i] = texts[i] ? texts[i] : table[i].fallback;
        if (!texts[i]) {
            complain(c, "option '%s' is missing: %s", table[i].name,
                     table[i].help ? table[i].help : "it has no default");
            return ERR_CONFIG;
        }
        bytes += strlen(texts[i]) + 1;
    }
    struct isthmus_setting *settings = calloc(1, bytes);
    if (!settings) {
        return ERR_NOMEM;
    }
    char *at = (char *)(settings + n + 1);
    for (size_t i = 0; i < n; i++) {
        *bad = from[i];
        if (!parse_one(table + i, texts[i], &settings[i].number, c)) {
            free(settings);
            return ERR_CONFIG;
        }
        settings[i].name = table[i].name;
        settings[i].text = at;
        at = stpcpy(at, texts[i]) + 1;
    }
    *out = settings;
    return ERR_OK;
}

int options_parse(const struct isthmus_option *table, const struct option_pair *pairs, size_t count,
                  struct isthmus_setting **settings, size_t *setting_count, size_t *bad, char *why,
                  size_t why_size)
{
    const struct complaint c = {why, why_size};
    size_t n = table_size(table);
    const char **texts = calloc(n + 1, sizeof *texts);
    size_t *from = calloc(n + 1, sizeof *from);
    int err = texts && from ? ERR_OK : ERR_NOMEM;
    *bad = SIZE_MAX;
    for (size_t i = 0; !err && i < n; i++) {
        from[i] = SIZE_MAX;
    }
    if (!err && !match_pairs(table, pairs, count, texts, from, bad, &c)) {
        err = ERR_CONFIG;
    }
    if (!err) {
        err = fill(table, n, texts, from, settings, bad, &c);
        *setting_count = n;
    }
    if (err == ERR_NOMEM) {
        complain(&c, "out of memory");
    }
    free(texts);
    free(from);
    return err;
}
