/*
 * timeouts: removes clients that are too slow, or silent for too long.
 *
 * A client above high water is named in the log after TIMEOUTS_HOLD, and removed when it takes
 * nothing for limits.stall seconds, or less than limits.queue bytes in limits.lag seconds. A client
 * without a line for limits.idle seconds is removed in a pass that asked select about it and found
 * it silent.
 */
#ifndef CHATD_TIMEOUTS_H
#define CHATD_TIMEOUTS_H

#include <stdint.h>

#include "chat/leaving.h"

#define TIMEOUTS_HOLD CLOCK_SECOND

struct timeouts {
	struct pool *pool;
	struct pressure *pressure;
	struct leaving *leaving;
};

void timeouts_init(struct timeouts *timeouts, struct leaving *leaving);
/* Does all that is due now. Returns when the next thing is, or CLOCK_NEVER. */
int64_t timeouts_run_due(struct timeouts *timeouts);

#endif
