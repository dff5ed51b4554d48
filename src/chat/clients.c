#include "chat/clients.h"

#include <stdio.h>

#include "base/trace.h"

/* Removes a client that closed, after one more write of what waits for it. */
static void
part(struct clients *clients, struct conn *conn)
{
	size_t written;

	broadcast_hand_out(clients->broadcast);
	conn_write(conn, &written);
	leaving_remove(clients->leaving, conn, "closed by the client");
}

static void
dismiss_too_long(struct clients *clients, struct conn *conn)
{
	char reason[64];

	snprintf(reason, sizeof(reason), "line too long, at most %u bytes",
	    clients->pool->config->limits.line);
	leaving_dismiss(clients->leaving, conn, reason, reason);
}

/* Answers telnet commands, but not while a client leaves its answers unread. */
static void
answer(struct clients *clients, struct conn *conn, const struct reception *got)
{
	if (conn->life == CONN_OPEN && queue_weight(&conn->queue) < TELNET_ANSWERS_MAX)
		broadcast_tell(clients->broadcast, conn, got->answer, got->answer_len);
}

static void
on_readable(void *self, int sd)
{
	struct clients *clients = self;
	struct pool *pool = clients->pool;
	struct conn *conn = pool->conns[sd];
	struct reception got;
	enum conn_outcome outcome;
	size_t room;

	if (!pressure_reading(clients->pressure) ||
	    (room = pressure_room(clients->pressure, conn)) == 0 ||
	    (room = broadcast_reserve(clients->broadcast, conn, room)) == 0)
		return;
	trace_readable(sd);
	outcome = conn_read(conn, &clients->broadcast->intake, room, &got);
	if (got.bytes > 0) {
		conn->refusals = 0;
		trace_received(got.bytes, sd);
	}
	if (got.msg.buf != NULL)
		broadcast_say(clients->broadcast, conn, &got.msg);
	if (got.answer_len > 0)
		answer(clients, conn, &got);
	switch (outcome) {
	case CONN_DONE:
		break;
	case CONN_AGAIN:
		pressure_refused(clients->pressure, conn);
		break;
	case CONN_CLOSED:
		trace_closed(sd);
		part(clients, conn);
		break;
	case CONN_TOO_LONG:
		dismiss_too_long(clients, conn);
		break;
	case CONN_FAILED: /* only a write */
		break;
	}
}

static void
on_writable(void *room, int sd)
{
	struct clients *clients = room;
	struct pool *pool = clients->pool;
	struct conn *conn = pool->conns[sd];
	size_t written;
	enum conn_outcome outcome = conn_write(conn, &written);

	if (outcome == CONN_FAILED) {
		conn_close_write(conn);
		pressure_release(clients->pressure, conn);
		fdset_remove(&pool->class.writers, sd);
		return;
	}
	if (written > 0) {
		conn->refusals = 0;
		if (conn->above_high_water)
			pressure_progressed(clients->pressure, conn, written);
	} else {
		pressure_refused(clients->pressure, conn);
	}
	if (outcome == CONN_DONE)
		fdset_remove(&pool->class.writers, sd);
}

void
clients_init(struct clients *clients, struct leaving *leaving)
{
	*clients = (struct clients){
	    .pool = leaving->broadcast->pool,
	    .broadcast = leaving->broadcast,
	    .pressure = leaving->pressure,
	    .leaving = leaving,
	};
	clients->pool->class.readable = on_readable;
	clients->pool->class.writable = on_writable;
	clients->pool->class.room = clients;
}

void
clients_deliver(struct clients *clients)
{
	if (clients->pool->class.ready == 0)
		return;
	broadcast_hand_out(clients->broadcast);
	pressure_hold(clients->pressure);
}
