/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the board that the reader shows (box/board.h). A command keeps its row while it is open; then the row stays until
 * another needs it. */
#include "engine/batch.h"
#include "engine/internal.h"

#include <string.h>

static void put(struct engine *e, uint32_t place, uint64_t number, const struct command *c)
{
    struct board_row row = {.number = number, .receipt = c->receipt, .box = c->box};
    memcpy(row.wish, c->wish, sizeof row.wish);
    batch_id(e, c, row.batch);
    board_put(e->g->board->entries + place, &row);
}

void board_clear(struct engine *e)
{
    const struct board_row none = {0};
    for (uint32_t i = 0; i < BOARD_ROWS; i++) {
        board_put(e->g->board->entries + i, &none);
    }
}

void board_begin(struct engine *e, struct command *c)
{
    struct commands *k = &e->commands;
    do { /* COMMANDS_OPEN of them at most are taken */
        c->row = k->row_next++ % BOARD_COMMANDS;
    } while (k->row_taken[c->row]);
    k->row_taken[c->row] = true;
    c->number = ++k->shown;
}

void board_turn(struct engine *e)
{
    struct commands *k = &e->commands;
    for (uint32_t i = 0; i < k->open_count; i++) {
        struct command *c = k->open + i;
        if (memcmp(&c->shown, &c->receipt, sizeof c->shown) != 0) {
            c->shown = c->receipt;
            put(e, c->row, c->number, c);
        }
    }
}

void board_end(struct engine *e, const struct command *c)
{
    e->commands.row_taken[c->row] = false;
    put(e, c->row, c->number, c);
}

void board_refused(struct engine *e, const struct command *c)
{
    struct commands *k = &e->commands;
    put(e, BOARD_COMMANDS + k->row_refused++ % BOARD_REFUSED, ++k->shown, c);
}

void board_count(struct engine *e, uint32_t box, uint32_t tag, bool refused)
{
    const struct plan_header *h = e->g->plan.header;
    const struct tag_state *t = tag ? engine_tag(e, tag) : NULL;
    if (t && box < h->boxes.count) {
        struct traffic *traffic = e->g->traffic + (size_t)box * h->zones.count + t->tag->zone;
        ledger_add(refused ? &traffic->refused : &traffic->allowed, 1);
    }
}
