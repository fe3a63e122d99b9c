/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of a folder: what the fuzzer once found stays tested everywhere,
 * with any compiler. Each input lies in memory of exactly its size, so that a sanitizer sees the
 * first byte read beyond it. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    int status = -1;

    if (file != NULL && data != NULL && fread(data, 1, size, file) == size) {
        status = LLVMFuzzerTestOneInput(data, size);
    } else {
        perror(path);
    }
    free(data);
    if (file != NULL) {
        fclose(file);
    }
    return status;
}

/* Returns the number of files replayed, or -1. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    int replayed = 0;

    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    for (const struct dirent *entry; replayed >= 0 && (entry = readdir(dir)) != NULL;) {
        char path[4096];
        struct stat info;
        int length = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (length < 0 || (size_t)length >= sizeof(path) || stat(path, &info) != 0 ||
            !S_ISREG(info.st_mode)) {
            continue;
        }
        replayed = replay_file(path, (size_t)info.st_size) == 0 ? replayed + 1 : -1;
    }
    closedir(dir);
    return replayed;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int replayed = replay_folder(argv[i]);
        if (replayed < 0) {
            return EXIT_FAILURE;
        }
        total += replayed;
    }
    printf("%d inputs\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
