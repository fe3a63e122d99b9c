/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/sql/session.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define FEW_LOOKUPS 8u          /* so many are made without a sorted list */
#define TAIL_BYTES  (24u << 20) /* of samples that are not sealed yet */
#define TRIES       10          /* while the sealer takes away what we were about to read */
#define TAIL_SLICE  (1u << 20)  /* slots between two looks at the time */

bool session_is_late(struct session *s)
{
    int64_t worked = clock_mono_ns() - s->begun_ns - s->output.waited_ns;
    s->late |= worked > s->query->max_ms * NS_PER_MS;
    return s->late;
}

int session_error(int err)
{
    return err == ERR_OK        ? SQLITE_OK
           : err == ERR_NOMEM   ? SQLITE_NOMEM
           : err == ERR_FULL    ? SQLITE_NOMEM
           : err == ERR_TIMEOUT ? SQLITE_INTERRUPT
                                : SQLITE_IOERR;
}

/* ---- Tags by path. ---- */

static const char *path_of(const struct plan *plan, uint32_t tag)
{
    return plan_text(plan, plan->tags[tag].path);
}

static int by_path(const void *a, const void *b, void *plan)
{
    return strcmp(path_of(plan, *(const uint32_t *)a), path_of(plan, *(const uint32_t *)b));
}

const uint32_t *session_by_path(struct session *s, uint32_t *count)
{
    const struct plan *plan = session_plan(s);
    if (!s->by_path) {
        s->by_path = malloc((plan->header->tags.count + 1) * sizeof *s->by_path);
        for (uint32_t i = 0; s->by_path && i < plan->header->tags.count; i++) {
            if (filter_has_tag(s->world->scope, plan->tags[i].id)) {
                s->by_path[s->visible++] = i;
            }
        }
        if (s->by_path) {
            qsort_r(s->by_path, s->visible, sizeof *s->by_path, by_path, (void *)plan);
        }
    }
    *count = s->visible;
    return s->by_path;
}

uint32_t session_find(struct session *s, const char *path)
{
    const struct plan *plan = session_plan(s);
    uint32_t low = 0, high;
    const uint32_t *sorted = ++s->lookups > FEW_LOOKUPS ? session_by_path(s, &high) : NULL;
    if (!sorted) {
        const struct plan_tag *t = plan_find_path(plan, path);
        return t && filter_has_tag(s->world->scope, t->id) ? (uint32_t)(t - plan->tags)
                                                           : UINT32_MAX;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(path_of(plan, sorted[middle]), path);
        if (order == 0) {
            return sorted[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return UINT32_MAX;
}

/* ---- History. ---- */

static bool has_id(const uint64_t *bits, uint32_t id)
{
    return bits[id / 64] >> (id % 64) & 1;
}

/* 0, or why not; ERR_NOT_FOUND: a segment was sealed while we read. */
static int fill_tail(struct session *s, struct session_tail *t)
{
    int state =
        tail_open(&t->tail, &s->history, &s->world->journal, t->tags, s->world->scope->end_id, 0);
    t->open = state == 0;
    while (state == 0) {
        size_t slots = TAIL_SLICE;
        state = session_is_late(s) ? ERR_TIMEOUT : tail_step(&t->tail, &slots, TAIL_BYTES);
    }
    if (state < 0 && t->open) {
        tail_close(&t->tail);
        t->open = false;
    }
    return state < 0 ? state : ERR_OK;
}

static int look(struct session *s)
{
    int err = s->scratch ? ERR_OK : block_scratch_new(&s->scratch);
    if (!err) {
        err = s->has_history ? history_refresh(&s->history, s->world->utc_ns)
                             : history_open(&s->history, &disk_files, s->world->dir_fd);
    }
    s->has_history |= !err;
    return err;
}

int session_shelf(struct session *s)
{
    int err = ERR_NOT_FOUND;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < TRIES; tries++) {
        err = look(s);
    }
    return session_error(err);
}

static int load(struct session *s, struct session_tail *t)
{
    int err = ERR_NOT_FOUND;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < TRIES; tries++) {
        err = look(s);
        err = err ? err : fill_tail(s, t);
    }
    return err;
}

static bool has_tags(const struct session *s, const struct session_tail *t, const uint32_t *tags,
                     uint32_t count)
{
    bool has = t->open;
    for (uint32_t i = 0; has && i < count; i++) {
        has = has_id(t->tags, session_plan(s)->tags[tags[i]].id);
    }
    return has;
}

/* A place for one more: a free one, or one that nobody holds. NULL: all are held. */
static struct session_tail *find_place(struct session *s)
{
    struct session_tail *place = NULL;
    for (uint32_t i = 0; i < SESSION_TAILS; i++) {
        struct session_tail *t = s->tails + i;
        if (!t->holders && (!place || (place->open && !t->open))) {
            place = t;
        }
    }
    if (place && place->open) {
        tail_close(&place->tail);
        place->open = false;
    }
    return place;
}

/* A query that comes back for other tags (a join) gets the raw part of all in scope, once, if that is not too much. */
int session_history(struct session *s, const uint32_t *tags, uint32_t count,
                    struct session_tail **tail)
{
    const struct filter *scope = s->world->scope;
    size_t words = scope->end_id / 64 + 1;
    bool again = false;
    for (uint32_t i = 0; i < SESSION_TAILS; i++) {
        if (has_tags(s, s->tails + i, tags, count)) {
            *tail = s->tails + i;
            (*tail)->holders++;
            return SQLITE_OK;
        }
        again |= s->tails[i].open;
    }
    struct session_tail *t = find_place(s);
    if (!t || (!t->tags && !(t->tags = calloc(words, sizeof *t->tags)))) {
        return SQLITE_NOMEM;
    }
    int err = ERR_FULL;
    if (again) {
        memcpy(t->tags, scope->tags, words * sizeof *t->tags);
        err = load(s, t);
    }
    if (err == ERR_FULL) {
        memset(t->tags, 0, words * sizeof *t->tags);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t id = session_plan(s)->tags[tags[i]].id;
            t->tags[id / 64] |= UINT64_C(1) << (id % 64);
        }
        err = load(s, t);
    }
    *tail = err ? NULL : t;
    t->holders += !err;
    return session_error(err);
}

void session_release(struct session_tail *tail)
{
    if (tail) {
        tail->holders--;
    }
}
