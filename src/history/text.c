/* SPDX-License-Identifier: Apache-2.0 */
#include "history/text.h"

#include "base/crc32c.h"

/* Columns of the scratch. */
enum { WHICH, LENGTH, PLACE };

enum pack_kind { PACK_NONE, PACK_ZSTD };

/* The slot of the table where the text is, or belongs. Slots hold 1 + index. */
static uint32_t find(const struct block_scratch *s, const uint8_t *text, uint64_t length)
{
    uint32_t at = crc32c(0, text, length) % TEXT_SLOTS;
    for (; s->slot[at]; at = (at + 1) % TEXT_SLOTS) {
        uint32_t i = s->slot[at] - 1u;
        if (s->column[LENGTH][i] == length &&
            !memcmp(s->text + s->column[PLACE][i], text, length)) {
            break;
        }
    }
    return at;
}

int text_encode(struct block_scratch *s, const struct block *b, struct writer *out, size_t *size)
{
    uint32_t distinct = 0;
    *size = 0;
    memset(s->slot, 0, sizeof s->slot);
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t length = b->value[i];
        if (b->text_at[i] > b->text_size || length > b->text_size - b->text_at[i]) {
            return ERR_MALFORMED;
        }
        const uint8_t *text = length ? b->text + b->text_at[i] : s->text;
        uint32_t at = find(s, text, length);
        if (!s->slot[at]) {
            if (length > sizeof s->text - *size) {
                return ERR_TOO_LONG;
            }
            memmove(s->text + *size, text, length);
            s->column[LENGTH][distinct] = length;
            s->column[PLACE][distinct] = *size;
            *size += length;
            s->slot[at] = (uint16_t)++distinct;
        }
        s->column[WHICH][i] = s->slot[at] - 1u;
    }
    write_varint(out, distinct);
    int err = words_encode(&s->floats.words, s->column[WHICH], b->count, out);
    return err ? err : words_encode(&s->floats.words, s->column[LENGTH], distinct, out);
}

int text_decode(struct block_scratch *s, struct reader *in, struct block *b, size_t *size)
{
    uint64_t distinct = read_varint(in), *which = s->column[WHICH], *length = s->column[LENGTH];
    *size = 0;
    if (distinct == 0 || distinct > b->count) {
        return ERR_MALFORMED;
    }
    int err = words_decode(&s->floats.words, in, b->count, which);
    err = err ? err : words_decode(&s->floats.words, in, (uint32_t)distinct, length);
    for (uint32_t i = 0; i < distinct && !err; i++) {
        s->column[PLACE][i] = *size;
        if (length[i] > BLOCK_TEXT_MAX - *size) {
            return ERR_MALFORMED;
        }
        *size += length[i];
    }
    for (uint32_t i = 0; i < b->count && !err; i++) {
        if (which[i] >= distinct) {
            return ERR_MALFORMED;
        }
        b->value[i] = length[which[i]];
        b->text_at[i] = (uint32_t)s->column[PLACE][which[i]];
    }
    return err;
}

int text_pack(struct block_scratch *s, size_t size, struct writer *out)
{
    uint8_t *kind = write_room(out, 1);
    if (!kind) {
        return ERR_FULL;
    }
    size_t room = writer_left(out) < size ? writer_left(out) : size;
    size_t packed =
        size < 16 ? size : ZSTD_compressCCtx(s->packer, out->at, room, s->text, size, PACK_LEVEL);
    if (ZSTD_isError(packed) || packed >= size) {
        *kind = PACK_NONE;
        write_bytes(out, s->text, size);
    } else {
        *kind = PACK_ZSTD;
        out->at += packed;
    }
    return out->bad ? ERR_FULL : ERR_OK;
}

int text_unpack(struct block_scratch *s, struct reader *in, size_t size, struct block *b)
{
    uint8_t kind = read_u8(in);
    size_t left = reader_left(in);
    if (in->bad || kind > PACK_ZSTD) {
        return ERR_MALFORMED;
    }
    if (size > b->text_capacity) {
        return ERR_FULL;
    }
    b->text_size = (uint32_t)size;
    if (kind == PACK_NONE) {
        if (left == size && size) {
            memcpy(b->text, in->at, size);
        }
        return left == size ? ERR_OK : ERR_MALFORMED;
    }
    size_t got = ZSTD_decompressDCtx(s->unpacker, b->text, size, in->at, left);
    return ZSTD_isError(got) || got != size ? ERR_MALFORMED : ERR_OK;
}
