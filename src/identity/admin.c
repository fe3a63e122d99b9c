/* SPDX-License-Identifier: Apache-2.0 */
/* What those may do who have the right to accounts. */
#include "identity/core.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "guard/digest.h"

void admin_link(struct identity *d, struct exchange *x)
{
    char secret[SECRET_TEXT], text[SIGN_TEXT];
    if (d->broken) {
        exchange_end(x, SIGN_BROKEN,
                     "Can't read identity/" ACCOUNTS_FILE " below the state folder.");
    } else if (!identity_make_link(d, secret)) {
        exchange_end(x, SIGN_BAD,
                     "There is an administrator, who makes accounts: isthmus user add NAME.");
    } else {
        (void)identity_link_text(d, 0, secret, text);
        exchange_end(x, SIGN_OK, text);
        explicit_bzero(text, sizeof text);
    }
    explicit_bzero(secret, sizeof secret);
}

/* ---- Lists ---- */

static uint32_t count_sessions(struct identity *d, enum session_kind kind, const char *name)
{
    struct session s;
    uint32_t count = 0;
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        count +=
            session_at(d->sessions, i, &s) && s.kind == (uint32_t)kind && !strcmp(s.name, name);
    }
    return count;
}

static struct sign_row *new_row(struct exchange *x, const char *name, const char *zones)
{
    struct sign_row *row = x->rows + x->answer.count++;
    *row = (struct sign_row){0};
    memcpy(row->name, name, sizeof row->name);
    memcpy(row->zones, zones, sizeof row->zones);
    return row;
}

/* "a,b" of a session's zones. */
static void zones_text(const struct identity *d, const struct session *s, char out[ZONES_SIZE])
{
    const struct plan *p = d->plan;
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < s->zone_count && i < SESSION_ZONES && at < ZONES_SIZE; i++) {
        int n = snprintf(out + at, ZONES_SIZE - at, "%s%s", i ? "," : "",
                         plan_text(p, p->zones[s->zones[i]].name));
        at += (size_t)n;
    }
}

/* Whether the session at place `i` is the first of somebody whom a provider vouches for. */
static bool is_vouched(struct identity *d, uint32_t i, struct session *out)
{
    struct session other;
    bool first = session_at(d->sessions, i, out) && out->kind == SESSION_VOUCHED;
    for (uint32_t k = 0; first && k < i; k++) {
        first = !session_at(d->sessions, k, &other) || other.kind != SESSION_VOUCHED ||
                strcmp(other.name, out->name) != 0;
    }
    return first;
}

static void add_vouched(struct identity *d, struct exchange *x, const struct session *s)
{
    char zones[ZONES_SIZE] = "";
    zones_text(d, s, zones);
    struct sign_row *row = new_row(x, s->name, zones);
    row->role = s->role;
    row->open = row->vouched = 1;
    row->sessions = count_sessions(d, SESSION_VOUCHED, s->name);
    row->created_ns = row->last_ns = s->issued_utc_ns;
}

/* By how much tries for the name are slowed, from wherever they come. */
static uint64_t wait_ms(const struct identity *d, const char *name)
{
    static const uint8_t nowhere[16];
    return (uint64_t)slow_wait(&d->slow, name, nowhere, d->mono_ns) / 1000000;
}

/* The accounts, and behind them, as if they were numbered on, who is signed in by a provider. */
void admin_accounts(struct identity *d, struct exchange *x)
{
    uint32_t i = x->request->from;
    struct session s;
    for (; i < d->accounts.count && x->answer.count < SIGN_ROWS_MAX; i++) {
        const struct account *a = d->accounts.list + i;
        struct sign_row *row = new_row(x, a->name, a->zones);
        row->role = a->role;
        row->has_totp = a->has_totp;
        row->open = account_is_open(a, d->utc_ns);
        row->sessions = count_sessions(d, SESSION_PERSON, a->name);
        row->created_ns = a->created_ns;
        row->expires_ns = a->expires_ns;
        row->disabled = a->disabled;
        row->last_ns = a->last_ns;
        row->wait_ms = wait_ms(d, a->name);
    }
    uint32_t end = d->accounts.count + SESSIONS_MAX;
    for (; i < end && x->answer.count < SIGN_ROWS_MAX; i++) {
        if (i >= d->accounts.count && is_vouched(d, i - d->accounts.count, &s)) {
            add_vouched(d, x, &s);
        }
    }
    x->answer.next = i < end ? i : 0;
}

