/* SPDX-License-Identifier: Apache-2.0 */
/* Data contracts in the audit: when one takes effect, takes effect in another way (other terms, other signers, as a trial), or ends.
 * What an entry's text says before its "; before" is how it stands; the newest entry of a name is what was known of it. One whose
 * last entry is older than the audit recalls is told again. */
#include "engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANNER_SIZE 80u /* "signed TERMS by KEY,KEY" */
#define TERMS_BYTES 16u /* of a digest: who wants it whole finds it in the signature's file */
#define GONE_MAX    256u
#define BEFORE      "; before "
#define NOT_IN_PLAN PLAN_NONE

struct known {
    char name[AUDIT_SUBJECT_SIZE];
    char manner[MANNER_SIZE]; /* "": never told of */
    bool ended;
    uint32_t feed; /* NOT_IN_PLAN: the configuration has it no more */
};

struct known_contracts {
    uint32_t count, room;
    struct known list[];
};

struct known_contracts *contracts_new(const struct plan *plan)
{
    uint32_t feeds = plan->header->feeds.count;
    struct known_contracts *k = calloc(1, sizeof *k + (feeds + GONE_MAX) * sizeof *k->list);
    for (uint32_t i = 0; k && i < feeds; i++) {
        struct known *c = k->list + k->count++;
        snprintf(c->name, sizeof c->name, "%s", plan_text(plan, plan->feeds[i].name));
        c->feed = i;
    }
    if (k) {
        k->room = feeds + GONE_MAX;
    }
    return k;
}

void contracts_free(struct known_contracts *k)
{
    free(k);
}

void contracts_recall(struct known_contracts *k, const struct audit_entry *a)
{
    if (a->kind != AUDIT_CONTRACT_IN_EFFECT && a->kind != AUDIT_CONTRACT_ENDED) {
        return;
    }
    char name[AUDIT_SUBJECT_SIZE], text[AUDIT_TEXT_SIZE + 1];
    snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, a->subject);
    snprintf(text, sizeof text, "%.*s", (int)sizeof a->text, a->text);
    uint32_t i = 0;
    while (i < k->count && strcmp(k->list[i].name, name) != 0) {
        i++;
    }
    if (i == k->count && k->count == k->room) {
        return; /* of so many that are gone nobody needs to know that they are */
    }
    struct known *c = k->list + i;
    if (i == k->count) {
        k->count++;
        *c = (struct known){.feed = NOT_IN_PLAN};
        snprintf(c->name, sizeof c->name, "%s", name);
    }
    char *end = strstr(text, BEFORE);
    if (end) {
        *end = '\0';
    }
    snprintf(c->manner, sizeof c->manner, "%.*s", (int)sizeof c->manner - 1, text);
    c->ended = a->kind == AUDIT_CONTRACT_ENDED;
}

static void describe(const struct plan *plan, const struct plan_feed *f, char out[MANNER_SIZE])
{
    static const char *const words[] = {[FEED_TRIAL] = "trial",
                                        [FEED_SIGNED] = "signed",
                                        [FEED_PARTLY] = "partly",
                                        [FEED_UNSIGNED] = "unsigned"};
    char terms[2 * TERMS_BYTES + 1];
    for (uint32_t i = 0; i < TERMS_BYTES; i++) {
        sprintf(terms + (size_t)2 * i, "%02x", f->digest[i]);
    }
    int n = snprintf(out, MANNER_SIZE, "%s %s", words[f->effect], terms);
    if (f->signatures[FEED_OWNER].at_ns && f->signatures[FEED_CUSTODIAN].at_ns) {
        snprintf(out + n, MANNER_SIZE - (size_t)n, " by %.16s,%.16s",
                 plan_text(plan, f->signatures[FEED_OWNER].key),
                 plan_text(plan, f->signatures[FEED_CUSTODIAN].key));
    }
}

static void tell(struct engine *e, const struct known *c, enum audit_kind kind, const char *manner,
                 const struct plan_feed *f)
{
    const struct plan *plan = &e->g->plan;
    struct audit_entry entry = {.kind = kind, .utc_ns = e->utc_ns};
    uint64_t unused;
    if (f) {
        snprintf(entry.who, sizeof entry.who, "%.22s, %.22s", plan_text(plan, f->owner),
                 plan_text(plan, f->custodian));
    }
    snprintf(entry.subject, sizeof entry.subject, "%s", c->name);
    snprintf(entry.text, sizeof entry.text, "%s" BEFORE "%s", manner,
             c->manner[0] ? c->manner : "nothing");
    int full = audit_append(e->audit, &entry, false, &unused);
    (void)full; /* it is told at the next start, then */
}

void contracts_tell(struct engine *e, const struct known_contracts *k)
{
    for (uint32_t i = 0; e->audit && i < k->count; i++) {
        const struct known *c = k->list + i;
        const struct plan_feed *f = c->feed == NOT_IN_PLAN ? NULL : e->g->plan.feeds + c->feed;
        bool ends = !f || f->effect == FEED_UNSIGNED;
        char manner[MANNER_SIZE] = "no such contract any more";
        if (f) {
            describe(&e->g->plan, f, manner);
        }
        if (ends && c->manner[0] && !c->ended) {
            tell(e, c, AUDIT_CONTRACT_ENDED, manner, f);
        } else if (!ends && (c->ended || strcmp(manner, c->manner) != 0)) {
            tell(e, c, AUDIT_CONTRACT_IN_EFFECT, manner, f);
        }
    }
}
