/* SPDX-License-Identifier: Apache-2.0 */
/* One MQTT connection on a libuv loop: from the first packet to the last. A client that connects again makes a new one,
 * so nothing of an old connection can come after it. Everything on the loop's thread.
 *
 * `struct mqtt_ops` is the seam for tests: the state machine knows nothing else of MQTT. */
#ifndef ISTHMUS_NORTH_SPARKPLUG_MQTT_H
#define ISTHMUS_NORTH_SPARKPLUG_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct uv_loop_s;
struct ssl_ctx_st;
struct mqtt;

struct mqtt_message {
    const char *topic;
    const void *data;
    size_t size;
    int qos;
    bool retain;
};

struct mqtt_config { /* borrowed while open, but will and topics only during the call */
    struct uv_loop_s *loop;
    const char *ip; /* no names are resolved */
    uint16_t port;
    const char *client_id, *username, *password; /* the latter two may be NULL */
    uint32_t keepalive_s;
    uint32_t timeout_ms;    /* from open to up */
    struct ssl_ctx_st *tls; /* NULL: plain TCP */
    struct mqtt_message will;
    const char *const *topics; /* subscribed with QoS 1 before `up` */
    uint32_t topic_count;
};

struct mqtt_events {           /* never called from within a call of ours */
    void (*up)(void *context); /* accepted, and all topics are subscribed */
    /* Exactly once, unless freed before: the connection has ended; `why` NULL: by mqtt_shutdown. */
    void (*down)(void *context, const char *why);
    void (*message)(void *context, const char *topic, const void *data, size_t size);
    void (*acked)(void *context, int id); /* a QoS 1 message has arrived at the broker */
    void *context;
};

struct mqtt_ops {
    /* Begins to connect. NULL: out of memory. */
    struct mqtt *(*open)(const struct mqtt_config *config, const struct mqtt_events *events);
    /* The message's number (> 0), or a negative err: then `down` follows. Copies. */
    int (*publish)(struct mqtt *mqtt, const struct mqtt_message *message);
    /* Says good-bye behind what was published, within half a second; `down` follows. */
    void (*shutdown)(struct mqtt *mqtt);
    /* Ends at once, without good-bye: the broker will publish the will. No call-back comes any more. */
    void (*free)(struct mqtt *mqtt);
};

extern const struct mqtt_ops mqtt_libmosquitto;

#endif
