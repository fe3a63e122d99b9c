/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_row_of(struct table *t, int columns, char **cells)
{
    if (t->rows == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 64;
        void *grown = realloc(t->cells, capacity * sizeof *t->cells);
        if (!grown) {
            for (int i = 0; i < columns; i++) {
                free(cells[i]);
            }
            return;
        }
        t->cells = grown;
        t->capacity = capacity;
    }
    t->columns = columns;
    memcpy(t->cells[t->rows++], cells, (size_t)columns * sizeof *cells);
}

void table_row(struct table *t, int columns, ...)
{
    char *cells[TABLE_COLUMNS];
    va_list args;
    va_start(args, columns);
    for (int i = 0; i < columns; i++) {
        cells[i] = strdup(va_arg(args, const char *));
    }
    va_end(args);
    table_row_of(t, columns, cells);
}

/* Characters, not bytes: UTF-8 continuation bytes take no place. */
static int width(const char *text)
{
    int n = 0;
    for (; text && *text; text++) {
        n += (*text & 0xc0) != 0x80;
    }
    return n;
}

void table_print(struct table *t, bool colour)
{
    int widths[TABLE_COLUMNS] = {0};
    for (size_t r = 0; r < t->rows; r++) {
        for (int i = 0; i < t->columns; i++) {
            int w = width(t->cells[r][i]);
            widths[i] = w > widths[i] ? w : widths[i];
        }
    }
    for (size_t r = 0; r < t->rows; r++) {
        fputs(colour && r == 0 ? "\033[1m" : "", stdout);
        for (int i = 0; i < t->columns; i++) {
            const char *text = t->cells[r][i] ? t->cells[r][i] : "";
            int pad = i + 1 < t->columns ? widths[i] - width(text) + 2 : 0;
            printf("%s%*s", text, pad, "");
        }
        fputs(colour && r == 0 ? "\033[0m\n" : "\n", stdout);
    }
    table_free(t);
}

void table_free(struct table *t)
{
    for (size_t r = 0; r < t->rows; r++) {
        for (int i = 0; i < t->columns; i++) {
            free(t->cells[r][i]);
        }
    }
    free(t->cells);
    *t = (struct table){0};
}
