/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and tokens, for administrators: what the identity knows of them, and changes to them. */
#include "north/http/http.h"

#include <string.h>

#include "base/clock.h"
#include "guard/role.h"

#define ACCOUNT_EXAMPLE "{\"name\": \"ada\", \"role\": \"operator\", \"password\": \"…\"}"
#define TOKEN_EXAMPLE                                                                              \
    "{\"name\": \"mes\", \"role\": \"viewer\", \"expires\": \"2027-11-22T00:00:00Z\"}"

/* ---- Lists ---- */

static void pair_text(struct json *j, const char *key, const char *text, size_t size)
{
    json_key(j, key);
    json_text_n(j, text, strnlen(text, size));
}

static void render_row(struct request *r, const struct sign_row *row, bool token)
{
    struct json *j = &r->body;
    const char *role = role_name(row->role);
    json_open(j, '{');
    pair_text(j, "name", row->name, sizeof row->name);
    json_pair_text(j, "role", role ? role : "");
    pair_text(j, "zones", row->zones, sizeof row->zones);
    json_pair_bool(j, "open", row->open != 0);
    json_pair_uint(j, "sessions", row->sessions);
    json_pair_time(j, "created", row->created_ns);
    if (row->expires_ns) {
        json_pair_time(j, "expires", row->expires_ns);
    }
    if (row->last_ns) {
        json_pair_time(j, "last_sign_in", row->last_ns);
    }
    if (token) {
        pair_text(j, "from", row->net, sizeof row->net);
        pair_text(j, "maker", row->maker, sizeof row->maker);
    } else {
        json_pair_bool(j, "totp", row->has_totp != 0);
        json_pair_bool(j, "disabled", row->disabled != 0);
        json_pair_bool(j, "vouched", row->vouched != 0);
        json_pair_uint(j, "slowed_s", (row->wait_ms + 999) / 1000);
    }
    json_close(j, '}');
}

static void list_then(struct request *r, const struct sign_answer *answer,
                      const struct sign_row *rows)
{
    if (answer->status != SIGN_OK) {
        sign_problem(r, answer);
        return;
    }
    bool token = answer->kind == SIGN_TOKENS;
    for (uint32_t i = 0; i < answer->count; i++) {
        render_row(r, rows + i, token);
    }
    request_grown(r);
    if (answer->next) {
        struct sign_request q = {.kind = answer->kind, .from = answer->next};
        sign_send(r, &q, list_then);
        return;
    }
    json_close(&r->body, ']');
    json_close(&r->body, '}');
    request_done(r);
}

void accounts_get(struct request *r)
{
    struct sign_request q = {.kind = SIGN_ACCOUNTS};
    list_open(r, "accounts");
    sign_send(r, &q, list_then);
}

void tokens_get(struct request *r)
{
    struct sign_request q = {.kind = SIGN_TOKENS};
    list_open(r, "tokens");
    sign_send(r, &q, list_then);
}

/* ---- Changes ---- */

/* {"name": …}, and the secret that was made for it, if one was: it is shown this once. */
static void done_then(struct request *r, const struct sign_answer *answer,
                      const struct sign_row *rows)
{
    (void)rows;
    if (answer->status != SIGN_OK) {
        sign_problem(r, answer);
        return;
    }
    json_open(&r->body, '{');
    if (answer->kind != SIGN_LINK) {
        pair_text(&r->body, "name", answer->subject, sizeof answer->subject);
    }
    if (answer->text[0]) {
        pair_text(&r->body,
                  answer->kind == SIGN_LINK || answer->flags & SIGN_INVITE ? "link"
                  : answer->kind == SIGN_TOKEN_ADD                         ? "token"
                                                                           : "totp_secret",
                  answer->text, sizeof answer->text);
    }
    json_close(&r->body, '}');
    request_done(r);
}

void enrol_link(struct request *r)
{
    struct sign_request q = {.kind = SIGN_LINK};
    sign_send(r, &q, done_then);
}

