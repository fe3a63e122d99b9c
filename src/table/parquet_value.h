/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a data page, in each of the encodings that we read (Encodings.md). */
#ifndef ISTHMUS_TABLE_PARQUET_VALUE_H
#define ISTHMUS_TABLE_PARQUET_VALUE_H

#include "table/parquet_page.h"

/* Checks the dictionary that was read and notes where its texts begin. */
bool dictionary_open(struct page_column *c);

/* Begins with the values of a page, which borrow `page`. ERR_UNSUPPORTED when the encoding is not one that we read for
 * such a column, ERR_NOT_FOUND when it needs a dictionary that is not there. */
MUST_USE int values_open(struct page_column *c, struct reader page);
const char *encoding_name(int encoding);
/* False: damaged. */
bool values_next(struct page_column *c, struct value *out);

#endif
