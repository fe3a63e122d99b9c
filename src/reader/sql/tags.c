/* SPDX-License-Identifier: Apache-2.0 */
/* Tables from the plan: tags, assets (every level of the tags' paths), and columns, which tells of the tables themselves. */
#include "reader/sql/table.h"

#include <stdlib.h>
#include <string.h>

/* ---- tags ---- */

struct tag_cursor {
    struct table_cursor base;
    uint32_t at;
};

enum { T_TAG, T_ID, T_TYPE, T_UNIT, T_DESCRIPTION, T_DEVICE, T_ASSET_TYPE, T_LOW, T_HIGH };

static const struct column tag_columns[] = {
    [T_TAG] = {"tag", "TEXT", "the tag's path", ROLE_TAG},
    [T_ID] = {"id", "INTEGER", "its permanent number", ROLE_ID},
    [T_TYPE] = {"type", "TEXT", "bool, int8 … uint64, float32, float64, text, bytes"},
    [T_UNIT] = {"unit", "TEXT", "UCUM"},
    [T_DESCRIPTION] = {"description", "TEXT", ""},
    [T_DEVICE] = {"device", "TEXT", "the device that it comes from"},
    [T_ASSET_TYPE] = {"asset_type", "TEXT", "the type that it was made from; NULL: none"},
    [T_LOW] = {"low", "REAL", "the range's ends in its unit; NULL: it has none"},
    [T_HIGH] = {"high", "REAL", ""},
    {0},
};

static int tags_begin(struct table_cursor *base, char **error)
{
    struct tag_cursor *c = (struct tag_cursor *)base;
    (void)error;
    c->at = 0;
    base->end = !base->pick.count;
    return SQLITE_OK;
}

static int tags_next(struct table_cursor *base)
{
    struct tag_cursor *c = (struct tag_cursor *)base;
    base->end = ++c->at >= base->pick.count;
    return SQLITE_OK;
}

static void tags_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct tag_cursor *c = (const struct tag_cursor *)base;
    const struct plan *plan = session_plan(base->session);
    const struct plan_tag *t = plan->tags + base->pick.tags[c->at];
    switch (column) {
    case T_TAG:
        column_constant(to, plan_text(plan, t->path));
        break;
    case T_ID:
        sqlite3_result_int64(to, t->id);
        break;
    case T_TYPE:
        column_constant(to, value_type_name((enum value_type)t->type));
        break;
    case T_UNIT:
        column_constant(to, plan_text(plan, t->unit));
        break;
    case T_DESCRIPTION:
        column_constant(to, plan_text(plan, t->description));
        break;
    case T_DEVICE:
        if (t->device < plan->header->devices.count) {
            column_constant(to, plan_text(plan, plan->devices[t->device].name));
        }
        break;
    case T_ASSET_TYPE:
        if (t->asset_type) {
            column_constant(to, plan_text(plan, t->asset_type));
        }
        break;
    default:
        if (t->has_range) {
            sqlite3_result_double(to, column == T_LOW ? t->low : t->high);
        }
    }
}

const struct table table_tags = {
    .name = "tags",
    .about = "the tags",
    .columns = tag_columns,
    .rows = 1e4,
    .cursor_size = sizeof(struct tag_cursor),
    .begin = tags_begin,
    .next = tags_next,
    .column = tags_column,
};

/* ---- assets: the levels above the tags, by path ---- */

struct asset_cursor {
    struct table_cursor base;
    const uint32_t *sorted; /* of the session */
    uint32_t count, at;     /* at: the first tag below it */
    uint32_t level;         /* levels in its path */
    uint32_t end;           /* the first tag that is not below it */
    size_t length;          /* of its path */
    plan_str type;
};

enum { S_ASSET, S_NAME, S_PARENT, S_LEVEL, S_TYPE, S_TAGS };

static const struct column asset_columns[] = {
    [S_ASSET] = {"asset", "TEXT", "its path"},
    [S_NAME] = {"name", "TEXT", "the last level of it"},
    [S_PARENT] = {"parent", "TEXT", "the path above; NULL: it is at the top"},
    [S_LEVEL] = {"level", "INTEGER", "how many levels its path has"},
    [S_TYPE] = {"type", "TEXT", "its asset type; NULL: none"},
    [S_TAGS] = {"tags", "INTEGER", "how many tags are below"},
    {0},
};

static const char *asset_path(const struct asset_cursor *c, uint32_t at)
{
    const struct plan *plan = session_plan(c->base.session);
    return plan_text(plan, plan->tags[c->sorted[at]].path);
}

