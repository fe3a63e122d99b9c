/* SPDX-License-Identifier: Apache-2.0 */
/* A stored cursor: what decodes is sound, and encodes to the same bytes. */
#include "journal/cursor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c;
    if (cursor_decode(&c, data, size) == ERR_OK) {
        uint8_t bytes[CURSOR_BYTES_MAX];
        struct cursor_range hole;
        uint64_t at = 0;
        if (cursor_encode(&c, bytes) != size || memcmp(bytes, data, size) != 0) {
            abort();
        }
        while (cursor_next_hole(&c, at, UINT64_MAX, &hole)) {
            if (cursor_has(&c, hole.from) || hole.to <= hole.from) {
                abort();
            }
            at = hole.to;
        }
    }
    return 0;
}
