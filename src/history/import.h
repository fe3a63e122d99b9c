/* SPDX-License-Identifier: Apache-2.0 */
/* History from elsewhere: samples in any order become sealed files of their own in the journal's folder, marked as imported
 * (SEALED_IMPORTED, import-N.R.col). A gateway that runs there finds them as it finds the sealer's: no process is asked, no
 * file is shared while it is written. They pass no rule and no feed, and no account counts them: no device of this gateway
 * produced them. Among equal times they come before the gateway's own.
 *
 * Memory: IMPORT_SAMPLES of 24 bytes, twice while they are sorted, and their texts. One thread. */
#ifndef ISTHMUS_HISTORY_IMPORT_H
#define ISTHMUS_HISTORY_IMPORT_H

#include "history/sealed.h"
#include "tag/plan.h"

#define IMPORT_SAMPLES (512u << 10) /* of one file */

struct import_options {
    const struct disk *disk;
    int dir;                 /* the journal's folder; borrowed */
    const struct plan *plan; /* borrowed */
    int64_t now_ns;          /* names the files, so that no two imports share one */
    uint64_t room;           /* bytes that all files together may take */
};

struct import_sum {
    uint64_t samples, bytes, files;
};

struct import;

MUST_USE int import_open(struct import **out, const struct import_options *options);
/* Takes a sample of a tag of the plan; `text` holds the sample's value.u64 bytes if the tag's type is text or bytes, else it is
 * NULL. ERR_NOT_FOUND: no such tag; ERR_FULL: beyond the room; other errors of the disk. */
MUST_USE int import_add(struct import *i, const struct slot *sample, const uint8_t *text);
/* Writes what is left. Frees the import, whatever happens; on an error nothing of it is left behind. */
MUST_USE int import_finish(struct import *i, struct import_sum *sum);
/* Takes away what was written, and frees it. */
void import_abandon(struct import *i);

#endif
