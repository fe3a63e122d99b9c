/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of one tag with a source time in [from_ns, to_ns], ascending, wherever they lie. Equal times come in the order
 * of their arrival, imports first. A late sample is where its source time puts it. One thread; holds its shelf, so files that
 * are merged or dropped meanwhile stay readable. */
#ifndef ISTHMUS_HISTORY_SERIES_H
#define ISTHMUS_HISTORY_SERIES_H

#include "history/history.h"

struct series_options {
    uint32_t tag;
    enum value_type
        type; /* samples of another type (before a change of the configuration) are left out */
    int64_t from_ns, to_ns;
    unsigned parts; /* enum block_part: what the samples of a piece must have; time always comes */
    const struct tail *tail; /* complete, borrowed for the series' life; NULL: sealed files only */
    struct block_scratch *scratch; /* borrowed; NULL: its own */
};

/* Cells [origin_ns + n × step_ns, origin_ns + (n + 1) × step_ns). step_ns > 0. */
struct series_grid {
    int64_t origin_ns, step_ns;
    bool good_only; /* summaries only of blocks in which every sample is good and a number */
};

/* The cell of a time that is not before the origin. */
static inline uint64_t series_cell(const struct series_grid *g, int64_t ns)
{
    return ((uint64_t)ns - (uint64_t)g->origin_ns) / (uint64_t)g->step_ns;
}

struct piece {
    const struct block_summary *summary; /* either a whole block that nothing overlaps … */
    const struct block *samples;         /* … or samples [from, to) of a block, ascending */
    uint32_t from, to;
    bool
        thinned; /* the summary is all that is left: it may cross a line of the grid, or the ends of the range */
};

struct series;

MUST_USE int series_open(struct series **s, struct history *h,
                         const struct series_options *options);
void series_close(struct series *s);
/* 1: *piece is the next, borrowed until the next call; 0: the end; negative: no memory, or the disk fails. A summary is given
 * only for a block that lies in one cell of the grid; NULL: never, but for thinned ones. */
MUST_USE int series_next(struct series *s, const struct series_grid *grid, struct piece *piece);
/* The last sample before from_ns, the first one after to_ns. 1, 0: there is none, or a negative err. `text`: of a text or
 * bytes sample, borrowed until the next call; may be NULL. To be called before the first series_next. */
MUST_USE int series_before(struct series *s, struct slot *out, const uint8_t **text);
MUST_USE int series_after(struct series *s, struct slot *out, const uint8_t **text);
/* Blocks and tables that could not be read and were stepped over so far. */
uint64_t series_damage(const struct series *s);

#endif
