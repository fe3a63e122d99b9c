/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/commands: {"tag": path, "value": …, "id": UUID or 32 hex digits, "reason": …, "dry_run": …}, and what may be
 * asked of a command later: GET /api/v1/commands/ID, POST /api/v1/commands/ID/approve, reject, renew, release. What can be
 * judged here is: the tag is there, and the value is of its type. All else is the guard's, in the engine. */
#include "north/http/http.h"

#include "box/board.h"
#include "guard/access.h"
#include "guard/contract.h"

#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <sys/random.h>

static const struct {
    const char *title;
    int status;
} states[COMMAND_STATE_END] = {
    [COMMAND_NEVER_HEARD] = {"No such command", 404},
    [COMMAND_CHECKED] = {"The guard lets it through", 202},
    [COMMAND_WAITING] = {"Command waits for the second approval", 202},
    [COMMAND_SENT] = {"Command sent", 202},
    [COMMAND_ACCEPTED] = {"Command accepted by the device", 202},
    [COMMAND_CONFIRMED] = {"Command confirmed", 200},
    [COMMAND_REFUSED] = {"Command refused", 403},
    [COMMAND_EXPIRED] = {"Command expired: nobody approved it in time", 504},
    [COMMAND_FAILED] = {"Command failed", 502},
    [COMMAND_UNKNOWN] = {"It is not known what became of the command", 504},
};

