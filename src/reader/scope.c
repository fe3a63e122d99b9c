/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see what: the tags of its feeds, and what concerns them; or all. Never more than conduits let its zone read, nor
 * than the zones that a session is limited to. */
#include "reader/core.h"

#include "tag/conduit.h"

#include <stdlib.h>
#include <string.h>

static int scope_init(struct scope *s, const struct plan *plan)
{
    const struct plan_header *h = plan->header;
    uint32_t end_id = h->tags.count ? plan->tags[h->tags.count - 1].id + 1 : 0;
    s->tags = calloc(end_id / 64 + 1, sizeof *s->tags);
    s->devices = calloc(h->devices.count + 1, 1);
    s->boxes = calloc(h->boxes.count + 1, 1);
    if (!s->tags || !s->devices || !s->boxes) {
        scope_fini(s);
        return ERR_NOMEM;
    }
    s->filter = (struct filter){.tags = s->tags,
                                .end_id = end_id,
                                .devices = s->devices,
                                .boxes = s->boxes,
                                .device_count = h->devices.count,
                                .box_count = h->boxes.count};
    return ERR_OK;
}

void scope_fini(struct scope *s)
{
    free(s->tags);
    free(s->devices);
    free(s->boxes);
    *s = (struct scope){0};
}

static void add_tag(struct scope *s, const struct plan_tag *t)
{
    s->tags[t->id / 64] |= UINT64_C(1) << (t->id % 64);
    if (t->device != PLAN_NONE) {
        s->devices[t->device] = 1;
    }
    if (t->box != PLAN_NONE) {
        s->boxes[t->box] = 1;
    }
}

static void add_feed(struct scope *s, const struct plan *plan, const struct plan_feed *f)
{
    uint32_t zone = plan->boxes[f->box].zone;
    for (uint32_t i = 0; i < f->tag_count; i++) {
        const struct plan_tag *t = plan_find_tag(plan, plan->feed_tags[f->first_tag + i]);
        if (t && conduit_lets(plan, zone, t, CONDUIT_READ, INT64_MAX, NULL)) {
            add_tag(s, t);
        }
    }
    s->boxes[f->box] = 1;
}

int scope_of_feed(struct scope *s, const struct plan *plan, uint32_t feed)
{
    int err = scope_init(s, plan);
    if (!err) {
        add_feed(s, plan, plan->feeds + feed);
    }
    return err;
}

static void add_all(struct scope *s, const struct plan *plan, uint32_t zone, int64_t utc_ns)
{
    for (uint32_t i = 0; i < plan->header->tags.count; i++) {
        if (conduit_lets(plan, zone, plan->tags + i, CONDUIT_READ, utc_ns, NULL)) {
            add_tag(s, plan->tags + i);
        }
    }
    for (uint32_t i = 0; i < plan->header->devices.count; i++) {
        const struct plan_device *d = plan->devices + i;
        if (conduit_reaches(plan, zone, d->zone, CONDUIT_READ, utc_ns)) {
            s->devices[i] = 1;
            s->boxes[d->box] = 1;
        }
    }
    for (uint32_t i = 0; i < plan->header->boxes.count; i++) {
        s->boxes[i] |= plan->boxes[i].kind == BOX_NORTH;
    }
}

int scope_of_box(struct scope *s, const struct plan *plan, uint32_t box, int64_t utc_ns)
{
    int err = scope_init(s, plan);
    if (err) {
        return err;
    }
    const struct plan_box *b = plan->boxes + box;
    const char *scope = plan_option(plan, b->first_option, b->option_count, "scope");
    s->all = scope && !strcmp(scope, "all");
    s->boxes[box] = 1;
    if (s->all) {
        add_all(s, plan, b->zone, utc_ns);
    }
    for (uint32_t i = 0; i < plan->header->feeds.count; i++) {
        if (plan->feeds[i].box == box) {
            add_feed(s, plan, plan->feeds + i);
        }
    }
    return ERR_OK;
}

/* ---- Sessions that are limited to zones. ---- */

static bool in_zones(const struct narrow *n, uint32_t zone)
{
    bool found = false;
    for (uint32_t i = 0; i < n->zone_count; i++) {
        found |= n->zones[i] == zone;
    }
    return found;
}

static int make_narrow(struct narrow *n, const struct link *link, const struct plan *plan)
{
    int err = scope_init(&n->scope, plan);
    for (uint32_t i = 0; !err && i < plan->header->tags.count; i++) {
        const struct plan_tag *t = plan->tags + i;
        if (in_zones(n, t->zone) && filter_has_tag(&link->scope.filter, t->id)) {
            add_tag(&n->scope, t);
        }
    }
    for (uint32_t i = 0; !err && i < plan->header->devices.count; i++) {
        const struct plan_device *d = plan->devices + i;
        if (in_zones(n, d->zone) && link->scope.devices[i]) {
            n->scope.devices[i] = 1;
            n->scope.boxes[d->box] = 1;
        }
    }
    return err;
}

static bool same_zones(const struct narrow *n, const struct session *s)
{
    return n->used && n->zone_count == s->zone_count &&
           !memcmp(n->zones, s->zones, s->zone_count * sizeof *s->zones);
}

const struct scope *scope_for(struct link *link, const struct plan *plan,
                              const struct session *session, struct narrow **narrow)
{
    struct narrow *n = NULL;
    *narrow = NULL;
    if (!session || !session->zone_limit || session->zone_count > SESSION_ZONES) {
        return session && session->zone_count > SESSION_ZONES ? NULL : &link->scope;
    }
    for (uint32_t i = 0; i < NARROW_MAX && !(n && same_zones(n, session)); i++) {
        struct narrow *at = link->narrow + i;
        if (same_zones(at, session) || (!at->users && (!n || at->used < n->used))) {
            n = at;
        }
    }
    if (!n) {
        return NULL;
    }
    if (!same_zones(n, session)) {
        scope_fini(&n->scope);
        *n = (struct narrow){.zone_count = session->zone_count};
        memcpy(n->zones, session->zones, sizeof n->zones);
        if (make_narrow(n, link, plan)) {
            return NULL;
        }
    }
    n->used = ++link->narrow_count;
    n->users++;
    *narrow = n;
    return &n->scope;
}

void scope_release(struct narrow *narrow)
{
    if (narrow) {
        narrow->users--;
    }
}

static void remake(struct link *link, const struct plan *plan, int64_t utc_ns)
{
    scope_fini(&link->scope);
    int err = scope_of_box(&link->scope, plan, link->box, utc_ns);
    for (uint32_t i = 0; i < NARROW_MAX; i++) {
        struct narrow *n = link->narrow + i;
        if (n->used) {
            scope_fini(&n->scope);
            err = make_narrow(n, link, plan);
        }
    }
    (void)err; /* an empty one lets nothing through */
}

void scopes_turn(struct reader_core *core)
{
    if (core->utc_ns < core->scopes_until_ns) {
        return;
    }
    for (uint32_t i = 0; i < core->link_count; i++) {
        remake(core->links + i, core->plan, core->utc_ns);
    }
    core->scopes_until_ns = conduit_next_end(core->plan, core->utc_ns);
}
