#include "base/backoff.h"

bool
backoff_count(uint8_t *refusals)
{
	if (*refusals < BACKOFF_REFUSALS)
		++*refusals;
	return *refusals == BACKOFF_REFUSALS;
}

void
backoff_refused(struct backoff *backoff, int64_t rest)
{
	if (backoff_count(&backoff->refusals))
		backoff_begin(backoff, rest);
}

void
backoff_worked(struct backoff *backoff)
{
	backoff->refusals = 0;
}

void
backoff_begin(struct backoff *backoff, int64_t rest)
{
	backoff->until = clock_now() + rest;
}

void
backoff_end(struct backoff *backoff)
{
	backoff->until = CLOCK_NEVER;
}

int64_t
backoff_run_due(struct backoff *backoff)
{
	if (clock_now() >= backoff->until)
		backoff_end(backoff);
	return backoff->until;
}
