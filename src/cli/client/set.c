/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to the physical world, and what became of them. */
#include "cli/client/client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A number or a truth value as it is; anything else is text, for the gateway to refuse or to take (64-bit integers). */
static json_t *parse_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value) || json_is_boolean(value)) {
        return value;
    }
    json_decref(value);
    return json_string(text);
}

static void print_pair(const json_t *receipt, const char *key, const char *label)
{
    char text[256];
    const json_t *value = json_object_get(receipt, key);
    if (value) {
        printf("  %-10s %s\n", label, value_text(text, value));
    }
}

static void add_command(struct table *t, const json_t *command)
{
    char value[256], when[32];
    snprintf(when, sizeof when, "%.19s", text_of(command, "changed"));
    const char *until = text_of(command, "until"), *lease = text_of(command, "lease");
    value_text(value, json_object_get(command, "value"));
    table_row(t, 7, when, text_of(command, "state"), text_of(command, "tag"), value,
              text_of(command, "who"), text_of(command, "id"),
              *until   ? until
              : *lease ? lease
                       : text_of(command, "detail"));
}

static void show_commands(const struct client *c, const json_t *reply)
{
    size_t i;
    const json_t *command;
    struct table t = {0};
    table_row(&t, 7, "CHANGED", "STATE", "TAG", "VALUE", "WHO", "ID", "UNTIL OR WHY");
    json_array_foreach(json_object_get(reply, "commands"), i, command)
    {
        add_command(&t, command);
    }
    table_print(&t, c->colour);
}

/* The parts of a batch: those that the asker may see, and that did not end too long ago. */
static void show_parts(const struct client *c, const char *batch)
{
    int status;
    char target[64];
    snprintf(target, sizeof target, "/api/v1/commands?batch=%.36s", batch);
    json_t *reply = client_get(c, target, &status);
    if (json_array_size(json_object_get(reply, "commands"))) {
        show_commands(c, reply);
    }
    json_decref(reply);
}

