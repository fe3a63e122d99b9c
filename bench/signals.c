/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/signals.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define START_NS    INT64_C(1767225600000000000) /* 2026-01-01 */
#define NS          INT64_C(1000000000)
#define JITTER_MS   50u
#define COLUMNS_MAX 16u

/* What a tag is like. */
struct character {
    enum shape { ANALOG, ADC, SET_POINT, COUNTER, COMPUTED } shape;
    double digits;       /* per unit: 100 for two decimals */
    double level, noise; /* in last digits; of a computed value relative to its level */
    double wander, calm; /* deviation of the process, in `noise`s, and its time constant in s */
};

static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double draw_unit(uint64_t *seed)
{
    return ((double)(draw(seed) >> 11) + 0.5) * 0x1p-53;
}

static double draw_bell(uint64_t *seed)
{
    double radius = sqrt(-2 * log(draw_unit(seed)));
    return radius * cos(2 * M_PI * draw_unit(seed));
}

/* Evenly on a logarithmic scale. */
static double draw_scale(uint64_t *seed, double from, double to)
{
    return from * pow(to / from, draw_unit(seed));
}

static struct character draw_character(uint64_t *seed, uint32_t tag)
{
    struct character c = {.shape = ANALOG,
                          .digits = 100,
                          .wander = draw_scale(seed, 2, 50),
                          .calm = draw_scale(seed, 30, 3000)};
    switch (tag % 10) {
    default:
        c.level = draw_scale(seed, 500, 50000);
        c.noise = draw_scale(seed, 2, 16);
        break;
    case 4:
    case 5:
        c.digits = 10;
        c.level = draw_scale(seed, 200, 10000);
        c.noise = draw_scale(seed, 1, 8);
        break;
    case 6:
        c.shape = ADC;
        c.level = draw_scale(seed, 5000, 50000);
        c.noise = draw_scale(seed, 3, 40);
        break;
    case 7:
        c.shape = SET_POINT;
        c.calm = draw_scale(seed, 120, 3600);
        break;
    case 8:
        c.shape = COUNTER;
        c.level = draw_scale(seed, 5, 500);
        c.noise = c.level * draw_scale(seed, 0.05, 0.5);
        break;
    case 9:
        c.shape = COMPUTED;
        c.level = draw_scale(seed, 0.1, 5000);
        c.noise = draw_scale(seed, 0.001, 0.01);
        break;
    }
    return c;
}

static uint64_t word_of(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

static enum value_type type_of(enum shape shape)
{
    return shape == ADC ? VALUE_UINT16 : shape == COUNTER ? VALUE_UINT32 : VALUE_FLOAT64;
}

/* The next value; *process is where the process stands (of a set point its value, of a counter its count). */
static uint64_t next_value(const struct character *c, double *process, uint64_t *seed)
{
    if (c->shape == SET_POINT) {
        if (draw_unit(seed) < 1 / c->calm) {
            *process = floor(draw_unit(seed) * 200) / 2;
        }
        return word_of(*process);
    }
    if (c->shape == COUNTER) {
        *process += fmax(0, rint(c->level + c->noise * draw_bell(seed)));
        return (uint32_t)(uint64_t)*process;
    }
    double keep = exp(-1 / c->calm);
    *process = *process * keep + sqrt(1 - keep * keep) * c->wander * draw_bell(seed);
    double off = c->noise * (*process + draw_bell(seed));
    if (c->shape == COMPUTED) {
        return word_of(c->level * (1 + off));
    }
    double count = rint(c->level + off);
    return c->shape == ADC ? (uint64_t)fmin(65535, fmax(0, count)) : word_of(count / c->digits);
}

static bool signal_init(struct signal *s, enum value_type type, uint32_t count)
{
    *s = (struct signal){.type = type, .count = count};
    s->time = calloc(count, sizeof *s->time);
    s->value = calloc(count, sizeof *s->value);
    s->status = calloc(count, sizeof *s->status);
    return s->time && s->value && s->status;
}

bool signals_generate(struct signals *out, uint64_t seed, uint32_t tags, uint32_t samples,
                      bool jitter)
{
    *out = (struct signals){.tags = calloc(tags, sizeof *out->tags), .count = tags};
    for (uint32_t t = 0; out->tags && t < tags; t++) {
        uint64_t state = seed + (uint64_t)t * 1000003;
        struct character c = draw_character(&state, t);
        struct signal *s = out->tags + t;
        double process = c.shape == SET_POINT ? 20 : 0;
        if (!signal_init(s, type_of(c.shape), samples)) {
            signals_free(out);
            return false;
        }
        for (uint32_t i = 0; i < samples; i++) {
            uint64_t late = jitter ? draw(&state) % (JITTER_MS + 1) : 0;
            s->time[i] = START_NS + i * NS + (int64_t)late * 1000000;
            s->value[i] = next_value(&c, &process, &state);
        }
    }
    return out->tags != NULL;
}

double signals_noise_bits(uint64_t seed, uint32_t tags)
{
    double bits = 0, bell = log2(sqrt(2 * M_PI * exp(1)));
    for (uint32_t t = 0; t < tags; t++) {
        uint64_t state = seed + (uint64_t)t * 1000003;
        struct character c = draw_character(&state, t);
        int exponent;
        frexp(c.level, &exponent);
        double steps = c.shape == COMPUTED ? c.noise * c.level * exp2(53 - exponent) : c.noise;
        bits += c.shape == SET_POINT ? 0 : log2(steps) + bell;
    }
    return bits / tags;
}

/* "2020-02-08 13:30:47" */
static bool parse_time(const char *text, int64_t *time_ns)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    *time_ns = end ? (int64_t)timegm(&tm) * NS : 0;
    return end != NULL;
}

