/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/test_bed.h"

#include "base/clock.h"
#include "guard/audit_verify.h"
#include "tag/plan_build.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void make_tags(struct plan_build *b)
{
    static const struct plan_tag tags[BED_TAGS] = {
        {.type = VALUE_INT32, .raw_type = VALUE_INT32},
        {.type = VALUE_FLOAT64,
         .raw_type = VALUE_FLOAT64,
         .deadband_kind = DEADBAND_ABSOLUTE,
         .deadband = 1},
        {.type = VALUE_TEXT, .raw_type = VALUE_TEXT, .max_length = 40},
        {.type = VALUE_UINT16, .raw_type = VALUE_UINT16, .device = 1, .box = BED_OTHER},
    };
    for (uint32_t i = 0; i < BED_TAGS; i++) {
        char path[] = {'w', '/', (char)('1' + i), 0};
        struct plan_tag t = tags[i];
        t.id = i + 1;
        t.path = plan_build_text(b, path);
        plan_build_tag(b, &t);
    }
}

static void make_writes(struct plan_build *b)
{
    static const struct plan_write writes[] = {
        {.high = 100, .rate_count = 3, .rate_ms = 60000, .readback_ms = 2000},
        {.low = -10, .high = 10, .approval_ms = 60000, .readback_ms = 2000, .tolerance = 0.5},
        {.high = 1000, .lease_ms = 10000, .revert = 5, .heartbeat = 1, .readback_ms = 2000}};
    static const struct {
        const char *name;
        uint32_t tag;
    } names[] = {{"plain", 1}, {"two", 2}, {"lent", 4}};
    for (size_t i = 0; i < 3; i++) {
        struct plan_write w = writes[i];
        w.name = plan_build_text(b, names[i].name);
        w.first_tag = plan_build_write_tag(b, names[i].tag);
        w.tag_count = 1;
        w.first_caller = plan_build_option(b, "caller", "service:cloud");
        plan_build_option(b, "approver", "service:bridge");
        w.caller_count = 2;
        plan_build_write(b, &w);
    }
}

static void *make_plan(const char *dir, uint32_t sync_ms, size_t *size)
{
    static const char *const names[BED_BOXES] = {"field", "other", "cloud", "bridge"};
    void *image = NULL;
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->state_dir = plan_build_text(b, dir);
    plan_build_header(b)->sync = sync_ms ? SYNC_PERIOD : SYNC_OS;
    plan_build_header(b)->sync_ms = sync_ms;
    plan_build_header(b)->segment_size = 1 << 20;
    plan_build_header(b)->journal_limit = 64 << 20;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    for (uint32_t i = 0; i < BED_BOXES; i++) {
        struct plan_box box = {.name = plan_build_text(b, names[i]),
                               .kind = i >= BED_CLOUD ? BOX_NORTH : BOX_SOUTH,
                               .ring_capacity = BED_RING};
        if (i == BED_CLOUD) {
            box.first_option = plan_build_option(b, "scope", "all");
            box.option_count = 1;
        }
        plan_build_box(b, &box);
    }
    for (uint32_t i = 0; i < 2; i++) {
        plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, i ? "b" : "a"),
                                                   .box = i,
                                                   .period_ms = 100,
                                                   .tag_count = i ? 1 : 3});
    }
    make_tags(b);
    struct plan_feed feed = {.name = plan_build_text(b, "feed"),
                             .box = BED_CLOUD,
                             .tag_count = 1,
                             .effect = FEED_UNSIGNED};
    feed.first_tag = plan_build_feed_tag(b, 1);
    plan_build_feed(b, &feed);
    make_writes(b);
    must(plan_build_finish(b, &image, size) == 0);
    plan_build_free(b);
    return image;
}

static int64_t bed_utc(void *context)
{
    return ((struct bed *)context)->utc_ns;
}

static int64_t bed_mono(void *context)
{
    return ((struct bed *)context)->mono_ns;
}

static int64_t bed_write(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    struct bed *b = context;
    int64_t part = b->torn < (int64_t)size ? b->torn : (int64_t)size;
    if (!b->killed) {
        return disk_files.write(disk_files.context, fd, data, size, offset);
    }
    if (part > 0) {
        must(disk_files.write(disk_files.context, fd, data, (size_t)part, offset) == part);
    }
    b->torn = 0;
    return ERR_IO;
}

static void open_audit(struct bed *b)
{
    static const uint8_t secret[32] = {7};
    char dir[64];
    struct clock clock = {.context = b, .utc_ns = bed_utc, .mono_ns = bed_mono};
    b->clock = clock;
    b->disk = disk_files;
    b->disk.context = b;
    b->disk.write = bed_write;
    snprintf(dir, sizeof dir, "%s-audit", b->dir);
    must(!mkdir(dir, 0700) || errno == EEXIST);
    struct audit_options options = {.dir = dir,
                                    .disk = &b->disk,
                                    .clock = &b->clock,
                                    .secret = secret,
                                    .gateway = "bed",
                                    .stepped = true};
    must(audit_open(&b->audit, &options) == 0);
}

