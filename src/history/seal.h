/* SPDX-License-Identifier: Apache-2.0 */
/* What the sealer does, one step at a time: a raw segment → a sealed file; neighbouring sealed files → one larger file, in
 * which what has grown old is thinned out or left out. Each is atomic: until the new file has its name nothing has changed,
 * and from then on what it stands for is waste. Memory is bounded: SEAL_SAMPLES at a time, whatever the segment's size. */
#ifndef ISTHMUS_HISTORY_SEAL_H
#define ISTHMUS_HISTORY_SEAL_H

#include "history/history.h"
#include "tag/plan.h"

#define SEAL_SAMPLES (512u << 10)

struct seal { /* the same for all its work; borrowed */
    const struct disk *disk;
    int dir;
    const struct plan *plan;     /* types of tags whose catalogue entry is damaged; may be NULL */
    int64_t created_ns;          /* for the new file */
    void (*beat)(void *context); /* called now and then during long work; may be NULL */
    void *context;
};

/* Seals raw segment `number`, all of it but what epoch `from_epoch` has before `from_sequence`: that was sealed already. `out`: the
 * new file's header. ERR_CHECKSUM, ERR_MALFORMED …: the segment has no sound header. */
MUST_USE int seal_segment(const struct seal *s, uint64_t number, uint64_t from_epoch,
                          uint64_t from_sequence, struct sealed_header *out);

enum keep { KEEP_RAW, KEEP_SUMMARIES, KEEP_NOTHING };
/* What to keep of a tag's samples up to `last_ns` (of the column in the files that are merged). */
typedef enum keep keep_policy(void *context, uint32_t tag, int64_t last_ns);

/* Merges `count` files of a shelf, neighbours in it, into one; a single one is written anew. `keep` NULL: everything. ERR_UNSUPPORTED:
 * late samples of one lie within what was thinned out in another; they stay files of their own. */
MUST_USE int seal_merge(const struct seal *s, struct history_file **files, uint32_t count,
                        keep_policy *keep, void *keep_context, struct sealed_header *out);

#endif
