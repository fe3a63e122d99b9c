/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a column chunk: head, decompression, levels. How their values are encoded: parquet_value.c. */
#include "table/parquet_page.h"

#include "table/parquet_value.h"
#include "table/snappy.h"
#include "table/thrift.h"

#include <stdlib.h>

/* Heads carry statistics, with two texts of the column's in full. */
#define PAGE_HEAD_MAX   ((size_t)256 << 10)
#define PAGE_HEAD_FIRST ((size_t)4 << 10)

struct page_head {
    int64_t type, size, packed_size; /* page type, bytes without and with compression */
    int64_t values, encoding;
    int64_t level_encoding;                      /* version 1 */
    int64_t level_bytes, repetition_level_bytes; /* version 2 */
    bool compressed;                             /* version 2 */
};

void page_column_begin(struct page_column *c, const struct leaf *leaf, const struct chunk *chunk)
{
    *c = (struct page_column){.leaf = leaf,
                              .codec = chunk->codec,
                              .at = chunk->start,
                              .end = chunk->start + chunk->size,
                              .page = c->page,
                              .dictionary = c->dictionary,
                              .entries = c->entries};
}

void page_column_fini(struct page_column *c)
{
    free(c->page.data);
    free(c->dictionary.data);
    free(c->entries.data);
    *c = (struct page_column){0};
}

void page_source_fini(struct page_source *s)
{
    free(s->packed.data);
    free(s->head.data);
    ZSTD_freeDCtx(s->zstd);
}

int memory_reserve(struct page_source *s, struct memory *m, size_t size)
{
    if (size <= m->capacity && m->data) {
        return ERR_OK;
    }
    if (size > s->memory_left + m->capacity) {
        return table_problem_note(s->problem, ERR_TOO_LONG,
                                  "row group %zu needs more memory than is allowed: write the file "
                                  "with smaller row groups",
                                  s->group);
    }
    s->memory_left += m->capacity;
    free(m->data);
    m->capacity = 0;
    m->data = malloc(size ? size : 1);
    if (!m->data) {
        return ERR_NOMEM;
    }
    m->capacity = size;
    s->memory_left -= size;
    return ERR_OK;
}

static int page_problem(struct page_source *s, const struct page_column *c, int err,
                        const char *what)
{
    return table_problem_note(s->problem, err, "row group %zu, column '%.60s': %s", s->group,
                              c->leaf->column.name, what);
}

/* What PageHeader's field `kind` tells of the page: of data, of a dictionary, or of data of version 2. */
enum { HEAD_DATA = 5, HEAD_DICTIONARY = 7, HEAD_DATA_V2 = 8 };

static void take_page_kind(struct reader *r, struct page_head *h, int kind)
{
    bool second = kind == HEAD_DATA_V2;
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        int64_t *number = f.id == 1                        ? &h->values
                          : f.id == (second ? 4 : 2)       ? &h->encoding
                          : f.id == 3 && kind == HEAD_DATA ? &h->level_encoding
                          : f.id == 5 && second            ? &h->level_bytes
                          : f.id == 6 && second            ? &h->repetition_level_bytes
                                                           : NULL;
        if (number) {
            *number = thrift_int(r, &f);
        } else if (f.id == 7 && second) {
            h->compressed = thrift_bool(r, &f);
        } else {
            thrift_skip(r, &f);
        }
    }
}

/* PageHeader. */
static struct page_head take_head(struct reader *r)
{
    struct page_head h = {.type = -1,
                          .size = -1,
                          .packed_size = -1,
                          .values = -1,
                          .encoding = -1,
                          .level_encoding = PARQUET_RLE,
                          .compressed = true};
    struct thrift_field f = {0};
    while (thrift_next(r, &f)) {
        if (f.id >= 1 && f.id <= 3) {
            *(f.id == 1 ? &h.type : f.id == 2 ? &h.size : &h.packed_size) = thrift_int(r, &f);
        } else if ((f.id == HEAD_DATA || f.id == HEAD_DICTIONARY || f.id == HEAD_DATA_V2) &&
                   thrift_struct(r, &f)) {
            take_page_kind(r, &h, f.id);
        } else {
            thrift_skip(r, &f);
        }
    }
    return h;
}

