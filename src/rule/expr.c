/* SPDX-License-Identifier: Apache-2.0 */
/* Code is proven by running it over the types of its values; after that every step finds what it takes. */
#include "rule/expr_ops.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct expr_shape expr_shapes[OP_END] = {
    [OP_NUMBER] = {0, {0}, NUMBER, 0},
    [OP_TRUTH] = {0, {0}, TRUTH, 0},
    [OP_TAG] = {0, {0}, NUMBER, 1},
    [OP_STATE] = {0, {0}, TRUTH, 1},
    [OP_AGE] = {0, {0}, NUMBER, 1},
    [OP_GOOD] = {0, {0}, TRUTH, 1},
    [OP_BAD] = {0, {0}, TRUTH, 1},
    [OP_UNCERTAIN] = {0, {0}, TRUTH, 1},
    [OP_NEGATE] = {1, {NUMBER}, NUMBER, 0},
    [OP_ABS] = {1, {NUMBER}, NUMBER, 0},
    [OP_NOT] = {1, {TRUTH}, TRUTH, 0},
    [OP_ADD] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_SUBTRACT] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_MULTIPLY] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_DIVIDE] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_MIN] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_MAX] = {2, {NUMBER, NUMBER}, NUMBER, 0},
    [OP_LESS] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_LESS_EQUAL] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_MORE] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_MORE_EQUAL] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_EQUAL] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_UNEQUAL] = {2, {NUMBER, NUMBER}, TRUTH, 0},
    [OP_SAME] = {2, {TRUTH, TRUTH}, TRUTH, 0},
    [OP_DIFFER] = {2, {TRUTH, TRUTH}, TRUTH, 0},
    [OP_AND] = {2, {TRUTH, TRUTH}, TRUTH, 0},
    [OP_OR] = {2, {TRUTH, TRUTH}, TRUTH, 0},
    [OP_IF] = {3, {TRUTH, NUMBER, NUMBER}, NUMBER, 0},
    [OP_IF_TRUTH] = {3, {TRUTH, TRUTH, TRUTH}, TRUTH, 0},
    [OP_PART] = {1, {TRUTH}, TRUTH, 0},
};

static bool step_is_sound(const struct expr_head *h, const struct expr_step *s, uint8_t *types,
                          size_t *depth)
{
    if (!s->op || s->op >= OP_END) {
        return false;
    }
    const struct expr_shape *shape = expr_shapes + s->op;
    if (*depth < shape->takes || (shape->tag && s->argument >= h->tag_count) ||
        (s->op == OP_TRUTH && s->number != 0 && s->number != 1) || !isfinite(s->number)) {
        return false;
    }
    *depth -= shape->takes;
    for (size_t i = 0; i < shape->takes; i++) {
        if (types[*depth + i] != shape->from[i]) {
            return false;
        }
    }
    if (*depth == EXPR_DEPTH_MAX) {
        return false;
    }
    types[(*depth)++] = shape->gives;
    return true;
}

int expr_open(struct expr *x, const void *code, size_t size)
{
    const struct expr_head *h = code;
    uint8_t types[EXPR_DEPTH_MAX];
    size_t depth = 0;
    if (size < sizeof *h) {
        return ERR_SHORT;
    }
    size_t tags = (h->tag_count + 1u) / 2 * 8, steps = h->step_count * sizeof(struct expr_step);
    if (h->magic != EXPR_MAGIC || h->tag_count > EXPR_TAGS_MAX || !h->step_count ||
        h->step_count > EXPR_STEPS_MAX) {
        return ERR_MALFORMED;
    }
    if (size < sizeof *h + tags + steps) {
        return ERR_SHORT;
    }
    struct expr found = {.head = h,
                         .tags = (const uint32_t *)(h + 1),
                         .steps = (const void *)((const uint8_t *)(h + 1) + tags)};
    for (size_t i = 0; i < h->step_count; i++) {
        if (!step_is_sound(h, found.steps + i, types, &depth)) {
            return ERR_MALFORMED;
        }
    }
    if (depth != 1 || types[0] != TRUTH) {
        return ERR_MALFORMED;
    }
    *x = found;
    return ERR_OK;
}

/* ---- Evaluation. A value that is not known is NaN; a truth is 0, 1 or NaN. ---- */

static double read_tag(const struct expr *x, const struct expr_step *s,
                       const struct expr_reader *reader)
{
    struct expr_value v = {.none = true};
    reader->read(reader->context, x->tags[s->argument], &v);
    switch (s->op) {
    case OP_AGE:
        return v.none ? INFINITY : (double)v.age_ns / 1e9;
    case OP_GOOD:
        return v.good;
    case OP_BAD:
        return !v.good && !v.uncertain;
    case OP_UNCERTAIN:
        return v.uncertain;
    case OP_STATE:
        return v.good && !isnan(v.number) ? v.number != 0 : NAN;
    default:
        return v.good ? v.number : NAN;
    }
}

static double known(bool yes, double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : yes;
}

static double and_of(double a, double b)
{
    return a == 0 || b == 0 ? 0 : known(true, a, b);
}

