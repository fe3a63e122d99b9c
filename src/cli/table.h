/* SPDX-License-Identifier: Apache-2.0 */
/* Tables on a terminal. */
#ifndef ISTHMUS_CLI_TABLE_H
#define ISTHMUS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Rows of cells with aligned columns; the first row is the head. */
#define TABLE_COLUMNS 24
struct table {
    char *(*cells)[TABLE_COLUMNS]; /* owned */
    size_t rows, capacity;
    int columns;
};
void table_row(struct table *t, int columns, ...);             /* const char * each; copied */
void table_row_of(struct table *t, int columns, char **cells); /* takes them */
void table_print(struct table *t, bool colour);                /* and frees it */
void table_free(struct table *t);

#endif
