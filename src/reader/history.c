/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of one tag between two source times, sealed and raw as one; as they are, reduced to the columns of a chart, or at steps.
 * First the raw segments are searched, in turns; then the series gives what is there. A segment that was sealed meanwhile makes
 * the search begin anew: it is in the files now. Samples of the past have no sequence number any more: epoch 0. */
#include "reader/core.h"

#include "history/pixels.h"
#include "history/sampled.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 2000u
#define TAIL_MAX    (16u << 20) /* bytes of raw samples of one tag */
#define RUN_SLOTS   512u
#define PIECE_COST  16u
#define TRIES_MAX   100u

struct past {
    struct tail tail;
    struct series *series;
    struct pixels pixels;
    struct sampled *sampled;
    struct step step; /* that waits for room */
    bool has_step;
    enum value_type type;
    bool reduced, collected;
    uint32_t tries;
    struct piece piece; /* being sent: samples from `at` on */
    bool has_piece;
    uint32_t at;
};

void past_free(struct past *past)
{
    if (past) {
        pixels_fini(&past->pixels);
        sampled_close(past->sampled);
        series_close(past->series);
        tail_close(&past->tail);
        free(past);
    }
}

static int begin(struct reader_core *core, struct request *r)
{
    int err = history_refresh(&core->history, core->utc_ns);
    if (!err && !r->past && !(r->past = calloc(1, sizeof *r->past))) {
        err = ERR_NOMEM;
    }
    if (!err) {
        err = tail_open(&r->past->tail, &core->history, &core->journal, NULL, 0, r->ask.tag);
    }
    r->begun = !err;
    return err;
}

/* Searches the raw segments. 1: done; 0: later; negative: error. */
static int search(struct reader_core *core, struct request *r)
{
    struct past *past = r->past;
    int got = past->tail.complete ? 1 : tail_step(&past->tail, &core->budget, TAIL_MAX);
    if (got == ERR_NOT_FOUND && past->tries++ < TRIES_MAX) {
        tail_close(&past->tail);
        got = begin(core, r);
    }
    core->more |= got == 0;
    return got;
}

static int open_series(struct reader_core *core, struct request *r, const struct plan_tag *tag)
{
    struct past *past = r->past;
    enum value_type type = (enum value_type)tag->type;
    bool steps = r->ask.kind == ASK_STEPS;
    struct series_options o = {.tag = tag->id,
                               .type = type,
                               .from_ns = r->ask.from_ns,
                               .to_ns = steps ? r->ask.to_ns - 1 : r->ask.to_ns,
                               .parts = BLOCK_ALL,
                               .tail = &past->tail};
    int err = series_open(&past->series, &core->history, &o);
    past->type = type;
    if (!err && steps) {
        return sampled_open(&past->sampled, past->series,
                            &(struct sampled_options){.aggregate = r->ask.aggregate,
                                                      .type = type,
                                                      .from_ns = r->ask.from_ns,
                                                      .to_ns = r->ask.to_ns,
                                                      .step_ns = r->ask.step_ns,
                                                      .parameter = r->ask.parameter});
    }
    past->reduced = r->ask.max_records && !value_is_long(type);
    if (!err && past->reduced) {
        uint32_t count = r->ask.max_records / 4;
        count = count < 1 ? 1 : count > COLUMNS_MAX ? COLUMNS_MAX : count;
        err = pixels_init(&past->pixels, type, r->ask.from_ns, r->ask.to_ns, count);
    }
    return err;
}

/* ---- Reduced ---- */

/* 1: all is sent; 0: later; negative: error. */
static int give_columns(struct reader_core *core, struct link *link, struct request *r)
{
    struct past *past = r->past;
    int got = past->collected ? 1 : pixels_take(&past->pixels, past->series, &core->budget);
    past->collected = got > 0;
    core->more |= got == 0;
    for (; got > 0 && r->at < past->pixels.count; r->at++) {
        struct slot slots[PIXEL_SAMPLES];
        size_t count = pixels_give(&past->pixels, (uint32_t)r->at, slots);
        struct walk_run run = {.slots = slots, .slot_count = count, .records = (uint32_t)count};
        if (!count) {
            continue;
        }
        if (!link_room(link, core)) { /* room for a longest record is room for these */
            return 0;
        }
        for (size_t i = 0; i < count; i++) {
            slots[i].tag = r->ask.tag;
        }
        link_run(link, r, &run, 0);
    }
    return got;
}

/* ---- As they are ---- */

static void give_text(struct link *link, struct request *r, const struct block *b, uint32_t at)
{
    struct slot slots[SLOT_RECORD_MAX] = {0};
    size_t length = (size_t)b->value[at];
    slots[0] = (struct slot){.time = b->time[at],
                             .value.u64 = length,
                             .tag = r->ask.tag | SLOT_LONG,
                             .status = b->status[at]};
    memcpy(slots + 1, b->text + b->text_at[at], length);
    link_run(link, r,
             &(struct walk_run){.slots = slots, .slot_count = slot_count_for(length), .records = 1},
             0);
}

