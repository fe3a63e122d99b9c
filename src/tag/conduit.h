/* SPDX-License-Identifier: Apache-2.0 */
/* Zones and conduits (IEC 62443-1-1): who lies in a zone may touch what lies in the same one; from one zone into another
 * leads only a conduit that names both, the act, and (if it has globs) the tag. All else is denied. */
#ifndef ISTHMUS_TAG_CONDUIT_H
#define ISTHMUS_TAG_CONDUIT_H

#include "tag/plan.h"

/* Whether callers in `zone` (PLAN_NONE: the gateway's own socket, which lies in no network and so in every zone) may do this with the
 * tag at that time. `by`, which may be NULL, gets the conduit that lets it; NULL: none is needed, or none does. */
bool conduit_lets(const struct plan *plan, uint32_t zone, const struct plan_tag *tag,
                  enum conduit_act act, int64_t utc_ns, const struct plan_conduit **by);

/* Whether anything at all in the zone `to` can be reached from `zone` in this way: for what is no tag. */
bool conduit_reaches(const struct plan *plan, uint32_t zone, uint32_t to, enum conduit_act act,
                     int64_t utc_ns);

/* When the next conduit that is open now will be closed; INT64_MAX: none will. */
int64_t conduit_next_end(const struct plan *plan, int64_t utc_ns);

#endif
