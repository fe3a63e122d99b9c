/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked, and who may ask it, is one table. A change is made to a copy of the accounts; the copy is written, and only
 * then it counts. Sessions that the change concerns end at once. */
#include "identity/core.h"

#include <stdio.h>
#include <string.h>

#include "guard/digest.h"

static void who(struct identity *d, struct exchange *x)
{
    if (x->request->flags & SIGN_USED) {
        session_touch(d->sessions, &x->caller, d->mono_ns);
        x->caller.used_mono_ns = d->mono_ns;
    }
    sign_tell(d, x, &x->caller);
}

static void sign_out(struct identity *d, struct exchange *x)
{
    session_end(d->sessions, &x->caller);
}

static const struct {
    void (*run)(struct identity *d, struct exchange *x);
    bool signed_in;
    uint32_t right; /* that the session's role needs */
} kinds[SIGN_KIND_END] = {
    [SIGN_IN] = {sign_in, false, 0},
    [SIGN_TOKEN] = {sign_token, false, 0},
    [SIGN_LOCAL] = {sign_local, false, 0},
    [SIGN_ENROL] = {sign_enrol, false, 0},
    [SIGN_WHO] = {who, true, 0},
    [SIGN_OUT] = {sign_out, true, 0},
    [SIGN_PASSWORD] = {sign_password, true, 0},
    [SIGN_LINK] = {admin_link, true, RIGHT_ACCOUNTS},
    [SIGN_ACCOUNTS] = {admin_accounts, true, RIGHT_ACCOUNTS},
    [SIGN_ACCOUNT_ADD] = {admin_account_add, true, RIGHT_ACCOUNTS},
    [SIGN_ACCOUNT_SET] = {admin_account_set, true, RIGHT_ACCOUNTS},
    [SIGN_ACCOUNT_REMOVE] = {admin_account_remove, true, RIGHT_ACCOUNTS},
    [SIGN_TOKENS] = {admin_tokens, true, RIGHT_ACCOUNTS},
    [SIGN_TOKEN_ADD] = {admin_token_add, true, RIGHT_ACCOUNTS},
    [SIGN_TOKEN_REMOVE] = {admin_token_remove, true, RIGHT_ACCOUNTS},
    [SIGN_KEY] = {sign_key, false, 0},
    [SIGN_PROVIDERS] = {provider_list, false, 0},
    [SIGN_BEGIN] = {provider_begin, false, 0},
    [SIGN_FINISH] = {provider_finish, false, 0},
};

static bool is_text(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

/* The texts end where they must. */
static bool is_whole(const struct sign_request *r)
{
    return is_text(r->name, sizeof r->name) && is_text(r->zones, sizeof r->zones) &&
           is_text(r->net, sizeof r->net) && is_text(r->secret, sizeof r->secret) &&
           is_text(r->fresh, sizeof r->fresh) && is_text(r->code, sizeof r->code) &&
           is_text(r->proof, sizeof r->proof);
}

void exchange_end(struct exchange *x, enum sign_status status, const char *text)
{
    x->answer.status = (uint32_t)status;
    snprintf(x->answer.text, sizeof x->answer.text, "%s", text);
}

void exchange_begin(struct exchange *x)
{
    const struct sign_request *r = x->request;
    x->asks = false;
    x->answer = (struct sign_answer){
        .asker = r->asker, .kind = r->kind, .flags = r->flags, .status = SIGN_OK};
    memcpy(x->answer.id, r->id, sizeof x->answer.id);
    memcpy(x->answer.address, r->address, sizeof x->answer.address);
}

void identity_answer(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    exchange_begin(x);
    if (r->kind >= SIGN_KIND_END || !kinds[r->kind].run || !is_whole(r)) {
        exchange_end(x, SIGN_BAD, "The request is malformed.");
        return;
    }
    memcpy(x->answer.subject, r->name, sizeof x->answer.subject);
    if (kinds[r->kind].signed_in) {
        if (!session_find(d->sessions, r->session, r->asker, d->mono_ns, &x->caller)) {
            exchange_end(x, SIGN_ENDED, "");
            return;
        }
        memcpy(x->answer.name, x->caller.name, sizeof x->answer.name);
        x->answer.session_kind = x->caller.kind;
        if ((role_rights(x->caller.role) & kinds[r->kind].right) != kinds[r->kind].right) {
            exchange_end(x, SIGN_FORBIDDEN, "");
            return;
        }
    }
    kinds[r->kind].run(d, x);
}

/* ---- Sessions ---- */

static bool is_good(struct identity *d, const struct session *s)
{
    if (session_is_over(s, d->mono_ns)) {
        return false;
    }
    if (s->kind == SESSION_TOKEN) {
        const struct token *t = tokens_find(&d->accounts, s->name);
        return t && t->revision == s->revision && d->utc_ns < t->expires_ns;
    }
    const struct account *a = accounts_find(&d->accounts, s->name);
    return s->kind == SESSION_LOCAL || s->kind == SESSION_VOUCHED ||
           (a && a->revision == s->revision && account_is_open(a, d->utc_ns));
}

void identity_review(struct identity *d)
{
    struct session s;
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (session_at(d->sessions, i, &s) && !is_good(d, &s)) {
            session_end(d->sessions, &s);
        }
    }
}

