/* SPDX-License-Identifier: Apache-2.0 */
/* An accounts' file behind its checksum, which is made to fit: what decodes is sound, and encodes to the same bytes. */
#include "guard/accounts_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct accounts accounts;
    static uint8_t bytes[ACCOUNTS_FILE_SIZE], again[ACCOUNTS_FILE_SIZE];
    if (size < 20 || size > sizeof bytes) {
        return 0;
    }
    memcpy(bytes, data, size);
    uint32_t sum = crc32c(0, bytes + 16, size - 16);
    memcpy(bytes + 12, &sum, 4);
    if (accounts_decode(&accounts, bytes, size) == ERR_OK) {
        if (accounts_encode(&accounts, again) != size || memcmp(again, bytes, size) != 0) {
            abort();
        }
    }
    return 0;
}
