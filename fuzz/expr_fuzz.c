/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says whether the rest is a condition's text or code; whatever compiles opens, and whatever opens runs. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rule/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find(void *context, const char *path, size_t size, struct expr_tag *out)
{
    (void)context;
    *out = (struct expr_tag){
        .id = size ? (uint8_t)path[0] : 0, .boolean = size & 1, .low = -1, .high = (double)size};
    return size < 20;
}

static void read_value(void *context, uint32_t tag, struct expr_value *out)
{
    (void)context;
    *out = (struct expr_value){.good = tag & 1, .none = tag & 2, .number = tag, .age_ns = tag};
}

static void run(const void *code, size_t size, const char *text)
{
    static const struct expr_names names = {.find = find};
    static const struct expr_reader reader = {.read = read_value};
    struct expr x;
    char says[64];
    if (!expr_open(&x, code, size)) {
        (void)expr_holds(&x, &reader);
        expr_explain(&x, text, &reader, says, sizeof says);
        (void)expr_never(&x, text, &names, says, sizeof says);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct expr_names names = {.find = find};
    struct expr_code code = {.size = 0};
    struct expr_error error;
    char *text = calloc(1, size + 1);
    if (size && text) {
        memcpy(text, data + 1, size - 1);
        if (data[0] & 1) {
            if (!expr_compile(text, &names, &code, &error)) {
                run(code.words, code.size, text);
            }
        } else if (size <= sizeof code.words) {
            memcpy(code.words, text, size - 1);
            run(code.words, size - 1, "some text");
        }
    }
    free(text);
    return 0;
}
