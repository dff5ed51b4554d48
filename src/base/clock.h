/*
 * clock: the time that deadlines are made of.
 *
 * Microseconds of CLOCK_MONOTONIC: never set back, comparable with what systemd's
 * RELOADING=1 wants as MONOTONIC_USEC.
 */
#ifndef CHATD_CLOCK_H
#define CHATD_CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_NEVER  INT64_MAX /* the deadline of what is not due at all */

int64_t clock_now(void);

/* A function, since MIN would call what it is given twice. */
static inline int64_t
clock_sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

#endif
