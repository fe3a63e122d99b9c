/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed files are looked at one by one; then the raw segments in order, adding them up as recovery does (invariants 4, 5 and
 * 6 of docs/journal-format.md). What both tell of each other is compared at the end. */
#include "history/verify.h"

#include "journal/scan.h"
#include "tag/record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS (SLOT_ID_MAX + 1u)

struct verify_hole {
    char before[SNAPSHOT_NAME_SIZE];                               /* the file behind it */
    uint64_t from_segment, to_segment, from_sequence, to_sequence; /* to: exclusive */
};

struct
    verify_reason { /* that something is missing: in these segments, or with these numbers; to: exclusive */
    bool sequences;
    uint64_t from, to;
};

int verify_init(struct verify *v)
{
    v->counted = calloc(STATE_PAGES, sizeof *v->counted);
    v->block = aligned_alloc(64, (sizeof *v->block + 63) / 64 * 64);
    uint8_t *text = malloc(BLOCK_TEXT_MAX);
    if (!v->counted || !v->block || !text) {
        free(text);
        free(v->block);
        v->block = NULL;
        return ERR_NOMEM;
    }
    v->block->text = text;
    v->block->text_capacity = BLOCK_TEXT_MAX;
    return block_scratch_new(&v->scratch);
}

void verify_fini(struct verify *v)
{
    sealed_walk_fini(&v->walk);
    block_scratch_free(v->scratch);
    if (v->block) {
        free(v->block->text);
    }
    free(v->block);
    for (uint32_t i = 0; v->counted && i < STATE_PAGES; i++) {
        free(v->counted[i]);
    }
    free(v->counted);
    free(v->holes);
    free(v->reasons);
    v->scratch = NULL;
    v->block = NULL;
    v->counted = NULL;
    v->holes = NULL;
    v->reasons = NULL;
}

int verify_count(struct verify *v, uint32_t id, uint64_t samples)
{
    uint64_t **page = v->counted + id / STATE_PAGE_IDS;
    if (!*page) {
        *page = calloc(STATE_PAGE_IDS, sizeof **page);
    }
    if (*page) {
        (*page)[id % STATE_PAGE_IDS] += samples;
    }
    return *page ? ERR_OK : ERR_NOMEM;
}

static uint64_t count_of(const struct verify *v, uint32_t id)
{
    const uint64_t *page = v->counted[id / STATE_PAGE_IDS];
    return page ? page[id % STATE_PAGE_IDS] : 0;
}

void verify_found(struct verify *v, struct verify_finding finding)
{
    struct snapshot_file file;
    if (finding.kind != VERIFY_MISSING && snapshot_name_parse(finding.file, &file)) {
        finding.place = file.place;
    }
    v->sum.findings++;
    v->incomplete = true;
    v->found(v->context, &finding);
}

__attribute__((format(printf, 5, 6))) static void tell(struct verify *v, enum verify_kind kind,
                                                       const char *file, uint64_t offset,
                                                       const char *format, ...)
{
    char text[200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    verify_found(
        v, (struct verify_finding){.kind = kind, .file = file, .offset = offset, .reason = text});
}

/* ---- What is missing, and what the journal tells of it. ---- */

static int add_hole(struct verify *v, const struct verify_hole *hole)
{
    if (v->hole_count == v->hole_room) {
        size_t room = v->hole_room ? 2 * v->hole_room : 16;
        struct verify_hole *grown = realloc(v->holes, room * sizeof *grown);
        if (!grown) {
            return ERR_NOMEM;
        }
        v->holes = grown;
        v->hole_room = room;
    }
    v->holes[v->hole_count++] = *hole;
    v->incomplete = true;
    return ERR_OK;
}

/* What is not remembered for want of memory makes a hole look unexplained, and that is told. */
static void add_reason(struct verify *v, struct verify_reason reason)
{
    if (v->reason_count == v->reason_room) {
        size_t room = v->reason_room ? 2 * v->reason_room : 64;
        struct verify_reason *grown = realloc(v->reasons, room * sizeof *grown);
        if (!grown) {
            return;
        }
        v->reasons = grown;
        v->reason_room = room;
    }
    v->reasons[v->reason_count++] = reason;
}

void verify_note(struct verify *v, const struct slot *record)
{
    struct record_event event;
    struct snapshot_file file;
    char text[sizeof event.text + 1], name[SNAPSHOT_NAME_SIZE];
    if (!slot_is_control(record) || record_kind(record) != RECORD_EVENT) {
        return;
    }
    memcpy(&event, slot_payload(record), sizeof event);
    memcpy(text, event.text, sizeof event.text);
    text[sizeof event.text] = 0;
    if (record->status == EVENT_HISTORY_RETIRED || record->status == EVENT_HISTORY_FAULT) {
        v->incomplete = true;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text, " :"), text);
        if (snapshot_name_parse(name, &file) && !file.place.imported) {
            add_reason(v, (struct verify_reason){false, file.place.first, file.place.last + 1});
        }
    } else if (record->status == EVENT_JOURNAL_FAULT) {
        const char *from = strpbrk(text, "0123456789");
        char *end = NULL;
        uint64_t first = from ? strtoull(from, &end, 10) : 0;
        v->incomplete = true;
        add_reason(v, (struct verify_reason){true, first, first + event.detail});
    }
}

