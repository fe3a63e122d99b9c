/* SPDX-License-Identifier: Apache-2.0 */
/* Folders in, plan or problems out. The driver and the service are stand-ins: what a module accepts is its own test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "box/box.h"
#include "box/service.h"
#include "config/config.h"
#include "config/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_address(const char *address, enum isthmus_type type, uint32_t max_length,
                         enum isthmus_type *type_out, char *why, size_t why_size)
{
    (void)max_length;
    if (*address != 'h') {
        snprintf(why, why_size, "write h and a number");
        return -1;
    }
    *type_out = type ? type : ISTHMUS_INT16;
    return 0;
}

static const struct isthmus_option options[] = {
    {"address", ISTHMUS_OPTION_ADDRESS, NULL, 0, 0, NULL, ""},
    {"period", ISTHMUS_OPTION_DURATION, "1s", 10, 60000, NULL, ""},
    {0}};
static int check_write(const char *address, enum isthmus_type type, uint32_t max_length, char *why,
                       size_t why_size)
{
    (void)type;
    (void)max_length;
    snprintf(why, why_size, "it is read-only");
    return strcmp(address, "h9") ? 0 : -1;
}

static void write_tag(void *device, const struct isthmus_write *write)
{
    (void)device;
    (void)write;
}

static const struct isthmus_driver driver = {.size = sizeof driver,
                                             .options = options,
                                             .check_address = check_address,
                                             .write = write_tag,
                                             .check_write = check_write};
static const struct isthmus_option service_options[] = {
    {"listen", ISTHMUS_OPTION_BIND, "127.0.0.1:1", 0, 0, NULL, ""}, {0}};
static const struct service service = {.options = service_options};

const struct isthmus_driver *module_driver(const char *name, char *why, size_t why_size)
{
    snprintf(why, why_size, "there is no driver '%s'", name);
    return strcmp(name, "plc") ? NULL : &driver;
}

const struct service *module_service(const char *name, char *why, size_t why_size)
{
    snprintf(why, why_size, "there is no service '%s'", name);
    return strcmp(name, "web") ? NULL : &service;
}

#define TWO_ZONES "gateway: {name: g}\nzones: [{name: a}, {name: b}]\n"
#define HEAD                                                                                       \
    "gateway: {name: g}\n"                                                                         \
    "devices:\n"                                                                                   \
    "  - {name: pump, driver: plc, address: \"127.0.0.1:502\"}\n"

/* Write contracts of a level, from 0 to 6 m. */
#define LEVEL                                                                                      \
    HEAD "  - {name: guard, driver: plc, address: \"127.0.0.1:1\", safety: true}\n"                \
         "tags: [{path: a, device: pump, address: h1, range: [0, 6]}, {path: r, device: pump, "    \
         "address: h9}, {path: s, device: guard, address: h1}, {path: p, device: pump, address: "  \
         "h3, type: bool}]\n"
#define WRITES(more)                                                                               \
    LEVEL "writes:\n  - {name: w, tags: [a], owner: ops, callers: [local], " more "}\n"

static const char good_yaml[] =
    HEAD "types:\n"
         "  - name: motor\n"
         "    parameters: {base: 0}\n"
         "    tags:\n"
         "      - {name: speed, address: \"h{base+4}\", unit: /min}\n"
         "assets:\n"
         "  - {path: a/m1, type: motor, device: pump, with: {base: 10}}\n"
         "services:\n"
         "  - {name: http, module: web}\n"
         "contracts:\n"
         "  - {name: all, service: http, tags: [\"**\"], freshness: 5s}\n";
static const char good_csv[] = "path,device,address,unit,low,high,deadband,description\n"
                               "a/flow,pump,h1,m3/h,0,100,1%,\"flow, \"\"in\"\"\"\n"
                               "a/level,pump,h2,m,,,0.5,\n";

static char folder[64];

