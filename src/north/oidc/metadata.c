/* SPDX-License-Identifier: Apache-2.0 */
#include "north/oidc/metadata.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static bool is_https(const char *url)
{
    return !strncmp(url, "https://", 8);
}

/* Where it may go: nothing less safe than the issuer, printable, without a fragment. */
static bool take_url(const json_t *root, const char *name, const char *issuer,
                     char out[METADATA_URL])
{
    const json_t *value = json_object_get(root, name);
    const char *text = json_string_value(value);
    size_t size = text ? strlen(text) : 0;
    bool scheme = text && (is_https(text) || (!is_https(issuer) && !strncmp(text, "http://", 7)));
    char authority[METADATA_URL];
    if (!scheme || size >= METADATA_URL || size != json_string_length(value) ||
        !url_authority(text, authority, sizeof authority)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("\"<>\\^`{|}#", text[i])) {
            return false;
        }
    }
    memcpy(out, text, size + 1);
    return true;
}

static bool lists(const json_t *list, const char *wanted)
{
    bool found = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        found |= text && !strcmp(text, wanted);
    }
    return found;
}

bool metadata_read(struct metadata *out, const char *text, size_t size, const char *issuer,
                   const char **why)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *own = json_string_value(json_object_get(root, "issuer"));
    const json_t *methods = json_object_get(root, "token_endpoint_auth_methods_supported");
    *out = (struct metadata){.secret_in_form = lists(methods, "client_secret_post") &&
                                               !lists(methods, "client_secret_basic")};
    *why = NULL;
    if (!json_is_object(root)) {
        *why = "what it says of itself is no JSON object: is the issuer right?";
    } else if (!own || strcmp(own, issuer) != 0) {
        *why = "it calls itself otherwise: issuer must be written as it does, letter by letter";
    } else if (!take_url(root, "authorization_endpoint", issuer, out->authorize) ||
               !take_url(root, "token_endpoint", issuer, out->token) ||
               !take_url(root, "jwks_uri", issuer, out->keys)) {
        *why = "it names no usable authorization_endpoint, token_endpoint or jwks_uri";
    }
    json_decref(root);
    return !*why;
}

bool url_authority(const char *url, char *out, size_t size)
{
    bool https = is_https(url);
    if (!https && strncmp(url, "http://", 7) != 0) {
        return false;
    }
    const char *host = url + (https ? 8 : 7);
    size_t n = strcspn(host, "/?#");
    const char *bracket = memchr(host, ']', n), *colon = memrchr(host, ':', n);
    bool port = colon && (!bracket || colon > bracket);
    if (!n || memchr(host, '@', n) || (port && colon + 1 == host + n)) {
        return false;
    }
    int written = snprintf(out, size, "%.*s%s", (int)n, host, port ? "" : https ? ":443" : ":80");
    for (char *c = out; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return written > 0 && (size_t)written < size;
}

bool form_add(char *out, size_t size, const char *key, const char *value)
{
    size_t had = strlen(out);
    size_t at = had + (size_t)snprintf(out + had, size - had, "%s%s=", had ? "&" : "", key);
    bool room = at < size;
    for (const char *c = value; room && *c; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("-._~", *c);
        room = at + (plain ? 1 : 3) < size;
        if (room) {
            at += (size_t)snprintf(out + at, size - at, plain ? "%c" : "%%%02X",
                                   (unsigned)(unsigned char)*c);
        }
    }
    if (!room) {
        out[had] = 0;
    }
    return room;
}

bool metadata_authorize(const struct metadata *m, const struct vouch_request *v,
                        const char *client_id, const char *scopes, char *out, size_t size)
{
    char query[SIGN_TEXT] = "";
    bool good = form_add(query, sizeof query, "response_type", "code") &&
                form_add(query, sizeof query, "client_id", client_id) &&
                form_add(query, sizeof query, "redirect_uri", v->redirect) &&
                form_add(query, sizeof query, "scope", scopes) &&
                form_add(query, sizeof query, "state", v->state) &&
                form_add(query, sizeof query, "nonce", v->nonce) &&
                form_add(query, sizeof query, "code_challenge", v->word) &&
                form_add(query, sizeof query, "code_challenge_method", "S256");
    int written =
        snprintf(out, size, "%s%c%s", m->authorize, strchr(m->authorize, '?') ? '&' : '?', query);
    return good && written > 0 && (size_t)written < size;
}
