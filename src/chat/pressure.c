#include "chat/pressure.h"

#include <sys/param.h>

#define READ_ROOM     65536 /* bytes of one recv: more did not make it faster */
#define READ_ROOM_MIN 512   /* and with very many readers no less */

void
pressure_init(struct pressure *pressure, struct broadcast *broadcast)
{
	*pressure = (struct pressure){
	    .broadcast = broadcast,
	    .pool = broadcast->pool,
	    .kernel = BACKOFF_NONE,
	};
}

bool
pressure_reading(const struct pressure *pressure)
{
	return pressure->above == 0 && !backoff_rests(&pressure->kernel) &&
	       !backoff_rests(&pressure->broadcast->memory);
}

void
pressure_apply(struct pressure *pressure)
{
	pressure->pool->class.hold_readers = !pressure_reading(pressure);
	pressure->pool->class.hold_writers = backoff_rests(&pressure->kernel);
}

size_t
pressure_room(const struct pressure *pressure, uint32_t count)
{
	size_t share = pressure->pool->config->limits.queue / MAX(count, 1);

	return MAX(READ_ROOM_MIN, MIN(READ_ROOM, share));
}

void
pressure_hold(struct pressure *pressure)
{
	struct pool *pool = pressure->pool;

	FDSET_FOREACH(sd, &pool->class.writers) {
		struct conn *conn = pool->conns[sd];
		uint64_t lag = broadcast_lag(pressure->broadcast, conn);

		if (lag > pool->config->limits.queue && !conn->above_high_water) {
			conn->above_high_water = true;
			pressure->above++;
			conn_progressed(conn);
		}
	}
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
pressure_progressed(struct pressure *pressure, struct conn *conn)
{
	if (!conn->above_high_water)
		return;
	conn_progressed(conn);
	if (broadcast_lag(pressure->broadcast, conn) <= pressure->pool->config->limits.queue / 2)
		pressure_release(pressure, conn);
}

void
pressure_reconfigure(struct pressure *pressure)
{
	struct pool *pool = pressure->pool;

	FDSET_FOREACH(sd, &pool->members)
		if (broadcast_lag(pressure->broadcast, pool->conns[sd]) <=
		    pool->config->limits.queue)
			pressure_release(pressure, pool->conns[sd]);
	pressure_hold(pressure);
}

void
pressure_refused(struct pressure *pressure, struct conn *conn)
{
	if (backoff_count(&conn->refusals))
		backoff_begin(&pressure->kernel, BACKOFF_REST);
}

void
pressure_worked(struct conn *conn)
{
	conn->refusals = 0;
}

int64_t
pressure_run_due(struct pressure *pressure)
{
	return backoff_run_due(&pressure->kernel);
}