static void open_engine(struct bed *b)
{
    open_audit(b);
    struct journal_options options = {
        .dir = b->dir, .plan = &b->g->plan, .marks = &b->g->engine->marks, .buffer_bytes = 1 << 20};
    must(journal_open(&b->journal, &options, &b->recovered) == 0);
    must(engine_new(&b->e, b->g, b->journal, b->audit, &b->recovered, b->utc_ns, b->mono_ns) == 0);
    account_start(b->e, &b->recovered);
}

struct seat *bed_seat(struct bed *b, int box)
{
    return b->g->seats + SEAT_BOX + box;
}

static void attach_box(struct bed *b, int box)
{
    struct seat *s = bed_seat(b, box);
    must(ring_producer_init(b->up + box, s->up, s->up_capacity, s->up_tail, -1) == 0);
    must(ring_consumer_init(b->down + box, s->down, s->down_capacity, s->down_tail) == 0);
}

struct bed *bed_new(uint32_t sync_ms)
{
    struct bed *b = calloc(1, sizeof *b);
    size_t size;
    snprintf(b->dir, sizeof b->dir, "/tmp/isthmus-engine-XXXXXX");
    must(mkdtemp(b->dir) != NULL);
    void *image = make_plan(b->dir, sync_ms, &size);
    must(gateway_new(&b->g, image, size) == 0);
    b->g->life = UINT64_C(1) << 40; /* so that the same input makes the same bytes */
    b->utc_ns = BED_START;
    b->mono_ns = NS_PER_S;
    for (int i = 0; i < BED_BOXES; i++) {
        attach_box(b, i);
    }
    for (size_t i = 0; i < b->g->seat_count; i++) {
        atomic_store(&b->g->health->seats[i].starts, 1);
        atomic_store(&b->g->health->seats[i].state, SEAT_RUNNING);
    }
    open_engine(b);
    return b;
}

static void close_engine(struct bed *b)
{
    engine_free(b->e);
    audit_close(b->audit);
    journal_close(b->journal);
    b->e = NULL;
    b->audit = NULL;
    b->journal = NULL;
}

