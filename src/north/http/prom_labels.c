/* SPDX-License-Identifier: Apache-2.0 */
#include "north/http/prom_labels.h"

#include "base/utf8.h"
#include "north/http/pattern.h"

#include <string.h>

#define PREFIX "plant_"

bool tag_is_metric(const struct plan_tag *tag)
{
    return !value_is_long((enum value_type)tag->type);
}

/* Where a path's property begins: behind the asset, else its last level. */
static const char *property_of(const struct plan_tag *tag, const char *path)
{
    const char *at = path;
    for (uint32_t i = 0; i < tag->asset_levels && at; i++) {
        at = strchr(at, '/');
        at = at ? at + 1 : NULL;
    }
    if (tag->asset_levels && at) {
        return at;
    }
    at = strrchr(path, '/');
    return at ? at + 1 : path;
}

static size_t copy(char out[LABEL_TEXT_MAX], const char *text, size_t size)
{
    size = size < LABEL_TEXT_MAX ? size : LABEL_TEXT_MAX;
    memcpy(out, text, size);
    return size;
}

/* What no metric's name may hold becomes an underscore, a character of several bytes as well. */
static size_t name_of(const char *property, char out[LABEL_TEXT_MAX])
{
    size_t n = sizeof PREFIX - 1, left = strlen(property);
    memcpy(out, PREFIX, n);
    for (const char *p = property; left && n < LABEL_TEXT_MAX;) {
        size_t length = utf8_length((const uint8_t *)p, left);
        bool fits =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        out[n++] = fits ? *p : '_';
        length = length ? length : 1;
        p += length;
        left -= length;
    }
    return n;
}

size_t label_text(const struct plan *plan, const struct plan_tag *tag, enum prom_label label,
                  char out[LABEL_TEXT_MAX])
{
    const char *path = plan_text(plan, tag->path), *text = "";
    switch (label) {
    case LABEL_NAME:
        return name_of(property_of(tag, path), out);
    case LABEL_ASSET: {
        const char *property = property_of(tag, path);
        return property > path ? copy(out, path, (size_t)(property - path) - 1) : 0;
    }
    case LABEL_ASSET_TYPE:
        text = plan_text(plan, tag->asset_type);
        break;
    case LABEL_DEVICE:
        text = tag->device < plan->header->devices.count
                   ? plan_text(plan, plan->devices[tag->device].name)
                   : "";
        break;
    case LABEL_TAG:
        text = path;
        break;
    case LABEL_UNIT:
        text = plan_text(plan, tag->unit);
        break;
    default:
        break;
    }
    return copy(out, text, strlen(text));
}

int label_compare(const struct plan *plan, const struct plan_tag *a, const struct plan_tag *b,
                  enum prom_label label)
{
    char x[LABEL_TEXT_MAX], y[LABEL_TEXT_MAX];
    size_t n = label_text(plan, a, label, x), m = label_text(plan, b, label, y);
    int order = memcmp(x, y, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

uint64_t labels_hash(const struct plan *plan, struct labels l)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (enum prom_label label = 0; label < LABELS; label++) {
        char text[LABEL_TEXT_MAX];
        size_t n = l.kept >> label & 1 ? label_text(plan, l.tag, label, text) : 0;
        for (size_t i = 0; i < n; i++) {
            hash = (hash ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
        }
        hash = (hash ^ 0xff) * UINT64_C(1099511628211);
    }
    return hash;
}

bool labels_equal(const struct plan *plan, struct labels a, struct labels b)
{
    for (enum prom_label label = 0; label < LABELS; label++) {
        char x[LABEL_TEXT_MAX], y[LABEL_TEXT_MAX];
        size_t n = a.kept >> label & 1 ? label_text(plan, a.tag, label, x) : 0;
        size_t m = b.kept >> label & 1 ? label_text(plan, b.tag, label, y) : 0;
        if (n != m || memcmp(x, y, n) != 0) {
            return false;
        }
    }
    return true;
}

void labels_render(struct json *j, const struct plan *plan, struct labels l)
{
    json_open(j, '{');
    for (enum prom_label label = 0; l.tag && label < LABELS; label++) {
        char text[LABEL_TEXT_MAX];
        size_t n = l.kept >> label & 1 ? label_text(plan, l.tag, label, text) : 0;
        if (n) {
            json_key(j, prom_label_names[label]);
            json_text_n(j, text, n);
        }
    }
    json_close(j, '}');
}

bool selector_matches(const struct selector *s, const struct plan *plan, const struct plan_tag *tag,
                      uint64_t *budget)
{
    bool all = tag_is_metric(tag);
    for (uint32_t i = 0; all && i < s->matcher_count; i++) {
        const struct matcher *m = s->matchers + i;
        char text[LABEL_TEXT_MAX];
        size_t n = m->label < LABELS ? label_text(plan, tag, m->label, text) : 0;
        bool is = m->pattern ? pattern_matches(m->pattern, text, n, budget)
                             : n == strlen(m->value) && !memcmp(text, m->value, n);
        all = is != m->negated;
    }
    return all;
}
