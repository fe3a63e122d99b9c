/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard costs.
 *
 *   guard.decision  one decision of a write contract, with a permissive over five tags of *now*
 *   audit.append    entries a second, appended as fast as they are taken, each durable at the end (group commit)
 *   reader.overhead what it costs a value to pass through the rights of who asks for it (the reader's filter over 100,000 tags,
 *                   which zones, conduits, contracts and the session have made), beside looking at the value itself */
#include "base/clock.h"
#include "guard/audit.h"
#include "guard/contract.h"
#include "reader/walk.h"
#include "rule/expr.h"
#include "tag/now.h"
#include "tag/plan_build.h"
#include "tag/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAGS      5u
#define SCOPE     100000u /* tags, of which nine in ten may be seen */
#define VALUES    20000000u
#define DECISIONS 1000000u
#define ENTRIES   200000u

struct plant {
    struct plan plan;
    struct now_table now;
    int64_t seen_ns[TAGS];
};

static bool find_tag(void *context, const char *path, size_t size, struct expr_tag *out)
{
    (void)context;
    *out = (struct expr_tag){
        .id = (uint32_t)(path[size - 1] - '0'), .low = -INFINITY, .high = INFINITY};
    return true;
}

static void read_tag(void *context, uint32_t id, struct expr_value *out)
{
    struct plant *p = context;
    struct now_value v;
    *out = (struct expr_value){.none = true};
    const struct plan_tag *tag = plan_find_tag(&p->plan, id);
    if (tag && now_read(&p->now, tag, &v) == ERR_OK) {
        *out =
            (struct expr_value){.good = status_severity(v.slot.status) == SEVERITY_GOOD,
                                .number = value_as_double((enum value_type)tag->type, v.slot.value),
                                .age_ns = 1000};
    }
}

static void *make_plan(struct plant *p)
{
    struct plan_build *b = plan_build_new();
    void *image = NULL;
    size_t size;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "plant")});
    for (uint32_t i = 0; i < TAGS; i++) {
        plan_build_tag(b, &(struct plan_tag){.id = i + 1,
                                             .device = PLAN_NONE,
                                             .box = PLAN_NONE,
                                             .type = VALUE_FLOAT64,
                                             .raw_type = VALUE_INT16,
                                             .has_scale = 1,
                                             .scale = 0.01});
    }
    struct plan_write w = {.high = 100, .step = 200, .rate_count = 100, .rate_ms = 1000};
    w.first_caller = plan_build_option(b, "caller", "role:engineer");
    plan_build_option(b, "caller", "role:operator");
    w.caller_count = 2;
    w.first_tag = plan_build_write_tag(b, 1);
    w.tag_count = 1;
    plan_build_write(b, &w);
    if (plan_build_finish(b, &image, &size) || plan_open(&p->plan, image, size)) {
        exit(1);
    }
    plan_build_free(b);
    p->now = now_view(calloc(1, now_bytes(p->plan.zones)), p->plan.zones);
    for (uint32_t i = 0; i < TAGS; i++) {
        struct slot s = {.time = 1, .tag = i + 1, .value.f64 = i + 1};
        now_write(&p->now, p->plan.tags + i, &s, NULL, i + 1);
    }
    return image;
}

