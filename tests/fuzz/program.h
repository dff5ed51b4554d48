/*
 * program: what an input says, one action after the other.
 */
#ifndef FUZZ_PROGRAM_H
#define FUZZ_PROGRAM_H

#include <stdbool.h>

#include "target.h"

extern struct input program; /* what is left of it */

/* Writes a settings file that the next bytes describe. */
void program_write_settings(void);
/* Does the next action. Returns whether select is to look for what is ready, and how closely. */
bool program_act(unsigned *mask);

#endif
