/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the host of drivers, shared by its parts: south.c (the process's life), south_host.c (what drivers
 * call: samples, gaps, states), south_command.c (commands of the engine), south_browse.c (browsing). Drivers see only isthmus/driver.h. One
 * thread: the loop's. */
#ifndef ISTHMUS_BOX_SOUTH_H
#define ISTHMUS_BOX_SOUTH_H

#include <uv.h>

#include "box/box.h"
#include "tag/record.h"

#define SOUTH_COMMANDS_MAX 64u
#define SOUTH_BROWSES_MAX  4u   /* their jobs are numbered behind those of the commands */
#define SOUTH_TAKE_SLOTS   256u /* taken from the ring at once; more than the longest record */
#define SOUTH_CAUSES       5u   /* enum isthmus_missed */

struct south_device {
    struct isthmus_device_config config;
    struct isthmus_tag *tags;         /* owned */
    struct isthmus_setting *settings; /* owned */
    void *state;                      /* the driver's; NULL: not open */
    uint32_t shown;                   /* enum isthmus_state that the panel tells */
    uint32_t announced;               /* event_kind that the ring got last; 0: none yet */
    uint32_t to_announce;
    uint64_t replies;                     /* of the figures seen last */
    struct record_gap gaps[SOUTH_CAUSES]; /* found no room yet; missed == 0: none */
};

struct south_command {
    bool used;
    bool answered; /* the receipt waits for room in the ring */
    bool together; /* several writes in one: of `write` only the number counts */
    struct record_write write;
    struct record_written written;
};

struct south_browse {
    bool used;
    bool ended; /* its end waits for room in the ring */
    struct record_browsed end;
};

struct south_host {
    struct gateway *g; /* borrowed */
    uint32_t box;
    const struct seat *seat;
    const struct isthmus_driver *driver;
    struct isthmus_host calls; /* what the driver gets */
    uv_loop_t loop;
    uv_poll_t from_engine;
    uv_timer_t heartbeat, deadline;
    uv_signal_t term;
    uv_prepare_t before_sleep;
    uv_check_t after_sleep;
    uv_idle_t busy;                 /* started while a ring holds more: the loop does not sleep */
    bool stopping, broken, waiting; /* waiting: something found no room in the ring */

    struct ring_producer up;
    struct ring_consumer down;
    struct south_device *devices; /* owned */
    size_t device_count, open_count;
    uint32_t *device_of; /* owned; [plan device_count]: index in `devices`, or PLAN_NONE */
    uint64_t *long_tags; /* owned; bit per id: text or bytes. NULL: this box has none */
    uint32_t last_id;    /* highest tag id */
    struct south_command commands[SOUTH_COMMANDS_MAX];
    struct south_browse browses[SOUTH_BROWSES_MAX];
};

/* Attaches to the rings and copies the box's devices and tags out of the plan; settings stay empty. 0 or an err. */
MUST_USE int south_host_init(struct south_host *host, struct gateway *g, uint32_t box);
void south_host_fini(struct south_host *host);

/* The device with the plan's index, or NULL. */
struct south_device *south_device_find(struct south_host *host, uint32_t index);

/* Puts what found no room before: gaps, events, receipts. Once per turn of the loop, before the publish. */
void south_host_retry(struct south_host *host);

/* The driver says that a device's close is complete: calls back here. */
void south_closed(struct south_host *host);

/* Commands. take: 1: there is more; 0; negative: garbage. */
MUST_USE int south_command_take(struct south_host *host);
void south_command_done(struct south_host *host, uint64_t job, uint32_t status, const char *text);
void south_command_retry(struct south_host *host);

/* Browsing: a request; what the driver finds for it; the end of its job. */
void south_browse_take(struct south_host *host, const struct record_browse *request);
void south_browse_item(struct south_host *host, uint64_t job, const struct isthmus_item *item);
void south_browse_done(struct south_host *host, uint64_t job, uint32_t status, const char *text);
void south_browse_retry(struct south_host *host);

void south_log(const struct south_host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
