/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/session.h"

#include <string.h>
#include <sys/random.h>

#include "guard/digest.h"

#define TRIES 64 /* of a reader against a writer, and for an id whose places have room */

static uint32_t first_place(const uint8_t key[32])
{
    uint32_t set = ((uint32_t)key[0] | (uint32_t)key[1] << 8) % (SESSIONS_MAX / SESSION_WAYS);
    return set * SESSION_WAYS;
}

/* A whole copy of an entry; false: free, or never still. */
static bool read_entry(const struct session_entry *e, struct session *out)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t words[SESSION_WORDS];
        uint32_t version = atomic_load_explicit(&e->version, memory_order_acquire);
        uint32_t used = atomic_load_explicit(&e->used, memory_order_relaxed);
        for (size_t w = 0; w < SESSION_WORDS; w++) {
            words[w] = atomic_load_explicit(e->words + w, memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        if (!(version & 1) && atomic_load_explicit(&e->version, memory_order_relaxed) == version) {
            memcpy(out, words, sizeof *out);
            out->name[NAME_SIZE - 1] = 0;
            return used != 0;
        }
    }
    return false;
}

/* NULL: it is free from now on. */
static void write_entry(struct session_entry *e, const struct session *s)
{
    uint64_t words[SESSION_WORDS] = {0};
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed) | 1;
    if (s) {
        memcpy(words, s, sizeof *s);
    }
    atomic_store_explicit(&e->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&e->used, s != NULL, memory_order_relaxed);
    for (size_t w = 0; w < SESSION_WORDS; w++) {
        atomic_store_explicit(e->words + w, words[w], memory_order_relaxed);
    }
    atomic_store_explicit(&e->version, version + 1, memory_order_release);
}

static bool find_key(const struct session_table *t, const uint8_t key[32], struct session *out,
                     uint32_t *place)
{
    uint32_t first = first_place(key);
    for (uint32_t i = first; i < first + SESSION_WAYS; i++) {
        if (read_entry(t->entries + i, out) && digest_equal(out->key, key, sizeof out->key)) {
            *place = i;
            return true;
        }
    }
    return false;
}

bool session_find(const struct session_table *t, const uint8_t id[SESSION_ID_SIZE], uint32_t box,
                  int64_t mono_ns, struct session *out)
{
    uint8_t key[32];
    uint32_t place;
    return digest_sha256(id, SESSION_ID_SIZE, key) && find_key(t, key, out, &place) &&
           out->box == box && !session_is_over(out, mono_ns);
}

int session_add(struct session_table *t, struct session *s, uint8_t id[SESSION_ID_SIZE])
{
    for (int i = 0; i < TRIES; i++) {
        if (getrandom(id, SESSION_ID_SIZE, GRND_NONBLOCK) != SESSION_ID_SIZE ||
            !digest_sha256(id, SESSION_ID_SIZE, s->key)) {
            return ERR_IO;
        }
        uint32_t first = first_place(s->key);
        for (uint32_t k = first; k < first + SESSION_WAYS; k++) {
            if (!atomic_load_explicit(&t->entries[k].used, memory_order_relaxed)) {
                write_entry(t->entries + k, s);
                return ERR_OK;
            }
        }
    }
    return ERR_FULL;
}

void session_touch(struct session_table *t, const struct session *s, int64_t mono_ns)
{
    struct session now;
    uint32_t place;
    if (find_key(t, s->key, &now, &place)) {
        now.used_mono_ns = mono_ns;
        write_entry(t->entries + place, &now);
    }
}

void session_end(struct session_table *t, const struct session *s)
{
    struct session now;
    uint32_t place;
    if (find_key(t, s->key, &now, &place)) {
        write_entry(t->entries + place, NULL);
    }
}

bool session_at(const struct session_table *t, uint32_t i, struct session *out)
{
    return read_entry(t->entries + i, out);
}

void session_recover(struct session_table *t)
{
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (atomic_load_explicit(&t->entries[i].version, memory_order_relaxed) & 1) {
            write_entry(t->entries + i, NULL);
        }
    }
}
