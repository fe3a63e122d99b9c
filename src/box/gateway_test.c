/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may do with the shared memory once it has taken its seat. Each case runs in a forked child, as in life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "box/gateway.h"
#include "box/test_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gateway *make(void)
{
    void *image;
    size_t size;
    struct gateway *g = NULL;
    assert_int_equal(test_plan(&image, &size, "/var/lib/isthmus", "127.0.0.1:502", NULL), 0);
    assert_int_equal(gateway_new(&g, image, size), 0);
    return g;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

typedef void child_body(struct gateway *g);

/* 0, the exit status, or the signal's number + 1000. */
static int in_seat(struct gateway *g, int seat, child_body *body)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka catches it otherwise */
        signal(SIGBUS, SIG_DFL);
        CHECK(gateway_enter(g, seat) == 0);
        body(g);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) + 1000 : WEXITSTATUS(status);
}

static void field_body(struct gateway *g)
{
    struct seat *s = g->seats + TEST_FIELD;
    CHECK(g->seat == TEST_FIELD && g->plan.header->tags.count == 3);
    CHECK(s->panel && s->up && s->up_tail && s->down && s->devices && s->drops && s->drops_seen);
    CHECK(!s->ask && !s->answer && s->to_reader_write == -1);
    CHECK(s->to_engine_write >= 0 && s->from_engine_read >= 0 && s->to_engine_read == -1);
    CHECK(!g->health && !g->zones[0].entries && !g->seats[TEST_CLOUD].panel);
    CHECK(!g->seats[TEST_CLOUD].name[0]); /* it does not even know who else is there */
    CHECK(g->engine && g->seats[SEAT_READER].panel && !g->seats[SEAT_READER].up);
    CHECK(atomic_load(&s->panel->epoch) == g->life + 1);
    struct ring_producer up;
    CHECK(ring_producer_init(&up, s->up, s->up_capacity, s->up_tail, s->to_engine_write) == 0);
    struct slot slot = {.tag = 2, .value.u64 = 42};
    CHECK(ring_put(&up, &slot, 1) == 0);
    ring_publish(&up);
    for (int fd = 3; fd < 1024; fd++) {
        bool own = fd == s->to_engine_write || fd == s->from_engine_read;
        CHECK(own == (fcntl(fd, F_GETFD) >= 0));
    }
}

static void cloud_body(struct gateway *g)
{
    struct seat *s = g->seats + TEST_CLOUD;
    CHECK(s->panel && s->up && s->ask && s->ask_tail && s->answer && s->answer_tail);
    CHECK(!s->devices && s->to_reader_write >= 0 && s->from_reader_read >= 0);
    CHECK(g->plan.header->tags.count == 1 && g->engine && g->seats[SEAT_READER].panel);
    CHECK(!g->seats[TEST_FIELD].panel && !g->seats[TEST_FIELD].up);
}

static void engine_body(struct gateway *g)
{
    struct seat *s = g->seats + TEST_FIELD;
    struct ring_consumer up;
    struct slot slot;
    CHECK(ring_consumer_init(&up, s->up, s->up_capacity, s->up_tail) == 0);
    CHECK(ring_take(&up, &slot, 1) == 1 && slot.value.u64 == 42);
    ring_release(&up, up.next);
    CHECK(g->zones[0].entries && g->health && g->seats[TEST_CLOUD].up);
    now_write(g->zones, g->plan.tags, &(struct slot){.tag = 1, .value.u64 = 7}, NULL, 1);
    CHECK(s->to_engine_read >= 0 && s->from_engine_write >= 0 && s->to_engine_write == -1);
}

static void reader_body(struct gateway *g)
{
    struct now_value v;
    CHECK(now_read(g->zones, g->plan.tags, &v) == 0 && v.slot.value.u64 == 7);
    struct seat *s = g->seats + TEST_CLOUD;
    CHECK(s->to_reader_read >= 0 && s->from_reader_write >= 0 && s->to_engine_read == -1);
    CHECK(s->ask && s->answer && g->health);
    atomic_store(&s->ask_tail->naps, 2);
}

static void each_seat_has_its_own_and_no_more(void **state)
{
    (void)state;
    struct gateway *g = make();
    assert_int_equal(g->life & 0xfffff, 0);
    assert_int_equal(in_seat(g, TEST_FIELD, field_body), 0);
    assert_int_equal(in_seat(g, TEST_CLOUD, cloud_body), 0);
    assert_int_equal(in_seat(g, SEAT_ENGINE, engine_body), 0);
    assert_int_equal(in_seat(g, SEAT_READER, reader_body), 0);
    assert_true(atomic_load(&g->seats[TEST_FIELD].panel->epoch) == g->life + 1);
    gateway_free(g);
}

static void write_engine(struct gateway *g)
{
    atomic_store(&g->engine->panel.epoch, 0);
}
static void write_tail(struct gateway *g)
{
    atomic_store((_Atomic uint64_t *)&g->seats[g->seat].up_tail->tail, 5);
}
static void write_part(struct gateway *g)
{
    *(uint8_t *)(uintptr_t)g->plan.image = 1;
}
static void read_dropped(struct gateway *g)
{
    (void)atomic_load(&g->health->supervisor.epoch); /* NULL by now */
}

