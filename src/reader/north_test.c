/* SPDX-License-Identifier: Apache-2.0 */
/* The host of north services (box/north.h) and the reader, ring to ring in one process: what one says the other
 * understands. The engine is played by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "box/north.h"
#include "reader/world.h"

struct seen {
    uint64_t records, rows, ends, next_sequence;
    uint32_t error, again;
    struct cursor_range covers;
    struct service_host *host;
};

static void on_record(void *context, const struct answer *run, const struct slot *slots,
                      size_t count)
{
    struct seen *s = context;
    assert_int_equal(slot_record_length(slots), count);
    assert_int_equal(run->epoch, 7);
    assert_true(run->first_sequence > s->next_sequence);
    s->next_sequence = run->first_sequence;
    s->records++;
}

static void on_row(void *context, const void *row, size_t size)
{
    (void)row;
    ((struct seen *)context)->rows += size > 0;
}

static void on_end(void *context, const struct answer *end)
{
    struct seen *s = context;
    s->ends++;
    s->error = end->error;
    s->covers = end->covers;
    if (s->again) { /* a call-back may ask */
        s->again--;
        struct ask ask = {.kind = ASK_JOURNAL};
        struct answer_handler h = {on_record, on_row, on_end, s};
        assert_true(service_ask(s->host, &ask, &h) > 0);
    }
}

static struct service_host *host_new(struct world *w)
{
    struct service_host *host = calloc(1, sizeof *host);
    host->g = &w->g;
    host->box = WORLD_CLOUD;
    host->seat = w->seats + SEAT_BOX + WORLD_CLOUD;
    assert_int_equal(north_link_init(host), 0);
    assert_int_equal(north_engine_init(host), 0);
    return host;
}

static void turn(struct world *w, struct service_host *host)
{
    for (int i = 0; i < 8; i++) {
        ring_publish(&host->ask);
        ring_publish(&host->up);
        world_run(w);
        north_engine_watch(host);
        north_link_watch(host);
        while (north_link_take(host) > 0) {
        }
        assert_true(north_engine_take(host) >= 0);
    }
}

static int ask(struct service_host *host, struct seen *seen, struct ask a)
{
    struct answer_handler h = {on_record, on_row, on_end, seen};
    return service_ask(host, &a, &h);
}

static void asks_are_answered_and_forgotten_ones_are_not(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    struct service_host *host = host_new(w);
    struct seen feed = {.host = host}, other = {.host = host, .again = 3};
    world_samples(w, 1, 100);
    assert_true(ask(host, &feed, (struct ask){.kind = ASK_FEED_UP}) > 0);
    turn(w, host);
    assert_int_equal(feed.ends, 1);
    assert_true(ask(host, &feed, (struct ask){.kind = ASK_FEED_NEXT, .max_records = 60}) > 0);
    assert_true(ask(host, &feed, (struct ask){.kind = ASK_FEED_NEXT, .max_records = 60}) > 0);
    assert_true(ask(host, &other, (struct ask){.kind = ASK_JOURNAL}) > 0);
    turn(w, host);
    assert_int_equal(feed.records, 100);
    assert_int_equal(feed.ends, 3);
    assert_int_equal(other.ends, 4);
    assert_int_equal(other.rows, 4);
    struct ask confirm = {.kind = ASK_FEED_CONFIRM, .confirm = {0, 61}};
    assert_true(service_ask(host, &confirm, NULL) > 0);
    world_durable(w, 101);
    turn(w, host);
    assert_int_equal(w->core->feeds[0].delivered, 60);

    struct seen forgotten = {.host = host};
    int request = ask(host, &forgotten, (struct ask){.kind = ASK_READ});
    service_forget(host, (uint32_t)request);
    turn(w, host);
    assert_int_equal(forgotten.records + forgotten.ends, 0);
    for (uint32_t i = 0; i < SERVICE_ASKS_MAX; i++) { /* none of the places has leaked */
        assert_true(ask(host, &feed, (struct ask){.kind = ASK_FEED_NEXT}) > 0);
        turn(w, host);
    }
    assert_int_equal(ask(host, &feed, (struct ask){.kind = ASK_JOURNAL}), ERR_FULL);

    /* the reader restarts: everything under way ends */
    feed.ends = 0;
    world_restart_reader(w);
    turn(w, host);
    assert_int_equal(feed.ends, SERVICE_ASKS_MAX);
    assert_int_equal(feed.error, -ERR_CLOSED);
    assert_true(ask(host, &feed, (struct ask){.kind = ASK_FEED_UP}) > 0);
    turn(w, host);
    assert_int_equal(feed.error, 0);
    free(host);
    world_free(w);
    world_forget();
}

