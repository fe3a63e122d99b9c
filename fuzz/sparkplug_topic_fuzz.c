/* SPDX-License-Identifier: Apache-2.0 */
/* The input up to the first NUL is a topic, what is behind it a STATE payload. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "north/sparkplug/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char out[TOPIC_MAX];
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
    if (used < size && state_parse(data + used + 1, size - used - 1, &online, &time) > 0) {
        abort();
    }
    free(text);
    return 0;
}
