/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/slow.h"

#include <string.h>

#include "guard/digest.h"

#define SECOND_NS INT64_C(1000000000)
#define FORGET_NS (15 * 60 * SECOND_NS) /* after so long without a failure */

enum { BOTH, NAME, ADDRESS, KINDS };

static const struct {
    uint32_t free; /* failures that cost nothing */
    int64_t most_ns;
} rules[KINDS] = {[BOTH] = {5, 300 * SECOND_NS},
                  [NAME] = {10, 30 * SECOND_NS},
                  [ADDRESS] = {20, 300 * SECOND_NS}};

static uint64_t key_of(int kind, const char *name, const uint8_t address[16])
{
    uint8_t bytes[1 + 8 + 8 + 256] = {(uint8_t)kind}, digest[32];
    bool v4 = !memcmp(address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    size_t size = kind == ADDRESS ? 0 : strnlen(name, 256);
    uint64_t key;
    if (kind != NAME) {
        memcpy(bytes + 1, address, 8);
        memcpy(bytes + 9, address + 8, v4 ? 8 : 0);
    }
    memcpy(bytes + 17, name, size);
    if (!digest_sha256(bytes, 17 + size, digest)) {
        return 1; /* all share one then: slower, never faster */
    }
    memcpy(&key, digest, sizeof key);
    return key ? key : 1;
}

static const struct slow_entry *find(const struct slow *s, uint64_t key, int64_t mono_ns)
{
    for (uint32_t i = 0; i < SLOW_ENTRIES; i++) {
        const struct slow_entry *e = s->entries + i;
        if (e->key == key && mono_ns - e->failed_ns < FORGET_NS) {
            return e;
        }
    }
    return NULL;
}

int64_t slow_wait(const struct slow *s, const char *name, const uint8_t address[16],
                  int64_t mono_ns)
{
    int64_t wait = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const struct slow_entry *e = find(s, key_of(kind, name, address), mono_ns);
        if (e && e->until_ns - mono_ns > wait) {
            wait = e->until_ns - mono_ns;
        }
    }
    return wait;
}

/* The key's entry, or one for it: free, forgotten, or quiet for longest. */
static struct slow_entry *entry_for(struct slow *s, uint64_t key, int64_t mono_ns)
{
    struct slow_entry *oldest = s->entries;
    for (uint32_t i = 0; i < SLOW_ENTRIES; i++) {
        struct slow_entry *e = s->entries + i;
        if (e->key == key) {
            oldest = e;
            break;
        }
        if (!e->key || (oldest->key && e->failed_ns < oldest->failed_ns)) {
            oldest = e;
        }
    }
    if (oldest->key != key || mono_ns - oldest->failed_ns >= FORGET_NS) {
        *oldest = (struct slow_entry){.key = key};
    }
    return oldest;
}

void slow_failed(struct slow *s, const char *name, const uint8_t address[16], int64_t mono_ns)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct slow_entry *e = entry_for(s, key_of(kind, name, address), mono_ns);
        e->failed_ns = mono_ns;
        e->failures += e->failures < UINT32_MAX;
        if (e->failures >= rules[kind].free) {
            uint32_t doublings = e->failures - rules[kind].free;
            int64_t wait = doublings < 20 ? SECOND_NS << doublings : rules[kind].most_ns;
            e->until_ns = mono_ns + (wait < rules[kind].most_ns ? wait : rules[kind].most_ns);
        }
    }
}

void slow_passed(struct slow *s, const char *name, const uint8_t address[16])
{
    uint64_t key = key_of(BOTH, name, address);
    for (uint32_t i = 0; i < SLOW_ENTRIES; i++) {
        if (s->entries[i].key == key) {
            s->entries[i] = (struct slow_entry){0};
        }
    }
}
