/* SPDX-License-Identifier: Apache-2.0 */
/* Figures that outlive the reader: stored values that are fetched at the start and stored every few minutes when they have changed,
 * a few requests at a time. Unlike cursors nothing depends on them: one that is damaged begins anew. */
#include "reader/core.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNDER_WAY_MAX 8u
#define STORE_NS      (300 * NS_PER_S)

/* The key of a name that is too long ends in its checksum. */
void stored_key(char key[STORE_KEY_MAX], const char *prefix, const char *name)
{
    memset(key, 0, STORE_KEY_MAX);
    size_t before = strlen(prefix), length = strlen(name);
    if (before + 1 + length < STORE_KEY_MAX) {
        memcpy(key, prefix, before);
        key[before] = '/';
        memcpy(key + before + 1, name, length);
    } else {
        snprintf(key, STORE_KEY_MAX, "%.12s/%.24s#%08x", prefix, name, crc32c(0, name, length));
    }
}

static bool *dirt_of(const struct kept *k)
{
    return k->flow    ? &k->flow->dirty
           : !k->feed ? &k->device->dirty
           : k->days  ? &k->feed->report.days_dirty
                      : &k->feed->report.hours_dirty;
}

static bool is_dirty(const struct kept *k)
{
    return *dirt_of(k);
}

static void set_dirty(struct kept *k, bool dirty)
{
    *dirt_of(k) = dirty;
}

static size_t encode(const struct kept *k, uint8_t value[STORE_VALUE_MAX])
{
    return k->flow   ? flow_encode(k->flow, value)
           : k->feed ? report_encode(&k->feed->report, k->days, value)
                     : trial_encode(k->device, value);
}

static int decode(const struct kept *k, const uint8_t *value, size_t size)
{
    return k->flow   ? flow_decode(k->flow, value, size)
           : k->feed ? report_decode(&k->feed->report, k->days, value, size)
                     : trial_decode(k->device, value, size);
}

int kept_init(struct reader_core *core)
{
    const struct plan *plan = core->plan;
    uint32_t devices = plan->header->devices.count;
    core->device_count = devices < TRIAL_DEVICES_MAX ? devices : TRIAL_DEVICES_MAX;
    core->devices = calloc(core->device_count + 1, sizeof *core->devices);
    core->kept = calloc(2 * (size_t)core->feed_count + core->device_count + core->flow_count + 1,
                        sizeof *core->kept);
    if (!core->devices || !core->kept) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < 2 * core->feed_count; i++) {
        struct kept *k = core->kept + core->kept_count++;
        *k = (struct kept){.feed = core->feeds + i / 2, .days = i % 2};
        stored_key(k->key, k->days ? "days" : "hours", k->feed->name);
    }
    for (uint32_t i = 0; i < core->device_count; i++) {
        struct kept *k = core->kept + core->kept_count++;
        *k = (struct kept){.device = core->devices + i};
        core->devices[i].index = i;
        stored_key(k->key, "device", plan_text(plan, plan->devices[i].name));
    }
    for (uint32_t i = 0; i < core->flow_count; i++) {
        struct kept *k = core->kept + core->kept_count++;
        char name[512];
        *k = (struct kept){.flow = core->flows + i};
        snprintf(name, sizeof name, "%s/%s", plan_text(plan, plan->boxes[k->flow->box].name),
                 plan_text(plan, plan->zones[k->flow->zone].name));
        stored_key(k->key, "flow", name);
    }
    return ERR_OK;
}

static void send(struct reader_core *core, struct kept *k, enum record_kind kind)
{
    uint8_t payload[sizeof(struct record_store) + STORE_VALUE_MAX];
    uint8_t *value = payload + sizeof(struct record_store);
    struct record_store head = {0};
    memcpy(head.key, k->key, sizeof head.key);
    if (kind == RECORD_STORE) {
        head.size = (uint32_t)encode(k, value);
    }
    memcpy(payload, &head, sizeof head);
    core->store_count = core->store_count == UINT32_MAX ? 1 : core->store_count + 1;
    struct slot slot = {.time = core->utc_ns, .tag = record_tag(kind), .status = core->store_count};
    if (ring_put_record(&core->up, &slot, payload, sizeof head + head.size) == 0) {
        k->request = core->store_count;
        if (kind == RECORD_STORE) {
            set_dirty(k, false);
        }
    }
    k->asked_ns = core->mono_ns;
}

bool kept_take(struct reader_core *core, uint32_t request, const struct record_store *head,
               const uint8_t *value, size_t size)
{
    for (uint32_t i = 0; i < core->kept_count; i++) {
        struct kept *k = core->kept + i;
        if (!k->request || k->request != request) {
            continue;
        }
        k->request = 0;
        if (k->known) {
            set_dirty(k, is_dirty(k) || head->error);
        } else if (!head->error) {
            int err = size ? decode(k, value, size) : ERR_NOT_FOUND;
            k->known = true;
            set_dirty(k, is_dirty(k) || (err && !k->flow)); /* a new one, then */
        }
        return true;
    }
    return false;
}

/* `last`: the process ends. */
void kept_step(struct reader_core *core, bool last)
{
    uint32_t under_way = 0;
    for (uint32_t i = 0; i < core->kept_count; i++) {
        struct kept *k = core->kept + i;
        if (k->request && core->mono_ns - k->asked_ns >= RETRY_NS) {
            k->request = 0;
            set_dirty(k, is_dirty(k) || k->known);
        }
        under_way += k->request != 0;
    }
    for (uint32_t i = 0; i < core->kept_count && (under_way < UNDER_WAY_MAX || last); i++) {
        struct kept *k = core->kept + i;
        bool rested = !k->asked_ns || core->mono_ns - k->asked_ns >= STORE_NS;
        if (k->request || (k->known && !(is_dirty(k) && (rested || last))) ||
            (!k->known && (last || (k->asked_ns && core->mono_ns - k->asked_ns < RETRY_NS)))) {
            continue;
        }
        send(core, k, k->known ? RECORD_STORE : RECORD_FETCH);
        under_way++;
    }
}