static double finite_or_unknown(double v)
{
    return isfinite(v) ? v : NAN;
}

static double apply(uint32_t op, const double *v)
{
    double a = v[0], b = v[1];
    switch (op) {
    case OP_NEGATE:
        return -a;
    case OP_ABS:
        return fabs(a);
    case OP_NOT:
        return 1 - a;
    case OP_ADD:
        return finite_or_unknown(a + b);
    case OP_SUBTRACT:
        return finite_or_unknown(a - b);
    case OP_MULTIPLY:
        return finite_or_unknown(a * b);
    case OP_DIVIDE:
        return finite_or_unknown(a / b);
    case OP_MIN:
        return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case OP_MAX:
        return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case OP_LESS:
        return known(a < b, a, b);
    case OP_LESS_EQUAL:
        return known(a <= b, a, b);
    case OP_MORE:
        return known(a > b, a, b);
    case OP_MORE_EQUAL:
        return known(a >= b, a, b);
    case OP_EQUAL:
    case OP_SAME:
        return known(a == b, a, b);
    case OP_UNEQUAL:
    case OP_DIFFER:
        return known(a != b, a, b);
    case OP_AND:
        return and_of(a, b);
    case OP_OR:
        return 1 - and_of(1 - a, 1 - b);
    case OP_IF:
    case OP_IF_TRUTH:
        return isnan(a) ? NAN : a != 0 ? b : v[2];
    default: /* OP_PART */
        return a;
    }
}

struct run {
    double stack[EXPR_DEPTH_MAX + 3]; /* apply may look at what it does not take */
    size_t depth;
};

static void step(const struct expr *x, const struct expr_step *s, const struct expr_reader *reader,
                 struct run *r)
{
    const struct expr_shape *shape = expr_shapes + s->op;
    double value = shape->tag      ? read_tag(x, s, reader)
                   : !shape->takes ? s->number
                                   : apply(s->op, r->stack + r->depth - shape->takes);
    r->depth -= shape->takes;
    r->stack[r->depth++] = value;
}

static enum expr_truth truth_of(double v)
{
    return isnan(v) ? EXPR_UNKNOWN : v != 0 ? EXPR_TRUE : EXPR_FALSE;
}

enum expr_truth expr_holds(const struct expr *x, const struct expr_reader *reader)
{
    struct run r = {.depth = 0};
    for (size_t i = 0; i < x->head->step_count; i++) {
        step(x, x->steps + i, reader, &r);
    }
    return truth_of(r.stack[0]);
}

/* ---- For people. ---- */