struct row {
    int64_t time;
    uint32_t order;
    double number[COLUMNS_MAX];
};

struct sheet {
    struct row *rows;
    uint32_t count, capacity, columns;
};

static bool add_row(struct sheet *s, char *line)
{
    struct row row = {.order = s->count};
    char *rest = line, *cell = strsep(&rest, ",;");
    if (!parse_time(cell, &row.time)) {
        return true; /* the head */
    }
    uint32_t columns = 0;
    while (columns < COLUMNS_MAX && (cell = strsep(&rest, ",;\r\n")) && *cell) {
        row.number[columns++] = strtod(cell, NULL);
    }
    s->columns = s->count == 0 || columns < s->columns ? columns : s->columns;
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 1024;
        struct row *rows = realloc(s->rows, s->capacity * sizeof *rows);
        if (!rows) {
            return false;
        }
        s->rows = rows;
    }
    s->rows[s->count++] = row;
    return true;
}

static bool read_sheet(struct sheet *s, const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    bool good = f != NULL;
    while (good && fgets(line, sizeof line, f)) {
        good = add_row(s, line);
    }
    if (f) {
        fclose(f);
    }
    return good;
}

static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->time != y->time ? (x->time > y->time) - (x->time < y->time)
                              : (x->order > y->order) - (x->order < y->order);
}

/* Adds the sheet's columns as tags. */
static bool add_tags(struct signals *out, struct sheet *s)
{
    struct signal *tags = realloc(out->tags, (out->count + s->columns) * sizeof *tags);
    if (!tags || !s->count) {
        return false;
    }
    out->tags = tags;
    qsort(s->rows, s->count, sizeof *s->rows, by_time);
    for (uint32_t c = 0; c < s->columns; c++) {
        struct signal *tag = out->tags + out->count++;
        if (!signal_init(tag, VALUE_FLOAT64, s->count)) {
            return false;
        }
        for (uint32_t i = 0; i < s->count; i++) {
            tag->time[i] = s->rows[i].time;
            tag->value[i] = word_of(s->rows[i].number[c]);
        }
    }
    return true;
}

/* Reads all CSV files of a folder: into one sheet, or each into tags of its own. */
static bool read_folder(struct signals *out, const char *path, struct sheet *one)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    bool good = n > 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (good && strstr(names[i]->d_name, ".csv")) {
            struct sheet own = {0};
            good = read_sheet(one ? one : &own, file) && (one || add_tags(out, &own));
            free(own.rows);
        }
        free(names[i]);
    }
    free(names);
    return good;
}

bool signals_read(struct signals *out, const char *folder, const char *set)
{
    static const char *const parts[] = {"anomaly-free", "other", "valve1"};
    char path[2048];
    struct sheet one = {0};
    bool good = true;
    *out = (struct signals){0};
    if (!strcmp(set, "skab")) {
        for (size_t i = 0; good && i < sizeof parts / sizeof *parts; i++) {
            snprintf(path, sizeof path, "%s/skab/%s", folder, parts[i]);
            good = read_folder(out, path, &one);
        }
        good = good && add_tags(out, &one);
        free(one.rows);
    } else {
        snprintf(path, sizeof path, "%s/%s", folder, set);
        good = read_folder(out, path, NULL);
    }
    if (!good) {
        signals_free(out);
    }
    return good;
}

void signals_free(struct signals *s)
{
    for (uint32_t i = 0; s->tags && i < s->count; i++) {
        free(s->tags[i].time);
        free(s->tags[i].value);
        free(s->tags[i].status);
    }
    free(s->tags);
    *s = (struct signals){0};
}