static void pair_id(struct json *j, const char *key, const uint8_t id[16])
{
    char text[37], *at = text;
    for (int i = 0; i < 16; i++) {
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    }
    json_pair_text(j, key, text);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* 32 hex digits, with or without the hyphens of a UUID; what follows them, or NULL: they aren't. */
static const char *parse_id(const char *text, uint8_t id[16])
{
    bool hyphens = strlen(text) >= 36 && text[8] == '-';
    for (int i = 0; i < 16; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') {
            return NULL;
        }
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return NULL;
        }
        id[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return text;
}

static void pair_value(struct json *j, const char *key, const struct plan_tag *tag,
                       union slot_value value)
{
    struct slot s = {.tag = tag->id, .value = value};
    json_key(j, key);
    render_value(j, tag, &s);
}

static void pair_time(struct json *j, const char *key, int64_t ns)
{
    if (ns) {
        json_pair_time(j, key, ns);
    }
}

static int status_of(const struct record_receipt *receipt, uint32_t state)
{
    if (receipt->denied) {
        return 403;
    }
    bool only_told = receipt->act == COMMAND_LOOK || receipt->act == COMMAND_TRY;
    return only_told && state != COMMAND_NEVER_HEARD && state != COMMAND_REFUSED
               ? 200
               : states[state].status;
}

static uint32_t state_of(const struct record_receipt *receipt)
{
    return receipt->state < COMMAND_STATE_END ? receipt->state : COMMAND_UNKNOWN;
}

/* Pairs within an object that is open. */
static void render_receipt(struct request *r, const struct record_receipt *receipt)
{
    struct json *j = &r->body;
    const struct plan_tag *tag = plan_find_tag(r->http->plan, receipt->tag);
    json_pair_text(j, "detail", receipt->reason);
    json_pair_text(j, "state", command_state_name(state_of(receipt)));
    pair_id(j, "id", receipt->id);
    if (tag) {
        json_pair_text(j, "tag", plan_text(r->http->plan, tag->path));
        pair_value(j, "value", tag, receipt->value);
        if (receipt->has_before) {
            pair_value(j, "before", tag, receipt->before);
        }
        if (receipt->has_after) {
            pair_value(j, "after", tag, receipt->after);
        }
    }
    if (receipt->who[0]) {
        json_pair_text(j, "who", receipt->who);
    }
    if (receipt->approver[0]) {
        json_pair_text(j, "approver", receipt->approver);
    }
    if (receipt->lease) {
        json_pair_text(j, "lease", lease_state_name(receipt->lease));
    }
    pair_time(j, "asked", receipt->asked_ns);
    pair_time(j, "changed", receipt->changed_ns);
    pair_time(j, "until", receipt->until_ns);
}

static void answer_receipt(struct request *r, const struct record_receipt *receipt)
{
    uint32_t state = state_of(receipt);
    r->status = status_of(receipt, state);
    r->type = r->status < 300 ? "application/json" : "application/problem+json";
    json_open(&r->body, '{');
    json_pair_text(&r->body, "title", receipt->denied ? "Refused" : states[state].title);
    json_pair_int(&r->body, "status", r->status);
    render_receipt(r, receipt);
    json_close(&r->body, '}');
    request_done(r);
}

/* ---- The list ---- */

static void row_command(void *context, const void *row, size_t size)
{
    struct request *r = context;
    struct board_row b;
    static const uint8_t none[16];
    const char *wanted = request_argument(r, "state"), *batch = request_argument(r, "batch");
    uint8_t wanted_batch[16];
    const struct plan *p = r->http->plan;
    if (size < sizeof b) {
        return;
    }
    memcpy(&b, row, sizeof b);
    b.receipt.reason[sizeof b.receipt.reason - 1] = b.wish[sizeof b.wish - 1] = 0;
    if (wanted && strcmp(wanted, command_state_name(state_of(&b.receipt))) != 0) {
        return;
    }
    if (batch && (!parse_id(batch, wanted_batch) || memcmp(b.batch, wanted_batch, 16) != 0)) {
        return;
    }
    json_open(&r->body, '{');
    render_receipt(r, &b.receipt);
    json_pair_text(&r->body, "reason", b.wish);
    if (memcmp(b.batch, none, sizeof none) != 0) {
        pair_id(&r->body, "batch", b.batch);
    }
    if (b.box < p->header->boxes.count) {
        json_pair_text(&r->body, "service", plan_text(p, p->boxes[b.box].name));
    }
    json_close(&r->body, '}');
    request_grown(r);
}

void commands_begin(struct request *r)
{
    ask_rows(r, ASK_COMMANDS, "commands", row_command);
}

/* What may be written, from the plan. */
static void render_write(struct request *r, const struct plan_write *w, const struct plan_tag *tag)
{
    char text[1024];
    double low, high;
    struct json *j = &r->body;
    const struct plan *p = r->http->plan;
    json_open(j, '{');
    json_pair_text(j, "tag", plan_text(p, tag->path));
    json_pair_text(j, "type", value_type_name((enum value_type)tag->type));
    json_pair_text(j, "unit", plan_text(p, tag->unit));
    json_pair_text(j, "contract", plan_text(p, w->name));
    json_pair_text(j, "owner", plan_text(p, w->owner));
    json_pair_text(j, "place", plan_text(p, w->place));
    guard_range(w, tag, &low, &high);
    if (isfinite(low)) {
        json_pair_double(j, "low", low);
    }
    if (isfinite(high)) {
        json_pair_double(j, "high", high);
    }
    for (int approver = 0; approver < 2; approver++) {
        json_key(j, approver ? "approvers" : "callers");
        json_open(j, '[');
        for (uint32_t i = 0; i < w->caller_count; i++) {
            const struct plan_option *o = p->options + w->first_caller + i;
            if (!strcmp(plan_text(p, o->key), approver ? "approver" : "caller")) {
                json_text(j, plan_text(p, o->value));
            }
        }
        json_close(j, ']');
    }
    json_pair_bool(j, "approval", w->approval_ms != 0);
    json_pair_bool(j, "lease", w->lease_ms != 0);
    access_conditions(p, w, tag, text, sizeof text);
    json_pair_text(j, "conditions", text);
    json_close(j, '}');
}

void writes_begin(struct request *r)
{
    const struct plan *p = r->http->plan;
    list_open(r, "writes");
    for (uint32_t i = 0; i < p->header->writes.count; i++) {
        const struct plan_write *w = p->writes + i;
        for (uint32_t k = 0; k < w->tag_count; k++) {
            const struct plan_tag *tag = plan_find_tag(p, p->write_tags[w->first_tag + k]);
            if (tag && wants_tag(r, tag)) {
                render_write(r, w, tag);
                request_grown(r);
            }
        }
    }
    json_close(&r->body, ']');
    json_close(&r->body, '}');
    request_done(r);
}

static bool is_island(uint32_t act)
{
    return act >= COMMAND_ISLAND && act <= COMMAND_ISLANDED;
}

/* Of the write inhibit, or the island. */
static void answer_switch(struct request *r, const struct record_receipt *receipt)
{
    struct json *j = &r->body;
    if (receipt->denied) {
        request_problem(r, 403, "Refused", receipt->reason);
        return;
    }
    json_open(j, '{');
    json_pair_bool(j, is_island(receipt->act) ? "island" : "inhibited", receipt->after.u64 != 0);
    if (is_island(receipt->act)) {
        json_pair_uint(j, "services_outside", receipt->before.u64);
    }
    json_pair_text(j, "reason", receipt->reason);
    pair_time(j, "changed", receipt->changed_ns);
    json_close(j, '}');
    request_done(r);
}

/* The receipt comes even if the caller has left meanwhile: the exchange then takes itself out of the ticket. */
static void command_done(void *context, const struct record_receipt *receipt)
{
    struct ticket *ticket = context;
    struct request *r = ticket->request;
    free(ticket);
    if (r) {
        r->ticket = NULL;
        if (receipt->act >= COMMAND_INHIBIT && receipt->act <= COMMAND_ISLANDED) {
            answer_switch(r, receipt);
        } else {
            answer_receipt(r, receipt);
        }
    }
}

/* `err`: of handing it over. */
static void await_receipt(struct request *r, struct ticket *ticket, int err)
{
    if (!err) {
        ticket->request = r;
        r->ticket = ticket;
        return;
    }
    free(ticket);
    request_problem(r, 503, "Busy", "Too many commands are under way; try again in a moment.");
}

static void send_command(struct request *r, struct record_command *command)
{
    struct ticket *ticket = malloc(sizeof *ticket);
    memcpy(command->session, r->session, sizeof command->session);
    await_receipt(r, ticket,
                  ticket ? service_command(r->http->host, command, command_done, ticket)
                         : ERR_NOMEM);
}

/* A whole number, as a number or, as we write 64 bits, as text. */
static bool parse_whole(const json_t *v, bool is_signed, union slot_value *out)
{
    const char *text = json_string_value(v);
    char *end;
    if (json_is_integer(v)) {
        out->i64 = json_integer_value(v);
        return is_signed || out->i64 >= 0;
    }
    const char *digits = text && is_signed && *text == '-' ? text + 1 : text;
    if (!digits || *digits < '0' || *digits > '9') {
        return false;
    }
    errno = 0;
    if (is_signed) {
        out->i64 = strtoll(text, &end, 10);
    } else {
        out->u64 = strtoull(text, &end, 10);
    }
    return !*end && !errno;
}

/* False: it is no value of that type. */
static bool parse_value(enum value_type type, const json_t *v, union slot_value *out)
{
    if (type == VALUE_BOOL) {
        out->u64 = json_is_true(v);
        return json_is_boolean(v);
    }
    if (value_is_float(type)) {
        double number = json_number_value(v);
        bool fits = isfinite(number) && (type != VALUE_FLOAT32 || fabs(number) <= (double)FLT_MAX);
        out->f64 = fits && type == VALUE_FLOAT32 ? (double)(float)number : number;
        return json_is_number(v) && fits;
    }
    return !value_is_long(type) && parse_whole(v, value_is_signed(type), out) &&
           value_is_legal(type, *out);
}

static const char *unknown_key(json_t *root, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0) {
            k++;
        }
        if (!*k) {
            return key;
        }
    }
    return NULL;
}

