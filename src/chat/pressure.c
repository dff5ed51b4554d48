#include "chat/pressure.h"

#include <sys/param.h>

#include "base/log.h"
#include "wire/ledger.h"

#define READ_ROOM     65536 /* bytes of one recv: more did not make it faster */
#define READ_ROOM_MIN 512   /* no less, even with very many readers */

void
pressure_init(struct pressure *pressure, struct broadcast *broadcast, struct rate *rate,
    struct roster *roster)
{
	*pressure = (struct pressure){
	    .broadcast = broadcast,
	    .pool = broadcast->pool,
	    .rate = rate,
	    .roster = roster,
	    .ceiling = SIZE_MAX,
	    .kernel = BACKOFF_NONE,
	};
}

bool
pressure_holds(const struct pressure *pressure)
{
	return pressure->above > 0;
}

bool
pressure_reading(const struct pressure *pressure)
{
	return !backoff_rests(&pressure->kernel) && !backoff_rests(&pressure->broadcast->memory);
}

/* Less than limits.queue where that is more than the journal has room for: after a reload, or with
 * 32 bits. */
static uint64_t
queue_limit(const struct pressure *pressure)
{
	uint64_t limit = pressure->pool->config->limits.queue;

	return journal != NULL ? MIN(limit, journal_queue()) : limit;
}

/* With a journal: nothing may be received before somebody takes some of what waits. */
static bool
is_full(void)
{
	return journal != NULL && !ledger_has_room();
}

/* Bytes that may be received until the slowest queue is back at its limit, or 0 if that is less
 * than a step. */
static size_t
left_below_limit(const struct pressure *pressure)
{
	const struct pool *pool = pressure->pool;
	uint64_t limit = queue_limit(pressure), most = 0;

	if (is_full())
		return 0;
	FDSET_FOREACH(sd, &pool->class.writers) {
		const struct conn *conn = pool->conns[sd];

		if (conn->above_high_water)
			most = MAX(most, broadcast_lag(pressure->broadcast, conn));
	}
	return most + MIN(PRESSURE_STEP, limit / 4) <= limit ? (size_t)(limit - most) : 0;
}

void
pressure_apply(struct pressure *pressure)
{
	struct pool *pool = pressure->pool;

	pool->class.hold_readers = !pressure_reading(pressure);
	pool->class.hold_writers = backoff_rests(&pressure->kernel);
	pressure->budget =
	    pressure_holds(pressure) ? left_below_limit(pressure) : (size_t)queue_limit(pressure);
	pressure->budget = MIN(pressure->budget, pressure->ceiling);
	if (pressure->parked && pressure->budget > 0) {
		fdset_join(&pool->class.readers, &pool->members);
		rate_hold(pressure->rate);
		pressure->parked = false;
	}
}

void
pressure_park(struct pressure *pressure, const struct conn *conn)
{
	fdset_remove(&pressure->pool->class.readers, conn->fd);
	pressure->parked = true;
}

size_t
pressure_room(struct pressure *pressure, struct conn *conn)
{
	size_t share = pressure->budget / MAX(pressure->pool->class.ready, 1);

	if (pressure->budget > 0)
		return MAX(READ_ROOM_MIN, MIN(READ_ROOM, share));
	if (conn_unread(conn) == 0)
		return READ_ROOM_MIN;
	pressure_park(pressure, conn);
	return 0;
}

void
pressure_begin_window(struct conn *conn)
{
	conn->window_began = clock_now();
	conn->window_bytes = (uint32_t)conn_unacked(conn);
}

