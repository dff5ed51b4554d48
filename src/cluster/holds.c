#include "cluster/holds.h"

#include <stddef.h>

#include "base/log.h"

static struct hold *
find(struct holds *holds, uint64_t epoch)
{
	for (unsigned i = 0; i < holds->count; i++)
		if (holds->nodes[i].epoch == epoch)
			return &holds->nodes[i];
	return NULL;
}

static struct hold *
first_to_end(struct holds *holds)
{
	struct hold *first = &holds->nodes[0];

	for (unsigned i = 1; i < holds->count; i++)
		if (holds->nodes[i].until < first->until)
			first = &holds->nodes[i];
	return first;
}

void
holds_take(struct holds *holds, uint64_t epoch)
{
	struct hold *hold = find(holds, epoch);

	if (holds->count == 0) {
		holds->began = clock_now();
		holds->logged = false;
	}
	if (hold == NULL)
		hold = holds->count < HOLDS_NODES ? &holds->nodes[holds->count++]
						  : first_to_end(holds);
	*hold = (struct hold){.epoch = epoch, .until = clock_now() + HOLDS_LEASE};
}

static void
end(struct holds *holds, struct hold *hold)
{
	*hold = holds->nodes[--holds->count];
	if (holds->count == 0 && holds->logged)
		log_limited(LOG_HOLDS, "cluster: no other node holds everybody up any more");
}

void
holds_release(struct holds *holds, uint64_t epoch)
{
	struct hold *hold = find(holds, epoch);

	if (hold != NULL)
		end(holds, hold);
}

int64_t
holds_run_due(struct holds *holds)
{
	int64_t now = clock_now(), next;

	while (holds->count > 0 && now >= first_to_end(holds)->until)
		end(holds, first_to_end(holds));
	if (holds->count == 0)
		return CLOCK_NEVER;
	next = first_to_end(holds)->until;
	if (holds->logged)
		return next;
	if (now < holds->began + HOLDS_LOG)
		return clock_sooner(next, holds->began + HOLDS_LOG);
	log_limited(LOG_HOLDS, "cluster: another node holds everybody up");
	holds->logged = true;
	return next;
}
