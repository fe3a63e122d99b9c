/* SPDX-License-Identifier: Apache-2.0 */
/* Control records: what travels in slots beside samples. The payloads are fixed, little endian, naturally aligned
 * structs, the same in rings and in journal frames; strings are NUL-padded and need no terminator when full. */
#ifndef ISTHMUS_TAG_RECORD_H
#define ISTHMUS_TAG_RECORD_H

#include "base/slot.h"

/* Numbers are stored in journals and never change. J: journaled; R: only in rings. */
enum record_kind {
    RECORD_BATCH = 0x01, /* J  before samples: when and how they were acquired */
    RECORD_GAP = 0x02,   /* J  samples are missing */
    RECORD_TALLY = 0x03, /* J  samples not journaled on purpose: suppressed, rejected */
    RECORD_EVENT = 0x04, /* J  something happened to a box, a device, the journal */
    RECORD_STORE = 0x05, /* JR a small durable value: cursor, bdSeq …; request and stored state */
    RECORD_STORED = 0x06,  /*R  engine → box: the value is durable (or refused) */
    RECORD_FETCH = 0x07,   /* R  box → engine: send me a stored value */
    RECORD_COMMAND = 0x08, /* R  north box → engine: a caller asks something of the guard */
    RECORD_RECEIPT = 0x09, /* R  engine → north box: what became of it so far */
    RECORD_ASK = 0x0a,     /* R  north box → reader (box/link.h) */
    RECORD_ANSWER = 0x0b,  /*R  reader → north box (box/link.h) */
    RECORD_BROWSE = 0x0c,  /* R  north box → engine → south box: what does this device offer? */
    RECORD_ITEM = 0x0d,    /* R  one thing that it offers, on the way back */
    RECORD_BROWSED = 0x0e, /* R  the end of a browse, exactly once */
    RECORD_SIGN = 0x10,    /* R  north box → engine → identity (guard/sign.h) */
    RECORD_SIGNED = 0x11,  /* R  its answer, on the way back */
    RECORD_WRITE = 0x12,   /* R  engine → south box: make a tag of the device have this value */
    RECORD_WRITTEN = 0x13, /* R  south box → engine: its end, exactly once */
    RECORD_COMMANDS = 0x14, /* R  north box → engine: a batch of commands, all of them or none */
    RECORD_WRITES = 0x15,   /* R  engine → south box: all of these in one transaction, or none */
    RECORD_VOUCH = 0x16, /* R  identity → engine → box of a provider of sign-ins (guard/vouch.h) */
    RECORD_VOUCHED = 0x17, /* R  its answer, on the way back */
};

static inline uint32_t record_tag(enum record_kind kind)
{
    return SLOT_CONTROL | (uint32_t)kind;
}
static inline uint32_t record_kind(const struct slot *s)
{
    return s->tag & 0xff;
}

/* RECORD_BATCH: slot.time is the time of acquisition, slot.status the device's index in the plan. All samples up to
 * the next batch record belong to it. */
struct record_batch {
    int64_t clock_offset_ns;      /* device clock minus ours */
    int64_t clock_uncertainty_ns; /* -1: the device has no clock, times are ours */
};

enum gap_cause {
    GAP_RING_FULL = 1,   /* produced, but the ring to the engine was full */
    GAP_JOURNAL_FULL,    /* journal at its size limit, or no disk space */
    GAP_JOURNAL_FAILED,  /* a write or flush failed */
    GAP_DEVICE_DOWN,     /* no connection, or no answer in time */
    GAP_DEVICE_ERROR,    /* the device answered with an error */
    GAP_POLL_LATE,       /* polls not made because the one before took too long */
    GAP_BOX_DOWN,        /* the box was dead or being restarted */
    GAP_BOX_FAULT,       /* the box wrote garbage; what its ring still held was dropped */
    GAP_GATEWAY_DOWN,    /* the gateway was not running */
    GAP_TORN_TAIL,       /* cut off by recovery after an unclean stop */
    GAP_SEGMENT_LOST,    /* a damaged or missing segment */
    GAP_FEED_LIMIT,      /* a feed's backlog was dropped by its limit */
    GAP_RETIRED,         /* journaled, and dropped or thinned out by the owner's retention */
    GAP_DEVICE_OVERFLOW, /* the device's own queue overflowed */
    GAP_SEQUENCE_JUMP,   /* the device's sequence numbers jumped */
    GAP_CAUSE_END
};
/* "ring full" …; never NULL. */
const char *gap_cause_name(uint32_t cause);

enum gap_scope { GAP_TAG = 1, GAP_DEVICE, GAP_BOX, GAP_ALL };

/* RECORD_GAP: slot.time is when it was noted. `produced` counts samples that were published by a driver and then
 * lost (they enter the ledger); `missed` estimates samples that were never made (polls not made); either may be 0. */
