/* SPDX-License-Identifier: Apache-2.0 */
/* The input is one request, or a WebSocket's first message, as in src/north/http/http_input.h. */
#include <stdint.h>

#include "north/http/http_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_input(data, size);
    return 0;
}
