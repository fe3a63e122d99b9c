/* SPDX-License-Identifier: Apache-2.0 */
/* A small plan for the tests beside: a south box "field" with a device of three tags, a north box "cloud" with one feed. */
#ifndef ISTHMUS_BOX_TEST_PLAN_H
#define ISTHMUS_BOX_TEST_PLAN_H

#include "box/gateway.h"
#include "tag/plan_build.h"

#include <stdio.h>

enum { TEST_FIELD = SEAT_BOX, TEST_CLOUD, TEST_SEATS };

/* `connect`, `bind`: addresses that the field box may use; NULL: none. It may read the file "own" of the state folder. */
static inline int test_plan(void **image, size_t *size, const char *state_dir, const char *connect,
                            const char *bind)
{
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->name = plan_build_text(b, "works");
    plan_build_header(b)->state_dir = plan_build_text(b, state_dir);
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    struct plan_box field = {.name = plan_build_text(b, "field"),
                             .module = plan_build_text(b, "hostile"),
                             .kind = BOX_SOUTH,
                             .ring_capacity = 1024,
                             .address_count = 1u + (connect != NULL) + (bind != NULL)};
    char own[256];
    snprintf(own, sizeof own, "%s/own", state_dir);
    field.first_address = plan_build_option(b, "read", own);
    if (bind) {
        plan_build_option(b, "bind", bind);
    }
    if (connect) {
        plan_build_option(b, "connect", connect);
    }
    plan_build_box(b, &field);
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "plc")});
    for (uint32_t i = 1; i <= 3; i++) {
        char path[] = {'w', '/', (char)('0' + i), 0};
        plan_build_tag(b, &(struct plan_tag){.id = i,
                                             .path = plan_build_text(b, path),
                                             .type = VALUE_INT32,
                                             .raw_type = VALUE_INT32});
    }
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"),
                                         .module = plan_build_text(b, "none"),
                                         .kind = BOX_NORTH});
    struct plan_feed feed = {.name = plan_build_text(b, "feed"), .box = 1, .tag_count = 1};
    feed.first_tag = plan_build_feed_tag(b, 2);
    plan_build_feed(b, &feed);
    int err = plan_build_finish(b, image, size);
    plan_build_free(b);
    return err;
}

#endif