struct record_gap {
    uint32_t scope; /* enum gap_scope */
    uint32_t which; /* tag id, or index of device or box in the plan; 0 for GAP_ALL */
    uint32_t cause; /* enum gap_cause */
    uint32_t reserved;
    int64_t from_ns, to_ns; /* UTC, both ends inclusive */
    uint64_t produced;
    uint64_t missed;
};

enum tally_kind { TALLY_SUPPRESSED = 1, TALLY_REJECTED };

/* RECORD_TALLY */
struct record_tally {
    uint32_t tag;
    uint32_t kind;
    uint64_t count;
};

enum event_kind {
    EVENT_GATEWAY_START = 1,
    EVENT_GATEWAY_STOP,
    EVENT_BOX_START,
    EVENT_BOX_STOP,
    EVENT_DEVICE_UP,
    EVENT_DEVICE_DOWN,
    EVENT_JOURNAL_RECOVERED, /* detail: bytes cut */
    EVENT_JOURNAL_FAULT,
    EVENT_COMMAND_REFUSED,
    EVENT_FEED_UP,
    EVENT_FEED_DOWN,
    EVENT_HISTORY_FAULT, /* a file of the history is damaged; detail: samples in it, as far as known */
    EVENT_HISTORY_RETIRED, /* retention took something away; detail: samples */
    EVENT_COMMAND,         /* a command that was sent has ended, or a lease; detail: the tag's id */
    EVENT_KIND_END
};
const char *event_name(uint32_t kind);

/* RECORD_EVENT: slot.status is the event_kind. */
struct record_event {
    uint32_t box, device; /* index in the plan, UINT32_MAX: none */
    uint64_t detail;
    char text[96];
};

#define STORE_KEY_MAX   48u
#define STORE_VALUE_MAX 2048u

/* RECORD_STORE: slot.status is the request number in a ring, the owning box in a journal frame. Followed by
 * `size` bytes of value. RECORD_STORED echoes key and request number (slot.status) with size = 0, and for a fetch
 * the value (size 0: there is none). `error`: 0, or the positive number of an enum err. */
struct record_store {
    char key[STORE_KEY_MAX];
    uint32_t size;
    uint32_t error;
};

enum command_act {
    COMMAND_WRITE = 1, /* the tag shall have this value */
    COMMAND_TRY,       /* a dry run: would it be let through? */
    COMMAND_APPROVE,   /* a second person's yes to the command `id` … */
    COMMAND_REJECT,    /* … or no; of who asked: never mind */
    COMMAND_RENEW,     /* the lease of `id` runs on … */
    COMMAND_RELEASE,   /* … or ends now, and the value reverts */
    COMMAND_LOOK,      /* the receipt as it is */
    COMMAND_INHIBIT,   /* nothing may be written from now on … */
    COMMAND_ALLOW,     /* … until this, at the gateway itself */
    COMMAND_INHIBITED, /* is it? `after` of the receipt says so, `reason` why */
    COMMAND_ISLAND,    /* nothing reaches beyond this machine from now on … */
    COMMAND_JOIN,      /* … until this, at the gateway itself */
    COMMAND_ISLANDED, /* is it? `after` and `reason` as above; `before`: how many services reach beyond it now */
    COMMAND_ACT_END
};

/* The life of a command, in the order in which it goes on; from COMMAND_CONFIRMED on they are its ends. */
enum command_state {
    COMMAND_NEVER_HEARD, /* no command has this id (any more) */
    COMMAND_CHECKED,     /* let through; the intent is on its way to the disk */
    COMMAND_WAITING,     /* for the second approval */
    COMMAND_SENT,        /* to the device's box */
    COMMAND_ACCEPTED,    /* by the device; its value is awaited back */
    COMMAND_CONFIRMED,   /* read back */
    COMMAND_REFUSED,     /* nothing was sent */
    COMMAND_EXPIRED,     /* nobody approved in time; nothing was sent */
    COMMAND_FAILED,      /* the device said no, or its value is another one */
    COMMAND_UNKNOWN,     /* sent, and nothing proves what became of it */
    COMMAND_STATE_END
};
const char *command_state_name(uint32_t state); /* "waiting" …; never NULL */
static inline bool command_has_ended(uint32_t state)
{
    return state >= COMMAND_CONFIRMED;
}

enum lease_state {
    LEASE_NONE,
    LEASE_HELD,     /* until until_ns */
    LEASE_REVERTED, /* the value is the contract's `revert` again */
    LEASE_LEFT,     /* the device held another value than ours: the operator's hand wins */
    LEASE_STUCK     /* it could not be reverted: an inhibit, or the device does not answer */
};
const char *lease_state_name(uint32_t state);

