/* SPDX-License-Identifier: Apache-2.0 */
/* A tag's history at steps: the reader aggregates (history/sampled.h), a row a step. */
#include "north/http/http.h"

#include <stdio.h>
#include <string.h>

#include "base/amount.h"
#include "base/clock.h"
#include "tag/status.h"

#define STEPS_MAX 100000u

static void row_step(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_step *step = row;
    struct json *j = &r->body;
    if (size < sizeof *step) {
        return;
    }
    json_open(j, '{');
    json_pair_time(j, "time", step->from_ns);
    json_key(j, "value");
    if (status_severity(step->status) == SEVERITY_BAD) {
        json_nil(j);
    } else {
        json_double(j, step->value);
    }
    json_pair_text(j, "status", status_name(step->status));
    json_pair_uint(j, "code", step->status);
    json_pair_uint(j, "good", step->good);
    json_pair_uint(j, "others", step->others);
    json_close(j, '}');
    request_grown(r);
}

static void steps_end(void *context, const struct answer *end)
{
    struct request *r = context;
    if (end->error == (uint32_t)-ERR_FULL) {
        r->ask = 0;
        request_problem(
            r, 413, "A step has too many samples",
            "A percentile is made of at most a million samples: ask for shorter steps.");
        return;
    }
    list_end(r, end);
}

static bool wrong(struct request *r, const char *detail)
{
    request_problem(r, 400, "Wrong argument", detail);
    return false;
}

/* The aggregate and what it needs. */
static bool read_aggregate(struct request *r, struct ask *ask)
{
    const char *name = request_argument(r, "aggregate");
    const char *percent = request_argument(r, "percent"), *state = request_argument(r, "state");
    ask->aggregate = aggregate_named(name ? name : "time_average");
    if (!ask->aggregate) {
        return wrong(r, "'aggregate' is one of last, asof, interpolated, average, time_average, "
                        "min, max, count, "
                        "integral, percentile, duration.");
    }
    if (ask->aggregate == AGGREGATE_PERCENTILE &&
        !(percent && text_number(percent, &ask->parameter) && ask->parameter >= 0 &&
          ask->parameter <= 100)) {
        return wrong(r, "A percentile needs 'percent', from 0 to 100.");
    }
    if (ask->aggregate == AGGREGATE_DURATION && !(state && text_number(state, &ask->parameter))) {
        return wrong(r, "A duration needs 'state', the number whose time is counted.");
    }
    return true;
}

void steps_begin(struct request *r, const struct plan_tag *tag, struct ask *ask)
{
    double ms;
    if (value_is_long((enum value_type)tag->type)) {
        wrong(r, "Texts and bytes have no numbers: leave out 'step' to get their samples.");
        return;
    }
    if (!text_duration(request_argument(r, "step"), &ms) || ms < 1 || ms > 1e12) {
        wrong(r, "'step' is a duration of at least 1ms, like 1min or 2h.");
        return;
    }
    int64_t now = clock_utc_ns(); /* nothing holds into the future */
    ask->to_ns = ask->to_ns < now ? ask->to_ns : now;
    ask->step_ns = (int64_t)(ms * (double)NS_PER_MS);
    if (ask->from_ns >= ask->to_ns ||
        ((uint64_t)ask->to_ns - (uint64_t)ask->from_ns) / (uint64_t)ask->step_ns >= STEPS_MAX) {
        wrong(r, "'from' must be before 'to', with at most 100000 steps between them.");
        return;
    }
    if (read_aggregate(r, ask)) {
        list_open(r, "steps");
        request_ask(r, ask,
                    &(struct answer_handler){.row = row_step, .end = steps_end, .context = r});
    }
}
