#include "base/streams.h"

#include <stdbool.h>

#include "base/log.h"
#include "base/trace.h"

/* select calls it writable; the flush before the next wait will show whether it is. */
static void
on_writable(void *room, int fd)
{
	struct streams *streams = room;

	backoff_refused(&streams->backoff[fd], BACKOFF_REST);
}

int
streams_open(struct streams *streams, struct loop *loop)
{
	streams->class = (struct loop_class){.writable = on_writable, .room = streams};
	loop_register(loop, &streams->class);
	if (loop_reserve(loop, &streams->class, STDERR_FILENO) < 0)
		return -1;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		streams->backoff[fd] = BACKOFF_NONE;
		loop_add(loop, &streams->class, fd);
	}
	return 0;
}

/* Watches a blocked stream, unless it rests. Returns when its rest is over. */
static int64_t
await(struct streams *streams, int fd, bool blocked, bool progressed)
{
	struct backoff *backoff = &streams->backoff[fd];

	if (progressed || !blocked) {
		backoff_worked(backoff);
		backoff_end(backoff);
	}
	if (blocked && !backoff_rests(backoff))
		fdset_add(&streams->class.writers, fd);
	else
		fdset_remove(&streams->class.writers, fd);
	return backoff->until;
}

int64_t
streams_flush(struct streams *streams)
{
	bool out = trace_flush() >= 0, err = log_flush() >= 0;

	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		backoff_run_due(&streams->backoff[fd]);
	return clock_sooner(await(streams, STDOUT_FILENO, out, trace_progressed()),
	    await(streams, STDERR_FILENO, err, log_progressed()));
}
