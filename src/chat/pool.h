/*
 * pool: the members: all connections, by descriptor and by the time of their last line.
 *
 * pool_reap closes the descriptors and frees the memory of ended connections at the end of the
 * pass, so no descriptor is reused within one pass and nothing is freed while the loop may use it.
 */
#ifndef CHATD_POOL_H
#define CHATD_POOL_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fdset.h"
#include "base/loop.h"
#include "conf/config.h"
#include "wire/conn.h"

TAILQ_HEAD(conns, conn);

struct pool {
	const struct config *config; /* the server's; replaced by a reload */
	struct loop *loop;
	struct loop_class class; /* writers are those whose queue is not empty */
	struct conn **conns;     /* by descriptor */
	int size;                /* of conns */
	struct fdset members;    /* descriptors of all connections */
	uint32_t count;
	struct conns
	    by_last_line;   /* all connections, the one whose last line is newest at the end */
	struct conns ended; /* in this pass */
};

/* The room that serves ready connections sets its functions in pool->class. */
void pool_init(struct pool *pool, const struct config *config, struct loop *loop);
/* No connection is left. */
void pool_free(struct pool *pool);

/* Makes room for a connection with descriptor sd. Returns 0, or -1 when memory is refused. */
int pool_reserve(struct pool *pool, int sd);
/* Takes over conn; there is room for its descriptor. */
void pool_add(struct pool *pool, struct conn *conn);
/* How many connections come from the same host. */
uint32_t pool_count_host(const struct pool *pool, const struct addr *addr);
/* The connection has said a line. */
void pool_heard(struct pool *pool, struct conn *conn);

/* Takes the connection out of all sets: it is no longer a member. */
void pool_take_out(struct pool *pool, struct conn *conn);
/* Ends a connection that is no longer a member, with its trace line. See pool_reap. */
void pool_end(struct pool *pool, struct conn *conn);
/* Closes and frees what has ended. Returns whether there was any. */
bool pool_reap(struct pool *pool);

#endif
