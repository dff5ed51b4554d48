#include "base/clock.h"

#include <time.h>

static int64_t now;

int64_t
clock_now(void)
{
	return now;
}

int64_t
clock_read(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t
clock_tick(void)
{
	now = clock_read();
	return now;
}
