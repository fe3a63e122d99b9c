/* SPDX-License-Identifier: Apache-2.0 */
#include "history/test_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tag/record.h"
#include "tag/status.h"

#define SLOTS_MAX 512u

enum value_type folder_type(uint32_t id)
{
    static const enum value_type types[] = {0,          VALUE_FLOAT64, VALUE_UINT16, VALUE_BOOL,
                                            VALUE_TEXT, VALUE_FLOAT32, VALUE_FLOAT64};
    return types[id];
}

uint32_t folder_random(struct folder *f, uint32_t below)
{
    f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((f->random >> 33) % below);
}

/* No power goes here: flushing would only take time. */
static int flush_nothing(void *context, int fd)
{
    (void)context;
    (void)fd;
    return ERR_OK;
}

static const struct disk *quick_disk(void)
{
    static struct disk disk;
    disk = disk_files;
    disk.flush = disk.flush_dir = flush_nothing;
    return &disk;
}

void folder_init(struct folder *f, uint64_t seed)
{
    *f = (struct folder){.disk = quick_disk(),
                         .next_segment = 1,
                         .next_sequence = 1,
                         .now_ns = INT64_C(1700000000) * NS_PER_S,
                         .random = seed};
    strcpy(f->path, "/tmp/isthmus-history-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->dir >= 0);
    assert_int_equal(history_open(&f->history, f->disk, f->dir), 0);
}

static void remove_name(void *to, const char *name)
{
    const struct folder *f = to;
    unlinkat(f->dir, name, 0);
}

void folder_fini(struct folder *f)
{
    history_close(&f->history);
    assert_int_equal(f->disk->list(f->disk->context, f->dir, remove_name, f), 0);
    close(f->dir);
    rmdir(f->path);
    free(f->samples);
}

static void remember(struct folder *f, const struct slot *s, const uint8_t *text)
{
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 1024;
        f->samples = realloc(f->samples, f->room * sizeof *f->samples);
        assert_non_null(f->samples);
    }
    struct folder_sample *to = f->samples + f->count++;
    *to = (struct folder_sample){.slot = *s};
    to->slot.tag = slot_id(s);
    if (text) {
        memcpy(to->text, text, (size_t)s->value.u64);
    }
}

static uint64_t value_of(struct folder *f, uint32_t id)
{
    union slot_value v = {.u64 = folder_random(f, 3)};
    if (folder_type(id) == VALUE_UINT16) {
        v.u64 = folder_random(f, 65536);
    } else if (value_is_float(folder_type(id))) {
        v.f64 = folder_random(f, 50) || f->well ? (double)folder_random(f, 10000) / 100.0 : NAN;
        v.f64 = folder_type(id) == VALUE_FLOAT32 ? (double)(float)v.f64 : v.f64;
    } else if (folder_type(id) == VALUE_BOOL) {
        v.u64 &= 1;
    }
    return v.u64;
}

static int64_t time_of(struct folder *f)
{
    switch (folder_random(f, 40)) {
    case 0:
        return f->now_ns - (int64_t)folder_random(f, 600) * NS_PER_S; /* late */
    case 1:
        return f->now_ns + (int64_t)folder_random(f, 60) * NS_PER_S; /* a clock that is ahead */
    default:
        return f->now_ns;
    }
}

static size_t put_sample(struct folder *f, struct slot *out, uint32_t id)
{
    static const uint32_t statuses[] = {
        0, 0, 0, 0, 0, 0, 0, (uint32_t)STATUS_UNCERTAIN, (uint32_t)STATUS_BAD_TIMEOUT};
    struct slot s = {.time = time_of(f), .value.u64 = value_of(f, id), .tag = id};
    uint32_t status = statuses[folder_random(f, sizeof statuses / sizeof *statuses)];
    s.status = f->well ? 0 : status;
    if (folder_type(id) != VALUE_TEXT) {
        *out = s;
        remember(f, &s, NULL);
        return 1;
    }
    uint8_t text[FOLDER_TEXT_MAX];
    memset(text, 'a' + (int)folder_random(f, 20), sizeof text);
    s.value.u64 = folder_random(f, FOLDER_TEXT_MAX + 1);
    s.tag |= SLOT_LONG;
    size_t slots = slot_count_for((size_t)s.value.u64);
    memset(out, 0, slots * sizeof *out);
    *out = s;
    memcpy(out + 1, text, (size_t)s.value.u64);
    remember(f, &s, text);
    return slots;
}

static size_t put_gap(struct folder *f, struct slot *out)
{
    struct record_gap gap = {.scope = GAP_TAG,
                             .which = 1 + folder_random(f, FOLDER_TAGS),
                             .cause = GAP_DEVICE_DOWN,
                             .from_ns = f->now_ns - NS_PER_S,
                             .to_ns = f->now_ns,
                             .missed = 1};
    size_t slots = slot_count_for(sizeof gap);
    memset(out, 0, slots * sizeof *out);
    *out = (struct slot){.time = f->now_ns, .value.u64 = sizeof gap, .tag = record_tag(RECORD_GAP)};
    memcpy(out + 1, &gap, sizeof gap);
    f->gaps++;
    return slots;
}

