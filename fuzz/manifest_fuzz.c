/* SPDX-License-Identifier: Apache-2.0 */
/* A backup's manifest, as it is and with a checksum that is right: what decodes encodes to the same bytes, and its names lead
 * nowhere else. */
#include "base/crc32c.h"
#include "history/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void try(const uint8_t *data, size_t size)
{
    struct manifest m;
    if (manifest_decode(&m, data, size) != ERR_OK) {
        return;
    }
    char *text;
    size_t length;
    for (size_t i = 0; i < m.count; i++) {
        if (strchr(m.files[i].name, '/')) {
            abort();
        }
    }
    if (manifest_encode(&m, &text, &length) || length != size || memcmp(text, data, size) != 0) {
        abort();
    }
    free(text);
    manifest_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char end[16];
    try(data, size);
    uint8_t *sealed = malloc(size + sizeof end);
    int length = snprintf(end, sizeof end, "end %08" PRIx32 "\n", crc32c(0, data, size));
    if (sealed) {
        memcpy(sealed, data, size);
        memcpy(sealed + size, end, (size_t)length);
        try(sealed, size + (size_t)length);
    }
    free(sealed);
    return 0;
}
