/*
 * timeouts: what time does to those who are in. Removes the stalled and the idle.
 */
#ifndef CHATD_TIMEOUTS_H
#define CHATD_TIMEOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/leaving.h"

struct timeouts {
	struct pool *pool;
	struct pressure *pressure;
	struct leaving *leaving;
	bool reading;    /* clients were read, as of the last look */
	int64_t resumed; /* when they last were not: nobody could be heard before */
};

void timeouts_init(struct timeouts *timeouts, struct leaving *leaving);
/* Does all that is due now. Returns when the next thing is, or CLOCK_NEVER. */
int64_t timeouts_run_due(struct timeouts *timeouts);

#endif
