/* SPDX-License-Identifier: Apache-2.0 */
/* Browsing reads what a device offers and changes nothing, so it needs no guard, only a way: from the north box that asks
 * to the device's box, and back. Nothing of it is journaled. The engine never waits: what a full ring does not take is
 * counted, and the end of the browse tells how much. */
#include "engine/internal.h"

#include "guard/session.h"
#include "tag/conduit.h"
#include "tag/status.h"

#include <stdio.h>
#include <string.h>

static void refuse(struct engine *e, struct inlet *asker, const struct record_browse *request,
                   uint32_t status, const char *why)
{
    struct record_browsed end = {.asker = request->asker, .status = status};
    memcpy(end.id, request->id, sizeof end.id);
    snprintf(end.text, sizeof end.text, "%s", why);
    reply_send(e, asker, RECORD_BROWSED, &end, sizeof end); /* else the asker's patience ends it */
}

/* Whether callers of the box may know what the device offers: a service that shows all of the plant, to who may, as far as conduits
 * lead. */
static bool may_browse(struct engine *e, const struct inlet *asker,
                       const struct record_browse *request)
{
    static const uint8_t none[16];
    const struct plan *p = &e->g->plan;
    const struct plan_box *b = p->boxes + asker->box;
    const char *scope = plan_option(p, b->first_option, b->option_count, "scope");
    const char *access = plan_option(p, b->first_option, b->option_count, "access");
    uint32_t zone = p->devices[request->device].zone;
    struct session session;
    bool named = memcmp(request->session, none, sizeof none) != 0;
    bool known = named && session_find(&e->g->identity->sessions, request->session, asker->box,
                                       e->mono_ns, &session);
    bool allowed = known ? role_may(session.role, RIGHT_BROWSE) && session_in_zone(&session, zone)
                         : !named && !(access && !strcmp(access, "signed_in"));
    return allowed && scope && !strcmp(scope, "all") &&
           conduit_reaches(p, b->zone, zone, CONDUIT_READ, e->utc_ns);
}

static void pass_request(struct engine *e, struct inlet *asker, struct record_browse *request)
{
    const struct plan *p = &e->g->plan;
    bool known = request->device < p->header->devices.count;
    struct inlet *to = known ? reply_inlet(e, p->devices[request->device].box, BOX_SOUTH) : NULL;
    request->asker = asker->box;
    asker->items_lost = 0;
    if (!to || !may_browse(e, asker, request)) {
        refuse(e, asker, request, (uint32_t)STATUS_BAD_NODE_UNKNOWN,
               "there is no such device, or you may not browse it");
    } else if (to->down_noted || !to->starts ||
               !reply_send(e, to, RECORD_BROWSE, request, sizeof *request)) {
        refuse(e, asker, request, (uint32_t)STATUS_BAD_NO_COMMUNICATION,
               "the device's box is down or busy");
    }
}

/* An item or an end; its texts are the asker's to check. */
static const char *pass_back(struct engine *e, const struct slot *s, uint32_t asker)
{
    enum record_kind kind = (enum record_kind)record_kind(s);
    size_t size = (size_t)s->value.u64;
    struct inlet *to = reply_inlet(e, asker, BOX_NORTH);
    if (!to) {
        return "it answers a box that can't have asked";
    }
    if (kind == RECORD_ITEM) {
        to->items_lost += !reply_send(e, to, kind, slot_payload(s), size);
        return NULL;
    }
    struct record_browsed end;
    memcpy(&end, slot_payload(s), sizeof end);
    end.lost += to->items_lost;
    reply_send(e, to, kind, &end, sizeof end);
    return NULL;
}

const char *browse_pass(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct record_browse request;
    struct record_item item;
    struct record_browsed end;
    bool south = reply_inlet(e, in->box, BOX_SOUTH) != NULL;
    size_t size = (size_t)s->value.u64;
    switch (record_kind(s)) {
    case RECORD_BROWSE:
        if (!reply_inlet(e, in->box, BOX_NORTH) || size != sizeof request) {
            return "a browse record is malformed";
        }
        memcpy(&request, slot_payload(s), sizeof request);
        pass_request(e, in, &request);
        return NULL;
    case RECORD_ITEM:
        if (!south || size < sizeof item) {
            return "an item record is malformed";
        }
        memcpy(&item, slot_payload(s), sizeof item);
        return pass_back(e, s, item.asker);
    default:
        if (!south || size != sizeof end) {
            return "the end of a browse is malformed";
        }
        memcpy(&end, slot_payload(s), sizeof end);
        return pass_back(e, s, end.asker);
    }
}
