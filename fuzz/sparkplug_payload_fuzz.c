/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "north/sparkplug/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct payload_head head;
    int whole = payload_check(data, size, &head);
    struct reader in = reader_of(data, size);
    struct metric m;
    uint32_t count = 0;
    int more;
    while ((more = payload_next(&in, &m)) > 0) {
        union slot_value v;
        count++;
        for (enum value_type t = VALUE_BOOL; t < VALUE_TEXT; t++) {
            if (metric_value(&m, t, &v) == 0 && !value_is_legal(t, v)) {
                abort();
            }
        }
    }
    if (more != whole || count != head.metrics) {
        abort();
    }
    return 0;
}