/* Role and end as the body has them; false with the answer made. */
static bool read_bounds(struct request *r, struct sign_request *q, const char *role,
                        const char *expires)
{
    q->role = role_from_name(role, strlen(role));
    if (!q->role) {
        request_problem(r, 422, "No such role",
                        "There are viewer, operator, engineer, custodian, security, administrator "
                        "and vendor.");
        return false;
    }
    if (*expires && clock_parse(expires, strlen(expires), &q->expires_ns)) {
        request_problem(r, 422, "Wrong time", "Write a time as 2026-11-22T10:00:00Z.");
        return false;
    }
    return true;
}

/* Of the ways that exclude each other exactly one was given; false with the answer made. */
static bool has_one(struct request *r, int given)
{
    if (given != 1) {
        request_problem(r, 422, "It can't be done so",
                        "Give a password, or invite: true for a link by which its owner chooses "
                        "one; of an account that is there also disable: true or enable: true.");
    }
    return given == 1;
}

void accounts_post(struct request *r)
{
    struct sign_request q = {.kind = SIGN_ACCOUNT_ADD};
    char role[24] = "", expires[CLOCK_TEXT_SIZE] = "";
    bool totp = false, invite = false;
    const struct body_field fields[] = {{"name", true, q.name, sizeof q.name, NULL},
                                        {"role", true, role, sizeof role, NULL},
                                        {"password", false, q.fresh, sizeof q.fresh, NULL},
                                        {"zones", false, q.zones, sizeof q.zones, NULL},
                                        {"expires", false, expires, sizeof expires, NULL},
                                        {"totp", false, NULL, 0, &totp},
                                        {"invite", false, NULL, 0, &invite}};
    if (body_read(r, fields, 7, ACCOUNT_EXAMPLE) && has_one(r, (*q.fresh != 0) + invite) &&
        read_bounds(r, &q, role, expires)) {
        q.flags = (totp ? SIGN_TOTP : 0) | (invite ? SIGN_INVITE : 0);
        sign_send(r, &q, done_then);
    }
}

/* The name behind the wildcard; one that is too long nobody has. */
static void take_name(const struct request *r, struct sign_request *q)
{
    snprintf(q->name, sizeof q->name, "%.*s", (int)sizeof q->name - 1, r->rest);
}

void account_set(struct request *r)
{
    struct sign_request q = {.kind = SIGN_ACCOUNT_SET};
    bool totp = false, invite = false, disable = false, enable = false;
    const struct body_field fields[] = {{"password", false, q.fresh, sizeof q.fresh, NULL},
                                        {"totp", false, NULL, 0, &totp},
                                        {"invite", false, NULL, 0, &invite},
                                        {"disable", false, NULL, 0, &disable},
                                        {"enable", false, NULL, 0, &enable}};
    if (body_read(r, fields, 5, "{\"password\": \"…\"}") &&
        has_one(r, (*q.fresh != 0) + invite + disable + enable)) {
        take_name(r, &q);
        q.flags = (totp ? SIGN_TOTP : 0) | (invite ? SIGN_INVITE : 0) |
                  (disable ? SIGN_DISABLE : 0) | (enable ? SIGN_ENABLE : 0);
        sign_send(r, &q, done_then);
    }
}

void account_delete(struct request *r)
{
    struct sign_request q = {.kind = SIGN_ACCOUNT_REMOVE};
    take_name(r, &q);
    sign_send(r, &q, done_then);
}

void tokens_post(struct request *r)
{
    struct sign_request q = {.kind = SIGN_TOKEN_ADD};
    char role[24] = "", expires[CLOCK_TEXT_SIZE] = "";
    const struct body_field fields[] = {{"name", true, q.name, sizeof q.name, NULL},
                                        {"role", true, role, sizeof role, NULL},
                                        {"expires", true, expires, sizeof expires, NULL},
                                        {"zones", false, q.zones, sizeof q.zones, NULL},
                                        {"from", false, q.net, sizeof q.net, NULL},
                                        {"key", false, q.secret, sizeof q.secret, NULL}};
    if (body_read(r, fields, 6, TOKEN_EXAMPLE) && read_bounds(r, &q, role, expires)) {
        q.flags = *q.secret ? SIGN_BY_KEY : 0;
        sign_send(r, &q, done_then);
    }
}

void token_delete(struct request *r)
{
    struct sign_request q = {.kind = SIGN_TOKEN_REMOVE};
    take_name(r, &q);
    sign_send(r, &q, done_then);
}
