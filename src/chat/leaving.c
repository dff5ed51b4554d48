#include "chat/leaving.h"

#include <stdio.h>

#include "base/trace.h"
#include "wire/ledger.h"

static loop_serve on_readable, on_writable;

void
leaving_init(struct leaving *leaving, struct pressure *pressure, struct notices *notices,
    struct exchange *exchange)
{
	*leaving = (struct leaving){
	    .broadcast = pressure->broadcast,
	    .pressure = pressure,
	    .notices = notices,
	    .exchange = exchange,
	    .pool = pressure->pool,
	    .class = {.readable = on_readable, .writable = on_writable, .room = leaving},
	    .conns = TAILQ_HEAD_INITIALIZER(leaving->conns),
	    .members = FDSET_EMPTY,
	};
	loop_register(leaving->pool->loop, &leaving->class);
}

/* Ends it for good: nothing more is written or read. */
static void
end(struct leaving *leaving, struct conn *conn)
{
	fdset_remove(&leaving->members, conn->fd);
	loop_remove(leaving->pool->loop, conn->fd);
	TAILQ_REMOVE(&leaving->conns, conn, entry);
	leaving->count--;
	leaving->pool->conns[conn->fd] = NULL;
	pool_end(leaving->pool, conn);
}

void
leaving_free(struct leaving *leaving)
{
	FDSET_FOREACH(sd, &leaving->members)
		end(leaving, leaving->pool->conns[sd]);
	fdset_free(&leaving->members);
}

static void
log_disconnected(const struct leaving *leaving, const struct conn *conn, const char *reason)
{
	char text[ROSTER_LABEL];

	if (leaving->pool->config->log_connections)
		(conn->probe ? log_debug : log_info)("%s disconnected from sd %d: %s",
		    roster_label(leaving->pressure->roster, conn, text), conn->fd, reason);
}

/* No longer a member: it holds nobody up, its rest is over, and its name is free. */
static void
withdraw(struct leaving *leaving, struct conn *conn, const char *reason)
{
	pressure_release(leaving->pressure, conn);
	rate_forget(leaving->pressure->rate, conn);
	exchange_forget(leaving->exchange, conn);
	log_disconnected(leaving, conn, reason);
	pool_take_out(leaving->pool, conn);
	notices_left(leaving->notices, conn);
	roster_forget(leaving->pressure->roster, conn);
}

void
leaving_remove(struct leaving *leaving, struct conn *conn, const char *reason)
{
	withdraw(leaving, conn, reason);
	if (conn->kept)
		ledger_set_state(conn->fd, RECORD_REMOVED);
	pool_end(leaving->pool, conn);
}

int
leaving_reserve(struct leaving *leaving, int sd)
{
	if (fdset_reserve(&leaving->members, sd) < 0)
		return -1;
	return loop_reserve(leaving->pool->loop, &leaving->class, sd);
}

/* Writes what the socket takes; after the last byte, sends the end of file. */
static size_t
write_some(struct leaving *leaving, struct conn *conn)
{
	size_t written;

	switch (conn_write(conn, &written)) {
	case CONN_DONE:
		if (conn_shut_write(conn))
			break;
		fdset_add(&leaving->class.writers, conn->fd);
		return written;
	case CONN_FAILED:
		conn_close_write(conn);
		break;
	default:
		fdset_add(&leaving->class.writers, conn->fd);
		return written;
	}
	conn->life = CONN_LEAVING_WRITTEN;
	fdset_remove(&leaving->class.writers, conn->fd);
	return written;
}

void
leaving_restore(struct leaving *leaving, struct conn *conn)
{
	conn->life = CONN_LEAVING;
	conn->refusals = 0;
	conn->last_progress_at = clock_now();
	conn->last_line_at = clock_now() - LEAVING_QUIET;
	conn->window_bytes = 0;
	leaving->pool->conns[conn->fd] = conn;
	fdset_add(&leaving->members, conn->fd);
	loop_add(leaving->pool->loop, &leaving->class, conn->fd);
	fdset_add(&leaving->class.readers, conn->fd);
	TAILQ_INSERT_TAIL(&leaving->conns, conn, entry);
	leaving->count++;
	write_some(leaving, conn);
}

/* What of that which waits a connection still gets when it leaves. */
enum rest {
	REST_ALL,
	REST_BEGUN, /* the line that has begun to leave */
	REST_NOTHING,
};

/*
 * What is cut off is not overwritten before that is recorded, so the last line gets its memory
 * first.
 */
static void
cut(struct conn *conn, enum rest rest)
{
	uint64_t bytes = 0;

	if (rest == REST_BEGUN)
		queue_cut(&conn->queue);
	if (conn->life == CONN_OPEN && rest != REST_NOTHING)
		bytes = rest == REST_ALL ? UINT64_MAX : queue_bytes(&conn->queue);
	if (conn->kept)
		ledger_leaves(conn->fd, bytes);
}

/* The connection, which is in no set, begins to leave, with len bytes as its last word. */
static void
begin_with(struct leaving *leaving, struct conn *conn, enum rest rest, const char *word, size_t len)
{
	struct msg last = MSG_NONE;

	if (conn->life == CONN_OPEN && len > 0)
		last = broadcast_own(leaving->broadcast, word, len);
	cut(conn, rest);
	if (last.buf != NULL) {
		msg_ref(&last);
		broadcast_share(leaving->broadcast, conn, &last);
		msg_unref(&last);
	}
	conn_stop_reading(conn);
	line_free(&conn->line);
	leaving_restore(leaving, conn);
	if (leaving->count > LEAVING_MAX && !leaving->server_ends)
		end(leaving, TAILQ_FIRST(&leaving->conns));
}

