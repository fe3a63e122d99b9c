/* SPDX-License-Identifier: Apache-2.0 */
/* The edge node against a host and a broker that are played here: every ask, store and message is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "north/sparkplug/sparkplug.h"
#include "tag/plan_build.h"
#include "tag/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0         INT64_C(1700000000123456789)
#define SENT_TESTS 256

struct sent {
    char topic[128];
    uint8_t data[4096];
    size_t size;
    int qos, id;
};

/* ---- The host. ---- */

struct service_host {
    uv_loop_t loop;
    struct plan plan;
    void *image;
    const char *mode, *primary;
    const struct service *service;
    void *state;
    uint32_t asks;
    struct {
        struct ask ask;
        struct answer_handler handler;
        bool open;
    } ask[64];
    service_store_done *store_done;
    void *store_context;
    uint8_t stored;
    uint32_t stores, commands, events;
    int store_error;
    bool stopped;
};

uv_loop_t *service_loop(struct service_host *host)
{
    return &host->loop;
}
const struct plan *service_plan(const struct service_host *host)
{
    return &host->plan;
}
uint32_t service_box(const struct service_host *host)
{
    (void)host;
    return 1;
}

static const char *option(const struct service_host *host, const char *name)
{
    if (!strcmp(name, "address")) {
        return "127.0.0.1:1883";
    }
    if (!strcmp(name, "mode")) {
        return host->mode;
    }
    if (!strcmp(name, "primary_host")) {
        return host->primary;
    }
    if (!strcmp(name, "in_flight")) {
        return "2";
    }
    if (!strcmp(name, "reconnect_max")) {
        return "1";
    }
    for (const struct isthmus_option *o = host->service->options; o->name; o++) {
        if (!strcmp(o->name, name)) {
            return o->fallback;
        }
    }
    fail_msg("option %s is not in the table", name);
    return NULL;
}
const char *service_option_text(const struct service_host *host, const char *name)
{
    return option(host, name);
}
double service_option_number(const struct service_host *host, const char *name)
{
    const char *text = option(host, name);
    if (!strcmp(name, "mode")) {
        return !strcmp(text, "json") ? 1 : !strcmp(text, "both") ? 2 : 0;
    }
    return strstr(text, "s") && *text < 'a' ? 1000 * atof(text) : atof(text);
}

int service_ask(struct service_host *host, struct ask *ask, const struct answer_handler *handler)
{
    assert_true(host->asks < 64);
    ask->request = ++host->asks;
    host->ask[host->asks - 1].ask = *ask;
    if (handler) {
        host->ask[host->asks - 1].handler = *handler;
        host->ask[host->asks - 1].open = true;
    }
    return (int)ask->request;
}
void service_forget(struct service_host *host, uint32_t request)
{
    host->ask[request - 1].open = false;
}
int service_store(struct service_host *host, const char *key, const void *value, size_t size,
                  service_store_done *done, void *context)
{
    assert_string_equal(key, "bdseq");
    assert_int_equal(size, 1);
    host->stored = *(const uint8_t *)value;
    host->stores++;
    host->store_done = done;
    host->store_context = context;
    return 0;
}
int service_fetch(struct service_host *host, const char *key, service_store_done *done,
                  void *context)
{
    (void)key;
    host->store_done = done;
    host->store_context = context;
    return 0;
}
int service_command(struct service_host *host, const struct record_command *command,
                    service_command_done *done, void *context)
{
    struct record_receipt receipt = {.tag = command->tag, .state = COMMAND_REFUSED};
    host->commands++;
    done(context, &receipt);
    return 0;
}
void service_event(struct service_host *host, enum event_kind kind, const char *text)
{
    (void)kind;
    (void)text;
    host->events++;
}
void service_log(struct service_host *host, const char *format, ...)
{
    (void)host;
    (void)format;
}
void service_certificate(struct service_host *host, int64_t ends_ns)
{
    (void)host;
    (void)ends_ns;
}
void service_stopped(struct service_host *host)
{
    host->stopped = true;
    uv_stop(&host->loop);
}

/* ---- The broker. ---- */

static struct broker {
    bool open, leaving;
    struct mqtt_events events;
    struct sent will, sent[SENT_TESTS];
    uint32_t count, opened, topics;
    int id;
} broker;

