/*
 * keeper: what the journal needs after each pass.
 *
 * Entries of the index that nobody needs any more are let go: for that the marks of clients move
 * up, now and then. The safe is repacked. Who holds the pool is recorded. Without a journal there
 * is nothing to do.
 */
#ifndef CHATD_KEEPER_H
#define CHATD_KEEPER_H

#include <stdint.h>

#include "chat/leaving.h"
#include "chat/speech.h"

struct keeper {
	struct leaving *leaving;
	struct speech *speech;
	uint64_t unkept; /* sockets, as the log knows it */
};

void keeper_init(struct keeper *keeper, struct leaving *leaving, struct speech *speech);
/* Returns when to call again, or CLOCK_NEVER. */
int64_t keeper_run_due(struct keeper *keeper);

#endif
