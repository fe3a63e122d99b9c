/* SPDX-License-Identifier: Apache-2.0 */
/* Files of an audit whose checksums are made to fit: whatever lies there is verified and recovered from, and what is appended
 * then stands in it. The first byte says how many entries the first of the two files has. */
#include "guard/audit_verify.h"

#include "journal/sim_disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 64u

static const uint8_t secret[32] = {1};

static void write_file(const struct disk *d, uint64_t first, const uint8_t *data, size_t size)
{
    static uint8_t bytes[512 * (ENTRIES_MAX + 1)];
    struct audit_header h;
    char name[AUDIT_NAME_SIZE];
    memcpy(&h, data, sizeof h);
    h.magic = AUDIT_MAGIC;
    h.first = first;
    if (!ed25519_public(secret, h.public_key) || !audit_header_close(&h)) {
        abort();
    }
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + 512, data + 512, size - 512);
    for (size_t at = 512; at + 512 <= size; at += 512) {
        struct audit_entry e;
        memcpy(&e, bytes + at, sizeof e);
        if (e.crc) { /* with 0 it is a damaged one */
            audit_entry_close(&e);
        }
        memcpy(bytes + at, &e, sizeof e);
    }
    audit_name(name, first);
    int fd = d->open(d->context, 0, name, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0 || disk_write_all(d, fd, bytes, size, 0)) {
        abort();
    }
    d->close(d->context, fd);
}

static void see(void *context, const struct audit_entry *e)
{
    bool *seen = context;
    *seen = e->kind == AUDIT_TOKEN_CHANGED && e->detail == 4711 && !strcmp(e->who, "the last one");
}

static void look(const struct disk *d, bool *seen)
{
    struct audit_findings f;
    struct audit_read read = {.disk = d, .entry = see, .context = seen};
    if (audit_verify(&read, &f) || (f.proven && f.proven > f.last) ||
        (!f.reason[0] && f.entries != f.last - f.first + (f.entries > 0))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + 512 || size > 1 + 512 * ENTRIES_MAX) {
        return 0;
    }
    struct sim *sim = sim_new(1);
    const struct disk *d = sim_disk(sim);
    struct audit *a;
    struct audit_options options = {.dir = "/",
                                    .disk = d,
                                    .clock = sim_clock(sim),
                                    .secret = secret,
                                    .gateway = "fuzz",
                                    .file_entries = 64,
                                    .stepped = true};
    struct audit_entry e = {
        .kind = AUDIT_TOKEN_CHANGED, .utc_ns = 1, .detail = 4711, .who = "the last one"};
    uint64_t ticket;
    bool seen = false;
    size_t first = 512 * ((size_t)data[0] + 1);
    if (size - 1 >= first + 512) {
        write_file(d, 1, data + 1, first);
        write_file(d, 1 + data[0], data + 1 + first, size - 1 - first);
    } else {
        write_file(d, 1, data + 1, size - 1);
    }
    look(d, &seen);
    if (audit_open(&a, &options) || audit_append(a, &e, false, &ticket)) {
        abort();
    }
    while (audit_turn(a)) {
    }
    look(d, &seen);
    if (!seen) {
        abort();
    }
    audit_close(a);
    sim_free(sim);
    return 0;
}
