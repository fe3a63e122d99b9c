/* SPDX-License-Identifier: Apache-2.0 */
/* What of a feed outlives the reader, as one stored value, so that cursor, delivered and account always fit together:
 *
 *   version | delivered | at, journaled, lost, dropped, wrong, total | since | scope and flags | cursor
 *
 * eight bytes each, then the cursor as cursor_encode makes it. The version has its highest bit set: in version 1 the
 * value began with `delivered`, and the cursor followed. */
#include "reader/core.h"

#include "base/bytes.h"

#include <string.h>

#define VERSION (UINT64_C(1) << 63 | 2)

enum flag { TOTAL_KNOWN = 1, MISSING = 2, GONE = 4 };

size_t feed_state_encode(const struct feed *feed, uint8_t out[FEED_STATE_MAX])
{
    const struct account *a = &feed->account;
    struct writer w = writer_of(out, FEED_STATE_MAX);
    write_u64le(&w, VERSION);
    write_u64le(&w, feed->delivered);
    write_u64le(&w, a->at);
    write_u64le(&w, a->journaled);
    write_u64le(&w, a->lost);
    write_u64le(&w, a->dropped);
    write_u64le(&w, a->wrong);
    write_u64le(&w, a->total);
    write_u64le(&w, (uint64_t)a->since_ns);
    write_u32le(&w, feed->scope_sum);
    write_u32le(&w, (a->total_known ? TOTAL_KNOWN : 0u) | (a->missing ? MISSING : 0u) |
                        (a->gone ? GONE : 0u));
    size_t used = writer_used(&w);
    return used + cursor_encode(&feed->cursor, out + used);
}

/* Of what was delivered of another scope only the part without holes counts: the rest may lack tags of this one. */
static void begin_account(struct feed *feed, const struct cursor *cursor, int64_t now_ns)
{
    struct cursor_range hole;
    feed->cursor = *cursor;
    uint64_t at = cursor_next_hole(cursor, 0, UINT64_MAX, &hole) ? hole.from : 0;
    cursor_clip(&feed->cursor, at);
    feed->delivered = 0;
    feed->account = (struct account){.at = at, .since_ns = now_ns};
}

static int decode_current(struct feed *feed, struct reader *r, struct cursor *cursor,
                          uint32_t *scope_sum)
{
    struct account a = {0};
    uint64_t delivered = read_u64le(r);
    a.at = read_u64le(r);
    a.journaled = read_u64le(r);
    a.lost = read_u64le(r);
    a.dropped = read_u64le(r);
    a.wrong = read_u64le(r);
    a.total = read_u64le(r);
    a.since_ns = (int64_t)read_u64le(r);
    *scope_sum = read_u32le(r);
    uint32_t flags = read_u32le(r);
    a.total_known = flags & TOTAL_KNOWN;
    a.missing = flags & MISSING;
    a.gone = flags & GONE;
    if (r->bad || cursor_decode(cursor, r->at, reader_left(r))) {
        return ERR_MALFORMED;
    }
    feed->delivered = delivered;
    feed->account = a;
    return ERR_OK;
}

int feed_state_decode(struct feed *feed, const void *data, size_t size, int64_t now_ns)
{
    struct reader r = reader_of(data, size);
    struct cursor cursor = {0};
    uint32_t scope_sum = 0;
    uint64_t version = read_u64le(&r);
    int err = ERR_MALFORMED;
    if (!r.bad && version == VERSION) {
        err = decode_current(feed, &r, &cursor, &scope_sum);
    } else if (!r.bad && !(version >> 63)) {
        err = cursor_decode(&cursor, r.at, reader_left(&r));
    }
    if (err || version != VERSION || scope_sum != feed->scope_sum) {
        begin_account(feed, err ? &(struct cursor){0} : &cursor, now_ns);
        return err ? ERR_MALFORMED : ERR_NOT_FOUND;
    }
    feed->cursor = cursor;
    return ERR_OK;
}
