/* SPDX-License-Identifier: Apache-2.0 */
/* What a tag is to Prometheus: a metric named after its property with labels (docs/prometheus.md). A set of labels is a tag
 * and which of its labels are kept, so nothing is copied. */
#ifndef ISTHMUS_NORTH_HTTP_PROM_LABELS_H
#define ISTHMUS_NORTH_HTTP_PROM_LABELS_H

#include "base/json.h"
#include "north/http/promql.h"
#include "tag/plan.h"

#define LABEL_TEXT_MAX 512u

struct labels {
    const struct plan_tag *tag; /* NULL: none at all */
    uint32_t kept;              /* a bit per enum prom_label */
};
#define LABELS_ALL ((1u << LABELS) - 1)

/* A label's text: its size, cut at LABEL_TEXT_MAX; 0: the tag has no such label. */
size_t label_text(const struct plan *plan, const struct plan_tag *tag, enum prom_label label,
                  char out[LABEL_TEXT_MAX]);
/* Order of the texts of one label. */
int label_compare(const struct plan *plan, const struct plan_tag *a, const struct plan_tag *b,
                  enum prom_label label);
uint64_t labels_hash(const struct plan *plan, struct labels l);
bool labels_equal(const struct plan *plan, struct labels a, struct labels b);
void labels_render(struct json *j, const struct plan *plan,
                   struct labels l); /* {"name":"text",…} */

/* Texts and bytes are no metrics. */
bool tag_is_metric(const struct plan_tag *tag);
/* Whether the tag is a metric that the selector means; *budget as in pattern_matches. */
bool selector_matches(const struct selector *s, const struct plan *plan, const struct plan_tag *tag,
                      uint64_t *budget);

#endif
