/*
 * pool: all connections, their descriptor sets, and who receives a message: everybody but its
 * origin.
 *
 * A pass. What its readers say lies one after the other in the arena, so it is one message for
 * everybody, less what a client said itself. It goes into each queue once, at the end of the pass,
 * however many have spoken.
 *
 * Pressure. When more than limits.queue bytes wait for one client, the pool is held: nobody is read
 * until that queue has drained to half, so TCP holds the senders back and nothing is lost. A client
 * that takes nothing for limits.stall seconds meanwhile is removed. In one pass all readers
 * together receive at most about limits.queue bytes, shared evenly, so memory stays near twice
 * that; the spans of clients that do not read, but say very short lines themselves, come on top.
 *
 * Memory refused. Whatever delivering needs is reserved before the recv. Where that is refused
 * nobody is read for POOL_REST, and then it is tried again; what waits still leaves meanwhile.
 *
 * A client that has gone while something waits for it may have spoken before: it is deaf from then
 * on, and read to its end like everybody.
 *
 * A connection that is removed leaves the sets at once, with its trace line; its descriptor is
 * closed and its memory freed by pool_reap at the end of the pass, so no number is used twice in
 * one pass and nothing is freed under the feet of the loop.
 */
#ifndef CHATD_POOL_H
#define CHATD_POOL_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fdset.h"
#include "conf/config.h"
#include "wire/conn.h"
#include "wire/line.h"
#include "wire/msg.h"

#define POOL_REST (CLOCK_SECOND / 10)

TAILQ_HEAD(conns, conn);

struct pool {
	const struct config *config; /* the server's; replaced by a reload */
	struct conn **conns;         /* by descriptor */
	int size;                    /* of conns */
	struct fdset members;        /* descriptors of all connections */
	struct fdset writers;        /* of those whose queue is not empty */
	struct fdset readable;       /* asked of select, and its answer */
	struct fdset writable;
	uint32_t count;
	uint32_t over;      /* connections whose queue keeps the pool held */
	int64_t read_again; /* after memory was refused: when reading is tried again, or 0 */
	int64_t
	    write_again;    /* after the kernel refused ready sockets: the same for writing, or 0 */
	uint64_t lines;     /* received since the start */
	bool reading;       /* clients are read, as of the last look */
	int64_t resumed;    /* when they last were not: nobody could be heard before */
	struct conns heard; /* all connections, the one heard last at the end */
	struct conns gone;  /* removed in this pass */
	struct msg fresh;   /* received in this pass, in no queue yet, or MSG_NONE */
	struct arena arena; /* what was received */
	struct line spare;  /* for the next piece of a line, see conn_read */
};

void pool_init(struct pool *pool, const struct config *config);
/* Removes every connection, with the reason for the log. */
void pool_free(struct pool *pool, const char *reason);

/* Makes room for a connection with descriptor sd. Returns 0, or -1 when memory is refused. */
int pool_reserve(struct pool *pool, int sd);
/* Takes over sd, for which there is room. Returns 0, or -1 when memory is refused. */
int pool_add(struct pool *pool, int sd, const struct addr *addr, int64_t now);
/* How many connections come from the same host. */
uint32_t pool_count_host(const struct pool *pool, const struct addr *addr);

/* Whether clients are to be read, and written to, now. */
bool pool_reading(const struct pool *pool);
bool pool_writing(const struct pool *pool);
/* Receives once from sd, at most room bytes. */
void pool_read(struct pool *pool, int sd, size_t room, int64_t now);
/* The room for each of count readers in one pass, in bytes. */
size_t pool_room(const struct pool *pool, uint32_t count);
/*
 * After the readers of a pass: puts what they said into all queues but their own, and holds the
 * pool where a queue has grown over its limit.
 */
void pool_deliver(struct pool *pool, int64_t now);
void pool_write(struct pool *pool, int sd, int64_t now);

/* After a reload: removes those whom new access rules shut out, and looks at the queues anew. */
void pool_reconfigure(struct pool *pool, const struct config *config, int64_t now);
/* Takes the connection out, with its trace line; reason is for the log. See pool_reap. */
void pool_remove(struct pool *pool, struct conn *conn, const char *reason);
/* The same for one that broke a rule; told is the last line it gets, without "chatd: ". */
void pool_dismiss(
    struct pool *pool, struct conn *conn, int64_t now, const char *told, const char *reason);
/* Closes and frees what was removed. Returns whether there was any. */
bool pool_reap(struct pool *pool);

#endif
