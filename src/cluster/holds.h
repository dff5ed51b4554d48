/*
 * holds: which other nodes hold everybody up.
 *
 * A node whose clients are behind says hold, and again each second as long as that lasts, then go.
 * It may repeat an entry to say so again (sender.h): a hold that comes once more counts once more,
 * as long as its node has said nothing since. A hold is good for HOLDS_LEASE, so one that dies
 * while it holds costs no more than that.
 */
#ifndef CHATD_HOLDS_H
#define CHATD_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define HOLDS_NODES 64 /* at the same time; of more, the newest count */
#define HOLDS_LEASE (3 * CLOCK_SECOND)
#define HOLDS_RENEW CLOCK_SECOND
#define HOLDS_LOG   CLOCK_SECOND /* shorter ones are not worth a line */

struct holds {
	struct hold {
		uint64_t epoch;
		int64_t until;
	} nodes[HOLDS_NODES];
	unsigned count;
	int64_t began; /* when the first one of these began */
	bool logged;
};

static inline bool
holds_any(const struct holds *holds)
{
	return holds->count > 0;
}

/* Holds begin as zeros. The node holds, from now on or still. */
void holds_take(struct holds *holds, uint64_t epoch);
void holds_release(struct holds *holds, uint64_t epoch);
/* Ends those that are not renewed. Returns when to call again, or CLOCK_NEVER. */
int64_t holds_run_due(struct holds *holds);

#endif
