/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer: a process of the middle that turns what the engine's journal has closed into history. It holds no socket, talks
 * to nobody but the engine (what it had to take away, as gaps and events), and is never waited for. */
#ifndef ISTHMUS_SEALER_SEALER_H
#define ISTHMUS_SEALER_SEALER_H

#include "box/gateway.h"

int sealer_main(struct gateway *g); /* the process's body; returns its exit status */

#endif
