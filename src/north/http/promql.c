/* SPDX-License-Identifier: Apache-2.0 */
/* By descent with precedence. While it is parsed, an expression is a number or "the vector": there is one selector, and what
 * is done to it is appended as a stage. What Prometheus would take and we don't is told as such. */
#include "north/http/promql.h"

#include "base/clock.h"
#include "north/http/pattern.h"
#include "north/http/promql_lex.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const prom_label_names[LABELS] = {
    [LABEL_NAME] = "__name__", [LABEL_ASSET] = "asset", [LABEL_ASSET_TYPE] = "asset_type",
    [LABEL_DEVICE] = "device", [LABEL_TAG] = "tag",     [LABEL_UNIT] = "unit"};

#define SUPPORTED                                                                                  \
    "supported: {label matchers}, [range], offset, @, avg|min|max|sum|count|last|quantile_over_"   \
    "time, rate, increase, delta, sum|avg|min|max|count by|without, and + - * / %% ^ == != > < "   \
    ">= "                                                                                          \
    "<= with a number"

struct parser {
    struct promql *q;
    const char *start, *end;
    struct word word; /* the next one */
    unsigned depth;
    bool has_selector;
    int err;
    char *why;
    size_t why_size;
};

struct operand {
    enum promql_type type;
    double number;
};
static const struct operand nothing = {.type = PROMQL_SCALAR};

static void fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct parser *p, const char *format, ...)
{
    if (p->err) {
        return;
    }
    int n =
        snprintf(p->why, p->why_size, "1:%zu: parse error: ", (size_t)(p->word.at - p->start) + 1);
    if (n >= 0 && (size_t)n < p->why_size) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->why + n, p->why_size - (size_t)n, format, args);
        va_end(args);
    }
    p->err = ERR_MALFORMED;
}

static void next(struct parser *p)
{
    p->word = promql_word(p->word.at + p->word.size, p->end);
    if (p->word.kind == WORD_WRONG) {
        fail(p, "%s", p->word.wrong);
    }
}

static bool take(struct parser *p, const char *word)
{
    bool is = !p->err && word_is(&p->word, word);
    if (is) {
        next(p);
    }
    return is;
}

static bool take_name(struct parser *p, const char *name)
{
    bool is = !p->err && word_is_name(&p->word, name);
    if (is) {
        next(p);
    }
    return is;
}

/* How much of the next word a message shows. */
static int shown(const struct parser *p)
{
    return p->word.size < 40 ? (int)p->word.size : 40;
}

static void fail_unexpected(struct parser *p, const char *wanted)
{
    if (p->word.kind == WORD_END) {
        fail(p, "unexpected end; there should be %s", wanted);
    } else {
        fail(p, "unexpected \"%.*s\"; there should be %s", shown(p), p->word.at, wanted);
    }
}

static void expect(struct parser *p, const char *word)
{
    if (!take(p, word)) {
        fail_unexpected(p, word);
    }
}

static enum prom_label find_label(const struct word *w)
{
    enum prom_label l = 0;
    while (l < LABELS && (w->size != strlen(prom_label_names[l]) ||
                          memcmp(w->at, prom_label_names[l], w->size) != 0)) {
        l++;
    }
    return l;
}

/* ---- Selectors. ---- */

static struct matcher *add_matcher(struct parser *p)
{
    struct selector *s = &p->q->selector;
    if (s->matcher_count == PROMQL_MATCHERS_MAX) {
        fail(p, "more than %u label matchers", PROMQL_MATCHERS_MAX);
        return NULL;
    }
    return s->matchers + s->matcher_count++;
}

static void read_pattern(struct parser *p, struct matcher *m)
{
    int err = pattern_new(&m->pattern, m->value, strlen(m->value));
    if (err == ERR_UNSUPPORTED) {
        fail(p,
             "this regular expression has what is not supported here; there are: classes, \\d \\w "
             "\\s, groups, | * + ? {n,m} ^ $ (?i)");
    } else if (err == ERR_TOO_LONG) {
        fail(p, "this regular expression is too large");
    } else if (err) {
        fail(p, err == ERR_MALFORMED ? "not a regular expression" : "out of memory");
    }
}

static void read_matcher(struct parser *p)
{
    struct matcher *m = add_matcher(p);
    if (!m) {
        return;
    }
    if (p->word.kind != WORD_NAME) {
        fail_unexpected(p, "the name of a label");
        return;
    }
    m->label = find_label(&p->word);
    next(p);
    bool pattern = word_is(&p->word, "=~") || word_is(&p->word, "!~");
    m->negated = word_is(&p->word, "!=") || word_is(&p->word, "!~");
    if (!pattern && !m->negated && !word_is(&p->word, "=")) {
        fail_unexpected(p, "=, !=, =~ or !~");
        return;
    }
    next(p);
    if (p->word.kind != WORD_STRING) {
        fail_unexpected(p, "a string");
        return;
    }
    m->value = word_text(&p->word);
    if (!m->value) {
        fail(p, "a string with an escape that is none");
        return;
    }
    if (pattern) {
        read_pattern(p, m);
    }
    next(p);
}

