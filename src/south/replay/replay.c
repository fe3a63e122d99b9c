/* SPDX-License-Identifier: Apache-2.0 */
/* History as live devices: what the tags of all devices of the box said between two times comes again, in the order of its source times, with
 * these times, values and statuses. `isthmus replay` puts it in the place of every driver; it is of no use in a configuration.
 *
 * Samples are read window by window of source time, and sorted; a window grows and shrinks with how much is in it, so memory
 * is bounded and the order depends on nothing but the history. Paced by the clock, or as fast as the ring takes them: then it
 * waits for room, and loses nothing. All devices share one player, for there is one order. */
#include "isthmus/driver.h"

#include "base/clock.h"
#include "history/series.h"
#include "tag/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define WINDOW_NS      (INT64_C(60) * NS_PER_S)
#define WINDOW_MANY    400000u /* samples: then windows get shorter … */
#define WINDOW_FEW     50000u  /* … and longer */
#define WINDOW_LONG_NS (INT64_C(86400) * NS_PER_S)
#define TAIL_MOST      ((size_t)512 << 20)
#define BATCH          256u
#define BATCH_SLOTS    4u /* of its head */
#define TICK_MS        5u
#define TAGS_MOST      (1u << 24)

struct sample {
    int64_t ns;
    uint64_t word; /* texts: where in the player's texts */
    uint32_t tag, status, order, length;
    bool lengthy; /* a text or bytes */
};

struct device {
    const struct isthmus_device_config *config;
    struct isthmus_figures figures;
    struct device *next;
};

static struct player { /* one per process */
    const struct isthmus_host *host;
    struct device *devices; /* owned, in the order of their opening */
    bool ticking, begun, failed, done;
    int64_t from_ns, to_ns, started_mono_ns;
    double speed; /* 0: as fast as possible */
    int dir;
    struct history history;
    struct tail tail;
    bool has_history, has_tail;
    struct block_scratch *scratch;
    uint64_t *tags;        /* owned: a bit per id */
    struct device **owner; /* owned: by id */
    uint32_t end_id;
    int64_t window_ns, next_ns; /* the next window's length and begin */
    struct sample *samples;     /* owned */
    size_t count, at, room;
    uint8_t *texts; /* owned */
    size_t text_size, text_room;
} player = {.dir = -1};

static uv_timer_t timer;
static uint32_t last_closed; /* the device whose closing ends all */

static const struct isthmus_option options[] = {
    {"source", ISTHMUS_OPTION_FOLDER, NULL, 0, 0, NULL, "Folder of the journal that is played."},
    {"from", ISTHMUS_OPTION_TEXT, NULL, 0, 0, NULL, "First source time, RFC 3339."},
    {"to", ISTHMUS_OPTION_TEXT, NULL, 0, 0, NULL, "Last source time."},
    {"speed", ISTHMUS_OPTION_NUMBER, "1", 0, 1e6, NULL,
     "Times faster than it was; 0: as fast as possible."},
    {0}};

static const char *setting(const struct isthmus_device_config *c, const char *name)
{
    for (size_t i = 0; i < c->setting_count; i++) {
        if (!strcmp(c->settings[i].name, name)) {
            return c->settings[i].text;
        }
    }
    return "";
}

static void tell(enum isthmus_state state, const char *why)
{
    for (struct device *d = player.devices; d; d = d->next) {
        player.host->figures(player.host->context, d->config->index, &d->figures);
        player.host->state(player.host->context, d->config->index, state, why);
    }
}

static void fail(const char *what, int err)
{
    char why[96];
    snprintf(why, sizeof why, "%s: %s", what, err_text(err));
    player.failed = true;
    player.host->log(player.host->context, why);
    tell(ISTHMUS_DOWN, why);
}

/* ---- Reading ---- */

static int grow(void **memory, size_t *room, size_t wanted, size_t each)
{
    if (wanted <= *room) {
        return ERR_OK;
    }
    size_t more = *room * 2 > wanted ? *room * 2 : wanted + 4096;
    void *grown = realloc(*memory, more * each);
    if (!grown) {
        return ERR_NOMEM;
    }
    *memory = grown;
    *room = more;
    return ERR_OK;
}

static int keep(const struct block *b, uint32_t i, uint32_t tag)
{
    bool lengthy = value_is_long(b->type);
    size_t length = lengthy ? (size_t)b->value[i] : 0;
    int err =
        grow((void **)&player.samples, &player.room, player.count + 1, sizeof *player.samples);
    err = err ? err : grow((void **)&player.texts, &player.text_room, player.text_size + length, 1);
    if (err) {
        return err;
    }
    struct sample *s = player.samples + player.count;
    *s = (struct sample){.ns = b->time[i],
                         .word = lengthy ? player.text_size : b->value[i],
                         .tag = tag,
                         .status = b->status[i],
                         .order = (uint32_t)player.count++,
                         .length = (uint32_t)length,
                         .lengthy = lengthy};
    if (length) {
        memcpy(player.texts + player.text_size, b->text + b->text_at[i], length);
        player.text_size += length;
    }
    return ERR_OK;
}

