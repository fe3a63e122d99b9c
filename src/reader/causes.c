/* SPDX-License-Identifier: Apache-2.0 */
/* Why samples are missing: gap records added up by what they concern and by their cause. Of all times there is one table,
 * made when somebody first asks and then carried on with what has become durable since; of a stretch of time each request
 * makes its own. Either way first come the notes of sealed files, then the raw segments from where those end. Should the
 * sealer take one away in between, the table is made anew. */
#include "reader/core.h"

#include <stdlib.h>
#include <string.h>

#define FILE_COST 64u /* of opening a file's notes, and of each note in it, in slots */
#define NOTE_COST 4u

static uint32_t slot_of(uint32_t scope, uint32_t which, uint32_t cause)
{
    uint64_t h =
        ((uint64_t)which << 16 ^ (uint64_t)scope << 8 ^ cause) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 40) % CAUSES_SLOTS;
}

static struct answer_cause *row_of(struct causes *c, uint32_t scope, uint32_t which, uint32_t cause)
{
    for (uint32_t i = slot_of(scope, which, cause);; i = (i + 1) % CAUSES_SLOTS) {
        struct answer_cause *row = c->rows + i;
        if (row->cause == cause && row->scope == scope && row->which == which) {
            return row;
        }
        if (row->cause) {
            continue;
        }
        if (c->count >= CAUSES_MAX && scope != GAP_ALL) {
            return row_of(c, GAP_ALL, 0, cause);
        }
        c->count++;
        *row = (struct answer_cause){.scope = scope,
                                     .which = which,
                                     .cause = cause,
                                     .from_ns = INT64_MAX,
                                     .to_ns = INT64_MIN};
        return row;
    }
}

static void add_gap(struct causes *c, const struct record_gap *gap)
{
    /* an unknown cause of a later version is a cause too, but can't be told from others of its kind */
    uint32_t cause = gap->cause && gap->cause < GAP_CAUSE_END ? gap->cause : GAP_CAUSE_END;
    struct answer_cause *row = row_of(c, gap->scope, gap->which, cause);
    row->records += row->records != UINT32_MAX;
    row->produced += gap->produced;
    row->missed += gap->missed;
    row->from_ns = gap->from_ns < row->from_ns ? gap->from_ns : row->from_ns;
    row->to_ns = gap->to_ns > row->to_ns ? gap->to_ns : row->to_ns;
}

static void add_wanted(struct causes *c, const struct record_gap *gap, const struct ask *stretch)
{
    if (!stretch || (gap->from_ns <= stretch->to_ns && gap->to_ns >= stretch->from_ns)) {
        add_gap(c, gap);
    }
}

/* Adds what a walk finds up to `end`. WALK_END, WALK_BUDGET, or negative. */
static int gather(struct reader_core *core, struct walk *walk, uint64_t end, struct causes *c,
                  const struct ask *stretch)
{
    static const struct filter notes = {.notes_only = true, .all_notes = true};
    for (;;) {
        struct walk_run run;
        struct walk_limit limit = {end, 1, SLOT_RECORD_MAX, &core->budget};
        int state = walk_next(walk, &notes, &limit, &run);
        if (state != WALK_RUN) {
            return state;
        }
        struct record_gap gap;
        if (record_kind(run.slots) != RECORD_GAP || run.slots->value.u64 < sizeof gap) {
            continue;
        }
        memcpy(&gap, slot_payload(run.slots), sizeof gap);
        add_wanted(c, &gap, stretch);
    }
}

/* The gaps that a sealed file tells, of sequence numbers in [from, end). What is damaged is stepped over. */
static void gather_file(const struct sealed *file, uint64_t from, uint64_t end, struct causes *c,
                        const struct ask *stretch)
{
    struct sealed_list list;
    struct sealed_note note;
    const struct slot *slots;
    struct record_gap gap;
    if (!file->header.notes || sealed_list_notes(&list, file)) {
        return;
    }
    while (sealed_next_note(&list, &note, &slots) > 0) {
        if (note.sequence >= from && note.sequence < end && record_kind(slots) == RECORD_GAP &&
            slots->value.u64 >= sizeof gap) {
            memcpy(&gap, slot_payload(slots), sizeof gap);
            add_wanted(c, &gap, stretch);
        }
    }
    sealed_list_fini(&list);
}

/* The same of all sealed files; returns where they end, `from` if they have nothing behind it. `c` NULL: only that. When the
 * budget is used up by then, there may be more of them. */
