/*
 * backoff: select calls a descriptor ready, but what is tried on it fails as if it were not.
 *
 * Once is normal: somebody else was faster, a checksum was wrong. Many times in a row would be a
 * loop at full speed, as it happens while the kernel lacks memory. So after BACKOFF_REFUSALS
 * refusals in a row whoever asked rests, and tries again when the rest is over; as long as it goes
 * on, once for each rest.
 */
#ifndef CHATD_BACKOFF_H
#define CHATD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define BACKOFF_REFUSALS 8
#define BACKOFF_REST     (CLOCK_SECOND / 10) /* long enough to cost nothing, too short to notice */

struct backoff {
	int64_t until;    /* when the rest is over; CLOCK_NEVER: there is none */
	uint8_t refusals; /* in a row, BACKOFF_REFUSALS at most */
};

#define BACKOFF_NONE ((struct backoff){.until = CLOCK_NEVER})

/* Counts a refusal. Returns whether it is time to rest. For counters kept elsewhere. */
bool backoff_count(uint8_t *refusals);

/* Counts a refusal, and rests so long when it is time to. */
void backoff_refused(struct backoff *backoff, int64_t rest);
/* It worked: refusals are no longer in a row. A rest goes on. */
void backoff_worked(struct backoff *backoff);

/* Rests at once; a rest that goes on begins anew. */
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