static bool read_reason(struct request *r, const json_t *root, char to[COMMAND_REASON_SIZE])
{
    const json_t *reason = json_object_get(root, "reason");
    const char *text = reason ? json_string_value(reason) : "";
    if (!text || strlen(text) >= COMMAND_REASON_SIZE) {
        request_problem(r, 400, "Wrong reason", "A reason is a text of at most 95 bytes.");
        return false;
    }
    memcpy(to, text, strlen(text));
    return true;
}

/* The caller's id, or one at random; false with the answer already made. */
static bool read_id(struct request *r, const json_t *root, uint8_t id[16])
{
    const json_t *given = json_object_get(root, "id");
    const char *text = given ? json_string_value(given) : NULL,
               *rest = text ? parse_id(text, id) : NULL;
    if (given ? !rest || *rest : getrandom(id, 16, GRND_NONBLOCK) != 16) {
        request_problem(r, 400, "Wrong id", "An id is 128 bits: 32 hex digits, or a UUID.");
        return false;
    }
    return true;
}

/* Tag and value of `object`, checked against the tag's type; false with the answer already made. */
static bool read_part(struct request *r, const json_t *object, struct record_part *part)
{
    char detail[160];
    const struct plan_tag *tag = find_tag(r, json_string_value(json_object_get(object, "tag")));
    if (!tag) {
        request_problem(r, 404, "No such tag", "See /api/v1/tags for the tags there are.");
        return false;
    }
    part->tag = tag->id;
    part->type = tag->type;
    if (!parse_value((enum value_type)tag->type, json_object_get(object, "value"), &part->value)) {
        snprintf(detail, sizeof detail, "The type of %.80s is %s%s.",
                 plan_text(r->http->plan, tag->path), value_type_name((enum value_type)tag->type),
                 value_is_long((enum value_type)tag->type) ? ", which can't be commanded" : "");
        request_problem(r, 422, "The value does not fit the type", detail);
        return false;
    }
    return true;
}

