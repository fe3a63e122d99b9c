/* SPDX-License-Identifier: Apache-2.0 */
/* Text → code, by recursive descent: or, and, not, comparison, sum, product, sign, atom. */
#include "rule/expr_ops.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 24

enum token { END, NAME, VALUE, PATH, SIGN, WRONG };

struct parse {
    const char *text;
    const struct expr_names *names;
    struct expr_error *error;
    bool failed;
    int nesting;

    enum token token;
    size_t from, size; /* of the token; a path without its braces */
    double number;

    uint32_t tags[EXPR_TAGS_MAX];
    struct expr_step steps[EXPR_STEPS_MAX];
    size_t tag_count, step_count;
};

static void fail(struct parse *p, size_t at, const char *proposal, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void fail(struct parse *p, size_t at, const char *proposal, const char *format, ...)
{
    va_list args;
    if (!p->failed) { /* the first one counts */
        p->failed = true;
        p->error->column = (uint32_t)at + 1;
        snprintf(p->error->proposal, sizeof p->error->proposal, "%s", proposal);
        va_start(args, format);
        vsnprintf(p->error->text, sizeof p->error->text, format, args);
        va_end(args);
    }
    p->token = END;
}

/* ---- Tokens. ---- */

static void take_number(struct parse *p)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"min", 60}, {"s", 1}, {"h", 3600}, {"d", 86400}};
    const char *at = p->text + p->from;
    size_t digits = strspn(at, "0123456789.");
    if ((at[digits] == 'e' || at[digits] == 'E') &&
        (isdigit((unsigned char)at[digits + 1]) ||
         (at[digits + 1] && strchr("+-", at[digits + 1]) &&
          isdigit((unsigned char)at[digits + 2])))) {
        digits += 2;
        digits += strspn(at + digits, "0123456789");
    }
    char copy[64], *end;
    if (digits >= sizeof copy) {
        fail(p, p->from, "", "the number is too long");
        return;
    }
    memcpy(copy, at, digits);
    copy[digits] = '\0';
    p->number = strtod(copy, &end);
    p->size = digits;
    size_t letters = strspn(at + digits, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    bool known = !letters;
    for (size_t i = 0; letters && i < sizeof units / sizeof *units && !known; i++) {
        if (strlen(units[i].unit) == letters && !strncmp(units[i].unit, at + digits, letters)) {
            p->number *= units[i].seconds;
            p->size += letters;
            known = true;
        }
    }
    if (*end || !isfinite(p->number) || !known) {
        fail(p, p->from, "write 5, 0.5, 1e3, 5s, 2min, 1h",
             "'%.*s' is neither a number nor a duration", (int)(digits + letters), at);
        return;
    }
    p->token = VALUE;
}

