#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/trace.h"
#include "chat/expiry.h"

#define FUTILE_MAX 8 /* times in a row that a stream which select calls writable takes nothing */

/* Descriptors beside those of clients and listeners: 0 to 2, the manager's, a file being read. */
#define SPARE_FDS 8

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
	    .notify = {.fd = -1},
	};
	door_init(&server->door);
	pool_init(&server->pool, config);
}

/* Makes room for the highest descriptor that a listener of config can get: the lowest are taken. */
static int
reserve(struct server *server, const struct config *config)
{
	int highest = MAX(server->door.listening.last, server->pool.members.last) +
		      (int)config->n_endpoints + SPARE_FDS;

	if (fdset_reserve(&server->door.listening, highest) == 0 &&
	    pool_reserve(&server->pool, highest) == 0)
		return 0;
	log_error("memory for descriptors: %s", strerror(errno));
	return -1;
}

int
server_listen(struct server *server, int inherited)
{
	const struct config *config = server->config;
	rlim_t files;

	if (signals_open(&server->waiting) < 0) {
		log_error("signals: %s", strerror(errno));
		return -1;
	}
	if (door_open(&server->door, config, inherited) < 0 || reserve(server, config) < 0)
		return -1;
	files = raise_nofile(config);
	/* sd_notify(3) recommends to serve all the same. */
	if (notify_open(&server->notify, (int)MIN(files, CONFIG_MAX_CLIENTS) - 1) < 0)
		log_warn("notify %s: %s; the service manager is not told", getenv("NOTIFY_SOCKET"),
		    strerror(errno));
	door_log(&server->door);
	return 0;
}

/* Does what is due, frees what was removed. Returns when the next thing is due. */
static int64_t
tend(struct server *server)
{
	struct pool *pool = &server->pool;
	int64_t now = server->now, next = clock_sooner(expiry_run(pool, now), log_expire(now));

	next = clock_sooner(next, door_expire(&server->door, pool_reap(pool), now));
	next = clock_sooner(next, notify_pass(&server->notify, now, pool->count, pool->lines));
	return server->drained != 0 ? MIN(next, server->drained) : next;
}

/* Fills the sets that select is asked about. Returns the highest descriptor of the pool. */
static int
prepare(struct server *server)
{
	struct pool *pool = &server->pool;

	fdset_clear(&pool->readable);
	fdset_clear(&pool->writable);
	if (server->door.again == 0)
		fdset_join(&pool->readable, &server->door.listening);
	if (server->drained == 0 && pool_reading(pool))
		fdset_join(&pool->readable, &pool->members);
	if (pool_writing(pool))
		fdset_join(&pool->writable, &pool->writers);
	return MAX(server->door.listening.last, pool->members.last);
}

/*
 * Asks select about a blocked standard output or error. Returns until, or an earlier time where the
 * stream goes on refusing though select calls it writable.
 */
static int64_t
await_stream(struct server *server, int fd, bool blocked, bool took, int64_t until)
{
	unsigned *futile = &server->futile_writes[fd];

	if (took || !blocked)
		*futile = 0;
	if (!blocked)
		return until;
	if (*futile >= FUTILE_MAX)
		return MIN(until, server->now + POOL_REST);
	fdset_add(&server->pool.writable, fd);
	return until;
}

