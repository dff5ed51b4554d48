#include "base/clock.h"

#include <time.h>

static int64_t now;

int64_t
clock_now(void)
{
	return now;
}

int64_t
clock_tick(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
	return now;
}
