/* SPDX-License-Identifier: Apache-2.0 */
/* Pumps follow the affinity laws on a quadratic curve H = a s^2 - b Q^2; the system curve is a static lift plus valve and
 * pipe losses growing with Q^2, so the working point has a closed form. Wear lowers the curve and raises heat and
 * vibration. xorshift64* is the generator: small, and the same everywhere. */
#include "sim/physics.h"

#include "base/err.h"

#include <math.h>
#include <stdlib.h>

#define PUMP_A 62.0    /* m of head at no flow */
#define PUMP_B 0.00055 /* m per (m3/h)^2 */
#define LIFT   31.0    /* m */
#define PIPE   0.00022
#define PI     3.14159265358979323846

static uint64_t next_random(struct works *w)
{
    uint64_t x = w->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    w->random = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

static double uniform(struct works *w)
{
    return (double)(next_random(w) >> 11) * 0x1p-53;
}

double works_noise(struct works *w, double deviation)
{
    double u = uniform(w), v = uniform(w);
    return deviation * sqrt(-2 * log(u > 1e-300 ? u : 1e-300)) * cos(2 * PI * v);
}

int works_init(struct works *w, uint32_t lines, uint64_t seed)
{
    *w = (struct works){.line_count = lines, .random = seed * 2 + 1, .seconds = 6 * 3600};
    w->lines = calloc(lines, sizeof *w->lines);
    if (!w->lines) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < lines; i++) {
        struct works_line *l = w->lines + i;
        *l = (struct works_line){.intake_level = 3.5 + uniform(w),
                                 .storage_level = 3 + uniform(w),
                                 .valve = 0.8,
                                 .set_point = 4.2,
                                 .integral = 0.6,
                                 .water_temperature = 11 + uniform(w)};
        for (int k = 0; k < 2; k++) {
            l->pumps[k] = (struct pump){.running = k == 0 || i % 3 == 0,
                                        .temperature = 30,
                                        .wear = 0.1 * uniform(w),
                                        .hours = 8000 * uniform(w)};
        }
    }
    return ERR_OK;
}

void works_fini(struct works *w)
{
    free(w->lines);
    *w = (struct works){0};
}

/* A town's draw over the day: a base, a morning and an evening peak. */
static double demand_at(double seconds)
{
    double hour = fmod(seconds / 3600, 24);
    double morning = exp(-pow((hour - 7.5) / 1.6, 2)), evening = exp(-pow((hour - 19) / 2.2, 2));
    return 70 + 95 * morning + 80 * evening;
}

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* Holds the storage level by the pumps' speed; the integral stops where the output does (no wind-up). */
static double control(struct works_line *l, double dt)
{
    double error = l->set_point - l->storage_level;
    double wanted = 0.55 * error + l->integral;
    if ((wanted < 1 || error < 0) && (wanted > 0.35 || error > 0)) {
        l->integral += 0.0004 * error * dt;
    }
    return clamp(0.55 * error + l->integral, 0.35, 1);
}

static void step_pump(struct pump *p, double speed, double system, double lift, double dt)
{
    double target = p->running ? speed : 0;
    p->speed += clamp(target - p->speed, -0.1 * dt, 0.05 * dt); /* ramps of the drive */
    double head = PUMP_A * (1 - 0.18 * p->wear) * p->speed * p->speed;
    double surplus = head - lift;
    p->flow = surplus > 0 ? sqrt(surplus / (PUMP_B + system)) : 0;
    p->head = head - PUMP_B * p->flow * p->flow;
    double hydraulic = p->flow * p->head * 9.81 / 3600;
    double efficiency = 0.78 - 0.15 * p->wear;
    p->power =
        p->speed > 0.01 ? hydraulic / efficiency + 2.2 * p->speed * p->speed * p->speed : 0.05;
    double goal = 18 + 0.9 * p->power + 25 * p->wear;
    p->temperature += (goal - p->temperature) * dt / 900;
    p->vibration = p->speed > 0.01 ? 0.9 + 4.5 * p->wear + 0.8 * p->speed : 0.05;
    if (p->running) {
        p->hours += dt / 3600;
        p->wear = clamp(p->wear + dt * 2e-9 * (1 + p->power), 0, 1);
    }
}

static void step_line(struct works *w, struct works_line *l, double dt)
{
    double speed = control(l, dt);
    double system = PIPE + 0.0009 * (1 / (l->valve * l->valve + 0.02) - 0.98) * 0.4;
    double lift = LIFT + l->storage_level - l->intake_level;
    double pumped = 0;
    bool dry = l->intake_level < 0.3; /* dry-run protection: the pumps turn, but nothing flows */
    for (int k = 0; k < 2; k++) {
        step_pump(l->pumps + k, speed, system, lift, dt);
        l->pumps[k].flow = dry ? 0 : l->pumps[k].flow;
        pumped += l->pumps[k].flow;
    }
    double wanted = demand_at(w->seconds) + works_noise(w, 1.5);
    bool empty = l->storage_level <= 0.05; /* then none is drawn, and none is reported as drawn */
    l->demand = empty ? 0 : wanted;
    l->leak = empty ? 0 : w->leak_flow;
    l->inflow = clamp((4.5 - l->intake_level) * 220, 0, 260);
    double drawn = l->demand + l->leak;
    l->intake_level =
        clamp(l->intake_level + (l->inflow - pumped) / 3600 * dt / INTAKE_AREA, 0, TANK_HEIGHT);
    l->storage_level =
        clamp(l->storage_level + (pumped - drawn) / 3600 * dt / STORAGE_AREA, 0, TANK_HEIGHT);
    l->pressure = (lift + system * pumped * pumped * 0.25) * 0.0981;
    l->volume += pumped / 3600 * dt;
    double day = 2 * PI * w->seconds / 86400;
    l->water_temperature += (11.5 + 1.2 * sin(day - 2) - l->water_temperature) * dt / 7200;
}

void works_step(struct works *w, double dt)
{
    w->seconds += dt;
    for (uint32_t i = 0; i < w->line_count; i++) {
        step_line(w, w->lines + i, dt);
    }
}
