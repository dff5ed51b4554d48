#include "cluster/link.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/tls_text.h"

/* An engine that is gone without a word is noticed, also by a link on which nothing is said. */
#define KEEP_IDLE     5 /* seconds */
#define KEEP_INTERVAL 2
#define KEEP_COUNT    3
#define KEEP_UNACKED  10000 /* milliseconds */

void
link_init(struct link *link, struct loop *loop, struct loop_class *class)
{
	*link = (struct link){.fd = -1, .loop = loop, .class = class};
}

static enum link_outcome
fail(struct link *link, const char *why)
{
	strlcpy(link->why, why, sizeof(link->why));
	return LINK_FAILED;
}

static enum link_outcome
fail_errno(struct link *link, int error)
{
	return fail(link, error == ECONNREFUSED ? "refused" : strerror(error));
}

static enum link_outcome
fail_tls(struct link *link)
{
	char reason[TLS_REASON], why[LINK_WHY];

	snprintf(why, sizeof(why), "TLS: %.140s", tls_reason(link->tls, reason));
	return fail(link, why);
}

/* --- what select is to watch */

static void
set(struct fdset *fds, int fd, bool member)
{
	if (member)
		fdset_add(fds, fd);
	else
		fdset_remove(fds, fd);
}

static void
watch(struct link *link)
{
	const struct tls *tls = link->tls;
	bool blocked = tls != NULL && tls->blocked;
	bool unsent = command_bytes(&link->commands) > 0 || (tls != NULL && tls->unsent_len > 0);
	bool reads =
	    link->state == LINK_SHAKES ? !link->wants_write : link->state == LINK_OPEN && !blocked;
	bool writes = link->state == LINK_OPEN ? unsent || blocked
					       : link->state == LINK_CONNECTS || link->wants_write;

	set(&link->class->readers, link->fd, reads && !link->paused);
	set(&link->class->writers, link->fd, writes);
	set(&link->class->pending, link->fd, tls != NULL && tls->pending);
}

void
link_pause(struct link *link, bool paused)
{
	if (link->paused == paused)
		return;
	link->paused = paused;
	if (link->state != LINK_CLOSED)
		watch(link);
}

/* --- connecting */

/* A descriptor that is not among those of clients, if possible. */
static int
raise_fd(int fd, int lowest)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, lowest);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static void
set_options(int fd)
{
	const int on = 1, idle = KEEP_IDLE, interval = KEEP_INTERVAL, count = KEEP_COUNT;
	const int unacked = KEEP_UNACKED;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof(unacked));
}

/* Fills the address of the engine, and returns its length. */
static socklen_t
address_of(const struct endpoint *engine, struct sockaddr_storage *sa)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)sa;

	if (engine->path[0] == '\0')
		return addr_to_sockaddr(&engine->addr, sa);
	memset(sa, 0, sizeof(*sa));
	sun->sun_family = AF_UNIX;
	strlcpy(sun->sun_path, engine->path, sizeof(sun->sun_path));
	return sizeof(*sun);
}