static void
begin(struct leaving *leaving, struct conn *conn, enum rest rest, const char *told)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "chatd: %s\n", told);

	begin_with(leaving, conn, rest, line, (size_t)len);
}

static void
log_turned_away(const struct leaving *leaving, enum log_topic topic, const struct conn *conn,
    const char *how, const char *reason)
{
	char text[ROSTER_LABEL];

	log_limited(
	    topic, "%s %s: %s", roster_label(leaving->pressure->roster, conn, text), how, reason);
}

/* Takes a member out, after handing out what it said. */
static void
take_out(struct leaving *leaving, struct conn *conn, const char *reason)
{
	broadcast_hand_out(leaving->broadcast);
	withdraw(leaving, conn, reason);
}

void
leaving_dismiss(struct leaving *leaving, struct conn *conn, const char *told, const char *reason)
{
	log_turned_away(leaving, LOG_REMOVED, conn, "removed", reason);
	take_out(leaving, conn, reason);
	begin(leaving, conn, REST_BEGUN, told);
}

void
leaving_quit(struct leaving *leaving, struct conn *conn, const char *told, const char *reason)
{
	take_out(leaving, conn, reason);
	begin(leaving, conn, REST_ALL, told);
}

void
leaving_refuse(struct leaving *leaving, struct conn *conn, const char *told, const char *reason)
{
	log_turned_away(leaving, LOG_REFUSED, conn, "refused", reason);
	broadcast_hand_out(leaving->broadcast);
	begin(leaving, conn, REST_NOTHING, told);
}

void
leaving_refuse_tls(struct leaving *leaving, struct conn *conn, const char *reason, bool alert)
{
	log_turned_away(leaving, LOG_REFUSED, conn, "refused", reason);
	broadcast_hand_out(leaving->broadcast);
	begin_with(leaving, conn, REST_NOTHING, tls_alert, alert ? TLS_ALERT : 0);
}

void
leaving_end_all(struct leaving *leaving, const char *told)
{
	leaving->server_ends = true;
	FDSET_FOREACH(sd, &leaving->pool->members) {
		struct conn *conn = leaving->pool->conns[sd];

		take_out(leaving, conn, told);
		begin(leaving, conn, REST_ALL, told);
	}
	leaving->undone = leaving->count;
}

/* Reads only to find the end of file. */
static void
on_readable(void *room, int sd)
{
	struct leaving *leaving = room;
	struct conn *conn = leaving->pool->conns[sd];
	ssize_t n;

	trace_readable(sd);
	n = conn_discard(conn);
	if (n > 0) {
		conn->refusals = 0;
		conn->last_line_at = clock_now();
		conn->window_bytes += (uint32_t)n;
		trace_received((size_t)n, sd);
	} else if (n == 0) {
		trace_closed(sd);
		fdset_remove(&leaving->class.readers, sd);
	} else {
		pressure_refused(leaving->pressure, conn);
	}
}

static void
on_writable(void *room, int sd)
{
	struct leaving *leaving = room;
	struct conn *conn = leaving->pool->conns[sd];

	if (write_some(leaving, conn) > 0)
		conn->refusals = 0;
	else if (conn->life == CONN_LEAVING)
		pressure_refused(leaving->pressure, conn);
}

static bool
has_closed(const struct leaving *leaving, const struct conn *conn)
{
	return !fdset_has(&leaving->class.readers, conn->fd);
}

/* On a unix socket, written means delivered. The end of file counts as one unacknowledged byte; it
 * does not have to be acknowledged. */
static bool
is_done(const struct leaving *leaving, const struct conn *conn)
{
	if (conn->life != CONN_LEAVING_WRITTEN)
		return false;
	if (has_closed(leaving, conn) || conn->window_bytes > LEAVING_BYTES)
		return true;
	if (clock_now() < conn->last_line_at + LEAVING_QUIET)
		return false;
	return (conn->addr.family == AF_UNIX || conn_unacked(conn) <= 1) && conn_unread(conn) == 0;
}

bool
leaving_done(const struct leaving *leaving)
{
	return leaving->undone == 0;
}

int64_t
leaving_run_due(struct leaving *leaving)
{
	int64_t now = clock_now(), next = CLOCK_NEVER;
	struct conn *conn, *after;

	leaving->undone = 0;
	TAILQ_FOREACH_SAFE(conn, &leaving->conns, entry, after) {
		int64_t due =
		    leaving->server_ends ? CLOCK_NEVER : conn->last_progress_at + LEAVING_TIME;
		bool done = is_done(leaving, conn);

		if (now >= due || (done && (!leaving->server_ends || has_closed(leaving, conn)))) {
			end(leaving, conn);
			continue;
		}
		if (done)
			continue;
		leaving->undone++;
		if (conn->life == CONN_LEAVING_WRITTEN)
			due = clock_sooner(due, now + LEAVING_LOOK);
		next = clock_sooner(next, due);
	}
	leaving->class.hold_readers = leaving->class.hold_writers =
	    backoff_rests(&leaving->pressure->kernel);
	return next;
}
