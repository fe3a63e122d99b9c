/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/client.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

const char *number_of(char out[32], const json_t *o, const char *key, double factor,
                      const char *format)
{
    snprintf(out, 32, format, json_number_value(json_object_get(o, key)) * factor);
    return out;
}

void print_json(const json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_processes(const struct client *c, const json_t *processes)
{
    struct table t = {0};
    size_t i;
    json_t *p;
    table_row(&t, 8, "PROCESS", "STATE", "PID", "RESTARTS", "CPU s", "MEMORY MB", "MISSING LAYERS",
              "LAST END");
    json_array_foreach(processes, i, p)
    {
        char pid[32], restarts[32], cpu[32], memory[32], layers[160] = "";
        size_t k;
        json_t *layer;
        json_array_foreach(json_object_get(p, "layers_missing"), k, layer)
        {
            size_t n = strlen(layers);
            snprintf(layers + n, sizeof layers - n, "%s%s", n ? " " : "", json_string_value(layer));
        }
        table_row(&t, 8, text_of(p, "name"), text_of(p, "state"),
                  number_of(pid, p, "pid", 1, "%.0f"),
                  number_of(restarts, p, "restarts", 1, "%.0f"),
                  number_of(cpu, p, "cpu_seconds", 1, "%.2f"),
                  number_of(memory, p, "pss_bytes", 1e-6, "%.1f"), *layers ? layers : "none",
                  text_of(p, "reason"));
    }
    table_print(&t, c->colour);
}

/* "41 days", "3 hours", "12 years". */
static const char *span_text(char out[32], double days)
{
    if (days < 2) {
        snprintf(out, 32, "%.0f hours", days * 24);
    } else if (days < 730) {
        snprintf(out, 32, "%.0f days", days);
    } else if (days < 365250) {
        snprintf(out, 32, "%.0f years", days / 365.25);
    } else {
        snprintf(out, 32, "over 1000 years");
    }
    return out;
}

/* Which service's certificates end when: the time to renew them is told before it is over. */
static void print_certificates(const json_t *processes)
{
    size_t i;
    json_t *p;
    json_array_foreach(processes, i, p)
    {
        char span[32];
        const char *text = text_of(p, "certificate_ends");
        int64_t ends_ns;
        if (!*text || clock_parse(text, strlen(text), &ends_ns)) {
            continue;
        }
        double days = (double)(ends_ns - clock_utc_ns()) / 864e11;
        if (days <= 0) {
            printf("certificates of %s: EXPIRED %.10s; renew them (isthmus pki)\n",
                   text_of(p, "name"), text);
        } else {
            printf("certificates of %s: good for %s, until %.10s%s\n", text_of(p, "name"),
                   span_text(span, days), text, days < 30 ? "; renew them (isthmus pki)" : "");
        }
    }
}

static void print_forecast(const json_t *journal)
{
    const json_t *f = json_object_get(journal, "forecast");
    char span[32], growth[32], flash[32];
    if (!f) {
        return;
    }
    if (json_object_get(f, "full_in_days")) {
        bool limit = !strcmp(text_of(f, "full_by"), "limit");
        printf("disk: %s in %s at this rate (%s MB a day)\n",
               limit ? "the journal's limit is reached" : "full",
               span_text(span, json_number_value(json_object_get(f, "full_in_days"))),
               number_of(growth, f, "growth_bytes_per_day", 1e-6, "%.1f"));
    } else {
        printf("disk: not filling up\n");
    }
    printf("flash: takes %s GB a day", number_of(flash, f, "flash_bytes_per_day", 1e-9, "%.2f"));
    double years = json_number_value(json_object_get(f, "flash_years"));
    if (years > 0) {
        printf(", worn in %s", span_text(span, years * 365.25));
    }
    printf("\n");
}

static void print_sealed(const json_t *s)
{
    char files[32], samples[32], each[32];
    double count = json_number_value(json_object_get(s, "samples"));
    if (count > 0) {
        double bytes = json_number_value(json_object_get(s, "bytes"));
        snprintf(each, sizeof each, "%.2f", bytes / count);
        printf("history: %s samples in %s sealed files, %s bytes each\n",
               number_of(samples, s, "samples", 1, "%.0f"), number_of(files, s, "files", 1, "%.0f"),
               each);
    }
    long long damaged = (long long)json_integer_value(json_object_get(s, "damaged"));
    if (damaged > 0) {
        printf("history: %lld files were damaged and set aside: see the events\n", damaged);
    }
}

/* Contracts that are not signed by both sides. */
static void print_unsigned(const json_t *feeds)
{
    static const struct {
        const char *effect, *text;
    } texts[] = {{"trial", "nobody has signed it: a trial, on this machine only"},
                 {"partly", "tags that have changed wait for both signatures"},
                 {"unsigned", "NOT IN EFFECT: it delivers nothing until both sides have signed"}};
    size_t i;
    json_t *f;
    json_array_foreach(feeds, i, f)
    {
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            if (!strcmp(text_of(f, "effect"), texts[k].effect)) {
                printf("contract %s: %s\n", text_of(f, "contract"), texts[k].text);
            }
        }
    }
}

