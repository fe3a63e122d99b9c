/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/accounts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/digest.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_.@", c));
}

static bool letters_are_good(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!is_letter(text[i])) {
            return false;
        }
    }
    return size > 0 && size < NAME_SIZE;
}

/* Terminated, and nothing behind that. */
static bool is_padded(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    for (size_t i = length; i < size; i++) {
        if (text[i]) {
            return false;
        }
    }
    return length < size;
}

bool name_is_good(const char name[NAME_SIZE])
{
    return is_padded(name, NAME_SIZE) && letters_are_good(name, strlen(name));
}

bool zones_are_good(const char zones[ZONES_SIZE])
{
    uint32_t count = 0;
    if (!is_padded(zones, ZONES_SIZE)) {
        return false;
    }
    for (const char *at = zones; *zones; count++) {
        const char *end = strchrnul(at, ',');
        if (!letters_are_good(at, (size_t)(end - at)) || count == SESSION_ZONES) {
            return false;
        }
        if (!*end) {
            break;
        }
        at = end + 1;
    }
    return true;
}

struct account *accounts_find(struct accounts *a, const char *name)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (!strcmp(a->list[i].name, name)) {
            return a->list + i;
        }
    }
    return NULL;
}

struct token *tokens_find(struct accounts *a, const char *name)
{
    for (uint32_t i = 0; i < a->token_count; i++) {
        if (!strcmp(a->tokens[i].name, name)) {
            return a->tokens + i;
        }
    }
    return NULL;
}

struct token *tokens_find_digest(struct accounts *a, const uint8_t digest[32])
{
    struct token *found = NULL;
    for (uint32_t i = 0; i < a->token_count; i++) {
        if (digest_equal(a->tokens[i].digest, digest, 32)) {
            found = a->tokens + i;
        }
    }
    return found;
}

/* A guest's way in is never without an end, nor without bounds. */
static bool role_fits(uint32_t role, int64_t expires_ns, const char *zones)
{
    return role_name(role) && expires_ns >= 0 &&
           (role != ROLE_VENDOR || (expires_ns > 0 && zones[0]));
}

bool account_is_good(const struct account *c)
{
    return name_is_good(c->name) && zones_are_good(c->zones) &&
           is_padded(c->hash, sizeof c->hash) && c->hash[0] &&
           role_fits(c->role, c->expires_ns, c->zones) && c->has_totp <= 1 && c->disabled <= 1;
}

bool token_is_good(const struct token *t)
{
    return name_is_good(t->name) && zones_are_good(t->zones) && is_padded(t->maker, NAME_SIZE) &&
           role_fits(t->role, t->expires_ns, t->zones) && t->expires_ns > 0 && t->net.bits <= 128;
}

int accounts_add(struct accounts *a, const struct account *account)
{
    if (!account_is_good(account)) {
        return ERR_MALFORMED;
    }
    if (accounts_find(a, account->name)) {
        return ERR_EXISTS;
    }
    if (a->count == ACCOUNTS_MAX) {
        return ERR_FULL;
    }
    a->list[a->count] = *account;
    accounts_changed(a, a->list + a->count++);
    return ERR_OK;
}

int tokens_add(struct accounts *a, const struct token *token)
{
    if (!token_is_good(token)) {
        return ERR_MALFORMED;
    }
    if (tokens_find(a, token->name) || tokens_find_digest(a, token->digest)) {
        return ERR_EXISTS;
    }
    if (a->token_count == TOKENS_MAX) {
        return ERR_FULL;
    }
    a->tokens[a->token_count] = *token;
    a->tokens[a->token_count++].revision = ++a->revision;
    return ERR_OK;
}

void accounts_changed(struct accounts *a, struct account *account)
{
    account->revision = ++a->revision;
}

void accounts_remove(struct accounts *a, struct account *account)
{
    *account = a->list[--a->count];
    explicit_bzero(a->list + a->count, sizeof *a->list);
    a->revision++;
}

void tokens_remove(struct accounts *a, struct token *token)
{
    *token = a->tokens[--a->token_count];
    memset(a->tokens + a->token_count, 0, sizeof *a->tokens);
    a->revision++;
}

bool account_is_open(const struct account *account, int64_t utc_ns)
{
    return !account->disabled && (!account->expires_ns || utc_ns < account->expires_ns);
}

uint32_t accounts_administrators(const struct accounts *a, int64_t utc_ns)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        count += a->list[i].role == ROLE_ADMINISTRATOR && account_is_open(a->list + i, utc_ns);
    }
    return count;
}

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool net_parse(const char *text, struct net *net)
{
    char host[NET_TEXT];
    const char *slash = strchrnul(text, '/');
    size_t size = (size_t)(slash - text);
    *net = (struct net){0};
    if (!*text) {
        return true;
    }
    if (size >= sizeof host) {
        return false;
    }
    memcpy(host, text, size);
    host[size] = 0;
    bool v4 = inet_pton(AF_INET, host, net->address + 12) == 1;
    if (v4) {
        memcpy(net->address, v4_prefix, sizeof v4_prefix);
    } else if (inet_pton(AF_INET6, host, net->address) != 1) {
        return false;
    }
    char *end = NULL;
    unsigned long most = v4 ? 32 : 128, bits = *slash ? strtoul(slash + 1, &end, 10) : most;
    if (*slash && (slash[1] < '0' || slash[1] > '9' || *end || bits > most)) {
        return false;
    }
    net->bits = (uint32_t)(bits + (v4 ? 96 : 0));
    return true;
}

void net_text(const struct net *net, char out[NET_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    bool v4 = net->bits >= 96 && !memcmp(net->address, v4_prefix, sizeof v4_prefix);
    inet_ntop(v4 ? AF_INET : AF_INET6, net->address + (v4 ? 12 : 0), host, sizeof host);
    if (net->bits) {
        snprintf(out, NET_TEXT, "%s/%u", host, net->bits - (v4 ? 96 : 0));
    } else {
        out[0] = 0;
    }
}

bool net_has(const struct net *net, const uint8_t address[16])
{
    uint32_t whole = net->bits / 8, rest = net->bits % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return !memcmp(net->address, address, whole) &&
           (!rest || !((net->address[whole] ^ address[whole]) & mask));
}
