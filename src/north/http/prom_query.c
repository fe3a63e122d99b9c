/* SPDX-License-Identifier: Apache-2.0 */
/* query and query_range. The series that the selector means are asked for a few at a time and taken in order, so that sums
 * are the same each time; as its samples come, a series becomes points (prom_window.c), which pass the stages of the
 * expression and are written into the answer or added to a group. So memory holds a few series and the groups, however long
 * the stretch. Where steps are far apart only what lies before each is asked for. */
#include "north/http/prom.h"

#include "base/clock.h"
#include "north/http/prom_group.h"
#include "north/http/prom_window.h"
#include "tag/aggregate.h"
#include "tag/status.h"

#include <math.h>

#define LANES        4u /* series asked for at a time */
#define POINTS_MAX   11000u
#define SERIES_MAX   20000u
#define SAMPLES_MAX  UINT64_C(100000000) /* that a query may look at */
#define BYTES_MAX    (UINT64_C(64) << 20)
#define QUERIES_MAX  48u /* at a time: each has LANES asks */
#define LOOKBACK_NS  (300 * NS_PER_S)
#define TIMEOUT_NS   (30 * NS_PER_S)
#define TIMEOUT_MAX  (120 * NS_PER_S)
#define SPARSE_STEPS 4     /* steps so many ranges apart are asked for one by one */
#define LOOK_SAMPLES 4096u /* between two looks at the clock */

struct lane {
    struct query *query;
    const struct plan_tag *tag; /* NULL: free */
    struct window window;
    double *points;   /* owned, of as many as the query has */
    uint32_t to_step; /* the ask under way covers the window's steps up to this one */
    uint32_t ask;     /* 0: none */
    bool tiled;       /* the reader aggregates: see tiles() … */
    bool mixed;       /* … but has met samples that count here and not there */
    int64_t from_ns;  /* of the ask under way */
    bool done;
};

struct query {
    struct request *r;
    struct promql *promql; /* owned */
    struct steps steps;    /* of the answer … */
    struct steps window;   /* … and as the selector sees them */
    int64_t end_ns;
    int64_t range_ns;
    bool vector;    /* an instant: one point for each series */
    uint32_t *tags; /* owned: indexes of the plan */
    uint32_t tag_count, started, finished;
    struct lane lanes[LANES];
    struct groups *groups[PROMQL_STAGES_MAX]; /* owned; NULL: no aggregation */
    uint64_t samples;                         /* of SAMPLES_MAX */
    uint64_t bytes;                           /* counted in http->held */
    int64_t deadline_ns;                      /* monotonic */
    bool failed;
};

/* For each sample that a window has room for, at most. */
#define SAMPLE_BYTES (3 * sizeof(double))

static bool take_bytes(struct query *q, size_t bytes)
{
    q->bytes += bytes;
    q->r->http->held += bytes;
    return q->bytes <= BYTES_MAX && q->r->http->held <= HELD_MAX;
}

void query_free(struct query *q)
{
    if (!q) {
        return;
    }
    for (uint32_t i = 0; i < LANES; i++) {
        if (q->lanes[i].ask) {
            service_forget(q->r->http->host, q->lanes[i].ask);
        }
        window_fini(&q->lanes[i].window);
        free(q->lanes[i].points);
    }
    for (uint32_t i = 0; i < PROMQL_STAGES_MAX; i++) {
        if (q->groups[i]) {
            groups_fini(q->groups[i]);
            free(q->groups[i]);
        }
    }
    q->r->http->held -= q->bytes;
    q->r->http->queries--;
    promql_free(q->promql);
    free(q->tags);
    free(q);
}

/* ---- What ends a query. ---- */

static void fail(struct query *q, int status, const char *type, const char *what)
{
    if (!q->failed) {
        q->failed = true;
        for (uint32_t i = 0; i < LANES; i++) {
            if (q->lanes[i].ask) {
                service_forget(q->r->http->host, q->lanes[i].ask);
                q->lanes[i].ask = 0;
            }
        }
        prom_error(q->r, status, type, "%s", what);
    }
}

