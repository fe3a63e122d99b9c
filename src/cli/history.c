/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_NS   (200 * NS_PER_MS)
#define PROGRESS_BAR  "########################################"
#define PROGRESS_SIZE ((int)sizeof PROGRESS_BAR - 1)

int cli_history_open(struct cli_history *h, const char *command, const char *dir, bool assign)
{
    *h = (struct cli_history){.command = command, .dir = -1};
    int err = config_load(dir, assign, &h->config);
    if (err) {
        cli_print_unreadable(command, dir, err);
        return CLI_FAILED;
    }
    if (!h->config.image || plan_open(&h->plan, h->config.image, h->config.image_size)) {
        cli_print_problems(stderr, dir, &h->config);
        fprintf(stderr, "isthmus %s: the configuration in %s has errors\n", command, dir);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static bool make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

int cli_history_open_journal(struct cli_history *h, bool make)
{
    const char *state = plan_text(&h->plan, h->plan.header->state_dir);
    snprintf(h->journal, sizeof h->journal, "%s/journal", state);
    if (!make || (make_folder(state) && make_folder(h->journal))) {
        h->dir = open(h->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (h->dir < 0) {
        fprintf(stderr, "isthmus %s: can't open the journal's folder %s: %s\n", h->command,
                h->journal, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

void cli_history_close(struct cli_history *h)
{
    if (h->dir >= 0) {
        close(h->dir);
    }
    config_free(&h->config);
}

int cli_history_is_ours(const char *command, const char *path, int dir)
{
    struct stat info;
    if (fstat(dir, &info) == 0 && info.st_uid == geteuid()) {
        return CLI_OK;
    }
    fprintf(stderr, "isthmus %s: %s belongs to another user; run this as user number %u\n", command,
            path, (unsigned)info.st_uid);
    return CLI_FAILED;
}

void cli_history_allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        int ignored = setrlimit(RLIMIT_NOFILE, &limit);
        (void)ignored; /* then it may be too few, and that is told */
    }
}

void cli_progress_init(struct cli_progress *p)
{
    *p = (struct cli_progress){.shown = isatty(STDERR_FILENO) == 1};
}

void cli_progress_show(struct cli_progress *p, const char *doing, double part, uint64_t count,
                       const char *what)
{
    int64_t now = p->shown ? clock_mono_ns() : 0;
    if (!p->shown || now < p->next_ns) {
        return;
    }
    p->next_ns = now + PROGRESS_NS;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    int done = (int)(part * PROGRESS_SIZE);
    fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d %%  %" PRIu64 " %s", doing, done, PROGRESS_BAR,
            PROGRESS_SIZE - done, "", (int)(part * 100), count, what);
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
    }
}
