/* SPDX-License-Identifier: Apache-2.0 */
#include "table/csv_cell.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t cell_print(enum column_type type, union cell v, char out[CELL_TEXT_SIZE])
{
    switch (type) {
    case COLUMN_INT64:
        return (size_t)snprintf(out, CELL_TEXT_SIZE, "%lld", (long long)v.i64);
    case COLUMN_DOUBLE:
        return number_text(v.f64, out);
    case COLUMN_BOOL:
        return (size_t)snprintf(out, CELL_TEXT_SIZE, "%s", v.u64 ? "true" : "false");
    case COLUMN_TIME:
        return strlen(clock_text(v.i64, out));
    default:
        return (size_t)snprintf(out, CELL_TEXT_SIZE, "%llu", (unsigned long long)v.u64);
    }
}

size_t base64_print(const uint8_t *data, size_t size, char out[CELL_TEXT_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t v = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                     (left > 2 ? data[i + 2] : 0u);
        out[used++] = digits[v >> 18];
        out[used++] = digits[v >> 12 & 63];
        out[used++] = left > 1 ? digits[v >> 6 & 63] : '=';
        out[used++] = left > 2 ? digits[v & 63] : '=';
    }
    return used;
}

int base64_parse(char *text, size_t size)
{
    size_t used = 0, padding = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        bool pad = text[i] == '=' && i + 2 >= size;
        if ((!digit || padding) && !pad) {
            return ERR_MALFORMED;
        }
        padding += pad;
        bits = bits << 6 | (pad ? 0 : (uint32_t)(digit - digits));
        if (i % 4 == 3) {
            text[used++] = (char)(bits >> 16);
            text[used++] = (char)(bits >> 8);
            text[used++] = (char)bits;
            bits = 0;
        }
    }
    return size % 4 ? ERR_MALFORMED : (int)(used - padding);
}

/* A decimal whole number up to `max`. */
static int parse_whole(const char *text, size_t size, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9) {
            return ERR_MALFORMED;
        }
        if (v > (max - digit) / 10) {
            return ERR_RANGE;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return size ? ERR_OK : ERR_MALFORMED;
}

static int parse_signed(const char *text, size_t size, int64_t *out)
{
    bool negative = size && *text == '-';
    uint64_t v = 0;
    int err = parse_whole(text + negative, size - negative, (uint64_t)INT64_MAX + negative, &v);
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return err;
}

/* What strtod reads beyond decimal numbers (hexadecimal, leading blanks) is no number here. */
static int parse_double(const char *text, size_t size, double *out)
{
    static const struct {
        const char *name;
        double value;
    } special[] = {{"NaN", (double)NAN}, {"Infinity", HUGE_VAL}, {"-Infinity", -HUGE_VAL}};
    char copy[400], *end;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (strlen(special[i].name) == size && !memcmp(special[i].name, text, size)) {
            *out = special[i].value;
            return ERR_OK;
        }
    }
    if (!size || size >= sizeof copy) {
        return ERR_MALFORMED;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    if (strspn(copy, "0123456789+-.eE") != size) {
        return ERR_MALFORMED;
    }
    *out = strtod(copy, &end);
    if (end != copy + size) {
        return ERR_MALFORMED;
    }
    return isfinite(*out) ? ERR_OK : ERR_RANGE;
}

static int parse_bool(const char *text, size_t size, uint64_t *out)
{
    *out = (size == 4 && !memcmp(text, "true", 4)) || (size == 1 && *text == '1');
    bool no = (size == 5 && !memcmp(text, "false", 5)) || (size == 1 && *text == '0');
    return *out || no ? ERR_OK : ERR_MALFORMED;
}

int cell_parse(enum column_type type, const char *text, size_t size, union cell *out)
{
    switch (type) {
    case COLUMN_INT64:
        return parse_signed(text, size, &out->i64);
    case COLUMN_DOUBLE:
        return parse_double(text, size, &out->f64);
    case COLUMN_BOOL:
        return parse_bool(text, size, &out->u64);
    case COLUMN_TIME:
        return clock_parse(text, size, &out->i64);
    default:
        return parse_whole(text, size, type == COLUMN_UINT32 ? UINT32_MAX : UINT64_MAX, &out->u64);
    }
}