static void copy_message(struct sent *to, const struct mqtt_message *m)
{
    assert_true(m->size <= sizeof to->data);
    snprintf(to->topic, sizeof to->topic, "%s", m->topic ? m->topic : "");
    memcpy(to->data, m->data ? m->data : "", m->size);
    to->size = m->size;
    to->qos = m->qos;
}
static struct mqtt *broker_open(const struct mqtt_config *config, const struct mqtt_events *events)
{
    assert_false(broker.open);
    broker.open = true;
    broker.leaving = false;
    broker.opened++;
    broker.topics = config->topic_count;
    broker.events = *events;
    copy_message(&broker.will, &config->will);
    return (struct mqtt *)&broker;
}
static int broker_publish(struct mqtt *mqtt, const struct mqtt_message *message)
{
    (void)mqtt;
    assert_true(broker.open && broker.count < SENT_TESTS);
    struct sent *s = broker.sent + broker.count++;
    copy_message(s, message);
    return s->id = ++broker.id;
}
static void broker_shutdown(struct mqtt *mqtt)
{
    (void)mqtt;
    broker.leaving = true;
}
static void broker_free(struct mqtt *mqtt)
{
    (void)mqtt;
    broker.open = false;
}
static const struct mqtt_ops broker_ops = {broker_open, broker_publish, broker_shutdown,
                                           broker_free};

static void broker_down(const char *why)
{
    broker.open = false;
    broker.events.down(broker.events.context, why);
}

/* ---- A plant: box 0 with devices a (tags 1, 2) and b (tag 3); box 1 is ours, with one feed. ---- */

static void make_plan(struct service_host *host)
{
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->name = plan_build_text(b, "gw");
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "z")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "south"), .kind = BOX_SOUTH});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"), .kind = BOX_NORTH});
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "a")});
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "b")});
    const char *paths[] = {"p/one", "p/two", "p/text"};
    for (uint32_t i = 0; i < 3; i++) {
        plan_build_tag(b, &(struct plan_tag){.id = i + 1,
                                             .path = plan_build_text(b, paths[i]),
                                             .unit = plan_build_text(b, "bar"),
                                             .device = i / 2,
                                             .type = i == 2 ? VALUE_TEXT : VALUE_FLOAT64,
                                             .raw_type = i == 2 ? VALUE_TEXT : VALUE_FLOAT64,
                                             .max_length = i == 2 ? 64 : 0});
    }
    uint32_t first = plan_build_feed_tag(b, 1);
    plan_build_feed_tag(b, 2);
    plan_build_feed_tag(b, 3);
    plan_build_feed(
        b, &(struct plan_feed){
               .name = plan_build_text(b, "all"), .box = 1, .first_tag = first, .tag_count = 3});
    size_t size;
    assert_int_equal(plan_build_finish(b, &host->image, &size), 0);
    assert_int_equal(plan_open(&host->plan, host->image, size), 0);
    plan_build_free(b);
}

static struct service_host *begin(const char *mode, const char *primary)
{
    struct service_host *host = calloc(1, sizeof *host);
    char why[96] = "";
    assert_non_null(host);
    memset(&broker, 0, sizeof broker);
    uv_loop_init(&host->loop);
    make_plan(host);
    host->mode = mode;
    host->primary = primary;
    host->service = isthmus_service();
    host->state = host->service->open(host, why, sizeof why);
    assert_string_equal(why, "");
    struct node *n = host->state;
    n->ops = &broker_ops;
    n->options.retry_min_ms = 1;
    assert_int_equal(host->service->start(n), 0);
    return host;
}

static void end(struct service_host *host)
{
    host->service->stop(host->state);
    if (broker.open) {
        assert_true(broker.leaving);
        broker_down(NULL);
    }
    uv_run(&host->loop, UV_RUN_DEFAULT);
    assert_true(host->stopped);
    host->service->free(host->state);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&host->loop), 0);
    free(host->image);
    free(host);
}

static void answer_store(struct service_host *host, int error, const void *value, size_t size)
{
    service_store_done *done = host->store_done;
    assert_non_null(done);
    host->store_done = NULL;
    done(host->store_context, error, value, size);
}

/* The open ask of a kind; its place + 1, 0: none. */
static uint32_t open_ask(const struct service_host *host, enum ask_kind kind)
{
    for (uint32_t i = host->asks; i > 0; i--) {
        if (host->ask[i - 1].open && host->ask[i - 1].ask.kind == kind) {
            return i;
        }
    }
    return 0;
}

static void answer_end(struct service_host *host, uint32_t ask, int error, uint64_t from,
                       uint64_t to)
{
    assert_true(ask && host->ask[ask - 1].open);
    host->ask[ask - 1].open = false;
    struct answer e = {
        .kind = ANSWER_END, .request = ask, .error = (uint32_t)-error, .covers = {from, to}};
    host->ask[ask - 1].handler.end(host->ask[ask - 1].handler.context, &e);
}

