/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of contracts agree on: `isthmus contract report`, and `isthmus trial-report`, which is also one file to hand round.
 * Both are made of the same few tables, printed as text, Markdown or HTML. */
#include "cli/client/client.h"
#include "cli/client/sheet.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Contracts ---- */

static const char *const effects[][2] = {
    {"trial", "a trial: unsigned, on this machine only"},
    {"signed", "signed by both"},
    {"partly", "signed by both, but for tags that have changed"},
    {"unsigned", "not in effect"}};

static const char *effect_text(const json_t *contract)
{
    const char *effect = text_of(contract, "effect");
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
        if (!strcmp(effect, effects[i][0])) {
            return effects[i][1];
        }
    }
    return effect;
}

/* "99.9 %", "-" when it is not known. */
static const char *percent(char out[32], const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    snprintf(out, 32, json_is_number(v) ? "%.4g %%" : "-", json_number_value(v));
    return out;
}

/* What is promised counts as kept when 99 % came in time, and as much came as was promised. */
static const char *is_kept(const json_t *contract, const json_t *report)
{
    const json_t *in_time = json_object_get(report, "in_time"),
                 *got = json_object_get(report, "completeness"),
                 *promised = json_object_get(contract, "completeness");
    if (!json_is_number(in_time)) {
        return "-";
    }
    bool complete =
        !json_is_number(promised) || json_number_value(got) >= json_number_value(promised);
    return complete && json_number_value(in_time) >= 99 ? "yes" : "NO";
}

static void add_report(struct table *t, const json_t *contract, const char *time)
{
    const json_t *r = json_object_get(contract, time);
    char n[7][32];
    table_row(t, 10, text_of(contract, "contract"), strcmp(time, "day") ? "7 days" : "24 h",
              number_of(n[0], contract, "freshness_ms", 1, "%.0f ms"),
              number_of(n[1], r, "p50_ms", 1, "%.0f ms"),
              number_of(n[2], r, "p99_ms", 1, "%.0f ms"), percent(n[3], r, "in_time"),
              percent(n[4], contract, "completeness"), percent(n[5], r, "completeness"),
              number_of(n[6], r, "missing", 1, "%.0f"), is_kept(contract, r));
}

static void put_reports(const struct client *c, const json_t *contracts)
{
    struct table t = {0};
    size_t i;
    json_t *o;
    table_row(&t, 10, "CONTRACT", "TIME", "PROMISED", "P50", "P99", "IN TIME", "PROMISED",
              "COMPLETE", "MISSING", "KEPT");
    json_array_foreach(contracts, i, o)
    {
        add_report(&t, o, "day");
        add_report(&t, o, "week");
    }
    sheet_table(c, &t);
    json_array_foreach(contracts, i, o)
    {
        char line[4096];
        snprintf(line, sizeof line, "%s: %s, between %s (OT) and %s (IT). %s",
                 text_of(o, "contract"), effect_text(o),
                 text_of(json_object_get(o, "owner"), "name"),
                 text_of(json_object_get(o, "custodian"), "name"), text_of(o, "missing"));
        sheet_paragraph(c, line);
    }
}

static const char *concern(const json_t *cause)
{
    static const char *const keys[] = {"tag", "device", "box"};
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(cause, keys[i]);
        if (*text) {
            return text;
        }
    }
    return "all";
}

static void put_causes(const struct client *c, const json_t *causes, const char *count)
{
    struct table t = {0};
    size_t i;
    json_t *o;
    if (!json_array_size(causes)) {
        sheet_paragraph(c, "Nothing is missing.");
        return;
    }
    table_row(&t, 5, "CAUSE", "CONCERNS", "SAMPLES", "FROM", "TO");
    json_array_foreach(causes, i, o)
    {
        char n[32], from[24], to[24];
        double missing =
            json_number_value(json_object_get(o, count)) +
            (strcmp(count, "missed") ? 0 : json_number_value(json_object_get(o, "produced")));
        snprintf(n, sizeof n, "%.0f", missing);
        snprintf(from, sizeof from, "%.19s", text_of(o, "from"));
        snprintf(to, sizeof to, "%.19s", text_of(o, "to"));
        table_row(&t, 5, text_of(o, "cause"), concern(o), n, from, to);
    }
    sheet_table(c, &t);
}

int client_contract(const struct client *c)
{
    char target[2048] = "/api/v1/contracts";
    int status;
    bool one = c->argument_count == 2;
    if (one) {
        strcat(target, "/");
        if (!client_escape(target, sizeof target, c->arguments[1])) {
            return CLI_USAGE;
        }
    }
    json_t *reply = client_get(c, target, &status);
    if (!reply) {
        return status;
    }
    if (c->json) {
        print_json(reply);
    } else {
        json_t *list =
            one ? json_pack("[O]", reply) : json_incref(json_object_get(reply, "contracts"));
        if (!json_array_size(list)) {
            puts("There are no contracts.");
        } else {
            put_reports(c, list);
        }
        if (one) {
            sheet_heading(c, "Missing in the last 7 days");
            put_causes(c, json_object_get(json_object_get(reply, "week"), "causes"), "missing");
        }
        json_decref(list);
    }
    json_decref(reply);
    return CLI_OK;
}

