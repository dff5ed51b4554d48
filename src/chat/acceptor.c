#include "chat/acceptor.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

#define WAIT_MAX 4 /* passes that a newcomer waits for room: a line and an end take two */

static loop_serve on_readable;

void
acceptor_init(struct acceptor *acceptor, struct leaving *leaving, struct speech *speech)
{
	*acceptor = (struct acceptor){
	    .pool = leaving->broadcast->pool,
	    .leaving = leaving,
	    .speech = speech,
	    .class = {.readable = on_readable, .room = acceptor},
	    .listeners = TAILQ_HEAD_INITIALIZER(acceptor->listeners),
	    .pause = BACKOFF_NONE,
	};
	loop_register(acceptor->pool->loop, &acceptor->class);
}

/* Makes the class watch the listeners that are open, for which it has room. */
static void
watch(struct acceptor *acceptor)
{
	struct loop *loop = acceptor->pool->loop;
	struct listener *listener;

	FDSET_FOREACH(fd, &acceptor->class.readers)
		loop_remove(loop, fd);
	TAILQ_FOREACH(listener, &acceptor->listeners, entry) {
		if (listener->fd < 0)
			continue;
		loop_add(loop, &acceptor->class, listener->fd);
		fdset_add(&acceptor->class.readers, listener->fd);
	}
}

static void
log_listener(const struct listener *listener)
{
	char name[LISTENER_NAME], text[ADDR_TEXT];

	if (listener->absent)
		log_warn("listening on %s as soon as this machine has that address",
		    listener_name(listener, name));
	else if (listener->fd >= 0)
		log_info("listening on %s", listener_name(listener, name));
	else if (!listener->endpoint.optional)
		log_warn("not listening on %s: this machine lacks its address family",
		    endpoint_format(&listener->endpoint, text));
}

void
acceptor_log(struct acceptor *acceptor)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, &acceptor->listeners, entry) {
		if (!listener->told)
			log_listener(listener);
		listener->told = true;
	}
}

int
acceptor_open(struct acceptor *acceptor, const struct config *config, int inherited)
{
	char error[LISTENER_ERROR];
	int opened = inherited > 0 ? listeners_inherit(&acceptor->listeners, 3, inherited, error)
				   : listeners_open(&acceptor->listeners, config, error);
	struct listener *listener;

	if (opened < 0) {
		log_error("%s", error);
		return -1;
	}
	if (inherited > 0 && (config->names_listen || config->fixed_port != 0))
		log_warn("sockets were passed, so port and listen are not used");
	TAILQ_FOREACH(listener, &acceptor->listeners, entry)
		if (loop_reserve(acceptor->pool->loop, &acceptor->class, listener->fd) < 0) {
			log_error("memory for descriptor %d: %s", listener->fd, strerror(errno));
			return -1;
		}
	watch(acceptor);
	return 0;
}

void
acceptor_close(struct acceptor *acceptor)
{
	listeners_close(&acceptor->listeners);
	watch(acceptor);
}

/* In mode chat what was said before it came is history for it, and nothing else. */
static void
enter(struct acceptor *acceptor, struct conn *conn)
{
	if (acceptor->speech->on)
		broadcast_hand_out(acceptor->leaving->broadcast);
	pool_add(acceptor->pool, conn);
	if (acceptor->speech->on)
		speech_welcome(acceptor->speech, conn);
}

/* Returns whether the client is in. */
static bool
admit(struct acceptor *acceptor, struct conn *conn)
{
	struct pool *pool = acceptor->pool;
	const struct limits *limits = &pool->config->limits;
	char told[80], reason[80];

	if (!access_allows(pool->config->access, &conn->addr)) {
		strlcpy(told, "your address is not allowed", sizeof(told));
		strlcpy(reason, "address not allowed", sizeof(reason));
	} else if (pool->count >= limits->clients) {
		snprintf(told, sizeof(told), "too many clients, at most %u", limits->clients);
		strlcpy(reason, told, sizeof(reason));
	} else if (limits->clients_per_address > 0 &&
		   pool_count_host(pool, &conn->addr) >= limits->clients_per_address) {
		snprintf(told, sizeof(told), "too many clients from your address, at most %u",
		    limits->clients_per_address);
		snprintf(reason, sizeof(reason), "too many clients from this address, at most %u",
		    limits->clients_per_address);
	} else {
		enter(acceptor, conn);
		acceptor->unannounced++;
		return true;
	}
	leaving_refuse(acceptor->leaving, conn, told, reason);
	return false;
}