static bool names_tag_and_value(const json_t *object)
{
    return json_is_string(json_object_get(object, "tag")) && json_object_get(object, "value");
}

static bool is_one(const json_t *root)
{
    static const char *const known[] = {"tag", "value", "id", "reason", "dry_run", NULL};
    return names_tag_and_value(root) && !unknown_key((json_t *)(uintptr_t)root, known);
}

static bool is_batch(const json_t *root)
{
    static const char *const known[] = {"batch", "id", "reason", "dry_run", NULL},
                             *const of_part[] = {"tag", "value", NULL};
    const json_t *parts = json_object_get(root, "batch");
    size_t count = json_array_size(parts);
    for (size_t i = 0; i < count; i++) {
        json_t *part = json_array_get(parts, i);
        if (!names_tag_and_value(part) || unknown_key(part, of_part)) {
            return false;
        }
    }
    return count && count <= BATCH_MAX && !unknown_key((json_t *)(uintptr_t)root, known);
}

static void begin_one(struct request *r, const json_t *root, uint32_t act)
{
    struct record_command command = {.act = act};
    struct record_part part;
    if (read_id(r, root, command.id) && read_reason(r, root, command.reason) &&
        read_part(r, root, &part)) {
        command.tag = part.tag;
        command.type = part.type;
        command.value = part.value;
        send_command(r, &command);
    }
}

static void begin_batch(struct request *r, const json_t *root, uint32_t act)
{
    const json_t *list = json_object_get(root, "batch");
    struct record_commands batch = {.act = act, .count = (uint32_t)json_array_size(list)};
    struct record_part parts[BATCH_MAX] = {{0}};
    if (!read_id(r, root, batch.id) || !read_reason(r, root, batch.reason)) {
        return;
    }
    for (uint32_t i = 0; i < batch.count; i++) {
        if (!read_part(r, json_array_get(list, i), parts + i)) {
            return;
        }
    }
    struct ticket *ticket = malloc(sizeof *ticket);
    memcpy(batch.session, r->session, sizeof batch.session);
    await_receipt(r, ticket,
                  ticket ? service_batch(r->http->host, &batch, parts, command_done, ticket)
                         : ERR_NOMEM);
}

void command_begin(struct request *r)
{
    json_error_t error;
    json_t *root = json_loadb(r->upload, r->upload_size, JSON_REJECT_DUPLICATES, &error);
    const json_t *dry = json_object_get(root, "dry_run");
    uint32_t act = json_is_true(dry) ? COMMAND_TRY : COMMAND_WRITE;
    if (!root) {
        request_problem(r, 400, "Wrong body", error.text);
    } else if (!is_one(root) && !is_batch(root)) {
        request_problem(
            r, 400, "Wrong body",
            "It holds tag and value and, if you like, id, reason and dry_run: {\"tag\": "
            "\"site/area/tag\", \"value\": 1, \"reason\": \"start-up\"}; or, in the place of tag "
            "and "
            "value, a batch of up to 64 of them: {\"batch\": [{\"tag\": …, \"value\": …}, …]}.");
    } else if (dry && !json_is_boolean(dry)) {
        request_problem(r, 400, "Wrong body", "dry_run is true or false.");
    } else if (is_one(root)) {
        begin_one(r, root, act);
    } else {
        begin_batch(r, root, act);
    }
    json_decref(root);
}