void admin_tokens(struct identity *d, struct exchange *x)
{
    uint32_t i = x->request->from;
    for (; i < d->accounts.token_count && x->answer.count < SIGN_ROWS_MAX; i++) {
        const struct token *t = d->accounts.tokens + i;
        struct sign_row *row = new_row(x, t->name, t->zones);
        memcpy(row->maker, t->maker, sizeof row->maker);
        net_text(&t->net, row->net);
        row->role = t->role;
        row->open = d->utc_ns < t->expires_ns;
        row->sessions = count_sessions(d, SESSION_TOKEN, t->name);
        row->created_ns = t->created_ns;
        row->expires_ns = t->expires_ns;
        row->last_ns = t->last_ns;
    }
    x->answer.next = i < d->accounts.token_count ? i : 0;
}

/* ---- Changes ---- */

/* Every zone that is named is there, and what else must be. */
static bool is_possible(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    const char *why = NULL;
    if (!name_is_good(r->name)) {
        why = "A name is made of letters, digits, and any of - _ . @";
    } else if (!role_name(r->role)) {
        why = "There is no such role.";
    } else if (!zones_are_good(r->zones)) {
        why = "Zones are at most eight names with commas between them.";
    } else if (r->expires_ns && r->expires_ns <= d->utc_ns) {
        why = "It would have expired already.";
    } else if (r->role == ROLE_VENDOR && (!r->expires_ns || !r->zones[0])) {
        why = "A vendor is a guest: say until when, and for which zones.";
    }
    for (const char *at = r->zones; !why && *at;) {
        size_t size = strcspn(at, ",");
        why =
            identity_zone(d, at, size) == PLAN_NONE ? "The plant has no zone of that name." : NULL;
        at += size + (at[size] == ',');
    }
    if (why) {
        exchange_end(x, SIGN_BAD, why);
    }
    return !why;
}

static void end_by(struct exchange *x, int err)
{
    exchange_end(x,
                 err == ERR_EXISTS      ? SIGN_EXISTS
                 : err == ERR_FULL      ? SIGN_FULL
                 : err == ERR_MALFORMED ? SIGN_BAD
                                        : SIGN_BUSY,
                 err_text(err));
}

/* A password that nobody knows, until its owner has come by the link. */
static bool set_unknown(struct exchange *x, struct account *a)
{
    char word[SECRET_TEXT];
    uint8_t digest[32];
    if (x->request->flags & SIGN_TOTP) {
        exchange_end(x, SIGN_BAD,
                     "A second factor is made together with a password: isthmus user password NAME "
                     "--totp.");
        return false;
    }
    bool made =
        digest_new_secret(32, "", word, sizeof word, digest) && !password_hash(word, a->hash);
    explicit_bzero(word, sizeof word);
    if (!made) {
        exchange_end(x, SIGN_BUSY, "");
    }
    return made;
}

/* A password, and a new secret for codes if it is asked for; what is wrong is told. */
static bool set_secrets(struct exchange *x, struct account *a)
{
    const struct sign_request *r = x->request;
    if (r->flags & SIGN_INVITE) {
        return set_unknown(x, a);
    }
    const char *fault = password_fault(r->fresh, a->name);
    if (fault) {
        exchange_end(x, SIGN_BAD, fault);
        return false;
    }
    bool totp = r->flags & SIGN_TOTP;
    if (password_hash(r->fresh, a->hash) ||
        (totp && getrandom(a->totp, sizeof a->totp, GRND_NONBLOCK) != (ssize_t)sizeof a->totp)) {
        exchange_end(x, SIGN_BUSY, "");
        return false;
    }
    a->has_totp |= totp;
    a->totp_last = totp ? 0 : a->totp_last;
    return true;
}

/* The link of that account; one before it ends. The oldest of all makes room. */
static void invite(struct identity *d, struct exchange *x, const struct account *a)
{
    struct invite *place = d->invites;
    char secret[SECRET_TEXT], text[SIGN_TEXT];
    for (uint32_t i = 0; i < INVITES_MAX; i++) {
        struct invite *v = d->invites + i;
        if (!strcmp(v->name, a->name)) {
            place = v;
            break;
        }
        place = v->end_ns < place->end_ns ? v : place;
    }
    *place = (struct invite){.revision = a->revision};
    memcpy(place->name, a->name, sizeof place->name);
    if (!digest_new_secret(16, "", secret, sizeof secret, place->link)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    place->end_ns = d->mono_ns + LINK_NS;
    identity_invite_text(d, x->request->asker, a->name, secret, text);
    exchange_end(x, SIGN_OK, text);
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret, sizeof secret);
}

