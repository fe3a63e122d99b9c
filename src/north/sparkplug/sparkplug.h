/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the Sparkplug service, shared by its parts: sparkplug.c (options, life), node.c (connection, births,
 * deaths, commands), tags.c (what is published, and its last state), feed.c (batches and their confirmation), plain.c
 * (JSON messages), tls.c. One thread: the loop's. */
#ifndef ISTHMUS_NORTH_SPARKPLUG_SPARKPLUG_H
#define ISTHMUS_NORTH_SPARKPLUG_SPARKPLUG_H

#include <uv.h>

#include "base/json.h"
#include "box/service.h"
#include "north/sparkplug/mqtt.h"
#include "north/sparkplug/payload.h"
#include "north/sparkplug/topic.h"

#define DATA_METRICS_MAX 1000u      /* in one message */
#define DATA_SIZE        (1u << 18) /* a data message ends when so much is in it */
#define TICK_MS          500u
#define QUIET_MS         1000 /* after so long without a record a lost device dies */
#define REBIRTH_MS       1000 /* births on command at most so often */
#define IN_FLIGHT_MAX    64u
#define PACE_MS          1u /* from a batch to the next: small batches cost more than they carry */

enum mode { MODE_SPARKPLUG, MODE_JSON, MODE_BOTH }; /* the choices of option `mode` */

struct node_tag { /* what every sample needs comes first, in one cache line */
    struct metric_shape shape;
    uint32_t id;
    uint32_t place;    /* of its device */
    uint32_t follower; /* the tag that came after this one the last time */
    uint32_t text_at;  /* in node.texts, for long types */
    uint32_t text_max; /* bytes there */
    bool known;        /* it has had a value or a status */
    bool lost;         /* no communication with its source */
    struct slot last;  /* what was last published live */
    char *topic;       /* plain JSON, owned; NULL: not in that mode */
};

/* A device as Sparkplug has it; the last place stands for the edge node itself (tags without a device). */
struct node_device {
    char *birth, *death, *data; /* topics, owned; birth NULL: no such device here */
    uint32_t first, count;      /* in node.order */
    uint32_t lost;              /* tags of it */
    bool born;
    int64_t last_ms;     /* of its last record */
    uint32_t head, tail; /* its entries in the batch under way */
    bool touched;        /* listed in node.touched */
};

/* A batch: records of one answer, put in order by device before they are encoded. */
struct entry {
    uint64_t epoch, sequence;
    uint32_t slot, next,
        tag; /* first slot in batch_slots; next entry of the device; index of the tag */
    bool historical;
};

struct in_flight {
    int id;         /* of its marker */
    bool confirmed; /* by the broker, not yet told to the reader */
    struct cursor_range covers;
};

enum feed_state {
    FEED_IDLE,
    FEED_RISING, /* FEED_UP was asked */
    FEED_LIVE
};

struct node_feed {
    struct node *node;
    uint32_t index; /* in the plan */
    const char *name;
    enum feed_state state;
    uint32_t ask; /* under way, 0: none */
    uint32_t count;
    struct in_flight in_flight[IN_FLIGHT_MAX]; /* in order */
    /* the batch under way */
    struct entry *entries;
    uint32_t entry_count, published;
    struct slot *slots;
    size_t slot_count;
    uint32_t *gaps; /* their entries, in order */
    uint32_t gap_count;
};

enum node_state {
    NODE_IDLE,     /* waiting to connect again */
    NODE_FETCHING, /* the last bdSeq */
    NODE_STORING,  /* the next bdSeq */
    NODE_CONNECTING,
    NODE_WAITING, /* for the primary host */
    NODE_READING, /* current values */
    NODE_BORN,
    NODE_LEAVING,
};

struct node_options {
    enum mode mode;
    char group[TOPIC_MAX], id[TOPIC_MAX], primary[TOPIC_MAX], client_id[TOPIC_MAX];
    char marker[TOPIC_MAX], gap[TOPIC_MAX], online[TOPIC_MAX];
    char ip[64], username[256], password[256];
    const char *json_topic; /* borrowed from the host */
    uint16_t port;
    uint32_t keepalive_s, timeout_ms, batch, in_flight;
    uint32_t retry_min_ms, retry_max_ms;
    bool json_retain;
    struct ssl_ctx_st *tls;      /* owned, NULL: plain TCP */
    const char *ca, *cert, *key; /* files of it */
};

