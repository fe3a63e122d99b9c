/* SPDX-License-Identifier: Apache-2.0 */
/* The receipts of commands that are not open any more, and the ids that were used. */
#include "engine/command.h"

#include <string.h>

static struct known_id *bucket_of(const struct commands *k, const uint8_t id[16])
{
    uint64_t words[2];
    memcpy(words, id, sizeof words);
    uint64_t mixed = (words[0] ^ k->secret) * UINT64_C(0x9e3779b97f4a7c15) + words[1];
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return k->known + (mixed >> 40) % KNOWN_BUCKETS * KNOWN_WAYS;
}

const struct record_receipt *receipt_find(const struct commands *k, const uint8_t id[16])
{
    static const struct record_receipt forgotten = {
        .state = COMMAND_UNKNOWN,
        .reason = "this id was used before; what became of it stands only in the audit"};
    const struct known_id *bucket = bucket_of(k, id);
    for (uint32_t i = 0; i < KNOWN_WAYS; i++) {
        if (bucket[i].used && !memcmp(bucket[i].id, id, 16)) {
            const struct record_receipt *r = k->past + bucket[i].place;
            return memcmp(r->id, id, 16) ? &forgotten : r;
        }
    }
    for (uint32_t i = 0; i < REFUSED_PAST; i++) {
        if (k->refused[i].state && !memcmp(k->refused[i].id, id, 16)) {
            return k->refused + i;
        }
    }
    return NULL;
}

void receipt_keep_refused(struct commands *k, const struct record_receipt *receipt)
{
    k->refused[k->refused_count++ % REFUSED_PAST] = *receipt;
}

void receipt_keep(struct commands *k, const struct record_receipt *receipt)
{
    struct known_id *bucket = bucket_of(k, receipt->id), *oldest = bucket;
    for (uint32_t i = 0; i < KNOWN_WAYS; i++) {
        if (bucket[i].used && !memcmp(bucket[i].id, receipt->id, sizeof bucket[i].id)) {
            oldest = bucket + i; /* it is known already: this is what became of it */
            break;
        }
        oldest = bucket[i].used < oldest->used ? bucket + i : oldest;
    }
    uint32_t place = k->past_count % COMMANDS_PAST;
    k->past[place] = *receipt;
    *oldest = (struct known_id){.place = place, .used = ++k->past_count};
    memcpy(oldest->id, receipt->id, sizeof oldest->id);
}
