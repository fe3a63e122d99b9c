/* SPDX-License-Identifier: Apache-2.0 */
/* A north service that somebody has captured, for test_captive.py: it has the memory, the descriptors and the rings of a north box, and
 * tries by every means to see what lies outside of its contract. What it must not find is written here with each byte changed, so that
 * this program is not what is found. It begins when the tag that it may read has the value 4711, and logs each breach. */
#include "box/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define HIDE     0x5a
#define BEGIN    4711
#define TAG_LAST 40u
#define MAPS     400u
#define MAP_MOST (1ul << 30) /* a sanitizer's own maps are larger */

static struct service_host *host;
static uv_timer_t timer;
static uv_idle_t turn;
static size_t under_way, tries, breaches, seen_own, at;
static int stage;

static struct {
    const char *name;
    const char *bytes; /* each ^ HIDE */
    size_t size;
} canaries[] = {
    {"a hidden value", "\x11\x1b\x14\x1b\x08\x13\x77\x6d\x3c\x69\x3b", 11}, /* KANARI-7f3a */
    {"a hidden name", "\x2c\x3f\x28\x38\x35\x28\x3d\x3f\x34", 9},           /* verborgen */
    {"a password", "\x29\x3f\x29\x3b\x37\x77\x6e\x6d\x6b\x6b", 10},         /* sesam-4711 */
    {"the control", "\x19\x35\x34\x2e\x28\x35\x36\x77\x63\x63",
     10}, /* Control-99: this must be found */
};
#define CONTROL 3
static char *control;

static struct {
    uintptr_t from, to;
    char name[24];
} maps[MAPS];
static size_t map_count;

static void breach(const char *how, const char *what)
{
    breaches++;
    service_log(host, "breach: %s: %s", how, what);
}

#define RAW __attribute__((no_sanitize("address"))) /* looks where nothing belongs to it */

RAW static bool lies_at(const uint8_t *p, size_t c)
{
    for (size_t i = 0; i < canaries[c].size; i++) {
        if ((p[i] ^ HIDE) != (uint8_t)canaries[c].bytes[i]) {
            return false;
        }
    }
    return true;
}

RAW static bool holds(const void *data, size_t size, size_t c)
{
    const uint8_t *p = data;
    uint8_t first = (uint8_t)(canaries[c].bytes[0] ^ HIDE);
    for (size_t i = 0; i + canaries[c].size <= size; i++) {
        if (p[i] == first && lies_at(p + i, c)) {
            return true;
        }
    }
    return false;
}

static void look_into(const char *how, const void *data, size_t size)
{
    tries++;
    for (size_t c = 0; c < CONTROL; c++) {
        if (holds(data, size, c)) {
            breach(how, canaries[c].name);
        }
    }
}

/* ---- Memory ---- */

static sigjmp_buf nothing_there;

static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(nothing_there, 1);
}

static void learn_maps(void)
{
    char line[500];
    unsigned long from, to;
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof line, f) && map_count < MAPS) {
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && !strstr(line, "[v") &&
            to - from <= MAP_MOST) {
            maps[map_count].from = from;
            snprintf(maps[map_count].name, sizeof maps->name, "%.23s",
                     strlen(line) > 73 ? line + 73 : "?");
            maps[map_count].name[strcspn(maps[map_count].name, "\n")] = 0;
            maps[map_count++].to = to + (strstr(line, "[heap]") ? 64u << 20 : 0);
        }
    }
    if (f) {
        fclose(f);
    }
}

/* A page, and as much of the next as a canary may reach into it. */
static bool lies_in(volatile uintptr_t page, volatile size_t c)
{
    if (sigsetjmp(nothing_there, 1)) {
        return false;
    }
    return holds((const void *)page, 4096 + canaries[c].size - 1, c);
}

