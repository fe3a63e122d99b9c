/* SPDX-License-Identifier: Apache-2.0 */
/* The input up to the first NUL is a topic and a template, what is behind it a STATE payload. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "north/sparkplug/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char out[TOPIC_MAX], why[96];
    const char *device = NULL;
    bool online;
    int64_t time;
    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    size_t used = strlen(text);
    topic_parse(text, "plant", "edge", &device);
    topic_level(out, text);
    struct topic_names names = {.gateway = text, .path = text, .id = 1};
    if (template_expand(text, &names, out) == 0 && strpbrk(out, "+#")) {
        abort();
    }
    if (template_check(text, why, sizeof why) && !*why) {
        abort(); /* a refusal says why */
    }
    if (used < size && state_parse(data + used + 1, size - used - 1, &online, &time) > 0) {
        abort();
    }
    free(text);
    return 0;
}
