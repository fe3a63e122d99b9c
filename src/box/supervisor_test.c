/* SPDX-License-Identifier: Apache-2.0 */
/* A whole gateway of processes: a real keeper, supervisor and boxes; the engine and the reader are small stand-ins, the
 * south box runs a hostile driver (hostile.c), the north box names a module that does not exist. This test watches from
 * outside, through the health segment, and kills whom it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "box/sandbox.h"
#include "box/supervisor.h"
#include "box/test_plan.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/isthmus-keeper-XXXXXX";
static char deed_file[80];
static struct gateway *g;
static pid_t keeper;
static volatile sig_atomic_t asked_to_stop;

static void on_term(int number)
{
    (void)number;
    asked_to_stop = 1;
}

/* The stand-in of the engine: takes what the field box publishes, and reports garbage. */
struct stand_in {
    struct seat *field;
    struct ring_consumer up;
    uint64_t epoch;
    bool condemned;
};

static void condemn(struct stand_in *s)
{
    struct verdict *v = s->field->verdict;
    s->condemned = true;
    atomic_store(&v->epoch, s->epoch);
    words_from_text(v->reason, 12, "its ring holds garbage");
    atomic_fetch_add(&v->raised, 1);
}

static void take(struct stand_in *s)
{
    struct seat *f = s->field;
    static struct slot slots[256];
    uint64_t epoch = atomic_load(&f->panel->epoch);
    if (epoch != s->epoch) {
        s->epoch = epoch;
        s->condemned = false;
        if (ring_consumer_init(&s->up, f->up, f->up_capacity, f->up_tail)) {
            condemn(s);
        }
    }
    if (s->condemned) {
        return;
    }
    int n = ring_take(&s->up, slots, 256);
    for (int i = 0; i < n; i++) {
        uint32_t tag = slot_id(slots + i);
        if (!slot_is_control(slots + i) && slots[i].status == 0 && slots[i].value.u64 != 42 &&
            tag > 3) {
            n = ERR_GARBAGE;
        }
    }
    if (n < 0) {
        condemn(s);
    } else {
        ring_release(&s->up, s->up.next);
    }
}

static int middle(struct gateway *own)
{
    struct panel *panel = own->seats[own->seat].panel;
    struct stand_in s = {.field = own->seats + TEST_FIELD};
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    if (sandbox_enter(own, &(struct sandbox_profile){.read_dir = own->state_dir})) {
        return 1;
    }
    atomic_store(&panel->ready, 1);
    while (!asked_to_stop) {
        atomic_store(&panel->heartbeat_ns, clock_mono_ns());
        if (own->seat == SEAT_ENGINE) {
            take(&s);
        }
        poll(NULL, 0, 5);
    }
    if (own->seat == SEAT_ENGINE) {
        take(&s); /* what the boxes left */
    }
    return 0;
}

static const struct middle all_middle = {.main = {[SEAT_ENGINE] = middle,
                                                  [SEAT_READER] = middle,
                                                  [SEAT_SEALER] = middle,
                                                  [SEAT_IDENTITY] = middle}};

