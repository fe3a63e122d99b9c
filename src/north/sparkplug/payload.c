/* SPDX-License-Identifier: Apache-2.0 */
/* A metric is written in one go into room that is checked once. Nearly all are shorter than 128 bytes, so one byte is
 * left for the length and filled in afterwards; a longer one is moved along.
 *
 *   data metric:  alias, datatype (constant) │ timestamp │ flags │ properties │ value
 *   properties:   seq, epoch, ns, and Quality, Status when not good: keys (constant), then values
 *
 * The specification says that data SHOULD NOT repeat the datatype; it costs two bytes, and decoders without memory
 * (sparkplug-payload among them) give no value without it. UInt32 travels in long_value, as Tahu has it. */
#include "north/sparkplug/payload.h"

#include "tag/status.h"

#include <math.h>

/* Keys of protobuf fields: number << 3 | wire type. */
enum {
    VARINT = 0,
    FIXED64 = 1,
    BYTES = 2,
    FIXED32 = 5,
    PAYLOAD_TIMESTAMP = 1 << 3 | VARINT,
    PAYLOAD_METRIC = 2 << 3 | BYTES,
    PAYLOAD_SEQ = 3 << 3 | VARINT,
    METRIC_NAME = 1 << 3 | BYTES,
    METRIC_ALIAS = 2 << 3 | VARINT,
    METRIC_TIMESTAMP = 3 << 3 | VARINT,
    METRIC_DATATYPE = 4 << 3 | VARINT,
    METRIC_IS_HISTORICAL = 5 << 3 | VARINT,
    METRIC_IS_NULL = 7 << 3 | VARINT,
    METRIC_PROPERTIES = 9 << 3 | BYTES,
    METRIC_INT_VALUE = 10 << 3 | VARINT,
    METRIC_LONG_VALUE = 11 << 3 | VARINT,
    METRIC_FLOAT_VALUE = 12 << 3 | FIXED32,
    METRIC_DOUBLE_VALUE = 13 << 3 | FIXED64,
    METRIC_BOOLEAN_VALUE = 14 << 3 | VARINT,
    METRIC_STRING_VALUE = 15 << 3 | BYTES,
    METRIC_BYTES_VALUE = 16 << 3 | BYTES, /* two bytes on the wire */
    SET_KEY = 1 << 3 | BYTES,
    SET_VALUE = 2 << 3 | BYTES,
    PROPERTY_TYPE = 1 << 3 | VARINT,
    PROPERTY_INT = 3 << 3 | VARINT,
    PROPERTY_LONG = 4 << 3 | VARINT,
    PROPERTY_DOUBLE = 6 << 3 | FIXED64,
    PROPERTY_STRING = 8 << 3 | BYTES,
};

enum { QUALITY_BAD = 0, QUALITY_GOOD = 192, QUALITY_STALE = 500 };

enum sparkplug_type sparkplug_type_of(enum value_type type)
{
    static const uint8_t types[VALUE_TYPE_END] = {
        [VALUE_BOOL] = SPARKPLUG_BOOLEAN,   [VALUE_INT8] = SPARKPLUG_INT8,
        [VALUE_UINT8] = SPARKPLUG_UINT8,    [VALUE_INT16] = SPARKPLUG_INT16,
        [VALUE_UINT16] = SPARKPLUG_UINT16,  [VALUE_INT32] = SPARKPLUG_INT32,
        [VALUE_UINT32] = SPARKPLUG_UINT32,  [VALUE_INT64] = SPARKPLUG_INT64,
        [VALUE_UINT64] = SPARKPLUG_UINT64,  [VALUE_FLOAT32] = SPARKPLUG_FLOAT,
        [VALUE_FLOAT64] = SPARKPLUG_DOUBLE, [VALUE_TEXT] = SPARKPLUG_STRING,
        [VALUE_BYTES] = SPARKPLUG_BYTES,
    };
    return type < VALUE_TYPE_END ? (enum sparkplug_type)types[type] : 0;
}

/* ---- Raw writing: the room was checked. ---- */

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static inline uint8_t *put_field(uint8_t *p, uint8_t key, uint64_t v)
{
    *p++ = key;
    return put_varint(p, v);
}

static inline uint8_t *put_le(uint8_t *p, uint64_t bits, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        p[i] = (uint8_t)(bits >> (8 * i));
    }
    return p + width;
}

static inline uint8_t *put_double(uint8_t *p, uint8_t key, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *p++ = key;
    return put_le(p, bits, 8);
}

static inline uint8_t *put_block(uint8_t *p, uint8_t key, const void *data, size_t size)
{
    p = put_field(p, key, size);
    if (data && size) {
        memcpy(p, data, size);
    }
    return p + size;
}

