/* SPDX-License-Identifier: Apache-2.0 */
/* A block is a head and four parts that can be decoded alone. */
#include "history/block.h"

#include "history/floats.h"
#include "tag/status.h"

#include <stdlib.h>
#include <zstd.h>

struct block_scratch {
    struct floats_scratch floats;
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    uint8_t text[BLOCK_TEXT_MAX];
};

struct head {
    uint32_t type, count, size[3]; /* of the parts time, value, status; the rest is text */
};

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
    if (!s->packer || !s->unpacker) {
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

static int write_text(struct block_scratch *s, const struct block *b, struct writer *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->text_at[i] > b->text_size || b->value[i] > b->text_size - b->text_at[i]) {
            return ERR_MALFORMED;
        }
        if (b->value[i] > BLOCK_TEXT_MAX - size) {
            return ERR_TOO_LONG;
        }
        if (b->value[i]) {
            memcpy(s->text + size, b->text + b->text_at[i], b->value[i]);
        }
        size += b->value[i];
    }
    write_varint(out, size);
    size_t packed = ZSTD_compressCCtx(s->packer, out->at, writer_left(out), s->text, size, 3);
    if (out->bad || ZSTD_isError(packed)) {
        return ERR_FULL;
    }
    out->at += packed;
    return ERR_OK;
}

static int read_text(struct block_scratch *s, struct reader *in, struct block *b)
{
    uint64_t size = read_varint(in);
    if (in->bad || size > BLOCK_TEXT_MAX) {
        return ERR_MALFORMED;
    }
    if (size > b->text_capacity) {
        return ERR_FULL;
    }
    size_t got = ZSTD_decompressDCtx(s->unpacker, b->text, size, in->at, reader_left(in));
    if (ZSTD_isError(got) || got != size) {
        return ERR_MALFORMED;
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->value[i] > size - at) {
            return ERR_MALFORMED;
        }
        b->text_at[i] = (uint32_t)at;
        at += b->value[i];
    }
    b->text_size = (uint32_t)size;
    return at == size ? ERR_OK : ERR_MALFORMED;
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

static int write_part(struct block_scratch *s, const struct block *b, unsigned part,
                      struct writer *out)
{
    if (part == 0) {
        return words_encode(&s->floats.words, (const uint64_t *)b->time, b->count, out);
    }
    if (part == 1) {
        return value_is_float(b->type) ? floats_encode(&s->floats, b->value, b->count, out)
                                       : words_encode(&s->floats.words, b->value, b->count, out);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        s->floats.column[i] = b->status[i];
    }
    return words_encode(&s->floats.words, s->floats.column, b->count, out);
}

int block_encode(struct block_scratch *s, const struct block *b, uint8_t *out, size_t capacity)
{
    int err = check(b);
    uint8_t parts[3 * (WORDS_BYTES_MAX + 16)];
    struct writer w = writer_of(out, capacity), p = writer_of(parts, sizeof parts);
    write_u8(&w, (uint8_t)b->type);
    write_varint(&w, b->count);
    for (unsigned i = 0; i < 3 && !err; i++) {
        uint8_t *from = p.at;
        err = write_part(s, b, i, &p);
        write_varint(&w, (uint64_t)(p.at - from));
    }
    write_bytes(&w, parts, writer_used(&p));
    if (!err && !w.bad && value_is_long(b->type)) {
        err = write_text(s, b, &w);
    }
    return err ? err : w.bad ? ERR_FULL : (int)writer_used(&w);
}

static int read_head(struct reader *in, struct head *h)
{
    uint64_t sizes[3];
    h->type = read_u8(in);
    uint64_t count = read_varint(in);
    for (unsigned i = 0; i < 3; i++) {
        sizes[i] = read_varint(in);
        if (sizes[i] > WORDS_BYTES_MAX + 16) {
            return ERR_MALFORMED;
        }
        h->size[i] = (uint32_t)sizes[i];
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

/* Statuses are words of 32 bits; 0 if one has more. */
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

COLUMN_CODE
static void fill_status(uint32_t *v, uint32_t count, uint32_t status)
{
    for (uint32_t i = 0; i < count; i++) {
        v[i] = status;
    }
}

static int read_statuses(struct block_scratch *s, struct reader *in, struct block *out)
{
    uint64_t base, step;
    if (words_are_line(&s->floats.words, *in, out->count, &base, &step) && step == 0) {
        fill_status(out->status, out->count, (uint32_t)base);
        return base > UINT32_MAX ? ERR_MALFORMED : ERR_OK;
    }
    int err = words_decode(&s->floats.words, in, out->count, s->floats.column);
    return !err && !narrow(s->floats.column, out->count, out->status) ? ERR_MALFORMED : err;
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
    struct reader time = read_part(&in, h.size[0]), value = read_part(&in, h.size[1]);
    struct reader status = read_part(&in, h.size[2]);
    if (in.bad) {
        return ERR_SHORT;
    }
    if (parts & BLOCK_TIME) {
        err = read_times(s, &time, out);
    }
    if (!err && parts & (BLOCK_VALUE | BLOCK_TEXT)) {
        err = value_is_float(out->type)
                  ? floats_decode(&s->floats, &value, out->count, out->value)
                  : words_decode(&s->floats.words, &value, out->count, out->value);
    }
    if (!err && parts & BLOCK_STATUS) {
        err = read_statuses(s, &status, out);
    }
    if (!err && parts & BLOCK_TEXT && value_is_long(out->type)) {
        err = read_text(s, &in, out);
    }
    return err;
}
