/* SPDX-License-Identifier: Apache-2.0 */
/* Proves an audit offline: every entry in its place, unchanged, and up to where a signature says so. Reads only. */
#ifndef ISTHMUS_GUARD_AUDIT_VERIFY_H
#define ISTHMUS_GUARD_AUDIT_VERIFY_H

#include "guard/audit_format.h"

struct audit_findings {
    uint64_t files, entries, checkpoints;
    uint64_t first, last; /* numbers of the entries that are there */
    uint64_t proven;      /* the last entry that a signature covers; 0: none */
    uint64_t damaged;     /* number of the first entry that is wrong; 0: none */
    uint64_t
        void_entries; /* behind failed writes and torn tails: told by an entry, and they count for nothing */
    uint8_t public_key[32];     /* that its files name */
    char file[AUDIT_NAME_SIZE]; /* where it is wrong */
    char reason[160];           /* "": all is well */
};

struct audit_read {
    const struct disk *disk;
    int dir;
    const uint8_t *public_key; /* NULL: what the files say themselves, which proves less */
    void (*progress)(void *context, uint64_t done, uint64_t all); /* bytes; NULL: none */
    void (*entry)(
        void *context,
        const struct audit_entry *e); /* each that is whole, also behind damage; NULL: none */
    void *context;
};

/* 0 with the findings, which may be bad; ERR_IO, ERR_NOMEM, ERR_NOT_FOUND (no audit lies there). */
MUST_USE int audit_verify(const struct audit_read *read, struct audit_findings *out);

#endif
