/* SPDX-License-Identifier: Apache-2.0 */
/* A driver polls its tags in the order of their ids, so the samples come as ascending runs, thousands long: a natural merge
 * sort needs few rounds, is stable, and no order of arrival makes it slow. */
#include "history/gather.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(SLOT_BYTES_MAX < GATHER_TEXT, "a text's length fits beside its place");

void gather_init(struct gather *g, uint32_t from_id, uint32_t to_id)
{
    *g = (struct gather){.from_id = from_id, .to_id = to_id};
}

void gather_fini(struct gather *g)
{
    free(g->slots);
    free(g->texts);
    *g = (struct gather){0};
}

static int by_id(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Leaves the upper half of the ids for a next time. False: it is all one tag. */
static bool leave_half(struct gather *g)
{
    size_t step = g->count / 4096 + 1, count = 0;
    uint32_t ids[4097];
    for (size_t i = 0; i < g->count; i += step) {
        ids[count++] = slot_id(g->slots + i);
    }
    qsort(ids, count, sizeof *ids, by_id);
    uint32_t middle = ids[count / 2];
    if (middle == ids[0]) { /* more than half is the first tag: leave all but that */
        middle = ids[0] + 1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (slot_id(g->slots + i) < middle) {
            g->slots[kept++] = g->slots[i];
        }
    }
    bool less = kept < g->count;
    g->count = kept;
    g->to_id = middle < g->to_id ? middle : g->to_id;
    return less;
}

static int need_room(struct gather *g)
{
    if (g->limit && g->count >= g->limit) {
        while (g->count > g->limit / 2 && leave_half(g)) {
        }
    }
    if (g->count == g->room) {
        size_t room = g->room ? 2 * g->room : 4096;
        room = g->limit && g->room < g->limit && room > g->limit ? g->limit : room;
        struct slot *grown = realloc(g->slots, room * sizeof *grown);
        if (!grown) {
            return ERR_NOMEM;
        }
        g->slots = grown;
        g->room = room;
    }
    return ERR_OK;
}

static int take_text(struct gather *g, const struct slot *head, uint64_t *value)
{
    size_t length = (size_t)head->value.u64;
    if (!g->texts || g->text_size + length > g->text_room) { /* an empty one is a text too */
        size_t room = g->text_room ? 2 * g->text_room : 64u << 10;
        uint8_t *grown =
            realloc(g->texts, room); /* a text is at most 1,000 bytes: twice is enough */
        if (!grown) {
            return ERR_NOMEM;
        }
        g->texts = grown;
        g->text_room = room;
    }
    memcpy(g->texts + g->text_size, slot_payload(head), length);
    *value = g->text_size * GATHER_TEXT + length;
    g->text_size += length;
    return ERR_OK;
}

int gather_take(struct gather *g, const struct slot *slots, size_t count)
{
    for (size_t at = 0; at < count;) {
        const struct slot *s = slots + at;
        at += slot_is_long(s) ? slot_record_length(s) : 1;
        if (slot_is_control(s) || !gather_wants(g, slot_id(s))) {
            continue;
        }
        int err = ERR_OK;
        if (g->count == g->room || (g->limit && g->count >= g->limit)) {
            err = need_room(g);
            if (err || !gather_wants(g, slot_id(s))) {
                if (err) {
                    return err;
                }
                continue;
            }
        }
        struct slot *to = g->slots + g->count;
        *to = *s;
        if (slot_is_long(s)) {
            err = take_text(g, s, &to->value.u64);
        }
        if (err) {
            return err;
        }
        g->count++;
    }
    return ERR_OK;
}

static inline bool before(const struct slot *a, const struct slot *b)
{
    return slot_id(a) != slot_id(b) ? slot_id(a) < slot_id(b) : a->time < b->time;
}

/* The end of the ascending run that begins at `at`. */
static size_t run_end(const struct slot *s, size_t at, size_t count)
{
    do {
        at++;
    } while (at < count && !before(s + at, s + at - 1));
    return at;
}

static void merge(const struct slot *s, size_t a, size_t middle, size_t end, struct slot *out)
{
    size_t b = middle;
    while (a < middle && b < end) {
        *out++ = before(s + b, s + a) ? s[b++] : s[a++];
    }
    memcpy(out, s + a, (middle - a) * sizeof *s);
    memcpy(out + (middle - a), s + b, (end - b) * sizeof *s);
}

int gather_sort(struct gather *g)
{
    if (!g->count || run_end(g->slots, 0, g->count) == g->count) {
        return ERR_OK;
    }
    struct slot *from = g->slots, *to = malloc(g->count * sizeof *to);
    if (!to) {
        return ERR_NOMEM;
    }
    for (size_t runs = 2; runs > 1;) {
        runs = 0;
        for (size_t at = 0; at < g->count; runs++) {
            size_t middle = run_end(from, at, g->count);
            size_t end = middle < g->count ? run_end(from, middle, g->count) : middle;
            merge(from, at, middle, end, to + at);
            at = end;
        }
        struct slot *swap = from;
        from = to;
        to = swap;
    }
    if (from != g->slots) {
        g->slots = from;
        g->room = g->count;
    }
    free(to);
    return ERR_OK;
}

/* The first sample of `id` or of a greater one. */
static size_t lower(const struct gather *g, uint32_t id)
{
    size_t low = 0, high = g->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slot_id(g->slots + middle) < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct slot *gather_find(const struct gather *g, uint32_t id, size_t *count)
{
    size_t from = lower(g, id);
    *count = lower(g, id + 1) - from;
    return g->slots + from;
}
