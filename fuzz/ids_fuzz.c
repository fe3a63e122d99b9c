/* SPDX-License-Identifier: Apache-2.0 */
/* A registry of permanent ids as a disk may give it back: refused with a line, or every known tag has its number. */
#include <stdlib.h>
#include <string.h>

#include "config/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ids *ids = NULL;
    char why[256] = "";
    if (ids_read(&ids, (const char *)data, size, why, sizeof why)) {
        if (strncmp(why, "ids.txt:", 8) != 0) {
            abort();
        }
        return 0;
    }
    uint32_t first = ids_of(ids, "works/new", "float64", "m"), lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    if (first == 0 || first > lines + 2 || ids_of(ids, "works/new", "float64", "m") != first) {
        abort();
    }
    ids_close(ids);
    return 0;
}
