#include "wire/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/registry.h"

static struct listener *
find(const struct listeners *all, const struct endpoint *endpoint)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (endpoint_same(&listener->endpoint, endpoint))
			return listener;
	return NULL;
}

static bool
any_serves(const struct listeners *all)
{
	const struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (listener->fd >= 0)
			return true;
	return false;
}

/* Opens what config names and all lacks, at the end of all, or has failed to open again. */
static int
open_missing(struct listeners *all, const struct config *config, char *error)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		struct listener *listener = find(all, &config->endpoints[i]);

		if (listener != NULL && listener->fd >= 0)
			continue;
		if (listener != NULL)
			TAILQ_REMOVE(all, listener, entry);
		else if ((listener = calloc(1, sizeof(*listener))) == NULL)
			return listener_fail(error, "listen", &config->endpoints[i]);
		listener->endpoint = config->endpoints[i];
		listener->told = false;
		if (listener_start(listener, config, error) < 0 && errno != EAFNOSUPPORT) {
			free(listener);
			return -1;
		}
		TAILQ_INSERT_TAIL(all, listener, entry);
	}
	errno = EAFNOSUPPORT;
	return any_serves(all) ? 0 : -1;
}

void
listeners_close(struct listeners *all)
{
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next) {
		TAILQ_REMOVE(all, listener, entry);
		listener_stop(listener);
		free(listener);
	}
}

int
listeners_open(struct listeners *all, const struct config *config, char error[LISTENER_ERROR])
{
	if (open_missing(all, config, error) == 0)
		return 0;
	listeners_close(all);
	return -1;
}

int
listeners_inherit(
    struct listeners *all, const int *fds, const bool *tls, int count, char error[LISTENER_ERROR])
{
	for (int i = 0; i < count; i++) {
		int fd = fds[i];
		struct listener *listener;

		if (fd < 0)
			continue;
		listener = calloc(1, sizeof(*listener));
		if (listener == NULL) {
			snprintf(error, LISTENER_ERROR, "descriptor %d: %s", fd, strerror(errno));
			return -1;
		}
		listener->endpoint.tls = tls != NULL && tls[i];
		TAILQ_INSERT_TAIL(all, listener, entry);
		if (listener_inherit(listener, fd, error) < 0)
			return -1;
	}
	return 0;
}

static bool
is_named(const struct listener *listener, const struct config *config)
{
	for (size_t i = 0; i < config->n_endpoints; i++)
		if (endpoint_same(&listener->endpoint, &config->endpoints[i]))
			return true;
	return false;
}

/*
 * Moves listeners to lost that config does not name, or whose socket file somebody has removed:
 * those are opened anew.
 */
static void
set_aside(struct listeners *all, const struct config *config, struct listeners *lost)
{
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next)
		if (!is_named(listener, config) ||
		    socketfile_missing(&listener->file, listener->endpoint.path)) {
			TAILQ_REMOVE(all, listener, entry);
			TAILQ_INSERT_TAIL(lost, listener, entry);
		}
}

/* Closes the listeners that a change to another config has opened beside lost. */
static void
close_fresh(struct listeners *all, const struct listeners *lost, const struct config *before)
{
	struct listeners fresh = TAILQ_HEAD_INITIALIZER(fresh);
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next)
		if (!is_named(listener, before) || find(lost, &listener->endpoint) != NULL) {
			TAILQ_REMOVE(all, listener, entry);
			TAILQ_INSERT_TAIL(&fresh, listener, entry);
		}
	listeners_close(&fresh);
}

/* Gives unix sockets that stay the owner and mode of config. */
static int
set_owners(const struct listeners *all, const struct config *config, char *error)
{
	const struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (listener_set_owner(listener, config, error) < 0)
			return -1;
	return 0;
}

