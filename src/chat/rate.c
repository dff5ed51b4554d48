#include "chat/rate.h"

#include <sys/param.h>

#include "base/clock.h"

#define SCALE INT64_C(1000000) /* debts are in millionths of a byte: nothing is rounded */
#define BURST (RATE_BURST * SCALE)

void
rate_init(struct rate *rate, struct pool *pool)
{
	*rate = (struct rate){.pool = pool, .resting = LIST_HEAD_INITIALIZER(rate->resting)};
	rate_reconfigure(rate);
}

void
rate_reconfigure(struct rate *rate)
{
	rate->per_second = rate->ended ? 0 : rate->pool->config->limits.rate;
}

/* Microseconds until a debt is down to least, rounded up. */
static int64_t
time_to(int64_t debt, int64_t least, int64_t per_second)
{
	return debt > least ? (debt - least + per_second - 1) / per_second : 0;
}

/* Takes off what time has paid. */
static void
pay(struct bucket *bucket, int64_t per_second)
{
	int64_t now = clock_now(), passed = now - bucket->at;

	/* In this order, since the product of a long time would overflow. */
	if (passed >= time_to(bucket->debt, 0, per_second))
		bucket->debt = 0;
	else
		bucket->debt -= passed * per_second;
	bucket->at = now;
}

static void
rest(struct rate *rate, struct conn *conn)
{
	fdset_remove(&rate->pool->class.readers, conn->fd);
	if (conn->rests)
		return;
	conn->rests = true;
	LIST_INSERT_HEAD(&rate->resting, conn, resting);
}

size_t
rate_room(struct rate *rate, struct conn *conn, size_t room)
{
	int64_t left;

	pay(&conn->bucket, rate->per_second);
	left = (BURST - conn->bucket.debt) / SCALE;
	if (left > 0)
		return MIN(room, (size_t)left);
	rest(rate, conn);
	return 0;
}

void
rate_charge(struct rate *rate, struct conn *conn, size_t bytes, uint64_t lines)
{
	conn->bucket.debt += (int64_t)(bytes + RATE_LINE * lines) * SCALE;
	if (BURST - conn->bucket.debt < SCALE)
		rest(rate, conn);
}

void
rate_hold(struct rate *rate)
{
	struct conn *conn;

	LIST_FOREACH(conn, &rate->resting, resting)
	fdset_remove(&rate->pool->class.readers, conn->fd);
}

void
rate_release(struct rate *rate, struct conn *conn)
{
	(void)rate;
	if (!conn->rests)
		return;
	conn->rests = false;
	LIST_REMOVE(conn, resting);
}

static void
wake(struct rate *rate, struct conn *conn)
{
	rate_release(rate, conn);
	fdset_add(&rate->pool->class.readers, conn->fd);
}

void
rate_end(struct rate *rate)
{
	rate->ended = true;
	rate_reconfigure(rate);
	rate_run_due(rate);
}

int64_t
rate_run_due(struct rate *rate)
{
	int64_t speed = rate->per_second, next = CLOCK_NEVER;
	struct conn *conn, *after;

	LIST_FOREACH_SAFE(conn, &rate->resting, resting, after)
	{
		const struct bucket *bucket = &conn->bucket;
		int64_t due = speed > 0 ? bucket->at + time_to(bucket->debt, BURST / 2, speed) : 0;

		if (clock_now() >= due)
			wake(rate, conn);
		else
			next = clock_sooner(next, due);
	}
	return next;
}
