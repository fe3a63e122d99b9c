/* SPDX-License-Identifier: Apache-2.0 */
/* The file: "PAR1", per batch a row group of one column chunk after another (a dictionary page if there is one, a data
 * page), then the footer, its length and "PAR1" again. What the footer says of the row groups is encoded as they are
 * written, so the footer's memory is its size in the file. */
#include "table/parquet_write.h"

#include "table/parquet_encode.h"
#include "table/thrift.h"

#include <stdlib.h>
#include <zstd.h>

#define CREATED_BY    "isthmus version " ISTHMUS_VERSION
#define ZSTD_LEVEL    3
#define PAGE_HEAD_MAX 64u
/* Beyond it readers may refuse the footer: its length is an int32 to many. */
#define FOOTER_MAX (UINT32_C(1) << 30)

struct parquet_writer {
    struct column *columns; /* owned, with the names */
    size_t column_count, row_capacity, heap_capacity;
    struct table_sink sink;
    uint64_t offset; /* bytes written so far */
    struct encoder encoder;
    ZSTD_CCtx *zstd;
    uint8_t *page, *packed;
    size_t page_capacity, packed_capacity;
    uint8_t *footer; /* the encoded row groups */
    size_t footer_used, footer_capacity;
    size_t group_count;
    uint64_t rows;
    bool lost; /* the sink failed: nothing more is written */
};

struct chunk { /* a column of the row group being written */
    uint64_t start, data_start;
    uint64_t packed_size, plain_size; /* with page heads */
    bool has_dictionary;
    struct column_statistics statistics;
};

static int send(struct parquet_writer *w, const void *data, size_t size)
{
    int err = w->lost ? ERR_IO : w->sink.write(w->sink.context, data, size);
    w->lost |= err != ERR_OK;
    w->offset += size;
    return err;
}

static int copy_columns(struct parquet_writer *w, const struct batch *shape)
{
    w->columns = calloc(shape->column_count, sizeof *w->columns);
    for (size_t i = 0; w->columns && i < shape->column_count; i++) {
        w->columns[i] = shape->columns[i];
        w->columns[i].name = strdup(shape->columns[i].name);
        w->column_count = i + 1;
        if (!w->columns[i].name) {
            return ERR_NOMEM;
        }
    }
    return w->columns ? ERR_OK : ERR_NOMEM;
}

int parquet_writer_new(struct parquet_writer **out, const struct batch *shape,
                       struct table_sink sink)
{
    *out = NULL;
    struct parquet_writer *w = calloc(1, sizeof *w);
    if (!w) {
        return ERR_NOMEM;
    }
    w->sink = sink;
    w->row_capacity = shape->row_capacity;
    w->heap_capacity = shape->heap_capacity;
    w->page_capacity = page_bound(shape);
    w->packed_capacity = ZSTD_compressBound(w->page_capacity);
    w->page = malloc(w->page_capacity);
    w->packed = malloc(w->packed_capacity);
    w->zstd = ZSTD_createCCtx();
    int err = encoder_init(&w->encoder, shape->row_capacity);
    if (err == ERR_OK) {
        err = copy_columns(w, shape);
    }
    if (err == ERR_OK && (!w->page || !w->packed || !w->zstd)) {
        err = ERR_NOMEM;
    }
    if (err == ERR_OK) {
        /* A checksum in each frame: who reads the page notices damage, though we write no page CRC. */
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        err = send(w, PARQUET_MAGIC, 4);
    }
    if (err) {
        parquet_writer_free(w);
        return err;
    }
    *out = w;
    return ERR_OK;
}

void parquet_writer_free(struct parquet_writer *w)
{
    if (!w) {
        return;
    }
    for (size_t i = 0; i < w->column_count; i++) {
        free((char *)w->columns[i].name);
    }
    free(w->columns);
    encoder_fini(&w->encoder);
    ZSTD_freeCCtx(w->zstd);
    free(w->page);
    free(w->packed);
    free(w->footer);
    free(w);
}

