#include "wire/listener.h"

#include <bsd/string.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Fills error with "what endpoint: reason" from errno. Returns -1. */
static int
fail(char *error, const char *what, const struct endpoint *endpoint)
{
	int reason = errno;
	char text[ADDR_TEXT];

	snprintf(error, LISTENER_ERROR, "%s %s: %s", what, endpoint_format(endpoint, text),
	    strerror(reason));
	errno = reason;
	return -1;
}

static int
set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * Clients inherit both options from the listener, which saves two calls for each of them.
 * TCP_NODELAY: a lone line leaves at once. SO_KEEPALIVE: a client whose machine is gone is noticed.
 */
static int
set_client_options(int fd)
{
	if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0)
		return -1;
	return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static int
set_nonblocking(int fd)
{
	int on = 1;

	return ioctl(fd, FIONBIO, &on);
}

/*
 * A socket file that nobody listens on any more was left by a process that was killed. Removes it.
 * Returns -1 with EADDRINUSE where somebody does listen, or where the file is something else.
 */
static int
remove_stale(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), stale;
	struct stat st;

	if (fd < 0)
		return -1;
	stale = lstat(sun->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	if (stale)
		return unlink(sun->sun_path);
	errno = EADDRINUSE;
	return -1;
}

/* Gives the file of a unix socket the owner, the group and the mode of config. */
static int
set_owner(const struct listener *listener, const struct config *config, char *error)
{
	const struct endpoint *endpoint = &listener->endpoint;

	if ((config->unix_owner != (uid_t)-1 || config->unix_group != (gid_t)-1) &&
	    lchown(endpoint->path, config->unix_owner, config->unix_group) < 0)
		return fail(error, "chown", endpoint);
	if (chmod(endpoint->path, config->unix_mode) < 0)
		return fail(error, "chmod", endpoint);
	return 0;
}

static int
bind_unix(struct listener *listener, const struct config *config, char *error)
{
	const struct endpoint *endpoint = &listener->endpoint;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct sockaddr *sa = (const struct sockaddr *)&sun;
	struct stat st;
	int bound;

	strlcpy(sun.sun_path, endpoint->path, sizeof(sun.sun_path));
	bound = bind(listener->fd, sa, sizeof(sun));
	if (bound < 0 && errno == EADDRINUSE && remove_stale(&sun) == 0)
		bound = bind(listener->fd, sa, sizeof(sun));
	if (bound < 0)
		return fail(error, "bind", endpoint);
	if (lstat(endpoint->path, &st) < 0)
		return fail(error, "stat", endpoint);
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return set_owner(listener, config, error);
}

static int
bind_tcp(int fd, const struct endpoint *endpoint, char *error)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&endpoint->addr, &sa);

	if (endpoint->addr.family == AF_INET6 &&
	    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, endpoint->v6only) < 0)
		return fail(error, "setsockopt IPV6_V6ONLY", endpoint);
	/* A restart must not wait for old connections to be forgotten. */
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return fail(error, "setsockopt SO_REUSEADDR", endpoint);
	if (set_client_options(fd) < 0)
		return fail(error, "setsockopt", endpoint);
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		return fail(error, "bind", endpoint);
	return 0;
}

static int
start_at(struct listener *listener, const struct endpoint *endpoint, const struct config *config,
    char *error)
{
	bool is_unix = endpoint->path[0] != '\0';

	listener->fd =
	    socket(is_unix ? AF_UNIX : endpoint->addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return fail(error, "socket", endpoint);
	if (set_nonblocking(listener->fd) < 0)
		return fail(error, "ioctl FIONBIO", endpoint);
	if (is_unix ? bind_unix(listener, config, error) < 0
		    : bind_tcp(listener->fd, endpoint, error) < 0)
		return -1;
	/* Not earlier: nobody gets in before the mode and the owner of a unix socket are right. */
	if (listen(listener->fd, SOMAXCONN) < 0)
		return fail(error, "listen", endpoint);
	return 0;
}

/* Whether the socket's file is still there, and not one that took its place. */
static bool
has_file(const struct listener *listener)
{
	struct stat st;

	return listener->ino != 0 && lstat(listener->endpoint.path, &st) == 0 &&
	       st.st_dev == listener->dev && st.st_ino == listener->ino;
}

static void
stop(struct listener *listener)
{
	int reason = errno;

	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (has_file(listener))
		unlink(listener->endpoint.path);
	listener->ino = 0;
	errno = reason;
}

/* Where the machine has no IPv6, "::" means every IPv4 address, and "localhost" 127.0.0.1. */
static int
start(struct listener *listener, const struct config *config, char *error)
{
	const struct endpoint *endpoint = &listener->endpoint;
	const struct addr any6 = {.family = AF_INET6};
	struct endpoint any4 = {.addr = {.family = AF_INET, .port = endpoint->addr.port}};

	if (start_at(listener, endpoint, config, error) == 0)
		return 0;
	stop(listener);
	if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		return -1;
	if (endpoint->optional)
		return 0;
	if (endpoint->v6only || !addr_same_host(&endpoint->addr, &any6))
		return -1;
	if (start_at(listener, &any4, config, error) == 0)
		return 0;
	stop(listener);
	return -1;
}

static struct listener *
find(const struct listeners *all, const struct endpoint *endpoint)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (endpoint_same(&listener->endpoint, endpoint))
			return listener;
	return NULL;
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
			return fail(error, "listen", &config->endpoints[i]);
		listener->endpoint = config->endpoints[i];
		listener->told = false;
		if (start(listener, config, error) < 0) {
			free(listener);
			return -1;
		}
		TAILQ_INSERT_TAIL(all, listener, entry);
	}
	return 0;
}

