/* SPDX-License-Identifier: Apache-2.0 */
/* A condition that we obey is not checked again by SQLite. So we must mean exactly what it says: for a tag's path what
 * SQLite's own =, LIKE and GLOB mean; for time more, because there texts are understood as times ("2026-11-23T10:00Z",
 * with any offset), where SQLite would compare letters. */
#include "reader/sql/pick.h"

#include "reader/sql/time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct word {
    enum role role;
    unsigned char op;
    const char *text;
    double share; /* of the rows that it leaves */
} words[] = {
    {ROLE_TAG, SQLITE_INDEX_CONSTRAINT_EQ, "tag=?", 1e-4},
    {ROLE_TAG, SQLITE_INDEX_CONSTRAINT_LIKE, "tag LIKE ?", 0.1},
    {ROLE_TAG, SQLITE_INDEX_CONSTRAINT_GLOB, "tag GLOB ?", 0.1},
    {ROLE_ID, SQLITE_INDEX_CONSTRAINT_EQ, "id=?", 1e-4},
    {ROLE_TIME, SQLITE_INDEX_CONSTRAINT_EQ, "time=?", 1e-5},
    {ROLE_TIME, SQLITE_INDEX_CONSTRAINT_GT, "time>?", 0.1},
    {ROLE_TIME, SQLITE_INDEX_CONSTRAINT_GE, "time>=?", 0.1},
    {ROLE_TIME, SQLITE_INDEX_CONSTRAINT_LT, "time<?", 0.1},
    {ROLE_TIME, SQLITE_INDEX_CONSTRAINT_LE, "time<=?", 0.1},
    {ROLE_STEP, SQLITE_INDEX_CONSTRAINT_EQ, "step=?", 0.1},
    {ROLE_AGGREGATE, SQLITE_INDEX_CONSTRAINT_EQ, "aggregate=?", 1},
};
#define WORDS   (sizeof words / sizeof *words)
#define BY_PATH " by path" /* behind all conditions: in the order of the tags' paths */

static const struct word *find_word(enum role role, unsigned char op)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].role == role && words[i].op == op) {
            return words + i;
        }
    }
    return NULL;
}

/* Whether rows, which come tag by tag and of each by time, can come as asked for: of one tag by time; of many by path or by id,
 * and then by time. *by_path: in the order of their paths. */
static bool is_ordered(const struct column *columns, const sqlite3_index_info *info, bool one_tag,
                       bool *by_path)
{
    bool by_tag = one_tag; /* what comes now is of one tag */
    *by_path = false;
    for (int i = 0; i < info->nOrderBy; i++) {
        int at = info->aOrderBy[i].iColumn;
        enum role role = at >= 0 ? columns[at].role : ROLE_NONE;
        bool names = role == ROLE_TAG || role == ROLE_ID;
        if (names && by_tag) {
            continue; /* all the same */
        }
        if (info->aOrderBy[i].desc || (names ? i > 0 : !by_tag || role != ROLE_TIME)) {
            return false;
        }
        *by_path |= role == ROLE_TAG;
        by_tag = true;
    }
    return info->nOrderBy > 0;
}

/* We compare paths byte by byte, as SQLite does unless told otherwise. */
static bool is_plain(sqlite3_index_info *info, int constraint, enum role role)
{
    return role != ROLE_TAG || !sqlite3_stricmp(sqlite3_vtab_collation(info, constraint), "BINARY");
}

int pick_plan(const struct column *columns, double rows, bool by_tag, sqlite3_index_info *info)
{
    char *text = NULL;
    int arguments = 0;
    bool one_tag = false;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = info->aConstraint + i;
        enum role role = c->iColumn >= 0 ? columns[c->iColumn].role : ROLE_NONE;
        const struct word *word = find_word(role, c->op);
        if (word && !c->usable && (role == ROLE_STEP || role == ROLE_AGGREGATE)) {
            sqlite3_free(text);
            return SQLITE_CONSTRAINT; /* a parameter that comes later: not in this order */
        }
        if (!word || !c->usable || !is_plain(info, i, role)) {
            continue;
        }
        char *longer = sqlite3_mprintf("%s%s%s", text ? text : "", text ? " AND " : "", word->text);
        sqlite3_free(text);
        text = longer;
        if (!text) {
            return SQLITE_NOMEM;
        }
        info->aConstraintUsage[i].argvIndex = ++arguments;
        info->aConstraintUsage[i].omit = 1;
        rows *= word->share;
        one_tag |= word->op == SQLITE_INDEX_CONSTRAINT_EQ && (role == ROLE_TAG || role == ROLE_ID);
    }
    bool by_path = false;
    info->orderByConsumed = by_tag && is_ordered(columns, info, one_tag, &by_path);
    if (info->orderByConsumed && by_path) {
        char *longer = sqlite3_mprintf("%s" BY_PATH, text ? text : "");
        sqlite3_free(text);
        text = longer;
        if (!text) {
            return SQLITE_NOMEM;
        }
    }
    info->idxStr = text;
    info->needToFreeIdxStr = text != NULL;
    info->estimatedRows = rows < 1 ? 1 : (sqlite3_int64)rows;
    info->estimatedCost = 10 + rows;
    return SQLITE_OK;
}

/* ---- With the values. ---- */

static bool keep_tag(const struct plan *plan, const struct word *word, uint32_t tag,
                     sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);
    const char *path = plan_text(plan, plan->tags[tag].path);
    return text && (word->op == SQLITE_INDEX_CONSTRAINT_LIKE   ? !sqlite3_strlike(text, path, 0)
                    : word->op == SQLITE_INDEX_CONSTRAINT_GLOB ? !sqlite3_strglob(text, path)
                                                               : !strcmp(text, path));
}

