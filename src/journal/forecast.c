/* SPDX-License-Identifier: Apache-2.0 */
/* A mean over the whole window, not a fit: what retention gives back in bursts must count as much as what steadily
 * grows. When all points are taken every other one goes and the distance doubles, until they span a week; then the
 * oldest goes for each new one. */
#include "journal/forecast.h"

#include <string.h>

#define DAY_NS 86400e9

static void keep(struct forecast_window *w, struct forecast_point p)
{
    if (w->count == FORECAST_POINTS && w->every_ns * FORECAST_POINTS < FORECAST_WINDOW_NS) {
        for (uint32_t i = 0; i < FORECAST_POINTS / 2; i++) {
            w->points[i] = w->points[2 * i];
        }
        w->count = FORECAST_POINTS / 2;
        w->every_ns *= 2;
    } else if (w->count == FORECAST_POINTS) {
        memmove(w->points, w->points + 1, (FORECAST_POINTS - 1) * sizeof p);
        w->count--;
    }
    w->points[w->count++] = p;
}

void forecast_note(struct forecast_window *w, struct forecast_point now)
{
    if (!w->every_ns) {
        w->every_ns = FORECAST_EVERY_NS;
        w->first_ns = now.mono_ns;
    }
    if (now.written < w->last.written || now.flushes < w->last.flushes) {
        w->written += w->last.written;
        w->flushes += w->last.flushes;
    }
    w->last = now;
    now.written += w->written;
    now.flushes += w->flushes;
    const struct forecast_point *before = w->count ? w->points + w->count - 1 : NULL;
    if (before ? now.mono_ns - before->mono_ns >= w->every_ns
               : now.mono_ns - w->first_ns >= FORECAST_SETTLE_NS) {
        keep(w, now);
    }
}

bool forecast_rate(const struct forecast_window *w, struct forecast_rates *out)
{
    const struct forecast_point *a = w->points, *b = &w->last;
    if (!w->count || b->mono_ns - a->mono_ns < FORECAST_LEAST_NS) {
        return false;
    }
    double days = (double)(b->mono_ns - a->mono_ns) / DAY_NS;
    out->growth = ((double)b->used - (double)a->used) / days;
    out->written = (double)(b->written + w->written - a->written) / days;
    out->flushes = (double)(b->flushes + w->flushes - a->flushes) / days;
    return true;
}

struct forecast forecast_of(const struct forecast_figures *f, const struct forecast_rates *r)
{
    struct forecast out = {0};
    double disk = (double)f->room;
    double limit = f->limit > f->used ? (double)(f->limit - f->used) : 0;
    bool limited = f->limit && limit <= disk;
    if (r->growth > 0) {
        out.end = limited ? FORECAST_LIMIT : FORECAST_DISK;
        out.days = (limited ? limit : disk) / r->growth;
    }
    out.flash_bytes = (r->written + r->flushes * FORECAST_FLUSH_BYTES) * FORECAST_AMPLIFICATION;
    if (f->endurance && out.flash_bytes > 0) {
        out.flash_years = (double)f->endurance / out.flash_bytes / 365.25;
    }
    return out;
}
