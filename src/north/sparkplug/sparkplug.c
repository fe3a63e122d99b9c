/* SPDX-License-Identifier: Apache-2.0 */
/* The Sparkplug service: its options, and its life. All files are read in `open`, before the box is locked in. */
#include "north/sparkplug/sparkplug.h"

#include "box/strict_file.h"
#include "box/tls_client.h"

#include <mosquitto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct isthmus_option options[] = {
    {"address", ISTHMUS_OPTION_ADDRESS, NULL, 0, 0, NULL, "The MQTT broker, host:port."},
    {"mode", ISTHMUS_OPTION_CHOICE, "sparkplug", 0, 0, "sparkplug|json|both",
     "What is published: Sparkplug B, plain JSON topics, or both."},
    {"group", ISTHMUS_OPTION_TEXT, "isthmus", 0, 0, NULL, "Sparkplug's group id."},
    {"node", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "Sparkplug's edge node id; empty: the gateway's name."},
    {"primary_host", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "Id of the primary host: births and data wait until it is online; empty: wait for nobody."},
    {"client_id", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "MQTT client id; empty: made from group and node."},
    {"username", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL, "MQTT user name; empty: none."},
    {"password_file", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "File whose first line is the MQTT password, mode 0600."},
    {"tls", ISTHMUS_OPTION_BOOL, "false", 0, 0, NULL, "Connect with TLS (1.2 or newer)."},
    {"tls_name", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "The name the broker's certificate must hold; empty: the address."},
    {"ca", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the authorities to trust; empty: those of the system."},
    {"cert", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, "PEM file of the client's certificate."},
    {"key", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the client's private key, mode 0600."},
    {"keepalive", ISTHMUS_OPTION_DURATION, "30s", 5000, 3600000, NULL,
     "The broker publishes our death after one and a half times this without a sign of life."},
    {"timeout", ISTHMUS_OPTION_DURATION, "10s", 100, 300000, NULL,
     "How long a connection may take until all is subscribed."},
    {"reconnect_max", ISTHMUS_OPTION_DURATION, "30s", 500, 3600000, NULL,
     "The longest wait before connecting again; it begins with half a second and doubles."},
    {"batch", ISTHMUS_OPTION_INT, "5000", 1, 10000, NULL,
     "Records that are confirmed together, at most."},
    {"in_flight", ISTHMUS_OPTION_INT, "4", 1, IN_FLIGHT_MAX, NULL,
     "Batches that may wait for the broker's confirmation."},
    {"marker_topic", ISTHMUS_OPTION_TEXT, "isthmus/{group}/{node}/marker", 0, 0, NULL,
     "Topic of the message behind each batch whose confirmation moves the cursor."},
    {"gap_topic", ISTHMUS_OPTION_TEXT, "isthmus/{group}/{node}/gap", 0, 0, NULL,
     "Topic of the records of missing samples."},
    {"online_topic", ISTHMUS_OPTION_TEXT, "isthmus/{group}/{node}/online", 0, 0, NULL,
     "Retained topic that says whether the gateway is connected (mode json)."},
    {"json_topic", ISTHMUS_OPTION_TEXT, "{gateway}/{path}", 0, 0, NULL,
     "Topic of a tag's values; may name {gateway} {group} {node} {device} {path} {feed} {id}."},
    {"json_retain", ISTHMUS_OPTION_BOOL, "false", 0, 0, NULL,
     "Ask the broker to keep the last value of each JSON topic."},
    {0},
};

static const char *text_option(const struct node *n, const char *name)
{
    const char *text = service_option_text(n->host, name);
    return text ? text : "";
}

/* The broker's ip:port, or [ip]:port. */
static int read_address(struct node *n, char *why, size_t why_size)
{
    struct node_options *o = &n->options;
    const char *text = text_option(n, "address"), *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool brackets = size > 2 && text[0] == '[' && text[size - 1] == ']';
    if (brackets) {
        text++;
        size -= 2;
    }
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (!size || size >= sizeof o->ip || port < 1 || port > 65535) {
        snprintf(why, why_size, "option 'address': '%s' is no ip:port", text);
        return ERR_CONFIG;
    }
    memcpy(o->ip, text, size);
    o->port = (uint16_t)port;
    return ERR_OK;
}

static int read_password(struct node *n, char *why, size_t why_size)
{
    const char *path = text_option(n, "password_file");
    char *text = *path ? malloc(STRICT_FILE_MAX + 1) : NULL, reason[256] = "out of memory";
    if (!*path) {
        return ERR_OK;
    }
    int size = text ? strict_file_read(path, true, text, reason, sizeof reason) : ERR_NOMEM;
    size_t length = size > 0 ? strcspn(text, "\r\n") : 0;
    bool good = length > 0 && length < sizeof n->options.password;
    if (good) {
        memcpy(n->options.password, text, length);
    } else {
        snprintf(why, why_size, "option 'password_file': %s",
                 size < 0 ? reason : "its first line is no password (1 to 255 letters)");
    }
    if (text) {
        explicit_bzero(text, STRICT_FILE_MAX + 1);
    }
    free(text);
    return good ? ERR_OK : ERR_CONFIG;
}

static int read_topic(struct node *n, const char *name, char out[TOPIC_MAX], char *why,
                      size_t why_size)
{
    struct topic_names names = {.gateway = plan_text(n->plan, n->plan->header->name),
                                .group = n->options.group,
                                .node = n->options.id};
    char reason[96];
    if (template_check(text_option(n, name), reason, sizeof reason)) {
        snprintf(why, why_size, "option '%s': %s", name, reason);
        return ERR_CONFIG;
    }
    if (template_expand(text_option(n, name), &names, out)) {
        snprintf(why, why_size, "option '%s': too long", name);
        return ERR_CONFIG;
    }
    if (!strncmp(out, "spBv1.0/", 8)) {
        snprintf(why, why_size, "option '%s': spBv1.0/ belongs to Sparkplug", name);
        return ERR_CONFIG;
    }
    return ERR_OK;
}

static int read_topics(struct node *n, char *why, size_t why_size)
{
    struct node_options *o = &n->options;
    char reason[96];
    int err = read_topic(n, "marker_topic", o->marker, why, why_size);
    err = err ? err : read_topic(n, "gap_topic", o->gap, why, why_size);
    err = err ? err : read_topic(n, "online_topic", o->online, why, why_size);
    o->json_topic = text_option(n, "json_topic");
    if (!err && template_check(o->json_topic, reason, sizeof reason)) {
        snprintf(why, why_size, "option 'json_topic': %s", reason);
        err = ERR_CONFIG;
    }
    return err;
}

static int read_names(struct node *n, char *why, size_t why_size)
{
    struct node_options *o = &n->options;
    const char *id = text_option(n, "node");
    topic_level(o->group, text_option(n, "group"));
    topic_level(o->id, *id ? id : plan_text(n->plan, n->plan->header->name));
    topic_level(o->primary, text_option(n, "primary_host"));
    if (!*o->group || !*o->id) {
        snprintf(why, why_size, "options 'group' and 'node' can't be empty");
        return ERR_CONFIG;
    }
    const char *client = text_option(n, "client_id");
    int size = *client
                   ? snprintf(o->client_id, sizeof o->client_id, "%s", client)
                   : snprintf(o->client_id, sizeof o->client_id, "isthmus-%s-%s", o->group, o->id);
    int user = snprintf(o->username, sizeof o->username, "%s", text_option(n, "username"));
    if (size >= (int)sizeof o->client_id || user >= (int)sizeof o->username) {
        snprintf(why, why_size, "options 'client_id' or 'username' are too long");
        return ERR_CONFIG;
    }
    return ERR_OK;
}

static int read_options(struct node *n, char *why, size_t why_size)
{
    struct node_options *o = &n->options;
    o->mode = (enum mode)service_option_number(n->host, "mode");
    o->keepalive_s = (uint32_t)(service_option_number(n->host, "keepalive") / 1000);
    o->timeout_ms = (uint32_t)service_option_number(n->host, "timeout");
    o->retry_min_ms = 500;
    o->retry_max_ms = (uint32_t)service_option_number(n->host, "reconnect_max");
    o->batch = (uint32_t)service_option_number(n->host, "batch");
    o->in_flight = (uint32_t)service_option_number(n->host, "in_flight");
    o->ca = text_option(n, "ca");
    o->cert = text_option(n, "cert");
    o->key = text_option(n, "key");
    o->json_retain = service_option_number(n->host, "json_retain") != 0;
    int err = read_address(n, why, why_size);
    err = err ? err : read_names(n, why, why_size);
    err = err ? err : read_topics(n, why, why_size);
    err = err ? err : read_password(n, why, why_size);
    if (!err && service_option_number(n->host, "tls") != 0) {
        const char *name = text_option(n, "tls_name");
        o->tls = tls_client_new(*name ? name : o->ip, !*o->ca, why, why_size);
        err = o->tls ? tls_client_load(o->tls, o->ca, o->cert, o->key, why, why_size) : ERR_CONFIG;
    }
    return err;
}

static void service_free(void *service)
{
    struct node *n = service;
    if (!n) {
        return;
    }
    if (n->mqtt) {
        n->ops->free(n->mqtt);
    }
    feeds_fini(n);
    tags_fini(n);
    json_fini(&n->json);
    SSL_CTX_free(n->options.tls);
    explicit_bzero(n->options.password, sizeof n->options.password);
    free(n);
    mosquitto_lib_cleanup();
}

static void *service_open(struct service_host *host, char *why, size_t why_size)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n || mosquitto_lib_init()) {
        snprintf(why, why_size, "out of memory");
        free(n);
        return NULL;
    }
    n->host = host;
    n->plan = service_plan(host);
    n->ops = &mqtt_libmosquitto;
    json_init(&n->json, 0);
    int err = read_options(n, why, why_size);
    err = err ? err : feeds_init(n, why, why_size);
    err = err ? err : tags_init(n, why, why_size);
    if (err) {
        service_free(n);
        return NULL;
    }
    return n;
}

static int service_start(void *service)
{
    return node_start(service);
}

static void service_stop(void *service)
{
    node_stop(service);
}

const struct service *isthmus_service(void)
{
    static const struct service service = {
        .name = "sparkplug",
        .summary = "MQTT: Sparkplug B 3.0 edge node, and plain JSON topics",
        .options = options,
        .open = service_open,
        .start = service_start,
        .stop = service_stop,
        .free = service_free,
    };
    return &service;
}
