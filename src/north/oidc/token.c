/* SPDX-License-Identifier: Apache-2.0 */
/* The signature comes first, over the bytes as they came: of a token whose signature is wrong nothing but its head is read. A
 * claim that must be there and is not, or has another type, makes the token bad; claims that nobody asks for are passed over. */
#include "north/oidc/token.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "north/oidc/key.h"

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

int base64url_decode(const char *text, size_t size, uint8_t *out, size_t out_size)
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t length = 0;
    if (size % 4 == 1 || size * 3 / 4 > out_size) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < size; i++) {
        int value = digit(text[i]);
        if (value < 0) {
            return ERR_MALFORMED;
        }
        held = held << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[length++] = (uint8_t)(held >> bits);
        }
    }
    return held & ((1u << bits) - 1) ? ERR_MALFORMED : (int)length; /* one text for each value */
}

/* ---- Keys ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static bool is_absent_or(const json_t *object, const char *name, const char *wanted)
{
    const char *text = text_of(object, name);
    return !json_object_get(object, name) || (text && !strcmp(text, wanted));
}

static void add_key(struct token_keys *keys, const json_t *entry)
{
    const char *type = text_of(entry, "kty"), *kid = text_of(entry, "kid");
    bool rsa = type && !strcmp(type, "RSA"), ec = type && !strcmp(type, "EC");
    if ((!rsa && !ec) || !is_absent_or(entry, "use", "sig") ||
        !is_absent_or(entry, "alg", rsa ? "RS256" : "ES256") ||
        (json_object_get(entry, "kid") && (!kid || strlen(kid) >= TOKEN_KID)) ||
        keys->count == TOKEN_KEYS) {
        return;
    }
    struct token_key *k = keys->list + keys->count;
    k->alg = rsa ? TOKEN_RS256 : TOKEN_ES256;
    k->key = rsa ? key_of_rsa(text_of(entry, "n"), text_of(entry, "e"))
                 : key_of_p256(text_of(entry, "crv"), text_of(entry, "x"), text_of(entry, "y"));
    if (k->key) {
        strcpy(k->kid, kid ? kid : "");
        keys->count++;
    }
}

int token_keys_read(struct token_keys *keys, const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *entry;
    const json_t *list = json_object_get(root, "keys");
    size_t i;
    *keys = (struct token_keys){0};
    json_array_foreach((json_t *)(uintptr_t)list, i, entry)
    {
        add_key(keys, entry);
    }
    bool good = json_is_array(list);
    json_decref(root);
    return good ? ERR_OK : ERR_MALFORMED;
}

void token_keys_free(struct token_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        EVP_PKEY_free(keys->list[i].key);
    }
    *keys = (struct token_keys){0};
}

/* ---- Tokens ---- */

struct parts { /* HEAD.CLAIMS.SIGNATURE */
    const char *head, *claims, *signature;
    size_t head_size, claims_size, signature_size;
};

static bool split(const char *text, size_t size, struct parts *out)
{
    const char *first = size && size <= TOKEN_MAX ? memchr(text, '.', size) : NULL;
    const char *end = text + size;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1))) {
        return false;
    }
    *out = (struct parts){.head = text,
                          .claims = first + 1,
                          .signature = second + 1,
                          .head_size = (size_t)(first - text),
                          .claims_size = (size_t)(second - first - 1),
                          .signature_size = (size_t)(end - second - 1)};
    return true;
}

