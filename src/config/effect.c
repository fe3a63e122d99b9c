/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a contract takes effect. Its owner and its custodian each sign a file:
 *
 *   signatures/NAME.owner.sig         the newest signature
 *   signatures/NAME.owner.former.sig  the one before it, under other terms
 *
 * Both have to hold for the present terms. While they don't, but both sides once signed the same terms, and these differ in
 * nothing but tags, what was agreed goes on for the tags that are as they were: so a new unit of one tag does not stop all
 * others, and the tag with the new meaning waits. */
#include "config/contracts.h"

#include "config/config.h"
#include "guard/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEWEST, FORMER, FILES };

struct side {
    enum signature_role role;
    const char *name; /* of who has to sign; "": the contract names nobody */
    char *data[FILES];
    struct signature signatures[FILES];
    bool holds[FILES];
    bool current;    /* one that holds is under the present terms */
    const char *why; /* it is not */
};

struct effect {
    struct load *l;
    struct contract *c;
    struct side sides[SIGNATURE_ROLES];
};

static const char *file_name(struct effect *e, const struct side *s, int which)
{
    return tree_print(&e->l->tree, "signatures/%s.%s%s.sig", e->c->name, signature_roles[s->role],
                      which == FORMER ? ".former" : "");
}

/* Owned; NULL: there is none, or it is larger than any. */
static char *read_file(const char *dir, const char *file, size_t *size)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "re");
    size_t capacity = 0, used = 0, got = 1;
    char *data = NULL;
    while (f && got) {
        if (used == capacity) {
            capacity = capacity ? 2 * capacity : 16384;
            char *grown = capacity <= 2 * (size_t)TERMS_MAX ? realloc(data, capacity) : NULL;
            if (!grown) {
                free(data);
                fclose(f);
                return NULL;
            }
            data = grown;
        }
        got = fread(data + used, 1, capacity - used, f);
        used += got;
    }
    if (f) {
        fclose(f);
    }
    *size = used;
    return data;
}

static const struct load_key *find_key(const struct effect *e, const struct signature *s)
{
    for (size_t i = 0; i < e->l->key_count; i++) {
        if (signature_holds(s, e->l->keys[i].public_key)) {
            return e->l->keys + i;
        }
    }
    return NULL;
}

/* Why a signature that could be read does not count; NULL: it does. */
static const char *judge(struct effect *e, const struct side *s, const struct signature *sig)
{
    struct tree *t = &e->l->tree;
    if (strcmp(sig->contract, e->c->name) != 0 || sig->role != s->role) {
        return "is a signature under something else";
    }
    const struct load_key *key = find_key(e, sig);
    if (!key) {
        return tree_print(t, "does not hold for any key under keys: (it names the key %s)",
                          sig->key);
    }
    if (key->role != (int)s->role || strcmp(key->name, s->name) != 0) {
        return tree_print(t, "is by the %s '%s', who is not the %s of this contract",
                          signature_roles[key->role], key->name, signature_roles[s->role]);
    }
    for (size_t i = 0; sig->throw_away && i < e->l->box_count; i++) {
        if (e->l->boxes[i].away) {
            return tree_print(
                t, "is by a throw-away key, and the service '%s' reaches beyond this machine",
                e->l->boxes[i].name);
        }
    }
    return NULL;
}

static void look_at_side(struct effect *e, struct side *s)
{
    struct tree *t = &e->l->tree;
    s->why = tree_print(t, "its %s '%s' has not signed it", signature_roles[s->role], s->name);
    for (int i = 0; i < FILES; i++) {
        size_t size = 0;
        const char *file = file_name(e, s, i), *bad = NULL;
        s->data[i] = read_file(e->l->dir, file, &size);
        if (!s->data[i]) {
            continue;
        }
        int err = signature_read(s->signatures + i, s->data[i], size);
        bad = err ? err_text(err) : judge(e, s, s->signatures + i);
        s->holds[i] = !bad;
        if (s->holds[i] && !memcmp(s->signatures[i].digest, e->c->digest, sizeof e->c->digest)) {
            s->current = true;
        } else if (bad && i == NEWEST) {
            s->why = tree_print(t, "%s: %s", file, bad);
        } else if (i == NEWEST) {
            s->why = tree_print(t, "its %s '%s' has signed other terms than these",
                                signature_roles[s->role], s->name);
        }
    }
}

