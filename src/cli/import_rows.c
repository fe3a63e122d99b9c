/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_rows.h"

#include "tag/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS   8192u
#define MEMORY ((size_t)32 << 20)
#define HEAP   ((size_t)4 << 20)

static int by_path(const void *a, const void *b, void *plan)
{
    const struct plan_tag *const *x = a, *const *y = b;
    return strcmp(plan_text(plan, (*x)->path), plan_text(plan, (*y)->path));
}

static int sort_tags(struct import_rows *r)
{
    uint32_t count = r->plan->header->tags.count;
    r->by_path = calloc(count + 1, sizeof(struct plan_tag *));
    if (!r->by_path) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        r->by_path[i] = &r->plan->tags[i];
    }
    qsort_r(r->by_path, count, sizeof(struct plan_tag *), by_path, (void *)r->plan);
    return ERR_OK;
}

static bool is_path(const struct import_rows *r, const struct plan_tag *tag, const char *path,
                    size_t size)
{
    const char *text = plan_text(r->plan, tag->path);
    return strlen(text) == size && !memcmp(text, path, size);
}

/* The tag at the path, or NULL. */
static const struct plan_tag *find(const struct import_rows *r, const char *path, size_t size)
{
    size_t low = 0, high = r->plan->header->tags.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *text = plan_text(r->plan, r->by_path[middle]->path);
        int order = strncmp(text, path, size);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < r->plan->header->tags.count && is_path(r, r->by_path[low], path, size);
    return found ? r->by_path[low] : NULL;
}

/* ---- The columns. ---- */

/* Which of samples_names it is, or -1. */
static int place_of(const char *name)
{
    for (int i = 0; i < SAMPLES_COLUMNS; i++) {
        if (!strcmp(name, samples_names[i])) {
            return i;
        }
    }
    return -1;
}

struct choice {
    struct column *columns; /* owned, as the batch's */
    size_t *chosen;         /* owned: places in the file */
    size_t count;
};

static int choose(struct import_rows *r, struct choice *c, size_t index, const struct plan_tag *tag)
{
    struct table_reader_column from = table_reader_column(r->reader, index);
    bool is_time = !tag && place_of(from.name) == SAMPLES_TIME;
    enum column_type type = from.type ? from.type : is_time ? COLUMN_TIME : COLUMN_TEXT;
    if (from.unsupported) {
        return table_problem_note(r->problem, ERR_UNSUPPORTED, "column '%.60s' is %s", from.name,
                                  from.unsupported);
    }
    if (is_time && type != COLUMN_TIME) {
        return table_problem_note(r->problem, ERR_TYPE, "column 'time' holds %s, and no times",
                                  column_type_name(type));
    }
    if (is_time && from.zoneless && !r->options.utc) {
        return table_problem_note(r->problem, ERR_TYPE,
                                  "the times have no zone; with --utc they are taken as UTC");
    }
    r->tags[c->count] = tag;
    c->columns[c->count] = (struct column){from.name, type, true};
    c->chosen[c->count++] = index;
    return ERR_OK;
}

static bool has_column(const struct import_rows *r, enum samples_column wanted)
{
    bool found = false;
    for (size_t i = 0; i < table_reader_column_count(r->reader); i++) {
        found |= place_of(table_reader_column(r->reader, i).name) == (int)wanted;
    }
    return found;
}

/* Rows of tag, time, value: other columns are somebody else's. */
static int choose_long(struct import_rows *r, struct choice *c)
{
    int err = ERR_OK;
    for (size_t i = 0; i < table_reader_column_count(r->reader) && !err; i++) {
        int place = place_of(table_reader_column(r->reader, i).name);
        if (place >= 0 && r->place[place] < 0) {
            r->place[place] = (int)c->count;
            err = choose(r, c, i, NULL);
        }
    }
    return err;
}

