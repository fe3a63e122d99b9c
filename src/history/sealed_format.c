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

/* Takes a number of exactly `least` digits, or of any length if that is 0. NULL: there is none. */
static const char *number(const char *text, int least, uint64_t *out)
{
    int count = 0;
    *out = 0;
    while (text[count] >= '0' && text[count] <= '9' && count < 16) {
        *out = *out * 10 + (uint64_t)(text[count++] - '0');
    }
    return (least ? count == least : count > 0) ? text + count : NULL;
}

bool sealed_name_parse(const char *name, struct sealed_place *out)
{
    uint64_t revision = 0;
    out->imported = strncmp(name, "import-", 7) == 0;
    const char *at = number(name + (out->imported ? 7 : 0), 16, &out->first);
    out->last = out->first;
    if (at && !out->imported) {
        at = *at == '-' ? number(at + 1, 16, &out->last) : NULL;
    }
    at = at && *at == '.' ? number(at + 1, 0, &revision) : NULL;
    out->revision = (uint32_t)revision;
    return at && !strcmp(at, ".col") && out->first <= out->last && revision <= UINT32_MAX;
}
