/* SPDX-License-Identifier: Apache-2.0 */
#include "table/thrift.h"

#define NESTING_MAX 16u

bool thrift_next(struct reader *r, struct thrift_field *f)
{
    uint8_t head = read_u8(r);
    f->type = head & 0x0f;
    if (r->bad || f->type == THRIFT_STOP) {
        return false;
    }
    int64_t id = head >> 4 ? f->id + (head >> 4) : zigzag_decode(read_varint(r));
    if (id < 0 || id > INT16_MAX || f->type > THRIFT_UUID) {
        r->bad = true;
    }
    f->id = (int)id;
    return !r->bad;
}

int64_t thrift_int(struct reader *r, const struct thrift_field *f)
{
    if (f->type == THRIFT_I8) {
        return (int8_t)read_u8(r);
    }
    if (f->type < THRIFT_I16 || f->type > THRIFT_I64) {
        r->bad = true;
        return 0;
    }
    return zigzag_decode(read_varint(r));
}

bool thrift_bool(struct reader *r, const struct thrift_field *f)
{
    r->bad |= f->type != THRIFT_TRUE && f->type != THRIFT_FALSE;
    return f->type == THRIFT_TRUE;
}

struct reader thrift_binary(struct reader *r, const struct thrift_field *f)
{
    r->bad |= f->type != THRIFT_BINARY;
    uint64_t size = read_varint(r);
    if (size > reader_left(r)) {
        r->bad = true;
    }
    return read_part(r, (size_t)size);
}

/* Every element takes at least a byte, so a count beyond the bytes that are left is a lie. */
static size_t list_head(struct reader *r, uint8_t *element)
{
    uint8_t head = read_u8(r);
    uint64_t count = head >> 4 < 15 ? head >> 4 : read_varint(r);
    *element = head & 0x0f;
    if (count > reader_left(r)) {
        r->bad = true;
    }
    return r->bad ? 0 : (size_t)count;
}

size_t thrift_list(struct reader *r, const struct thrift_field *f, enum thrift_type element)
{
    uint8_t found = 0;
    r->bad |= f->type != THRIFT_LIST;
    size_t count = list_head(r, &found);
    if (count && found != element) {
        r->bad = true;
    }
    return r->bad ? 0 : count;
}

bool thrift_struct(struct reader *r, const struct thrift_field *f)
{
    r->bad |= f->type != THRIFT_STRUCT;
    return !r->bad;
}

static void skip_value(struct reader *r, unsigned type, unsigned depth);

static void skip_elements(struct reader *r, unsigned type, size_t count, unsigned depth)
{
    for (size_t i = 0; i < count && !r->bad; i++) {
        if (type == THRIFT_TRUE || type == THRIFT_FALSE) {
            read_u8(r); /* in lists and maps a bool is a byte */
        } else {
            skip_value(r, type, depth);
        }
    }
}

static void skip_map(struct reader *r, unsigned depth)
{
    uint64_t count = read_varint(r);
    uint8_t types = count ? read_u8(r) : 0;
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        skip_elements(r, types >> 4, 1, depth);
        skip_elements(r, types & 0x0f, 1, depth);
    }
}

static void skip_value(struct reader *r, unsigned type, unsigned depth)
{
    struct thrift_field f = {0};
    uint8_t element = 0;
    size_t count;
    if (depth == NESTING_MAX) {
        r->bad = true;
        return;
    }
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        break;
    case THRIFT_I8:
        read_u8(r);
        break;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        read_varint(r);
        break;
    case THRIFT_DOUBLE:
        read_bytes(r, 8);
        break;
    case THRIFT_BINARY:
        thrift_binary(r, &(struct thrift_field){.type = THRIFT_BINARY});
        break;
    case THRIFT_LIST:
    case THRIFT_SET:
        count = list_head(r, &element);
        skip_elements(r, element, count, depth + 1);
        break;
    case THRIFT_MAP:
        skip_map(r, depth + 1);
        break;
    case THRIFT_STRUCT:
        while (thrift_next(r, &f)) {
            skip_value(r, f.type, depth + 1);
        }
        break;
    case THRIFT_UUID:
        read_bytes(r, 16);
        break;
    default:
        r->bad = true;
    }
}

void thrift_skip(struct reader *r, const struct thrift_field *f)
{
    skip_value(r, f->type, 0);
}

/* Ids rise within a struct, by less than 16: so the short form does for every field that we write. */
static void put_head(struct thrift_out *t, int id, enum thrift_type type)
{
    int step = id - t->last[t->depth];
    t->w->bad |= step < 1 || step > 15;
    write_u8(t->w, (uint8_t)(step << 4 | (int)type));
    t->last[t->depth] = id;
}

void thrift_put_struct(struct thrift_out *t, int id)
{
    if (id) {
        put_head(t, id, THRIFT_STRUCT);
    }
    if (t->depth + 1 == THRIFT_DEPTH) {
        t->w->bad = true;
        return;
    }
    t->last[++t->depth] = 0;
}

void thrift_end_struct(struct thrift_out *t)
{
    write_u8(t->w, THRIFT_STOP);
    t->depth -= t->depth > 0;
}

void thrift_put_bool(struct thrift_out *t, int id, bool v)
{
    put_head(t, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_i8(struct thrift_out *t, int id, int8_t v)
{
    put_head(t, id, THRIFT_I8);
    write_u8(t->w, (uint8_t)v);
}

static void put_varint(struct thrift_out *t, int id, enum thrift_type type, int64_t v)
{
    if (id) {
        put_head(t, id, type);
    }
    write_varint(t->w, zigzag_encode(v));
}

void thrift_put_i16(struct thrift_out *t, int id, int16_t v)
{
    put_varint(t, id, THRIFT_I16, v);
}

void thrift_put_i32(struct thrift_out *t, int id, int32_t v)
{
    put_varint(t, id, THRIFT_I32, v);
}

void thrift_put_i64(struct thrift_out *t, int id, int64_t v)
{
    put_varint(t, id, THRIFT_I64, v);
}

void thrift_put_binary(struct thrift_out *t, int id, const void *data, size_t size)
{
    if (id) {
        put_head(t, id, THRIFT_BINARY);
    }
    write_varint(t->w, size);
    write_bytes(t->w, data, size);
}

void thrift_put_list(struct thrift_out *t, int id, enum thrift_type element, size_t count)
{
    put_head(t, id, THRIFT_LIST);
    if (count < 15) {
        write_u8(t->w, (uint8_t)(count << 4 | element));
    } else {
        write_u8(t->w, (uint8_t)(15 << 4 | element));
        write_varint(t->w, count);
    }
}
