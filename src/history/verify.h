/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at every byte of history and says what is wrong with it. Of sealed files: every checksum; that regions and columns
 * fill the file; every block decoded, and its summary made again; notes and catalogue. Of raw segments: every frame and its
 * records, dense sequence numbers, and that each segment's opening is what came before it adds up to. Of all together: that no
 * file is missing without a record of why, that the ledger balances, and, while nothing was ever taken away, that it counts for
 * every tag just the samples that are there. Reads only; memory does not depend on how much there is. One thread. */
#ifndef ISTHMUS_HISTORY_VERIFY_H
#define ISTHMUS_HISTORY_VERIFY_H

#include "history/sealed.h"
#include "history/snapshot.h"
#include "journal/state.h"

enum verify_kind {
    VERIFY_DAMAGED,    /* a file, or a part of it */
    VERIFY_SET_ASIDE,  /* damaged, found before by the gateway */
    VERIFY_MISSING,    /* nothing says why */
    VERIFY_UNBALANCED, /* the ledger */
    VERIFY_BACKUP      /* a file of a backup */
};

struct verify_finding {
    enum verify_kind kind;
    bool sealed;      /* it is about a sealed file: a backup may have it whole */
    const char *file; /* name; "" if it is about no file. Borrowed, as the reason */
    uint64_t offset;  /* where in it */
    uint32_t tag;     /* whose samples, 0: not of one tag */
    struct sealed_place
        place; /* VERIFY_MISSING: the segments, last 0: not known; else those of the file */
    const char *reason;
};

struct verify_sum {
    uint64_t files, bytes;
    uint64_t samples; /* in sealed files and in raw segments that are not sealed yet */
    uint64_t blocks, frames;
    uint64_t unfinished; /* bytes at the newest segment's end: a write under way, or torn */
    uint64_t findings;   /* how often `found` was called */
    uint64_t tags;       /* with an account */
    struct journal_account ledger; /* of all tags together */
    bool has_ledger;               /* the raw segments hold it whole */
    bool compared;                 /* its samples with those that are there */
};

struct verify {
    /* The caller's. */
    const struct disk *disk;
    void (*found)(void *context, const struct verify_finding *finding);
    void (*beat)(void *context, uint64_t bytes); /* so many more were looked at; may be NULL */
    void *context;
    struct verify_sum sum;
    /* Its own. */
    struct block_scratch *scratch;
    struct block *block;
    struct sealed_walk walk;
    uint64_t **counted;            /* by tag, in pages as struct state has them: samples */
    struct verify_hole *holes;     /* sequence numbers that are in no file */
    struct verify_reason *reasons; /* what the journal itself tells of such */
    size_t hole_count, hole_room, reason_count, reason_room;
    bool incomplete; /* something was taken away, or lost: samples can't be compared */
};

/* The caller has set its own members, the rest is zero. ERR_NOMEM. */
MUST_USE int verify_init(struct verify *v);
void verify_fini(struct verify *v);

/* A sealed file alone, open. `name`: as the journal's folder has it. ERR_NOMEM, or 0 whatever is found. */
MUST_USE int verify_sealed(struct verify *v, const char *name, int fd);
/* All of it. */
MUST_USE int verify_all(struct verify *v, const struct snapshot *s);

/* Between the two halves of it: what a note tells of files that are gone. */
void verify_note(struct verify *v, const struct slot *record);
void verify_found(struct verify *v, struct verify_finding finding);
/* `id` is at most SLOT_ID_MAX. */
MUST_USE int verify_count(struct verify *v, uint32_t id, uint64_t samples);

#endif
