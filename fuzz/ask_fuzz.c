/* SPDX-License-Identifier: Apache-2.0 */
/* What a north box may write into its ask ring: the input as slots, put as they are, in two parts with a step between
 * them. Whatever they say, the reader answers or ignores; it never crashes, and the other box is served. */
#include <assert.h>
#include <string.h>

#include "reader/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct world *w, const uint8_t *data, size_t size)
{
    struct slot slots[200] = {0};
    size = size < sizeof slots ? size : sizeof slots;
    memcpy(slots, data, size);
    if (ring_put(&w->ask[WORLD_CLOUD], slots, (size + 23) / 24) == 0) {
        ring_publish(&w->ask[WORLD_CLOUD]);
    }
    world_run(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_new(size && (data[0] & 1));
    for (uint32_t i = 0; i < 10; i++) {
        world_samples(w, 1 + i % 3, 10);
    }
    world_durable(w, 50);
    world_ask(w, WORLD_CLOUD, &(struct ask){.kind = ASK_FEED_UP, .request = 1});
    put(w, data, size / 2 / 24 * 24);
    put(w, data + size / 2 / 24 * 24, size - size / 2 / 24 * 24);
    world_ask(w, WORLD_CONSOLE, &(struct ask){.kind = ASK_JOURNAL, .request = 1});
    world_run(w);
    assert(ring_waiting(&w->answer[WORLD_CONSOLE]) > 0);
    world_free(w);
    world_forget();
    return 0;
}