static json_t *read_part(const char *text, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    int length = bytes ? base64url_decode(text, size, bytes, size + 1) : ERR_NOMEM;
    json_t *root =
        length > 0 ? json_loadb((const char *)bytes, (size_t)length, JSON_REJECT_DUPLICATES, NULL)
                   : NULL;
    free(bytes);
    if (root && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* What the head says of the proof: an algorithm that we take, and perhaps the key's name. */
struct head {
    enum token_alg alg;
    char kid[TOKEN_KID];
};

static bool read_head(const struct parts *p, struct head *out)
{
    json_t *root = read_part(p->head, p->head_size);
    const char *alg = text_of(root, "alg"), *kid = text_of(root, "kid");
    *out = (struct head){.alg = !alg                    ? 0
                                : !strcmp(alg, "RS256") ? TOKEN_RS256
                                : !strcmp(alg, "ES256") ? TOKEN_ES256
                                                        : 0};
    bool good = out->alg && !json_object_get(root, "crit") &&
                (!json_object_get(root, "kid") || (kid && strlen(kid) < TOKEN_KID));
    if (good && kid) {
        strcpy(out->kid, kid);
    }
    json_decref(root);
    return good;
}

/* Without a name the key must be the only one of its kind. */
static const struct token_key *find_key(const struct token_keys *keys, const struct head *head)
{
    const struct token_key *found = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct token_key *k = keys->list + i;
        if (k->alg == head->alg && (!*head->kid || !strcmp(k->kid, head->kid))) {
            found = k;
            count++;
        }
    }
    return count == 1 ? found : NULL;
}

static bool signature_is_good(const struct parts *p, const struct token_key *key)
{
    uint8_t signature[KEY_SIGNATURE_MAX];
    int size = p->signature_size <= sizeof signature
                   ? base64url_decode(p->signature, p->signature_size, signature, sizeof signature)
                   : ERR_MALFORMED;
    return size > 0 && key_verifies(key->key, key->alg == TOKEN_ES256, p->head,
                                    p->head_size + 1 + p->claims_size, signature, (size_t)size);
}

/* One text, or a list with it; a list of several needs `azp` (3.1.3.7, 3 to 5). */
static bool is_for(const json_t *claims, const char *client)
{
    const json_t *aud = json_object_get(claims, "aud"), *azp = json_object_get(claims, "azp");
    const char *alone = text_of(claims, "aud"), *party = text_of(claims, "azp");
    bool found = alone && !strcmp(alone, client);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *text = json_string_value(json_array_get(aud, i));
        found |= text && !strcmp(text, client);
    }
    return found && (azp ? party && !strcmp(party, client) : json_array_size(aud) <= 1);
}

/* Whole seconds since 1970; some providers write fractions. */
static bool read_time(const json_t *claims, const char *name, double *out)
{
    const json_t *value = json_object_get(claims, name);
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out < 1e12;
}

static const char *fault_of(const json_t *claims, const struct token_expected *e)
{
    const char *issuer = text_of(claims, "iss"), *nonce = text_of(claims, "nonce");
    double ends, issued, begins = 0, now = (double)e->now_s, leeway = (double)e->leeway_s;
    if (!issuer || strcmp(issuer, e->issuer) != 0) {
        return "its ID token comes from another issuer";
    }
    if (!is_for(claims, e->client_id)) {
        return "its ID token is for another client";
    }
    if (!nonce || !*e->nonce || strcmp(nonce, e->nonce) != 0) {
        return "its ID token belongs to another sign-in";
    }
    if (!read_time(claims, "exp", &ends) || !read_time(claims, "iat", &issued) ||
        (json_object_get(claims, "nbf") && !read_time(claims, "nbf", &begins))) {
        return "its ID token does not say when it is good";
    }
    if (now >= ends + leeway) {
        return "its ID token has expired: compare the clocks of gateway and provider";
    }
    if (issued > now + leeway || begins > now + leeway) {
        return "its ID token is from the future: compare the clocks of gateway and provider";
    }
    const char *subject = text_of(claims, "sub");
    return subject && *subject ? NULL : "its ID token names nobody";
}

enum token_verdict token_verify(const char *text, size_t size, const struct token_keys *keys,
                                const struct token_expected *expected, struct token_person *person,
                                const char **why)
{
    struct parts parts;
    struct head head;
    *person = (struct token_person){.claims = NULL};
    *why = "its ID token is malformed, or signed in a way that is not taken here";
    if (!split(text, size, &parts) || !read_head(&parts, &head)) {
        return TOKEN_BAD;
    }
    const struct token_key *key = find_key(keys, &head);
    if (!key) {
        *why = "none of its keys has signed its ID token";
        return TOKEN_STRANGE_KEY;
    }
    *why = "the signature of its ID token is wrong";
    if (!signature_is_good(&parts, key)) {
        return TOKEN_BAD;
    }
    json_t *claims = read_part(parts.claims, parts.claims_size);
    *why = claims ? fault_of(claims, expected) : "its ID token is malformed";
    if (*why) {
        json_decref(claims);
        return TOKEN_BAD;
    }
    const char *name = text_of(claims, expected->name_claim);
    if (name && strlen(name) < sizeof person->name) {
        strcpy(person->name, name);
    }
    person->claims = claims;
    person->groups = json_object_get(claims, expected->groups_claim);
    return TOKEN_GOOD;
}

static bool is_group(const json_t *value, const char *group)
{
    return json_is_string(value) && json_string_length(value) == strlen(group) &&
           !memcmp(json_string_value(value), group, strlen(group));
}

bool token_in_group(const struct token_person *person, const char *group)
{
    bool found = is_group(person->groups, group);
    size_t count = json_array_size(person->groups);
    for (size_t i = 0; i < count && count <= TOKEN_GROUPS; i++) {
        found |= is_group(json_array_get(person->groups, i), group);
    }
    return found;
}

void token_person_free(struct token_person *person)
{
    json_decref(person->claims);
    *person = (struct token_person){.claims = NULL};
}
