/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a segment: its header and its frames (docs/journal-format.md). Little endian, naturally aligned; all
 * lengths are multiples of 24, so that a frame's slots lie aligned in any buffer that is. No I/O here. */
#ifndef ISTHMUS_JOURNAL_FRAME_H
#define ISTHMUS_JOURNAL_FRAME_H

#include "base/err.h"
#include "base/slot.h"

#include <stdbool.h>

#define SEGMENT_MAGIC   UINT64_C(0x3147455348545349) /* "ISTHSEG1" */
#define SEGMENT_VERSION 1u

struct segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;            /* CRC-32C of all other bytes */
    uint64_t number;         /* as in the file's name */
    uint64_t epoch;          /* of the journal: +1 with each start */
    uint64_t first_sequence; /* of the first record that this segment can hold */
    int64_t created_ns;
    uint64_t generation; /* of the plan */
    uint64_t before,
        before_end; /* number of the segment before it, and the bytes of it that count; 0: not known */
    uint8_t reserved[24];
};
_Static_assert(sizeof(struct segment_header) == 96, "a segment's header is 96 bytes");

#define FRAME_MAGIC     UINT32_C(0x314d5246) /* "FRM1" */
#define FRAME_SLOTS_MAX 65536u

/* Numbers are stored and never change. */
enum frame_kind {
    FRAME_DATA = 1, /* records from a ring, or the engine's own */
    FRAME_TAGS,     /* catalogue: struct frame_tag and its texts, one after another */
    FRAME_ACCOUNTS, /* opening state: struct frame_account each */
    FRAME_STORED,   /* opening state: RECORD_STORE records */
    FRAME_RINGS,    /* opening state: struct frame_ring each */
    FRAME_OPENED,   /* the opening state is complete */
    FRAME_CLOSED,   /* orderly end of the journal */
    FRAME_KIND_END
};

struct frame_header {
    uint32_t magic;
    uint32_t crc;    /* CRC-32C of the bytes from `length` to the frame's end */
    uint32_t length; /* bytes, with this header */
    uint32_t kind;
    uint32_t box; /* index in the plan of `generation`; PLAN_NONE: the engine's own */
    uint32_t slot_count;
    uint64_t box_epoch, ring_from, ring_to;
    uint64_t first_sequence, sequences;
    uint64_t generation;
    int64_t now_ns;
    int64_t min_ns, max_ns; /* source times of the samples; min > max: there is none */
};
_Static_assert(sizeof(struct frame_header) == 96, "a frame's header is four slots");

struct frame_tag {
    uint32_t id, box, device;
    uint16_t size; /* with the texts, a multiple of 8 */
    uint8_t type, reserved;
    uint16_t path, unit, device_name, description; /* lengths; the texts follow in this order */
};
_Static_assert(sizeof(struct frame_tag) == 24, "a catalogue entry begins with 24 bytes");

struct frame_account {
    uint32_t id, reserved;
    uint64_t produced, journaled, suppressed, rejected, gaps;
};
struct frame_ring {
    uint32_t box, reserved;
    uint64_t epoch, position;
};
_Static_assert(sizeof(struct frame_account) == 48 && sizeof(struct frame_ring) == 24, "in slots");

void segment_seal(struct segment_header *h);
/* 0, ERR_SHORT, ERR_MALFORMED (not a segment), ERR_VERSION, ERR_CHECKSUM. */
MUST_USE int segment_prove(const void *data, size_t size, struct segment_header *out);

#define SEGMENT_NAME_SIZE 32u
void segment_name(uint64_t number, char out[SEGMENT_NAME_SIZE]); /* sixteen digits and ".seg" */
/* The number of a name that begins with sixteen digits (also one set aside); false: it is none of ours. */
bool segment_number(const char *name, uint64_t *number, bool *damaged);

/* Fills in magic, length, the range of source times and the CRC of a frame that is otherwise complete. `h` is followed
 * by its slots. */
void frame_seal(struct frame_header *h);
/* Proves header, CRC and every record of the frame at the start of `data`: its length in bytes, or ERR_SHORT (`size`
 * ends within it), ERR_MALFORMED, ERR_CHECKSUM. */
MUST_USE int frame_prove(const void *data, size_t size, struct frame_header *out);
/* The same for the slots alone, as records of a data frame: the sequence numbers they carry, or ERR_MALFORMED. */
MUST_USE int64_t frame_prove_records(const void *slots, size_t count);

#endif
