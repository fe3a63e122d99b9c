/* SPDX-License-Identifier: Apache-2.0 */
/* Files of every past version stay readable, to the bit. tests/history-versions/N is a journal's folder as version N left it: raw, sealed,
 * merged, thinned and imported files, and in `expected` what is to be read from them. A folder is never changed; a new version adds one:
 *
 *   build/src/history/history_versions_test --make tests/history-versions/N */
#include "history/test_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder; /* tests/history-versions */

/* Every sample and note in the folder, a line each. */
static void tell(FILE *out, int dir)
{
    struct history h;
    assert_int_equal(history_open(&h, &disk_files, dir), 0);
    fprintf(out, "files %" PRIu32 ", raw %" PRIu32 ", damaged %" PRIu32 "\n", h.shelf->file_count,
            h.shelf->raw_count, h.shelf->damaged);
    for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
        struct tail tail;
        struct series *series;
        struct piece piece;
        size_t budget = SIZE_MAX;
        struct series_options o = {.tag = id,
                                   .type = folder_type(id),
                                   .from_ns = INT64_MIN,
                                   .to_ns = INT64_MAX,
                                   .parts = BLOCK_ALL,
                                   .tail = &tail};
        assert_int_equal(tail_open(&tail, &h, NULL, NULL, 0, id), 0);
        assert_int_equal(tail_step(&tail, &budget, SIZE_MAX), 1);
        assert_int_equal(series_open(&series, &h, &o), 0);
        while (series_next(series, NULL, &piece) > 0) {
            const struct block *b = piece.samples;
            if (piece.summary) {
                fprintf(out, "%" PRIu32 " summary of %" PRIu32 " from %" PRId64 " to %" PRId64 "\n",
                        id, piece.summary->count, piece.summary->first_ns, piece.summary->last_ns);
            }
            for (uint32_t i = piece.from; b && i < piece.to; i++) {
                fprintf(out, "%" PRIu32 " %" PRId64 " %016" PRIx64 " %08" PRIx32, id, b->time[i],
                        b->value[i], b->status[i]);
                if (value_is_long(b->type)) {
                    fprintf(out, " %.*s", (int)b->value[i], (const char *)b->text + b->text_at[i]);
                }
                fputc('\n', out);
            }
        }
        assert_int_equal(series_damage(series), 0);
        series_close(series);
        tail_close(&tail);
    }
    for (uint32_t i = 0; i < h.shelf->file_count; i++) {
        struct sealed_list list;
        struct sealed_note note;
        const struct slot *slots;
        assert_int_equal(sealed_list_notes(&list, &h.shelf->files[i]->sealed), 0);
        while (sealed_next_note(&list, &note, &slots) > 0) {
            fprintf(out, "note %" PRIu64 " %" PRId64 " %08" PRIx32 "\n", note.sequence, note.now_ns,
                    slots->tag);
        }
        sealed_list_fini(&list);
    }
    history_close(&h);
}

static void every_version_reads_as_it_was_written(void **state)
{
    (void)state;
    uint32_t versions = 0;
    for (uint32_t n = 1;; n++, versions++) {
        char path[512], *told = NULL, *expected;
        size_t size = 0;
        snprintf(path, sizeof path, "%s/%" PRIu32, folder, n);
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0) {
            break;
        }
        FILE *out = open_memstream(&told, &size);
        assert_non_null(out);
        tell(out, dir);
        fclose(out);
        strncat(path, "/expected", sizeof path - strlen(path) - 1);
        FILE *in = fopen(path, "rb");
        assert_non_null(in);
        expected = calloc(1, size + 2);
        assert_non_null(expected);
        assert_int_equal(fread(expected, 1, size + 1, in), size);
        assert_string_equal(told, expected);
        fclose(in);
        free(expected);
        free(told);
        close(dir);
    }
    assert_int_equal(versions, SEALED_VERSION);
}

static enum keep thin_first(void *context, uint32_t tag, int64_t last_ns)
{
    (void)context;
    (void)last_ns;
    return tag == 1 ? KEEP_SUMMARIES : KEEP_RAW;
}

static int copy(const char *from, const char *to)
{
    char command[1200];
    snprintf(command, sizeof command, "mkdir '%s' && cp '%s'/* '%s'", to, from, to);
    return system(command);
}

/* A folder with everything that the current version can write. */
static void make(void **state)
{
    struct folder f;
    struct sealed_header thinned, about = {.flags = SEALED_IMPORTED,
                                           .first_segment = 1,
                                           .last_segment = 1,
                                           .created_ns = INT64_C(1700000000000000000)};
    struct sealed_writer *w;
    char path[512];
    (void)state;
    folder_init(&f, 1);
    for (int i = 0; i < 6; i++) {
        folder_segment(&f, 12);
    }
    while (f.history.shelf->file_count < 4 && folder_seal(&f)) {
    }
    folder_merge(&f);
    struct seal seal = {.disk = f.disk, .dir = f.dir, .created_ns = f.now_ns};
    struct history_file *file = f.history.shelf->files[0];
    assert_int_equal(seal_merge(&seal, &file, 1, thin_first, NULL, &thinned), 0);
    assert_int_equal(f.disk->remove(f.disk->context, f.dir, file->name), 0);
    assert_int_equal(sealed_create(&w, f.disk, f.dir, &about, 1), 0);
    sealed_begin(w, 2, VALUE_UINT16);
    for (uint32_t i = 0; i < 1100; i++) {
        struct slot s = {
            .time = about.created_ns + (int64_t)i * 1000000000, .value.u64 = 100 + i % 7, .tag = 2};
        sealed_add(w, &s, NULL);
    }
    sealed_end(w);
    assert_int_equal(sealed_finish(w), 0);
    assert_int_equal(copy(f.path, folder), 0);
    snprintf(path, sizeof path, "%s/expected", folder);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    tell(out, f.dir);
    fclose(out);
    folder_fini(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest making[] = {cmocka_unit_test(make)};
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_version_reads_as_it_was_written)};
    if (argc == 3 && !strcmp(argv[1], "--make")) {
        folder = argv[2];
        return cmocka_run_group_tests(making, NULL, NULL);
    }
    folder = argc == 2 ? argv[1] : "tests/history-versions";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
