#include "wire/listener.h"

#include <bsd/string.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/registry.h"
#include "wire/safe.h"

int
listener_fail(char error[LISTENER_ERROR], const char *what, const struct endpoint *endpoint)
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
 * Clients inherit all of these from the listener, which saves six calls for each of them.
 * TCP_NODELAY: a lone line leaves at once. TCP_NOTSENT_LOWAT: a socket is writable again as soon as
 * a slow client has taken a little, not only when a third of several megabytes is free, so others
 * that wait for it go on in small steps. The others: a client whose machine is gone is noticed
 * within ten minutes. Never TCP_USER_TIMEOUT, which ends clients that live but do not read.
 */
static int
set_client_options(int fd)
{
	if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0 ||
	    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LISTENER_UNSENT) < 0 ||
	    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) < 0 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, LISTENER_IDLE) < 0 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, LISTENER_PROBE) < 0)
		return -1;
	return set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, LISTENER_PROBES);
}

static int
set_nonblocking(int fd)
{
	int on = 1;

	return ioctl(fd, FIONBIO, &on);
}

/* Gives the file of a unix socket the owner, the group and the mode of config. */
static int
set_owner(const struct endpoint *endpoint, const struct config *config, char *error)
{
	if ((config->unix_owner != (uid_t)-1 || config->unix_group != (gid_t)-1) &&
	    lchown(endpoint->path, config->unix_owner, config->unix_group) < 0)
		return listener_fail(error, "chown", endpoint);
	if (chmod(endpoint->path, config->unix_mode) < 0)
		return listener_fail(error, "chmod", endpoint);
	return 0;
}

int
listener_set_owner(
    const struct listener *listener, const struct config *config, char error[LISTENER_ERROR])
{
	if (!socketfile_present(&listener->file, listener->endpoint.path))
		return 0;
	return set_owner(&listener->endpoint, config, error);
}

/* Comes last: nobody gets in until the mode and the owner of a unix socket are right. */
static int
start_listening(const struct listener *listener, const struct endpoint *endpoint, char *error)
{
	if (listen(listener->fd, SOMAXCONN) < 0)
		return listener_fail(error, "listen", endpoint);
	return 0;
}

/* Names the lock if the lock, and not the folder of both files, is the obstacle. */
static int
fail_lock(const struct socketlock *lock, const struct endpoint *endpoint, char *error)
{
	int reason = errno;
	struct stat st;

	if (reason == EADDRINUSE || lstat(lock->path, &st) < 0) {
		errno = reason;
		return listener_fail(error, "bind", endpoint);
	}
	snprintf(error, LISTENER_ERROR, "lock %s: %s", lock->path, strerror(reason));
	errno = reason;
	return -1;
}

static int
serve_unix(struct listener *listener, const struct config *config, char *error)
{
	const struct endpoint *endpoint = &listener->endpoint;
	struct socketlock lock;
	int result = -1;

	if (socketfile_lock(&lock, endpoint->path) < 0)
		return fail_lock(&lock, endpoint, error);
	if (socketfile_bind(&listener->file, listener->fd, endpoint->path) < 0)
		listener_fail(error, "bind", endpoint);
	else if (set_owner(endpoint, config, error) == 0)
		result = start_listening(listener, endpoint, error);
	socketfile_unlock(&lock);
	return result;
}

static bool
is_any(const struct addr *addr)
{
	const struct addr any = {.family = addr->family};

	return addr_same_host(addr, &any);
}

