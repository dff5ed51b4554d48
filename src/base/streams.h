/*
 * streams: standard output and error as descriptors of the loop.
 *
 * What the trace and the log gathered in a pass leaves before the next wait. A stream that does not
 * take it is asked about until it is writable, and rests when it refuses all the same.
 */
#ifndef CHATD_STREAMS_H
#define CHATD_STREAMS_H

#include <stdint.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/loop.h"

struct streams {
	struct loop_class class;
	struct backoff backoff[STDERR_FILENO + 1]; /* by descriptor */
};

/* Returns 0, or -1 when memory is refused. */
int streams_open(struct streams *streams, struct loop *loop);

/* Before each wait: writes what both take. Returns when one that rests is to be tried again. */
int64_t streams_flush(struct streams *streams);

#endif
