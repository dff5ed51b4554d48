#include "base/clock.h"

#include <time.h>

int64_t
clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}
