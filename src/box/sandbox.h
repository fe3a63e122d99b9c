/* SPDX-License-Identifier: Apache-2.0 */
/* Locking a process in, for good: from then on it can open no file (but below one folder, for the engine and the reader),
 * start no program, and reach only the addresses of its configuration, because connect, bind and sends with an address
 * are performed by the supervisor on its behalf (seccomp user notification), never by the process itself. In the same way a
 * box may read the files that its configuration names, whenever it likes. */
#ifndef ISTHMUS_BOX_SANDBOX_H
#define ISTHMUS_BOX_SANDBOX_H

#include "box/gateway.h"

enum sandbox_layer { /* bits of panel.layers and health_seat.layers_missing */
                     LAYER_NO_NEW_PRIVILEGES = 1,
                     LAYER_LIMITS = 2,
                     LAYER_LANDLOCK = 4,
                     LAYER_SECCOMP = 8,
                     LAYER_ADDRESSES = 16,    /* boxes only */
                     LAYER_SEALS = 32,        /* of the shared memory; the supervisor tells */
                     LAYER_CAPABILITIES = 64, /* root's powers are given up */
                     LAYER_NO_NETWORK =
                         128, /* the middle has a network namespace of its own, without a device */
};
#define LAYERS_BOTH                                                                                \
    (LAYER_NO_NEW_PRIVILEGES | LAYER_LIMITS | LAYER_LANDLOCK | LAYER_SECCOMP | LAYER_SEALS |       \
     LAYER_CAPABILITIES)
#define LAYERS_MIDDLE (LAYERS_BOTH | LAYER_NO_NETWORK)
#define LAYERS_BOX    (LAYERS_BOTH | LAYER_ADDRESSES)

/* "no-new-privileges", …; NULL beyond the last. */
const char *sandbox_layer_name(unsigned bit_number);

struct sandbox_profile {
    const char *write_dir; /* files may be read and written below; NULL: nowhere */
    const char *read_dir;  /* files may be read below; NULL: nowhere */
    const char
        *audit_dir; /* a second one: written where write_dir is given, else read; NULL: none */
    bool sockets;   /* boxes: internet sockets to the allowed addresses */
    bool children;  /* may fork the short-lived children of box/child.h, and nothing else */
};

/* A sanitizer's reports need files of their own, and processes; its builds are for tests only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* What a process can give up before its body runs, so that every thread that it starts later has it too: privileges,
 * limits, and for the middle the network and all files outside `state_dir`. Layers that the kernel or the lack of root
 * deny are left out. Call right after gateway_enter. */
void sandbox_begin(struct gateway *g);

/* Locks the calling process in, with all its threads. A layer that the kernel lacks is left out and missing in panel.layers; only a layer that
 * should work and fails is an error. */
MUST_USE int sandbox_enter(struct gateway *g, const struct sandbox_profile *profile);

/* Takes from the calling thread all files but those below the folder, for reading. False: the kernel can't. */
bool sandbox_only_below(int dir_fd);
/* The calls that it makes, for the filter of a process that will; 0 or not. `filter`: a scmp_filter_ctx. */
int sandbox_allow_only_below(void *filter);

/* Tells the supervisor why this process cannot start, before it ends: shown in its health. Up to the lock-in only. */
void sandbox_give_up(const struct gateway *g, const char *why);

/* What a starting process says through its talk. */
#define TALK_TEXT 96
struct sandbox_talk {
    int32_t listener; /* number of its notification descriptor; -1: it gives up */
    char text[TALK_TEXT];
};

/* Supervisor's side: takes the notification descriptor that a starting box offers through `talk` (reads its number, takes
 * it out of process `pidfd`, answers). The descriptor, or a negative err; ERR_BUSY: nothing said yet; ERR_REFUSED: the
 * process gives up, `why` (TALK_TEXT + 1 bytes) says why. */
MUST_USE int sandbox_take_listener(int talk, int pidfd, char *why);

/* Serves one waiting notification of a box: checks the address or file against the plan and performs the call. Never blocks for
 * longer than a moment, whatever the box does. On an island a service may only listen on loopback. */
void sandbox_serve(int listener, int pidfd, const struct plan *plan, const struct plan_box *box,
                   bool island);

#endif
