/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from the journal: records from a sequence number on, and gaps and events. A query keeps its walk between
 * steps; a walk that a former query left where this one begins is taken again, so following the head is cheap. */
#include "reader/core.h"

#include <stdlib.h>
#include <string.h>

#define READ_RECORDS_MAX 65536u
#define NOTES_MAX        1000u
#define NOTE_SLOTS       7u /* of an event record, and one more for where it was */

/* Frames are sought by the times of their samples; a gap may lie in one whose samples are a bit older. */
static int64_t earlier(int64_t ns)
{
    return ns < INT64_MIN + 60 * NS_PER_S ? INT64_MIN : ns - 60 * NS_PER_S;
}

/* A walk for the request, within its box's share. False: wait, or the request has ended. */
bool query_begin(struct reader_core *core, struct link *link, struct request *r, bool by_time)
{
    uint32_t held = 0;
    if (r->begun) {
        return true;
    }
    for (uint32_t i = 0; i < link->request_count; i++) {
        held += link->requests[i].walk != NULL;
    }
    if (!core->journal.epoch || held >= WALKS_PER_LINK) {
        return false;
    }
    r->walk = walk_borrow(core, r->ask.from_sequence);
    if (!r->walk) {
        return false;
    }
    const struct journal_marks *marks = &core->g->engine->marks;
    int err = by_time ? walk_seek_time(r->walk, &core->history, marks, earlier(r->ask.from_ns))
                      : walk_seek(r->walk, &core->history, marks, r->ask.from_sequence);
    r->begun = true;
    r->walk->lost = 0; /* of whoever walked here before */
    r->begin = r->walk->sequence;
    r->limit = core->journal.written_sequence;
    if (err) {
        query_end(core, link, r, err, false);
    }
    return !err;
}

void query_end(struct reader_core *core, struct link *link, struct request *r, int error, bool more)
{
    uint64_t to = r->walk->sequence < r->limit ? r->walk->sequence : r->limit;
    uint64_t from = r->begin < to ? r->begin : to;
    link_end(link, core, r, error, (struct cursor_range){from, to}, more);
}

void answer_read(struct reader_core *core, struct link *link, struct request *r)
{
    struct filter filter = r->scope->filter;
    filter.only = r->ask.tag;
    if (r->ask.tag && !filter_has_tag(&r->scope->filter, r->ask.tag)) {
        link_end(link, core, r, ERR_REFUSED, (struct cursor_range){0}, false);
        return;
    }
    if (!query_begin(core, link, r, false)) {
        return;
    }
    uint32_t most = r->ask.max_records && r->ask.max_records < READ_RECORDS_MAX ? r->ask.max_records
                                                                                : READ_RECORDS_MAX;
    size_t room;
    while ((room = link_room(link, core)) > 0) {
        struct walk_run run;
        struct walk_limit limit = {r->limit, most - r->records, room, &core->budget};
        int state = r->records < most ? walk_next(r->walk, &filter, &limit, &run) : WALK_END;
        if (state == WALK_BUDGET) {
            core->more = true;
            return;
        }
        if (state != WALK_RUN) {
            query_end(core, link, r, state < 0 ? state : ERR_OK,
                      r->records == most && r->walk->sequence < r->limit);
            return;
        }
        link_run(link, r, &run, 0);
        r->records += run.records;
    }
}

/* Whether a note is a gap of this tag: its own, its device's, its box's, or everybody's. */
static bool concerns(const struct plan *plan, const struct slot *slots, uint32_t id)
{
    const struct plan_tag *tag = plan_find_tag(plan, id);
    struct record_gap gap;
    if (!tag || record_kind(slots) != RECORD_GAP || slots->value.u64 < sizeof gap) {
        return false;
    }
    memcpy(&gap, slot_payload(slots), sizeof gap);
    return gap.scope == GAP_ALL || (gap.scope == GAP_TAG && gap.which == id) ||
           (gap.scope == GAP_DEVICE && gap.which == tag->device) ||
           (gap.scope == GAP_BOX && gap.which == tag->box);
}

static void keep_note(const struct reader_core *core, struct request *r, const struct walk_run *run,
                      uint32_t most)
{
    if (r->ask.tag && !concerns(core->plan, run->slots, r->ask.tag)) {
        return;
    }
    struct slot *note = r->notes + (r->note_count % most) * NOTE_SLOTS;
    if (run->slot_count < NOTE_SLOTS) {
        memcpy(note, run->slots, run->slot_count * sizeof *note);
        note[NOTE_SLOTS - 1] = (struct slot){.time = (int64_t)run->epoch,
                                             .value.u64 = run->first_sequence,
                                             .tag = (uint32_t)run->slot_count};
        r->note_count++;
    }
}

