/* SPDX-License-Identifier: Apache-2.0 */
/* A block: up to 1,024 samples of one tag as columns, its encoding, and its summary. What a sealed file is made of;
 * the bytes are specified in docs/journal-format.md, "Sealed blocks". Encoding is lossless to the bit (NaN payloads,
 * -0.0 and all 32 bits of the status included). Pure functions over memory: no I/O, no clock, no allocation but in
 * block_scratch_new. A scratch serves one thread at a time. */
#ifndef ISTHMUS_HISTORY_BLOCK_H
#define ISTHMUS_HISTORY_BLOCK_H

#include "base/err.h"
#include "tag/value.h"

#include <stddef.h>
#include <stdint.h>

#define BLOCK_SAMPLES  1024u
#define BLOCK_TEXT_MAX (256u * 1024u) /* bytes of texts in one block */

/* No block of numbers, and no block at all, is longer than this. */
#define BLOCK_NUMBER_BYTES_MAX (36u * 1024u)
#define BLOCK_BYTES_MAX        (BLOCK_NUMBER_BYTES_MAX + BLOCK_TEXT_MAX + 4096u)

/* Sorted by time; among equal times the order of arrival. In the caller's memory. */
struct block {
    enum value_type type;
    uint32_t count;                           /* 1..BLOCK_SAMPLES */
    _Alignas(64) int64_t time[BLOCK_SAMPLES]; /* ns UTC, never decreasing */
    _Alignas(64)
        uint64_t value[BLOCK_SAMPLES]; /* as in slots (tag/value.h); text and bytes: the length */
    _Alignas(64) uint32_t status[BLOCK_SAMPLES];  /* OPC UA StatusCode */
    _Alignas(64) uint32_t text_at[BLOCK_SAMPLES]; /* text and bytes: where in `text` */
    uint8_t *text;                                /* borrowed; NULL for numbers */
    uint32_t text_size, text_capacity;
};

enum block_part {
    BLOCK_TIME = 1,
    BLOCK_VALUE = 2,
    BLOCK_STATUS = 4,
    BLOCK_TEXT = 8,
    BLOCK_ALL = 15
};

/* The first sample of [from, to) that is not before `ns`, else `to`. */
static inline uint32_t block_find(const struct block *b, uint32_t from, uint32_t to, int64_t ns)
{
    if (from < to && b->time[to - 1] < ns) {
        return to;
    }
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (b->time[middle] < ns) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

struct block_scratch;
int block_scratch_new(struct block_scratch **out) MUST_USE;
void block_scratch_free(struct block_scratch *s);

/* Returns the number of bytes written, at most BLOCK_BYTES_MAX. ERR_MALFORMED: count is 0 or too great, times decrease, or
 * a text lies outside of `text`. ERR_TOO_LONG: the distinct texts have more than BLOCK_TEXT_MAX bytes. ERR_FULL: `capacity` is
 * too small. */
int block_encode(struct block_scratch *s, const struct block *b, uint8_t *out,
                 size_t capacity) MUST_USE;

/* Decodes the parts of mask `parts` (BLOCK_TEXT brings BLOCK_VALUE along: texts need their lengths); count and type are
 * always set, other columns are left as they are or hold garbage. For BLOCK_TEXT of a text tag the caller gives
 * out->text and out->text_capacity. `data` may be any bytes: the answer is 0, or ERR_MALFORMED, or ERR_SHORT, or ERR_FULL
 * if the texts are longer than the capacity. Decoded times never decrease. Samples beyond count hold garbage. */
int block_decode(struct block_scratch *s, const uint8_t *data, size_t size, unsigned parts,
                 struct block *out) MUST_USE;

/* What stands for a block in a file's table. Numbers as double (tag/value.h's value_as_double). "Good" is a sample whose
 * status has severity good and whose number is not NaN; samples of text and bytes tags are good by status and have no
 * numbers: min, max, sum, integral and their times are 0.
 * Without a good sample min, max, sum, integral, min_ns, max_ns are 0. */
struct block_summary {
    uint32_t count, good;
    uint32_t bad; /* samples with severity bad */
    uint32_t first_status, last_status;
    int64_t first_ns, last_ns; /* of the first and the last sample, whatever their status */
    uint64_t first, last;      /* their value words */
    double min, max;
    int64_t min_ns, max_ns; /* of the first sample with that value */
    double sum;
    double integral; /* value × seconds: each good sample held until the next sample of the block */
    int64_t good_ns; /* the time so covered; the last sample covers nothing */
};

void block_summarise(const struct block *b, struct block_summary *out);
/* The least and the greatest number of samples [from, to); false: not all are plainly good (status 0) numbers. from < to. */
bool block_range(const struct block *b, uint32_t from, uint32_t to, double *least,
                 double *greatest);
/* The summary of samples [from, to), as if they were a block; from < to. */
void block_summarise_part(const struct block *b, uint32_t from, uint32_t to,
                          struct block_summary *out);

/* One row of a sealed file's table. */
struct block_entry {
    struct block_summary summary;
    uint64_t offset;
    uint32_t size, crc;
};

#define TABLE_ENTRY_BYTES_MAX  192u
#define TABLE_BYTES_MAX(count) ((size_t)(count)*TABLE_ENTRY_BYTES_MAX + 4096u)

/* The table of `count` blocks of one tag. Bytes written, or ERR_FULL. */
int table_encode(struct block_scratch *s, enum value_type type, const struct block_entry *entries,
                 uint32_t count, uint8_t *out, size_t capacity) MUST_USE;

/* How many entries a table has; negative: ERR_MALFORMED. Hostile bytes can claim up to 64 entries a byte, so take the
 * memory only for what you expect. */
int table_count(const uint8_t *data, size_t size) MUST_USE;

/* Decodes all entries; ERR_FULL if there are more than `capacity`. first_ns and last_ns are proven to be in order. */
int table_decode(struct block_scratch *s, enum value_type type, const uint8_t *data, size_t size,
                 struct block_entry *out, uint32_t capacity) MUST_USE;

#endif
