/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/commands: {"tag": path, "value": …, "id": UUID or 32 hex digits}. What can be judged here is: the tag is
 * there, the value is of its type and within its range. All else is the engine's, which answers each command with exactly
 * one receipt; until the guard exists it refuses all. */
#include "north/http/http.h"

#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <sys/random.h>

static const struct {
    const char *name, *title;
    int status;
} ends[] = {
    [COMMAND_REFUSED] = {"refused", "Command refused", 403},
    [COMMAND_CONFIRMED] = {"confirmed", "Command confirmed", 200},
    [COMMAND_EXPIRED] = {"expired", "Command expired", 504},
    [COMMAND_FAILED] = {"failed", "Command failed", 502},
    [COMMAND_UNKNOWN] = {"unknown", "It is not known what became of the command", 504},
};

static void pair_id(struct json *j, const uint8_t id[16])
{
    char text[37], *at = text;
    for (int i = 0; i < 16; i++) {
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    }
    json_pair_text(j, "id", text);
}

static void answer_receipt(struct request *r, const struct record_command *receipt)
{
    struct json *j = &r->body;
    const struct plan_tag *tag = plan_find_tag(r->http->plan, receipt->tag);
    unsigned end = receipt->end >= COMMAND_REFUSED && receipt->end <= COMMAND_UNKNOWN
                       ? receipt->end
                       : COMMAND_UNKNOWN;
    r->status = ends[end].status;
    r->type = r->status == 200 ? "application/json" : "application/problem+json";
    json_open(j, '{');
    json_pair_text(j, "title", ends[end].title);
    json_pair_int(j, "status", r->status);
    json_key(j, "detail");
    json_text_n(j, receipt->reason, strnlen(receipt->reason, sizeof receipt->reason));
    json_pair_text(j, "end", ends[end].name);
    json_pair_text(j, "tag", tag ? plan_text(r->http->plan, tag->path) : "");
    pair_id(j, receipt->id);
    json_close(j, '}');
    request_done(r);
}

/* The receipt comes even if the caller has left meanwhile: the exchange then takes itself out of the ticket. */
static void command_done(void *context, const struct record_command *receipt)
{
    struct ticket *ticket = context;
    struct request *r = ticket->request;
    free(ticket);
    if (r) {
        r->ticket = NULL;
        answer_receipt(r, receipt);
    }
}

static bool send_command(struct request *r, const struct record_command *command)
{
    struct ticket *ticket = malloc(sizeof *ticket);
    if (!ticket) {
        return false;
    }
    ticket->request = r;
    if (service_command(r->http->host, command, command_done, ticket)) {
        free(ticket);
        return false;
    }
    r->ticket = ticket;
    return true;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* 32 hex digits, with or without the hyphens of a UUID. */
static bool parse_id(const char *text, uint8_t id[16])
{
    bool hyphens = strlen(text) == 36;
    for (int i = 0; i < 16; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') {
            return false;
        }
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        id[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return !*text;
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

static bool is_within(const struct plan_tag *tag, union slot_value v)
{
    double number = value_as_double((enum value_type)tag->type, v);
    return !tag->has_range || (number >= tag->low && number <= tag->high);
}

static const char *unknown_key(json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, "tag") != 0 && strcmp(key, "value") != 0 && strcmp(key, "id") != 0) {
            return key;
        }
    }
    return NULL;
}

/* The command that the body asks for; false with the answer already made. */
static bool read_command(struct request *r, json_t *root, struct record_command *command)
{
    const struct plan *plan = r->http->plan;
    const char *path = json_string_value(json_object_get(root, "tag"));
    json_t *value = json_object_get(root, "value"), *id = json_object_get(root, "id");
    const struct plan_tag *tag = path ? plan_find_path(plan, path) : NULL;
    char detail[160];
    if (!path || !value || unknown_key(root)) {
        request_problem(r, 400, "Wrong body",
                        "It holds tag, value and, if you like, id: {\"tag\": \"site/area/tag\", "
                        "\"value\": 1}.");
        return false;
    }
    if (id ? !json_is_string(id) || !parse_id(json_string_value(id), command->id)
           : getrandom(command->id, sizeof command->id, GRND_NONBLOCK) != sizeof command->id) {
        request_problem(r, 400, "Wrong id", "An id is 128 bits: 32 hex digits, or a UUID.");
        return false;
    }
    if (!tag) {
        request_problem(r, 404, "No such tag", "See /api/v1/tags for the tags there are.");
        return false;
    }
    command->tag = tag->id;
    command->type = tag->type;
    if (!parse_value((enum value_type)tag->type, value, &command->value)) {
        snprintf(detail, sizeof detail, "The tag's type is %s%s.",
                 value_type_name((enum value_type)tag->type),
                 value_is_long((enum value_type)tag->type) ? ", which can't be commanded" : "");
        request_problem(r, 422, "The value does not fit the type", detail);
        return false;
    }
    if (!is_within(tag, command->value)) {
        snprintf(detail, sizeof detail, "The tag's range is %g to %g %s.", tag->low, tag->high,
                 plan_text(plan, tag->unit));
        request_problem(r, 422, "The value is out of range", detail);
        return false;
    }
    return true;
}

void command_begin(struct request *r)
{
    json_error_t error;
    json_t *root = json_loadb(r->upload, r->upload_size, JSON_REJECT_DUPLICATES, &error);
    struct record_command command = {0};
    if (!root) {
        request_problem(r, 400, "Wrong body", error.text);
    } else if (read_command(r, root, &command) && !send_command(r, &command)) {
        request_problem(r, 503, "Busy", "Too many commands are under way; try again in a moment.");
    }
    json_decref(root);
}
