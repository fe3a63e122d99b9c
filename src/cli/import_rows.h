/* SPDX-License-Identifier: Apache-2.0 */
/* A table that is to be imported, as samples: from rows of tag, time, value and status, or from a column per tag. */
#ifndef ISTHMUS_CLI_IMPORT_ROWS_H
#define ISTHMUS_CLI_IMPORT_ROWS_H

#include "table/samples.h"
#include "tag/plan.h"

struct import_rows_options {
    bool utc;          /* times without a zone are UTC; else they are refused */
    bool skip_unknown; /* tags that the plan doesn't have are left out; else they are refused */
};

struct import_sample {
    struct slot slot; /* tag: the id */
    bool is_long;     /* text or bytes: in value.text */
    struct samples_value value;
};

struct import_rows {
    struct import_rows_options options;
    const struct plan *plan;
    struct table_problem *problem;
    struct table_reader *reader;
    const struct plan_tag **by_path; /* owned: the plan's tags, sorted */
    struct batch *batch;
    const struct plan_tag *
        *tags; /* owned: of each column of the batch, if there is a column per tag; NULL: none */
    int place[SAMPLES_COLUMNS];  /* column of the batch, -1: there is none */
    bool wide;                   /* a column per tag */
    const struct plan_tag *last; /* that a row named */
    uint64_t first_row;          /* of the batch */
    size_t row, column;          /* the next cell */
    uint64_t skipped;
};

/* Opens FILE and finds out what its columns are. `plan` and `problem` are borrowed until import_rows_close, which is to be
 * called in any case. */
MUST_USE int import_rows_open(struct import_rows *r, const struct plan *plan, const char *path,
                              struct import_rows_options options, struct table_problem *problem);
void import_rows_close(struct import_rows *r);
/* 1: the next sample; 0: the end; negative: the problem tells what and where. */
MUST_USE int import_rows_next(struct import_rows *r, struct import_sample *out);

#endif
