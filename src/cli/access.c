/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus access`: why somebody may read, command or approve a tag, or may not, through each service. From the configuration
 * folder and the accounts, whether the gateway runs or not. */
#include "cli/history.h"
#include "cli/table.h"

#include "base/clock.h"
#include "base/json.h"
#include "guard/access.h"
#include "guard/accounts_file.h"
#include "guard/vouch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus access WHO TAG [--dir DIR] [--service NAME] [--json]\n\n"
    "Explains who may read, command and approve TAG through which service, and which line of the\n"
    "configuration decides it. WHO is user:NAME, group:PROVIDER/GROUP (who signs in by a "
    "provider),\n"
    "token:NAME, role:ROLE, service:NAME (what comes through a service without a person) or local\n"
    "(who uses the gateway's own socket). What depends on the moment (range, permissive, rate …)\n"
    "each command tells by itself.\n\n"
    "  --dir DIR       the configuration folder (default: the current one)\n"
    "  --service NAME  only through this service\n"
    "  --json          one JSON document\n\n"
    "exit status: 0 explained, 1 no such tag, account or service, or not readable, 2 wrong usage\n";

struct access_run {
    const char *who_text, *path, *dir, *service;
    bool json;
    struct cli_history gateway;
    const struct plan *plan;
    const struct plan_tag *tag;
    struct access_who who;
};

static int parse(struct access_run *r, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--dir")       ? &r->dir
                             : !strcmp(argv[i], "--service") ? &r->service
                                                             : NULL;
        if (value && i + 1 < argc) {
            *value = argv[++i];
        } else if (!strcmp(argv[i], "--json")) {
            r->json = true;
        } else if (value || argv[i][0] == '-' || r->path) {
            return CLI_USAGE;
        } else if (!r->who_text) {
            r->who_text = argv[i];
        } else {
            r->path = argv[i];
        }
    }
    return r->path ? CLI_OK : CLI_USAGE;
}

static int complain(const char *format, const char *what, const char *hint)
{
    fputs("isthmus access: ", stderr);
    fprintf(stderr, format, what);
    fprintf(stderr, "; %s\n", hint);
    return CLI_FAILED;
}

static uint32_t zone_of(const struct plan *p, const char *name, size_t size)
{
    for (uint32_t i = 0; i < p->header->zones.count; i++) {
        const char *zone = plan_text(p, p->zones[i].name);
        if (strlen(zone) == size && !memcmp(zone, name, size)) {
            return i;
        }
    }
    return PLAN_NONE;
}

/* "a,b"; "" is every zone. */
static void set_zones(struct access_run *r, const char *zones)
{
    struct session *s = &r->who.zones;
    s->zone_limit = *zones != 0;
    for (const char *at = zones; *at && s->zone_count < SESSION_ZONES;) {
        size_t size = strcspn(at, ",");
        uint32_t zone = zone_of(r->plan, at, size);
        if (zone != PLAN_NONE) {
            s->zones[s->zone_count++] = zone;
        }
        at += size + (at[size] == ',');
    }
}

/* ERR_NOT_FOUND, or why the accounts can't be read. */
static int find_account(struct access_run *r, const char *name, bool token)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/identity", plan_text(r->plan, r->plan->header->state_dir));
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct accounts *all = calloc(1, sizeof *all);
    int err = !all ? ERR_NOMEM : dir >= 0 ? accounts_load(all, &disk_files, dir) : ERR_NOT_FOUND;
    err = dir < 0 && errno == EACCES ? ERR_PERMISSION : err;
    const struct account *account = !err && !token ? accounts_find(all, name) : NULL;
    const struct token *machine = !err && token ? tokens_find(all, name) : NULL;
    if (account || machine) {
        r->who.role = account ? account->role : machine->role;
        set_zones(r, account ? account->zones : machine->zones);
    }
    err = err || account || machine ? err : ERR_NOT_FOUND;
    free(all);
    if (dir >= 0) {
        close(dir);
    }
    return err;
}

/* The role that the configuration gives to a provider's group. */
static bool find_group(struct access_run *r, const char *name)
{
    struct vouch_group g;
    const char *slash = strchr(name, '/');
    char provider[NAME_SIZE] = "";
    snprintf(provider, sizeof provider, "%.*s", slash ? (int)(slash - name) : 0, name);
    uint32_t box = plan_find_box(r->plan, provider);
    for (uint32_t i = 0; slash && box != PLAN_NONE && vouch_group(r->plan, box, i, &g); i++) {
        if (!strcmp(g.group, slash + 1)) {
            r->who.role = g.role;
            set_zones(r, g.zones);
            return true;
        }
    }
    return false;
}

static int find_who(struct access_run *r)
{
    const char *text = r->who_text, *name = strchr(text, ':');
    struct guard_caller *c = &r->who.caller;
    bool user = !strncmp(text, "user:", 5), token = !strncmp(text, "token:", 6);
    snprintf(c->name, sizeof c->name, "%s", text);
    if (!strcmp(text, "local") || !strncmp(text, "local:", 6)) {
        snprintf(c->name, sizeof c->name, "%s", name ? text : "local:0");
        r->who.local = true;
        r->who.role = ROLE_ADMINISTRATOR;
    } else if (!strncmp(text, "group:", 6)) {
        if (!find_group(r, name + 1)) {
            return complain("%s has no role", text,
                            "write group:PROVIDER/GROUP as in the section people");
        }
    } else if (user && strchr(name, '/')) {
        return complain("the role of %s comes from the groups that the provider tells", text,
                        "write group:PROVIDER/GROUP");
    } else if (user || token) {
        int err = find_account(r, name + 1, token);
        if (err) {
            return complain("%s can't be looked up", text,
                            err == ERR_NOT_FOUND ? "see isthmus user list, isthmus token list"
                                                 : err_text(err));
        }
    } else if (!strncmp(text, "role:", 5)) {
        r->who.role = role_from_name(name + 1, strlen(name + 1));
        if (!r->who.role) {
            return complain("there is no %s", text,
                            "roles are viewer, operator, engineer, custodian, security, "
                            "administrator and vendor");
        }
    } else if (strncmp(text, "service:", 8) != 0 || plan_find_box(r->plan, name + 1) == PLAN_NONE) {
        return complain(
            "nobody is called %s", text,
            "write user:NAME, group:PROVIDER/GROUP, token:NAME, role:ROLE, service:NAME or local");
    }
    snprintf(c->role, sizeof c->role, "%s", r->who.role ? role_name(r->who.role) : "");
    return CLI_OK;
}

/* ---- Telling ---- */

static const char *const acts[ACCESS_ACTS] = {"read", "command", "approve"};

typedef void each_answer(struct access_run *r, void *context, const char *service,
                         enum access_act act, const struct access_answer *a);

static uint32_t explain(struct access_run *r, each_answer *each, void *context)
{
    uint32_t count = 0;
    for (uint32_t box = 0; box < r->plan->header->boxes.count; box++) {
        const char *service = plan_text(r->plan, r->plan->boxes[box].name);
        const char *only = r->who.role ? r->service : r->who.caller.name + strlen("service:");
        if (r->plan->boxes[box].kind != BOX_NORTH || (only && strcmp(only, service) != 0)) {
            continue;
        }
        count++;
        for (enum access_act act = ACCESS_READ; act < ACCESS_ACTS; act++) {
            struct access_answer a;
            access_explain(r->plan, &r->who, box, r->tag, act, clock_utc_ns(), &a);
            each(r, context, service, act, &a);
        }
    }
    return count;
}

static void add_row(struct access_run *r, void *table, const char *service, enum access_act act,
                    const struct access_answer *a)
{
    char why[ACCESS_WHY_SIZE + 300];
    (void)r;
    snprintf(why, sizeof why, "%s%s%s%s", a->why, *a->place ? " (" : "", a->place,
             *a->place ? ")" : "");
    table_row(table, 4, act == ACCESS_READ ? service : "", acts[act], a->allowed ? "yes" : "no",
              why);
}

static const char *conditions(const struct access_run *r, char *out, size_t size)
{
    const struct plan_write *c = plan_find_write(r->plan, r->tag->id);
    *out = 0;
    if (c) {
        access_conditions(r->plan, c, r->tag, out, size);
    }
    return out;
}

static uint32_t print_table(struct access_run *r)
{
    char text[1024];
    struct table table = {0};
    printf("%s%s%s, and %s in the zone %s\n\n", r->who.caller.name, *r->who.caller.role ? ", " : "",
           r->who.caller.role, r->path, plan_text(r->plan, r->plan->zones[r->tag->zone].name));
    table_row(&table, 4, "SERVICE", "ACT", "ALLOWED", "WHY");
    uint32_t count = explain(r, add_row, &table);
    table_print(&table, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    if (*conditions(r, text, sizeof text)) {
        printf("\nEach write: %s\n", text);
    }
    return count;
}

static void json_row(struct access_run *r, void *out, const char *service, enum access_act act,
                     const struct access_answer *a)
{
    struct json *j = out;
    (void)r;
    json_open(j, '{');
    json_pair_text(j, "service", service);
    json_pair_text(j, "act", acts[act]);
    json_pair_bool(j, "allowed", a->allowed);
    json_pair_text(j, "why", a->why);
    json_pair_text(j, "place", a->place);
    json_close(j, '}');
}

static uint32_t print_json(struct access_run *r)
{
    struct json j;
    char text[1024];
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "who", r->who.caller.name);
    json_pair_text(&j, "role", r->who.caller.role);
    json_pair_text(&j, "tag", r->path);
    json_pair_text(&j, "zone", plan_text(r->plan, r->plan->zones[r->tag->zone].name));
    json_pair_text(&j, "conditions", conditions(r, text, sizeof text));
    json_key(&j, "answers");
    json_open(&j, '[');
    uint32_t count = explain(r, json_row, &j);
    json_close(&j, ']');
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
    return count;
}

static int run(struct access_run *r)
{
    r->plan = &r->gateway.plan;
    r->tag = plan_find_path(r->plan, r->path);
    if (!r->tag) {
        return complain("no tag is called %s", r->path, "isthmus get '**' lists those there are");
    }
    if (r->service && plan_find_box(r->plan, r->service) == PLAN_NONE) {
        return complain("no service is called %s", r->service, "see services: in the folder");
    }
    int status = find_who(r);
    if (!status && !(r->json ? print_json(r) : print_table(r))) {
        status = complain("%s is no service", r->service, "it is a device's box");
    }
    return status;
}

int cli_access(int argc, char **argv)
{
    struct access_run r = {.dir = ".", .gateway.dir = -1};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
    }
    int status = parse(&r, argc, argv);
    if (status) {
        fputs(usage, stderr);
        return status;
    }
    status = cli_history_open(&r.gateway, "access", r.dir, false);
    status = status ? status : run(&r);
    cli_history_close(&r.gateway);
    return status;
}
