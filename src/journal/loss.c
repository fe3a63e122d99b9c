/* SPDX-License-Identifier: Apache-2.0 */
/* When the disk takes no more samples (limit, no space, failing, stalled), frames lose their samples here and become
 * small; what was lost is counted per tag and handed out as gap records. While the trouble lasts each round of gaps waits
 * twice as long as the one before: the reserve on disk lasts for the logarithm of the outage, not for its length. */
#include "journal/internal.h"

#include <assert.h>
#include <string.h>

#define ROUND_MIN NS_PER_S
#define ROUND_MAX (3600 * NS_PER_S)
#define TALLIES   64u

static struct loss *loss_of(struct journal *j, uint32_t id)
{
    const struct plan_tag *t = plan_find_tag(j->plan, id);
    if (!t) {
        return NULL;
    }
    struct loss *l = j->losses + (t - j->plan->tags);
    if (!l->full && !l->failed && !l->suppressed && !l->rejected) {
        *l = (struct loss){.from_ns = INT64_MAX, .to_ns = INT64_MIN};
        j->lost++;
    }
    return l;
}

static void widen(struct loss *l, int64_t from, int64_t to)
{
    l->from_ns = from < l->from_ns ? from : l->from_ns;
    l->to_ns = to > l->to_ns ? to : l->to_ns;
}

static void lose_sample(struct journal *j, const struct slot *s)
{
    struct loss *l = loss_of(j, slot_id(s));
    if (l) {
        bool full = atomic_load_explicit(&j->trouble, memory_order_relaxed) == TROUBLE_FULL;
        (*(full ? &l->full : &l->failed))++;
        widen(l, s->time, s->time);
    }
}

static void keep_tally(struct journal *j, const struct slot *s)
{
    struct record_tally t;
    memcpy(&t, slot_payload(s), sizeof t);
    struct loss *l = loss_of(j, t.tag);
    if (l) {
        *(t.kind == TALLY_SUPPRESSED ? &l->suppressed : &l->rejected) += t.count;
    }
}

size_t loss_shed(struct journal *j, struct slot *slots, size_t count, uint64_t *sequences)
{
    size_t kept = 0;
    *sequences = 0;
    for (size_t at = 0; at < count;) {
        struct slot *s = slots + at;
        size_t length = slot_record_length(s);
        assert(length && length <= count - at); /* the engine hands over whole records */
        if (!slot_is_control(s)) {
            lose_sample(j, s);
        } else if (record_kind(s) == RECORD_TALLY) {
            keep_tally(j, s);
        } else if (record_kind(s) != RECORD_BATCH) {
            *sequences += record_has_sequence(s);
            memmove(slots + kept, s, length * sizeof *s);
            kept += length;
        }
        at += length;
    }
    return kept;
}

/* One frame of the journal's own with the tallies that piled up; false: no room. */
static bool send_tallies(struct journal *j, uint32_t first, uint32_t end)
{
    struct journal_frame frame = {.box = PLAN_NONE, .now_ns = j->now_ns};
    struct slot *out = journal_begin(j, &frame, TALLIES * 2 * 2);
    if (!out) {
        return false;
    }
    j->shedding = false;
    size_t used = 0;
    for (uint32_t i = first; i < end; i++) {
        struct loss *l = j->losses + i;
        for (int kind = TALLY_SUPPRESSED; kind <= TALLY_REJECTED; kind++) {
            uint64_t *n = kind == TALLY_SUPPRESSED ? &l->suppressed : &l->rejected;
            if (*n) {
                struct record_tally t = {j->plan->tags[i].id, (uint32_t)kind, *n};
                out[used] = (struct slot){
                    .time = j->now_ns, .value.u64 = sizeof t, .tag = record_tag(RECORD_TALLY)};
                memset(out + used + 1, 0, sizeof *out);
                memcpy(out + used + 1, &t, sizeof t);
                used += 2;
                *n = 0;
            }
        }
    }
    journal_commit(j, used, 0);
    return true;
}

bool loss_note(struct journal *j, bool losing)
{
    struct record_store r = {.key = STATE_LOSING, .size = sizeof j->now_ns};
    int64_t since = losing ? j->clock->utc_ns(j->clock->context) : 0;
    size_t size = sizeof r + sizeof since;
    struct journal_frame frame = {.box = PLAN_NONE, .now_ns = j->now_ns};
    struct slot *out = journal_begin(j, &frame, slot_count_for(size));
    if (!out) {
        return false;
    }
    memset(out, 0, slot_count_for(size) * sizeof *out);
    *out = (struct slot){
        .time = j->now_ns, .value.u64 = size, .tag = record_tag(RECORD_STORE), .status = PLAN_NONE};
    memcpy(out + 1, &r, sizeof r);
    memcpy((uint8_t *)(out + 1) + sizeof r, &since, sizeof since);
    journal_commit(j, slot_count_for(size), 0);
    j->losing = losing;
    return true;
}

static bool take_one(struct loss *l, uint32_t id, struct record_gap *out)
{
    uint64_t *n = l->full ? &l->full : l->failed ? &l->failed : NULL;
    if (!n) {
        return false;
    }
    *out = (struct record_gap){.scope = GAP_TAG,
                               .which = id,
                               .cause = n == &l->full ? GAP_JOURNAL_FULL : GAP_JOURNAL_FAILED,
                               .from_ns = l->from_ns,
                               .to_ns = l->to_ns,
                               .produced = *n};
    *n = 0;
    return true;
}

/* When the next round may begin. */
static void end_round(struct journal *j, bool trouble, int64_t now)
{
    j->sweep = 0;
    j->round_ns = !trouble ? 0 : j->round_ns * 2 < ROUND_MIN ? ROUND_MIN : j->round_ns * 2;
    j->round_ns = j->round_ns > ROUND_MAX ? ROUND_MAX : j->round_ns;
    j->next_round_ns = now + j->round_ns;
}

size_t journal_take_losses(struct journal *j, struct record_gap *out, size_t capacity)
{
    bool trouble = atomic_load(&j->trouble) != TROUBLE_NONE || j->stalled;
    if (!j->lost) {
        if (j->losing && !trouble) {
            bool ignored = loss_note(j, false); /* no room: next time */
            (void)ignored;
        }
        return 0;
    }
    int64_t now = journal_now(j);
    if (!j->sweep && trouble && now < j->next_round_ns) {
        return 0;
    }
    /* Each will be journaled by the caller: not without room for it. */
    uint64_t room = j->capacity - (j->head - atomic_load(&j->durable));
    uint64_t each = sizeof(struct frame_header) + 4 * sizeof(struct slot);
    size_t n = 0;
    capacity = capacity < room / 2 / each ? capacity : (size_t)(room / 2 / each);
    uint32_t tags = j->plan->header->tags.count, from = j->sweep, tallies = 0;
    for (; j->sweep < tags && n < capacity && tallies < TALLIES; j->sweep++) {
        struct loss *l = j->losses + j->sweep;
        bool any = l->full || l->failed || l->suppressed || l->rejected;
        while (n < capacity && take_one(l, j->plan->tags[j->sweep].id, out + n)) {
            n++;
        }
        if (l->full || l->failed) {
            break; /* no room for its second cause */
        }
        tallies += l->suppressed || l->rejected;
        j->lost -= any && !l->suppressed && !l->rejected;
    }
    if (tallies && send_tallies(j, from, j->sweep)) {
        j->lost -= tallies;
    }
    if (j->sweep >= tags) {
        end_round(j, trouble, now);
    }
    return n;
}
