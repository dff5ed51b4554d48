#include "wire/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

/* Spans for one call. Only a slow client, with lines of its own between those of others, has more
 * than a few. */
#define IOV_MAX_SPANS 64

static struct conn *
make(int fd, const struct addr *addr, struct tls *tls, bool in_safe)
{
	struct conn *conn = malloc(sizeof(*conn) + (tls != NULL ? sizeof(tls) : 0));

	if (conn == NULL)
		return NULL;
	*conn = (struct conn){.fd = fd,
	    .last_line_at = clock_now(),
	    .addr = *addr,
	    .secure = tls != NULL,
	    .in_safe = in_safe};
	if (conn->secure)
		conn->tls[0] = tls;
	queue_init(&conn->queue);
	if (in_safe)
		conn->kept = ledger_open(fd, addr, conn->last_line_at);
	return conn;
}

struct conn *
conn_new(int fd, const struct addr *addr, struct tls *tls)
{
	return make(fd, addr, tls, journal != NULL && tls == NULL);
}

struct conn *
conn_new_unkept(int fd, const struct addr *addr)
{
	return make(fd, addr, NULL, false);
}

struct conn *
conn_restore(int fd)
{
	const struct record *record = ledger_record(fd);
	struct conn *conn = malloc(sizeof(*conn));

	if (conn == NULL)
		return NULL;
	*conn = (struct conn){
	    .fd = fd,
	    .life = record->state == RECORD_WRITE_CLOSED ? CONN_WRITE_CLOSED : CONN_OPEN,
	    .announced = true,
	    .kept = true,
	    .in_safe = true,
	    .last_line_at = MIN(record->last_line_at, clock_now()),
	    .lines = record->lines,
	    .addr = record->addr,
	};
	queue_init(&conn->queue);
	return conn;
}

static void
drop(struct conn *conn)
{
	if (conn->secure) {
		tls_shut(conn->tls[0]);
		tls_free(conn->tls[0]);
	}
	close(conn->fd);
	queue_clear(&conn->queue);
	line_free(&conn->line);
	free(conn);
}

void
conn_leave(struct conn *conn)
{
	if (conn != NULL)
		drop(conn);
}

void
conn_free(struct conn *conn)
{
	if (conn == NULL)
		return;
	/* The safe still holds the socket. */
	if (conn->in_safe) {
		shutdown(conn->fd, SHUT_RDWR);
		if (conn->kept)
			ledger_close(conn->fd);
		safe_dead();
	}
	drop(conn);
}

bool
conn_said_nothing(const struct conn *conn)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (conn->addr.family == AF_UNIX ||
	    getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	return (info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_CLOSE) &&
	       conn_unread(conn) == 0;
}

int
conn_unread(const struct conn *conn)
{
	int bytes = 0;

	ioctl(conn->fd, FIONREAD, &bytes);
	return bytes + conn_pending(conn);
}

int
conn_unacked(const struct conn *conn)
{
	int bytes = 0;

	ioctl(conn->fd, SIOCOUTQ, &bytes);
	return bytes;
}

void
conn_progressed(struct conn *conn)
{
	conn->last_progress_at = clock_now();
	conn->unacked = conn_unacked(conn);
}

bool
conn_shut_write(struct conn *conn)
{
	if (conn->secure && !tls_shut(conn->tls[0]))
		return false;
	shutdown(conn->fd, SHUT_WR);
	return true;
}

void
conn_stop_reading(struct conn *conn)
{
	if (conn->secure)
		tls_stop_reading(conn->tls[0]);
}

void
conn_close_write(struct conn *conn)
{
	if (conn->kept && conn->life == CONN_OPEN)
		ledger_set_state(conn->fd, RECORD_WRITE_CLOSED);
	ledger_settle();
	conn->life = CONN_WRITE_CLOSED;
	queue_clear(&conn->queue);
	shutdown(conn->fd, SHUT_WR);
}

static bool
is_temporary(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* Mostly there is one span, and send costs less than sendmsg. */
static ssize_t
send_spans(int fd, struct iovec *iov, int count)
{
	struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = (size_t)count};

	if (count == 1)
		return send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
	return sendmsg(fd, &hdr, MSG_NOSIGNAL);
}

/* The same with TLS, record by record. */
static enum conn_outcome
write_secure(struct conn *conn, size_t *written)
{
	struct iovec iov[IOV_MAX_SPANS];
	struct tls *tls = conn->tls[0];

	do {
		int count = queue_iov(&conn->queue, iov, IOV_MAX_SPANS);
		ssize_t n = tls_send(tls, iov, count);

		*written += tls->sent;
		if (n < 0)
			return is_temporary(errno) ? CONN_AGAIN : CONN_FAILED;
		queue_consume(&conn->queue, (size_t)n);
	} while (!queue_empty(&conn->queue) && !tls->full);
	return queue_empty(&conn->queue) && tls->unsent_len == 0 ? CONN_DONE : CONN_AGAIN;
}

/* The same, recorded. Of a unix socket the kernel does not tell what was sent to it. */
static ssize_t
send_recorded(const struct conn *conn, struct iovec *iov, int count)
{
	return conn->addr.family == AF_UNIX ? relay_send(conn->fd, iov, count)
					    : send_spans(conn->fd, iov, count);
}

static void
record_sent(const struct conn *conn, size_t n)
{
	ledger_sent(conn->fd, n, queue_empty(&conn->queue));
	if (conn->addr.family == AF_UNIX)
		relay_end();
}

enum conn_outcome
conn_write(struct conn *conn, size_t *written)
{
	struct iovec iov[IOV_MAX_SPANS];

	ledger_settle();
	*written = 0;
	if (conn->secure)
		return write_secure(conn, written);
	while (!queue_empty(&conn->queue)) {
		int count = queue_iov(&conn->queue, iov, IOV_MAX_SPANS);
		size_t offered = 0;
		ssize_t n =
		    conn->kept ? send_recorded(conn, iov, count) : send_spans(conn->fd, iov, count);

		if (n < 0)
			return is_temporary(errno) ? CONN_AGAIN : CONN_FAILED;
		for (int i = 0; i < count; i++)
			offered += iov[i].iov_len;
		queue_consume(&conn->queue, (size_t)n);
		if (conn->kept)
			record_sent(conn, (size_t)n);
		*written += (size_t)n;
		/* A short write has filled the socket: another one would only say so. */
		if ((size_t)n < offered)
			return CONN_AGAIN;
	}
	return CONN_DONE;
}

ssize_t
conn_discard(struct conn *conn)
{
	static char nowhere[65536];

	return recv(conn->fd, nowhere, sizeof(nowhere), 0);
}