int client_status(const struct client *c)
{
    static const char *const parts[] = {"gateway", "journal", "processes", "feeds"};
    json_t *all = json_object();
    int status = CLI_OK;
    for (size_t i = 0; i < 4 && status == CLI_OK; i++) {
        char target[64];
        snprintf(target, sizeof target, "/api/v1/%s", parts[i]);
        json_t *part = client_get(c, target, &status);
        json_t *list = json_object_get(part, parts[i]);
        json_object_set(all, parts[i], list ? list : part);
        json_decref(part);
    }
    if (status == CLI_OK && c->json) {
        print_json(all);
    } else if (status == CLI_OK) {
        char a[32], b[32], d[32], e[32];
        const json_t *g = json_object_get(all, "gateway");
        const json_t *j = json_array_get(json_object_get(all, "journal"), 0);
        printf("%s  (isthmus %s)  %s tags, %s devices\n", text_of(g, "name"), text_of(g, "version"),
               number_of(a, g, "tags", 1, "%.0f"), number_of(b, g, "devices", 1, "%.0f"));
        printf("journal: %s records, %s of %s MB%s\n", text_of(j, "written_seq"),
               number_of(d, j, "disk_bytes", 1e-6, "%.1f"),
               number_of(e, j, "limit_bytes", 1e-6, "%.0f"),
               json_is_true(json_object_get(j, "full")) ? ", FULL: new samples become gaps" : "");
        print_sealed(json_object_get(j, "sealed"));
        print_forecast(j);
        print_unsigned(json_object_get(all, "feeds"));
        putchar('\n');
        print_processes(c, json_object_get(all, "processes"));
        print_certificates(json_object_get(all, "processes"));
    }
    json_decref(all);
    return status;
}

int client_devices(const struct client *c)
{
    int status;
    json_t *root = client_get(c, "/api/v1/devices", &status), *d;
    if (!root) {
        return status;
    }
    if (c->json) {
        print_json(json_object_get(root, "devices"));
    } else {
        struct table t = {0};
        size_t i;
        table_row(&t, 8, "DEVICE", "STATE", "TAGS", "LATENCY ms", "REQUESTS", "TIMEOUTS",
                  "EXCEPTIONS", "REASON");
        json_array_foreach(json_object_get(root, "devices"), i, d)
        {
            char tags[32], latency[32], requests[32], timeouts[32], exceptions[32];
            table_row(&t, 8, text_of(d, "name"), text_of(d, "state"),
                      number_of(tags, d, "tags", 1, "%.0f"),
                      number_of(latency, d, "latency_us", 1e-3, "%.2f"),
                      number_of(requests, d, "requests", 1, "%.0f"),
                      number_of(timeouts, d, "timeouts", 1, "%.0f"),
                      number_of(exceptions, d, "exceptions", 1, "%.0f"), text_of(d, "reason"));
        }
        table_print(&t, c->colour);
    }
    json_decref(root);
    return CLI_OK;
}

int client_browse(const struct client *c)
{
    int status = CLI_USAGE;
    char target[2048] = "/api/v1/browse?device=";
    json_t *item;
    if (c->argument_count != 1 || !client_escape(target, sizeof target, c->arguments[0])) {
        fprintf(stderr, "isthmus browse: one device, please\n");
        return CLI_USAGE;
    }
    json_t *root = client_get(c, target, &status);
    if (!root) {
        return status;
    }
    json_int_t lost = json_integer_value(json_object_get(root, "lost"));
    if (c->json) {
        print_json(root);
    } else {
        struct table t = {0};
        size_t i;
        table_row(&t, 5, "NAME", "ADDRESS", "TYPE", "UNIT", "DESCRIPTION");
        json_array_foreach(json_object_get(root, "items"), i, item)
        {
            table_row(&t, 5, text_of(item, "name"), text_of(item, "address"), text_of(item, "type"),
                      text_of(item, "unit"), text_of(item, "description"));
        }
        table_print(&t, c->colour);
    }
    if (lost) {
        fprintf(stderr, "isthmus browse: %lld more items were lost on their way\n",
                (long long)lost);
    }
    json_decref(root);
    return CLI_OK;
}

