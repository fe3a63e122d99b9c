/* SPDX-License-Identifier: Apache-2.0 */
/* plant_history FOLDER TAGS SAMPLES END: puts a day's work of a plant into a journal's folder, as one imported sealed file: for the tags with
 * ids 1 to TAGS (float64) SAMPLES each, one a second, up to END (seconds UTC). Signals: bench/signals.h, 100 of them over and
 * over. A tenth of the way in all are bad for five minutes; at six tenths a quarter of an hour is missing, and a gap says so. */
#include "bench/signals.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "history/sealed.h"
#include "journal/catalogue.h"
#include "tag/record.h"
#include "tag/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNALS  100u
#define BAD_S    300u
#define GAP_S    900u
#define TAGS_MAX 1000000u

struct column { /* of one signal: its blocks, encoded */
    struct block_entry *entries;
    uint8_t *bytes;
    uint32_t blocks;
};

struct stretch {
    uint32_t bad, gap; /* samples before each */
    int64_t start_ns;
};

static bool encode(struct column *c, struct block_scratch *scratch, const struct signal *in,
                   const struct stretch *where)
{
    static struct block b;
    uint32_t room = in->count / BLOCK_SAMPLES + 2;
    size_t used = 0;
    c->entries = calloc(room, sizeof *c->entries);
    c->bytes = malloc((size_t)room * BLOCK_NUMBER_BYTES_MAX);
    b = (struct block){.type = VALUE_FLOAT64};
    for (uint32_t i = 0; c->entries && c->bytes && i < in->count; i++) {
        bool bad = i - where->bad < BAD_S, missing = i - where->gap < GAP_S;
        if (!missing) {
            union slot_value v = {.u64 = in->value[i]}, number;
            number.f64 = value_as_double(in->type, v);
            b.time[b.count] = where->start_ns + (int64_t)i * NS_PER_S;
            b.value[b.count] = number.u64;
            b.status[b.count++] = bad ? STATUS_BAD_NO_COMMUNICATION : STATUS_GOOD;
        }
        if (b.count && (b.count == BLOCK_SAMPLES || i + 1 == in->count)) {
            struct block_entry *e = c->entries + c->blocks;
            int size = block_encode(scratch, &b, c->bytes + used, BLOCK_NUMBER_BYTES_MAX);
            if (size < 0) {
                return false;
            }
            block_summarise(&b, &e->summary);
            e->offset = used;
            e->size = (uint32_t)size;
            e->crc = crc32c(0, c->bytes + used, e->size);
            used += e->size;
            c->blocks++;
            b.count = 0;
        }
    }
    return c->entries && c->bytes;
}

static void note_gap(struct sealed_writer *w, const struct stretch *where)
{
    struct slot slots[SLOT_RECORD_MAX] = {{0}};
    struct record_gap gap = {.scope = GAP_ALL, .cause = GAP_GATEWAY_DOWN};
    gap.from_ns = where->start_ns + (int64_t)where->gap * NS_PER_S;
    gap.to_ns = gap.from_ns + (GAP_S - 1) * NS_PER_S;
    slots[0] =
        (struct slot){.time = gap.to_ns, .value.u64 = sizeof gap, .tag = record_tag(RECORD_GAP)};
    memcpy(slots + 1, &gap, sizeof gap);
    sealed_add_note(
        w,
        &(struct sealed_note){.now_ns = gap.to_ns, .slots = (uint32_t)slot_count_for(sizeof gap)},
        slots);
}

static void put_column(struct sealed_writer *w, uint32_t id, const struct column *c)
{
    sealed_begin(w, id, VALUE_FLOAT64);
    for (uint32_t i = 0; i < c->blocks; i++) {
        if (!sealed_add_block(w, c->entries + i, c->bytes + c->entries[i].offset)) {
            /* the last one is short: sample by sample */
            static struct block b;
            static struct block_scratch *scratch;
            if ((!scratch && block_scratch_new(&scratch)) ||
                block_decode(scratch, c->bytes + c->entries[i].offset, c->entries[i].size,
                             BLOCK_TIME | BLOCK_VALUE | BLOCK_STATUS, &b)) {
                return;
            }
            for (uint32_t n = 0; n < b.count; n++) {
                sealed_add(w,
                           &(struct slot){.time = b.time[n],
                                          .value.u64 = b.value[n],
                                          .tag = id,
                                          .status = b.status[n]},
                           NULL);
            }
        }
    }
    sealed_end(w);
}

int main(int argc, char **argv)
{
    static struct column columns[SIGNALS];
    struct block_scratch *scratch = NULL;
    struct sealed_writer *w = NULL;
    struct signals in;
    uint32_t tags = argc == 5 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t samples = argc == 5 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    int dir = argc == 5 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0 || tags < 1 || tags > TAGS_MAX || samples < 10 * GAP_S) {
        fprintf(stderr, "usage: plant_history FOLDER TAGS SAMPLES END\n");
        return 2;
    }
    int64_t end_ns = strtoll(argv[4], NULL, 10) * NS_PER_S;
    struct stretch where = {samples / 10, samples / 10 * 6, end_ns - (int64_t)samples * NS_PER_S};
    struct sealed_header about = {.flags = SEALED_IMPORTED,
                                  .first_segment = 1,
                                  .last_segment = 1,
                                  .created_ns = end_ns,
                                  .noted_from_ns = where.start_ns,
                                  .noted_to_ns = end_ns};
    if (block_scratch_new(&scratch) || !signals_generate(&in, 1, SIGNALS, samples, false) ||
        sealed_create(&w, &disk_files, dir, &about, tags)) {
        fprintf(stderr, "plant_history: no memory, or no such folder\n");
        return 1;
    }
    bool well = true;
    for (uint32_t i = 0; i < SIGNALS; i++) {
        well = well && encode(columns + i, scratch, in.tags + i, &where);
    }
    note_gap(w, &where);
    for (uint32_t id = 1; well && id <= tags; id++) {
        put_column(w, id, columns + id % SIGNALS);
    }
    int err = well ? sealed_finish(w) : ERR_NOMEM;
    for (uint32_t i = 0; i < SIGNALS; i++) {
        free(columns[i].entries);
        free(columns[i].bytes);
    }
    signals_free(&in);
    block_scratch_free(scratch);
    if (err) {
        fprintf(stderr, "plant_history: %s\n", err_text(err));
    }
    return err != 0;
}
