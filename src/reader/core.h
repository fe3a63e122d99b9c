/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the reader, shared by its parts: core.c (one step of everything), link.c (ring of asks, ring of
 * answers, requests), feed.c (feeds and their cursors), audit.c (their accounts), cursor_store.c and feed_state.c (both
 * kept through the engine), state.c (answers from shared memory), query.c, history.c and causes.c (answers from the journal), flows.c (what went to whom), sql.c (children that run SQL), trail.c (the gateway's audit, as it grows), search.c (what is looked for in it). No clock and no poll in here: reader.c has
 * them, so tests turn time by hand. One thread. */
#ifndef ISTHMUS_READER_CORE_H
#define ISTHMUS_READER_CORE_H

#include "box/gateway.h"
#include "box/link.h"
#include "guard/audit_tail.h"
#include "guard/session.h"
#include "journal/forecast.h"
#include "reader/flow.h"
#include "reader/report.h"
#include "reader/trial.h"
#include "reader/walk.h"

#include <isthmus/driver.h>

#include "base/clock.h"
#include "box/child.h"
#include "guard/audit.h"
#include "reader/sql/sql.h"

#define REQUESTS_MAX   256u /* per box; more end with ERR_FULL */
#define SENT_MAX       512u /* answers of a feed sent and not confirmed */
#define QUERIES_MAX    3u   /* of SQL, at a time; more end with ERR_BUSY */
#define NARROW_MAX     8u   /* sets of zones that sessions of a box are limited to, at a time */
#define WALKS_PER_LINK 4u   /* queries of a box that walk through the journal at a time */
#define SLICE_SLOTS                                                                                \
    65536u /* a step looks at that many slots for a feed, and for all queries together */
#define FEED_RECORDS_MAX 16384u /* per answer */
#define PERSIST_NS       (100 * NS_PER_MS)
#define RETRY_NS         NS_PER_S /* a fetch or store without an answer is sent again */

/* What a box, or a feed, may see. Owned arrays. */
struct scope {
    uint64_t *tags;
    uint8_t *devices, *boxes;
    struct filter filter; /* over them */
    bool all;
};

/* What a box may see, less what lies outside of the zones that a session is limited to. */
struct narrow {
    uint32_t zones[SESSION_ZONES], zone_count;
    uint32_t users; /* requests under way */
    uint64_t used;  /* by the link's count; 0: free */
    struct scope scope;
};

struct sent { /* an answer of a feed: records in [from, to) */
    uint64_t from, to;
    uint32_t samples;
    bool confirmed;
    int64_t confirmed_ns;
    struct late_runs late;
};

/* What the journal took of a feed's scope, in samples, counted apart from what is sent: audit.c. Delivered, pending and
 * gaps must add up to `journaled`. */
struct account {
    uint64_t at;        /* counted up to here, which is durable */
    uint64_t journaled; /* since the account began */
    uint64_t lost;      /* in damaged or missing segments, not delivered before */
    uint64_t dropped;   /* removed at the journal's limit, not delivered before */
    uint64_t wrong;     /* by which count and journal disagreed without a reason: our own fault */
    uint64_t total; /* of the scope since the journal began, as the openings of segments say … */
    bool total_known; /* … once one was passed */
    bool missing; /* since then sequence numbers were missing that were not delivered before … */
    bool gone;    /* … or that were */
    int64_t since_ns; /* when the account began */
};

struct feed {
    uint32_t index;
    const char *name;
    bool live_first;
    uint32_t freshness_ms;
    struct report report;
    struct scope scope;
    bool known; /* the stored cursor has come */
    bool up;
    struct cursor cursor; /* delivered, confirmed and durable */
    uint64_t delivered;   /* samples since the account began; grows with the cursor */
    struct account account;
    uint64_t opening_sum; /* of the opening that is being passed */
    uint64_t stored_at;   /* account.at as stored last */
    uint32_t scope_sum;   /* names the scope: another one has another account */
    struct walk live, backlog;
    uint64_t up_head; /* where the journal ended when the feed went up: live begins there */
    uint64_t live_at, backlog_at;
    bool live_turn;
    struct sent sent[SENT_MAX]; /* in the order sent */
    uint32_t sent_count;
    bool unmerged;      /* something confirmed waits for the durable mark */
    uint64_t at_oldest; /* nothing pending for it before */
    /* storing */
    bool dirty;
    uint64_t kept, storing; /* the cursor's first hole: as it is stored, as it is being stored */
    uint32_t store_request; /* under way; 0: none */
    int64_t asked_ns;       /* monotonic */
};

struct past; /* history.c: a query on the history of a tag */

struct request {
    struct ask ask;
    int64_t asked_ns; /* monotonic */
    bool begun, collected, done;
    uint64_t begin, limit; /* of the journal, as far as it matters */
    uint64_t at;           /* how far: index, column, or record, as the kind needs it */
    uint32_t records;
    struct walk *walk;         /* from the pool; NULL: none */
    struct past *past;         /* owned */
    struct shelf *shelf;       /* held; NULL: none */
    const struct scope *scope; /* what the asker may see: the link's … */
    struct narrow *narrow;     /* … or this one's, of the link; NULL: the link's */
    struct slot *notes;        /* owned: a ring of the newest gap and event records */
    uint64_t note_count;
    struct causes *causes; /* owned; of a stretch of time */
    bool cancelled;
    struct ask_sql sql;
    struct ask_search search;
    char *text; /* owned: of the query, sql.text_size bytes */
    size_t text_size;
    uint64_t take;       /* bytes that may still be answered */
    struct query *query; /* from the pool; NULL: not begun */
};

/* causes.c: gaps by what they concern and why; an open hash table. */
#define CAUSES_SLOTS 32768u
#define CAUSES_MAX   24576u /* what finds no room is added to "all", by cause */
struct causes {
    struct answer_cause rows[CAUSES_SLOTS]; /* cause 0: free */
    uint32_t count;
};

struct query { /* a child that runs SQL */
    struct child child;
    bool used, dying; /* dying: nobody waits for it, but it must be reaped */
    int wake;         /* what to wait for before something can be done; -1: nothing */
    int error;        /* why it was killed; 0: it was not */
    int64_t begun_ns, seen_ns, worked_ns; /* worked: while its asker was ready to take */
    bool ready;
};

struct link { /* a north box */
    uint32_t box;
    struct reader_core *core; /* borrowed */
    struct flow *flows;       /* by zone, of core->flows; NULL: there was no room */
    const struct seat *seat;
    struct scope scope;
    struct narrow narrow[NARROW_MAX];
    uint64_t narrow_count; /* times that one was asked for */
    uint64_t epoch;
    bool signed_in; /* answers go to sessions only */
    bool audit;     /* the configuration gives it the gateway's audit */
    bool broken;    /* wrote garbage: ignored until it is restarted */
    struct ring_consumer asks;
    struct ring_producer answers;
    struct request requests[REQUESTS_MAX]; /* in the order asked */
    uint32_t request_count;
    uint32_t turn; /* which query has the budget first */
};

struct pooled_walk {
    struct walk walk;
    bool used;
    uint64_t last_used; /* by the pool's count */
    int64_t used_ns;    /* monotonic */
};

#define SEARCH_BLOCK 64u
struct search {               /* search.c: the audit of guard/audit.h */
    struct audit_files files; /* as listed when a search began */
    int file;                 /* open; -1: none. Its first entry, how many it holds: */
    uint64_t first, entries;
    uint64_t block; /* the first entry of what was read last */
    uint32_t block_count;
    struct audit_entry entry[SEARCH_BLOCK];
    bool proving;
    struct child child;
    int64_t begun_ns; /* monotonic: of the last proof; 0: never */
    struct answer_proof proof;
};

struct kept { /* kept.c: figures that are stored: of a feed, or of a device */
    char key[STORE_KEY_MAX];
    struct feed *feed;           /* NULL: of the device */
    bool days;                   /* of the feed: by the day, else by the hour */
    struct trial_device *device; /* NULL: neither … */
    struct flow *flow;           /* … but of this */
    bool known;                  /* what was stored has come */
    uint32_t request;            /* under way; 0: none */
    int64_t asked_ns;            /* monotonic */
};

struct reader_core {
    struct gateway *g; /* borrowed */
    const struct plan *plan;
    struct history history; /* the journal's folder */
    struct journal_position journal;
    uint64_t written_seen; /* the journal's mark as it was when we last looked */
    struct link *links;
    uint32_t link_count;
    struct feed *feeds;
    uint32_t feed_count; /* as in the plan; those of no north box have no scope */
    struct ring_producer up;
    struct ring_consumer down;
    uint64_t engine_epoch;
    uint32_t store_count;
    struct kept *kept; /* owned */
    uint32_t kept_count;
    struct trial_device *devices; /* owned: the first of the plan's */
    uint32_t device_count;
    struct flow *flows; /* owned: those of each link in turn */
    uint16_t *zone_of;  /* owned: by tag id */
    uint32_t flow_count, zone_end;
    int64_t noted_ns;          /* monotonic: when their figures were looked at last */
    struct pooled_walk *walks; /* for queries; feeds have their own */
    uint32_t walk_count;
    uint64_t walk_clock;
    sql_run *sql; /* NULL: the module is not there */
    struct query queries[QUERIES_MAX];
    int64_t scopes_until_ns; /* UTC: then a conduit closes, and scopes are made anew */
    size_t budget;           /* of this step, for queries */
    uint32_t turn;           /* which box has it first */
    bool more;               /* there is work left for a next step */
    const char *broken; /* a box that has just written garbage; the caller says so and clears it */
    bool crowded;       /* an answer waits for room in its ring */
    struct search search;
    struct forecast_window forecast;
    struct causes
        *causes; /* owned; of all that the journal has up to causes_at. NULL: nobody asked yet */
    uint64_t causes_at;
    struct counting {
        struct follow *follow; /* owned; NULL: not opened */
        uint64_t sequence;     /* where it stands */
        struct follow_frame frame;
        bool has_frame;   /* not durable yet */
        bool spoiled;     /* the opening that is being passed */
        uint64_t reached; /* durable mark up to which all accounts are complete */
    } counting;
    struct audit_tail *trail; /* borrowed: the gateway's audit; NULL: not there */
    int64_t utc_ns, mono_ns;  /* of this step */
};

MUST_USE int core_new(struct reader_core **core, struct gateway *g, const struct disk *disk,
                      int dir_fd);
void core_free(struct reader_core *core);
/* One step: takes asks, answers what can be answered, within bounds. Returns for how many ms to sleep at most; 0: not
 * at all. */
int core_step(struct reader_core *core, int64_t utc_ns, int64_t mono_ns);
/* Announces sleep on all rings. False: something has come, do not sleep. */
MUST_USE bool core_nap(struct reader_core *core);
void core_awake(struct reader_core *core);
/* What to wait for beside the rings: at most QUERIES_MAX descriptors that become readable. How many. */
size_t core_descriptors(const struct reader_core *core, int out[QUERIES_MAX]);
/* The last words before the process ends: cursors. */
void core_finish(struct reader_core *core);

/* scope.c: as far as conduits let it, at that time; feeds need conduits without an end */
MUST_USE int scope_of_feed(struct scope *s, const struct plan *plan, uint32_t feed);
MUST_USE int scope_of_box(struct scope *s, const struct plan *plan, uint32_t box, int64_t utc_ns);
void scope_fini(struct scope *s);
/* What an asker may see; NULL: the places are all in use. Give it back with scope_release. */
const struct scope *scope_for(struct link *link, const struct plan *plan,
                              const struct session *session, struct narrow **narrow);
void scope_release(struct narrow *narrow);
/* Makes those of all links anew when a conduit has closed. What can't be made shows nothing. */
void scopes_turn(struct reader_core *core);

/* link.c */
MUST_USE int link_init(struct link *link, struct reader_core *core, uint32_t box);
void link_fini(struct link *link, struct reader_core *core);
void link_attach(struct link *link, struct reader_core *core);
void link_take(struct link *link, struct reader_core *core);
void link_sweep(struct link *link,
                struct reader_core *core); /* removes the requests that are done */
/* Slots that an answer may use now and still leave room for its end; 0: wait. */
size_t link_room(struct link *link, struct reader_core *core);
/* Puts a run, whole: slots + the head must fit (link_room). */
void link_run(struct link *link, const struct request *r, const struct walk_run *run,
              uint32_t flags);
/* False: no room now. */
MUST_USE bool link_row(struct link *link, struct reader_core *core, const struct request *r,
                       const void *row, size_t size);
/* Ends the request: always has room after link_room or link_row said so; false: no room now. */
struct request *link_find(struct link *link, uint32_t request); /* NULL: none */
bool link_end(struct link *link, struct reader_core *core, struct request *r, int error,
              struct cursor_range covers, bool more);
void request_release(struct reader_core *core, struct request *r);
void past_free(struct past *past);

/* core.c: the pool of walks */
struct walk *walk_borrow(struct reader_core *core, uint64_t sequence); /* NULL: all are in use */
void walk_return(struct reader_core *core, struct walk *walk);

/* feed.c */
MUST_USE int feed_init(struct feed *feed, const struct plan *plan, uint32_t index);
void feed_fini(struct feed *feed);
void feed_down(struct feed *feed);
void feed_rewind(struct feed *feed, uint64_t written); /* the journal ends earlier than it did */
void feed_confirm(struct feed *feed, struct cursor_range range, int64_t now_ns);
/* What was confirmed and is durable now enters the cursor. */
void feed_merge(struct feed *feed, uint64_t durable);
uint64_t feed_gaps(const struct feed *feed);
uint64_t feed_pending(const struct feed *feed);
/* Whether everything adds up. */
bool feed_balances(const struct feed *feed);

/* audit.c: goes on counting what has become durable, bounded */
void audit_step(struct reader_core *core);
void audit_rewind(struct reader_core *core); /* the journal has a new epoch */

/* feed_state.c: what of a feed outlives the reader: cursor, delivered, account. */
#define FEED_STATE_MAX (11u * 8u + CURSOR_BYTES_MAX)
size_t feed_state_encode(const struct feed *feed, uint8_t out[FEED_STATE_MAX]);
/* Takes it over; of another scope or an earlier version the cursor alone, as far as it is whole, with a new account. Size 0:
 * a new feed, that begins with the oldest that the journal has. ERR_MALFORMED: as a new one. */
MUST_USE int feed_state_decode(struct feed *feed, const void *data, size_t size, int64_t now_ns);

/* kept.c */
MUST_USE int kept_init(struct reader_core *core);
void kept_step(struct reader_core *core, bool last);
/* An answer to one of its requests; false: to somebody else's. */
bool kept_take(struct reader_core *core, uint32_t request, const struct record_store *head,
               const uint8_t *value, size_t size);
void stored_key(char key[STORE_KEY_MAX], const char *prefix, const char *name);

/* cursor_store.c */
void cursors_take(struct reader_core *core);
void cursors_step(struct reader_core *core);
bool cursors_wait(const struct reader_core *core); /* something must be done soon */

/* state.c, query.c, history.c: each goes on with the request as far as room and budget allow */
typedef void answer_ask(struct reader_core *core, struct link *link, struct request *r);
answer_ask answer_now, answer_ledger, answer_feeds, answer_devices, answer_processes,
    answer_journal, answer_head;
answer_ask answer_reports, answer_trial;
void trial_step(struct reader_core *core); /* state.c: looks at the devices' panels */

/* search.c: searches in the audit, and its proof */
bool search_take_ask(struct request *r, const uint8_t *payload, size_t size);
answer_ask answer_search, answer_proof;
void search_step(struct reader_core *core);
void search_fini(struct reader_core *core);

/* flows.c: the account of what flowed between services and zones */
MUST_USE int flows_init(struct reader_core *core);
void flows_fini(struct reader_core *core);
void flows_attach(struct reader_core *core, struct link *link);
void flows_step(struct reader_core *core); /* looks at the engine's counts, once a second */
void flows_samples(struct link *link, const struct slot *slots, size_t count);
void flows_values(struct link *link, uint32_t tag, uint64_t count);
void flows_refused(struct link *link, uint32_t tag);
void flows_query(struct link *link, const struct filter *scope);
answer_ask answer_flows;
answer_ask answer_read, answer_gaps, answer_history, answer_causes;
/* Every query on the journal: begin (false: wait, or it has ended), and end with what its walk covers. */
bool query_begin(struct reader_core *core, struct link *link, struct request *r, bool by_time);
void query_end(struct reader_core *core, struct link *link, struct request *r, int error,
               bool more);
/* commands.c, sql.c, trail.c */
answer_ask answer_commands, answer_sql, answer_audit;
/* The ask's payload behind the struct ask; false: no sound box says this. */
bool sql_take_ask(struct request *r, const uint8_t *payload, size_t size);
bool sql_take_text(struct request *r, const uint8_t *text, size_t size);
void sql_release(struct request *r); /* kills its child */
void sql_reap(struct reader_core *core);
void sql_fini(struct reader_core *core);
answer_ask feed_ask; /* feed.c: FEED_UP, FEED_DOWN, FEED_NEXT */

#endif