const char *value_text(char out[256], const json_t *value)
{
    if (json_is_string(value)) {
        snprintf(out, 256, "%s", json_string_value(value));
    } else if (!value || json_is_null(value)) {
        snprintf(out, 256, "-");
    } else {
        size_t n = json_dumpb(value, out, 255, JSON_ENCODE_ANY | JSON_REAL_PRECISION(7));
        out[n < 255 ? n : 255] = 0;
    }
    return out;
}

int say_no_match(const char *command, const char *pattern)
{
    fprintf(stderr,
            "isthmus %s: no tag matches '%s'\n"
            "  `isthmus get '**'` shows all; quote patterns, or the shell takes them for files.\n",
            command, pattern);
    return CLI_FAILED;
}

int client_get_tags(const struct client *c)
{
    json_t *found = json_array(), *v;
    int status = CLI_OK;
    size_t i;
    for (int k = 0; k < c->argument_count && status == CLI_OK; k++) {
        char target[2048] = "/api/v1/now?tags=";
        json_t *root = client_escape(target, sizeof target, c->arguments[k])
                           ? client_get(c, target, &status)
                           : NULL;
        json_t *values = json_object_get(root, "values");
        if (root && !json_array_size(values)) {
            status = say_no_match("get", c->arguments[k]);
        }
        json_array_extend(found, values);
        json_decref(root);
    }
    if (c->json && json_array_size(found)) {
        print_json(found);
    } else if (json_array_size(found)) {
        struct table t = {0};
        table_row(&t, 5, "TAG", "VALUE", "UNIT", "STATUS", "AGE s");
        json_array_foreach(found, i, v)
        {
            char value[256], age[32];
            table_row(&t, 5, text_of(v, "tag"), value_text(value, json_object_get(v, "value")),
                      text_of(v, "unit"), text_of(v, "status"),
                      number_of(age, v, "age_ms", 1e-3, "%.1f"));
        }
        table_print(&t, c->colour);
    }
    json_decref(found);
    return status;
}

static void watch_line(void *context, const char *text, size_t size)
{
    const struct client *c = context;
    if (c->json) {
        printf("%.*s\n", (int)size, text);
        fflush(stdout);
        return;
    }
    json_t *r = json_loadb(text, size, 0, NULL);
    char value[256];
    if (json_object_get(r, "value")) {
        printf("%.23sZ  %-40s %14s  %s\n", text_of(r, "time"), text_of(r, "tag"),
               value_text(value, json_object_get(r, "value")), text_of(r, "status"));
    } else if (json_object_get(r, "skipped")) {
        printf("%" JSON_INTEGER_FORMAT " records skipped: %s\n",
               json_integer_value(json_object_get(r, "records")), text_of(r, "skipped"));
    } else if (r) {
        printf("%.23sZ  %s%s %s%s%s\n", text_of(r, "time"),
               json_object_get(r, "gap") ? "gap: " : "", text_of(r, "gap"), text_of(r, "event"),
               *text_of(r, "device") ? " " : "", text_of(r, "device"));
    }
    fflush(stdout);
    json_decref(r);
}

/* Whether there is a tag to wait for. */
static int prove_match(const struct client *c, const char *pattern)
{
    int status = CLI_USAGE;
    char target[4096] = "/api/v1/tags?limit=1&glob=";
    json_t *root =
        client_escape(target, sizeof target, pattern) ? client_get(c, target, &status) : NULL;
    if (root) {
        bool any = json_array_size(json_object_get(root, "tags")) > 0;
        status = any ? CLI_OK : say_no_match("watch", pattern);
    }
    json_decref(root);
    return status;
}

int client_watch(const struct client *c)
{
    char target[3800] = "/api/v1/stream?mode=latest";
    for (int k = 0; k < c->argument_count; k++) {
        strcat(target, "&tags=");
        if (strlen(target) > 3000 || !client_escape(target, sizeof target - 8, c->arguments[k])) {
            fprintf(stderr, "isthmus watch: too many tags; use globs\n");
            return CLI_USAGE;
        }
        int status = prove_match(c, c->arguments[k]);
        if (status != CLI_OK) {
            return status;
        }
    }
    return client_stream(c, target, watch_line, (void *)c);
}
