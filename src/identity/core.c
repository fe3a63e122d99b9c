/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/core.h"

void identity_expire(struct identity *d)
{
    struct session s;
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (session_at(d->sessions, i, &s) && session_is_over(&s, d->mono_ns)) {
            session_end(d->sessions, &s);
        }
    }
}