static void fail_err(struct query *q, int err)
{
    static const struct {
        int err, status;
        const char *type, *what;
    } failures[] = {
        {ERR_TOO_LONG, 422, "execution",
         "a range holds more than 131,072 samples; take a shorter one"},
        {ERR_NOMEM, 422, "execution",
         "the query needs too much memory: ask for fewer series or points"},
        {ERR_FULL, 503, "unavailable", "too many requests are under way; try again in a moment"},
        {0, 500, "internal", NULL},
    };
    size_t i = 0;
    while (failures[i].err && failures[i].err != err) {
        i++;
    }
    fail(q, failures[i].status, failures[i].type,
         failures[i].what ? failures[i].what : err_text(err));
}

static bool in_time(struct query *q)
{
    if (!q->samples) {
        fail(q, 422, "execution",
             "the query looks at more than 100,000,000 samples: take fewer series, a shorter time "
             "or "
             "range");
    } else if (clock_mono_ns() > q->deadline_ns) {
        fail(q, 503, "timeout", "query timed out: take fewer series or a shorter time");
    }
    return !q->failed;
}

/* ---- The answer. ---- */

static void raw(struct json *j, const char *text, int size)
{
    json_raw(j, text, (size_t)size);
}

/* [seconds,"value"] */
static void render_point(struct json *j, int64_t ns, double v)
{
    char text[96], number[NUMBER_TEXT_SIZE];
    int64_t ms = ns / NS_PER_MS, rest = ms % 1000;
    if (isinf(v)) {
        snprintf(number, sizeof number, "%s", v > 0 ? "+Inf" : "-Inf");
    } else if (isnan(v)) {
        snprintf(number, sizeof number, "NaN");
    } else {
        number_text(v, number);
    }
    raw(j, text,
        snprintf(text, sizeof text, "[%s%lld.%03lld,\"%s\"]", ms < 0 && ms > -1000 ? "-" : "",
                 (long long)(ms / 1000), (long long)(rest < 0 ? -rest : rest), number));
}

static int64_t step_ns(const struct query *q, uint32_t i)
{
    return q->steps.first_ns + q->steps.step_ns * i;
}

static void render_series(struct query *q, struct labels labels, const double *points)
{
    struct json *j = &q->r->body;
    uint32_t i = 0;
    while (i < q->steps.count && point_is_none(points[i])) {
        i++;
    }
    if (i == q->steps.count) {
        return;
    }
    json_open(j, '{');
    json_key(j, "metric");
    labels_render(j, q->r->http->plan, labels);
    json_key(j, q->vector ? "value" : "values");
    if (q->vector) {
        render_point(j, step_ns(q, 0), points[0]);
    } else {
        json_open(j, '[');
        for (; i < q->steps.count; i++) {
            if (!point_is_none(points[i])) {
                render_point(j, step_ns(q, i), points[i]);
            }
        }
        json_close(j, ']');
    }
    json_close(j, '}');
    request_grown(q->r);
}

/* The samples themselves: what the window of one step holds. */
static void render_samples(struct query *q, const struct lane *lane)
{
    struct json *j = &q->r->body;
    const struct window *w = &lane->window;
    if (w->from == w->to) {
        return;
    }
    json_open(j, '{');
    json_key(j, "metric");
    labels_render(j, q->r->http->plan, (struct labels){lane->tag, LABELS_ALL});
    json_key(j, "values");
    json_open(j, '[');
    for (uint32_t i = w->from; i < w->to; i++) {
        render_point(j, w->time[i], w->value[i]);
    }
    json_close(j, ']');
    json_close(j, '}');
    request_grown(q->r);
}

/* ---- Stages. ---- */