#define COMMAND_WHO_SIZE    48u
#define COMMAND_REASON_SIZE 96u

/* RECORD_COMMAND. A command is named by its caller: the same id again gives the receipt of the first. */
struct record_command {
    uint8_t id[16];
    uint8_t session
        [16]; /* of the person or token that asks (guard/session.h); zeros: the service itself */
    uint32_t act; /* enum command_act */
    uint32_t tag;
    uint32_t type; /* enum value_type of the value; of acts on an earlier command all three are 0 */
    uint32_t reserved;
    union slot_value value; /* in the tag's unit */
    char reason[COMMAND_REASON_SIZE];
};

#define BATCH_MAX 64u

struct record_part {
    uint32_t tag;
    uint32_t type; /* enum value_type of the value */
    union slot_value value;
};

/* RECORD_COMMANDS, followed by its parts (struct record_part): 1 to BATCH_MAX, each of another tag. The batch has a receipt of its own, of
 * tag 0; so has each part, under the id that command_part_id gives. */
struct record_commands {
    uint8_t id[16];
    uint8_t session[16]; /* as in record_command */
    uint32_t act;        /* COMMAND_WRITE or COMMAND_TRY */
    uint32_t count;
    char reason[COMMAND_REASON_SIZE];
};

/* The batch's id, a number of 128 bits in network order, plus part + 1. */
void command_part_id(uint8_t out[16], const uint8_t batch[16], uint32_t part);

/* RECORD_RECEIPT. Sent with each change of the state to the box that asked. */
struct record_receipt {
    uint8_t id[16];
    uint32_t tag, type;
    union slot_value value;
    union slot_value before, after; /* what the tag was when it was asked, and what was read back */
    uint32_t state;                 /* enum command_state */
    uint32_t act;                   /* that this answers */
    uint8_t has_before, has_after;
    uint8_t lease;                /* enum lease_state */
    uint8_t denied;               /* 1: the act was, for `reason`; the command stands as it did */
    uint32_t reserved;            /* 0 */
    int64_t asked_ns, changed_ns; /* UTC */
    int64_t until_ns;             /* the approval's or the lease's end; 0: neither */
    char who[COMMAND_WHO_SIZE], approver[COMMAND_WHO_SIZE];
    char reason[160]; /* why it stands as it does, for a person */
};

/* RECORD_WRITE */
struct record_write {
    uint64_t number; /* the engine's: names the write in its end */
    uint32_t tag;
    uint32_t type; /* enum value_type, the raw one */
    union slot_value value;
};

/* RECORD_WRITES, followed by its parts (struct record_part with raw types): 2 to BATCH_MAX, all of one device. */
struct record_writes {
    uint64_t number; /* as in record_write */
    uint32_t count;
    uint32_t reserved; /* 0 */
};

/* RECORD_WRITTEN: of a RECORD_WRITE, or of RECORD_WRITES; then the tag is 0. */
enum written_end {
    WRITTEN_DONE = 1,
    WRITTEN_REFUSED /* never sent */,
    WRITTEN_FAILED,
    WRITTEN_UNKNOWN,
    WRITTEN_APART /* never sent: the device can't take all of them in one transaction */
};
struct record_written {
    uint64_t number;
    uint32_t tag;
    uint32_t end; /* enum written_end */
    char reason[80];
};

/* RECORD_BROWSE. The asker is the index of the north box; the engine writes it, so nobody asks in another's name. */
struct record_browse {
    uint8_t id[16];  /* the asker's, at random: a stranger's answers don't match */
    uint32_t device; /* index in the plan */
    uint32_t asker;
    uint8_t session[16]; /* of whoever asks; zeros: nobody's */
};

enum item_text { ITEM_ADDRESS, ITEM_NAME, ITEM_UNIT, ITEM_DESCRIPTION, ITEM_TEXTS };
#define ITEM_TEXT_MAX 512u /* bytes; what is longer is cut */

/* RECORD_ITEM, followed by its texts in the order of enum item_text. */
struct record_item {
    uint8_t id[16];
    uint32_t asker;
    uint8_t type; /* enum value_type; 0: unknown */
    uint8_t writable;
    uint16_t reserved;
    uint16_t sizes[ITEM_TEXTS];
};

/* RECORD_BROWSED */
struct record_browsed {
    uint8_t id[16];
    uint32_t asker;
    uint32_t status; /* OPC UA StatusCode; 0: all was told */
    uint32_t lost;   /* items that found no room on their way */
    uint32_t reserved;
    char text[64];
};

/* Which control records and samples take a sequence number: everything that a feed can deliver. */
static inline bool record_has_sequence(const struct slot *s)
{
    return !slot_is_control(s) || record_kind(s) == RECORD_GAP || record_kind(s) == RECORD_EVENT;
}

#endif
