/* SPDX-License-Identifier: Apache-2.0 */
/* One step of the reader. Feeds come first and have a budget of their own each; queries share one and take turns, a
 * bit more at each step, so that a long one stalls nobody. */
#include "reader/core.h"

#include "tag/conduit.h"

#include <stdlib.h>
#include <string.h>

#define SLEEP_MAX_MS    100
#define SLEEP_ROOM_MS   2 /* nobody wakes us when room is made in an answer ring */
#define SLEEP_CURSOR_MS 20
#define IDLE_WALK_NS    (10 * NS_PER_S)

struct walk *walk_borrow(struct reader_core *core, uint64_t sequence)
{
    struct pooled_walk *best = NULL;
    for (uint32_t i = 0; i < core->walk_count; i++) {
        struct pooled_walk *p = core->walks + i;
        if (p->used) {
            continue;
        }
        if (p->walk.follow && p->walk.sequence == sequence) {
            best = p; /* it stands there already */
            break;
        }
        if (!best || p->last_used < best->last_used) {
            best = p;
        }
    }
    if (!best) {
        return NULL;
    }
    best->used = true;
    best->last_used = ++core->walk_clock;
    best->used_ns = core->mono_ns;
    return &best->walk;
}

void walk_return(struct reader_core *core, struct walk *walk)
{
    for (uint32_t i = 0; i < core->walk_count; i++) {
        if (walk == &core->walks[i].walk) {
            core->walks[i].used = false;
        }
    }
}

/* A walk holds a file and a buffer of megabytes: not for longer than somebody is likely to come back to it. */
static void close_idle_walks(struct reader_core *core)
{
    for (uint32_t i = 0; i < core->walk_count; i++) {
        struct pooled_walk *p = core->walks + i;
        if (!p->used && p->walk.follow && core->mono_ns - p->used_ns > IDLE_WALK_NS) {
            walk_close(&p->walk);
        }
    }
}

static int open_links(struct reader_core *core)
{
    for (uint32_t i = 0; i < core->plan->header->boxes.count; i++) {
        if (core->plan->boxes[i].kind == BOX_NORTH && core->g->seats[SEAT_BOX + i].ask) {
            int err = link_init(core->links + core->link_count++, core, i);
            if (err) {
                return err;
            }
        }
    }
    return ERR_OK;
}

int core_new(struct reader_core **out, struct gateway *g, const struct disk *disk, int dir_fd)
{
    const struct plan_header *h = g->plan.header;
    const struct seat *seat = g->seats + SEAT_READER;
    struct reader_core *core = calloc(1, sizeof *core);
    if (!core) {
        return ERR_NOMEM;
    }
    core->g = g;
    core->plan = &g->plan;
    core->search.file = -1;
    int err = history_open(&core->history, disk, dir_fd);
    if (err) {
        free(core);
        return err;
    }
    core->links = calloc(h->boxes.count + 1, sizeof *core->links);
    core->feeds = calloc(h->feeds.count + 1, sizeof *core->feeds);
    core->walk_count = h->boxes.count * WALKS_PER_LINK + 2; /* and some for the age of backlogs */
    core->walks = calloc(core->walk_count, sizeof *core->walks);
    err = core->links && core->feeds && core->walks ? ERR_OK : ERR_NOMEM;
    core->walk_count = core->walks ? core->walk_count : 0;
    if (!err) {
        err = ring_producer_init(&core->up, seat->up, seat->up_capacity, seat->up_tail,
                                 seat->to_engine_write);
    }
    if (!err) {
        err = ring_consumer_init(&core->down, seat->down, seat->down_capacity, seat->down_tail);
    }
    for (uint32_t i = 0; !err && i < h->feeds.count; i++) {
        err = feed_init(core->feeds + core->feed_count++, core->plan, i);
    }
    err = err ? err : flows_init(core);
    err = err ? err : kept_init(core);
    err = err ? err : open_links(core);
    core->scopes_until_ns = conduit_next_end(core->plan, core->utc_ns);
    /* answers to requests of a predecessor must not look like answers to ours */
    core->store_count = (uint32_t)atomic_load(&seat->panel->epoch) << 16;
    if (err) {
        core_free(core);
        core = NULL;
    }
    *out = core;
    return err;
}

void core_free(struct reader_core *core)
{
    if (!core) {
        return;
    }
    for (uint32_t i = 0; i < core->link_count; i++) {
        link_fini(core->links + i, core);
    }
    for (uint32_t i = 0; i < core->feed_count; i++) {
        feed_fini(core->feeds + i);
    }
    for (uint32_t i = 0; i < core->walk_count; i++) {
        walk_close(&core->walks[i].walk);
    }
    audit_rewind(core);
    free(core->causes);
    flows_fini(core);
    search_fini(core);
    sql_fini(core);
    history_close(&core->history);
    free(core->walks);
    free(core->links);
    free(core->feeds);
    free(core->kept);
    free(core->devices);
    free(core);
}

/* The journal's marks. A new epoch may begin before where the last one ended: what was not on disk is gone. */
static void look_at_journal(struct reader_core *core)
{
    struct journal_position p;
    core->written_seen = atomic_load(&core->g->engine->marks.written_sequence);
    if (journal_marks_read(&core->g->engine->marks, &p) || p.epoch == 0) {
        return;
    }
    if (p.epoch != core->journal.epoch) {
        for (uint32_t i = 0; i < core->feed_count; i++) {
            feed_rewind(core->feeds + i, p.written_sequence);
        }
        audit_rewind(core);
        for (uint32_t i = 0; i < core->walk_count; i++) {
            if (!core->walks[i].used) {
                walk_close(&core->walks[i].walk);
            }
        }
    } else if (p.written_sequence < core->journal.written_sequence) {
        return; /* the engine is restarting: the new epoch comes */
    }
    core->journal = p;
}

