/* SPDX-License-Identifier: Apache-2.0 */
/* What the two sides of a sealed file share besides its header and index. */
#ifndef ISTHMUS_HISTORY_SEALED_FORMAT_H
#define ISTHMUS_HISTORY_SEALED_FORMAT_H

#include "history/sealed.h"

struct group { /* before the table of up to SEALED_GROUP blocks, which lies behind those blocks */
    uint32_t size, crc; /* of the table; CRC of this struct's other bytes and the table */
    uint32_t blocks, reserved;
    uint64_t previous; /* where the group before begins; 0: this is the first */
    int64_t first_ns, last_ns;
};
_Static_assert(sizeof(struct group) == 40, "a group's head is 40 bytes");

struct chunk {             /* before packed notes or catalogue entries */
    uint32_t packed, size; /* bytes as they lie in the file (zstd), and unpacked */
    uint32_t count;        /* entries */
    uint32_t crc;          /* of the 12 bytes before and of the packed ones */
};

#define CHUNK_MAX        (64u << 10) /* unpacked; an entry is never larger than ENTRY_MAX */
#define ENTRY_MAX        (32u << 10)
#define CHUNK_PACKED_MAX (CHUNK_MAX + (CHUNK_MAX >> 7) + 64u)
#define GROUPS_MAX       65536u

uint32_t sealed_header_crc(const struct sealed_header *h);
uint32_t sealed_column_crc(const struct sealed_column *c);
uint32_t sealed_group_crc(const struct group *g, const uint8_t *table);
uint32_t sealed_chunk_crc(const struct chunk *c, const uint8_t *packed);

#endif
