/* SPDX-License-Identifier: Apache-2.0 */
/* A column of a batch as the bytes of Parquet's pages: values, levels, dictionary, statistics. No I/O, no compression. */
#ifndef ISTHMUS_TABLE_PARQUET_ENCODE_H
#define ISTHMUS_TABLE_PARQUET_ENCODE_H

#include "base/bytes.h"
#include "table/parquet.h"
#include "table/table.h"

/* The longest text that stands in statistics; columns with a longer minimum or maximum have neither. */
#define STATISTICS_TEXT_MAX 64u

struct column_statistics {
    size_t nulls;
    bool bounded; /* has minimum and maximum, as PLAIN bytes (texts without length) */
    uint8_t min[STATISTICS_TEXT_MAX], max[STATISTICS_TEXT_MAX];
    size_t min_size, max_size;
};

struct encoder { /* scratch memory for one column at a time; allocated once */
    size_t rows;
    uint64_t *words;   /* rows: the values without nulls */
    uint32_t *levels;  /* rows */
    uint32_t *indexes; /* rows: into the dictionary, without nulls */
    size_t index_count;
    uint32_t *first;   /* rows: the row that brought each entry of the dictionary */
    uint32_t *table;   /* open addressing: entry + 1, 0 = free */
    size_t table_size; /* a power of two */
    size_t entries;    /* of the dictionary */
};

MUST_USE int encoder_init(struct encoder *e, size_t rows);
void encoder_fini(struct encoder *e);

enum parquet_type column_storage(enum column_type type);

void column_measure(const struct batch *b, size_t column, struct column_statistics *s);

/* Whether a dictionary pays for the column; if so it is in `e` for the two calls below. */
bool dictionary_build(struct encoder *e, const struct batch *b, size_t column);
void dictionary_put(const struct encoder *e, const struct batch *b, size_t column,
                    struct writer *w);
void dictionary_put_indexes(const struct encoder *e, struct writer *w);

/* Definition levels of a data page of version 1: 1 for a value, 0 for null. */
void levels_put(struct encoder *e, const struct batch *b, size_t column, struct writer *w);
/* The values without a dictionary, and how they are encoded then. */
void values_put(struct encoder *e, const struct batch *b, size_t column, struct writer *w);
enum parquet_encoding column_encoding(enum column_type type);

/* The most bytes of a page of any column of such a batch. */
size_t page_bound(const struct batch *b);

#endif