/* The notes of sealed files, one file after another. 1: all were seen; 0: later; negative: error. */
static int sealed_notes(struct reader_core *core, struct request *r, uint32_t most)
{
    struct shelf *shelf = r->shelf;
    for (; r->at < shelf->file_count; r->at++) {
        const struct sealed *s = &shelf->files[r->at]->sealed;
        struct sealed_list list;
        struct sealed_note note;
        const struct slot *slots;
        int got = 0;
        if (s->header.noted_to_ns < r->ask.from_ns || s->header.noted_from_ns > r->ask.to_ns) {
            continue;
        }
        if (!core->budget) {
            core->more = true;
            return 0;
        }
        got = sealed_list_notes(&list, s);
        while (!got && (got = sealed_next_note(&list, &note, &slots)) > 0) {
            struct walk_run run = {.slots = slots,
                                   .slot_count = note.slots,
                                   .epoch = note.epoch,
                                   .first_sequence = note.sequence};
            bool timely = note.now_ns >= r->ask.from_ns && note.now_ns <= r->ask.to_ns;
            if (timely && filter_has_note(&r->scope->filter, slots)) {
                keep_note(core, r, &run, most);
            }
            got = 0;
        }
        sealed_list_fini(&list);
        if (got == ERR_NOMEM) {
            return got; /* what is damaged is left out: the sealer tells of it */
        }
        size_t cost = 64 + s->header.notes * NOTE_SLOTS;
        core->budget -= cost < core->budget ? cost : core->budget;
    }
    return 1;
}

/* A raw segment may still be there for a feed, though a sealed file stands for it. */
static bool is_sealed(const struct shelf *s, const struct walk_run *run)
{
    return run->epoch < s->end_epoch ||
           (run->epoch == s->end_epoch && run->first_sequence < s->end_sequence);
}

static void put_notes(struct reader_core *core, struct link *link, struct request *r, uint32_t most)
{
    uint64_t first = r->note_count > most ? r->note_count - most : 0;
    r->at = r->at < first ? first : r->at;
    for (; r->at < r->note_count; r->at++) {
        const struct slot *note = r->notes + (r->at % most) * NOTE_SLOTS;
        const struct slot *where = note + NOTE_SLOTS - 1;
        struct walk_run run = {.slots = note,
                               .slot_count = where->tag,
                               .records = 1,
                               .epoch = (uint64_t)where->time,
                               .first_sequence = where->value.u64};
        if (!link_room(link, core)) {
            return;
        }
        link_run(link, r, &run, 0);
    }
    query_end(core, link, r, ERR_OK, first > 0);
}

void answer_gaps(struct reader_core *core, struct link *link, struct request *r)
{
    struct filter filter = r->scope->filter;
    filter.notes_only = true;
    uint32_t most =
        r->ask.max_records && r->ask.max_records < NOTES_MAX ? r->ask.max_records : NOTES_MAX;
    if (!query_begin(core, link, r, true)) {
        return;
    }
    if (!r->shelf) {
        int err = history_refresh(&core->history, core->utc_ns);
        if (err) {
            query_end(core, link, r, err, false);
            return;
        }
        r->shelf = shelf_hold(core->history.shelf);
    }
    if (!r->notes && !(r->notes = calloc(most * NOTE_SLOTS, sizeof *r->notes))) {
        query_end(core, link, r, ERR_NOMEM, false);
        return;
    }
    int got = r->collected ? 1 : sealed_notes(core, r, most);
    if (got <= 0) {
        if (got < 0) {
            query_end(core, link, r, got, false);
        }
        return;
    }
    r->at = r->collected ? r->at : 0;
    r->collected = true;
    for (int state = WALK_RUN; r->records == 0;) { /* `records`: 1 when all are collected */
        struct walk_run run;
        struct walk_limit limit = {r->limit, 1, SLOT_RECORD_MAX, &core->budget};
        state = walk_next(r->walk, &filter, &limit, &run);
        if (state == WALK_BUDGET) {
            core->more = true;
            return;
        }
        if (state < 0) {
            query_end(core, link, r, state, false);
            return;
        }
        if (state == WALK_END) {
            r->records = 1;
        } else if (run.now_ns >= r->ask.from_ns && run.now_ns <= r->ask.to_ns &&
                   !is_sealed(r->shelf, &run)) {
            keep_note(core, r, &run, most);
        }
    }
    put_notes(core, link, r, most);
}
