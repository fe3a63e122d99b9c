/* SPDX-License-Identifier: Apache-2.0 */
/* Sign-ins, and what administrators ask of the identity: from the north box that asks, and back. Nothing of it is journaled,
 * for it holds secrets. Who asks is written here, so a box can't speak for another. The engine never waits: what finds no room
 * is refused as busy, and an answer that finds none is ended by the asker's patience.
 *
 * The audit hears of what came of it, from the answers. Who may sign in is not changed while it can't be written; signing in,
 * to look at the plant, still works then. Failures that come thick are counted, and the next entry tells how many. */
#include "engine/internal.h"

#include "guard/accounts.h"
#include "guard/sign.h"
#include "guard/vouch.h"

#include <stdio.h>
#include <string.h>

#define FAILURES_TOLD 10u /* in a second */

static const struct {
    enum audit_kind kind; /* of the audit's entry; 0: none */
    bool needs_audit;     /* is not done without */
    const char *what;
} kinds[SIGN_KIND_END] = {
    [SIGN_IN] = {AUDIT_SIGN_IN, false, ""},
    [SIGN_TOKEN] = {AUDIT_SIGN_IN, false, ""},
    [SIGN_LOCAL] = {AUDIT_SIGN_IN, false, ""},
    [SIGN_ENROL] = {AUDIT_ACCOUNT_CHANGED, true, "chose the password by a link"},
    [SIGN_OUT] = {AUDIT_SESSION_ENDED, false, "signed out"},
    [SIGN_PASSWORD] = {AUDIT_ACCOUNT_CHANGED, true, "changed the own password"},
    [SIGN_LINK] = {AUDIT_ACCOUNT_CHANGED, true, "made a link for the first administrator"},
    [SIGN_ACCOUNT_ADD] = {AUDIT_ACCOUNT_CHANGED, true, "added"},
    [SIGN_ACCOUNT_SET] = {AUDIT_ACCOUNT_CHANGED, true, "given another password"},
    [SIGN_ACCOUNT_REMOVE] = {AUDIT_ACCOUNT_CHANGED, true, "removed"},
    [SIGN_TOKEN_ADD] = {AUDIT_TOKEN_CHANGED, true, "added"},
    [SIGN_TOKEN_REMOVE] = {AUDIT_TOKEN_CHANGED, true, "revoked"},
    [SIGN_KEY] = {AUDIT_SIGN_IN, false, "by certificate"},
    [SIGN_FINISH] = {AUDIT_SIGN_IN, false, "by its provider"},
};

static const char *prefix_of(const struct sign_answer *a)
{
    return a->session_kind == SESSION_PERSON || a->session_kind == SESSION_VOUCHED ? "user:"
           : a->session_kind == SESSION_TOKEN                                      ? "token:"
                                                                                   : "";
}

/* In words of the audit. */
static const char *what_of(const struct sign_answer *a)
{
    bool set = a->kind == SIGN_ACCOUNT_SET;
    return a->status == SIGN_SLOW             ? "slowed down"
           : a->status == SIGN_WRONG          ? "wrong"
           : a->status == SIGN_REFUSED        ? "refused:"
           : set && (a->flags & SIGN_DISABLE) ? "disabled"
           : set && (a->flags & SIGN_ENABLE)  ? "enabled"
           : set && (a->flags & SIGN_INVITE)  ? "given a link for another password"
                                              : kinds[a->kind].what;
}

/* False: this failure is only counted. */
static bool tell_failure(struct engine *e)
{
    if (e->mono_ns - e->failures.since_ns >= 1000000000) {
        e->failures.since_ns = e->mono_ns;
        e->failures.told = 0;
    }
    bool tell = e->failures.told < FAILURES_TOLD;
    e->failures.told += tell;
    e->failures.untold += !tell;
    return tell;
}

static void tell_audit(struct engine *e, const struct inlet *to, const struct sign_answer *a)
{
    static const uint8_t nowhere[16];
    char from[NET_TEXT] = "";
    uint64_t ticket;
    struct net net = {.bits = 128};
    bool done = a->status == SIGN_OK;
    bool failed = a->status == SIGN_WRONG || a->status == SIGN_SLOW || a->status == SIGN_REFUSED;
    if (!e->audit || a->kind >= SIGN_KIND_END || !kinds[a->kind].kind || (!done && !failed) ||
        (failed && !tell_failure(e))) {
        return;
    }
    struct audit_entry entry = {.kind = done ? kinds[a->kind].kind : AUDIT_SIGN_IN_FAILED,
                                .utc_ns = e->utc_ns};
    if (failed) {
        entry.detail = e->failures.untold;
        e->failures.untold = 0;
    }
    if (memcmp(a->address, nowhere, sizeof nowhere) != 0) {
        memcpy(net.address, a->address, sizeof net.address);
        net_text(&net, from);
        from[strcspn(from, "/")] = 0;
    }
    snprintf(entry.who, sizeof entry.who, "%s%.40s", done ? prefix_of(a) : "", done ? a->name : "");
    snprintf(entry.where, sizeof entry.where, "%.31s", to->seat->name);
    snprintf(entry.subject, sizeof entry.subject, "%.*s", (int)sizeof a->subject - 1, a->subject);
    const char *what = what_of(a);
    snprintf(entry.text, sizeof entry.text, "%s%s%s%s%s%.100s", what, *what && *from ? " " : "",
             *from ? "from " : "", from, a->status == SIGN_REFUSED ? " " : "",
             a->status == SIGN_REFUSED ? a->text : "");
    if (audit_append(e->audit, &entry, false, &ticket)) {
        e->failures.untold += failed; /* told by the next that finds room */
    }
}