struct node {
    struct service_host *host;
    const struct plan *plan;
    const struct mqtt_ops *ops;
    struct node_options options;
    enum node_state state;
    bool stopping, fetched;
    uint32_t handles;
    uv_timer_t tick, retry;
    uv_timer_t pace; /* active: no feed asks for its next batch yet */
    uint32_t retry_ms;
    uint64_t random; /* state of the jitter's generator */

    struct mqtt *mqtt; /* NULL: none */
    uint8_t bdseq, seq;
    bool primary_online;
    int64_t primary_ms; /* timestamp of the last STATE */
    bool rebirth;       /* asked for */
    int64_t birth_ms;   /* loop time of the last births */
    uint32_t now_ask;
    uint32_t now_from; /* the next id to ask for */
    char last_why[160];
    uint32_t refused; /* commands since the last line in the log */

    uint32_t tag_count, device_count; /* device_count: with the node's own place */
    struct node_tag *tags;            /* as plan->tags */
    struct node_device *devices;
    uint32_t *order;   /* tags by device */
    uint32_t *by_name; /* tags by path */
    uint32_t *touched; /* devices of the batch under way */
    uint32_t touched_count;
    uint8_t *texts;
    uint32_t found; /* the tag last found */

    uint8_t *out; /* messages are built here */
    size_t out_size;
    struct json json;

    uint32_t feed_count;
    struct node_feed *feeds;
};

static inline bool node_speaks_sparkplug(const struct node *n)
{
    return n->options.mode != MODE_JSON;
}

/* ---- tags.c ---- */
/* Builds the tables from the plan (options must be there). 0, or an err with the reason. */
MUST_USE int tags_init(struct node *n, char *why, size_t why_size);
void tags_fini(struct node *n);
/* Index of the tag with that id, or UINT32_MAX. */
uint32_t tags_find(struct node *n, uint32_t id);
uint32_t tags_find_path(const struct node *n, const char *name, size_t size);
/* Notes a value as what was last said of the tag. */
void tags_note(struct node *n, uint32_t tag, const struct slot *slots);
/* The source of a device's tags is gone. */
void tags_lose(struct node *n, uint32_t place);
/* Appends the birth metrics of a device. */
void tags_births(struct node *n, uint32_t place, struct writer *w, int64_t now_ns);

/* ---- node.c ---- */
MUST_USE int node_start(struct node *n);
void node_stop(struct node *n); /* ends in service_stopped */
/* DBIRTH, so that data may follow. */
void node_device_birth(struct node *n, uint32_t place);
/* Ends the payload in `w` with the next seq and publishes it. The message's number, or an err. */
int node_publish(struct node *n, const char *topic, struct writer *w);
struct writer node_payload(struct node *n, int64_t now_ns);

/* ---- command.c ---- */
/* A message to NCMD or DCMD. True: it asks for a rebirth. */
bool command_take(struct node *n, const void *data, size_t size, bool to_node);
void command_report(struct node *n);

/* ---- feed.c ---- */
MUST_USE int feeds_init(struct node *n, char *why, size_t why_size);
void feeds_fini(struct node *n);
void feeds_up(struct node *n);
void feeds_down(struct node *n);
void feeds_acked(struct node *n, int id);
void feeds_tick(struct node *n);

/* ---- plain.c ---- */
/* Build a JSON message in n->json; false: out of memory. */
bool plain_sample(struct node *n, const struct node_tag *tag, const struct slot *slots,
                  const struct entry *entry);
bool plain_gap(struct node *n, const struct node_feed *feed, const struct slot *slots,
               const struct entry *entry);
bool plain_marker(struct node *n, const struct node_feed *feed, struct cursor_range covers);
bool plain_online(struct node *n, bool online);

#endif
