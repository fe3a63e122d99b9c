/* SPDX-License-Identifier: Apache-2.0 */
/* Slows down who guesses secrets: after some failures each further one doubles the wait, for the caller's address, for the
 * name, and for both together. A name alone waits half a minute at most, so that nobody can shut its owner out for long. Fixed
 * memory: the entry that was quiet longest makes room. One owner thread; the clock (monotonic) is handed in. */
#ifndef ISTHMUS_GUARD_SLOW_H
#define ISTHMUS_GUARD_SLOW_H

#include <stdbool.h>
#include <stdint.h>

#define SLOW_ENTRIES 1024u

struct slow {
    struct slow_entry {
        uint64_t key; /* 0: free */
        uint32_t failures, reserved;
        int64_t failed_ns, until_ns; /* of the last failure; no try before */
    } entries[SLOW_ENTRIES];
};

/* How long whoever asks for `name` from `address` (16 bytes; of IPv6 its first half counts) has to wait, in ns; 0: may try. */
int64_t slow_wait(const struct slow *s, const char *name, const uint8_t address[16],
                  int64_t mono_ns);
void slow_failed(struct slow *s, const char *name, const uint8_t address[16], int64_t mono_ns);
/* The name's owner came in from there: both together begin anew. */
void slow_passed(struct slow *s, const char *name, const uint8_t address[16]);

#endif
