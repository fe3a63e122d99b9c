/* SPDX-License-Identifier: Apache-2.0 */
/* One thread, one poll: signals, the talk of starting boxes, their notifications, and a tick every 100 ms for hearts,
 * verdicts and restarts. It allocates nothing after its start. Children die with it (parent-death signal), so a supervisor
 * that is killed leaves nobody behind that no one can wait for; the keeper then forks a new one, and all rings are as they
 * were. */
#include "box/supervisor.h"
#include "base/clock.h"
#include "box/reach.h"
#include "box/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS          100
#define FIGURES_NS       (500 * NS_PER_MS)
#define PSS_NS           (5 * NS_PER_S)
#define HEART_NS         (5 * NS_PER_S)
#define ASLEEP_NS        (2 * NS_PER_S)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   10000
#define GOOD_AFTER_NS    (30 * NS_PER_S)

struct child {
    pid_t pid; /* 0: not running */
    int pidfd, talk, listener;
    enum seat_state state;
    int64_t started_ns, restart_at_ns;
    int64_t heartbeat,
        heartbeat_seen_ns; /* the last one, and when we saw it: our clock, not its word */
    uint64_t epoch;        /* that its panel has once it took its seat */
    int backoff_ms;
    uint32_t verdicts_seen[2]; /* the engine's, the reader's */
    bool reset_rings;
    bool held;    /* is not started, because it would reach beyond this machine */
    bool outside; /* was started with the way beyond this machine open */
    uint32_t restarts;
    char reason[97];                /* why it last ended */
    char last_words[TALK_TEXT + 1]; /* why it gave up; "" if it said nothing */
    char kill_reason[97];           /* why we kill it; "" if we don't */
};

struct supervisor {
    struct gateway *g;
    const struct middle *middle;
    struct child *children; /* one per seat */
    struct pollfd *fds;
    int signals;
    int state_fd; /* the state folder; below 0: it can't be looked into */
    bool island;  /* nothing reaches beyond this machine */
    bool stopping;
    int64_t figures_at_ns, pss_at_ns;
};

static void say(const char *name, const char *text)
{
    fprintf(stderr, "isthmus: %s: %s\n", name, text);
}

