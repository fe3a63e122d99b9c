/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/terms.h"

#include "base/json.h"
#include "guard/digest.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const head_keys[] = {
    "isthmus-contract-terms",
    "gateway",
    "contract",
    "service",
    "module",
    "to",
    "owner",
    "custodian",
    "purpose",
    "classification",
    "freshness",
    "completeness",
    "retention",
    "returns",
    "live-first",
    "tags",
};
#define HEAD_KEYS (sizeof head_keys / sizeof *head_keys)
#define TAG_CELLS 5

/* Control characters and backslashes as \xHH, so that a value never breaks its line. */
static void put_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f || c == '\\') {
            fprintf(f, "\\x%02x", c);
        } else {
            putc(c, f);
        }
    }
}

static void put_number(FILE *f, double number)
{
    char text[NUMBER_TEXT_SIZE];
    fwrite(text, 1, number_text(number, text), f);
}

static void put_pair(FILE *f, const char *key, const char *value)
{
    fprintf(f, "%s: ", key);
    put_text(f, value);
    putc('\n', f);
}

static void put_tag(FILE *f, const struct terms_tag *t)
{
    fputs("tag: ", f);
    put_text(f, t->path);
    putc('\t', f);
    put_text(f, t->type);
    putc('\t', f);
    put_text(f, t->unit);
    putc('\t', f);
    if (t->has_range) {
        put_number(f, t->low);
    }
    putc('\t', f);
    if (t->has_range) {
        put_number(f, t->high);
    }
    putc('\n', f);
}

static void put_terms(FILE *f, const struct terms *t)
{
    char freshness[32], completeness[NUMBER_TEXT_SIZE + 4] = "", tags[32];
    snprintf(freshness, sizeof freshness, "%u ms", t->freshness_ms);
    snprintf(tags, sizeof tags, "%zu", t->tag_count);
    if (t->completeness > 0) {
        memcpy(completeness + number_text(t->completeness, completeness), " %", 3);
    }
    const char *const values[HEAD_KEYS] = {
        TERMS_VERSION, t->gateway,   t->contract,  t->service, t->module,
        t->to,         t->owner,     t->custodian, t->purpose, t->classification,
        freshness,     completeness, t->retention, t->returns, t->live_first ? "true" : "false",
        tags,
    };
    for (size_t i = 0; i < HEAD_KEYS; i++) {
        put_pair(f, head_keys[i], values[i]);
    }
    for (size_t i = 0; i < t->tag_count; i++) {
        put_tag(f, t->tags + i);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct terms_tag *x = a, *y = b;
    return strcmp(x->path, y->path);
}

int terms_text(struct terms *t, char **text, size_t *size, uint8_t digest[32])
{
    if (t->tag_count) {
        qsort(t->tags, t->tag_count, sizeof *t->tags, by_path);
    }
    *text = NULL;
    FILE *f = open_memstream(text, size);
    if (!f) {
        return ERR_NOMEM;
    }
    put_terms(f, t);
    bool bad = ferror(f);
    bad = fclose(f) || bad || !digest_sha256(*text, *size, digest);
    if (bad) {
        free(*text);
        *text = NULL;
    }
    return bad ? ERR_NOMEM : ERR_OK;
}

/* ---- Reading. ---- */

/* Everything up to `end`, which is stepped over; bad without it. */
static struct terms_span take_until(struct reader *r, char end)
{
    struct terms_span none = {NULL, 0};
    size_t left = reader_left(r);
    const uint8_t *at = left ? memchr(r->at, end, left) : NULL;
    if (!at) {
        r->bad = true;
        return none;
    }
    struct terms_span span = {(const char *)r->at, (size_t)(at - r->at)};
    r->at = at + 1;
    return span;
}

static bool has_control(struct terms_span s, bool is_tag)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 && !(is_tag && c == '\t')) || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool is_key(struct terms_span s, const char *key)
{
    return s.size == strlen(key) && !memcmp(s.at, key, s.size);
}

