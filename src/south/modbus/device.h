/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the driver, shared by its parts: modbus.c (options, open, close), session.c (connection, requests and
 * their ends), poll.c (cycles, blocks, samples), job.c (writes, browsing). One thread: the loop's. Times are
 * nanoseconds of the monotonic clock unless their name says utc. */
#ifndef ISTHMUS_SOUTH_MODBUS_DEVICE_H
#define ISTHMUS_SOUTH_MODBUS_DEVICE_H

#include <uv.h>

#include "south/modbus/merge.h"
#include "south/modbus/pdu.h"

#define REQUESTS_MAX  20u /* IN_FLIGHT_MAX, and some probes and writes */
#define IN_FLIGHT_MAX 16u
#define JOBS_MAX      64u
#define OUT_SIZE      (REQUESTS_MAX * MODBUS_FRAME_MAX)
#define IN_SIZE       8192u

enum request_kind { REQUEST_BLOCK = 1, REQUEST_PROBE, REQUEST_WRITE, REQUEST_IDENTIFY };

struct request {    /* on its way */
    uint32_t kind;  /* enum request_kind; 0: free */
    bool held;      /* unanswered; waits to be repeated alone */
    uint32_t block; /* of block and probe */
    uint32_t tries; /* times that it was sent before */
    uint64_t job;   /* of write and identify */
    int64_t sent, deadline;
    struct modbus_request body; /* `data` is not kept */
};

struct block {
    struct modbus_block at;
    uint32_t unit;     /* index in units */
    uint32_t shown;    /* status that its tags have got last */
    uint32_t why;      /* enum isthmus_missed, while shown is bad */
    uint8_t exception; /* that it ended with; 0: none */
    int64_t retry_at;  /* not asked before */
    int64_t bad_since_utc;
    uint64_t bad_polls; /* not made, or ended badly, since then */
};

struct unit {
    uint8_t id;
    bool dead, probing;
    uint32_t first_block;
    int64_t backoff, retry_at;
};

struct job { /* a write or identification that waits to be sent */
    uint64_t job;
    uint32_t kind;
    struct modbus_request body;
    uint8_t data[2 * MODBUS_READ_WORDS_MAX];
};

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_UP, LINK_CLOSING };

struct modbus_device {
    const struct isthmus_host *host;
    const struct isthmus_device_config *config; /* borrowed */
    struct sockaddr_storage address;
    int64_t period, timeout, backoff_max;
    uint32_t retries, fixed_window; /* 0: learn */

    /* what to read; owned; [tag_count] each */
    struct modbus_point *points;
    uint32_t *order;
    struct block *blocks;
    struct unit *units;
    struct isthmus_sample *samples; /* not published yet */
    uint32_t *text_at;              /* of text and bytes points: offset in texts */
    uint8_t *texts;
    size_t block_count, unit_count, sample_count;
    int64_t first_sample_at;

    /* the cycle under way */
    bool cycle_open;
    size_t next_block, cycle_requests; /* of kind REQUEST_BLOCK, on their way */
    int64_t next_poll;
    uint64_t late; /* polls not made */
    int64_t late_from_utc;
    int64_t account_at, account_wait; /* when to look again for what is still missing */

    /* the connection */
    enum link_state link;
    bool closing;                                /* the device */
    bool down;                                   /* no good answer since down_since */
    int64_t down_since, down_since_utc, backoff; /* utc: what was not told yet begins */
    uint64_t down_polls;                         /* told already */
    int64_t reconnect_at, connect_deadline;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    uv_write_t write;
    int handles;   /* to be closed before the device is */
    int64_t armed; /* when the timer fires; 0: it doesn't */
    uint8_t out[OUT_SIZE];
    size_t out_size, out_busy; /* bytes that uv_write borrows at the front */
    uint8_t in[IN_SIZE];
    size_t in_size;
    uint32_t strangers; /* replies in a row that nobody waits for */

    struct request requests[REQUESTS_MAX];
    uint16_t transaction;
    uint32_t window, ceiling,
        good_run; /* requests at once: now, at most, answers with a full window */
    bool careful; /* one at a time, until the held requests have been repeated */
    bool struck;  /* since then: one lesson per trouble */
    int64_t ceiling_until;

    struct job jobs[JOBS_MAX]; /* a queue */
    size_t job_first, job_count;

    struct isthmus_figures figures;
    int64_t figures_at;
    uint32_t state; /* told last */
    char reason[96];
};

/* modbus.c */
void device_free(struct modbus_device *d);

/* session.c */
void session_start(struct modbus_device *d);
void session_turn(struct modbus_device *d); /* sends what can be sent, sets the timer */
void session_fail(struct modbus_device *d, const char *reason);
void session_close(struct modbus_device *d);
/* Sends a request in a free slot; NULL: there is none. */
struct request *session_send(struct modbus_device *d, const struct request *r);
uint32_t session_in_flight(const struct modbus_device *d, int64_t now);
int64_t device_now(const struct modbus_device *d);
int64_t device_utc(const struct modbus_device *d);
void device_state(struct modbus_device *d, enum isthmus_state state, const char *reason);

/* poll.c */
void poll_begin(struct modbus_device *d, int64_t now);
void poll_pump(struct modbus_device *d, int64_t now);
void poll_reply(struct modbus_device *d, const struct request *r, const struct modbus_frame *frame,
                int64_t now, int64_t utc);
void poll_unit_dead(struct modbus_device *d, uint32_t unit, int64_t now);
void poll_settle(struct modbus_device *d, int64_t now); /* ends the cycle if all has come */
void poll_down(struct modbus_device *d, int64_t now);
void poll_up(struct modbus_device *d, int64_t now);
void poll_account(struct modbus_device *d); /* tells the gaps that are still open */
void poll_account_now_and_then(struct modbus_device *d, int64_t now);
void poll_flush(struct modbus_device *d);

/* job.c */
void job_write(struct modbus_device *d, const struct isthmus_write *w);
int job_write_together(struct modbus_device *d, const struct isthmus_write *writes, size_t count);
void job_browse(struct modbus_device *d, uint64_t job);
void job_pump(struct modbus_device *d, int64_t now);
void job_reply(struct modbus_device *d, const struct request *r, const struct modbus_frame *frame);
void job_lost(struct modbus_device *d, const struct request *r, const char *text);
void job_end_all(struct modbus_device *d, uint32_t status, const char *text);

#endif