static void tell_health(struct supervisor *s, int seat)
{
    struct child *c = s->children + seat;
    struct health_seat *h = s->g->health->seats + seat;
    uint32_t version = atomic_load(&h->version);
    atomic_store(&h->version, version + 1);
    if (atomic_load(&h->state) != (uint32_t)c->state) {
        atomic_store(&h->since_utc_ns, clock_utc_ns());
    }
    atomic_store(&h->state, (uint32_t)c->state);
    atomic_store(&h->pid, (uint32_t)c->pid);
    atomic_store(&h->restarts, c->restarts);
    atomic_store(&h->outside, c->pid && c->outside);
    words_from_text(h->reason, 12, c->reason);
    atomic_store(&h->version, version + 2);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void close_child(struct child *c)
{
    close_fd(&c->pidfd);
    close_fd(&c->talk);
    close_fd(&c->listener);
    c->pid = 0;
}

static int run_body(struct supervisor *s, int seat)
{
    if (seat < SEAT_BOX) {
        return s->middle->main[seat](s->g);
    }
    uint32_t box = (uint32_t)(seat - SEAT_BOX);
    return s->g->plan.boxes[box].kind == BOX_SOUTH ? box_south_main(s->g, box)
                                                   : box_north_main(s->g, box);
}

/* In the new process. */
static void become(struct supervisor *s, int seat, int talk, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    proc_become(s->g->seats[seat].name, parent);
    close_fd(&s->signals);
    for (size_t i = 0; i < s->g->seat_count; i++) {
        close_child(s->children + i);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    s->g->supervisor_fd = talk; /* first: gateway_enter closes what it doesn't know */
    int err = gateway_enter(s->g, seat);
    if (err) {
        say(s->g->seats[seat].name, err_text(err));
        _exit(1);
    }
    sandbox_begin(s->g);
    int status = run_body(s, seat);
    fflush(NULL);
    _exit(status);
}

/* ---- The island: services that reach beyond this machine end at once. What also listens on loopback is started again
 * without the rest, which sandbox_serve then refuses; all others wait for the end of the island. ---- */

#define CUT_OFF "cut off: the gateway is an island"

/* The engine's word, and the file by ourselves: a cut must not depend on an engine that works. */
static bool is_island(const struct supervisor *s)
{
    struct stat st;
    return atomic_load(&s->g->engine->island) != ISLAND_OFF || s->state_fd < 0 ||
           fstatat(s->state_fd, ISLAND_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static const struct plan_box *box_of(const struct supervisor *s, int seat)
{
    return seat < SEAT_BOX ? NULL : s->g->plan.boxes + (seat - SEAT_BOX);
}

static bool reaches_beyond(const struct supervisor *s, int seat)
{
    const struct plan_box *box = box_of(s, seat);
    return box && reach_is_beyond(&s->g->plan, box);
}

/* Whether the seat has nothing to do on an island. */
static bool is_cut(const struct supervisor *s, int seat)
{
    return s->island && reaches_beyond(s, seat) && !reach_is_local(&s->g->plan, box_of(s, seat));
}

static void start(struct supervisor *s, int seat)
{
    struct child *c = s->children + seat;
    int talk[2];
    struct panel *panel = s->g->seats[seat].panel;
    struct health_seat *health = s->g->health->seats + seat;
    int64_t now = clock_mono_ns();
    if (c->reset_rings || !gateway_rings_whole(s->g, seat)) {
        gateway_reset_rings(s->g, seat);
        c->reset_rings = false;
    }
    /* What a predecessor left in its panel counts for nothing: the epoch is ours to know. */
    c->epoch = s->g->life + atomic_fetch_add(&health->starts, 1) + 1;
    atomic_store(&panel->epoch, c->epoch - 1);
    atomic_store(&panel->ready, 0);
    atomic_store(&panel->heartbeat_ns, now);
    c->heartbeat = now;
    c->heartbeat_seen_ns = now;
    c->state = SEAT_WAITING;
    c->restart_at_ns = now + (c->backoff_ms ? c->backoff_ms : BACKOFF_FIRST_MS) * NS_PER_MS;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk)) {
        return;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(talk[0]);
        become(s, seat, talk[1], parent);
    }
    close(talk[1]);
    if (pid < 0) {
        close(talk[0]);
        snprintf(c->reason, sizeof c->reason, "can't start: %s", strerror(errno));
        return;
    }
    c->pid = pid;
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    c->talk = talk[0];
    c->state = SEAT_STARTING;
    c->started_ns = clock_mono_ns();
    c->kill_reason[0] = 0;
    c->last_words[0] = 0;
    c->outside = reaches_beyond(s, seat) && !s->island;
    tell_health(s, seat);
}

static void describe_end(struct child *c, int status)
{
    if (c->kill_reason[0]) {
        snprintf(c->reason, sizeof c->reason, "%s", c->kill_reason);
    } else if (WIFSIGNALED(status)) {
        snprintf(c->reason, sizeof c->reason, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else if (c->last_words[0]) {
        snprintf(c->reason, sizeof c->reason, "%s", c->last_words);
    } else {
        snprintf(c->reason, sizeof c->reason, "ended with exit status %d", WEXITSTATUS(status));
    }
}

/* Takes what a starting process says: its notification descriptor, or why it gives up. */
static void listen_to(struct child *c)
{
    int fd = sandbox_take_listener(c->talk, c->pidfd, c->last_words);
    if (fd >= 0) {
        close_fd(&c->listener);
        c->listener = fd;
    } else if (fd != ERR_BUSY) {
        close_fd(&c->talk);
    }
}

static void ended(struct supervisor *s, int seat, int status)
{
    struct child *c = s->children + seat;
    int64_t now = clock_mono_ns();
    if (c->talk >= 0) {
        listen_to(c); /* it may have spoken and ended since we looked */
    }
    bool lived = now - c->started_ns > GOOD_AFTER_NS, cut = !strcmp(c->kill_reason, CUT_OFF);
    c->backoff_ms = lived || !c->backoff_ms              ? BACKOFF_FIRST_MS
                    : c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : c->backoff_ms * 2;
    close_child(c);
    if (s->stopping) {
        c->state = SEAT_STOPPED;
    } else if (cut) {
        c->state = SEAT_WAITING;
        c->backoff_ms = 0;
        c->restart_at_ns = now;
        say(s->g->seats[seat].name, CUT_OFF);
    } else {
        char text[200];
        describe_end(c, status);
        c->state = SEAT_WAITING;
        c->restart_at_ns = now + c->backoff_ms * NS_PER_MS;
        c->restarts++;
        snprintf(text, sizeof text, "%s; starting again in %d ms",
                 c->last_words[0] && !c->kill_reason[0] ? "gave up" : c->reason, c->backoff_ms);
        say(s->g->seats[seat].name, text);
    }
    tell_health(s, seat);
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < (int)s->g->seat_count; i++) {
            if (s->children[i].pid == pid) {
                ended(s, i, status);
            }
        }
    }
}

static void kill_for(struct child *c, const char *reason)
{
    if (c->pid && !c->kill_reason[0]) {
        snprintf(c->kill_reason, sizeof c->kill_reason, "%s", reason);
        kill(c->pid, SIGKILL);
    }
}

static void listen_to_heart(struct child *c, const struct panel *panel, int64_t now)
{
    int64_t heartbeat = atomic_load(&panel->heartbeat_ns);
    if (heartbeat != c->heartbeat) {
        c->heartbeat = heartbeat;
        c->heartbeat_seen_ns = now;
    } else if (now - c->heartbeat_seen_ns > HEART_NS) {
        kill_for(c, "heartbeat lost");
    }
}

/* A verdict on the process before this one came too late for it: what it left is there still. */
static void hear_verdict(struct child *c, const struct verdict *v, uint32_t *seen)
{
    uint32_t raised = v ? atomic_load(&v->raised) : 0;
    if (raised != *seen) {
        char reason[97];
        *seen = raised;
        text_from_words(v->reason, 12, reason);
        c->reset_rings = true;
        kill_for(c, reason);
    }
}

/* Ends what reaches out from an island, and keeps it down as long as that lasts. */
static void keep_cut(struct supervisor *s, int seat, int64_t now)
{
    struct child *c = s->children + seat;
    if (s->island && c->pid && c->outside) {
        kill_for(c, CUT_OFF);
    } else if (!c->pid && is_cut(s, seat)) {
        bool known = atomic_load(&s->g->engine->island) != ISLAND_NOT_KNOWN;
        enum seat_state state = known ? SEAT_CUT : SEAT_STARTING;
        if (c->state != state) {
            c->held = true;
            c->state = state;
            snprintf(c->reason, sizeof c->reason, "%s", known ? CUT_OFF : "waits for the engine");
            tell_health(s, seat);
        }
    } else if (c->held) {
        c->held = false;
        c->state = SEAT_WAITING;
        c->restart_at_ns = now;
        c->reason[0] = 0;
    } else if (!s->island && c->pid && !c->outside && reaches_beyond(s, seat)) {
        c->outside = true;
        tell_health(s, seat);
    }
}

/* Hearts, verdicts, readiness, restarts that are due. */
static void look_after(struct supervisor *s, int seat, int64_t now)
{
    struct child *c = s->children + seat;
    struct seat *place = s->g->seats + seat;
    keep_cut(s, seat, now);
    if (c->state == SEAT_WAITING && now >= c->restart_at_ns && !s->stopping) {
        start(s, seat);
    }
    if (!c->pid) {
        return;
    }
    if (c->state == SEAT_STARTING && atomic_load(&place->panel->ready)) {
        c->state = SEAT_RUNNING;
        tell_health(s, seat);
    }
    listen_to_heart(c, place->panel, now);
    uint64_t epoch = atomic_load(&place->panel->epoch);
    if (epoch != c->epoch && epoch != c->epoch - 1) {
        c->reset_rings = true;
        kill_for(c, "its panel holds garbage");
    }
    hear_verdict(c, place->verdict, c->verdicts_seen);
    hear_verdict(c, place->reader_verdict, c->verdicts_seen + 1);
}

static uint32_t ring_permille(const struct seat *place)
{
    if (!place->up) {
        return 0;
    }
    const struct ring_head *head = place->up;
    uint64_t used = atomic_load(&head->head) - atomic_load(&place->up_tail->tail);
    return used > place->up_capacity ? 1000 : (uint32_t)(used * 1000 / place->up_capacity);
}

static void measure(struct supervisor *s, int64_t now)
{
    bool pss = now >= s->pss_at_ns;
    struct health *h = s->g->health;
    for (size_t i = 0; i < s->g->seat_count; i++) {
        struct child *c = s->children + i;
        uint32_t wanted = i < SEAT_BOX ? LAYERS_MIDDLE : LAYERS_BOX;
        bool ready = c->state == SEAT_RUNNING;
        uint32_t layers = atomic_load(&s->g->seats[i].panel->layers) & ~(uint32_t)LAYER_SEALS;
        layers |= gateway_is_sealed(s->g) ? LAYER_SEALS : 0;
        atomic_store(&h->seats[i].cpu_ns, c->pid ? proc_cpu_ns(c->pid) : 0);
        atomic_store(&h->seats[i].layers_missing, ready ? wanted & ~layers : 0);
        atomic_store(&h->seats[i].certificate_ends_ns,
                     ready ? atomic_load(&s->g->seats[i].panel->certificate_ends_ns) : 0);
        atomic_store(&h->seats[i].up_ring_permille, ring_permille(s->g->seats + i));
        if (pss) {
            atomic_store(&h->seats[i].pss_bytes, c->pid ? proc_pss_bytes(c->pid) : 0);
        }
    }
    atomic_store(&h->supervisor_cpu_ns, proc_cpu_ns(getpid()));
    atomic_store(&h->keeper_cpu_ns, proc_cpu_ns(getppid()));
    if (pss) {
        atomic_store(&h->supervisor_pss, proc_pss_bytes(getpid()));
        atomic_store(&h->keeper_pss, proc_pss_bytes(getppid()));
        s->pss_at_ns = now + PSS_NS;
    }
    s->figures_at_ns = now + FIGURES_NS;
}

/* Waits for signals, talk and notifications for `ms`, and serves them. */
static void serve(struct supervisor *s, int ms)
{
    size_t n = s->g->seat_count;
    s->fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    for (size_t i = 0; i < n; i++) {
        s->fds[1 + i] = (struct pollfd){.fd = s->children[i].talk, .events = POLLIN};
        s->fds[1 + n + i] = (struct pollfd){.fd = s->children[i].listener, .events = POLLIN};
    }
    int ready = poll(s->fds, 1 + 2 * n, ms);
    s->island = is_island(s);
    if (ready <= 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct child *c = s->children + i;
        if (s->fds[1 + i].revents) {
            listen_to(c);
        }
        if (s->fds[1 + n + i].revents & POLLIN) {
            sandbox_serve(c->listener, c->pidfd, &s->g->plan, s->g->plan.boxes + (i - SEAT_BOX),
                          s->island);
        } else if (s->fds[1 + n + i].revents) {
            close_fd(&c->listener);
        }
    }
    struct signalfd_siginfo info;
    while (s->fds[0].revents && read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            s->stopping = true;
        }
    }
    reap(s);
}

static bool any_alive(const struct supervisor *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (s->children[i].pid) {
            return true;
        }
    }
    return false;
}

