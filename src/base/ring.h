/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of slots between two processes that do not trust each other. One producer, one consumer.
 *
 *   producer's segment (consumer: read only)      consumer's segment (producer: read only)
 *   ┌ ring_head ┬ slot[0] … slot[capacity-1] ┐    ┌ ring_tail ┐
 *   │ head      │                            │    │ tail, naps│
 *   └───────────┴────────────────────────────┘    └───────────┘
 *
 * head and tail count slots since the ring was made and never wrap in practice; slot n lies at n & (capacity-1).
 * Each side keeps its own position privately and believes the other's word only within the bounds it can prove:
 * tail <= head <= tail + capacity. Slots are copied out before they are looked at. Waking: the consumer raises
 * `naps` to an odd number before it sleeps and to an even one when it is awake; the producer writes one byte into
 * the consumer's pipe for each odd number that it sees, so there is one wake per batch and none while awake.
 *
 * Unpublished slots are invisible; publish makes the whole batch visible at once. */
#ifndef ISTHMUS_BASE_RING_H
#define ISTHMUS_BASE_RING_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/slot.h"

struct ring_head {
    _Alignas(64) _Atomic uint64_t head; /* slots published */
    _Atomic uint64_t dropped;           /* samples that found no room, since the ring was made */
    uint8_t reserved[48];
};

struct ring_tail {
    _Alignas(64) _Atomic uint64_t tail; /* slots that the producer may overwrite */
    _Atomic uint64_t naps;              /* odd: the consumer sleeps */
    uint8_t reserved[48];
};

/* Bytes of shared memory that the producer's side of a ring takes. */
static inline size_t ring_bytes(size_t capacity)
{
    return sizeof(struct ring_head) + capacity * sizeof(struct slot);
}

struct ring_producer {
    struct ring_head *head;
    struct slot *slots;
    const struct ring_tail *tail;
    uint64_t capacity; /* a power of two */
    uint64_t next;     /* first unpublished slot */
    uint64_t known_tail;
    uint64_t woken; /* the last odd nap that was answered */
    int wake_fd;    /* write end of the consumer's pipe, non-blocking; -1: nobody to wake */
};

struct ring_consumer {
    const struct ring_head *head;
    const struct slot *slots;
    struct ring_tail *tail;
    uint64_t capacity;
    uint64_t next; /* first slot not yet taken */
};

/* Attach to memory that stays mapped. The producer goes on at the published head; the consumer at the tail.
 * ERR_GARBAGE if head and tail contradict each other. */
MUST_USE int ring_producer_init(struct ring_producer *p, void *memory, size_t capacity,
                                const struct ring_tail *tail, int wake_fd);
MUST_USE int ring_consumer_init(struct ring_consumer *c, const void *memory, size_t capacity,
                                struct ring_tail *tail);

/* Copies `count` slots behind what is there, unpublished; all or nothing. 0 or ERR_FULL. */
MUST_USE int ring_put(struct ring_producer *p, const struct slot *slots, size_t count);

/* Puts a record with a payload (long text, control record). `head->value` is set to `size`. */
MUST_USE int ring_put_record(struct ring_producer *p, const struct slot *head, const void *payload,
                             size_t size);

/* Slots that could be put now. */
uint64_t ring_room(struct ring_producer *p);

/* Counts samples that found no room. */
void ring_count_dropped(struct ring_producer *p, uint64_t samples);

/* Makes everything put so far visible, and wakes the consumer if it sleeps. */
void ring_publish(struct ring_producer *p);

/* Copies up to `max` published slots to `out` and steps over them. The count, or ERR_GARBAGE if the producer's
 * word can't be true. A record may be cut at the end: step back with ring_step_back. Nothing any more once the tail is
 * ahead of us: who may has emptied the ring; attach anew. */
MUST_USE int ring_take(struct ring_consumer *c, struct slot *out, size_t max);
void ring_step_back(struct ring_consumer *c, size_t slots);

/* Published slots not yet taken; 0 when the producer's word can't be true. */
uint64_t ring_waiting(const struct ring_consumer *c);

/* Lets the producer overwrite everything before slot `position` (at most c->next). */
void ring_release(struct ring_consumer *c, uint64_t position);

/* ring_nap announces sleep; false: something has come meanwhile, do not sleep (and the nap is over).
 * ring_awake ends the nap. */
MUST_USE bool ring_nap(struct ring_consumer *c);
void ring_awake(struct ring_consumer *c);
/* A consumer that was killed in its sleep left the nap announced and perhaps answered: nobody would wake its successor. NULL
 * is fine. */
void ring_end_nap(struct ring_tail *tail);

#endif
