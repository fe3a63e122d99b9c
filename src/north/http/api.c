/* SPDX-License-Identifier: Apache-2.0 */
/* The routes. Those about the plan answer at once; the others ask the reader and answer when it has. */
#include "north/http/http.h"

#include "base/clock.h"
#include "box/sandbox.h"
#include "journal/forecast.h"
#include "north/http/prom.h"
#include "tag/glob.h"
#include "tag/status.h"

static const char *text_of(const struct request *r, plan_str s)
{
    return plan_text(r->http->plan, s);
}

/* ---- At once ---- */

static void gateway_begin(struct request *r)
{
    const struct plan_header *h = r->http->plan->header;
    json_open(&r->body, '{');
    json_pair_text(&r->body, "name", text_of(r, h->name));
    json_pair_text(&r->body, "description", text_of(r, h->description));
    json_pair_text(&r->body, "version", ISTHMUS_VERSION);
    json_pair_uint(&r->body, "generation", h->generation);
    json_pair_uint(&r->body, "tags", h->tags.count);
    json_pair_uint(&r->body, "devices", h->devices.count);
    json_pair_time(&r->body, "time", clock_utc_ns());
    json_close(&r->body, '}');
    request_done(r);
}

static void render_tag(struct request *r, const struct plan_tag *t)
{
    struct json *j = &r->body;
    const struct plan *p = r->http->plan;
    json_open(j, '{');
    json_pair_uint(j, "id", t->id);
    json_pair_text(j, "path", text_of(r, t->path));
    json_pair_text(j, "type", value_type_name((enum value_type)t->type));
    json_pair_text(j, "unit", text_of(r, t->unit));
    json_pair_text(j, "description", text_of(r, t->description));
    json_pair_text(j, "device",
                   t->device < p->header->devices.count ? text_of(r, p->devices[t->device].name)
                                                        : "");
    if (t->asset_type) {
        json_pair_text(j, "asset_type", text_of(r, t->asset_type));
    }
    if (t->has_range) {
        json_pair_double(j, "low", t->low);
        json_pair_double(j, "high", t->high);
    }
    json_close(j, '}');
}

static void tags_begin(struct request *r)
{
    const struct plan *p = r->http->plan;
    const char *glob = request_argument(r, "glob");
    uint64_t limit, after, count = 0;
    if (!request_number(r, "limit", 10000, 1000000, &limit) ||
        !request_number(r, "after", 0, UINT32_MAX, &after)) {
        return;
    }
    json_open(&r->body, '{');
    json_key(&r->body, "tags");
    json_open(&r->body, '[');
    uint32_t i = 0;
    for (; i < p->header->tags.count && count < limit; i++) {
        const struct plan_tag *t = p->tags + i;
        if (t->id > after && shows_tag(r, t) &&
            (!glob || glob_matches(glob, text_of(r, t->path)))) {
            render_tag(r, t);
            request_grown(r);
            after = t->id;
            count++;
        }
    }
    json_close(&r->body, ']');
    if (i < p->header->tags.count) {
        json_pair_uint(&r->body, "next_after", after);
    }
    json_close(&r->body, '}');
    request_done(r);
}

static void live_begin(struct request *r)
{
    json_open(&r->body, '{');
    json_pair_bool(&r->body, "live", true);
    json_close(&r->body, '}');
    request_done(r);
}

/* ---- From the reader ---- */

void list_open(struct request *r, const char *name)
{
    json_open(&r->body, '{');
    list_begin(r, name);
}

void list_begin(struct request *r, const char *name)
{
    json_key(&r->body, name);
    json_open(&r->body, '[');
}

void list_finish(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The reader could not answer", err_text((int)end->error));
        return;
    }
    if (r->last_sequence || end->covers.to) {
        render_wide(&r->body, "next_after", end->covers.to ? end->covers.to - 1 : r->last_sequence);
    }
    json_pair_bool(&r->body, "more", end->more != 0);
    json_close(&r->body, '}');
    request_done(r);
}

void list_end(void *context, const struct answer *end)
{
    struct request *r = context;
    json_close(&r->body, ']');
    list_finish(r, end);
}

