/* SPDX-License-Identifier: Apache-2.0 */
/* What a box may write into its ring to the engine: the input behind its first byte as slots, put in two parts with a step
 * between them; the first byte says whether a south or a north box writes. Whatever they say, every sample is accounted
 * for, the other boxes are served, and the journal holds what its own reader would refuse from no one. */
#include <stdlib.h>
#include <string.h>

#include "engine/test_bed.h"

#define INPUTS_PER_BED 500 /* so that neither journal nor store fill up */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bed *b;

static void put(int box, const uint8_t *data, size_t size)
{
    struct slot slots[400] = {0};
    size = size < sizeof slots ? size : sizeof slots;
    if (size) {
        memcpy(slots, data, size);
    }
    bed_put(b, box, slots, (size + sizeof *slots - 1) / sizeof *slots);
    bed_run(b, 100);
}

static void end(void)
{
    struct bed_frames frames;
    bed_read(b, &frames); /* proves every frame */
    free(frames.bytes);
    bed_free(b);
}

static void begin(void)
{
    bool first = !b;
    if (b) {
        end();
    }
    b = bed_new(0);
    if (first) {
        atexit(end); /* behind libcrypto, which cleans up there: so it runs before that */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned count;
    if (count++ % INPUTS_PER_BED == 0) {
        begin();
    }
    int box = size && (data[0] & 1) ? BED_CLOUD : BED_FIELD;
    size_t half = size / 2 / sizeof(struct slot) * sizeof(struct slot);
    uint64_t served = engine_entry(engine_tag(b->e, 4))->journaled;
    struct slot other = {.time = b->utc_ns, .tag = 4, .value.u64 = count & 0xffff};
    if (size) {
        put(box, data + 1, half);
        put(box, data + 1 + half, size - 1 - half);
    }
    bed_put(b, BED_OTHER, &other, 1);
    bed_run(b, 100);
    if (!bed_balances(b) || engine_entry(engine_tag(b->e, 4))->journaled != served + 1) {
        abort();
    }
    bed_restart_box(b, box, true);
    bed_run(b, 100);
    bed_settle(b);
    return 0;
}
