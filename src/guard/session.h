/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: who is signed in through which box, until when. The table lies in the panel of the process `identity`, which
 * alone writes it; engine and reader map it read-only and look a session up themselves, each time, so a box has nothing
 * but the sessions that are alive and its own.
 *
 * A box names a session by its id, 16 random bytes. The table holds only the id's SHA-256: whoever reads the table can use
 * none of it. An entry lies in one of the SESSION_WAYS places that its hash names, under a sequence lock: odd while it is
 * written. Ends are on the clock that nobody can set (clock_mono_ns). */
#ifndef ISTHMUS_GUARD_SESSION_H
#define ISTHMUS_GUARD_SESSION_H

#include <stdatomic.h>

#include "base/err.h"
#include "guard/role.h"

#define SESSION_ID_SIZE 16u
#define SESSIONS_MAX    1024u
#define SESSION_WAYS    8u
#define SESSION_ZONES   8u  /* that an account or token can be limited to */
#define NAME_SIZE       64u /* of an account or a token, NUL-padded, with at least one NUL */

#define ZONES_SIZE 256u /* of a list of zones' names: "a,b"; likewise */
#define NET_TEXT   64u  /* of a network: "10.0.0.0/8"; likewise */

enum session_kind {
    SESSION_PERSON = 1,
    SESSION_TOKEN,
    SESSION_LOCAL,
    SESSION_VOUCHED, /* a person whom a provider vouches for */
};

struct session {
    uint8_t key[32];      /* SHA-256 of the id */
    char name[NAME_SIZE]; /* of the account, of the token, "local:UID", or "PROVIDER/NAME" */
    uint32_t kind;        /* enum session_kind */
    uint32_t role;        /* enum role */
    uint32_t box;         /* index in the plan: of the north box that it belongs to */
    uint32_t zone_limit;  /* 1: only the zones below; 0: every zone */
    uint32_t zones[SESSION_ZONES]; /* indexes in the plan */
    uint32_t zone_count, reserved;
    uint64_t revision; /* of the account or token when the session began */
    int64_t issued_utc_ns;
    int64_t idle_ns; /* without use it ends so long after used_mono_ns; 0: it need not be used */
    int64_t used_mono_ns;
    int64_t end_mono_ns; /* it ends then at the latest */
};

#define SESSION_WORDS (sizeof(struct session) / 8)
_Static_assert(sizeof(struct session) % 8 == 0, "a session is whole words");

struct session_entry {
    _Alignas(64) _Atomic uint32_t version; /* odd: being written */
    _Atomic uint32_t used;                 /* 0: no session lies here */
    _Atomic uint64_t words[SESSION_WORDS]; /* struct session */
};

struct session_table {
    struct session_entry entries[SESSIONS_MAX];
};

/* Whether it may touch things in that zone of the plan. */
static inline bool session_in_zone(const struct session *s, uint32_t zone)
{
    bool found = !s->zone_limit;
    for (uint32_t i = 0; i < s->zone_count && i < SESSION_ZONES; i++) {
        found |= s->zones[i] == zone;
    }
    return found;
}

/* Whether the session has come to its end by itself. */
static inline bool session_is_over(const struct session *s, int64_t mono_ns)
{
    return mono_ns >= s->end_mono_ns || (s->idle_ns && mono_ns - s->used_mono_ns >= s->idle_ns);
}

/* The session of that id that belongs to `box` and is alive, copied to `out`; false: there is none. Any process that maps
 * the table; allocates nothing, bounded. */
MUST_USE bool session_find(const struct session_table *t, const uint8_t id[SESSION_ID_SIZE],
                           uint32_t box, int64_t mono_ns, struct session *out);

/* ---- The writer's ---- */

/* Puts a session under a new random id (told in `id`), with its key filled in. ERR_FULL, ERR_IO: no random numbers. */
MUST_USE int session_add(struct session_table *t, struct session *s, uint8_t id[SESSION_ID_SIZE]);
/* It was used just now. */
void session_touch(struct session_table *t, const struct session *s, int64_t mono_ns);
void session_end(struct session_table *t, const struct session *s);
/* The session at place i (below SESSIONS_MAX), copied; false: none. */
MUST_USE bool session_at(const struct session_table *t, uint32_t i, struct session *out);
/* What a predecessor was killed over while it wrote it becomes free. Before anything else. */
void session_recover(struct session_table *t);

#endif
