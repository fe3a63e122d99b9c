/* SPDX-License-Identifier: Apache-2.0 */
/* A driver as an attacker would like to have it, for the tests of the gateway. Before its box is locked in it looks for the
 * memory and the descriptors it was given; then it does one misdeed, once: the file that names it is removed with reading.
 * Without a file it behaves. */
#include <isthmus/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

static char deed[20];
static uint8_t *memory[8]; /* what is mapped writable and shared: our own segment */
static size_t sizes[8], memories;
static const struct isthmus_host *host;
static uv_timer_t timer;

static void look_around(void)
{
    char line[400];
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps) && memories < 8) {
        if (strstr(line, "memfd:isthmus") && sscanf(line, "%lx-%lx rw-s", &from, &to) == 2 &&
            strstr(line, "rw-s")) {
            memory[memories] = (void *)from;
            sizes[memories++] = to - from;
        }
    }
    if (maps) {
        fclose(maps);
    }
    const char *path = getenv("ISTHMUS_HOSTILE");
    FILE *f = path ? fopen(path, "r") : NULL;
    if (f) {
        if (fscanf(f, "%19s", deed) != 1) {
            deed[0] = 0;
        }
        fclose(f);
        unlink(path);
    }
}

static void scribble(size_t from, size_t to, uint8_t with)
{
    for (size_t i = 0; i < memories; i++) {
        size_t end = to < sizes[i] ? to : sizes[i];
        for (size_t k = from; k < end; k++) {
            ((volatile uint8_t *)memory[i])[k] = with == 1 ? (uint8_t)(k * 31 + 7) : with;
        }
    }
}

/* Again and again: the honest half of the box would put its ring's head right with the next publish. */
static void scribble_on(uint8_t with)
{
    for (;;) {
        scribble(64, SIZE_MAX, with);
    }
}

/* Everything that can be tried with a number of a descriptor. */
static void abuse_descriptors(void)
{
    char bytes[4096] = {0};
    for (int fd = 3; fd < 64; fd++) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (ftruncate(fd, 0) == 0) {
            fprintf(stderr, "hostile: truncated %d\n", fd);
        }
        fcntl(fd, F_SETPIPE_SZ, 4096);
        while (write(fd, bytes, sizeof bytes) > 0) {
        }
        while (read(fd, bytes, sizeof bytes) > 0) {
        }
    }
    for (size_t i = 0; i < memories; i++) {
        uint8_t *before = memory[i] - 4096;
        if (mprotect(before, 4096, PROT_READ | PROT_WRITE) == 0) {
            fprintf(stderr, "hostile: made something writable\n");
        }
    }
    for (int fd = 3; fd < 64; fd++) {
        close(fd);
    }
}

static void on_timer(uv_timer_t *t)
{
    (void)t;
    if (!strcmp(deed, "ring")) { /* the ring's head and all slots; the panel stays */
        scribble_on(1);
    } else if (!strcmp(deed, "ones")) {
        scribble_on(0xff);
    } else if (!strcmp(deed, "panel")) {
        scribble(0, 64, 0x80);
    } else if (!strcmp(deed, "crash")) {
        volatile int *volatile nowhere = (int *)(uintptr_t)host->size; /* the page at zero */
        *nowhere = 1;
    } else if (!strcmp(deed, "exit")) {
        _exit(3);
    } else if (!strcmp(deed, "hang")) {
        for (;;) {
            usleep(100000);
        }
    } else if (!strcmp(deed, "descriptors")) {
        abuse_descriptors();
        _exit(0);
    }
}

static int check_address(const char *address, enum isthmus_type type, uint32_t max_length,
                         enum isthmus_type *type_out, char *why, size_t why_size)
{
    (void)address, (void)max_length, (void)why, (void)why_size;
    *type_out = type ? type : ISTHMUS_INT32;
    return 0;
}

static void *open_device(const struct isthmus_host *h, const struct isthmus_device_config *config)
{
    host = h;
    timer.data = (void *)(uintptr_t)config->index;
    uv_timer_init(h->loop, &timer);
    uv_timer_start(&timer, on_timer, 50, 0);
    struct isthmus_sample sample = {
        .time_ns = h->now_utc(h->context), .value.i64 = 42, .tag = config->tags[0].id};
    struct isthmus_batch batch = {.device = config->index,
                                  .acquired_ns = sample.time_ns,
                                  .clock_uncertainty_ns = -1,
                                  .samples = &sample,
                                  .count = 1};
    h->publish(h->context, &batch);
    return &timer;
}

static void on_closed(uv_handle_t *handle)
{
    host->closed(host->context, (uint32_t)(uintptr_t)handle->data);
}

static void close_device(void *device)
{
    uv_close(device, on_closed);
}

static const struct isthmus_option options[] = {{0}};
static const struct isthmus_driver driver = {
    .abi = ISTHMUS_DRIVER_ABI,
    .size = sizeof driver,
    .name = "hostile",
    .summary = "does harm",
    .address_help = "none",
    .options = options,
    .check_address = check_address,
    .open = open_device,
    .close = close_device,
};

const struct isthmus_driver *isthmus_driver(void)
{
    look_around();
    return &driver;
}
