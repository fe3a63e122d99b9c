/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format 0.0.4: the journal, the devices, the processes; names and units after Prometheus' own conventions. */
#include "north/http/http.h"

static void line(struct request *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct request *r, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->body.comma = false;
    json_raw(&r->body, text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* A label's value: quotes, backslashes and line ends escaped. */
static const char *label(char out[128], const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size && text[i] && n < 120; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            out[n++] = '\\';
        }
        out[n++] = text[i] == '\n' ? ' ' : text[i];
    }
    out[n] = 0;
    return out;
}

enum subject { DEVICE, PROCESS };

static const struct family {
    enum subject of;
    const char *name, *type, *help;
} families[] = {
    {DEVICE, "isthmus_device_up", "gauge", "1: the device answers."},
    {DEVICE, "isthmus_device_requests_total", "counter", "Requests sent."},
    {DEVICE, "isthmus_device_timeouts_total", "counter", "Requests without a reply in time."},
    {DEVICE, "isthmus_device_exceptions_total", "counter", "Replies that refuse."},
    {DEVICE, "isthmus_device_latency_seconds", "gauge", "From request to reply."},
    {PROCESS, "isthmus_process_up", "gauge", "1: the process runs."},
    {PROCESS, "isthmus_process_restarts_total", "counter", "Starts after the first."},
    {PROCESS, "isthmus_process_cpu_seconds_total", "counter", "Processor time."},
    {PROCESS, "isthmus_process_pss_bytes", "gauge", "Memory, its share of what is shared."},
};
#define FAMILIES (sizeof families / sizeof *families)

static void head(struct request *r, const char *name, const char *type, const char *help)
{
    line(r, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct request *r, const char *key, const char *text, size_t size,
                   const double *values)
{
    char name[128];
    size_t first = 0;
    while (families[first].of != families[r->count].of) {
        first++;
    }
    line(r, "%s{%s=\"%s\"} %.15g\n", families[r->count].name, key, label(name, text, size),
         values[r->count - first]);
}

static void row_device(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_device *d = row;
    const struct plan *p = r->http->plan;
    if (size < sizeof *d || d->device >= p->header->devices.count) {
        return;
    }
    const char *name = plan_text(p, p->devices[d->device].name);
    sample(r, "device", name, strlen(name),
           (double[]){d->state == ISTHMUS_UP, (double)d->figures[0], (double)d->figures[2],
                      (double)d->figures[3], (double)d->figures[7] / 1e6});
}

static void row_process(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_process *a = row;
    if (size >= sizeof *a) {
        sample(r, "process", a->name, sizeof a->name,
               (double[]){a->pid != 0, a->restarts, (double)a->cpu_ns / 1e9, (double)a->pss_bytes});
    }
}

static void family_next(struct request *r);

static void family_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The reader could not answer", err_text((int)end->error));
        return;
    }
    r->count++;
    family_next(r);
}

/* The format wants all lines of a family together, and rows come by subject: so an ask per family. */
static void family_next(struct request *r)
{
    if (r->count == FAMILIES) {
        request_done(r);
        return;
    }
    const struct family *f = families + r->count;
    struct ask ask = {.kind = f->of == DEVICE ? ASK_DEVICES : ASK_PROCESSES,
                      .max_records = UINT32_MAX};
    head(r, f->name, f->type, f->help);
    request_ask(r, &ask,
                &(struct answer_handler){.row = f->of == DEVICE ? row_device : row_process,
                                         .end = family_end,
                                         .context = r});
}

static void row_journal(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_journal *a = row;
    if (size < sizeof *a) {
        return;
    }
    head(r, "isthmus_journal_records_total", "counter",
         "Records with a sequence number, since the journal began.");
    line(r, "isthmus_journal_records_total %llu\n", (unsigned long long)a->written_sequence);
    head(r, "isthmus_journal_written_bytes_total", "counter", "Bytes written since the start.");
    line(r, "isthmus_journal_written_bytes_total %llu\n", (unsigned long long)a->bytes_written);
    head(r, "isthmus_journal_flushes_total", "counter", "Durable flushes since the start.");
    line(r, "isthmus_journal_flushes_total %llu\n", (unsigned long long)a->flushes);
    head(r, "isthmus_journal_disk_bytes", "gauge", "Bytes on disk.");
    line(r, "isthmus_journal_disk_bytes %llu\n", (unsigned long long)a->disk_bytes);
    head(r, "isthmus_journal_full", "gauge", "1: at the size limit; new samples become gaps.");
    line(r, "isthmus_journal_full %u\n", a->full);
}

static void journal_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The reader could not answer", err_text((int)end->error));
        return;
    }
    family_next(r);
}

void metrics_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_JOURNAL, .max_records = UINT32_MAX};
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    request_ask(r, &ask,
                &(struct answer_handler){.row = row_journal, .end = journal_end, .context = r});
}
