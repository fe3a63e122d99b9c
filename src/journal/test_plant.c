/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include "base/clock.h"
#include "tag/plan_build.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void plant_init(struct plant *p, enum journal_sync sync, uint64_t segment_size, uint64_t limit)
{
    memset(p, 0, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "%s", "/tmp/isthmus-journal-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY);
    struct plan_build *b = plan_build_new();
    struct plan_header *h = plan_build_header(b);
    h->generation = 7;
    h->sync = sync;
    h->sync_ms = 10;
    h->segment_size = segment_size;
    h->journal_limit = limit;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "plc"), .kind = BOX_SOUTH});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"), .kind = BOX_NORTH});
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "plc1")});
    for (uint32_t i = 1; i <= PLANT_TAGS; i++) {
        char path[16];
        snprintf(path, sizeof path, "works/t%u", i);
        struct plan_tag t = {.id = i,
                             .path = plan_build_text(b, path),
                             .unit = plan_build_text(b, "Cel"),
                             .type = VALUE_UINT64,
                             .raw_type = VALUE_UINT64};
        plan_build_tag(b, &t);
    }
    size_t size;
    assert_int_equal(plan_build_finish(b, &p->image, &size), 0);
    plan_build_free(b);
    assert_int_equal(plan_open(&p->plan, p->image, size), 0);
    p->disk = &disk_files;
    p->buffer_bytes = 1u << 20;
}

void plant_fini(struct plant *p)
{
    plant_close(p);
    DIR *d = opendir(p->dir);
    for (const struct dirent *e; (e = readdir(d));) {
        unlinkat(p->dir_fd, e->d_name, 0);
    }
    closedir(d);
    rmdir(p->dir);
    close(p->dir_fd);
    free(p->image);
}

void plant_open(struct plant *p)
{
    struct journal_options o = {.dir = p->dir,
                                .plan = &p->plan,
                                .marks = &p->marks,
                                .buffer_bytes = p->buffer_bytes,
                                .disk = p->disk};
    assert_int_equal(journal_open(&p->journal, &o, &p->recovered), 0);
}

void plant_close(struct plant *p)
{
    journal_close(p->journal);
    p->journal = NULL;
}

bool plant_put(struct plant *p, size_t count, uint64_t value)
{
    struct journal_frame f = {.box = 0,
                              .box_epoch = 1,
                              .ring_from = p->position,
                              .ring_to = p->position + count,
                              .now_ns = (int64_t)(value + count)};
    struct slot *s = journal_begin(p->journal, &f, count);
    if (!s) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        s[i] = (struct slot){.time = (int64_t)(value + i),
                             .value.u64 = value + i,
                             .tag = (uint32_t)((value + i) % PLANT_TAGS + 1)};
    }
    journal_commit(p->journal, count, count);
    p->position += count;
    return true;
}

static void put_control(struct plant *p, uint32_t box, enum record_kind kind, uint32_t status,
                        const void *payload, size_t size)
{
    struct journal_frame f = {.box = box, .now_ns = 5};
    if (box == 1) {
        f = (struct journal_frame){.box = 1, .box_epoch = 1, .ring_from = 0, .ring_to = 10};
    }
    size_t count = slot_count_for(size);
    struct slot *s = journal_begin(p->journal, &f, count);
    assert_non_null(s);
    memset(s, 0, count * sizeof *s);
    *s = (struct slot){.value.u64 = size, .tag = record_tag(kind), .status = status};
    memcpy(s + 1, payload, size);
    journal_commit(p->journal, count, record_has_sequence(s));
}

void plant_put_gap(struct plant *p, const struct record_gap *gap)
{
    put_control(p, PLAN_NONE, RECORD_GAP, 0, gap, sizeof *gap);
}

void plant_store(struct plant *p, const char *key, const void *value, size_t size)
{
    uint8_t bytes[sizeof(struct record_store) + STORE_VALUE_MAX] = {0};
    struct record_store r = {.size = (uint32_t)size};
    memcpy(r.key, key, strlen(key));
    memcpy(bytes, &r, sizeof r);
    memcpy(bytes + sizeof r, value, size);
    put_control(p, 1, RECORD_STORE, 1, bytes, sizeof r + size);
}

bool plant_wait_durable(struct plant *p, uint64_t sequence)
{
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (journal_durable_sequence(p->journal) < sequence) {
        if (clock_mono_ns() > end) {
            return false;
        }
        poll(NULL, 0, 1);
    }
    return true;
}

void plant_settle(struct plant *p)
{
    assert_true(plant_wait_durable(p, journal_next_sequence(p->journal)));
}

int plant_files(struct plant *p, const char *suffix, char name[64])
{
    int n = 0;
    DIR *d = opendir(p->dir);
    name[0] = 0;
    for (const struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name), tail = strlen(suffix);
        if (length >= tail && !strcmp(e->d_name + length - tail, suffix)) {
            n++;
            if (strcmp(e->d_name, name) > 0) {
                snprintf(name, 64, "%.63s", e->d_name);
            }
        }
    }
    closedir(d);
    return n;
}
