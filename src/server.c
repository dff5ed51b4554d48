#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "trace.h"

#define ACCEPT_BATCH 64 /* clients of one listener in one pass */
#define ACCEPT_PAUSE CLOCK_SECOND
#define FUTILE_MAX   8 /* times in a row that what select calls ready does nothing, until a pause */

/* Descriptors beside those of clients and listeners: 0 to 2, the manager's, a file being read. */
#define SPARE_FDS 8

static volatile sig_atomic_t signal_end, signal_reload;

static void
on_signal(int number)
{
	if (number == SIGHUP)
		signal_reload = 1;
	else
		signal_end++;
}

static const int handled[] = {SIGINT, SIGTERM, SIGHUP};
#define HANDLED (sizeof(handled) / sizeof(handled[0]))

/* The signals are delivered only while the loop waits, with waiting as its mask. */
static int
set_signals(sigset_t *waiting)
{
	struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < HANDLED; i++) {
		sigaddset(&blocked, handled[i]);
		if (sigaction(handled[i], &action, NULL) < 0)
			return -1;
	}
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigprocmask(SIG_BLOCK, &blocked, waiting) < 0)
		return -1;
	for (size_t i = 0; i < HANDLED; i++)
		sigdelset(waiting, handled[i]);
	return 0;
}

/* While a descriptor is ready, pselect returns without delivering a signal: look for one. */
static void
take_signals(void)
{
	static const struct timespec no_time;
	sigset_t set;
	int number;

	sigemptyset(&set);
	for (size_t i = 0; i < HANDLED; i++)
		sigaddset(&set, handled[i]);
	while ((number = sigtimedwait(&set, NULL, &no_time)) > 0)
		on_signal(number);
}

/* The descriptors that limits.clients needs are allowed, or else the log says how many are. */
static rlim_t
raise_nofile(const struct config *config)
{
	rlim_t need = (rlim_t)config->limits.clients + config->n_endpoints + SPARE_FDS;
	struct rlimit limit, want;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return need;
	want = limit;
	want.rlim_cur = need;
	want.rlim_max = MAX(limit.rlim_max, need);
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return need;
	want.rlim_cur = want.rlim_max = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		limit = want;
	if (limit.rlim_cur < need)
		log_warn("limits.clients is %u, but %ju open files allow about %ju clients",
		    config->limits.clients, (uintmax_t)limit.rlim_cur,
		    (uintmax_t)(limit.rlim_cur -
				MIN(limit.rlim_cur, need - config->limits.clients)));
	return limit.rlim_cur;
}

void
server_init(struct server *server, struct config *config)
{
	*server = (struct server){
	    .config = config,
	    .listeners = TAILQ_HEAD_INITIALIZER(server->listeners),
	    .notify = {.fd = -1},
	    .listening = FDSET_EMPTY,
	    .readable = FDSET_EMPTY,
	    .writable = FDSET_EMPTY,
	};
	pool_init(&server->pool, config);
}

/* Makes room for descriptor fd everywhere. Returns 0, or -1 when memory is refused. */
static int
reserve(struct server *server, int fd)
{
	if (fdset_reserve(&server->listening, fd) < 0 || fdset_reserve(&server->readable, fd) < 0 ||
	    fdset_reserve(&server->writable, fd) < 0)
		return -1;
	return pool_reserve(&server->pool, fd);
}

/* Brings the set of listening descriptors up to date with the listeners. */
static int
watch_listeners(struct server *server)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, &server->listeners, entry)
		if (reserve(server, MAX(listener->fd, STDERR_FILENO)) < 0) {
			log_error("memory for descriptor %d: %s", listener->fd, strerror(errno));
			return -1;
		}
	fdset_clear(&server->listening);
	TAILQ_FOREACH(listener, &server->listeners, entry)
		if (listener->fd >= 0)
			fdset_add(&server->listening, listener->fd);
	return 0;
}

static void
log_new_listeners(struct server *server)
{
	struct listener *listener;
	char name[LISTENER_NAME];

	TAILQ_FOREACH(listener, &server->listeners, entry) {
		if (!listener->told && listener->fd >= 0)
			log_info("listening on %s", listener_name(listener, name));
		listener->told = true;
	}
}

int
server_listen(struct server *server, int inherited)
{
	char error[LISTENER_ERROR];
	int opened = inherited > 0 ? listeners_inherit(&server->listeners, 3, inherited, error)
				   : listeners_open(&server->listeners, server->config, error);
	rlim_t files;

	if (opened < 0) {
		log_error("%s", error);
		return -1;
	}
	if (set_signals(&server->waiting) < 0) {
		log_error("signals: %s", strerror(errno));
		return -1;
	}
	if (watch_listeners(server) < 0)
		return -1;
	files = raise_nofile(server->config);
	/* sd_notify(3) recommends to serve all the same. */
	if (notify_open(&server->notify, (int)MIN(files, CONFIG_MAX_CLIENTS) - 1) < 0)
		log_warn("notify %s: %s; the service manager is not told", getenv("NOTIFY_SOCKET"),
		    strerror(errno));
	log_new_listeners(server);
	return 0;
}

