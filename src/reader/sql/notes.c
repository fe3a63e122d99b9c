/* SPDX-License-Identifier: Apache-2.0 */
/* The tables events and gaps: notes of sealed files, one after another, then those of the raw segments, which are collected
 * first, for the sealer may take a segment away at any time. */
#include "reader/sql/table.h"

#include <stdlib.h>
#include <string.h>

#define RAW_NOTES_MAX 100000u
#define NOTE_SLOTS    7u

struct note {
    uint64_t sequence;
    struct slot slots[NOTE_SLOTS];
};

struct note_cursor {
    struct table_cursor base;
    enum record_kind kind;
    struct shelf *shelf; /* held; NULL: not begun */
    uint32_t file;       /* the next to open */
    bool open;
    struct sealed_list list;
    struct note *raw; /* owned */
    size_t raw_count, raw_at;
    struct note now;
};

static bool is_wanted(const struct note_cursor *c, const struct slot *s, size_t count)
{
    size_t size = c->kind == RECORD_GAP ? sizeof(struct record_gap) : sizeof(struct record_event);
    return slot_is_control(s) && record_kind(s) == c->kind && s->value.u64 >= size &&
           count <= NOTE_SLOTS && s->time >= c->base.pick.from_ns &&
           s->time <= c->base.pick.to_ns && filter_has_note(c->base.session->world->scope, s);
}

static void keep(struct note *n, uint64_t sequence, const struct slot *slots, size_t count)
{
    memset(n, 0, sizeof *n);
    n->sequence = sequence;
    memcpy(n->slots, slots, count * sizeof *slots);
}

static int collect_frame(struct note_cursor *c, const struct frame_header *h,
                         const struct slot *slots)
{
    uint64_t sequence = h->first_sequence;
    for (size_t at = 0; at < h->slot_count;) {
        const struct slot *s = slots + at;
        size_t count = slot_record_length(s);
        if (is_wanted(c, s, count)) {
            if (c->raw_count == RAW_NOTES_MAX) {
                return ERR_FULL;
            }
            if (c->raw_count % 256 == 0) {
                struct note *more = realloc(c->raw, (c->raw_count + 256) * sizeof *more);
                if (!more) {
                    return ERR_NOMEM;
                }
                c->raw = more;
            }
            keep(c->raw + c->raw_count++, sequence, s, count);
        }
        sequence += record_has_sequence(s);
        at += count;
    }
    return ERR_OK;
}

static int collect(struct note_cursor *c)
{
    struct session *s = c->base.session;
    struct raw_walk walk;
    struct frame_header h;
    const struct slot *slots;
    c->raw_count = 0;
    int state =
        raw_walk_init(&walk, s->history.disk, s->history.dir, c->shelf->raw, c->shelf->raw_count,
                      &s->world->journal, c->shelf->end_epoch, c->shelf->end_sequence);
    if (state) {
        return state;
    }
    while ((state = raw_walk_next(&walk, &h, &slots)) > 0) {
        state = session_is_late(s) ? ERR_TIMEOUT : collect_frame(c, &h, slots);
        if (state) {
            break;
        }
    }
    raw_walk_fini(&walk);
    return state;
}

static void close_list(struct note_cursor *c)
{
    if (c->open) {
        sealed_list_fini(&c->list);
    }
    c->open = false;
}

static bool may_hold(const struct note_cursor *c, const struct sealed_header *h)
{
    return h->notes && h->noted_to_ns >= c->base.pick.from_ns &&
           h->noted_from_ns <= c->base.pick.to_ns;
}

/* The next of a sealed file: 1, or 0: there are no more. What is damaged is stepped over. */
static int next_sealed(struct note_cursor *c)
{
    while (c->open || c->file < c->shelf->file_count) {
        struct sealed_note note;
        const struct slot *slots;
        if (!c->open) {
            const struct sealed *file = &c->shelf->files[c->file++]->sealed;
            if (may_hold(c, &file->header) && !sealed_list_notes(&c->list, file)) {
                c->open = true;
            }
            continue;
        }
        if (sealed_next_note(&c->list, &note, &slots) <= 0) {
            close_list(c);
        } else if (is_wanted(c, slots, note.slots)) {
            keep(&c->now, note.sequence, slots, note.slots);
            return 1;
        }
    }
    return 0;
}

