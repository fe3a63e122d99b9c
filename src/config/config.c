/* SPDX-License-Identifier: Apache-2.0 */
/* Reads every *.yaml and *.csv below the folder, in order of their names, into one tree, then lets each section check
 * itself and add to the plan. Hidden files and folders are passed over (the state folder is one). */
#include "config/load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX        10000
#define FOLDER_DEPTH_MAX 8

struct listing {
    char *paths[FILES_MAX]; /* relative, owned */
    size_t count;
    bool too_many;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void list_files(struct listing *out, const char *dir, const char *below, int depth)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", dir, below);
    DIR *d = depth < FOLDER_DEPTH_MAX ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        char relative[4096];
        int n = snprintf(relative, sizeof relative, "%s%s%s", below, *below ? "/" : "", e->d_name);
        if (n < 0 || (size_t)n >= sizeof relative) {
            continue; /* deeper than any path can be */
        }
        snprintf(path, sizeof path, "%s/%s", dir, relative);
        if (e->d_name[0] == '.' || stat(path, &st)) {
            continue;
        }
        bool wanted = ends_with(relative, ".yaml") || ends_with(relative, ".yml") ||
                      ends_with(relative, ".csv");
        if (S_ISDIR(st.st_mode)) {
            list_files(out, dir, relative, depth + 1);
        } else if (S_ISREG(st.st_mode) && wanted) {
            char *copy = out->count < FILES_MAX ? strdup(relative) : NULL;
            out->too_many |= !copy;
            if (copy) {
                out->paths[out->count++] = copy;
            }
        }
    }
    if (d) {
        closedir(d);
    }
}

/* The file's bytes with a NUL behind (owned), or NULL with a problem noted. */
static char *read_file(struct load *l, const char *file, size_t *size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", l->dir, file);
    struct stat st;
    FILE *f = fopen(path, "re");
    if (!f || fstat(fileno(f), &st)) {
        tree_problem(&l->tree, file, 0, 0, "check its rights", "can't be read: %s",
                     strerror(errno));
    } else if ((uint64_t)st.st_size > TREE_FILE_MAX) {
        tree_problem(&l->tree, file, 0, 0, "split it", "is larger than %u MiB",
                     TREE_FILE_MAX >> 20);
    } else {
        char *text = malloc((size_t)st.st_size + 1);
        l->tree.no_memory |= !text;
        *size = text ? fread(text, 1, (size_t)st.st_size, f) : 0;
        fclose(f);
        if (text) {
            text[*size] = 0;
        }
        return text;
    }
    if (f) {
        fclose(f);
    }
    return NULL;
}

/* Sections of the same name from several files are merged: lists are joined. */
static void merge_sections(struct load *l)
{
    static const char *const known[] = {"gateway", "journal",  "zones",    "devices",   "types",
                                        "assets",  "tags",     "services", "contracts", "retention",
                                        "writes",  "conduits", "keys",     "people"};
    enum { KNOWN = sizeof known / sizeof *known };
    struct node *firsts[KNOWN] = {NULL};
    for (struct node *n = l->root->child, *before = NULL; n; before = n, n = n->next) {
        size_t i = 0;
        while (i < KNOWN && strcmp(n->key, known[i]) != 0) {
            i++;
        }
        if (i == KNOWN) {
            const char *near = nearest(n->key, known, KNOWN);
            key_problem(&l->tree, n, near ? tree_print(&l->tree, "did you mean '%s'?", near) : "",
                        "there is no section '%s'", n->key);
            continue;
        }
        struct node *first = firsts[i] ? firsts[i] : (firsts[i] = n);
        if (first != n && first->kind == NODE_LIST && n->kind == NODE_LIST) {
            if (first->last) {
                first->last->next = n->child;
            } else {
                first->child = n->child;
            }
            first->last = n->last ? n->last : first->last;
            before->next = n->next;
            n = before;
        } else if (first != n) {
            key_problem(&l->tree, n, "keep one of them", "the section '%s' stands in %s too",
                        n->key, first->file);
        }
    }
}

static void read_all(struct load *l, const struct listing *files)
{
    struct node *rows = NULL;
    for (size_t i = 0; i < files->count && !l->tree.no_memory; i++) {
        const char *file = tree_copy(&l->tree, files->paths[i], strlen(files->paths[i]));
        size_t size = 0;
        char *text = read_file(l, file, &size);
        if (text && ends_with(file, ".csv")) {
            if (!rows) {
                rows = tree_node(&l->tree, l->root, NODE_LIST, file, 1, 1);
            }
            if (rows) {
                rows->key = "tags";
                csv_read(&l->tree, rows, file, text, size);
            }
        } else if (text) {
            yaml_read(&l->tree, l->root, file, text, size);
        }
        free(text);
    }
}

static int by_place(const void *a, const void *b)
{
    const struct config_problem *x = a, *y = b;
    int files = strcmp(x->file, y->file);
    return files ? files : x->line != y->line ? x->line - y->line : x->column - y->column;
}