static bool keep_id(const struct plan *plan, uint32_t tag, sqlite3_value *value)
{
    return sqlite3_value_numeric_type(value) == SQLITE_INTEGER
               ? sqlite3_value_int64(value) == plan->tags[tag].id
               : sqlite3_value_double(value) == plan->tags[tag].id;
}

static uint32_t one_tag(struct session *s, const struct word *word, sqlite3_value *value)
{
    const struct plan *plan = session_plan(s);
    if (word->role == ROLE_TAG) {
        const char *text = (const char *)sqlite3_value_text(value);
        return text ? session_find(s, text) : UINT32_MAX;
    }
    sqlite3_int64 id = sqlite3_value_int64(value);
    const struct plan_tag *t =
        id > 0 && id <= SLOT_ID_MAX ? plan_find_tag(plan, (uint32_t)id) : NULL;
    return t && filter_has_tag(s->world->scope, t->id) &&
                   keep_id(plan, (uint32_t)(t - plan->tags), value)
               ? (uint32_t)(t - plan->tags)
               : UINT32_MAX;
}

/* The first condition on tags makes the list, the others shorten it. */
static int choose_tags(struct pick *p, struct session *s, const struct word *word,
                       sqlite3_value *value)
{
    const struct plan *plan = session_plan(s);
    if (!p->tags) {
        bool one = word && word->op == SQLITE_INDEX_CONSTRAINT_EQ;
        p->tags = malloc(((one ? 1 : plan->header->tags.count) + 1) * sizeof *p->tags);
        if (!p->tags) {
            return SQLITE_NOMEM;
        }
        if (one) {
            p->tags[0] = one_tag(s, word, value);
            p->count = p->tags[0] != UINT32_MAX;
            return SQLITE_OK;
        }
        for (uint32_t i = 0; i < plan->header->tags.count; i++) {
            if (filter_has_tag(s->world->scope, plan->tags[i].id)) {
                p->tags[p->count++] = i;
            }
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; word && i < p->count; i++) {
        uint32_t tag = p->tags[i];
        if (word->role == ROLE_ID ? keep_id(plan, tag, value) : keep_tag(plan, word, tag, value)) {
            p->tags[kept++] = tag;
        }
    }
    p->count = word ? kept : p->count;
    return SQLITE_OK;
}

static void choose_time(struct pick *p, unsigned char op, int64_t ns)
{
    bool above = op == SQLITE_INDEX_CONSTRAINT_GT, below = op == SQLITE_INDEX_CONSTRAINT_LT;
    if ((above && ns == INT64_MAX) || (below && ns == INT64_MIN)) {
        p->to_ns = INT64_MIN;
        p->from_ns = INT64_MAX;
        return;
    }
    bool from = above || op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_EQ;
    bool to = below || op == SQLITE_INDEX_CONSTRAINT_LE || op == SQLITE_INDEX_CONSTRAINT_EQ;
    ns += above - below;
    p->from_ns = from && ns > p->from_ns ? ns : p->from_ns;
    p->to_ns = to && ns < p->to_ns ? ns : p->to_ns;
}

static int read_time(struct pick *p, unsigned char op, sqlite3_value *value, char **error)
{
    bool up = op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_LT;
    int64_t ns;
    switch (time_read(value, up, &ns)) {
    case TIME_GIVEN:
        choose_time(p, op, ns);
        return SQLITE_OK;
    case TIME_NONE: /* nothing is before, after or at NULL */
        p->from_ns = INT64_MAX;
        p->to_ns = INT64_MIN;
        return SQLITE_OK;
    default:
        *error = sqlite3_mprintf("'%q' is no time: write 2026-11-23T10:00:00Z, ago('1h') or ns",
                                 sqlite3_value_text(value));
        return SQLITE_ERROR;
    }
}

/* From the list of all in scope by path those that were picked. */
static int sort_by_path(struct pick *p, struct session *s)
{
    uint32_t count, kept = 0, size = session_plan(s)->header->tags.count;
    const uint32_t *sorted = session_by_path(s, &count);
    uint64_t *picked = calloc(size / 64 + 1, sizeof *picked);
    if (!sorted || !picked) {
        free(picked);
        return SQLITE_NOMEM;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        picked[p->tags[i] / 64] |= UINT64_C(1) << (p->tags[i] % 64);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (picked[sorted[i] / 64] >> (sorted[i] % 64) & 1) {
            p->tags[kept++] = sorted[i];
        }
    }
    free(picked);
    return SQLITE_OK;
}

int pick_read(struct pick *p, struct session *s, const char *text, sqlite3_value **values,
              char **error)
{
    int err = SQLITE_OK;
    *p = (struct pick){.from_ns = INT64_MIN, .to_ns = INT64_MAX};
    bool by_path = false;
    for (size_t at = 0; text && *text && err == SQLITE_OK; at++) {
        if (!strcmp(text, BY_PATH)) {
            by_path = true;
            break;
        }
        size_t length = strcspn(text, "?") + 1, i = 0;
        while (strlen(words[i].text) != length || strncmp(words[i].text, text, length) != 0) {
            i++;
        }
        const struct word *word = words + i;
        sqlite3_value *value = values[at];
        switch (word->role) {
        case ROLE_TIME:
            err = read_time(p, word->op, value, error);
            break;
        case ROLE_STEP:
            p->step = value;
            break;
        case ROLE_AGGREGATE:
            p->aggregate = value;
            break;
        default:
            err = choose_tags(p, s, word, value);
        }
        text += length;
        text += strncmp(text, " AND ", 5) ? 0 : 5;
    }
    err = err || p->tags ? err : choose_tags(p, s, NULL, NULL);
    return err || !by_path ? err : sort_by_path(p, s);
}

void pick_fini(struct pick *p)
{
    free(p->tags);
    p->tags = NULL;
}
