/* SPDX-License-Identifier: Apache-2.0 */
/* What blocks and tables work in. */
#ifndef ISTHMUS_HISTORY_SCRATCH_H
#define ISTHMUS_HISTORY_SCRATCH_H

#include "history/block.h"
#include "history/floats.h"

#include <zstd.h>

#define TABLE_COLUMNS 15u
#define TABLE_CHUNK   (WORDS_MAX / 2u) /* entries: two numbers of each fill a column */

#define PACK_LEVEL 3     /* of zstd */
#define TEXT_SLOTS 4096u /* of the hash table of distinct texts; a power of two */

struct block_scratch {
    struct floats_scratch floats;
    _Alignas(64) uint64_t
        column[TABLE_COLUMNS][WORDS_MAX]; /* of a table; of a block of texts the first three */
    uint16_t slot[TEXT_SLOTS];
    ZSTD_CCtx *packer;   /* owned */
    ZSTD_DCtx *unpacker; /* owned */
    uint8_t text[BLOCK_TEXT_MAX];
};

#endif