static void scan_memory(void)
{
    struct sigaction fault = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, before[2];
    bool found_control = false;
    sigaction(SIGSEGV, &fault, before);
    sigaction(SIGBUS, &fault, before + 1);
    for (size_t i = 0; i < map_count; i++) {
        for (uintptr_t p = maps[i].from; p < maps[i].to; p += 4096) {
            found_control |= lies_in(p, CONTROL);
            tries++;
            for (size_t c = 0; c < CONTROL; c++) {
                if (lies_in(p, c)) {
                    char how[80];
                    snprintf(how, sizeof how, "memory, mapping %zu of %zu, %s", i, map_count,
                             maps[i].name);
                    breach(how, canaries[c].name);
                }
            }
        }
    }
    sigaction(SIGSEGV, before, NULL);
    sigaction(SIGBUS, before + 1, NULL);
    service_log(host, "control: %s", found_control ? "found" : "missed");
}

/* ---- Descriptors, files, processes, networks ---- */

static void try_descriptors(void)
{
    static uint8_t data[65536];
    for (int fd = 3; fd < 1024; fd++) {
        struct stat st;
        if (fstat(fd, &st)) {
            continue;
        }
        if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) {
            breach("descriptor", "a file or folder is open");
        }
        void *map = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) {
            look_into("mapped descriptor", map, 65536);
            munmap(map, 65536);
        }
        ssize_t n = pread(fd, data, sizeof data, 0);
        look_into("descriptor", data, n > 0 ? (size_t)n : 0);
    }
}

static void try_path(const char *path)
{
    static uint8_t data[1u << 16];
    static const int flags[] = {O_RDONLY, O_RDWR, O_RDONLY | O_DIRECTORY, O_PATH};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int fd = open(path, flags[i] | O_CLOEXEC);
        tries++;
        if (fd >= 0) {
            ssize_t n = read(fd, data, sizeof data);
            look_into(path, data, n > 0 ? (size_t)n : 0);
            breach("opened", path);
            close(fd);
        }
    }
}

static void try_files(void)
{
    static const char *const usual[] = {"/etc/passwd", "/proc/self/mem", "/proc/1/mem", "/dev/mem",
                                        "/dev/shm",    "/proc",          "/tmp",        "."};
    static const char *const below[] = {
        "",          "/journal",           "/audit",   "/keys",         "/keys/audit.pem",
        "/identity", "/identity/accounts", "/ids.txt", "/isthmus.sock", "/../isthmus.yaml"};
    char path[600];
    const char *state = service_option_text(host, "state");
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        try_path(usual[i]);
    }
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        snprintf(path, sizeof path, "%s%s", state, below[i]);
        try_path(path);
    }
    for (int pid = getppid() - 20; pid < getppid() + 60; pid++) {
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        if (pid > 0 && pid != getpid()) {
            try_path(path);
        }
    }
}

static void try_processes(void)
{
    static uint8_t data[4096];
    for (int pid = getppid() - 20; pid < getppid() + 60; pid++) {
        struct iovec local = {data, sizeof data}, remote = {(void *)maps[0].from, sizeof data};
        if (pid <= 0 || pid == getpid()) {
            continue;
        }
        tries += 4;
        if (process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0) {
            breach("processes", "read the memory of another");
        }
        if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0) {
            breach("processes", "traces another");
        }
        if (kill(pid, 0) == 0) {
            breach("processes", "may send signals to another");
        }
        if (syscall(SYS_pidfd_open, pid, 0) >= 0) {
            breach("processes", "has a descriptor of another");
        }
    }
    if (fork() == 0) {
        _exit(0);
    }
}

static void try_networks(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%.90s/isthmus.sock",
             service_option_text(host, "state"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    tries++;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0) {
        breach("network", "reaches the gateway's own socket");
    }
    for (int port = 1; port < 65536; port += port < 2000 ? 1 : 499) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        tries++;
        if (fd >= 0 &&
            (connect(fd, (struct sockaddr *)&in, sizeof in) == 0 || errno == ECONNREFUSED)) {
            breach("network", "may connect to what the configuration does not name");
            port = 65536;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    struct sockaddr_in device = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)service_option_number(host, "device"))};
    device.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&device, sizeof device) == 0) {
        breach("network", "reaches the device");
    }
}

/* ---- The rings ---- */