/* A captured box has nothing but its sessions that are alive. */
static void where_sessions_are_wanted_only_they_are_answered(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    struct service_host *host = host_new(w);
    struct seen seen = {.host = host};
    struct session s = {.role = ROLE_VIEWER, .box = WORLD_CLOUD, .end_mono_ns = INT64_MAX};
    struct ask devices = {.kind = ASK_DEVICES, .tag_to = 100, .max_records = 9};
    for (uint32_t i = 0; i < w->core->link_count; i++) {
        w->core->links[i].signed_in = w->core->links[i].box == WORLD_CLOUD;
    }
    for (uint32_t kind = ASK_NOW; kind <= ASK_CAUSES; kind++) {
        seen = (struct seen){.host = host};
        if (kind != ASK_FEED_CONFIRM) {
            assert_true(ask(host, &seen, (struct ask){.kind = kind, .tag_to = 9}) > 0);
            turn(w, host);
            assert_int_equal(seen.error, kind == ASK_JOURNAL ? 0 : -ERR_PERMISSION);
        }
    }
    assert_int_equal(session_add(&w->g.identity->sessions, &s, devices.session), 0);
    assert_true(ask(host, &seen, devices) > 0);
    turn(w, host);
    assert_int_equal(seen.error, 0);
    devices.kind = ASK_SQL; /* which the role may not */
    assert_true(ask(host, &seen, devices) > 0);
    turn(w, host);
    assert_int_equal(seen.error, -ERR_PERMISSION);
    devices.kind = ASK_DEVICES;
    session_end(&w->g.identity->sessions, &s);
    assert_true(ask(host, &seen, devices) > 0);
    turn(w, host);
    assert_int_equal(seen.error, -ERR_PERMISSION);
    s.box = WORLD_CONSOLE; /* another box's */
    assert_int_equal(session_add(&w->g.identity->sessions, &s, devices.session), 0);
    assert_true(ask(host, &seen, devices) > 0);
    turn(w, host);
    assert_int_equal(seen.error, -ERR_PERMISSION);
    free(host);
    world_free(w);
    world_forget();
}

static void a_run_without_its_end_is_left_behind(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    struct service_host *host = host_new(w);
    struct seen seen = {.host = host};
    int request = ask(host, &seen, (struct ask){.kind = ASK_HEAD, .max_ms = 100});
    struct ring_producer reader;
    const struct seat *s = host->seat;
    assert_int_equal(ring_producer_init(&reader, s->answer, s->answer_capacity, s->answer_tail, -1),
                     0);
    struct slot head = {.tag = record_tag(RECORD_ANSWER)}, sample = {.tag = 1};
    struct answer run = {.kind = ANSWER_RUN,
                         .request = (uint32_t)request,
                         .count = 3,
                         .epoch = 7,
                         .first_sequence = 1};
    struct answer end = {.kind = ANSWER_END, .request = (uint32_t)request};
    assert_int_equal(ring_put_record(&reader, &head, &run, sizeof run), 0);
    assert_int_equal(ring_put(&reader, &sample, 1), 0);
    assert_int_equal(ring_put_record(&reader, &head, &end, sizeof end), 0);
    assert_int_equal(ring_put(&reader, &sample, 1), 0); /* belongs to nothing */
    ring_publish(&reader);
    assert_int_equal(north_link_take(host), 0);
    assert_int_equal(seen.records, 1);
    assert_int_equal(seen.ends, 1);
    atomic_store(&reader.head->head, reader.next + 100000);
    assert_true(north_link_take(host) < 0);
    free(host);
    world_free(w);
    world_forget();
}

static char finished[64]; /* a letter per store that is done */

static void on_done(void *context, int error, const void *value, size_t size)
{
    size_t length = strlen(finished);
    finished[length] = *(const char *)context;
    finished[length + 1] = error ? '!' : '\0';
    if (size) {
        assert_memory_equal(value, "value", 5);
    }
}

