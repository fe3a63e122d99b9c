/* SPDX-License-Identifier: Apache-2.0 */
/* isthmus user, isthmus token: who may sign in. Passwords come from the terminal, unseen, or as a line of stdin: never as an
 * argument, which other users of the machine could read. */
#include "cli/client/client.h"

#include "box/strict_file.h"
#include "guard/authority.h"

#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define WORD_MAX 256u

static bool read_line(char *line, size_t size)
{
    if (!fgets(line, (int)size, stdin)) {
        return false;
    }
    line[strcspn(line, "\n")] = 0;
    return true;
}

static bool ask_unseen(const char *what, char *line, size_t size)
{
    struct termios before, unseen;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fprintf(stderr, "%s: ", what);
        unseen = before;
        unseen.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen);
    }
    bool read = read_line(line, size);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return read;
}

/* False: none was given, or on a terminal two that differ. */
static bool read_password(const char *name, char *word, size_t size)
{
    char what[128], again[WORD_MAX] = "";
    snprintf(what, sizeof what, "New password of %.64s", name);
    if (!ask_unseen(what, word, size)) {
        fprintf(stderr, "isthmus: no password on stdin\n");
        return false;
    }
    bool same = !isatty(STDIN_FILENO) ||
                (ask_unseen("Once more", again, sizeof again) && !strcmp(word, again));
    explicit_bzero(again, sizeof again);
    if (!same) {
        fprintf(stderr, "isthmus: the two differ\n");
    }
    return same;
}

/* /api/v1/PLACE, or with a name /api/v1/PLACE/NAME; false: the name is too long to be one. */
static bool make_target(char *target, size_t size, const char *place, const char *name)
{
    snprintf(target, size, "/api/v1/%s%s", place, name ? "/" : "");
    return !name || client_escape(target, size, name);
}

static int show_made(const struct client *c, json_t *made, const char *done)
{
    const char *name = text_of(made, "name"), *token = text_of(made, "token"),
               *secret = text_of(made, "totp_secret");
    if (c->json) {
        print_json(made);
    } else if (*token) {
        printf("%s\n", token);
        fprintf(stderr, "isthmus: this is the token of '%s'; it is not shown again\n", name);
    } else {
        printf("'%s' is %s\n", name, done);
    }
    if (*secret && !c->json) {
        printf("otpauth://totp/Isthmus:%s?secret=%s&issuer=Isthmus\n", name, secret);
        fprintf(stderr, "isthmus: this is for an authenticator app; it is not shown again\n");
    }
    json_decref(made);
    return CLI_OK;
}

/* `body` is taken; may be NULL. */
static int change(const struct client *c, const char *method, const char *place, const char *name,
                  json_t *body, const char *done)
{
    char target[512];
    int status = CLI_FAILED;
    json_t *made = NULL;
    if (make_target(target, sizeof target, place, name)) {
        made = client_send(c, method, target, body, &status);
    }
    json_decref(body);
    return made ? show_made(c, made, done) : status;
}

static int list(const struct client *c, const char *place, bool tokens)
{
    char target[64];
    int status;
    struct table t = {0};
    size_t i;
    json_t *o;
    snprintf(target, sizeof target, "/api/v1/%s", place);
    json_t *all = client_get(c, target, &status);
    if (!all) {
        return status;
    }
    if (c->json) {
        print_json(all);
        json_decref(all);
        return CLI_OK;
    }
    table_row(&t, 6, "NAME", "ROLE", "ZONES", "STATE", "UNTIL", tokens ? "FROM" : "CODE");
    json_array_foreach(json_object_get(all, place), i, o)
    {
        const char *zones = text_of(o, "zones"), *until = text_of(o, "expires");
        bool open = json_is_true(json_object_get(o, "open"));
        const char *last = tokens                                     ? text_of(o, "from")
                           : json_is_true(json_object_get(o, "totp")) ? "yes"
                                                                      : "no";
        table_row(&t, 6, text_of(o, "name"), text_of(o, "role"), *zones ? zones : "all",
                  open ? "open" : "closed", *until ? until : "-", *last ? last : "anywhere");
    }
    table_print(&t, c->colour);
    json_decref(all);
    return CLI_OK;
}

