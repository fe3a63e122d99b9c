/* SPDX-License-Identifier: Apache-2.0 */
/* A Parquet file's footer (FileMetaData in parquet.thrift): its columns, and its row groups one after another. Hostile
 * input: nothing in it is believed that is not checked here. No I/O. */
#ifndef ISTHMUS_TABLE_PARQUET_META_H
#define ISTHMUS_TABLE_PARQUET_META_H

#include "base/bytes.h"
#include "table/parquet.h"
#include "table/table.h"

struct leaf {                /* a column of the file */
    struct column column;    /* the name is owned; type 0 if we can't read it */
    const char *unsupported; /* what it is then; NULL if it can be read */
    enum parquet_type storage;
    bool is_unsigned;
    int64_t tick_ns; /* of a time: nanoseconds of its unit */
    bool zoneless;   /* a time that is not said to be UTC */
};

struct chunk { /* a column of one row group */
    enum parquet_type storage;
    int32_t codec;
    uint64_t start, size; /* of its pages in the file */
    uint64_t values;      /* with nulls */
};

struct parquet_meta {
    struct leaf *leaves; /* owned */
    size_t leaf_count;
    struct reader groups;      /* the row groups not taken yet; borrows the footer */
    size_t groups_left, group; /* the number of the group taken last, from 1 on */
    uint64_t rows;             /* of the whole file, as it says */
};

/* Reads the footer, which must outlive `m`. */
MUST_USE int meta_read(struct parquet_meta *m, const void *footer, size_t size,
                       struct table_problem *problem);
void meta_fini(struct parquet_meta *m);

/* Takes the next row group: fills chunks[leaf_count]. 1, 0 behind the last, or an error. Chunks lie within the first
 * `file_size` bytes. */
MUST_USE int meta_next_group(struct parquet_meta *m, struct chunk *chunks, uint64_t *rows,
                             uint64_t file_size, struct table_problem *problem);

#endif
