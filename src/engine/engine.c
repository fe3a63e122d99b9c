/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's step: intake of every ring in turn, then what became durable (rings released, stored values confirmed),
 * then every 100 ms what nobody tells us: hearts, drops, losses. The step reads no clock and blocks on nothing; the
 * process's body around it (process.c) sleeps on the wake pipes. Memory: 48 bytes a tag beside the plan and now. */
#include "engine/internal.h"

#include <stdlib.h>
#include <string.h>

#define TICK_NS (100 * INT64_C(1000000))

static int index_tags(struct engine *e)
{
    const struct plan *p = &e->g->plan;
    uint32_t n = p->header->tags.count;
    e->id_limit = n ? p->tags[n - 1].id + 1 : 0;
    e->tags = calloc(n + 1, sizeof *e->tags);
    e->by_id = calloc(e->id_limit + 1, sizeof *e->by_id);
    e->touched = calloc(n + 1, sizeof *e->touched);
    if (!e->tags || !e->by_id || !e->touched) {
        return ERR_NOMEM;
    }
    uint32_t *counts = calloc(p->header->boxes.count + 1, sizeof *counts);
    if (!counts) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        e->tags[i] = (struct tag_state){.tag = p->tags + i,
                                        .zone = e->g->zones + p->tags[i].zone,
                                        .box_index = counts[p->tags[i].box]++};
        e->by_id[p->tags[i].id] = i + 1;
    }
    free(counts);
    return ERR_OK;
}

/* The ledger goes on where the journal says it stood. */
static void restore_ledger(struct engine *e)
{
    for (uint32_t i = 0; i < e->g->plan.header->tags.count; i++) {
        const struct journal_account *a = journal_tag_account(e->journal, e->tags[i].tag->id);
        if (a) {
            struct now_entry *entry = engine_entry(e->tags + i);
            atomic_store(&entry->produced, a->produced);
            atomic_store(&entry->journaled, a->journaled);
            atomic_store(&entry->suppressed, a->suppressed);
            atomic_store(&entry->rejected, a->rejected);
            atomic_store(&entry->gaps, a->gaps);
        }
    }
}

/* What the predecessor in shared memory and the journal know of a seat. */
static int open_inlet(struct engine *e, struct inlet *in, size_t i)
{
    struct seat *s = in->seat = e->g->seats + SEAT_READER + i;
    uint64_t life;
    in->box = i >= BOX_INLET ? (uint32_t)(i - BOX_INLET) : FRAME_READER - (uint32_t)i;
    in->ring_life = e->g->life;
    in->starts = atomic_load(&s->memory->starts);
    if (!journal_ring_position(e->journal, in->box, &life, &in->journaled) ||
        life != in->ring_life) {
        in->journaled = 0;
    }
    for (uint32_t k = 0; s->other_gaps && k < e->g->plan.header->tags.count; k++) {
        struct tag_state *t = e->tags + k;
        if (t->tag->box == in->box && !atomic_load(s->other_gaps + t->box_index)) {
            atomic_store(s->other_gaps + t->box_index, atomic_load(&engine_entry(t)->gaps) + 1);
        }
    }
    return ring_producer_init(&in->down, s->down, s->down_capacity, s->down_tail,
                              s->from_engine_write);
}

int engine_new(struct engine **engine, struct gateway *g, struct journal *journal,
               struct audit *audit, const struct journal_recovered *recovered, int64_t utc_ns,
               int64_t mono_ns)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        return ERR_NOMEM;
    }
    e->g = g;
    e->journal = journal;
    e->audit = audit;
    e->utc_ns = utc_ns;
    e->mono_ns = mono_ns;
    e->last_ns = recovered->last_ns;
    e->inlet_count = g->seat_count - 1;
    e->inlets = calloc(e->inlet_count + 1, sizeof *e->inlets);
    e->taken = calloc(INTAKE_SLOTS, sizeof *e->taken);
    int err = e->inlets && e->taken ? index_tags(e) : ERR_NOMEM;
    if (!err) {
        err = store_init(&e->store);
    }
    if (!err) {
        err = commands_init(e);
    }
    if (!err) {
        restore_ledger(e);
    }
    for (size_t i = 0; !err && i < e->inlet_count; i++) {
        err = open_inlet(e, e->inlets + i, i);
    }
    if (!err) {
        err = commands_recall(e);
    }
    if (err) {
        engine_free(e);
        return err;
    }
    watch_attach(e); /* when all that the journal had is known: this writes to it */
    *engine = e;
    return ERR_OK;
}

void engine_free(struct engine *e)
{
    if (e) {
        commands_fini(e);
        store_fini(&e->store);
        free(e->touched);
        free(e->by_id);
        free(e->tags);
        free(e->taken);
        free(e->inlets);
        free(e);
    }
}

static void confirm_stored(struct engine *e, struct inlet *in, uint64_t durable)
{
    for (size_t i = 0; i < e->store.waiting_count;) {
        struct store_waiting *w = e->store.waiting + i;
        if (w->owner != in->box || w->ring_position > durable) {
            i++;
            continue;
        }
        struct record_store reply = {0};
        memcpy(reply.key, w->key, sizeof reply.key);
        struct slot head = {
            .time = e->utc_ns, .tag = record_tag(RECORD_STORED), .status = w->request};
        if (ring_put_record(&in->down, &head, &reply, sizeof reply) == ERR_OK) {
            ring_publish(&in->down);
        }
        *w = e->store.waiting[--e->store.waiting_count];
    }
}

static void release_durable(struct engine *e)
{
    e->waits_for_durable = e->store.waiting_count > 0;
    for (size_t i = 0; i < e->inlet_count; i++) {
        struct inlet *in = e->inlets + i;
        if (in->condemned) {
            continue;
        }
        uint64_t durable = journal_durable_ring(e->journal, in->box);
        uint64_t tail = atomic_load_explicit(&in->up.tail->tail, memory_order_relaxed);
        if (durable > tail && durable <= in->up.next) {
            ring_release(&in->up, durable);
            tail = durable;
        }
        if (e->store.waiting_count) {
            confirm_stored(e, in, durable);
        }
        /* A ring that is half full wants its room back before the next tick. */
        e->waits_for_durable |= in->up.next - tail > in->up.capacity / 2;
    }
}

static void tick(struct engine *e)
{
    e->next_tick_ns = e->mono_ns + TICK_NS;
    watch_seats(e);
    account_losses(e);
    for (size_t i = 0; i < e->inlet_count; i++) {
        if (!e->inlets[i].condemned) {
            account_drops(e, e->inlets + i);
        }
    }
}

bool engine_is_drained(const struct engine *e)
{
    for (size_t i = 0; i < e->inlet_count; i++) {
        const struct inlet *in = e->inlets + i;
        if (!in->condemned && ring_waiting(&in->up)) {
            return false;
        }
    }
    return true;
}

bool engine_step(struct engine *e, int64_t utc_ns, int64_t mono_ns)
{
    e->utc_ns = utc_ns;
    e->mono_ns = mono_ns;
    bool more = false;
    if (mono_ns >=
        e->next_tick_ns) { /* before the intake: a box's new life is noted before its samples */
        tick(e);
    }
    for (size_t i = 0; i < e->inlet_count; i++) {
        struct inlet *in = e->inlets + i;
        if (!in->condemned) {
            more |= intake_run(e, in) > 0;
        }
    }
    command_turn(e);
    release_durable(e);
    return more;
}
