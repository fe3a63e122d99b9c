/* SPDX-License-Identifier: Apache-2.0 */
/* An identity on a simulated disk, for its tests: asked request by request, with the clock in hand. */
#ifndef ISTHMUS_IDENTITY_TEST_HOUSE_H
#define ISTHMUS_IDENTITY_TEST_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "box/test_plan.h"
#include "identity/core.h"
#include "journal/sim_disk.h"

#define SECOND INT64_C(1000000000)
#define UTC    (1700000000 * SECOND)
#define WORD   "correct horse battery"

/* Boxes: a driver's, one that a network reaches, the gateway's own, one that asks for certificates, one that vouches for people, a
 * service that no network reaches. */
enum { FIELD, OPEN, LOCAL, MACHINES, SSO, DEAF };

struct house {
    struct plan plan;
    void *image;
    struct sim *sim;
    struct session_table *table;
    struct identity *d;
    struct exchange x;
};

static inline void make_plan(struct house *h)
{
    size_t size;
    struct plan_build *b = plan_build_new();
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "line-1")});
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "line-2")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "field"),
                                         .kind = BOX_SOUTH,
                                         .ring_capacity = 1024});
    uint32_t address = plan_build_option(b, "bind", "127.0.0.1:8480");
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "console"),
                                         .module = plan_build_text(b, "http"),
                                         .kind = BOX_NORTH,
                                         .first_address = address,
                                         .address_count = 1});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "local"),
                                         .kind = BOX_NORTH,
                                         .zone = PLAN_NONE});
    uint32_t asks = plan_build_option(b, "client_certs", "optional");
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "machines"),
                                         .kind = BOX_NORTH,
                                         .first_option = asks,
                                         .option_count = 1,
                                         .first_address = address,
                                         .address_count = 1});
    uint32_t groups = plan_build_option(b, "connect", "127.0.0.1:443");
    plan_build_option(b, VOUCH_GROUP_KEY, "engineer * plant engineers");
    plan_build_option(b, VOUCH_GROUP_KEY, "operator line-2,line-1 ops");
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "sso"),
                                         .module = plan_build_text(b, VOUCH_MODULE),
                                         .kind = BOX_NORTH,
                                         .first_address = groups,
                                         .address_count = 3});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "deaf"), .kind = BOX_NORTH});
    assert_int_equal(plan_build_finish(b, &h->image, &size), 0);
    assert_int_equal(plan_open(&h->plan, h->image, size), 0);
    plan_build_free(b);
}

static inline void restart(struct house *h)
{
    int64_t mono = h->d ? h->d->mono_ns : SECOND, utc = h->d ? h->d->utc_ns : UTC;
    free(h->d);
    h->d = calloc(1, sizeof *h->d);
    h->d->plan = &h->plan;
    h->d->sessions = h->table;
    h->d->disk = sim_disk(h->sim);
    h->d->mono_ns = mono;
    h->d->utc_ns = utc;
    identity_open(h->d);
}

static inline struct house *house_new(void)
{
    struct house *h = calloc(1, sizeof *h);
    make_plan(h);
    h->sim = sim_new(1);
    h->table = aligned_alloc(64, sizeof *h->table);
    memset(h->table, 0, sizeof *h->table);
    restart(h);
    return h;
}

static inline void house_free(struct house *h)
{
    free(h->d);
    free(h->table);
    sim_free(h->sim);
    free(h->image);
    free(h);
}

static inline void pass(struct house *h, int64_t seconds)
{
    h->d->mono_ns += seconds * SECOND;
    h->d->utc_ns += seconds * SECOND;
    identity_review(h->d);
}

static inline const struct sign_answer *ask(struct house *h, struct sign_request r)
{
    h->x.request = &r;
    identity_answer(h->d, &h->x);
    h->x.request = NULL;
    return &h->x.answer;
}

struct id {
    uint8_t bytes[SESSION_ID_SIZE];
};

/* A request in the name of a session. */
static inline struct sign_request as(struct id id, uint32_t box, enum sign_kind kind)
{
    struct sign_request r = {.kind = kind, .asker = box};
    memcpy(r.session, id.bytes, sizeof r.session);
    return r;
}

static inline struct id local(struct house *h)
{
    struct id id;
    const struct sign_answer *a =
        ask(h, (struct sign_request){.kind = SIGN_LOCAL, .asker = LOCAL, .uid = 1000});
    assert_int_equal(a->status, SIGN_OK);
    assert_string_equal(a->name, "local:1000");
    memcpy(id.bytes, a->session, sizeof id.bytes);
    return id;
}

static inline void add(struct house *h, const char *name, enum role role, const char *zones,
                       int64_t expires_ns, uint32_t flags)
{
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_ADD);
    strcpy(r.name, name);
    strcpy(r.zones, zones);
    strcpy(r.fresh, WORD);
    r.role = role;
    r.expires_ns = expires_ns;
    r.flags = flags;
    const struct sign_answer *a = ask(h, r);
    if (a->status != SIGN_OK) {
        fail_msg("%u %s", a->status, a->text);
    }
}

static inline enum sign_status try_in(struct house *h, const char *name, const char *word,
                                      uint8_t from, struct id *id)
{
    struct sign_request r = {
        .kind = SIGN_IN, .asker = OPEN, .address = {[10] = 0xff, 0xff, 10, 0, 0, from}};
    strcpy(r.name, name);
    strcpy(r.secret, word);
    const struct sign_answer *a = ask(h, r);
    memcpy(id->bytes, a->session, sizeof id->bytes);
    return (enum sign_status)a->status;
}

static inline enum sign_status who(struct house *h, struct id id, uint32_t box, bool used)
{
    struct sign_request r = as(id, box, SIGN_WHO);
    r.flags = used ? SIGN_USED : 0;
    return (enum sign_status)ask(h, r)->status;
}

#endif
