/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/audit: entries of the audit that fit, newest first; GET /api/v1/audit/proof: whether it is whole, and up to where it is signed. */
#include "north/http/http.h"

#include "base/clock.h"
#include "guard/audit.h"

#define ENTRIES_MAX 10000u
#define ENTRIES     200u

static void pair_some(struct json *j, const char *key, const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    if (length) {
        json_key(j, key);
        json_text_n(j, text, length);
    }
}

static void pair_value(struct request *r, const char *key, const struct audit_entry *e, bool has,
                       union slot_value value)
{
    struct plan_tag tag = {.id = e->tag, .type = e->type};
    struct slot s = {.tag = e->tag, .value = value};
    if (has && e->type && e->type < VALUE_TYPE_END && !value_is_long((enum value_type)e->type)) {
        json_key(&r->body, key);
        render_value(&r->body, &tag, &s);
    }
}

static void row_entry(void *context, const void *row, size_t size)
{
    static const uint8_t none[16];
    struct request *r = context;
    struct audit_entry e;
    struct json *j = &r->body;
    char kind[32], id[33], *at = id;
    if (size < sizeof e) {
        return;
    }
    memcpy(&e, row, sizeof e);
    json_open(j, '{');
    json_pair_uint(j, "number", e.number);
    json_pair_time(j, "time", e.utc_ns);
    json_pair_text(j, "kind", audit_kind_name(e.kind, kind));
    pair_some(j, "who", e.who, sizeof e.who);
    pair_some(j, "where", e.where, sizeof e.where);
    pair_some(j, "subject", e.subject, sizeof e.subject);
    pair_value(r, "before", &e, e.has_before, e.before);
    pair_value(r, "after", &e, e.has_after, e.after);
    if (e.kind != AUDIT_CHECKPOINT) { /* its text is a signature */
        pair_some(j, "text", e.text, sizeof e.text);
    }
    if (memcmp(e.id, none, sizeof none) != 0) {
        for (size_t i = 0; i < sizeof e.id; i++) {
            at += sprintf(at, "%02x", e.id[i]);
        }
        json_pair_text(j, "id", id);
    }
    json_close(j, '}');
    if (r->count) {
        json_newline(j); /* JSON lines */
    }
    request_grown(r);
}

static void end_entries(void *context, const struct answer *end)
{
    struct request *r = context;
    struct json *j = &r->body;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The audit could not be read", err_text((int)end->error));
        return;
    }
    if (!r->count) {
        json_close(j, ']');
        json_pair_bool(j, "more", end->more != 0);
        if (end->more) {
            render_wide(j, "before", end->covers.from);
        }
        json_close(j, '}');
    }
    request_done(r);
}

/* False with the answer already made: it is too long. */
static bool take_text(struct request *r, const char *name, char *out, size_t size)
{
    const char *given = request_argument(r, name);
    if (given && strlen(given) >= size) {
        request_problem(r, 400, "Wrong argument", "What is looked for is too long.");
        return false;
    }
    memcpy(out, given ? given : "", given ? strlen(given) + 1 : 1);
    return true;
}

void audit_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_SEARCH};
    struct ask_search wanted = {{0}, {0}, {0}, {0}};
    uint64_t limit;
    const char *format = request_argument(r, "format");
    bool lines = format && !strcmp(format, "lines");
    if (format && !lines && strcmp(format, "json") != 0) {
        request_problem(r, 400, "Wrong argument", "'format' is json or lines.");
        return;
    }
    if (!take_text(r, "kind", wanted.kind, sizeof wanted.kind) ||
        !take_text(r, "who", wanted.who, sizeof wanted.who) ||
        !take_text(r, "about", wanted.about, sizeof wanted.about) ||
        !take_text(r, "text", wanted.text, sizeof wanted.text) ||
        !request_number(r, "limit", ENTRIES, ENTRIES_MAX, &limit) ||
        !request_number(r, "before", 0, UINT64_MAX, &ask.from_sequence) ||
        !request_time(r, "from", 0, &ask.from_ns) || !request_time(r, "to", 0, &ask.to_ns)) {
        return;
    }
    ask.max_records = limit ? (uint32_t)limit : 1;
    r->count = lines;
    r->type = lines ? "application/x-ndjson" : "application/json";
    if (!lines) {
        list_open(r, "entries");
    }
    memcpy(ask.session, r->session, sizeof ask.session);
    int number = service_ask_search(
        r->http->host, &ask, &wanted,
        &(struct answer_handler){.row = row_entry, .end = end_entries, .context = r});
    if (number < 0) {
        request_problem(r, 503, "Busy", "Too many requests are under way; try again in a moment.");
        return;
    }
    r->ask = ask.request;
}

/* ---- The proof ---- */

static void row_proof(void *context, const void *row, size_t size)
{
    struct request *r = context;
    struct answer_proof p;
    struct json *j = &r->body;
    char key[65], *at = key;
    if (size < sizeof p) {
        return;
    }
    memcpy(&p, row, sizeof p);
    json_pair_bool(j, "checking", p.checking != 0);
    if (p.error) {
        json_pair_text(j, "error", err_text((int)p.error));
    }
    if (p.checked_ns && !p.error) {
        json_pair_time(j, "checked", p.checked_ns);
        json_pair_bool(j, "sound", p.sound != 0);
        json_pair_uint(j, "entries", p.entries);
        json_pair_uint(j, "first", p.first);
        json_pair_uint(j, "last", p.last);
        json_pair_uint(j, "proven", p.proven);
        json_pair_uint(j, "void_entries", p.void_entries);
        for (size_t i = 0; i < sizeof p.key; i++) {
            at += sprintf(at, "%02x", p.key[i]);
        }
        json_pair_text(j, "key", key);
    }
    if (p.checked_ns && !p.error && !p.sound) {
        json_pair_uint(j, "damaged", p.damaged);
        pair_some(j, "file", p.file, sizeof p.file);
        pair_some(j, "reason", p.reason, sizeof p.reason);
    }
}

static void end_proof(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The reader could not answer", err_text((int)end->error));
        return;
    }
    json_close(&r->body, '}');
    request_done(r);
}

void proof_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_PROOF};
    json_open(&r->body, '{');
    request_ask(r, &ask,
                &(struct answer_handler){.row = row_proof, .end = end_proof, .context = r});
}