static int by_start(const void *a, const void *b)
{
    const struct verify_reason *x = a, *y = b;
    return x->sequences != y->sequences ? (x->sequences ? 1 : -1)
           : x->from != y->from         ? (x->from < y->from ? -1 : 1)
                                        : 0;
}

/* Whether the reasons (sorted) cover [from, to). */
static bool is_explained(const struct verify *v, bool sequences, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < v->reason_count && from < to; i++) {
        const struct verify_reason *r = v->reasons + i;
        if (r->sequences == sequences && r->from <= from && r->to > from) {
            from = r->to;
        }
    }
    return from >= to;
}

static void tell_holes(struct verify *v)
{
    if (v->reason_count) {
        qsort(v->reasons, v->reason_count, sizeof *v->reasons, by_start);
    }
    for (size_t i = 0; i < v->hole_count; i++) {
        const struct verify_hole *h = v->holes + i;
        bool files = h->from_segment < h->to_segment;
        if ((files && is_explained(v, false, h->from_segment, h->to_segment)) ||
            is_explained(v, true, h->from_sequence, h->to_sequence)) {
            continue;
        }
        char text[160];
        snprintf(text, sizeof text,
                 "before this file %" PRIu64 " records are missing (sequence %" PRIu64
                 " to %" PRIu64 ")",
                 h->to_sequence - h->from_sequence, h->from_sequence, h->to_sequence - 1);
        verify_found(v, (struct verify_finding){.kind = VERIFY_MISSING,
                                                .file = h->before,
                                                .place = {.first = h->from_segment,
                                                          .last = files ? h->to_segment - 1 : 0},
                                                .reason = text});
    }
}

/* ---- Raw segments. ---- */

struct walk { /* over the files that are no imports, in order */
    struct verify *v;
    uint64_t segment;     /* the last one that was passed */
    uint64_t next, epoch; /* sequence number expected; 0: any */
    bool sealed;          /* a sealed file stands for the segment: its samples are counted */
    uint64_t limit,
        end; /* the sequence number and the byte at which the next segment begins (invariant 10) */
    struct state state;
    bool follows; /* the state is what all before adds up to */
};

/* Passes a file that begins with `first`. */
static int pass(struct walk *w, const char *name, const struct sealed_place *place, uint64_t first,
                uint64_t epoch)
{
    struct verify_hole hole = {.from_segment = w->segment + 1,
                               .to_segment = place->first,
                               .from_sequence = w->next,
                               .to_sequence = first};
    bool is_hole = w->next && first > w->next;
    snprintf(hole.before, sizeof hole.before, "%s", name);
    w->v->incomplete |= !w->next && first > 1;
    w->segment = place->last;
    w->epoch = epoch;
    return is_hole ? add_hole(w->v, &hole) : ERR_OK;
}

static int count_samples(struct walk *w, const struct frame_header *h, const struct slot *slots)
{
    int err = ERR_OK;
    for (size_t at = 0; !err && at < h->slot_count; at += slot_record_length(slots + at)) {
        const struct slot *s = slots + at;
        if (slot_is_control(s)) {
            verify_note(w->v, s);
        } else if (!w->sealed) {
            err = verify_count(w->v, slot_id(s), 1);
            w->v->sum.samples++;
        }
    }
    return err;
}

/* Invariant 4: the opening of a segment equals the sum of what was before. */
static void compare_accounts(struct walk *w, const char *name, uint64_t offset,
                             const struct frame_header *h, const struct slot *slots)
{
    for (uint32_t i = 0; w->follows && i + 1 < h->slot_count; i += 2) {
        struct frame_account a;
        memcpy(&a, slots + i, sizeof a);
        const struct journal_account *own = state_find_account(&w->state, a.id);
        struct journal_account zero = {0};
        own = own ? own : &zero;
        if (own->produced != a.produced || own->journaled != a.journaled ||
            own->suppressed != a.suppressed || own->rejected != a.rejected || own->gaps != a.gaps) {
            verify_found(w->v, (struct verify_finding){
                                   .kind = VERIFY_UNBALANCED,
                                   .file = name,
                                   .offset = offset,
                                   .tag = a.id,
                                   .reason = "the account that the segment opens with is not what "
                                             "the segments before add up to"});
        }
    }
}

