/* SPDX-License-Identifier: Apache-2.0 */
/* A waterworks: parallel lines, each drawing raw water into an intake tank, lifting it by two pumps through a valve into a
 * storage tank from which a town draws by the time of day. A PI controller holds the storage level with the pumps' speed,
 * unless somebody takes it by hand. Pure: no clock, no I/O; the same seed, steps and commands give the same states, bit
 * for bit, and a line's course does not depend on how many lines there are. Units: m, m2, m3/h, bar, kW, Cel, s. */
#ifndef ISTHMUS_SIM_PHYSICS_H
#define ISTHMUS_SIM_PHYSICS_H

#include <stdbool.h>
#include <stdint.h>

struct pump {
    double speed;       /* 0..1 of nominal */
    double flow, head;  /* m3/h, m */
    double power;       /* kW */
    double temperature; /* of the bearing, Cel */
    double vibration;   /* mm/s */
    double wear;        /* 0 new .. 1 worn out */
    double hours;       /* run time */
    bool start;         /* command */
    bool running;       /* it turns */
};

struct works_line {
    /* commands, beside pumps[].start */
    double set_point;    /* of the storage level, m */
    double manual_speed; /* of the pumps, 0..1, when not automatic */
    double valve_target; /* 0..1 open */
    bool automatic;      /* the controller has the pumps' speed */
    bool leaking;        /* the storage tank leaks */

    double intake_level, storage_level;    /* m */
    double inflow, demand, leak, overflow; /* m3/h that really flowed */
    double valve;                          /* 0..1 open: follows its target within VALVE_TRAVEL_S */
    double pressure;                       /* behind the pumps, bar */
    double water_temperature;
    double integral; /* of the PI controller */
    double volume;   /* pumped in all, m3 */
    bool storage_low, storage_high;
    struct pump pumps[2];
    uint64_t random, sensors; /* states of the generators: of the plant, and of what measures it */
};

struct works {
    struct works_line *lines; /* owned */
    uint32_t line_count;
    double seconds;   /* simulated time since midnight of day 0 */
    double leak_flow; /* m3/h lost by each leaking storage tank */
};

int works_init(struct works *w, uint32_t lines, uint64_t seed); /* 0 or ERR_NOMEM */
void works_fini(struct works *w);
/* One step of at most a second. */
void works_step(struct works *w, double dt);
/* Noise of a sensor: nearly Gaussian, mean 0, of the given deviation. */
double works_noise(struct works_line *l, double deviation);

#define INTAKE_AREA    120.0 /* m2 */
#define STORAGE_AREA   260.0
#define TANK_HEIGHT    6.0  /* m */
#define VALVE_TRAVEL_S 30.0 /* from closed to open */

#endif
