/* SPDX-License-Identifier: Apache-2.0 */
/* Pumps follow the affinity laws on a quadratic curve H = a s^2 - b Q^2; the system curve is a static lift plus valve and
 * pipe losses growing with Q^2, so the working point has a closed form. Wear lowers the curve and raises heat and
 * vibration. xorshift64* is the generator: small, and the same everywhere. Noise is the sum of four uniform numbers, not
 * Box and Muller's: no logarithm that another libm rounds otherwise, and a tenth of the time, which 100,000 tags feel. */
#include "sim/physics.h"

#include "base/err.h"

#include <math.h>
#include <stdlib.h>

#define PUMP_A 62.0    /* m of head at no flow */
#define PUMP_B 0.00055 /* m per (m3/h)^2 */
#define LIFT   31.0    /* m */
#define PIPE   0.00022
#define VALVE  0.00036 /* times 1 / opening^2 - 1 */
#define PI     3.14159265358979323846

#define CONTROL_GAIN 0.55
#define CONTROL_RATE 0.0004 /* 1/s */
#define SPEED_MIN    0.35

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

static double uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* The sum of four uniform numbers has a variance of a third. */
static double noise(uint64_t *state, double deviation)
{
    uint64_t x = next_random(state);
    uint32_t sum = (uint32_t)(x & 0xffff) + (uint32_t)(x >> 16 & 0xffff) +
                   (uint32_t)(x >> 32 & 0xffff) + (uint32_t)(x >> 48);
    return deviation * 1.7320508075688772 * (sum / 65535.0 - 2);
}

double works_noise(struct works_line *l, double deviation)
{
    return noise(&l->sensors, deviation);
}

/* splitmix64: neighbouring seeds become unlike states, never 0. */
static uint64_t scatter(uint64_t seed)
{
    uint64_t x = seed + UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return (x ^ x >> 31) | 1;
}

int works_init(struct works *w, uint32_t lines, uint64_t seed)
{
    *w = (struct works){.line_count = lines, .seconds = 6 * 3600, .leak_flow = 40};
    w->lines = calloc(lines, sizeof *w->lines);
    if (!w->lines) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < lines; i++) {
        struct works_line *l = w->lines + i;
        uint64_t random = scatter(scatter(seed) + i);
        l->intake_level = 3.5 + uniform(&random);
        l->storage_level = 3 + uniform(&random);
        l->water_temperature = 11 + uniform(&random);
        l->valve = l->valve_target = 0.8;
        l->set_point = 4.2;
        l->integral = l->manual_speed = 0.6;
        l->automatic = true;
        for (int k = 0; k < 2; k++) {
            struct pump *p = l->pumps + k;
            p->start = k == 0 || i % 3 == 0;
            p->temperature = 30;
            p->wear = 0.1 * uniform(&random);
            p->hours = 8000 * uniform(&random);
        }
        l->random = random;
        l->sensors = scatter(random);
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

/* The pumps' speed: by hand, or so that it holds the storage level. The integral stops where the output does (no wind-up),
 * and follows the hand, so that the controller takes over without a bump. */
static double control(struct works_line *l, double dt)
{
    double error = l->set_point - l->storage_level;
    if (!l->automatic) {
        l->integral = l->manual_speed - CONTROL_GAIN * error;
        return l->manual_speed;
    }
    double wanted = CONTROL_GAIN * error + l->integral;
    if ((wanted < 1 || error < 0) && (wanted > SPEED_MIN || error > 0)) {
        l->integral += CONTROL_RATE * error * dt;
    }
    return clamp(CONTROL_GAIN * error + l->integral, SPEED_MIN, 1);
}

/* `system`: losses per square of the flow, 0: nothing can flow. */
static void step_pump(struct pump *p, double speed, double system, double lift, double dt)
{
    double target = p->start ? speed : 0;
    p->speed += clamp(target - p->speed, -0.1 * dt, 0.05 * dt); /* ramps of the drive */
    p->running = p->speed > 0.01;
    double head = PUMP_A * (1 - 0.18 * p->wear) * p->speed * p->speed;
    double surplus = head - lift;
    p->flow = surplus > 0 && system > 0 ? sqrt(surplus / (PUMP_B + system)) : 0;
    p->head = head - PUMP_B * p->flow * p->flow;
    double hydraulic = p->flow * p->head * 9.81 / 3600;
    double efficiency = 0.78 - 0.15 * p->wear;
    p->power = p->running ? hydraulic / efficiency + 2.2 * p->speed * p->speed * p->speed : 0.05;
    double goal = 18 + 0.9 * p->power + 25 * p->wear;
    p->temperature += (goal - p->temperature) * dt / 900;
    p->vibration = p->running ? 0.9 + 4.5 * p->wear + 0.8 * p->speed : 0.05;
    if (p->running) {
        p->hours += dt / 3600;
        p->wear = clamp(p->wear + dt * 2e-9 * (1 + p->power), 0, 1);
    }
}

/* The storage tank: what is drawn only flows while there is water, what does not fit flows over. */
static void step_storage(struct works_line *l, double pumped, double wanted, double leak, double dt)
{
    bool empty = l->storage_level <= 0.05;
    l->demand = empty ? 0 : wanted;
    l->leak = empty || !l->leaking ? 0 : leak;
    double level = l->storage_level + (pumped - l->demand - l->leak) / 3600 * dt / STORAGE_AREA;
    l->storage_level = clamp(level, 0, TANK_HEIGHT);
    l->overflow = (level - l->storage_level) * STORAGE_AREA * 3600 / dt;
    l->storage_low = l->storage_level < 1;
    l->storage_high = l->storage_level > 5.5;
}

static void step_line(struct works_line *l, double wanted, double warmth, double leak, double dt)
{
    double speed = control(l, dt);
    l->valve += clamp(l->valve_target - l->valve, -dt / VALVE_TRAVEL_S, dt / VALVE_TRAVEL_S);
    double system = l->valve > 0 ? PIPE + VALVE * (1 / (l->valve * l->valve) - 1) : 0;
    double lift = LIFT + l->storage_level - l->intake_level;
    double pumped = 0, head = lift;
    bool dry = l->intake_level < 0.3; /* dry-run protection: the pumps turn, but nothing flows */
    for (int k = 0; k < 2; k++) {
        struct pump *p = l->pumps + k;
        step_pump(p, speed, dry ? 0 : system, lift, dt);
        pumped += p->flow;
        head = p->head > head ? p->head : head;
    }
    l->pressure = head * 0.0981;
    l->volume += pumped / 3600 * dt;
    l->inflow = clamp((4.5 - l->intake_level) * 220, 0, 260);
    l->intake_level += (l->inflow - pumped) / 3600 * dt / INTAKE_AREA;
    step_storage(l, pumped, wanted + noise(&l->random, 1.5), leak, dt);
    l->water_temperature += (warmth - l->water_temperature) * dt / 7200;
}

void works_step(struct works *w, double dt)
{
    w->seconds += dt;
    double wanted = demand_at(w->seconds);
    double warmth = 11.5 + 1.2 * sin(2 * PI * w->seconds / 86400 - 2);
    for (uint32_t i = 0; i < w->line_count; i++) {
        step_line(w->lines + i, wanted, warmth, w->leak_flow, dt);
    }
}
