/* SPDX-License-Identifier: Apache-2.0 */
/* Tag addresses as a user may write them; what is accepted keeps the protocol's limits. */
#include <stdlib.h>
#include <string.h>

#include "south/modbus/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128], why[128];
    if (!size || size > sizeof text) {
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    struct modbus_point p;
    if (!modbus_address_parse(&p, text, (enum isthmus_type)(data[0] % 14), 64, why, sizeof why) &&
        (p.count < 1 || p.count > 125 || p.start + p.count > 65536 || p.order > 4 ||
         p.bytes > 64)) {
        abort();
    }
    return 0;
}