/* Waits until `condition` holds, for at most `seconds`. */
#define AWAIT(condition, seconds)                                                                  \
    do {                                                                                           \
        int64_t until = clock_mono_ns() + (seconds)*NS_PER_S;                                      \
        while (!(condition) && clock_mono_ns() < until) {                                          \
            poll(NULL, 0, 2);                                                                      \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static uint32_t state_of(int seat)
{
    return atomic_load(&g->health->seats[seat].state);
}
static pid_t pid_of(int seat)
{
    return (pid_t)atomic_load(&g->health->seats[seat].pid);
}
static const char *reason_of(int seat)
{
    static char text[97];
    text_from_words(g->health->seats[seat].reason, 12, text);
    return text;
}
static bool all_run(void)
{
    return state_of(SEAT_ENGINE) == SEAT_RUNNING && state_of(SEAT_READER) == SEAT_RUNNING &&
           state_of(SEAT_SEALER) == SEAT_RUNNING && state_of(SEAT_IDENTITY) == SEAT_RUNNING &&
           state_of(TEST_FIELD) == SEAT_RUNNING;
}

static int start_gateway(void **state)
{
    (void)state;
    void *image;
    size_t size;
    if (test_plan(&image, &size, folder, NULL, NULL) || gateway_new(&g, image, size)) {
        return -1;
    }
    keeper = fork();
    if (keeper == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka catches it otherwise */
        _exit(keeper_run(g, &all_middle));
    }
    return keeper < 0;
}

static int stop_gateway(void **state)
{
    (void)state;
    int status = 0;
    pid_t supervisor = (pid_t)atomic_load(&g->health->supervisor_pid);
    pid_t engine = pid_of(SEAT_ENGINE);
    int64_t from = clock_mono_ns();
    kill(keeper, SIGTERM);
    waitpid(keeper, &status, 0);
    bool in_time = clock_mono_ns() - from < 2 * NS_PER_S;
    bool gone = kill(supervisor, 0) < 0 && (engine == 0 || kill(engine, 0) < 0);
    gateway_free(g);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && in_time && gone ? 0 : -1;
}

static void all_but_the_impossible_run(void **state)
{
    (void)state;
    AWAIT(all_run(), 10);
    AWAIT(strstr(reason_of(TEST_CLOUD), "none"), 10); /* names the missing module */
    AWAIT(atomic_load(&g->health->seats[TEST_CLOUD].restarts) >= 2, 10);
    AWAIT(atomic_load(&g->health->seats[SEAT_ENGINE].pss_bytes) > 0, 10);
    assert_true(atomic_load(&g->health->keeper_pid) == (uint32_t)keeper);
    AWAIT(atomic_load(&g->seats[TEST_FIELD].up_tail->tail) > 0, 10);
    for (unsigned bit = 0; sandbox_layer_name(bit); bit++) {
        if (atomic_load(&g->health->seats[TEST_FIELD].layers_missing) & (1u << bit)) {
            print_message("field lacks %s\n", sandbox_layer_name(bit));
        }
    }
}

static void a_second_gateway_on_the_same_folder_is_refused(void **state)
{
    (void)state;
    int status;
    AWAIT(all_run(), 10);
    pid_t second = fork();
    if (second == 0) {
        struct gateway *own;
        void *image;
        size_t size;
        if (test_plan(&image, &size, folder, NULL, NULL) || gateway_new(&own, image, size)) {
            _exit(99);
        }
        _exit(keeper_run(own, &all_middle));
    }
    waitpid(second, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(all_run());
}

static void any_killed_process_comes_back(void **state)
{
    (void)state;
    AWAIT(all_run(), 10);
    for (int seat = 0; seat <= TEST_FIELD; seat++) {
        pid_t before = pid_of(seat);
        uint64_t epoch = atomic_load(&g->seats[seat].panel->epoch);
        kill(before, SIGKILL);
        AWAIT(pid_of(seat) != before && all_run(), 10);
        assert_non_null(strstr(reason_of(seat), "signal 9"));
        assert_true(atomic_load(&g->seats[seat].panel->epoch) == epoch + 1);
        assert_true(atomic_load(&g->health->seats[seat].restarts) == 1);
    }
}

static void a_killed_supervisor_is_healed(void **state)
{
    (void)state;
    AWAIT(all_run(), 10);
    for (uint32_t round = 1; round <= 2; round++) {
        pid_t before[TEST_FIELD + 1], supervisor = (pid_t)atomic_load(&g->health->supervisor_pid);
        uint64_t tail = atomic_load(&g->seats[TEST_FIELD].up_tail->tail);
        for (int seat = 0; seat <= TEST_FIELD; seat++) {
            before[seat] = pid_of(seat);
        }
        kill(supervisor, SIGKILL);
        AWAIT(atomic_load(&g->health->supervisor_restarts) == round, 10);
        for (int seat = 0; seat <= TEST_FIELD; seat++) {
            AWAIT(pid_of(seat) != before[seat], 10);
            assert_true(kill(before[seat], 0) < 0); /* nobody is left behind */
        }
        AWAIT(all_run(), 10);
        AWAIT(atomic_load(&g->seats[TEST_FIELD].up_tail->tail) > tail, 10); /* and goes on */
    }
}

/* An engine in its back-off when the gateway is stopped: it is started once more, for what the rings hold. */
static void a_stop_does_not_forget_the_rings(void **state)
{
    (void)state;
    int status;
    AWAIT(all_run(), 10);
    for (int i = 0; i < 5; i++) { /* the back-off doubles */
        AWAIT(state_of(SEAT_ENGINE) == SEAT_RUNNING, 10);
        kill(pid_of(SEAT_ENGINE), SIGKILL);
        AWAIT(state_of(SEAT_ENGINE) == SEAT_WAITING, 10);
    }
    uint64_t starts = atomic_load(&g->health->seats[SEAT_ENGINE].starts);
    int64_t from = clock_mono_ns();
    kill(keeper, SIGTERM);
    waitpid(keeper, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(clock_mono_ns() - from < 2 * NS_PER_S);
    assert_int_equal(atomic_load(&g->health->seats[SEAT_ENGINE].starts), starts + 1);
    const struct seat *field = g->seats + TEST_FIELD;
    const struct ring_head *head = field->up;
    assert_true(atomic_load(&head->head) == atomic_load(&field->up_tail->tail));
}

static int start_as_reaper(void **state)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* the keeper's orphans come to us */
    return start_gateway(state);
}

static int free_gateway(void **state)
{
    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    gateway_free(g);
    return 0;
}

static void the_keepers_death_ends_all(void **state)
{
    (void)state;
    AWAIT(all_run(), 10);
    kill(keeper, SIGKILL);
    AWAIT(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, 10);
}

static void misdeed(const char *deed, const char *reason, int seconds)
{
    AWAIT(all_run(), 10);
    pid_t before = pid_of(TEST_FIELD), engine = pid_of(SEAT_ENGINE);
    uint32_t restarts = atomic_load(&g->health->seats[TEST_FIELD].restarts);
    FILE *f = fopen(deed_file, "w");
    assert_non_null(f);
    fputs(deed, f);
    fclose(f);
    kill(before, SIGKILL); /* its successor finds the file */
    AWAIT(atomic_load(&g->health->seats[TEST_FIELD].restarts) >= restarts + 2, seconds);
    if (!strstr(reason_of(TEST_FIELD), reason)) {
        fail_msg("%s: '%s'", deed, reason_of(TEST_FIELD));
    }
    uint64_t tail = atomic_load(&g->seats[TEST_FIELD].up_tail->tail);
    AWAIT(all_run(), 15);
    AWAIT(atomic_load(&g->seats[TEST_FIELD].up_tail->tail) > tail, 10); /* its data flow again */
    assert_int_equal(pid_of(SEAT_ENGINE), engine); /* and the engine never noticed */
}

static void a_box_that_writes_garbage_is_restarted(void **state)
{
    (void)state;
    misdeed("ring", "garbage", 10);
    misdeed("ones", "garbage", 10);
    misdeed("panel", "garbage", 10);
}

static void a_box_that_ends_is_restarted_with_the_reason(void **state)
{
    (void)state;
    misdeed("crash", "signal 11", 10);
    misdeed("exit", "exit status 3", 10);
}

static void a_box_that_hangs_is_restarted(void **state)
{
    (void)state;
    misdeed("hang", "heartbeat lost", 15);
}

static void a_box_that_abuses_descriptors_harms_nobody(void **state)
{
    (void)state;
    misdeed("descriptors", "exit status 0", 10);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(deed_file, sizeof deed_file, "%s/deed", folder);
    setenv("ISTHMUS_HOSTILE", deed_file, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/lock", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/journal", folder);
    rmdir(path);
    return rmdir(folder);
}

#define GATEWAY_TEST(f) cmocka_unit_test_setup_teardown(f, start_gateway, stop_gateway)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GATEWAY_TEST(all_but_the_impossible_run),
        GATEWAY_TEST(a_second_gateway_on_the_same_folder_is_refused),
        GATEWAY_TEST(any_killed_process_comes_back),
        GATEWAY_TEST(a_killed_supervisor_is_healed),
        cmocka_unit_test_setup_teardown(a_stop_does_not_forget_the_rings, start_gateway,
                                        free_gateway),
        cmocka_unit_test_setup_teardown(the_keepers_death_ends_all, start_as_reaper, free_gateway),
        GATEWAY_TEST(a_box_that_writes_garbage_is_restarted),
        GATEWAY_TEST(a_box_that_ends_is_restarted_with_the_reason),
        GATEWAY_TEST(a_box_that_hangs_is_restarted),
        GATEWAY_TEST(a_box_that_abuses_descriptors_harms_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