static void read_matchers(struct parser *p)
{
    expect(p, "{");
    while (!p->err && !word_is(&p->word, "}")) {
        read_matcher(p);
        if (!take(p, ",") && !word_is(&p->word, "}")) {
            fail_unexpected(p, "\",\" or \"}\"");
        }
    }
    expect(p, "}");
}

static void name_matcher(struct parser *p, const struct word *name)
{
    struct matcher *m = add_matcher(p);
    if (m) {
        *m = (struct matcher){.label = LABEL_NAME, .value = strndup(name->at, name->size)};
        if (!m->value) {
            fail(p, "out of memory");
        }
    }
}

static int64_t take_duration(struct parser *p)
{
    int64_t ns = 0;
    if (promql_duration(p->word.at, p->word.size, &ns)) {
        fail_unexpected(p, "a duration such as 5m, longer than 0 and at most 40 years");
    }
    next(p);
    return ns;
}

static void read_at(struct parser *p)
{
    struct selector *s = &p->q->selector;
    bool negative = take(p, "-");
    bool start = word_is_name(&p->word, "start");
    if (start || word_is_name(&p->word, "end")) {
        s->at = start ? AT_START : AT_END;
        next(p);
        expect(p, "(");
        expect(p, ")");
        return;
    }
    if (p->word.kind != WORD_NUMBER || !(fabs(p->word.number) < 4e9)) {
        fail_unexpected(p, "seconds since 1970, start() or end()");
        return;
    }
    s->at = AT_TIME;
    s->at_ns = (int64_t)llround(p->word.number * (negative ? -1e3 : 1e3)) * NS_PER_MS;
    next(p);
}

static bool matches_empty(const struct matcher *m)
{
    uint64_t budget = UINT32_MAX;
    bool is = m->pattern ? pattern_matches(m->pattern, "", 0, &budget) : !*m->value;
    return is != m->negated;
}

static void read_modifiers(struct parser *p)
{
    struct selector *s = &p->q->selector;
    if (take(p, "[")) {
        s->range_ns = take_duration(p);
        if (!p->err && p->word.kind == WORD_NAME && *p->word.at == ':') {
            fail(p, "subqueries are not supported; " SUPPORTED);
        }
        expect(p, "]");
    }
    for (bool offset = false, at = false; !p->err;) {
        if (!offset && take_name(p, "offset")) {
            bool negative = take(p, "-");
            int64_t ns = take_duration(p);
            s->offset_ns = negative ? -ns : ns;
            offset = true;
        } else if (!at && take(p, "@")) {
            read_at(p);
            at = true;
        } else {
            return;
        }
    }
}

/* `name`: the metric's, read already; NULL: none, and matchers come. */
static struct operand read_selector(struct parser *p, const struct word *name)
{
    struct selector *s = &p->q->selector;
    bool any = false;
    if (p->has_selector) {
        fail(p, "only one selector is supported, no operations between two vectors; " SUPPORTED);
        return nothing;
    }
    p->has_selector = true;
    if (name) {
        name_matcher(p, name);
    }
    if (!name || word_is(&p->word, "{")) {
        read_matchers(p);
    }
    read_modifiers(p);
    for (uint32_t i = 0; !p->err && i < s->matcher_count; i++) {
        any |= !matches_empty(s->matchers + i);
    }
    if (!any) {
        fail(p, "vector selector must contain at least one non-empty matcher");
    }
    return (struct operand){.type = s->range_ns ? PROMQL_MATRIX : PROMQL_VECTOR};
}

/* ---- Functions and aggregations. ---- */

static struct operand read_expression(struct parser *p, int least);

static struct stage *add_stage(struct parser *p)
{
    static struct stage nowhere;
    struct promql *q = p->q;
    if (q->stage_count == PROMQL_STAGES_MAX) {
        fail(p, "more than %u operations", PROMQL_STAGES_MAX);
        return &nowhere;
    }
    q->stages[q->stage_count] = (struct stage){0};
    return q->stages + q->stage_count++;
}