static bool may_see(uint32_t tag)
{
    return !tag || plan_find_tag(service_plan(host), tag) != NULL;
}

static void on_record(void *context, const struct answer *run, const struct slot *slots,
                      size_t count)
{
    (void)context, (void)run;
    look_into("a record", slots, count * sizeof *slots);
    if (!(slots->tag & SLOT_CONTROL)) {
        seen_own++;
        if (!may_see(slots->tag)) {
            breach("a record", "of a foreign tag");
        }
    } else if (slots->tag == record_tag(RECORD_GAP)) {
        struct record_gap gap;
        memcpy(&gap, slot_payload(slots), sizeof gap);
        if (gap.scope == GAP_TAG && !may_see(gap.which)) {
            breach("a gap", "of a foreign tag");
        }
    }
}

static void on_row(void *context, const void *row, size_t size)
{
    uint32_t words[4] = {0};
    int kind = (int)(intptr_t)context;
    look_into("a row", row, size);
    memcpy(words, row, size < sizeof words ? size : sizeof words);
    if ((kind == ASK_LEDGER && size == sizeof(struct answer_ledger) && !may_see(words[0])) ||
        (kind == ASK_CAUSES && words[0] == GAP_TAG && !may_see(words[1]))) {
        breach("a row", "of a foreign tag");
    } else if (kind == ASK_AUDIT || kind == ASK_SEARCH || kind == ASK_PROOF) {
        breach("a row", "of the audit");
    }
}

static void on_end(void *context, const struct answer *end)
{
    (void)context, (void)end;
    under_way--;
}

static const struct answer_handler handler = {on_record, on_row, on_end, NULL};

/* One ask of each kind, of each tag, as nobody and as somebody; false: that was the last. */
static bool ask_next(void)
{
    static const uint32_t kinds[] = {
        ASK_NOW,     ASK_READ,    ASK_HISTORY,   ASK_GAPS,    ASK_STEPS,  ASK_LEDGER,
        ASK_FEEDS,   ASK_DEVICES, ASK_PROCESSES, ASK_JOURNAL, ASK_CAUSES, ASK_COMMANDS,
        ASK_REPORTS, ASK_TRIAL,   ASK_AUDIT,     ASK_PROOF,   ASK_FLOWS};
    size_t kind = at / (TAG_LAST + 1) / 2, tag = at / 2 % (TAG_LAST + 1);
    if (kind >= sizeof kinds / sizeof *kinds) {
        return false;
    }
    struct ask ask = {.kind = kinds[kind],
                      .tag = (uint32_t)tag,
                      .tag_to = UINT32_MAX,
                      .max_records = 500,
                      .to_ns = INT64_MAX / 2,
                      .step_ns = INT64_C(3600000000000),
                      .aggregate = 1};
    if (kinds[kind] == ASK_STEPS) {
        ask.from_ns = (int64_t)uv_hrtime();
        ask.to_ns = ask.from_ns + 10 * ask.step_ns;
    }
    if (at % 2 && getrandom(ask.session, sizeof ask.session, 0) != sizeof ask.session) {
        return false;
    }
    struct answer_handler h = handler;
    h.context = (void *)(intptr_t)kinds[kind];
    tries++;
    at++;
    under_way += service_ask(host, &ask, &h) > 0;
    return true;
}

static bool query_next(void)
{
    static const char *const texts[] = {"select * from tags",
                                        "select * from latest",
                                        "select * from history",
                                        "select * from events",
                                        "select * from gaps",
                                        "select * from ledger",
                                        "select * from assets",
                                        "select * from sqlite_master",
                                        "select * from sampled where step = '1h'",
                                        "select readfile('/etc/passwd')",
                                        "attach 'x' as x",
                                        "select load_extension('x')",
                                        "pragma database_list",
                                        "select asof(1, 0)",
                                        "select * from history where tag like '%'"};
    if (at >= sizeof texts / sizeof *texts) {
        return false;
    }
    struct ask ask = {.max_ms = 2000, .max_records = 1000};
    const struct ask_sql sql = {.format = SQL_JSON, .take = 1u << 20, .cut = 1};
    const char *text = texts[at++];
    tries++;
    under_way += service_ask_sql(host, &ask, &sql, text, strlen(text), &handler) > 0;
    return true;
}

