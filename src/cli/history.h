/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share that work on a gateway's folder itself, whether it runs or not. */
#ifndef ISTHMUS_CLI_HISTORY_H
#define ISTHMUS_CLI_HISTORY_H

#include "cli/cli.h"
#include "config/config.h"
#include "tag/plan.h"

struct cli_history {
    const char *command; /* for messages */
    struct config_result config;
    struct plan plan;
    char journal[4096]; /* its folder */
    int dir;            /* the same, open; -1: not yet */
};

/* Reads the configuration folder; with `assign`, ids of new tags are made as `run` would. Tells what is wrong. CLI_OK or
 * CLI_FAILED. */
int cli_history_open(struct cli_history *h, const char *command, const char *dir, bool assign);
/* Opens the journal's folder, which with `make` is made as `run` would. The same. */
int cli_history_open_journal(struct cli_history *h, bool make);
void cli_history_close(struct cli_history *h);

/* Files of another owner would be there, but the gateway could not read them: CLI_FAILED, told. `dir`: the folder `path`, open. */
int cli_history_is_ours(const char *command, const char *path, int dir);
/* Every file of the journal is held open for a while: as many as the system allows. */
void cli_history_allow_files(void);

/* A line on stderr that is written over, on a terminal only. */
struct cli_progress {
    bool shown;
    int64_t next_ns;
};
void cli_progress_init(struct cli_progress *p);
void cli_progress_show(struct cli_progress *p, const char *doing, double part, uint64_t count,
                       const char *what);
void cli_progress_clear(struct cli_progress *p);

#endif
