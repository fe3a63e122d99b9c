/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: follows the journal for every feed, answers every ask of a north box (box/link.h), and passes on only
 * what the contract allows. Holds no socket, parses no byte from a network. */
#ifndef ISTHMUS_READER_READER_H
#define ISTHMUS_READER_READER_H

#include "box/gateway.h"

int reader_main(struct gateway *g); /* the process's body; returns its exit status */

#endif
