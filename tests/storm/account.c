/* SPDX-License-Identifier: Apache-2.0 */
/* The storm's own account, and the plant whose samples it knows by heart. */
#include "storm.h"

#include <stdlib.h>
#include <string.h>

static void *grow(void *p, size_t *room, size_t need, size_t each)
{
    if (need > *room) {
        size_t more = need * 2;
        p = realloc(p, more * each);
        if (!p) {
            abort();
        }
        memset((char *)p + *room * each, 0, (more - *room) * each);
        *room = more;
    }
    return p;
}

void account_fini(struct account *a)
{
    free(a->told);
    free(a->slots);
    free(a->shed);
    free(a->stored);
}

void account_tell(struct account *a, const struct told *t, const struct slot *slots)
{
    a->told = grow(a->told, &a->room, a->count + 1, sizeof *a->told);
    a->slots = grow(a->slots, &a->slot_room, a->slot_count + t->slot_count, sizeof *a->slots);
    a->told[a->count] = *t;
    a->told[a->count++].slots = a->slot_count;
    if (t->slot_count) {
        memcpy(a->slots + a->slot_count, slots, t->slot_count * sizeof *slots);
    }
    a->slot_count += t->slot_count;
}

void account_tell_stored(struct account *a, struct stored s)
{
    a->stored = grow(a->stored, &a->stored_room, a->stored_count + 1, sizeof *a->stored);
    a->stored[a->stored_count++] = s;
}

void account_shed(struct account *a, uint64_t unit, bool yes)
{
    a->shed = grow(a->shed, &a->shed_room, (size_t)unit + 1, 1);
    a->shed[unit] = yes;
}

bool account_is_shed(const struct account *a, uint64_t unit)
{
    return unit < a->shed_room && a->shed[unit];
}

struct told *account_find(const struct account *a, uint64_t sequence)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->told[middle].first + a->told[middle].sequences <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < a->count && a->told[low].first <= sequence ? a->told + low : NULL;
}

static uint64_t mixed(const struct world *w, uint64_t unit)
{
    uint64_t z = w->seed * 31 + w->account.life * UINT64_C(0x9e3779b97f4a7c15) + unit;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

enum fate plant_fate(const struct world *w, uint64_t unit)
{
    uint64_t x = mixed(w, unit) >> 40 & 15;
    return x < 12 ? JOURNALED : x < 14 ? SUPPRESSED : REJECTED;
}

uint32_t plant_tag(const struct world *w, uint64_t unit)
{
    return (uint32_t)(mixed(w, unit) >> 32 & 3) + 1;
}

enum value_type plant_type(uint32_t tag)
{
    return tag == STORM_TAGS ? VALUE_BYTES : VALUE_UINT64;
}

size_t plant_sample(const struct world *w, uint64_t unit, struct slot *out)
{
    uint64_t x = mixed(w, unit);
    bool late = (x >> 20 & 31) == 0;
    *out = (struct slot){.time = (int64_t)(w->account.life << 28 | unit) * NS_PER_MS -
                                 (late ? 5 * NS_PER_S : 0),
                         .value.u64 = x,
                         .tag = plant_tag(w, unit),
                         .status = (x >> 26 & 15) ? 0 : 0x80000000u};
    if (!value_is_long(plant_type(plant_tag(w, unit)))) {
        return 1;
    }
    size_t size = x & 31; /* a text */
    memset(out + 1, 0, 2 * sizeof *out);
    memset(out + 1, 'a' + (int)(x >> 8 & 15), size);
    out->tag |= SLOT_LONG;
    out->value.u64 = size;
    return slot_count_for(size);
}