static void next(struct parse *p)
{
    const char *text = p->text;
    size_t at = p->from + p->size + (p->token == PATH);
    at += strspn(text + at, " \t\r\n");
    p->from = at;
    p->size = 1;
    if (p->failed || !text[at]) {
        p->token = END;
        p->size = 0;
    } else if (text[at] == '{') {
        p->from = at + 1;
        p->size = strcspn(text + at + 1, "}");
        p->token = PATH;
        if (!text[p->from + p->size]) {
            fail(p, at, "close it: {site/area/tag}", "the path has no end");
        }
    } else if (isdigit((unsigned char)text[at]) || text[at] == '.') {
        take_number(p);
    } else if (isalpha((unsigned char)text[at])) {
        p->size =
            strspn(text + at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789/-.");
        p->token = NAME;
    } else {
        p->token = SIGN;
        p->size += text[at + 1] == '=' && strchr("<>=!", text[at]);
        if (!strchr("+-*/()<>=!,", text[at])) {
            fail(p, at, "tags stand in braces: {site/area/tag}", "'%c' means nothing here",
                 text[at]);
        }
    }
}

static bool is(const struct parse *p, enum token token, const char *text)
{
    return p->token == token && strlen(text) == p->size &&
           !strncmp(p->text + p->from, text, p->size);
}

static bool take(struct parse *p, enum token token, const char *text)
{
    bool there = is(p, token, text);
    if (there) {
        next(p);
    }
    return there;
}

static void expect(struct parse *p, const char *sign)
{
    if (!take(p, SIGN, sign)) {
        fail(p, p->from, "", "here a '%s' is missing", sign);
    }
}

/* ---- Code. ---- */

static void put(struct parse *p, enum expr_op op, uint32_t argument, double number)
{
    if (p->step_count == EXPR_STEPS_MAX) {
        fail(p, p->from, "split it into several", "the condition is too long");
        return;
    }
    p->steps[p->step_count++] = (struct expr_step){(uint32_t)op, argument, number};
}

static enum expr_type parse_or(struct parse *p, bool top);

static void want(struct parse *p, size_t at, enum expr_type is, enum expr_type wanted)
{
    if (is != wanted) {
        fail(p, at, wanted == TRUTH ? "compare it with something: {tag} > 0" : "",
             wanted == TRUTH ? "here something true or false belongs, and this is a number"
                             : "here a number belongs, and this is true or false");
    }
}

/* The place of the tag in braces that is the present token. */
static bool take_tag(struct parse *p, uint32_t *place, struct expr_tag *tag)
{
    if (p->token != PATH) {
        fail(p, p->from, "write {site/area/tag}", "here a tag in braces belongs");
        return false;
    }
    if (!p->names->find(p->names->context, p->text + p->from, p->size, tag)) {
        fail(p, p->from, "name one that is a number or true or false",
             "there is no such tag as '%.*s'", (int)(p->size < 100 ? p->size : 100),
             p->text + p->from);
        return false;
    }
    for (*place = 0; *place < p->tag_count && p->tags[*place] != tag->id; ++*place) {
    }
    if (*place == EXPR_TAGS_MAX) {
        fail(p, p->from, "split it into several", "the condition has too many tags");
        return false;
    }
    p->tags[*place] = tag->id;
    p->tag_count += *place == p->tag_count;
    next(p);
    return true;
}

static enum expr_type parse_about_tag(struct parse *p, enum expr_op op)
{
    struct expr_tag tag;
    uint32_t place;
    expect(p, "(");
    if (take_tag(p, &place, &tag)) {
        put(p, op, place, 0);
    }
    expect(p, ")");
    return op == OP_AGE ? NUMBER : TRUTH;
}

static enum expr_type parse_two(struct parse *p, enum expr_op op)
{
    expect(p, "(");
    size_t at = p->from;
    want(p, at, parse_or(p, false), NUMBER);
    expect(p, ",");
    at = p->from;
    want(p, at, parse_or(p, false), NUMBER);
    expect(p, ")");
    put(p, op, 0, 0);
    return NUMBER;
}

static enum expr_type parse_if(struct parse *p)
{
    expect(p, "(");
    size_t at = p->from;
    want(p, at, parse_or(p, false), TRUTH);
    expect(p, ",");
    enum expr_type type = parse_or(p, false);
    expect(p, ",");
    at = p->from;
    want(p, at, parse_or(p, false), type);
    expect(p, ")");
    put(p, type == TRUTH ? OP_IF_TRUTH : OP_IF, 0, 0);
    return type;
}

static enum expr_type parse_name(struct parse *p)
{
    static const struct {
        const char *name;
        enum expr_op op;
    } about[] = {{"age", OP_AGE}, {"good", OP_GOOD}, {"bad", OP_BAD}, {"uncertain", OP_UNCERTAIN}},
      two[] = {{"min", OP_MIN}, {"max", OP_MAX}};
    for (size_t i = 0; i < sizeof about / sizeof *about; i++) {
        if (take(p, NAME, about[i].name)) {
            return parse_about_tag(p, about[i].op);
        }
    }
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        if (take(p, NAME, two[i].name)) {
            return parse_two(p, two[i].op);
        }
    }
    if (take(p, NAME, "if")) {
        return parse_if(p);
    }
    if (take(p, NAME, "abs")) {
        expect(p, "(");
        size_t at = p->from;
        want(p, at, parse_or(p, false), NUMBER);
        expect(p, ")");
        put(p, OP_ABS, 0, 0);
        return NUMBER;
    }
    bool yes = is(p, NAME, "true");
    if (yes || is(p, NAME, "false")) {
        put(p, OP_TRUTH, 0, yes);
        next(p);
        return TRUTH;
    }
    char proposal[96];
    snprintf(proposal, sizeof proposal, "a tag stands in braces: {%.*s}",
             (int)(p->size < 60 ? p->size : 60), p->text + p->from);
    fail(p, p->from, proposal, "'%.*s' is no function", (int)(p->size < 100 ? p->size : 100),
         p->text + p->from);
    return NUMBER;
}