/* Ends what began behind `length`, where one byte was left for its length. */
static inline uint8_t *end_block(uint8_t *length, uint8_t *p)
{
    size_t size = (size_t)(p - length - 1);
    if (size < 0x80) {
        *length = (uint8_t)size;
        return p;
    }
    uint8_t bytes[10];
    size_t more = (size_t)(put_varint(bytes, size) - bytes);
    memmove(length + more, length + 1, size);
    memcpy(length, bytes, more);
    return length + more + size;
}

static inline uint64_t milliseconds(int64_t time_ns)
{
    return time_ns > 0 ? (uint64_t)time_ns / 1000000u : 0;
}

/* ---- Properties. ---- */

static inline uint8_t *put_key(uint8_t *p, const char *key)
{
    return put_block(p, SET_KEY, key, strlen(key));
}

static inline uint8_t *put_number(uint8_t *p, enum sparkplug_type type, uint8_t key, uint64_t v)
{
    *p++ = SET_VALUE;
    uint8_t *length = p++;
    p = put_field(p, PROPERTY_TYPE, (uint64_t)type);
    p = put_field(p, key, v);
    *length = (uint8_t)(p - length - 1); /* at most 13 */
    return p;
}

static uint8_t *put_real(uint8_t *p, double v)
{
    p = put_field(p, SET_VALUE, 11);
    p = put_field(p, PROPERTY_TYPE, SPARKPLUG_DOUBLE);
    return put_double(p, PROPERTY_DOUBLE, v);
}

static uint8_t *put_string(uint8_t *p, const char *text)
{
    *p++ = SET_VALUE;
    uint8_t *length = p++;
    p = put_field(p, PROPERTY_TYPE, SPARKPLUG_STRING);
    p = put_block(p, PROPERTY_STRING, text, strlen(text));
    return end_block(length, p);
}

static inline uint64_t quality_of(uint32_t status)
{
    enum status_severity severity = status_severity(status);
    return severity == SEVERITY_GOOD        ? QUALITY_GOOD
           : severity == SEVERITY_UNCERTAIN ? QUALITY_STALE
                                            : QUALITY_BAD;
}

static inline uint8_t *put_properties(uint8_t *p, const struct metric_sample *s,
                                      const struct metric_birth *birth)
{
    static const uint8_t identity[] = "\x0a\x03seq\x0a\x05"
                                      "epoch\x0a\x02ns";
    bool unit = birth && birth->unit && *birth->unit, range = birth && birth->has_range;
    if (!s->sequence && !s->status && !unit && !range) {
        return p;
    }
    *p++ = METRIC_PROPERTIES;
    uint8_t *length = p++;
    if (s->sequence) {
        memcpy(p, identity, sizeof identity - 1);
        p += sizeof identity - 1;
    }
    p = s->status ? put_key(put_key(p, "Quality"), "Status") : p;
    p = unit ? put_key(p, "engUnit") : p;
    p = range ? put_key(put_key(p, "engLow"), "engHigh") : p;
    if (s->sequence) {
        p = put_number(p, SPARKPLUG_UINT64, PROPERTY_LONG, s->sequence);
        p = put_number(p, SPARKPLUG_UINT64, PROPERTY_LONG, s->epoch);
        uint64_t ns = s->time_ns > 0 ? (uint64_t)s->time_ns % 1000000u : 0;
        p = put_number(p, SPARKPLUG_INT32, PROPERTY_INT, ns);
    }
    if (s->status) {
        p = put_number(p, SPARKPLUG_INT32, PROPERTY_INT, quality_of(s->status));
        p = put_number(p, SPARKPLUG_UINT32, PROPERTY_LONG, s->status);
    }
    p = unit ? put_string(p, birth->unit) : p;
    p = range ? put_real(put_real(p, birth->low), birth->high) : p;
    return end_block(length, p);
}

/* ---- Values. ---- */

static inline uint8_t *put_value(uint8_t *p, enum value_type type, union slot_value v,
                                 const void *bytes)
{
    float narrow;
    uint32_t bits;
    switch (type) {
    case VALUE_BOOL:
        return put_field(p, METRIC_BOOLEAN_VALUE, v.u64 != 0);
    case VALUE_INT8:
    case VALUE_INT16:
    case VALUE_INT32:
    case VALUE_UINT8:
    case VALUE_UINT16:
        return put_field(p, METRIC_INT_VALUE, (uint32_t)v.u64); /* two's complement of 32 bits */
    case VALUE_UINT32:
    case VALUE_INT64:
    case VALUE_UINT64:
        return put_field(p, METRIC_LONG_VALUE, v.u64);
    case VALUE_FLOAT32:
        narrow = (float)v.f64;
        memcpy(&bits, &narrow, sizeof bits);
        *p++ = METRIC_FLOAT_VALUE;
        return put_le(p, bits, 4);
    case VALUE_FLOAT64:
        return put_double(p, METRIC_DOUBLE_VALUE, v.f64);
    case VALUE_TEXT:
        return put_block(p, METRIC_STRING_VALUE, bytes, (size_t)v.u64);
    case VALUE_BYTES:
        *p++ = (uint8_t)(METRIC_BYTES_VALUE | 0x80);
        return put_block(p, METRIC_BYTES_VALUE >> 7, bytes, (size_t)v.u64);
    default:
        return p;
    }
}

