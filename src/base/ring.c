/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

__attribute__((unused)) static bool power_of_two(size_t n)
{
    return n && !(n & (n - 1));
}

int ring_producer_init(struct ring_producer *p, void *memory, size_t capacity,
                       const struct ring_tail *tail, int wake_fd)
{
    assert(power_of_two(capacity));
    struct ring_head *head = memory;
    *p = (struct ring_producer){.head = head,
                                .slots = (struct slot *)(head + 1),
                                .tail = tail,
                                .capacity = capacity,
                                .wake_fd = wake_fd};
    p->next = atomic_load_explicit(&head->head, memory_order_relaxed);
    p->known_tail = atomic_load_explicit(&tail->tail, memory_order_acquire);
    return p->next - p->known_tail > capacity ? ERR_GARBAGE : ERR_OK;
}

int ring_consumer_init(struct ring_consumer *c, const void *memory, size_t capacity,
                       struct ring_tail *tail)
{
    assert(power_of_two(capacity));
    const struct ring_head *head = memory;
    *c = (struct ring_consumer){
        .head = head, .slots = (const struct slot *)(head + 1), .tail = tail, .capacity = capacity};
    c->next = atomic_load_explicit(&tail->tail, memory_order_relaxed);
    uint64_t published = atomic_load_explicit(&head->head, memory_order_acquire);
    return published - c->next > capacity ? ERR_GARBAGE : ERR_OK;
}

uint64_t ring_room(struct ring_producer *p)
{
    uint64_t used = p->next - p->known_tail;
    if (used * 2 > p->capacity) { /* look at the other's cache line only when it may matter */
        uint64_t tail = atomic_load_explicit(&p->tail->tail, memory_order_acquire);
        if (tail - p->known_tail <= used) {
            p->known_tail = tail;
            used = p->next - tail;
        }
    }
    return p->capacity - used;
}

static void copy_in(struct ring_producer *p, uint64_t position, const struct slot *slots,
                    size_t count)
{
    size_t at = (size_t)(position & (p->capacity - 1));
    size_t first = p->capacity - at < count ? (size_t)p->capacity - at : count;
    memcpy(p->slots + at, slots, first * sizeof *slots);
    memcpy(p->slots, slots + first, (count - first) * sizeof *slots);
}

int ring_put(struct ring_producer *p, const struct slot *slots, size_t count)
{
    if (ring_room(p) < count) {
        return ERR_FULL;
    }
    copy_in(p, p->next, slots, count);
    p->next += count;
    return ERR_OK;
}

int ring_put_record(struct ring_producer *p, const struct slot *head, const void *payload,
                    size_t size)
{
    assert(size <= SLOT_PAYLOAD_MAX && slot_is_long(head));
    size_t count = slot_count_for(size);
    if (ring_room(p) < count) {
        return ERR_FULL;
    }
    struct slot first = *head;
    first.value.u64 = size;
    copy_in(p, p->next, &first, 1);
    for (size_t i = 1, done = 0; i < count; i++, done += sizeof(struct slot)) {
        struct slot s = {0};
        size_t part = size - done < sizeof s ? size - done : sizeof s;
        memcpy(&s, (const uint8_t *)payload + done, part);
        copy_in(p, p->next + i, &s, 1);
    }
    p->next += count;
    return ERR_OK;
}

void ring_count_dropped(struct ring_producer *p, uint64_t samples)
{
    uint64_t n = atomic_load_explicit(&p->head->dropped, memory_order_relaxed);
    atomic_store_explicit(&p->head->dropped, n + samples, memory_order_relaxed);
}

void ring_publish(struct ring_producer *p)
{
    if (atomic_load_explicit(&p->head->head, memory_order_relaxed) == p->next) {
        return;
    }
    /* Sequentially consistent on both sides: either we see the nap, or the napper sees our head. */
    atomic_store_explicit(&p->head->head, p->next, memory_order_seq_cst);
    uint64_t nap = atomic_load_explicit(&p->tail->naps, memory_order_seq_cst);
    if ((nap & 1) && nap != p->woken && p->wake_fd >= 0) {
        p->woken = nap;
        /* A full pipe means that a wake is under way already. */
        ssize_t ignored = write(p->wake_fd, "", 1);
        (void)ignored;
    }
}

uint64_t ring_waiting(const struct ring_consumer *c)
{
    uint64_t n = atomic_load_explicit(&c->head->head, memory_order_acquire) - c->next;
    return n > c->capacity ? 0 : n;
}

int ring_take(struct ring_consumer *c, struct slot *out, size_t max)
{
    uint64_t n = atomic_load_explicit(&c->head->head, memory_order_acquire) - c->next;
    uint64_t held = c->next - atomic_load_explicit(&c->tail->tail, memory_order_relaxed);
    if (held > c->capacity) {
        return 0;
    }
    if (n > c->capacity - held) {
        return ERR_GARBAGE;
    }
    size_t count = n < max ? (size_t)n : max;
    size_t at = (size_t)(c->next & (c->capacity - 1));
    size_t first = c->capacity - at < count ? (size_t)c->capacity - at : count;
    memcpy(out, c->slots + at, first * sizeof *out);
    memcpy(out + first, c->slots, (count - first) * sizeof *out);
    c->next += count;
    return (int)count;
}

void ring_step_back(struct ring_consumer *c, size_t slots)
{
    assert(slots <= c->next - atomic_load_explicit(&c->tail->tail, memory_order_relaxed));
    c->next -= slots;
}

void ring_release(struct ring_consumer *c, uint64_t position)
{
    assert(position <= c->next);
    atomic_store_explicit(&c->tail->tail, position, memory_order_release);
}

bool ring_nap(struct ring_consumer *c)
{
    uint64_t naps = atomic_load_explicit(&c->tail->naps, memory_order_relaxed);
    atomic_store_explicit(&c->tail->naps, naps | 1, memory_order_seq_cst);
    if (atomic_load_explicit(&c->head->head, memory_order_seq_cst) != c->next) {
        ring_awake(c);
        return false;
    }
    return true;
}

void ring_awake(struct ring_consumer *c)
{
    uint64_t naps = atomic_load_explicit(&c->tail->naps, memory_order_relaxed);
    if (naps & 1) {
        atomic_store_explicit(&c->tail->naps, naps + 1, memory_order_seq_cst);
    }
}

void ring_end_nap(struct ring_tail *tail)
{
    if (tail) {
        atomic_store(&tail->naps, (atomic_load(&tail->naps) | 1) + 1);
    }
}