static void answer_record(struct service_host *host, uint32_t ask, uint64_t sequence,
                          uint32_t flags, uint32_t tag, double value, uint32_t status)
{
    struct answer run = {
        .kind = ANSWER_RUN, .flags = flags, .epoch = 3, .first_sequence = sequence};
    struct slot s[4] = {{.time = T0, .tag = tag, .status = status}};
    s[0].value.f64 = value;
    size_t count = 1;
    if (tag == 3) {
        s[0].tag |= SLOT_LONG;
        s[0].value.u64 = 5;
        memcpy(s + 1, "hello", 5);
        count = 2;
    }
    assert_true(ask > 0);
    host->ask[ask - 1].handler.record(host->ask[ask - 1].handler.context, &run, s, count);
}

/* From the start to births; tag 3's device has lost its source when `lost`. */
static void be_born(struct service_host *host, bool lost)
{
    answer_store(host, 0, NULL, 0);
    broker.events.up(broker.events.context);
    uint32_t now = open_ask(host, ASK_NOW);
    answer_record(host, now, 5, ANSWER_NOW, 1, 1.5, 0);
    answer_record(host, now, 6, ANSWER_NOW, 2, 0, (uint32_t)STATUS_BAD_WAITING_INITIAL);
    answer_record(host, now, 7, ANSWER_NOW, 3, 0, lost ? (uint32_t)STATUS_BAD_NO_COMMUNICATION : 0);
    answer_end(host, now, 0, 0, 0);
}

static struct service_host *born(const char *mode)
{
    struct service_host *host = begin(mode, "");
    answer_store(host, 0, NULL, 0);
    be_born(host, false);
    answer_end(host, open_ask(host, ASK_FEED_UP), 0, 0, 0);
    return host;
}

static uint64_t bdseq_of(const struct sent *s)
{
    struct reader in = reader_of(s->data, s->size);
    struct metric m;
    assert_int_equal(payload_next(&in, &m), 1);
    assert_memory_equal(m.name, "bdSeq", 5);
    return m.number;
}

static int seq_of(const struct sent *s)
{
    struct payload_head head;
    assert_int_equal(payload_check(s->data, s->size, &head), 0);
    return head.has_seq ? (int)head.seq : -1;
}

static const struct sent *last_sent(const char *topic)
{
    for (uint32_t i = broker.count; i > 0; i--) {
        if (!strcmp(broker.sent[i - 1].topic, topic)) {
            return broker.sent + i - 1;
        }
    }
    return NULL;
}

/* Waits until the node may go on with its feeds. */
static void pass_pace(struct service_host *host)
{
    const struct node *n = host->state;
    while (uv_is_active((const uv_handle_t *)&n->pace)) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
}

static uint32_t sent_count(const char *topic)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < broker.count; i++) {
        count += !strcmp(broker.sent[i].topic, topic);
    }
    return count;
}

/* ---- The tests. ---- */

static void births_come_in_order(void **state)
{
    (void)state;
    struct service_host *host = begin("sparkplug", "");
    uint8_t last = 255;
    answer_store(host, 0, &last, 1);
    assert_int_equal(host->stored, 0); /* modulo 256 */
    assert_int_equal(broker.opened, 0);
    be_born(host, true);
    assert_int_equal(broker.topics, 2);
    assert_string_equal(broker.will.topic, "spBv1.0/isthmus/NDEATH/gw");
    assert_int_equal(broker.will.qos, 1);
    assert_int_equal(seq_of(&broker.will), -1);
    assert_int_equal(bdseq_of(&broker.will), 0);
    assert_int_equal(broker.count, 2); /* device b has lost its source: no birth */
    assert_string_equal(broker.sent[0].topic, "spBv1.0/isthmus/NBIRTH/gw");
    assert_int_equal(seq_of(broker.sent), 0);
    assert_int_equal(bdseq_of(broker.sent), 0);
    assert_string_equal(broker.sent[1].topic, "spBv1.0/isthmus/DBIRTH/gw/a");
    assert_int_equal(seq_of(broker.sent + 1), 1);
    struct reader in = reader_of(broker.sent[1].data, broker.sent[1].size);
    struct metric m;
    assert_int_equal(payload_next(&in, &m), 1);
    assert_int_equal(m.alias, 1);
    assert_true(m.real == 1.5);
    assert_int_equal(payload_next(&in, &m), 1);
    assert_true(m.is_null);
    assert_true(open_ask(host, ASK_FEED_UP));
    end(host);
    assert_non_null(last_sent("spBv1.0/isthmus/NDEATH/gw"));
}