static void remove_folder(const char *dir)
{
    char path[600];
    DIR *d = opendir(dir);
    for (const struct dirent *entry; (entry = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

void bed_free(struct bed *b)
{
    char audit[64];
    snprintf(audit, sizeof audit, "%s-audit", b->dir);
    close_engine(b);
    remove_folder(audit);
    remove_folder(b->dir);
    gateway_free(b->g);
    free(b);
}

void bed_mark(struct bed *b)
{
    struct journal_position p;
    char name[SEGMENT_NAME_SIZE];
    bed_settle(b);
    must(journal_marks_read(&b->g->engine->marks, &p) == 0);
    segment_name(p.durable_segment, name);
    snprintf(b->marked, sizeof b->marked, "%s/%s", b->dir, name);
    b->marked_size = (int64_t)p.durable_offset;
}

static void damage(const char *path, int64_t at)
{
    FILE *f = fopen(path, "r+b");
    must(f && fseek(f, (long)at, SEEK_SET) == 0 && fputc('?', f) == '?' && fclose(f) == 0);
}

void bed_restart_engine(struct bed *b, int how)
{
    close_engine(b);
    if (how == BED_LOSE) {
        must(truncate(b->marked, b->marked_size) == 0);
    } else if (how == BED_DAMAGE) {
        damage(b->marked, b->marked_size + (int64_t)sizeof(struct frame_header));
    }
    open_engine(b);
}

void bed_kill_engine(struct bed *b, int64_t torn)
{
    b->killed = true;
    b->torn = torn;
    close_engine(b);
    b->killed = false;
    open_engine(b);
}

void bed_restart_box(struct bed *b, int box, bool reset)
{
    if (reset) {
        gateway_reset_rings(b->g, SEAT_BOX + box);
    }
    atomic_fetch_add(&b->g->health->seats[SEAT_BOX + box].starts, 1);
    attach_box(b, box);
}

void bed_put(struct bed *b, int box, const struct slot *slots, size_t count)
{
    must(ring_put(b->up + box, slots, count) == 0);
    ring_publish(b->up + box);
}

void bed_record(struct bed *b, int box, enum record_kind kind, uint32_t status, const void *payload,
                size_t size)
{
    struct slot head = {.time = b->utc_ns, .tag = record_tag(kind), .status = status};
    must(ring_put_record(b->up + box, &head, payload, size) == 0);
    ring_publish(b->up + box);
}

uint32_t bed_take(struct bed *b, int box, void *out, size_t size)
{
    struct slot slots[SLOT_RECORD_MAX];
    int n = ring_take(b->down + box, slots, SLOT_RECORD_MAX);
    if (n <= 0) {
        return 0;
    }
    size_t length = slot_record_length(slots);
    ring_step_back(b->down + box, (size_t)n - length);
    ring_release(b->down + box, b->down[box].next);
    memcpy(out, slot_payload(slots), slots->value.u64 < size ? slots->value.u64 : size);
    return record_kind(slots);
}

void bed_run(struct bed *b, int64_t ms)
{
    b->utc_ns += ms * NS_PER_MS;
    b->mono_ns += ms * NS_PER_MS;
    for (int i = 0; i < BED_BOXES; i++) {
        if (atomic_load(&b->g->health->seats[SEAT_BOX + i].state) == SEAT_RUNNING) {
            atomic_store(&bed_seat(b, i)->panel->heartbeat_ns, b->mono_ns);
        }
    }
    while (engine_step(b->e, b->utc_ns, b->mono_ns)) {
    }
    while (!b->audit_stalls && audit_turn(b->audit)) {
    }
    engine_step(b->e, b->utc_ns, b->mono_ns); /* with what has become durable */
}

void bed_settle(struct bed *b)
{
    int64_t until = clock_mono_ns() + 10 * NS_PER_S;
    for (int i = 0; i < BED_BOXES; i++) {
        struct inlet *in = b->e->inlets + BOX_INLET + i;
        while (!in->condemned && atomic_load(&in->up.tail->tail) != in->up.next) {
            must(clock_mono_ns() < until);
            poll(NULL, 0, 1);
            engine_step(b->e, b->utc_ns, b->mono_ns);
        }
    }
    while (journal_durable_sequence(b->journal) < journal_next_sequence(b->journal)) {
        must(clock_mono_ns() < until);
        poll(NULL, 0, 1);
    }
    engine_step(b->e, b->utc_ns, b->mono_ns);
}

bool bed_balances(struct bed *b)
{
    bool balances = true;
    for (uint32_t id = 1; id <= BED_TAGS; id++) {
        const struct now_entry *n = engine_entry(engine_tag(b->e, id));
        balances &= n->produced == n->journaled + n->suppressed + n->rejected + n->gaps;
    }
    return balances;
}

struct slot bed_sample(uint32_t tag, uint64_t value)
{
    return (struct slot){.time = BED_START + (int64_t)value, .tag = tag, .value.u64 = value};
}

struct now_entry *bed_entry(struct bed *b, uint32_t id)
{
    return engine_entry(engine_tag(b->e, id));
}

const char *bed_verdict(struct bed *b, int box)
{
    static char text[97];
    const struct verdict *v = bed_seat(b, box)->verdict;
    text_from_words(v->reason, 12, text);
    return atomic_load(&v->raised) ? text : NULL;
}

size_t bed_honest(struct slot *slots)
{
    size_t n = 0;
    struct record_batch batch = {.clock_uncertainty_ns = -1};
    struct record_gap gap = {.scope = GAP_TAG, .which = 1, .cause = GAP_POLL_LATE, .missed = 1};
    struct record_event event = {.device = 0, .text = "up"};
    struct record_store fetch = {.key = "key"};
    struct record_written written = {.number = 1, .tag = 1, .end = WRITTEN_DONE};
    const struct {
        uint32_t tag, status;
        const void *payload;
        size_t size;
    } rows[] = {
        {record_tag(RECORD_BATCH), 0, &batch, sizeof batch},
        {record_tag(RECORD_GAP), 0, &gap, sizeof gap},
        {3 | SLOT_LONG, 0, "twenty-six letters or more", 26},
        {record_tag(RECORD_EVENT), EVENT_DEVICE_UP, &event, sizeof event},
        {record_tag(RECORD_STORE), 1, &fetch, sizeof fetch},
        {record_tag(RECORD_FETCH), 2, &fetch, sizeof fetch},
        {record_tag(RECORD_WRITTEN), 0, &written, sizeof written},
    };
    slots[n++] = bed_sample(1, 5);
    slots[n] = bed_sample(2, 1);
    slots[n++].value.f64 = 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        slots[n] = (struct slot){.time = BED_START,
                                 .tag = rows[i].tag,
                                 .status = rows[i].status,
                                 .value.u64 = rows[i].size};
        size_t count = slot_count_for(rows[i].size);
        memset(slots + n + 1, 0, (count - 1) * sizeof *slots);
        memcpy(slots + n + 1, rows[i].payload, rows[i].size);
        n += count;
    }
    slots[n++] = bed_sample(1, 6);
    return n;
}

/* ---- What is in the journal's files. ---- */

static void add_file(struct bed_frames *frames, const char *path)
{
    FILE *f = fopen(path, "rb");
    must(f && fseek(f, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(f), at = sizeof(struct segment_header);
    uint8_t *bytes = malloc(size);
    rewind(f);
    must(bytes && fread(bytes, 1, size, f) == size);
    fclose(f);
    while (at < size) {
        struct frame_header h;
        int length = frame_prove(bytes + at, size - at, &h);
        if (length < 0) { /* damaged: to the next sound frame */
            at += sizeof(struct slot);
            continue;
        }
        if (h.kind == FRAME_DATA) {
            frames->bytes = realloc(frames->bytes, frames->size + (size_t)length);
            must(frames->bytes != NULL);
            memcpy(frames->bytes + frames->size, bytes + at, (size_t)length);
            frames->size += (size_t)length;
        }
        at += (size_t)length;
    }
    free(bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void bed_read(struct bed *b, struct bed_frames *frames)
{
    char names[64][SEGMENT_NAME_SIZE], path[600];
    size_t count = 0;
    *frames = (struct bed_frames){0};
    close_engine(b);
    DIR *d = opendir(b->dir);
    for (const struct dirent *entry; (entry = readdir(d));) {
        if (strstr(entry->d_name, ".seg")) {
            must(count < 64);
            snprintf(names[count++], SEGMENT_NAME_SIZE, "%.31s", entry->d_name);
        }
    }
    closedir(d);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%.31s", b->dir, names[i]);
        add_file(frames, path);
    }
}

const struct slot *bed_next(const struct bed_frames *frames, size_t *at, uint32_t kind)
{
    for (size_t frame = 0; frame < frames->size;) {
        const struct frame_header *h = (const void *)(frames->bytes + frame);
        size_t slots = frame + sizeof *h, end = frame + h->length;
        for (size_t i = slots; i < end;) {
            const struct slot *s = (const void *)(frames->bytes + i);
            size_t length = slot_record_length(s) * sizeof *s;
            bool match = kind ? s->tag == record_tag((enum record_kind)kind) : !slot_is_control(s);
            i += length;
            if (match && i > *at) {
                *at = i;
                return s;
            }
        }
        frame = end;
    }
    return NULL;
}

size_t bed_count(const struct bed_frames *frames, uint32_t kind)
{
    size_t count = 0;
    for (size_t at = 0; bed_next(frames, &at, kind);) {
        count++;
    }
    return count;
}

struct record_gap bed_gap_at(const struct bed_frames *f, size_t *at)
{
    struct record_gap gap = {0};
    const struct slot *s = bed_next(f, at, RECORD_GAP);
    if (s) {
        memcpy(&gap, slot_payload(s), sizeof gap);
    }
    return gap;
}

size_t bed_gaps(const struct bed_frames *f, uint32_t cause, uint64_t *produced)
{
    size_t count = 0;
    struct record_gap gap;
    for (size_t at = 0; (gap = bed_gap_at(f, &at)).scope;) {
        count += gap.cause == cause;
        *produced += gap.cause == cause ? gap.produced : 0;
    }
    return count;
}

uint32_t bed_heard(struct bed *b, int box, struct record_receipt *r)
{
    uint32_t state = UINT32_MAX;
    while (bed_take(b, box, r, sizeof *r) == RECORD_RECEIPT) {
        state = r->state;
    }
    return state;
}

void bed_written(struct bed *b, int box, const struct record_write *w, enum written_end end,
                 const char *reason)
{
    struct record_written r = {.number = w->number, .tag = w->tag, .end = end};
    snprintf(r.reason, sizeof r.reason, "%s", reason);
    bed_record(b, box, RECORD_WRITTEN, 0, &r, sizeof r);
    bed_run(b, 1);
}

void bed_value(struct bed *b, int box, uint32_t tag, uint64_t value)
{
    struct slot s = bed_sample(tag, value);
    bed_put(b, box, &s, 1);
    bed_run(b, 1);
}

static void note_kind(void *context, const struct audit_entry *e)
{
    struct bed_audit *k = context;
    if (e->kind >= AUDIT_COMMAND_REQUESTED && k->count < 64) {
        k->kinds[k->count++] = e->kind;
    }
}

struct bed_audit bed_audited(struct bed *b)
{
    struct bed_audit k = {.count = 0};
    struct audit_findings f;
    char dir[64];
    snprintf(dir, sizeof dir, "%s-audit", b->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct audit_read read = {.disk = &disk_files, .dir = fd, .entry = note_kind, .context = &k};
    must(!audit_verify(&read, &f) && !f.reason[0]);
    close(fd);
    return k;
}