/* Compresses what `page` holds and writes it behind its head. */
static int send_page(struct parquet_writer *w, struct chunk *c, enum parquet_page type,
                     size_t values, enum parquet_encoding encoding, const struct writer *page)
{
    uint8_t head[PAGE_HEAD_MAX];
    struct writer out = writer_of(head, sizeof head);
    struct thrift_out t = {.w = &out};
    size_t size =
        ZSTD_compress2(w->zstd, w->packed, w->packed_capacity, page->start, writer_used(page));
    if (page->bad || ZSTD_isError(size)) {
        return ERR_NOMEM;
    }
    bool data = type == PARQUET_DATA_PAGE;
    thrift_put_i32(&t, 1, (int32_t)type);
    thrift_put_i32(&t, 2, (int32_t)writer_used(page));
    thrift_put_i32(&t, 3, (int32_t)size);
    thrift_put_struct(&t, data ? 5 : 7);
    thrift_put_i32(&t, 1, (int32_t)values);
    thrift_put_i32(&t, 2, (int32_t)encoding);
    if (data) {
        thrift_put_i32(&t, 3, PARQUET_RLE);
        thrift_put_i32(&t, 4, PARQUET_RLE);
    }
    thrift_end_struct(&t);
    thrift_end_struct(&t);
    c->plain_size += writer_used(&out) + writer_used(page);
    c->packed_size += writer_used(&out) + size;
    int err = send(w, head, writer_used(&out));
    return err ? err : send(w, w->packed, size);
}

static int send_chunk(struct parquet_writer *w, const struct batch *b, size_t column,
                      struct chunk *c)
{
    *c = (struct chunk){.start = w->offset};
    enum parquet_encoding encoding = column_encoding(w->columns[column].type);
    column_measure(b, column, &c->statistics);
    if (c->statistics.nulls && !w->columns[column].nullable) {
        return ERR_TYPE;
    }
    c->has_dictionary = dictionary_build(&w->encoder, b, column);
    if (c->has_dictionary) {
        struct writer page = writer_of(w->page, w->page_capacity);
        dictionary_put(&w->encoder, b, column, &page);
        int err =
            send_page(w, c, PARQUET_DICTIONARY_PAGE, w->encoder.entries, PARQUET_PLAIN, &page);
        if (err) {
            return err;
        }
        encoding = PARQUET_RLE_DICTIONARY;
    }
    c->data_start = w->offset;
    struct writer page = writer_of(w->page, w->page_capacity);
    if (w->columns[column].nullable) {
        levels_put(&w->encoder, b, column, &page);
    }
    if (c->has_dictionary) {
        dictionary_put_indexes(&w->encoder, &page);
    } else {
        values_put(&w->encoder, b, column, &page);
    }
    return send_page(w, c, PARQUET_DATA_PAGE, b->rows, encoding, &page);
}

static void put_statistics(struct thrift_out *t, const struct column_statistics *s)
{
    thrift_put_struct(t, 12);
    thrift_put_i64(t, 3, (int64_t)s->nulls);
    if (s->bounded) {
        thrift_put_binary(t, 5, s->max, s->max_size);
        thrift_put_binary(t, 6, s->min, s->min_size);
    }
    thrift_end_struct(t);
}