static void note_signature(struct effect *e, const struct side *s, const struct signature *sig)
{
    e->c->feed.signatures[s->role] =
        (struct plan_signature){.by = plan_build_text(e->l->plan, s->name),
                                .key = plan_build_text(e->l->plan, sig->key),
                                .at_ns = sig->at_ns,
                                .throw_away = sig->throw_away};
}

/* ---- What goes on under earlier terms. ---- */

struct earlier {
    struct contract *c;
    bool head; /* something else than tags has changed */
    size_t held;
};

static int by_path(const void *key, const void *entry)
{
    const struct terms_span *path = key;
    const char *other = ((const struct terms_tag *)entry)->path;
    size_t size = strlen(other), least = size < path->size ? size : path->size;
    int order = memcmp(path->at, other, least);
    return order ? order : path->size < size ? -1 : path->size > size;
}

static void see_change(void *context, enum terms_change change, const struct terms_line *from,
                       const struct terms_line *to)
{
    struct earlier *x = context;
    (void)from;
    x->head |= change == TERMS_HEAD_CHANGED;
    if (change == TERMS_TAG_CHANGED || change == TERMS_TAG_ADDED) {
        struct terms_tag *t = x->c->terms.tag_count
                                  ? bsearch(&to->path, x->c->terms.tags, x->c->terms.tag_count,
                                            sizeof *x->c->terms.tags, by_path)
                                  : NULL;
        /* a path that needs escapes is not found: then nothing is let through */
        x->head |= !t;
        if (t) {
            t->held = true;
            x->held++;
        }
    }
}

/* Terms that both have signed, and that differ in tags only; their tags that have changed are marked. */
static bool find_earlier(struct effect *e)
{
    struct side *owner = e->sides + SIGNATURE_OWNER, *custodian = e->sides + SIGNATURE_CUSTODIAN;
    struct contract *c = e->c;
    for (int i = 0; i < FILES * FILES; i++) {
        const struct signature *a = owner->signatures + i / FILES;
        const struct signature *b = custodian->signatures + i % FILES;
        struct earlier x = {.c = c};
        if (!owner->holds[i / FILES] || !custodian->holds[i % FILES] ||
            memcmp(a->digest, b->digest, sizeof a->digest) != 0) {
            continue;
        }
        for (size_t k = 0; k < c->terms.tag_count; k++) {
            c->terms.tags[k].held = false;
        }
        terms_compare(a->terms, (struct terms_span){c->text, c->size}, see_change, &x);
        if (!x.head && x.held < c->terms.tag_count) {
            note_signature(e, owner, a);
            note_signature(e, custodian, b);
            return true;
        }
    }
    return false;
}

/* ---- The decision. ---- */

/* `again` is the proposal for those who read it elsewhere: they have the folder under another name, and needn't know ours. */
static void say_missing(struct effect *e, const char *text, const char *proposal, const char *again)
{
    struct tree *t = &e->l->tree;
    static const char *const states[] = {[FEED_TRIAL] = "delivers as a trial",
                                         [FEED_SIGNED] = "delivers",
                                         [FEED_PARTLY] = "holds back the tags that have changed",
                                         [FEED_UNSIGNED] = "delivers nothing"};
    const struct node *name = node_get(e->c->node, "name");
    const char *before = plan_build_peek(e->l->plan, e->c->feed.missing);
    node_warning(t, name, proposal, "contract '%s' %s: %s", e->c->name, states[e->c->feed.effect],
                 text);
    e->c->feed.missing = plan_build_text(
        e->l->plan, tree_print(t, "%s%s%s. %s", before, *before ? "\n" : "", text, again));
}