static void a_batch_counts_when_its_marker_is_acknowledged(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    uint32_t before = broker.count, next = open_ask(host, ASK_FEED_NEXT);
    answer_record(host, next, 10, 0, 1, 2.5, 0);
    answer_record(host, next, 11, 0, 3, 0, 0);
    answer_record(host, next, 12, ANSWER_BACKLOG, 2, 3.5, 0);
    struct answer run = {.kind = ANSWER_RUN, .epoch = 3, .first_sequence = 13};
    struct slot gap[4] = {{.time = T0, .tag = record_tag(RECORD_GAP)}};
    struct record_gap g = {.scope = GAP_TAG, .which = 1, .cause = GAP_RING_FULL, .produced = 7};
    gap[0].value.u64 = sizeof g;
    memcpy(gap + 1, &g, sizeof g);
    host->ask[next - 1].handler.record(host->ask[next - 1].handler.context, &run, gap,
                                       slot_count_for(sizeof g));
    assert_int_equal(broker.count, before);
    answer_end(host, next, 0, 10, 14);
    assert_int_equal(broker.count, before + 4);
    const struct sent *s = broker.sent + before;
    assert_string_equal(s[0].topic, "spBv1.0/isthmus/DDATA/gw/a");
    assert_string_equal(s[1].topic, "spBv1.0/isthmus/DDATA/gw/b");
    assert_string_equal(s[2].topic, "isthmus/isthmus/gw/gap");
    assert_string_equal(s[3].topic, "isthmus/isthmus/gw/marker");
    assert_true(s[0].qos == 0 && s[1].qos == 0 && s[2].qos == 1 && s[3].qos == 1);
    assert_int_equal(seq_of(s + 1), seq_of(s) + 1);
    assert_non_null(strstr((const char *)s[2].data, "\"tag\":\"p/one\""));
    struct reader in = reader_of(s[0].data, s[0].size);
    struct metric m;
    assert_true(payload_next(&in, &m) == 1 && m.alias == 1 && m.real == 2.5 && !m.is_historical);
    assert_true(payload_next(&in, &m) == 1 && m.alias == 2 && m.real == 3.5 && m.is_historical);
    pass_pace(host);
    assert_int_equal(host->ask[host->asks - 1].ask.kind, ASK_FEED_NEXT); /* goes on meanwhile */
    broker.events.acked(broker.events.context, s[2].id);                 /* not the marker */
    assert_int_equal(host->ask[host->asks - 1].ask.kind, ASK_FEED_NEXT);
    broker.events.acked(broker.events.context, s[3].id);
    const struct ask *confirm = &host->ask[host->asks - 1].ask;
    assert_int_equal(confirm->kind, ASK_FEED_CONFIRM);
    assert_true(confirm->confirm.from == 10 && confirm->confirm.to == 14);
    end(host);
}

static void what_is_in_flight_is_bounded(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    for (uint64_t i = 0; i < 2; i++) {
        uint32_t next = open_ask(host, ASK_FEED_NEXT);
        answer_record(host, next, 10 + i, 0, 1, 1, 0);
        answer_end(host, next, 0, 10 + i, 11 + i);
        assert_int_equal(open_ask(host, ASK_FEED_NEXT), 0); /* at its pace */
        pass_pace(host);
    }
    assert_int_equal(open_ask(host, ASK_FEED_NEXT), 0);
    int second = last_sent("isthmus/isthmus/gw/marker")->id;
    broker.events.acked(broker.events.context, second); /* out of order: waits for the first */
    assert_int_equal(open_ask(host, ASK_FEED_NEXT), 0);
    broker.events.acked(broker.events.context, second - 2);
    assert_int_equal(host->ask[host->asks - 3].ask.kind, ASK_FEED_CONFIRM);
    assert_int_equal(host->ask[host->asks - 2].ask.kind, ASK_FEED_CONFIRM);
    assert_true(open_ask(host, ASK_FEED_NEXT));
    end(host);
}

