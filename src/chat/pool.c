#include "chat/pool.h"

#include <bsd/stdlib.h>
#include <sys/param.h>

#include "base/clock.h"
#include "base/trace.h"

void
pool_init(struct pool *pool, const struct config *config, struct loop *loop)
{
	*pool = (struct pool){
	    .config = config,
	    .loop = loop,
	    .members = FDSET_EMPTY,
	    .by_last_line = TAILQ_HEAD_INITIALIZER(pool->by_last_line),
	    .ended = TAILQ_HEAD_INITIALIZER(pool->ended),
	};
	loop_register(loop, &pool->class);
}

void
pool_free(struct pool *pool)
{
	fdset_free(&pool->members);
	free(pool->conns);
}

int
pool_reserve(struct pool *pool, int sd)
{
	if (sd >= pool->size) {
		int size = MAX(64, MAX(sd + 1, pool->size * 2));
		struct conn **conns =
		    recallocarray(pool->conns, (size_t)pool->size, (size_t)size, sizeof(*conns));

		if (conns == NULL)
			return -1;
		pool->conns = conns;
		pool->size = size;
	}
	if (fdset_reserve(&pool->members, sd) < 0)
		return -1;
	return loop_reserve(pool->loop, &pool->class, sd);
}

void
pool_add(struct pool *pool, struct conn *conn)
{
	pool->conns[conn->fd] = conn;
	fdset_add(&pool->members, conn->fd);
	loop_add(pool->loop, &pool->class, conn->fd);
	fdset_add(&pool->class.readers, conn->fd);
	TAILQ_INSERT_TAIL(&pool->by_last_line, conn, entry);
	pool->count++;
}

uint32_t
pool_count_host(const struct pool *pool, const struct addr *addr)
{
	uint32_t count = 0;

	FDSET_FOREACH(sd, &pool->members)
		count += addr_same_network(&pool->conns[sd]->addr, addr);
	return count;
}

void
pool_heard(struct pool *pool, struct conn *conn)
{
	conn->last_line_at = clock_now();
	TAILQ_REMOVE(&pool->by_last_line, conn, entry);
	TAILQ_INSERT_TAIL(&pool->by_last_line, conn, entry);
}

void
pool_take_out(struct pool *pool, struct conn *conn)
{
	fdset_remove(&pool->members, conn->fd);
	loop_remove(pool->loop, conn->fd);
	pool->conns[conn->fd] = NULL;
	pool->count--;
	TAILQ_REMOVE(&pool->by_last_line, conn, entry);
}

void
pool_end(struct pool *pool, struct conn *conn)
{
	trace_removing(conn->fd);
	TAILQ_INSERT_TAIL(&pool->ended, conn, entry);
}

bool
pool_reap(struct pool *pool)
{
	struct conn *conn;
	bool any = false;

	while ((conn = TAILQ_FIRST(&pool->ended)) != NULL) {
		TAILQ_REMOVE(&pool->ended, conn, entry);
		conn_free(conn);
		any = true;
	}
	return any;
}