static void foreign_memory_cannot_be_touched(void **state)
{
    (void)state;
    child_body *const bodies[] = {write_engine, write_tail, write_part, read_dropped};
    struct gateway *g = make();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int how = in_seat(g, TEST_FIELD, bodies[i]);
        assert_true(how == SIGSEGV + 1000 || how == 1); /* a sanitizer exits with 1 */
    }
    gateway_free(g);
}

/* What a box tries that wants more than it was given. */
static void make_writable(struct gateway *g)
{
    uintptr_t page = (uintptr_t)g->engine & ~(uintptr_t)4095;
    CHECK(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
    /* through its mapping in /proc */
    char line[300], link[100];
    FILE *maps = fopen("/proc/self/maps", "r");
    int tried = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (!strstr(line, "memfd:isthmus") || sscanf(line, "%lx-%lx", &from, &to) != 2) {
            continue;
        }
        snprintf(link, sizeof link, "/proc/self/map_files/%lx-%lx", from, to);
        int fd = open(link, O_RDWR);
        if (fd >= 0) {
            CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
            CHECK(pwrite(fd, "x", 1, 0) < 0);
            CHECK(ftruncate(fd, 0) < 0 && ftruncate(fd, 1 << 20) < 0);
            CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
            close(fd);
        }
        tried++;
    }
    CHECK(tried > 3);
}

static void sealed_memory_stays_sealed(void **state)
{
    (void)state;
    struct gateway *g = make();
    assert_int_equal(in_seat(g, TEST_FIELD, make_writable), 0);
    /* and in the keeper itself, with the descriptors in hand, also re-opened */
    int sealed = 0;
    for (int fd = 3; fd < 200; fd++) {
        int seals = fcntl(fd, F_GET_SEALS);
        if (seals <= 0) {
            continue;
        }
        char link[40];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int again = open(link, O_RDWR);
        assert_true(again >= 0);
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0),
                         MAP_FAILED);
        assert_int_equal(ftruncate(again, 0), -1);
        assert_int_equal(pwrite(again, "x", 1, 0), -1);
        close(again);
        sealed++;
    }
    assert_true(sealed > 5);
    gateway_free(g);
}

static void scramble(struct gateway *g)
{
    struct seat *s = g->seats + g->seat;
    memset(s->up, 0xee, ring_bytes(s->up_capacity));
    memset(s->down_tail, 0xee, sizeof *s->down_tail);
}

static void rings_are_made_whole_again(void **state)
{
    (void)state;
    struct gateway *g = make();
    struct seat *s = g->seats + TEST_FIELD;
    struct ring_consumer up;
    struct ring_producer down;
    struct slot slot;
    assert_int_equal(ring_consumer_init(&up, s->up, s->up_capacity, s->up_tail), 0);
    assert_int_equal(in_seat(g, TEST_FIELD, scramble), 0);
    assert_int_equal(ring_take(&up, &slot, 1), ERR_GARBAGE);
    gateway_reset_rings(g, TEST_FIELD);
    assert_int_equal(ring_consumer_init(&up, s->up, s->up_capacity, s->up_tail), 0);
    assert_true(up.next >= s->up_capacity); /* no position is used twice */
    assert_int_equal(ring_take(&up, &slot, 1), 0);
    assert_int_equal(ring_producer_init(&down, s->down, s->down_capacity, s->down_tail, -1), 0);
    assert_int_equal(ring_room(&down), s->down_capacity);
    gateway_free(g);
}

static void nap(struct gateway *g)
{
    struct seat *s = g->seats + g->seat;
    struct ring_consumer down;
    CHECK(ring_consumer_init(&down, s->down, s->down_capacity, s->down_tail) == 0);
    struct slot sink;
    while (ring_take(&down, &sink, 1) == 1) {
        ring_release(&down, down.next);
    }
    CHECK(ring_nap(&down));
}

/* A box is killed in its sleep after its wake-up was used up; its successor must still be woken. */
static void a_successor_is_woken(void **state)
{
    (void)state;
    struct gateway *g = make();
    struct seat *s = g->seats + TEST_FIELD;
    struct ring_producer down;
    struct pollfd wake = {s->from_engine_read, POLLIN, 0};
    char byte;
    assert_int_equal(
        ring_producer_init(&down, s->down, s->down_capacity, s->down_tail, s->from_engine_write),
        0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in_seat(g, TEST_FIELD, nap), 0);
        assert_int_equal(ring_put(&down, &(struct slot){.tag = 1}, 1), 0);
        ring_publish(&down);
        assert_int_equal(poll(&wake, 1, 5000), 1);
        assert_int_equal(read(s->from_engine_read, &byte, 1), 1);
    }
    gateway_free(g);
}

static void texts_survive_as_words(void **state)
{
    (void)state;
    _Atomic uint64_t words[2];
    char text[17];
    static const char *const rows[] = {"", "a", "12345678", "123456789abcdef", "0123456789abcdef!"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        words_from_text(words, 2, rows[i]);
        text_from_words(words, 2, text);
        assert_int_equal(strncmp(text, rows[i], 16), 0);
        assert_true(strlen(text) <= 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_seat_has_its_own_and_no_more),
        cmocka_unit_test(foreign_memory_cannot_be_touched),
        cmocka_unit_test(sealed_memory_stays_sealed),
        cmocka_unit_test(rings_are_made_whole_again),
        cmocka_unit_test(a_successor_is_woken),
        cmocka_unit_test(texts_survive_as_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