/* Returns 0, or -1 with errno. */
static int
begin(struct link *link, const struct endpoint *engine, int lowest)
{
	struct sockaddr_storage sa;
	socklen_t len = address_of(engine, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	link->fd = fd = raise_fd(fd, lowest);
	if (sa.ss_family != AF_UNIX)
		set_options(fd);
	if (loop_reserve(link->loop, link->class, fd) < 0) {
		errno = ENOMEM;
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return -1;
	loop_add(link->loop, link->class, fd);
	return 0;
}

int
link_connect(
    struct link *link, const struct endpoint *engine, const struct tls_context *context, int lowest)
{
	int result = -1;

	link->context = engine->path[0] == '\0' ? context : NULL;
	link->paused = link->wants_write = false;
	command_clear(&link->commands);
	if (reply_open(&link->replies) < 0)
		fail_errno(link, ENOMEM);
	else if ((result = begin(link, engine, lowest)) < 0)
		fail_errno(link, errno);
	if (result < 0) {
		if (link->fd >= 0)
			close(link->fd);
		link->fd = -1;
		reply_close(&link->replies);
		return -1;
	}
	link->state = LINK_CONNECTS;
	watch(link);
	return 0;
}

void
link_close(struct link *link)
{
	if (link->state == LINK_CLOSED)
		return;
	loop_remove(link->loop, link->fd);
	tls_free(link->tls);
	link->tls = NULL;
	close(link->fd);
	link->fd = -1;
	link->state = LINK_CLOSED;
	reply_close(&link->replies);
	command_free(&link->commands);
}

static enum link_outcome
shake(struct link *link, bool readable)
{
	enum tls_outcome outcome = tls_handshake(link->tls, readable);

	if (outcome == TLS_FAILED)
		return fail_tls(link);
	link->wants_write = outcome == TLS_WANTS_WRITE;
	if (outcome == TLS_OPEN)
		link->state = LINK_OPEN;
	watch(link);
	return outcome == TLS_OPEN ? LINK_OPENED : LINK_WAITS;
}

/* The connection stands, or has failed. */
static enum link_outcome
connected(struct link *link)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0)
		return fail_errno(link, error);
	if (link->context == NULL) {
		link->state = LINK_OPEN;
		watch(link);
		return LINK_OPENED;
	}
	if ((link->tls = tls_new(link->context, link->fd)) == NULL)
		return fail_errno(link, ENOMEM);
	link->state = LINK_SHAKES;
	return shake(link, false);
}

/* --- bytes */

static bool
is_temporary(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

static enum link_outcome
receive(struct link *link)
{
	static char data[262144];
	ssize_t n = link->tls != NULL ? tls_recv(link->tls, data, sizeof(data))
				      : recv(link->fd, data, sizeof(data), 0);

	if (n < 0)
		return is_temporary(errno) ? LINK_WAITS : fail_errno(link, errno);
	if (n == 0)
		return link->tls != NULL && link->tls->broken ? fail_tls(link)
							      : fail(link, "closed by the engine");
	if (reply_feed(&link->replies, data, (size_t)n) < 0)
		return fail(link, "sent what is no reply");
	return LINK_FED;
}

enum link_outcome
link_readable(struct link *link)
{
	enum link_outcome outcome;

	if (link->state == LINK_SHAKES)
		return shake(link, true);
	outcome = receive(link);
	if (outcome != LINK_FAILED)
		watch(link);
	return outcome;
}

static ssize_t
give(struct link *link, struct iovec *iov)
{
	if (link->tls != NULL)
		return tls_send(link->tls, iov, iov->iov_len > 0 ? 1 : 0);
	return send(link->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
}

static bool
is_full(const struct link *link)
{
	return link->tls != NULL && link->tls->full;
}

enum link_outcome
link_flush(struct link *link)
{
	struct commands *commands = &link->commands;

	if (link->state != LINK_OPEN)
		return LINK_WAITS;
	if (commands->refused)
		return fail_errno(link, ENOMEM);
	while (command_bytes(commands) > 0 || (link->tls != NULL && link->tls->unsent_len > 0)) {
		struct iovec iov = {.iov_base = commands->data + commands->head,
		    .iov_len = command_bytes(commands)};
		ssize_t n = give(link, &iov);

		if (n < 0 && !is_temporary(errno))
			return fail_errno(link, errno);
		if (n > 0)
			command_sent(commands, (size_t)n);
		if (n < 0 || is_full(link))
			break;
	}
	watch(link);
	return LINK_WAITS;
}

enum link_outcome
link_writable(struct link *link)
{
	if (link->state == LINK_CONNECTS)
		return connected(link);
	if (link->state == LINK_SHAKES)
		return shake(link, false);
	if (link->tls != NULL && link->tls->blocked)
		tls_unblock(link->tls);
	return link_flush(link);
}
