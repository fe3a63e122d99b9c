/* SPDX-License-Identifier: Apache-2.0 */
/* The opening of a segment. Entries gather in one frame of bounded size, which goes out when the next entry would not
 * fit, so that a million tags need no more memory than ten. */
#include "journal/state.h"

#include "journal/catalogue.h"

#include <string.h>

struct opening {
    const struct state *state;
    const struct plan *plan;
    const struct disk *disk;
    int fd, err;
    uint64_t offset;
    int64_t now_ns;
    struct frame_header *frame; /* in the scratch memory */
    size_t used;                /* bytes of entries in it */
};

#define ENTRIES_MAX (STATE_SCRATCH - sizeof(struct frame_header) - sizeof(struct slot))

static void send_frame(struct opening *o, enum frame_kind kind, bool even_empty)
{
    if (o->err || (!o->used && !even_empty)) {
        return;
    }
    size_t slots = (o->used + sizeof(struct slot) - 1) / sizeof(struct slot);
    memset((uint8_t *)(o->frame + 1) + o->used, 0, slots * sizeof(struct slot) - o->used);
    *o->frame = (struct frame_header){.kind = kind,
                                      .box = PLAN_NONE,
                                      .slot_count = (uint32_t)slots,
                                      .first_sequence = o->state->next_sequence,
                                      .generation = o->plan->header->generation,
                                      .now_ns = o->now_ns};
    frame_seal(o->frame);
    o->err = disk_write_all(o->disk, o->fd, o->frame, o->frame->length, o->offset);
    o->offset += o->frame->length;
    o->used = 0;
}

/* Zeroed room for an entry of `size` bytes. */
static uint8_t *entry(struct opening *o, enum frame_kind kind, size_t size)
{
    if (o->used + size > ENTRIES_MAX) {
        send_frame(o, kind, false);
        o->used = 0;
    }
    uint8_t *p = (uint8_t *)(o->frame + 1) + o->used;
    memset(p, 0, size);
    o->used += size;
    return p;
}

static void send_tag(struct opening *o, const struct plan_tag *t)
{
    union catalogue_entry e;
    size_t size = catalogue_entry(o->plan, t, &e);
    memcpy(entry(o, FRAME_TAGS, size), e.bytes, size);
}

static void send_accounts(struct opening *o)
{
    const struct state *s = o->state;
    for (uint32_t id = 0; !o->err && id <= SLOT_ID_MAX; id++) {
        const struct journal_account *a = state_find_account(s, id);
        if (!a) {
            id |= STATE_PAGE_IDS - 1; /* the whole page is empty */
        } else if (a->produced) {
            struct frame_account out = {
                id, 0, a->produced, a->journaled, a->suppressed, a->rejected, a->gaps};
            memcpy(entry(o, FRAME_ACCOUNTS, sizeof out), &out, sizeof out);
        }
    }
    send_frame(o, FRAME_ACCOUNTS, false);
}

static void put_stored(struct opening *o, uint32_t box, const struct record_store *r,
                       const void *value)
{
    size_t size = sizeof *r + r->size;
    struct slot head = {
        .time = o->now_ns, .value.u64 = size, .tag = record_tag(RECORD_STORE), .status = box};
    uint8_t *p = entry(o, FRAME_STORED, slot_count_for(size) * sizeof head);
    memcpy(p, &head, sizeof head);
    memcpy(p + sizeof head, r, sizeof *r);
    memcpy(p + sizeof head + sizeof *r, value, r->size);
}

static void send_stored(struct opening *o)
{
    for (uint32_t i = 0; !o->err && i < o->state->stored_count; i++) {
        const struct state_stored *e = o->state->stored + i;
        struct record_store r = {.size = e->size};
        memcpy(r.key, e->key, sizeof r.key);
        put_stored(o, e->box, &r, e->value);
    }
    if (o->state->lost.count || o->state->lost.bytes) {
        struct record_store r = {.key = STATE_LOST, .size = sizeof o->state->lost};
        put_stored(o, PLAN_NONE, &r, &o->state->lost);
    }
    if (o->state->losing_ns) {
        struct record_store r = {.key = STATE_LOSING, .size = sizeof o->state->losing_ns};
        put_stored(o, PLAN_NONE, &r, &o->state->losing_ns);
    }
    send_frame(o, FRAME_STORED, false);
}

int state_write(const struct state *s, const struct plan *plan, const struct disk *disk, int fd,
                uint64_t *offset, void *scratch)
{
    struct opening o = {.state = s,
                        .plan = plan,
                        .disk = disk,
                        .fd = fd,
                        .offset = *offset,
                        .now_ns = s->last_ns,
                        .frame = scratch};
    for (uint32_t i = 0; !o.err && i < plan->header->tags.count; i++) {
        send_tag(&o, plan->tags + i);
    }
    send_frame(&o, FRAME_TAGS, false);
    send_accounts(&o);
    send_stored(&o);
    for (uint32_t i = 0; i < s->ring_count; i++) {
        memcpy(entry(&o, FRAME_RINGS, sizeof *s->rings), s->rings + i, sizeof *s->rings);
    }
    send_frame(&o, FRAME_RINGS, false);
    send_frame(&o, FRAME_OPENED, true);
    *offset = o.offset;
    return o.err;
}
