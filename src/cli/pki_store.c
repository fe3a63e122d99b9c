/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pki_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "box/strict_file.h"
#include "guard/digest.h"

#define INDEX "index"
#define USED  "used"

static bool tell(const char *what, const char *dir, const char *name)
{
    fprintf(stderr, "isthmus pki: can't %s %s/%s: %s\n", what, dir, name, strerror(errno));
    return false;
}

static bool join(char *path, const char *dir, const char *name, const char *more)
{
    if (snprintf(path, STORE_PATH, "%s/%s%s", dir, name, more) < STORE_PATH) {
        return true;
    }
    errno = ENAMETOOLONG;
    return tell("use", dir, name);
}

static bool write_all(int fd, const char *text)
{
    size_t size = strlen(text);
    while (size) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

static bool flush_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

bool store_write(const char *dir, const char *name, const char *text, mode_t mode)
{
    char path[STORE_PATH], part[STORE_PATH];
    if (!join(path, dir, name, "") || !join(part, dir, name, ".part")) {
        return false;
    }
    unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    bool good = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, text);
    if (fd >= 0) {
        close(fd);
    }
    if (!good || rename(part, path) || !flush_dir(dir)) {
        return tell("write", dir, name);
    }
    return true;
}

char *store_read(const char *dir, const char *name, bool secret)
{
    char path[STORE_PATH], why[STORE_PATH + 256];
    char *text = join(path, dir, name, "") ? malloc(STRICT_FILE_MAX + 1) : NULL;
    if (text && strict_file_read(path, secret, text, why, sizeof why) < 0) {
        fprintf(stderr, "isthmus pki: %s\n", why);
        free(text);
        return NULL;
    }
    return text;
}

bool store_has(const char *dir, const char *name)
{
    char path[STORE_PATH];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < STORE_PATH && access(path, F_OK) == 0;
}

void store_wipe(char *text)
{
    if (text) {
        explicit_bzero(text, STRICT_FILE_MAX + 1);
    }
    free(text);
}

bool store_make_dir(const char *dir)
{
    if (mkdir(dir, 0700) && errno != EEXIST) {
        fprintf(stderr, "isthmus pki: can't make %s: %s\n", dir, strerror(errno));
        return false;
    }
    return true;
}

bool store_rename(const char *dir, const char *from, const char *to)
{
    char old[STORE_PATH], path[STORE_PATH];
    if (!join(old, dir, from, "") || !join(path, dir, to, "")) {
        return false;
    }
    return (rename(old, path) == 0 && flush_dir(dir)) || tell("replace", dir, to);
}

void store_remove(const char *dir, const char *name)
{
    char path[STORE_PATH];
    if (join(path, dir, name, "")) {
        unlink(path);
    }
}

/* ---- The index ---- */

bool store_index_add(struct store_index *index, const struct store_entry *entry)
{
    struct store_entry *list = realloc(index->list, (index->count + 1) * sizeof *list);
    if (!list) {
        fprintf(stderr, "isthmus pki: out of memory\n");
        return false;
    }
    index->list = list;
    list[index->count++] = *entry;
    return true;
}

bool store_index_read(const char *dir, struct store_index *index)
{
    char path[STORE_PATH], line[512];
    *index = (struct store_index){0};
    if (!join(path, dir, INDEX, "")) {
        return false;
    }
    FILE *f = fopen(path, "re");
    if (!f) {
        return errno == ENOENT || tell("read", dir, INDEX);
    }
    bool good = true;
    for (int number = 1; good && fgets(line, sizeof line, f); number++) {
        struct store_entry e = {0};
        char end;
        good = sscanf(line, "%40s %15s %63s %" SCNd64 " %" SCNd64 " %64s %" SCNd64 "%c", e.serial,
                      e.kind, e.name, &e.begins_s, &e.ends_s, e.fingerprint, &e.revoked_s,
                      &end) == 8 &&
               end == '\n';
        if (!good) {
            fprintf(stderr, "isthmus pki: line %d of %s is damaged: bring it back from a backup\n",
                    number, path);
        }
        good = good && store_index_add(index, &e);
    }
    fclose(f);
    if (!good) {
        free(index->list);
        *index = (struct store_index){0};
    }
    return good;
}

bool store_index_write(const char *dir, const struct store_index *index)
{
    size_t room = index->count * 320 + 1, at = 0;
    char *text = malloc(room);
    if (!text) {
        fprintf(stderr, "isthmus pki: out of memory\n");
        return false;
    }
    *text = 0;
    for (size_t i = 0; i < index->count; i++) {
        const struct store_entry *e = index->list + i;
        at += (size_t)snprintf(
            text + at, room - at, "%s %s %s %" PRId64 " %" PRId64 " %s %" PRId64 "\n", e->serial,
            e->kind, e->name, e->begins_s, e->ends_s, e->fingerprint, e->revoked_s);
    }
    bool good = store_write(dir, INDEX, text, 0600);
    free(text);
    return good;
}

/* Only hashes are kept: who reads them can answer nothing. */
bool store_use_token(const char *dir, const char *token)
{
    char path[STORE_PATH], line[80], hash[65];
    uint8_t digest[32];
    if (!digest_sha256(token, strlen(token), digest)) {
        return tell("hash a token for", dir, USED);
    }
    for (int i = 0; i < 32; i++) {
        sprintf(hash + 2 * i, "%02x", digest[i]);
    }
    if (!join(path, dir, USED, "")) {
        return false;
    }
    FILE *f = fopen(path, "a+e");
    if (!f) {
        return tell("write", dir, USED);
    }
    rewind(f);
    bool fresh = true;
    while (fresh && fgets(line, sizeof line, f)) {
        fresh = strncmp(line, hash, 64) != 0;
    }
    bool good = fresh && fprintf(f, "%s\n", hash) > 0 && !fflush(f) && !fsync(fileno(f));
    if (fclose(f) || (fresh && !good)) {
        return tell("write", dir, USED);
    }
    if (!fresh) {
        fprintf(stderr, "isthmus pki: this token was used already: have another request made "
                        "(isthmus pki enrol)\n");
    }
    return good;
}

/* ---- What a person types ---- */

static bool ask_terminal(const char *what, bool hidden, char *line, size_t size)
{
    struct termios before, unseen;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fprintf(stderr, "%s: ", what);
        unseen = before;
        unseen.c_lflag &= ~(tcflag_t)(hidden ? ECHO : 0);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen);
    }
    bool read = fgets(line, (int)size, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        if (hidden) {
            fputc('\n', stderr);
        }
    }
    return read;
}

bool store_ask(const char *what, bool hidden, const char *file, char *line, size_t size)
{
    char why[STORE_PATH + 256];
    bool good;
    if (file) {
        char *text = malloc(STRICT_FILE_MAX + 1);
        good = text && strict_file_read(file, true, text, why, sizeof why) >= 0;
        if (good) {
            snprintf(line, size, "%s", text);
        } else {
            fprintf(stderr, "isthmus pki: %s\n", text ? why : "out of memory");
        }
        store_wipe(text);
    } else {
        good = ask_terminal(what, hidden, line, size);
        if (!good) {
            fprintf(stderr, "isthmus pki: no %s on stdin\n", what);
        }
    }
    line[good ? strcspn(line, "\r\n") : 0] = 0;
    return good;
}
