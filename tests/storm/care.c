/* SPDX-License-Identifier: Apache-2.0 */
/* The care of history, after every crash: `isthmus verify` finds the ledger in balance where nothing was damaged, and a gateway that
 * starts on what a backup brings back stands where this one stands. */
#include "storm.h"

#include "history/backup.h"

#include <string.h>

struct told_of {
    uint64_t unbalanced;
    uint64_t all;
};

static void count_finding(void *context, const struct verify_finding *f)
{
    struct told_of *t = context;
    t->all++;
    t->unbalanced += f->kind == VERIFY_UNBALANCED;
}

/* A power cut may tear what was never promised: that is damage, and of what it took only a real engine writes the events that
 * explain it. But the ledger counts nothing wrongly. */
static void check_verify(struct world *w)
{
    struct told_of told = {0};
    struct verify v = {.disk = sim_disk(w->sim), .found = count_finding, .context = &told};
    struct snapshot s;
    must(w, verify_init(&v) == 0);
    must(w, snapshot_take(&s, v.disk, 0) == 0);
    must(w, verify_all(&v, &s) == 0);
    must(w, w->damages || !told.unbalanced);
    snapshot_free(&s);
    verify_fini(&v);
}

static void check_restored(struct world *w, struct sim *other)
{
    struct journal_marks marks = {0};
    struct journal_recovered recovered;
    struct journal *journal;
    struct journal_options o = {.dir = "/tmp",
                                .plan = &w->plan,
                                .marks = &marks,
                                .buffer_bytes = 1u << 20,
                                .disk = sim_disk(other),
                                .clock = sim_clock(other),
                                .stepped = true};
    must(w, journal_open(&journal, &o, &recovered) == 0);
    must(w, journal_next_sequence(journal) == journal_next_sequence(w->journal));
    for (uint32_t tag = 1; tag <= STORM_TAGS; tag++) {
        static const struct journal_account none;
        const struct journal_account *ours = journal_tag_account(w->journal, tag);
        const struct journal_account *theirs = journal_tag_account(journal, tag);
        must(w, !memcmp(ours ? ours : &none, theirs ? theirs : &none, sizeof none));
    }
    journal_close(journal);
}

static void check_backup(struct world *w)
{
    struct told_of told = {0};
    struct sim *store = sim_new(w->seed), *other = sim_new(w->seed);
    struct backup b = {.journal = {sim_disk(w->sim), 0},
                       .state = {sim_disk(w->sim), 0},
                       .store = {sim_disk(store), 0},
                       .gateway = "storm",
                       .found = count_finding,
                       .context = &told};
    must(w, backup_make(&b) == 0);
    told.all = 0;
    b.journal.disk = sim_disk(other);
    must(w, backup_unpack(&b) == 0);
    must(w, told.all == 0);
    check_restored(w, other);
    sim_free(other);
    sim_free(store);
}

void check_care(struct world *w)
{
    if (w->crashes % 3 == 0) { /* it costs more than all the rest */
        check_verify(w);
        check_backup(w);
    }
}