/* ---- Accounts ---- */

void identity_open(struct identity *d)
{
    session_recover(d->sessions);
    d->broken = accounts_load(&d->accounts, d->disk, d->dir);
    if (d->broken) {
        memset(&d->accounts, 0, sizeof d->accounts); /* nobody's; never written */
    }
    for (uint32_t i = 0; i < d->accounts.count; i++) { /* a predecessor may have taken it */
        d->accounts.list[i].totp_last = (uint64_t)(d->utc_ns / TOTP_STEP_NS);
    }
    identity_review(d);
}

bool identity_keep(struct identity *d, struct exchange *x)
{
    char text[SIGN_TEXT];
    int err = d->broken ? d->broken : accounts_save(&d->next, d->disk, d->dir);
    if (err) {
        snprintf(text, sizeof text, "%s identity/" ACCOUNTS_FILE " below the state folder: %s.",
                 d->broken ? "Can't read" : "Can't write", err_text(err));
        exchange_end(x, SIGN_BROKEN, text);
        return false;
    }
    d->accounts = d->next;
    explicit_bzero(&d->next, sizeof d->next);
    identity_review(d);
    return true;
}

static bool has_administrator(const struct accounts *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->list[i].role == ROLE_ADMINISTRATOR) {
            return true;
        }
    }
    return false;
}

bool identity_make_link(struct identity *d, char secret[SECRET_TEXT])
{
    return !d->broken && !has_administrator(&d->accounts) &&
           digest_new_secret(16, "", secret, SECRET_TEXT, d->link) &&
           (d->link_end_ns = d->mono_ns + LINK_NS) > 0;
}

/* Under the first of its names, if it has any: an address like 0.0.0.0 leads nowhere. */
static void link_text(const struct plan *p, const struct plan_box *b, const char *path,
                      const char *secret, char *text, size_t text_size)
{
    const char *listen = plan_text(p, p->options[b->first_address].value);
    const char *names = plan_option(p, b->first_option, b->option_count, "names");
    const char *tls = plan_option(p, b->first_option, b->option_count, "tls");
    names = names ? names + strspn(names, ", ") : "";
    int size = (int)strcspn(names, ", ");
    bool bracket = size && memchr(names, ':', (size_t)size);
    snprintf(text, text_size, "%s://%s%.*s%s%s%s%s", tls && !strcmp(tls, "true") ? "https" : "http",
             bracket ? "[" : "", size, names, bracket ? "]" : "",
             size ? strrchr(listen, ':') : listen, path, secret);
}

uint32_t identity_link_text(const struct identity *d, uint32_t from, const char *secret,
                            char text[SIGN_TEXT])
{
    const struct plan *p = d->plan;
    for (uint32_t i = from; i < p->header->boxes.count; i++) {
        const struct plan_box *b = p->boxes + i;
        if (b->kind == BOX_NORTH && b->address_count && !strcmp(plan_text(p, b->module), "http")) {
            link_text(p, b, "/#enrol/", secret, text, SIGN_TEXT);
            return i;
        }
    }
    snprintf(text, SIGN_TEXT, "#enrol/%s", secret);
    return PLAN_NONE;
}

/* By the way that the asker came, if people can come that way. */
void identity_invite_text(const struct identity *d, uint32_t asker, const char *name,
                          const char *secret, char text[SIGN_TEXT])
{
    char path[NAME_SIZE + 16];
    const struct plan *p = d->plan;
    bool own = asker < p->header->boxes.count && p->boxes[asker].address_count;
    snprintf(path, sizeof path, "/#join/%s/", name);
    snprintf(text, SIGN_TEXT, "%s%s", path + 1, secret);
    for (uint32_t i = own ? asker : 0; i < p->header->boxes.count; i++) {
        const struct plan_box *b = p->boxes + i;
        if (b->kind == BOX_NORTH && b->address_count && !strcmp(plan_text(p, b->module), "http")) {
            link_text(p, b, path, secret, text, SIGN_TEXT);
            return;
        }
    }
}

void identity_redirect_text(const struct identity *d, uint32_t box, char text[VOUCH_REDIRECT])
{
    const struct plan *p = d->plan;
    const struct plan_box *b = box < p->header->boxes.count ? p->boxes + box : NULL;
    text[0] = 0;
    if (b && b->kind == BOX_NORTH && b->address_count && !strcmp(plan_text(p, b->module), "http")) {
        link_text(p, b, VOUCH_PATH, "", text, VOUCH_REDIRECT);
    }
}

uint32_t identity_zone(const struct identity *d, const char *name, size_t size)
{
    const struct plan *p = d->plan;
    for (uint32_t i = 0; i < p->header->zones.count; i++) {
        const char *zone = plan_text(p, p->zones[i].name);
        if (strlen(zone) == size && !memcmp(zone, name, size)) {
            return i;
        }
    }
    return PLAN_NONE;
}
