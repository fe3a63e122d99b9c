/* SPDX-License-Identifier: Apache-2.0 */
/* number_text tries 15, 16, 17 significant digits and keeps the first that reads back the same: not the fastest known
 * way, but short and plainly right; whole numbers, the bulk of what a plant sends, take a fast path. */
#include "base/json.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_init(struct json *j, size_t limit)
{
    *j = (struct json){.limit = limit ? limit : SIZE_MAX};
}

void json_fini(struct json *j)
{
    free(j->text);
    *j = (struct json){0};
}

void json_clear(struct json *j)
{
    j->size = 0;
    j->comma = false;
    j->bad = false;
}

static char *room(struct json *j, size_t size)
{
    if (j->bad || size > j->limit - j->size) {
        j->bad = true;
        return NULL;
    }
    if (j->capacity - j->size < size) {
        size_t wanted = j->capacity ? j->capacity : 512;
        while (wanted - j->size < size) {
            wanted *= 2;
        }
        char *text = realloc(j->text, wanted);
        if (!text) {
            j->bad = true;
            return NULL;
        }
        j->text = text;
        j->capacity = wanted;
    }
    char *p = j->text + j->size;
    j->size += size;
    return p;
}

static void put(struct json *j, const char *text, size_t size)
{
    char *p = room(j, size);
    if (p && size) {
        memcpy(p, text, size);
    }
}

static void before_value(struct json *j)
{
    if (j->comma) {
        put(j, ",", 1);
    }
    j->comma = true;
}

void json_open(struct json *j, char bracket)
{
    before_value(j);
    put(j, &bracket, 1);
    j->comma = false;
}

void json_close(struct json *j, char bracket)
{
    put(j, &bracket, 1);
    j->comma = true;
}

static void put_escaped(struct json *j, uint8_t c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(plain, c) : NULL;
    char text[8];
    int n = found ? snprintf(text, sizeof text, "\\%c", letters[found - plain])
                  : snprintf(text, sizeof text, "\\u%04x", c);
    put(j, text, (size_t)n);
}

static void put_string(struct json *j, const char *text, size_t size)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + size, *run = p;
    put(j, "\"", 1);
    while (p < end) {
        size_t n = utf8_length(p, (size_t)(end - p));
        if (n > 1 || (n == 1 && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f)) {
            p += n;
            continue;
        }
        put(j, (const char *)run, (size_t)(p - run));
        if (n == 1) {
            put_escaped(j, *p);
        } else {
            put(j, "\xef\xbf\xbd", 3);
        }
        run = ++p;
    }
    put(j, (const char *)run, (size_t)(p - run));
    put(j, "\"", 1);
}

void json_key(struct json *j, const char *key)
{
    before_value(j);
    put_string(j, key, strlen(key));
    put(j, ":", 1);
    j->comma = false;
}

void json_text(struct json *j, const char *text)
{
    json_text_n(j, text, strlen(text));
}

void json_text_n(struct json *j, const char *text, size_t size)
{
    before_value(j);
    put_string(j, text, size);
}

void json_raw(struct json *j, const char *text, size_t size)
{
    before_value(j);
    put(j, text, size);
}

void json_bool(struct json *j, bool value)
{
    json_raw(j, value ? "true" : "false", value ? 4 : 5);
}

void json_nil(struct json *j)
{
    json_raw(j, "null", 4);
}