static void each_connection_has_its_own_bdseq(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    assert_int_equal(host->stored, 0);
    broker_down("gone");
    assert_int_equal(host->ask[host->asks - 1].ask.kind, ASK_FEED_DOWN);
    for (int tries = 0; !host->store_done && tries < 100; tries++) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
    assert_int_equal(host->stored, 1);
    assert_int_equal(broker.opened, 1); /* not before it is durable */
    be_born(host, false);
    assert_int_equal(bdseq_of(&broker.will), 1);
    assert_int_equal(seq_of(last_sent("spBv1.0/isthmus/NBIRTH/gw")), 0);
    end(host);
}

static void a_bdseq_that_is_not_durable_is_not_used(void **state)
{
    (void)state;
    struct service_host *host = begin("sparkplug", "");
    answer_store(host, 0, NULL, 0);
    answer_store(host, ERR_FULL, NULL, 0);
    assert_int_equal(broker.opened, 0);
    for (int tries = 0; !host->store_done && tries < 100; tries++) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
    answer_store(host, 0, NULL, 0);
    assert_int_equal(broker.opened, 1);
    end(host);
}

static void the_primary_host_is_awaited(void **state)
{
    (void)state;
    static const char on[] = "{\"online\":true,\"timestamp\":5}",
                      off[] = "{\"online\":false,\"timestamp\":6}",
                      stale[] = "{\"online\":true,\"timestamp\":4}";
    struct service_host *host = begin("sparkplug", "scada");
    answer_store(host, 0, NULL, 0);
    answer_store(host, 0, NULL, 0);
    broker.events.up(broker.events.context);
    assert_int_equal(broker.topics, 3);
    assert_int_equal(host->asks, 0);
    broker.events.message(broker.events.context, "spBv1.0/STATE/other", on, sizeof on - 1);
    assert_int_equal(host->asks, 0);
    broker.events.message(broker.events.context, "spBv1.0/STATE/scada", on, sizeof on - 1);
    answer_end(host, open_ask(host, ASK_NOW), 0, 0, 0);
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 1);
    broker.events.message(broker.events.context, "spBv1.0/STATE/scada", off, sizeof off - 1);
    assert_true(broker.leaving);
    assert_int_equal(sent_count("spBv1.0/isthmus/NDEATH/gw"), 1);
    broker.events.message(broker.events.context, "spBv1.0/STATE/scada", stale, sizeof stale - 1);
    broker_down(NULL);
    end(host);
}

static void a_rebirth_is_the_only_command_obeyed(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    struct node *n = host->state;
    uint8_t memory[2048];
    struct writer w = writer_of(memory, sizeof memory);
    metric_encode_named(&w, "p/one", VALUE_FLOAT64, 0, T0);
    metric_encode_named(&w, "p/nothing", VALUE_FLOAT64, 0, T0);
    metric_encode_named(&w, "p/two", VALUE_INT32, 0, T0); /* not the tag's type */
    metric_encode_named(&w, "Node Control/Rebirth", VALUE_BOOL, 1, T0);
    n->birth_ms -= REBIRTH_MS;
    broker.events.message(broker.events.context, "spBv1.0/isthmus/DCMD/gw/a", memory,
                          writer_used(&w));
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 1);
    broker.events.message(broker.events.context, "spBv1.0/isthmus/NCMD/gw", memory,
                          writer_used(&w));
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 2);
    assert_int_equal(seq_of(last_sent("spBv1.0/isthmus/NBIRTH/gw")), 0);
    assert_int_equal(host->commands, 2);
    for (int i = 0; i < 5; i++) { /* a host that asks without end is held back */
        broker.events.message(broker.events.context, "spBv1.0/isthmus/NCMD/gw", memory,
                              writer_used(&w));
    }
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 2);
    end(host);
}

static void hostile_commands_do_no_harm(void **state)
{
    (void)state;
    struct service_host *host = born("both");
    uint8_t memory[2048];
    struct writer w = writer_of(memory, sizeof memory);
    struct metric_shape shape;
    metric_shape_init(&shape, 1, VALUE_FLOAT64);
    metric_encode(&w, &shape, &(struct metric_sample){.time_ns = T0, .value.f64 = 1}, NULL);
    metric_encode_named(&w, "p/one", VALUE_BOOL, 1, T0);
    size_t size = writer_used(&w);
    for (size_t at = 0; at < size; at++) {
        uint8_t was = memory[at];
        broker.events.message(broker.events.context, "spBv1.0/isthmus/NCMD/gw", memory, at);
        for (unsigned b = 0; b < 256; b++) {
            memory[at] = (uint8_t)b;
            broker.events.message(broker.events.context, "spBv1.0/isthmus/DCMD/gw/a", memory, size);
        }
        memory[at] = was;
    }
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 1);
    end(host);
}

