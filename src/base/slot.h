/* SPDX-License-Identifier: Apache-2.0 */
/* The unit of everything that travels inside the gateway: a slot of 24 bytes. Rings carry slots, journal frames
 * hold slots. A record is one slot, or, when bit 31 of `tag` is set ("long"), a head slot whose value holds a byte
 * count n, followed by ceil(n / 24) slots that hold the bytes (the last one padded with zeros).
 *
 *   numeric sample   { source time, value bits,  id,             status }
 *   text, bytes      { source time, byte count,  id | SLOT_LONG, status } bytes…
 *   control record   { time,        byte count,  SLOT_CONTROL + kind, detail } payload…   (kinds: tag/record.h)
 */
#ifndef ISTHMUS_BASE_SLOT_H
#define ISTHMUS_BASE_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SLOT_LONG        UINT32_C(0x80000000)
#define SLOT_CONTROL     UINT32_C(0xffffff00) /* tag >= this: a control record, kind in the low byte */
#define SLOT_ID_MAX      UINT32_C(0x00ffffff)          /* permanent tag ids are 1..SLOT_ID_MAX */
#define SLOT_BYTES_MAX   1000u                         /* longest text or bytes value */
#define SLOT_PAYLOAD_MAX 2400u                         /* longest payload of any record */
#define SLOT_RECORD_MAX  (1u + SLOT_PAYLOAD_MAX / 24u) /* slots of the longest record */

union slot_value {
    uint64_t u64;
    int64_t i64;
    double f64;
};

struct slot {
    int64_t time; /* nanoseconds UTC */
    union slot_value value;
    uint32_t tag;
    uint32_t status; /* OPC UA StatusCode (Part 4, 7.39) */
};
_Static_assert(sizeof(struct slot) == 24, "a slot is 24 bytes");

static inline bool slot_is_control(const struct slot *s)
{
    return s->tag >= SLOT_CONTROL;
}

static inline bool slot_is_long(const struct slot *s)
{
    return (s->tag & SLOT_LONG) != 0;
}

static inline uint32_t slot_id(const struct slot *s)
{
    return s->tag & ~SLOT_LONG;
}

static inline size_t slot_count_for(size_t payload_bytes)
{
    return 1 + (payload_bytes + sizeof(struct slot) - 1) / sizeof(struct slot);
}

/* Slots of the record that begins at `s`, or 0 if its byte count is beyond SLOT_PAYLOAD_MAX (garbage). */
static inline size_t slot_record_length(const struct slot *s)
{
    if (!slot_is_long(s)) {
        return 1;
    }
    return s->value.u64 > SLOT_PAYLOAD_MAX ? 0 : slot_count_for((size_t)s->value.u64);
}

/* Copies a record; nearly all are one slot, which needs no call. */
static inline void slots_copy(struct slot *to, const struct slot *from, size_t count)
{
    *to = *from;
    if (count > 1) {
        memcpy(to + 1, from + 1, (count - 1) * sizeof *to);
    }
}

static inline const uint8_t *slot_payload(const struct slot *s)
{
    return (const uint8_t *)(s + 1);
}

#endif