/* Tells a client that is not let in why not. One line, and the connection is over. */
static void
refuse(struct server *server, int sd, const struct addr *addr, const char *client, const char *log)
{
	char line[128], text[ADDR_TEXT];
	int len = snprintf(line, sizeof(line), "chatd: %s\n", client);

	send(sd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(sd, SHUT_WR);
	trace_removing(sd);
	log_limited(LOG_REFUSED, server->now, "%s refused: %s", addr_format(addr, text), log);
	close(sd);
}

static void
admit(struct server *server, int sd, const struct addr *addr)
{
	const struct limits *limits = &server->config->limits;
	char client[80], log[80];

	trace_accepted(sd);
	if (!access_allows(server->config->access, addr)) {
		refuse(server, sd, addr, "your address is not allowed", "address not allowed");
	} else if (server->pool.count >= limits->clients) {
		snprintf(client, sizeof(client), "too many clients, at most %u", limits->clients);
		refuse(server, sd, addr, client, client);
	} else if (limits->clients_per_address > 0 &&
		   pool_count_host(&server->pool, addr) >= limits->clients_per_address) {
		snprintf(client, sizeof(client), "too many clients from your address, at most %u",
		    limits->clients_per_address);
		snprintf(log, sizeof(log), "too many clients from this address, at most %u",
		    limits->clients_per_address);
		refuse(server, sd, addr, client, log);
	} else if (reserve(server, sd) < 0 || pool_add(&server->pool, sd, addr, server->now) < 0) {
		refuse(server, sd, addr, "out of memory", strerror(errno));
	}
}

/* The main sockets leave the read set until a connection goes or the pause is over. */
static void
pause_accepting(struct server *server, int error)
{
	server->accept_again = server->now + ACCEPT_PAUSE;
	if (!server->accept_told)
		log_warn("accept: %s; new clients wait", strerror(error));
	server->accept_told = true;
}

static void
resume_accepting(struct server *server)
{
	if (server->accept_told)
		log_info("accept: works again");
	server->accept_told = false;
}

/* Accepts those who wait at the listener with descriptor fd. */
static void
accept_clients(struct server *server, int fd)
{
	struct listener *listener;
	struct addr addr;
	int accepted = 0, sd;

	TAILQ_FOREACH(listener, &server->listeners, entry)
		if (listener->fd == fd)
			break;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		if ((sd = listener_accept(listener, &addr)) >= 0) {
			accepted++;
			admit(server, sd, &addr);
		} else if (errno == EAGAIN) {
			if (accepted > 0)
				resume_accepting(server);
			break;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			pause_accepting(server, errno);
			return;
		}
	}
	server->futile_accepts = accepted > 0 ? 0 : server->futile_accepts + 1;
	if (server->futile_accepts >= FUTILE_MAX)
		pause_accepting(server, errno);
}

/* Ends the pause of accepting, when it is over or a connection has gone. */
static void
end_pause(struct server *server, bool gone)
{
	if (gone || server->now >= server->accept_again)
		server->accept_again = 0;
}

/* Does what is due, frees what was removed. Returns when the next thing is due. */
static int64_t
tend(struct server *server)
{
	struct pool *pool = &server->pool;
	int64_t next = MIN(pool_expire(pool, server->now), log_expire(server->now));

	end_pause(server, pool_reap(pool));
	next = MIN(next, notify_pass(&server->notify, server->now, pool->count, pool->lines));
	if (server->accept_again != 0)
		next = MIN(next, server->accept_again);
	if (server->drained != 0)
		next = MIN(next, server->drained);
	return next;
}

/* Fills the sets that select is asked about. Returns the highest descriptor of the pool. */
static int
prepare(struct server *server)
{
	fdset_clear(&server->readable);
	fdset_clear(&server->writable);
	if (server->accept_again == 0)
		fdset_join(&server->readable, &server->listening);
	if (server->drained == 0 && pool_reading(&server->pool))
		fdset_join(&server->readable, &server->pool.members);
	if (pool_writing(&server->pool))
		fdset_join(&server->writable, &server->pool.writers);
	return MAX(server->listening.last, server->pool.members.last);
}

/*
 * Asks select about a blocked standard output or error. Returns until, or an earlier time where the
 * stream goes on refusing though select calls it writable.
 */
static int64_t
await_stream(struct server *server, int fd, int64_t until)
{
	if (fd < 0)
		return until;
	if (server->futile_writes >= FUTILE_MAX)
		return MIN(until, server->now + POOL_REST);
	fdset_add(&server->writable, fd);
	return until;
}

/* Waits until something is ready, a signal comes or the time has come. Returns 0, or -1 with errno.
 */
