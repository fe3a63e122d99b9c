/* SPDX-License-Identifier: Apache-2.0 */
/* How sessions begin. Whoever shows something wrong learns only that it is wrong, and as late as whoever shows something
 * right: a name that nobody has costs the same work. Failures are slowed before any work is done for them. */
#include "identity/core.h"

#include <stdio.h>
#include <string.h>

#include "guard/digest.h"

#define MINUTE_NS      (60 * INT64_C(1000000000))
#define PERSON_IDLE_NS (30 * MINUTE_NS)
#define PERSON_END_NS  (12 * 60 * MINUTE_NS)
#define OTHER_IDLE_NS                                                                              \
    (10 * MINUTE_NS)   /* of a token's or a local user's: it is made again when it is needed */
#define HOLDER_MAX 16u /* sessions of one name; one more ends the one that was used least lately */

/* Names that no account can have: failures of links and tokens are slowed by address alone, and apart. */
#define SLOW_LINK  "\1link"
#define SLOW_TOKEN "\1token"

bool sign_is_slow(struct identity *d, struct exchange *x, const char *name)
{
    int64_t wait = slow_wait(&d->slow, name, x->request->address, d->mono_ns);
    if (wait > 0) {
        exchange_end(x, SIGN_SLOW, "");
        x->answer.retry_ms = (uint32_t)(wait / 1000000) + 1;
    }
    return wait > 0;
}

void sign_failed(struct identity *d, struct exchange *x, const char *name)
{
    slow_failed(&d->slow, name, x->request->address, d->mono_ns);
    exchange_end(x, SIGN_WRONG, "");
}

static bool make_csrf(const uint8_t id[SESSION_ID_SIZE], uint8_t csrf[16])
{
    uint8_t bytes[4 + SESSION_ID_SIZE] = "csrf", digest[32];
    memcpy(bytes + 4, id, SESSION_ID_SIZE);
    bool made = digest_sha256(bytes, sizeof bytes, digest);
    memcpy(csrf, digest, 16);
    return made;
}

void sign_tell(struct identity *d, struct exchange *x, const struct session *s)
{
    struct sign_answer *a = &x->answer;
    if (x->request->kind == SIGN_WHO) {
        memcpy(a->session, x->request->session, sizeof a->session);
    }
    if (!make_csrf(a->session, a->csrf)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    memcpy(a->name, s->name, sizeof a->name);
    memcpy(a->zones, s->zones, sizeof a->zones);
    a->session_kind = s->kind;
    a->role = s->role;
    a->zone_limit = s->zone_limit;
    a->zone_count = s->zone_count;
    a->issued_utc_ns = s->issued_utc_ns;
    a->ends_ms = (uint64_t)(s->end_mono_ns - d->mono_ns) / 1000000;
    a->idle_ms = (uint64_t)s->idle_ns / 1000000;
}

/* Ends the holder's session that was used least lately, if it has as many as it may. */
static void make_room(struct identity *d, const struct session *holder)
{
    struct session s, oldest = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (session_at(d->sessions, i, &s) && s.kind == holder->kind &&
            !strcmp(s.name, holder->name)) {
            if (!count++ || s.used_mono_ns < oldest.used_mono_ns) {
                oldest = s;
            }
        }
    }
    if (count >= HOLDER_MAX) {
        session_end(d->sessions, &oldest);
    }
}

/* Zones that the plan no longer has limit as well: to nothing. */
static void set_zones(struct identity *d, struct session *s, const char *zones)
{
    s->zone_limit = zones[0] != 0;
    for (const char *at = zones; *at && s->zone_count < SESSION_ZONES;) {
        size_t size = strcspn(at, ",");
        uint32_t zone = identity_zone(d, at, size);
        if (zone != PLAN_NONE) {
            s->zones[s->zone_count++] = zone;
        }
        at += size + (at[size] == ',');
    }
}

/* `s` holds name, kind, role, revision and idle; until_utc_ns: its right ends then, 0: never. */
static void begin(struct identity *d, struct exchange *x, struct session *s, const char *zones,
                  int64_t until_utc_ns)
{
    int64_t left = until_utc_ns ? until_utc_ns - d->utc_ns : PERSON_END_NS;
    set_zones(d, s, zones);
    s->box = x->request->asker;
    s->issued_utc_ns = d->utc_ns;
    s->used_mono_ns = d->mono_ns;
    s->end_mono_ns = d->mono_ns + (left < PERSON_END_NS ? left : PERSON_END_NS);
    make_room(d, s);
    if (session_add(d->sessions, s, x->answer.session)) {
        exchange_end(x, SIGN_FULL, "Too many sessions are alive.");
        return;
    }
    sign_tell(d, x, s);
}