static bool split_tag(struct terms_line *line)
{
    struct terms_span *const cells[TAG_CELLS] = {&line->path, &line->type, &line->unit, &line->low,
                                                 &line->high};
    struct reader r = reader_of(line->value.at, line->value.size);
    for (int i = 0; i + 1 < TAG_CELLS; i++) {
        *cells[i] = take_until(&r, '\t');
    }
    if (r.bad || memchr(r.at, '\t', reader_left(&r))) {
        return false;
    }
    line->high = (struct terms_span){(const char *)r.at, reader_left(&r)};
    return line->path.size && line->type.size && !line->low.size == !line->high.size;
}

bool terms_next(struct reader *r, struct terms_line *line)
{
    *line = (struct terms_line){0};
    if (!reader_left(r)) {
        return false;
    }
    struct terms_span whole = take_until(r, '\n');
    const char *colon = r->bad ? NULL : memchr(whole.at, ':', whole.size);
    size_t key = colon ? (size_t)(colon - whole.at) : 0;
    if (!key || whole.size < key + 2 || colon[1] != ' ') {
        r->bad = true;
        return false;
    }
    line->key = (struct terms_span){whole.at, key};
    line->value = (struct terms_span){colon + 2, whole.size - key - 2};
    line->is_tag = is_key(line->key, "tag");
    r->bad = has_control(whole, line->is_tag) || (line->is_tag && !split_tag(line));
    return !r->bad;
}

static int compare_spans(struct terms_span a, struct terms_span b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least ? memcmp(a.at, b.at, least) : 0;
    return order ? order : a.size < b.size ? -1 : a.size > b.size;
}

bool terms_equal(struct terms_span a, struct terms_span b)
{
    return compare_spans(a, b) == 0;
}

int terms_check(const char *text, size_t size)
{
    struct reader r = reader_of(text, size);
    struct terms_line line;
    struct terms_span last = {NULL, 0};
    size_t head = 0, tags = 0;
    char count[32];
    while (terms_next(&r, &line)) {
        if (head < HEAD_KEYS) {
            r.bad = !is_key(line.key, head_keys[head]) ||
                    (head == 0 && !is_key(line.value, TERMS_VERSION));
            head++;
        } else {
            r.bad = !line.is_tag || (tags && compare_spans(last, line.path) >= 0);
            last = line.path;
            tags++;
        }
    }
    snprintf(count, sizeof count, "%zu", tags);
    return !r.bad && head == HEAD_KEYS && is_key(terms_value(text, size, "tags"), count)
               ? ERR_OK
               : ERR_MALFORMED;
}

struct terms_span terms_value(const char *text, size_t size, const char *key)
{
    struct reader r = reader_of(text, size);
    struct terms_line line;
    while (terms_next(&r, &line) && !line.is_tag) {
        if (is_key(line.key, key)) {
            return line.value;
        }
    }
    return (struct terms_span){"", 0};
}

/* ---- Comparing. ---- */

struct terms_walk {
    struct reader r;
    struct terms_line line;
    bool has;
};

static void step(struct terms_walk *w)
{
    w->has = terms_next(&w->r, &w->line);
}

size_t terms_compare(struct terms_span from, struct terms_span to,
                     void (*each)(void *context, enum terms_change change,
                                  const struct terms_line *from, const struct terms_line *to),
                     void *context)
{
    struct terms_walk a = {.r = reader_of(from.at, from.size)},
                      b = {.r = reader_of(to.at, to.size)};
    size_t count = 0;
    step(&a);
    step(&b);
    while (a.has || b.has) {
        bool heads = a.has && b.has && !a.line.is_tag && !b.line.is_tag;
        int order = !a.has ? 1 : !b.has ? -1 : heads ? 0 : compare_spans(a.line.path, b.line.path);
        bool counts = heads && is_key(a.line.key, "tags"); /* the tags themselves tell */
        if (order == 0 && !counts && !terms_equal(a.line.value, b.line.value)) {
            each(context, heads ? TERMS_HEAD_CHANGED : TERMS_TAG_CHANGED, &a.line, &b.line);
            count++;
        } else if (order) {
            each(context, order < 0 ? TERMS_TAG_REMOVED : TERMS_TAG_ADDED,
                 order < 0 ? &a.line : NULL, order < 0 ? NULL : &b.line);
            count++;
        }
        if (order <= 0) {
            step(&a);
        }
        if (order >= 0) {
            step(&b);
        }
    }
    return count;
}
