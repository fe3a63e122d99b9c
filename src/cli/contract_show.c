/* SPDX-License-Identifier: Apache-2.0 */
/* A contract as its two sides read it: OT in tags, units and ranges, IT in columns, types and a service level; and what has
 * changed in it. */
#include "cli/contract.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a column has to hold in SQL. */
static const char *sql_type(struct terms_span type)
{
    static const char *const names[VALUE_TYPE_END] = {[VALUE_BOOL] = "BOOLEAN",
                                                      [VALUE_INT8] = "SMALLINT",
                                                      [VALUE_UINT8] = "SMALLINT",
                                                      [VALUE_INT16] = "SMALLINT",
                                                      [VALUE_UINT16] = "INTEGER",
                                                      [VALUE_INT32] = "INTEGER",
                                                      [VALUE_UINT32] = "BIGINT",
                                                      [VALUE_INT64] = "BIGINT",
                                                      [VALUE_UINT64] = "NUMERIC(20)",
                                                      [VALUE_FLOAT32] = "REAL",
                                                      [VALUE_FLOAT64] = "DOUBLE PRECISION",
                                                      [VALUE_TEXT] = "TEXT",
                                                      [VALUE_BYTES] = "BYTEA"};
    const char *name = names[value_type_find(type.at, type.size)];
    return name ? name : "?";
}

static bool is_held(const struct cli_contract *c, struct terms_span path)
{
    const struct plan_feed *f = c->feed;
    for (uint32_t i = 0; i < f->held_count && f->tag_count; i++) {
        const struct plan_tag *t = plan_find_tag(&c->plan, c->plan.feed_tags[f->first_held + i]);
        const char *text = t ? plan_text(&c->plan, t->path) : "";
        if (strlen(text) == path.size && !memcmp(text, path.at, path.size)) {
            return true;
        }
    }
    return !f->tag_count;
}

static const char *const effects[] = {[FEED_TRIAL] = "trial",
                                      [FEED_SIGNED] = "signed",
                                      [FEED_PARTLY] = "partly",
                                      [FEED_UNSIGNED] = "unsigned"};
static const char *const effect_texts[] = {
    [FEED_TRIAL] = "unsigned, on this machine only: a trial",
    [FEED_SIGNED] = "in effect, signed by both sides",
    [FEED_PARTLY] = "in effect as both sides signed it earlier; tags that have changed wait",
    [FEED_UNSIGNED] = "not in effect: nothing is delivered"};

static void copy(char *out, size_t size, struct terms_span s)
{
    snprintf(out, size, "%.*s", (int)(s.size < size ? s.size : size - 1), s.at);
}

static struct terms_span value_of(const struct cli_contract *c, const char *key)
{
    return terms_value(c->contract->terms, c->contract->terms_size, key);
}

static const char *signed_text(const struct plan_signature *s, const struct plan *plan,
                               char out[160])
{
    char at[CLOCK_TEXT_SIZE];
    if (!s->at_ns) {
        return "has not signed it";
    }
    snprintf(out, 160, "signed %.19sZ, %skey %s", clock_text(s->at_ns, at),
             s->throw_away ? "throw-away " : "", plan_text(plan, s->key));
    return out;
}

/* ---- show ---- */

struct view {
    bool colour;
    const struct cli_contract *c;
    struct table table;
};

static void each_tag(const struct cli_contract *c, void *context,
                     void (*one)(void *context, const struct terms_line *line))
{
    struct reader r = reader_of(c->contract->terms, c->contract->terms_size);
    struct terms_line line;
    while (terms_next(&r, &line)) {
        if (line.is_tag) {
            one(context, &line);
        }
    }
}

static void ot_row(void *context, const struct terms_line *t)
{
    struct view *v = context;
    char cells[5][256];
    const struct terms_span spans[5] = {t->path, t->type, t->unit, t->low, t->high};
    for (int i = 0; i < 5; i++) {
        copy(cells[i], sizeof cells[i], spans[i]);
    }
    table_row(&v->table, 6, cells[0], cells[1], cells[2], cells[3], cells[4],
              is_held(v->c, t->path) ? "no" : "yes");
}

static void it_row(void *context, const struct terms_line *t)
{
    struct view *v = context;
    char path[256], check[128] = "", unit[64];
    copy(path, sizeof path, t->path);
    copy(unit, sizeof unit, t->unit);
    if (t->low.size) {
        snprintf(check, sizeof check, "BETWEEN %.*s AND %.*s", (int)t->low.size, t->low.at,
                 (int)t->high.size, t->high.at);
    }
    table_row(&v->table, 4, path, sql_type(t->type), unit, check);
}

