/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery and the running journal use the same state_apply, so a restart cannot count differently from the run
 * before it (invariant 6 of docs/journal-format.md). */
#include "journal/state.h"

#include <stdlib.h>
#include <string.h>

/* The account of a tag, with its page if that is new. NULL: no such id, or no memory. */
static struct journal_account *account_of(struct state *s, uint32_t id)
{
    if (id > SLOT_ID_MAX) {
        return NULL;
    }
    struct journal_account **page = s->pages + id / STATE_PAGE_IDS;
    if (!*page) {
        *page = calloc(STATE_PAGE_IDS, sizeof **page);
    }
    return *page ? *page + id % STATE_PAGE_IDS : NULL;
}

int state_init(struct state *s, uint32_t id_limit)
{
    *s = (struct state){
        .pages = calloc(STATE_PAGES, sizeof *s->pages),
        .rings = calloc(STATE_RINGS_MAX, sizeof *s->rings),
        .stored = calloc(STATE_STORED_MAX, sizeof *s->stored),
    };
    bool whole = s->pages && s->rings && s->stored;
    for (uint32_t id = 0; whole && id < id_limit; id += STATE_PAGE_IDS) {
        whole = account_of(s, id) != NULL;
    }
    if (!whole) {
        state_fini(s);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void state_fini(struct state *s)
{
    for (uint32_t i = 0; s->stored && i < s->stored_count; i++) {
        free(s->stored[i].value);
    }
    free(s->stored);
    free(s->rings);
    for (uint32_t i = 0; s->pages && i < STATE_PAGES; i++) {
        free(s->pages[i]);
    }
    free(s->pages);
    *s = (struct state){0};
}

void state_clear(struct state *s)
{
    for (uint32_t i = 0; i < STATE_PAGES; i++) {
        if (s->pages[i]) {
            memset(s->pages[i], 0, STATE_PAGE_IDS * sizeof **s->pages);
        }
    }
    for (uint32_t i = 0; i < s->stored_count; i++) {
        free(s->stored[i].value);
    }
    s->ring_count = s->stored_count = 0;
    s->lost = (struct state_lost){0};
    s->losing_ns = 0;
    s->next_sequence = 0;
    s->last_ns = 0;
    s->opened = s->closed = false;
}

/* The journal's own notes. */
static void apply_own(struct state *s, const struct record_store *r, const uint8_t *value)
{
    if (!strcmp(r->key, STATE_LOST) && r->size == sizeof s->lost) {
        memcpy(&s->lost, value, sizeof s->lost);
    } else if (!strcmp(r->key, STATE_LOSING) && r->size == sizeof s->losing_ns) {
        memcpy(&s->losing_ns, value, sizeof s->losing_ns);
    }
}

static int apply_stored(struct state *s, const struct slot *head)
{
    struct record_store r;
    memcpy(&r, slot_payload(head), sizeof r);
    if (head->status == PLAN_NONE) {
        apply_own(s, &r, slot_payload(head) + sizeof r);
        return ERR_OK;
    }
    struct state_stored *e = (struct state_stored *)state_find_stored(s, head->status, r.key);
    if (!e) {
        if (s->stored_count == STATE_STORED_MAX) {
            return ERR_OK; /* the engine bounds its keys far below; a forged journal gains nothing */
        }
        e = s->stored + s->stored_count;
        e->value = malloc(STORE_VALUE_MAX);
        if (!e->value) {
            return ERR_NOMEM;
        }
        e->box = head->status;
        memcpy(e->key, r.key, sizeof e->key);
        s->stored_count++;
    }
    e->size = r.size;
    memcpy(e->value, slot_payload(head) + sizeof r, r.size);
    return ERR_OK;
}

static int apply_control(struct state *s, const struct slot *head)
{
    struct journal_account *a;
    if (record_kind(head) == RECORD_GAP) {
        struct record_gap gap;
        memcpy(&gap, slot_payload(head), sizeof gap);
        if (gap.scope == GAP_ALL && gap.cause == GAP_SEGMENT_LOST) {
            s->lost = (struct state_lost){0}; /* told */
        } else if (gap.scope == GAP_ALL && gap.cause == GAP_JOURNAL_FAILED) {
            s->losing_ns = 0;
        }
        if (gap.scope == GAP_TAG && gap.produced) {
            a = account_of(s, gap.which);
            if (!a) {
                return gap.which > SLOT_ID_MAX ? ERR_OK : ERR_NOMEM;
            }
            a->produced += gap.produced;
            a->gaps += gap.produced;
        }
    } else if (record_kind(head) == RECORD_TALLY) {
        struct record_tally tally;
        memcpy(&tally, slot_payload(head), sizeof tally);
        a = account_of(s, tally.tag);
        if (!a) {
            return tally.tag > SLOT_ID_MAX ? ERR_OK : ERR_NOMEM;
        }
        a->produced += tally.count;
        *(tally.kind == TALLY_SUPPRESSED ? &a->suppressed : &a->rejected) += tally.count;
    } else if (record_kind(head) == RECORD_STORE) {
        return apply_stored(s, head);
    }
    return ERR_OK;
}

static int apply_records(struct state *s, const struct slot *slots, size_t count)
{
    int err = ERR_OK;
    for (size_t at = 0; !err && at < count; at += slot_record_length(slots + at)) {
        const struct slot *r = slots + at;
        if (slot_is_control(r)) {
            err = apply_control(s, r);
            continue;
        }
        struct journal_account *a = account_of(s, slot_id(r));
        if (!a) {
            return ERR_NOMEM;
        }
        a->produced++;
        a->journaled++;
    }
    return err;
}

static void apply_ring(struct state *s, uint32_t box, uint64_t epoch, uint64_t position)
{
    struct frame_ring *r = (struct frame_ring *)state_find_ring(s, box);
    if (!r) {
        if (s->ring_count == STATE_RINGS_MAX) {
            return;
        }
        r = s->rings + s->ring_count++;
    }
    *r = (struct frame_ring){.box = box, .epoch = epoch, .position = position};
}

static int apply_opening(struct state *s, const struct frame_header *h, const struct slot *slots)
{
    if (h->kind == FRAME_ACCOUNTS) {
        for (uint32_t i = 0; i + 1 < h->slot_count; i += 2) {
            struct frame_account from;
            memcpy(&from, slots + i, sizeof from);
            struct journal_account *a = account_of(s, from.id);
            if (!a && from.id <= SLOT_ID_MAX) {
                return ERR_NOMEM;
            }
            if (a) {
                *a = (struct journal_account){from.produced, from.journaled, from.suppressed,
                                              from.rejected, from.gaps};
            }
        }
    } else if (h->kind == FRAME_RINGS) {
        for (uint32_t i = 0; i < h->slot_count; i++) {
            struct frame_ring r;
            memcpy(&r, slots + i, sizeof r);
            apply_ring(s, r.box, r.epoch, r.position);
        }
    } else if (h->kind == FRAME_STORED) {
        return apply_records(s, slots, h->slot_count);
    }
    return ERR_OK;
}

int state_apply(struct state *s, const struct frame_header *h, const struct slot *slots)
{
    s->closed = h->kind == FRAME_CLOSED;
    s->opened |= h->kind == FRAME_OPENED;
    if (h->kind != FRAME_DATA) {
        s->next_sequence =
            h->first_sequence > s->next_sequence ? h->first_sequence : s->next_sequence;
        s->last_ns = h->now_ns > s->last_ns ? h->now_ns : s->last_ns;
        return apply_opening(s, h, slots);
    }
    if (h->first_sequence < s->next_sequence) {
        return ERR_OK;
    }
    int err = apply_records(s, slots, h->slot_count);
    if (h->box != PLAN_NONE && h->ring_to) {
        apply_ring(s, h->box, h->box_epoch, h->ring_to);
    }
    s->next_sequence = h->first_sequence + h->sequences;
    s->last_ns = h->now_ns;
    return err;
}

void state_note_lost(struct state_lost *to, const struct state_lost *lost)
{
    struct state_lost sum = *lost;
    if (to->bytes || to->count) {
        sum.from_ns = to->from_ns;
    }
    if (to->count) {
        sum.from = to->from;
        sum.to = lost->count ? lost->to : to->to;
    }
    sum.bytes += to->bytes;
    sum.count += to->count;
    *to = sum;
}

const struct journal_account *state_find_account(const struct state *s, uint32_t id)
{
    const struct journal_account *page = id <= SLOT_ID_MAX ? s->pages[id / STATE_PAGE_IDS] : NULL;
    return page ? page + id % STATE_PAGE_IDS : NULL;
}

const struct state_stored *state_find_stored(const struct state *s, uint32_t box, const char *key)
{
    for (uint32_t i = 0; i < s->stored_count; i++) {
        if (s->stored[i].box == box && !strncmp(s->stored[i].key, key, STORE_KEY_MAX)) {
            return s->stored + i;
        }
    }
    return NULL;
}

const struct frame_ring *state_find_ring(const struct state *s, uint32_t box)
{
    for (uint32_t i = 0; i < s->ring_count; i++) {
        if (s->rings[i].box == box) {
            return s->rings + i;
        }
    }
    return NULL;
}