/* What the engine finds in the ring: kind and first letter of the value, then it answers up to `most` of them. */
static void play_engine(struct world *w, char *heard, unsigned most)
{
    struct slot slots[SLOT_RECORD_MAX];
    struct ring_consumer *up = w->box_up + WORLD_CLOUD;
    for (int count; (count = ring_take(up, slots, SLOT_RECORD_MAX)) > 0;) {
        size_t length = slot_record_length(slots);
        struct record_store head;
        ring_step_back(up, (size_t)count - length);
        ring_release(up, up->next);
        if (slots->tag == record_tag(RECORD_COMMAND)) {
            continue;
        }
        memcpy(&head, slot_payload(slots), sizeof head);
        bool fetch = slots->tag == record_tag(RECORD_FETCH);
        *heard++ = fetch ? 'F' : (char)slot_payload(slots)[sizeof head];
        *heard = '\0';
        uint8_t payload[sizeof head + 5];
        head.size = fetch ? 5 : 0;
        memcpy(payload, &head, sizeof head);
        memcpy(payload + sizeof head, "value", 5);
        struct slot out = {.tag = record_tag(RECORD_STORED), .status = slots->status};
        if (most && most--) {
            assert_int_equal(
                ring_put_record(&w->box_down[WORLD_CLOUD], &out, payload, sizeof head + head.size),
                0);
        }
    }
    ring_publish(&w->box_down[WORLD_CLOUD]);
}

static struct record_receipt receipt;

static void on_receipt(void *context, const struct record_receipt *r)
{
    (void)context;
    receipt = *r;
}

static void stores_survive_a_restart_of_the_engine(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    struct service_host *host = host_new(w);
    char heard[32] = "";
    assert_int_equal(service_store(host, "a", "1", 1, on_done, "1"), 0);
    assert_int_equal(service_fetch(host, "b", on_done, "2"), 0);
    turn(w, host);
    play_engine(w, heard, 9);
    turn(w, host);
    assert_string_equal(heard, "1F");
    assert_string_equal(finished, "12");

    /* the engine takes three and dies before it answers */
    finished[0] = '\0';
    assert_int_equal(service_store(host, "a", "3", 1, on_done, "3"), 0);
    assert_int_equal(service_store(host, "c", "4", 1, on_done, "4"), 0);
    assert_int_equal(service_store(host, "a", "5", 1, on_done, "5"), 0);
    struct record_command command = {.id = {1}, .act = COMMAND_WRITE, .tag = 1};
    assert_int_equal(service_command(host, &command, on_receipt, NULL), 0);
    turn(w, host);
    play_engine(w, heard, 0);
    atomic_fetch_add(&w->engine.panel.epoch, 1);
    turn(w, host);
    assert_int_equal(receipt.state, COMMAND_UNKNOWN);
    assert_int_equal(service_store(host, "d", "6", 1, on_done, "6"), 0);
    turn(w, host);
    play_engine(w, strcpy(heard, ""), 9);
    assert_string_equal(heard, ""); /* it isn't ready */
    atomic_store(&w->engine.panel.ready, 1);
    turn(w, host);
    play_engine(w, heard, 9);
    assert_string_equal(heard, "3456");
    turn(w, host);
    assert_string_equal(finished, "3456");

    /* the answer to the newer store of a key ends the older too */
    finished[0] = '\0';
    assert_int_equal(service_store(host, "a", "7", 1, on_done, "7"), 0);
    turn(w, host);
    play_engine(w, heard, 0);
    assert_int_equal(service_store(host, "a", "8", 1, on_done, "8"), 0);
    turn(w, host);
    play_engine(w, heard, 1);
    turn(w, host);
    assert_string_equal(finished, "78");
    char text[STORE_VALUE_MAX + 1] = "";
    assert_int_equal(service_store(host, "a", text, sizeof text, on_done, ""), ERR_TOO_LONG);
    for (uint32_t i = 0; i < NORTH_STORES_MAX; i++) {
        assert_int_equal(service_fetch(host, "x", on_done, "x"), 0);
    }
    assert_int_equal(service_fetch(host, "x", on_done, "x"), ERR_FULL);
    free(host);
    world_free(w);
    world_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_are_answered_and_forgotten_ones_are_not),
        cmocka_unit_test(where_sessions_are_wanted_only_they_are_answered),
        cmocka_unit_test(a_run_without_its_end_is_left_behind),
        cmocka_unit_test(stores_survive_a_restart_of_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
