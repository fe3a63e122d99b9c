/* SPDX-License-Identifier: Apache-2.0 */
/* Names and topics: Sparkplug's namespace (Sparkplug 3.0, chapter 4), the host's STATE, and plain topics by template.
 * No I/O. */
#ifndef ISTHMUS_NORTH_SPARKPLUG_TOPIC_H
#define ISTHMUS_NORTH_SPARKPLUG_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOPIC_MAX 512u /* with its end; MQTT allows 65,535 bytes, nobody needs them */

/* Copies `name` as one level of a topic: '/', '+', '#' and control characters become '_', of UTF-8 that is cut off
 * nothing remains. */
void topic_level(char out[TOPIC_MAX], const char *name);

enum topic_kind { TOPIC_OTHER, TOPIC_NCMD, TOPIC_DCMD, TOPIC_STATE };

/* What a message that came in is, for the edge node `group`/`node`: for DCMD, *device is the rest of `topic`. */
enum topic_kind topic_parse(const char *topic, const char *group, const char *node,
                            const char **device);

/* The host's STATE payload: {"online": true, "timestamp": 1700000000000}. 0 or ERR_MALFORMED. */
#define STATE_SIZE_MAX 1024u
MUST_USE int state_parse(const void *data, size_t size, bool *online, int64_t *timestamp_ms);

/* What a template may name, e.g. "{gateway}/{path}". */
struct topic_names {
    const char *gateway, *group, *node, *device, *path, *feed;
    uint32_t id;
};

/* 0, or ERR_MALFORMED with the reason: unknown name, open brace, wildcard, empty. */
MUST_USE int template_check(const char *template, char *why, size_t why_size);

/* Fills a template in; wildcards in the values become '_'. 0 or ERR_TOO_LONG; ERR_MALFORMED as above. */
MUST_USE int template_expand(const char *template, const struct topic_names *names,
                             char out[TOPIC_MAX]);

#endif
