/* SPDX-License-Identifier: Apache-2.0 */
/* What making and unpacking a backup share: bytes from one place to another with their checksum, and what is told about it. */
#ifndef ISTHMUS_HISTORY_BACKUP_COPY_H
#define ISTHMUS_HISTORY_BACKUP_COPY_H

#include "history/backup.h"

struct copier {
    struct backup *b;
    uint8_t *buffer;      /* owned */
    uint64_t done, total; /* bytes, for those who watch */
    struct backup_place to;
    int fd;          /* of the copy under way */
    bool unreadable; /* what was wrong with it: the original */
};

MUST_USE int copier_init(struct copier *c, struct backup *b);
void copier_fini(struct copier *c);
/* Notes why, and returns err. */
int copier_trouble(struct copier *c, const char *what, const char *name, int err);
void copier_found(struct copier *c, enum verify_kind kind, const char *file, const char *reason);

/* The manifest of `store`; tells the backup whose it is. */
MUST_USE int copier_manifest(struct copier *c, struct manifest *m);

/* The checksum of the first file->size bytes. */
MUST_USE int copier_sum(struct copier *c, const struct disk *disk, int fd,
                        struct manifest_file *file);
/* Whether the file of this name has this size and this checksum: ERR_CHECKSUM, ERR_SHORT (another size), ERR_NOT_FOUND, ERR_IO. */
MUST_USE int copier_prove(struct copier *c, const struct backup_place *from, const char *name,
                          const struct manifest_file *file);

/* A copy under a temporary name in `to` … */
MUST_USE int copier_begin(struct copier *c, const struct backup_place *to);
/* … of file->size bytes; sets file->crc … */
MUST_USE int copier_take(struct copier *c, const struct disk *from_disk, int from,
                         struct manifest_file *file);
/* … that becomes durable and gets its name, or, if `err` is one, goes. Returns it, or what else goes wrong. The name is durable
 * when its folder is flushed. */
MUST_USE int copier_end(struct copier *c, const char *name, int err);

#endif