static enum expr_type parse_atom(struct parse *p)
{
    struct expr_tag tag;
    uint32_t place;
    if (p->token == VALUE) {
        put(p, OP_NUMBER, 0, p->number);
        next(p);
        return NUMBER;
    }
    if (p->token == PATH) {
        if (!take_tag(p, &place, &tag)) {
            return NUMBER;
        }
        put(p, tag.boolean ? OP_STATE : OP_TAG, place, 0);
        return tag.boolean ? TRUTH : NUMBER;
    }
    if (p->token == NAME) {
        return parse_name(p);
    }
    if (take(p, SIGN, "(")) {
        enum expr_type type = parse_or(p, false);
        expect(p, ")");
        return type;
    }
    fail(p, p->from, "", p->token == END ? "here something is missing" : "here a value belongs");
    return NUMBER;
}

static enum expr_type parse_sign(struct parse *p)
{
    size_t at = p->from;
    if (++p->nesting > NESTING_MAX) {
        fail(p, at, "split it into several", "it is nested too deeply");
        return NUMBER;
    }
    enum expr_type type;
    if (take(p, SIGN, "-")) {
        type = parse_sign(p);
        want(p, at, type, NUMBER);
        put(p, OP_NEGATE, 0, 0);
    } else {
        type = parse_atom(p);
    }
    p->nesting--;
    return type;
}

/* Left to right: pairs of operators of one rank, over numbers. */
static enum expr_type parse_pairs(struct parse *p, const char *first, enum expr_op first_op,
                                  const char *second, enum expr_op second_op,
                                  enum expr_type (*inner)(struct parse *))
{
    size_t at = p->from;
    enum expr_type type = inner(p);
    for (;;) {
        enum expr_op op = is(p, SIGN, first) ? first_op : is(p, SIGN, second) ? second_op : OP_END;
        if (op == OP_END || p->failed) {
            return type;
        }
        want(p, at, type, NUMBER);
        next(p);
        size_t right = p->from;
        want(p, right, inner(p), NUMBER);
        put(p, op, 0, 0);
    }
}

static enum expr_type parse_product(struct parse *p)
{
    return parse_pairs(p, "*", OP_MULTIPLY, "/", OP_DIVIDE, parse_sign);
}

static enum expr_type parse_sum(struct parse *p)
{
    return parse_pairs(p, "+", OP_ADD, "-", OP_SUBTRACT, parse_product);
}

static enum expr_type parse_comparison(struct parse *p)
{
    static const struct {
        const char *sign;
        enum expr_op op;
    } signs[] = {{"<", OP_LESS},   {"<=", OP_LESS_EQUAL}, {">", OP_MORE},    {">=", OP_MORE_EQUAL},
                 {"==", OP_EQUAL}, {"=", OP_EQUAL},       {"!=", OP_UNEQUAL}};
    size_t at = p->from;
    enum expr_type left = parse_sum(p);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!is(p, SIGN, signs[i].sign)) {
            continue;
        }
        enum expr_op op = signs[i].op;
        next(p);
        size_t right_at = p->from;
        enum expr_type right = parse_sum(p);
        if (left == TRUTH && (op == OP_EQUAL || op == OP_UNEQUAL)) {
            want(p, right_at, right, TRUTH);
            put(p, op == OP_EQUAL ? OP_SAME : OP_DIFFER, 0, 0);
        } else {
            want(p, at, left, NUMBER);
            want(p, right_at, right, NUMBER);
            put(p, op, 0, 0);
        }
        return TRUTH;
    }
    return left;
}

