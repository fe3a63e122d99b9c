/* SPDX-License-Identifier: Apache-2.0 */
/* What a north box and the reader say to each other: RECORD_ASK on the ask ring, RECORD_ANSWER on the answer ring.
 * The box asks with a request number of its choice; the reader answers with it, in order per request, and never more
 * than was asked for, so nobody needs a queue. The reader alone decides what the box may know: the tags of its feeds,
 * or all when the service's option `scope` is "all". When its option `access` is "signed_in" it answers only asks in the name of
 * a session of that box that is alive: ERR_PERMISSION. */
#ifndef ISTHMUS_BOX_LINK_H
#define ISTHMUS_BOX_LINK_H

#include "base/slot.h"
#include "journal/cursor.h"
#include "tag/aggregate.h"
#include "tag/record.h"

enum ask_kind {
    ASK_NOW = 1, /* current values of tags [tag_from, tag_to] (ids), at most max_records */
    ASK_READ, /* journal records with sequence >= from_sequence (of tag, or of all with tag 0), at most max_records.
                      Nothing there: an empty answer at once; the end's `covers.to` is where to go on. NOT repeated */
    ASK_HISTORY, /* samples of `tag` with source time in [from_ns, to_ns]; max_records > 0: reduced to about that many
                      (first, min, max, last per column), bad status kept */
    ASK_GAPS, /* gap and event records journaled in [from_ns, to_ns], newest max_records; `tag` > 0: only the gaps that
                      concern it */
    ASK_STEPS, /* struct answer_step for each step of step_ns of `tag` in [from_ns, to_ns): history/sampled.h */
    ASK_LEDGER,  /* per tag: struct answer_ledger; tag 0: all in scope, ids in [tag_from, tag_to] */
    ASK_FEEDS,   /* struct answer_feed per feed in scope */
    ASK_DEVICES, /* struct answer_device per device in scope */
    ASK_PROCESSES, /* struct answer_process per process */
    ASK_JOURNAL,   /* one struct answer_journal */
    ASK_HEAD, /* answered (empty) as soon as anything with sequence >= from_sequence is written, or after max_ms */
    /* feeds: only the box that owns the feed */
    ASK_FEED_UP, /* the sink is connected: what was sent and not confirmed becomes backlog; live begins now */
    ASK_FEED_DOWN, /* the sink is gone */
    ASK_FEED_NEXT, /* up to max_records of the feed: backlog and live lanes in turn. Nothing: answered when there is */
    ASK_FEED_CONFIRM, /* `confirm` was received by the sink; no answer */
    ASK_CAUSES, /* struct answer_cause per tag, device or box and cause: of gaps that touch [from_ns, to_ns], both 0: of all
                      that the journal has */
    ASK_COMMANDS, /* struct board_row per command on the board whose tag is in scope, or of `tag` */
    /* a query: bytes in rows (ANSWER_ROW) as far as the asker takes them, then the end; for at most max_ms of work, at most
     * max_records rows. A struct ask_sql follows, and behind it the text, or its beginning */
    ASK_SQL,
    /* no answers of their own; `request` says to what they belong: */
    ASK_TEXT,   /* what follows is more of its text */
    ASK_TAKE,   /* it may answer max_records more bytes */
    ASK_CANCEL, /* nobody waits for it any more: it ends at once */
    ASK_REPORTS, /* two struct answer_report per feed in scope: of the last day, and of the last week */
    ASK_TRIAL, /* struct answer_trial per device in scope and day */
    /* Both only in the name of a session that may read the audit: */
    ASK_SEARCH, /* a struct ask_search follows: struct audit_entry (guard/audit.h) per entry with a number below from_sequence (0: all)
                      in [from_ns, to_ns) (0: open), newest first; covers.from: where to go on if there is more */
    ASK_PROOF,  /* one struct answer_proof */
    ASK_FLOWS,  /* struct answer_flow per service and zone between which something flowed */
    /* struct audit_entry (guard/audit.h): entries of the audit that are on disk, with number >= from_sequence, at most max_records.
     * The end's `covers` says which numbers it looked at; those without an entry were archived or are damaged. None there:
     * answered when there is one, or after max_ms; `covers.to` below from_sequence: it is another audit that ends there. Only services to which the
     * configuration gives the audit, and sessions whose role may read it */
    ASK_AUDIT,
};

#define SQL_TEXT_MAX 16384u /* bytes */
#define SQL_MS_MAX   300000u
#define SQL_ROWS_MAX 10000000u

enum sql_format { SQL_JSON = 1, SQL_CSV };

struct ask_sql {
    uint32_t format;    /* enum sql_format */
    uint32_t text_size; /* of the whole text, at most SQL_TEXT_MAX */
    uint32_t take;      /* bytes that it may answer for now */
    uint32_t cut;       /* 1: more than max_records rows are cut off; 0: they are an error */
};

/* The first byte that a query answers says what follows: the result in its format, or why there is none, as JSON: "error",
 * and "offset" where in the text, if that is known. An end without an error means that it is whole. */
#define SQL_RESULT '+'
#define SQL_ERROR  '-'

struct ask {
    uint32_t kind, request;
    uint32_t feed; /* index in the plan */
    uint32_t tag;  /* id; 0: all in scope */
    uint32_t tag_from, tag_to;
    uint32_t max_records;
    uint32_t max_ms;
    uint64_t from_sequence;
    int64_t from_ns, to_ns;
    int64_t step_ns;
    double parameter;             /* of the aggregate: percent, or a state */
    uint32_t aggregate, reserved; /* enum aggregate */
    struct cursor_range confirm;
    uint8_t session[16]; /* of whoever asks (guard/session.h); zeros: nobody's */
};

