/* SPDX-License-Identifier: Apache-2.0 */
/* The driver ABI: all that a driver of Isthmus needs, and the only public C header.
 *
 * A driver is a shared object NAME.so with one exported function, `isthmus_driver`. It runs in a south box: a
 * sandboxed process with one libuv loop. Everything happens on the loop's thread; no call of the host blocks; the
 * driver may block nothing either. The box's sandbox lets it reach only the addresses of the configuration, and open
 * no files once `open` of the first device is called.
 *
 * Append-only: fields are only added at the end of a struct; `size` says what the other side has. */
#ifndef ISTHMUS_DRIVER_H
#define ISTHMUS_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#define ISTHMUS_DRIVER_ABI 1u

struct uv_loop_s;

enum isthmus_type {
    ISTHMUS_BOOL = 1,
    ISTHMUS_INT8,
    ISTHMUS_UINT8,
    ISTHMUS_INT16,
    ISTHMUS_UINT16,
    ISTHMUS_INT32,
    ISTHMUS_UINT32,
    ISTHMUS_INT64,
    ISTHMUS_UINT64,
    ISTHMUS_FLOAT32, /* passed widened to double */
    ISTHMUS_FLOAT64,
    ISTHMUS_TEXT,
    ISTHMUS_BYTES
};

/* ---- Options: one table makes the parser, the checks, the docs, the JSON schema and the console's form. ---- */

enum isthmus_option_type {
    ISTHMUS_OPTION_TEXT = 1,
    ISTHMUS_OPTION_INT,      /* within min..max */
    ISTHMUS_OPTION_NUMBER,   /* within min..max */
    ISTHMUS_OPTION_BOOL,     /* true, false */
    ISTHMUS_OPTION_DURATION, /* "100ms", "5s", "1min"; passed on in milliseconds, within min..max */
    ISTHMUS_OPTION_CHOICE,   /* one of `choices`, separated by '|' */
    ISTHMUS_OPTION_ADDRESS, /* host:port to connect to; the sandbox lets it through. Passed on as ip:port */
    ISTHMUS_OPTION_BIND,  /* ip:port to listen on */
    ISTHMUS_OPTION_FILE,  /* readable before the box is locked in */
    ISTHMUS_OPTION_FOLDER /* files below it may be read at any time; one for all devices of a box */
};

struct isthmus_option {
    const char *name;
    enum isthmus_option_type type;
    const char *fallback; /* default as text; NULL: the option must be given */
    double min, max;
    const char *choices;
    const char *help; /* one sentence */
};

/* ---- What the driver gets. ---- */

struct isthmus_setting { /* checked: every option of the table is there, defaults filled in */
    const char *name;
    const char *text;
    double number; /* int, number, bool (0/1), duration (ms), index of the choice */
};

struct isthmus_tag {
    uint32_t id;
    enum isthmus_type type; /* what the driver delivers (before scaling) */
    uint32_t max_length;    /* bytes, for text and bytes */
    const char *address;    /* in the driver's words; passed check_address */
    const char *path;       /* for messages */
};

struct isthmus_device_config { /* borrowed while the device is open */
    uint32_t index;            /* names the device towards the host */
    const char *name;
    const struct isthmus_setting *settings;
    size_t setting_count;
    const struct isthmus_tag *tags;
    size_t tag_count;
};

/* ---- What the driver gives. ---- */

struct isthmus_sample {
    int64_t
        time_ns; /* source time UTC: the device's own if it has one, else the time of acquisition */
    union {
        uint64_t u64; /* bool, unsigned; for text and bytes: their length */
        int64_t i64;  /* signed */
        double f64;   /* float32, float64 */
    } value;
    const void *bytes; /* text and bytes; borrowed during the call */
    uint32_t tag;      /* id */
    uint32_t status;   /* OPC UA StatusCode; when bad, the value does not count */
};

struct isthmus_batch {
    uint32_t device;
    int64_t acquired_ns;          /* UTC */
    int64_t clock_offset_ns;      /* device clock minus ours */
    int64_t clock_uncertainty_ns; /* -1: the device has no clock */
    const struct isthmus_sample *samples;
    size_t count;
};

enum isthmus_state {
    ISTHMUS_CONNECTING = 1,
    ISTHMUS_UP,
    ISTHMUS_DEGRADED, /* answers, but not to everything */
    ISTHMUS_DOWN
};

