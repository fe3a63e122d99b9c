/* SPDX-License-Identifier: Apache-2.0 */
/* The types of tags, and what a value looks like as text and JSON. */
#ifndef ISTHMUS_TAG_VALUE_H
#define ISTHMUS_TAG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slot.h"

/* The numbers are stored in journals and never change. They equal enum isthmus_type of the driver ABI. */
enum value_type {
    VALUE_BOOL = 1,
    VALUE_INT8,
    VALUE_UINT8,
    VALUE_INT16,
    VALUE_UINT16,
    VALUE_INT32,
    VALUE_UINT32,
    VALUE_INT64,
    VALUE_UINT64,
    VALUE_FLOAT32, /* a slot carries it widened to double; every float32 survives that bit for bit */
    VALUE_FLOAT64,
    VALUE_TEXT, /* UTF-8 */
    VALUE_BYTES,
    VALUE_TYPE_END
};

/* How a slot's 8 bytes hold it: bool and unsigned as u64, signed as i64 (sign extended), floats as f64,
 * text and bytes as a byte count with the bytes in the following slots. */

/* "bool", "int8" … "float64", "text", "bytes"; "?" for no type. */
const char *value_type_name(enum value_type type);
/* 0 if no type has that name. */
enum value_type value_type_find(const char *name, size_t size);

static inline bool value_is_long(enum value_type t)
{
    return t == VALUE_TEXT || t == VALUE_BYTES;
}
static inline bool value_is_signed(enum value_type t)
{
    return t == VALUE_INT8 || t == VALUE_INT16 || t == VALUE_INT32 || t == VALUE_INT64;
}
static inline bool value_is_float(enum value_type t)
{
    return t == VALUE_FLOAT32 || t == VALUE_FLOAT64;
}

/* The numeric value as double (exact up to 2^53). Not for long types. */
double value_as_double(enum value_type type, union slot_value v);

/* Converts a double into the type, rounding half to even for integers. ERR_RANGE if it doesn't fit (NaN fits no
 * integer). Not for long types. */
int value_from_double(enum value_type type, double number, union slot_value *out);

/* Whether the 8 bytes are a legal value of the type (bool 0/1, int16 within 16 bits …). */
bool value_is_legal(enum value_type type, union slot_value v);

#define VALUE_TEXT_SIZE 40

/* A numeric value as JSON (DESIGN section 4): shortest round trip, 64-bit integers as strings, NaN and infinities
 * as strings, float32 with the digits of a float32, bool true/false. Returns the length; never more than
 * VALUE_TEXT_SIZE - 1. Not for long types. */
size_t value_json(enum value_type type, union slot_value v, char out[VALUE_TEXT_SIZE]);

#endif
