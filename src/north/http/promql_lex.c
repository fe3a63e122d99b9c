/* SPDX-License-Identifier: Apache-2.0 */
#include "north/http/promql_lex.h"

#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX 64u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (strchr(" \t\r\n#", *at) && *at)) {
        if (*at == '#') {
            const char *line = memchr(at, '\n', (size_t)(end - at));
            at = line ? line : end;
        } else {
            at++;
        }
    }
    return at;
}

/* The unit at `at`, and how long its name is. 0: none. */
static int64_t unit_ns(const char *at, const char *end, size_t *size)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ms", NS_PER_MS},
        {"s", NS_PER_S},
        {"m", 60 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"d", 86400 * NS_PER_S},
        {"w", 7 * 86400 * NS_PER_S},
        {"y", 365 * 86400 * NS_PER_S},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        *size = strlen(units[i].name);
        if ((size_t)(end - at) >= *size && !strncmp(at, units[i].name, *size)) {
            return units[i].ns;
        }
    }
    return 0;
}

/* Digits and units as long as they come in turns. The end of what was read, or NULL: it is no duration. *ns 0: too long. */
static const char *read_duration(const char *at, const char *end, int64_t *ns)
{
    const int64_t most = PROMQL_DURATION_MAX * NS_PER_S;
    int64_t sum = 0;
    bool fits = true, any = false;
    while (at < end && is_digit(*at)) {
        int64_t n = 0, unit;
        size_t size = 0;
        for (; at < end && is_digit(*at); at++) {
            n = n > most / 100 ? most : n * 10 + (*at - '0');
        }
        unit = unit_ns(at, end, &size);
        if (!unit) {
            return NULL;
        }
        at += size;
        any = true;
        fits = fits && n <= (most - sum) / unit;
        sum += fits ? n * unit : 0;
    }
    *ns = fits ? sum : 0;
    return any ? at : NULL;
}

static bool read_number(const char *at, const char *end, size_t *size, double *number)
{
    char text[NUMBER_MAX], *stop;
    size_t n = 0;
    bool hex = end - at > 2 && at[0] == '0' && (at[1] | 32) == 'x';
    while (at + n < end && n < sizeof text - 1) {
        char c = at[n];
        bool sign = (c == '+' || c == '-') && n && !hex && (at[n - 1] | 32) == 'e';
        if (!sign && !isalnum((unsigned char)c) && c != '.') {
            break;
        }
        text[n++] = c;
    }
    text[n] = 0;
    *number = strtod(text, &stop);
    *size = n;
    return n && stop == text + n;
}

static struct word number_word(const char *at, const char *end)
{
    struct word w = {.kind = WORD_NUMBER, .at = at};
    const char *behind = read_duration(at, end, &w.duration_ns);
    if (behind && (behind == end || !isalnum((unsigned char)*behind))) {
        w.kind = w.duration_ns ? WORD_DURATION : WORD_WRONG;
        w.wrong = "a duration is longer than 0 and at most 40 years";
        w.size = (size_t)(behind - at);
    } else if (!read_number(at, end, &w.size, &w.number)) {
        w.kind = WORD_WRONG;
        w.wrong = "neither a number nor a duration such as 5m or 1h30m";
    }
    return w;
}

static struct word string_word(const char *at, const char *end)
{
    struct word w = {.kind = WORD_STRING, .at = at};
    const char *p = at + 1;
    while (p < end && *p != *at) {
        p += *p == '\\' && *at != '`' && p + 1 < end ? 2 : 1;
    }
    if (p >= end) {
        w.kind = WORD_WRONG;
        w.wrong = "a string without its end";
    } else {
        w.size = (size_t)(p + 1 - at);
    }
    return w;
}

static struct word name_word(const char *at, const char *end)
{
    struct word w = {.kind = WORD_NAME, .at = at};
    while (at + w.size < end && (begins_name(at[w.size]) || is_digit(at[w.size]))) {
        w.size++;
    }
    bool inf = word_is_name(&w, "inf");
    if (inf || word_is_name(&w, "nan")) {
        w.kind = WORD_NUMBER;
        w.number = inf ? (double)INFINITY : (double)NAN;
    }
    return w;
}

struct word promql_word(const char *at, const char *end)
{
    static const char *const doubles[] = {"==", "!=", ">=", "<=", "=~", "!~"};
    at = skip_space(at, end);
    struct word w = {.kind = WORD_SIGN, .at = at, .size = 1};
    if (at == end) {
        w.kind = WORD_END;
        w.size = 0;
        return w;
    }
    if (begins_name(*at)) {
        return name_word(at, end);
    }
    if (is_digit(*at) || (*at == '.' && end - at > 1 && is_digit(at[1]))) {
        return number_word(at, end);
    }
    if (*at == '"' || *at == '\'' || *at == '`') {
        return string_word(at, end);
    }
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        if (end - at >= 2 && !strncmp(at, doubles[i], 2)) {
            w.size = 2;
        }
    }
    if (w.size == 1 && (!*at || !strchr("+-*/%^<>=(){}[],@", *at))) {
        w.kind = WORD_WRONG;
        w.wrong = "a character that PromQL does not know here";
    }
    return w;
}

bool word_is(const struct word *w, const char *text)
{
    return w->kind != WORD_STRING && w->kind != WORD_WRONG && w->size == strlen(text) &&
           !memcmp(w->at, text, w->size);
}

bool word_is_name(const struct word *w, const char *name)
{
    return w->kind == WORD_NAME && w->size == strlen(name) && !strncasecmp(w->at, name, w->size);
}

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Behind the backslash: one character, or two hexadecimal digits behind an x. 0: neither. */
static char unescape(const char **at, const char *end)
{
    static const char letters[] = "abfnrtv\\\"'", meant[] = "\a\b\f\n\r\t\v\\\"'";
    char c = *(*at)++;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        return meant[found - letters];
    }
    if (c == 'x' && end - *at >= 2 && hex_value((*at)[0]) >= 0 && hex_value((*at)[1]) >= 0) {
        c = (char)(hex_value((*at)[0]) << 4 | hex_value((*at)[1]));
        *at += 2;
        return c;
    }
    return 0;
}

char *word_text(const struct word *w)
{
    const char *at = w->at + 1, *end = w->at + w->size - 1;
    bool raw = *w->at == '`';
    char *text = malloc(w->size), *to = text;
    while (text && at < end) {
        bool escape = *at == '\\' && !raw && at + 1 < end;
        at += escape;
        char c = escape ? unescape(&at, end) : *at++;
        if (!c) {
            free(text);
            return NULL;
        }
        *to++ = c;
    }
    if (text) {
        *to = 0;
    }
    return text;
}

int promql_duration(const char *text, size_t size, int64_t *ns)
{
    const char *end = text + size;
    struct word w = promql_word(text, end);
    if (w.at + w.size != end || w.at != text) {
        return ERR_MALFORMED;
    }
    if (w.kind == WORD_DURATION) {
        *ns = w.duration_ns;
        return ERR_OK;
    }
    if (w.kind != WORD_NUMBER) {
        return w.kind == WORD_WRONG && w.size ? ERR_RANGE : ERR_MALFORMED;
    }
    double s = w.number;
    if (!(s >= 0.001 && s <= (double)PROMQL_DURATION_MAX)) {
        return ERR_RANGE;
    }
    *ns = (int64_t)llround(s * 1e3) * NS_PER_MS;
    return ERR_OK;
}
