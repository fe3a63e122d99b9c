/* SPDX-License-Identifier: Apache-2.0 */
/* A tag as the catalogue of a segment or a sealed file describes it: struct frame_tag and its texts. */
#ifndef ISTHMUS_JOURNAL_CATALOGUE_H
#define ISTHMUS_JOURNAL_CATALOGUE_H

#include "journal/frame.h"
#include "tag/plan.h"

/* Texts beyond what a catalogue needs are cut: the plan bounds them lower. */
#define CATALOGUE_TEXT_MAX  4096u
#define CATALOGUE_ENTRY_MAX (sizeof(struct frame_tag) + 4 * CATALOGUE_TEXT_MAX)

union catalogue_entry {
    struct frame_tag tag;
    uint8_t bytes[CATALOGUE_ENTRY_MAX];
};

/* Fills in the entry of a plan's tag; returns its size, a multiple of 8. */
size_t catalogue_entry(const struct plan *plan, const struct plan_tag *t,
                       union catalogue_entry *out);

#endif