enum answer_kind {
    ANSWER_RUN =
        1, /* `count` records follow in the ring, sequences first_sequence, +1, +2 … of journal epoch `epoch` */
    ANSWER_END, /* the request is complete: error, covers */
    ANSWER_ROW, /* a struct answer_* lies behind this struct in the payload */
};

enum answer_flag {
    ANSWER_BACKLOG = 1 /* historical */,
    ANSWER_NOW = 2 /* current values, sequence per ANSWER_RUN of 1 */
};

struct answer {
    uint32_t kind, request;
    uint32_t flags;
    uint32_t count;
    uint64_t epoch, first_sequence;
    struct cursor_range
        covers; /* END: the stretch of the journal that this answer accounts for; confirm it whole */
    uint32_t error; /* positive number of an enum err, 0: fine */
    uint32_t more;  /* END: 1 when max_records cut the answer */
    uint64_t lost;  /* END: sequence numbers in `covers` that the journal has no more */
};

/* Bytes of the longest row, and of text in one record. */
#define ANSWER_ROW_MAX (SLOT_PAYLOAD_MAX - (uint32_t)sizeof(struct answer))
#define ASK_TEXT_MAX   (SLOT_PAYLOAD_MAX - (uint32_t)(sizeof(struct ask) + sizeof(struct ask_sql)))

struct answer_ledger {
    uint32_t tag, reserved;
    uint64_t produced, journaled, suppressed, rejected, gaps;
};
struct answer_step {
    int64_t from_ns;
    double value;          /* 0 while the status is bad */
    uint64_t good, others; /* samples in it that counted, and that did not */
    uint32_t status, reserved;
};
struct answer_since { /* first row of ASK_LEDGER */
    int64_t since_ns; /* when the accounts began; 0: not known */
};
struct answer_cause {
    uint32_t scope, which, cause; /* as in struct record_gap */
    uint32_t records;             /* gap records, up to UINT32_MAX */
    uint64_t produced, missed;    /* sums over them */
    int64_t from_ns, to_ns;       /* from the first to the last moment of any */
};
struct answer_feed {
    uint32_t feed, connected;
    /* in samples of its scope since `since_ns`, up to what was durable when asked: journaled = delivered + pending + gaps */
    uint64_t journaled, delivered, pending, gaps;
    uint64_t
        dropped; /* of the gaps: removed at the journal's limit; the rest was in damaged or missing segments */
    uint64_t confirmed_sequence, head_sequence;
    int64_t since_ns;
    uint32_t balanced, reserved;
    int64_t oldest_pending_ns; /* journal time of the oldest undelivered record, 0: none */
};
struct answer_report {
    uint32_t feed,
        week; /* week 0: the last 24 whole hours and the one that runs; 1: 7 whole days and today */
    uint64_t delivered, in_time, gaps; /* in_time: within the freshness promised */
    double p50_ms, p99_ms;             /* lateness of what was delivered */
    int64_t since_ns;                  /* 0: nothing yet */
};
struct answer_trial { /* reader/trial.h */
    uint32_t device, day;
    uint32_t requests, failures, reconnects, seconds, mean_us, worst_us;
    uint32_t first_s, before_s, before_us, reserved;
};
struct ask_search {  /* texts with a NUL; "": any */
    char kind[32];   /* how its name begins: "command refused", "command" */
    char who[48];    /* what is in it */
    char about[128]; /* a glob, or what is in it */
    char text[64];   /* what is in it */
};
struct answer_proof {   /* of the whole audit (guard/audit_verify.h), as it was … */
    int64_t checked_ns; /* … at that time, UTC; 0: not yet */
    uint32_t checking;  /* 1: a new one is under way */
    uint32_t error;     /* why the last one failed, positive number of an enum err; 0: it did not */
    uint64_t entries, first, last, proven, damaged, void_entries;
    uint32_t sound, reserved;
    uint8_t key[32];
    char file[24];
    char reason[160];
};
#define FLOW_HOURS 25u /* the last 24 whole ones and the one that runs */
struct flow_hour {
    uint32_t hour; /* since 1970; 0: unused */
    uint32_t reserved;
    uint64_t values;           /* that were handed to the service */
    uint64_t queries;          /* of SQL that could see something in the zone */
    uint64_t reads_refused;    /* of tags that the asker may not see */
    uint64_t allowed, refused; /* commands, and acts on them */
};
struct answer_flow {
    uint32_t box, zone;                 /* the service's box; the zone in which the tags lie */
    struct flow_hour hours[FLOW_HOURS]; /* in no order */
};
struct answer_device {
    uint32_t device, state;
    int64_t since_utc_ns, last_reply_utc_ns;
    uint64_t figures[12];
    char reason[96];
};
struct answer_process {
    uint32_t seat, state, pid, restarts; /* seat UINT32_MAX: supervisor, UINT32_MAX - 1: keeper */
    int64_t since_utc_ns;
    uint64_t cpu_ns, pss_bytes;
    uint32_t layers_missing, up_ring_permille;
    int64_t certificate_ends_ns; /* UTC; 0: it has none */
    char name[32];
    char reason[96];
};
struct answer_journal {
    uint64_t epoch, written_sequence, durable_sequence, first_segment, segment;
    uint64_t disk_bytes, limit_bytes, bytes_written, flushes, flush_ns, frames, failures;
    uint32_t full;
    uint32_t end; /* enum forecast_end, if `known` */
    uint64_t room_bytes, flash_endurance;
    double growth_a_day, days, flash_a_day, flash_years; /* journal/forecast.h */
    uint32_t known, reserved;                            /* 1: the rates are */
    /* what is sealed; segments waiting to be, or kept for feeds though they are; what was damaged and set aside */
    uint64_t sealed_files, sealed_bytes, sealed_samples, waiting_segments, held_segments, damaged,
        sealer_failures;
};

#endif
