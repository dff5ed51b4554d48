#include "chat/clients.h"

#include <stdio.h>

#include "base/trace.h"
#include "wire/ledger.h"
#include "wire/tls_text.h"

/* Removes a client that has closed, after one last attempt to write what waits for it. */
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

/* Answers telnet commands, unless the client leaves its answers unread. */
static void
answer(struct clients *clients, struct conn *conn, const struct reception *got)
{
	if (conn->life == CONN_OPEN && queue_weight(&conn->queue) < TELNET_ANSWERS_MAX)
		broadcast_tell(clients->broadcast, conn, got->answer, got->answer_len);
}

/* Bytes that conn may receive now, with everything reserved that they can lead to; or 0. */
static size_t
reserve(struct clients *clients, struct conn *conn)
{
	struct rate *rate = clients->pressure->rate;
	size_t room;

	if (!pressure_reading(clients->pressure) ||
	    (room = pressure_room(clients->pressure, conn)) == 0)
		return 0;
	if (rate_is_set(rate) && (room = rate_room(rate, conn, room)) == 0)
		return 0;
	if (clients->plain)
		return broadcast_reserve(clients->broadcast, conn, room);
	return clients->speech->on ? speech_reserve(clients->speech, conn, room)
				   : exchange_reserve(clients->exchange, conn, room);
}

/* Handles whole lines. Returns whether conn is still a member. */
static bool
hear(struct clients *clients, struct conn *conn, const struct msg *msg)
{
	if (clients->plain) {
		broadcast_say(clients->broadcast, conn, msg);
		return true;
	}
	if (!clients->speech->on) {
		exchange_hear(clients->exchange, conn, msg);
		return true;
	}
	switch (speech_hear(clients->speech, conn, msg)) {
	case SPEECH_GOES_ON:
		break;
	case SPEECH_QUITS:
		leaving_quit(clients->leaving, conn, "goodbye", "left with /quit");
		return false;
	case SPEECH_IS_WEB:
		leaving_dismiss(clients->leaving, conn, "this is no web server", "spoke HTTP");
		return false;
	}
	return true;
}

/* What select cannot see: bytes that wait, and a read that has to write first. */
static void
watch_secure(struct pool *pool, const struct conn *conn)
{
	if (conn_pending(conn))
		fdset_add(&pool->class.pending, conn->fd);
	else
		fdset_remove(&pool->class.pending, conn->fd);
	if (conn_blocked(conn))
		fdset_remove(&pool->class.readers, conn->fd);
	if (conn_blocked(conn) || conn_unsent(conn))
		fdset_add(&pool->class.writers, conn->fd);
}

/* Its socket is writable: the read that waited for that goes on. */
static void
unblock(struct pool *pool, const struct conn *conn)
{
	tls_unblock(conn->tls[0]);
	fdset_add(&pool->class.readers, conn->fd);
	fdset_add(&pool->class.pending, conn->fd);
}

static void
dismiss_broken(struct clients *clients, struct conn *conn)
{
	char why[TLS_REASON], reason[TLS_REASON + 8];

	snprintf(reason, sizeof(reason), "TLS: %s", tls_reason(conn->tls[0], why));
	leaving_dismiss(clients->leaving, conn, reason, reason);
}

static void
charge(struct clients *clients, struct conn *conn, const struct reception *got)
{
	uint64_t lines = got->msg.buf != NULL ? line_count(msg_data(&got->msg), got->msg.len) : 0;

	rate_charge(clients->pressure->rate, conn, got->bytes, lines);
}

static struct intake *
intake_of(struct clients *clients)
{
	if (clients->plain)
		return &clients->broadcast->intake;
	return clients->speech->on ? &clients->speech->intake : &clients->exchange->intake;
}

/* What the recv has changed beside the log, for the journal. */
static void
record(struct clients *clients, const struct conn *conn)
{
	struct turn *turn = ledger_turn(conn->fd);

