/* SPDX-License-Identifier: Apache-2.0 */
/* status, devices, browse, get, watch, ledger, sql, set, command, inhibit, island, zones, user, token, contract report, trial-report, trust-report: clients of the API over the gateway's Unix socket. */
#ifndef ISTHMUS_CLI_CLIENT_CLIENT_H
#define ISTHMUS_CLI_CLIENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/cli.h"
#include "cli/table.h"

enum client_form { FORM_TEXT, FORM_MARKDOWN, FORM_HTML };

struct client {
    const char *socket;
    enum client_form form; /* of a report */
    bool json, colour;
    const char *feed;  /* --feed; NULL: not given */
    const char *limit; /* --limit, a number; likewise */
    bool csv;
    const char *reason, *id; /* --reason, --id; NULL: not given */
    bool dry_run;
    const char *role, *zones, *until, *from, *cert; /* --role …; NULL: not given */
    bool totp;
    char **arguments; /* what is left after the options */
    int argument_count;
};

/* The reply to GET target (owned), or NULL after an error was printed; *status gets the exit status. */
json_t *client_get(const struct client *c, const char *target, int *status);
struct client_part {
    const char *target, *from, *to; /* `from` of the reply (NULL: all of it) becomes `to` */
};
/* Several replies as one object (owned), up to the first that fails: then *status says how. */
json_t *client_gather(const struct client *c, const struct client_part *parts, size_t count,
                      int *status);
/* The same for any method, with a body of JSON (borrowed; NULL: none). */
json_t *client_send(const struct client *c, const char *method, const char *target,
                    const json_t *body, int *status);
/* The same for POST; `raw`: a good answer goes to stdout as it comes, and the result is NULL. What is wrong is not printed but
 * given as *problem (owned), unless no gateway answers. */
json_t *client_post(const struct client *c, const char *target, const char *body, bool raw,
                    json_t **problem, int *status);
/* Calls `line` for each line of an endless reply; the exit status. */
int client_stream(const struct client *c, const char *target,
                  void (*line)(void *context, const char *text, size_t size), void *context);
/* Appends `text`, escaped for a URL, to a target of `size` bytes; false: no room. */
bool client_escape(char *target, size_t size, const char *text);

/* Parts of a reply for people: "" where there is none. */
const char *text_of(const json_t *o, const char *key);
const char *number_of(char out[32], const json_t *o, const char *key, double factor,
                      const char *format);
/* A value as people read it: texts without quotes, no value as "-". */
const char *value_text(char out[256], const json_t *value);
void print_json(const json_t *root);
int say_no_match(const char *command, const char *pattern);

int client_status(const struct client *c);
int client_devices(const struct client *c);
int client_browse(const struct client *c);
int client_get_tags(const struct client *c);
int client_watch(const struct client *c);
int client_ledger(const struct client *c);
int client_sql(const struct client *c);
int client_set(const struct client *c);
int client_command(const struct client *c);
int client_inhibit(const struct client *c);
int client_island(const struct client *c);
/* zones.c */
int client_zones(const struct client *c);
/* trust.c */
int client_trust(const struct client *c);
/* report.c */
int client_contract(const struct client *c);
int client_trial(const struct client *c);
/* account.c; CLI_USAGE: print it */
int client_user(const struct client *c);
int client_token(const struct client *c);

#endif
