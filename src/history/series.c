/* SPDX-License-Identifier: Apache-2.0 */
/* A source is the tag's column in one file, or its part of the tail. Each is ascending; so the next sample is that of the
 * source with the least time, and it can go on up to where another one comes in. Files seldom overlap: then a block is a
 * piece, decoded or not. A source is opened only when its turn comes, so memory is that of the files that overlap.
 *
 *   source 0  ├──block──┤├──block──┤
 *   source 1                  ├──block──┤        → block 0, part of block 1, run by run where they overlap …
 */
#include "history/series.h"

#include "base/slot.h"

#include <stdlib.h>
#include <string.h>

struct source {
    struct history_file *file; /* NULL: the tail */
    struct sealed_column column;
    const struct slot *slots; /* tail */
    size_t slot_count, slot_at;
    struct sealed_walk walk;
    bool open, has_entry, decoded, done;
    struct block_entry entry;
    struct block *block; /* owned, once needed */
    uint32_t at;         /* sample in the block */
    int64_t next_ns;     /* no sample that is still to come has an earlier time */
};

struct series {
    struct series_options o;
    struct shelf *shelf;
    const struct gather *gather;
    struct block_scratch *scratch;
    bool own_scratch;
    struct source *sources; /* in the order in which equal times are given */
    uint32_t count;
    struct block *edge; /* owned: for series_before and series_after */
    uint8_t edge_text[SLOT_BYTES_MAX];
    uint64_t damage;
};

static struct block *block_new(const struct series *s, bool with_texts)
{
    struct block *b = aligned_alloc(64, (sizeof *b + 63) / 64 * 64);
    if (!b) {
        return NULL;
    }
    b->type = s->o.type;
    b->count = b->text_size = b->text_capacity = 0;
    b->text = NULL;
    if (value_is_long(s->o.type) && with_texts) {
        b->text = malloc(BLOCK_TEXT_MAX);
        b->text_capacity = BLOCK_TEXT_MAX;
        if (!b->text) {
            free(b);
            return NULL;
        }
    }
    return b;
}

static void block_free(struct block *b)
{
    if (b) {
        free(b->text);
        free(b);
    }
}

static int note_damage(struct series *s, struct history_file *f)
{
    s->damage++;
    f->damage++;
    return ERR_OK;
}

