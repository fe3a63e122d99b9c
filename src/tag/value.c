/* SPDX-License-Identifier: Apache-2.0 */
#include "tag/value.h"
#include "base/err.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Widths in bits; 0 for types that are no integers. */
static const struct {
    const char *name;
    int bits;
} types[VALUE_TYPE_END] = {
    [0] = {"?", 0},
    [VALUE_BOOL] = {"bool", 1},
    [VALUE_INT8] = {"int8", 8},
    [VALUE_UINT8] = {"uint8", 8},
    [VALUE_INT16] = {"int16", 16},
    [VALUE_UINT16] = {"uint16", 16},
    [VALUE_INT32] = {"int32", 32},
    [VALUE_UINT32] = {"uint32", 32},
    [VALUE_INT64] = {"int64", 64},
    [VALUE_UINT64] = {"uint64", 64},
    [VALUE_FLOAT32] = {"float32", 0},
    [VALUE_FLOAT64] = {"float64", 0},
    [VALUE_TEXT] = {"text", 0},
    [VALUE_BYTES] = {"bytes", 0},
};

const char *value_type_name(enum value_type type)
{
    return types[type < VALUE_TYPE_END ? type : 0].name;
}

enum value_type value_type_find(const char *name, size_t size)
{
    for (unsigned t = 1; t < VALUE_TYPE_END; t++) {
        if (strlen(types[t].name) == size && !memcmp(types[t].name, name, size)) {
            return (enum value_type)t;
        }
    }
    return 0;
}

double value_as_double(enum value_type type, union slot_value v)
{
    if (value_is_float(type)) {
        return v.f64;
    }
    return value_is_signed(type) ? (double)v.i64 : (double)v.u64;
}

int value_from_double(enum value_type type, double number, union slot_value *out)
{
    if (type == VALUE_FLOAT64) {
        out->f64 = number;
        return ERR_OK;
    }
    if (type == VALUE_FLOAT32) {
        out->f64 = (double)(float)number;
        return isfinite(number) && !isfinite(out->f64) ? ERR_RANGE : ERR_OK;
    }
    int bits = type < VALUE_TYPE_END ? types[type].bits : 0;
    if (!bits || isnan(number)) {
        return bits ? ERR_RANGE : ERR_TYPE;
    }
    double whole = nearbyint(number);
    if (value_is_signed(type)) {
        double limit = ldexp(1, bits - 1);
        if (whole < -limit || whole >= limit) {
            return ERR_RANGE;
        }
        out->i64 = (int64_t)whole;
        return ERR_OK;
    }
    if (whole < 0 || whole >= ldexp(1, bits)) {
        return ERR_RANGE;
    }
    out->u64 = (uint64_t)whole;
    return ERR_OK;
}

bool value_is_legal(enum value_type type, union slot_value v)
{
    if (type == VALUE_FLOAT32) {
        return isnan(v.f64) || (double)(float)v.f64 == v.f64;
    }
    int bits = type < VALUE_TYPE_END ? types[type].bits : 0;
    if (!bits || bits == 64) {
        return true;
    }
    if (value_is_signed(type)) {
        int64_t limit = INT64_C(1) << (bits - 1);
        return v.i64 >= -limit && v.i64 < limit;
    }
    return v.u64 >> bits == 0;
}

static size_t quoted(char out[VALUE_TEXT_SIZE], const char *text)
{
    return (size_t)snprintf(out, VALUE_TEXT_SIZE, "\"%s\"", text);
}

size_t value_json(enum value_type type, union slot_value v, char out[VALUE_TEXT_SIZE])
{
    char text[NUMBER_TEXT_SIZE];
    switch (type) {
    case VALUE_BOOL:
        return (size_t)snprintf(out, VALUE_TEXT_SIZE, "%s", v.u64 ? "true" : "false");
    case VALUE_INT64:
        snprintf(text, sizeof text, "%lld", (long long)v.i64);
        return quoted(out, text);
    case VALUE_UINT64:
        snprintf(text, sizeof text, "%llu", (unsigned long long)v.u64);
        return quoted(out, text);
    case VALUE_FLOAT32:
    case VALUE_FLOAT64: {
        size_t n = type == VALUE_FLOAT32 ? number_text_float((float)v.f64, text)
                                         : number_text(v.f64, text);
        if (!isfinite(v.f64)) {
            return quoted(out, text);
        }
        memcpy(out, text, n + 1);
        return n;
    }
    default:
        return value_is_signed(type)
                   ? (size_t)snprintf(out, VALUE_TEXT_SIZE, "%lld", (long long)v.i64)
                   : (size_t)snprintf(out, VALUE_TEXT_SIZE, "%llu", (unsigned long long)v.u64);
    }
}
