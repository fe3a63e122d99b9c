/* SPDX-License-Identifier: Apache-2.0 */
/* The world of the reader's tests and fuzzers: a gateway in plain memory, two north boxes that ask, an engine that
 * stores values, and a journal in memory. Not part of the program. */
#ifndef ISTHMUS_READER_WORLD_H
#define ISTHMUS_READER_WORLD_H

#include "reader/core.h"

/* Box 0 "plc" south with devices 0 (tags 1, 2) and 1 (tags 3, 4; 4 is text); box 1 "cloud" north with feed 0 of tags
 * 1 and 2; box 2 "console" north, scope all. */
enum { WORLD_CLOUD = 1, WORLD_CONSOLE = 2, WORLD_BOXES = 3 };

struct world {
    struct gateway g;
    void *image;
    struct engine_panel engine;
    struct sealer_panel sealer;
    struct health *health;
    struct panel panels[SEAT_BOX + WORLD_BOXES];
    struct seat seats[SEAT_BOX + WORLD_BOXES];
    struct now_table zone;
    struct reader_core *core;
    const struct disk *disk; /* world_disk, or that of the journal in dir_fd */
    int dir_fd;
    /* the other ends */
    struct ring_consumer up;
    struct ring_producer down;
    struct ring_producer ask[WORLD_BOXES];
    struct ring_consumer answer[WORLD_BOXES];
    struct ring_consumer box_up[WORLD_BOXES]; /* the engine's ends of the boxes' rings */
    struct ring_producer box_down[WORLD_BOXES];
    uint8_t stored[STORE_VALUE_MAX]; /* what the engine has for "cursor/feed" */
    size_t stored_size;
    unsigned stores;
    int64_t now_ns;
    void *owned[64];
    size_t owned_count;
};

struct world *world_new(bool live_first);
void world_free(struct world *w);
void world_restart_reader(struct world *w);

/* world_journal.c */
extern const struct disk world_disk; /* what world_journal wrote */
/* Appends a frame; samples of tag `tag` have value = their sequence number. Returns the first sequence number. */
uint64_t world_journal(struct world *w, const struct slot *slots, size_t count);
uint64_t world_samples(struct world *w, uint32_t tag, size_t count);
void world_durable(struct world *w, uint64_t sequence);
void world_forget(void); /* the frames */

/* Steps until the reader would sleep (time goes on 1 ms a step), and plays the engine meanwhile. */
void world_run(struct world *w);
void world_pass(struct world *w, int64_t ms);

void world_ask(struct world *w, uint32_t box, const struct ask *ask);

#endif
