/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the Prometheus-compatible API share (docs/prometheus.md). prom.c: arguments, errors, what is answered at
 * once; prom_names.c: labels, series, metadata; prom_query.c: query and query_range; prom_group.c: their aggregations;
 * prom_federate.c: the current values. */
#ifndef ISTHMUS_NORTH_HTTP_PROM_H
#define ISTHMUS_NORTH_HTTP_PROM_H

#include "north/http/http.h"
#include "north/http/prom_labels.h"
#include "north/http/promql.h"

#define PROM_MATCHES_MAX  16u                 /* match[] of one request */
#define PROM_MATCH_BUDGET UINT64_C(200000000) /* steps of all regular expressions of a request */

struct query;
struct federate;

struct prom {
    char *form; /* owned: a body's arguments, each name=value, terminated */
    size_t form_size;
    struct promql *matches[PROM_MATCHES_MAX]; /* owned */
    uint32_t match_count;
    uint64_t budget;           /* of PROM_MATCH_BUDGET */
    struct query *query;       /* owned */
    struct federate *federate; /* owned */
};

/* Takes the arguments in. False: no memory, or what was sent is no form; the answer is made. */
bool prom_open(struct request *r);
void prom_close(struct request *r); /* frees all; forgets what was asked */

/* Its n-th value in the address and the body together; NULL: not given. */
const char *prom_argument(const struct request *r, const char *name, unsigned n);
/* False: wrong, and the answer is made. Bounded, so that no sum of a few of them overflows. */
bool prom_time(struct request *r, const char *name, int64_t fallback, int64_t *ns);
bool prom_duration(struct request *r, const char *name, int64_t fallback, int64_t *ns);
bool prom_limit(struct request *r, uint64_t *limit); /* UINT64_MAX: none */

/* {"status":"error",…} as Prometheus says it. */
void prom_error(struct request *r, int status, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* {"status":"success","data": and at the end } */
void prom_success(struct request *r);
void prom_done(struct request *r);

/* The match[] arguments. False: one is wrong, and the answer is made. */
bool prom_matches(struct request *r);
/* Whether a tag is a metric, and one of match[] means it, if there are any. */
bool prom_means(struct request *r, const struct plan_tag *tag);
/* Whether the regular expressions took too long; then the answer is made. */
bool prom_exhausted(struct request *r);

void prom_query_begin(struct request *r);
void prom_query_range_begin(struct request *r);
void prom_labels_begin(struct request *r);
void prom_values_begin(struct request *r);
void prom_series_begin(struct request *r);
void prom_metadata_begin(struct request *r);
void prom_buildinfo_begin(struct request *r);
void prom_none_begin(struct request *r);
void prom_federate_begin(struct request *r);

void query_free(struct query *q);
void federate_free(struct federate *f);

#endif