static int decide(void)
{
    static const char text[] =
        "{t1} > 0 and {t2} < 3 and good({t3}) and age({t4}) < 5s and {t5} + {t1} < 10";
    struct plant p = {.plan.image = NULL};
    const struct expr_names names = {.find = find_tag};
    const struct expr_reader reader = {.context = &p, .read = read_tag};
    struct expr_code code;
    struct expr_error error;
    struct expr x;
    struct guard_tag memory = {.tag = 1};
    struct guard_caller caller = {.name = "user:anna", .role = "operator"};
    union slot_value raw, effective;
    char why[GUARD_REASON_SIZE];
    void *image = make_plan(&p);
    if (expr_compile(text, &names, &code, &error) || expr_open(&x, code.words, code.size)) {
        return 1;
    }
    uint64_t yes = 0;
    int64_t start = clock_mono_ns();
    for (uint32_t i = 0; i < DECISIONS; i++) {
        struct guard_ask ask = {.plan = &p.plan,
                                .contract = plan_find_write(&p.plan, 1),
                                .tag = p.plan.tags,
                                .caller = &caller,
                                .memory = &memory,
                                .type = VALUE_FLOAT64,
                                .value.f64 = i % 100,
                                .has_now = true,
                                .present = true,
                                .mono_ns = start};
        yes += guard_lets(&ask, why) && expr_holds(&x, &reader) == EXPR_TRUE &&
               guard_raw(ask.tag, ask.value, &raw, &effective, why);
    }
    double us = (double)(clock_mono_ns() - start) / 1e3 / DECISIONS;
    free(p.now.entries);
    free(image);
    if (yes != DECISIONS) {
        return 1;
    }
    printf("guard.decision %.3f us\n", us);
    return 0;
}

static int append(void)
{
    static const uint8_t secret[32] = {1};
    char dir[] = "guard_bench-XXXXXX", command[64];
    struct audit *a;
    struct audit_entry entry = {.kind = AUDIT_COMMAND_REQUESTED, .who = "user:anna", .text = "why"};
    uint64_t ticket = 0;
    if (!mkdtemp(dir)) {
        return 1;
    }
    struct audit_options options = {.dir = dir, .secret = secret, .gateway = "bench"};
    if (audit_open(&a, &options)) {
        return 1;
    }
    int64_t start = clock_mono_ns();
    for (uint32_t i = 0; i < ENTRIES; i++) {
        entry.detail = i;
        while (audit_append(a, &entry, false, &ticket)) {
            usleep(50);
        }
    }
    while (audit_durable(a) <= ticket) {
        usleep(50);
    }
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    audit_close(a);
    snprintf(command, sizeof command, "rm -r %s", dir);
    printf("audit.append %.0f entries/s\n", ENTRIES / seconds);
    return system(command) != 0;
}

/* Nanoseconds for VALUES slots, with or without the question whether the asker may see each. */
static double look_at(const struct slot *slots, const struct filter *filter, bool ask)
{
    double sum = 0;
    int64_t start = clock_mono_ns();
    for (uint32_t i = 0; i < VALUES; i++) {
        const struct slot *s = slots + i % SCOPE;
        if (!ask || filter_has_tag(filter, slot_id(s))) {
            sum += s->value.f64;
        }
    }
    int64_t spent = clock_mono_ns() - start;
    if (sum < 0) {
        exit(1);
    }
    return (double)spent;
}

static int overhead(void)
{
    struct slot *slots = calloc(SCOPE, sizeof *slots);
    uint64_t *tags = calloc(SCOPE / 64 + 1, sizeof *tags);
    if (!slots || !tags) {
        return 1;
    }
    for (uint32_t i = 0; i < SCOPE; i++) {
        uint32_t id = i * 7919u % (SCOPE - 1) + 1; /* in no order, as polls of many devices come */
        slots[i] = (struct slot){.tag = id, .value.f64 = 1};
        if (id % 10) {
            tags[id / 64] |= UINT64_C(1) << id % 64;
        }
    }
    const struct filter filter = {.tags = tags, .end_id = SCOPE};
    double without = look_at(slots, &filter, false), with = look_at(slots, &filter, true);
    printf("reader.overhead %.4f us\n", (with - without) / 1e3 / VALUES);
    free(slots);
    free(tags);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--list")) {
            puts("guard.decision\naudit.append\nreader.overhead");
        } else if (!strcmp(argv[i], "guard.decision")) {
            bad |= decide();
        } else if (!strcmp(argv[i], "audit.append")) {
            bad |= append();
        } else if (!strcmp(argv[i], "reader.overhead")) {
            bad |= overhead();
        } else {
            bad = 1;
        }
    }
    return bad;
}
