#include "chat/pool.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"
#include "base/trace.h"

#define READ_ROOM     65536 /* bytes of one recv: more did not make it faster */
#define READ_ROOM_MIN 512   /* and with very many readers no less */
#define REFUSALS_MAX  8     /* in a row, until the pool rests */

void
pool_init(struct pool *pool, const struct config *config)
{
	*pool = (struct pool){
	    .config = config,
	    .members = FDSET_EMPTY,
	    .writers = FDSET_EMPTY,
	    .readable = FDSET_EMPTY,
	    .writable = FDSET_EMPTY,
	    .heard = TAILQ_HEAD_INITIALIZER(pool->heard),
	    .gone = TAILQ_HEAD_INITIALIZER(pool->gone),
	};
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
	if (fdset_reserve(&pool->members, sd) < 0 || fdset_reserve(&pool->writers, sd) < 0 ||
	    fdset_reserve(&pool->readable, sd) < 0)
		return -1;
	return fdset_reserve(&pool->writable, sd);
}

int
pool_add(struct pool *pool, int sd, const struct addr *addr, int64_t now)
{
	struct conn *conn = conn_new(sd, addr, now);
	char text[ADDR_TEXT];

	if (conn == NULL)
		return -1;
	pool->conns[sd] = conn;
	fdset_add(&pool->members, sd);
	TAILQ_INSERT_TAIL(&pool->heard, conn, entry);
	pool->count++;
	if (pool->config->log_connections)
		log_info("%s connected as sd %d", addr_format(addr, text), sd);
	return 0;
}

uint32_t
pool_count_host(const struct pool *pool, const struct addr *addr)
{
	uint32_t count = 0;

	FDSET_FOREACH(sd, &pool->members)
		count += addr_same_host(&pool->conns[sd]->addr, addr);
	return count;
}

static void
calm(struct pool *pool, struct conn *conn)
{
	if (conn->over) {
		conn->over = false;
		pool->over--;
	}
}

void
pool_remove(struct pool *pool, struct conn *conn, const char *reason)
{
	char text[ADDR_TEXT];

	trace_removing(conn->fd);
	if (pool->config->log_connections)
		log_info("%s disconnected from sd %d: %s", addr_format(&conn->addr, text), conn->fd,
		    reason);
	calm(pool, conn);
	fdset_remove(&pool->members, conn->fd);
	fdset_remove(&pool->writers, conn->fd);
	pool->conns[conn->fd] = NULL;
	pool->count--;
	TAILQ_REMOVE(&pool->heard, conn, entry);
	TAILQ_INSERT_TAIL(&pool->gone, conn, entry);
}

void
pool_free(struct pool *pool, const char *reason)
{
	FDSET_FOREACH(sd, &pool->members)
		pool_remove(pool, pool->conns[sd], reason);
	pool_reap(pool);
	arena_free(&pool->arena);
	line_free(&pool->spare);
	fdset_free(&pool->members);
	fdset_free(&pool->writers);
	fdset_free(&pool->readable);
	fdset_free(&pool->writable);
	free(pool->conns);
}

/* Without memory nothing is received; it may be back after a rest. */
static void
starve(struct pool *pool, int64_t now)
{
	pool->read_again = now + POOL_REST;
}

/* Puts the bytes of fresh from offset off to end into the queue. */
static void
push(struct queue *queue, const struct msg *fresh, uint32_t off, uint32_t end)
{
	struct msg msg = {.buf = fresh->buf, .off = off, .len = end - off};

	if (off < end)
		queue_push(queue, &msg);
}

/* Puts what is fresh into the queue of everybody, less what the client said itself. */
static void
hand_out(struct pool *pool, int64_t now)
{
	struct msg *fresh = &pool->fresh;
	uint32_t end = fresh->off + fresh->len;

	if (fresh->buf == NULL)
		return;
	FDSET_FOREACH(sd, &pool->members) {
		struct conn *conn = pool->conns[sd];
		struct msg own = conn->own;

		conn->own = MSG_NONE;
		if (conn->deaf)
			continue;
		if (own.buf == NULL) {
			push(&conn->queue, fresh, fresh->off, end);
		} else {
			push(&conn->queue, fresh, fresh->off, own.off);
			push(&conn->queue, fresh, own.off + own.len, end);
		}
		if (!queue_reserve(&conn->queue))
			starve(pool, now);
		if (!queue_empty(&conn->queue))
			fdset_add(&pool->writers, sd);
	}
	msg_unref(fresh);
	*fresh = MSG_NONE;
}

void
pool_dismiss(
    struct pool *pool, struct conn *conn, int64_t now, const char *told, const char *reason)
{
	char line[128], text[ADDR_TEXT];
	int len = snprintf(line, sizeof(line), "chatd: %s\n", told);
	struct msg msg;
	size_t taken;

	hand_out(pool, now);
	if (queue_reserve(&conn->queue)) {
		msg = msg_new(&pool->arena, line, (size_t)len);
		if (msg.buf != NULL)
			queue_push(&conn->queue, &msg);
		conn_write(conn, &taken);
		conn_deafen(conn);
	}
	log_limited(LOG_REMOVED, now, "%s removed: %s", addr_format(&conn->addr, text), reason);
	pool_remove(pool, conn, reason);
}

/* Takes the lines of one recv. They lie right behind those that are fresh. */
static void
take(struct pool *pool, struct conn *origin, const struct msg *msg, int64_t now)
{
	struct msg *fresh = &pool->fresh;

	pool->lines += line_count(msg_data(msg), msg->len);
	if (pool->config->sanitize)
		line_sanitize(msg_data(msg), msg->len);
	if (fresh->buf != NULL) {
		fresh->len += msg->len;
	} else {
		*fresh = *msg;
		msg_ref(fresh);
	}
	origin->own = *msg;
	origin->heard = now;
	TAILQ_REMOVE(&pool->heard, origin, entry);
	TAILQ_INSERT_TAIL(&pool->heard, origin, entry);
}