static void put(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void put_both(const char *yaml, const char *csv)
{
    put("g.yaml", yaml, strlen(yaml));
    put("t.csv", csv, strlen(csv));
}

static int setup(void **state)
{
    (void)state;
    unsetenv("ISTHMUS_STATE");
    unsetenv("STATE_DIRECTORY");
    snprintf(folder, sizeof folder, "/tmp/config_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {".state/ids.txt", ".state", "g.yaml", "t.csv", ""};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    return 0;
}

/* A plan or a problem, never neither and never both. */
static void load_any(void)
{
    struct config_result r;
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_true((r.image != NULL) == (r.error_count == 0));
    assert_true(!r.error_count || r.problem_count);
    for (size_t i = 0; i < r.problem_count; i++) {
        assert_true(*r.problems[i].text);
    }
    config_free(&r);
}

static void test_good(void **state)
{
    (void)state;
    struct config_result r;
    put_both(good_yaml, good_csv);
    assert_int_equal(config_load(folder, 0, &r), 0);
    for (size_t i = 0; i < r.problem_count; i++) {
        print_error("%s:%d: %s\n", r.problems[i].file, r.problems[i].line, r.problems[i].text);
    }
    assert_int_equal(r.error_count, 0);
    assert_non_null(r.image);
    assert_int_equal(r.devices, 1);
    assert_int_equal(r.tags, 3);
    assert_int_equal(r.services, 1);
    assert_int_equal(r.contracts, 1);
    config_free(&r);
}

/* Pumps that stop themselves: a level each, and a bool. */
#define PUMPS                                                                                      \
    HEAD "types:\n"                                                                                \
         "  - name: tank\n    parameters: {n: 0}\n"                                                \
         "    tags: [{name: set/point, address: \"h{n}\", range: [0, 6]}, {name: open, address: "  \
         "\"h{n+1}\", type: bool}, {name: beat, address: \"h{n+2}\"}]\n"                           \
         "assets:\n"                                                                               \
         "  - {path: a/t1, type: tank, device: pump, with: {n: 10}}\n"                             \
         "  - {path: a/t10, type: tank, device: pump, with: {n: 20}}\n"                            \
         "tags: [{path: a/t1/set/other, device: pump, address: h1}, {path: set/point, device: "    \
         "pump, address: h2}]\n"                                                                   \
         "writes:\n"

static void test_a_write_contract_for_an_asset_type(void **state)
{
    (void)state;
    struct config_result r;
    struct plan plan;
    put_both(PUMPS
             "  - {name: w, type: tank, tags: [\"*/point\", open], owner: o, callers: [local], "
             "lease: 1min, revert: 1, heartbeat: ./beat, presence: ./open, when: "
             "\"{./open} and {set/point} < 5\"}\n",
             "");
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_int_equal(r.problem_count, 0);
    assert_int_equal(plan_open(&plan, r.image, r.image_size), 0);
    assert_int_equal(plan.header->writes.count, 2);
    static const char *const assets[] = {"a/t1", "a/t10"};
    for (int i = 0; i < 2; i++) {
        char path[32];
        snprintf(path, sizeof path, "%s/set/point", assets[i]);
        const struct plan_write *w = plan_find_write(&plan, plan_find_path(&plan, path)->id);
        snprintf(path, sizeof path, "%s/open", assets[i]);
        const struct plan_tag *open = plan_find_path(&plan, path);
        assert_non_null(w);
        assert_ptr_equal(plan_find_write(&plan, open->id), w);
        assert_int_equal(w->presence, open->id);
        snprintf(path, sizeof path, "%s/beat", assets[i]);
        assert_int_equal(w->heartbeat, plan_find_path(&plan, path)->id);
        assert_true(w->code_size > 0 && w->tag_count == 2);
        assert_string_equal(plan_text(&plan, w->name), "w");
    }
    assert_null(plan_find_write(&plan, plan_find_path(&plan, "a/t1/set/other")->id));
    assert_null(plan_find_write(&plan, plan_find_path(&plan, "set/point")->id));
    config_free(&r);
}

static void test_a_write_contract(void **state)
{
    (void)state;
    struct config_result r;
    struct plan plan;
    put_both(WRITES("approvers: [\"user:berta\"], approval: 5min, range: [1, 5], step: 0.5, rate: "
                    "10/5min, lifetime: 1000, times: [\"Mon-Fri 06:00-22:00\", \"Sun "
                    "23:00-01:00\", \"Sat-Mon 00:00-24:00\"], presence: p, lease: 10min, revert: "
                    "2, tolerance: 0.1, when: \"{p} and {a} < 5\""),
             "");
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_int_equal(r.error_count, 0);
    assert_int_equal(r.problem_count, 1); /* a lease without a heartbeat is worth a look */
    assert_true(r.problems[0].warning && strstr(r.problems[0].proposal, "heartbeat"));
    assert_int_equal(plan_open(&plan, r.image, r.image_size), 0);
    const struct plan_tag *a = plan_find_path(&plan, "a"), *p = plan_find_path(&plan, "p");
    const struct plan_write *w = plan_find_write(&plan, a->id);
    assert_non_null(w);
    assert_null(plan_find_write(&plan, p->id));
    assert_string_equal(plan_text(&plan, w->name), "w");
    assert_string_equal(plan_text(&plan, w->place), "g.yaml:7");
    assert_true(w->low == 1 && w->high == 5 && w->step == 0.5 && w->revert == 2);
    assert_true(w->rate_count == 10 && w->rate_ms == 300000 && w->lifetime == 1000);
    assert_true(w->approval_ms == 300000 && w->lease_ms == 600000 && w->presence == p->id);
    assert_true(w->readback_ms == 5000 && w->tolerance == 0.1 && w->caller_count == 2);
    assert_string_equal(plan_text(&plan, w->permissive), "{p} and {a} < 5");
    assert_true(w->code_size > 0);
    assert_true(w->hour_count == 3 && w->hours[0].days == 0x1f && w->hours[0].from_minute == 360);
    assert_true(w->hours[1].days == 0x40 && w->hours[1].to_minute == 60);
    assert_true(w->hours[2].days == 0x61 && w->hours[2].to_minute == 1440);
    config_free(&r);
}

static void test_conduits(void **state)
{
    (void)state;
    struct config_result r;
    struct plan p;
    put_both("gateway: {name: g}\n"
             "zones: [{name: a}, {name: b}, {name: c}]\n"
             "devices: [{name: pump, driver: plc, address: \"127.0.0.1:502\"}]\n"
             "tags: [{path: x/y, device: pump, address: h1}]\n"
             "services: [{name: s, module: web, zone: c}]\n"
             "conduits:\n"
             "  - {name: look, from: c, to: [a, b], read: true, tags: [\"x/**\", z]}\n"
             "  - {name: act, from: c, to: a, command: true, until: 2027-01-01T00:00:00Z}\n"
             "contracts: [{name: k, service: s, tags: [\"**\"]}]\n",
             "");
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_int_equal(r.error_count, 0);
    assert_int_equal(plan_open(&p, r.image, r.image_size), 0);
    assert_int_equal(p.boxes[plan_find_box(&p, "s")].zone, 2);
    assert_int_equal(p.boxes[plan_find_box(&p, "local")].zone, PLAN_NONE);
    assert_int_equal(p.header->conduits.count, 3);
    assert_true(p.conduits[0].from == 2 && p.conduits[0].to == 0 && p.conduits[1].to == 1);
    assert_true(p.conduits[1].acts == CONDUIT_READ && p.conduits[1].glob_count == 2);
    assert_true(p.conduits[2].acts == CONDUIT_COMMAND && p.conduits[2].until_ns > 0);
    assert_non_null(strstr(plan_text(&p, p.conduits[2].place), ":8"));
    config_free(&r);
}

/* An asset's own zone goes before its device's. */
static void test_zones(void **state)
{
    (void)state;
    struct config_result r;
    struct plan plan;
    put_both("gateway: {name: g}\n"
             "zones: [{name: hall}, {name: yard}]\n"
             "devices: [{name: pump, driver: plc, address: \"127.0.0.1:502\", zone: hall}]\n"
             "types: [{name: m, tags: [{name: t, address: h1}]}]\n"
             "assets: [{path: a, type: m, device: pump}, {path: b, type: m, device: pump, zone: "
             "yard}]\n",
             "");
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_int_equal(r.error_count, 0);
    assert_int_equal(plan_open(&plan, r.image, r.image_size), 0);
    assert_int_equal(plan_find_path(&plan, "a/t")->zone, 0);
    assert_int_equal(plan_find_path(&plan, "b/t")->zone, 1);
    config_free(&r);
}

/* Each key against each would take minutes here. */
static void test_twins_in_a_large_map(void **state)
{
    (void)state;
    enum { KEYS = 300000, WIDTH = 16 };
    struct config_result r;
    char *text = malloc(KEYS * WIDTH + 64);
    assert_non_null(text);
    size_t size = (size_t)sprintf(text, "gateway:\n");
    for (int i = 0; i < KEYS; i++) {
        size += (size_t)sprintf(text + size, "  k%d: 1\n", i ? i : KEYS - 1);
    }
    put("g.yaml", text, size);
    free(text);
    assert_int_equal(config_load(folder, 0, &r), 0);
    bool found = false;
    for (size_t i = 0; i < r.problem_count; i++) {
        found |= strstr(r.problems[i].text, "'k299999' stands here twice") &&
                 r.problems[i].line == KEYS + 1;
    }
    assert_true(found);
    config_free(&r);
}

static const struct {
    const char *yaml, *text, *proposal;
    int line, column; /* 0: not looked at */
} mistakes[] = {
    {LEVEL "writes: [{name: w, tags: [a], owner: o}]\n", "lacks 'callers'", "add callers", 0, 0},
    {LEVEL "writes: [{name: w, tags: [a], owner: o, callers: []}]\n", "must be a list", "", 0, 0},
    {LEVEL "writes: [{name: w, tags: [a], owner: o, callers: [operator]}]\n", "nobody is called",
     "role:NAME", 6, 51},
    {LEVEL "writes: [{name: w, tags: [a], owner: o, callers: [\"service:x\"]}]\n",
     "nobody is called", "", 0, 0},
    {LEVEL "writes: [{name: w, tags: [r], owner: o, callers: [local]}]\n", "'r' can't be written",
     "read-only", 6, 27},
    {LEVEL "writes: [{name: w, tags: [s], owner: o, callers: [local]}]\n", "safety device guard",
     "", 6, 27},
    {LEVEL "writes: [{name: w, tags: [x], owner: o, callers: [local]}]\n", "no tag matches", "", 0,
     0},
    {WRITES("range: [0, 5]") "  - {name: v, tags: [\"*\"], owner: ops, callers: [local]}\n",
     "in the write contract w already", "", 0, 0},
    {PUMPS "  - {name: w, type: tonk, tags: [open], owner: o, callers: [local]}\n",
     "no asset is a 'tonk'", "", 0, 0},
    {PUMPS "  - {name: w, type: tank, tags: [shut], owner: o, callers: [local]}\n",
     "no tag of the asset a/t1 matches 'shut'", "", 0, 0},
    {PUMPS "  - {name: w, type: tank, tags: [open], owner: o, callers: [local], presence: "
           "./shut}\n",
     "no tag 'a/t1/shut'", "./name", 0, 0},
    {WRITES("range: [0, 7]"), "more than the range", "[0, 6]", 7, 63},
    {WRITES("range: [3, 2]"), "no range", "", 0, 0},
    {WRITES("step: 0"), "no change", "", 0, 0},
    {WRITES("rate: 6"), "no usable rate", "6/min", 0, 0},
    {WRITES("rate: 600/min"), "no usable rate", "at most 100", 0, 0},
    {WRITES("lifetime: 1.5"), "no count", "", 0, 0},
    {WRITES("times: \"Mon-Fri 6-22\""), "no time of the week", "Mon-Fri", 0, 0},
    {WRITES("times: \"06:00-25:00\""), "no time of the week", "", 0, 0},
    {WRITES("lease: 10min"), "needs a value to revert to", "", 0, 0},
    {WRITES("lease: 10min, revert: 9"), "not allow this value", "", 0, 0},
    {WRITES("revert: 1"), "without a lease", "", 0, 0},
    {WRITES("lease: 1min, revert: 1, heartbeat: r"), "'r' can't be written", "", 0, 0},
    {WRITES("approvers: [local]"), "nobody is asked", "approval: 10min", 0, 0},
    {WRITES("when: \"{p} and {a} > 7\""), "can't be met: {a} > 7", "ranges", 7, 62},
    {WRITES("when: \"{p} and {b} > 7\""), "character 10: there is no such tag as 'b'", "", 7, 62},
    {WRITES("when: \"{a}\""), "true or false", "compare", 7, 62},
    {WRITES("presence: a"), "presence is true or false", "", 0, 0},
    {WRITES("presence: q"), "no tag 'q'", "", 0, 0},
    {WRITES("readback: 1ms"), "no usable readback", "", 0, 0},
    {HEAD "  - {name: b, driver: plc, address: \"127.0.0.1:1\", safety: ja}\n", "is neither", "", 4,
     60},
    {"gatway: {name: g}\n", "no section 'gatway'", "'gateway'", 1, 1},
    {"devices: []\n", "names no gateway", "", 0, 0},
    {"gateway: {name: g, nam: x}\n", "no key 'nam'", "'name'", 1, 20},
    {"gateway: {name: g, name: x}\n", "'name' stands here twice", "", 1, 20},
    {"gateway: {name: \"a b\"}\n", "'a b' is no name", "", 1, 17},
    {"gateway: {name: [a]}\n", "single value", "", 1, 17},
    {"gateway: [", "not valid YAML", "", 0, 0},
    {"# 5 µm\ngateway:\n\tname: g\n", "not valid YAML", "spaces", 3, 1},
    {"gateway: {name: \"${CONFIG_TEST_UNSET}\"}\n", "no CONFIG_TEST_UNSET", ":-default", 1, 17},
    {"gateway: {name: \"${X\"}\n", "without an end", "", 1, 17},
    {"gateway: &a {name: g}\n", "anchors", "", 1, 10},
    {"gateway: {name: *a}\n", "aliases", "", 1, 17},
    {"- a\n", "a file holds sections", "", 1, 1},
    {"gateway: {name: g}\n---\na: b\n", "one document", "", 2, 1},
    {"gateway: {name: \xff}\n", "not UTF-8", "", 0, 0},
    {"gateway: {name: g}\njournal: {sync: 0ms}\n", "every '0ms'", "", 2, 17},
    {"gateway: {name: g}\njournal: {limit: 3}\n", "no usable size", "", 2, 18},
    {"gateway: {name: g}\njournal: {flash_endurance: 40 pages}\n", "no usable size", "", 2, 28},
    {"gateway: {name: g}\nzones: x\n", "must be a list", "", 2, 8},
    {HEAD "  - {name: pump, driver: plc, address: \"127.0.0.1:1\"}\n", "two devices", "", 4, 12},
    {HEAD "  - {name: b, driver: pcl, address: \"127.0.0.1:1\"}\n", "no driver 'pcl'", "", 4, 23},
    {HEAD "  - {name: b, driver: plc}\n", "address", "", 0, 0},
    {HEAD "  - {name: b, driver: plc, address: \"127.0.0.1:1\", period: 5}\n", "period", "", 4, 60},
    {HEAD "  - {name: b, driver: plc, address: \"127.0.0.1:1\", zone: x}\n", "no zone", "", 4, 58},
    {HEAD "tags: [{path: a, device: pumb, address: h1}]\n", "called 'pumb'", "'pump'", 4, 26},
    {HEAD "tags: [{path: a, device: pump, address: x1}]\n", "write h", "", 4, 41},
    {HEAD "tags: [{path: a, device: pump}]\n", "lacks 'address'", "", 0, 0},
    {HEAD "tags: [{path: /a, device: pump, address: h1}]\n", "no tag path", "", 4, 15},
    {HEAD "tags: [{path: a, device: pump, address: h1, type: real}]\n", "no type", "", 4, 51},
    {HEAD "tags: [{path: a, device: pump, address: h1, unit: kWh}]\n", "UCUM", "kW.h", 4, 51},
    {HEAD "tags: [{path: a, device: pump, address: h1, range: [2, 1]}]\n", "is empty", "", 4, 52},
    {HEAD "tags: [{path: a, device: pump, address: h1, range: [2]}]\n", "pair", "", 4, 52},
    {HEAD "tags: [{path: a, device: pump, address: h1, low: 1}]\n", "half a range", "", 0, 0},
    {HEAD "tags: [{path: a, device: pump, address: h1, scale: 0}]\n", "scale of 0", "", 4, 52},
    {HEAD "tags: [{path: a, device: pump, address: h1, deadband: 1%}]\n", "needs a range", "", 4,
     55},
    {HEAD
     "tags:\n  - {path: a, device: pump, address: h1}\n  - {path: a, device: pump, address: h2}\n",
     "two tags have the path", "", 0, 0},
    {HEAD "assets: [{path: a, type: m, device: pump}]\n", "no asset type", "", 4, 26},
    {HEAD "types: [{name: m, tags: [{name: t, address: \"h{b}\"}]}]\n"
          "assets: [{path: a, type: m, device: pump}]\n",
     "parameter 'b'", "with", 5, 10},
    {HEAD "services: [{name: s, module: web, password: hunter2}]\n", "secrets never stand in",
     "chmod 600", 4, 35},
    {HEAD "services: [{name: s, module: wep}]\n", "no service 'wep'", "", 4, 30},
    {HEAD "services: [{name: s, module: web, listen: \"0.0.0.0:80\"}]\n", "this service has no TLS",
     "listen on 127.0.0.1", 4, 43},
    {HEAD "contracts: [{name: c, service: s, tags: [\"**\"]}]\n", "no service is called", "", 4,
     32},
    {HEAD "services: [{name: s, module: web}]\n"
          "contracts: [{name: c, service: s, tags: [\"x/**\"]}]\n",
     "no tag matches", "", 5, 42},
    {"gateway: {name: g}\nzones: [{name: a}, {name: a}]\n", "called 'a' already", "", 2, 27},
    {TWO_ZONES "conduits: [{name: c, from: b, to: c, read: true}]\n", "no zone", "", 3, 35},
    {TWO_ZONES "conduits: [{name: c, from: b, to: [a, b], read: true}]\n", "within a zone", "", 3,
     39},
    {TWO_ZONES "conduits: [{name: c, from: b, to: a}]\n", "lets nothing through", "read: true", 3,
     12},
    {TWO_ZONES "conduits: [{name: c, from: b, to: a, read: yes}]\n", "neither", "", 3, 44},
    {TWO_ZONES "conduits: [{name: c, from: b, to: a, read: true, until: soon}]\n", "no time", "", 3,
     57},
    {TWO_ZONES "conduits: [{name: c, from: b, to: a, read: true, tags: x}]\n", "list of globs", "",
     3, 56},
    {TWO_ZONES "devices: [{name: pump, driver: plc, address: \"127.0.0.1:502\"}]\n"
               "tags: [{path: a, device: pump, address: h1}]\n"
               "services: [{name: s, module: web, zone: b}]\n"
               "conduits: [{name: c, from: b, to: a, read: true, until: 2027-01-01T00:00:00Z}]\n"
               "contracts: [{name: c, service: s, tags: [\"**\"]}]\n",
     "lets the service's zone 'b' read a in 'a'", "{name: b-a, from: b, to: a, read: true}", 7, 41},
};

static void test_mistakes(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct config_result r;
        bool found = false;
        put_both(mistakes[i].yaml, "");
        assert_int_equal(config_load(folder, 0, &r), 0);
        assert_null(r.image);
        for (size_t k = 0; k < r.problem_count; k++) {
            const struct config_problem *p = r.problems + k;
            found |= strstr(p->text, mistakes[i].text) &&
                     strstr(p->proposal, mistakes[i].proposal) &&
                     (!mistakes[i].line ||
                      (p->line == mistakes[i].line && p->column == mistakes[i].column));
            if (k + 1 == r.problem_count && !found) {
                print_error("%zu: %s:%d:%d: %s (%s)\n", i, p->file, p->line, p->column, p->text,
                            p->proposal);
            }
        }
        config_free(&r);
        missed += !found;
    }
    assert_int_equal(missed, 0);
}

static void test_all_in_one_pass(void **state)
{
    (void)state;
    struct config_result r;
    put_both("gatway: {}\njournal: {sync: x}\ndevices: [{name: d, driver: nope}]\n",
             "path,device,address,unti\na,c,h1,m\n");
    assert_int_equal(config_load(folder, 0, &r), 0);
    assert_true(r.error_count >= 6);
    config_free(&r);
}

static void cut_and_corrupt(const char *name, const char *text)
{
    size_t size = strlen(text);
    char *copy = malloc(size);
    assert_non_null(copy);
    for (size_t n = 0; n < size; n++) {
        put(name, text, n);
        load_any();
    }
    static const unsigned char bytes[] = {0, '\n', '"', ':', '{', ',', 0x80, 0xff};
    for (size_t i = 0; i < size; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            memcpy(copy, text, size);
            copy[i] = (char)bytes[k];
            put(name, copy, size);
            load_any();
        }
    }
    free(copy);
}

