#include "chat/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"

#define WAIT_MAX 4 /* passes that a newcomer waits for room: a line and an end take two */

static loop_serve on_readable;

void
acceptor_init(struct acceptor *acceptor, struct admission *admission)
{
	*acceptor = (struct acceptor){
	    .pool = admission->pool,
	    .leaving = admission->leaving,
	    .admission = admission,
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
	if (journal != NULL)
		listeners_keep(&acceptor->listeners);
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

void
acceptor_close(struct acceptor *acceptor)
{
	listeners_close(&acceptor->listeners);
	watch(acceptor);
}

#define DRAIN_MAX (SOMAXCONN + 1) /* as many as a backlog holds */

/* What a change of listeners needs to drain the ones it removes. */
struct change {
	struct acceptor *acceptor;
	int opened; /* descriptors that the change itself may take */
};

static void
drain(struct listener *listener, void *context)
{
	const struct change *change = context;
	struct acceptor *acceptor = change->acceptor;
	int clients = MAX(acceptor->pool->members.last, acceptor->leaving->members.last);
	int highest = MAX(
	    acceptor->class.readers.last, MAX(clients, acceptor->admission->lobby->members.last));
	struct addr addr;

	/* Also for listeners that are opened after this one is closed. */
	if (loop_reserve(
		acceptor->pool->loop, &acceptor->class, highest + change->opened + DRAIN_MAX) < 0)
		return;
	for (int i = 0; i < DRAIN_MAX; i++) {
		int sd = listener_accept(listener, &addr);

		if (sd >= 0)
			admission_receive(acceptor->admission, sd, &addr, listener->endpoint.tls);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* Removed from the loop before it is closed: the next client may get its descriptor. */
static void
drain_last(struct listener *listener, void *context)
{
	const struct change *change = context;

	drain(listener, context);
	loop_remove(change->acceptor->pool->loop, listener->fd);
}

/* Opens what config names, or takes over what was passed, beside what a former process had. */
static int
open_all(struct acceptor *acceptor, const struct config *config, int *passed, const bool *tls,
    int count, char error[LISTENER_ERROR])
{
	struct listeners *all = &acceptor->listeners;
	struct change change = {.acceptor = acceptor, .opened = (int)config->n_endpoints + 8};

	if (TAILQ_EMPTY(all))
		return count > 0 ? listeners_inherit(all, passed, tls, count, error)
				 : listeners_open(all, config, error);
	listeners_match(all, passed, tls, count);
	if (count == 0)
		return listeners_change(all, config, config, drain_last, &change, error);
	listeners_retire(all, drain_last, &change);
	return listeners_inherit(all, passed, tls, count, error);
}

bool
acceptor_inherited_tls(const struct acceptor *acceptor)
{
	const struct listener *listener;

	TAILQ_FOREACH(listener, &acceptor->listeners, entry)
		if (listener->inherited && listener->endpoint.tls)
			return true;
	return false;
}

int
acceptor_open(
    struct acceptor *acceptor, const struct config *config, int *passed, const bool *tls, int count)
{
	char error[LISTENER_ERROR];
	struct listener *listener;

	if (open_all(acceptor, config, passed, tls, count, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	if (count > 0 && (config->names_listen || config->fixed_port != 0))
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
acceptor_leave(struct acceptor *acceptor)
{
	listeners_leave(&acceptor->listeners);
}

bool
acceptor_restore(struct acceptor *acceptor, int fd)
{
	if (loop_reserve(acceptor->pool->loop, &acceptor->class, fd) < 0 ||
	    !listeners_restore(&acceptor->listeners, fd))
		return false;
	return true;
}

void
acceptor_receive(struct acceptor *acceptor, int sd, const struct addr *addr)
{
	admission_receive(acceptor->admission, sd, addr, false);
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

/* While the pool is held, places may free up late: newcomers stay in the backlog until then. */
static bool
must_wait(const struct acceptor *acceptor)
{
	return pressure_holds(acceptor->leaving->pressure) &&
	       admission_is_full(acceptor->admission) && !acceptor->server_ends;
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
	bool busy = pool->class.ready > 0, scarce = admission_is_scarce(acceptor->admission, NULL);

	for (int i = 0; i < ACCEPTOR_BATCH; i++) {
		if (must_wait(acceptor))
			return;
		if (busy && scarce && listener->waited < WAIT_MAX) {
			listener->waited++;
			return;
		}
		if ((sd = listener_accept(listener, &addr)) >= 0) {
			accepted++;
			if (admission_receive(
				acceptor->admission, sd, &addr, listener->endpoint.tls)) {
				listener->waited = 0;
				busy = true;
			}
			scarce = admission_is_scarce(acceptor->admission, &addr);
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

int64_t
acceptor_run_due(struct acceptor *acceptor, bool reaped)
{
	admission_announce(acceptor->admission);
	if (reaped)
		backoff_end(&acceptor->pause);
	backoff_run_due(&acceptor->pause);
	acceptor->class.hold_readers = backoff_rests(&acceptor->pause) || must_wait(acceptor);
	return acceptor->pause.until;
}
