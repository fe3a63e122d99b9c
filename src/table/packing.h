/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet's two ways to pack integers (apache/parquet-format, Encodings.md): the hybrid of run lengths and bit-packing
 * (RLE), for definition levels, dictionary indexes and bools; and DELTA_BINARY_PACKED, for integers and lengths.
 * Decoders hand out one value at a time and go bad for good, as cursors do. */
#ifndef ISTHMUS_TABLE_PACKING_H
#define ISTHMUS_TABLE_PACKING_H

#include "base/bytes.h"

struct hybrid {
    struct reader in;
    unsigned width; /* bits of a value, 0..32 */
    bool packed;
    uint64_t left; /* values left of the run */
    uint32_t value;
    uint64_t bits; /* read but not handed out, of a packed run */
    unsigned bit_count;
};

/* Borrows what `in` holds. A width beyond 32 makes it bad. */
struct hybrid hybrid_of(struct reader in, unsigned width);
uint32_t hybrid_next(struct hybrid *h); /* 0 when it is bad: see h->in.bad */

/* Writes values of `width` bits (1..32). */
void hybrid_encode(struct writer *w, const uint32_t *values, size_t count, unsigned width);
/* The most bytes it can take. */
size_t hybrid_bound(size_t count, unsigned width);

#define DELTA_MINIBLOCKS_MAX 256u

struct delta {
    struct reader in;
    unsigned value_bits; /* 32 or 64: sums wrap there */
    uint64_t left;       /* values not handed out yet */
    uint64_t value;
    int64_t min_delta;
    size_t mini_size; /* values of a miniblock */
    unsigned mini_count, mini;
    const uint8_t *widths; /* of the block's miniblocks; borrowed */
    const uint8_t *packed; /* the miniblock's bits; borrowed */
    unsigned width;
    size_t mini_at; /* values handed out of the miniblock */
    bool first;
};

/* Borrows what `in` holds and reads the header. */
struct delta delta_of(struct reader in, unsigned value_bits);
/* Signed: the value of 32 bits is extended. 0 when it is bad (see d->in.bad), also behind the last value. */
int64_t delta_next(struct delta *d);
/* What stands behind the last value: reads through them all. */
struct reader delta_rest(struct delta d);

void delta_encode(struct writer *w, const uint64_t *values, size_t count, unsigned value_bits);
size_t delta_bound(size_t count);

#endif
