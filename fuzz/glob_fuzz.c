/* SPDX-License-Identifier: Apache-2.0 */
/* A glob, a NUL, a path. Short ones must match as the plain definition says; long ones must come to an end. */
#include <stdint.h>
#include <stdlib.h>

#include "tag/glob.h"
#include "tag/glob_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 2); /* there is a path, if only an empty one */
    if (text) {
        if (size) {
            memcpy(text, data, size);
        }
        const char *path = text + strlen(text) + 1;
        bool matches = glob_matches(text, path);
        if (size < 24 && matches != glob_reference(text, path)) {
            abort();
        }
        free(text);
    }
    return 0;
}
