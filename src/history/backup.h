/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway's history copied to another folder, and back. While the gateway runs: a backup is the journal's folder as it was at
 * one moment (history/snapshot.h), with the registry of permanent ids, so a gateway that is started on what was restored tells
 * the same history, and its ledger goes on where it was. What lies in the backup already is checked and kept.
 *
 * A backup counts from the moment that its manifest has its name; until then the one before is whole, wherever it was stopped.
 * Everything on disk goes through struct disk. One thread; memory for the names of files and one buffer. */
#ifndef ISTHMUS_HISTORY_BACKUP_H
#define ISTHMUS_HISTORY_BACKUP_H

#include "history/manifest.h"
#include "history/verify.h"

struct backup_place {
    const struct disk *disk;
    int dir; /* borrowed */
};

struct backup_sum {
    uint64_t files, bytes;               /* of the backup */
    uint64_t copied_files, copied_bytes; /* the rest was there already */
    uint64_t removed_files;              /* that only older backups had */
    uint64_t findings;
};

struct backup { /* the same for all work; the caller's but for sum and trouble */
    struct backup_place journal;
    struct backup_place state; /* where ids.txt is */
    struct backup_place store; /* the folder of the backup */
    const char *gateway;       /* its name: nobody's backup is written over by another's */
    int64_t now_ns;
    void (*found)(void *context, const struct verify_finding *finding);
    void (*beat)(void *context, uint64_t done, uint64_t total); /* bytes; may be NULL */
    void *context;
    struct backup_sum sum;
    char of[MANIFEST_TEXT_MAX +
            1]; /* backup_verify, backup_unpack: whose it is, and when it was made */
    int64_t made_ns;
    char trouble[160]; /* why an error came back, for people */
};

/* Makes a backup. Damage in the journal, or in what lay in the backup already, is told, and the rest is backed up. ERR_REFUSED: it is
 * another gateway's; ERR_FULL and others: trouble says what; the former backup is as it was. */
MUST_USE int backup_make(struct backup *b);

/* Looks at a backup: every file's checksum, then what verify_all looks at. Uses only `store` and the functions. `sum` gets the
 * verifier's. */
MUST_USE int backup_verify(struct backup *b, struct verify_sum *sum);

/* Copies all of it: the journal's files into `journal`, which is empty, ids.txt into it as well. Every byte is proven on its way; what
 * is damaged or missing is told and not copied. Durable when it returns. */
MUST_USE int backup_unpack(struct backup *b);

/* Puts sealed files back into the journal's folder, whose gateway may be running: those for what is damaged, set aside, or missing
 * without a record of why. `journal` and `store` are used. What is wrong even so is told at the end, as by verify_all. `sum`:
 * copied_files were put back, removed_files damaged ones taken away. */
MUST_USE int backup_repair(struct backup *b);

#endif
