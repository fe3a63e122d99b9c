/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/audit_format.h"

#include "base/crc32c.h"
#include "guard/digest.h"
#include "guard/ed25519.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *audit_kind_name(uint32_t kind, char out[32])
{
    static const struct {
        uint32_t kind;
        const char *name;
    } names[] = {
        {AUDIT_GATEWAY_START, "gateway start"},
        {AUDIT_GATEWAY_STOP, "gateway stop"},
        {AUDIT_RECOVERED, "recovered"},
        {AUDIT_CHECKPOINT, "checkpoint"},
        {AUDIT_CONFIGURATION, "configuration"},
        {AUDIT_BOX_START, "box start"},
        {AUDIT_BOX_STOP, "box stop"},
        {AUDIT_CERTIFICATE, "certificate"},
        {AUDIT_COMMAND_REQUESTED, "command requested"},
        {AUDIT_COMMAND_APPROVED, "command approved"},
        {AUDIT_COMMAND_SENT, "command sent"},
        {AUDIT_COMMAND_ACCEPTED, "command accepted"},
        {AUDIT_COMMAND_CONFIRMED, "command confirmed"},
        {AUDIT_COMMAND_REFUSED, "command refused"},
        {AUDIT_COMMAND_EXPIRED, "command expired"},
        {AUDIT_COMMAND_FAILED, "command failed"},
        {AUDIT_COMMAND_UNKNOWN, "command unknown"},
        {AUDIT_COMMAND_DENIED, "command denied"},
        {AUDIT_LEASE_RENEWED, "lease renewed"},
        {AUDIT_LEASE_REVERTED, "lease reverted"},
        {AUDIT_LEASE_LEFT, "lease left"},
        {AUDIT_LEASE_STUCK, "lease stuck"},
        {AUDIT_INHIBIT_SET, "inhibit set"},
        {AUDIT_INHIBIT_CLEARED, "inhibit cleared"},
        {AUDIT_ISLAND_SET, "island set"},
        {AUDIT_ISLAND_CLEARED, "island cleared"},
        {AUDIT_SIGN_IN, "sign-in"},
        {AUDIT_SIGN_IN_FAILED, "sign-in failed"},
        {AUDIT_SESSION_ENDED, "session ended"},
        {AUDIT_ACCOUNT_CHANGED, "account changed"},
        {AUDIT_TOKEN_CHANGED, "token changed"},
        {AUDIT_CONTRACT_IN_EFFECT, "contract in effect"},
        {AUDIT_CONTRACT_ENDED, "contract ended"},
        {AUDIT_BATCH_REQUESTED, "batch requested"},
        {AUDIT_BATCH_ENDED, "batch ended"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].kind == kind) {
            return names[i].name;
        }
    }
    snprintf(out, 32, "kind %" PRIu32, kind);
    return out;
}

void audit_name(char out[AUDIT_NAME_SIZE], uint64_t first)
{
    snprintf(out, AUDIT_NAME_SIZE, "%016" PRIX64 ".audit", first);
}

bool audit_name_parse(const char *name, uint64_t *first)
{
    char again[AUDIT_NAME_SIZE];
    return sscanf(name, "%16" SCNx64, first) == 1 && *first &&
           (audit_name(again, *first), !strcmp(again, name));
}

static void note_file(void *to, const char *name)
{
    struct audit_files *files = to;
    uint64_t first;
    if (!audit_name_parse(name, &first)) {
        return;
    }
    if (files->count == files->room) {
        size_t room = files->room ? files->room * 2 : 64;
        uint64_t *more = realloc(files->firsts, room * sizeof *more);
        if (!more) {
            files->no_memory = true;
            return;
        }
        files->firsts = more;
        files->room = room;
    }
    files->firsts[files->count++] = first;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int audit_files_list(struct audit_files *files, const struct disk *disk, int dir)
{
    files->count = 0;
    files->no_memory = false;
    int err = disk->list(disk->context, dir, note_file, files);
    err = err ? err : files->no_memory ? ERR_NOMEM : ERR_OK;
    if (err) {
        files->count = 0;
    } else if (files->count) {
        qsort(files->firsts, files->count, sizeof *files->firsts, by_number);
    }
    return err;
}

void audit_files_free(struct audit_files *files)
{
    free(files->firsts);
    *files = (struct audit_files){0};
}

bool audit_header_close(struct audit_header *h)
{
    return digest_sha256(h, offsetof(struct audit_header, digest), h->digest);
}

bool audit_header_is_sound(const struct audit_header *h)
{
    uint8_t digest[32];
    return h->magic == AUDIT_MAGIC && h->first &&
           digest_sha256(h, offsetof(struct audit_header, digest), digest) &&
           digest_equal(digest, h->digest, sizeof digest);
}

void audit_hash(const struct audit_entry *e, uint8_t out[32])
{
    if (!digest_sha256(e, sizeof *e, out)) {
        memset(out, 0, 32); /* no hash is all zeros: verification finds it */
    }
}

static uint32_t crc_of(const struct audit_entry *e)
{
    struct audit_entry plain = *e;
    plain.crc = 0;
    return crc32c(0, &plain, sizeof plain);
}

void audit_entry_close(struct audit_entry *e)
{
    e->crc = crc_of(e);
}

bool audit_entry_is_sound(const struct audit_entry *e, uint64_t number)
{
    return e->number == number && e->kind && e->crc == crc_of(e);
}

static struct audit_entry unsigned_form(const struct audit_entry *e)
{
    struct audit_entry plain = *e;
    memset(plain.text, 0, sizeof plain.text);
    plain.crc = 0;
    return plain;
}

bool audit_sign(struct audit_entry *e, const uint8_t secret[32])
{
    struct audit_entry message = unsigned_form(e);
    return ed25519_sign(secret, &message, sizeof message, (uint8_t *)e->text);
}

bool audit_signature_holds(const struct audit_entry *e, const uint8_t public_key[32])
{
    struct audit_entry message = unsigned_form(e);
    return ed25519_holds(public_key, &message, sizeof message, (const uint8_t *)e->text);
}
