/* SPDX-License-Identifier: Apache-2.0 */
#include "history/sealed_format.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <string.h>

uint32_t sealed_header_crc(const struct sealed_header *h)
{
    struct sealed_header copy = *h;
    copy.crc = 0;
    return crc32c(0, &copy, sizeof copy);
}

uint32_t sealed_column_crc(const struct sealed_column *c)
{
    struct sealed_column copy = *c;
    copy.crc = 0;
    return crc32c(0, &copy, sizeof copy);
}

uint32_t sealed_group_crc(const struct group *g, const uint8_t *table)
{
    struct group copy = *g;
    copy.crc = 0;
    return crc32c(crc32c(0, &copy, sizeof copy), table, g->size);
}

uint32_t sealed_chunk_crc(const struct chunk *c, const uint8_t *packed)
{
    return crc32c(crc32c(0, c, offsetof(struct chunk, crc)), packed, c->packed);
}

void sealed_name(const struct sealed_header *h, char out[SEALED_NAME_SIZE])
{
    unsigned long long first = h->first_segment, last = h->last_segment;
    if (h->flags & SEALED_IMPORTED) {
        snprintf(out, SEALED_NAME_SIZE, "import-%016llu.%u.col", first, h->revision);
    } else {
        snprintf(out, SEALED_NAME_SIZE, "%016llu-%016llu.%u.col", first, last, h->revision);
    }
}