/* The tree's texts move to the result: it owns one block with all of them. */
static int give_problems(struct load *l, struct config_result *r)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->tree.problem_count; i++) {
        const struct config_problem *p = l->tree.problems + i;
        bytes += strlen(p->file) + strlen(p->text) + strlen(p->proposal) + 3;
    }
    size_t table = l->tree.problem_count * sizeof *r->problems;
    r->problems = malloc(table + bytes + 1);
    if (!r->problems) {
        return ERR_NOMEM;
    }
    char *text = (char *)r->problems + table;
    for (size_t i = 0; i < l->tree.problem_count; i++) {
        struct config_problem *p = r->problems + i;
        *p = l->tree.problems[i];
        const char **texts[] = {&p->file, &p->text, &p->proposal};
        for (int k = 0; k < 3; k++) {
            size_t n = strlen(*texts[k]) + 1;
            memcpy(text, *texts[k], n);
            *texts[k] = text;
            text += n;
        }
    }
    if (l->tree.problem_count) {
        qsort(r->problems, l->tree.problem_count, sizeof *r->problems, by_place);
    }
    r->problem_count = l->tree.problem_count;
    r->error_count = l->tree.error_count;
    return ERR_OK;
}

static void give_keys(struct load *l, struct config_result *r)
{
    r->key = calloc(l->key_count + 1, sizeof *r->key);
    l->tree.no_memory |= !r->key;
    for (size_t i = 0; r->key && i < l->key_count; i++) {
        struct config_key *k = r->key + r->keys++;
        *k = (struct config_key){.name = strdup(l->keys[i].name),
                                 .role = l->keys[i].role,
                                 .throw_away = l->keys[i].throw_away};
        memcpy(k->public_key, l->keys[i].public_key, sizeof k->public_key);
        l->tree.no_memory |= !k->name;
    }
}

static int load_all(struct load *l, struct config_result *r)
{
    l->root = tree_node(&l->tree, NULL, NODE_MAP, "", 0, 0);
    l->plan = plan_build_new();
    if (!l->root || !l->plan) {
        return ERR_NOMEM;
    }
    struct listing *files = calloc(1, sizeof *files);
    if (!files) {
        return ERR_NOMEM;
    }
    list_files(files, l->dir, "", 0);
    qsort(files->paths, files->count, sizeof *files->paths, by_text);
    if (files->too_many) {
        tree_problem(&l->tree, "", 0, 0, "is it the right folder?",
                     "the folder holds too many files");
    }
    read_all(l, files);
    for (size_t i = 0; i < files->count; i++) {
        free(files->paths[i]);
    }
    free(files);
    merge_sections(l);
    load_gateway(l);
    load_zones(l);
    if (!l->tree.no_memory) {
        load_conduits(l);
        load_devices(l);
    }
    if (!l->tree.no_memory) {
        load_retentions(l);
        load_tags(l);
        check_retentions(l);
        load_people(l);
        load_services(l);
        load_keys(l);
        load_contracts(l);
        load_writes(l);
    }
    r->devices = l->device_count;
    r->tags = l->tag_count;
    r->services = l->service_count;
    r->contracts = l->contract_count;
    r->contract = l->contracts;
    l->contracts = NULL;
    give_keys(l, r);
    if (l->tree.no_memory) {
        return ERR_NOMEM;
    }
    return l->tree.error_count ? ERR_OK : plan_build_finish(l->plan, &r->image, &r->image_size);
}

static int load_folder(const char *dir, int assign, const struct config_replay *replay,
                       struct config_result *result)
{
    struct stat st;
    *result = (struct config_result){0};
    if (stat(dir, &st)) {
        return err_from_errno(errno);
    }
    if (!S_ISDIR(st.st_mode)) {
        return ERR_TYPE;
    }
    struct load l = {.dir = dir, .assign = assign, .replay = replay};
    tree_init(&l.tree);
    int err = load_all(&l, result);
    if (!err) {
        err = give_problems(&l, result);
    }
    plan_build_free(l.plan);
    free(l.zones);
    free(l.conduits);
    free(l.people);
    free(l.boxes);
    free(l.devices);
    free(l.tags);
    free(l.writes);
    free(l.keys);
    tree_fini(&l.tree);
    if (err) {
        config_free(result);
    }
    return err;
}

int config_load(const char *dir, int assign, struct config_result *result)
{
    return load_folder(dir, assign, NULL, result);
}

int config_load_replay(const char *dir, const struct config_replay *replay,
                       struct config_result *result)
{
    return load_folder(dir, 1, replay, result);
}

void config_free(struct config_result *r)
{
    for (size_t i = 0; i < r->contracts && r->contract; i++) {
        free(r->contract[i].name);
        free(r->contract[i].terms);
    }
    for (size_t i = 0; i < r->keys; i++) {
        free(r->key[i].name);
    }
    free(r->contract);
    free(r->key);
    free(r->problems);
    free(r->image);
    *r = (struct config_result){0};
}