void
pressure_hold(struct pressure *pressure)
{
	struct pool *pool = pressure->pool;
	uint64_t position = pressure->broadcast->intake.arena.position;
	uint64_t limit = queue_limit(pressure), most = 0;
	bool full = is_full();

	if (position <= pressure->safe_until && !full)
		return;
	FDSET_FOREACH(sd, &pool->class.writers) {
		struct conn *conn = pool->conns[sd];
		uint64_t lag = broadcast_lag(pressure->broadcast, conn);

		most = MAX(most, lag);
		if (conn->above_high_water ||
		    (lag <= limit && !(full && conn->kept && ledger_lags(sd))))
			continue;
		conn->above_high_water = true;
		conn->hold_logged = false;
		pressure->above++;
		conn_progressed(conn);
		pressure_begin_window(conn);
	}
	pressure->safe_until = position + limit - MIN(most, limit);
}

void
pressure_release(struct pressure *pressure, struct conn *conn)
{
	if (conn->above_high_water) {
		conn->above_high_water = false;
		pressure->above--;
	}
}

void
pressure_log(const struct pressure *pressure, const struct conn *conn, const char *what)
{
	char text[ROSTER_LABEL];

	log_limited(LOG_HOLDS, "%s %s", roster_label(pressure->roster, conn, text), what);
}

/* Little enough waits for conn now. */
static void
end_episode(struct pressure *pressure, struct conn *conn)
{
	if (conn->above_high_water && conn->hold_logged)
		pressure_log(pressure, conn, "has caught up");
	pressure_release(pressure, conn);
}

void
pressure_progressed(struct pressure *pressure, struct conn *conn, size_t written)
{
	conn_progressed(conn);
	conn->window_bytes += (uint32_t)MIN(written, UINT32_MAX - conn->window_bytes);
	if (broadcast_lag(pressure->broadcast, conn) > queue_limit(pressure) / 2 ||
	    (conn->kept && ledger_lags(conn->fd)))
		return;
	end_episode(pressure, conn);
}

void
pressure_reconfigure(struct pressure *pressure)
{
	struct pool *pool = pressure->pool;

	pressure->safe_until = 0;
	FDSET_FOREACH(sd, &pool->members)
		if (broadcast_lag(pressure->broadcast, pool->conns[sd]) <= queue_limit(pressure))
			end_episode(pressure, pool->conns[sd]);
	pressure_hold(pressure);
}

void
pressure_record(const struct pressure *pressure)
{
	const struct pool *pool = pressure->pool;

	FDSET_FOREACH(sd, &pool->class.writers) {
		const struct conn *conn = pool->conns[sd];
		struct journal_hold hold;

		if (!conn->above_high_water || !conn->kept)
			continue;
		hold = (struct journal_hold){
		    .id = ledger_record(sd)->id,
		    .recorded_at = clock_now(),
		    .window_began = conn->window_began,
		    .last_progress_at = conn->last_progress_at,
		    .unacked = conn->unacked,
		    .window_bytes = conn->window_bytes,
		    .logged = conn->hold_logged,
		};
		hold.sum = journal_sum(&hold, offsetof(struct journal_hold, sum));
		journal->holds[sd] = hold;
	}
}

void
pressure_restore(struct pressure *pressure, struct conn *conn)
{
	const struct journal_hold *hold = &journal->holds[conn->fd];
	int64_t gap = clock_now() - hold->recorded_at;

	if (broadcast_lag(pressure->broadcast, conn) <= queue_limit(pressure) / 2 ||
	    hold->sum != journal_sum(hold, offsetof(struct journal_hold, sum)) ||
	    hold->id != ledger_record(conn->fd)->id || gap < 0)
		return;
	conn->above_high_water = true;
	conn->hold_logged = hold->logged != 0;
	/* The time in which nobody could be served does not count. */
	conn->window_began = MIN(hold->window_began + gap, clock_now());
	conn->last_progress_at = MIN(hold->last_progress_at + gap, clock_now());
	conn->unacked = hold->unacked;
	conn->window_bytes = hold->window_bytes;
	pressure->above++;
}

void
pressure_refused(struct pressure *pressure, struct conn *conn)
{
	if (backoff_count(&conn->refusals))
		backoff_begin(&pressure->kernel, BACKOFF_REST);
}

int64_t
pressure_run_due(struct pressure *pressure)
{
	return backoff_run_due(&pressure->kernel);
}
