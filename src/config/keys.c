/* SPDX-License-Identifier: Apache-2.0 */
/* keys: the public keys of those who may sign contracts, as owner or as custodian. */
#include "config/load.h"

#include "guard/signature.h"

#include <stdlib.h>
#include <string.h>

const struct field key_fields[] = {{"name", true},        {"role", true},         {"public", true},
                                   {"throw_away", false}, {"description", false}, {0}};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_key(const char *text, uint8_t out[ED25519_KEY_SIZE])
{
    bool good = strlen(text) == 2 * ED25519_KEY_SIZE;
    for (size_t i = 0; good && i < ED25519_KEY_SIZE; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return good;
}

/* What is written into signatures' files and shown on terminals. */
static bool is_person(const char *name)
{
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return false;
        }
    }
    return *name && strlen(name) <= SIGNATURE_NAME_MAX;
}

static int find_role(const char *role)
{
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        if (!strcmp(role, signature_roles[i])) {
            return i;
        }
    }
    return -1;
}

/* Whoever takes over this machine finds such keys; that is no harm as long as nothing leaves it. */
static void refuse_beyond_loopback(struct load *l, const struct node *n, const char *name)
{
    for (size_t i = 0; i < l->box_count; i++) {
        if (l->boxes[i].away) {
            node_problem(&l->tree, n, "make a lasting one: isthmus contract keygen FILE",
                         "the throw-away key of '%s' is refused: the service '%s' reaches beyond "
                         "this machine (%s)",
                         name, l->boxes[i].name, l->boxes[i].away);
            return;
        }
    }
}

static void load_key(struct load *l, const struct node *n)
{
    check_fields(l, n, "a key", key_fields, NULL);
    const char *name = field_text(l, n, "name", NULL), *role = field_text(l, n, "role", NULL);
    const char *public_key = field_text(l, n, "public", NULL);
    const char *throw_away = field_text(l, n, "throw_away", "false");
    if (!name || !role || !public_key) {
        return;
    }
    struct load_key key = {.name = name, .role = find_role(role)};
    key.throw_away = !strcmp(throw_away, "true");
    if (!is_person(name)) {
        node_problem(&l->tree, node_get(n, "name"), "write the name of a person or a group",
                     "'%s' is no name", name);
    } else if (key.role < 0) {
        node_problem(&l->tree, node_get(n, "role"), "write owner or custodian",
                     "'%s' is no role of who signs contracts", role);
    } else if (!parse_key(public_key, key.public_key)) {
        node_problem(&l->tree, node_get(n, "public"),
                     "write the 64 hex digits that isthmus contract keygen printed",
                     "this is no public key");
    } else if (!key.throw_away && strcmp(throw_away, "false") != 0) {
        node_problem(&l->tree, node_get(n, "throw_away"), "write true or false", "'%s' is neither",
                     throw_away);
    } else {
        for (size_t i = 0; i < l->key_count; i++) {
            if (!memcmp(l->keys[i].public_key, key.public_key, sizeof key.public_key)) {
                node_problem(&l->tree, node_get(n, "public"),
                             "make a key for each: nobody signs for both sides",
                             "'%s' has this key too", l->keys[i].name);
                return;
            }
        }
        if (key.throw_away) {
            refuse_beyond_loopback(l, n, name);
        }
        l->keys[l->key_count++] = key;
    }
}

void load_keys(struct load *l)
{
    const struct node *list = node_get(l->root, "keys");
    size_t count = 1;
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        count++;
    }
    l->keys = calloc(count, sizeof *l->keys);
    if (!l->keys) {
        l->tree.no_memory = true;
        return;
    }
    load_each(l, "keys", load_key);
}
