/* SPDX-License-Identifier: Apache-2.0 */
/* Stored: version u8, hours u8, then for each: hour u32, and values, queries, reads refused, commands allowed and refused u64. */
#include "reader/flow.h"

#include "base/bytes.h"
#include "base/clock.h"

#define VERSION 1u
#define HOUR_NS (3600 * NS_PER_S)

_Static_assert(2 + FLOW_HOURS * (4 + 5 * 8) <= FLOW_STATE_MAX, "all hours fit");

static struct flow_hour *hour_of(struct flow *f, uint32_t hour)
{
    struct flow_hour *h = f->hours + hour % FLOW_HOURS;
    if (h->hour < hour) {
        *h = (struct flow_hour){.hour = hour};
    }
    return h;
}

struct flow_hour *flow_now(struct flow *f, int64_t utc_ns)
{
    f->dirty = true;
    return hour_of(f, (uint32_t)(utc_ns / HOUR_NS));
}

void flow_commands(struct flow *f, uint64_t allowed, uint64_t refused, int64_t utc_ns)
{
    /* what a predecessor of this reader had seen of the engine's counts is not known: they are not counted twice */
    if (f->seen && (allowed != f->allowed || refused != f->refused)) {
        struct flow_hour *h = flow_now(f, utc_ns);
        h->allowed += allowed - f->allowed;
        h->refused += refused - f->refused;
    }
    f->allowed = allowed;
    f->refused = refused;
    f->seen = true;
}

static void words_of(struct flow_hour *h, uint64_t *words[5])
{
    uint64_t *all[5] = {&h->values, &h->queries, &h->reads_refused, &h->allowed, &h->refused};
    for (int i = 0; i < 5; i++) {
        words[i] = all[i];
    }
}

size_t flow_encode(const struct flow *f, uint8_t out[FLOW_STATE_MAX])
{
    struct writer w = writer_of(out, FLOW_STATE_MAX);
    uint32_t used = 0;
    for (uint32_t i = 0; i < FLOW_HOURS; i++) {
        used += f->hours[i].hour != 0;
    }
    write_u8(&w, VERSION);
    write_u8(&w, (uint8_t)used);
    for (uint32_t i = 0; i < FLOW_HOURS; i++) {
        struct flow_hour h = f->hours[i];
        uint64_t *words[5];
        words_of(&h, words);
        if (h.hour) {
            write_u32le(&w, h.hour);
            for (int k = 0; k < 5; k++) {
                write_u64le(&w, *words[k]);
            }
        }
    }
    return writer_used(&w);
}

static void merge(struct flow *f, struct flow_hour *old)
{
    struct flow_hour *h = old->hour ? hour_of(f, old->hour) : NULL;
    uint64_t *to[5], *from[5];
    if (h && h->hour == old->hour) {
        words_of(h, to);
        words_of(old, from);
        for (int k = 0; k < 5; k++) {
            *to[k] += *from[k];
        }
    }
}

int flow_decode(struct flow *f, const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct flow_hour old[FLOW_HOURS] = {0};
    uint32_t used = read_u8(&r) == VERSION ? read_u8(&r) : FLOW_HOURS + 1;
    for (uint32_t i = 0; i < used && used <= FLOW_HOURS; i++) {
        uint64_t *words[5];
        words_of(old + i, words);
        old[i].hour = read_u32le(&r);
        for (int k = 0; k < 5; k++) {
            *words[k] = read_u64le(&r);
        }
    }
    if (used > FLOW_HOURS || r.bad || reader_left(&r)) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < used; i++) {
        merge(f, old + i);
    }
    return ERR_OK;
}
