/* SPDX-License-Identifier: Apache-2.0 */
/* People whom a provider vouches for (OpenID Connect, code flow with PKCE). Every word that ties a sign-in together is made
 * here: state, nonce, verifier, and the browser's own. The service that talks to the browser carries the first and the last,
 * the box that talks to the provider the second and third, and neither can finish a sign-in that the other has not seen. What
 * a person may do is decided here too, by the groups that the configuration names.
 *
 * An attempt lives in this process only: one that is killed lets its browsers begin again. */
#include "identity/core.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "guard/digest.h"

#define ATTEMPT_NS    (600 * INT64_C(1000000000)) /* the person has so long at the provider */
#define ATTEMPTS_OF   8u                          /* under way from one address */
#define SLOW_PROVIDER "\1provider"
#define WORD_TEXT     33u /* of 16 bytes in hex digits, terminated */
#define BEGUN_ELSEWHERE                                                                            \
    "It was begun in another browser, under another name of the gateway, or too long ago, or it "  \
    "has been used already: begin again."

static void to_hex(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Without padding (RFC 7636, appendix A). */
static void to_base64url(const uint8_t bytes[32], char out[VOUCH_WORD])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < 32; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6) {
            *out++ = digits[held >> (bits - 6) & 63];
        }
    }
    *out++ = digits[held << (6 - bits) & 63];
    *out = 0;
}

static bool make_word(char out[VOUCH_WORD])
{
    uint8_t bytes[16];
    bool made = getrandom(bytes, sizeof bytes, GRND_NONBLOCK) == (ssize_t)sizeof bytes;
    to_hex(bytes, sizeof bytes, out);
    return made;
}

static bool make_verifier(char verifier[VOUCH_WORD], char challenge[VOUCH_WORD])
{
    uint8_t bytes[32];
    bool made = getrandom(bytes, sizeof bytes, GRND_NONBLOCK) == (ssize_t)sizeof bytes;
    to_base64url(bytes, verifier);
    made = made && digest_sha256(verifier, strlen(verifier), bytes);
    to_base64url(bytes, challenge);
    return made;
}

static bool is_over(const struct identity *d, const struct attempt *a)
{
    return !a->begun_ns || d->mono_ns - a->begun_ns >= ATTEMPT_NS;
}

/* A free place; else that of the oldest from the same address, if it has many, or of the oldest of all. */
static struct attempt *place_for(struct identity *d, const uint8_t address[16])
{
    struct attempt *oldest = d->attempts, *own = NULL, *empty = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ATTEMPTS_MAX; i++) {
        struct attempt *a = d->attempts + i;
        if (is_over(d, a)) {
            empty = a;
            continue;
        }
        oldest = a->begun_ns < oldest->begun_ns ? a : oldest;
        if (!memcmp(a->request.address, address, 16)) {
            count++;
            own = !own || a->begun_ns < own->begun_ns ? a : own;
        }
    }
    return count >= ATTEMPTS_OF ? own : empty ? empty : oldest;
}

/* Who asked, so that the answer finds him later; nothing that is secret. */
static void keep_request(struct attempt *a, const struct sign_request *r)
{
    a->request = (struct sign_request){.asker = r->asker, .kind = r->kind};
    memcpy(a->request.id, r->id, sizeof r->id);
    memcpy(a->request.address, r->address, sizeof r->address);
}

static void ask_provider(struct identity *d, struct exchange *x, struct attempt *a,
                         enum vouch_act act)
{
    struct vouch_request *v = &x->vouch;
    *v = (struct vouch_request){.provider = a->provider, .act = (uint32_t)act};
    if (getrandom(a->id, sizeof a->id, GRND_NONBLOCK) != (ssize_t)sizeof a->id) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    memcpy(v->id, a->id, sizeof v->id);
    memcpy(v->nonce, a->nonce, sizeof v->nonce);
    identity_redirect_text(d, a->request.asker, v->redirect);
    x->asks = true;
}

void provider_list(struct identity *d, struct exchange *x)
{
    const struct plan *p = d->plan;
    uint32_t i = x->request->from;
    for (; i < p->header->boxes.count && x->answer.count < SIGN_ROWS_MAX; i++) {
        const struct plan_box *b = p->boxes + i;
        if (vouch_is_provider(p, i)) {
            const char *label = plan_option(p, b->first_option, b->option_count, "label");
            struct sign_row *row = x->rows + x->answer.count++;
            *row = (struct sign_row){0};
            snprintf(row->name, sizeof row->name, "%s", plan_text(p, b->name));
            snprintf(row->zones, sizeof row->zones, "%s", label && *label ? label : row->name);
        }
    }
    x->answer.next = i < p->header->boxes.count ? i : 0;
}

void provider_begin(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    uint32_t provider = plan_find_box(d->plan, r->name);
    if (sign_is_slow(d, x, SLOW_PROVIDER)) {
        return;
    }
    if (provider == PLAN_NONE || !vouch_is_provider(d->plan, provider)) {
        exchange_end(x, SIGN_NONE, "");
        return;
    }
    struct attempt *a = place_for(d, r->address);
    char challenge[VOUCH_WORD];
    *a = (struct attempt){.provider = provider};
    keep_request(a, r);
    if (!make_word(a->state) || !make_word(a->nonce) ||
        getrandom(a->browser, sizeof a->browser, GRND_NONBLOCK) != (ssize_t)sizeof a->browser ||
        !make_verifier(a->verifier, challenge)) {
        exchange_end(x, SIGN_BUSY, "");
        return;
    }
    a->begun_ns = d->mono_ns;
    ask_provider(d, x, a, VOUCH_BEGIN);
    memcpy(x->vouch.state, a->state, sizeof x->vouch.state);
    memcpy(x->vouch.word, challenge, sizeof x->vouch.word);
}