static void tell_secret(struct identity *d, struct exchange *x, const struct account *a)
{
    char text[TOTP_TEXT_SIZE];
    if (x->request->flags & SIGN_INVITE) {
        invite(d, x, a);
    } else if (x->request->flags & SIGN_TOTP) {
        totp_text(a->totp, text);
        exchange_end(x, SIGN_OK, text);
    }
}

void admin_account_add(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    struct account a = {.role = r->role, .created_ns = d->utc_ns, .expires_ns = r->expires_ns};
    memcpy(a.name, r->name, sizeof a.name);
    memcpy(a.zones, r->zones, sizeof a.zones);
    if (!is_possible(d, x) || !set_secrets(x, &a)) {
        return;
    }
    d->next = d->accounts;
    int err = accounts_add(&d->next, &a);
    if (err) {
        end_by(x, err);
    } else if (identity_keep(d, x)) {
        tell_secret(d, x, accounts_find(&d->accounts, a.name));
    }
}

void admin_account_set(struct identity *d, struct exchange *x)
{
    d->next = d->accounts;
    struct account *a = accounts_find(&d->next, x->request->name);
    if (!a) {
        exchange_end(x, SIGN_NONE, "");
        return;
    }
    bool shuts = x->request->flags & (SIGN_DISABLE | SIGN_ENABLE);
    if (shuts) {
        a->disabled = (x->request->flags & SIGN_DISABLE) != 0;
    }
    if (shuts || set_secrets(x, a)) {
        accounts_changed(&d->next, a);
        if (identity_keep(d, x) && !shuts) {
            tell_secret(d, x, accounts_find(&d->accounts, x->request->name));
        }
    }
}

/* Of somebody whom a provider vouches for there is no account: what can be taken away here are the sessions. */
static void end_vouched(struct identity *d, struct exchange *x)
{
    struct session s;
    uint32_t count = 0;
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (session_at(d->sessions, i, &s) && s.kind == SESSION_VOUCHED &&
            !strcmp(s.name, x->request->name)) {
            session_end(d->sessions, &s);
            count++;
        }
    }
    if (!count) {
        exchange_end(x, SIGN_NONE, "");
    }
}

void admin_account_remove(struct identity *d, struct exchange *x)
{
    if (strchr(x->request->name, '/')) {
        end_vouched(d, x);
        return;
    }
    d->next = d->accounts;
    struct account *a = accounts_find(&d->next, x->request->name);
    if (!a) {
        exchange_end(x, SIGN_NONE, "");
        return;
    }
    accounts_remove(&d->next, a);
    (void)identity_keep(d, x);
}

void admin_token_add(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    struct token t = {.role = r->role, .created_ns = d->utc_ns, .expires_ns = r->expires_ns};
    char secret[SECRET_TEXT];
    memcpy(t.name, r->name, sizeof t.name);
    memcpy(t.zones, r->zones, sizeof t.zones);
    memcpy(t.maker, x->caller.name, sizeof t.maker);
    if (!is_possible(d, x)) {
        return;
    }
    if (!net_parse(r->net, &t.net)) {
        exchange_end(x, SIGN_BAD, "Write a network as 10.1.0.0/16 or 2001:db8::/32.");
        return;
    }
    if (!t.expires_ns) {
        exchange_end(x, SIGN_BAD, "A token ends: say when.");
        return;
    }
    if (r->flags & SIGN_BY_KEY) {
        if (!digest_of_key(r->secret, t.digest)) {
            exchange_end(x, SIGN_BAD, "A key is told by the 64 hex digits of its SHA-256.");
            return;
        }
        secret[0] = 0;
    } else if (!digest_new_secret(32, TOKEN_PREFIX, secret, sizeof secret, t.digest)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    d->next = d->accounts;
    int err = tokens_add(&d->next, &t);
    if (err) {
        end_by(x, err);
    } else if (identity_keep(d, x)) {
        exchange_end(x, SIGN_OK, secret);
    }
    explicit_bzero(secret, sizeof secret);
}

void admin_token_remove(struct identity *d, struct exchange *x)
{
    d->next = d->accounts;
    struct token *t = tokens_find(&d->next, x->request->name);
    if (!t) {
        exchange_end(x, SIGN_NONE, "");
        return;
    }
    tokens_remove(&d->next, t);
    (void)identity_keep(d, x);
}
