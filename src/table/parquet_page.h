/* SPDX-License-Identifier: Apache-2.0 */
/* One column chunk of a Parquet file, value after value: finds its pages, decompresses and decodes them (data pages of
 * version 1 and 2, Encodings.md). Hostile input. */
#ifndef ISTHMUS_TABLE_PARQUET_PAGE_H
#define ISTHMUS_TABLE_PARQUET_PAGE_H

#include <zstd.h>

#include "table/packing.h"
#include "table/parquet_meta.h"

#define PAGE_SIZE_MAX   (UINT32_C(64) << 20)
#define PAGE_VALUES_MAX (UINT32_C(16) << 20)

struct memory { /* grows when a page needs it */
    uint8_t *data;
    size_t capacity;
};

struct page_source { /* shared by all columns of a file */
    struct table_source file;
    struct table_problem *problem;
    size_t group;         /* for messages */
    size_t memory_left;   /* what may still be allocated */
    struct memory packed; /* a page as it stands in the file */
    struct memory head;   /* a page's head */
    ZSTD_DCtx *zstd;
};

struct value {
    union cell cell;
    const uint8_t *data; /* of a text or bytes: borrowed until the column's next page */
    uint32_t size;
};

struct page_column {
    const struct leaf *leaf;
    int32_t codec;
    uint64_t at, end;                  /* the next page in the file, the chunk's end */
    struct memory page;                /* the data page, decompressed */
    struct memory dictionary, entries; /* its bytes; where its texts begin */
    size_t dictionary_size, entry_count;
    bool has_dictionary;
    uint32_t left; /* values left of the page, with nulls */
    struct hybrid levels;
    int encoding; /* of the page's values */
    struct reader plain;
    struct hybrid indexes;   /* of a dictionary, or bools */
    struct delta delta;      /* integers, or lengths of texts */
    size_t position, stride; /* of bools and of split bytes */
};

/* Begins a chunk; memory of an earlier one is used again. */
void page_column_begin(struct page_column *c, const struct leaf *leaf, const struct chunk *chunk);
void page_column_fini(struct page_column *c);

/* The next value: 1, 0 for null, or an error with the problem noted. */
MUST_USE int page_column_next(struct page_source *s, struct page_column *c, struct value *out);

void page_source_fini(struct page_source *s);

/* Grows `m` to `size` bytes at the expense of s->memory_left; its content is lost. */
MUST_USE int memory_reserve(struct page_source *s, struct memory *m, size_t size);

#endif
