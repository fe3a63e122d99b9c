/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format 0.0.4: the journal, the processes, the devices. Three asks, one after the
 * other; names and units after Prometheus' own conventions. */
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

static void head(struct request *r, const char *name, const char *type, const char *help)
{
    line(r, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void ask_next(struct request *r, enum ask_kind kind,
                     void (*row)(void *context, const void *row, size_t size),
                     void (*end)(void *context, const struct answer *end))
{
    struct ask ask = {.kind = kind, .max_records = UINT32_MAX};
    request_ask(r, &ask, &(struct answer_handler){.row = row, .end = end, .context = r});
}

static void row_device(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_device *d = row;
    const struct plan *p = r->http->plan;
    char name[128];
    if (size < sizeof *d || d->device >= p->header->devices.count) {
        return;
    }
    const char *text = plan_text(p, p->devices[d->device].name);
    label(name, text, strlen(text));
    line(r, "isthmus_device_up{device=\"%s\"} %d\n", name, d->state == ISTHMUS_UP);
    line(r, "isthmus_device_requests_total{device=\"%s\"} %llu\n", name,
         (unsigned long long)d->figures[0]);
    line(r, "isthmus_device_timeouts_total{device=\"%s\"} %llu\n", name,
         (unsigned long long)d->figures[2]);
    line(r, "isthmus_device_exceptions_total{device=\"%s\"} %llu\n", name,
         (unsigned long long)d->figures[3]);
    line(r, "isthmus_device_latency_seconds{device=\"%s\"} %g\n", name,
         (double)d->figures[7] / 1e6);
}

static void devices_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    (void)end;
    request_done(r);
}

static void row_process(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_process *a = row;
    char name[128];
    if (size < sizeof *a) {
        return;
    }
    label(name, a->name, sizeof a->name);
    line(r, "isthmus_process_up{process=\"%s\"} %d\n", name, a->pid != 0);
    line(r, "isthmus_process_restarts_total{process=\"%s\"} %u\n", name, a->restarts);
    line(r, "isthmus_process_cpu_seconds_total{process=\"%s\"} %.3f\n", name,
         (double)a->cpu_ns / 1e9);
    line(r, "isthmus_process_pss_bytes{process=\"%s\"} %llu\n", name,
         (unsigned long long)a->pss_bytes);
}

static void processes_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    (void)end;
    ask_next(r, ASK_DEVICES, row_device, devices_end);
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
    (void)end;
    ask_next(r, ASK_PROCESSES, row_process, processes_end);
}

void metrics_begin(struct request *r)
{
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    ask_next(r, ASK_JOURNAL, row_journal, journal_end);
}
