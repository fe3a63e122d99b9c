/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest plant: one south box with one device of `tags` float64 tags, ids from 1. */
#ifndef ISTHMUS_BENCH_PLAN_H
#define ISTHMUS_BENCH_PLAN_H

#include "tag/plan_build.h"

#include <stdio.h>

/* The image, owned by the caller; NULL without memory. */
static inline void *small_plan(const char *dir, uint32_t tags, uint32_t ring_capacity, size_t *size)
{
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->state_dir = plan_build_text(b, dir);
    plan_build_header(b)->journal_limit = UINT64_C(8) << 30;
    plan_build_header(b)->segment_size = UINT64_C(256) << 20;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "plant")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "box"),
                                         .kind = BOX_SOUTH,
                                         .ring_capacity = ring_capacity});
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "device")});
    for (uint32_t i = 0; i < tags; i++) {
        char path[32];
        snprintf(path, sizeof path, "plant/tag%u", i);
        plan_build_tag(b, &(struct plan_tag){.id = i + 1,
                                             .path = plan_build_text(b, path),
                                             .type = VALUE_FLOAT64,
                                             .raw_type = VALUE_FLOAT64});
    }
    void *image = NULL;
    int err = plan_build_finish(b, &image, size);
    plan_build_free(b);
    return err ? NULL : image;
}

#endif