static int notes_next(struct table_cursor *base)
{
    struct note_cursor *c = (struct note_cursor *)base;
    if (session_is_late(base->session)) {
        return SQLITE_INTERRUPT;
    }
    if (next_sealed(c)) {
        return SQLITE_OK;
    }
    base->end = c->raw_at >= c->raw_count;
    if (!base->end) {
        c->now = c->raw[c->raw_at++];
    }
    return SQLITE_OK;
}

static int notes_begin(struct note_cursor *c, enum record_kind kind)
{
    int err = ERR_NOT_FOUND;
    c->kind = kind;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < 10; tries++) {
        int state = session_shelf(c->base.session);
        if (state) {
            return state;
        }
        shelf_release(c->shelf);
        c->shelf = shelf_hold(c->base.session->history.shelf);
        err = collect(c);
    }
    c->file = 0;
    c->raw_at = 0;
    return err ? session_error(err) : notes_next(&c->base);
}

static void notes_fini(struct table_cursor *base)
{
    struct note_cursor *c = (struct note_cursor *)base;
    close_list(c);
    shelf_release(c->shelf);
    free(c->raw);
    c->shelf = NULL;
    c->raw = NULL;
}

static void name_of_device(sqlite3_context *to, const struct plan *plan, uint32_t device)
{
    if (device < plan->header->devices.count) {
        column_constant(to, plan_text(plan, plan->devices[device].name));
    }
}

static void name_of_box(sqlite3_context *to, const struct plan *plan, uint32_t box)
{
    if (box < plan->header->boxes.count) {
        column_constant(to, plan_text(plan, plan->boxes[box].name));
    }
}

/* ---- gaps ---- */

enum {
    G_TIME,
    G_NS,
    G_CAUSE,
    G_SCOPE,
    G_WHICH,
    G_FROM,
    G_TO,
    G_FROM_NS,
    G_TO_NS,
    G_PRODUCED,
    G_MISSED,
    G_SEQ
};

static const struct column gap_columns[] = {
    [G_TIME] = {"time", "TEXT", "when it was noted", ROLE_TIME},
    [G_NS] = {"ns", "INTEGER", "the same in nanoseconds since 1970", ROLE_TIME},
    [G_CAUSE] = {"cause", "TEXT", "why samples are missing"},
    [G_SCOPE] = {"scope", "TEXT", "tag, device, box, all"},
    [G_WHICH] = {"which", "TEXT", "the tag's path, the name of the device or box"},
    [G_FROM] = {"from_time", "TEXT", "the stretch that is missing"},
    [G_TO] = {"to_time", "TEXT", ""},
    [G_FROM_NS] = {"from_ns", "INTEGER", "the same in nanoseconds since 1970"},
    [G_TO_NS] = {"to_ns", "INTEGER", ""},
    [G_PRODUCED] = {"produced", "INTEGER", "samples that were published and lost"},
    [G_MISSED] = {"missed", "INTEGER", "samples that were never made, estimated"},
    [G_SEQ] = {"seq", "INTEGER", "its place in the journal"},
    {0},
};

static int gaps_begin(struct table_cursor *base, char **error)
{
    (void)error;
    return notes_begin((struct note_cursor *)base, RECORD_GAP);
}

static void gap_which(sqlite3_context *to, const struct plan *plan, const struct record_gap *gap)
{
    if (gap->scope == GAP_TAG) {
        const struct plan_tag *t = plan_find_tag(plan, gap->which);
        column_constant(to, t ? plan_text(plan, t->path) : "");
    } else if (gap->scope == GAP_DEVICE) {
        name_of_device(to, plan, gap->which);
    } else if (gap->scope == GAP_BOX) {
        name_of_box(to, plan, gap->which);
    }
}

