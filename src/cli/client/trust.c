/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus trust-report`: what the console's page of trust shows, as one file to hand round. */
#include "base/clock.h"
#include "cli/client/sheet.h"

#include <stdio.h>
#include <string.h>

#define DAYS 7

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void put_switches(const struct client *c, const json_t *all)
{
    char line[512];
    const json_t *inhibit = json_object_get(all, "inhibit"),
                 *island = json_object_get(all, "island");
    snprintf(line, sizeof line, "Writes: %s (%s).",
             json_is_true(json_object_get(inhibit, "inhibited")) ? "ALL ARE STOPPED"
                                                                 : "let through",
             text_of(inhibit, "reason"));
    sheet_paragraph(c, line);
    snprintf(line, sizeof line, "The north: %s (%s); %.0f services reach beyond this machine.",
             json_is_true(json_object_get(island, "island")) ? "CUT OFF" : "connected",
             text_of(island, "reason"), number(island, "services_outside"));
    sheet_paragraph(c, line);
}

static void put_flows(const struct client *c, const json_t *zones)
{
    struct table t = {0};
    size_t i;
    const json_t *flow;
    table_row(&t, 6, "SERVICE", "FROM", "TO", "VALUES", "COMMANDS", "REFUSED");
    json_array_foreach(json_object_get(zones, "flows"), i, flow)
    {
        char values[32], commands[32], refused[32];
        const char *from = text_of(flow, "from");
        snprintf(refused, sizeof refused, "%.0f",
                 number(flow, "reads_refused") + number(flow, "commands_refused"));
        table_row(&t, 6, text_of(flow, "service"), *from ? from : "(at the gateway)",
                  text_of(flow, "to"), number_of(values, flow, "values", 1, "%.0f"),
                  number_of(commands, flow, "commands_allowed", 1, "%.0f"), refused);
    }
    sheet_table(c, &t);
}

/* When somebody last wrote the tag; entries come newest first. */
static const json_t *last_use(const json_t *used, const char *tag)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(used, i, entry)
    {
        if (!strcmp(text_of(entry, "subject"), tag)) {
            return entry;
        }
    }
    return NULL;
}

static void put_writes(const struct client *c, const json_t *all)
{
    struct table t = {0};
    size_t i;
    const json_t *write, *used = json_object_get(all, "used");
    table_row(&t, 6, "TAG", "WRITE CONTRACT", "OWNER", "CONDITIONS", "LAST USED", "BY");
    json_array_foreach(json_object_get(all, "writes"), i, write)
    {
        char when[32];
        const json_t *last = last_use(used, text_of(write, "tag"));
        snprintf(when, sizeof when, "%.19s", text_of(last, "time"));
        table_row(&t, 6, text_of(write, "tag"), text_of(write, "contract"), text_of(write, "owner"),
                  text_of(write, "conditions"), when, text_of(last, "who"));
    }
    sheet_table(c, &t);
}

static void put_contracts(const struct client *c, const json_t *contracts)
{
    struct table t = {0};
    size_t i;
    const json_t *k;
    table_row(&t, 7, "DATA CONTRACT", "TO", "IN EFFECT", "OT OWNER", "IT CUSTODIAN",
              "IN TIME, 7 DAYS %", "DELIVERED, 7 DAYS %");
    json_array_foreach(contracts, i, k)
    {
        char in_time[32], complete[32];
        const json_t *week = json_object_get(k, "week");
        table_row(&t, 7, text_of(k, "contract"), text_of(k, "service"), text_of(k, "effect"),
                  text_of(json_object_get(k, "owner"), "name"),
                  text_of(json_object_get(k, "custodian"), "name"),
                  number_of(in_time, week, "in_time", 1, "%.3f"),
                  number_of(complete, week, "completeness", 1, "%.3f"));
    }
    sheet_table(c, &t);
}

static void put_certificates(const struct client *c, const json_t *processes)
{
    struct table t = {0};
    size_t i;
    const json_t *p;
    table_row(&t, 2, "SERVICE", "ITS FIRST CERTIFICATE ENDS");
    json_array_foreach(processes, i, p)
    {
        if (*text_of(p, "certificate_ends")) {
            table_row(&t, 2, text_of(p, "name"), text_of(p, "certificate_ends"));
        }
    }
    sheet_table(c, &t);
}

static void put_failed(const struct client *c, const json_t *failed)
{
    struct table t = {0};
    size_t i;
    const json_t *e;
    table_row(&t, 4, "TIME", "NAME", "THROUGH", "TEXT");
    json_array_foreach(failed, i, e)
    {
        char when[32];
        snprintf(when, sizeof when, "%.19s", text_of(e, "time"));
        table_row(&t, 4, when, text_of(e, "subject"), text_of(e, "where"), text_of(e, "text"));
    }
    sheet_table(c, &t);
}

static void put_proof(const struct client *c, const json_t *proof)
{
    char line[512];
    if (!*text_of(proof, "checked")) {
        snprintf(line, sizeof line,
                 "The chain is being verified: isthmus audit verify tells more.");
    } else if (json_is_true(json_object_get(proof, "sound"))) {
        snprintf(line, sizeof line,
                 "The chain is whole: %.0f entries, signed up to number %.0f by the key %s.",
                 number(proof, "entries"), number(proof, "proven"), text_of(proof, "key"));
    } else {
        snprintf(line, sizeof line, "THE CHAIN IS NOT WHOLE: entry %.0f in %s: %s",
                 number(proof, "damaged"), text_of(proof, "file"), text_of(proof, "reason"));
    }
    sheet_paragraph(c, line);
}

static void put_evidence(const struct client *c, const json_t *evidence)
{
    struct table t = {0};
    size_t i;
    const json_t *e;
    table_row(&t, 4, "REQUIREMENT", "STATE", "HOW", "SHOWN BY");
    json_array_foreach(evidence, i, e)
    {
        table_row(&t, 4, text_of(e, "requirement"), text_of(e, "state"), text_of(e, "how"),
                  text_of(e, "shown_by"));
    }
    sheet_table(c, &t);
}

static void put_all(const struct client *c, const json_t *all)
{
    char title[256], line[256];
    const json_t *gateway = json_object_get(all, "gateway");
    snprintf(title, sizeof title, "%s: trust report", text_of(gateway, "name"));
    sheet_begin(c, title);
    snprintf(line, sizeof line, "Made %.19sZ, version %s.", text_of(gateway, "time"),
             text_of(gateway, "version"));
    sheet_paragraph(c, line);
    put_switches(c, all);
    sheet_heading(c, "What really flowed between zones in the last 24 hours");
    put_flows(c, json_object_get(all, "zones"));
    sheet_heading(c, "Who may write what");
    put_writes(c, all);
    sheet_heading(c, "What leaves the plant");
    put_contracts(c, json_object_get(all, "contracts"));
    sheet_heading(c, "Certificates");
    put_certificates(c, json_object_get(all, "processes"));
    sheet_heading(c, "Failed sign-ins of the last 7 days");
    put_failed(c, json_object_get(all, "failed_sign_ins"));
    sheet_heading(c, "The audit");
    put_proof(c, json_object_get(all, "proof"));
    sheet_heading(c, "Evidence for IEC 62443-4-2, SL-C 2 (the makers' own account)");
    put_evidence(c, json_object_get(all, "evidence"));
    sheet_end(c);
}

int client_trust(const struct client *c)
{
    char failed[128], since[CLOCK_TEXT_SIZE];
    const struct client_part parts[] = {
        {"/api/v1/gateway", NULL, "gateway"},
        {"/api/v1/inhibit", NULL, "inhibit"},
        {"/api/v1/island", NULL, "island"},
        {"/api/v1/zones", NULL, "zones"},
        {"/api/v1/writes", "writes", "writes"},
        {"/api/v1/audit?kind=command%20confirmed&limit=10000", "entries", "used"},
        {"/api/v1/contracts", "contracts", "contracts"},
        {"/api/v1/processes", "processes", "processes"},
        {failed, "entries", "failed_sign_ins"},
        {"/api/v1/audit/proof", NULL, "proof"},
        {"/iec62443.json", NULL, "evidence"}};
    int status;
    clock_text(clock_utc_ns() - DAYS * 24 * 3600 * NS_PER_S, since);
    snprintf(failed, sizeof failed, "/api/v1/audit?kind=sign-in%%20failed&limit=10000&from=%s",
             since);
    json_t *all = client_gather(c, parts, sizeof parts / sizeof *parts, &status);
    if (status == CLI_OK && c->json) {
        print_json(all);
    } else if (status == CLI_OK) {
        put_all(c, all);
    }
    json_decref(all);
    return status;
}
