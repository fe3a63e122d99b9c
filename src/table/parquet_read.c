/* SPDX-License-Identifier: Apache-2.0 */
#include "table/parquet_read.h"

#include "base/utf8.h"
#include "table/parquet_page.h"

#include <stdlib.h>

struct parquet {
    struct page_source source;
    struct parquet_meta meta;
    struct memory footer;
    struct chunk *chunks;        /* of the row group, per column of the file */
    struct page_column *columns; /* the chosen ones */
    size_t column_count;
    uint64_t group_rows; /* of the row group, not read yet */
    uint64_t row;        /* of the file, read so far */
};

/* The file ends in the footer, its length (4 bytes) and the magic number. */
static int read_footer(struct parquet *p)
{
    struct table_source *f = &p->source.file;
    struct table_problem *problem = p->source.problem;
    uint8_t tail[8] = {0}, head[4] = {0};
    int err = f->size < 12 ? ERR_OK : f->read(f->context, f->size - sizeof tail, tail, sizeof tail);
    err = err || f->size < 12 ? err : f->read(f->context, 0, head, sizeof head);
    if (err) {
        return table_problem_note(problem, err, "can't read the file");
    }
    if (!memcmp(tail + 4, "PARE", 4)) {
        return table_problem_note(problem, ERR_UNSUPPORTED, "the file is encrypted");
    }
    if (memcmp(tail + 4, PARQUET_MAGIC, 4) != 0 || memcmp(head, PARQUET_MAGIC, 4) != 0) {
        return table_problem_note(problem, ERR_MALFORMED,
                                  "this is no Parquet file, or it was not written to its end");
    }
    struct reader r = reader_of(tail, 4);
    uint32_t size = read_u32le(&r);
    if (size > f->size - 12) {
        return table_problem_note(problem, ERR_MALFORMED, "the footer is longer than the file");
    }
    if (size > p->source.memory_left) {
        return table_problem_note(problem, ERR_TOO_LONG,
                                  "the footer of %u bytes needs more memory than is allowed", size);
    }
    err = memory_reserve(&p->source, &p->footer, size);
    err = err ? err : f->read(f->context, f->size - 8 - size, p->footer.data, size);
    if (err) {
        return table_problem_note(problem, err, "can't read the footer of %u bytes", size);
    }
    return meta_read(&p->meta, p->footer.data, size, problem);
}

int parquet_open(struct parquet **out, struct table_source file, size_t memory_max,
                 struct table_problem *problem)
{
    *out = NULL;
    problem->text[0] = 0;
    struct parquet *p = calloc(1, sizeof *p);
    if (!p) {
        return ERR_NOMEM;
    }
    p->source = (struct page_source){.file = file, .problem = problem, .memory_left = memory_max};
    int err = read_footer(p);
    if (err == ERR_OK) {
        p->chunks = calloc(p->meta.leaf_count, sizeof *p->chunks);
        err = p->chunks ? ERR_OK : ERR_NOMEM;
    }
    if (err) {
        parquet_close(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

static void drop_columns(struct parquet *p)
{
    for (size_t i = 0; i < p->column_count; i++) {
        page_column_fini(&p->columns[i]);
    }
    free(p->columns);
    p->columns = NULL;
    p->column_count = 0;
}

void parquet_close(struct parquet *p)
{
    if (!p) {
        return;
    }
    drop_columns(p);
    meta_fini(&p->meta);
    page_source_fini(&p->source);
    free(p->footer.data);
    free(p->chunks);
    free(p);
}

size_t parquet_column_count(const struct parquet *p)
{
    return p->meta.leaf_count;
}

struct parquet_column parquet_column(const struct parquet *p, size_t index)
{
    const struct leaf *l = &p->meta.leaves[index];
    return (struct parquet_column){
        .column = l->column, .unsupported = l->unsupported, .zoneless = l->zoneless};
}

uint64_t parquet_rows(const struct parquet *p)
{
    return p->meta.rows;
}

int parquet_select(struct parquet *p, const size_t *columns, size_t count)
{
    drop_columns(p);
    p->columns = calloc(count, sizeof *p->columns);
    if (!p->columns) {
        return ERR_NOMEM;
    }
    p->column_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct leaf *l = &p->meta.leaves[columns[i]];
        if (l->unsupported) {
            return table_problem_note(p->source.problem, ERR_UNSUPPORTED, "column '%.60s' is %s",
                                      l->column.name, l->unsupported);
        }
        p->columns[i].leaf = l;
    }
    return ERR_OK;
}

/* 1, or 0 behind the last row group. */
static int next_group(struct parquet *p)
{
    int more = meta_next_group(&p->meta, p->chunks, &p->group_rows, p->source.file.size,
                               p->source.problem);
    p->source.group = p->meta.group;
    for (size_t i = 0; more == 1 && i < p->column_count; i++) {
        const struct leaf *l = p->columns[i].leaf;
        page_column_begin(&p->columns[i], l, &p->chunks[l - p->meta.leaves]);
    }
    return more;
}

static int cell_problem(struct parquet *p, size_t column, int err, const char *what)
{
    return table_problem_note(p->source.problem, err, "row %llu, column '%.60s': %s",
                              (unsigned long long)p->row + 1, p->columns[column].leaf->column.name,
                              what);
}

static int read_cell(struct parquet *p, size_t column, struct batch *into)
{
    const struct leaf *l = p->columns[column].leaf;
    struct value v = {0};
    int found = page_column_next(&p->source, &p->columns[column], &v);
    if (found <= 0) {
        return found;
    }
    if (column_is_long(l->column.type)) {
        if (v.size > TABLE_TEXT_MAX) {
            return cell_problem(p, column, ERR_TOO_LONG, "a text of more than 64 KiB");
        }
        if (l->column.type == COLUMN_TEXT && utf8_valid(v.data, v.size) < v.size) {
            return cell_problem(p, column, ERR_MALFORMED, "a text that is not UTF-8");
        }
        return batch_set_bytes(into, column, v.data, v.size);
    }
    if (l->column.type == COLUMN_TIME &&
        __builtin_mul_overflow(v.cell.i64, l->tick_ns, &v.cell.i64)) {
        return cell_problem(p, column, ERR_RANGE, "a time beyond the years 1677 to 2262");
    }
    batch_set(into, column, v.cell);
    return ERR_OK;
}

int parquet_read(struct parquet *p, struct batch *into)
{
    if (into->column_count != p->column_count) {
        return ERR_RANGE;
    }
    int rows = 0;
    while (!batch_is_full(into)) {
        if (!p->group_rows) {
            int more = next_group(p);
            if (more < 0) {
                return more;
            }
            if (!more) {
                break;
            }
            continue; /* it may be empty */
        }
        for (size_t i = 0; i < p->column_count; i++) {
            int err = read_cell(p, i, into);
            if (err < 0) {
                return err;
            }
        }
        batch_end_row(into);
        p->group_rows--;
        p->row++;
        rows++;
    }
    return rows;
}
