/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor does with the rings of a box that wrote garbage, and what the middle says of such a box. */
#include "box/gateway.h"

#include <stdio.h>
#include <string.h>

/* The consumer may have taken, and even journaled, more than its tail tells, but never more than a whole ring beyond
 * it. So both positions move on to there: the ring is empty, and no position is ever used for two slots. */
static void skip_ring(void *memory, size_t capacity, struct ring_tail *tail)
{
    struct ring_head *head = memory;
    if (head) {
        uint64_t position = atomic_load(&tail->tail) + capacity;
        atomic_store(&tail->tail,
                     position); /* first: a tail beyond its own position tells the consumer */
        atomic_store(&head->head, position);
    }
}

/* The producer's word stands, the consumer's position is made to fit it. */
static void drop_ring(const void *memory, struct ring_tail *tail)
{
    const struct ring_head *head = memory;
    if (head) {
        atomic_store(&tail->tail, atomic_load(&head->head));
        ring_end_nap(tail);
    }
}

void gateway_reset_rings(struct gateway *g, int seat)
{
    struct seat *s = g->seats + seat;
    skip_ring(s->up, s->up_capacity, s->up_tail);
    skip_ring(s->ask, s->ask_capacity, s->ask_tail);
    drop_ring(s->down, s->down_tail);
    drop_ring(s->answer, s->answer_tail);
}

static bool whole(const void *memory, size_t capacity, const struct ring_tail *tail)
{
    const struct ring_head *head = memory;
    return !head || atomic_load(&head->head) - atomic_load(&tail->tail) <= capacity;
}

bool gateway_rings_whole(const struct gateway *g, int seat)
{
    const struct seat *s = g->seats + seat;
    return whole(s->up, s->up_capacity, s->up_tail) &&
           whole(s->down, s->down_capacity, s->down_tail) &&
           whole(s->ask, s->ask_capacity, s->ask_tail) &&
           whole(s->answer, s->answer_capacity, s->answer_tail);
}

void verdict_raise(struct verdict *v, uint64_t epoch, const char *reason)
{
    char text[97];
    snprintf(text, sizeof text, "wrote garbage: %s", reason);
    words_from_text(v->reason, 12, text);
    atomic_store(&v->epoch, epoch);
    atomic_fetch_add(&v->raised, 1);
}

void words_from_text(_Atomic uint64_t *words, size_t count, const char *text)
{
    size_t size = strnlen(text, count * 8);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = 0;
        if (i * 8 < size) {
            memcpy(&word, text + i * 8, size - i * 8 < 8 ? size - i * 8 : 8);
        }
        atomic_store_explicit(words + i, word, memory_order_relaxed);
    }
}

void text_from_words(const _Atomic uint64_t *words, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word = atomic_load_explicit(words + i, memory_order_relaxed);
        memcpy(text + i * 8, &word, 8);
    }
    text[count * 8] = 0;
}