/* Reads the head of the page at c->at and steps over it. Most heads are short. */
static int read_head(struct page_source *s, struct page_column *c, struct page_head *h)
{
    for (size_t size = PAGE_HEAD_FIRST;; size = PAGE_HEAD_MAX) {
        uint64_t left = c->end - c->at;
        size = size < left ? size : (size_t)left;
        int err = memory_reserve(s, &s->head, size);
        err = err ? err : s->file.read(s->file.context, c->at, s->head.data, size);
        if (err) {
            return page_problem(s, c, err, "can't read a page");
        }
        struct reader r = reader_of(s->head.data, size);
        *h = take_head(&r);
        if (!r.bad) {
            c->at += size - reader_left(&r);
            break;
        }
        if (size == left || size == PAGE_HEAD_MAX) {
            return page_problem(s, c, ERR_MALFORMED, "a page's head is damaged");
        }
    }
    bool data = h->type == PARQUET_DATA_PAGE || h->type == PARQUET_DATA_PAGE_V2;
    if (h->size < 0 || h->packed_size < 0 || (uint64_t)h->packed_size > c->end - c->at ||
        h->encoding > UINT8_MAX ||
        ((data || h->type == PARQUET_DICTIONARY_PAGE) && (h->values < 0 || h->encoding < 0))) {
        return page_problem(s, c, ERR_MALFORMED, "a page's head is damaged");
    }
    if (h->size > PAGE_SIZE_MAX || h->packed_size > PAGE_SIZE_MAX || h->values > PAGE_VALUES_MAX) {
        return page_problem(s, c, ERR_TOO_LONG, "a page has more than 64 MiB or 16 million values");
    }
    return ERR_OK;
}

static int decompress(struct page_source *s, const struct page_column *c, const uint8_t *in,
                      size_t in_size, uint8_t *out, size_t size)
{
    static const char *const names[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO",
                                        "BROTLI",       "LZ4",    "ZSTD", "LZ4_RAW"};
    bool good = false;
    if (c->codec == PARQUET_UNCOMPRESSED) {
        good = in_size == size;
        if (good && size) {
            memcpy(out, in, size);
        }
    } else if (c->codec == PARQUET_SNAPPY) {
        good = snappy_decode(in, in_size, out, size) == ERR_OK;
    } else if (c->codec == PARQUET_ZSTD) {
        s->zstd = s->zstd ? s->zstd : ZSTD_createDCtx();
        if (!s->zstd) {
            return ERR_NOMEM;
        }
        good = ZSTD_decompressDCtx(s->zstd, out, size, in, in_size) == size;
    } else {
        bool known = c->codec > 0 && (size_t)c->codec < sizeof names / sizeof *names;
        return table_problem_note(s->problem, ERR_UNSUPPORTED,
                                  "row group %zu, column '%.60s': compressed with %s, which is not "
                                  "supported; write the file with ZSTD or SNAPPY",
                                  s->group, c->leaf->column.name,
                                  known ? names[c->codec] : "an unknown codec");
    }
    return good ? ERR_OK : page_problem(s, c, ERR_MALFORMED, "a page does not decompress");
}

/* Reads the page behind its head into `m`, with the first `plain` bytes as they stand and the rest decompressed. */
static int read_body(struct page_source *s, struct page_column *c, const struct page_head *h,
                     size_t plain, bool compressed, struct memory *m)
{
    size_t size = (size_t)h->size, packed_size = (size_t)h->packed_size;
    if (plain > size || plain > packed_size || (!compressed && size != packed_size)) {
        return page_problem(s, c, ERR_MALFORMED, "a page's sizes can't be");
    }
    int err = memory_reserve(s, &s->packed, packed_size);
    err = err ? err : memory_reserve(s, m, size);
    if (err) {
        return err;
    }
    err = s->file.read(s->file.context, c->at, s->packed.data, packed_size);
    if (err) {
        return page_problem(s, c, err, "can't read a page");
    }
    c->at += packed_size;
    if (!compressed) {
        plain = size;
    }
    memcpy(m->data, s->packed.data, plain);
    if (size == plain) {
        return ERR_OK;
    }
    return decompress(s, c, s->packed.data + plain, packed_size - plain, m->data + plain,
                      size - plain);
}