static void calculate(const struct stage *s, double *points, uint32_t count)
{
    bool filters = promql_is_comparison(s->op) && !s->as_bool;
    for (uint32_t i = 0; i < count; i++) {
        double v = points[i], a = s->number_left ? s->number : v,
               b = s->number_left ? v : s->number;
        if (!point_is_none(v)) {
            double is = promql_calculate(s->op, a, b);
            points[i] = !filters ? is : is != 0 ? v : point_none();
        }
    }
}

static int add_to_group(struct query *q, uint32_t stage, struct labels labels, const double *points)
{
    struct groups *g = q->groups[stage];
    uint32_t before = g->count;
    labels.kept &= q->promql->stages[stage].labels;
    int err = groups_add(g, labels, points);
    bool room = g->count == before || take_bytes(q, group_bytes(q->steps.count));
    return err ? err : room ? ERR_OK : ERR_NOMEM;
}

/* A series goes through the stages from one on, up to the next aggregation or into the answer. Its points are changed. */
static int flow(struct query *q, uint32_t from, struct labels labels, double *points)
{
    for (uint32_t i = from; i < q->promql->stage_count; i++) {
        const struct stage *s = q->promql->stages + i;
        if (s->aggregate) {
            return add_to_group(q, i, labels, points);
        }
        if (!promql_is_comparison(s->op) || s->as_bool) {
            labels.kept &= ~(1u << LABEL_NAME);
        }
        calculate(s, points, q->steps.count);
    }
    render_series(q, labels, points);
    return q->r->body.bad ? ERR_NOMEM : ERR_OK;
}

/* All series are in: the groups go on. */
static int flow_groups(struct query *q)
{
    double *points = q->lanes[0].points;
    for (uint32_t i = 0; i < q->promql->stage_count; i++) {
        for (uint32_t k = 0; q->groups[i] && k < q->groups[i]->count; k++) {
            struct labels labels = q->groups[i]->groups[k].labels;
            groups_points(q->groups[i], k, points);
            int err = flow(q, i + 1, labels, points);
            if (err) {
                return err;
            }
        }
    }
    return ERR_OK;
}

static int take_series(struct query *q, struct lane *lane)
{
    struct labels labels = {lane->tag, LABELS_ALL};
    enum prom_function f = q->promql->function;
    if (q->promql->type == PROMQL_MATRIX) {
        render_samples(q, lane);
        return q->r->body.bad ? ERR_NOMEM : ERR_OK;
    }
    for (uint32_t i = q->window.count; i < q->steps.count; i++) {
        lane->points[i] = lane->points[0]; /* @: the same at each step */
    }
    if (f != OVER_INSTANT && f != OVER_LAST) {
        labels.kept &= ~(1u << LABEL_NAME);
    }
    return flow(q, 0, labels, lane->points);
}

static void finish(struct query *q)
{
    int err = flow_groups(q);
    if (err) {
        fail_err(q, err);
        return;
    }
    json_close(&q->r->body, ']');
    json_close(&q->r->body, '}');
    prom_done(q->r);
    q->failed = true; /* over */
}

/* ---- From the reader. ---- */

static void pump(struct query *q);

static void on_record(void *context, const struct answer *run, const struct slot *slots,
                      size_t count)
{
    struct lane *lane = context;
    struct query *q = lane->query;
    uint32_t capacity = lane->window.capacity;
    (void)run;
    (void)count;
    if (slot_is_control(slots) || slot_is_long(slots)) {
        return;
    }
    q->samples -= q->samples > 0;
    if (q->samples % LOOK_SAMPLES == 0 && !in_time(q)) {
        return;
    }
    int err = window_put(&lane->window, slots->time,
                         value_as_double((enum value_type)lane->tag->type, slots->value),
                         status_severity(slots->status) == SEVERITY_BAD);
    if (!err && !take_bytes(q, (lane->window.capacity - capacity) * SAMPLE_BYTES)) {
        err = ERR_NOMEM;
    }
    if (err) {
        fail_err(q, err);
    }
}

static void ask_next(struct lane *lane);