static void record_any(void *context, const struct answer *run, const struct slot *slots,
                       size_t count)
{
    struct request *r = context;
    (void)count;
    r->last_sequence = run->first_sequence;
    render_record(&r->body, r->http->plan, run, slots);
    request_grown(r);
}

bool shows_tag(const struct request *r, const struct plan_tag *tag)
{
    bool shown = !r->zone_limit;
    for (uint32_t i = 0; !shown && i < r->zone_count && i < SESSION_ZONES; i++) {
        shown = r->zones[i] == tag->zone;
    }
    return shown;
}

const struct plan_tag *find_tag(const struct request *r, const char *path)
{
    const struct plan_tag *tag = path ? plan_find_path(r->http->plan, path) : NULL;
    return tag && shows_tag(r, tag) ? tag : NULL;
}

bool wants_tag(struct request *r, const struct plan_tag *tag)
{
    const char *glob = request_argument(r, "tags");
    return shows_tag(r, tag) && (!glob || glob_matches(glob, text_of(r, tag->path)));
}

static void record_now(void *context, const struct answer *run, const struct slot *slots,
                       size_t count)
{
    struct request *r = context;
    const struct plan_tag *tag = plan_find_tag(r->http->plan, slot_id(slots));
    (void)count;
    if (!tag ||
        (r->rest && *r->rest ? strcmp(r->rest, text_of(r, tag->path)) != 0 : !wants_tag(r, tag))) {
        return;
    }
    struct json *j = &r->body;
    r->count++;
    json_open(j, '{');
    json_pair_text(j, "tag", text_of(r, tag->path));
    json_pair_uint(j, "id", tag->id);
    json_key(j, "value");
    render_value(j, tag, slots);
    json_pair_text(j, "unit", text_of(r, tag->unit));
    json_pair_text(j, "status", status_name(slots->status));
    json_pair_uint(j, "code", slots->status);
    if (slots->time) {
        json_pair_time(j, "time", slots->time);
        json_pair_double(j, "age_ms", (double)(clock_utc_ns() - slots->time) / 1e6);
    }
    render_wide(j, "seq", run->first_sequence);
    json_close(j, '}');
    request_grown(r);
}

static void ask_now(struct request *r, uint32_t from, uint32_t to)
{
    struct ask ask = {.kind = ASK_NOW, .tag_from = from, .tag_to = to, .max_records = UINT32_MAX};
    list_open(r, "values");
    request_ask(r, &ask,
                &(struct answer_handler){.record = record_now, .end = list_end, .context = r});
}

static void now_begin(struct request *r)
{
    r->rest = NULL;
    ask_now(r, 1, SLOT_ID_MAX);
}

static void now_one_begin(struct request *r)
{
    const struct plan_tag *tag = find_tag(r, r->rest);
    if (!tag) {
        request_problem(r, 404, "No such tag", "See /api/v1/tags for the tags there are.");
        return;
    }
    ask_now(r, tag->id, tag->id);
}

static void history_begin(struct request *r)
{
    const char *path = request_argument(r, "tag");
    const struct plan_tag *tag = find_tag(r, path);
    uint64_t points;
    struct ask ask = {.kind = request_argument(r, "step") ? ASK_STEPS : ASK_HISTORY};
    int64_t now = clock_utc_ns();
    if (!tag) {
        request_problem(r, path ? 404 : 400, path ? "No such tag" : "Argument missing",
                        "Name a tag: /api/v1/history?tag=site/area/unit/tag.");
        return;
    }
    if (!request_number(r, "points", 0, RECORDS_MAX, &points) ||
        !request_time(r, "from", now - 3600 * NS_PER_S, &ask.from_ns) ||
        !request_time(r, "to", now, &ask.to_ns)) {
        return;
    }
    ask.tag = tag->id;
    ask.max_records = (uint32_t)points;
    if (ask.kind == ASK_STEPS) {
        steps_begin(r, tag, &ask);
        return;
    }
    const char *format = request_argument(r, "format");
    if (format && !strcmp(format, "columns")) {
        columns_begin(r, tag, &ask);
        return;
    }
    if (format && strcmp(format, "records") != 0) {
        request_problem(r, 400, "Wrong argument", "'format' is records or columns.");
        return;
    }
    list_open(r, "samples");
    request_ask(r, &ask,
                &(struct answer_handler){.record = record_any, .end = list_end, .context = r});
}

