/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array of ranges: a feed has one or two, so a search from the end beats any tree. */
#include "journal/cursor.h"

#include "base/bytes.h"

#include <string.h>

/* The first range that ends at or after `sequence`. */
static uint32_t find(const struct cursor *c, uint64_t sequence)
{
    uint32_t i = c->count;
    while (i > 0 && c->ranges[i - 1].to >= sequence) {
        i--;
    }
    return i;
}

int cursor_add(struct cursor *c, uint64_t from, uint64_t to)
{
    if (from >= to) {
        return from == to ? ERR_OK : ERR_RANGE;
    }
    uint32_t first = find(c, from), last = first;
    while (last < c->count && c->ranges[last].from <= to) {
        last++; /* ranges [first, last) overlap or touch the new one */
    }
    if (first == last) {
        if (c->count == CURSOR_RANGES) {
            return ERR_FULL;
        }
        memmove(c->ranges + first + 1, c->ranges + first, (c->count - first) * sizeof *c->ranges);
        c->ranges[first] = (struct cursor_range){from, to};
        c->count++;
        return ERR_OK;
    }
    struct cursor_range *r = c->ranges + first;
    uint64_t end = c->ranges[last - 1].to;
    r->from = from < r->from ? from : r->from;
    r->to = to > end ? to : end;
    memmove(r + 1, c->ranges + last, (c->count - last) * sizeof *r);
    c->count -= last - first - 1;
    return ERR_OK;
}

bool cursor_has(const struct cursor *c, uint64_t sequence)
{
    for (uint32_t i = c->count; i > 0; i--) {
        if (sequence >= c->ranges[i - 1].from) {
            return sequence < c->ranges[i - 1].to;
        }
    }
    return false;
}

bool cursor_next_hole(const struct cursor *c, uint64_t from, uint64_t end,
                      struct cursor_range *hole)
{
    for (uint32_t i = find(c, from); i < c->count && from < end; i++) {
        if (c->ranges[i].from > from) {
            hole->from = from;
            hole->to = c->ranges[i].from < end ? c->ranges[i].from : end;
            return true;
        }
        from = c->ranges[i].to > from ? c->ranges[i].to : from;
    }
    *hole = (struct cursor_range){from, end};
    return from < end;
}

uint64_t cursor_count(const struct cursor *c)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        n += c->ranges[i].to - c->ranges[i].from;
    }
    return n;
}

void cursor_clip(struct cursor *c, uint64_t limit)
{
    while (c->count && c->ranges[c->count - 1].from >= limit) {
        c->count--;
    }
    if (c->count && c->ranges[c->count - 1].to > limit) {
        c->ranges[c->count - 1].to = limit;
    }
}

size_t cursor_encode(const struct cursor *c, uint8_t out[CURSOR_BYTES_MAX])
{
    struct writer w = writer_of(out, CURSOR_BYTES_MAX);
    write_u32le(&w, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        write_u64le(&w, c->ranges[i].from);
        write_u64le(&w, c->ranges[i].to);
    }
    return writer_used(&w);
}

int cursor_decode(struct cursor *c, const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct cursor out = {.count = read_u32le(&r)};
    if (r.bad) {
        return ERR_SHORT;
    }
    if (out.count > CURSOR_RANGES) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < out.count; i++) {
        out.ranges[i].from = read_u64le(&r);
        out.ranges[i].to = read_u64le(&r);
        bool apart = i == 0 || out.ranges[i].from > out.ranges[i - 1].to;
        if (!r.bad && (!apart || out.ranges[i].from >= out.ranges[i].to)) {
            return ERR_MALFORMED;
        }
    }
    if (r.bad || reader_left(&r)) {
        return r.bad ? ERR_SHORT : ERR_TOO_LONG;
    }
    *c = out;
    return ERR_OK;
}