/* ---- The trial ---- */

struct asked { /* of a device, over all days */
    const char *name, *first;
    double days, requests, failures, reconnects, seconds, latency, worst_us, before_us;
};

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void add_day(struct asked *a, const json_t *day)
{
    const char *first = text_of(day, "first");
    a->name = text_of(day, "device");
    a->first = *first ? first : "never answered";
    a->days++;
    a->requests += number(day, "requests");
    a->failures += number(day, "failures");
    a->reconnects += number(day, "reconnects");
    a->seconds += number(day, "seconds");
    a->latency += number(day, "seconds") * number(day, "mean_us");
    a->worst_us = number(day, "worst_us") > a->worst_us ? number(day, "worst_us") : a->worst_us;
    a->before_us = number(day, "before_us");
}

static void put_asked(struct table *t, const struct asked *a)
{
    char cells[8][48];
    double mean_us = a->seconds > 0 ? a->latency / a->seconds : 0;
    const double values[] = {
        a->days,        a->requests,       a->seconds > 0 ? a->requests / a->seconds : 0,
        a->failures,    a->reconnects,     a->before_us / 1000,
        mean_us / 1000, a->worst_us / 1000};
    static const char *const formats[] = {"%.0f", "%.0f", "%.1f", "%.0f",
                                          "%.0f", "%.1f", "%.1f", "%.1f"};
    char first[24];
    for (size_t i = 0; i < 8; i++) {
        snprintf(cells[i], sizeof cells[i], formats[i], values[i]);
    }
    snprintf(first, sizeof first, "%.19s", a->first);
    table_row(t, 10, a->name, first, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5],
              cells[6], cells[7]);
}

static void put_devices(const struct client *c, const json_t *days)
{
    struct table t = {0};
    struct asked a = {.name = ""};
    size_t i;
    json_t *o;
    table_row(&t, 10, "DEVICE", "SINCE", "DAYS", "REQUESTS", "A SECOND", "FAILURES", "RECONNECTS",
              "BEFORE MS", "SINCE MS", "WORST MS");
    json_array_foreach(days, i, o) /* those of a device lie together */
    {
        if (*a.name && strcmp(a.name, text_of(o, "device")) != 0) {
            put_asked(&t, &a);
            a = (struct asked){.name = ""};
        }
        add_day(&a, o);
    }
    if (*a.name) {
        put_asked(&t, &a);
    }
    sheet_table(c, &t);
}

static void put_trial(const struct client *c, const json_t *all)
{
    char title[256], line[512];
    const json_t *ledger = json_object_get(all, "ledger"),
                 *total = json_object_get(ledger, "total");
    snprintf(title, sizeof title, "%s: report of the trial",
             text_of(json_object_get(all, "gateway"), "name"));
    sheet_begin(c, title);
    snprintf(line, sizeof line, "Made %.19sZ. The accounts begin %.19sZ.",
             text_of(json_object_get(all, "gateway"), "time"), text_of(ledger, "since"));
    sheet_paragraph(c, line);
    sheet_heading(c, "What the devices were asked, and how long they took to answer");
    put_devices(c, json_object_get(all, "days"));
    sheet_paragraph(
        c,
        "BEFORE is the mean response time in the device's first hour under the gateway, SINCE "
        "that of all days that are kept (56 at most), in milliseconds. FAILURES are time-outs and "
        "answers that were errors.");
    sheet_heading(c, "What was collected");
    snprintf(line, sizeof line,
             "%.0f samples were produced, %.0f journaled, %.0f left out as unchanged, %.0f "
             "rejected; %.0f "
             "are missing. The account %s.",
             number(total, "produced"), number(total, "journaled"), number(total, "suppressed"),
             number(total, "rejected"), number(total, "gaps"),
             json_is_true(json_object_get(total, "balanced")) ? "balances" : "DOES NOT BALANCE");
    sheet_paragraph(c, line);
    sheet_heading(c, "What was missing, and why");
    put_causes(c, json_object_get(all, "causes"), "missed");
    sheet_heading(c, "What was promised and delivered");
    if (json_array_size(json_object_get(all, "contracts"))) {
        put_reports(c, json_object_get(all, "contracts"));
    } else {
        sheet_paragraph(c, "There are no contracts.");
    }
    sheet_end(c);
}

int client_trial(const struct client *c)
{
    static const struct client_part parts[] = {{"/api/v1/gateway", NULL, "gateway"},
                                               {"/api/v1/trial", "days", "days"},
                                               {"/api/v1/ledger", NULL, "ledger"},
                                               {"/api/v1/ledger/causes", "causes", "causes"},
                                               {"/api/v1/contracts", "contracts", "contracts"}};
    int status;
    json_t *all = client_gather(c, parts, sizeof parts / sizeof *parts, &status);
    json_object_del(json_object_get(all, "ledger"), "tags"); /* the sum is told */
    if (status == CLI_OK && c->json) {
        print_json(all);
    } else if (status == CLI_OK) {
        put_trial(c, all);
    }
    json_decref(all);
    return status;
}
