/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of history, one core, from memory to memory: blocks of 1,024 samples and each tag's table of them.
 *
 *   history.bytes_regular, bytes_jitter  1,000 tags × 1 h of generated signals (bench/signals.h)
 *   history.bytes_skab, bytes_nab        recordings; the folder is $ISTHMUS_DATA, else ../shared/data
 *   history.encode                       samples/s: summarise, encode, table
 *   history.decode                       samples/s: time, value and status
 *
 * All bytes count: heads, tables, and 4 bytes of checksum for each block (in its table's row). Everything is decoded and
 * compared to the bit first. Speeds are of the regular clock; those of the jittered one go to stderr. */
#include "bench/signals.h"

#include "base/clock.h"
#include "history/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEED    20261123u
#define TAGS    1000u
#define SAMPLES 3600u
#define BLOCKS  (1u << 15)
#define MIN_NS  (NS_PER_S / 2)

struct store {
    struct block_scratch *scratch;
    struct block block;
    struct block_entry entries[BLOCKS];
    uint32_t blocks;
    uint64_t samples;
    uint8_t *bytes, *at, *end;
};

static const char *const recordings[] = {"skab", "nab"};

static const char *data_folder(void)
{
    const char *folder = getenv("ISTHMUS_DATA");
    return folder ? folder : "../shared/data";
}

static void load(struct block *b, const struct signal *s, uint32_t from, uint32_t count)
{
    b->type = s->type;
    b->count = count;
    memcpy(b->time, s->time + from, count * sizeof *b->time);
    memcpy(b->value, s->value + from, count * sizeof *b->value);
    memcpy(b->status, s->status + from, count * sizeof *b->status);
}

static bool encode_tag(struct store *st, const struct signal *s)
{
    uint32_t first = st->blocks;
    for (uint32_t from = 0; from < s->count; from += BLOCK_SAMPLES, st->blocks++) {
        struct block_entry *e = st->entries + st->blocks;
        load(&st->block, s, from,
             s->count - from < BLOCK_SAMPLES ? s->count - from : BLOCK_SAMPLES);
        block_summarise(&st->block, &e->summary);
        int size = block_encode(st->scratch, &st->block, st->at, (size_t)(st->end - st->at));
        if (size < 0) {
            return false;
        }
        e->offset = (uint64_t)(st->at - st->bytes);
        e->size = (uint32_t)size;
        e->crc = (uint32_t)(e->offset * 2654435761u); /* stands for one */
        st->at += size;
    }
    int size = table_encode(st->scratch, s->type, st->entries + first, st->blocks - first, st->at,
                            (size_t)(st->end - st->at));
    st->at += size > 0 ? size : 0;
    st->samples += s->count;
    return size > 0;
}

static bool encode(struct store *st, const struct signals *in)
{
    st->at = st->bytes;
    st->blocks = 0;
    st->samples = 0;
    for (uint32_t t = 0; t < in->count; t++) {
        if (!encode_tag(st, in->tags + t)) {
            return false;
        }
    }
    return true;
}

static bool decode(struct store *st)
{
    for (uint32_t i = 0; i < st->blocks; i++) {
        const struct block_entry *e = st->entries + i;
        if (block_decode(st->scratch, st->bytes + e->offset, e->size,
                         BLOCK_TIME | BLOCK_VALUE | BLOCK_STATUS, &st->block)) {
            return false;
        }
    }
    return true;
}

static bool is_lossless(struct store *st, const struct signals *in)
{
    const struct block *b = &st->block;
    uint32_t i = 0;
    for (uint32_t t = 0; t < in->count; t++) {
        const struct signal *s = in->tags + t;
        for (uint32_t at = 0; at < s->count; at += b->count, i++) {
            const struct block_entry *e = st->entries + i;
            if (block_decode(st->scratch, st->bytes + e->offset, e->size, BLOCK_ALL, &st->block) ||
                memcmp(b->time, s->time + at, b->count * sizeof *b->time) ||
                memcmp(b->value, s->value + at, b->count * sizeof *b->value) ||
                memcmp(b->status, s->status + at, b->count * sizeof *b->status)) {
                return false;
            }
        }
    }
    return true;
}

/* What this thread has used: on a shared machine others must not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Samples per second of processor time, over at least half a second of it. */
static double speed(struct store *st, const struct signals *in, bool encoding)
{
    int64_t start = cpu_ns(), now = start;
    uint64_t samples = 0;
    while (now - start < MIN_NS) {
        if (!(encoding ? encode(st, in) : decode(st))) {
            return 0;
        }
        samples += st->samples;
        now = cpu_ns();
    }
    return (double)samples * 1e9 / (double)(now - start);
}

static bool measure(const char *name, struct store *st)
{
    const char *what = strchr(name, '.') + 1;
    bool recorded = !strcmp(what, "bytes_skab") || !strcmp(what, "bytes_nab");
    struct signals in;
    bool good = recorded
                    ? signals_read(&in, data_folder(), what + strlen("bytes_"))
                    : signals_generate(&in, SEED, TAGS, SAMPLES, !strcmp(what, "bytes_jitter"));
    good = good && encode(st, &in) && is_lossless(st, &in);
    if (!good) {
        return false;
    }
    double bytes = (double)(st->at - st->bytes) / (double)st->samples;
    if (!strncmp(what, "bytes_", 6)) {
        printf("%s %.4f bytes/sample\n", name, bytes);
        if (!recorded) {
            fprintf(stderr, "history: the noise alone is %.3f bytes/sample\n",
                    signals_noise_bits(SEED, TAGS) / 8);
        }
        fprintf(stderr, "history: %s: encode %.0f, decode %.0f million samples/s\n", what,
                speed(st, &in, true) / 1e6, speed(st, &in, false) / 1e6);
    } else {
        printf("%s %.1f million samples/s\n", name, speed(st, &in, !strcmp(what, "encode")) / 1e6);
    }
    signals_free(&in);
    return true;
}

/* Without the recordings there is nothing to measure on them. */
static void list(void)
{
    struct signals in;
    puts("history.bytes_regular\nhistory.bytes_jitter\nhistory.encode\nhistory.decode");
    for (size_t i = 0; i < sizeof recordings / sizeof *recordings; i++) {
        if (signals_read(&in, data_folder(), recordings[i])) {
            printf("history.bytes_%s\n", recordings[i]);
            signals_free(&in);
        } else {
            fprintf(stderr, "history_bench: no recordings %s in %s\n", recordings[i],
                    data_folder());
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        list();
        return 0;
    }
    static struct store st;
    size_t room = (size_t)64 << 20;
    st.bytes = malloc(room);
    st.end = st.bytes + room;
    if (!st.bytes || block_scratch_new(&st.scratch)) {
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        if (!measure(argv[i], &st)) {
            fprintf(stderr, "history_bench: %s could not be measured\n", argv[i]);
            return 1;
        }
        fflush(stdout);
    }
    block_scratch_free(st.scratch);
    free(st.bytes);
    return 0;
}