static void put(struct folder *f, int fd, uint64_t *offset, const void *data, size_t size)
{
    assert_int_equal(disk_write_all(f->disk, fd, data, size, *offset), 0);
    *offset += size;
}

static void put_frame(struct folder *f, int fd, uint64_t *offset, enum frame_kind kind,
                      const struct slot *slots, size_t count, uint64_t sequences)
{
    static struct {
        struct frame_header h;
        struct slot slots[SLOTS_MAX];
    } frame;
    frame.h = (struct frame_header){.kind = kind,
                                    .slot_count = (uint32_t)count,
                                    .first_sequence = f->next_sequence,
                                    .sequences = sequences,
                                    .now_ns = f->now_ns};
    memcpy(frame.slots, slots, count * sizeof *slots);
    frame_seal(&frame.h);
    put(f, fd, offset, &frame, frame.h.length);
    f->next_sequence += sequences;
}

static void put_catalogue(struct folder *f, int fd, uint64_t *offset)
{
    struct slot slots[FOLDER_TAGS * 2] = {0};
    for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
        uint8_t *p = (uint8_t *)slots + (id - 1) * 32;
        struct frame_tag tag = {
            .id = id, .size = 32, .type = (uint8_t)folder_type(id), .path = 3, .unit = 1};
        memcpy(p, &tag, sizeof tag);
        memcpy(p + sizeof tag, "a/xm", 4);
        p[sizeof tag + 2] = (uint8_t)('0' + id);
    }
    put_frame(f, fd, offset, FRAME_TAGS, slots, FOLDER_TAGS * 32 / sizeof *slots, 0);
}

void folder_segment(struct folder *f, uint32_t frames)
{
    char name[SEGMENT_NAME_SIZE];
    struct segment_header h = {.number = f->next_segment++,
                               .epoch = 1,
                               .first_sequence = f->next_sequence,
                               .created_ns = f->now_ns};
    uint64_t offset = 0;
    segment_seal(&h);
    segment_name(h.number, name);
    int fd = f->disk->open(f->disk->context, f->dir, name, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    put(f, fd, &offset, &h, sizeof h);
    put_catalogue(f, fd, &offset);
    for (uint32_t i = 0; i < frames; i++) {
        struct slot slots[SLOTS_MAX];
        size_t count = 0, sequences = 0;
        f->now_ns += folder_random(f, 20) ? NS_PER_S : 0;
        for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
            if (id < FOLDER_TAGS || !folder_random(f, 100)) {
                count += put_sample(f, slots + count, id);
                sequences++;
            }
        }
        if (!folder_random(f, 30)) {
            count += put_gap(f, slots + count);
            sequences++;
        }
        put_frame(f, fd, &offset, FRAME_DATA, slots, count, sequences);
    }
    f->disk->close(f->disk->context, fd);
    assert_int_equal(history_refresh(&f->history, 0), 0);
}

static void remove_raw(struct folder *f, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    assert_int_equal(f->disk->remove(f->disk->context, f->dir, name), 0);
}

bool folder_seal(struct folder *f)
{
    struct seal seal = {.disk = f->disk, .dir = f->dir, .created_ns = f->now_ns};
    struct sealed_header h;
    if (!f->history.shelf->raw_count) {
        return false;
    }
    uint64_t number = f->history.shelf->raw[0];
    assert_int_equal(seal_segment(&seal, number, f->history.shelf->end_epoch,
                                  f->history.shelf->end_sequence, &h),
                     0);
    remove_raw(f, number);
    assert_int_equal(history_refresh(&f->history, 0), 0);
    return true;
}

bool folder_merge(struct folder *f)
{
    struct shelf *s = f->history.shelf;
    struct seal seal = {.disk = f->disk, .dir = f->dir, .created_ns = f->now_ns};
    struct sealed_header h;
    if (s->file_count < 2) {
        return false;
    }
    uint32_t first = folder_random(f, s->file_count - 1);
    uint32_t count = 2 + folder_random(f, s->file_count - first - 1);
    s = shelf_hold(s);
    assert_int_equal(seal_merge(&seal, s->files + first, count, NULL, NULL, &h), 0);
    for (uint32_t i = first; i < first + count; i++) {
        assert_int_equal(f->disk->remove(f->disk->context, f->dir, s->files[i]->name), 0);
        assert_int_equal(s->files[i]->damage, 0);
    }
    shelf_release(s);
    assert_int_equal(history_refresh(&f->history, 0), 0);
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct folder_sample *const *x = a, *const *y = b;
    return (*x)->slot.time != (*y)->slot.time ? ((*x)->slot.time < (*y)->slot.time ? -1 : 1)
           : *x < *y                          ? -1
                                              : 1;
}

