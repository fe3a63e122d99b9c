/* SPDX-License-Identifier: Apache-2.0 */
/* A block is a head and four parts that can be decoded alone. */
#include "history/block.h"

#include "history/words.h"
#include "tag/status.h"

#include <math.h>
#include <stdlib.h>
#include <zstd.h>

struct block_scratch {
    struct words_scratch words;
    uint64_t column[WORDS_MAX];
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    uint8_t text[BLOCK_TEXT_MAX];
};

struct head {
    uint32_t type, count, size[3]; /* of the parts time, value, status; the rest is text */
};

/* How a part of floats stands for its words. */
enum float_kind { FLOAT_BITS, FLOAT_DECIMAL };

#define DECIMALS_MAX 14u
static const double power[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                               1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

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

static uint64_t word_of(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

static double double_of(uint64_t word)
{
    double v;
    memcpy(&v, &word, sizeof v);
    return v;
}

/* Whether all numbers are integers / 10^decimals, to the bit; the integers then lie in `out`. */
static bool scale(const uint64_t *words, uint32_t count, unsigned decimals, uint64_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        double scaled = double_of(words[i]) * power[decimals];
        if (!(fabs(scaled) < 0x1p51)) {
            return false;
        }
        int64_t n = (int64_t)rint(scaled);
        if (word_of((double)n / power[decimals]) != words[i]) {
            return false;
        }
        out[i] = (uint64_t)n;
    }
    return true;
}

static int write_floats(struct block_scratch *s, const struct block *b, struct writer *out)
{
    for (unsigned d = 0; d <= DECIMALS_MAX; d++) {
        if (scale(b->value, b->count, d, s->column)) {
            write_u8(out, FLOAT_DECIMAL);
            write_u8(out, (uint8_t)d);
            return words_encode(&s->words, s->column, b->count, out);
        }
    }
    write_u8(out, FLOAT_BITS);
    return words_encode(&s->words, b->value, b->count, out);
}

static int read_floats(struct block_scratch *s, struct reader *in, uint32_t count, uint64_t *v)
{
    uint8_t kind = read_u8(in), decimals = kind == FLOAT_DECIMAL ? read_u8(in) : 0;
    if (kind > FLOAT_DECIMAL || decimals > DECIMALS_MAX) {
        return ERR_MALFORMED;
    }
    int err = words_decode(&s->words, in, count, v);
    for (uint32_t i = 0; !err && kind == FLOAT_DECIMAL && i < count; i++) {
        v[i] = word_of((double)(int64_t)v[i] / power[decimals]);
    }
    return err;
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

static int check(const struct block *b)
{
    if (b->count == 0 || b->count > BLOCK_SAMPLES || b->type == 0 || b->type >= VALUE_TYPE_END) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 1; i < b->count; i++) {
        if (b->time[i] < b->time[i - 1]) {
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}

static int write_part(struct block_scratch *s, const struct block *b, unsigned part,
                      struct writer *out)
{
    if (part == 0) {
        return words_encode(&s->words, (const uint64_t *)b->time, b->count, out);
    }
    if (part == 1) {
        return value_is_float(b->type) ? write_floats(s, b, out)
                                       : words_encode(&s->words, b->value, b->count, out);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        s->column[i] = b->status[i];
    }
    return words_encode(&s->words, s->column, b->count, out);
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
    int err = words_decode(&s->words, in, out->count, (uint64_t *)out->time);
    bool falls = false;
    for (uint32_t i = 1; !err && i < out->count; i++) {
        falls |= out->time[i] < out->time[i - 1];
    }
    return falls ? ERR_MALFORMED : err;
}

static int read_statuses(struct block_scratch *s, struct reader *in, struct block *out)
{
    int err = words_decode(&s->words, in, out->count, s->column);
    uint64_t all = 0;
    for (uint32_t i = 0; !err && i < out->count; i++) {
        all |= s->column[i];
        out->status[i] = (uint32_t)s->column[i];
    }
    return all > UINT32_MAX ? ERR_MALFORMED : err;
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
        err = value_is_float(out->type) ? read_floats(s, &value, out->count, out->value)
                                        : words_decode(&s->words, &value, out->count, out->value);
    }
    if (!err && parts & BLOCK_STATUS) {
        err = read_statuses(s, &status, out);
    }
    if (!err && parts & BLOCK_TEXT && value_is_long(out->type)) {
        err = read_text(s, &in, out);
    }
    return err;
}
