/* SPDX-License-Identifier: Apache-2.0 */
/* asof(tag, time): the value that a tag had at a time, the as-of join of one tag's rows with other tags:
 *
 *   SELECT time, value, asof('plant/line/pressure', ns) FROM history WHERE tag = 'plant/line/flow'
 *
 * It is that of the last sample at the time or before it, whatever lies in between; NULL if that is bad, or there is none. Asked with rising
 * times, as by history, each tag is read once. */
#include "reader/sql/table.h"

#include "reader/sql/time.h"

#include <stdlib.h>
#include <string.h>

#define READERS                                                                                    \
    16u /* tags that are read at the same time; beyond, the one that was asked longest ago starts anew */

struct reader_of { /* one tag */
    uint32_t tag;  /* index of the plan */
    bool open, has;
    uint64_t asked;
    int64_t at_ns; /* asked last */
    struct session_tail *tail;
    struct series *series;
    struct piece piece;
    uint32_t at;
    struct slot last; /* the sample at `at_ns` or before it, if `has` */
    uint8_t text[SLOT_BYTES_MAX];
};

struct asof {
    struct session *session;
    struct reader_of readers[READERS];
    uint64_t asked;
};

static void reader_close(struct reader_of *r)
{
    series_close(r->series);
    session_release(r->tail);
    *r = (struct reader_of){0};
}

static void asof_free(void *context)
{
    struct asof *a = context;
    for (uint32_t i = 0; i < READERS; i++) {
        reader_close(a->readers + i);
    }
    free(a);
}

static void keep(struct reader_of *r, const struct slot *slot, const uint8_t *text)
{
    r->last = *slot;
    r->has = true;
    if (text) {
        memcpy(r->text, text, (size_t)slot->value.u64);
    }
}

/* A series from ns + 1 on, and what lies before. */
static int reader_open(struct asof *a, struct reader_of *r, uint32_t tag, int64_t ns)
{
    struct session *s = a->session;
    const struct plan_tag *t = session_plan(s)->tags + tag;
    reader_close(r);
    int err = session_history(s, &tag, 1, &r->tail);
    if (err) {
        return err;
    }
    const struct series_options options = {.tag = t->id,
                                           .type = (enum value_type)t->type,
                                           .from_ns = ns < INT64_MAX ? ns + 1 : ns,
                                           .to_ns = INT64_MAX,
                                           .parts = BLOCK_ALL,
                                           .tail = &r->tail->tail,
                                           .scratch = s->scratch};
    struct slot slot;
    const uint8_t *text = NULL;
    int got = series_open(&r->series, &s->history, &options);
    got = got ? got : series_before(r->series, &slot, &text);
    if (got > 0) {
        keep(r, &slot, value_is_long(options.type) ? text : NULL);
    }
    r->tag = tag;
    r->at_ns = ns;
    r->open = got >= 0;
    return got < 0 ? session_error(got) : SQLITE_OK;
}

/* Goes on to ns. */
static int reader_advance(struct session *s, struct reader_of *r, int64_t ns)
{
    for (;;) {
        const struct block *b = r->piece.samples;
        while (b && r->at < r->piece.to && b->time[r->at] <= ns) {
            struct slot slot = {
                .time = b->time[r->at], .value.u64 = b->value[r->at], .status = b->status[r->at]};
            keep(r, &slot, b->text ? b->text + b->text_at[r->at] : NULL);
            r->at++;
        }
        if (b && r->at < r->piece.to) {
            break;
        }
        if (session_is_late(s)) {
            return SQLITE_INTERRUPT;
        }
        int got = r->series ? series_next(r->series, NULL, &r->piece) : 0;
        if (got < 0) {
            return session_error(got);
        }
        if (!got) { /* nothing more will come */
            series_close(r->series);
            r->series = NULL;
            r->piece.samples = NULL;
            break;
        }
        r->at = r->piece.from;
    }
    r->at_ns = ns;
    return SQLITE_OK;
}

static struct reader_of *find(struct asof *a, uint32_t tag)
{
    struct reader_of *oldest = a->readers;
    for (uint32_t i = 0; i < READERS; i++) {
        struct reader_of *r = a->readers + i;
        if (r->open && r->tag == tag) {
            return r;
        }
        oldest = r->asked < oldest->asked ? r : oldest;
    }
    reader_close(oldest);
    return oldest;
}

static void f_asof(sqlite3_context *to, int count, sqlite3_value **values)
{
    struct asof *a = sqlite3_user_data(to);
    const char *path = (const char *)sqlite3_value_text(values[0]);
    int64_t ns;
    enum time_given given = time_read(values[1], false, &ns);
    uint32_t tag = path ? session_find(a->session, path) : UINT32_MAX;
    (void)count;
    if (given == TIME_WRONG || (path && tag == UINT32_MAX)) {
        sqlite3_result_error(to,
                             given == TIME_WRONG ? "asof(tag, time): that is no time"
                                                 : "asof(tag, time): there is no such tag",
                             -1);
        return;
    }
    if (given == TIME_NONE || !path) {
        return; /* NULL */
    }
    struct reader_of *r = find(a, tag);
    int err =
        r->open && ns >= r->at_ns ? reader_advance(a->session, r, ns) : reader_open(a, r, tag, ns);
    r->asked = ++a->asked;
    if (err) {
        sqlite3_result_error_code(to, err);
    } else if (r->has) {
        column_value(to, (enum value_type)session_plan(a->session)->tags[tag].type, r->last.value,
                     r->last.status, r->text);
    }
}

int asof_register(struct session *s)
{
    struct asof *a = calloc(1, sizeof *a);
    if (!a) {
        return SQLITE_NOMEM;
    }
    a->session = s;
    return sqlite3_create_function_v2(s->db, "asof", 2, SQLITE_UTF8, a, f_asof, NULL, NULL,
                                      asof_free);
}
