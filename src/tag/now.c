/* SPDX-License-Identifier: Apache-2.0 */
/* Long values lie in the zone's text area as whole words, guarded by the same entry's version. */
#include "tag/now.h"
#include "tag/status.h"

#include <assert.h>
#include <string.h>

#define READ_TRIES 64

static size_t words_for(size_t bytes)
{
    return (bytes + 7) / 8;
}

size_t now_bytes(const struct plan_zone *zone)
{
    return zone->tag_count * sizeof(struct now_entry) + words_for((size_t)zone->text_size) * 8;
}

struct now_table now_view(void *memory, const struct plan_zone *zone)
{
    struct now_entry *entries = memory;
    return (struct now_table){.entries = entries,
                              .text = (_Atomic uint64_t *)(entries + zone->tag_count),
                              .count = zone->tag_count,
                              .text_size = zone->text_size};
}

static void put(_Atomic uint64_t *word, uint64_t v)
{
    atomic_store_explicit(word, v, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

void now_write(struct now_table *t, const struct plan_tag *tag, const struct slot *slot,
               const uint8_t *bytes, uint64_t sequence)
{
    assert(tag->zone_index < t->count);
    struct now_entry *e = t->entries + tag->zone_index;
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed);
    atomic_store_explicit(&e->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&e->status, slot->status, memory_order_relaxed);
    atomic_store_explicit(&e->time, slot->time, memory_order_relaxed);
    put(&e->value, slot->value.u64);
    put(&e->sequence, sequence);
    if (bytes) {
        size_t size = (size_t)slot->value.u64;
        assert(size <= tag->max_length && tag->text_offset + words_for(size) * 8 <= t->text_size);
        _Atomic uint64_t *text = t->text + tag->text_offset / 8;
        for (size_t i = 0; i < words_for(size); i++) {
            uint64_t word = 0;
            memcpy(&word, bytes + i * 8, size - i * 8 < 8 ? size - i * 8 : 8);
            put(text + i, word);
        }
    }
    atomic_store_explicit(&e->version, version + 2, memory_order_release);
}

static void copy_out(const struct now_table *t, const struct plan_tag *tag,
                     const struct now_entry *e, struct now_value *out)
{
    out->slot.time = atomic_load_explicit(&e->time, memory_order_relaxed);
    out->slot.value.u64 = get(&e->value);
    out->slot.status = atomic_load_explicit(&e->status, memory_order_relaxed);
    out->sequence = get(&e->sequence);
    out->length = 0;
    if (value_is_long((enum value_type)tag->type)) {
        uint64_t size = out->slot.value.u64;
        out->length = (uint16_t)(size <= tag->max_length ? size : 0);
        const _Atomic uint64_t *text = t->text + tag->text_offset / 8;
        for (size_t i = 0; i < words_for(out->length); i++) {
            uint64_t word = get(text + i);
            size_t left = out->length - i * 8;
            memcpy(out->bytes + i * 8, &word, left < 8 ? left : 8);
        }
    }
}

int now_read(const struct now_table *t, const struct plan_tag *tag, struct now_value *out)
{
    if (tag->zone_index >= t->count) {
        return ERR_NOT_FOUND;
    }
    const struct now_entry *e = t->entries + tag->zone_index;
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&e->version, memory_order_acquire);
        if (before & 1) {
            continue;
        }
        copy_out(t, tag, e, out);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&e->version, memory_order_relaxed) == before) {
            out->slot.tag = tag->id;
            if (!before) {
                out->slot.status = (uint32_t)STATUS_BAD_WAITING_INITIAL;
            }
            return ERR_OK;
        }
    }
    return ERR_BUSY;
}

#define ACCOUNT_TRIES 1000

/* The engine changes one number after the other. A look in between does not balance; the next one will. */
void now_account(const struct now_table *t, const struct plan_tag *tag, struct now_account *out)
{
    *out = (struct now_account){0};
    if (tag->zone_index >= t->count) {
        return;
    }
    const struct now_entry *e = t->entries + tag->zone_index;
    for (int i = 0; i < ACCOUNT_TRIES; i++) {
        out->produced = atomic_load_explicit(&e->produced, memory_order_acquire);
        out->journaled = atomic_load_explicit(&e->journaled, memory_order_acquire);
        out->suppressed = atomic_load_explicit(&e->suppressed, memory_order_acquire);
        out->rejected = atomic_load_explicit(&e->rejected, memory_order_acquire);
        out->gaps = atomic_load_explicit(&e->gaps, memory_order_acquire);
        if (now_is_balanced(out)) {
            return;
        }
    }
}
