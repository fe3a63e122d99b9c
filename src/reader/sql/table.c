/* SPDX-License-Identifier: Apache-2.0 */
/* All tables are eponymous and nothing else: they are there without being created, and can't be. */
#include "reader/sql/table.h"

#include "base/clock.h"
#include "tag/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct own_module { /* SQLite hands it back */
    const struct table *table;
    struct session *session;
};

struct own_table {
    sqlite3_vtab base;
    const struct own_module *module;
};

const struct table *const tables[] = {
    &table_history, &table_sampled, &table_latest, &table_tags,    &table_assets,
    &table_events,  &table_gaps,    &table_ledger, &table_columns, NULL};

static int on_connect(sqlite3 *db, void *context, int count, const char *const *arguments,
                      sqlite3_vtab **out, char **error)
{
    const struct own_module *module = context;
    (void)count;
    (void)arguments;
    (void)error;
    sqlite3_str *text = sqlite3_str_new(db);
    for (const struct column *c = module->table->columns; c->name; c++) {
        sqlite3_str_appendf(text, "%s\"%w\" %s%s",
                            c == module->table->columns ? "CREATE TABLE x(" : ",", c->name, c->type,
                            c->hidden ? " HIDDEN" : "");
    }
    sqlite3_str_appendall(text, ")");
    char *schema = sqlite3_str_finish(text);
    module->session->declaring = true; /* the authorizer is asked for this too */
    int err = schema ? sqlite3_declare_vtab(db, schema) : SQLITE_NOMEM;
    module->session->declaring = false;
    sqlite3_free(schema);
    struct own_table *t = err ? NULL : calloc(1, sizeof *t);
    if (!t) {
        return err ? err : SQLITE_NOMEM;
    }
    t->module = module;
    *out = &t->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *t)
{
    free(t);
    return SQLITE_OK;
}

static const struct table *table_of(const sqlite3_vtab *t)
{
    return ((const struct own_table *)t)->module->table;
}

/* idxNum carries which columns are used: 31 are enough. */
static int on_plan(sqlite3_vtab *t, sqlite3_index_info *info)
{
    const struct table *table = table_of(t);
    info->idxNum = (int)(info->colUsed & 0x7fffffff);
    return pick_plan(table->columns, table->rows, table->by_tag, info);
}

static int on_open(sqlite3_vtab *t, sqlite3_vtab_cursor **out)
{
    struct table_cursor *c = calloc(1, table_of(t)->cursor_size);
    if (!c) {
        return SQLITE_NOMEM;
    }
    c->session = ((struct own_table *)t)->module->session;
    *out = &c->base;
    return SQLITE_OK;
}

static void end_cursor(struct table_cursor *c)
{
    const struct table *table = table_of(c->base.pVtab);
    if (table->fini) {
        table->fini(c);
    }
    pick_fini(&c->pick);
}

static int on_close(sqlite3_vtab_cursor *base)
{
    struct table_cursor *c = (struct table_cursor *)base;
    end_cursor(c);
    free(c);
    return SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *base, int used, const char *words, int count,
                     sqlite3_value **values)
{
    struct table_cursor *c = (struct table_cursor *)base;
    const struct table *table = table_of(base->pVtab);
    char *error = NULL;
    (void)count;
    end_cursor(c);
    c->used = (uint64_t)used;
    c->row = 0;
    c->end = false;
    int err = pick_read(&c->pick, c->session, words, values, &error);
    err = err ? err : table->begin(c, &error);
    if (error) {
        sqlite3_free(base->pVtab->zErrMsg);
        base->pVtab->zErrMsg = error;
    }
    return err;
}

static int on_next(sqlite3_vtab_cursor *base)
{
    struct table_cursor *c = (struct table_cursor *)base;
    c->row++;
    return table_of(base->pVtab)->next(c);
}

static int on_eof(sqlite3_vtab_cursor *base)
{
    return ((struct table_cursor *)base)->end;
}

static int on_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int column)
{
    table_of(base->pVtab)->column((struct table_cursor *)base, to, column);
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *row)
{
    *row = ((struct table_cursor *)base)->row;
    return SQLITE_OK;
}

int table_register(struct session *s)
{
    static const sqlite3_module module = {
        .xConnect = on_connect,
        .xBestIndex = on_plan,
        .xDisconnect = on_disconnect,
        .xOpen = on_open,
        .xClose = on_close,
        .xFilter = on_filter,
        .xNext = on_next,
        .xEof = on_eof,
        .xColumn = on_column,
        .xRowid = on_rowid,
    };
    int err = SQLITE_OK;
    for (size_t i = 0; tables[i] && !err; i++) {
        struct own_module *own = malloc(sizeof *own);
        if (!own) {
            return SQLITE_NOMEM;
        }
        *own = (struct own_module){tables[i], s};
        err = sqlite3_create_module_v2(s->db, tables[i]->name, &module, own, free);
    }
    return err;
}

/* ---- Columns. ---- */

void column_constant(sqlite3_context *to, const char *text)
{
    sqlite3_result_text(to, text, -1, SQLITE_STATIC);
}

void column_path(sqlite3_context *to, const struct session *s, uint32_t tag)
{
    const struct plan *plan = session_plan(s);
    column_constant(to, plan_text(plan, plan->tags[tag].path));
}

void column_time(sqlite3_context *to, int64_t ns)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(ns, text);
    sqlite3_result_text(to, text, -1, SQLITE_TRANSIENT);
}

const char *quality_name(uint32_t status)
{
    enum status_severity severity = status_severity(status);
    return severity == SEVERITY_GOOD ? "good" : severity == SEVERITY_BAD ? "bad" : "uncertain";
}

/* The double nearest to the shortest decimal that stands for this float32, so that 12.3 is 12.3 in comparisons and in sums.
 * Few have more than six decimals. */
static double widen(double v)
{
    static const double scales[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6};
    float f = (float)v;
    for (size_t i = 0; fabs(v) < 1e8 && i < sizeof scales / sizeof *scales; i++) {
        double near = nearbyint(v * scales[i]) / scales[i];
        if ((float)near == f) {
            return near;
        }
    }
    char text[NUMBER_TEXT_SIZE + 1];
    text[number_text_float(f, text)] = 0;
    return isfinite(v) ? strtod(text, NULL) : v;
}

void column_value(sqlite3_context *to, enum value_type type, union slot_value value,
                  uint32_t status, const uint8_t *text)
{
    char digits[24];
    if (status_severity(status) == SEVERITY_BAD) {
        return; /* NULL */
    }
    switch (type) {
    case VALUE_TEXT:
        sqlite3_result_text(to, (const char *)text, (int)value.u64, SQLITE_TRANSIENT);
        break;
    case VALUE_BYTES:
        sqlite3_result_blob(to, text, (int)value.u64, SQLITE_TRANSIENT);
        break;
    case VALUE_FLOAT32:
        sqlite3_result_double(to, widen(value.f64));
        break;
    case VALUE_FLOAT64:
        sqlite3_result_double(to, value.f64);
        break;
    case VALUE_UINT64:
        if (value.u64 > INT64_MAX) { /* SQLite has no such integer; its digits lose nothing */
            sqlite3_snprintf(sizeof digits, digits, "%llu", value.u64);
            sqlite3_result_text(to, digits, -1, SQLITE_TRANSIENT);
            break;
        }
        sqlite3_result_int64(to, value.i64);
        break;
    default:
        sqlite3_result_int64(to, value.i64);
    }
}