static const struct {
    const char *name;
    enum prom_function function;
} functions[] = {
    {"avg_over_time", OVER_AVG},           {"min_over_time", OVER_MIN},
    {"max_over_time", OVER_MAX},           {"sum_over_time", OVER_SUM},
    {"count_over_time", OVER_COUNT},       {"last_over_time", OVER_LAST},
    {"quantile_over_time", OVER_QUANTILE}, {"rate", OVER_RATE},
    {"increase", OVER_INCREASE},           {"delta", OVER_DELTA},
};

static const struct {
    const char *name;
    enum grouping aggregate;
} aggregates[] = {{"sum", GROUP_SUM},
                  {"avg", GROUP_AVG},
                  {"min", GROUP_MIN},
                  {"max", GROUP_MAX},
                  {"count", GROUP_COUNT}};

static struct operand read_call(struct parser *p, const struct word *name)
{
    size_t i = 0, n = sizeof functions / sizeof *functions;
    while (i < n && (name->size != strlen(functions[i].name) ||
                     memcmp(name->at, functions[i].name, name->size) != 0)) {
        i++;
    }
    if (i == n) {
        p->word = *name; /* the message names its place */
        fail(p, "function %.*s is not supported or unknown; " SUPPORTED, shown(p), name->at);
        return nothing;
    }
    expect(p, "(");
    if (functions[i].function == OVER_QUANTILE) {
        struct operand quantile = read_expression(p, 0);
        if (quantile.type != PROMQL_SCALAR) {
            fail(p, "the first argument of quantile_over_time is a number");
        }
        p->q->parameter = quantile.number;
        expect(p, ",");
    }
    struct operand range = read_expression(p, 0);
    if (range.type != PROMQL_MATRIX) {
        fail(p, "%s wants a range such as x[5m]", functions[i].name);
    }
    expect(p, ")");
    p->q->function = functions[i].function;
    return (struct operand){.type = PROMQL_VECTOR};
}

/* by (a, b) or without (a, b). False: neither comes. */
static bool read_grouping(struct parser *p, uint32_t *labels)
{
    bool by = take_name(p, "by"), any = by || take_name(p, "without");
    uint32_t named = 0;
    if (!any) {
        return false;
    }
    expect(p, "(");
    while (!p->err && !word_is(&p->word, ")")) {
        enum prom_label l = find_label(&p->word);
        if (p->word.kind != WORD_NAME) {
            fail_unexpected(p, "the name of a label");
        }
        named |= l < LABELS ? 1u << l : 0;
        next(p);
        if (!take(p, ",") && !word_is(&p->word, ")")) {
            fail_unexpected(p, "\",\" or \")\"");
        }
    }
    expect(p, ")");
    *labels = by ? named : ((1u << LABELS) - 1) & ~named & ~(1u << LABEL_NAME);
    return true;
}

static struct operand read_aggregate(struct parser *p, enum grouping aggregate)
{
    uint32_t labels = 0;
    bool grouped = read_grouping(p, &labels);
    expect(p, "(");
    struct operand of = read_expression(p, 0);
    if (of.type != PROMQL_VECTOR) {
        fail(p, of.type == PROMQL_MATRIX ? "a range needs a function such as avg_over_time"
                                         : "a number can't be aggregated");
    }
    expect(p, ")");
    if (!grouped) {
        (void)read_grouping(p, &labels);
    }
    *add_stage(p) = (struct stage){.aggregate = aggregate, .labels = labels};
    return of;
}

/* ---- Expressions. ---- */

static struct operand read_named(struct parser *p)
{
    struct word name = p->word;
    next(p);
    for (size_t i = 0; i < sizeof aggregates / sizeof *aggregates; i++) {
        if (word_is_name(&name, aggregates[i].name) &&
            (word_is(&p->word, "(") || word_is_name(&p->word, "by") ||
             word_is_name(&p->word, "without"))) {
            return read_aggregate(p, aggregates[i].aggregate);
        }
    }
    if (word_is(&p->word, "(") || word_is_name(&p->word, "by") ||
        word_is_name(&p->word, "without")) {
        return read_call(p, &name);
    }
    return read_selector(p, &name);
}

static struct operand read_primary(struct parser *p)
{
    struct operand o = nothing;
    if (p->err) {
        return o;
    }
    if (p->word.kind == WORD_NUMBER) {
        o.number = p->word.number;
        next(p);
    } else if (p->word.kind == WORD_NAME) {
        o = read_named(p);
    } else if (word_is(&p->word, "{")) {
        o = read_selector(p, NULL);
    } else if (take(p, "(")) {
        o = read_expression(p, 0);
        expect(p, ")");
    } else {
        fail_unexpected(p, "a selector, a number or a function");
    }
    if (word_is(&p->word, "[")) {
        fail(p, "subqueries are not supported; " SUPPORTED);
    }
    return o;
}