static int read_tag(const struct isthmus_tag *tag, int64_t from_ns, int64_t to_ns)
{
    struct series *series;
    struct piece piece;
    const struct series_options o = {.tag = tag->id,
                                     .type = (enum value_type)tag->type,
                                     .from_ns = from_ns,
                                     .to_ns = to_ns,
                                     .parts = BLOCK_ALL,
                                     .tail = &player.tail,
                                     .scratch = player.scratch};
    int got = series_open(&series, &player.history, &o);
    if (got) {
        return got;
    }
    while ((got = series_next(series, NULL, &piece)) > 0) {
        const struct block *b = piece.samples; /* what was thinned out can't be played */
        for (uint32_t i = piece.from; b && got > 0 && i < piece.to; i++) {
            int err = keep(b, i, tag->id);
            got = err ? err : got;
        }
    }
    series_close(series);
    return got;
}

static int by_time(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    return x->ns != y->ns     ? (x->ns < y->ns ? -1 : 1)
           : x->tag != y->tag ? (x->tag < y->tag ? -1 : 1)
                              : (x->order > y->order) - (x->order < y->order);
}

/* The next window with anything in it; none is left when player.count stays 0. */
static int read_window(void)
{
    player.count = player.at = player.text_size = 0;
    while (!player.count && player.next_ns <= player.to_ns) {
        int64_t end = player.to_ns - player.next_ns < player.window_ns
                          ? player.to_ns
                          : player.next_ns + player.window_ns - 1;
        for (struct device *d = player.devices; d; d = d->next) {
            for (size_t i = 0; i < d->config->tag_count; i++) {
                int err = read_tag(d->config->tags + i, player.next_ns, end);
                if (err) {
                    return err;
                }
            }
        }
        player.next_ns = end < INT64_MAX ? end + 1 : end;
        if (player.count > WINDOW_MANY && player.window_ns > NS_PER_MS) {
            player.window_ns /= 2;
        } else if (player.count < WINDOW_FEW && player.window_ns < WINDOW_LONG_NS) {
            player.window_ns *= 2;
        }
        if (end == player.to_ns) {
            player.next_ns = INT64_MAX;
        }
    }
    qsort(player.samples, player.count, sizeof *player.samples, by_time);
    return ERR_OK;
}

static int collect_tags(void)
{
    for (struct device *d = player.devices; d; d = d->next) {
        for (size_t i = 0; i < d->config->tag_count; i++) {
            uint32_t id = d->config->tags[i].id;
            player.end_id = id >= player.end_id ? id + 1 : player.end_id;
        }
    }
    player.tags = calloc(player.end_id / 64 + 1, sizeof *player.tags);
    player.owner = calloc(player.end_id + 1, sizeof(struct device *));
    if (!player.tags || !player.owner || player.end_id > TAGS_MOST) {
        return ERR_NOMEM;
    }
    for (struct device *d = player.devices; d; d = d->next) {
        for (size_t i = 0; i < d->config->tag_count; i++) {
            uint32_t id = d->config->tags[i].id;
            player.tags[id / 64] |= UINT64_C(1) << (id % 64);
            player.owner[id] = d;
        }
    }
    return ERR_OK;
}