/* Asks a stretch of seats to stop, and kills those that have not by the deadline. */
static void stop(struct supervisor *s, size_t from, size_t to, int ms)
{
    for (size_t i = from; i < to; i++) {
        s->children[i].state = s->children[i].pid ? SEAT_STOPPING : SEAT_STOPPED;
        if (s->children[i].pid) {
            kill(s->children[i].pid, SIGTERM);
        }
    }
    int64_t deadline = clock_mono_ns() + ms * NS_PER_MS;
    while (any_alive(s, from, to) && clock_mono_ns() < deadline) {
        serve(s, 20);
    }
    for (size_t i = from; i < to; i++) {
        if (s->children[i].pid) {
            say(s->g->seats[i].name, "did not stop in time; killed");
            kill(s->children[i].pid, SIGKILL);
        }
    }
    while (any_alive(s, from, to)) {
        serve(s, 20);
    }
}

/* From the outside in, so that what each has to say is still heard: the boxes, the reader with its cursors and the sealer, the engine. An
 * engine that waits for its restart gets it now: the rings hold what nobody else can journal. */
static void stop_all(struct supervisor *s)
{
    const struct panel *engine = s->g->seats[SEAT_ENGINE].panel;
    if (s->children[SEAT_ENGINE].state == SEAT_WAITING) {
        start(s, SEAT_ENGINE);
    }
    stop(s, SEAT_BOX, s->g->seat_count, SUPERVISOR_STOP_MS / 2);
    stop(s, SEAT_READER, SEAT_BOX, SUPERVISOR_STOP_MS / 10);
    int64_t deadline = clock_mono_ns() + SUPERVISOR_STOP_MS / 10 * NS_PER_MS;
    while (s->children[SEAT_ENGINE].pid && !atomic_load(&engine->ready) &&
           clock_mono_ns() < deadline) {
        serve(s, 5); /* before that it would not hear us */
    }
    stop(s, SEAT_ENGINE, SEAT_READER, SUPERVISOR_STOP_MS / 4);
}

