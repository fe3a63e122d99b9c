/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the audit: their names, headers and checkpoints, for who writes and who verifies. docs/audit-format.md. */
#ifndef ISTHMUS_GUARD_AUDIT_FORMAT_H
#define ISTHMUS_GUARD_AUDIT_FORMAT_H

#include "guard/audit.h"
#include "guard/ed25519.h"

#define AUDIT_MAGIC     UINT64_C(0x3154494455415349) /* "ISAUDIT1" */
#define AUDIT_NAME_SIZE 24u
#define AUDIT_SPARE     "spare" /* a file's space, for a disk that is full */
#define AUDIT_EVERY     1000u   /* entries from one checkpoint to the next, at most */

struct audit_header { /* 512 bytes, at a file's start */
    uint64_t magic;
    uint64_t first; /* number of its first entry */
    int64_t utc_ns;
    uint8_t public_key[32];
    uint8_t previous[32]; /* SHA-256 of the entry before its first; zeros: none */
    char gateway[64];
    uint8_t reserved[328];
    uint8_t digest[32]; /* SHA-256 of the bytes before */
};
_Static_assert(sizeof(struct audit_header) == 512, "a header is 512 bytes");

/* "AAAAAAAAAAAAAAAA.audit": the number of the first entry. */
void audit_name(char out[AUDIT_NAME_SIZE], uint64_t first);
bool audit_name_parse(const char *name, uint64_t *first);

struct audit_files {  /* zeros: none */
    uint64_t *firsts; /* owned: numbers of their first entries, ascending */
    size_t count, room;
    bool no_memory; /* while listing */
};
/* The files of a folder, anew. ERR_IO, ERR_NOMEM …: then there are none. */
MUST_USE int audit_files_list(struct audit_files *files, const struct disk *disk, int dir);
void audit_files_free(struct audit_files *files);

bool audit_header_close(struct audit_header *h); /* fills in the digest */
bool audit_header_is_sound(const struct audit_header *h);
void audit_hash(const struct audit_entry *e, uint8_t out[32]);

/* Whether the entry itself is whole, and whether it is that one. */
bool audit_entry_is_sound(const struct audit_entry *e, uint64_t number);
void audit_entry_close(struct audit_entry *e); /* fills in the CRC */

/* A checkpoint's text is a signature over the checkpoint without it; `previous` in it stands for all that came before. */
_Static_assert(ED25519_SIGNATURE_SIZE <= AUDIT_TEXT_SIZE, "a signature fits");
bool audit_sign(struct audit_entry *checkpoint, const uint8_t secret[32]);
bool audit_signature_holds(const struct audit_entry *checkpoint, const uint8_t public_key[32]);

#endif
