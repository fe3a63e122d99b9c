/* SPDX-License-Identifier: Apache-2.0 */
/* Identities: a process of the middle that owns the accounts' file and the table of sessions. It holds no socket; north boxes
 * ask it through the engine. When it is killed, sessions live on in its panel, and its successor checks them. */
#ifndef ISTHMUS_IDENTITY_IDENTITY_H
#define ISTHMUS_IDENTITY_IDENTITY_H

#include "box/gateway.h"

int identity_main(struct gateway *g); /* the process's body; returns its exit status */

#endif
