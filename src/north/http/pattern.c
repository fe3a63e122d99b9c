/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern becomes a program of four instructions in one pass by descent; jumps are relative, so that a split can be put
 * before what is there already. A repeat {n,m} reads its atom again for each time. */
#include "north/http/pattern.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define CODE_MAX   4000u
#define RANGES_MAX 4000u
#define READ_MAX   20000u /* atoms, each as often as it is read */
#define DEPTH_MAX  50u
#define REPEAT_MAX 1000u
#define LAST_POINT 0x10ffffu

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };

struct instruction {
    uint8_t op;
    bool negated, fold;
    int32_t to;             /* split, jump: relative; a split goes on to the next as well */
    uint32_t first, ranges; /* a set's */
};

struct range {
    uint32_t low, high;
};

struct pattern {
    struct instruction code[CODE_MAX];
    struct range ranges[RANGES_MAX];
    uint32_t code_count, range_count;
    /* matching: instructions reached before the next character, and the set of them by number */
    uint32_t lists[2][CODE_MAX], counts[2], stack[2 * CODE_MAX], seen[CODE_MAX];
    uint32_t mark;
};

/* ---- Reading. ---- */

struct compiler {
    struct pattern *p;
    const char *at, *end;
    unsigned depth, atoms;
    bool fold;
    int err;
};

static void fail(struct compiler *c, int err)
{
    c->err = c->err ? c->err : err;
}

static bool next_is(const struct compiler *c, char wanted)
{
    return !c->err && c->at < c->end && *c->at == wanted;
}

static bool take(struct compiler *c, char wanted)
{
    bool is = next_is(c, wanted);
    c->at += is;
    return is;
}

static uint32_t decode(const uint8_t *p, size_t n)
{
    uint32_t v = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        v = v << 6 | (p[i] & 0x3fu);
    }
    return v;
}

static uint32_t take_point(struct compiler *c)
{
    const uint8_t *p = (const uint8_t *)c->at;
    size_t n = c->at < c->end ? utf8_length(p, (size_t)(c->end - c->at)) : 0;
    if (!n) {
        fail(c, ERR_MALFORMED);
        return 0;
    }
    c->at += n;
    return decode(p, n);
}

/* Room for one more instruction at `where`. */
static struct instruction *insert(struct compiler *c, uint32_t where, enum op op)
{
    static struct instruction nowhere;
    struct pattern *p = c->p;
    if (p->code_count == CODE_MAX) {
        fail(c, ERR_TOO_LONG);
        return &nowhere;
    }
    memmove(p->code + where + 1, p->code + where, (p->code_count - where) * sizeof *p->code);
    p->code_count++;
    p->code[where] = (struct instruction){.op = (uint8_t)op};
    return p->code + where;
}

static struct instruction *emit(struct compiler *c, enum op op)
{
    return insert(c, c->p->code_count, op);
}

static void add_range(struct compiler *c, struct instruction *set, uint32_t low, uint32_t high)
{
    if (c->p->range_count == RANGES_MAX) {
        fail(c, ERR_TOO_LONG);
    } else if (low > high) {
        fail(c, ERR_MALFORMED);
    } else {
        c->p->ranges[c->p->range_count++] = (struct range){low, high};
        set->ranges++;
    }
}

static struct instruction *emit_set(struct compiler *c)
{
    struct instruction *set = emit(c, OP_SET);
    set->first = c->p->range_count;
    set->fold = c->fold;
    return set;
}

