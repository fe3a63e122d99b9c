/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from shared memory: values, accounts, devices, processes, the journal's figures. What others write under a
 * sequence lock is copied, then checked, a bounded number of times. `at` is the next index. */
#include "reader/core.h"

#include "journal/disk.h"

#include <string.h>

#define COPY_TRIES 64

static struct cursor_range head_of(const struct reader_core *core)
{
    return (struct cursor_range){0, core->journal.written_sequence};
}

static uint32_t lower_bound(const struct plan *plan, uint32_t id)
{
    uint32_t low = 0, high = plan->header->tags.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (plan->tags[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The next tag in scope within the asked ids, from index r->at on; NULL: none. Costs budget. */
static const struct plan_tag *next_tag(struct reader_core *core, struct request *r)
{
    const struct plan *plan = core->plan;
    uint32_t from = r->ask.tag ? r->ask.tag : r->ask.tag_from;
    uint32_t to = r->ask.tag ? r->ask.tag : r->ask.tag_to;
    if (!r->begun) {
        r->begun = true;
        r->at = lower_bound(plan, from);
        r->limit = core->journal.written_sequence;
    }
    for (; r->at < plan->header->tags.count && plan->tags[r->at].id <= to; r->at++) {
        if (filter_has_tag(&r->scope->filter, plan->tags[r->at].id)) {
            return plan->tags + r->at;
        }
    }
    return NULL;
}

static bool spend(struct reader_core *core, size_t slots)
{
    if (core->budget < slots) {
        core->more = true;
        return false;
    }
    core->budget -= slots;
    return true;
}

/* A value as a run of one. */
static void put_value(struct link *link, const struct reader_core *core, const struct request *r,
                      const struct plan_tag *t, struct now_value *v)
{
    struct slot slots[SLOT_RECORD_MAX] = {v->slot};
    struct walk_run run = {.slots = slots,
                           .slot_count = 1,
                           .records = 1,
                           .epoch = core->journal.epoch,
                           .first_sequence = v->sequence};
    if (value_is_long((enum value_type)t->type)) {
        slots[0].tag |= SLOT_LONG;
        slots[0].value.u64 = v->length;
        memcpy(slots + 1, v->bytes, v->length);
        run.slot_count = slot_count_for(v->length);
    }
    link_run(link, r, &run, ANSWER_NOW);
}

void answer_now(struct reader_core *core, struct link *link, struct request *r)
{
    const struct plan_tag *t;
    while ((t = next_tag(core, r))) {
        bool cut = r->ask.max_records && r->records >= r->ask.max_records;
        if (cut) {
            break;
        }
        struct now_value v;
        if (!link_room(link, core) || !spend(core, 8)) {
            return;
        }
        /* busy: the engine may have died while writing it; the next ask sees it again */
        if (now_read(core->g->zones + t->zone, t, &v) == 0) {
            put_value(link, core, r, t, &v);
            r->records++;
        }
        r->at++;
    }
    link_end(link, core, r, ERR_OK, (struct cursor_range){0, r->limit}, t != NULL);
}

void answer_ledger(struct reader_core *core, struct link *link, struct request *r)
{
    const struct plan_tag *t;
    struct answer_since since = {atomic_load(&core->g->engine->ledger_since_ns)};
    if (!r->collected && !link_row(link, core, r, &since, sizeof since)) {
        return;
    }
    r->collected = true;
    while ((t = next_tag(core, r))) {
        struct now_account account;
        now_account(core->g->zones + t->zone, t, &account);
        struct answer_ledger row = {.tag = t->id,
                                    .produced = account.produced,
                                    .journaled = account.journaled,
                                    .suppressed = account.suppressed,
                                    .rejected = account.rejected,
                                    .gaps = account.gaps};
        if (!spend(core, 8) || !link_row(link, core, r, &row, sizeof row)) {
            return;
        }
        r->at++;
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

/* Journal time of the oldest record that the feed has not delivered; 1: known, 0: later. */
static int oldest_pending(struct reader_core *core, struct feed *feed, int64_t *ns)
{
    struct cursor_range hole;
    size_t budget = SLICE_SLOTS;
    uint64_t at = feed->at_oldest;
    *ns = 0;
    while (feed_pending(feed) &&
           cursor_next_hole(&feed->cursor, at, core->journal.written_sequence, &hole)) {
        at = hole.from > at ? hole.from : at;
        struct walk *walk = walk_borrow(core, at);
        if (!walk) {
            return 0;
        }
        struct walk_run run;
        struct walk_limit limit = {hole.to, 1, SLOT_RECORD_MAX, &budget};
        int state = walk_seek(walk, &core->history, &core->g->engine->marks, at);
        state = state ? state : walk_next(walk, &feed->scope.filter, &limit, &run);
        uint64_t reached = walk->sequence < hole.to ? walk->sequence : hole.to;
        if (state == WALK_RUN) {
            *ns = run.now_ns;
        } else if (reached > at) {
            feed->at_oldest = at = reached; /* nothing before: need not be looked at again */
        }
        walk_return(core, walk);
        if (state == WALK_BUDGET) {
            core->more = true;
            return 0;
        }
        if (state != WALK_END || at < hole.to) {
            break;
        }
    }
    return 1;
}

void answer_feeds(struct reader_core *core, struct link *link, struct request *r)
{
    if (!r->begun) {
        r->begun = true;
        r->limit = core->journal.durable_sequence; /* what was durable when we were asked */
    }
    for (; r->at < core->feed_count; r->at++) {
        struct feed *feed = core->feeds + r->at;
        if (core->plan->feeds[r->at].box != link->box && !r->scope->all) {
            continue;
        }
        struct answer_feed row = {.feed = feed->index, .connected = feed->up};
        if (!link_room(link, core) || core->counting.reached < r->limit ||
            (feed->known && !oldest_pending(core, feed, &row.oldest_pending_ns))) {
            return;
        }
        struct cursor_range hole;
        row.journaled = feed->account.journaled;
        row.delivered = feed->delivered;
        row.pending = feed_pending(feed);
        row.gaps = feed_gaps(feed);
        row.dropped = feed->account.dropped;
        row.since_ns = feed->account.since_ns;
        row.balanced = feed_balances(feed);
        row.head_sequence = core->journal.written_sequence;
        row.confirmed_sequence =
            cursor_next_hole(&feed->cursor, 0, UINT64_MAX, &hole) ? hole.from : 0;
        if (!link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

static void copy_device(const struct device_panel *p, struct answer_device *out)
{
    char reason[sizeof p->reason + 1];
    for (int i = 0; i < COPY_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&p->version, memory_order_acquire);
        out->state = atomic_load_explicit(&p->state, memory_order_relaxed);
        out->since_utc_ns = atomic_load_explicit(&p->since_utc_ns, memory_order_relaxed);
        out->last_reply_utc_ns = atomic_load_explicit(&p->last_reply_utc_ns, memory_order_relaxed);
        for (size_t k = 0; k < 12; k++) {
            out->figures[k] = atomic_load_explicit(p->figures + k, memory_order_relaxed);
        }
        text_from_words(p->reason, 12, reason);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&p->version, memory_order_relaxed) == before) {
            break;
        }
    }
    reason[sizeof out->reason - 1] = '\0';
    memcpy(out->reason, reason, sizeof out->reason);
    out->state = out->state <= ISTHMUS_DOWN ? out->state : 0;
}

void answer_devices(struct reader_core *core, struct link *link, struct request *r)
{
    const struct plan *plan = core->plan;
    for (; r->at < plan->header->devices.count; r->at++) {
        const struct device_panel *panels =
            core->g->seats[SEAT_BOX + plan->devices[r->at].box].devices;
        if (!filter_has_gap(&r->scope->filter, GAP_DEVICE, (uint32_t)r->at) || !panels) {
            continue;
        }
        struct answer_device row = {.device = (uint32_t)r->at};
        copy_device(panels + r->at, &row);
        if (!spend(core, 16) || !link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

void answer_reports(struct reader_core *core, struct link *link, struct request *r)
{
    for (; r->at < 2 * (uint64_t)core->feed_count; r->at++) {
        const struct feed *feed = core->feeds + r->at / 2;
        if (core->plan->feeds[feed->index].box != link->box && !r->scope->all) {
            continue;
        }
        struct report_sum sum;
        report_sum(&feed->report, r->at % 2, core->utc_ns, &sum);
        struct answer_report row = {.feed = feed->index,
                                    .week = r->at % 2,
                                    .delivered = sum.delivered,
                                    .in_time = sum.in_time,
                                    .gaps = sum.gaps,
                                    .p50_ms = sum.p50_ms,
                                    .p99_ms = sum.p99_ms,
                                    .since_ns = sum.since_ns};
        if (!link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

static const struct device_panel *panel_of(const struct reader_core *core, uint32_t device)
{
    const struct device_panel *panels =
        core->g->seats[SEAT_BOX + core->plan->devices[device].box].devices;
    return panels ? panels + device : NULL;
}

void trial_step(struct reader_core *core)
{
    if (core->mono_ns - core->noted_ns < NS_PER_S) {
        return;
    }
    core->noted_ns = core->mono_ns;
    flows_step(core);
    for (uint32_t i = 0; i < core->device_count; i++) {
        const struct device_panel *panel = panel_of(core, i);
        struct answer_device now;
        if (panel) {
            copy_device(panel, &now);
            const uint64_t *f = now.figures; /* struct isthmus_figures in its order */
            trial_note(core->devices + i,
                       &(struct trial_now){.requests = f[0],
                                           .failures = f[2] + f[3],
                                           .reconnects = f[4],
                                           .latency_us = (uint32_t)f[7],
                                           .answers = now.state == ISTHMUS_UP ||
                                                      now.state == ISTHMUS_DEGRADED},
                       core->utc_ns);
        }
    }
}

void answer_trial(struct reader_core *core, struct link *link, struct request *r)
{
    for (; r->at < (uint64_t)core->device_count * TRIAL_DAYS; r->at++) {
        const struct trial_device *d = core->devices + r->at / TRIAL_DAYS;
        const struct trial_day *t = d->days + r->at % TRIAL_DAYS;
        if (!t->day || !filter_has_gap(&r->scope->filter, GAP_DEVICE, d->index)) {
            continue;
        }
        struct answer_trial row = {.device = d->index,
                                   .day = t->day,
                                   .requests = t->requests,
                                   .failures = t->failures,
                                   .reconnects = t->reconnects,
                                   .seconds = t->seconds,
                                   .mean_us = t->mean_us,
                                   .worst_us = t->worst_us,
                                   .first_s = d->first_s,
                                   .before_s = d->before_s,
                                   .before_us = d->before_us};
        if (!link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

static void copy_seat(const struct health_seat *h, struct answer_process *out)
{
    char reason[sizeof h->reason + 1];
    for (int i = 0; i < COPY_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&h->version, memory_order_acquire);
        out->state = atomic_load_explicit(&h->state, memory_order_relaxed);
        out->since_utc_ns = atomic_load_explicit(&h->since_utc_ns, memory_order_relaxed);
        out->pid = atomic_load_explicit(&h->pid, memory_order_relaxed);
        out->restarts = atomic_load_explicit(&h->restarts, memory_order_relaxed);
        out->cpu_ns = atomic_load_explicit(&h->cpu_ns, memory_order_relaxed);
        out->pss_bytes = atomic_load_explicit(&h->pss_bytes, memory_order_relaxed);
        out->layers_missing = atomic_load_explicit(&h->layers_missing, memory_order_relaxed);
        out->certificate_ends_ns =
            atomic_load_explicit(&h->certificate_ends_ns, memory_order_relaxed);
        out->up_ring_permille = atomic_load_explicit(&h->up_ring_permille, memory_order_relaxed);
        text_from_words(h->reason, 12, reason);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&h->version, memory_order_relaxed) == before) {
            break;
        }
    }
    reason[sizeof out->reason - 1] = '\0';
    memcpy(out->reason, reason, sizeof out->reason);
}

/* Supervisor and keeper: single words, no lock. */
static void describe_parent(const struct health *h, bool keeper, struct answer_process *out)
{
    const struct panel *p = &h->supervisor;
    out->seat = keeper ? UINT32_MAX - 1 : UINT32_MAX;
    out->state = SEAT_RUNNING;
    out->since_utc_ns = atomic_load_explicit(&p->started_utc_ns, memory_order_relaxed);
    out->restarts =
        keeper ? 0 : atomic_load_explicit(&h->supervisor_restarts, memory_order_relaxed);
    out->pid =
        atomic_load_explicit(keeper ? &h->keeper_pid : &h->supervisor_pid, memory_order_relaxed);
    out->cpu_ns = atomic_load_explicit(keeper ? &h->keeper_cpu_ns : &h->supervisor_cpu_ns,
                                       memory_order_relaxed);
    out->pss_bytes =
        atomic_load_explicit(keeper ? &h->keeper_pss : &h->supervisor_pss, memory_order_relaxed);
    strcpy(out->name, keeper ? "keeper" : "supervisor");
}

void answer_processes(struct reader_core *core, struct link *link, struct request *r)
{
    const struct gateway *g = core->g;
    for (; r->at < g->seat_count + 2; r->at++) {
        struct answer_process row = {.seat = (uint32_t)r->at};
        bool parent = r->at >= g->seat_count;
        if (!r->scope->all && r->at >= SEAT_BOX && !parent && r->at != SEAT_BOX + link->box) {
            continue;
        }
        if (parent) {
            describe_parent(g->health, r->at > g->seat_count, &row);
        } else {
            copy_seat(g->health->seats + r->at, &row);
            size_t length = strnlen(g->seats[r->at].name, sizeof row.name - 1);
            memcpy(row.name, g->seats[r->at].name, length);
        }
        if (!link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

static void tell_forecast(const struct reader_core *core, struct answer_journal *row)
{
    int64_t room = core->history.disk->room(core->history.disk->context, core->history.dir);
    row->room_bytes = room < 0 ? 0 : (uint64_t)room;
    struct forecast_rates rates;
    if (room < 0 || !forecast_rate(&core->forecast, &rates)) {
        return;
    }
    struct forecast f = forecast_of(&(struct forecast_figures){.used = row->disk_bytes,
                                                               .limit = row->limit_bytes,
                                                               .room = row->room_bytes,
                                                               .endurance = row->flash_endurance},
                                    &rates);
    row->known = 1;
    row->end = f.end;
    row->growth_a_day = rates.growth;
    row->days = f.days;
    row->flash_a_day = f.flash_bytes;
    row->flash_years = f.flash_years;
}

static void tell_sealed(const struct reader_core *core, struct answer_journal *row)
{
    const struct sealer_panel *s = core->g->sealer;
    row->sealed_files = atomic_load_explicit(&s->files, memory_order_relaxed);
    row->sealed_bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    row->sealed_samples = atomic_load_explicit(&s->samples, memory_order_relaxed);
    row->waiting_segments = atomic_load_explicit(&s->waiting_segments, memory_order_relaxed);
    row->held_segments = atomic_load_explicit(&s->held_segments, memory_order_relaxed);
    row->damaged = atomic_load_explicit(&s->damaged, memory_order_relaxed);
    row->sealer_failures = atomic_load_explicit(&s->failures, memory_order_relaxed);
}

void answer_journal(struct reader_core *core, struct link *link, struct request *r)
{
    const struct journal_marks *m = &core->g->engine->marks;
    struct answer_journal row = {
        .epoch = core->journal.epoch,
        .written_sequence = core->journal.written_sequence,
        .durable_sequence = core->journal.durable_sequence,
        .first_segment = core->journal.first_segment,
        .segment = core->journal.written_segment,
        .disk_bytes = atomic_load_explicit(&m->disk_bytes, memory_order_relaxed),
        .limit_bytes = core->plan->header->journal_limit,
        .bytes_written = atomic_load_explicit(&m->bytes_written, memory_order_relaxed),
        .flushes = atomic_load_explicit(&m->flushes, memory_order_relaxed),
        .flush_ns = atomic_load_explicit(&m->flush_ns, memory_order_relaxed),
        .frames = atomic_load_explicit(&m->frames, memory_order_relaxed),
        .failures = atomic_load_explicit(&m->failures, memory_order_relaxed),
        .full = atomic_load_explicit(&m->full, memory_order_relaxed),
        .flash_endurance = core->plan->header->flash_endurance,
    };
    tell_sealed(core, &row);
    tell_forecast(core, &row);
    if (r->at == 0 && !link_row(link, core, r, &row, sizeof row)) {
        return;
    }
    r->at = 1;
    link_end(link, core, r, ERR_OK, head_of(core), false);
}

void answer_head(struct reader_core *core, struct link *link, struct request *r)
{
    int64_t waited = core->mono_ns - r->asked_ns, most = r->ask.max_ms * NS_PER_MS;
    if (core->journal.written_sequence > r->ask.from_sequence || waited >= most) {
        link_end(link, core, r, ERR_OK, head_of(core), false);
    }
}