static void begin_person(struct identity *d, struct exchange *x, struct account *a)
{
    a->last_ns = d->utc_ns;
    struct session s = {.kind = SESSION_PERSON,
                        .role = a->role,
                        .revision = a->revision,
                        .idle_ns = PERSON_IDLE_NS};
    memcpy(s.name, a->name, sizeof s.name);
    begin(d, x, &s, a->zones, a->expires_ns);
}

void sign_vouched(struct identity *d, struct exchange *x, struct session *s, const char *zones)
{
    s->idle_ns = PERSON_IDLE_NS;
    begin(d, x, s, zones, 0);
}

/* The account that name, password and code open; NULL. */
static struct account *check(struct identity *d, const char *name, const struct sign_request *r)
{
    struct account *a = accounts_find(&d->accounts, name);
    bool open = a && account_is_open(a, d->utc_ns);
    bool right = password_is(r->secret, open ? a->hash : "");
    right = right && (!a->has_totp || totp_take(a->totp, r->code, d->utc_ns, &a->totp_last));
    return right ? a : NULL;
}

static bool is_broken(struct identity *d, struct exchange *x)
{
    if (d->broken) {
        exchange_end(x, SIGN_BROKEN,
                     "Can't read identity/" ACCOUNTS_FILE " below the state folder.");
    }
    return d->broken != 0;
}

void sign_in(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    if (is_broken(d, x) || sign_is_slow(d, x, r->name)) {
        return;
    }
    struct account *a = check(d, r->name, r);
    if (!a) {
        sign_failed(d, x, r->name);
        return;
    }
    slow_passed(&d->slow, r->name, r->address);
    begin_person(d, x, a);
}

static void begin_machine(struct identity *d, struct exchange *x, struct token *t)
{
    t->last_ns = d->utc_ns;
    struct session s = {
        .kind = SESSION_TOKEN, .role = t->role, .revision = t->revision, .idle_ns = OTHER_IDLE_NS};
    memcpy(s.name, t->name, sizeof s.name);
    memcpy(x->answer.subject, t->name, sizeof x->answer.subject);
    begin(d, x, &s, t->zones, t->expires_ns);
}

void sign_token(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    uint8_t digest[32];
    if (is_broken(d, x) || sign_is_slow(d, x, SLOW_TOKEN)) {
        return;
    }
    struct token *t = digest_of_secret(32, TOKEN_PREFIX, r->secret, digest)
                          ? tokens_find_digest(&d->accounts, digest)
                          : NULL;
    if (!t || d->utc_ns >= t->expires_ns || !net_has(&t->net, r->address)) {
        sign_failed(d, x, SLOW_TOKEN);
        return;
    }
    begin_machine(d, x, t);
}

/* Whether it is a box that asks its clients for certificates. */
static bool asks_for_certificates(const struct plan *p, uint32_t box)
{
    const struct plan_box *b = box < p->header->boxes.count ? p->boxes + box : NULL;
    const char *asks = b && b->kind == BOX_NORTH
                           ? plan_option(p, b->first_option, b->option_count, "client_certs")
                           : NULL;
    return asks && strcmp(asks, "none") != 0;
}

/* The box has judged the certificate and seen the key proven. A wrong one is no guess, so nobody is slowed for it. */
void sign_key(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    uint8_t digest[32];
    if (!asks_for_certificates(d->plan, r->asker)) {
        exchange_end(x, SIGN_FORBIDDEN, "");
        return;
    }
    if (is_broken(d, x)) {
        return;
    }
    struct token *t =
        digest_of_key(r->secret, digest) ? tokens_find_digest(&d->accounts, digest) : NULL;
    if (!t || d->utc_ns >= t->expires_ns || !net_has(&t->net, r->address)) {
        exchange_end(x, SIGN_WRONG,
                     "The certificate has no account here, or not now or from there: isthmus token "
                     "add NAME --cert FILE");
        return;
    }
    begin_machine(d, x, t);
}

/* Who calls over the gateway's own socket is known by the kernel to the box that serves it, and only that box's word counts:
 * no network reaches it, and it is no service that somebody has configured. */
