/* SPDX-License-Identifier: Apache-2.0 */
/* Unit codes as a user may write them; what is accepted is printable and bounded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *code = malloc(size + 1);
    if (code) {
        memcpy(code, data, size);
        code[size] = 0;
        if (unit_is_valid(code) && (!*code || strlen(code) > 127 || strpbrk(code, "\n\r "))) {
            abort();
        }
        (void)unit_proposal(code);
    }
    free(code);
    return 0;
}