/* Ranges that do not overlap are steps of the reader, who has summaries of good samples and decodes little. */
static enum aggregate tiles(const struct query *q)
{
    static const enum aggregate by[] = {[OVER_AVG] = AGGREGATE_AVERAGE,
                                        [OVER_MIN] = AGGREGATE_MIN,
                                        [OVER_MAX] = AGGREGATE_MAX,
                                        [OVER_SUM] = AGGREGATE_AVERAGE,
                                        [OVER_COUNT] = AGGREGATE_COUNT};
    enum prom_function f = q->promql->function;
    bool apart = q->window.count == 1 || q->window.step_ns >= q->range_ns;
    return apart && q->promql->type == PROMQL_VECTOR && f < sizeof by / sizeof *by ? by[f] : 0;
}

static void on_row(void *context, const void *row, size_t size)
{
    struct lane *lane = context;
    struct query *q = lane->query;
    const struct answer_step *step = row;
    uint64_t at =
        size < sizeof *step || step->from_ns < lane->from_ns
            ? UINT32_MAX
            : lane->window.next + (uint64_t)(step->from_ns - lane->from_ns) / (uint64_t)q->range_ns;
    if (at >= lane->to_step) {
        return;
    }
    double count = q->promql->function == OVER_SUM ? (double)step->good : 1;
    lane->mixed |= step->others > 0;
    lane->points[at] = step->good ? step->value * count : point_none();
}

/* What is aggregated is taken over, or if it can't be, the samples themselves are asked for. */
static void end_tiles(struct lane *lane)
{
    if (lane->mixed) {
        lane->tiled = false;
    } else {
        lane->window.next = lane->to_step;
    }
}

static void on_end(void *context, const struct answer *end)
{
    struct lane *lane = context;
    struct query *q = lane->query;
    lane->ask = 0;
    if (end->error) {
        fail_err(q, -(int)end->error);
        return;
    }
    if (lane->tiled) {
        end_tiles(lane);
    } else {
        window_close(&lane->window, lane->to_step);
    }
    if (!in_time(q)) {
        return;
    }
    lane->done = lane->window.next == q->window.count;
    if (lane->done) {
        pump(q);
    } else {
        ask_next(lane);
    }
}

/* For the steps that come next: all if their ranges lie close together, else one. Tiles: all if they touch. */
static void ask_next(struct lane *lane)
{
    struct query *q = lane->query;
    const struct steps *s = &q->window;
    uint32_t at = lane->window.next;
    bool sparse = lane->tiled ? s->step_ns != q->range_ns : s->step_ns / SPARSE_STEPS > q->range_ns;
    lane->to_step = sparse ? at + 1 : s->count;
    lane->from_ns = s->first_ns + s->step_ns * at - q->range_ns + 1;
    struct ask ask = {.kind = ASK_HISTORY,
                      .tag = lane->tag->id,
                      .from_ns = lane->from_ns,
                      .to_ns = s->first_ns + s->step_ns * (lane->to_step - 1)};
    if (lane->tiled) {
        ask.kind = ASK_STEPS;
        ask.to_ns++;
        ask.step_ns = q->range_ns;
        ask.aggregate = tiles(q);
        for (uint32_t i = at; i < lane->to_step; i++) {
            lane->points[i] = point_none();
        }
    }
    memcpy(ask.session, q->r->session, sizeof ask.session);
    int number =
        service_ask(q->r->http->host, &ask,
                    &(struct answer_handler){
                        .record = on_record, .row = on_row, .end = on_end, .context = lane});
    if (number < 0) {
        fail_err(q, ERR_FULL);
        return;
    }
    lane->ask = ask.request;
}

