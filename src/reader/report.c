/* SPDX-License-Identifier: Apache-2.0 */
/* Stored: version u8, periods u8, then for each: index u32, delivered, in_time, gaps u64, pairs u8, and for each pair bucket u8 and
 * count u40. A value holds so many pairs for each period as leave room for all; in one with more the smallest are added to the
 * next later bucket, so that nothing looks fresher than it was. */
#include "reader/report.h"

#include "base/bytes.h"
#include "base/clock.h"

#define VERSION     1u
#define HEAD_SIZE   2u
#define PERIOD_SIZE 29u
#define PAIR_SIZE   6u
#define HOUR_NS     (3600 * NS_PER_S)

static uint32_t bucket_of(int64_t late_ns)
{
    uint64_t us = late_ns > 0 ? (uint64_t)(late_ns / 1000) : 0;
    if (us < 1024) {
        return 0;
    }
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(us);
    uint32_t bucket = 1 + (octave - 10) * 2 + (uint32_t)(us >> (octave - 1) & 1);
    return bucket < LATE_BUCKETS ? bucket : LATE_BUCKETS - 1;
}

static double lower_ms(uint32_t bucket)
{
    uint32_t half = bucket - 1;
    return bucket ? (double)(UINT64_C(512) << half / 2) * (2 + half % 2) / 1000 : 0;
}

void late_add(struct late_runs *l, int64_t time_ns, int64_t now_ns)
{
    uint32_t bucket = bucket_of(now_ns - time_ns), i = l->count;
    while (i && l->runs[i - 1].bucket != bucket) {
        i--;
    }
    if (!i && l->count < LATE_RUNS) {
        l->runs[l->count] = (struct late_run){.time_ns = time_ns, .bucket = bucket};
        i = ++l->count;
    }
    struct late_run *run = l->runs + (i ? i - 1 : LATE_RUNS - 1);
    run->time_ns = time_ns < run->time_ns ? time_ns : run->time_ns;
    run->samples++;
}

static struct period *period_at(struct period *periods, uint32_t count, int64_t index)
{
    struct period *p = periods + (uint64_t)index % count;
    if (p->index < index) {
        *p = (struct period){.index = index};
    }
    return p;
}

void report_delivered(struct report *r, const struct late_runs *l, int64_t now_ns,
                      uint32_t fresh_ms)
{
    struct period *const both[2] = {period_at(r->hours, REPORT_HOURS, now_ns / HOUR_NS),
                                    period_at(r->days, REPORT_DAYS, now_ns / (24 * HOUR_NS))};
    for (uint32_t i = 0; i < l->count; i++) {
        const struct late_run *run = l->runs + i;
        int64_t late_ns = now_ns - run->time_ns;
        for (int k = 0; k < 2; k++) {
            both[k]->delivered += run->samples;
            both[k]->in_time += late_ns <= fresh_ms * NS_PER_MS ? run->samples : 0;
            both[k]->late[bucket_of(late_ns)] += run->samples;
        }
    }
    r->hours_dirty = r->days_dirty |= l->count > 0;
}

void report_gaps(struct report *r, uint64_t gaps, int64_t now_ns)
{
    if (gaps > r->gaps_seen) {
        uint64_t more = gaps - r->gaps_seen;
        period_at(r->hours, REPORT_HOURS, now_ns / HOUR_NS)->gaps += more;
        period_at(r->days, REPORT_DAYS, now_ns / (24 * HOUR_NS))->gaps += more;
        r->hours_dirty = r->days_dirty = true;
    }
    r->gaps_seen = gaps; /* less: another account */
}

static double percentile(const uint64_t *late, uint64_t all, double part)
{
    double wanted = part * (double)all, passed = 0;
    for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
        double count = (double)late[b];
        if (late[b] && passed + count >= wanted) {
            double low = lower_ms(b), high = b + 1 < LATE_BUCKETS ? lower_ms(b + 1) : low;
            return low + (high - low) * (wanted - passed) / count;
        }
        passed += count;
    }
    return 0;
}

