/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup consists of: a text file of lines, the last of which holds the checksum of those before. The files lie beside it,
 * each named by what it is and by its own checksum ("NAME.CRC"), so that no backup ever writes over a file of the one before;
 * docs/journal-format.md, "A backup". */
#ifndef ISTHMUS_HISTORY_MANIFEST_H
#define ISTHMUS_HISTORY_MANIFEST_H

#include "history/snapshot.h"

#define MANIFEST_NAME     "manifest"
#define MANIFEST_BYTES    (UINT64_C(64) << 20) /* at most */
#define MANIFEST_IDS      "ids.txt" /* the one file of a backup that is not the journal's */
#define STORED_NAME_SIZE  (SNAPSHOT_NAME_SIZE + 16u)
#define MANIFEST_TEXT_MAX 64u

struct manifest_file {
    char name[SNAPSHOT_NAME_SIZE]; /* as in the journal's folder */
    uint64_t size;
    uint32_t crc; /* CRC-32C of all of it */
};

struct manifest {
    char gateway[MANIFEST_TEXT_MAX + 1];
    int64_t created_ns;
    struct manifest_file *files; /* owned */
    size_t count, room;
};

void manifest_fini(struct manifest *m);
MUST_USE int manifest_add(struct manifest *m, const struct manifest_file *file);
/* Its bytes: *text is the caller's to free. Sorts the files by name. */
MUST_USE int manifest_encode(struct manifest *m, char **text, size_t *size);
/* `data` may be any bytes: 0, ERR_CHECKSUM, ERR_MALFORMED, ERR_VERSION, ERR_NOMEM. Names are proven to be what a journal or a
 * registry of ids has, each only once. */
MUST_USE int manifest_decode(struct manifest *m, const void *data, size_t size);
/* Reads the one in a folder; ERR_NOT_FOUND if there is none. */
MUST_USE int manifest_read(struct manifest *m, const struct disk *disk, int dir);

/* How a file is named in the backup. */
void manifest_stored_name(const struct manifest_file *f, char out[STORED_NAME_SIZE]);
/* The other way round, but for the size; false: it is no file of a backup. */
bool manifest_stored_parse(const char *stored, struct manifest_file *out);

#endif
