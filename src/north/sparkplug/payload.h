/* SPDX-License-Identifier: Apache-2.0 */
/* The Sparkplug B payload (Sparkplug 3.0, chapter 6; sparkplug_b.proto): protobuf bytes to values and back. No I/O, no
 * clock, no allocation. Encoding goes into the caller's memory, decoding borrows from the input. */
#ifndef ISTHMUS_NORTH_SPARKPLUG_PAYLOAD_H
#define ISTHMUS_NORTH_SPARKPLUG_PAYLOAD_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/slot.h"
#include "tag/value.h"

enum sparkplug_type { /* 6.4.16 */
                      SPARKPLUG_INT8 = 1,
                      SPARKPLUG_INT16,
                      SPARKPLUG_INT32,
                      SPARKPLUG_INT64,
                      SPARKPLUG_UINT8,
                      SPARKPLUG_UINT16,
                      SPARKPLUG_UINT32,
                      SPARKPLUG_UINT64,
                      SPARKPLUG_FLOAT,
                      SPARKPLUG_DOUBLE,
                      SPARKPLUG_BOOLEAN,
                      SPARKPLUG_STRING,
                      SPARKPLUG_BYTES = 17
};

enum sparkplug_type sparkplug_type_of(enum value_type type);

/* ---- Encoding. ---- */

/* What is constant of a tag's metric. */
struct metric_shape {
    enum value_type type;
    uint8_t prefix_size;
    uint8_t prefix[8]; /* alias and datatype, encoded */
};
void metric_shape_init(struct metric_shape *shape, uint32_t alias, enum value_type type);

/* What only a birth says of a tag. */
struct metric_birth {
    const char *name, *unit;
    bool has_range;
    double low, high;
};

struct metric_sample {
    int64_t time_ns;        /* < 0 is given as 0: Sparkplug's times are unsigned */
    union slot_value value; /* long types: u64 is the length of bytes */
    const void *bytes;
    uint32_t status;
    bool is_null; /* there is no value */
    bool is_historical;
    uint64_t epoch, sequence; /* sequence 0: not from the journal, no identity is given */
};

/* More than any metric needs beyond its text, bytes, name and unit. */
#define METRIC_ROOM 288u

/* Appends one metric of a tag. `birth` NULL: data, without name and metadata. The writer goes bad when METRIC_ROOM and
 * the texts do not fit. */
void metric_encode(struct writer *w, const struct metric_shape *shape,
                   const struct metric_sample *sample, const struct metric_birth *birth);

/* A metric without alias: bdSeq, Node Control/Rebirth. */
void metric_encode_named(struct writer *w, const char *name, enum value_type type, uint64_t value,
                         int64_t time_ns);

/* The payload's own fields, before and behind its metrics. */
void payload_begin(struct writer *w, int64_t time_ns);
void payload_end(struct writer *w, uint8_t seq);

/* ---- Decoding. ---- */

struct payload_head {
    bool has_timestamp, has_seq;
    uint64_t timestamp, seq;
    uint32_t metrics;
};

enum metric_field {
    METRIC_NONE,
    METRIC_INT,
    METRIC_LONG,
    METRIC_FLOAT,
    METRIC_DOUBLE,
    METRIC_BOOLEAN,
    METRIC_STRING,
    METRIC_BYTES,
    METRIC_OTHER /* data set, template, extension */
};

struct metric {
    const char *name; /* borrowed, not terminated; NULL: none */
    size_t name_size;
    bool has_alias, is_null, is_historical;
    uint64_t alias, timestamp;
    uint32_t datatype;
    enum metric_field field;
    uint64_t number; /* int, long, boolean */
    double real;     /* float, double */
    const uint8_t *bytes;
    size_t size; /* of bytes: string, bytes */
};

/* Proves a whole payload. 0, or ERR_MALFORMED. */
MUST_USE int payload_check(const void *data, size_t size, struct payload_head *head);

/* The next metric of a payload that `in` walks through: 1, 0 at the end, or ERR_MALFORMED. */
MUST_USE int payload_next(struct reader *in, struct metric *metric);

/* The metric's value for a tag of that type: 0, ERR_TYPE, ERR_RANGE. Not for long types. */
MUST_USE int metric_value(const struct metric *metric, enum value_type type, union slot_value *out);

#endif
