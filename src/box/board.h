/* SPDX-License-Identifier: Apache-2.0 */
/* The board of commands: the open ones and the last that ended, as the engine shows them to the reader, which shows each asker
 * those of tags that he may see. In engine→reader; one writer. Each row lies under a sequence lock: odd while it is written. */
#ifndef ISTHMUS_BOX_BOARD_H
#define ISTHMUS_BOX_BOARD_H

#include <stdatomic.h>

#include "base/err.h"
#include "tag/record.h"

#define BOARD_COMMANDS 448u /* open, and the last that ended: more than can be open at a time */
#define BOARD_REFUSED                                                                              \
    64u /* the last that were refused at once, apart: they cost their asker nothing */
#define BOARD_ROWS (BOARD_COMMANDS + BOARD_REFUSED)

struct board_row {
    uint64_t number; /* rises with each command; 0: the row is free */
    struct record_receipt receipt;
    char wish[COMMAND_REASON_SIZE]; /* why the caller wants it */
    uint8_t batch[16];              /* that it is a part of; zeros: of none */
    uint32_t box;                   /* through which he asked; PLAN_NONE: not known any more */
    uint32_t reserved;
};

#define BOARD_WORDS (sizeof(struct board_row) / 8)
_Static_assert(sizeof(struct board_row) % 8 == 0, "a row is whole words");

struct board_entry {
    _Alignas(64) _Atomic uint32_t version;
    _Atomic uint64_t words[BOARD_WORDS]; /* struct board_row */
};

struct command_board {
    struct board_entry entries[BOARD_ROWS];
};

/* What a service's callers asked of a zone: whatever would change something. Rises; the engine alone writes it. Beside the board:
 * [boxes of the plan][zones]. */
struct traffic {
    _Atomic uint64_t allowed, refused;
};

void board_put(struct board_entry *entry, const struct board_row *row);
/* False: the row is free, or is being written all the time. */
MUST_USE bool board_get(const struct board_entry *entry, struct board_row *row);

#endif