	turn->lines_said = conn->lines;
	turn->last_line_at = conn->last_line_at;
	rate_record(clients->pressure->rate, conn, turn);
	if (clients->speech->on)
		roster_record(clients->pressure->roster, conn, turn);
}

/* conn has been read with this outcome. */
static void
receive(struct clients *clients, struct conn *conn, enum conn_outcome outcome,
    const struct reception *got)
{
	if (got->wire > 0) {
		conn->refusals = 0;
		trace_received(got->wire, conn->fd);
	}
	if (conn->secure)
		watch_secure(clients->pool, conn);
	if (rate_is_set(clients->pressure->rate))
		charge(clients, conn, got);
	if (got->msg.buf != NULL && !hear(clients, conn, &got->msg))
		return;
	if (got->answer_len > 0)
		answer(clients, conn, got);
	if (conn->kept && got->bytes > 0)
		record(clients, conn);
	switch (outcome) {
	case CONN_DONE:
		break;
	case CONN_AGAIN:
		pressure_refused(clients->pressure, conn);
		break;
	case CONN_CLOSED:
		trace_closed(conn->fd);
		part(clients, conn);
		break;
	case CONN_TOO_LONG:
		dismiss_too_long(clients, conn);
		break;
	case CONN_BROKEN:
		dismiss_broken(clients, conn);
		break;
	case CONN_FAILED: /* only writes fail */
		break;
	}
}

static void
on_readable(void *self, int sd)
{
	struct clients *clients = self;
	struct conn *conn = clients->pool->conns[sd];
	struct reception got;
	size_t room;

	if ((room = reserve(clients, conn)) == 0)
		return;
	trace_readable(sd);
	receive(clients, conn, conn_read(conn, intake_of(clients), room, &got), &got);
	ledger_settle();
	history_remember(&clients->speech->history);
}

/* In mode chat the room may come out one byte smaller than asked for. */
bool
clients_replay(struct clients *clients, struct conn *conn, size_t len)
{
	struct intake *intake = intake_of(clients);
	struct reception got;
	size_t room = clients->speech->on ? speech_room(clients->speech, conn, len + 2)
		      : clients->plain    ? broadcast_reserve(clients->broadcast, conn, len)
					  : exchange_reserve(clients->exchange, conn, len);

	if (room < len)
		return false;
	receive(clients, conn, conn_replay(conn, intake, len, &got), &got);
	ledger_settle();
	history_remember(&clients->speech->history);
	broadcast_hand_out(clients->broadcast);
	return true;
}

static void
on_writable(void *room, int sd)
{
	struct clients *clients = room;
	struct pool *pool = clients->pool;
	struct conn *conn = pool->conns[sd];
	size_t written;
	enum conn_outcome outcome;

	if (conn_blocked(conn))
		unblock(pool, conn);
	outcome = conn_write(conn, &written);
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
	} else if (!conn_unblocked(conn)) {
		pressure_refused(clients->pressure, conn);
	}
	if (outcome == CONN_DONE)
		fdset_remove(&pool->class.writers, sd);
}

void
clients_init(struct clients *clients, struct leaving *leaving, struct speech *speech)
{
	*clients = (struct clients){
	    .pool = leaving->broadcast->pool,
	    .broadcast = leaving->broadcast,
	    .pressure = leaving->pressure,
	    .leaving = leaving,
	    .speech = speech,
	    .exchange = leaving->exchange,
	};
	clients_reconfigure(clients);
	clients->pool->class.readable = on_readable;
	clients->pool->class.writable = on_writable;
	clients->pool->class.room = clients;
}

void
clients_reconfigure(struct clients *clients)
{
	clients->plain = !clients->speech->on && !exchange_is_on(clients->exchange);
}

void
clients_deliver(struct clients *clients)
{
	if (clients->pool->class.ready == 0)
		return;
	broadcast_hand_out(clients->broadcast);
	speech_delivered(clients->speech);
	pressure_hold(clients->pressure);
}
