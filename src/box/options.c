/* SPDX-License-Identifier: Apache-2.0 */
/* The one parser of options, for `isthmus check` and for boxes. */
#include "box/box.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *unit;
    double ms;
} durations[] = {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"h", 36e5}, {"d", 864e5}};

static bool parse_number(const char *text, const char **end, double *out)
{
    char *stop;
    errno = 0;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && !errno && isfinite(*out);
}

static const char *parse_duration(const char *text, double *out)
{
    const char *end;
    if (!parse_number(text, &end, out)) {
        return "is no duration; write a number and a unit, for example 100ms, 5s, 1min";
    }
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        if (!strcmp(end, durations[i].unit)) {
            *out *= durations[i].ms;
            return NULL;
        }
    }
    return "has no known unit; use us, ms, s, min, h or d, for example 100ms";
}

static const char *parse_choice(const char *text, const char *choices, double *out)
{
    double index = 0;
    for (const char *p = choices; p; index++) {
        const char *bar = strchr(p, '|');
        size_t n = bar ? (size_t)(bar - p) : strlen(p);
        if (strlen(text) == n && !memcmp(text, p, n)) {
            *out = index;
            return NULL;
        }
        p = bar ? bar + 1 : NULL;
    }
    return "is not one of the choices";
}

/* host:port with a port of 1..65535, or 0..65535 to listen on. */
static const char *parse_address(const char *text, bool listen)
{
    const char *colon = strrchr(text, ':'), *end;
    double port;
    if (!colon || colon == text || !parse_number(colon + 1, &end, &port) || *end ||
        port != floor(port) || port < (listen ? 0 : 1) || port > 65535) {
        return "is no address; write host:port, for example 192.0.2.7:502";
    }
    return NULL;
}

/* NULL when the text is good, with its number. */
static const char *parse_one(const struct isthmus_option *o, const char *text, double *number)
{
    const char *end, *fault = NULL;
    *number = 0;
    switch (o->type) {
    case ISTHMUS_OPTION_TEXT:
    case ISTHMUS_OPTION_FILE:
        return NULL;
    case ISTHMUS_OPTION_INT:
    case ISTHMUS_OPTION_NUMBER:
        if (!parse_number(text, &end, number) || *end) {
            return "is no number";
        }
        if (o->type == ISTHMUS_OPTION_INT && *number != floor(*number)) {
            return "is no whole number";
        }
        break;
    case ISTHMUS_OPTION_BOOL:
        *number = !strcmp(text, "true");
        return *number != 0 || !strcmp(text, "false") ? NULL : "is neither true nor false";
    case ISTHMUS_OPTION_DURATION:
        fault = parse_duration(text, number);
        break;
    case ISTHMUS_OPTION_CHOICE:
        return parse_choice(text, o->choices, number);
    case ISTHMUS_OPTION_ADDRESS:
        return parse_address(text, false);
    case ISTHMUS_OPTION_BIND:
        return parse_address(text, true);
    }
    if (!fault && (*number < o->min || *number > o->max)) {
        fault = "is out of range";
    }
    return fault;
}

static void explain(const struct isthmus_option *o, const char *text, const char *fault, char *why,
                    size_t why_size)
{
    int n = snprintf(why, why_size, "option '%s': '%s' %s", o->name, text, fault);
    if (n < 0 || (size_t)n >= why_size) {
        return;
    }
    if (o->type == ISTHMUS_OPTION_CHOICE) {
        snprintf(why + n, why_size - (size_t)n, ": %s", o->choices);
    } else if (!strcmp(fault, "is out of range")) {
        const char *unit = o->type == ISTHMUS_OPTION_DURATION ? " ms" : "";
        snprintf(why + n, why_size - (size_t)n, ": from %g to %g%s", o->min, o->max, unit);
    }
}

static size_t find_pair(const struct option_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(pairs[i].key, key)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool is_known(const struct isthmus_option *table, const char *key)
{
    for (; table->name; table++) {
        if (!strcmp(table->name, key)) {
            return true;
        }
    }
    return false;
}

int options_parse(const struct isthmus_option *table, const struct option_pair *pairs, size_t count,
                  struct isthmus_setting **settings, size_t *setting_count, size_t *bad, char *why,
                  size_t why_size)
{
    size_t n = 0;
    for (const struct isthmus_option *o = table; o->name; o++) {
        n++;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_known(table, pairs[i].key)) {
            snprintf(why, why_size, "option '%s' is not known", pairs[i].key);
            *bad = i;
            return ERR_CONFIG;
        }
    }
    struct isthmus_setting *out = calloc(n + 1, sizeof *out);
    if (!out) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct isthmus_option *o = table + i;
        size_t at = find_pair(pairs, count, o->name);
        const char *text = at == SIZE_MAX ? o->fallback : pairs[at].value;
        const char *fault = NULL;
        *bad = at;
        if (!text) {
            snprintf(why, why_size, "option '%s' is missing: %s", o->name, o->help);
        } else if (*text || at != SIZE_MAX) { /* an empty default stands for "not used" */
            fault = parse_one(o, text, &out[i].number);
        }
        if (!text || fault) {
            if (fault) {
                explain(o, text, fault, why, why_size);
            }
            free(out);
            return ERR_CONFIG;
        }
        out[i].name = o->name;
        out[i].text = text;
    }
    *settings = out;
    *setting_count = n;
    return ERR_OK;
}
