/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in and out: /api/v1/session, and the first administrator's enrolment. Each sign-in makes a new session, so an id
 * that somebody planted in a browser before is worth nothing. */
#include "north/http/http.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "guard/role.h"

static void hex_text(struct json *j, const char *key, const uint8_t *bytes, size_t size)
{
    char text[65];
    for (size_t i = 0; i < size; i++) {
        sprintf(text + 2 * i, "%02x", bytes[i]);
    }
    json_pair_text(j, key, text);
}

static void render_zones(struct request *r, const struct sign_answer *a)
{
    const struct plan *p = r->http->plan;
    if (!a->zone_limit) {
        return;
    }
    json_key(&r->body, "zones");
    json_open(&r->body, '[');
    for (uint32_t i = 0; i < a->zone_count && i < SESSION_ZONES; i++) {
        if (a->zones[i] < p->header->zones.count) {
            json_text(&r->body, plan_text(p, p->zones[a->zones[i]].name));
        }
    }
    json_close(&r->body, ']');
}

static void render_rights(struct request *r, uint32_t role)
{
    json_key(&r->body, "rights");
    json_open(&r->body, '[');
    for (unsigned bit = 0; right_name(bit); bit++) {
        if (role_rights(role) >> bit & 1) {
            json_text(&r->body, right_name(bit));
        }
    }
    json_close(&r->body, ']');
}

static void render_session(struct request *r, const struct sign_answer *a)
{
    static const char *const kinds[] = {
        [SESSION_PERSON] = "person",
        [SESSION_TOKEN] = "token",
        [SESSION_LOCAL] = "local",
        [SESSION_VOUCHED] = "vouched",
    };
    struct json *j = &r->body;
    const char *role = role_name(a->role);
    json_open(j, '{');
    json_key(j, "name");
    json_text_n(j, a->name, strnlen(a->name, sizeof a->name));
    json_pair_text(j, "kind",
                   a->session_kind >= SESSION_PERSON && a->session_kind <= SESSION_VOUCHED
                       ? kinds[a->session_kind]
                       : "");
    json_pair_text(j, "role", role ? role : "");
    render_rights(r, a->role);
    render_zones(r, a);
    json_pair_time(j, "since", a->issued_utc_ns);
    json_pair_uint(j, "ends_in_s", a->ends_ms / 1000);
    json_pair_uint(j, "idle_s", a->idle_ms / 1000);
    hex_text(j, "csrf", a->csrf, sizeof a->csrf);
    json_close(j, '}');
    request_done(r);
}

/* `word` NULL: the browser is to forget it. `more`: "; Max-Age=600". */
static void set_cookie_of(struct request *r, const char *suffix, const uint8_t *word,
                          const char *more)
{
    char *at = r->cookie;
    at += snprintf(at, 40, "%s%s=", r->http->cookie_name, suffix);
    for (size_t i = 0; word && i < SESSION_ID_SIZE; i++) {
        at += sprintf(at, "%02x", word[i]);
    }
    sprintf(at, "; Path=/; HttpOnly; SameSite=Strict%s%s", r->http->tls ? "; Secure" : "", more);
}

static void set_cookie(struct request *r, const uint8_t *session)
{
    set_cookie_of(r, "", session, session ? "" : "; Max-Age=0");
}

static void session_then(struct request *r, const struct sign_answer *answer,
                         const struct sign_row *rows)
{
    (void)rows;
    if (answer->status != SIGN_OK) {
        sign_problem(r, answer);
        return;
    }
    if (r->route->method == METHOD_POST && r->http->tcp) {
        set_cookie(r, answer->session);
    }
    render_session(r, answer);
}

/* ---- Bodies ---- */

static bool take_field(const struct body_field *f, const json_t *value)
{
    if (f->flag) {
        *f->flag = json_is_true(value);
        return json_is_boolean(value);
    }
    size_t size = json_string_length(value);
    if (!json_is_string(value) || size >= f->size) {
        return false;
    }
    memcpy(f->out, json_string_value(value), size + 1);
    return true;
}

static bool take_fields(json_t *root, const struct body_field *fields, size_t count)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(root, fields[i].name);
        known += value != NULL;
        if (value ? !take_field(fields + i, value) : fields[i].required) {
            return false;
        }
    }
    return known == json_object_size(root);
}