static const struct {
    const char *text;
    enum operator op;
    int binds;
} operators[] = {
    {"==", OP_EQ, 1}, {"!=", OP_NE, 1}, {">=", OP_GE, 1}, {"<=", OP_LE, 1},
    {">", OP_GT, 1},  {"<", OP_LT, 1},  {"+", OP_ADD, 2}, {"-", OP_SUB, 2},
    {"*", OP_MUL, 3}, {"/", OP_DIV, 3}, {"%", OP_MOD, 3}, {"^", OP_POW, 4},
};
#define BINDS_UNARY 3

static struct operand combine(struct parser *p, struct operand a, enum operator op,
                              struct operand b, bool as_bool)
{
    if (a.type == PROMQL_MATRIX || b.type == PROMQL_MATRIX) {
        fail(p, "a range needs a function such as avg_over_time");
    }
    if (a.type == PROMQL_SCALAR && b.type == PROMQL_SCALAR) {
        if (promql_is_comparison(op) && !as_bool) {
            fail(p, "comparisons between scalars must use BOOL modifier");
        }
        return (struct operand){.number = promql_calculate(op, a.number, b.number)};
    }
    bool left = a.type == PROMQL_SCALAR;
    *add_stage(p) = (struct stage){
        .op = op, .number = left ? a.number : b.number, .number_left = left, .as_bool = as_bool};
    return (struct operand){.type = PROMQL_VECTOR};
}

static struct operand read_unary(struct parser *p)
{
    bool negative = word_is(&p->word, "-");
    if (!negative && !word_is(&p->word, "+")) {
        return read_primary(p);
    }
    next(p);
    struct operand o = read_expression(p, BINDS_UNARY + 1);
    return negative ? combine(p, o, OP_MUL, (struct operand){.number = -1}, false) : o;
}

/* An expression of operators that bind at least that much. */
static struct operand read_expression(struct parser *p, int least)
{
    static const char *const unknown[] = {"and", "or", "unless", "atan2"};
    if (++p->depth > PROMQL_DEPTH_MAX) {
        fail(p, "nested too deeply");
        return nothing;
    }
    struct operand a = read_unary(p);
    for (size_t i = 0; !p->err && i < sizeof operators / sizeof *operators; i++) {
        if (operators[i].binds < least || !word_is(&p->word, operators[i].text)) {
            continue;
        }
        next(p);
        bool as_bool = promql_is_comparison(operators[i].op) && take_name(p, "bool");
        bool right_first = operators[i].op == OP_POW;
        struct operand b = read_expression(p, operators[i].binds + !right_first);
        a = combine(p, a, operators[i].op, b, as_bool);
        i = SIZE_MAX; /* from the first one again */
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (word_is_name(&p->word, unknown[i])) {
            fail(p, "operator %s is not supported; " SUPPORTED, unknown[i]);
        }
    }
    p->depth--;
    return a;
}

/* ---- */

static int parse(struct promql **out, const char *text, size_t size, bool only_selector, char *why,
                 size_t why_size)
{
    struct parser p = {
        .start = text, .end = text + size, .word = {.at = text}, .why = why, .why_size = why_size};
    *out = p.q = calloc(1, sizeof *p.q);
    if (!p.q) {
        snprintf(why, why_size, "out of memory");
        return ERR_NOMEM;
    }
    next(&p);
    struct operand o = read_expression(&p, 0);
    if (p.word.kind != WORD_END) {
        fail_unexpected(&p, "an operator or the end");
    }
    p.q->type = o.type;
    p.q->scalar = o.number;
    if (only_selector && (o.type != PROMQL_VECTOR || p.q->stage_count || p.q->function)) {
        fail(&p, "only a selector such as x{label=\"value\"} is meant here");
    }
    if (p.err) {
        promql_free(p.q);
        *out = NULL;
    }
    return p.err;
}

int promql_parse(struct promql **out, const char *text, size_t size, char *why, size_t why_size)
{
    return parse(out, text, size, false, why, why_size);
}

int promql_parse_selector(struct promql **out, const char *text, size_t size, char *why,
                          size_t why_size)
{
    return parse(out, text, size, true, why, why_size);
}

void promql_free(struct promql *q)
{
    for (uint32_t i = 0; q && i < q->selector.matcher_count; i++) {
        free(q->selector.matchers[i].value);
        pattern_free(q->selector.matchers[i].pattern);
    }
    free(q);
}

double promql_calculate(enum operator op, double a, double b)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    case OP_MOD:
        return fmod(a, b);
    case OP_POW:
        return pow(a, b);
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_GT:
        return a > b;
    case OP_LT:
        return a < b;
    case OP_GE:
        return a >= b;
    case OP_LE:
        return a <= b;
    default:
        return 0;
    }
}
