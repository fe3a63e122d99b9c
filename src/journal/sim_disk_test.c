/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk does what it says: over many seeds every fate occurs, and what was flushed always survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/sim_disk.h"

#include <fcntl.h>
#include <string.h>

#define SEEDS 200u

static int make(struct sim *s, const char *name)
{
    const struct disk *d = sim_disk(s);
    int fd = d->open(d->context, 0, name, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    return fd;
}

static void put(struct sim *s, int fd, char c, size_t size, uint64_t offset)
{
    char bytes[4096];
    memset(bytes, c, sizeof bytes);
    assert_int_equal(disk_write_all(sim_disk(s), fd, bytes, size, offset), 0);
}

/* Where `c` stands among the file's bytes from..to: 0 nowhere, 1 in some places, 2 everywhere. */
static int spread(const uint8_t *bytes, size_t size, char c, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t at = from; at < to && at < size; at++) {
        n += bytes[at] == (uint8_t)c;
    }
    return n == 0 ? 0 : n == to - from ? 2 : 1;
}

static void what_was_flushed_survives_the_rest_may(void **state)
{
    (void)state;
    unsigned seen[3] = {0}, reordered = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *s = sim_new(seed);
        const struct disk *d = sim_disk(s);
        int fd = make(s, "a");
        put(s, fd, 'x', 1000, 0);
        assert_int_equal(d->flush(d->context, fd), 0);
        assert_int_equal(d->flush_dir(d->context, 0), 0);
        put(s, fd, 'y', 3000, 1000);
        put(s, fd, 'z', 3000, 4000);
        sim_cut_power(s, 1);
        assert_int_equal(d->flush(d->context, fd), ERR_IO);
        assert_true(sim_is_dead(s));
        d->close(d->context, fd);
        sim_power_on(s);
        size_t size;
        const uint8_t *bytes = sim_bytes(s, "a", &size);
        assert_int_equal(spread(bytes, size, 'x', 0, 1000), 2);
        seen[spread(bytes, size, 'y', 1000, 4000)]++;
        reordered +=
            spread(bytes, size, 'y', 1000, 4000) == 0 && spread(bytes, size, 'z', 4000, 7000) == 2;
        sim_free(s);
    }
    assert_true(seen[0] > 10 && seen[1] > 10 && seen[2] > 10 && reordered > 3);
}

static void names_survive_when_their_folder_was_flushed(void **state)
{
    (void)state;
    unsigned kept = 0, both = 0, only_new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *s = sim_new(seed);
        const struct disk *d = sim_disk(s);
        size_t size;
        d->close(d->context, make(s, "old"));
        assert_int_equal(d->flush_dir(d->context, 0), 0);
        d->close(d->context, make(s, "new"));
        assert_int_equal(d->rename(d->context, 0, "old", "older"), 0);
        assert_null(sim_bytes(s, "old", &size));
        sim_kill(s);
        sim_power_on(s);
        bool new = sim_bytes(s, "new", &size) != NULL, older = sim_bytes(s, "older", &size) != NULL;
        assert_true(older != (sim_bytes(s, "old", &size) != NULL)); /* never both, never none */
        kept += !new && !older;
        both += new &&older;
        only_new += new && !older;
        sim_free(s);
    }
    assert_true(kept > 10 && both > 10 && only_new > 10);
}

/* The trap: the second flush succeeds, and the data is not there. */
static void a_failed_flush_loses_pages_for_good(void **state)
{
    (void)state;
    unsigned lost = 0, seen = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *s = sim_new(seed);
        const struct disk *d = sim_disk(s);
        size_t size;
        int fd = make(s, "a");
        assert_int_equal(d->flush_dir(d->context, 0), 0);
        put(s, fd, 'x', 100, 0);
        sim_fail(s, SIM_FLUSH, 1, 1, ERR_IO);
        assert_int_equal(d->flush(d->context, fd), ERR_IO);
        const uint8_t *bytes = sim_bytes(s, "a", &size);
        seen += spread(bytes, size, 'x', 0, 100) == 2;
        assert_int_equal(d->flush(d->context, fd), 0);
        d->close(d->context, fd);
        sim_kill(s);
        sim_power_on(s);
        bytes = sim_bytes(s, "a", &size);
        lost += spread(bytes, size, 'x', 0, 100) == 0;
        sim_free(s);
    }
    assert_true(lost > 10 && lost < SEEDS && seen > lost / 3);
}

static void a_full_disk_takes_what_was_promised(void **state)
{
    (void)state;
    struct sim *s = sim_new(1);
    const struct disk *d = sim_disk(s);
    char bytes[4096] = {0};
    int fd = make(s, "a"), other = make(s, "b");
    sim_space(s, 3000);
    assert_int_equal(d->allocate(d->context, fd, 4000), ERR_FULL);
    assert_int_equal(d->allocate(d->context, fd, 2000), 0);
    assert_int_equal(d->write(d->context, other, bytes, 4096, 0), 1000);
    assert_int_equal(d->write(d->context, other, bytes, 4096, 1000), ERR_FULL);
    assert_int_equal(d->write(d->context, fd, bytes, 4096, 0), 2000);
    assert_int_equal(d->remove(d->context, 0, "b"), 0);
    assert_int_equal(d->write(d->context, fd, bytes, 500, 2000), 500);
    d->close(d->context, fd);
    d->close(d->context, other);
    sim_free(s);
}

static void a_killed_process_loses_nothing_that_was_written(void **state)
{
    (void)state;
    struct sim *s = sim_new(1);
    const struct disk *d = sim_disk(s);
    size_t size;
    int fd = make(s, "a");
    put(s, fd, 'x', 100, 0);
    sim_kill(s);
    assert_int_equal(d->write(d->context, fd, "y", 1, 0), ERR_IO);
    d->close(d->context, fd);
    sim_revive(s);
    assert_int_equal(spread(sim_bytes(s, "a", &size), 100, 'x', 0, 100), 2);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_flushed_survives_the_rest_may),
        cmocka_unit_test(names_survive_when_their_folder_was_flushed),
        cmocka_unit_test(a_failed_flush_loses_pages_for_good),
        cmocka_unit_test(a_full_disk_takes_what_was_promised),
        cmocka_unit_test(a_killed_process_loses_nothing_that_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