static void say(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(char *out, size_t size, const char *format, ...)
{
    size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    if (used < size) {
        vsnprintf(out + used, size - used, format, args);
    }
    va_end(args);
}

/* The part of the text that a mark speaks of; cut when it is long or does not lie in it. */
static void say_part(const struct expr_step *mark, const char *text, char *out, size_t size)
{
    size_t from = mark->argument >> 16, length = mark->argument & 0xffff, all = strlen(text);
    from = from < all ? from : all;
    length = length < all - from ? length : all - from;
    say(out, size, "%.*s%s", (int)(length < 60 ? length : 60), text + from,
        length > 60 ? " …" : "");
}

static void say_tags(const struct expr *x, size_t from, size_t to, const struct expr_reader *reader,
                     char *out, size_t size)
{
    const char *between = " (";
    for (size_t i = from; i < to; i++) {
        const struct expr_step *s = x->steps + i;
        struct expr_value v = {.none = true};
        if (!expr_shapes[s->op].tag) {
            continue;
        }
        reader->read(reader->context, x->tags[s->argument], &v);
        const char *state = v.none ? "no value" : v.good ? "" : v.uncertain ? "uncertain" : "bad";
        if (s->op == OP_AGE && !v.none) {
            say(out, size, "%s%.3g s old", between, (double)v.age_ns / 1e9);
        } else if (*state) {
            say(out, size, "%s%s", between, state);
        } else if (s->op == OP_STATE) {
            say(out, size, "%s%s", between, v.number != 0 ? "true" : "false");
        } else {
            say(out, size, "%s%.6g", between, v.number);
        }
        between = ", ";
    }
    say(out, size, "%s", *between == ',' ? ")" : "");
}

void expr_explain(const struct expr *x, const char *text, const struct expr_reader *reader,
                  char *out, size_t size)
{
    struct run r = {.depth = 0};
    size_t begin = 0;
    *out = '\0';
    for (size_t i = 0; i < x->head->step_count; i++) {
        step(x, x->steps + i, reader, &r);
        if (x->steps[i].op != OP_PART) {
            continue;
        }
        enum expr_truth t = truth_of(r.stack[r.depth - 1]);
        if (t != EXPR_TRUE) {
            say_part(x->steps + i, text, out, size);
            say(out, size, "%s", t == EXPR_FALSE ? " does not hold" : " is not known");
            say_tags(x, begin, i, reader, out, size);
            return;
        }
        begin = i + 1;
    }
    say(out, size, "it holds");
}

/* ---- What can be at all: intervals of numbers, and which truths are possible. ---- */

struct span {
    double low, high;  /* numbers */
    bool may, may_not; /* truths: be true, be false */
};

static struct span number_span(double low, double high)
{
    return (struct span){isnan(low) ? -INFINITY : low, isnan(high) ? INFINITY : high, true, true};
}

static struct span products(const struct span *a, const struct span *b, bool divide)
{
    if (divide && b->low <= 0 && b->high >= 0) {
        return number_span(-INFINITY, INFINITY);
    }
    double ends[4] = {divide ? a->low / b->low : a->low * b->low,
                      divide ? a->low / b->high : a->low * b->high,
                      divide ? a->high / b->low : a->high * b->low,
                      divide ? a->high / b->high : a->high * b->high};
    struct span s = {INFINITY, -INFINITY, true, true};
    for (int i = 0; i < 4; i++) {
        if (isnan(ends[i])) {
            return number_span(-INFINITY, INFINITY);
        }
        s.low = fmin(s.low, ends[i]);
        s.high = fmax(s.high, ends[i]);
    }
    return s;
}

static struct span truth_span(bool may, bool may_not)
{
    return (struct span){-INFINITY, INFINITY, may, may_not};
}

static struct span span_of(uint32_t op, const struct span *v)
{
    const struct span *a = v, *b = v + 1;
    switch (op) {
    case OP_NEGATE:
        return number_span(-a->high, -a->low);
    case OP_ABS:
        return number_span(a->low <= 0 && a->high >= 0 ? 0 : fmin(fabs(a->low), fabs(a->high)),
                           fmax(fabs(a->low), fabs(a->high)));
    case OP_ADD:
        return number_span(a->low + b->low, a->high + b->high);
    case OP_SUBTRACT:
        return number_span(a->low - b->high, a->high - b->low);
    case OP_MULTIPLY:
    case OP_DIVIDE:
        return products(a, b, op == OP_DIVIDE);
    case OP_MIN:
        return number_span(fmin(a->low, b->low), fmin(a->high, b->high));
    case OP_MAX:
        return number_span(fmax(a->low, b->low), fmax(a->high, b->high));
    case OP_NOT:
        return truth_span(a->may_not, a->may);
    case OP_LESS:
        return truth_span(a->low < b->high, a->high >= b->low);
    case OP_LESS_EQUAL:
        return truth_span(a->low <= b->high, a->high > b->low);
    case OP_MORE:
        return truth_span(a->high > b->low, a->low <= b->high);
    case OP_MORE_EQUAL:
        return truth_span(a->high >= b->low, a->low < b->high);
    case OP_EQUAL:
        return truth_span(a->low <= b->high && b->low <= a->high, true);
    case OP_SAME:
        return truth_span((a->may && b->may) || (a->may_not && b->may_not), true);
    case OP_DIFFER:
        return truth_span((a->may && b->may_not) || (a->may_not && b->may), true);
    case OP_AND:
        return truth_span(a->may && b->may, a->may_not || b->may_not);
    case OP_OR:
        return truth_span(a->may || b->may, a->may_not && b->may_not);
    case OP_IF:
        return number_span(fmin(v[1].low, v[2].low), fmax(v[1].high, v[2].high));
    case OP_IF_TRUTH:
        return truth_span((a->may && v[1].may) || (a->may_not && v[2].may), true);
    case OP_PART:
        return *a;
    default: /* unequal, and what a tag's state may be */
        return truth_span(true, true);
    }
}

static struct span leaf_span(const struct expr *x, const struct expr_step *s,
                             const struct expr_names *names)
{
    struct expr_tag tag;
    char id[16];
    switch (s->op) {
    case OP_NUMBER:
        return number_span(s->number, s->number);
    case OP_TRUTH:
        return truth_span(s->number != 0, s->number == 0);
    case OP_AGE:
        return number_span(0, INFINITY);
    case OP_TAG: /* by its id, as a path can't be: "#7" */
        snprintf(id, sizeof id, "#%u", x->tags[s->argument]);
        return names->find(names->context, id, strlen(id), &tag) ? number_span(tag.low, tag.high)
                                                                 : number_span(-INFINITY, INFINITY);
    default:
        return truth_span(true, true);
    }
}

bool expr_never(const struct expr *x, const char *text, const struct expr_names *names, char *why,
                size_t size)
{
    struct span stack[EXPR_DEPTH_MAX + 3] = {{0}};
    size_t depth = 0;
    *why = '\0';
    for (size_t i = 0; i < x->head->step_count; i++) {
        const struct expr_step *s = x->steps + i;
        size_t takes = expr_shapes[s->op].takes;
        struct span value = takes ? span_of(s->op, stack + depth - takes) : leaf_span(x, s, names);
        depth -= takes;
        stack[depth++] = value;
        if (s->op == OP_PART && !value.may) {
            say_part(s, text, why, size);
            say(why, size, " can never hold");
            return true;
        }
    }
    return !stack[0].may;
}