static void record_wanted(void *context, const struct answer *run, const struct slot *slots,
                          size_t count)
{
    struct request *r = context;
    const struct plan_tag *tag =
        slot_is_control(slots) ? NULL : plan_find_tag(r->http->plan, slot_id(slots));
    if (slot_is_control(slots) || (tag && wants_tag(r, tag))) {
        record_any(r, run, slots, count);
    }
}

static void samples_begin(struct request *r)
{
    uint64_t after, limit;
    if (!request_number(r, "after", 0, UINT64_MAX - 1, &after) ||
        !request_number(r, "limit", 10000, RECORDS_MAX, &limit)) {
        return;
    }
    struct ask ask = {.kind = ASK_READ,
                      .from_sequence = request_argument(r, "after") ? after + 1 : 0,
                      .max_records = (uint32_t)limit};
    list_open(r, "records");
    request_ask(r, &ask,
                &(struct answer_handler){.record = record_wanted, .end = list_end, .context = r});
}

static void gaps_begin(struct request *r)
{
    uint64_t limit;
    struct ask ask = {.kind = ASK_GAPS};
    int64_t now = clock_utc_ns();
    const char *path = request_argument(r, "tag");
    const struct plan_tag *tag = find_tag(r, path);
    if (path && !tag) {
        request_problem(r, 404, "No such tag", "Name a tag, or leave it out for all.");
        return;
    }
    ask.tag = tag ? tag->id : 0;
    if (!request_number(r, "limit", 1000, RECORDS_MAX, &limit) ||
        !request_time(r, "from", now - 24 * 3600 * NS_PER_S, &ask.from_ns) ||
        !request_time(r, "to", now, &ask.to_ns)) {
        return;
    }
    ask.max_records = (uint32_t)limit;
    list_open(r, "records");
    request_ask(r, &ask,
                &(struct answer_handler){.record = record_any, .end = list_end, .context = r});
}

static void row_device(void *context, const void *row, size_t size)
{
    static const char *const states[] = {"not opened", "connecting", "up", "degraded", "down"};
    static const char *const figures[] = {"requests",   "replies",     "timeouts",  "exceptions",
                                          "reconnects", "bytes_in",    "bytes_out", "latency_us",
                                          "in_flight",  "transactions"};
    struct request *r = context;
    const struct answer_device *d = row;
    const struct plan *p = r->http->plan;
    if (size < sizeof *d || d->device >= p->header->devices.count) {
        return;
    }
    struct json *j = &r->body;
    const struct plan_device *device = p->devices + d->device;
    json_open(j, '{');
    json_pair_text(j, "name", text_of(r, device->name));
    json_pair_text(j, "description", text_of(r, device->description));
    json_pair_text(j, "box", text_of(r, p->boxes[device->box].name));
    json_pair_text(j, "state", states[d->state < 5 ? d->state : 0]);
    json_key(j, "reason");
    json_text_n(j, d->reason, strnlen(d->reason, sizeof d->reason));
    json_pair_time(j, "since", d->since_utc_ns);
    json_pair_time(j, "last_reply", d->last_reply_utc_ns);
    json_pair_uint(j, "tags", device->tag_count);
    json_pair_uint(j, "period_ms", device->period_ms);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        json_pair_uint(j, figures[i], d->figures[i]);
    }
    json_close(j, '}');
}

