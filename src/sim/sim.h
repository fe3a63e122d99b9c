/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISTHMUS_SIM_SIM_H
#define ISTHMUS_SIM_SIM_H

/* `isthmus sim waterworks …`: returns the program's exit status. */
int sim_main(int argc, char **argv);

#endif
