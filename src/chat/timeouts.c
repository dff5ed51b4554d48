#include "chat/timeouts.h"

#include <stdio.h>
#include <sys/param.h>

#include "base/clock.h"

void
timeouts_init(struct timeouts *timeouts, struct leaving *leaving)
{
	*timeouts = (struct timeouts){
	    .pool = leaving->broadcast->pool,
	    .pressure = leaving->pressure,
	    .leaving = leaving,
	};
}

/* The deadline of a limit that counts from since. */
static int64_t
deadline(int64_t since, uint32_t seconds)
{
	return since + seconds * CLOCK_SECOND;
}

static int64_t
remove_stalled(struct timeouts *timeouts)
{
	uint32_t stall = timeouts->pool->config->limits.stall;
	int64_t now = clock_now(), next = CLOCK_NEVER;
	char reason[64];

	if (timeouts->pressure->above == 0)
		return next;
	snprintf(reason, sizeof(reason), "took nothing for %u seconds", stall);
	FDSET_FOREACH(sd, &timeouts->pool->class.writers) {
		struct conn *conn = timeouts->pool->conns[sd];
		int64_t due;

		if (!conn->above_high_water)
			continue;
		/*
		 * The socket is writable again only after a good part of its buffer is free. A slow
		 * client that has taken less in all the time has taken something.
		 */
		due = deadline(conn->last_progress_at, stall);
		if (now >= due && conn_unacked(conn) < conn->unacked) {
			conn_progressed(conn);
			due = deadline(now, stall);
		}
		if (now < due) {
			next = MIN(next, due);
			continue;
		}
		leaving_dismiss(timeouts->leaving, conn, LOG_REMOVED, NULL, reason);
	}
	return next;
}

static int64_t
remove_idle(struct timeouts *timeouts)
{
	uint32_t idle = timeouts->pool->config->limits.idle;
	struct conn *conn;
	char reason[64];

	if (idle == 0 || !pressure_reading(timeouts->pressure))
		return CLOCK_NEVER;
	while ((conn = TAILQ_FIRST(&timeouts->pool->by_last_line)) != NULL) {
		int64_t due = deadline(MAX(conn->last_line_at, timeouts->resumed), idle);

		if (clock_now() < due)
			return due;
		snprintf(reason, sizeof(reason), "idle for %u seconds", idle);
		leaving_dismiss(timeouts->leaving, conn, LOG_REMOVED, reason, reason);
	}
	return CLOCK_NEVER;
}

int64_t
timeouts_run_due(struct timeouts *timeouts)
{
	int64_t next = remove_stalled(timeouts);

	/* Whoever is not read cannot be idle. */
	if (!timeouts->reading)
		timeouts->resumed = clock_now();
	timeouts->reading = pressure_reading(timeouts->pressure);
	return clock_sooner(next, remove_idle(timeouts));
}