static void refuse(struct engine *e, struct inlet *asker, const struct sign_request *request,
                   enum sign_status status, const char *why)
{
    struct sign_answer answer = {
        .asker = asker->box, .kind = request->kind, .status = (uint32_t)status};
    memcpy(answer.id, request->id, sizeof answer.id);
    snprintf(answer.text, sizeof answer.text, "%s", why);
    (void)reply_send(e, asker, RECORD_SIGNED, &answer, sizeof answer);
}

static const char *pass_request(struct engine *e, struct inlet *asker, const struct slot *s)
{
    struct inlet *identity = e->inlets + (SEAT_IDENTITY - SEAT_READER);
    struct sign_request request = {.kind = 0};
    size_t size = (size_t)s->value.u64;
    if (!reply_inlet(e, asker->box, BOX_NORTH) || size > sizeof request) {
        return "a sign-in record is malformed";
    }
    memcpy(&request, slot_payload(s), size);
    if (size != sign_request_size(request.kind)) {
        return "a sign-in record is malformed";
    }
    request.asker = asker->box;
    if (request.kind < SIGN_KIND_END && kinds[request.kind].needs_audit &&
        (!e->audit || audit_failed(e->audit))) {
        refuse(e, asker, &request, SIGN_BROKEN,
               "The audit can't be written, and without it nothing of this is changed.");
    } else if (!reply_send(e, identity, RECORD_SIGN, &request, size)) {
        refuse(e, asker, &request, SIGN_BUSY, "");
    }
    explicit_bzero(&request, sizeof request);
    return NULL;
}

/* In the place of a box that is not there: nobody has to wait for it. */
static void vouch_for_nobody(struct engine *e, const struct vouch_request *request)
{
    struct inlet *identity = e->inlets + (SEAT_IDENTITY - SEAT_READER);
    struct vouch_answer answer = {.provider = request->provider,
                                  .act = request->act,
                                  .status = VOUCH_FAR,
                                  .text = "The service that asks it is not running now."};
    memcpy(answer.id, request->id, sizeof answer.id);
    (void)reply_send(e, identity, RECORD_VOUCHED, &answer, sizeof answer);
}

/* Between the identity and the box of a provider. Which box has answered is written here. */
const char *vouch_pass(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct inlet *identity = e->inlets + (SEAT_IDENTITY - SEAT_READER);
    struct vouch_request request;
    struct vouch_answer answer;
    if (in->box == FRAME_IDENTITY && record_kind(s) == RECORD_VOUCH &&
        s->value.u64 == sizeof request) {
        memcpy(&request, slot_payload(s), sizeof request);
        struct inlet *to = reply_inlet(e, request.provider, BOX_NORTH);
        if (!to || !atomic_load_explicit(&to->seat->panel->ready, memory_order_relaxed) ||
            !reply_send(e, to, RECORD_VOUCH, &request, sizeof request)) {
            vouch_for_nobody(e, &request);
        }
        explicit_bzero(&request, sizeof request);
        return NULL;
    }
    if (record_kind(s) != RECORD_VOUCHED || s->value.u64 != sizeof answer ||
        !vouch_is_provider(&e->g->plan, in->box)) {
        return "it vouches for nobody";
    }
    memcpy(&answer, slot_payload(s), sizeof answer);
    answer.provider = in->box;
    (void)reply_send(e, identity, RECORD_VOUCHED, &answer, sizeof answer);
    return NULL;
}

const char *sign_pass(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct sign_answer answer;
    if (record_kind(s) == RECORD_SIGN) {
        return pass_request(e, in, s);
    }
    if (in->box != FRAME_IDENTITY || s->value.u64 < sizeof answer) {
        return "the answer to a sign-in is not its own";
    }
    memcpy(&answer, slot_payload(s), sizeof answer);
    struct inlet *to = reply_inlet(e, answer.asker, BOX_NORTH);
    if (!to) {
        return "it answers a box that can't have asked";
    }
    tell_audit(e, to, &answer);
    (void)reply_send(e, to, RECORD_SIGNED, slot_payload(s), (size_t)s->value.u64);
    return NULL;
}