static void start(struct query *q, struct lane *lane)
{
    struct promql window = *q->promql;
    if (window.type == PROMQL_MATRIX) {
        window.function = OVER_COUNT; /* keeps what the range holds */
    }
    q->bytes -= lane->window.capacity * SAMPLE_BYTES;
    q->r->http->held -= lane->window.capacity * SAMPLE_BYTES;
    window_fini(&lane->window);
    lane->done = lane->mixed = false;
    lane->tiled = tiles(q) != 0;
    lane->tag = q->r->http->plan->tags + q->tags[q->started++];
    window_init(&lane->window, &window, q->range_ns, q->window, lane->points, &q->samples);
    ask_next(lane);
}

/* Takes what is complete, in order, and starts what comes next. */
static void pump(struct query *q)
{
    while (!q->failed) {
        struct lane *lane = q->lanes + q->finished % LANES;
        if (q->finished == q->tag_count) {
            finish(q);
            return;
        }
        if (q->started < q->tag_count && q->started < q->finished + LANES) {
            start(q, q->lanes + q->started % LANES);
            continue;
        }
        if (!lane->done) {
            return;
        }
        lane->done = false;
        q->finished++;
        int err = take_series(q, lane);
        if (err) {
            fail_err(q, err);
        }
    }
}

/* ---- The question. ---- */

/* The steps as the selector sees them, with offset and @. */
static void place(struct query *q)
{
    const struct selector *s = &q->promql->selector;
    q->window = q->steps;
    if (s->at != AT_STEP) {
        q->window.count = 1;
        q->window.first_ns = s->at == AT_TIME    ? s->at_ns
                             : s->at == AT_START ? q->steps.first_ns
                                                 : q->end_ns;
    }
    q->window.first_ns -= s->offset_ns;
}

static bool pick_tags(struct query *q)
{
    const struct plan *plan = q->r->http->plan;
    uint32_t most = plan->header->tags.count;
    q->tags = malloc((most + 1u) * sizeof *q->tags);
    if (!q->tags) {
        fail_err(q, ERR_NOMEM);
        return false;
    }
    for (uint32_t i = 0; i < most; i++) {
        if (shows_tag(q->r, plan->tags + i) &&
            selector_matches(&q->promql->selector, plan, plan->tags + i, &q->r->prom->budget)) {
            q->tags[q->tag_count++] = i;
        }
    }
    if (prom_exhausted(q->r)) {
        return false;
    }
    if (q->tag_count > SERIES_MAX) {
        fail(q, 422, "execution", "the selector means more than 20,000 series; narrow it");
        return false;
    }
    return true;
}

static bool make_room(struct query *q)
{
    bool fits = true;
    for (uint32_t i = 0; i < LANES && fits; i++) {
        q->lanes[i].query = q;
        q->lanes[i].points = malloc(q->steps.count * sizeof(double));
        fits = q->lanes[i].points && take_bytes(q, q->steps.count * sizeof(double));
    }
    for (uint32_t i = 0; i < q->promql->stage_count && fits; i++) {
        const struct stage *s = q->promql->stages + i;
        if (s->aggregate) {
            q->groups[i] = malloc(sizeof *q->groups[i]);
            fits = q->groups[i] && take_bytes(q, sizeof *q->groups[i]);
        }
        if (q->groups[i]) {
            groups_init(q->groups[i], q->r->http->plan, s->aggregate, q->steps.count);
        }
    }
    if (!fits) {
        fail_err(q, ERR_NOMEM);
    }
    return fits;
}

static void answer_scalar(struct query *q)
{
    struct json *j = &q->r->body;
    prom_success(q->r);
    json_open(j, '{');
    json_pair_text(j, "resultType", q->vector ? "scalar" : "matrix");
    json_key(j, "result");
    if (q->vector) {
        render_point(j, step_ns(q, 0), q->promql->scalar);
    } else {
        json_open(j, '[');
        for (uint32_t i = 0; i < q->steps.count; i++) {
            q->lanes[0].points[i] = q->promql->scalar;
        }
        render_series(q, (struct labels){0}, q->lanes[0].points);
        json_close(j, ']');
    }
    json_close(j, '}');
    prom_done(q->r);
}