/* Bytes of the first `levels` levels of a tag's path; 0: it has no more than those. */
static size_t levels_of(const char *path, uint32_t levels)
{
    size_t length = 0;
    for (uint32_t i = 0; i < levels; i++) {
        const char *slash = strchr(path + length + (i > 0), '/');
        if (!slash) {
            return 0;
        }
        length = (size_t)(slash - path);
    }
    return length;
}

static bool is_below(const char *path, const char *asset, size_t length)
{
    return !strncmp(path, asset, length) && path[length] == '/';
}

static bool begins_here(const struct asset_cursor *c, size_t length)
{
    return c->at == 0 || !is_below(asset_path(c, c->at - 1), asset_path(c, c->at), length);
}

/* Its tags, and its type if one of them was made for it. */
static void look_below(struct asset_cursor *c)
{
    const struct plan *plan = session_plan(c->base.session);
    const char *path = asset_path(c, c->at);
    c->type = 0;
    for (c->end = c->at; c->end < c->count && is_below(asset_path(c, c->end), path, c->length);
         c->end++) {
        const struct plan_tag *t = plan->tags + c->sorted[c->end];
        c->type = t->asset_levels == c->level ? t->asset_type : c->type;
    }
}

/* To the next level of this tag's path that begins here, or of the next one's. */
static void find_asset(struct asset_cursor *c)
{
    for (; c->at < c->count; c->at++, c->level = 0) {
        while ((c->length = levels_of(asset_path(c, c->at), ++c->level)) > 0) {
            if (begins_here(c, c->length)) {
                look_below(c);
                return;
            }
        }
    }
    c->base.end = true;
}

static int assets_begin(struct table_cursor *base, char **error)
{
    struct asset_cursor *c = (struct asset_cursor *)base;
    (void)error;
    c->at = c->level = 0;
    c->sorted = session_by_path(base->session, &c->count);
    if (!c->sorted) {
        return SQLITE_NOMEM;
    }
    find_asset(c);
    return SQLITE_OK;
}

static int assets_next(struct table_cursor *base)
{
    find_asset((struct asset_cursor *)base);
    return SQLITE_OK;
}

static void assets_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct asset_cursor *c = (const struct asset_cursor *)base;
    const char *path = asset_path(c, c->at);
    size_t parent = levels_of(path, c->level - 1), name = parent ? parent + 1 : 0;
    switch (column) {
    case S_ASSET:
        sqlite3_result_text(to, path, (int)c->length, SQLITE_STATIC);
        break;
    case S_NAME:
        sqlite3_result_text(to, path + name, (int)(c->length - name), SQLITE_STATIC);
        break;
    case S_PARENT:
        if (parent) {
            sqlite3_result_text(to, path, (int)parent, SQLITE_STATIC);
        }
        break;
    case S_LEVEL:
        sqlite3_result_int64(to, c->level);
        break;
    case S_TYPE:
        if (c->type) {
            column_constant(to, plan_text(session_plan(base->session), c->type));
        }
        break;
    default:
        sqlite3_result_int64(to, c->end - c->at);
    }
}

const struct table table_assets = {
    .name = "assets",
    .about = "the equipment hierarchy: every level above the tags",
    .columns = asset_columns,
    .rows = 1e3,
    .cursor_size = sizeof(struct asset_cursor),
    .begin = assets_begin,
    .next = assets_next,
    .column = assets_column,
};

/* ---- columns ---- */

struct column_cursor {
    struct table_cursor base;
    size_t table, column;
};

static const struct column column_columns[] = {
    {"tbl", "TEXT", "the table"},
    {"name", "TEXT", "the column"},
    {"type", "TEXT", "\"\": as the tag's type"},
    {"about", "TEXT", ""},
    {0},
};

static int columns_begin(struct table_cursor *base, char **error)
{
    struct column_cursor *c = (struct column_cursor *)base;
    (void)error;
    c->table = c->column = 0;
    return SQLITE_OK;
}

static int columns_next(struct table_cursor *base)
{
    struct column_cursor *c = (struct column_cursor *)base;
    if (!tables[c->table]->columns[++c->column].name) {
        c->column = 0;
        base->end = !tables[++c->table];
    }
    return SQLITE_OK;
}

static void columns_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct column_cursor *c = (const struct column_cursor *)base;
    const struct column *it = tables[c->table]->columns + c->column;
    const char *const texts[] = {tables[c->table]->name, it->name, it->type, it->about};
    column_constant(to, texts[column]);
}

const struct table table_columns = {
    .name = "columns",
    .about = "these tables and their columns",
    .columns = column_columns,
    .rows = 100,
    .cursor_size = sizeof(struct column_cursor),
    .begin = columns_begin,
    .next = columns_next,
    .column = columns_column,
};