static void show_text(const struct cli_contract *c)
{
    struct view v = {isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), c, {0}};
    const struct plan_feed *f = c->feed;
    char line[160];
    printf("Contract %s: %s\n", c->name, effect_texts[f->effect]);
    printf("  OT owner      %s: %s\n", plan_text(&c->plan, f->owner),
           signed_text(f->signatures + FEED_OWNER, &c->plan, line));
    printf("  IT custodian  %s: %s\n", plan_text(&c->plan, f->custodian),
           signed_text(f->signatures + FEED_CUSTODIAN, &c->plan, line));
    const char *missing = plan_text(&c->plan, f->missing);
    for (size_t n; *missing; missing += n + (missing[n] == '\n')) {
        n = strcspn(missing, "\n");
        printf("  Missing       %.*s\n", (int)n, missing);
    }
    printf("\nFor OT: what leaves the plant\n");
    table_row(&v.table, 6, "TAG", "TYPE", "UNIT", "LOW", "HIGH", "DELIVERED");
    each_tag(c, &v, ot_row);
    table_print(&v.table, v.colour);
    static const char *const keys[] = {"purpose", "classification", "returns", "to"};
    static const char *const labels[] = {"Purpose", "Class", "Returns", "To"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct terms_span s = value_of(c, keys[i]);
        printf("  %-13s %.*s\n", labels[i], (int)s.size, s.at);
    }
    printf("\nFor IT: the schema and the service level\n");
    table_row(&v.table, 4, "COLUMN", "SQL TYPE", "UNIT (UCUM)", "CHECK");
    each_tag(c, &v, it_row);
    table_print(&v.table, v.colour);
    struct terms_span completeness = value_of(c, "completeness"),
                      retention = value_of(c, "retention");
    printf("  Freshness     99 %% of all samples within %u ms\n", f->freshness_ms);
    printf("  Completeness  %.*s\n", (int)completeness.size, completeness.at);
    printf("  Retention     %.*s\n", (int)retention.size, retention.at);
    printf("  Terms         %02x%02x%02x%02x… (SHA-256)\n", c->contract->digest[0],
           c->contract->digest[1], c->contract->digest[2], c->contract->digest[3]);
}

static void pair_span(struct json *j, const char *key, struct terms_span s)
{
    json_key(j, key);
    json_text_n(j, s.at, s.size);
}

static void pair_number(struct json *j, const char *key, struct terms_span s)
{
    if (s.size) {
        json_key(j, key);
        json_raw(j, s.at, s.size);
    }
}

struct json_view {
    const struct cli_contract *c;
    struct json *j;
    bool it;
};

static void tag_json(void *context, const struct terms_line *t)
{
    struct json_view *v = context;
    json_open(v->j, '{');
    pair_span(v->j, v->it ? "column" : "tag", t->path);
    if (v->it) {
        json_pair_text(v->j, "sql_type", sql_type(t->type));
    } else {
        pair_span(v->j, "type", t->type);
    }
    pair_span(v->j, "unit", t->unit);
    pair_number(v->j, v->it ? "minimum" : "low", t->low);
    pair_number(v->j, v->it ? "maximum" : "high", t->high);
    if (!v->it) {
        json_pair_bool(v->j, "delivered", !is_held(v->c, t->path));
    }
    json_close(v->j, '}');
}

static void side_json(const struct cli_contract *c, struct json *j, const char *key, int side,
                      plan_str name)
{
    const struct plan_signature *s = c->feed->signatures + side;
    json_key(j, key);
    json_open(j, '{');
    json_pair_text(j, "name", plan_text(&c->plan, name));
    json_pair_bool(j, "signed", s->at_ns != 0);
    if (s->at_ns) {
        json_pair_time(j, "at", s->at_ns);
        json_pair_text(j, "key", plan_text(&c->plan, s->key));
        json_pair_bool(j, "throw_away", s->throw_away);
    }
    json_close(j, '}');
}