/* The source as it is now; a segment may be sealed while it is read. */
static int open_source(void)
{
    const struct isthmus_device_config *c = player.devices->config;
    int64_t ns;
    if (clock_parse(setting(c, "from"), strlen(setting(c, "from")), &player.from_ns) ||
        clock_parse(setting(c, "to"), strlen(setting(c, "to")), &player.to_ns)) {
        return ERR_MALFORMED;
    }
    player.speed = strtod(setting(c, "speed"), NULL);
    player.window_ns = WINDOW_NS;
    player.next_ns = player.from_ns;
    player.dir = open(setting(c, "source"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = player.dir < 0 ? err_from_errno(errno) : collect_tags();
    err = err ? err : block_scratch_new(&player.scratch);
    err = err ? err : history_open(&player.history, &disk_files, player.dir);
    player.has_history = !err;
    for (int tries = 0; !err && tries < 100 && !player.has_tail; tries++) {
        ns = clock_utc_ns();
        err = history_refresh(&player.history, ns);
        err = err ? err
                  : tail_open(&player.tail, &player.history, NULL, player.tags, player.end_id, 0);
        int state = err;
        while (!err && state == 0) {
            size_t budget = 1u << 20;
            state = tail_step(&player.tail, &budget, TAIL_MOST);
        }
        player.has_tail = state > 0;
        if (!err && state < 0) {
            tail_close(&player.tail);
            err = state == ERR_NOT_FOUND ? ERR_OK : state;
        }
    }
    return err ? err : player.has_tail ? ERR_OK : ERR_BUSY;
}

/* ---- Playing ---- */

/* Up to BATCH samples of one device in a row, as far as there is room. */
static size_t publish_some(int64_t until_ns)
{
    struct isthmus_sample out[BATCH];
    const struct sample *first = player.samples + player.at;
    struct device *d = player.owner[first->tag];
    size_t count = 0, slots = BATCH_SLOTS, room = (size_t)player.host->room(player.host->context);
    while (count < BATCH && player.at < player.count) {
        const struct sample *s = player.samples + player.at;
        slots += 1 + (s->length + sizeof(struct slot) - 1) / sizeof(struct slot);
        if (s->ns > until_ns || player.owner[s->tag] != d || slots > room) {
            break;
        }
        out[count] = (struct isthmus_sample){.time_ns = s->ns, .tag = s->tag, .status = s->status};
        out[count].value.u64 = s->lengthy ? s->length : s->word;
        out[count].bytes = s->length ? player.texts + s->word : NULL;
        count++;
        player.at++;
    }
    if (!count) {
        return 0;
    }
    player.host->publish(player.host->context,
                         &(struct isthmus_batch){.device = d->config->index,
                                                 .acquired_ns = out[count - 1].time_ns,
                                                 .clock_uncertainty_ns = -1,
                                                 .samples = out,
                                                 .count = count});
    d->figures.requests++;
    d->figures.replies += count;
    d->figures.bytes_in = (uint64_t)(out[count - 1].time_ns - player.from_ns) / NS_PER_MS;
    return count;
}

/* Plays what is due, as far as there is room. */
static void play(void)
{
    int64_t until = INT64_MAX;
    if (player.speed > 0) {
        double passed =
            (double)(player.host->now_mono(player.host->context) - player.started_mono_ns);
        double reach = passed * player.speed;
        until = reach < (double)(player.to_ns - player.from_ns) ? player.from_ns + (int64_t)reach
                                                                : player.to_ns;
    }
    for (int turns = 0; turns < 64 && !player.done && !player.failed; turns++) {
        if (player.at == player.count) {
            int err = read_window();
            if (err) {
                fail("the history can't be read", err);
                return;
            }
            player.done = !player.count;
            continue;
        }
        if (!publish_some(until)) { /* nothing is due, or there is no room */
            break;
        }
    }
    if (player.done) {
        tell(ISTHMUS_DOWN, "replayed");
    }
}

static void on_tick(uv_timer_t *ticking)
{
    (void)ticking;
    if (player.done || player.failed) {
        return;
    }
    if (!player.begun) {
        player.begun = true;
        int err = open_source();
        if (err) {
            fail("the history can't be opened", err);
            return;
        }
        player.started_mono_ns = player.host->now_mono(player.host->context);
        tell(ISTHMUS_UP, "");
    }
    play();
    for (struct device *d = player.devices; d; d = d->next) {
        player.host->figures(player.host->context, d->config->index, &d->figures);
    }
}

/* ---- The driver ---- */

static int check_address(const char *address, enum isthmus_type type, uint32_t max_length,
                         enum isthmus_type *type_out, char *why, size_t why_size)
{
    (void)max_length;
    if (!*address) {
        snprintf(why, why_size, "is empty");
        return -1;
    }
    *type_out = type ? type : ISTHMUS_FLOAT64;
    return 0;
}

static void *replay_open(const struct isthmus_host *host,
                         const struct isthmus_device_config *config)
{
    struct device *d = calloc(1, sizeof *d), **end = &player.devices;
    if (!d) {
        return NULL;
    }
    d->config = config;
    while (*end) {
        end = &(*end)->next;
    }
    *end = d;
    player.host = host;
    if (!player.ticking) {
        uv_timer_init(host->loop, &timer);
        uv_timer_start(&timer, on_tick, TICK_MS, TICK_MS); /* when all devices are open */
        player.ticking = true;
    }
    host->state(host->context, config->index, ISTHMUS_CONNECTING, "");
    return d;
}

static void release(void)
{
    if (player.has_tail) {
        tail_close(&player.tail);
    }
    if (player.has_history) {
        history_close(&player.history);
    }
    if (player.dir >= 0) {
        close(player.dir);
    }
    block_scratch_free(player.scratch);
    free(player.tags);
    free(player.owner);
    free(player.samples);
    free(player.texts);
    player = (struct player){.dir = -1};
}

static void on_timer_closed(uv_handle_t *closed)
{
    const struct isthmus_host *host = player.host;
    (void)closed;
    release();
    host->closed(host->context, last_closed);
}

static void replay_close(void *device)
{
    struct device *d = device, **at = &player.devices;
    uint32_t index = d->config->index;
    player.done = true; /* nothing is played while devices go */
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    free(d);
    if (player.devices) {
        player.host->closed(player.host->context, index);
        return;
    }
    last_closed = index;
    uv_close((uv_handle_t *)&timer, on_timer_closed);
}

static const struct isthmus_driver driver = {
    .abi = ISTHMUS_DRIVER_ABI,
    .size = sizeof driver,
    .name = "replay",
    .summary = "History that comes again, for isthmus replay.",
    .address_help = "anything: samples are found by their tags",
    .options = options,
    .check_address = check_address,
    .open = replay_open,
    .close = replay_close,
};

const struct isthmus_driver *isthmus_driver(void)
{
    return &driver;
}
