/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX      (64u << 20)
#define LINE_MAX_BYTES (1u << 20)

struct reply {
    const char *method; /* NULL: GET, or with a body POST */
    const char *body;   /* NULL: none */
    bool raw;           /* a good answer goes to stdout as it comes */
    CURL *curl;
    char *text;
    size_t size;
    void (*line)(void *context, const char *text, size_t size);
    void *context;
    bool too_large;
};

static void take_lines(struct reply *r)
{
    char *start = r->text, *end;
    while ((end = memchr(start, '\n', r->size - (size_t)(start - r->text)))) {
        r->line(r->context, start, (size_t)(end - start));
        start = end + 1;
    }
    r->size -= (size_t)(start - r->text);
    memmove(r->text, start, r->size);
}

static size_t take(char *data, size_t one, size_t size, void *context)
{
    struct reply *r = context;
    (void)one;
    long code = 0;
    if (r->raw && curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &code) == CURLE_OK &&
        code == 200) {
        return fwrite(data, 1, size, stdout);
    }
    char *text = r->size + size < (r->line ? LINE_MAX_BYTES : REPLY_MAX)
                     ? realloc(r->text, r->size + size + 1)
                     : NULL;
    if (!text) {
        r->too_large = true;
        return 0;
    }
    r->text = text;
    memcpy(r->text + r->size, data, size);
    r->size += size;
    r->text[r->size] = 0;
    if (r->line) {
        take_lines(r);
    }
    return size;
}

static int perform(const struct client *c, const char *target, struct reply *r, long *code)
{
    char url[4096];
    CURL *curl = curl_easy_init();
    if (!curl) {
        return CLI_FAILED;
    }
    snprintf(url, sizeof url, "http://localhost%s", target);
    r->curl = curl;
    struct curl_slist *headers =
        r->body ? curl_slist_append(NULL, "Content-Type: text/plain") : NULL;
    if (r->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    if (r->method) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    }
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, r->line || r->body ? 0L : 15L);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, code);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (r->raw && *code == 200 && result != CURLE_OK) {
        fprintf(stderr, "isthmus: the answer was cut off; --json tells why\n");
        return CLI_FAILED;
    }
    if (result == CURLE_OK || (r->line && *code == 200)) {
        return CLI_OK;
    }
    fprintf(stderr,
            "isthmus: no gateway answers at %s: %s\n"
            "  Is it running? Name its socket with --socket PATH or ISTHMUS_SOCKET; it lies in the "
            "state folder.\n",
            c->socket, r->too_large ? "the answer is too large" : curl_easy_strerror(result));
    return CLI_UNREACHABLE;
}

json_t *client_send(const struct client *c, const char *method, const char *target,
                    const json_t *body, int *status)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct reply r = {.method = method, .body = text};
    long code = 0;
    if (!text && !strcmp(method, "POST")) {
        r.body = ""; /* its length must be told */
    }
    json_t *root = NULL;
    *status = perform(c, target, &r, &code);
    if (*status == CLI_OK) {
        root = json_loadb(r.text ? r.text : "", r.size, 0, NULL);
        if (code != 200 || !root) {
            const char *detail = json_string_value(json_object_get(root, "detail"));
            fprintf(stderr, "isthmus: %s\n",
                    detail ? detail : "the gateway's answer can't be read");
            json_decref(root);
            root = NULL;
            *status = CLI_FAILED;
        }
    }
    free(r.text);
    if (text) {
        explicit_bzero(text, strlen(text)); /* it may hold a password */
        free(text);
    }
    return root;
}

json_t *client_get(const struct client *c, const char *target, int *status)
{
    return client_send(c, "GET", target, NULL, status);
}

json_t *client_gather(const struct client *c, const struct client_part *parts, size_t count,
                      int *status)
{
    json_t *all = json_object();
    *status = CLI_OK;
    for (size_t i = 0; *status == CLI_OK && i < count; i++) {
        json_t *reply = client_get(c, parts[i].target, status);
        if (reply) {
            json_object_set(all, parts[i].to,
                            parts[i].from ? json_object_get(reply, parts[i].from) : reply);
            json_decref(reply);
        }
    }
    return all;
}

json_t *client_post(const struct client *c, const char *target, const char *body, bool raw,
                    json_t **problem, int *status)
{
    struct reply r = {.body = body, .raw = raw};
    long code = 0;
    json_t *root = NULL;
    *problem = NULL;
    *status = perform(c, target, &r, &code);
    if (*status == CLI_OK && !(raw && code == 200)) {
        root = json_loadb(r.text ? r.text : "", r.size, 0, NULL);
        if (code / 100 != 2 || !root) {
            *problem = root ? root : json_object();
            *status = CLI_FAILED;
            root = NULL;
        }
    }
    free(r.text);
    return root;
}

int client_stream(const struct client *c, const char *target,
                  void (*line)(void *context, const char *text, size_t size), void *context)
{
    struct reply r = {.line = line, .context = context};
    long code = 0;
    int status = perform(c, target, &r, &code);
    free(r.text);
    return status == CLI_OK && code != 200 ? CLI_FAILED : status;
}

bool client_escape(char *target, size_t size, const char *text)
{
    size_t n = strlen(target);
    for (; *text; text++) {
        if (n + 4 > size) {
            return false;
        }
        bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/*",
                            *text) != NULL;
        n += (size_t)snprintf(target + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    return true;
}
