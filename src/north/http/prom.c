/* SPDX-License-Identifier: Apache-2.0 */
#include "north/http/prom.h"

#include "base/clock.h"

#include <math.h>
#include <stdarg.h>

#define TIME_MAX 4e9 /* s before and after 1970 */
/* The level of Prometheus' API that our answers are made after: Grafana decides by it what it may ask. */
#define API_VERSION "2.53.0"

/* ---- Arguments. ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* application/x-www-form-urlencoded, in place: %, + and & as what they mean. False: it is none, or holds a zero byte. */
static bool decode_form(char *text, size_t *size)
{
    char *to = text;
    for (size_t i = 0; i < *size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < *size ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < *size ? hex_value(text[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : (char)(high << 4 | low);
            i += 2;
        } else if (c == '&') {
            *to++ = 0;
            continue;
        }
        if (!c) {
            return false;
        }
        *to++ = c == '+' && text[i] == '+' ? ' ' : c;
    }
    *size = (size_t)(to - text);
    return true;
}

bool prom_open(struct request *r)
{
    struct prom *p = r->prom = calloc(1, sizeof *r->prom);
    size_t size = r->upload_size;
    if (p) {
        p->budget = PROM_MATCH_BUDGET;
        p->form = malloc(size + 1);
    }
    if (!p || !p->form) {
        prom_error(r, 503, "unavailable", "out of memory");
        return false;
    }
    if (size) {
        memcpy(p->form, r->upload, size);
    }
    if (!decode_form(p->form, &size)) {
        prom_error(r, 400, "bad_data", "the body is no application/x-www-form-urlencoded");
        return false;
    }
    p->form[size] = 0;
    p->form_size = size;
    return true;
}

void prom_close(struct request *r)
{
    struct prom *p = r->prom;
    r->prom = NULL;
    if (p) {
        query_free(p->query);
        federate_free(p->federate);
        for (uint32_t i = 0; i < p->match_count; i++) {
            promql_free(p->matches[i]);
        }
        free(p->form);
        free(p);
    }
}

const char *prom_argument(const struct request *r, const char *name, unsigned n)
{
    size_t size = strlen(name);
    for (int i = 0; i < r->argument_count; i++) {
        const char *at = r->arguments[i];
        if (!strncmp(at, name, size) && at[size] == '=' && !n--) {
            return at + size + 1;
        }
    }
    for (size_t i = 0; i < r->prom->form_size; i += strlen(r->prom->form + i) + 1) {
        const char *at = r->prom->form + i;
        if (!strncmp(at, name, size) && at[size] == '=' && !n--) {
            return at + size + 1;
        }
    }
    return NULL;
}

bool prom_time(struct request *r, const char *name, int64_t fallback, int64_t *ns)
{
    const char *text = prom_argument(r, name, 0);
    char *end;
    *ns = fallback;
    if (!text) {
        return true;
    }
    double s = strtod(text, &end);
    if (*text && !*end && fabs(s) < TIME_MAX) {
        *ns = (int64_t)llround(s * 1e3) * NS_PER_MS;
        return true;
    }
    if (!clock_parse(text, strlen(text), ns) && fabs((double)*ns) < TIME_MAX * 1e9) {
        return true;
    }
    prom_error(r, 400, "bad_data",
               "invalid parameter \"%s\": cannot parse \"%.100s\" to a valid timestamp", name,
               text);
    return false;
}

bool prom_duration(struct request *r, const char *name, int64_t fallback, int64_t *ns)
{
    const char *text = prom_argument(r, name, 0);
    *ns = fallback;
    if (text && promql_duration(text, strlen(text), ns)) {
        prom_error(
            r, 400, "bad_data",
            "invalid parameter \"%s\": cannot parse \"%.100s\" to a valid duration, longer than "
            "0 and at most 40 years",
            name, text);
        return false;
    }
    return true;
}

bool prom_limit(struct request *r, uint64_t *limit)
{
    const char *text = prom_argument(r, "limit", 0);
    char *end;
    *limit = UINT64_MAX;
    if (!text) {
        return true;
    }
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end) {
        prom_error(r, 400, "bad_data", "invalid parameter \"limit\": not a whole number");
        return false;
    }
    *limit = v ? v : UINT64_MAX;
    return true;
}

/* ---- Answers. ---- */

void prom_error(struct request *r, int status, const char *type, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_clear(&r->body);
    r->status = status;
    r->type = "application/json";
    json_open(&r->body, '{');
    json_pair_text(&r->body, "status", "error");
    json_pair_text(&r->body, "errorType", type);
    json_pair_text(&r->body, "error", text);
    json_close(&r->body, '}');
    request_done(r);
}

void prom_success(struct request *r)
{
    json_open(&r->body, '{');
    json_pair_text(&r->body, "status", "success");
    json_key(&r->body, "data");
}

void prom_done(struct request *r)
{
    json_close(&r->body, '}');
    request_grown(r);
    if (r->body.bad) {
        prom_error(r, 422, "execution", "the answer is too large: ask for less, or fewer at once");
    } else {
        request_done(r);
    }
}

/* ---- match[]. ---- */

bool prom_matches(struct request *r)
{
    struct prom *p = r->prom;
    const char *text;
    char why[768];
    while ((text = prom_argument(r, "match[]", p->match_count))) {
        if (p->match_count == PROM_MATCHES_MAX) {
            prom_error(r, 400, "bad_data", "more than %u match[]", PROM_MATCHES_MAX);
            return false;
        }
        if (promql_parse_selector(p->matches + p->match_count, text, strlen(text), why,
                                  sizeof why)) {
            prom_error(r, 400, "bad_data", "invalid parameter \"match[]\": %s", why);
            return false;
        }
        p->match_count++;
    }
    return true;
}

bool prom_means(struct request *r, const struct plan_tag *tag)
{
    struct prom *p = r->prom;
    bool shown = shows_tag(r, tag), means = shown && !p->match_count && tag_is_metric(tag);
    for (uint32_t i = 0; shown && i < p->match_count && !means; i++) {
        means = selector_matches(&p->matches[i]->selector, r->http->plan, tag, &p->budget);
    }
    return means;
}

bool prom_exhausted(struct request *r)
{
    if (!r->prom->budget) {
        prom_error(r, 422, "execution", "the regular expressions take too long; make them simpler");
        return true;
    }
    return false;
}

/* ---- At once. ---- */

void prom_buildinfo_begin(struct request *r)
{
    prom_success(r);
    json_open(&r->body, '{');
    json_pair_text(&r->body, "version", API_VERSION);
    json_pair_text(&r->body, "revision", "isthmus " ISTHMUS_VERSION);
    json_pair_text(&r->body, "branch", "");
    json_pair_text(&r->body, "buildUser", "");
    json_pair_text(&r->body, "buildDate", "");
    json_pair_text(&r->body, "goVersion", "");
    json_close(&r->body, '}');
    prom_done(r);
}

/* Rules: Grafana asks for them; there are none. */
void prom_none_begin(struct request *r)
{
    prom_success(r);
    json_open(&r->body, '{');
    json_key(&r->body, "groups");
    json_open(&r->body, '[');
    json_close(&r->body, ']');
    json_close(&r->body, '}');
    prom_done(r);
}
