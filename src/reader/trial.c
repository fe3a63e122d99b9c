/* SPDX-License-Identifier: Apache-2.0 */
/* Stored: version u8, days u8, first_s, before_s, before_us u32, then for each day its seven u32. */
#include "reader/trial.h"

#include "base/bytes.h"
#include "base/clock.h"

#define VERSION 1u
#define FIRST_S 3600u
#define DAY_S   86400

_Static_assert(2 + 12 + TRIAL_DAYS * 4 * 7 <= TRIAL_STATE_MAX, "all days fit");

static uint32_t add(uint32_t a, uint64_t b)
{
    return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

/* The count's growth; after a restart of its box it begins with 0 again. */
static uint64_t grown(uint64_t *before, uint64_t now, bool seen)
{
    uint64_t more = !seen ? 0 : now >= *before ? now - *before : now;
    *before = now;
    return more;
}

static uint32_t mean(uint32_t mean_us, uint32_t seconds, uint32_t latency_us)
{
    return (uint32_t)(((uint64_t)mean_us * seconds + latency_us) / (seconds + 1));
}

static struct trial_day *day_of(struct trial_device *d, uint32_t day)
{
    struct trial_day *t = d->days + day % TRIAL_DAYS;
    if (t->day < day) {
        *t = (struct trial_day){.day = day};
    }
    return t;
}

void trial_note(struct trial_device *d, const struct trial_now *now, int64_t utc_ns)
{
    uint32_t s = (uint32_t)(utc_ns / NS_PER_S);
    if (!d->seen && !now->requests) {
        return; /* nothing was asked yet */
    }
    struct trial_day *t = day_of(d, s / DAY_S);
    /* the first look of a reader that was restarted can't tell what came before it from what its predecessor counted */
    t->requests = add(t->requests, grown(&d->requests, now->requests, d->seen));
    t->failures = add(t->failures, grown(&d->failures, now->failures, d->seen));
    t->reconnects = add(t->reconnects, grown(&d->reconnects, now->reconnects, d->seen));
    d->seen = true;
    d->dirty = true;
    if (!now->answers || !now->latency_us) {
        return;
    }
    d->first_s = d->first_s ? d->first_s : s;
    if (s - d->first_s < FIRST_S) {
        d->before_us = mean(d->before_us, d->before_s, now->latency_us);
        d->before_s++;
    }
    t->mean_us = mean(t->mean_us, t->seconds, now->latency_us);
    t->seconds++;
    t->worst_us = now->latency_us > t->worst_us ? now->latency_us : t->worst_us;
}

size_t trial_encode(const struct trial_device *d, uint8_t out[TRIAL_STATE_MAX])
{
    struct writer w = writer_of(out, TRIAL_STATE_MAX);
    uint32_t used = 0;
    for (uint32_t i = 0; i < TRIAL_DAYS; i++) {
        used += d->days[i].day != 0;
    }
    write_u8(&w, VERSION);
    write_u8(&w, (uint8_t)used);
    write_u32le(&w, d->first_s);
    write_u32le(&w, d->before_s);
    write_u32le(&w, d->before_us);
    for (uint32_t i = 0; i < TRIAL_DAYS; i++) {
        const struct trial_day *t = d->days + i;
        if (t->day) {
            write_u32le(&w, t->day);
            write_u32le(&w, t->requests);
            write_u32le(&w, t->failures);
            write_u32le(&w, t->reconnects);
            write_u32le(&w, t->seconds);
            write_u32le(&w, t->mean_us);
            write_u32le(&w, t->worst_us);
        }
    }
    return writer_used(&w);
}

static void merge_day(struct trial_device *d, const struct trial_day *old)
{
    struct trial_day *t = old->day ? day_of(d, old->day) : NULL;
    if (!t || t->day != old->day) {
        return;
    }
    uint64_t seconds = (uint64_t)t->seconds + old->seconds;
    t->requests = add(t->requests, old->requests);
    t->failures = add(t->failures, old->failures);
    t->reconnects = add(t->reconnects, old->reconnects);
    if (seconds) {
        t->mean_us =
            (uint32_t)(((uint64_t)t->mean_us * t->seconds + (uint64_t)old->mean_us * old->seconds) /
                       seconds);
    }
    t->seconds = add(t->seconds, old->seconds);
    t->worst_us = old->worst_us > t->worst_us ? old->worst_us : t->worst_us;
}

int trial_decode(struct trial_device *d, const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct trial_device old = {0};
    uint32_t used = read_u8(&r) == VERSION ? read_u8(&r) : TRIAL_DAYS + 1;
    old.first_s = read_u32le(&r);
    old.before_s = read_u32le(&r);
    old.before_us = read_u32le(&r);
    for (uint32_t i = 0; i < used && used <= TRIAL_DAYS; i++) {
        struct trial_day *t = old.days + i;
        uint32_t *const words[] = {&t->day,     &t->requests, &t->failures, &t->reconnects,
                                   &t->seconds, &t->mean_us,  &t->worst_us};
        for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
            *words[k] = read_u32le(&r);
        }
    }
    if (used > TRIAL_DAYS || r.bad || reader_left(&r)) {
        return ERR_MALFORMED;
    }
    if (old.first_s) { /* what was noted before this came belongs to its first hour at most in part */
        d->first_s = old.first_s;
        d->before_s = old.before_s;
        d->before_us = old.before_us;
    }
    for (uint32_t i = 0; i < used; i++) {
        merge_day(d, old.days + i);
    }
    return ERR_OK;
}