static int add_file(struct series *s, struct history_file *f)
{
    struct sealed_column column;
    int err = sealed_find(&f->sealed, s->o.tag, &column);
    if (err == ERR_CHECKSUM || err == ERR_MALFORMED || err == ERR_SHORT) {
        return note_damage(s, f);
    }
    if (!err && column.type == s->o.type) {
        s->sources[s->count++] =
            (struct source){.file = f, .column = column, .next_ns = column.first_ns};
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void add_tail(struct series *s)
{
    struct source *source = s->sources + s->count;
    source->slots = gather_find(s->gather, s->o.tag, &source->slot_count);
    if (source->slot_count) {
        source->next_ns = source->slots[0].time;
        s->count++;
    }
}

int series_open(struct series **out, struct history *h, const struct series_options *options)
{
    struct series *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->o = *options;
    s->o.parts |= BLOCK_TIME;
    s->shelf = shelf_hold(options->tail ? options->tail->shelf : h->shelf);
    s->gather = options->tail ? &options->tail->gather : NULL;
    s->scratch = options->scratch;
    s->sources = calloc(s->shelf->file_count + 1, sizeof *s->sources);
    int err = s->sources ? ERR_OK : ERR_NOMEM;
    if (!err && !s->scratch) {
        err = block_scratch_new(&s->scratch);
        s->own_scratch = !err;
    }
    for (uint32_t i = 0; !err && i < s->shelf->file_count; i++) {
        err = add_file(s, s->shelf->files[i]);
    }
    if (!err && s->gather) {
        add_tail(s);
    }
    if (err) {
        series_close(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

static void source_close(struct source *source)
{
    if (source->open && source->file) {
        sealed_walk_fini(&source->walk);
    }
    block_free(source->block);
    source->block = NULL;
    source->open = false;
    source->done = true;
}

void series_close(struct series *s)
{
    if (!s) {
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        source_close(s->sources + i);
    }
    free(s->sources);
    block_free(s->edge);
    if (s->own_scratch) {
        block_scratch_free(s->scratch);
    }
    shelf_release(s->shelf);
    free(s);
}

uint64_t series_damage(const struct series *s)
{
    return s->damage;
}

/* ---- The next block of a source. ---- */

static void fill_from_tail(struct series *s, struct source *source)
{
    struct block *b = source->block;
    size_t left = source->slot_count - source->slot_at,
           count = left < BLOCK_SAMPLES ? left : BLOCK_SAMPLES;
    b->text_size = b->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct slot sample;
        const uint8_t *text = gather_text(s->gather, source->slots + source->slot_at, &sample);
        size_t length = text && b->text ? (size_t)sample.value.u64 : 0;
        if (length > b->text_capacity - b->text_size) {
            break;
        }
        if (length) {
            memcpy(b->text + b->text_size, text, length);
        }
        b->text_at[i] = b->text_size;
        b->text_size += (uint32_t)length;
        b->time[i] = sample.time;
        b->value[i] = sample.value.u64;
        b->status[i] = sample.status;
        b->count++;
        source->slot_at++;
    }
}

static int decode(struct series *s, struct source *source)
{
    if (!source->block && !(source->block = block_new(s, s->o.parts & BLOCK_TEXT))) {
        return ERR_NOMEM;
    }
    source->has_entry = false;
    if (!source->file) {
        fill_from_tail(s, source);
    } else {
        int err = sealed_walk_block(&source->walk, &source->entry, s->o.parts, source->block);
        if (err) {
            return err == ERR_IO || err == ERR_NOMEM ? err : note_damage(s, source->file);
        }
    }
    source->at = block_find(source->block, 0, source->block->count, s->o.from_ns);
    source->decoded = source->at < source->block->count;
    if (source->decoded) {
        source->next_ns = source->block->time[source->at];
    }
    return ERR_OK;
}

/* The next entry that reaches the range, or the end. */
static int next_entry(struct series *s, struct source *source)
{
    const struct block_entry *e;
    for (;;) {
        int got = sealed_walk_next(&source->walk, &e);
        if (got < 0 && got != ERR_IO && got != ERR_NOMEM) {
            note_damage(s, source->file);
            continue;
        }
        if (got <= 0 || e->summary.first_ns > s->o.to_ns) {
            source_close(source);
            return got < 0 ? got : ERR_OK;
        }
        if (e->summary.last_ns >= s->o.from_ns) {
            source->entry = *e;
            source->has_entry = true;
            source->next_ns = e->summary.first_ns;
            return ERR_OK;
        }
    }
}

/* Makes the source stand at a sample, or before a block of which it knows where that begins, or at its end. */
static int advance(struct series *s, struct source *source)
{
    if (!source->file) {
        if (source->slot_at < source->slot_count) {
            return decode(s, source);
        }
        source_close(source);
        return ERR_OK;
    }
    if (!source->open) {
        if (source->column.last_ns < s->o.from_ns || source->column.first_ns > s->o.to_ns) {
            source_close(source);
            return ERR_OK;
        }
        int err = sealed_walk_open(&source->walk, &source->file->sealed, s->scratch,
                                   &source->column, s->o.from_ns);
        if (err) {
            return err;
        }
        source->open = true;
    }
    return next_entry(s, source);
}

/* ---- The pieces. ---- */

/* The source that comes first, and before which time its samples come before those of all others. NULL: all are done. */
static struct source *choose(const struct series *s, int64_t *stop_ns)
{
    struct source *first = NULL;
    for (uint32_t i = 0; i < s->count; i++) {
        struct source *source = s->sources + i;
        if (!source->done && (!first || source->next_ns < first->next_ns)) {
            first = source;
        }
    }
    *stop_ns = s->o.to_ns < INT64_MAX ? s->o.to_ns + 1 : INT64_MAX;
    for (uint32_t i = 0; first && i < s->count; i++) {
        const struct source *source = s->sources + i;
        if (source == first || source->done) {
            continue;
        }
        int64_t stop = source->next_ns + (source > first && source->next_ns < INT64_MAX);
        *stop_ns = stop < *stop_ns ? stop : *stop_ns;
    }
    return first;
}

/* Whether the block's summary may stand for it. */
static bool is_whole(const struct series *s, const struct source *source, int64_t stop_ns,
                     const struct series_grid *grid)
{
    const struct block_summary *b = &source->entry.summary;
    return !source->entry.size ||
           (grid && !(grid->good_only && b->good < b->count) && b->first_ns >= s->o.from_ns &&
            b->last_ns <= s->o.to_ns && b->last_ns < stop_ns && b->first_ns >= grid->origin_ns &&
            series_cell(grid, b->first_ns) == series_cell(grid, b->last_ns));
}

static void give_samples(struct source *source, int64_t stop_ns, struct piece *piece)
{
    const struct block *b = source->block;
    uint32_t last = b->count - 1, to = b->count;
    if (b->time[last] >= stop_ns && stop_ns < INT64_MAX) {
        to = block_find(b, source->at, b->count, stop_ns);
    }
    *piece = (struct piece){.samples = b, .from = source->at, .to = to};
    source->at = to;
    source->decoded = to < b->count;
    source->next_ns = b->time[source->decoded ? to : last];
}

int series_next(struct series *s, const struct series_grid *grid, struct piece *piece)
{
    for (;;) {
        int64_t stop_ns;
        struct source *source = choose(s, &stop_ns);
        if (!source || source->next_ns > s->o.to_ns) {
            return 0;
        }
        int err = ERR_OK;
        if (source->decoded) {
            give_samples(source, stop_ns, piece);
            return 1;
        }
        if (!source->has_entry) {
            err = advance(s, source);
        } else if (is_whole(s, source, stop_ns, grid)) {
            source->has_entry = false;
            source->next_ns = source->entry.summary.last_ns;
            *piece =
                (struct piece){.summary = &source->entry.summary, .thinned = !source->entry.size};
            return 1;
        } else {
            err = decode(s, source);
        }
        if (err) {
            return err;
        }
    }
}

/* ---- What lies just outside of the range. ---- */

enum side { BEFORE, AFTER };

/* Whether the sample at `a` is nearer to the range than the best so far; of equal ones the source that stands nearer wins. */
static bool is_nearer(enum side side, int64_t a, const struct slot *best, bool any)
{
    return !any || (side == BEFORE ? a >= best->time : a < best->time);
}

static void take_edge(const struct series *s, uint32_t at, struct slot *out, const uint8_t **text)
{
    const struct block *b = s->edge;
    *out = (struct slot){
        .time = b->time[at], .value.u64 = b->value[at], .tag = s->o.tag, .status = b->status[at]};
    *text = b->text ? b->text + b->text_at[at] : NULL;
}

/* The block of a file's column that holds the sample next to the range. 1, 0: none, or negative. */
static int edge_entry(const struct series *s, struct sealed_walk *w, enum side side,
                      struct block_entry *out)
{
    const struct block_entry *e;
    int found = 0, got;
    while ((got = sealed_walk_next(w, &e)) != 0) {
        if (got == ERR_IO || got == ERR_NOMEM) {
            return got;
        }
        if (got < 0) {
            continue; /* counted when the range itself is read */
        }
        if (side == BEFORE ? e->summary.first_ns >= s->o.from_ns
                           : e->summary.last_ns > s->o.to_ns) {
            if (side == AFTER) {
                *out = *e;
                found = 1;
            }
            break;
        }
        if (side == BEFORE) {
            *out = *e;
            found = 1;
        }
    }
    return found;
}

/* The sample of a summary, if it is the one sought: so a thinned block, and a block that lies outside as a whole, need not
 * be decoded. */
static bool edge_of_summary(const struct series *s, const struct block_entry *e, enum side side,
                            struct slot *out)
{
    const struct block_summary *b = &e->summary;
    if (side == BEFORE && (b->last_ns < s->o.from_ns || !e->size)) {
        bool last = b->last_ns < s->o.from_ns;
        *out = (struct slot){.time = last ? b->last_ns : b->first_ns,
                             .value.u64 = last ? b->last : b->first,
                             .tag = s->o.tag,
                             .status = last ? b->last_status : b->first_status};
        return true;
    }
    if (side == AFTER && (b->first_ns > s->o.to_ns || !e->size)) {
        bool first = b->first_ns > s->o.to_ns;
        *out = (struct slot){.time = first ? b->first_ns : b->last_ns,
                             .value.u64 = first ? b->first : b->last,
                             .tag = s->o.tag,
                             .status = first ? b->first_status : b->last_status};
        return true;
    }
    return false;
}

/* The sample of one file next to the range. 1, 0 or negative. */
static int edge_of_file(struct series *s, struct source *source, enum side side, struct slot *out,
                        const uint8_t **text)
{
    struct sealed_walk w = {0};
    struct block_entry e = {0};
    const struct sealed_column *c = &source->column;
    if (side == BEFORE ? c->first_ns >= s->o.from_ns : c->last_ns <= s->o.to_ns) {
        return 0;
    }
    int64_t from =
        side == BEFORE ? (c->last_ns < s->o.from_ns ? c->last_ns : s->o.from_ns) : s->o.to_ns;
    int got = sealed_walk_open(&w, &source->file->sealed, s->scratch, c, from);
    if (got) {
        return got;
    }
    got = edge_entry(s, &w, side, &e);
    bool whole = got > 0 && !value_is_long(s->o.type) && edge_of_summary(s, &e, side, out);
    if (got > 0 && !whole) {
        got = sealed_walk_block(&w, &e, BLOCK_ALL, s->edge);
        got = got == ERR_IO || got == ERR_NOMEM ? got
              : got                             ? 0
                                                : 1; /* damaged: counted elsewhere */
        if (got > 0) {
            uint32_t at = block_find(s->edge, 0, s->edge->count,
                                     side == BEFORE ? s->o.from_ns : s->o.to_ns + 1);
            at -= side == BEFORE;
            got = at < s->edge->count;
            if (got) {
                take_edge(s, at, out, text);
            }
        }
    }
    sealed_walk_fini(&w);
    return got;
}

static int edge_of_tail(struct series *s, const struct source *source, enum side side,
                        struct slot *out, const uint8_t **text)
{
    int64_t bound = side == BEFORE ? s->o.from_ns : s->o.to_ns;
    size_t low = 0, high = source->slot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool left = side == BEFORE ? source->slots[middle].time < bound
                                   : source->slots[middle].time <= bound;
        low = left ? middle + 1 : low;
        high = left ? high : middle;
    }
    if (side == BEFORE ? low == 0 : low == source->slot_count) {
        return 0;
    }
    *text = gather_text(s->gather, source->slots + low - (side == BEFORE), out);
    return 1;
}

static int edge(struct series *s, enum side side, struct slot *out, const uint8_t **text)
{
    bool any = false;
    if (!s->edge && !(s->edge = block_new(s, true))) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        struct source *source = s->sources + i;
        struct slot sample;
        const uint8_t *bytes = NULL;
        int got = source->file ? edge_of_file(s, source, side, &sample, &bytes)
                               : edge_of_tail(s, source, side, &sample, &bytes);
        if (got < 0) {
            return got;
        }
        if (got && is_nearer(side, sample.time, out, any)) {
            *out = sample;
            any = true;
            if (bytes) {
                memcpy(s->edge_text, bytes, (size_t)sample.value.u64);
            }
        }
    }
    if (text) {
        *text = s->edge_text;
    }
    return any;
}

int series_before(struct series *s, struct slot *out, const uint8_t **text)
{
    return edge(s, BEFORE, out, text);
}

int series_after(struct series *s, struct slot *out, const uint8_t **text)
{
    return s->o.to_ns == INT64_MAX ? 0 : edge(s, AFTER, out, text);
}