bool body_read(struct request *r, const struct body_field *fields, size_t count,
               const char *example)
{
    json_t *root = json_loadb(r->upload, r->upload_size, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(root) && take_fields(root, fields, count);
    char detail[256];
    json_decref(root);
    explicit_bzero(r->upload, r->upload_size); /* it may hold a password */
    if (!good) {
        snprintf(detail, sizeof detail, "It holds texts that are not too long: %s.", example);
        request_problem(r, 400, "Wrong body", detail);
    }
    return good;
}

/* ---- Routes ---- */

void session_get(struct request *r)
{
    struct sign_request q = {.kind = SIGN_WHO, .flags = SIGN_USED};
    sign_send(r, &q, session_then);
}

void session_post(struct request *r)
{
    struct sign_request q = {.kind = SIGN_IN};
    const struct body_field fields[] = {{"name", true, q.name, sizeof q.name, NULL},
                                        {"password", true, q.secret, sizeof q.secret, NULL},
                                        {"totp", false, q.code, sizeof q.code, NULL}};
    if (body_read(r, fields, 3, "{\"name\": \"ada\", \"password\": \"…\", \"totp\": \"123456\"}")) {
        sign_send(r, &q, session_then);
    }
}

static void out_then(struct request *r, const struct sign_answer *answer,
                     const struct sign_row *rows)
{
    (void)rows;
    if (answer->status != SIGN_OK && answer->status != SIGN_ENDED) {
        sign_problem(r, answer);
        return;
    }
    caller_forget(r);
    set_cookie(r, NULL);
    json_open(&r->body, '{');
    json_pair_bool(&r->body, "signed_in", false);
    json_close(&r->body, '}');
    request_done(r);
}

void session_delete(struct request *r)
{
    struct sign_request q = {.kind = SIGN_OUT};
    sign_send(r, &q, out_then);
}

void session_password(struct request *r)
{
    struct sign_request q = {.kind = SIGN_PASSWORD};
    const struct body_field fields[] = {{"password", true, q.secret, sizeof q.secret, NULL},
                                        {"new_password", true, q.fresh, sizeof q.fresh, NULL},
                                        {"totp", false, q.code, sizeof q.code, NULL}};
    if (body_read(r, fields, 3, "{\"password\": \"…\", \"new_password\": \"…\"}")) {
        caller_forget(r);
        sign_send(r, &q, session_then);
    }
}

static void enrol_then(struct request *r, const struct sign_answer *answer,
                       const struct sign_row *rows)
{
    if (answer->status == SIGN_WRONG) {
        request_problem(r, 403, "The link is not good",
                        "It is good once and for an hour: isthmus user enrol makes a new one.");
    } else {
        session_then(r, answer, rows);
    }
}

void enrol_post(struct request *r)
{
    struct sign_request q = {.kind = SIGN_ENROL};
    const struct body_field fields[] = {{"link", true, q.secret, sizeof q.secret, NULL},
                                        {"name", true, q.name, sizeof q.name, NULL},
                                        {"password", true, q.fresh, sizeof q.fresh, NULL}};
    if (body_read(r, fields, 3, "{\"link\": \"…\", \"name\": \"ada\", \"password\": \"…\"}")) {
        sign_send(r, &q, enrol_then);
    }
}

/* ---- By a provider ---- */

static void providers_then(struct request *r, const struct sign_answer *answer,
                           const struct sign_row *rows)
{
    struct json *j = &r->body;
    if (answer->status != SIGN_OK) {
        sign_problem(r, answer);
        return;
    }
    for (uint32_t i = 0; i < answer->count; i++) {
        json_open(j, '{');
        json_key(j, "name");
        json_text_n(j, rows[i].name, strnlen(rows[i].name, sizeof rows[i].name));
        json_key(j, "label");
        json_text_n(j, rows[i].zones, strnlen(rows[i].zones, sizeof rows[i].zones));
        json_close(j, '}');
    }
    if (answer->next) {
        struct sign_request q = {.kind = SIGN_PROVIDERS, .from = answer->next};
        sign_send(r, &q, providers_then);
        return;
    }
    json_close(j, ']');
    json_close(j, '}');
    request_done(r);
}

void providers_get(struct request *r)
{
    struct sign_request q = {.kind = SIGN_PROVIDERS};
    list_open(r, "providers");
    sign_send(r, &q, providers_then);
}

/* The browser keeps its own half of the sign-in as a cookie; the provider never sees it. */
static void begin_then(struct request *r, const struct sign_answer *answer,
                       const struct sign_row *rows)
{
    (void)rows;
    if (answer->status != SIGN_OK) {
        sign_problem(r, answer);
        return;
    }
    set_cookie_of(r, BEGUN_SUFFIX, answer->session, "; Max-Age=600");
    json_open(&r->body, '{');
    json_key(&r->body, "url");
    json_text_n(&r->body, answer->text, strnlen(answer->text, sizeof answer->text));
    json_close(&r->body, '}');
    request_done(r);
}

void session_begin(struct request *r)
{
    struct sign_request q = {.kind = SIGN_BEGIN};
    const struct body_field fields[] = {{"provider", true, q.name, sizeof q.name, NULL}};
    if (!body_read(r, fields, 1, "{\"provider\": \"sso\"}")) {
        return;
    }
    if (!r->http->tcp) { /* there is no address to come back to */
        request_problem(r, 422, "It can't be done so", "Begin it at the console's own address.");
        return;
    }
    sign_send(r, &q, begin_then);
}

void session_finish(struct request *r)
{
    struct sign_request q = {.kind = SIGN_FINISH};
    const struct body_field fields[] = {{"state", true, q.fresh, sizeof q.fresh, NULL},
                                        {"code", true, q.proof, sizeof q.proof, NULL}};
    if (body_read(r, fields, 2, "{\"state\": \"…\", \"code\": \"…\"}")) {
        memcpy(q.secret, r->caller.begun, sizeof r->caller.begun);
        sign_send(r, &q, session_then);
    }
}
