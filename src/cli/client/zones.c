/* SPDX-License-Identifier: Apache-2.0 */
/* The zones, the conduits between them, and what flowed in the last day. */
#include "cli/client/client.h"

#include <stdio.h>

#define NAMES_MAX 200u

static const char *names_of(char out[NAMES_MAX], const json_t *list)
{
    size_t i, used = 0;
    const json_t *name;
    out[0] = 0;
    json_array_foreach(list, i, name)
    {
        int n =
            snprintf(out + used, NAMES_MAX - used, "%s%s", i ? ", " : "", json_string_value(name));
        used += n < 0 || (size_t)n >= NAMES_MAX - used ? NAMES_MAX - used - 1 : (size_t)n;
    }
    return out;
}

static void print_zones(const struct client *c, const json_t *reply)
{
    struct table t = {0};
    size_t i;
    const json_t *zone;
    table_row(&t, 4, "ZONE", "TAGS", "DEVICES", "SERVICES");
    json_array_foreach(json_object_get(reply, "zones"), i, zone)
    {
        char tags[32], devices[NAMES_MAX], services[NAMES_MAX];
        table_row(&t, 4, text_of(zone, "zone"), number_of(tags, zone, "tags", 1, "%.0f"),
                  names_of(devices, json_object_get(zone, "devices")),
                  names_of(services, json_object_get(zone, "services")));
    }
    table_print(&t, c->colour);
}

static void print_conduits(const struct client *c, const json_t *reply)
{
    struct table t = {0};
    size_t i;
    const json_t *conduit;
    table_row(&t, 6, "CONDUIT", "FROM", "TO", "LETS", "TAGS", "UNTIL");
    json_array_foreach(json_object_get(reply, "conduits"), i, conduit)
    {
        char tags[NAMES_MAX];
        bool read = json_is_true(json_object_get(conduit, "read"));
        bool command = json_is_true(json_object_get(conduit, "command"));
        const char *until = text_of(conduit, "until");
        names_of(tags, json_object_get(conduit, "tags"));
        table_row(&t, 6, text_of(conduit, "conduit"), text_of(conduit, "from"),
                  text_of(conduit, "to"),
                  read && command ? "read, command"
                  : read          ? "read"
                                  : "command",
                  json_is_true(json_object_get(conduit, "all_tags")) ? "all" : tags,
                  !json_is_true(json_object_get(conduit, "open")) ? "closed"
                  : *until                                        ? until
                                                                  : "for good");
    }
    table_print(&t, c->colour);
}

static void print_flows(const struct client *c, const json_t *reply)
{
    struct table t = {0};
    size_t i;
    const json_t *flow;
    table_row(&t, 8, "THROUGH", "FROM", "TO", "VALUES", "QUERIES", "READS REFUSED", "COMMANDS",
              "COMMANDS REFUSED");
    json_array_foreach(json_object_get(reply, "flows"), i, flow)
    {
        char n[5][32];
        const char *from = text_of(flow, "from");
        table_row(&t, 8, text_of(flow, "service"), *from ? from : "(at the gateway)",
                  text_of(flow, "to"), number_of(n[0], flow, "values", 1, "%.0f"),
                  number_of(n[1], flow, "queries", 1, "%.0f"),
                  number_of(n[2], flow, "reads_refused", 1, "%.0f"),
                  number_of(n[3], flow, "commands_allowed", 1, "%.0f"),
                  number_of(n[4], flow, "commands_refused", 1, "%.0f"));
    }
    puts(i ? "In the last 24 hours:" : "Nothing flowed in the last 24 hours.");
    if (i) {
        table_print(&t, c->colour);
    }
}

int client_zones(const struct client *c)
{
    int status;
    json_t *reply = client_get(c, "/api/v1/zones", &status);
    if (!reply) {
        return status;
    }
    if (c->json) {
        print_json(reply);
    } else {
        print_zones(c, reply);
        putchar('\n');
        if (json_array_size(json_object_get(reply, "conduits"))) {
            print_conduits(c, reply);
            putchar('\n');
        }
        print_flows(c, reply);
    }
    json_decref(reply);
    return CLI_OK;
}