static void gaps_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    static const char *const scopes[] = {"all", "tag", "device", "box", "all"};
    const struct note_cursor *c = (const struct note_cursor *)base;
    struct record_gap gap;
    memcpy(&gap, slot_payload(c->now.slots), sizeof gap);
    switch (column) {
    case G_TIME:
        column_time(to, c->now.slots->time);
        break;
    case G_NS:
        sqlite3_result_int64(to, c->now.slots->time);
        break;
    case G_CAUSE:
        column_constant(to, gap_cause_name(gap.cause));
        break;
    case G_SCOPE:
        column_constant(to, scopes[gap.scope <= GAP_ALL ? gap.scope : GAP_ALL]);
        break;
    case G_WHICH:
        gap_which(to, session_plan(base->session), &gap);
        break;
    case G_FROM:
        column_time(to, gap.from_ns);
        break;
    case G_TO:
        column_time(to, gap.to_ns);
        break;
    case G_FROM_NS:
        sqlite3_result_int64(to, gap.from_ns);
        break;
    case G_TO_NS:
        sqlite3_result_int64(to, gap.to_ns);
        break;
    case G_PRODUCED:
        sqlite3_result_int64(to, (sqlite3_int64)gap.produced);
        break;
    case G_MISSED:
        sqlite3_result_int64(to, (sqlite3_int64)gap.missed);
        break;
    default:
        sqlite3_result_int64(to, (sqlite3_int64)c->now.sequence);
    }
}

const struct table table_gaps = {
    .name = "gaps",
    .about = "stretches for which samples are missing, and why",
    .columns = gap_columns,
    .rows = 1e4,
    .cursor_size = sizeof(struct note_cursor),
    .begin = gaps_begin,
    .next = notes_next,
    .column = gaps_column,
    .fini = notes_fini,
};

/* ---- events ---- */

enum { E_TIME, E_NS, E_EVENT, E_BOX, E_DEVICE, E_TEXT, E_DETAIL, E_SEQ };

static const struct column event_columns[] = {
    [E_TIME] = {"time", "TEXT", "when it was noted", ROLE_TIME},
    [E_NS] = {"ns", "INTEGER", "the same in nanoseconds since 1970", ROLE_TIME},
    [E_EVENT] = {"event", "TEXT", "what happened"},
    [E_BOX] = {"box", "TEXT", "to which box; NULL: none"},
    [E_DEVICE] = {"device", "TEXT", "to which device; NULL: none"},
    [E_TEXT] = {"text", "TEXT", "in words"},
    [E_DETAIL] = {"detail", "INTEGER", "a number that belongs to it"},
    [E_SEQ] = {"seq", "INTEGER", "its place in the journal"},
    {0},
};

static int events_begin(struct table_cursor *base, char **error)
{
    (void)error;
    return notes_begin((struct note_cursor *)base, RECORD_EVENT);
}

static void events_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct note_cursor *c = (const struct note_cursor *)base;
    const struct plan *plan = session_plan(base->session);
    struct record_event event;
    memcpy(&event, slot_payload(c->now.slots), sizeof event);
    switch (column) {
    case E_TIME:
        column_time(to, c->now.slots->time);
        break;
    case E_NS:
        sqlite3_result_int64(to, c->now.slots->time);
        break;
    case E_EVENT:
        column_constant(to, event_name(c->now.slots->status));
        break;
    case E_BOX:
        name_of_box(to, plan, event.box);
        break;
    case E_DEVICE:
        name_of_device(to, plan, event.device);
        break;
    case E_TEXT:
        sqlite3_result_text(to, event.text, (int)strnlen(event.text, sizeof event.text),
                            SQLITE_TRANSIENT);
        break;
    case E_DETAIL:
        sqlite3_result_int64(to, (sqlite3_int64)event.detail);
        break;
    default:
        sqlite3_result_int64(to, (sqlite3_int64)c->now.sequence);
    }
}

const struct table table_events = {
    .name = "events",
    .about = "what happened to the gateway, its boxes and its devices",
    .columns = event_columns,
    .rows = 1e4,
    .cursor_size = sizeof(struct note_cursor),
    .begin = events_begin,
    .next = notes_next,
    .column = events_column,
    .fini = notes_fini,
};