static void a_lost_device_dies_and_comes_back(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    struct node *n = host->state;
    uint32_t next = open_ask(host, ASK_FEED_NEXT);
    answer_record(host, next, 10, 0, 3, 0, (uint32_t)STATUS_BAD_NO_COMMUNICATION);
    answer_end(host, next, 0, 10, 11);
    n->devices[1].last_ms -= QUIET_MS;
    for (int tries = 0; !sent_count("spBv1.0/isthmus/DDEATH/gw/b") && tries < 10; tries++) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
    assert_int_equal(sent_count("spBv1.0/isthmus/DDEATH/gw/b"), 1);
    assert_int_equal(sent_count("spBv1.0/isthmus/DDEATH/gw/a"), 0);
    uint32_t before = sent_count("spBv1.0/isthmus/DBIRTH/gw/b");
    next = open_ask(host, ASK_FEED_NEXT);
    answer_record(host, next, 11, 0, 3, 0, 0);
    answer_end(host, next, 0, 11, 12);
    assert_int_equal(sent_count("spBv1.0/isthmus/DBIRTH/gw/b"), before + 1);
    end(host);
}

static void a_restarted_reader_is_asked_again(void **state)
{
    (void)state;
    struct service_host *host = born("sparkplug");
    uint32_t next = open_ask(host, ASK_FEED_NEXT);
    answer_record(host, next, 10, 0, 1, 1, 0);
    uint32_t before = broker.count;
    answer_end(host, next, ERR_CLOSED, 0, 0);
    assert_int_equal(broker.count, before); /* not confirmed, not sent */
    for (int tries = 0; !open_ask(host, ASK_FEED_UP) && tries < 10; tries++) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
    answer_end(host, open_ask(host, ASK_FEED_UP), 0, 0, 0);
    assert_true(open_ask(host, ASK_FEED_NEXT));
    end(host);
}

static void plain_json_needs_no_births(void **state)
{
    (void)state;
    struct service_host *host = begin("json", "");
    assert_int_equal(broker.opened, 1);
    assert_int_equal(broker.topics, 0);
    broker.events.up(broker.events.context);
    answer_end(host, open_ask(host, ASK_FEED_UP), 0, 0, 0);
    uint32_t next = open_ask(host, ASK_FEED_NEXT);
    answer_record(host, next, 10, ANSWER_BACKLOG, 1, 2.5, 0);
    answer_record(host, next, 11, 0, 3, 0, 0);
    answer_record(host, next, 12, 0, 2, 0, (uint32_t)STATUS_BAD_TIMEOUT);
    answer_end(host, next, 0, 10, 13);
    static const char *const expected[][2] = {
        {"gw/p/one",
         "{\"value\":2.5,\"time\":\"2023-11-14T22:13:20.123456789Z\",\"status\":\"Good\","
         "\"epoch\":3,\"seq\":10,\"historical\":true}"},
        {"gw/p/text", "{\"value\":\"hello\",\"time\":\"2023-11-14T22:13:20.123456789Z\","
                      "\"status\":\"Good\",\"epoch\":3,\"seq\":11}"},
        {"gw/p/two", "{\"value\":null,\"time\":\"2023-11-14T22:13:20.123456789Z\","
                     "\"status\":\"BadTimeout\",\"epoch\":3,\"seq\":12}"},
        {"isthmus/isthmus/gw/online", "{\"online\":true}"},
    };
    for (size_t i = 0; i < 4; i++) {
        const struct sent *s = last_sent(expected[i][0]);
        assert_non_null(s);
        assert_int_equal(s->size, strlen(expected[i][1]));
        assert_memory_equal(s->data, expected[i][1], s->size);
    }
    assert_int_equal(sent_count("spBv1.0/isthmus/NBIRTH/gw"), 0);
    end(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(births_come_in_order),
        cmocka_unit_test(a_batch_counts_when_its_marker_is_acknowledged),
        cmocka_unit_test(what_is_in_flight_is_bounded),
        cmocka_unit_test(each_connection_has_its_own_bdseq),
        cmocka_unit_test(a_bdseq_that_is_not_durable_is_not_used),
        cmocka_unit_test(the_primary_host_is_awaited),
        cmocka_unit_test(a_rebirth_is_the_only_command_obeyed),
        cmocka_unit_test(hostile_commands_do_no_harm),
        cmocka_unit_test(a_lost_device_dies_and_comes_back),
        cmocka_unit_test(a_restarted_reader_is_asked_again),
        cmocka_unit_test(plain_json_needs_no_births),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