static enum expr_type parse_not(struct parse *p)
{
    if (!is(p, NAME, "not")) {
        return parse_comparison(p);
    }
    if (++p->nesting > NESTING_MAX) {
        fail(p, p->from, "split it into several", "it is nested too deeply");
        return TRUTH;
    }
    next(p);
    size_t at = p->from;
    want(p, at, parse_not(p), TRUTH);
    put(p, OP_NOT, 0, 0);
    p->nesting--;
    return TRUTH;
}

/* What stands between the outermost `and`s is told apart, so that a refusal can name the part. */
static void put_part(struct parse *p, size_t from)
{
    size_t to = p->from - (p->token == PATH);
    while (to > from && strchr(" \t\r\n", p->text[to - 1])) {
        to--;
    }
    put(p, OP_PART, (uint32_t)(from << 16 | (to - from)), 0);
}

static enum expr_type parse_and(struct parse *p, bool top)
{
    size_t at = p->from - (p->token == PATH);
    enum expr_type type = parse_not(p);
    if (top && type == TRUTH) {
        put_part(p, at);
    }
    while (!p->failed && is(p, NAME, "and")) {
        want(p, at, type, TRUTH);
        next(p);
        size_t right = p->from - (p->token == PATH);
        want(p, right, parse_not(p), TRUTH);
        if (top) {
            put_part(p, right);
        }
        put(p, OP_AND, 0, 0);
    }
    return type;
}

static enum expr_type parse_or(struct parse *p, bool top)
{
    size_t at = p->from;
    if (++p->nesting > NESTING_MAX) {
        fail(p, at, "split it into several", "it is nested too deeply");
        return NUMBER;
    }
    enum expr_type type = parse_and(p, top);
    while (!p->failed && is(p, NAME, "or")) {
        want(p, at, type, TRUTH);
        next(p);
        size_t right = p->from;
        want(p, right, parse_and(p, false), TRUTH);
        put(p, OP_OR, 0, 0);
    }
    p->nesting--;
    return type;
}

/* With an `or` at the outside no part has to hold by itself: the marks go. */
static void drop_parts(struct parse *p, size_t size)
{
    bool alternative = p->step_count && p->steps[p->step_count - 1].op == OP_OR;
    size_t kept = 0;
    for (size_t i = 0; i < p->step_count; i++) {
        if (!alternative || p->steps[i].op != OP_PART) {
            p->steps[kept++] = p->steps[i];
        }
    }
    p->step_count = kept;
    if (alternative) {
        put(p, OP_PART, (uint32_t)size, 0);
    }
}

int expr_compile(const char *text, const struct expr_names *names, struct expr_code *code,
                 struct expr_error *error)
{
    struct parse *p = calloc(1, sizeof *p);
    *error = (struct expr_error){.column = 1};
    if (!p) {
        return ERR_NOMEM;
    }
    p->text = text;
    p->names = names;
    p->error = error;
    p->token = WRONG;
    if (strnlen(text, EXPR_TEXT_MAX + 1) > EXPR_TEXT_MAX) {
        fail(p, 0, "split it into several", "it is longer than %u bytes", EXPR_TEXT_MAX);
    }
    next(p);
    size_t at = p->from;
    enum expr_type type = parse_or(p, true);
    if (!p->failed && p->token != END) {
        fail(p, p->from, "join conditions with and, or", "here it should end");
    }
    want(p, at, type, TRUTH);
    drop_parts(p, strlen(text));
    int err = p->failed ? ERR_MALFORMED : ERR_OK;
    if (!err) {
        struct expr_head head = {EXPR_MAGIC, (uint16_t)p->tag_count, (uint16_t)p->step_count};
        size_t tags = (p->tag_count + 1) / 2 * 8, steps = p->step_count * sizeof *p->steps;
        uint8_t *out = (uint8_t *)code->words;
        memcpy(out, &head, sizeof head);
        memcpy(out + sizeof head, p->tags, tags);
        memcpy(out + sizeof head + tags, p->steps, steps);
        code->size = sizeof head + tags + steps;
    }
    free(p);
    struct expr x;
    if (!err && expr_open(&x, code->words, code->size)) {
        snprintf(error->text, sizeof error->text, "it needs too deep a stack");
        snprintf(error->proposal, sizeof error->proposal, "split it into several");
        err = ERR_MALFORMED;
    }
    return err;
}