/* Waits until something is ready, a signal comes or it is time. Returns 0, or -1 with errno. */
static int
wait_ready(struct server *server, int64_t until)
{
	struct fdset *readable = &server->pool.readable, *writable = &server->pool.writable;
	int maxfd = prepare(server), ready;
	struct timespec timeout = {0};
	bool out, err;

	trace_waiting(maxfd);
	out = trace_flush() >= 0;
	err = log_flush() >= 0;
	until = await_stream(server, STDOUT_FILENO, out, trace_took(), until);
	until = await_stream(server, STDERR_FILENO, err, log_took(), until);
	if (until > server->now) {
		timeout.tv_sec = (until - server->now) / CLOCK_SECOND;
		timeout.tv_nsec = (until - server->now) % CLOCK_SECOND * 1000;
	}
	ready = pselect(MAX(readable->last, writable->last) + 1, (fd_set *)readable->bits,
	    (fd_set *)writable->bits, NULL, until == CLOCK_NEVER ? NULL : &timeout,
	    &server->waiting);
	server->now = clock_now();
	if (ready > 0) {
		signals_take();
		for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
			server->futile_writes[fd] += fdset_has(writable, fd);
		return 0;
	}
	fdset_clear(readable);
	fdset_clear(writable);
	return ready < 0 && errno != EINTR ? -1 : 0;
}

static void
serve_readable(struct server *server)
{
	struct pool *pool = &server->pool;
	uint32_t readers = 0;
	size_t room;

	FDSET_FOREACH(fd, &pool->readable)
		readers += fdset_has(&pool->members, fd);
	room = pool_room(pool, readers);
	FDSET_FOREACH(fd, &pool->readable) {
		if (fdset_has(&server->door.listening, fd))
			door_accept(&server->door, pool, fd, readers > 0, server->now);
		else if (fdset_has(&pool->members, fd))
			pool_read(pool, fd, room, server->now);
	}
	if (readers > 0)
		pool_deliver(pool, server->now);
}

static void
serve_writable(struct server *server)
{
	struct pool *pool = &server->pool;

	FDSET_FOREACH(fd, &pool->writable)
		if (fdset_has(&pool->writers, fd))
			pool_write(pool, fd, server->now);
}

/* Opens the new config's listeners, for which the limit of descriptors may have to rise first. */
static int
open_listeners(struct server *server, const struct config *config)
{
	raise_nofile(config);
	if (reserve(server, config) < 0)
		return -1;
	return door_change(&server->door, server->config, config);
}

/* Puts the new config in the place of the old one. */
static void
apply(struct server *server, struct config *config)
{
	struct config *before = server->config;

	door_log(&server->door);
	server->config = config;
	trace_enable(config->trace);
	pool_reconfigure(&server->pool, config, server->now);
	config_free(before);
}

/* Everything is checked before anything is changed. */
static void
reload(struct server *server)
{
	const char *file = server->config->file;
	struct config *config;

	notify_reloading(&server->notify, clock_now());
	if (file == NULL) {
		log_warn("nothing to reload: chatd was started without a file");
	} else if ((config = config_load(file, server->config->fixed_port, log_fault)) == NULL) {
		log_error("%s: not reloaded, the old settings stay", file);
	} else if (open_listeners(server, config) < 0) {
		log_error("%s: not reloaded, the old settings stay", file);
		config_free(config);
	} else {
		apply(server, config);
		log_info("reloaded %s", config->file);
	}
	notify_ready(&server->notify);
	/* A descriptor may be another one by now: select will say it again. */
	fdset_clear(&server->pool.readable);
	fdset_clear(&server->pool.writable);
}

/* The first signal ends accepting and reading; what waits is still written. */
static void
begin_end(struct server *server)
{
	if (server->drained != 0)
		return;
	notify_stopping(&server->notify);
	door_close(&server->door);
	fdset_clear(&server->pool.readable);
	server->drained = server->now + SERVER_DRAIN;
}

/* Nothing waits any more, or too long, or a second signal came. */
static bool
ended(const struct server *server)
{
	return signals_to_end() > 1 ||
	       (server->drained != 0 &&
		   (server->pool.writers.last < 0 || server->now >= server->drained));
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
		if (signals_to_end() > 0)
			begin_end(server);
		if (signals_to_reload() && server->drained == 0)
			reload(server);
		serve_readable(server);
		serve_writable(server);
	}
}

void
server_close(struct server *server)
{
	pool_free(&server->pool, "the server ends");
	door_close(&server->door);
	notify_close(&server->notify);
	config_free(server->config);
}