void
listeners_close(struct listeners *all)
{
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next) {
		TAILQ_REMOVE(all, listener, entry);
		stop(listener);
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
listeners_inherit(struct listeners *all, int first, int count, char error[LISTENER_ERROR])
{
	for (int fd = first; fd < first + count; fd++) {
		struct listener *listener = calloc(1, sizeof(*listener));

		if (listener == NULL) {
			snprintf(error, LISTENER_ERROR, "descriptor %d: %s", fd, strerror(errno));
			return -1;
		}
		listener->fd = fd;
		listener->inherited = true;
		TAILQ_INSERT_TAIL(all, listener, entry);
		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
			snprintf(error, LISTENER_ERROR,
			    "descriptor %d: not a listening stream socket", fd);
			return -1;
		}
		if (set_nonblocking(fd) < 0) {
			snprintf(error, LISTENER_ERROR, "ioctl FIONBIO descriptor %d: %s", fd,
			    strerror(errno));
			return -1;
		}
		if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
			set_client_options(fd);
	}
	return 0;
}

/* Moves the listeners that config does not name to lost. */
static void
set_aside(struct listeners *all, const struct config *config, struct listeners *lost)
{
	struct listener *listener, *next;

	TAILQ_FOREACH_SAFE(listener, all, entry, next) {
		bool named = false;

		for (size_t i = 0; i < config->n_endpoints && !named; i++)
			named = endpoint_same(&listener->endpoint, &config->endpoints[i]);
		if (!named) {
			TAILQ_REMOVE(all, listener, entry);
			TAILQ_INSERT_TAIL(lost, listener, entry);
		}
	}
}

/* The sockets of own unix listeners that stay get the owner and mode of config. */
static int
set_owners(const struct listeners *all, const struct config *config, char *error)
{
	const struct listener *listener;

	TAILQ_FOREACH(listener, all, entry)
		if (has_file(listener) && set_owner(listener, config, error) < 0)
			return -1;
	return 0;
}

/* Undoes a change that failed: what it opened is closed, what it stopped is started again. */
static void
change_back(struct listeners *all, struct listeners *lost, const struct config *before,
    char error[LISTENER_ERROR])
{
	struct listeners fresh = TAILQ_HEAD_INITIALIZER(fresh);
	struct listener *listener;
	char again[LISTENER_ERROR];
	size_t len = strlen(error);

	set_aside(all, before, &fresh);
	listeners_close(&fresh);
	set_owners(all, before, again);
	TAILQ_FOREACH(listener, lost, entry)
		if (listener->fd < 0 && start(listener, before, again) < 0)
			snprintf(error + len, LISTENER_ERROR - len, "; %s", again);
	TAILQ_CONCAT(all, lost, entry);
}

/*
 * A new endpoint may overlap one that goes ("127.0.0.1" after "::"): then the old ones are stopped
 * first, and started again should the new one fail all the same.
 */
int
listeners_change(struct listeners *all, const struct config *before, const struct config *after,
    char error[LISTENER_ERROR])
{
	struct listeners lost = TAILQ_HEAD_INITIALIZER(lost);
	struct listener *listener = TAILQ_FIRST(all);
	int result;

	/* Passed sockets stand for the endpoints of every config. */
	if (listener != NULL && listener->inherited)
		return 0;
	set_aside(all, after, &lost);
	result = open_missing(all, after, error);
	if (result < 0 && errno == EADDRINUSE && !TAILQ_EMPTY(&lost)) {
		TAILQ_FOREACH(listener, &lost, entry)
			stop(listener);
		result = open_missing(all, after, error);
	}
	if (result == 0)
		result = set_owners(all, after, error);
	if (result < 0)
		change_back(all, &lost, before, error);
	else
		listeners_close(&lost);
	return result;
}

const char *
listener_name(const struct listener *listener, char text[LISTENER_NAME])
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct addr addr;

	if (getsockname(listener->fd, (struct sockaddr *)&sa, &len) < 0) {
		snprintf(text, LISTENER_NAME, "descriptor %d", listener->fd);
		return text;
	}
	if (sa.ss_family == AF_UNIX) {
		const char *path = ((struct sockaddr_un *)&sa)->sun_path;

		/* An abstract name begins with a NUL byte, shown as systemd does. */
		if (path[0] == '\0' && len > offsetof(struct sockaddr_un, sun_path))
			snprintf(text, LISTENER_NAME, "@%s", path + 1);
		else
			strlcpy(text, path, LISTENER_NAME);
	} else {
		addr_from_peer(&addr, &sa, listener->fd);
		addr_format(&addr, text);
	}
	return text;
}

int
listener_accept(const struct listener *listener, struct addr *addr)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	int sd = accept4(listener->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);

	if (sd < 0)
		return -1;
	if (set_nonblocking(sd) < 0) {
		int reason = errno;

		close(sd);
		errno = reason;
		return -1;
	}
	addr_from_peer(addr, &sa, sd);
	return sd;
}