/* In the audit: everything, then with a session that nobody gave. */
static bool search_next(void)
{
    struct ask ask = {.max_records = 500};
    const struct ask_search all = {.kind = ""};
    struct answer_handler h = handler;
    if (at == 2 || (at && getrandom(ask.session, sizeof ask.session, 0) != sizeof ask.session)) {
        return false;
    }
    h.context = (void *)(intptr_t)ASK_SEARCH;
    at++;
    tries++;
    under_way += service_ask_search(host, &ask, &all, &h) > 0;
    return true;
}

static void on_receipt(void *context, const struct record_receipt *r)
{
    (void)context;
    under_way--;
    look_into("a receipt", r, sizeof *r);
    if (r->state != COMMAND_REFUSED && r->state != COMMAND_NEVER_HEARD && !r->denied &&
        r->act != COMMAND_INHIBITED && r->act != COMMAND_ISLANDED) {
        breach("a command", command_state_name(r->state));
    }
    if (r->tag && (r->has_before || r->has_after)) {
        breach("a receipt", "tells a value");
    }
}

static bool command_next(void)
{
    struct record_command c = {.act = (uint32_t)(at % (COMMAND_ACT_END - 1)) + 1,
                               .tag = (uint32_t)(at / (COMMAND_ACT_END - 1)) % TAG_LAST + 1,
                               .type = (uint32_t)(at % 11) + 1,
                               .value.u64 = 1};
    if (at >= (COMMAND_ACT_END - 1) * TAG_LAST) {
        return false;
    }
    if (getrandom(c.id, sizeof c.id, 0) != sizeof c.id ||
        (at % 3 == 0 && getrandom(c.session, sizeof c.session, 0) != sizeof c.session)) {
        return false;
    }
    at++;
    tries++;
    under_way += service_command(host, &c, on_receipt, NULL) == 0;
    return true;
}

/* Each tag with the one that it may read, which nobody may write. */
static bool batch_next(void)
{
    struct record_commands b = {.act = at % 2 ? COMMAND_TRY : COMMAND_WRITE, .count = 2};
    struct record_part parts[2] = {
        {.tag = 1, .type = VALUE_INT16, .value.u64 = 1},
        {.tag = (uint32_t)at / 2 + 1, .type = VALUE_INT16, .value.u64 = 1}};
    if (at == 2 * TAG_LAST || getrandom(b.id, sizeof b.id, 0) != sizeof b.id) {
        return false;
    }
    at++;
    tries++;
    under_way += service_batch(host, &b, parts, on_receipt, NULL) == 0;
    return true;
}

static void on_item(void *context, const struct browse_item *item)
{
    (void)context;
    look_into("an item", item->address, strlen(item->address));
    look_into("an item", item->name, strlen(item->name));
    breach("browse", "a device outside of the contract tells of itself");
}

static void on_browsed(void *context, uint32_t status, const char *text, uint32_t lost)
{
    (void)context, (void)lost, (void)status;
    look_into("browse", text, strlen(text));
    under_way--;
}

static bool browse_next(void)
{
    static const uint8_t nobody[16];
    static const struct browse_handler h = {on_item, on_browsed, NULL};
    if (at >= 6) {
        return false;
    }
    tries++;
    under_way += service_browse(host, (uint32_t)at++, nobody, &h) == 0;
    return true;
}

static void on_signed(void *context, const struct sign_answer *answer, const struct sign_row *rows)
{
    under_way--;
    look_into("identity", answer, sizeof *answer);
    look_into("identity", rows, answer->count * sizeof *rows);
    /* who vouches for people is told to everybody: they have not signed in yet */
    bool open = (intptr_t)context == SIGN_OUT || (intptr_t)context == SIGN_PROVIDERS;
    if (answer->status == SIGN_OK && !open) {
        breach("identity", "let it in");
    }
}