static int choose_wide(struct import_rows *r, struct choice *c)
{
    int err = ERR_OK;
    r->wide = true;
    for (size_t i = 0; i < table_reader_column_count(r->reader) && !err; i++) {
        const char *name = table_reader_column(r->reader, i).name;
        const struct plan_tag *tag = find(r, name, strlen(name));
        if (place_of(name) == SAMPLES_TIME && r->place[SAMPLES_TIME] < 0) {
            r->place[SAMPLES_TIME] = (int)c->count;
            err = choose(r, c, i, NULL);
        } else if (tag) {
            err = choose(r, c, i, tag);
        } else if (!r->options.skip_unknown) {
            err = table_problem_note(r->problem, ERR_NOT_FOUND,
                                     "column '%.100s' is no tag of this gateway; --skip-unknown "
                                     "leaves it out",
                                     name);
        } else {
            r->skipped++;
        }
    }
    return err;
}

static int open_batch(struct import_rows *r, struct choice *c)
{
    size_t count = table_reader_column_count(r->reader);
    bool is_long = has_column(r, SAMPLES_TAG) && has_column(r, SAMPLES_VALUE);
    r->tags = calloc(count, sizeof(struct plan_tag *));
    c->columns = calloc(count, sizeof *c->columns);
    c->chosen = calloc(count, sizeof *c->chosen);
    if (!r->tags || !c->columns || !c->chosen) {
        return ERR_NOMEM;
    }
    if (!has_column(r, SAMPLES_TIME)) {
        return table_problem_note(r->problem, ERR_NOT_FOUND, "no column is named time");
    }
    int err = is_long ? choose_long(r, c) : choose_wide(r, c);
    err = err ? err : table_reader_select(r->reader, c->chosen, c->count);
    return err ? err
               : batch_new(&r->batch, c->columns, c->count, batch_rows_for(c->count, ROWS, MEMORY),
                           HEAP);
}

int import_rows_open(struct import_rows *r, const struct plan *plan, const char *path,
                     struct import_rows_options options, struct table_problem *problem)
{
    struct choice c = {0};
    *r = (struct import_rows){.options = options, .plan = plan, .problem = problem};
    for (int i = 0; i < SAMPLES_COLUMNS; i++) {
        r->place[i] = -1;
    }
    int err = table_reader_open(&r->reader, path, problem);
    err = err ? err : sort_tags(r);
    err = err ? err : open_batch(r, &c);
    free(c.columns);
    free(c.chosen);
    return err;
}

void import_rows_close(struct import_rows *r)
{
    table_reader_close(r->reader);
    batch_free(r->batch);
    free(r->by_path);
    free(r->tags);
    *r = (struct import_rows){0};
}

/* ---- The rows. ---- */

static int row_problem(struct import_rows *r, int err, const char *what, const char *more)
{
    return table_problem_note(r->problem, err, "row %" PRIu64 ": %s%.100s",
                              r->first_row + r->row + 1, what, more);
}

static bool is_there(const struct import_rows *r, int place)
{
    return place >= 0 && r->batch->present[place][r->row];
}

static int take_time(struct import_rows *r, struct import_sample *out)
{
    int place = r->place[SAMPLES_TIME];
    if (!is_there(r, place)) {
        return row_problem(r, ERR_NOT_FOUND, "it has no time", "");
    }
    out->slot.time = r->batch->cells[place][r->row].i64;
    return ERR_OK;
}

static int take_status(struct import_rows *r, struct import_sample *out)
{
    int place = r->place[SAMPLES_STATUS], err = ERR_OK;
    out->slot.status = STATUS_GOOD;
    if (!is_there(r, place)) {
        return ERR_OK;
    }
    union cell v = r->batch->cells[place][r->row];
    enum column_type type = r->batch->columns[place].type;
    if (type == COLUMN_TEXT) {
        err =
            samples_status((const char *)batch_bytes(r->batch, v), v.bytes.size, &out->slot.status);
    } else if (type == COLUMN_UINT32 || type == COLUMN_UINT64 || type == COLUMN_INT64) {
        out->slot.status = (uint32_t)v.u64;
        err = v.u64 <= UINT32_MAX ? ERR_OK : ERR_RANGE;
    } else {
        err = ERR_TYPE;
    }
    return err ? row_problem(r, err, "its status is none of OPC UA's", "") : ERR_OK;
}