void report_sum(const struct report *r, bool days, int64_t now_ns, struct report_sum *out)
{
    const struct period *periods = days ? r->days : r->hours;
    uint32_t count = days ? REPORT_DAYS : REPORT_HOURS;
    int64_t unit = days ? 24 * HOUR_NS : HOUR_NS, now = now_ns / unit, oldest = INT64_MAX;
    uint64_t late[LATE_BUCKETS] = {0};
    *out = (struct report_sum){0};
    for (uint32_t i = 0; i < count; i++) {
        const struct period *p = periods + i;
        if (!p->index || p->index <= now - (int64_t)count || p->index > now) {
            continue;
        }
        oldest = p->index < oldest ? p->index : oldest;
        out->delivered += p->delivered;
        out->in_time += p->in_time;
        out->gaps += p->gaps;
        for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
            late[b] += p->late[b];
        }
    }
    out->since_ns = oldest == INT64_MAX ? 0 : oldest * unit;
    out->p50_ms = percentile(late, out->delivered, 0.5);
    out->p99_ms = percentile(late, out->delivered, 0.99);
}

/* ---- Stored. ---- */

static uint32_t used_buckets(const uint64_t *late)
{
    uint32_t used = 0;
    for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
        used += late[b] != 0;
    }
    return used;
}

/* Adds the smallest to the next later one, so often as it takes. */
static void shrink(uint64_t *late, uint32_t most)
{
    for (uint32_t used = used_buckets(late); used > most; used--) {
        uint32_t least = LATE_BUCKETS, last = 0;
        for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
            last = late[b] ? b : last;
        }
        for (uint32_t b = 0; b < last; b++) {
            least = late[b] && (least == LATE_BUCKETS || late[b] < late[least]) ? b : least;
        }
        uint32_t to = least + 1;
        while (!late[to]) {
            to++;
        }
        late[to] += late[least];
        late[least] = 0;
    }
}

size_t report_encode(const struct report *r, bool days, uint8_t out[REPORT_STATE_MAX])
{
    const struct period *periods = days ? r->days : r->hours;
    uint32_t count = days ? REPORT_DAYS : REPORT_HOURS, used = 0;
    uint32_t most = ((REPORT_STATE_MAX - HEAD_SIZE) / count - PERIOD_SIZE) / PAIR_SIZE;
    struct writer w = writer_of(out, REPORT_STATE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        used += periods[i].index != 0;
    }
    write_u8(&w, VERSION);
    write_u8(&w, (uint8_t)used);
    for (uint32_t i = 0; i < count; i++) {
        struct period p = periods[i];
        if (!p.index) {
            continue;
        }
        shrink(p.late, most);
        write_u32le(&w, (uint32_t)p.index);
        write_u64le(&w, p.delivered);
        write_u64le(&w, p.in_time);
        write_u64le(&w, p.gaps);
        write_u8(&w, (uint8_t)used_buckets(p.late));
        for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
            if (p.late[b]) {
                write_u8(&w, (uint8_t)b);
                write_u32le(&w, (uint32_t)p.late[b]);
                write_u8(&w, (uint8_t)(p.late[b] >> 32));
            }
        }
    }
    return writer_used(&w);
}

static void take_period(struct reader *in, struct period *p)
{
    *p = (struct period){.index = read_u32le(in)};
    p->delivered = read_u64le(in);
    p->in_time = read_u64le(in);
    p->gaps = read_u64le(in);
    for (uint32_t pairs = read_u8(in); pairs && !in->bad; pairs--) {
        uint32_t b = read_u8(in);
        uint64_t count = read_u32le(in);
        count |= (uint64_t)read_u8(in) << 32;
        in->bad |= b >= LATE_BUCKETS;
        p->late[b < LATE_BUCKETS ? b : 0] += count;
    }
}

int report_decode(struct report *r, bool days, const void *data, size_t size)
{
    struct reader in = reader_of(data, size);
    struct period found[REPORT_HOURS];
    uint32_t count = days ? REPORT_DAYS : REPORT_HOURS, used;
    if (read_u8(&in) != VERSION || (used = read_u8(&in)) > count) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < used; i++) {
        take_period(&in, found + i);
    }
    if (in.bad || reader_left(&in)) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < used; i++) {
        struct period *p = period_at(days ? r->days : r->hours, count, found[i].index);
        if (p->index == found[i].index && p->index) {
            p->delivered += found[i].delivered;
            p->in_time += found[i].in_time;
            p->gaps += found[i].gaps;
            for (uint32_t b = 0; b < LATE_BUCKETS; b++) {
                p->late[b] += found[i].late[b];
            }
        }
    }
    return ERR_OK;
}
