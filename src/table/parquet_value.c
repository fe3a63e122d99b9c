/* SPDX-License-Identifier: Apache-2.0 */
#include "table/parquet_value.h"

static size_t stored_width(enum parquet_type storage)
{
    return storage == PARQUET_INT32 || storage == PARQUET_FLOAT ? 4 : 8;
}

/* The stored bytes of a number as our cell: integers extended by their sign or not, floats widened. */
static union cell number_of(const struct leaf *l, uint64_t bits)
{
    union cell v = {.u64 = bits};
    if (l->storage == PARQUET_FLOAT) {
        uint32_t low = (uint32_t)bits;
        float f;
        memcpy(&f, &low, sizeof f);
        v.f64 = (double)f;
    } else if (l->storage == PARQUET_INT32) {
        v.i64 = l->is_unsigned ? (int64_t)(uint32_t)bits : (int32_t)(uint32_t)bits;
    }
    return v;
}

/* One PLAIN value: four or eight bytes little endian, or a length and so many bytes. */
static void take_plain(const struct leaf *l, struct reader *r, struct value *out)
{
    if (!column_is_long(l->column.type)) {
        out->cell = number_of(l, read_le(r, stored_width(l->storage)));
        return;
    }
    out->size = read_u32le(r);
    out->data = read_bytes(r, out->size);
}

bool dictionary_open(struct page_column *c)
{
    struct reader r = reader_of(c->dictionary.data, c->dictionary_size);
    if (c->leaf->storage == PARQUET_BOOLEAN) {
        return false; /* bools have no dictionaries */
    }
    if (!column_is_long(c->leaf->column.type)) {
        return c->entry_count <= c->dictionary_size / stored_width(c->leaf->storage);
    }
    for (size_t i = 0; i < c->entry_count && !r.bad; i++) {
        uint32_t at = (uint32_t)(r.at - c->dictionary.data);
        memcpy(c->entries.data + i * sizeof at, &at, sizeof at);
        struct value skipped;
        take_plain(c->leaf, &r, &skipped);
    }
    return !r.bad;
}

static bool dictionary_get(const struct page_column *c, uint32_t index, struct value *out)
{
    if (index >= c->entry_count) {
        return false;
    }
    uint32_t at = index * (uint32_t)stored_width(c->leaf->storage);
    if (column_is_long(c->leaf->column.type)) {
        memcpy(&at, c->entries.data + (size_t)index * sizeof at, sizeof at);
    }
    struct reader r = reader_of(c->dictionary.data + at, c->dictionary_size - at);
    take_plain(c->leaf, &r, out);
    return !r.bad;
}

static const char *const names[] = {
    [PARQUET_PLAIN] = "PLAIN",
    [1] = "encoding 1",
    [PARQUET_PLAIN_DICTIONARY] = "PLAIN_DICTIONARY",
    [PARQUET_RLE] = "RLE",
    [PARQUET_BIT_PACKED] = "BIT_PACKED",
    [PARQUET_DELTA_BINARY_PACKED] = "DELTA_BINARY_PACKED",
    [PARQUET_DELTA_LENGTH_BYTE_ARRAY] = "DELTA_LENGTH_BYTE_ARRAY",
    [PARQUET_DELTA_BYTE_ARRAY] = "DELTA_BYTE_ARRAY",
    [PARQUET_RLE_DICTIONARY] = "RLE_DICTIONARY",
    [PARQUET_BYTE_STREAM_SPLIT] = "BYTE_STREAM_SPLIT",
};

const char *encoding_name(int encoding)
{
    bool known = encoding >= 0 && (size_t)encoding < sizeof names / sizeof *names;
    return known ? names[encoding] : "an unknown encoding";
}

