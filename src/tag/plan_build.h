/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a plan image (tag/plan.h). Used by config/, and by tests that need a plan without a folder. */
#ifndef ISTHMUS_TAG_PLAN_BUILD_H
#define ISTHMUS_TAG_PLAN_BUILD_H

#include "tag/plan.h"

struct plan_build;

struct plan_build *plan_build_new(void); /* owned; NULL: out of memory */
void plan_build_free(struct plan_build *b);

/* Copies the text; equal texts share. An allocation that fails makes the build bad; finish reports it. */
plan_str plan_build_text(struct plan_build *b, const char *text);
/* What was added; borrowed until the next text is added. */
const char *plan_build_peek(const struct plan_build *b, plan_str s);
struct plan_header *
plan_build_header(struct plan_build *b); /* fill in settings; borrowed until the next call */

/* Each copies its argument and gives its index. Options, addresses, feed tags and write tags: add those of one owner in a row,
 * note the first index and the count in the owner. Tags may come in any order; finish sorts them by id and computes
 * zone_index, text_offset, zone.tag_count, zone.text_size, box.tag_count, and box.ring_capacity where it is 0. */
uint32_t plan_build_zone(struct plan_build *b, const struct plan_zone *zone);
uint32_t plan_build_conduit(struct plan_build *b, const struct plan_conduit *conduit);
uint32_t plan_build_box(struct plan_build *b, const struct plan_box *box);
uint32_t plan_build_device(struct plan_build *b, const struct plan_device *device);
uint32_t plan_build_tag(struct plan_build *b, const struct plan_tag *tag);
uint32_t plan_build_feed(struct plan_build *b, const struct plan_feed *feed);
uint32_t plan_build_feed_tag(struct plan_build *b, uint32_t tag_id);
uint32_t plan_build_write(struct plan_build *b, const struct plan_write *write);
uint32_t plan_build_write_tag(struct plan_build *b, uint32_t tag_id);
uint32_t plan_build_code(struct plan_build *b, const void *code,
                         size_t size); /* begins on 8 bytes */
uint32_t plan_build_option(struct plan_build *b, const char *key, const char *value);

/* The image (owned, free()). 0 or ERR_NOMEM. */
MUST_USE int plan_build_finish(struct plan_build *b, void **image, size_t *size);

#endif
