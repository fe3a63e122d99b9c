/* SPDX-License-Identifier: Apache-2.0 */
/* One statement to the gateway; its rows as a table, or as they come: JSON or CSV. */
#include "cli/client/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 16384u /* of a statement, as the gateway takes it */

/* From stdin, when it is '-'. Owned; NULL: too long, or it can't be read. */
static char *statement_of(const char *argument)
{
    if (strcmp(argument, "-") != 0) {
        return strlen(argument) <= TEXT_MAX ? strdup(argument) : NULL;
    }
    char *text = malloc(TEXT_MAX + 2);
    size_t size = text ? fread(text, 1, TEXT_MAX + 1, stdin) : 0;
    if (!text || size > TEXT_MAX || ferror(stdin)) {
        free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}

static char *cell_of(const json_t *value)
{
    return json_is_string(value) ? strdup(json_string_value(value))
           : json_is_null(value) ? strdup("")
                                 : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

/* Columns that lie beside each other, as many as a table has. */
static int print_rows(const struct client *c, const json_t *columns, const json_t *rows)
{
    struct table t = {0};
    size_t count = json_array_size(columns), r, i;
    char *cells[TABLE_COLUMNS];
    const json_t *row, *name;
    if (count > TABLE_COLUMNS) {
        fprintf(stderr, "isthmus: a table has at most %d columns: use --csv or --json\n",
                TABLE_COLUMNS);
        return CLI_USAGE;
    }
    json_array_foreach(columns, i, name)
    {
        cells[i] = strdup(json_string_value(name) ? json_string_value(name) : "");
    }
    table_row_of(&t, (int)count, cells);
    json_array_foreach(rows, r, row)
    {
        for (i = 0; i < count; i++) {
            cells[i] = cell_of(json_array_get(row, i));
        }
        table_row_of(&t, (int)count, cells);
    }
    table_print(&t, c->colour);
    return CLI_OK;
}

static int show(const struct client *c, const json_t *result)
{
    const char *error = json_string_value(json_object_get(result, "error"));
    const json_t *rows = json_object_get(result, "rows");
    int status = CLI_OK;
    if (c->json) {
        print_json(result);
    } else {
        status = print_rows(c, json_object_get(result, "columns"), rows);
    }
    if (error) {
        fprintf(stderr, "isthmus: the query failed after %zu rows: %s\n", json_array_size(rows),
                error);
        return CLI_FAILED;
    }
    if (!c->json && json_is_true(json_object_get(result, "more"))) {
        fprintf(stderr, "isthmus: only the first %zu rows: --limit gives more\n",
                json_array_size(rows));
    }
    return status;
}

static void say_problem(const json_t *problem)
{
    const char *detail = text_of(problem, "detail");
    const json_t *line = json_object_get(problem, "line");
    if (line) {
        fprintf(stderr, "isthmus: line %lld, column %lld: %s\n",
                (long long)json_integer_value(line),
                (long long)json_integer_value(json_object_get(problem, "column")), detail);
    } else {
        fprintf(stderr, "isthmus: %s\n", *detail ? detail : "the gateway's answer can't be read");
    }
}

int client_sql(const struct client *c)
{
    char target[96];
    char *text = statement_of(c->arguments[0]);
    int status;
    if (!text) {
        fprintf(stderr, "isthmus: a statement has at most %u bytes\n", TEXT_MAX);
        return CLI_USAGE;
    }
    snprintf(target, sizeof target, "/api/v1/sql?format=%s%s%s", c->csv ? "csv" : "json",
             c->limit ? "&limit=" : "", c->limit ? c->limit : "");
    json_t *problem = NULL, *result = client_post(c, target, text, c->csv, &problem, &status);
    if (problem) {
        say_problem(problem);
    } else if (result) {
        status = show(c, result);
    }
    json_decref(problem);
    json_decref(result);
    free(text);
    return status;
}
