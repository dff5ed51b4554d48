#include "chat/expiry.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/param.h>

#include "base/clock.h"
#include "base/log.h"

/* The deadline of a limit that counts from since. */
static int64_t
deadline(int64_t since, uint32_t seconds)
{
	return since + seconds * CLOCK_SECOND;
}

static int64_t
expire_stalled(struct pool *pool, int64_t now)
{
	int64_t next = CLOCK_NEVER;
	char text[ADDR_TEXT], reason[64];

	if (pool->over == 0)
		return next;
	snprintf(reason, sizeof(reason), "took nothing for %u seconds", pool->config->limits.stall);
	FDSET_FOREACH(sd, &pool->writers) {
		struct conn *conn = pool->conns[sd];
		int64_t due;

		if (!conn->over)
			continue;
		/*
		 * The socket is writable again only after a good part of its buffer is free. A slow
		 * client that has taken less in all the time has taken something.
		 */
		due = deadline(conn->stalled, pool->config->limits.stall);
		if (now >= due && conn_unacked(conn) < conn->unacked) {
			conn_progress(conn, now);
			due = deadline(now, pool->config->limits.stall);
		}
		if (now < due) {
			next = MIN(next, due);
			continue;
		}
		log_limited(
		    LOG_REMOVED, now, "%s removed: %s", addr_format(&conn->addr, text), reason);
		pool_remove(pool, conn, reason);
	}
	return next;
}

static int64_t
expire_idle(struct pool *pool, int64_t now)
{
	uint32_t idle = pool->config->limits.idle;
	struct conn *conn;
	char reason[64];

	if (idle == 0 || !pool_reading(pool))
		return CLOCK_NEVER;
	while ((conn = TAILQ_FIRST(&pool->heard)) != NULL) {
		int64_t due = deadline(MAX(conn->heard, pool->resumed), idle);

		if (now < due)
			return due;
		snprintf(reason, sizeof(reason), "idle for %u seconds", idle);
		pool_dismiss(pool, conn, now, reason, reason);
	}
	return CLOCK_NEVER;
}

/* Whether every queue has a place for one more message, as queue_push wants it. */
static bool
have_places(struct pool *pool)
{
	FDSET_FOREACH(sd, &pool->writers)
		if (!queue_reserve(&pool->conns[sd]->queue))
			return false;
	return true;
}

static int64_t
expire_rests(struct pool *pool, int64_t now)
{
	if (pool->read_again != 0 && now >= pool->read_again)
		pool->read_again = have_places(pool) ? 0 : now + POOL_REST;
	if (now >= pool->write_again)
		pool->write_again = 0;
	return MIN(pool->read_again != 0 ? pool->read_again : CLOCK_NEVER,
	    pool->write_again != 0 ? pool->write_again : CLOCK_NEVER);
}

int64_t
expiry_run(struct pool *pool, int64_t now)
{
	int64_t next = clock_sooner(expire_stalled(pool, now), expire_rests(pool, now));

	/* Whoever is not read cannot be idle. */
	if (!pool->reading)
		pool->resumed = now;
	pool->reading = pool_reading(pool);
	return clock_sooner(next, expire_idle(pool, now));
}
