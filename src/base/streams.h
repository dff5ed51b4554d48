/*
 * streams: standard output and error as descriptors of the loop.
 *
 * What the trace and the log gathered in a pass is written before the next wait. If a stream does
 * not take it, select is asked about the stream until it is writable; if it refuses all the same,
 * it rests.
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

/* Before each wait: writes what both take. Returns when to try one that rests again. */
int64_t streams_flush(struct streams *streams);

#endif
