/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer works on the same disk, and dies with it. Whatever happened, raw segments and sealed files together must tell
 * every sample and every note of the account: each once, at its place, bit for bit. */
#include "storm.h"

#include "history/series.h"
#include "tag/record.h"

#include <stdlib.h>
#include <string.h>

#define MERGE_LIMIT (UINT64_C(1) << 20)

void sealer_turn(struct world *w, unsigned steps)
{
    if (!w->sealing) {
        w->sealer = (struct sealer){.disk = sim_disk(w->sim),
                                    .plan = &w->plan,
                                    .marks = &w->marks,
                                    .needed = &w->needed,
                                    .merge_limit = MERGE_LIMIT,
                                    .up = w->ring ? retain_begin(w) : NULL,
                                    .wait = retain_wait,
                                    .context = w};
        w->sealing = sealer_open(&w->sealer) == 0;
    }
    atomic_store(&w->needed, w->live ? w->live_sequence : UINT64_MAX);
    int64_t now = w->ring ? plant_now(w) : world_now(w);
    w->retained_ns = now > w->retained_ns ? now : w->retained_ns;
    while (w->sealing && steps-- && sealer_step(&w->sealer, now) > 0) {
    }
}

void sealer_end(struct world *w)
{
    if (w->sealing) {
        sealer_close(&w->sealer);
    }
    w->sealing = false;
}

static bool is_excused(const struct told *t)
{
    return t->excused || t->unsealed;
}

/* ---- Samples. ---- */

struct wanted {
    const struct told *told;
    const struct slot *slot;
};

static int by_time(const void *a, const void *b)
{
    const struct slot *x = ((const struct wanted *)a)->slot, *y = ((const struct wanted *)b)->slot;
    return x->time != y->time ? (x->time < y->time ? -1 : 1) : x < y ? -1 : 1;
}

/* The account's samples of a tag, by source time; of equal times the later one last. */
static struct wanted *wanted_of(const struct world *w, uint32_t tag, size_t *count)
{
    const struct account *a = &w->account;
    struct wanted *all = malloc((a->slot_count + 1) * sizeof *all);
    must(w, all != NULL);
    *count = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct slot *s = a->slots + a->told[i].slots, *end = s + a->told[i].slot_count;
        for (; s < end; s += slot_record_length(s)) {
            if (!slot_is_control(s) && slot_id(s) == tag) {
                all[(*count)++] = (struct wanted){a->told + i, s};
            }
        }
    }
    qsort(all, *count, sizeof *all, by_time);
    return all;
}

static bool is_sample(const struct slot *s, const struct block *b, uint32_t at)
{
    return b->time[at] == s->time && b->value[at] == s->value.u64 && b->status[at] == s->status &&
           (!slot_is_long(s) || !memcmp(b->text + b->text_at[at], s + 1, (size_t)s->value.u64));
}

/* A unit of the plant that damage had taken from the ring's account came twice: the one that is missing may be the first. */
static bool may_lack(const struct world *w, const struct wanted *want, size_t at)
{
    bool excused =
        is_excused(want[at].told) || retain_lets_go(w, slot_id(want[at].slot), want[at].slot->time);
    for (size_t i = at; !excused && i-- > 0 && want[i].slot->time == want[at].slot->time;) {
        excused = is_excused(want[i].told) &&
                  !memcmp(want[i].slot, want[at].slot,
                          slot_record_length(want[at].slot) * sizeof(struct slot));
    }
    return excused;
}

static void trace_missing(const struct world *w, const struct wanted *want)
{
    const struct told *t = want->told;
    if (w->trace && !is_excused(t)) {
        fprintf(w->trace,
                "    not in history: of the frame from %llu, %llu records, tag %u, time %lld\n",
                (unsigned long long)t->first, (unsigned long long)t->sequences, slot_id(want->slot),
                (long long)want->slot->time);
    }
}