static void row_process(void *context, const void *row, size_t size)
{
    static const char *const states[] = {"stopped", "starting", "running",
                                         "waiting", "stopping", "cut"};
    struct request *r = context;
    const struct answer_process *a = row;
    if (size < sizeof *a) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    json_key(j, "name");
    json_text_n(j, a->name, strnlen(a->name, sizeof a->name));
    json_pair_text(j, "state", states[a->state < sizeof states / sizeof *states ? a->state : 0]);
    json_pair_uint(j, "pid", a->pid);
    json_pair_uint(j, "restarts", a->restarts);
    json_key(j, "reason");
    json_text_n(j, a->reason, strnlen(a->reason, sizeof a->reason));
    json_pair_time(j, "since", a->since_utc_ns);
    json_pair_double(j, "cpu_seconds", (double)a->cpu_ns / 1e9);
    json_pair_uint(j, "pss_bytes", a->pss_bytes);
    json_pair_uint(j, "ring_permille", a->up_ring_permille);
    if (a->certificate_ends_ns) {
        json_pair_time(j, "certificate_ends", a->certificate_ends_ns);
    }
    json_key(j, "layers_missing");
    json_open(j, '[');
    for (unsigned i = 0; sandbox_layer_name(i); i++) {
        if (a->layers_missing >> i & 1) {
            json_text(j, sandbox_layer_name(i));
        }
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void render_forecast(struct json *j, const struct answer_journal *a)
{
    static const char *const ends[] = {
        [FORECAST_NEVER] = "never", [FORECAST_LIMIT] = "limit", [FORECAST_DISK] = "disk"};
    json_key(j, "forecast");
    json_open(j, '{');
    json_pair_double(j, "growth_bytes_per_day", a->growth_a_day);
    json_pair_text(j, "full_by", ends[a->end <= FORECAST_DISK ? a->end : FORECAST_NEVER]);
    if (a->end != FORECAST_NEVER) {
        json_pair_double(j, "full_in_days", a->days);
    }
    json_pair_double(j, "flash_bytes_per_day", a->flash_a_day);
    if (a->flash_endurance) {
        json_pair_uint(j, "flash_endurance_bytes", a->flash_endurance);
        json_pair_double(j, "flash_years", a->flash_years);
    }
    json_close(j, '}');
}

static void row_journal(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_journal *a = row;
    if (size < sizeof *a) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    render_wide(j, "epoch", a->epoch);
    render_wide(j, "written_seq", a->written_sequence);
    render_wide(j, "durable_seq", a->durable_sequence);
    json_pair_uint(j, "first_segment", a->first_segment);
    json_pair_uint(j, "segment", a->segment);
    json_pair_uint(j, "disk_bytes", a->disk_bytes);
    json_pair_uint(j, "limit_bytes", a->limit_bytes);
    json_pair_uint(j, "bytes_written", a->bytes_written);
    json_pair_uint(j, "flushes", a->flushes);
    json_pair_double(j, "flush_ms",
                     a->flushes ? (double)a->flush_ns / (double)a->flushes / 1e6 : 0);
    json_pair_uint(j, "frames", a->frames);
    json_pair_uint(j, "failures", a->failures);
    json_pair_bool(j, "full", a->full != 0);
    json_pair_uint(j, "room_bytes", a->room_bytes);
    json_key(j, "sealed");
    json_open(j, '{');
    json_pair_uint(j, "files", a->sealed_files);
    json_pair_uint(j, "bytes", a->sealed_bytes);
    json_pair_uint(j, "samples", a->sealed_samples);
    json_pair_uint(j, "waiting_segments", a->waiting_segments);
    json_pair_uint(j, "held_segments", a->held_segments);
    json_pair_uint(j, "damaged", a->damaged);
    json_pair_uint(j, "failures", a->sealer_failures);
    json_close(j, '}');
    if (a->known) {
        render_forecast(j, a);
    }
    json_close(j, '}');
}

void ask_rows(struct request *r, enum ask_kind kind, const char *name, row_handler *row)
{
    struct ask ask = {
        .kind = kind, .tag_from = 1, .tag_to = SLOT_ID_MAX, .max_records = UINT32_MAX};
    list_open(r, name);
    request_ask(r, &ask, &(struct answer_handler){.row = row, .end = list_end, .context = r});
}

static void devices_begin(struct request *r)
{
    ask_rows(r, ASK_DEVICES, "devices", row_device);
}
static void processes_begin(struct request *r)
{
    ask_rows(r, ASK_PROCESSES, "processes", row_process);
}
static void journal_begin_route(struct request *r)
{
    ask_rows(r, ASK_JOURNAL, "journal", row_journal);
}

/* Ready: the reader answers, which it does only when the journal is open. */
static void ready_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "Not ready", err_text((int)end->error));
        return;
    }
    json_open(&r->body, '{');
    json_pair_bool(&r->body, "ready", true);
    json_close(&r->body, '}');
    request_done(r);
}