/* A receipt is the answer, whatever became of the command; other problems only say what is wrong. */
static int show(const struct client *c, const json_t *receipt, int status)
{
    const char *state = text_of(receipt, "state");
    if (!*state) {
        const char *detail = text_of(receipt, "detail");
        fprintf(stderr, "isthmus: %s\n", *detail ? detail : "the gateway's answer can't be read");
        return CLI_FAILED;
    }
    if (c->json) {
        print_json(receipt);
        return status;
    }
    printf("%s%s%s: %s\n", c->colour ? (status == CLI_OK ? "\033[1m" : "\033[1;31m") : "", state,
           c->colour ? "\033[0m" : "", text_of(receipt, "detail"));
    static const char *const rows[][2] = {{"tag", "tag"},        {"value", "value"},
                                          {"before", "before"},  {"after", "read back"},
                                          {"who", "asked by"},   {"approver", "approved"},
                                          {"lease", "lease"},    {"until", "until"},
                                          {"asked", "asked at"}, {"id", "id"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_pair(receipt, rows[i][0], rows[i][1]);
    }
    if (!*text_of(receipt, "tag") && *text_of(receipt, "who")) {
        show_parts(c, text_of(receipt, "id"));
    }
    if (!strcmp(state, "waiting")) {
        printf("A second person approves it with: isthmus command %s approve\n",
               text_of(receipt, "id"));
    }
    return status;
}

static int post(const struct client *c, const char *target, json_t *body)
{
    int status = CLI_FAILED;
    json_t *problem = NULL;
    char *text = json_dumps(body, JSON_COMPACT);
    json_t *receipt = text ? client_post(c, target, text, false, &problem, &status) : NULL;
    if (receipt || problem) {
        status = show(c, receipt ? receipt : problem, receipt ? CLI_OK : CLI_FAILED);
    }
    free(text);
    json_decref(body);
    json_decref(receipt);
    json_decref(problem);
    return status;
}

int client_set(const struct client *c)
{
    json_t *body = json_object(), *parts = json_array();
    for (int i = 0; i + 1 < c->argument_count; i += 2) {
        json_t *part = c->argument_count == 2 ? body : json_object();
        json_object_set_new(part, "tag", json_string(c->arguments[i]));
        json_object_set_new(part, "value", parse_value(c->arguments[i + 1]));
        if (part != body) {
            json_array_append_new(parts, part);
        }
    }
    if (json_array_size(parts)) {
        json_object_set(body, "batch", parts);
    }
    json_decref(parts);
    if (c->reason) {
        json_object_set_new(body, "reason", json_string(c->reason));
    }
    if (c->id) {
        json_object_set_new(body, "id", json_string(c->id));
    }
    if (c->dry_run) {
        json_object_set_new(body, "dry_run", json_true());
    }
    return post(c, "/api/v1/commands", body);
}

/* The state of a switch, shown or turned; NULL with the exit status after an error was printed. */
static json_t *turn_switch(const struct client *c, const char *name, const char *target,
                           int *status)
{
    json_t *problem = NULL;
    if (!c->argument_count) {
        return client_get(c, target, status);
    }
    bool on = !strcmp(c->arguments[0], "on");
    if (!on && strcmp(c->arguments[0], "off") != 0) {
        fprintf(stderr, "isthmus %s: on or off, not '%s'\n", name, c->arguments[0]);
        *status = CLI_USAGE;
        return NULL;
    }
    json_t *body = json_object();
    json_object_set_new(body, name, json_boolean(on));
    if (c->reason) {
        json_object_set_new(body, "reason", json_string(c->reason));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_t *state = text ? client_post(c, target, text, false, &problem, status) : NULL;
    if (problem) {
        fprintf(stderr, "isthmus %s: %s\n", name, text_of(problem, "detail"));
    }
    free(text);
    json_decref(body);
    json_decref(problem);
    return state;
}

int client_inhibit(const struct client *c)
{
    int status = CLI_OK;
    json_t *state = turn_switch(c, "inhibit", "/api/v1/inhibit", &status);
    if (state && c->json) {
        print_json(state);
    } else if (state) {
        printf("%s: %s\n", json_is_true(json_object_get(state, "inhibited")) ? "inhibited" : "free",
               text_of(state, "reason"));
    }
    json_decref(state);
    return status;
}

#define CUT_TRIES 100
#define CUT_NS    100000000

/* Says it is an island only when no service reaches out any more. */
int client_island(const struct client *c)
{
    int status = CLI_OK;
    json_t *state = turn_switch(c, "island", "/api/v1/island", &status);
    for (int i = 0; state && c->argument_count && i < CUT_TRIES; i++) {
        if (!json_is_true(json_object_get(state, "island")) ||
            !json_integer_value(json_object_get(state, "services_outside"))) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = CUT_NS}, NULL);
        json_decref(state);
        state = client_get(c, "/api/v1/island", &status);
    }
    if (!state) {
        return status;
    }
    json_int_t outside = json_integer_value(json_object_get(state, "services_outside"));
    bool island = json_is_true(json_object_get(state, "island"));
    if (c->json) {
        print_json(state);
    } else {
        printf("%s: %s; %" JSON_INTEGER_FORMAT " of its services %s beyond this machine\n",
               !island   ? "joined"
               : outside ? "not yet an island"
                         : "island",
               text_of(state, "reason"), outside, outside == 1 ? "reaches" : "reach");
    }
    json_decref(state);
    return island && outside ? CLI_FAILED : CLI_OK;
}

/* The open ones and the last that ended. */
static int list_commands(const struct client *c)
{
    int status;
    json_t *reply = client_get(c, "/api/v1/commands", &status);
    if (!reply) {
        return status;
    }
    if (c->json) {
        print_json(json_object_get(reply, "commands"));
    } else {
        show_commands(c, reply);
    }
    json_decref(reply);
    return CLI_OK;
}

int client_command(const struct client *c)
{
    char target[2048] = "/api/v1/commands/";
    if (!c->argument_count) {
        return list_commands(c);
    }
    if (!client_escape(target, sizeof target - 16, c->arguments[0])) {
        fprintf(stderr, "isthmus command: an id is 32 hex digits, or a UUID\n");
        return CLI_USAGE;
    }
    if (c->argument_count == 1) {
        int status;
        json_t *receipt = client_get(c, target, &status);
        if (receipt) {
            status = show(c, receipt, CLI_OK);
        }
        json_decref(receipt);
        return status;
    }
    static const char *const acts[] = {"approve", "reject", "renew", "release"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!strcmp(c->arguments[1], acts[i])) {
            json_t *body = json_object();
            if (c->reason) {
                json_object_set_new(body, "reason", json_string(c->reason));
            }
            strcat(strcat(target, "/"), acts[i]);
            return post(c, target, body);
        }
    }
    fprintf(stderr, "isthmus command: approve, reject, renew or release, not '%s'\n",
            c->arguments[1]);
    return CLI_USAGE;
}
