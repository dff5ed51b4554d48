/*
 * backoff: select calls a descriptor ready, but calls on it fail as if it were not.
 *
 * Once is normal: somebody else was faster, a checksum was wrong. Many times in a row, as happens
 * while the kernel lacks memory, would be a loop at full speed. So after BACKOFF_REFUSALS refusals
 * in a row the caller rests, and tries again when the rest is over; as long as the refusals go on,
 * once for each rest.
 */
#ifndef CHATD_BACKOFF_H
#define CHATD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define BACKOFF_REFUSALS 8
#define BACKOFF_REST     (CLOCK_SECOND / 10) /* long enough to cost nothing, too short to notice */

struct backoff {
	int64_t until;    /* when the rest is over; CLOCK_NEVER: it does not rest */
	uint8_t refusals; /* in a row, BACKOFF_REFUSALS at most */
};

#define BACKOFF_NONE ((struct backoff){.until = CLOCK_NEVER})

/* Counts a refusal, for counters kept elsewhere. Returns whether it is time to rest. */
bool backoff_count(uint8_t *refusals);

/* Counts a refusal, and begins a rest when it is time to. */
void backoff_refused(struct backoff *backoff, int64_t rest);
/* It worked: the count starts over. A rest goes on. */
void backoff_worked(struct backoff *backoff);

/* Rests at once; a rest that has begun starts over. */
void backoff_begin(struct backoff *backoff, int64_t rest);
void backoff_end(struct backoff *backoff);

static inline bool
backoff_rests(const struct backoff *backoff)
{
	return backoff->until != CLOCK_NEVER;
}

/* Ends a rest that is over. Returns when it will be, or CLOCK_NEVER. */
int64_t backoff_run_due(struct backoff *backoff);

#endif