/* An address may appear later than chatd: by DHCP, with a tunnel, on a node that takes over. */
static int
bind_absent(struct listener *listener, const struct endpoint *endpoint, const struct sockaddr *sa,
    socklen_t len)
{
	int family = endpoint->addr.family, set;

	if (endpoint->optional || is_any(&endpoint->addr))
		return -1;
	set = family == AF_INET6 ? set_option(listener->fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
				 : set_option(listener->fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (set < 0 || bind(listener->fd, sa, len) < 0)
		return -1;
	listener->absent = true;
	return 0;
}

static int
serve_tcp(struct listener *listener, const struct endpoint *endpoint, char *error)
{
	struct sockaddr_storage storage;
	socklen_t len = addr_to_sockaddr(&endpoint->addr, &storage);
	const struct sockaddr *sa = (struct sockaddr *)&storage;
	int fd = listener->fd, bound;

	if (endpoint->addr.family == AF_INET6 &&
	    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, endpoint->v6only) < 0)
		return listener_fail(error, "setsockopt IPV6_V6ONLY", endpoint);
	/* A restart must not wait for old connections to be forgotten. */
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return listener_fail(error, "setsockopt SO_REUSEADDR", endpoint);
	if (set_client_options(fd) < 0)
		return listener_fail(error, "setsockopt", endpoint);
	bound = bind(fd, sa, len);
	if (bound < 0 && errno == EADDRNOTAVAIL)
		bound = bind_absent(listener, endpoint, sa, len);
	if (bound < 0)
		return listener_fail(error, "bind", endpoint);
	return start_listening(listener, endpoint, error);
}

static int
start_at(struct listener *listener, const struct endpoint *endpoint, const struct config *config,
    char *error)
{
	bool is_unix = endpoint->path[0] != '\0';

	listener->fd =
	    socket(is_unix ? AF_UNIX : endpoint->addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return listener_fail(error, "socket", endpoint);
	if (set_nonblocking(listener->fd) < 0)
		return listener_fail(error, "ioctl FIONBIO", endpoint);
	return is_unix ? serve_unix(listener, config, error) : serve_tcp(listener, endpoint, error);
}

/*
 * A filter drops requests for a connection, so that clients ask again, but lets handshakes that
 * have begun complete. A unix socket is shut down instead, once nobody can find it by its path and
 * take it for a stale one.
 */
void
listener_seal(struct listener *listener)
{
	struct sock_filter no_syn[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct tcphdr, th_flags)),
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {
	    .len = sizeof(no_syn) / sizeof(no_syn[0]),
	    .filter = no_syn,
	};

	if (listener->file.inode != 0) {
		socketfile_remove(&listener->file, listener->endpoint.path);
		shutdown(listener->fd, SHUT_RD);
	} else {
		setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	}
}

/* The safe holds the socket, so closing it alone would not stop it. */
static void
forget(struct listener *listener)
{
	if (!listener->inherited)
		shutdown(listener->fd, SHUT_RDWR);
	registry_remove(listener->record);
	listener->record = 0;
}

void
listener_stop(struct listener *listener)
{
	int reason = errno;

	/* While it listens nobody else takes the path, so the file is surely its own. */
	socketfile_remove(&listener->file, listener->endpoint.path);
	if (listener->record > 0)
		forget(listener);
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	listener->absent = false;
	errno = reason;
}

/* Where the machine has no IPv6, "::" means every IPv4 address, and "localhost" 127.0.0.1. */
int
listener_start(struct listener *listener, const struct config *config, char error[LISTENER_ERROR])
{
	const struct endpoint *endpoint = &listener->endpoint;
	struct endpoint any4 = {.addr = {.family = AF_INET, .port = endpoint->addr.port}};

	if (start_at(listener, endpoint, config, error) == 0)
		return 0;
	listener_stop(listener);
	if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		return -1;
	if (endpoint->optional)
		return 0;
	if (endpoint->v6only || endpoint->addr.family != AF_INET6 || !is_any(&endpoint->addr))
		return -1;
	if (start_at(listener, &any4, config, error) == 0)
		return 0;
	listener_stop(listener);
	return -1;
}

static bool
has_option(int fd, int option, int wanted)
{
	socklen_t len = sizeof(wanted);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

int
listener_inherit(struct listener *listener, int fd, char error[LISTENER_ERROR])
{
	listener->fd = fd;
	listener->inherited = true;
	if (!has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1)) {
		snprintf(error, LISTENER_ERROR, "descriptor %d: not a listening stream socket", fd);
		return -1;
	}
	if (set_nonblocking(fd) < 0) {
		snprintf(
		    error, LISTENER_ERROR, "ioctl FIONBIO descriptor %d: %s", fd, strerror(errno));
		return -1;
	}
	if (!has_option(fd, SO_DOMAIN, AF_UNIX))
		set_client_options(fd);
	return 0;
}

const char *
listener_name(const struct listener *listener, char text[LISTENER_NAME])
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct endpoint bound = {.tls = listener->endpoint.tls};

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
		addr_from_peer(&bound.addr, &sa, listener->fd);
		endpoint_format(&bound, text);
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
	/* At once: what is killed now takes a client with it that nobody else has. A TLS session
	 * cannot be handed over. */
	if (journal != NULL && !listener->endpoint.tls)
		safe_put_accepted(sd);
	if (set_nonblocking(sd) < 0) {
		int reason = errno;

		if (journal != NULL && !listener->endpoint.tls)
			safe_forget_accepted(sd);
		close(sd);
		errno = reason;
		return -1;
	}
	addr_from_peer(addr, &sa, sd);
	return sd;
}

void
listener_keep(struct listener *listener)
{
	struct journal_listener about = {
	    .flags = (listener->inherited ? LISTENER_INHERITED : 0U) |
		     (listener->absent ? LISTENER_ABSENT : 0U),
	    .device = listener->file.device,
	    .inode = listener->file.inode,
	    .endpoint = listener->endpoint,
	};

	listener->record = registry_add(listener->fd, &about);
}

bool
listener_restore(struct listener *listener, int fd)
{
	unsigned record;
	const struct journal_listener *kept = registry_find(fd, &record);

	/* The manager shares it if it has passed it, and made it block at this start. */
	if (kept == NULL || set_nonblocking(fd) < 0)
		return false;
	*listener = (struct listener){
	    .fd = fd,
	    .absent = (kept->flags & LISTENER_ABSENT) != 0,
	    .told = true,
	    .inherited = (kept->flags & LISTENER_INHERITED) != 0,
	    .record = record,
	    .endpoint = kept->endpoint,
	    .file = {.device = kept->device, .inode = kept->inode},
	};
	return true;
}

void
listener_leave(struct listener *listener)
{
	close(listener->fd);
	listener->fd = -1;
	listener->record = 0;
}