static void note_use(struct reader_core *core)
{
    const struct journal_marks *m = &core->g->engine->marks;
    if (core->journal.epoch) {
        uint64_t sealed = atomic_load(&core->g->sealer->bytes_written);
        forecast_note(&core->forecast,
                      (struct forecast_point){.mono_ns = core->mono_ns,
                                              .used = atomic_load(&m->disk_bytes),
                                              .written = atomic_load(&m->bytes_written) + sealed,
                                              .flushes = atomic_load(&m->flushes)});
    }
}

static void answer_one(struct reader_core *core, struct link *link, struct request *r)
{
    static answer_ask *const answers[] = {
        [ASK_NOW] = answer_now,
        [ASK_READ] = answer_read,
        [ASK_HISTORY] = answer_history,
        [ASK_STEPS] = answer_history,
        [ASK_GAPS] = answer_gaps,
        [ASK_LEDGER] = answer_ledger,
        [ASK_FEEDS] = answer_feeds,
        [ASK_DEVICES] = answer_devices,
        [ASK_PROCESSES] = answer_processes,
        [ASK_JOURNAL] = answer_journal,
        [ASK_HEAD] = answer_head,
        [ASK_FEED_UP] = feed_ask,
        [ASK_FEED_DOWN] = feed_ask,
        [ASK_FEED_NEXT] = feed_ask,
        [ASK_CAUSES] = answer_causes,
        [ASK_COMMANDS] = answer_commands,
        [ASK_SQL] = answer_sql,
        [ASK_REPORTS] = answer_reports,
        [ASK_TRIAL] = answer_trial,
        [ASK_FLOWS] = answer_flows,
        [ASK_AUDIT] = answer_audit,
        [ASK_SEARCH] = answer_search,
        [ASK_PROOF] = answer_proof,
    };
    if (r->cancelled) {
        link_end(link, core, r, ERR_CLOSED, (struct cursor_range){0}, false);
    } else if (r->ask.kind < sizeof answers / sizeof *answers && answers[r->ask.kind]) {
        answers[r->ask.kind](core, link, r);
    } else {
        link_end(link, core, r, ERR_UNSUPPORTED, (struct cursor_range){0}, false);
    }
}

static bool is_feed_ask(const struct request *r)
{
    return r->ask.kind >= ASK_FEED_UP && r->ask.kind <= ASK_FEED_NEXT;
}

/* Asks of feeds in their order; queries in turns, for one may use up the whole budget of a step. */
static void answer_all(struct reader_core *core, struct link *link, bool feeds)
{
    uint32_t count = link->request_count, first = feeds || !count ? 0 : link->turn % count;
    for (uint32_t i = 0; i < count; i++) {
        struct request *r = link->requests + (first + i) % count;
        if (!r->done && is_feed_ask(r) == feeds && link_room(link, core)) {
            answer_one(core, link, r);
        }
    }
    link_sweep(link, core);
    ring_publish(&link->answers);
}

static void answer_links(struct reader_core *core, bool feeds)
{
    uint32_t count = core->link_count, first = count ? core->turn % count : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct link *link = core->links + (first + i) % count;
        if (!link->broken) {
            answer_all(core, link, feeds);
        }
    }
    if (count && !feeds) {
        core->links[first].turn++;
        core->turn++;
    }
}

int core_step(struct reader_core *core, int64_t utc_ns, int64_t mono_ns)
{
    core->utc_ns = utc_ns;
    core->mono_ns = mono_ns;
    core->more = core->crowded = false;
    core->budget = SLICE_SLOTS;
    scopes_turn(core);
    look_at_journal(core);
    note_use(core);
    close_idle_walks(core);
    sql_reap(core);
    cursors_take(core);
    audit_step(core);
    for (uint32_t i = 0; i < core->link_count; i++) {
        link_attach(core->links + i, core);
        link_take(core->links + i, core);
    }
    answer_links(core, true);
    answer_links(core, false);
    cursors_step(core);
    trial_step(core);
    search_step(core);
    kept_step(core, false);
    ring_publish(&core->up);
    return core->more           ? 0
           : core->crowded      ? SLEEP_ROOM_MS
           : cursors_wait(core) ? SLEEP_CURSOR_MS
                                : SLEEP_MAX_MS;
}

bool core_nap(struct reader_core *core)
{
    bool sleep = ring_nap(&core->down);
    for (uint32_t i = 0; i < core->link_count && sleep; i++) {
        sleep = core->links[i].broken || ring_nap(&core->links[i].asks);
    }
    /* the engine's journal wakes us by the same nap: what was written meanwhile it did not tell */
    atomic_thread_fence(memory_order_seq_cst);
    return sleep && atomic_load(&core->g->engine->marks.written_sequence) == core->written_seen;
}

size_t core_descriptors(const struct reader_core *core, int out[QUERIES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < QUERIES_MAX; i++) {
        if (core->queries[i].used && core->queries[i].wake >= 0) {
            out[count++] = core->queries[i].wake;
        }
    }
    return count;
}

void core_awake(struct reader_core *core)
{
    ring_awake(&core->down);
    for (uint32_t i = 0; i < core->link_count; i++) {
        ring_awake(&core->links[i].asks);
    }
}

void core_finish(struct reader_core *core)
{
    core->mono_ns += PERSIST_NS;
    cursors_step(core);
    kept_step(core, true);
    ring_publish(&core->up);
}
