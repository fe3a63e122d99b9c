/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts ask of the edge node: births again, and writes. Writes go to the guard like any other command; until OT
 * allows a write they end refused. A message can ask for few, and only few are under way, so that nobody can flood the
 * engine; what is beyond is refused here. */
#include "north/sparkplug/sparkplug.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define COMMAND_SIZE_MAX 65536u
#define COMMANDS_MAX     16u /* of one message */

static void on_receipt(void *context, const struct record_receipt *receipt)
{
    struct node *n = context;
    if (receipt->state != COMMAND_CONFIRMED) {
        n->refused++;
    }
}

static bool is_rebirth(const struct metric *m)
{
    static const char name[] = "Node Control/Rebirth";
    return m->name_size == sizeof name - 1 && !memcmp(m->name, name, m->name_size) &&
           m->field == METRIC_BOOLEAN && m->number;
}

static uint32_t find(struct node *n, const struct metric *m)
{
    if (m->has_alias) {
        return m->alias && m->alias <= SLOT_ID_MAX ? tags_find(n, (uint32_t)m->alias) : UINT32_MAX;
    }
    return m->name_size ? tags_find_path(n, m->name, m->name_size) : UINT32_MAX;
}

static void request(struct node *n, const struct metric *m)
{
    uint32_t tag = find(n, m);
    struct record_command command = {0};
    bool good = tag != UINT32_MAX && !m->is_null &&
                metric_value(m, n->tags[tag].shape.type, &command.value) == 0;
    if (good) {
        command.act = COMMAND_WRITE;
        command.tag = n->plan->tags[tag].id;
        command.type = (uint32_t)n->tags[tag].shape.type;
        good = getrandom(command.id, sizeof command.id, 0) == sizeof command.id &&
               snprintf(command.reason, sizeof command.reason, "over MQTT") > 0 &&
               service_command(n->host, &command, on_receipt, n) == 0;
    }
    n->refused += !good;
}

bool command_take(struct node *n, const void *data, size_t size, bool to_node)
{
    struct payload_head head;
    bool rebirth = false;
    if (size > COMMAND_SIZE_MAX || payload_check(data, size, &head)) {
        n->refused++;
        return false;
    }
    struct reader in = reader_of(data, size);
    struct metric m;
    for (uint32_t count = 0; payload_next(&in, &m) > 0;) {
        if (to_node && is_rebirth(&m)) {
            rebirth = true;
        } else if (count++ < COMMANDS_MAX) {
            request(n, &m);
        } else {
            n->refused++;
        }
    }
    return rebirth;
}

void command_report(struct node *n)
{
    if (n->refused) {
        service_log(n->host, "refused %u requests that came over MQTT", n->refused);
        n->refused = 0;
    }
}
