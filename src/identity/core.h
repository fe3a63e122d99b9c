/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the identity's process share. One thread. The clocks are handed in. */
#ifndef ISTHMUS_IDENTITY_CORE_H
#define ISTHMUS_IDENTITY_CORE_H

#include "box/gateway.h"

struct identity {
    const struct plan *plan;
    struct session_table *sessions;
    int64_t utc_ns, mono_ns; /* of this step */
};

/* Ends what has come to its end. */
void identity_expire(struct identity *d);

#endif
