/* SPDX-License-Identifier: Apache-2.0 */
/* An expression, which is taken or refused with a reason; behind a zero byte a text, on which its regular expressions are
 * tried within a budget. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "north/http/pattern.h"
#include "north/http/promql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size, left = zero ? size - n - 1 : 0;
    const char *text = zero ? (const char *)zero + 1 : "";
    char why[200] = "";
    struct promql *q;
    int err = promql_parse(&q, (const char *)data, n, why, sizeof why);
    if ((err == 0) != (q != NULL) || (err == 0) != (*why == 0)) {
        abort();
    }
    for (uint32_t i = 0; q && i < q->selector.matcher_count; i++) {
        uint64_t budget = 100000;
        struct pattern *p = q->selector.matchers[i].pattern;
        if (p && pattern_matches(p, text, left, &budget) && !budget) {
            abort();
        }
    }
    promql_free(q);
    return 0;
}