static int read_dictionary(struct page_source *s, struct page_column *c, const struct page_head *h)
{
    if (c->has_dictionary) {
        return page_problem(s, c, ERR_MALFORMED, "a second dictionary");
    }
    if (h->encoding != PARQUET_PLAIN && h->encoding != PARQUET_PLAIN_DICTIONARY) {
        return page_problem(s, c, ERR_UNSUPPORTED, "a dictionary that is not PLAIN");
    }
    int err = read_body(s, c, h, 0, c->codec != PARQUET_UNCOMPRESSED, &c->dictionary);
    if (err) {
        return err;
    }
    c->dictionary_size = (size_t)h->size;
    c->entry_count = (size_t)h->values;
    c->has_dictionary = true;
    /* Each entry takes at least four bytes, so the list of entries is no larger than the page. */
    if (c->entry_count > c->dictionary_size / 4) {
        return page_problem(s, c, ERR_MALFORMED, "its dictionary is damaged");
    }
    if (column_is_long(c->leaf->column.type)) {
        err = memory_reserve(s, &c->entries, c->entry_count * sizeof(uint32_t));
    }
    if (err == ERR_OK && !dictionary_open(c)) {
        err = page_problem(s, c, ERR_MALFORMED, "its dictionary is damaged");
    }
    return err;
}

/* Definition levels stand before the values; with only null or value to tell, they have one bit. Repetition levels have
 * none, as nothing repeats. */
static int read_data(struct page_source *s, struct page_column *c, const struct page_head *h)
{
    bool second = h->type == PARQUET_DATA_PAGE_V2;
    if (second && (h->repetition_level_bytes != 0 || h->level_bytes < 0)) {
        return page_problem(s, c, ERR_MALFORMED, "a page's levels can't be");
    }
    if (!second && c->leaf->column.nullable && h->level_encoding != PARQUET_RLE) {
        return page_problem(s, c, ERR_UNSUPPORTED,
                            "levels encoded as BIT_PACKED, which is not supported");
    }
    bool compressed = c->codec != PARQUET_UNCOMPRESSED && (!second || h->compressed);
    int err = read_body(s, c, h, second ? (size_t)h->level_bytes : 0, compressed, &c->page);
    if (err) {
        return err;
    }
    struct reader page = reader_of(c->page.data, (size_t)h->size);
    if (second || c->leaf->column.nullable) {
        uint32_t size = second ? (uint32_t)h->level_bytes : read_u32le(&page);
        c->levels = hybrid_of(read_part(&page, size), 1);
    }
    c->left = (uint32_t)h->values;
    c->encoding = (int)h->encoding;
    if (page.bad) {
        return page_problem(s, c, ERR_MALFORMED, "a page ends too early");
    }
    err = values_open(c, page);
    if (err == ERR_UNSUPPORTED) {
        return table_problem_note(s->problem, err,
                                  "row group %zu, column '%.60s': encoded as %s, which is not "
                                  "supported",
                                  s->group, c->leaf->column.name, encoding_name(c->encoding));
    }
    return err ? page_problem(s, c, err, "a dictionary is missing") : ERR_OK;
}

static int next_page(struct page_source *s, struct page_column *c)
{
    struct page_head head = {0};
    if (c->at >= c->end) {
        return page_problem(s, c, ERR_SHORT, "its pages hold fewer values than the row group");
    }
    int err = read_head(s, c, &head);
    if (err) {
        return err;
    }
    switch (head.type) {
    case PARQUET_DICTIONARY_PAGE:
        return read_dictionary(s, c, &head);
    case PARQUET_DATA_PAGE:
    case PARQUET_DATA_PAGE_V2:
        return read_data(s, c, &head);
    default: /* "readers should skip pages of unknown type" */
        c->at += (uint64_t)head.packed_size;
        return ERR_OK;
    }
}

int page_column_next(struct page_source *s, struct page_column *c, struct value *out)
{
    while (!c->left) {
        int err = next_page(s, c);
        if (err) {
            return err;
        }
    }
    c->left--;
    if (c->leaf->column.nullable) {
        uint32_t level = hybrid_next(&c->levels);
        if (c->levels.in.bad) {
            return page_problem(s, c, ERR_MALFORMED, "a page's levels are damaged");
        }
        if (!level) {
            return 0;
        }
    }
    if (!values_next(c, out)) {
        return page_problem(s, c, ERR_MALFORMED, "a page's values are damaged");
    }
    return 1;
}