/* Equal times: while a raw segment is there whose sealed file was set aside, what came after it may come first. */
static bool was_passed(const struct wanted *want, size_t at, const struct block *b, uint32_t i)
{
    bool passed = false;
    for (size_t k = at; !passed && k-- > 0 && want[k].slot->time == b->time[i];) {
        passed = is_excused(want[k].told) && is_sample(want[k].slot, b, i);
    }
    return passed;
}

static void check_tag(struct world *w, struct history *h, const struct tail *tail, uint32_t tag)
{
    struct series *s;
    struct piece p;
    struct series_options o = {.tag = tag,
                               .type = plant_type(tag),
                               .from_ns = INT64_MIN,
                               .to_ns = INT64_MAX,
                               .parts = BLOCK_ALL,
                               .tail = tail};
    size_t count, at = 0;
    uint64_t thinned = 0, in_summaries = 0;
    struct wanted *want = wanted_of(w, tag, &count);
    int got;
    must(w, series_open(&s, h, &o) == 0);
    while ((got = series_next(s, NULL, &p)) > 0) {
        if (p.thinned) { /* its samples are in the summary only */
            thinned += p.summary->count;
            continue;
        }
        must(w, p.samples != NULL);
        for (uint32_t i = p.from; i < p.to; i++) {
            if (w->damages && was_passed(want, at, p.samples, i)) {
                continue;
            }
            while (at < count && !is_sample(want[at].slot, p.samples, i)) {
                if (!may_lack(w, want, at) && retain_thins(w, tag, want[at].slot->time)) {
                    in_summaries++;
                    at++;
                    continue;
                }
                trace_missing(w, want + at);
                must(w, may_lack(w, want, at++)); /* invariant 12: nothing lost */
            }
            must(w, at++ < count); /* invariant 12: nothing twice, nothing that was not told */
        }
    }
    must(w, got == 0);
    for (; at < count; at++) {
        bool in_summary = !may_lack(w, want, at) && retain_thins(w, tag, want[at].slot->time);
        in_summaries += in_summary;
        must(w, in_summary || may_lack(w, want, at));
    }
    must(w, in_summaries <= thinned);
    must(w, w->damages || series_damage(s) == 0);
    series_close(s);
    free(want);
}

/* ---- Notes. ---- */

struct notes { /* of the account, in the order in which they were journaled */
    struct world *world;
    size_t told, slot;
    uint64_t sequence;
};

static const struct slot *next_note(struct notes *n, const struct told **told, uint64_t *sequence)
{
    const struct account *a = &n->world->account;
    while (n->told < a->count) {
        const struct told *t = a->told + n->told;
        while (n->slot < t->slot_count) {
            const struct slot *s = a->slots + t->slots + n->slot;
            n->slot += slot_record_length(s);
            *sequence = t->first + n->sequence;
            n->sequence += record_has_sequence(s);
            if (slot_is_control(s) && record_has_sequence(s)) {
                *told = t;
                return s;
            }
        }
        n->told++;
        n->slot = n->sequence = 0;
    }
    return NULL;
}

static void see_note(struct notes *n, uint64_t sequence, const struct slot *slots)
{
    const struct told *told;
    uint64_t wanted = 0;
    const struct slot *s;
    if (n->world->trace) {
        fprintf(n->world->trace, "    note %llu\n", (unsigned long long)sequence);
    }
    while ((s = next_note(n, &told, &wanted)) != NULL && wanted < sequence) {
        must(n->world, is_excused(told) || retain_drops_note(n->world, wanted)); /* invariant 13 */
    }
    must(n->world, s && wanted == sequence);
    must(n->world, !memcmp(s, slots, slot_record_length(s) * sizeof *s));
}