static void say_side(struct effect *e, const struct side *s)
{
    struct tree *t = &e->l->tree;
    bool known = false;
    for (size_t i = 0; i < e->l->key_count; i++) {
        known |= e->l->keys[i].role == (int)s->role && !strcmp(e->l->keys[i].name, s->name);
    }
    const char *role = signature_roles[s->role];
    if (!*s->name) {
        const char *add = tree_print(t, "add %s: NAME, of a key under keys:", role);
        say_missing(e, tree_print(t, "it names no %s", role), add, add);
    } else if (!known) {
        const char *make = tree_print(
            t, "isthmus contract keygen FILE --name '%s' --as %s, and add the line it prints",
            s->name, role);
        say_missing(e, tree_print(t, "keys: has no key of the %s '%s'", role, s->name), make, make);
    } else if (!s->current) {
        static const char sign[] = "isthmus contract sign %s %s --key FILE --as %s";
        say_missing(e, s->why, tree_print(t, sign, e->l->dir, e->c->name, role),
                    tree_print(t, sign, "DIR", e->c->name, role));
    }
}

static void say_throw_away(struct effect *e)
{
    const struct plan_signature *s = e->c->feed.signatures;
    if (s[FEED_OWNER].throw_away || s[FEED_CUSTODIAN].throw_away) {
        node_warning(&e->l->tree, node_get(e->c->node, "name"),
                     "for a real plant each side makes a lasting key: isthmus contract --help",
                     "contract '%s' is signed with throw-away keys", e->c->name);
    }
}

/* The hands that are given: one may be, and the other not yet. */
static void note_current(struct effect *e)
{
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        const struct side *s = e->sides + i;
        for (int k = FILES - 1; k >= 0 && s->current; k--) {
            if (s->holds[k] && !memcmp(s->signatures[k].digest, e->c->digest, 32)) {
                note_signature(e, s, s->signatures + k);
            }
        }
    }
}

static void decide(struct effect *e)
{
    struct plan_feed *feed = &e->c->feed;
    note_current(e);
    if (e->sides[SIGNATURE_OWNER].current && e->sides[SIGNATURE_CUSTODIAN].current) {
        feed->effect = FEED_SIGNED;
        say_throw_away(e);
        return;
    }
    bool keys = node_get(e->l->root, "keys") != NULL;
    feed->effect = !keys && !e->c->box->away ? FEED_TRIAL
                   : find_earlier(e)         ? FEED_PARTLY
                                             : FEED_UNSIGNED;
    if (!keys) {
        static const char both[] = "both sides sign it: isthmus contract --help";
        say_missing(e,
                    e->c->box->away ? tree_print(&e->l->tree,
                                                 "nobody has signed it, and its service reaches %s",
                                                 e->c->box->away)
                                    : "nobody has signed it, but its service stays on this machine",
                    both, both);
        return;
    }
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        say_side(e, e->sides + i);
    }
}

void contract_effect(struct load *l, struct contract *c)
{
    struct effect e = {.l = l, .c = c};
    e.sides[SIGNATURE_OWNER].name = c->terms.owner;
    e.sides[SIGNATURE_CUSTODIAN].name = c->terms.custodian;
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        e.sides[i].role = (enum signature_role)i;
        look_at_side(&e, e.sides + i);
    }
    decide(&e);
    for (size_t i = 0; i < c->terms.tag_count && c->feed.effect != FEED_PARTLY; i++) {
        c->terms.tags[i].held = c->feed.effect == FEED_UNSIGNED;
    }
    memcpy(c->feed.digest, c->digest, sizeof c->digest);
    for (int i = 0; i < SIGNATURE_ROLES; i++) {
        free(e.sides[i].data[NEWEST]);
        free(e.sides[i].data[FORMER]);
    }
}