static void put_chunk(const struct parquet_writer *w, struct thrift_out *t, size_t column,
                      const struct chunk *c, size_t rows)
{
    const char *name = w->columns[column].name;
    thrift_put_struct(t, 0);
    thrift_put_i64(t, 2, 0); /* file_offset: no copy of the metadata stands beside the pages */
    thrift_put_struct(t, 3);
    thrift_put_i32(t, 1, (int32_t)column_storage(w->columns[column].type));
    thrift_put_list(t, 2, THRIFT_I32, c->has_dictionary ? 3 : 2);
    thrift_put_i32(t, 0, PARQUET_RLE);
    if (c->has_dictionary) {
        thrift_put_i32(t, 0, PARQUET_PLAIN);
        thrift_put_i32(t, 0, PARQUET_RLE_DICTIONARY);
    } else {
        thrift_put_i32(t, 0, (int32_t)column_encoding(w->columns[column].type));
    }
    thrift_put_list(t, 3, THRIFT_BINARY, 1);
    thrift_put_binary(t, 0, name, strlen(name));
    thrift_put_i32(t, 4, PARQUET_ZSTD);
    thrift_put_i64(t, 5, (int64_t)rows);
    thrift_put_i64(t, 6, (int64_t)c->plain_size);
    thrift_put_i64(t, 7, (int64_t)c->packed_size);
    thrift_put_i64(t, 9, (int64_t)c->data_start);
    if (c->has_dictionary) {
        thrift_put_i64(t, 11, (int64_t)c->start);
    }
    put_statistics(t, &c->statistics);
    thrift_end_struct(t);
    thrift_end_struct(t);
}

/* Makes sure that `size` more bytes fit into the footer. */
static int footer_reserve(struct parquet_writer *w, size_t size)
{
    size_t wanted = w->footer_used + size;
    if (wanted > FOOTER_MAX) {
        return ERR_TOO_LONG;
    }
    if (wanted <= w->footer_capacity) {
        return ERR_OK;
    }
    size_t capacity = wanted * 2;
    uint8_t *footer = realloc(w->footer, capacity);
    if (!footer) {
        return ERR_NOMEM;
    }
    w->footer = footer;
    w->footer_capacity = capacity;
    return ERR_OK;
}

/* An upper bound of what put_chunk and the schema say of a column. */
static size_t column_meta_bound(const struct parquet_writer *w, size_t column)
{
    return 2 * strlen(w->columns[column].name) + 2 * STATISTICS_TEXT_MAX + 160;
}

int parquet_write(struct parquet_writer *w, const struct batch *b)
{
    if (!b->rows) {
        return ERR_OK;
    }
    if (b->column_count != w->column_count || b->row_capacity > w->row_capacity ||
        b->heap_capacity > w->heap_capacity) {
        return ERR_RANGE;
    }
    struct thrift_out t = {0};
    uint64_t start = w->offset, plain_size = 0;
    size_t footer_start = w->footer_used;
    int err = footer_reserve(w, 64);
    struct writer out = writer_of(w->footer, w->footer_capacity);
    for (size_t i = 0; i < w->column_count && err == ERR_OK; i++) {
        struct chunk c;
        err = send_chunk(w, b, i, &c);
        plain_size += c.plain_size;
        err = err ? err : footer_reserve(w, column_meta_bound(w, i));
        if (err) {
            break;
        }
        out = writer_of(w->footer, w->footer_capacity);
        out.at += w->footer_used;
        t.w = &out;
        if (i == 0) {
            thrift_put_struct(&t, 0);
            thrift_put_list(&t, 1, THRIFT_STRUCT, w->column_count);
        }
        put_chunk(w, &t, i, &c, b->rows);
        w->footer_used = writer_used(&out);
    }
    err = err ? err : footer_reserve(w, 64);
    if (err) {
        w->footer_used = footer_start;
        w->lost = true; /* pages without a row group: what follows would stand at other offsets */
        return err;
    }
    out = writer_of(w->footer, w->footer_capacity);
    out.at += w->footer_used;
    thrift_put_i64(&t, 2, (int64_t)plain_size);
    thrift_put_i64(&t, 3, (int64_t)b->rows);
    thrift_put_i64(&t, 5, (int64_t)start);
    thrift_put_i64(&t, 6, (int64_t)(w->offset - start));
    thrift_end_struct(&t);
    w->footer_used = writer_used(&out);
    w->group_count++;
    w->rows += b->rows;
    return ERR_OK;
}