/* Of raw segments whose number is less than `before`, from the shelf's raw[*at] on. */
static void see_raw_notes(struct notes *n, const struct history *h, uint32_t *at, uint64_t before)
{
    struct raw_walk walk;
    struct frame_header f;
    const struct slot *slots;
    const uint64_t *numbers = h->shelf->raw + *at;
    uint32_t count = 0;
    int got;
    for (; *at < h->shelf->raw_count && h->shelf->raw[*at] < before; ++*at) {
        count++;
    }
    must(n->world, raw_walk_init(&walk, h->disk, h->dir, numbers, count, NULL, 0, 0) == 0);
    while ((got = raw_walk_next(&walk, &f, &slots)) > 0) {
        uint64_t sequence = f.first_sequence;
        for (size_t i = 0; i < f.slot_count; i += slot_record_length(slots + i)) {
            if (slot_is_control(slots + i) && record_has_sequence(slots + i)) {
                see_note(n, sequence, slots + i);
            }
            sequence += record_has_sequence(slots + i);
        }
    }
    must(n->world, got == 0);
    raw_walk_fini(&walk);
}

static void see_sealed_notes(struct notes *n, const struct sealed *s)
{
    struct sealed_list list;
    struct sealed_note note;
    const struct slot *slots;
    int got = sealed_list_notes(&list, s);
    while (got >= 0 && (got = sealed_next_note(&list, &note, &slots)) > 0) {
        see_note(n, note.sequence, slots);
    }
    must(n->world, got == 0 || n->world->damages);
    sealed_list_fini(&list);
}

static void check_notes(struct world *w, const struct history *h)
{
    struct notes n = {.world = w};
    const struct told *told;
    uint64_t sequence;
    uint32_t raw = 0;
    for (uint32_t i = 0; i < h->shelf->file_count; i++) {
        const struct sealed *s = &h->shelf->files[i]->sealed;
        see_raw_notes(&n, h, &raw, s->header.first_segment);
        see_sealed_notes(&n, s);
    }
    see_raw_notes(&n, h, &raw, UINT64_MAX);
    while (next_note(&n, &told, &sequence)) {
        must(w, is_excused(told) || retain_drops_note(w, sequence));
    }
}

/* ---- All of it. ---- */

static bool has_raw(const struct world *w, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    size_t size;
    segment_name(number, name);
    return sim_bytes(w->sim, name, &size) != NULL;
}

/* The first record from which on all raw segments are there: older ones that were removed may be back since the power went. */
static uint64_t raw_begins(const struct world *w)
{
    uint64_t number = w->marks.written_segment;
    struct segment_header h;
    char name[SEGMENT_NAME_SIZE];
    size_t size;
    while (number > 1 && has_raw(w, number - 1)) {
        number--;
    }
    segment_name(number, name);
    const uint8_t *bytes = sim_bytes(w->sim, name, &size);
    return bytes && !segment_prove(bytes, size, &h) ? h.first_sequence : w->sealed_end;
}

void check_history(struct world *w)
{
    struct history h;
    struct tail tail;
    size_t budget = SIZE_MAX;
    must(w, history_open(&h, sim_disk(w->sim), 0) == 0);
    must(w, w->damages || !h.shelf->damaged);
    must(w, tail_open(&tail, &h, NULL, NULL, 0, 0) == 0);
    must(w, tail_step(&tail, &budget, SIZE_MAX) == 1);
    for (uint32_t tag = 1; tag <= STORM_TAGS; tag++) {
        check_tag(w, &h, &tail, tag);
    }
    check_notes(w, &h);
    tail_close(&tail);
    history_close(&h);
}

void look_at_history(struct world *w)
{
    struct history h;
    must(w, history_open(&h, sim_disk(w->sim), 0) == 0);
    for (uint32_t i = 0; i < h.shelf->file_count; i++) {
        w->sealed_end = h.shelf->files[i]->sealed.header.end_sequence;
    }
    w->raw_begin = raw_begins(w);
    if (w->trace) {
        fprintf(w->trace, "-- history: %u files, %u raw segments, sealed up to %llu\n",
                h.shelf->file_count, h.shelf->raw_count, (unsigned long long)w->sealed_end);
    }
    history_close(&h);
}
