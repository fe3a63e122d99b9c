/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, from the engine's board: those of tags that the asker may see, in the order in which they were asked for. */
#include "reader/core.h"

static bool is_shown(const struct board_row *row, const struct request *r)
{
    return row->receipt.tag && filter_has_tag(&r->scope->filter, row->receipt.tag) &&
           (!r->ask.tag || row->receipt.tag == r->ask.tag);
}

/* The row with the least number above `after`; false: there is none. */
static bool next_row(const struct command_board *board, const struct request *r,
                     struct board_row *least)
{
    bool found = false;
    for (uint32_t i = 0; i < BOARD_ROWS; i++) {
        struct board_row row;
        if (board_get(board->entries + i, &row) && row.number > r->at && is_shown(&row, r) &&
            (!found || row.number < least->number)) {
            *least = row;
            found = true;
        }
    }
    return found;
}

void answer_commands(struct reader_core *core, struct link *link, struct request *r)
{
    struct board_row row;
    while (next_row(core->g->board, r, &row)) {
        if (core->budget < BOARD_ROWS) {
            core->more = true;
            return;
        }
        core->budget -= BOARD_ROWS;
        if (!link_row(link, core, r, &row, sizeof row)) {
            return;
        }
        r->at = row.number;
    }
    link_end(link, core, r, ERR_OK, (struct cursor_range){0}, false);
}