/* Whether such a column can be encoded like that at all. */
static bool encoding_suits(enum parquet_type storage, int encoding)
{
    switch (encoding) {
    case PARQUET_PLAIN:
        return true;
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY:
        return storage != PARQUET_BOOLEAN;
    case PARQUET_RLE:
        return storage == PARQUET_BOOLEAN;
    case PARQUET_DELTA_BINARY_PACKED:
        return storage == PARQUET_INT32 || storage == PARQUET_INT64;
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        return storage == PARQUET_BYTE_ARRAY;
    case PARQUET_BYTE_STREAM_SPLIT:
        return storage != PARQUET_BOOLEAN && storage != PARQUET_BYTE_ARRAY;
    default:
        return false;
    }
}

static void open_delta(struct page_column *c, unsigned bits)
{
    c->delta = delta_of(c->plain, bits);
    c->delta.in.bad |= c->delta.left > c->left;
}

int values_open(struct page_column *c, struct reader page)
{
    enum parquet_type storage = c->leaf->storage;
    unsigned width;
    uint32_t size;
    c->plain = page;
    c->position = 0;
    if (!encoding_suits(storage, c->encoding)) {
        return ERR_UNSUPPORTED;
    }
    switch (c->encoding) {
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY:
        if (!c->has_dictionary) {
            return ERR_NOT_FOUND;
        }
        /* A page of nulls only may end before the width. */
        width = reader_left(&page) ? read_u8(&c->plain) : 0;
        c->indexes = hybrid_of(c->plain, width);
        return ERR_OK;
    case PARQUET_RLE:
        size = read_u32le(&c->plain);
        c->indexes = hybrid_of(read_part(&c->plain, size), 1);
        return ERR_OK;
    case PARQUET_DELTA_BINARY_PACKED:
        open_delta(c, storage == PARQUET_INT32 ? 32 : 64);
        return ERR_OK;
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        open_delta(c, 32);
        c->plain = delta_rest(c->delta);
        return ERR_OK;
    case PARQUET_BYTE_STREAM_SPLIT:
        c->stride = reader_left(&page) / stored_width(storage);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static bool take_bool(struct page_column *c, struct value *out)
{
    size_t at = c->position++;
    if (at / 8 >= reader_left(&c->plain)) {
        return false;
    }
    out->cell.u64 = c->plain.at[at / 8] >> at % 8 & 1;
    return true;
}

/* BYTE_STREAM_SPLIT: first the first bytes of all values, then the second bytes, and so on. */
static bool take_split(struct page_column *c, struct value *out)
{
    size_t at = c->position++;
    uint64_t bits = 0;
    if (at >= c->stride) {
        return false;
    }
    for (size_t i = 0; i < stored_width(c->leaf->storage); i++) {
        bits |= (uint64_t)c->plain.at[i * c->stride + at] << (8 * i);
    }
    out->cell = number_of(c->leaf, bits);
    return true;
}

static bool take_delta_text(struct page_column *c, struct value *out)
{
    int64_t size = delta_next(&c->delta);
    if (size < 0 || c->delta.in.bad) {
        return false;
    }
    out->size = (uint32_t)size;
    out->data = read_bytes(&c->plain, out->size);
    return !c->plain.bad;
}

bool values_next(struct page_column *c, struct value *out)
{
    switch (c->encoding) {
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY: {
        uint32_t index = hybrid_next(&c->indexes);
        return !c->indexes.in.bad && dictionary_get(c, index, out);
    }
    case PARQUET_RLE:
        out->cell.u64 = hybrid_next(&c->indexes);
        return !c->indexes.in.bad;
    case PARQUET_DELTA_BINARY_PACKED:
        out->cell = number_of(c->leaf, (uint64_t)delta_next(&c->delta));
        return !c->delta.in.bad;
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        return take_delta_text(c, out);
    case PARQUET_BYTE_STREAM_SPLIT:
        return take_split(c, out);
    default:
        if (c->leaf->storage == PARQUET_BOOLEAN) {
            return take_bool(c, out);
        }
        take_plain(c->leaf, &c->plain, out);
        return !c->plain.bad;
    }
}