static int prepare(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    s->children = calloc(s->g->seat_count, sizeof *s->children);
    s->fds = calloc(1 + 2 * s->g->seat_count, sizeof *s->fds);
    s->state_fd = open(s->g->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->island = is_island(s);
    if (s->signals < 0 || !s->children || !s->fds) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < s->g->seat_count; i++) {
        struct child *c = s->children + i;
        const struct seat *place = s->g->seats + i;
        *c = (struct child){.pidfd = -1, .talk = -1, .listener = -1};
        c->verdicts_seen[0] = place->verdict ? atomic_load(&place->verdict->raised) : 0;
        c->verdicts_seen[1] =
            place->reader_verdict ? atomic_load(&place->reader_verdict->raised) : 0;
        c->restarts = atomic_load(&s->g->health->seats[i].restarts);
    }
    return ERR_OK;
}

int supervisor_run(struct gateway *g, const struct middle *middle)
{
    struct supervisor s = {.g = g, .middle = middle};
    int err = prepare(&s);
    if (err) {
        say("supervisor", err_text(err));
        return 1;
    }
    atomic_store(&g->health->supervisor_pid, (uint32_t)getpid());
    for (int i = 0; i < (int)g->seat_count; i++) {
        s.children[i].held = is_cut(&s, i); /* the engine's word may come before we look again */
        if (!s.children[i].held) {
            start(&s, i);
        }
    }
    for (int64_t last = clock_mono_ns(); !s.stopping;) {
        serve(&s, TICK_MS);
        int64_t now = clock_mono_ns();
        if (now - last >
            ASLEEP_NS) { /* the machine slept, or we did: nobody could beat, or be heard */
            for (size_t i = 0; i < g->seat_count; i++) {
                s.children[i].heartbeat_seen_ns = now;
            }
        }
        last = now;
        atomic_store(&g->health->supervisor.heartbeat_ns, now);
        for (int i = 0; i < (int)g->seat_count; i++) {
            look_after(&s, i, now);
        }
        if (now >= s.figures_at_ns) {
            measure(&s, now);
        }
    }
    stop_all(&s);
    free(s.children);
    free(s.fds);
    close(s.signals);
    close_fd(&s.state_fd);
    return 0;
}