/* A step_ns of 0: one instant. */
static void begin(struct request *r, struct steps steps, int64_t end_ns, int64_t lookback_ns,
                  int64_t timeout_ns)
{
    const char *text = prom_argument(r, "query", 0);
    char why[768];
    bool vector = steps.step_ns == 0;
    struct query *q = r->http->queries < QUERIES_MAX ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        prom_error(r, 503, "unavailable", "too many queries are under way; try again in a moment");
        return;
    }
    *q = (struct query){
        .r = r, .steps = steps, .end_ns = end_ns, .vector = vector, .samples = SAMPLES_MAX};
    r->http->queries++;
    r->prom->query = q;
    timeout_ns = timeout_ns < TIMEOUT_MAX ? timeout_ns : TIMEOUT_MAX;
    q->deadline_ns = clock_mono_ns() + timeout_ns;
    lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, (int)(TIMEOUT_MAX / NS_PER_S) + 30);
    text = text ? text : "";
    if (promql_parse(&q->promql, text, strlen(text), why, sizeof why)) {
        prom_error(r, 400, "bad_data", "invalid parameter \"query\": %s", why);
        return;
    }
    if (q->promql->type == PROMQL_MATRIX && !vector) {
        prom_error(r, 400, "bad_data",
                   "invalid parameter \"query\": a range query gives a value at each step; "
                   "a range needs a function such as avg_over_time");
        return;
    }
    q->range_ns = q->promql->selector.range_ns ? q->promql->selector.range_ns : lookback_ns;
    if (!make_room(q)) {
        return;
    }
    if (q->promql->type == PROMQL_SCALAR) {
        answer_scalar(q);
        return;
    }
    place(q);
    if (!pick_tags(q)) {
        return;
    }
    bool matrix = !vector || q->promql->type == PROMQL_MATRIX;
    prom_success(r);
    json_open(&r->body, '{');
    json_pair_text(&r->body, "resultType", matrix ? "matrix" : "vector");
    json_key(&r->body, "result");
    json_open(&r->body, '[');
    pump(q);
}

void prom_query_begin(struct request *r)
{
    struct steps steps = {.count = 1};
    int64_t lookback_ns, timeout_ns;
    if (prom_open(r) && prom_time(r, "time", clock_utc_ns(), &steps.first_ns) &&
        prom_duration(r, "lookback_delta", LOOKBACK_NS, &lookback_ns) &&
        prom_duration(r, "timeout", TIMEOUT_NS, &timeout_ns)) {
        begin(r, steps, steps.first_ns, lookback_ns, timeout_ns);
    }
}

void prom_query_range_begin(struct request *r)
{
    static const char *const needed[] = {"start", "end", "step"};
    struct steps steps = {0};
    int64_t end_ns, lookback_ns, timeout_ns;
    if (!prom_open(r)) {
        return;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!prom_argument(r, needed[i], 0)) {
            prom_error(r, 400, "bad_data", "parameter \"%s\" is missing", needed[i]);
            return;
        }
    }
    if (!prom_time(r, "start", 0, &steps.first_ns) || !prom_time(r, "end", 0, &end_ns) ||
        !prom_duration(r, "step", 0, &steps.step_ns) ||
        !prom_duration(r, "lookback_delta", LOOKBACK_NS, &lookback_ns) ||
        !prom_duration(r, "timeout", TIMEOUT_NS, &timeout_ns)) {
        return;
    }
    if (end_ns < steps.first_ns) {
        prom_error(r, 400, "bad_data",
                   "invalid parameter \"end\": end timestamp must not be before start time");
        return;
    }
    if ((end_ns - steps.first_ns) / steps.step_ns > POINTS_MAX) {
        prom_error(
            r, 400, "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
            "query resolution (?step=XX)");
        return;
    }
    steps.count = (uint32_t)((end_ns - steps.first_ns) / steps.step_ns) + 1;
    begin(r, steps, end_ns, lookback_ns, timeout_ns);
}
