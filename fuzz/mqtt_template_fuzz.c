/* SPDX-License-Identifier: Apache-2.0 */
/* The input up to the first NUL is a template of an MQTT topic, what is behind it the name of a tag, device and gateway. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "north/sparkplug/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[TOPIC_MAX], why[96] = "";
    char *template = malloc(size + 2);
    if (!template) {
        return 0;
    }
    memcpy(template, data, size);
    template[size] = template[size + 1] = '\0';
    const char *name = template + strlen(template) + 1;
    const struct topic_names names = {
        .gateway = name, .group = "g", .node = "n", .device = name, .path = name, .feed = "f"};
    int checked = template_check(template, why, sizeof why);
    if ((checked != 0) != (*why != 0)) {
        abort(); /* a refusal says why, and only a refusal */
    }
    int err = template_expand(template, &names, out);
    if (err == 0 && (strpbrk(out, "+#") || strlen(out) >= sizeof out)) {
        abort(); /* no subscriber's pattern is ever published to */
    }
    if (checked == 0 && err == ERR_MALFORMED && *name) {
        abort(); /* what the check takes can only be too long */
    }
    free(template);
    return 0;
}
