/* SPDX-License-Identifier: Apache-2.0 */
/* Stored values: boxes own no files, so what they must remember (bdSeq, a feed's cursor) is a record in the journal.
 * The engine keeps the latest of each key, and tells the asker once the journal has made it durable. Bounded. */
#ifndef ISTHMUS_ENGINE_STORE_H
#define ISTHMUS_ENGINE_STORE_H

#include "tag/record.h"

#include "base/err.h"

#include <stdbool.h>

#define STORE_ENTRIES_MAX 512u /* keys of all owners */
#define STORE_WAITING_MAX 64u  /* confirmations under way */

struct store_entry {
    uint32_t owner, size;
    char key[STORE_KEY_MAX];
    uint8_t *value; /* owned, STORE_VALUE_MAX */
};

struct store_waiting {
    uint32_t owner, request;
    uint64_t ring_position; /* durable up to here: the value is */
    char key[STORE_KEY_MAX];
};

struct store {
    struct store_entry *entries; /* owned */
    size_t count;
    struct store_waiting waiting[STORE_WAITING_MAX];
    size_t waiting_count;
};

MUST_USE int store_init(struct store *s);
void store_fini(struct store *s);
/* NULL: there is none. */
const struct store_entry *store_find(const struct store *s, uint32_t owner, const char *key);
/* Copies the value. 0, ERR_FULL, ERR_NOMEM, ERR_TOO_LONG. */
MUST_USE int store_put(struct store *s, uint32_t owner, const char *key, const void *value,
                       size_t size);
/* Remembers to confirm; false: too many under way. */
MUST_USE bool store_await(struct store *s, const struct store_waiting *w);

#endif
