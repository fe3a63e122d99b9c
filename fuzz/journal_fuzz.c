/* SPDX-License-Identifier: Apache-2.0 */
/* A segment file from a hostile hand: header, frames, and what recovery makes of them. The checksums are mended, so that
 * the fuzzer gets behind them. */
#include "base/crc32c.h"
#include "journal/state.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment_header segment;
    struct frame_header h;
    struct state state;
    if (segment_prove(data, size, &segment) == ERR_OK) {
        data += sizeof segment;
        size -= sizeof segment;
    }
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy || state_init(&state, 16)) {
        free(copy);
        return 0;
    }
    memcpy(copy, data, size);
    for (size_t at = 0; size - at >= sizeof h;) {
        memcpy(&h, copy + at, sizeof h);
        if (h.length >= sizeof h && h.length <= size - at) {
            h.crc = crc32c(0, copy + at + 8, h.length - 8);
            memcpy(copy + at, &h, sizeof h);
        }
        int length = frame_prove(copy + at, size - at, &h);
        if (length <= 0) {
            break;
        }
        if (state_apply(&state, &h, (const struct slot *)(copy + at + sizeof h))) {
            break;
        }
        at += (size_t)length;
    }
    state_fini(&state);
    free(copy);
    return 0;
}