/* \d, \w, \s and their opposites. False: the letter is none of them. */
static bool add_class(struct compiler *c, struct instruction *set, char letter)
{
    static const struct {
        char letter;
        struct range ranges[4];
    } classes[] = {
        {'d', {{'0', '9'}}},
        {'w', {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
        {'s', {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        bool opposite = letter == classes[i].letter - 'a' + 'A';
        uint32_t from = 0;
        if (!opposite && letter != classes[i].letter) {
            continue;
        }
        for (size_t k = 0; k < 4 && classes[i].ranges[k].high; k++) {
            const struct range *r = classes[i].ranges + k;
            if (!opposite) {
                add_range(c, set, r->low, r->high);
            } else {
                add_range(c, set, from, r->low - 1);
                from = r->high + 1;
            }
        }
        if (opposite) {
            add_range(c, set, from, LAST_POINT);
        }
        return true;
    }
    return false;
}

static uint32_t take_hex(struct compiler *c)
{
    bool braces = take(c, '{');
    uint32_t v = 0;
    int digits = 0;
    for (; c->at < c->end && digits < (braces ? 6 : 2); digits++, c->at++) {
        char d = *c->at;
        int n = d >= '0' && d <= '9'                 ? d - '0'
                : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10
                                                     : -1;
        if (n < 0) {
            break;
        }
        v = v << 4 | (uint32_t)n;
    }
    if (!digits || (!braces && digits < 2) || (braces && !take(c, '}')) || v > LAST_POINT) {
        fail(c, ERR_MALFORMED);
    }
    return v;
}

/* Behind a backslash that begins no class. */
static uint32_t take_escape(struct compiler *c)
{
    static const char letters[] = "nrtfva", meant[] = "\n\r\t\f\v\a";
    char letter = *c->at++;
    const char *found = strchr(letters, letter);
    if (letter && found) {
        return (uint8_t)meant[found - letters];
    }
    if (letter == 'x') {
        return take_hex(c);
    }
    if ((letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
        (letter >= 'A' && letter <= 'Z') || (letter & 0x80)) {
        fail(c, ERR_UNSUPPORTED);
    }
    return (uint8_t)letter;
}

static uint32_t take_member(struct compiler *c)
{
    if (!take(c, '\\')) {
        return take_point(c);
    }
    if (c->at == c->end) {
        fail(c, ERR_MALFORMED);
        return 0;
    }
    return take_escape(c);
}

/* Behind the opening bracket. */
static void read_set(struct compiler *c)
{
    struct instruction *set = emit_set(c);
    set->negated = take(c, '^');
    for (bool first = true; !c->err && (first || !next_is(c, ']')); first = false) {
        if (c->end - c->at >= 2 && c->at[0] == '[' && c->at[1] == ':') {
            fail(c, ERR_UNSUPPORTED);
        } else if (c->end - c->at >= 2 && c->at[0] == '\\' && add_class(c, set, c->at[1])) {
            c->at += 2;
        } else {
            uint32_t low = take_member(c), high = low;
            if (c->end - c->at >= 2 && c->at[0] == '-' && c->at[1] != ']') {
                c->at++;
                high = take_member(c);
            }
            add_range(c, set, low, high);
        }
    }
    if (!take(c, ']')) {
        fail(c, ERR_MALFORMED);
    }
}

static void read_either(struct compiler *c);

/* Behind "(?": flags up to ) or :, or the name of a group. True: a group follows. */
static bool read_flags(struct compiler *c)
{
    if (c->end - c->at >= 2 && c->at[0] == 'P' && c->at[1] == '<') {
        const char *close = memchr(c->at, '>', (size_t)(c->end - c->at));
        c->at = close ? close + 1 : c->end;
        return true;
    }
    while (c->at < c->end && *c->at != ')' && *c->at != ':') {
        c->fold = c->fold || *c->at == 'i';
        if (*c->at != 'i' && *c->at != 's') {
            fail(c, ERR_UNSUPPORTED);
            return false;
        }
        c->at++;
    }
    if (take(c, ':')) {
        return true;
    }
    if (!take(c, ')')) {
        fail(c, ERR_MALFORMED);
    }
    return false;
}

/* Behind the opening parenthesis. Flags that stand alone hold up to the end of the group around them. */
static void read_group(struct compiler *c)
{
    bool fold = c->fold;
    if (take(c, '?') && !read_flags(c)) {
        return;
    }
    read_either(c);
    c->fold = fold;
    if (!take(c, ')')) {
        fail(c, ERR_MALFORMED);
    }
}

static void read_atom(struct compiler *c)
{
    if (++c->atoms > READ_MAX) {
        fail(c, ERR_TOO_LONG);
    } else if (take(c, '(')) {
        read_group(c);
    } else if (take(c, '[')) {
        read_set(c);
    } else if (take(c, '.')) {
        add_range(c, emit_set(c), 0, LAST_POINT);
    } else if (take(c, '^')) {
        emit(c, OP_BEGIN);
    } else if (take(c, '$')) {
        emit(c, OP_END);
    } else if (next_is(c, '*') || next_is(c, '+') || next_is(c, '?')) {
        fail(c, ERR_MALFORMED);
    } else {
        struct instruction *set = emit_set(c);
        if (c->end - c->at >= 2 && c->at[0] == '\\' && add_class(c, set, c->at[1])) {
            c->at += 2;
        } else {
            uint32_t point = take_member(c);
            add_range(c, set, point, point);
        }
    }
}

/* {n}, {n,}, {n,m}. False: it is none, and the brace is a character. *most UINT32_MAX: any number. */
static bool take_counts(struct compiler *c, uint32_t *least, uint32_t *most)
{
    const char *at = c->at + 1;
    uint32_t v[2] = {0, UINT32_MAX};
    if (!next_is(c, '{')) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        bool number = at < c->end && *at >= '0' && *at <= '9';
        if (number) {
            for (v[i] = 0; at < c->end && *at >= '0' && *at <= '9' && v[i] <= REPEAT_MAX; at++) {
                v[i] = v[i] * 10 + (uint32_t)(*at - '0');
            }
        }
        if (i == 0 && !number) {
            return false;
        }
        if (i == 0 && at < c->end && *at == '}') {
            v[1] = v[0];
            break;
        }
        if (i == 0 && (at == c->end || *at++ != ',')) {
            return false;
        }
    }
    if (at == c->end || *at != '}') {
        return false;
    }
    if (v[0] > REPEAT_MAX || (v[1] > REPEAT_MAX && v[1] != UINT32_MAX) || v[0] > v[1]) {
        fail(c, ERR_MALFORMED);
    }
    c->at = at + 1;
    *least = v[0];
    *most = v[1];
    return true;
}

static int32_t distance(const struct compiler *c, uint32_t from)
{
    return (int32_t)c->p->code_count - (int32_t)from;
}

/* What stands from `start` on: any number of times, or at most once. */
static void make_optional(struct compiler *c, uint32_t start, bool again)
{
    insert(c, start, OP_SPLIT);
    if (again) {
        int32_t back = -distance(c, start);
        emit(c, OP_JUMP)->to = back;
    }
    c->p->code[start].to = distance(c, start);
}

/* The atom between `from` and `to` of the text, once more. */
static void read_again(struct compiler *c, const char *from, bool fold)
{
    const char *at = c->at;
    bool now = c->fold;
    c->at = from;
    c->fold = fold;
    read_atom(c);
    c->at = at;
    c->fold = now;
}

static void repeat(struct compiler *c, uint32_t start, const char *from, bool fold, uint32_t least,
                   uint32_t most)
{
    if (least == 0 && most == 0) {
        c->p->code_count = start;
        return;
    }
    for (uint32_t i = 1; i < least && !c->err; i++) {
        start = c->p->code_count;
        read_again(c, from, fold);
    }
    if (most == UINT32_MAX) {
        int32_t back = -distance(c, start);
        if (least) {
            emit(c, OP_SPLIT)->to = back;
        } else {
            make_optional(c, start, true);
        }
        return;
    }
    if (!least) {
        make_optional(c, start, false);
    }
    for (uint32_t i = least ? least : 1; i < most && !c->err; i++) {
        start = c->p->code_count;
        read_again(c, from, fold);
        make_optional(c, start, false);
    }
}

static void read_sequence(struct compiler *c)
{
    while (!c->err && c->at < c->end && !next_is(c, '|') && !next_is(c, ')')) {
        uint32_t start = c->p->code_count, least, most;
        const char *from = c->at;
        bool fold = c->fold;
        read_atom(c);
        if (take(c, '*')) {
            repeat(c, start, from, fold, 0, UINT32_MAX);
        } else if (take(c, '+')) {
            repeat(c, start, from, fold, 1, UINT32_MAX);
        } else if (take(c, '?')) {
            repeat(c, start, from, fold, 0, 1);
        } else if (take_counts(c, &least, &most)) {
            repeat(c, start, from, fold, least, most);
        } else {
            continue;
        }
        (void)take(c, '?'); /* which way is tried first matters to captures only */
    }
}

static void read_either(struct compiler *c)
{
    uint32_t start = c->p->code_count;
    int32_t last =
        -1; /* the jumps behind the ways, each naming the one before it until all is known */
    if (++c->depth > DEPTH_MAX) {
        fail(c, ERR_TOO_LONG);
    }
    read_sequence(c);
    while (take(c, '|')) {
        insert(c, start, OP_SPLIT);
        uint32_t jump = c->p->code_count;
        emit(c, OP_JUMP)->to = last;
        last = (int32_t)jump;
        c->p->code[start].to = distance(c, start);
        start = c->p->code_count;
        read_sequence(c);
    }
    while (!c->err && last >= 0) {
        int32_t before = c->p->code[last].to;
        c->p->code[last].to = distance(c, (uint32_t)last);
        last = before;
    }
    c->depth--;
}

int pattern_new(struct pattern **p, const char *text, size_t size)
{
    struct compiler c = {.at = text, .end = text + size};
    *p = c.p = calloc(1, sizeof **p);
    if (!c.p) {
        return ERR_NOMEM;
    }
    read_either(&c);
    if (c.at < c.end) {
        fail(&c, ERR_MALFORMED);
    }
    emit(&c, OP_MATCH);
    if (c.err) {
        pattern_free(c.p);
        *p = NULL;
    }
    return c.err;
}

void pattern_free(struct pattern *p)
{
    free(p);
}

/* ---- Matching. ---- */

static bool in_set(const struct pattern *p, const struct instruction *set, uint32_t point)
{
    for (uint32_t i = 0; i < set->ranges; i++) {
        const struct range *r = p->ranges + set->first + i;
        if (point >= r->low && point <= r->high) {
            return true;
        }
    }
    return false;
}

static bool accepts(const struct pattern *p, const struct instruction *set, uint32_t point)
{
    bool letter = (point | 32) >= 'a' && (point | 32) <= 'z';
    bool is = in_set(p, set, point) || (set->fold && letter && in_set(p, set, point ^ 32));
    return is != set->negated;
}

static void spend(uint64_t *budget, uint64_t cost)
{
    *budget -= cost < *budget ? cost : *budget;
}

/* The sets that `at` leads to without a character go into the list. True: it leads to the end of the pattern. */
static bool follow(struct pattern *p, int list, uint32_t at, bool begin, bool end, uint64_t *budget)
{
    uint32_t depth = 0;
    bool match = false;
    p->stack[depth++] = at;
    while (depth) {
        uint32_t n = p->stack[--depth];
        const struct instruction *i = p->code + n;
        if (p->seen[n] == p->mark) {
            continue;
        }
        p->seen[n] = p->mark;
        spend(budget, 1);
        switch (i->op) {
        case OP_SET:
            p->lists[list][p->counts[list]++] = n;
            break;
        case OP_SPLIT:
            p->stack[depth++] = n + 1;
            p->stack[depth++] = (uint32_t)((int32_t)n + i->to);
            break;
        case OP_JUMP:
            p->stack[depth++] = (uint32_t)((int32_t)n + i->to);
            break;
        case OP_MATCH:
            match = true;
            break;
        default:
            if (i->op == OP_BEGIN ? begin : end) {
                p->stack[depth++] = n + 1;
            }
        }
    }
    return match;
}

bool pattern_matches(struct pattern *p, const char *text, size_t size, uint64_t *budget)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + size;
    int now = 0;
    memset(p->seen, 0, p->code_count * sizeof *p->seen);
    p->mark = 1;
    p->counts[now] = 0;
    bool match = follow(p, now, 0, true, at == end, budget);
    while (at < end && p->counts[now]) {
        size_t n = utf8_length(at, (size_t)(end - at));
        uint32_t point = n ? decode(at, n) : 0xfffd;
        at += n ? n : 1;
        match = false;
        p->mark++;
        p->counts[!now] = 0;
        for (uint32_t i = 0; i < p->counts[now]; i++) {
            const struct instruction *set = p->code + p->lists[now][i];
            spend(budget, set->ranges + 1);
            if (!*budget) {
                return false;
            }
            if (accepts(p, set, point)) {
                match |= follow(p, !now, p->lists[now][i] + 1, false, at == end, budget);
            }
        }
        now = !now;
    }
    return match && at == end;
}
