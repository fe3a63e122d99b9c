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
        snprintf(out, SEALED_NAME_SIZE, "import-%016llu.col", first);
    } else {
        snprintf(out, SEALED_NAME_SIZE, "%016llu-%016llu.col", first, last);
    }
}

/* Sixteen digits; false: there is something else. */
static bool digits(const char *text, uint64_t *number)
{
    uint64_t n = 0;
    for (int i = 0; i < 16; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *number = n;
    return true;
}

bool sealed_name_parse(const char *name, uint64_t *first, uint64_t *last, bool *imported)
{
    *imported = strncmp(name, "import-", 7) == 0;
    if (*imported) {
        bool ours = digits(name + 7, first) && !strcmp(name + 23, ".col");
        *last = *first;
        return ours;
    }
    return digits(name, first) && name[16] == '-' && digits(name + 17, last) &&
           !strcmp(name + 33, ".col") && *first <= *last;
}