static void ready_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_JOURNAL, .max_records = 1};
    request_ask(r, &ask, &(struct answer_handler){.end = ready_end, .context = r});
}

const struct route http_routes[] = {
    {"/api/v1/gateway", METHOD_GET, ACCESS_OPEN, RIGHT_READ, gateway_begin},
    {"/api/v1/tags", METHOD_GET, ACCESS_OPEN, RIGHT_READ, tags_begin},
    {"/api/v1/now", METHOD_GET, ACCESS_OPEN, RIGHT_READ, now_begin},
    {"/api/v1/now/*", METHOD_GET, ACCESS_OPEN, RIGHT_READ, now_one_begin},
    {"/api/v1/history", METHOD_GET, ACCESS_OPEN, RIGHT_READ, history_begin},
    {"/api/v1/samples", METHOD_GET, ACCESS_OPEN, RIGHT_READ, samples_begin},
    {"/api/v1/gaps", METHOD_GET, ACCESS_OPEN, RIGHT_READ, gaps_begin},
    {"/api/v1/ledger", METHOD_GET, ACCESS_OPEN, RIGHT_READ, ledger_begin},
    {"/api/v1/ledger/causes", METHOD_GET, ACCESS_OPEN, RIGHT_READ, causes_begin},
    {"/api/v1/feeds", METHOD_GET, ACCESS_OPEN, RIGHT_READ, feeds_begin},
    {"/api/v1/contracts", METHOD_GET, ACCESS_OPEN, RIGHT_READ, contracts_begin},
    {"/api/v1/contracts/*", METHOD_GET, ACCESS_OPEN, RIGHT_READ, contract_begin},
    {"/api/v1/trial", METHOD_GET, ACCESS_OPEN, RIGHT_READ, trial_begin},
    {"/api/v1/zones", METHOD_GET, ACCESS_OPEN, RIGHT_READ, zones_begin},
    {"/api/v1/devices", METHOD_GET, ACCESS_OPEN, RIGHT_READ, devices_begin},
    {"/api/v1/browse", METHOD_GET, ACCESS_OPEN, RIGHT_BROWSE, browse_begin},
    {"/api/v1/processes", METHOD_GET, ACCESS_OPEN, RIGHT_READ, processes_begin},
    {"/api/v1/journal", METHOD_GET, ACCESS_OPEN, RIGHT_READ, journal_begin_route},
    {"/api/v1/health", METHOD_GET, ACCESS_FREE, 0, ready_begin},
    {"/api/v1/health/live", METHOD_GET, ACCESS_FREE, 0, live_begin},
    {"/api/v1/health/ready", METHOD_GET, ACCESS_FREE, 0, ready_begin},
    {"/api/v1/stream", METHOD_GET, ACCESS_OPEN, RIGHT_READ, stream_begin},
    {"/api/v1/commands", METHOD_GET, ACCESS_OPEN, RIGHT_READ, commands_begin},
    {"/api/v1/writes", METHOD_GET, ACCESS_OPEN, RIGHT_READ, writes_begin},
    {"/api/v1/commands", METHOD_POST, ACCESS_SHOWN, RIGHT_COMMAND, command_begin},
    {"/api/v1/commands/*", METHOD_GET, ACCESS_SHOWN, RIGHT_READ, command_look_begin},
    {"/api/v1/commands/*", METHOD_POST, ACCESS_SHOWN, 0, command_act_begin},
    {"/api/v1/inhibit", METHOD_GET, ACCESS_OPEN, RIGHT_READ, inhibit_get},
    {"/api/v1/inhibit", METHOD_POST, ACCESS_SIGNED, RIGHT_INHIBIT, inhibit_post},
    {"/api/v1/island", METHOD_GET, ACCESS_OPEN, RIGHT_READ, island_get},
    {"/api/v1/island", METHOD_POST, ACCESS_SIGNED, RIGHT_INHIBIT, island_post},
    {"/api/v1/audit", METHOD_GET, ACCESS_SIGNED, RIGHT_AUDIT, audit_begin},
    {"/api/v1/audit/proof", METHOD_GET, ACCESS_SIGNED, RIGHT_AUDIT, proof_begin},
    {"/api/v1/sql", METHOD_POST, ACCESS_OPEN, RIGHT_SQL, sql_begin},
    {"/api/v1/session", METHOD_GET, ACCESS_SIGNED, 0, session_get},
    {"/api/v1/session", METHOD_POST, ACCESS_FREE, 0, session_post},
    {"/api/v1/session", METHOD_DELETE, ACCESS_SIGNED, 0, session_delete},
    {"/api/v1/session/password", METHOD_POST, ACCESS_SIGNED, 0, session_password},
    {"/api/v1/session/begin", METHOD_POST, ACCESS_FREE, 0, session_begin},
    {"/api/v1/session/finish", METHOD_POST, ACCESS_FREE, 0, session_finish},
    {"/api/v1/providers", METHOD_GET, ACCESS_FREE, 0, providers_get},
    {"/api/v1/enrol", METHOD_POST, ACCESS_FREE, 0, enrol_post},
    {"/api/v1/enrol/link", METHOD_POST, ACCESS_SIGNED, RIGHT_ACCOUNTS, enrol_link},
    {"/api/v1/accounts", METHOD_GET, ACCESS_SIGNED, RIGHT_ACCOUNTS, accounts_get},
    {"/api/v1/accounts", METHOD_POST, ACCESS_SIGNED, RIGHT_ACCOUNTS, accounts_post},
    {"/api/v1/accounts/*", METHOD_POST, ACCESS_SIGNED, RIGHT_ACCOUNTS, account_set},
    {"/api/v1/accounts/*", METHOD_DELETE, ACCESS_SIGNED, RIGHT_ACCOUNTS, account_delete},
    {"/api/v1/tokens", METHOD_GET, ACCESS_SIGNED, RIGHT_ACCOUNTS, tokens_get},
    {"/api/v1/tokens", METHOD_POST, ACCESS_SIGNED, RIGHT_ACCOUNTS, tokens_post},
    {"/api/v1/tokens/*", METHOD_DELETE, ACCESS_SIGNED, RIGHT_ACCOUNTS, token_delete},
    {"/metrics", METHOD_GET, ACCESS_OPEN, RIGHT_READ, metrics_begin},
    {"/prometheus/api/v1/query", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_query_begin},
    {"/prometheus/api/v1/query", METHOD_POST, ACCESS_OPEN, RIGHT_READ, prom_query_begin},
    {"/prometheus/api/v1/query_range", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_query_range_begin},
    {"/prometheus/api/v1/query_range", METHOD_POST, ACCESS_OPEN, RIGHT_READ,
     prom_query_range_begin},
    {"/prometheus/api/v1/labels", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_labels_begin},
    {"/prometheus/api/v1/labels", METHOD_POST, ACCESS_OPEN, RIGHT_READ, prom_labels_begin},
    {"/prometheus/api/v1/label/*", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_values_begin},
    {"/prometheus/api/v1/series", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_series_begin},
    {"/prometheus/api/v1/series", METHOD_POST, ACCESS_OPEN, RIGHT_READ, prom_series_begin},
    {"/prometheus/api/v1/metadata", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_metadata_begin},
    {"/prometheus/api/v1/rules", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_none_begin},
    {"/prometheus/api/v1/status/buildinfo", METHOD_GET, ACCESS_OPEN, RIGHT_READ,
     prom_buildinfo_begin},
    {"/prometheus/federate", METHOD_GET, ACCESS_OPEN, RIGHT_READ, prom_federate_begin},
    {0},
};
