/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/store.h"

#include <stdlib.h>
#include <string.h>

int store_init(struct store *s)
{
    *s = (struct store){.entries = calloc(STORE_ENTRIES_MAX, sizeof *s->entries)};
    return s->entries ? ERR_OK : ERR_NOMEM;
}

void store_fini(struct store *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->entries[i].value);
    }
    free(s->entries);
    *s = (struct store){0};
}

const struct store_entry *store_find(const struct store *s, uint32_t owner, const char *key)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->entries[i].owner == owner && !strncmp(s->entries[i].key, key, STORE_KEY_MAX)) {
            return s->entries + i;
        }
    }
    return NULL;
}

int store_put(struct store *s, uint32_t owner, const char *key, const void *value, size_t size)
{
    if (size > STORE_VALUE_MAX) {
        return ERR_TOO_LONG;
    }
    struct store_entry *e = (struct store_entry *)store_find(s, owner, key);
    if (!e) {
        if (s->count == STORE_ENTRIES_MAX) {
            return ERR_FULL;
        }
        e = s->entries + s->count;
        e->value =
            malloc(STORE_VALUE_MAX); /* once per key, so that later values allocate nothing */
        if (!e->value) {
            return ERR_NOMEM;
        }
        e->owner = owner;
        memcpy(e->key, key, strnlen(key, STORE_KEY_MAX));
        s->count++;
    }
    memcpy(e->value, value, size);
    e->size = (uint32_t)size;
    return ERR_OK;
}

bool store_await(struct store *s, const struct store_waiting *w)
{
    if (s->waiting_count == STORE_WAITING_MAX) {
        return false;
    }
    s->waiting[s->waiting_count++] = *w;
    return true;
}