/* Figures since the device was opened. */
struct isthmus_figures {
    uint64_t requests, replies, timeouts, exceptions, reconnects;
    uint64_t bytes_in, bytes_out;
    uint32_t latency_us;   /* smoothed: request to reply */
    uint32_t in_flight;    /* requests that the device takes at once, as learnt */
    uint32_t transactions; /* that one full poll takes */
};

enum isthmus_missed {                          /* why samples were never made */
                      ISTHMUS_MISSED_DOWN = 1, /* no connection or no answer in time */
                      ISTHMUS_MISSED_ERROR,    /* the device answered with an error */
                      ISTHMUS_MISSED_LATE, /* a poll was not made because the one before took too long */
                      ISTHMUS_MISSED_OVERFLOW, /* the device says that its queue overflowed */
                      ISTHMUS_MISSED_JUMP /* its sequence numbers jumped: something was lost on the way */
};

struct isthmus_write { /* borrowed while the job runs */
    uint64_t job;
    uint32_t tag;
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
    } value;
    const void *bytes;
};

struct isthmus_item { /* what browsing finds */
    const char *address, *name, *unit, *description;
    enum isthmus_type type;
    int writable;
};

struct isthmus_host {
    uint32_t abi, size;
    void *context; /* first argument of every call */
    struct uv_loop_s *loop;
    int64_t (*now_utc)(void *context);
    int64_t (*now_mono)(void *context);
    /* Publishes samples; copies them. What finds no room is counted and becomes a gap. */
    void (*publish)(void *context, const struct isthmus_batch *batch);
    /* Samples that never came: `tag` 0 means all tags of the device; `count` (at least 1) estimates how many. A driver
     * tells all that it knows it missed, each stretch once: when it is over, now and then while it lasts (what was not told
     * is lost with the box), and on close. */
    void (*missed)(void *context, uint32_t device, uint32_t tag, enum isthmus_missed why,
                   int64_t from_ns, int64_t to_ns, uint64_t count);
    void (*state)(void *context, uint32_t device, enum isthmus_state state, const char *reason);
    void (*figures)(void *context, uint32_t device, const struct isthmus_figures *figures);
    /* Ends a job, exactly once. status 0 = done; else an OPC UA StatusCode and a text. */
    void (*job_done)(void *context, uint64_t job, uint32_t status, const char *text);
    void (*item)(void *context, uint64_t job, const struct isthmus_item *item);
    void (*closed)(void *context, uint32_t device); /* the device's close is complete */
    void (*log)(void *context, const char *text);
    /* Slots of 24 bytes that the way to the engine has free: a sample takes one, a text also its bytes, a batch four. For drivers that can
     * wait instead of losing. */
    uint64_t (*room)(void *context);
};

struct isthmus_driver {
    uint32_t abi, size;
    const char *name, *summary;
    const char *address_help;             /* the syntax of tag addresses, with examples */
    const struct isthmus_option *options; /* of a device; ends with name == NULL */

    /* Pure: checks one tag's address for its type. 0, or -1 with the reason in `why` (what is wrong, what would be
     * right). `type` may be 0 when the configuration leaves it open: *type_out then gets the natural type. */
    int (*check_address)(const char *address, enum isthmus_type type, uint32_t max_length,
                         enum isthmus_type *type_out, char *why, size_t why_size);
    /* Pure: checks settings against each other. 0 or -1 as above. May be NULL. */
    int (*check_device)(const struct isthmus_setting *settings, size_t count, char *why,
                        size_t why_size);

    /* The driver's state for one device: returned by open (owned by the driver until `closed` was called); NULL: out
     * of memory. open returns at once; connecting goes on behind. */
    void *(*open)(const struct isthmus_host *host, const struct isthmus_device_config *config);
    void (*close)(void *device); /* asynchronous: host->closed ends it */
    /* Jobs: each ends in host->job_done exactly once, on close at the latest. May be NULL. */
    void (*write)(void *device, const struct isthmus_write *write);
    void (*browse)(void *device, uint64_t job);

    /* Pure: whether a tag at this address could be written, each write in one transaction that changes nothing else. 0 or -1
     * as above. NULL: each can, if `write` is there. */
    int (*check_write)(const char *address, enum isthmus_type type, uint32_t max_length, char *why,
                       size_t why_size);

    /* A job of several writes (`job` of each is the same), in one transaction that the device takes or refuses as a whole. 0; or -1: it
     * has no means for just these, nothing was sent and job_done is not called. May be NULL. */
    int (*write_together)(void *device, const struct isthmus_write *writes, size_t count);
};

/* The one exported symbol. */
__attribute__((visibility("default"))) const struct isthmus_driver *isthmus_driver(void);

#endif