void metric_shape_init(struct metric_shape *shape, uint32_t alias, enum value_type type)
{
    uint8_t bytes[16];
    uint8_t *p = put_field(bytes, METRIC_ALIAS, alias & SLOT_ID_MAX);
    p = put_field(p, METRIC_DATATYPE, sparkplug_type_of(type));
    shape->type = type;
    shape->prefix_size = (uint8_t)(p - bytes);
    memset(shape->prefix, 0, sizeof shape->prefix);
    memcpy(shape->prefix, bytes, shape->prefix_size);
}

static size_t texts_size(const struct metric_shape *shape, const struct metric_sample *s,
                         const struct metric_birth *birth)
{
    size_t size = value_is_long(shape->type) && !s->is_null ? (size_t)s->value.u64 : 0;
    if (birth) {
        size += strlen(birth->name) + (birth->unit ? strlen(birth->unit) : 0);
    }
    return size;
}

void metric_encode(struct writer *w, const struct metric_shape *shape,
                   const struct metric_sample *s, const struct metric_birth *birth)
{
    if (w->bad || writer_left(w) < METRIC_ROOM + texts_size(shape, s, birth)) {
        w->bad = true;
        return;
    }
    uint8_t *p = w->at;
    *p++ = PAYLOAD_METRIC;
    uint8_t *length = p++;
    p = birth ? put_block(p, METRIC_NAME, birth->name, strlen(birth->name)) : p;
    memcpy(p, shape->prefix, sizeof shape->prefix);
    p += shape->prefix_size;
    p = put_field(p, METRIC_TIMESTAMP, milliseconds(s->time_ns));
    p = s->is_historical ? put_field(p, METRIC_IS_HISTORICAL, 1) : p;
    p = s->is_null ? put_field(p, METRIC_IS_NULL, 1) : p;
    p = put_properties(p, s, birth);
    p = s->is_null ? p : put_value(p, shape->type, s->value, s->bytes);
    w->at = end_block(length, p);
}

void metric_encode_named(struct writer *w, const char *name, enum value_type type, uint64_t value,
                         int64_t time_ns)
{
    size_t size = strlen(name);
    if (w->bad || writer_left(w) < METRIC_ROOM + size) {
        w->bad = true;
        return;
    }
    uint8_t *p = w->at;
    *p++ = PAYLOAD_METRIC;
    uint8_t *length = p++;
    p = put_block(p, METRIC_NAME, name, size);
    p = put_field(p, METRIC_TIMESTAMP, milliseconds(time_ns));
    p = put_field(p, METRIC_DATATYPE, sparkplug_type_of(type));
    p = put_value(p, type, (union slot_value){.u64 = value}, NULL);
    w->at = end_block(length, p);
}

static void write_field(struct writer *w, uint8_t key, uint64_t value)
{
    uint8_t bytes[11];
    write_bytes(w, bytes, (size_t)(put_field(bytes, key, value) - bytes));
}

void payload_begin(struct writer *w, int64_t time_ns)
{
    write_field(w, PAYLOAD_TIMESTAMP, milliseconds(time_ns));
}

void payload_end(struct writer *w, uint8_t seq)
{
    write_field(w, PAYLOAD_SEQ, seq);
}

/* ---- Decoding. ---- */

static struct reader read_block(struct reader *in)
{
    uint64_t size = read_varint(in);
    if (size > reader_left(in)) {
        in->bad = true;
    }
    return read_part(in, (size_t)size);
}

/* Steps over a field that means nothing to us. Groups (wire types 3 and 4) are not in the schema. */
static void skip(struct reader *in, uint64_t key)
{
    switch (key & 7) {
    case VARINT:
        read_varint(in);
        break;
    case FIXED64:
        read_bytes(in, 8);
        break;
    case BYTES:
        read_block(in);
        break;
    case FIXED32:
        read_bytes(in, 4);
        break;
    default:
        in->bad = true;
    }
    in->bad |= key >> 3 == 0;
}