/* Some of the piece's samples, as many as find room. */
static void give_some(struct link *link, struct request *r, size_t room)
{
    struct past *past = r->past;
    const struct block *b = past->piece.samples;
    if (value_is_long(b->type)) {
        give_text(link, r, b, past->at++);
        r->records++;
        return;
    }
    struct slot slots[RUN_SLOTS];
    uint32_t count = past->piece.to - past->at, most = r->ask.max_records;
    count = count < RUN_SLOTS ? count : RUN_SLOTS;
    count = count < room ? count : (uint32_t)room;
    count = most && most - r->records < count ? most - r->records : count;
    for (uint32_t i = 0; i < count; i++, past->at++) {
        slots[i] = (struct slot){.time = b->time[past->at],
                                 .value.u64 = b->value[past->at],
                                 .tag = r->ask.tag,
                                 .status = b->status[past->at]};
    }
    link_run(link, r, &(struct walk_run){.slots = slots, .slot_count = count, .records = count}, 0);
    r->records += count;
}

/* Where only summaries are left, their first samples stand for them. */
static void give_thinned(struct link *link, struct request *r, const struct block_summary *b)
{
    struct slot slot = {
        .time = b->first_ns, .value.u64 = b->first, .tag = r->ask.tag, .status = b->first_status};
    link_run(link, r, &(struct walk_run){.slots = &slot, .slot_count = 1, .records = 1}, 0);
    r->records++;
}

/* 1: all is sent; 0: later; negative: error. */
static int give_samples(struct reader_core *core, struct link *link, struct request *r)
{
    struct past *past = r->past;
    size_t room;
    while ((room = link_room(link, core)) > 0) {
        if (r->ask.max_records && r->records >= r->ask.max_records) {
            return 1;
        }
        if (past->has_piece && past->at < past->piece.to) {
            give_some(link, r, room);
            continue;
        }
        if (!core->budget) {
            core->more = true;
            return 0;
        }
        int got = series_next(past->series, NULL, &past->piece);
        if (got <= 0) {
            return got < 0 ? got : 1;
        }
        past->has_piece = past->piece.samples != NULL;
        past->at = past->piece.from;
        size_t cost = past->has_piece ? PIECE_COST + past->piece.to - past->piece.from : PIECE_COST;
        core->budget -= cost < core->budget ? cost : core->budget;
        if (past->piece.summary && !value_is_long(past->type)) {
            give_thinned(link, r, past->piece.summary);
        }
    }
    return 0;
}

/* ---- At steps ---- */

/* 1: all is sent; 0: later; negative: error. */
static int give_steps(struct reader_core *core, struct link *link, struct request *r)
{
    struct past *past = r->past;
    for (;;) {
        int got = past->has_step ? 1 : sampled_next(past->sampled, &core->budget, &past->step);
        core->more |= got == 0;
        if (got != 1) {
            return got == 2 ? 1 : got;
        }
        past->has_step = true;
        struct answer_step row = {.from_ns = past->step.from_ns,
                                  .value = past->step.value,
                                  .good = past->step.good,
                                  .others = past->step.others,
                                  .status = past->step.status};
        if (!link_row(link, core, r, &row, sizeof row)) {
            return 0;
        }
        flows_values(link, r->ask.tag, 1);
        past->has_step = false;
    }
}

void answer_history(struct reader_core *core, struct link *link, struct request *r)
{
    const struct cursor_range nothing = {0};
    const struct plan_tag *tag = plan_find_tag(core->plan, r->ask.tag);
    bool seen = tag && filter_has_tag(&r->scope->filter, tag->id);
    bool steps = r->ask.kind == ASK_STEPS;
    if (!seen || r->ask.from_ns > r->ask.to_ns || (steps && !aggregate_name(r->ask.aggregate))) {
        link_end(link, core, r, seen ? ERR_RANGE : ERR_REFUSED, nothing, false);
        return;
    }
    if (!core->journal.epoch) {
        return; /* the journal is not open yet */
    }
    int got = r->begun ? 1 : begin(core, r) == ERR_OK ? 1 : ERR_IO;
    got = got > 0 ? search(core, r) : got;
    if (got > 0 && !r->past->series) {
        int err = open_series(core, r, tag);
        got = err ? err : 1;
    }
    if (got > 0) {
        got = steps              ? give_steps(core, link, r)
              : r->past->reduced ? give_columns(core, link, r)
                                 : give_samples(core, link, r);
    }
    if (got != 0) {
        bool more = got > 0 && !steps && !r->past->reduced && r->ask.max_records &&
                    r->records >= r->ask.max_records;
        link_end(link, core, r, got < 0 ? got : ERR_OK, nothing, more);
    }
}