static int value_problem(struct import_rows *r, const struct plan_tag *tag, int err)
{
    char what[96];
    const char *type = value_type_name((enum value_type)tag->type);
    if (err == ERR_TOO_LONG) {
        snprintf(what, sizeof what, "a %s of more than %u bytes, for ", type, SLOT_BYTES_MAX);
    } else if (err == ERR_NOT_FOUND) {
        snprintf(what, sizeof what, "it has no value, nor a bad status, for ");
    } else {
        snprintf(what, sizeof what, "its value %s %s, as it must be for ",
                 err == ERR_RANGE ? "is out of range of" : "is no", type);
    }
    return row_problem(r, err, what, plan_text(r->plan, tag->path));
}

/* The value of a tag in a column; a null is one only if the status says that it is bad. */
static int take_value(struct import_rows *r, const struct plan_tag *tag, int place,
                      struct import_sample *out)
{
    enum value_type type = (enum value_type)tag->type;
    out->slot.tag = tag->id;
    out->is_long = value_is_long(type);
    out->value.word.u64 = 0;
    int err = is_there(r, place) ? samples_value(type, r->batch, (size_t)place, r->row, &out->value)
              : status_severity(out->slot.status) == SEVERITY_BAD ? ERR_OK
                                                                  : ERR_NOT_FOUND;
    out->slot.value = out->value.word;
    return err ? value_problem(r, tag, err) : ERR_OK;
}

/* 1; 0: the tag is unknown, and left out. */
static int take_long(struct import_rows *r, struct import_sample *out)
{
    int place = r->place[SAMPLES_TAG];
    if (!is_there(r, place) || r->batch->columns[place].type != COLUMN_TEXT) {
        return row_problem(r, ERR_NOT_FOUND, "it names no tag", "");
    }
    union cell name = r->batch->cells[place][r->row];
    const char *path = (const char *)batch_bytes(r->batch, name);
    if (!r->last || !is_path(r, r->last, path, name.bytes.size)) {
        r->last = find(r, path, name.bytes.size);
    }
    if (!r->last && r->options.skip_unknown) {
        r->skipped++;
        return 0;
    }
    if (!r->last) {
        char text[101];
        snprintf(text, sizeof text, "%.*s", (int)(name.bytes.size < 100 ? name.bytes.size : 100),
                 path);
        return row_problem(r, ERR_NOT_FOUND, "this gateway has no tag ", text);
    }
    int err = take_time(r, out);
    err = err ? err : take_status(r, out);
    place = r->place[is_there(r, r->place[SAMPLES_TEXT]) ? SAMPLES_TEXT : SAMPLES_VALUE];
    err = err ? err : take_value(r, r->last, place, out);
    return err ? err : 1;
}

/* The next cell of a row with a column per tag: 1; 0: it holds nothing. */
static int take_wide(struct import_rows *r, struct import_sample *out)
{
    int place = (int)r->column;
    if (!r->tags[place] || !is_there(r, place)) {
        return 0;
    }
    out->slot.status = STATUS_GOOD;
    int err = take_time(r, out);
    err = err ? err : take_value(r, r->tags[place], place, out);
    return err ? err : 1;
}

static int next_batch(struct import_rows *r)
{
    r->first_row += r->batch->rows;
    r->row = 0;
    batch_clear(r->batch);
    int rows = table_reader_read(r->reader, r->batch);
    return rows;
}

int import_rows_next(struct import_rows *r, struct import_sample *out)
{
    for (;;) {
        if (r->row == r->batch->rows) {
            int rows = next_batch(r);
            if (rows <= 0) {
                return rows;
            }
        }
        int got = r->wide ? take_wide(r, out) : take_long(r, out);
        if (got < 0) {
            return got;
        }
        if (!r->wide || ++r->column == r->batch->column_count) {
            r->column = 0;
            r->row++;
        }
        if (got) {
            return got;
        }
    }
}