static int
wait_ready(struct server *server, int64_t until)
{
	struct timespec timeout = {0};
	int maxfd = prepare(server), out, err, ready;

	trace_waiting(maxfd);
	out = trace_flush();
	err = log_flush();
	if (out < 0 && err < 0)
		server->futile_writes = 0;
	until = await_stream(server, out, await_stream(server, err, until));
	if (until > server->now) {
		timeout.tv_sec = (until - server->now) / CLOCK_SECOND;
		timeout.tv_nsec = (until - server->now) % CLOCK_SECOND * 1000;
	}
	maxfd = MAX(server->readable.last, server->writable.last);
	ready = pselect(maxfd + 1, (fd_set *)server->readable.bits, (fd_set *)server->writable.bits,
	    NULL, until == CLOCK_NEVER ? NULL : &timeout, &server->waiting);
	server->now = clock_now();
	if (ready > 0) {
		take_signals();
		server->futile_writes += fdset_has(&server->writable, STDOUT_FILENO) ||
					 fdset_has(&server->writable, STDERR_FILENO);
		return 0;
	}
	fdset_clear(&server->readable);
	fdset_clear(&server->writable);
	return ready < 0 && errno != EINTR ? -1 : 0;
}

static void
serve_readable(struct server *server)
{
	uint32_t readers = 0;
	size_t room;

	FDSET_FOREACH(fd, &server->readable)
		readers += fdset_has(&server->pool.members, fd);
	room = pool_room(&server->pool, readers);
	FDSET_FOREACH(fd, &server->readable) {
		if (fdset_has(&server->listening, fd))
			accept_clients(server, fd);
		else if (fdset_has(&server->pool.members, fd))
			pool_read(&server->pool, fd, room, server->now);
	}
	if (readers > 0)
		pool_deliver(&server->pool, server->now);
}

static void
serve_writable(struct server *server)
{
	FDSET_FOREACH(fd, &server->writable)
		if (fdset_has(&server->pool.writers, fd))
			pool_write(&server->pool, fd, server->now);
}

/* Puts the new config in the place of the old one. */
static void
apply(struct server *server, struct config *config)
{
	struct config *before = server->config;

	server->config = config;
	trace_enable(config->trace);
	raise_nofile(config);
	pool_reconfigure(&server->pool, config, server->now);
	config_free(before);
}

/* Opens and closes listeners as config wants it. Returns 0, or -1 logged with nothing changed. */
static int
change_listeners(struct server *server, const struct config *config)
{
	int highest = MAX(server->listening.last, server->pool.members.last);
	char error[LISTENER_ERROR];

	/* Descriptors are the lowest that are free: room for the highest that can come of it. */
	if (reserve(server, highest + (int)config->n_endpoints + SPARE_FDS) < 0) {
		log_error("memory for listeners: %s", strerror(errno));
		return -1;
	}
	if (listeners_change(&server->listeners, server->config, config, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	return 0;
}

/* Everything is checked before anything is changed. */
static void
reload(struct server *server)
{
	const char *file = server->config->file;
	struct config *config;

	signal_reload = 0;
	notify_reloading(&server->notify, clock_now());
	if (file == NULL) {
		log_warn("nothing to reload: chatd was started without a file");
	} else if ((config = config_load(file, server->config->fixed_port, log_fault)) == NULL) {
		log_error("%s: not reloaded, the old settings stay", file);
	} else if (change_listeners(server, config) < 0) {
		log_error("%s: not reloaded, the old settings stay", file);
		config_free(config);
	} else {
		log_new_listeners(server);
		apply(server, config);
		log_info("reloaded %s", config->file);
	}
	watch_listeners(server);
	notify_ready(&server->notify);
}

/* The first signal ends accepting and reading; what waits is still written. */
static void
begin_end(struct server *server)
{
	if (server->drained != 0)
		return;
	notify_stopping(&server->notify);
	listeners_close(&server->listeners);
	fdset_clear(&server->listening);
	fdset_clear(&server->readable);
	server->drained = server->now + SERVER_DRAIN;
}

/* Nothing waits any more, or too long, or a second signal came. */
static bool
ended(const struct server *server)
{
	return signal_end > 1 || (server->drained != 0 && (server->pool.writers.last < 0 ||
							      server->now >= server->drained));
}

int
server_run(struct server *server)
{
	server->now = clock_now();
	notify_ready(&server->notify);
	for (;;) {
		int64_t due = tend(server);

		if (ended(server))
			return 0;
		if (wait_ready(server, due) < 0) {
			log_error("select: %s", strerror(errno));
			return -1;
		}
		if (signal_end > 0)
			begin_end(server);
		if (signal_reload > 0 && server->drained == 0)
			reload(server);
		serve_readable(server);
		serve_writable(server);
	}
}

void
server_close(struct server *server)
{
	pool_free(&server->pool, "the server ends");
	listeners_close(&server->listeners);
	notify_close(&server->notify);
	fdset_free(&server->listening);
	fdset_free(&server->readable);
	fdset_free(&server->writable);
	config_free(server->config);
}