bool
pool_reading(const struct pool *pool)
{
	return pool->over == 0 && pool->read_again == 0;
}

bool
pool_writing(const struct pool *pool)
{
	return pool->write_again == 0;
}

size_t
pool_room(const struct pool *pool, uint32_t count)
{
	size_t share = count > 0 ? pool->config->limits.queue / count : READ_ROOM;

	return MAX(READ_ROOM_MIN, MIN(READ_ROOM, share));
}

/* Reserves all that receiving room bytes and delivering them can need. Returns the room, or 0. */
static size_t
reserve(struct pool *pool, struct conn *conn, size_t room, int64_t now)
{
	size_t max = pool->config->limits.line, held = conn->line.len;

	if (line_reserve(&pool->spare, max) < 0 ||
	    (conn->line.data != NULL && line_reserve(&conn->line, max) < 0))
		return 0;
	room = arena_reserve(&pool->arena, held + 1, held + room);
	if (room == 0)
		return 0;
	/* What comes now would not lie behind what is fresh, if that has filled its buf. */
	if (pool->fresh.buf != pool->arena.filling)
		hand_out(pool, now);
	return pool_reading(pool) ? room - held : 0;
}

/* Counts refusals that come in spite of select. Real ones mean that the kernel lacks memory. */
static void
count_refusal(struct pool *pool, struct conn *conn, int64_t now)
{
	if (++conn->refusals < REFUSALS_MAX)
		return;
	conn->refusals = 0;
	pool->read_again = pool->write_again = now + POOL_REST;
}

/* What waits for a client that closed is offered to it once more. */
static void
part(struct pool *pool, struct conn *conn, int64_t now)
{
	size_t taken;

	hand_out(pool, now);
	conn_write(conn, &taken);
	pool_remove(pool, conn, "closed by the client");
}

void
pool_read(struct pool *pool, int sd, size_t room, int64_t now)
{
	struct conn *conn = pool->conns[sd];
	size_t max = pool->config->limits.line;
	struct reception got;
	enum conn_outcome outcome;
	char reason[64];

	if (!pool_reading(pool))
		return;
	if ((room = reserve(pool, conn, room, now)) == 0) {
		starve(pool, now);
		return;
	}
	trace_readable(sd);
	outcome = conn_read(conn, &pool->arena, &pool->spare, room, max, &got);
	if (got.bytes > 0) {
		conn->refusals = 0;
		trace_received(got.bytes, sd);
	}
	if (got.msg.buf != NULL)
		take(pool, conn, &got.msg, now);
	switch (outcome) {
	case CONN_DONE:
		break;
	case CONN_AGAIN:
		count_refusal(pool, conn, now);
		break;
	case CONN_CLOSED:
		trace_closed(sd);
		part(pool, conn, now);
		break;
	case CONN_TOO_LONG:
		snprintf(reason, sizeof(reason), "line too long, at most %zu bytes", max);
		pool_dismiss(pool, conn, now, reason, reason);
		break;
	case CONN_FAILED:
		pool_remove(pool, conn, strerror(errno));
		break;
	}
}

static void
deafen(struct pool *pool, struct conn *conn)
{
	conn_deafen(conn);
	calm(pool, conn);
	fdset_remove(&pool->writers, conn->fd);
}

void
pool_write(struct pool *pool, int sd, int64_t now)
{
	struct conn *conn = pool->conns[sd];
	size_t taken;
	enum conn_outcome outcome = conn_write(conn, &taken);

	if (outcome == CONN_FAILED && (errno == EPIPE || errno == ECONNRESET)) {
		deafen(pool, conn);
		return;
	}
	if (outcome == CONN_FAILED) {
		pool_remove(pool, conn, strerror(errno));
		return;
	}
	if (taken > 0) {
		conn->refusals = 0;
		if (conn->over)
			conn_progress(conn, now);
	} else {
		count_refusal(pool, conn, now);
	}
	if (outcome == CONN_DONE)
		fdset_remove(&pool->writers, sd);
	if (conn->over &&
	    queue_lag(&conn->queue, pool->arena.position) <= pool->config->limits.queue / 2)
		calm(pool, conn);
}

/* Holds the pool where a queue has grown over its limit. */
static void
hold(struct pool *pool, int64_t now)
{
	FDSET_FOREACH(sd, &pool->writers) {
		struct conn *conn = pool->conns[sd];
		uint64_t lag = queue_lag(&conn->queue, pool->arena.position);

		if (lag > pool->config->limits.queue && !conn->over) {
			conn->over = true;
			pool->over++;
			conn_progress(conn, now);
		}
	}
}

void
pool_deliver(struct pool *pool, int64_t now)
{
	hand_out(pool, now);
	hold(pool, now);
}

void
pool_reconfigure(struct pool *pool, const struct config *config, int64_t now)
{
	pool->config = config;
	FDSET_FOREACH(sd, &pool->members) {
		struct conn *conn = pool->conns[sd];

		if (queue_lag(&conn->queue, pool->arena.position) <= config->limits.queue)
			calm(pool, conn);
		if (!access_allows(config->access, &conn->addr))
			pool_dismiss(
			    pool, conn, now, "your address is not allowed", "address not allowed");
	}
	hold(pool, now);
}

bool
pool_reap(struct pool *pool)
{
	struct conn *conn;
	bool any = false;

	while ((conn = TAILQ_FIRST(&pool->gone)) != NULL) {
		TAILQ_REMOVE(&pool->gone, conn, entry);
		conn_free(conn);
		any = true;
	}
	return any;
}