void command_look_begin(struct request *r)
{
    struct record_command command = {.act = COMMAND_LOOK};
    const char *rest = parse_id(r->rest, command.id);
    if (!rest || *rest) {
        request_problem(r, 400, "Wrong id", "An id is 128 bits: 32 hex digits, or a UUID.");
        return;
    }
    send_command(r, &command);
}

/* The body may be empty, or hold a reason. */
static bool read_act_reason(struct request *r, struct record_command *command)
{
    static const char *const known[] = {"reason", NULL};
    json_error_t error;
    json_t *root = r->upload_size
                       ? json_loadb(r->upload, r->upload_size, JSON_REJECT_DUPLICATES, &error)
                       : json_object();
    bool good = json_is_object(root) && !unknown_key(root, known);
    if (!good) {
        request_problem(r, 400, "Wrong body", "It is empty, or holds a reason: {\"reason\": …}.");
    }
    good = good && read_reason(r, root, command->reason);
    json_decref(root);
    return good;
}

void command_act_begin(struct request *r)
{
    static const struct {
        const char *name;
        enum command_act act;
    } acts[] = {{"/approve", COMMAND_APPROVE},
                {"/reject", COMMAND_REJECT},
                {"/renew", COMMAND_RENEW},
                {"/release", COMMAND_RELEASE}};
    struct record_command command = {0};
    const char *rest = parse_id(r->rest, command.id);
    for (size_t i = 0; rest && i < sizeof acts / sizeof *acts; i++) {
        command.act = strcmp(rest, acts[i].name) ? command.act : (uint32_t)acts[i].act;
    }
    if (!command.act) {
        request_problem(r, 404, "Not found",
                        "POST to /api/v1/commands/ID/approve, reject, renew or release; an id is "
                        "32 hex digits, or a UUID.");
    } else if (read_act_reason(r, &command)) {
        send_command(r, &command);
    }
}

static void send_switch(struct request *r, struct record_command *command)
{
    if (getrandom(command->id, sizeof command->id, GRND_NONBLOCK) != sizeof command->id) {
        request_problem(r, 503, "Busy", "No random numbers yet; try again in a moment.");
        return;
    }
    send_command(r, command);
}

/* The body tells whether `name` shall be on: then the act is `on`, else `off`. */
static void post_switch(struct request *r, const char *name, enum command_act on,
                        enum command_act off)
{
    const char *const known[] = {name, "reason", NULL};
    char detail[128];
    json_error_t error;
    struct record_command command = {0};
    json_t *root = json_loadb(r->upload, r->upload_size, JSON_REJECT_DUPLICATES, &error);
    const json_t *wanted = json_object_get(root, name);
    if (!json_is_boolean(wanted) || unknown_key(root, known)) {
        snprintf(detail, sizeof detail,
                 "It holds %s and, if you like, a reason: {\"%s\": true, \"reason\": \"work on "
                 "pump 3\"}.",
                 name, name);
        request_problem(r, 400, "Wrong body", detail);
    } else if (read_reason(r, root, command.reason)) {
        command.act = json_is_true(wanted) ? on : off;
        send_switch(r, &command);
    }
    json_decref(root);
}

void inhibit_get(struct request *r)
{
    send_switch(r, &(struct record_command){.act = COMMAND_INHIBITED});
}

void inhibit_post(struct request *r)
{
    post_switch(r, "inhibit", COMMAND_INHIBIT, COMMAND_ALLOW);
}

void island_get(struct request *r)
{
    send_switch(r, &(struct record_command){.act = COMMAND_ISLANDED});
}

void island_post(struct request *r)
{
    post_switch(r, "island", COMMAND_ISLAND, COMMAND_JOIN);
}
