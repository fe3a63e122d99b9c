/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed file from a hostile hand: header, index, notes, catalogue, tables and blocks. The header's and the index entries'
 * checksums are mended, so that the fuzzer gets behind them. */
#include "history/sealed_format.h"

#include <stdlib.h>
#include <string.h>

static struct block_scratch *scratch;
static struct block block;
static uint8_t text[BLOCK_TEXT_MAX];

struct image {
    uint8_t *bytes;
    size_t size;
};

static int64_t image_size(void *context, int fd)
{
    (void)fd;
    return (int64_t)((struct image *)context)->size;
}

static int64_t image_read(void *context, int fd, void *data, size_t size, uint64_t offset)
{
    const struct image *i = context;
    (void)fd;
    if (offset >= i->size) {
        return 0;
    }
    size = size < i->size - offset ? size : i->size - (size_t)offset;
    memcpy(data, i->bytes + offset, size);
    return (int64_t)size;
}

static void mend(struct image *i)
{
    struct sealed_header h;
    if (i->size < sizeof h) {
        return;
    }
    memcpy(&h, i->bytes, sizeof h);
    h.crc = sealed_header_crc(&h);
    memcpy(i->bytes, &h, sizeof h);
    for (uint64_t n = 0; n < h.columns && h.columns_offset < i->size; n++) {
        struct sealed_column c;
        uint64_t at = h.columns_offset + n * sizeof c;
        if (at + sizeof c > i->size) {
            break;
        }
        memcpy(&c, i->bytes + at, sizeof c);
        c.crc = sealed_column_crc(&c);
        memcpy(i->bytes + at, &c, sizeof c);
    }
}

static void read_lists(const struct sealed *s)
{
    struct sealed_list list;
    struct sealed_note note;
    struct frame_tag tag;
    const struct slot *slots;
    const char *texts[4];
    int got = sealed_list_notes(&list, s);
    while (!got && (got = sealed_next_note(&list, &note, &slots)) > 0) {
        got = 0;
    }
    sealed_list_fini(&list);
    got = sealed_list_tags(&list, s);
    while (!got && (got = sealed_next_tag(&list, &tag, texts)) > 0) {
        got = 0;
    }
    sealed_list_fini(&list);
}

static void read_column(struct sealed_walk *w, const struct sealed *s,
                        const struct sealed_column *c)
{
    const struct block_entry *e;
    int got = sealed_walk_open(w, s, scratch, c, INT64_MIN);
    for (uint64_t steps = 0; !got && steps <= s->header.size; steps++) {
        got = sealed_walk_next(w, &e);
        if (!got) {
            break;
        }
        if (got > 0) {
            int ignored = sealed_walk_block(w, e, BLOCK_ALL, &block);
            (void)ignored;
        }
        got = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image = {malloc(size + 1), size};
    struct disk disk = {.context = &image, .size = image_size, .read = image_read};
    struct sealed s;
    struct sealed_walk w = {0};
    block.text = text;
    block.text_capacity = BLOCK_TEXT_MAX;
    if (!image.bytes || (!scratch && block_scratch_new(&scratch))) {
        free(image.bytes);
        return 0;
    }
    memcpy(image.bytes, data, size);
    mend(&image);
    if (sealed_read_header(&s, &disk, 1) == ERR_OK) {
        read_lists(&s);
        for (uint32_t n = 0; n < s.header.columns; n++) {
            struct sealed_column c;
            if (sealed_column_at(&s, n, &c) == ERR_OK) {
                read_column(&w, &s, &c);
            }
        }
        sealed_walk_fini(&w);
    }
    free(image.bytes);
    return 0;
}
