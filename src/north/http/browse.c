/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/browse?device=NAME: what the device says that it offers. The answer comes even if the caller has left
 * meanwhile: the exchange then takes itself out of the ticket. */
#include "north/http/http.h"

#include <stdlib.h>
#include <string.h>

#include "tag/status.h"
#include "tag/value.h"

static void on_item(void *context, const struct browse_item *item)
{
    struct request *r = ((const struct ticket *)context)->request;
    if (!r) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    json_pair_text(j, "name", item->name);
    json_pair_text(j, "address", item->address);
    json_pair_text(j, "type", item->type ? value_type_name((enum value_type)item->type) : "");
    json_pair_text(j, "unit", item->unit);
    json_pair_text(j, "description", item->description);
    json_pair_bool(j, "writable", item->writable);
    json_close(j, '}');
    request_grown(r);
}

static void on_end(void *context, uint32_t status, const char *text, uint32_t lost)
{
    struct ticket *ticket = context;
    struct request *r = ticket->request;
    free(ticket);
    if (!r) {
        return;
    }
    r->ticket = NULL;
    if (status) {
        request_problem(r, 502, "The device could not be browsed",
                        *text ? text : status_name(status));
        return;
    }
    json_close(&r->body, ']');
    json_pair_uint(&r->body, "lost", lost);
    json_close(&r->body, '}');
    request_done(r);
}

void browse_begin(struct request *r)
{
    const struct plan *p = r->http->plan;
    const char *name = request_argument(r, "device");
    uint32_t device = 0, count = p->header->devices.count;
    while (name && device < count && strcmp(plan_text(p, p->devices[device].name), name) != 0) {
        device++;
    }
    if (!name || device == count) {
        request_problem(r, name ? 404 : 400, name ? "No such device" : "Argument missing",
                        name ? "No device has that name; see /api/v1/devices for those there are."
                             : "Name a device: /api/v1/browse?device=NAME.");
        return;
    }
    struct ticket *ticket = malloc(sizeof *ticket);
    struct browse_handler handler = {.item = on_item, .end = on_end, .context = ticket};
    if (!ticket || service_browse(r->http->host, device, r->session, &handler)) {
        free(ticket);
        request_problem(r, 503, "Busy", "Another browse is under way; try again in a moment.");
        return;
    }
    ticket->request = r;
    r->ticket = ticket;
    json_open(&r->body, '{');
    json_pair_text(&r->body, "device", name);
    json_key(&r->body, "items");
    json_open(&r->body, '[');
}
