/* SPDX-License-Identifier: Apache-2.0 */
/* A block is a head and four parts, each of which can be decoded alone. Most blocks have only good samples: their status part
 * is empty. */
#include "history/block.h"

#include "history/scratch.h"
#include "history/text.h"

#include <stdlib.h>

enum part { PART_TIME, PART_VALUE, PART_STATUS, PARTS };
#define PART_BYTES_MAX FLOATS_BYTES_MAX

struct head {
    uint32_t type, count, size[PARTS]; /* the rest is text */
};

_Static_assert(2 * WORDS_BYTES_MAX + FLOATS_BYTES_MAX + sizeof(struct head) <=
                   BLOCK_NUMBER_BYTES_MAX,
               "all numbers have room");

int block_scratch_new(struct block_scratch **out)
{
    struct block_scratch *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    *out = s;
    if (!s) {
        return ERR_NOMEM;
    }
    memset(s, 0, sizeof *s);
    s->packer = ZSTD_createCCtx();
    s->unpacker = ZSTD_createDCtx();
    uint8_t once[64];
    /* What packing the longest text needs is taken now, and not when a gateway has run for weeks. */
    if (!s->packer || !s->unpacker ||
        ZSTD_isError(
            ZSTD_compressCCtx(s->packer, once, sizeof once, s->text, sizeof s->text, PACK_LEVEL))) {
        block_scratch_free(s);
        *out = NULL;
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void block_scratch_free(struct block_scratch *s)
{
    if (s) {
        ZSTD_freeCCtx(s->packer);
        ZSTD_freeDCtx(s->unpacker);
        free(s);
    }
}

COLUMN_CODE
static bool falls(const int64_t *time, uint32_t count)
{
    int64_t any = 0;
    for (uint32_t i = 1; i < count; i++) {
        any |= time[i] < time[i - 1];
    }
    return any != 0;
}

static int check(const struct block *b)
{
    if (b->count == 0 || b->count > BLOCK_SAMPLES || b->type == 0 || b->type >= VALUE_TYPE_END) {
        return ERR_MALFORMED;
    }
    return falls(b->time, b->count) ? ERR_MALFORMED : ERR_OK;
}

COLUMN_CODE
static uint32_t widen(const uint32_t *v, uint32_t count, uint64_t *out)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = v[i];
        all |= v[i];
    }
    return all;
}

static int write_part(struct block_scratch *s, const struct block *b, enum part part,
                      size_t *text_size, struct writer *out)
{
    struct words_scratch *words = &s->floats.words;
    if (part == PART_TIME) {
        return words_encode(words, (const uint64_t *)b->time, b->count, out);
    }
    if (part == PART_STATUS) {
        return widen(b->status, b->count, s->column[0])
                   ? words_encode(words, s->column[0], b->count, out)
                   : ERR_OK;
    }
    return value_is_long(b->type)    ? text_encode(s, b, out, text_size)
           : value_is_float(b->type) ? floats_encode(&s->floats, b->value, b->count, out)
                                     : words_encode(words, b->value, b->count, out);
}

int block_encode(struct block_scratch *s, const struct block *b, uint8_t *out, size_t capacity)
{
    int err = check(b);
    size_t text_size = 0;
    uint8_t parts[PARTS * PART_BYTES_MAX];
    struct writer w = writer_of(out, capacity), p = writer_of(parts, sizeof parts);
    write_u8(&w, (uint8_t)b->type);
    write_varint(&w, b->count);
    for (enum part i = PART_TIME; i < PARTS && !err; i++) {
        uint8_t *from = p.at;
        err = write_part(s, b, i, &text_size, &p);
        write_varint(&w, (uint64_t)(p.at - from));
    }
    write_bytes(&w, parts, writer_used(&p));
    if (!err && !w.bad && value_is_long(b->type)) {
        err = text_pack(s, text_size, &w);
    }
    return err ? err : w.bad ? ERR_FULL : (int)writer_used(&w);
}

static int read_head(struct reader *in, struct head *h)
{
    h->type = read_u8(in);
    uint64_t count = read_varint(in);
    for (enum part i = PART_TIME; i < PARTS; i++) {
        uint64_t size = read_varint(in);
        if (size > PART_BYTES_MAX) {
            return ERR_MALFORMED;
        }
        h->size[i] = (uint32_t)size;
    }
    h->count = (uint32_t)count;
    if (in->bad || count == 0 || count > BLOCK_SAMPLES || h->type == 0 ||
        h->type >= VALUE_TYPE_END) {
        return ERR_MALFORMED;
    }
    return ERR_OK;
}

static int read_times(struct block_scratch *s, struct reader *in, struct block *out)
{
    uint64_t base, step;
    int64_t span, last;
    if (words_are_line(&s->floats.words, *in, out->count, &base, &step)) {
        words_fill((uint64_t *)out->time, out->count, base, step);
        bool wraps = __builtin_mul_overflow((int64_t)step, (int64_t)out->count - 1, &span) ||
                     __builtin_add_overflow((int64_t)base, span, &last);
        return wraps || span < 0 ? ERR_MALFORMED : ERR_OK;
    }
    int err = words_decode(&s->floats.words, in, out->count, (uint64_t *)out->time);
    return !err && falls(out->time, out->count) ? ERR_MALFORMED : err;
}

/* Statuses are words of 32 bits; false if one has more. */
COLUMN_CODE
static bool narrow(const uint64_t *v, uint32_t count, uint32_t *out)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        all |= v[i];
        out[i] = (uint32_t)v[i];
    }
    return all <= UINT32_MAX;
}

static int read_statuses(struct block_scratch *s, struct reader *in, struct block *out)
{
    if (reader_left(in) == 0) {
        memset(out->status, 0, out->count * sizeof *out->status);
        return ERR_OK;
    }
    int err = words_decode(&s->floats.words, in, out->count, s->column[0]);
    return !err && !narrow(s->column[0], out->count, out->status) ? ERR_MALFORMED : err;
}

static int read_values(struct block_scratch *s, struct reader *in, struct reader *text,
                       unsigned parts, struct block *out)
{
    if (!value_is_long(out->type)) {
        return value_is_float(out->type)
                   ? floats_decode(&s->floats, in, out->count, out->value)
                   : words_decode(&s->floats.words, in, out->count, out->value);
    }
    size_t size;
    int err = text_decode(s, in, out, &size);
    return err || !(parts & BLOCK_TEXT) ? err : text_unpack(s, text, size, out);
}

int block_decode(struct block_scratch *s, const uint8_t *data, size_t size, unsigned parts,
                 struct block *out)
{
    struct reader in = reader_of(data, size);
    struct head h;
    int err = read_head(&in, &h);
    if (err) {
        return err;
    }
    out->type = (enum value_type)h.type;
    out->count = h.count;
    struct reader time = read_part(&in, h.size[PART_TIME]),
                  value = read_part(&in, h.size[PART_VALUE]);
    struct reader status = read_part(&in, h.size[PART_STATUS]);
    if (in.bad) {
        return ERR_SHORT;
    }
    if (parts & BLOCK_TIME) {
        err = read_times(s, &time, out);
    }
    if (!err && parts & BLOCK_STATUS) {
        err = read_statuses(s, &status, out);
    }
    if (!err && parts & (BLOCK_VALUE | BLOCK_TEXT)) {
        err = read_values(s, &value, &in, parts, out);
    }
    return err;
}