static int take_frame(struct walk *w, const char *name, uint64_t offset,
                      const struct frame_header *h, const struct slot *slots, uint64_t skipped)
{
    if (h->kind == FRAME_DATA && h->first_sequence + h->sequences > w->limit) {
        return ERR_OK; /* it was cut off, and came back when the power went */
    }
    w->v->sum.frames++;
    if (skipped) {
        tell(w->v, VERIFY_DAMAGED, name, offset - skipped, "%" PRIu64 " bytes can't be read",
             skipped);
    } else if (h->first_sequence > w->next && w->next) {
        tell(w->v, VERIFY_MISSING, name, offset, "%" PRIu64 " records are missing",
             h->first_sequence - w->next);
    }
    if (h->kind == FRAME_ACCOUNTS) {
        compare_accounts(w, name, offset, h, slots);
    }
    int err = ERR_OK;
    bool again = h->kind == FRAME_DATA && h->first_sequence < w->next;
    if (h->kind == FRAME_DATA && !again) {
        err = count_samples(w, h, slots);
    }
    if (!again) {
        w->next = h->first_sequence + (h->kind == FRAME_DATA ? h->sequences : 0);
    }
    return err ? err : state_apply(&w->state, h, slots);
}

static int scan_segment(struct walk *w, const struct snapshot_file *f, bool last)
{
    struct verify *v = w->v;
    struct scan scan;
    struct frame_header h;
    const struct slot *slots;
    uint64_t skipped, before;
    int got = 0, err = scan_init(&scan, v->disk);
    if (err) {
        return err;
    }
    uint64_t size = f->size < w->end ? f->size : w->end;
    scan_start(&scan, f->fd, before = sizeof(struct segment_header), size);
    while (!err && (got = scan_next(&scan, &h, &slots, &skipped)) > 0) {
        err = take_frame(w, f->name, scan.offset - h.length, &h, slots, skipped);
        if (v->beat) {
            v->beat(v->context, scan.offset - before);
        }
        before = scan.offset;
    }
    uint64_t rest = size > scan.offset ? size - scan.offset : 0;
    if (!err && got < 0) {
        tell(v, VERIFY_DAMAGED, f->name, scan.offset, "%s", err_text(got));
    } else if (!err && rest && !last) {
        tell(v, VERIFY_DAMAGED, f->name, scan.offset, "its last %" PRIu64 " bytes can't be read",
             rest);
        w->next = 0; /* how many records were in them tells nobody */
    }
    v->sum.unfinished += last ? rest : 0;
    scan_fini(&scan);
    return err;
}

static int read_header(const struct verify *v, const struct snapshot_file *f,
                       struct segment_header *h)
{
    uint8_t bytes[sizeof *h] = {0};
    int err = disk_read_all(v->disk, f->fd, bytes, sizeof bytes, 0);
    err = err ? err : segment_prove(bytes, sizeof bytes, h);
    return err ? err : h->number != f->place.first ? ERR_MALFORMED : ERR_OK;
}

/* Where a segment ends, as the next one tells that can be read. */
static void find_limit(struct walk *w, const struct snapshot *s, size_t at)
{
    struct segment_header h;
    w->limit = w->end = UINT64_MAX;
    for (size_t i = at + 1; i < s->count && s->files[i].kind == SNAPSHOT_RAW; i++) {
        if (read_header(w->v, s->files + i, &h) == ERR_OK) {
            w->limit = h.first_sequence;
            w->end = h.before == s->files[at].place.first ? h.before_end : UINT64_MAX;
            return;
        }
    }
}

static int look_at_segment(struct walk *w, const struct snapshot_file *f, bool last)
{
    struct verify *v = w->v;
    struct segment_header h = {0};
    uint64_t findings = v->sum.findings;
    v->sum.files++;
    v->sum.bytes += f->size;
    if (last && f->size < sizeof h) {
        v->sum.unfinished += f->size; /* just begun */
        return ERR_OK;
    }
    int err = read_header(v, f, &h);
    if (err) {
        tell(v, VERIFY_DAMAGED, f->name, 0, "header: %s", err_text(err));
        w->follows = false;
        w->next = 0;
        w->segment = f->place.last;
        return ERR_OK;
    }
    size_t holes = v->hole_count;
    bool again = h.epoch == w->epoch && h.first_sequence < w->next; /* of a suspect segment */
    err = pass(w, f->name, &f->place, h.first_sequence, h.epoch);
    w->follows = w->follows && v->hole_count == holes;
    w->next = again ? w->next : h.first_sequence;
    if (h.first_sequence != w->state.next_sequence) {
        w->follows = false;
        state_clear(&w->state); /* its opening tells all that counts from here on */
    }
    err = err ? err : scan_segment(w, f, last);
    w->follows = w->state.opened && v->sum.findings == findings;
    return err;
}

