#include "chat/timeouts.h"

#include <stdbool.h>
#include <stdio.h>

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

/*
 * The socket becomes writable only after a good part of its buffer is free. A slow client may have
 * taken less than that, and still has made progress.
 */
static int64_t
stall_due(struct timeouts *timeouts, struct conn *conn)
{
	uint32_t stall = timeouts->pool->config->limits.stall;
	int64_t due = deadline(conn->last_progress_at, stall);

	if (clock_now() < due || conn_unacked(conn) >= conn->unacked)
		return due;
	conn_progressed(conn);
	return deadline(clock_now(), stall);
}

/* At the end of a window, what the client took in it decides whether another one begins. */
static int64_t
lag_due(struct timeouts *timeouts, struct conn *conn)
{
	const struct limits *limits = &timeouts->pool->config->limits;
	int64_t due = deadline(conn->window_began, limits->lag);

	if (limits->lag == 0)
		return CLOCK_NEVER;
	if (clock_now() < due || (int64_t)conn->window_bytes - conn_unacked(conn) < limits->queue)
		return due;
	pressure_begin_window(conn);
	return deadline(clock_now(), limits->lag);
}

/* Names it in the log once it has held everybody up for a while. */
static int64_t
hold_due(const struct timeouts *timeouts, struct conn *conn)
{
	int64_t due = conn->window_began + TIMEOUTS_HOLD; /* still the first window */

	if (conn->hold_logged)
		return CLOCK_NEVER;
	if (clock_now() < due)
		return due;
	pressure_log(timeouts->pressure, conn, "holds everybody up");
	conn->hold_logged = true;
	return CLOCK_NEVER;
}

static void
dismiss(struct timeouts *timeouts, struct conn *conn, const char *what, uint32_t seconds)
{
	char reason[64];

	snprintf(reason, sizeof(reason), "%s for %u seconds", what, seconds);
	leaving_dismiss(timeouts->leaving, conn, reason, reason);
}

/* Looks at the clients that hold the pool. */
static int64_t
remove_slow(struct timeouts *timeouts)
{
	const struct limits *limits = &timeouts->pool->config->limits;
	int64_t now = clock_now(), next = CLOCK_NEVER;

	if (!pressure_holds(timeouts->pressure))
		return next;
	FDSET_FOREACH(sd, &timeouts->pool->class.writers) {
		struct conn *conn = timeouts->pool->conns[sd];
		int64_t stall, lag;

		if (!conn->above_high_water)
			continue;
		next = clock_sooner(next, hold_due(timeouts, conn));
		stall = stall_due(timeouts, conn);
		lag = lag_due(timeouts, conn);
		if (now >= stall)
			dismiss(timeouts, conn, "took nothing", limits->stall);
		else if (now >= lag)
			dismiss(timeouts, conn, "held everybody up", limits->lag);
		else
			next = clock_sooner(next, clock_sooner(stall, lag));
	}
	return next;
}

/*
 * Whether select was asked about the client before this pass, and called it silent. One that has to
 * take answers of TLS before it is read any more, and takes none, is silent as well.
 */
static bool
is_silent(const struct pool *pool, const struct conn *conn)
{
	if (conn_blocked(conn))
		return true;
	return pool->class.asked && fdset_has(&pool->class.readers, conn->fd) &&
	       !fdset_has(&pool->loop->readable, conn->fd);
}

/* If a client is due but select was not asked about it, select is asked at once. A parked client
 * has unread bytes, and a resting one may have. */
static int64_t
remove_idle(struct timeouts *timeouts)
{
	struct pool *pool = timeouts->pool;
	uint32_t idle = pool->config->limits.idle;
	int64_t now = clock_now(), next = CLOCK_NEVER;
	struct conn *conn, *after;

	if (idle == 0)
		return next;
	TAILQ_FOREACH_SAFE(conn, &pool->by_last_line, entry, after) {
		int64_t due = deadline(conn->last_line_at, idle);

		if (now < due)
			return clock_sooner(next, due);
		if (is_silent(pool, conn))
			dismiss(timeouts, conn, "idle", idle);
		else if (pressure_reading(timeouts->pressure) &&
			 fdset_has(&pool->class.readers, conn->fd))
			next = now;
	}
	return next;
}

int64_t
timeouts_run_due(struct timeouts *timeouts)
{
	int64_t next = remove_slow(timeouts);

	return clock_sooner(next, remove_idle(timeouts));
}