/* Undoes a change that failed: what it opened is closed, what it stopped is started again. */
static void
change_back(struct listeners *all, struct listeners *lost, const struct config *before,
    char error[LISTENER_ERROR])
{
	struct listener *listener;
	char again[LISTENER_ERROR];
	size_t len = strlen(error);

	set_owners(all, before, again);
	close_fresh(all, lost, before);
	TAILQ_FOREACH(listener, lost, entry)
		if (listener->fd < 0 && listener_start(listener, before, again) < 0)
			snprintf(error + len, LISTENER_ERROR - len, "; %s", again);
	TAILQ_CONCAT(all, lost, entry);
}

static void
retire(struct listeners *lost, listeners_drain *drain, void *context)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, lost, entry) {
		if (listener->fd >= 0 && drain != NULL) {
			listener_seal(listener);
			drain(listener, context);
		}
		listener_stop(listener);
	}
}

/*
 * A new endpoint may overlap one that goes ("127.0.0.1" after "::"): then the old ones are stopped
 * first, and started again should the new one fail all the same.
 */
int
listeners_change(struct listeners *all, const struct config *before, const struct config *after,
    listeners_drain *drain, void *context, char error[LISTENER_ERROR])
{
	struct listeners lost = TAILQ_HEAD_INITIALIZER(lost);
	struct listener *listener = TAILQ_FIRST(all);
	int result;

	/* Passed sockets replace the endpoints of every config. */
	if (listener != NULL && listener->inherited)
		return 0;
	set_aside(all, after, &lost);
	result = open_missing(all, after, error);
	if (result < 0 && errno == EADDRINUSE && !TAILQ_EMPTY(&lost)) {
		retire(&lost, drain, context);
		result = open_missing(all, after, error);
	}
	if (result == 0)
		result = set_owners(all, after, error);
	if (result < 0) {
		change_back(all, &lost, before, error);
		return result;
	}
	retire(&lost, drain, context);
	listeners_close(&lost);
	return 0;
}

void
listeners_keep(const struct listeners *all)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (listener->fd >= 0 && listener->record == 0)
			listener_keep(listener);
}

bool
listeners_restore(struct listeners *all, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener != NULL && listener_restore(listener, fd)) {
		TAILQ_INSERT_TAIL(all, listener, entry);
		return true;
	}
	free(listener);
	return false;
}

static bool
is_same_socket(int a, int b)
{
	uint64_t first = 0, second = 0;
	socklen_t len = sizeof(first);

	return getsockopt(a, SOL_SOCKET, SO_COOKIE, &first, &len) == 0 &&
	       getsockopt(b, SOL_SOCKET, SO_COOKIE, &second, &len) == 0 && first == second;
}

/* The name is part of the unit, and may be another one than at the last start. */
static void
change_kind(struct listener *listener, bool tls)
{
	listener->endpoint.tls = tls;
	listener->told = false;
	registry_remove(listener->record);
	listener->record = 0;
}

static bool
is_among(struct listener *listener, int *passed, const bool *tls, int count)
{
	for (int i = 0; i < count; i++)
		if (passed[i] >= 0 && is_same_socket(listener->fd, passed[i])) {
			close(passed[i]);
			passed[i] = -1;
			if (listener->endpoint.tls != tls[i])
				change_kind(listener, tls[i]);
			return true;
		}
	return false;
}

void
listeners_match(struct listeners *all, int *passed, const bool *tls, int count)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (listener->inherited && !is_among(listener, passed, tls, count))
			listener->inherited = false;
}

void
listeners_retire(struct listeners *all, listeners_drain *drain, void *context)
{
	struct listeners lost = TAILQ_HEAD_INITIALIZER(lost);
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next)
		if (!listener->inherited) {
			TAILQ_REMOVE(all, listener, entry);
			TAILQ_INSERT_TAIL(&lost, listener, entry);
		}
	retire(&lost, drain, context);
	listeners_close(&lost);
}

void
listeners_leave(struct listeners *all)
{
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next) {
		TAILQ_REMOVE(all, listener, entry);
		if (listener->fd >= 0)
			listener_leave(listener);
		free(listener);
	}
}
