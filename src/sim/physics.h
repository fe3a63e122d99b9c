/* SPDX-License-Identifier: Apache-2.0 */
/* A waterworks: `lines` parallel lines, each drawing raw water into an intake tank, lifting it by two pumps through a
 * control valve into a storage tank from which a town draws by the time of day. A PI controller holds the storage level
 * with the pumps' speed. Pure: no clock, no I/O; the same seed and steps give the same states, bit for bit.
 * Units: m, m2, m3/h, bar, kW, Cel, s. */
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
    bool running;
};

struct works_line {
    double intake_level, storage_level; /* m */
    double inflow, demand, leak;        /* m3/h */
    double valve;                       /* 0..1 open */
    double pressure;                    /* behind the pumps, bar */
    double water_temperature;
    double integral;  /* of the PI controller */
    double set_point; /* m */
    double volume;    /* pumped in all, m3 */
    struct pump pumps[2];
};

struct works {
    struct works_line *lines; /* owned */
    uint32_t line_count;
    uint64_t random;  /* state of the generator */
    double seconds;   /* simulated time since midnight of day 0 */
    double leak_flow; /* switched on: m3/h lost by each line's storage */
};

int works_init(struct works *w, uint32_t lines, uint64_t seed); /* 0 or ERR_NOMEM */
void works_fini(struct works *w);
/* One step of at most a second. */
void works_step(struct works *w, double dt);
/* Gaussian noise, mean 0, of the given deviation (sensors draw from the same generator). */
double works_noise(struct works *w, double deviation);

#define INTAKE_AREA  120.0 /* m2 */
#define STORAGE_AREA 260.0
#define TANK_HEIGHT  6.0 /* m */

#endif