void sign_local(struct identity *d, struct exchange *x)
{
    uint32_t box = x->request->asker;
    if (box >= d->plan->header->boxes.count || d->plan->boxes[box].kind != BOX_NORTH ||
        d->plan->boxes[box].zone != PLAN_NONE || d->plan->boxes[box].address_count) {
        exchange_end(x, SIGN_FORBIDDEN, "");
        return;
    }
    struct session s = {
        .kind = SESSION_LOCAL, .role = ROLE_ADMINISTRATOR, .idle_ns = OTHER_IDLE_NS};
    snprintf(s.name, sizeof s.name, "local:%u", x->request->uid);
    memcpy(x->answer.subject, s.name, sizeof x->answer.subject);
    begin(d, x, &s, "", 0);
}

/* NULL: `fresh` may be the password of `name`. */
static bool is_fit(struct exchange *x, const char *fresh, const char *name)
{
    const char *fault = password_fault(fresh, name);
    if (fault) {
        exchange_end(x, SIGN_BAD, fault);
    }
    return !fault;
}

/* The link that is good for the account of that name; NULL. */
static struct invite *find_invite(struct identity *d, const struct sign_request *r,
                                  const uint8_t digest[32])
{
    const struct account *a = accounts_find(&d->accounts, r->name);
    for (uint32_t i = 0; a && i < INVITES_MAX; i++) {
        struct invite *v = d->invites + i;
        if (v->end_ns && d->mono_ns < v->end_ns && v->revision == a->revision &&
            !strcmp(v->name, a->name) && digest_equal(digest, v->link, sizeof v->link)) {
            return v;
        }
    }
    return NULL;
}

/* Its owner chooses the password; what else there is of the account stays. */
static void join(struct identity *d, struct exchange *x, struct invite *v)
{
    const struct sign_request *r = x->request;
    d->next = d->accounts;
    struct account *a = accounts_find(&d->next, r->name);
    if (!account_is_open(a, d->utc_ns)) {
        exchange_end(x, SIGN_BAD, "The account is disabled, or it has expired.");
        return;
    }
    if (password_hash(r->fresh, a->hash)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    accounts_changed(&d->next, a);
    if (identity_keep(d, x)) {
        v->end_ns = 0;
        begin_person(d, x, accounts_find(&d->accounts, r->name));
    }
}

static void enrol_first(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    struct account a = {.role = ROLE_ADMINISTRATOR, .created_ns = d->utc_ns};
    memcpy(a.name, r->name, sizeof a.name);
    d->next = d->accounts;
    int err = password_hash(r->fresh, a.hash);
    err = err ? err : accounts_add(&d->next, &a);
    if (err) {
        exchange_end(x, err == ERR_EXISTS ? SIGN_EXISTS : SIGN_BUSY, "");
    } else if (identity_keep(d, x)) {
        d->link_end_ns = 0;
        begin_person(d, x, accounts_find(&d->accounts, a.name));
    }
}

void sign_enrol(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    uint8_t digest[32];
    if (is_broken(d, x) || sign_is_slow(d, x, SLOW_LINK)) {
        return;
    }
    bool secret = digest_of_secret(16, "", r->secret, digest);
    bool first = secret && d->link_end_ns && d->mono_ns < d->link_end_ns &&
                 digest_equal(digest, d->link, 32);
    struct invite *v = secret ? find_invite(d, r, digest) : NULL;
    if (!first && !v) {
        sign_failed(d, x, SLOW_LINK);
        return;
    }
    if (!name_is_good(r->name)) {
        exchange_end(x, SIGN_BAD, "A name is made of letters, digits, and any of - _ . @");
        return;
    }
    if (!is_fit(x, r->fresh, r->name)) {
        return;
    }
    if (v) {
        join(d, x, v);
    } else {
        enrol_first(d, x);
    }
}

/* One's own; like a sign-in it is slowed, lest a session left open gives the password away. */
void sign_password(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    const char *name = x->caller.name;
    memcpy(x->answer.subject, name, sizeof x->answer.subject);
    if (x->caller.kind != SESSION_PERSON) {
        exchange_end(x, SIGN_BAD, "Only people with an account here have a password here.");
        return;
    }
    if (sign_is_slow(d, x, name) || !is_fit(x, r->fresh, name)) {
        return;
    }
    if (!check(d, name, r)) {
        sign_failed(d, x, name);
        return;
    }
    d->next = d->accounts;
    struct account *a = accounts_find(&d->next, name);
    if (password_hash(r->fresh, a->hash)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    accounts_changed(&d->next, a);
    if (identity_keep(d, x)) {
        begin_person(d, x, accounts_find(&d->accounts, name));
    }
}
