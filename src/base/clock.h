/*
 * clock: the time for deadlines.
 *
 * Microseconds of CLOCK_MONOTONIC: never set back, comparable with what systemd's
 * RELOADING=1 wants as MONOTONIC_USEC.
 *
 * A pass of the loop happens at one time: clock_tick reads the clock after each wait, clock_now
 * returns what it read.
 */
#ifndef CHATD_CLOCK_H
#define CHATD_CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_NEVER  INT64_MAX /* no deadline */

/* The time of this pass. */
int64_t clock_now(void);
/* Reads the clock anew for this pass. */
int64_t clock_tick(void);
/* Reads the clock; the time of this pass stays. For work that has to stop in time. */
int64_t clock_read(void);

/* A function, since MIN would evaluate its arguments twice. */
static inline int64_t
clock_sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

#endif