void json_int(struct json *j, int64_t value)
{
    char text[24];
    json_raw(j, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

void json_uint(struct json *j, uint64_t value)
{
    char text[24];
    json_raw(j, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value));
}

void json_double(struct json *j, double value)
{
    char text[NUMBER_TEXT_SIZE];
    size_t n = number_text(value, text);
    if (isfinite(value)) {
        json_raw(j, text, n);
    } else {
        json_text_n(j, text, n);
    }
}

void json_time(struct json *j, int64_t utc_ns)
{
    char text[CLOCK_TEXT_SIZE];
    json_text(j, clock_text(utc_ns, text));
}

void json_base64(struct json *j, const void *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    before_value(j);
    put(j, "\"", 1);
    for (size_t i = 0; i < size; i += 3) {
        uint32_t left = (uint32_t)(size - i);
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        char four[4] = {digit[v >> 18], digit[v >> 12 & 63], left > 1 ? digit[v >> 6 & 63] : '=',
                        left > 2 ? digit[v & 63] : '='};
        put(j, four, 4);
    }
    put(j, "\"", 1);
}

void json_newline(struct json *j)
{
    put(j, "\n", 1);
    j->comma = false;
}

void json_pair_text(struct json *j, const char *key, const char *text)
{
    json_key(j, key);
    json_text(j, text);
}

void json_pair_int(struct json *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_int(j, value);
}

void json_pair_uint(struct json *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_uint(j, value);
}

void json_pair_double(struct json *j, const char *key, double value)
{
    json_key(j, key);
    json_double(j, value);
}

void json_pair_bool(struct json *j, const char *key, bool value)
{
    json_key(j, key);
    json_bool(j, value);
}

void json_pair_time(struct json *j, const char *key, int64_t utc_ns)
{
    json_key(j, key);
    json_time(j, utc_ns);
}

static size_t number_special(double value, char out[NUMBER_TEXT_SIZE])
{
    const char *text = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    strcpy(out, text);
    return strlen(text);
}

size_t number_text_uint(uint64_t value, char out[NUMBER_TEXT_SIZE])
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++) {
        out[i] = digits[n - 1 - i];
    }
    out[n] = 0;
    return n;
}

/* What people and most instruments give: a few decimals. As many digits as always survive in the type make the shortest text
 * if they give the value again, which a division, rounded right, tells. 0: there are more. */
static size_t decimal_text(double value, bool single, char out[NUMBER_TEXT_SIZE])
{
    double size = fabs(value), most = single ? 1e6 : 1e15, tens = 10;
    for (unsigned places = 1; size >= 1e-4 && size * tens < most; places++, tens *= 10) {
        uint64_t scaled = (uint64_t)(size * tens + 0.5);
        double again = (double)scaled / tens;
        if (single ? (float)again != (float)size : again != size) {
            continue;
        }
        size_t n = value < 0;
        out[0] = '-';
        n += number_text_uint(scaled / (uint64_t)tens, out + n);
        if (scaled % (uint64_t)tens == 0) {
            return n; /* a whole number, found with the first place */
        }
        out[n] = '.';
        scaled %= (uint64_t)tens;
        for (unsigned i = places; i > 0; i--, scaled /= 10) {
            out[n + i] = (char)('0' + scaled % 10);
        }
        out[n + places + 1] = 0;
        return n + places + 1;
    }
    return 0;
}

size_t number_text(double value, char out[NUMBER_TEXT_SIZE])
{
    if (!isfinite(value)) {
        return number_special(value, out);
    }
    if (fabs(value) < 1e15 && value == (double)(int64_t)value && !(value == 0 && signbit(value))) {
        out[0] = '-';
        return (value < 0) + number_text_uint((uint64_t)fabs(value), out + (value < 0));
    }
    int n = (int)decimal_text(value, false, out);
    if (n) {
        return (size_t)n;
    }
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, NUMBER_TEXT_SIZE, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    return (size_t)n;
}

size_t number_text_float(float value, char out[NUMBER_TEXT_SIZE])
{
    if (!isfinite(value)) {
        return number_special((double)value, out);
    }
    int n = (int)decimal_text((double)value, true, out);
    if (n) {
        return (size_t)n;
    }
    for (int digits = 6; digits <= 9; digits++) {
        n = snprintf(out, NUMBER_TEXT_SIZE, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) {
            break;
        }
    }
    return (size_t)n;
}