static void set_text(json_t *body, const char *key, const char *text)
{
    if (text) {
        json_object_set_new(body, key, json_string(text));
    }
}

/* What the options say of a new account or token. */
static json_t *bounds(const struct client *c, const char *name)
{
    json_t *body = json_object();
    set_text(body, "name", name);
    set_text(body, "role", c->role);
    set_text(body, "zones", c->zones);
    set_text(body, "expires", c->until);
    set_text(body, "from", c->from);
    return body;
}

/* The public key of the certificate in that file, which a renewal may keep. */
static bool set_key(json_t *body, const char *path)
{
    struct certificate_facts facts;
    char why[512], *text = malloc(STRICT_FILE_MAX + 1);
    bool good = text && strict_file_read(path, false, text, why, sizeof why) >= 0;
    if (!good) {
        fprintf(stderr, "isthmus: %s\n", text ? why : "out of memory");
    } else if (certificate_read(text, &facts)) {
        fprintf(stderr, "isthmus: '%s' is no certificate in PEM\n", path);
        good = false;
    } else {
        set_text(body, "key", facts.key);
    }
    free(text);
    return good;
}

/* Takes `body`. */
static int with_password(const struct client *c, const char *place, const char *path,
                         const char *name, json_t *body, const char *done)
{
    char word[WORD_MAX] = "";
    if (!read_password(name, word, sizeof word)) {
        json_decref(body);
        return CLI_FAILED;
    }
    set_text(body, "password", word);
    explicit_bzero(word, sizeof word);
    if (c->totp) {
        json_object_set_new(body, "totp", json_true());
    }
    return change(c, "POST", place, path, body, done);
}

static int enrol(const struct client *c)
{
    int status;
    json_t *made = client_send(c, "POST", "/api/v1/enrol/link", NULL, &status);
    if (!made) {
        return status;
    }
    if (c->json) {
        print_json(made);
    } else {
        printf("%s\n", text_of(made, "link"));
        fprintf(stderr, "isthmus: the first administrator enrols there, within an hour and once\n");
    }
    json_decref(made);
    return CLI_OK;
}

int client_user(const struct client *c)
{
    const char *verb = c->arguments[0], *name = c->argument_count > 1 ? c->arguments[1] : NULL;
    bool bound = c->role || c->zones || c->until;
    if (!strcmp(verb, "list") && !name && !bound && !c->totp) {
        return list(c, "accounts", false);
    }
    if (!strcmp(verb, "enrol") && !name && !bound && !c->totp) {
        return enrol(c);
    }
    if (!strcmp(verb, "add") && name && c->role) {
        return with_password(c, "accounts", NULL, name, bounds(c, name), "there");
    }
    if (!strcmp(verb, "password") && name && !bound) {
        return with_password(c, "accounts", name, name, json_object(), "changed");
    }
    if (!strcmp(verb, "remove") && name && !bound && !c->totp) {
        return change(c, "DELETE", "accounts", name, NULL, "removed");
    }
    return CLI_USAGE;
}

int client_token(const struct client *c)
{
    const char *verb = c->arguments[0], *name = c->argument_count > 1 ? c->arguments[1] : NULL;
    bool bound = c->role || c->zones || c->until || c->from || c->cert;
    if (!strcmp(verb, "list") && !name && !bound) {
        return list(c, "tokens", true);
    }
    if (!strcmp(verb, "add") && name && c->role && c->until) {
        json_t *body = bounds(c, name);
        if (c->cert && !set_key(body, c->cert)) {
            json_decref(body);
            return CLI_FAILED;
        }
        return change(c, "POST", "tokens", NULL, body, "there");
    }
    if (!strcmp(verb, "revoke") && name && !bound) {
        return change(c, "DELETE", "tokens", name, NULL, "revoked");
    }
    return CLI_USAGE;
}