/* The attempt of that state that waits for its browser. */
static struct attempt *find_waiting(struct identity *d, const struct sign_request *r)
{
    struct attempt *found = NULL;
    for (uint32_t i = 0; i < ATTEMPTS_MAX; i++) {
        struct attempt *a = d->attempts + i;
        char browser[WORD_TEXT];
        to_hex(a->browser, sizeof a->browser, browser);
        if (!is_over(d, a) && a->waits && a->request.asker == r->asker &&
            digest_equal(a->state, r->fresh, WORD_TEXT) &&
            digest_equal(browser, r->secret, WORD_TEXT)) {
            found = a;
        }
    }
    return found;
}

/* A state is good once, whatever comes of it. */
void provider_finish(struct identity *d, struct exchange *x)
{
    const struct sign_request *r = x->request;
    if (sign_is_slow(d, x, SLOW_PROVIDER)) {
        return;
    }
    struct attempt *a = find_waiting(d, r);
    if (!a) {
        sign_failed(d, x, SLOW_PROVIDER);
        exchange_end(x, SIGN_WRONG, BEGUN_ELSEWHERE);
        return;
    }
    a->waits = false;
    keep_request(a, r);
    ask_provider(d, x, a, VOUCH_FINISH);
    memcpy(x->vouch.word, a->verifier, sizeof x->vouch.word);
    memcpy(x->vouch.code, r->proof, sizeof x->vouch.code);
}

/* ---- What the provider's box says ---- */

static bool is_text(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

/* Letters that can stand in the audit, in a line of text and in a configuration; no '/', which parts the provider's name from it. */
static bool name_is_fit(const char *name)
{
    size_t size = strlen(name);
    return size > 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+|:=") ==
               size;
}

/* The first of the configuration's groups that the person is in. */
static bool find_role(const struct identity *d, const struct vouch_answer *v,
                      struct vouch_group *out)
{
    for (uint32_t i = 0; i < VOUCH_GROUPS && vouch_group(d->plan, v->provider, i, out); i++) {
        if (v->groups >> i & 1) {
            return true;
        }
    }
    return false;
}

static void begin_vouched(struct identity *d, struct exchange *x, const struct vouch_answer *v)
{
    const char *provider = plan_text(d->plan, d->plan->boxes[v->provider].name);
    struct session s = {.kind = SESSION_VOUCHED};
    struct vouch_group group;
    char text[SIGN_TEXT];
    int size = snprintf(s.name, sizeof s.name, "%s/%s", provider, v->name);
    snprintf(x->answer.subject, sizeof x->answer.subject, "%s", s.name);
    if (!name_is_fit(v->name) || size > (int)VOUCH_NAME_MAX) {
        snprintf(
            text, sizeof text,
            "The name that %s gives you can't be used here: at most %u letters, digits, and any "
            "of - _ . @ + | : = can. The administrator can choose another claim: name_claim.",
            provider, VOUCH_NAME_MAX - 1 - (unsigned)strlen(provider));
        exchange_end(x, SIGN_REFUSED, text);
    } else if (!find_role(d, v, &group)) {
        snprintf(text, sizeof text,
                 "%s knows you as %s, but none of your groups has a role on this gateway. Ask its "
                 "administrator: section people of the configuration.",
                 provider, v->name);
        exchange_end(x, SIGN_REFUSED, text);
    } else {
        s.role = group.role;
        sign_vouched(d, x, &s, group.zones);
    }
}

static struct attempt *find_asking(struct identity *d, const struct vouch_answer *v)
{
    for (uint32_t i = 0; i < ATTEMPTS_MAX; i++) {
        struct attempt *a = d->attempts + i;
        if (!is_over(d, a) && !a->waits && a->provider == v->provider &&
            a->request.kind == (v->act == VOUCH_BEGIN ? SIGN_BEGIN : SIGN_FINISH) &&
            digest_equal(a->id, v->id, sizeof a->id)) {
            return a;
        }
    }
    return NULL;
}

/* Where the browser must go; its own word travels as the answer's session, and so as a cookie. */
static void send_away(struct exchange *x, struct attempt *a, const struct vouch_answer *v)
{
    a->waits = true;
    exchange_end(x, SIGN_OK, v->text);
    memcpy(x->answer.session, a->browser, sizeof a->browser);
}

bool identity_vouched(struct identity *d, const struct vouch_answer *v, struct exchange *x)
{
    struct attempt *a = is_text(v->name, sizeof v->name) && is_text(v->text, sizeof v->text)
                            ? find_asking(d, v)
                            : NULL;
    if (!a) {
        return false;
    }
    *x = (struct exchange){.request = &a->request};
    exchange_begin(x);
    if (v->status != VOUCH_OK) {
        exchange_end(x, v->status == VOUCH_FAR ? SIGN_FAR : SIGN_REFUSED, v->text);
    } else if (v->act == VOUCH_BEGIN) {
        send_away(x, a, v);
        return true;
    } else {
        begin_vouched(d, x, v);
    }
    a->begun_ns = 0;
    return true;
}