static void test_damaged_yaml(void **state)
{
    (void)state;
    put_both(good_yaml, good_csv);
    cut_and_corrupt("g.yaml", good_yaml);
}

static void test_damaged_csv(void **state)
{
    (void)state;
    put_both(good_yaml, good_csv);
    cut_and_corrupt("t.csv", good_csv);
}

static void test_units(void **state)
{
    (void)state;
    static const char *const valid[] = {"m3/h", "Cel", "bar",     "%",     "kW.h",   "mm/s2",
                                        "/min", "1",   "{piece}", "10*-3", "m[H2O]", "(m/s)2"};
    static const char *const invalid[] = {"",  "kWh", "m/",   "m3//h", "xyz", "(m", "m-",
                                          "{", "{a",  "{\n}", "m h",   "m.",  ")"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        assert_true(unit_is_valid(valid[i]));
    }
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        assert_false(unit_is_valid(invalid[i]));
    }
}

static size_t read_ids(char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/.state/ids.txt", folder);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    text[n] = 0;
    if (f) {
        fclose(f);
    }
    return n;
}

static void load_assigning(const char *csv)
{
    struct config_result r;
    put_both(HEAD, csv);
    assert_int_equal(config_load(folder, 1, &r), 0);
    assert_int_equal(r.error_count, 0);
    config_free(&r);
}

static void test_ids_are_permanent(void **state)
{
    (void)state;
    char text[512];
    put_both(HEAD, "path,device,address\na,pump,h1\n");
    load_any();
    assert_int_equal(read_ids(text, sizeof text), 0); /* check writes nothing */
    load_assigning("path,device,address\na,pump,h1\nb,pump,h2\n");
    load_assigning("path,device,address\nc,pump,h1\nb,pump,h2\n"); /* a's id is not given again */
    load_assigning("path,device,address,unit\nb,pump,h2,m\na,pump,h1,\n"); /* another unit */
    read_ids(text, sizeof text);
    const char *at = text;
    static const char *const lines[] = {"1,int16,,a,", "2,int16,,b,", "3,int16,,c,",
                                        "4,int16,m,b,"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(strncmp(at, lines[i], strlen(lines[i])), 0);
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(*at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conduits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_contract_for_an_asset_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_contract, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twins_in_a_large_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_in_one_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_yaml, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_csv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_are_permanent, setup, teardown),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
