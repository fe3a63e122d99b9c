/* SPDX-License-Identifier: Apache-2.0 */
#include "box/board.h"

#include <string.h>

#define TRIES 64

void board_put(struct board_entry *entry, const struct board_row *row)
{
    uint64_t words[BOARD_WORDS];
    uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed) | 1;
    memcpy(words, row, sizeof words);
    atomic_store_explicit(&entry->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < BOARD_WORDS; i++) {
        atomic_store_explicit(entry->words + i, words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&entry->version, version + 1, memory_order_release);
}

bool board_get(const struct board_entry *entry, struct board_row *row)
{
    uint64_t words[BOARD_WORDS];
    for (int i = 0; i < TRIES; i++) {
        uint32_t before = atomic_load_explicit(&entry->version, memory_order_acquire);
        for (size_t k = 0; k < BOARD_WORDS; k++) {
            words[k] = atomic_load_explicit(entry->words + k, memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) &&
            atomic_load_explicit(&entry->version, memory_order_relaxed) == before) {
            memcpy(row, words, sizeof *row);
            return row->number != 0;
        }
    }
    return false;
}