static void read_text(struct reader *in, struct metric *m, enum metric_field field)
{
    struct reader block = read_block(in);
    m->field = field;
    m->bytes = block.at;
    m->size = reader_left(&block);
}

static void read_metric_field(struct reader *in, uint64_t key, struct metric *m)
{
    struct reader block;
    uint32_t narrow;
    uint64_t wide;
    float f;
    switch (key) {
    case METRIC_NAME:
        block = read_block(in);
        m->name = (const char *)block.at;
        m->name_size = reader_left(&block);
        break;
    case METRIC_ALIAS:
        m->alias = read_varint(in);
        m->has_alias = true;
        break;
    case METRIC_TIMESTAMP:
        m->timestamp = read_varint(in);
        break;
    case METRIC_DATATYPE:
        m->datatype = (uint32_t)read_varint(in);
        break;
    case METRIC_IS_HISTORICAL:
        m->is_historical = read_varint(in) != 0;
        break;
    case METRIC_IS_NULL:
        m->is_null = read_varint(in) != 0;
        break;
    case METRIC_INT_VALUE:
        m->field = METRIC_INT;
        m->number = (uint32_t)read_varint(in);
        break;
    case METRIC_LONG_VALUE:
        m->field = METRIC_LONG;
        m->number = read_varint(in);
        break;
    case METRIC_BOOLEAN_VALUE:
        m->field = METRIC_BOOLEAN;
        m->number = read_varint(in) != 0;
        break;
    case METRIC_FLOAT_VALUE:
        m->field = METRIC_FLOAT;
        narrow = read_u32le(in);
        memcpy(&f, &narrow, sizeof f);
        m->real = (double)f;
        break;
    case METRIC_DOUBLE_VALUE:
        m->field = METRIC_DOUBLE;
        wide = read_u64le(in);
        memcpy(&m->real, &wide, sizeof m->real);
        break;
    case METRIC_STRING_VALUE:
        read_text(in, m, METRIC_STRING);
        break;
    case METRIC_BYTES_VALUE:
        read_text(in, m, METRIC_BYTES);
        break;
    default:
        m->field = key >> 3 >= 17 && key >> 3 <= 19 ? METRIC_OTHER : m->field;
        skip(in, key);
    }
}

static int read_metric(struct reader *in, struct metric *m)
{
    struct reader body = read_block(in);
    *m = (struct metric){0};
    while (reader_left(&body)) {
        read_metric_field(&body, read_varint(&body), m);
    }
    in->bad |= body.bad;
    return in->bad ? ERR_MALFORMED : 1;
}

/* 1: a metric, 0: the end. The payload's own fields go to `head` (may be NULL). */
static int next(struct reader *in, struct payload_head *head, struct metric *m)
{
    while (reader_left(in)) {
        uint64_t key = read_varint(in);
        if (key == PAYLOAD_METRIC) {
            return read_metric(in, m);
        }
        if (head && key == PAYLOAD_TIMESTAMP) {
            head->timestamp = read_varint(in);
            head->has_timestamp = true;
        } else if (head && key == PAYLOAD_SEQ) {
            head->seq = read_varint(in);
            head->has_seq = true;
        } else {
            skip(in, key);
        }
    }
    return in->bad ? ERR_MALFORMED : 0;
}

int payload_next(struct reader *in, struct metric *metric)
{
    return next(in, NULL, metric);
}

int payload_check(const void *data, size_t size, struct payload_head *head)
{
    struct reader in = reader_of(data, size);
    struct metric m;
    int more;
    *head = (struct payload_head){0};
    while ((more = next(&in, head, &m)) > 0) {
        head->metrics++;
    }
    return more;
}

int metric_value(const struct metric *m, enum value_type type, union slot_value *out)
{
    switch (m->field) {
    case METRIC_BOOLEAN:
        out->u64 = m->number;
        return type == VALUE_BOOL ? ERR_OK : ERR_TYPE;
    case METRIC_INT:
    case METRIC_LONG:
        out->u64 = m->number;
        if (value_is_signed(type) && m->field == METRIC_INT) {
            out->i64 = (int32_t)(uint32_t)m->number;
        }
        if (value_is_float(type) || value_is_long(type)) {
            return ERR_TYPE;
        }
        return value_is_legal(type, *out) ? ERR_OK : ERR_RANGE;
    case METRIC_FLOAT:
    case METRIC_DOUBLE:
        out->f64 = m->real;
        if (!value_is_float(type)) {
            return ERR_TYPE;
        }
        return value_is_legal(type, *out) ? ERR_OK : ERR_RANGE;
    default:
        return ERR_TYPE;
    }
}
