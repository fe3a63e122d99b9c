/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *path, *type, *unit;
} tags[] = {{"a", "int16", ""}, {"b/c", "float64", "m3/h"}, {"a", "int16", "m"}, {"d", "text", ""}};
#define TAGS (sizeof tags / sizeof *tags)

static char dir[] = "/tmp/isthmus-ids-XXXXXX";

static size_t file(char *text, size_t size, const char *put)
{
    char path[64];
    snprintf(path, sizeof path, "%s/ids.txt", dir);
    FILE *f = fopen(path, put ? "w" : "r");
    assert_non_null(f);
    size_t n = put ? fwrite(put, 1, size, f) : fread(text, 1, size - 1, f);
    fclose(f);
    if (!put) {
        text[n] = 0;
    }
    return n;
}

static void forget(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/ids.txt", dir);
    unlink(path);
}

/* Gives all tags their ids; text of the file. */
static size_t registry(char *text, size_t size)
{
    struct ids *ids;
    char why[256];
    assert_int_equal(ids_open(&ids, dir, why, sizeof why), 0);
    for (uint32_t i = 0; i < TAGS; i++) {
        assert_int_equal(ids_of(ids, tags[i].path, tags[i].type, tags[i].unit), i + 1);
    }
    assert_int_equal(ids_save(ids, dir), 0);
    ids_close(ids);
    return file(text, size, NULL);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    return rmdir(dir);
}

static void ids_stay(void **state)
{
    (void)state;
    char text[512], again[512];
    registry(text, sizeof text);
    assert_string_equal(text, "1,int16,,a,80d7d48d\n2,float64,m3/h,b/c,b514d8a6\n"
                              "3,int16,m,a,8a8e948c\n4,text,,d,f9890dae\n");
    assert_int_equal(registry(again, sizeof again), strlen(text));
    assert_string_equal(again, text);
}

/* An editor may take the last line's end away, a crash may leave the beginning of a line. */
static void a_last_line_may_lack_its_end(void **state)
{
    (void)state;
    char text[512], again[512];
    size_t size = registry(text, sizeof text), whole = 0;
    for (size_t n = 0; n <= size; n++) {
        file(NULL, n, text);
        registry(again, sizeof again);
        assert_memory_equal(again, text, size - 1); /* the last end comes with the next tag */
        whole += n > 0 && text[n - 1] == '\n';
    }
    assert_int_equal(whole, TAGS);
}

/* Damage is an error that names its line, or changes nothing: no tag ever gets another's id, or silently another. */
static void no_damaged_byte_changes_an_id(void **state)
{
    (void)state;
    char text[512], bad[512], why[256], where[32];
    forget();
    size_t size = registry(text, sizeof text);
    int line = 1;
    for (size_t i = 0; i < size; i++) {
        for (int flip = 1; flip < 256; flip++) {
            struct ids *ids;
            memcpy(bad, text, size);
            bad[i] = (char)(bad[i] ^ flip);
            why[0] = 0;
            int err = ids_read(&ids, bad, size, why, sizeof why);
            snprintf(where, sizeof where, "ids.txt:%d: ", line);
            if (err == 0 || strncmp(why, where, strlen(where)) != 0) {
                fail_msg("byte %zu ^ %d: %d '%s'", i, flip, err, why);
            }
        }
        line += text[i] == '\n';
    }
}

static void lines_neither_go_nor_come_twice(void **state)
{
    (void)state;
    char text[512], bad[1024], why[256];
    struct ids *ids;
    forget();
    registry(text, sizeof text);
    char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
    snprintf(bad, sizeof bad, "%.*s%s", (int)(second - text), text, third);
    assert_int_equal(ids_read(&ids, bad, strlen(bad), why, sizeof why), ERR_MALFORMED);
    snprintf(bad, sizeof bad, "%.*s%s", (int)(third - text), text, second);
    assert_int_equal(ids_read(&ids, bad, strlen(bad), why, sizeof why), ERR_MALFORMED);
    assert_non_null(strstr(why, "ids.txt:3: "));
    assert_non_null(strstr(why, "backup"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_stay),
        cmocka_unit_test(a_last_line_may_lack_its_end),
        cmocka_unit_test(no_damaged_byte_changes_an_id),
        cmocka_unit_test(lines_neither_go_nor_come_twice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
