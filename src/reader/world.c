/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tag/plan_build.h"

#define RING     1024u
#define START_NS INT64_C(1000000000000)

/* ---- The gateway. ---- */

static void *own(struct world *w, size_t size)
{
    assert(w->owned_count < sizeof w->owned / sizeof *w->owned);
    return w->owned[w->owned_count++] = aligned_alloc(64, (size + 63) / 64 * 64);
}

static void *own_zero(struct world *w, size_t size)
{
    return memset(own(w, size), 0, (size + 63) / 64 * 64);
}

static void make_plan(struct world *w, bool live_first)
{
    struct plan_build *b = plan_build_new();
    size_t size;
    struct plan_header *header = plan_build_header(b);
    header->sync = SYNC_PERIOD;
    header->sync_ms = 5;
    header->segment_size = 64 << 10;
    header->journal_limit = 1 << 30;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "zone")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "plc"), .kind = BOX_SOUTH});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"), .kind = BOX_NORTH});
    struct plan_box console = {.name = plan_build_text(b, "console"), .kind = BOX_NORTH};
    console.first_option = plan_build_option(b, "scope", "all");
    console.option_count = 1;
    plan_build_box(b, &console);
    for (uint32_t i = 0; i < 2; i++) {
        plan_build_device(
            b, &(struct plan_device){.name = plan_build_text(b, i ? "b" : "a"), .box = 0});
    }
    for (uint32_t id = 1; id <= 4; id++) {
        char path[] = {(char)('a' + id), '\0'};
        uint8_t type = id == 4 ? VALUE_TEXT : VALUE_FLOAT64;
        plan_build_tag(b, &(struct plan_tag){.id = id,
                                             .path = plan_build_text(b, path),
                                             .device = id > 2,
                                             .type = type,
                                             .raw_type = type,
                                             .max_length = id == 4 ? 40 : 0});
    }
    struct plan_feed feed = {.name = plan_build_text(b, "feed"), .box = WORLD_CLOUD};
    feed.first_tag = plan_build_feed_tag(b, 1);
    plan_build_feed_tag(b, 2);
    feed.tag_count = 2;
    feed.live_first = live_first;
    plan_build_feed(b, &feed);
    int err = plan_build_finish(b, &w->image, &size);
    plan_build_free(b);
    err = err ? err : plan_open(&w->g.plan, w->image, size);
    assert(err == 0);
    (void)err;
}

static void make_ring(struct world *w, void **ring, size_t *capacity, struct ring_tail **tail,
                      struct ring_producer *p, struct ring_consumer *c, bool box_puts)
{
    *ring = own_zero(w, ring_bytes(RING));
    *tail = own_zero(w, sizeof **tail);
    *capacity = RING;
    int err = p && box_puts    ? ring_producer_init(p, *ring, RING, *tail, -1)
              : c && !box_puts ? ring_consumer_init(c, *ring, RING, *tail)
                               : 0;
    assert(err == 0);
    (void)err;
}

static void new_core(struct world *w)
{
    int err = core_new(&w->core, &w->g, w->disk, w->dir_fd);
    assert(err == 0);
    (void)err;
}

