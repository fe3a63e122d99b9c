/* SPDX-License-Identifier: Apache-2.0 */
/* Thrift's compact protocol (thrift/doc/specs/thrift-compact-protocol.md), as far as Parquet's metadata needs it. Codec
 * only: no allocation, no I/O. Reading goes on until the cursor is bad; check it once at the end. */
#ifndef ISTHMUS_TABLE_THRIFT_H
#define ISTHMUS_TABLE_THRIFT_H

#include "base/bytes.h"

enum thrift_type {
    THRIFT_STOP = 0,
    THRIFT_TRUE = 1, /* of a field: the value is in the type */
    THRIFT_FALSE = 2,
    THRIFT_I8 = 3,
    THRIFT_I16 = 4,
    THRIFT_I32 = 5,
    THRIFT_I64 = 6,
    THRIFT_DOUBLE = 7,
    THRIFT_BINARY = 8,
    THRIFT_LIST = 9,
    THRIFT_SET = 10,
    THRIFT_MAP = 11,
    THRIFT_STRUCT = 12,
    THRIFT_UUID = 13,
};

static inline int64_t zigzag_decode(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}
static inline uint64_t zigzag_encode(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

struct thrift_field { /* zero it at the beginning of a struct */
    int id;
    enum thrift_type type;
};

/* The next field of a struct; false at its end or when r is bad. Its value must be taken or skipped. */
bool thrift_next(struct reader *r, struct thrift_field *f);

/* Each takes the value of the field, and makes r bad if the field has another type. */
int64_t thrift_int(struct reader *r, const struct thrift_field *f);
bool thrift_bool(struct reader *r, const struct thrift_field *f);
struct reader thrift_binary(struct reader *r, const struct thrift_field *f);
/* The number of elements; those of `element` type follow. Never more than bytes are left. */
size_t thrift_list(struct reader *r, const struct thrift_field *f, enum thrift_type element);
bool thrift_struct(struct reader *r, const struct thrift_field *f); /* its fields follow */

/* Steps over the field's value, whatever it holds; structures nested deeper than 16 make r bad. */
void thrift_skip(struct reader *r, const struct thrift_field *f);

#define THRIFT_DEPTH 12u

struct thrift_out {
    struct writer *w;
    int last[THRIFT_DEPTH]; /* id of the last field, per nesting */
    unsigned depth;
};

/* Structs: begin one as field `id`, or (id 0) as an element of a list or the whole
 * message. */
void thrift_put_struct(struct thrift_out *t, int id);
void thrift_end_struct(struct thrift_out *t);
/* Fields; binary, i32 and i64 with id 0 are elements of a list. */
void thrift_put_bool(struct thrift_out *t, int id, bool v);
void thrift_put_i8(struct thrift_out *t, int id, int8_t v);
void thrift_put_i16(struct thrift_out *t, int id, int16_t v);
void thrift_put_i32(struct thrift_out *t, int id, int32_t v);
void thrift_put_i64(struct thrift_out *t, int id, int64_t v);
void thrift_put_binary(struct thrift_out *t, int id, const void *data, size_t size);
void thrift_put_list(struct thrift_out *t, int id, enum thrift_type element, size_t count);

#endif
