/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: what was asked, decided and done, in entries that are chained by their hashes and signed now and then, so that
 * whoever changes, removes, reorders or doubles one is found out offline (docs/audit-format.md).
 *
 * One thread appends, and never waits; the audit's own thread writes, a group at a time, each with a flush of its own at
 * once. What was appended is durable when audit_durable says so. After a failed write or flush nothing is retried as if
 * nothing had happened: the group goes into a new file. */
#ifndef ISTHMUS_GUARD_AUDIT_H
#define ISTHMUS_GUARD_AUDIT_H

#include "base/clock.h"
#include "base/slot.h"
#include "journal/disk.h"

#include <stdbool.h>

/* Numbers are stored and never change. */
enum audit_kind {
    AUDIT_GATEWAY_START = 1,
    AUDIT_GATEWAY_STOP,
    AUDIT_RECOVERED,     /* what came before was cut off or damaged: text */
    AUDIT_CHECKPOINT,    /* a signature: see the format */
    AUDIT_CONFIGURATION, /* another generation runs: subject its hash; detail its number */
    AUDIT_BOX_START,
    AUDIT_BOX_STOP,
    AUDIT_CERTIFICATE, /* a service works with another: before and after, when the first of its certificates ends (ns, UTC) */
    /* commands: id, tag, subject the tag's path, before and after */
    AUDIT_COMMAND_REQUESTED = 20, /* the durable intent: after is the value wished for */
    AUDIT_COMMAND_APPROVED,
    AUDIT_COMMAND_SENT,
    AUDIT_COMMAND_ACCEPTED,
    AUDIT_COMMAND_CONFIRMED, /* after: what was read back */
    AUDIT_COMMAND_REFUSED,
    AUDIT_COMMAND_EXPIRED,
    AUDIT_COMMAND_FAILED,
    AUDIT_COMMAND_UNKNOWN,
    AUDIT_COMMAND_DENIED, /* an act on a command that was refused; the command stands */
    AUDIT_LEASE_RENEWED,
    AUDIT_LEASE_REVERTED,
    AUDIT_LEASE_LEFT, /* the operator's hand won */
    AUDIT_LEASE_STUCK,
    /* who may */
    AUDIT_INHIBIT_SET = 40,
    AUDIT_INHIBIT_CLEARED,
    AUDIT_ISLAND_SET,
    AUDIT_ISLAND_CLEARED,
    AUDIT_SIGN_IN = 50,
    AUDIT_SIGN_IN_FAILED,
    AUDIT_SESSION_ENDED,
    AUDIT_ACCOUNT_CHANGED,
    AUDIT_TOKEN_CHANGED,
    /* data contracts: subject its name, who its signers; the text says what was before */
    AUDIT_CONTRACT_IN_EFFECT = 60, /* from now on what it covers is delivered */
    AUDIT_CONTRACT_ENDED,          /* nothing of it is delivered any more */
    /* batches: id; each part is a command of its own, under the id that follows from it (command_part_id) */
    AUDIT_BATCH_REQUESTED = 70, /* detail: how many parts */
    AUDIT_BATCH_ENDED,          /* detail: enum command_state */
};
/* "command requested" …; "kind N" for what this version does not know. `out`: 32 bytes. */
const char *audit_kind_name(uint32_t kind, char out[32]);

#define AUDIT_WHO_SIZE     48u
#define AUDIT_WHERE_SIZE   32u
#define AUDIT_SUBJECT_SIZE 160u
#define AUDIT_TEXT_SIZE    168u

/* 512 bytes, little endian, as in the file. Strings are NUL-padded. */
struct audit_entry {
    uint64_t number; /* from 1 */
    int64_t utc_ns;
    uint32_t kind; /* enum audit_kind */
    uint32_t tag;  /* id; 0: none */
    uint8_t id[16];
    uint8_t type; /* enum value_type of before and after; 0: neither counts */
    uint8_t has_before, has_after;
    uint8_t begins; /* a group: all before it was on disk before this was written */
    uint32_t crc;   /* CRC-32C of the entry with 0 here: names the one that was damaged */
    union slot_value before, after;
    uint64_t detail;
    char who[AUDIT_WHO_SIZE];
    char where[AUDIT_WHERE_SIZE]; /* the box through which it came */
    char subject[AUDIT_SUBJECT_SIZE];
    char text[AUDIT_TEXT_SIZE];
    uint8_t previous[32]; /* SHA-256 of the entry before, all 512 bytes of it */
};
_Static_assert(sizeof(struct audit_entry) == 512, "an entry is 512 bytes");

struct audit;

struct audit_options {
    const char *dir;                   /* exists */
    const struct disk *disk;           /* NULL: the real one */
    const struct clock *clock;         /* NULL: the real one */
    const uint8_t *secret;             /* the Ed25519 private key, 32 bytes (guard/audit_key.h) */
    const char *gateway;               /* its name: written into every file */
    uint32_t file_entries;             /* of one file; 0: AUDIT_FILE_ENTRIES */
    void (*on_durable)(void *context); /* more has become durable; on the audit's thread */
    void *context;
    _Atomic uint64_t
        *end;     /* kept up to date: entries with a number below are on disk; NULL: nowhere */
    bool stepped; /* no thread: audit_turn writes */
};

#define AUDIT_FILE_ENTRIES   8191u /* with the header 4 MiB */
#define AUDIT_BUFFER_ENTRIES 4096u

/* ERR_IO, ERR_FULL, ERR_NOMEM …: then there is no audit, and nothing that needs it may happen. */
MUST_USE int audit_open(struct audit **audit, const struct audit_options *options);
/* Writes what is left, a last checkpoint, and ends. */
void audit_close(struct audit *a);

/* Copies the entry; its number and `previous` are the audit's to fill in. ERR_FULL: the buffer is, or the disk is, and
 * only entries of the reserve (reverts, inhibits) are taken. Never waits for the disk. One thread. */
MUST_USE int audit_append(struct audit *a, const struct audit_entry *entry, bool reserve,
                          uint64_t *ticket);
/* Entries with a ticket below this are on disk. Any thread. */
uint64_t audit_durable(const struct audit *a);
/* The last group could not be written: nothing that needs the audit may happen. Any thread. */
bool audit_failed(const struct audit *a);

/* At least the newest AUDIT_RECALLED entries from before it was opened, oldest first: what the caller must know again. */
#define AUDIT_RECALLED 262144u /* four for each id of a command that is known (engine/command.h) */
MUST_USE int audit_recall(struct audit *a, void (*each)(void *context, const struct audit_entry *e),
                          void *context);

/* Stepped: one round of the writer. True: there is more. */
bool audit_turn(struct audit *a);

#endif
