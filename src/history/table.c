/* SPDX-License-Identifier: Apache-2.0 */
#include "history/block.h"
#include "history/words.h"

#include <stdlib.h>

/* The fields of an entry, in the order of their columns. */
struct field {
    size_t at, size;
};
#define FIELD(name)                                                                                \
    {                                                                                              \
        offsetof(struct block_entry, name), sizeof(((struct block_entry *)NULL)->name)             \
    }
static const struct field fields[] = {
    FIELD(summary.count),
    FIELD(summary.good),
    FIELD(summary.bad),
    FIELD(summary.first_ns),
    FIELD(summary.last_ns),
    FIELD(summary.first_status),
    FIELD(summary.last_status),
    FIELD(summary.first),
    FIELD(summary.last),
    FIELD(summary.min),
    FIELD(summary.max),
    FIELD(summary.min_ns),
    FIELD(summary.max_ns),
    FIELD(summary.sum),
    FIELD(summary.integral),
    FIELD(summary.good_ns),
    FIELD(offset),
    FIELD(size),
    FIELD(crc),
};
#define FIELDS (sizeof fields / sizeof *fields)
#define CHUNK  WORDS_MAX

int table_encode(struct block_scratch *s, enum value_type type, const struct block_entry *entries,
                 uint32_t count, uint8_t *out, size_t capacity)
{
    (void)s;
    (void)type;
    struct words_scratch scratch;
    uint64_t column[CHUNK];
    struct writer w = writer_of(out, capacity);
    write_varint(&w, count);
    for (uint32_t from = 0; from < count; from += CHUNK) {
        uint32_t n = count - from < CHUNK ? count - from : CHUNK;
        for (size_t f = 0; f < FIELDS; f++) {
            for (uint32_t i = 0; i < n; i++) {
                column[i] = 0;
                memcpy(column + i, (const uint8_t *)(entries + from + i) + fields[f].at,
                       fields[f].size);
            }
            int err = words_encode(&scratch, column, n, &w);
            if (err) {
                return err;
            }
        }
    }
    return w.bad ? ERR_FULL : (int)writer_used(&w);
}

int table_count(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    uint64_t count = read_varint(&in);
    return in.bad || count > 1u << 30 ? ERR_MALFORMED : (int)count;
}

int table_decode(struct block_scratch *s, enum value_type type, const uint8_t *data, size_t size,
                 struct block_entry *out, uint32_t capacity)
{
    (void)s;
    (void)type;
    struct words_scratch scratch;
    uint64_t column[CHUNK];
    struct reader in = reader_of(data, size);
    uint64_t count = read_varint(&in);
    if (in.bad || count > capacity) {
        return in.bad ? ERR_MALFORMED : ERR_FULL;
    }
    for (uint32_t from = 0; from < count; from += CHUNK) {
        uint32_t n = (uint32_t)count - from < CHUNK ? (uint32_t)count - from : CHUNK;
        for (size_t f = 0; f < FIELDS; f++) {
            int err = words_decode(&scratch, &in, n, column);
            if (err) {
                return err;
            }
            for (uint32_t i = 0; i < n; i++) {
                memcpy((uint8_t *)(out + from + i) + fields[f].at, column + i, fields[f].size);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct block_summary *b = &out[i].summary;
        if (b->last_ns < b->first_ns || b->count == 0 || b->count > BLOCK_SAMPLES) {
            return ERR_MALFORMED;
        }
    }
    return (int)count;
}
