#include "chat/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

#define BATCH      128 /* clients of one listener in one pass: each pass scans all members */
#define WAIT_MAX   4   /* passes that a newcomer waits for room: a line and an end take two */
#define FUTILE_MAX 8   /* times in a row that a ready listener has nobody, until a pause */

void
door_init(struct door *door)
{
	*door = (struct door){
	    .listeners = TAILQ_HEAD_INITIALIZER(door->listeners),
	    .listening = FDSET_EMPTY,
	};
}

/* Brings the set up to date with the listeners, for which it has room. */
static void
watch(struct door *door)
{
	struct listener *listener;

	fdset_clear(&door->listening);
	TAILQ_FOREACH(listener, &door->listeners, entry)
		if (listener->fd >= 0)
			fdset_add(&door->listening, listener->fd);
}

void
door_log(struct door *door)
{
	struct listener *listener;
	char name[LISTENER_NAME];

	TAILQ_FOREACH(listener, &door->listeners, entry) {
		if (!listener->told && listener->fd >= 0)
			log_info("listening on %s", listener_name(listener, name));
		listener->told = true;
	}
}

int
door_open(struct door *door, const struct config *config, int inherited)
{
	char error[LISTENER_ERROR];
	int opened = inherited > 0 ? listeners_inherit(&door->listeners, 3, inherited, error)
				   : listeners_open(&door->listeners, config, error);
	struct listener *listener;

	if (opened < 0) {
		log_error("%s", error);
		return -1;
	}
	TAILQ_FOREACH(listener, &door->listeners, entry)
		if (fdset_reserve(&door->listening, listener->fd) < 0) {
			log_error("memory for descriptor %d: %s", listener->fd, strerror(errno));
			return -1;
		}
	watch(door);
	return 0;
}

int
door_change(struct door *door, const struct config *before, const struct config *after)
{
	char error[LISTENER_ERROR];
	int result = listeners_change(&door->listeners, before, after, error);

	if (result < 0)
		log_error("%s", error);
	watch(door);
	return result;
}

void
door_close(struct door *door)
{
	listeners_close(&door->listeners);
	fdset_free(&door->listening);
}

/* Tells a client that is not let in why not. One line, and the connection is over. */
static void
refuse(int sd, const struct addr *addr, const char *client, const char *log, int64_t now)
{
	char line[128], text[ADDR_TEXT];
	int len = snprintf(line, sizeof(line), "chatd: %s\n", client);

	send(sd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(sd, SHUT_WR);
	trace_removing(sd);
	log_limited(LOG_REFUSED, now, "%s refused: %s", addr_format(addr, text), log);
	close(sd);
}

/* Returns whether the client is in. */
static bool
admit(struct pool *pool, int sd, const struct addr *addr, int64_t now)
{
	const struct limits *limits = &pool->config->limits;
	char client[80], log[80];

	trace_accepted(sd);
	if (!access_allows(pool->config->access, addr)) {
		refuse(sd, addr, "your address is not allowed", "address not allowed", now);
	} else if (pool->count >= limits->clients) {
		snprintf(client, sizeof(client), "too many clients, at most %u", limits->clients);
		refuse(sd, addr, client, client, now);
	} else if (limits->clients_per_address > 0 &&
		   pool_count_host(pool, addr) >= limits->clients_per_address) {
		snprintf(client, sizeof(client), "too many clients from your address, at most %u",
		    limits->clients_per_address);
		snprintf(log, sizeof(log), "too many clients from this address, at most %u",
		    limits->clients_per_address);
		refuse(sd, addr, client, log, now);
	} else if (pool_reserve(pool, sd) < 0 || pool_add(pool, sd, addr, now) < 0) {
		refuse(sd, addr, "out of memory", strerror(errno), now);
	} else {
		return true;
	}
	return false;
}

/* The main sockets leave the read set until a connection goes or the pause is over. */
static void
pause_accepting(struct door *door, int error, int64_t now)
{
	door->again = now + DOOR_PAUSE;
	if (!door->told)
		log_limited(LOG_ACCEPT, now, "accept: %s; new clients wait", strerror(error));
	door->told = true;
}

static void
resume_accepting(struct door *door, int64_t now)
{
	if (door->told)
		log_limited(LOG_ACCEPT, now, "accept: works again");
	door->told = false;
}

/*
 * Whether a limit might turn the next newcomer away. Which address it has is not known yet: likely
 * that of the one before it.
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

void
door_accept(struct door *door, struct pool *pool, int fd, bool busy, int64_t now)
{
	struct listener *listener;
	struct addr addr;
	int accepted = 0, sd;
	bool scarce = is_scarce(pool, NULL);

	TAILQ_FOREACH(listener, &door->listeners, entry)
		if (listener->fd == fd)
			break;
	for (int i = 0; i < BATCH; i++) {
		if (busy && scarce && listener->waited < WAIT_MAX) {
			listener->waited++;
			return;
		}
		if ((sd = listener_accept(listener, &addr)) >= 0) {
			accepted++;
			if (admit(pool, sd, &addr, now)) {
				listener->waited = 0;
				busy = true;
			}
			scarce = is_scarce(pool, &addr);
		} else if (errno == EAGAIN) {
			if (accepted > 0)
				resume_accepting(door, now);
			break;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			pause_accepting(door, errno, now);
			return;
		}
	}
	listener->waited = 0;
	door->futile = accepted > 0 ? 0 : door->futile + 1;
	if (door->futile >= FUTILE_MAX)
		pause_accepting(door, errno, now);
}

int64_t
door_expire(struct door *door, bool gone, int64_t now)
{
	if (gone || now >= door->again)
		door->again = 0;
	return door->again != 0 ? door->again : CLOCK_NEVER;
}