/* There is no conn to leave with, so the line goes straight to the socket. */
static void
refuse_without_memory(int sd, const struct addr *addr)
{
	static const char line[] = "chatd: out of memory\n";
	char text[ADDR_TEXT];

	send(sd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(sd, SHUT_WR);
	trace_removing(sd);
	log_limited(LOG_REFUSED, "%s refused: %s", addr_format(addr, text), strerror(ENOMEM));
	close(sd);
}

/* What being a member, or leaving, takes of descriptor sd. */
static int
reserve(struct acceptor *acceptor, int sd)
{
	struct pressure *pressure = acceptor->leaving->pressure;

	if (pool_reserve(acceptor->pool, sd) < 0 || leaving_reserve(acceptor->leaving, sd) < 0)
		return -1;
	if (roster_has_room(pressure->roster) && roster_reserve(pressure->roster, sd) < 0)
		return -1;
	return rate_has_room(pressure->rate) ? rate_reserve(pressure->rate, sd) : 0;
}

/* Returns whether the client is in. */
static bool
receive(struct acceptor *acceptor, int sd, const struct addr *addr)
{
	struct conn *conn = NULL;

	trace_accepted(sd);
	if (reserve(acceptor, sd) == 0)
		conn = conn_new(sd, addr);
	if (conn != NULL)
		return admit(acceptor, conn);
	refuse_without_memory(sd, addr);
	return false;
}

#define DRAIN_MAX (SOMAXCONN + 1) /* as many as a backlog holds */

/* What a change of the listeners needs to drain those that go. */
struct change {
	struct acceptor *acceptor;
	int opened; /* descriptors that the change itself may take */
};

static void
drain(struct listener *listener, void *context)
{
	const struct change *change = context;
	struct acceptor *acceptor = change->acceptor;
	int highest = MAX(acceptor->class.readers.last,
	    MAX(acceptor->pool->members.last, acceptor->leaving->members.last));
	struct addr addr;

	/* Also for listeners that are opened after this one is closed. */
	if (loop_reserve(
		acceptor->pool->loop, &acceptor->class, highest + change->opened + DRAIN_MAX) < 0)
		return;
	for (int i = 0; i < DRAIN_MAX; i++) {
		int sd = listener_accept(listener, &addr);

		if (sd >= 0)
			receive(acceptor, sd, &addr);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* It leaves the loop before it is closed: a client of the next one may get its number. */
static void
drain_last(struct listener *listener, void *context)
{
	const struct change *change = context;

	drain(listener, context);
	loop_remove(change->acceptor->pool->loop, listener->fd);
}

int
acceptor_change(struct acceptor *acceptor, const struct config *before, const struct config *after,
    source_tell *tell)
{
	struct change change = {.acceptor = acceptor, .opened = (int)after->n_endpoints + 8};
	char error[LISTENER_ERROR];
	int result =
	    listeners_change(&acceptor->listeners, before, after, drain_last, &change, error);

	if (result < 0)
		tell(LOG_ERR, error);
	watch(acceptor);
	return result;
}

void
acceptor_drain(struct acceptor *acceptor)
{
	struct change change = {.acceptor = acceptor};
	struct listener *listener;

	acceptor->server_ends = true;
	TAILQ_FOREACH(listener, &acceptor->listeners, entry)
		if (listener->fd >= 0)
			drain(listener, &change);
}

/* The listeners leave the read set until a connection ends or the pause is over. */
static void
pause_accepting(struct acceptor *acceptor, int error)
{
	backoff_begin(&acceptor->pause, ACCEPTOR_PAUSE);
	if (!acceptor->pause_logged)
		log_limited(LOG_ACCEPT, "accept: %s; new clients wait", strerror(error));
	acceptor->pause_logged = true;
}

static void
accepting_works(struct acceptor *acceptor)
{
	if (acceptor->pause_logged)
		log_limited(LOG_ACCEPT, "accept: works again");
	acceptor->pause_logged = false;
}

/*
 * Whether a limit might turn the next newcomer away. Its address is not known yet; most likely it
 * is that of the one before.
 */
static bool
is_scarce(const struct pool *pool, const struct addr *before)
{
	const struct limits *limits = &pool->config->limits;

	if (pool->count >= limits->clients)
		return true;
	return limits->clients_per_address > 0 &&
	       (before == NULL || pool_count_host(pool, before) >= limits->clients_per_address);
}

/* While the pool is held, places may free up late: a newcomer without one stays in the backlog. */
static bool
must_wait(const struct acceptor *acceptor)
{
	const struct pool *pool = acceptor->pool;

	return pressure_holds(acceptor->leaving->pressure) &&
	       pool->count >= pool->config->limits.clients && !acceptor->server_ends;
}

static struct listener *
find(struct acceptor *acceptor, int fd)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, &acceptor->listeners, entry)
		if (listener->fd == fd)
			break;
	return listener;
}

/*
 * Accepts those who wait at the listener. If this pass will also read clients, a newcomer that
 * would exceed a limit waits up to four passes: one of them may be about to leave.
 */
static void
on_readable(void *room, int fd)
{
	struct acceptor *acceptor = room;
	struct pool *pool = acceptor->pool;
	struct listener *listener = find(acceptor, fd);
	struct addr addr;
	int accepted = 0, sd;
	bool busy = pool->class.ready > 0, scarce = is_scarce(pool, NULL);

	for (int i = 0; i < ACCEPTOR_BATCH; i++) {
		if (must_wait(acceptor))
			return;
		if (busy && scarce && listener->waited < WAIT_MAX) {
			listener->waited++;
			return;
		}
		if ((sd = listener_accept(listener, &addr)) >= 0) {
			accepted++;
			if (receive(acceptor, sd, &addr)) {
				listener->waited = 0;
				busy = true;
			}
			scarce = is_scarce(pool, &addr);
		} else if (errno == EAGAIN) {
			if (accepted > 0)
				accepting_works(acceptor);
			break;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			pause_accepting(acceptor, errno);
			return;
		}
	}
	listener->waited = 0;
	if (accepted > 0)
		backoff_worked(&acceptor->pause);
	else if (backoff_count(&acceptor->pause.refusals))
		pause_accepting(acceptor, errno);
}

/* The first of those who came in in this pass: they are the last that the log does not know. */
static struct conn *
first_newcomer(const struct acceptor *acceptor)
{
	struct conn *conn = TAILQ_LAST(&acceptor->pool->by_last_line, conns), *first = NULL;

	for (uint32_t left = acceptor->unannounced; left > 0 && conn != NULL;
	     conn = TAILQ_PREV(conn, conns, entry)) {
		if (conn->announced)
			continue;
		first = conn;
		left--;
	}
	return first;
}

static void
announce(struct acceptor *acceptor)
{
	struct conn *conn = first_newcomer(acceptor);
	char text[ADDR_TEXT];

	acceptor->unannounced = 0;
	for (; conn != NULL; conn = TAILQ_NEXT(conn, entry)) {
		if (conn->announced)
			continue;
		conn->announced = true;
		if (!acceptor->pool->config->log_connections)
			continue;
		conn->probe = conn_said_nothing(conn);
		(conn->probe ? log_debug : log_info)(
		    "%s connected as sd %d", addr_format(&conn->addr, text), conn->fd);
	}
}

int64_t
acceptor_run_due(struct acceptor *acceptor, bool reaped)
{
	announce(acceptor);
	if (reaped)
		backoff_end(&acceptor->pause);
	backoff_run_due(&acceptor->pause);
	acceptor->class.hold_readers = backoff_rests(&acceptor->pause) || must_wait(acceptor);
	return acceptor->pause.until;
}