static void show_json(const struct cli_contract *c)
{
    struct json j;
    char digest[65];
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "contract", c->name);
    json_pair_text(&j, "effect", effects[c->feed->effect]);
    for (size_t i = 0; i < sizeof c->contract->digest; i++) {
        sprintf(digest + 2 * i, "%02x", c->contract->digest[i]);
    }
    json_pair_text(&j, "digest", digest);
    side_json(c, &j, "owner", FEED_OWNER, c->feed->owner);
    side_json(c, &j, "custodian", FEED_CUSTODIAN, c->feed->custodian);
    json_pair_text(&j, "missing", plan_text(&c->plan, c->feed->missing));
    static const char *const keys[] = {"service",        "to",        "purpose",
                                       "classification", "retention", "returns"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        pair_span(&j, keys[i], value_of(c, keys[i]));
    }
    json_pair_uint(&j, "freshness_ms", c->feed->freshness_ms);
    if (c->feed->completeness > 0) {
        json_pair_double(&j, "completeness_percent", c->feed->completeness);
    }
    for (int it = 0; it < 2; it++) {
        json_key(&j, it ? "columns" : "tags");
        json_open(&j, '[');
        each_tag(c, &(struct json_view){c, &j, it}, tag_json);
        json_close(&j, ']');
    }
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

int cli_contract_show(const struct cli_contract *c)
{
    if (c->json) {
        show_json(c);
    } else {
        show_text(c);
    }
    return CLI_OK;
}

/* ---- diff ---- */

struct diff {
    struct json *j; /* NULL: texts */
};

static const char *const changes[] = {[TERMS_HEAD_CHANGED] = "changed",
                                      [TERMS_TAG_CHANGED] = "changed",
                                      [TERMS_TAG_ADDED] = "added",
                                      [TERMS_TAG_REMOVED] = "removed"};

static void print_change(void *context, enum terms_change change, const struct terms_line *from,
                         const struct terms_line *to)
{
    struct diff *d = context;
    const struct terms_line *line = from ? from : to;
    struct terms_span what = line->is_tag ? line->path : line->key;
    const struct terms_line *const sides[] = {from, to};
    if (d->j) {
        json_open(d->j, '{');
        json_pair_text(d->j, "change", changes[change]);
        pair_span(d->j, line->is_tag ? "tag" : "term", what);
        for (int i = 0; i < 2; i++) {
            if (sides[i]) {
                pair_span(d->j, i ? "now" : "signed", sides[i]->value);
            }
        }
        json_close(d->j, '}');
        return;
    }
    printf("  %s %.*s\n", changes[change], (int)what.size, what.at);
    for (int i = 0; i < 2; i++) {
        if (sides[i] && !line->is_tag) {
            printf("    %s %.*s\n", i ? "now:   " : "signed:", (int)sides[i]->value.size,
                   sides[i]->value.at);
        } else if (sides[i]) {
            const struct terms_line *t = sides[i];
            printf("    %s %.*s, unit '%.*s'", i ? "now:   " : "signed:", (int)t->type.size,
                   t->type.at, (int)t->unit.size, t->unit.at);
            if (t->low.size) {
                printf(", range %.*s to %.*s", (int)t->low.size, t->low.at, (int)t->high.size,
                       t->high.at);
            }
            putchar('\n');
        }
    }
}

static size_t compare_side(const struct cli_contract *c, enum signature_role role, struct diff *d)
{
    struct signature s;
    char at[CLOCK_TEXT_SIZE];
    char *data = cli_signature(c, role, &s);
    struct terms_span now = {c->contract->terms, c->contract->terms_size};
    if (d->j) {
        json_key(d->j, signature_roles[role]);
        json_open(d->j, '{');
        json_pair_bool(d->j, "signed", data != NULL);
        json_key(d->j, "changes");
        json_open(d->j, '[');
    } else if (data) {
        printf("Since the %s signed, %.19sZ:\n", signature_roles[role], clock_text(s.at_ns, at));
    } else {
        printf("The %s has not signed it.\n", signature_roles[role]);
    }
    size_t count = data ? terms_compare(s.terms, now, print_change, d) : 1;
    if (d->j) {
        json_close(d->j, ']');
        json_close(d->j, '}');
    } else if (data && !count) {
        puts("  nothing has changed");
    }
    free(data);
    return count;
}

int cli_contract_diff(const struct cli_contract *c)
{
    struct json j;
    struct diff d = {c->json ? &j : NULL};
    json_init(&j, 0);
    json_open(&j, '{');
    size_t count = 0;
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        count += compare_side(c, (enum signature_role)i, &d);
    }
    json_close(&j, '}');
    json_newline(&j);
    if (c->json) {
        fwrite(j.text, 1, j.size, stdout);
    }
    json_fini(&j);
    return count ? CLI_FAILED : CLI_OK;
}
