#include "chat/broadcast.h"

#include <string.h>

#include "wire/ledger.h"
#include "wire/line.h"

void
broadcast_init(struct broadcast *broadcast, struct pool *pool)
{
	*broadcast = (struct broadcast){
	    .pool = pool, .intake = {.arena = {.kept = true}}, .memory = BACKOFF_NONE};
	broadcast_reconfigure(broadcast);
}

void
broadcast_free(struct broadcast *broadcast)
{
	intake_free(&broadcast->intake);
}

void
broadcast_reconfigure(struct broadcast *broadcast)
{
	broadcast->intake.line_max = broadcast->pool->config->limits.line;
	broadcast->intake.telnet = broadcast->pool->config->sanitize;
}

void
broadcast_starve(struct broadcast *broadcast)
{
	backoff_begin(&broadcast->memory, BACKOFF_REST);
}

/* If the fresh message has filled its buf, what comes next would not be adjacent to it. */
static size_t
join_fresh(struct broadcast *broadcast, size_t room)
{
	if (room == 0 || (journal != NULL && !ledger_has_room()))
		broadcast_starve(broadcast);
	else if (broadcast->fresh.buf != broadcast->intake.arena.filling)
		broadcast_hand_out(broadcast);
	return backoff_rests(&broadcast->memory) ? 0 : room;
}

size_t
broadcast_reserve(struct broadcast *broadcast, struct conn *conn, size_t room)
{
	return join_fresh(broadcast, conn_reserve(conn, &broadcast->intake, room));
}

size_t
broadcast_room(struct broadcast *broadcast, size_t min, size_t want)
{
	return join_fresh(broadcast, arena_reserve(&broadcast->intake.arena, min, want));
}

/* Extends the fresh message, or begins one. */
static inline void
add(struct broadcast *broadcast, struct conn *conn, const struct msg *msg)
{
	struct msg *fresh = &broadcast->fresh;

	if (fresh->buf != NULL) {
		fresh->len += msg->len;
	} else {
		*fresh = *msg;
		msg_ref(fresh);
	}
	if (conn != NULL)
		conn->own = (struct part){.off = msg->off, .len = msg->len};
	if (journal != NULL) {
		ledger_add(ENTRY_ALL, conn != NULL && conn->kept ? conn->fd : -1, msg);
		journal->next->lines = broadcast->lines;
	}
}

void
broadcast_add(struct broadcast *broadcast, struct conn *conn, const struct msg *msg)
{
	add(broadcast, conn, msg);
}

void
broadcast_say(struct broadcast *broadcast, struct conn *conn, const struct msg *msg)
{
	uint64_t lines = line_count(msg_data(msg), msg->len);

	broadcast->lines += lines;
	conn->lines += lines;
	if (broadcast->pool->config->sanitize)
		line_sanitize(msg_data(msg), msg->len);
	add(broadcast, conn, msg);
	pool_heard(broadcast->pool, conn);
}

bool
broadcast_announce(struct broadcast *broadcast, const char *text, size_t len)
{
	struct msg msg;

	if (backoff_rests(&broadcast->memory) || broadcast_room(broadcast, len, len) == 0)
		return false;
	memcpy(arena_tail(&broadcast->intake.arena), text, len);
	msg = arena_take(&broadcast->intake.arena, len);
	add(broadcast, NULL, &msg);
	broadcast_hand_out(broadcast);
	return true;
}

struct msg
broadcast_own(struct broadcast *broadcast, const char *text, size_t len)
{
	/* Not in the arena: otherwise a crowd of refused newcomers would add to the members' lag.
	 */
	return msg_new(&broadcast->intake.arena, text, len);
}

void
broadcast_share(struct broadcast *broadcast, struct conn *conn, const struct msg *msg)
{
	broadcast_hand_out(broadcast);
	if (conn->kept && !ledger_has_place())
		return;
	/* Keep the places that the next pass needs. */
	if (!queue_reserve(&conn->queue, 1 + BROADCAST_PLACES))
		return;
	queue_push(&conn->queue, msg);
	if (conn->kept) {
		ledger_add(ENTRY_ALONE, conn->fd, msg);
		ledger_handed();
	}
	if (fdset_has(&broadcast->pool->members, conn->fd))
		fdset_add(&broadcast->pool->class.writers, conn->fd);
}

void
broadcast_tell(struct broadcast *broadcast, struct conn *conn, const char *text, size_t len)
{
	struct msg msg = broadcast_own(broadcast, text, len);

	if (msg.buf == NULL)
		return;
	msg_ref(&msg);
	broadcast_share(broadcast, conn, &msg);
	msg_unref(&msg);
}

/* Puts the bytes of fresh from offset off to end into the queue. */
static void
push(struct queue *queue, const struct msg *fresh, uint32_t off, uint32_t end)
{
	struct msg msg = {.buf = fresh->buf, .off = off, .len = end - off};

	if (off < end)
		queue_push(queue, &msg);
}

void
broadcast_hand_out(struct broadcast *broadcast)
{
	struct pool *pool = broadcast->pool;
	struct msg *fresh = &broadcast->fresh;
	uint32_t end = fresh->off + fresh->len;

	if (fresh->buf == NULL)
		return;
	if (journal != NULL)
		ledger_handed();
	FDSET_FOREACH(sd, &pool->members) {
		struct conn *conn = pool->conns[sd];
		struct part own = conn->own;

		conn->own.len = 0;
		if (conn->life != CONN_OPEN)
			continue;
		if (own.len == 0) {
			push(&conn->queue, fresh, fresh->off, end);
		} else {
			push(&conn->queue, fresh, fresh->off, own.off);
			push(&conn->queue, fresh, own.off + own.len, end);
		}
		if (!queue_reserve(&conn->queue, BROADCAST_PLACES))
			broadcast_starve(broadcast);
		if (!queue_empty(&conn->queue))
			fdset_add(&pool->class.writers, sd);
	}
	msg_unref(fresh);
	*fresh = MSG_NONE;
}

uint64_t
broadcast_lag(const struct broadcast *broadcast, const struct conn *conn)
{
	return queue_lag(&conn->queue, broadcast->intake.arena.position);
}

/* Whether every queue has places for one more pass. */
static bool
have_places(struct pool *pool)
{
	FDSET_FOREACH(sd, &pool->class.writers)
		if (!queue_reserve(&pool->conns[sd]->queue, BROADCAST_PLACES))
			return false;
	return true;
}

int64_t
broadcast_run_due(struct broadcast *broadcast)
{
	if (clock_now() >= broadcast->memory.until) {
		if (have_places(broadcast->pool))
			backoff_end(&broadcast->memory);
		else
			broadcast_starve(broadcast);
	}
	return broadcast->memory.until;
}