size_t folder_expect(const struct folder *f, uint32_t id, int64_t from_ns, int64_t to_ns,
                     const struct folder_sample **out)
{
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct folder_sample *s = f->samples + i;
        if (s->slot.tag == id && s->slot.time >= from_ns && s->slot.time <= to_ns) {
            out[count++] = s;
        }
    }
    qsort(out, count, sizeof *out, by_time);
    return count;
}

/* ---- What is there against the model. ---- */

static void same(const struct block *b, uint32_t at, const struct folder_sample *want)
{
    assert_int_equal(b->time[at], want->slot.time);
    assert_int_equal(b->value[at], want->slot.value.u64);
    assert_int_equal(b->status[at], want->slot.status);
    if (value_is_long(b->type)) {
        assert_memory_equal(b->text + b->text_at[at], want->text, (size_t)want->slot.value.u64);
    }
}

static void same_edge(int got, const struct slot *s, const uint8_t *text,
                      const struct folder_sample *want)
{
    assert_int_equal(got, want != NULL);
    if (want) {
        assert_int_equal(s->time, want->slot.time);
        assert_int_equal(s->value.u64, want->slot.value.u64);
        assert_int_equal(s->status, want->slot.status);
        assert_memory_equal(text, want->text,
                            folder_type(want->slot.tag) == VALUE_TEXT ? (size_t)s->value.u64 : 0);
    }
}

static const struct folder_sample **room(const struct folder *f)
{
    const struct folder_sample **p = malloc((f->count + 1) * sizeof *p);
    assert_non_null(p);
    return p;
}

/* One tag in one range is what the model says, and so are the samples next to the range. */
static void check_range(struct folder *f, struct tail *tail, uint32_t id, int64_t from_ns,
                        int64_t to_ns)
{
    struct series *s;
    struct piece piece;
    struct slot edge;
    const uint8_t *text = NULL;
    const struct folder_sample **want = room(f), **rest = room(f);
    size_t count = folder_expect(f, id, from_ns, to_ns, want), at = 0, n;
    struct series_options o = {.tag = id,
                               .type = folder_type(id),
                               .from_ns = from_ns,
                               .to_ns = to_ns,
                               .parts = BLOCK_ALL,
                               .tail = tail};
    assert_int_equal(series_open(&s, &f->history, &o), 0);
    n = from_ns > INT64_MIN ? folder_expect(f, id, INT64_MIN, from_ns - 1, rest) : 0;
    int got = series_before(s, &edge, &text);
    same_edge(got, &edge, text, n ? rest[n - 1] : NULL);
    n = to_ns < INT64_MAX ? folder_expect(f, id, to_ns + 1, INT64_MAX, rest) : 0;
    got = series_after(s, &edge, &text);
    same_edge(got, &edge, text, n ? rest[0] : NULL);
    bool whole = folder_random(f, 2);
    struct series_grid grid = {
        from_ns, to_ns > from_ns && from_ns > INT64_MIN ? (to_ns - from_ns) / 3 + 1 : INT64_MAX};
    while ((got = series_next(s, whole ? &grid : NULL, &piece)) > 0) {
        if (piece.summary) {
            assert_true(whole && series_cell(&grid, piece.summary->first_ns) ==
                                     series_cell(&grid, piece.summary->last_ns));
            assert_int_equal(piece.summary->first_ns, want[at]->slot.time);
            at += piece.summary->count;
            assert_true(at <= count);
            assert_int_equal(piece.summary->last_ns, want[at - 1]->slot.time);
            assert_int_equal(piece.summary->last, want[at - 1]->slot.value.u64);
            continue;
        }
        for (uint32_t i = piece.from; i < piece.to; i++) {
            assert_true(at < count);
            same(piece.samples, i, want[at++]);
        }
    }
    assert_int_equal(got, 0);
    assert_int_equal(at, count);
    assert_int_equal(series_damage(s), 0);
    series_close(s);
    free(want);
    free(rest);
}

static void open_tail(struct folder *f, struct tail *t)
{
    size_t budget = SIZE_MAX;
    assert_int_equal(tail_open(t, &f->history, NULL, NULL, 0, 0), 0);
    assert_int_equal(tail_step(t, &budget, SIZE_MAX), 1);
}

void folder_check(struct folder *f)
{
    struct tail tail;
    open_tail(f, &tail);
    int64_t begin = INT64_C(1700000000) * NS_PER_S;
    for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
        check_range(f, &tail, id, INT64_MIN, INT64_MAX);
        uint32_t span = (uint32_t)((f->now_ns - begin) / NS_PER_S) + 10;
        int64_t from = begin + (int64_t)folder_random(f, span) * NS_PER_S;
        check_range(f, &tail, id, from, from + (int64_t)folder_random(f, span) * NS_PER_S);
        check_range(f, &tail, id, from, from);
    }
    tail_close(&tail);
}