/* ---- The ledger. ---- */

static void compare_samples(struct walk *w, uint32_t id, const struct journal_account *a)
{
    struct verify *v = w->v;
    char text[120];
    if (a->produced != a->journaled + a->suppressed + a->rejected + a->gaps) {
        snprintf(text, sizeof text, "%" PRIu64 " samples were produced, %" PRIu64 " accounted for",
                 a->produced, a->journaled + a->suppressed + a->rejected + a->gaps);
    } else if (v->sum.compared && a->journaled != count_of(v, id)) {
        snprintf(text, sizeof text,
                 "%" PRIu64 " samples were journaled, %" PRIu64 " are in the history", a->journaled,
                 count_of(v, id));
    } else {
        return;
    }
    bool incomplete = v->incomplete;
    verify_found(v, (struct verify_finding){
                        .kind = VERIFY_UNBALANCED, .file = "", .tag = id, .reason = text});
    v->incomplete = incomplete;
}

static void look_at_ledger(struct walk *w)
{
    struct verify_sum *sum = &w->v->sum;
    sum->has_ledger = w->state.opened && w->follows;
    sum->compared = sum->has_ledger && !w->v->incomplete;
    for (uint32_t id = 1; sum->has_ledger && id < IDS; id++) {
        const struct journal_account *a = state_find_account(&w->state, id);
        if (!a) {
            id |= STATE_PAGE_IDS - 1; /* nor is there any of its page */
            continue;
        }
        sum->tags += a->produced > 0;
        sum->ledger.produced += a->produced;
        sum->ledger.journaled += a->journaled;
        sum->ledger.suppressed += a->suppressed;
        sum->ledger.rejected += a->rejected;
        sum->ledger.gaps += a->gaps;
        compare_samples(w, id, a);
    }
}

/* ---- All. ---- */

static int look_at_file(struct walk *w, const struct snapshot *s, size_t at)
{
    struct verify *v = w->v;
    const struct snapshot_file *f = s->files + at;
    struct sealed sealed;
    if (f->kind == SNAPSHOT_ASIDE) {
        verify_found(v, (struct verify_finding){.kind = VERIFY_SET_ASIDE,
                                                .sealed = strstr(f->name, ".col") != NULL,
                                                .file = f->name,
                                                .reason = "damaged; the gateway set it aside"});
        return ERR_OK;
    }
    if (f->kind == SNAPSHOT_RAW) {
        bool last = at + 1 == s->count || s->files[at + 1].kind != SNAPSHOT_RAW;
        w->sealed = snapshot_is_covered(s, f);
        find_limit(w, s, at);
        return look_at_segment(w, f, last);
    }
    int err = verify_sealed(v, f->name, f->fd);
    if (err || f->place.imported) {
        return err;
    }
    if (sealed_read_header(&sealed, v->disk, f->fd)) {
        w->segment = f->place.last;
        w->next = 0; /* it was told that this file can't be read; what it holds is not known */
        return ERR_OK;
    }
    const struct sealed_header *h = &sealed.header;
    if (h->lost) { /* known since it was sealed: a gap tells of it */
        uint64_t from = h->first_sequence > h->lost ? h->first_sequence - h->lost : 0;
        add_reason(v, (struct verify_reason){true, from, h->first_sequence});
    }
    err = pass(w, f->name, &f->place, h->first_sequence, h->epoch);
    w->next = h->end_sequence;
    return err;
}

int verify_all(struct verify *v, const struct snapshot *s)
{
    struct walk w = {.v = v};
    int err = state_init(&w.state, 0);
    for (size_t i = 0; !err && i < s->count; i++) {
        if (s->files[i].kind == SNAPSHOT_ASIDE) {
            add_reason(v, (struct verify_reason){false, s->files[i].place.first,
                                                 s->files[i].place.last + 1});
        }
        err = look_at_file(&w, s, i);
    }
    if (!err) {
        tell_holes(v);
        look_at_ledger(&w);
    }
    if (w.state.pages) {
        state_fini(&w.state);
    }
    return err;
}
