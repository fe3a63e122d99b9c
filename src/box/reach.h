/* SPDX-License-Identifier: Apache-2.0 */
/* How far a service reaches, by the addresses of its configuration. Whoever connects to anything can carry what it hears on
 * from there, so even a broker on this machine counts as beyond it; listening on loopback does not. */
#ifndef ISTHMUS_BOX_REACH_H
#define ISTHMUS_BOX_REACH_H

#include "tag/plan.h"

/* Of "127.0.0.1:8480", "[::1]:8480". */
bool reach_is_loopback(const char *address);

/* Whether the box is a service that connects somewhere, or listens beyond loopback. */
bool reach_is_beyond(const struct plan *plan, const struct plan_box *box);

/* Whether it listens on loopback, too: it has something left when its way beyond this machine is closed. */
bool reach_is_local(const struct plan *plan, const struct plan_box *box);

#endif
