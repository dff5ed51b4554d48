/*
 * The limit: a bare loop of send calls.
 *
 *	sendloop PORT one|many CLIENTS [CERTIFICATE KEY]
 *
 * "one": what the first client sends goes to all others, as much as one recv
 * brings, and that is all. "many": what a pass of all readable clients brings
 * goes to all in one call for each, without a client's own bytes. No queue, no
 * lines, no client that may come or go: no server can do less. With a certificate it is a loop of
 * SSL_write calls, of "one" only.
 */
#include "listen.h"
#include "secure.h"

#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	RECV_MAX = 64 * 1024
};

struct peer {
	int fd;
	SSL *ssl;        /* NULL: plain text */
	size_t from, to; /* its own bytes in this pass */
};

static void
write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, buf, len, MSG_NOSIGNAL);

		if (sent == -1)
			exit(0);
		buf += sent;
		len -= (size_t)sent;
	}
}

static void
one(const struct peer *peers, unsigned count)
{
	static char buf[RECV_MAX];
	ssize_t len;

	while ((len = recv(peers[0].fd, buf, sizeof(buf), 0)) > 0)
		for (unsigned i = 1; i < count; i++)
			write_all(peers[i].fd, buf, (size_t)len);
}

static void
one_secure(const struct peer *peers, unsigned count)
{
	static char buf[RECV_MAX];
	int len;

	/* What came in one recv at most, as a record has no more. */
	while ((len = SSL_read(peers[0].ssl, buf, sizeof(buf))) > 0)
		for (unsigned i = 1; i < count; i++)
			if (SSL_write(peers[i].ssl, buf, len) != len)
				exit(0);
}

static void
give(struct peer *peer, char *buf, size_t len)
{
	struct iovec iov[2] = {{buf, peer->from}, {buf + peer->to, len - peer->to}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	size_t own = peer->to - peer->from;
	ssize_t sent;

	peer->from = peer->to = 0;
	if (own == 0) {
		write_all(peer->fd, buf, len);
	} else if (len > own) {
		sent = sendmsg(peer->fd, &msg, MSG_NOSIGNAL);
		if (sent != (ssize_t)(len - own)) /* blocking, so it is all or an error */
			exit(0);
	}
}

static void
many(struct peer *peers, unsigned count)
{
	struct epoll_event *events = calloc(count, sizeof(*events));
	char *buf = malloc((size_t)count * RECV_MAX);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (events == NULL || buf == NULL || epoll == -1)
		err(1, "sendloop");
	for (unsigned i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, peers[i].fd, &event) != 0)
			err(1, "epoll_ctl");
	}
	for (;;) {
		int ready = epoll_wait(epoll, events, (int)count, -1);
		size_t len = 0;

		for (int i = 0; i < ready; i++) {
			struct peer *peer = events[i].data.ptr;
			ssize_t got = recv(peer->fd, buf + len, RECV_MAX, 0);

			if (got <= 0)
				exit(0);
			peer->from = len;
			peer->to = len += (size_t)got;
		}
		for (unsigned i = 0; i < count; i++)
			give(&peers[i], buf, len);
	}
}

int
main(int argc, char **argv)
{
	unsigned count;
	struct peer *peers;
	SSL_CTX *tls = NULL;
	int listener, on = 1;

	if (argc != 4 && argc != 6)
		errx(1, "usage: sendloop PORT one|many CLIENTS [CERTIFICATE KEY]");
	if (argc == 6)
		tls = secure_server(argv[4], argv[5]);
	count = (unsigned)atoi(argv[3]);
	peers = calloc(count, sizeof(*peers));
	if (peers == NULL)
		err(1, "calloc");
	listener = listen_on(argv[1]);
	for (unsigned i = 0; i < count; i++) {
		peers[i].fd = accept(listener, NULL, NULL);
		if (peers[i].fd == -1)
			err(1, "accept");
		if (setsockopt(peers[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
			err(1, "TCP_NODELAY");
		if (tls != NULL)
			peers[i].ssl = secure_accept(tls, peers[i].fd);
	}
	if (strcmp(argv[2], "many") == 0)
		many(peers, count);
	if (tls != NULL)
		one_secure(peers, count);
	one(peers, count);
	return 0;
}
