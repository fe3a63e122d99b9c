/* SPDX-License-Identifier: Apache-2.0 */
/* Which file has an entry: the last one that begins at it or before. A file behind may take entries over that one before
 * had (a write failed), but never those that were on disk when the folder was listed. */
#include "guard/audit_tail.h"

#include <fcntl.h>

void audit_tail_init(struct audit_tail *t, const struct disk *disk, int dir)
{
    *t = (struct audit_tail){.disk = disk, .dir = dir, .fd = -1};
}

static void close_file(struct audit_tail *t)
{
    if (t->fd >= 0) {
        t->disk->close(t->disk->context, t->fd);
        t->fd = -1;
    }
}

void audit_tail_fini(struct audit_tail *t)
{
    close_file(t);
    audit_files_free(&t->files);
}

/* Opens the file that has the entry. 1; 0: none has it, and *number is where the next one begins, or `end`. */
static int open_file(struct audit_tail *t, uint64_t *number, uint64_t end)
{
    char name[AUDIT_NAME_SIZE];
    size_t i = t->files.count;
    close_file(t);
    while (i && t->files.firsts[i - 1] > *number) {
        i--;
    }
    uint64_t next = i < t->files.count ? t->files.firsts[i] : UINT64_MAX;
    int fd = ERR_NOT_FOUND;
    if (i) {
        audit_name(name, t->files.firsts[i - 1]);
        fd = t->disk->open(t->disk->context, t->dir, name, O_RDONLY | O_CLOEXEC);
    }
    if (fd == ERR_NOT_FOUND) { /* it was archived */
        *number = next < end ? next : end;
        return 0;
    }
    if (fd < 0) {
        return fd;
    }
    t->fd = fd;
    t->first = t->files.firsts[i - 1];
    t->next = next;
    return 1;
}

/* As open_file, if it is not open yet. */
static int find_file(struct audit_tail *t, uint64_t *number, uint64_t end)
{
    if (*number >= t->listed) {
        close_file(t);
        int err = audit_files_list(&t->files, t->disk, t->dir);
        t->listed = err ? 0 : end;
        if (err) {
            return err;
        }
    }
    bool there = t->fd >= 0 && *number >= t->first && *number < t->next;
    return there ? 1 : open_file(t, number, end);
}

int audit_tail_read(struct audit_tail *t, uint64_t *number, uint64_t end, size_t *budget,
                    struct audit_entry *out)
{
    while (*number < end && *budget) {
        --*budget;
        int there = find_file(t, number, end);
        if (there < 0) {
            return there;
        }
        if (!there) {
            continue;
        }
        int err = disk_read_all(t->disk, t->fd, out, sizeof *out, 512 * (*number - t->first + 1));
        if (err && err != ERR_SHORT) {
            return err;
        }
        if (!err && audit_entry_is_sound(out, *number)) {
            return 1;
        }
        ++*number;
    }
    return 0;
}