/* What the column's values mean: LogicalTypes.md. */
static void put_logical(struct thrift_out *t, enum column_type type)
{
    int converted = type == COLUMN_TEXT     ? CONVERTED_UTF8
                    : type == COLUMN_UINT32 ? CONVERTED_UINT_32
                    : type == COLUMN_UINT64 ? CONVERTED_UINT_64
                                            : -1;
    if (converted >= 0) {
        thrift_put_i32(t, 6, converted);
    } else if (type != COLUMN_TIME) {
        return;
    }
    thrift_put_struct(t, 10);
    if (type == COLUMN_TEXT) {
        thrift_put_struct(t, LOGICAL_STRING);
    } else if (type == COLUMN_TIME) {
        thrift_put_struct(t, LOGICAL_TIMESTAMP);
        thrift_put_bool(t, 1, true); /* isAdjustedToUTC */
        thrift_put_struct(t, 2);
        thrift_put_struct(t, PARQUET_NANOS);
        thrift_end_struct(t);
        thrift_end_struct(t);
    } else {
        thrift_put_struct(t, LOGICAL_INTEGER);
        thrift_put_i8(t, 1, type == COLUMN_UINT32 ? 32 : 64);
        thrift_put_bool(t, 2, false); /* isSigned */
    }
    thrift_end_struct(t);
    thrift_end_struct(t);
}

static void put_schema(const struct parquet_writer *w, struct thrift_out *t)
{
    thrift_put_list(t, 2, THRIFT_STRUCT, w->column_count + 1);
    thrift_put_struct(t, 0);
    thrift_put_binary(t, 4, "schema", 6);
    thrift_put_i32(t, 5, (int32_t)w->column_count);
    thrift_end_struct(t);
    for (size_t i = 0; i < w->column_count; i++) {
        const struct column *c = &w->columns[i];
        thrift_put_struct(t, 0);
        thrift_put_i32(t, 1, (int32_t)column_storage(c->type));
        thrift_put_i32(t, 3, c->nullable ? PARQUET_OPTIONAL : PARQUET_REQUIRED);
        thrift_put_binary(t, 4, c->name, strlen(c->name));
        put_logical(t, c->type);
        thrift_end_struct(t);
    }
}

/* ColumnOrder: each column's minimum and maximum follow the order of its type. */
static void put_orders(const struct parquet_writer *w, struct thrift_out *t)
{
    thrift_put_list(t, 7, THRIFT_STRUCT, w->column_count);
    for (size_t i = 0; i < w->column_count; i++) {
        thrift_put_struct(t, 0);
        thrift_put_struct(t, 1);
        thrift_end_struct(t);
        thrift_end_struct(t);
    }
}

/* FileMetaData: before the row groups and behind them. */
static void put_head(const struct parquet_writer *w, struct thrift_out *t)
{
    thrift_put_i32(t, 1, 2); /* version */
    put_schema(w, t);
    thrift_put_i64(t, 3, (int64_t)w->rows);
    thrift_put_list(t, 4, THRIFT_STRUCT, w->group_count);
}

static void put_tail(const struct parquet_writer *w, struct thrift_out *t)
{
    thrift_put_binary(t, 6, CREATED_BY, strlen(CREATED_BY));
    put_orders(w, t);
    thrift_end_struct(t);
}

int parquet_finish(struct parquet_writer *w)
{
    size_t bound = 256;
    for (size_t i = 0; i < w->column_count; i++) {
        bound += column_meta_bound(w, i);
    }
    uint8_t *memory = malloc(bound);
    if (!memory) {
        return ERR_NOMEM;
    }
    struct writer out = writer_of(memory, bound);
    struct thrift_out t = {.w = &out};
    uint64_t start = w->offset;
    put_head(w, &t);
    int err = send(w, memory, writer_used(&out));
    if (err == ERR_OK && w->footer_used) {
        err = send(w, w->footer, w->footer_used);
    }
    out.at = out.start;
    put_tail(w, &t);
    write_u32le(&out, (uint32_t)(w->offset + writer_used(&out) - start));
    write_bytes(&out, PARQUET_MAGIC, 4);
    if (err == ERR_OK) {
        err = out.bad ? ERR_NOMEM : send(w, memory, writer_used(&out));
    }
    free(memory);
    return err;
}