struct world *world_new(bool live_first)
{
    struct world *w = calloc(1, sizeof *w);
    make_plan(w, live_first);
    w->now_ns = START_NS;
    w->disk = &world_disk;
    w->g.engine = &w->engine;
    w->g.sealer = &w->sealer;
    w->g.reader = own_zero(w, sizeof *w->g.reader);
    w->g.identity = own_zero(w, sizeof *w->g.identity);
    w->g.board = own_zero(w, sizeof *w->g.board);
    w->g.traffic = own_zero(w, (size_t)w->g.plan.header->boxes.count *
                                   w->g.plan.header->zones.count * sizeof *w->g.traffic);
    w->g.seats = w->seats;
    w->g.seat_count = SEAT_BOX + WORLD_BOXES;
    w->g.health = own_zero(w, sizeof *w->health + w->g.seat_count * sizeof(struct health_seat));
    w->zone = now_view(own_zero(w, now_bytes(w->g.plan.zones)), w->g.plan.zones);
    w->g.zones = &w->zone;
    for (size_t i = 0; i < w->g.seat_count; i++) {
        struct seat *s = w->seats + i;
        s->name = i == SEAT_READER ? "reader" : i ? "box" : "engine";
        s->panel = w->panels + i;
        atomic_store(&s->panel->epoch, 1);
        s->from_reader_write = s->to_engine_write = -1;
        if (i == SEAT_READER) {
            make_ring(w, &s->up, &s->up_capacity, &s->up_tail, NULL, &w->up, false);
            make_ring(w, &s->down, &s->down_capacity, &s->down_tail, &w->down, NULL, true);
        } else if (i > SEAT_BOX) {
            size_t box = i - SEAT_BOX;
            s->reader_verdict = own_zero(w, sizeof *s->reader_verdict);
            make_ring(w, &s->ask, &s->ask_capacity, &s->ask_tail, w->ask + box, NULL, true);
            make_ring(w, &s->up, &s->up_capacity, &s->up_tail, NULL, w->box_up + box, false);
            make_ring(w, &s->down, &s->down_capacity, &s->down_tail, w->box_down + box, NULL, true);
            make_ring(w, &s->answer, &s->answer_capacity, &s->answer_tail, NULL, w->answer + box,
                      false);
        } else if (i == SEAT_BOX) {
            s->devices = own_zero(w, 2 * sizeof *s->devices);
        }
    }
    atomic_store(&w->engine.panel.epoch, 1);
    atomic_store(&w->engine.marks.epoch, 7);
    atomic_store(&w->engine.marks.written_sequence, 1);
    atomic_store(&w->engine.marks.durable_sequence, 1);
    new_core(w);
    return w;
}

void world_free(struct world *w)
{
    core_free(w->core);
    for (size_t i = 0; i < w->owned_count; i++) {
        free(w->owned[i]);
    }
    free(w->image);
    free(w);
}

void world_restart_reader(struct world *w)
{
    core_free(w->core);
    atomic_fetch_add(&w->seats[SEAT_READER].panel->epoch, 1);
    new_core(w);
}

/* ---- The engine: stores and fetches. ---- */

static void on_request(struct world *w, const struct slot *s)
{
    struct record_store head;
    uint8_t payload[sizeof head + STORE_VALUE_MAX];
    memcpy(&head, slot_payload(s), sizeof head);
    if (strcmp(head.key, "cursor/feed") != 0) {
        head.size = 0; /* figures: they are not kept */
    } else if (s->tag == record_tag(RECORD_STORE)) {
        memcpy(w->stored, slot_payload(s) + sizeof head, head.size);
        w->stored_size = head.size;
        w->stores++;
        head.size = 0;
    } else {
        head.size = (uint32_t)w->stored_size;
        memcpy(payload + sizeof head, w->stored, w->stored_size);
    }
    memcpy(payload, &head, sizeof head);
    struct slot out = {.tag = record_tag(RECORD_STORED), .status = s->status};
    int err = ring_put_record(&w->down, &out, payload, sizeof head + head.size);
    assert(err == 0);
    (void)err;
    ring_publish(&w->down);
}

static void play_engine(struct world *w)
{
    struct slot slots[SLOT_RECORD_MAX];
    for (int count; (count = ring_take(&w->up, slots, SLOT_RECORD_MAX)) > 0;) {
        size_t length = slot_record_length(slots);
        assert(length && length <= (size_t)count);
        on_request(w, slots);
        ring_step_back(&w->up, (size_t)count - length);
        ring_release(&w->up, w->up.next);
    }
}

void world_run(struct world *w)
{
    int ms = 0;
    for (int i = 0; i < 200 && ms < 100; i++) {
        w->now_ns += NS_PER_MS;
        ms = core_step(w->core, w->now_ns, w->now_ns);
        play_engine(w);
    }
}

void world_pass(struct world *w, int64_t ms)
{
    w->now_ns += ms * NS_PER_MS;
    world_run(w);
}

void world_ask(struct world *w, uint32_t box, const struct ask *ask)
{
    struct slot head = {.tag = record_tag(RECORD_ASK)};
    int err = ring_put_record(&w->ask[box], &head, ask, sizeof *ask);
    assert(err == 0);
    (void)err;
    ring_publish(&w->ask[box]);
}