static bool sign_next(void)
{
    uint32_t kind = (uint32_t)at / 3 + 1;
    struct sign_request s = {.kind = kind, .role = 6, .uid = at % 3 ? 0 : getuid()};
    if (kind >= SIGN_KIND_END) {
        return false;
    }
    snprintf(s.name, sizeof s.name, at % 3 == 2 ? "root" : "ada");
    snprintf(s.secret, sizeof s.secret, "guess %zu of many", at);
    snprintf(s.fresh, sizeof s.fresh, "a fresh word that is long");
    if (at % 3 == 1 && getrandom(s.session, sizeof s.session, 0) != sizeof s.session) {
        return false;
    }
    at++;
    tries++;
    under_way += service_sign(host, &s, on_signed, (void *)(intptr_t)kind) == 0;
    return true;
}

static void scan_and_end(void)
{
    scan_memory();
    service_log(host, "done: %zu tries, %zu breaches, %zu records of its own", tries, breaches,
                seen_own);
}

/* Asks are made a few at a time, until a stage has no more and all are answered. */
static void on_turn(uv_idle_t *t)
{
    static bool (*const stages[])(void) = {ask_next,   search_next, query_next, command_next,
                                           batch_next, browse_next, sign_next};
    static const size_t most[] = {32, 1, 1, 8, 4, 1, 1};
    if (stage == 0) {
        scan_memory();
        try_descriptors();
        try_files();
        try_processes();
        try_networks();
        stage++;
    }
    size_t k = (size_t)stage - 1;
    if (k == sizeof stages / sizeof *stages) {
        uv_idle_stop(t);
        scan_and_end();
    } else if (under_way < most[k] && !stages[k]() && !under_way) {
        service_log(host, "stage %d: %zu tries so far", stage, tries);
        stage++;
        at = 0;
    }
}

/* ---- The service ---- */

static void on_now(void *context, const struct answer *run, const struct slot *slots, size_t count)
{
    (void)context, (void)run, (void)count;
    if (slots->value.i64 == BEGIN && uv_is_active((uv_handle_t *)&timer)) {
        uv_timer_stop(&timer);
        uv_idle_start(&turn, on_turn);
    }
}

static void on_nothing(void *context, const struct answer *end)
{
    (void)context, (void)end;
}

static void on_timer(uv_timer_t *t)
{
    (void)t;
    static const struct answer_handler h = {on_now, NULL, on_nothing, NULL};
    struct ask ask = {.kind = ASK_NOW, .tag_to = UINT32_MAX, .max_records = 1};
    (void)!service_ask(host, &ask, &h);
}

static const struct isthmus_option options[] = {
    {"state", ISTHMUS_OPTION_TEXT, NULL, 0, 0, NULL, "The gateway's state folder."},
    {"device", ISTHMUS_OPTION_INT, NULL, 1, 65535, NULL, "The device's port."},
    {0}};

static void *service_open(struct service_host *h, char *why, size_t why_size)
{
    (void)why, (void)why_size;
    host = h;
    learn_maps();
    control = malloc(canaries[CONTROL].size);
    for (size_t i = 0; control && i < canaries[CONTROL].size; i++) {
        control[i] = (char)(canaries[CONTROL].bytes[i] ^ HIDE);
    }
    return &timer;
}

static int service_start(void *service)
{
    (void)service;
    uv_idle_init(service_loop(host), &turn);
    uv_timer_init(service_loop(host), &timer);
    return uv_timer_start(&timer, on_timer, 100, 100);
}

static void service_stop(void *service)
{
    (void)service;
    uv_close((uv_handle_t *)&turn, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    service_stopped(host);
}

static void service_free(void *service)
{
    (void)service;
    free(control);
}

const struct service *isthmus_service(void)
{
    static const struct service service = {.name = "captive",
                                           .summary = "tries to see what it may not",
                                           .options = options,
                                           .open = service_open,
                                           .start = service_start,
                                           .stop = service_stop,
                                           .free = service_free};
    return &service;
}