static uint64_t gather_sealed(struct reader_core *core, uint64_t from, uint64_t end,
                              struct causes *c, const struct ask *stretch)
{
    uint64_t reached = from;
    if (history_refresh(&core->history, core->utc_ns)) {
        return from; /* only the raw ones, then */
    }
    for (uint32_t i = 0; i < core->history.shelf->file_count; i++) {
        const struct history_file *f = core->history.shelf->files[i];
        uint64_t last = f->sealed.header.end_sequence < end ? f->sealed.header.end_sequence : end;
        if (!f->imported && last > from) {
            if (c) {
                if (!core->budget) {
                    break;
                }
                gather_file(&f->sealed, from, end, c, stretch);
                size_t cost = FILE_COST + (size_t)f->sealed.header.notes * NOTE_COST;
                core->budget -= cost < core->budget ? cost : core->budget;
            }
            reached = last > reached ? last : reached;
        }
    }
    return reached;
}

/* Carries the table of all times on. 1: it is up to date; 0: later; negative: error. */
static int carry_on(struct reader_core *core, uint64_t end)
{
    if (!core->causes && !(core->causes = calloc(1, sizeof *core->causes))) {
        return ERR_NOMEM;
    }
    if (core->causes_at >= end) {
        return 1;
    }
    struct walk *walk = walk_borrow(core, core->causes_at);
    if (!walk) {
        return 0;
    }
    uint64_t from = gather_sealed(core, core->causes_at, end, core->causes, NULL);
    if (!core->budget) {
        core->causes_at = from;
        core->more = true;
        walk_return(core, walk);
        return 0;
    }
    int state = walk_seek(walk, &core->history, &core->g->engine->marks, from);
    walk->lost = 0;
    state = state ? state : gather(core, walk, end, core->causes, NULL);
    uint64_t reached = walk->sequence < end ? walk->sequence : end;
    core->causes_at = reached > from ? reached : from;
    if (walk->lost && from && gather_sealed(core, from, end, NULL, NULL) > from) {
        memset(core->causes, 0, sizeof *core->causes);
        core->causes_at = 0;
        state = WALK_BUDGET;
    }
    walk_return(core, walk);
    core->more |= state == WALK_BUDGET;
    return state < 0 ? state : state == WALK_END;
}

/* The rows that the asker may see. */
static void put_rows(struct reader_core *core, struct link *link, struct request *r,
                     const struct causes *c)
{
    for (; r->at < CAUSES_SLOTS; r->at++) {
        const struct answer_cause *row = c->rows + r->at;
        if (row->cause && filter_has_gap(&r->scope->filter, row->scope, row->which) &&
            !link_row(link, core, r, row, sizeof *row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, (struct cursor_range){0, r->limit}, c->count >= CAUSES_MAX);
}

static void answer_stretch(struct reader_core *core, struct link *link, struct request *r)
{
    if (!r->causes) {
        if (!(r->causes = calloc(1, sizeof *r->causes))) {
            link_end(link, core, r, ERR_NOMEM, (struct cursor_range){0}, false);
            return;
        }
        r->ask.from_sequence = 0;
    }
    if (!r->begun) {
        uint64_t end = core->journal.written_sequence;
        r->ask.from_sequence = gather_sealed(core, r->ask.from_sequence, end, r->causes, &r->ask);
        if (!core->budget) {
            core->more = true;
            return;
        }
    }
    if (!query_begin(core, link, r, false)) {
        return;
    }
    int state = r->collected ? WALK_END : gather(core, r->walk, r->limit, r->causes, &r->ask);
    if (state == WALK_BUDGET) {
        core->more = true;
    } else if (state < 0) {
        query_end(core, link, r, state, false);
    } else {
        r->collected = true;
        put_rows(core, link, r, r->causes);
    }
}

void answer_causes(struct reader_core *core, struct link *link, struct request *r)
{
    if (r->ask.from_ns || r->ask.to_ns) {
        answer_stretch(core, link, r);
        return;
    }
    if (!r->begun && core->journal.epoch) {
        r->begun = true;
        r->limit = core->journal.durable_sequence;
    }
    int done = r->begun ? carry_on(core, r->limit) : 0;
    if (done < 0) {
        link_end(link, core, r, done, (struct cursor_range){0}, false);
    } else if (done) {
        put_rows(core, link, r, core->causes);
    }
}
