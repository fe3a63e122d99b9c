/* SPDX-License-Identifier: Apache-2.0 */
/* gateway, journal. */
#include "config/load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct field gateway_fields[] = {
    {"name", true}, {"description", false}, {"state", false}, {"inhibit", false}, {0}};
const struct field journal_fields[] = {{"sync", false},
                                       {"limit", false},
                                       {"segment", false},
                                       {"hold", false},
                                       {"when_full", false},
                                       {"flash_endurance", false},
                                       {0}};

static void load_journal(struct load *l)
{
    const struct node *map = node_get(l->root, "journal");
    struct plan_header *h = plan_build_header(l->plan);
    if (!map) {
        return;
    }
    check_fields(l, map, "journal", journal_fields, NULL);
    const char *sync = field_text(l, map, "sync", "10ms");
    double ms;
    if (!strcmp(sync, "always")) {
        h->sync = SYNC_ALWAYS;
    } else if (!strcmp(sync, "os")) {
        h->sync = SYNC_OS;
    } else if (text_duration(sync, &ms) && ms >= 1 && ms <= 60000) {
        h->sync_ms = (uint32_t)ms;
    } else {
        node_problem(&l->tree, node_get(map, "sync"),
                     "write a period from 1ms to 1min, or always, or os",
                     "the journal can't be committed every '%s'", sync);
    }
    static const struct {
        const char *key;
        uint64_t least, most;
    } sizes[] = {{"limit", UINT64_C(16) << 20, UINT64_C(1) << 50},
                 {"segment", UINT64_C(1) << 20, UINT64_C(1) << 32},
                 {"hold", UINT64_C(1) << 20, UINT64_C(1) << 50},
                 {"flash_endurance", UINT64_C(1) << 30, UINT64_C(1) << 60}};
    uint64_t *targets[] = {&h->journal_limit, &h->segment_size, &h->hold_bytes,
                           &h->flash_endurance};
    for (int i = 0; i < 4; i++) {
        const char *text = field_text(l, map, sizes[i].key, NULL);
        if (text && (!text_bytes(text, targets[i]) || *targets[i] < sizes[i].least ||
                     *targets[i] > sizes[i].most)) {
            node_problem(&l->tree, node_get(map, sizes[i].key),
                         tree_print(&l->tree,
                                    "write a size of at least %llu MiB, for example 64MiB",
                                    (unsigned long long)(sizes[i].least >> 20)),
                         "'%s' is no usable size for '%s'", text, sizes[i].key);
        }
    }
}

static void load_when_full(struct load *l)
{
    static const char *const names[] = {
        [FULL_DROP_OLDEST] = "drop_oldest", [FULL_THIN] = "thin", [FULL_STOP] = "stop"};
    const struct node *map = node_get(l->root, "journal");
    const char *text =
        map ? field_text(l, map, "when_full", names[FULL_DROP_OLDEST]) : names[FULL_DROP_OLDEST];
    for (uint32_t i = FULL_DROP_OLDEST; i <= FULL_STOP; i++) {
        if (!strcmp(text, names[i])) {
            plan_build_header(l->plan)->when_full = i;
            return;
        }
    }
    node_problem(&l->tree, node_get(map, "when_full"), "write drop_oldest, thin or stop",
                 "'%s' is none of these", text);
}

/* Absolute, so that every process means the same folder. */
#define CREDENTIAL "credential:"

const char *load_path(struct load *l, const char *path)
{
    char base[PATH_MAX];
    const char *credentials = getenv("CREDENTIALS_DIRECTORY"); /* systemd's */
    if (!strncmp(path, CREDENTIAL, strlen(CREDENTIAL))) {
        return tree_print(&l->tree, "%s/%s", credentials ? credentials : "/run/credentials",
                          path + strlen(CREDENTIAL));
    }
    if (path[0] == '/' || !realpath(l->dir, base)) {
        return path;
    }
    return tree_print(&l->tree, "%s/%s", base, path);
}

void load_gateway(struct load *l)
{
    const struct node *map = node_get(l->root, "gateway");
    struct plan_header *h = plan_build_header(l->plan);
    const char *name = NULL, *state = ".state";
    if (!map) {
        tree_problem(&l->tree, "isthmus.yaml", 0, 0, "add gateway: {name: …}",
                     "the folder names no gateway");
    } else {
        check_fields(l, map, "gateway", gateway_fields, NULL);
        name = field_text(l, map, "name", NULL);
        if (name && !check_name(l, node_get(map, "name"), name)) {
            name = NULL;
        }
        state = field_text(l, map, "state", state);
        h->description = plan_build_text(l->plan, field_text(l, map, "description", ""));
    }
    const char *environment = getenv("ISTHMUS_STATE");
    if (!environment) {
        environment = getenv("STATE_DIRECTORY"); /* systemd's */
    }
    char here[PATH_MAX];
    if (environment && *environment && environment[0] != '/' && realpath(".", here)) {
        environment = tree_print(&l->tree, "%s/%s", here, environment);
    }
    l->state_dir = environment && *environment ? environment : load_path(l, state);
    h = plan_build_header(l->plan);
    h->name = plan_build_text(l->plan, name ? name : "");
    h->state_dir = plan_build_text(l->plan, l->state_dir);
    load_journal(l);
    load_when_full(l);
}
