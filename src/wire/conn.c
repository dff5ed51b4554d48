#include "wire/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Spans for one call. Only a slow client, with lines of its own between those of others, has more
 * than a few. */
#define IOV_MAX_SPANS 64

struct conn *
conn_new(int fd, const struct addr *addr, struct tls *tls)
{
	struct conn *conn = malloc(sizeof(*conn) + (tls != NULL ? sizeof(tls) : 0));

	if (conn == NULL)
		return NULL;
	*conn = (struct conn){
	    .fd = fd, .last_line_at = clock_now(), .addr = *addr, .secure = tls != NULL};
	if (conn->secure)
		conn->tls[0] = tls;
	queue_init(&conn->queue);
	return conn;
}

void
conn_free(struct conn *conn)
{
	if (conn == NULL)
		return;
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
intake_free(struct intake *intake)
{
	arena_free(&intake->arena);
	line_free(&intake->spare);
}

size_t
conn_reserve(struct conn *conn, struct intake *intake, size_t room)
{
	size_t max = intake->line_max + TELNET_MAX, held = conn->line.len;

	if (line_reserve(&intake->spare, max) < 0 ||
	    (conn->line.data != NULL && line_reserve(&conn->line, max) < 0))
		return 0;
	room = arena_reserve(&intake->arena, held + 1, held + room);
	return room > 0 ? room - held : 0;
}

/* Keeps the piece of a line. Gives back the memory for one when there is none. */
static void
keep(struct conn *conn, struct intake *intake, const char *piece, size_t len)
{
	if (conn->line.len + len == 0) {
		line_free(&conn->line);
		return;
	}
	if (conn->line.data == NULL) {
		conn->line = intake->spare;
		intake->spare = (struct line){0};
	}
	line_append(&conn->line, piece, len);
}

/* Puts the held piece in front of what follows it at the tail. */
static struct msg
take_lines(struct conn *conn, struct arena *arena, size_t len)
{
	size_t held = conn->line.len;

	if (held > 0)
		memcpy(arena_tail(arena), conn->line.data, held);
	conn->line.len = 0;
	return arena_take(arena, held + len);
}

/*
 * Puts the unfinished command at the tail, in front of what came behind it, and counts its bytes as
 * received, not as held. Returns how many.
 */
static size_t
rejoin(struct conn *conn, struct arena *arena)
{
	size_t len = conn->unfinished;

	conn->unfinished = 0;
	conn->line.len -= (uint32_t)len;
	memcpy(arena_tail(arena) + conn->line.len, conn->line.data + conn->line.len, len);
	return len;
}

/* Cuts the len bytes behind the place of the held piece, and takes the whole lines. */
static struct line_cut
cut_lines(struct conn *conn, struct intake *intake, size_t len, struct reception *got)
{
	size_t held = conn->line.len;
	const char *data = arena_tail(&intake->arena) + held;
	struct line_cut cut = line_cut(data, len, held, intake->line_max);

	if (cut.whole > 0)
		got->msg = take_lines(conn, &intake->arena, cut.whole);
	return cut;
}

/* Completes the line that the client left unfinished. An unfinished command counts as text. */
static enum conn_outcome
finish(struct conn *conn, struct intake *intake, struct reception *got)
{
	size_t len = conn->unfinished > 0 ? rejoin(conn, &intake->arena) : 0;
	char *data = arena_tail(&intake->arena) + conn->line.len;

	if (conn->line.len + len == 0)
		return CONN_CLOSED;
	if (len == 0 || data[len - 1] != '\n')
		data[len++] = '\n';
	return cut_lines(conn, intake, len, got).too_long ? CONN_TOO_LONG : CONN_CLOSED;
}

static size_t
strip(struct intake *intake, char *data, size_t len, size_t *unfinished, struct reception *got)
{
	intake->answers.len = 0;
	len = telnet_strip(data, len, &intake->answers, unfinished);
	got->answer = intake->answers.data;
	got->answer_len = intake->answers.len;
	return len;
}

static ssize_t
receive(struct conn *conn, char *data, size_t room, struct reception *got)
{
	ssize_t n;

	*got = (struct reception){.msg = MSG_NONE};
	if (conn->secure) {
		n = tls_recv(conn->tls[0], data, room);
		got->wire = conn->tls[0]->received;
	} else {
		n = recv(conn->fd, data, room, 0);
		got->wire = n > 0 ? (size_t)n : 0;
	}
	got->bytes = n > 0 ? (size_t)n : 0;
	return n;
}

/* The end of file, or with TLS another end. */
static enum conn_outcome
end(struct conn *conn, struct intake *intake, struct reception *got)
{
	if (conn->secure && conn->tls[0]->broken)
		return CONN_BROKEN;
	if (conn->secure && conn->tls[0]->failed)
		return CONN_CLOSED;
	return finish(conn, intake, got);
}

enum conn_outcome
conn_read(struct conn *conn, struct intake *intake, size_t room, struct reception *got)
{
	char *data = arena_tail(&intake->arena) + conn->line.len;
	bool was_pending = conn_pending(conn), was_blocked = conn_blocked(conn);
	ssize_t n = receive(conn, data, room, got);
	size_t len, unfinished = 0;
	struct line_cut cut;

	/*
	 * A part of a record is progress; and what was pending may have been a part of one. One
	 * that is blocked was not called ready: it is asked where all are asked that are in.
	 */
	if (n < 0)
		return got->wire > 0 || was_blocked || (was_pending && !conn_blocked(conn))
			   ? CONN_DONE
			   : CONN_AGAIN;
	if (n == 0)
		return end(conn, intake, got);
	len = (size_t)n;
	if (conn->unfinished > 0) {
		size_t more = rejoin(conn, &intake->arena);

		data -= more;
		len += more;
	}
	if (intake->telnet)
		len = strip(intake, data, len, &unfinished, got);
	cut = cut_lines(conn, intake, len - unfinished, got);
	if (cut.too_long)
		return CONN_TOO_LONG;
	keep(conn, intake, data + cut.whole, len - cut.whole);
	conn->unfinished = (uint8_t)unfinished;
	return CONN_DONE;
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

enum conn_outcome
conn_write(struct conn *conn, size_t *written)
{
	struct iovec iov[IOV_MAX_SPANS];

	*written = 0;
	if (conn->secure)
		return write_secure(conn, written);
	while (!queue_empty(&conn->queue)) {
		int count = queue_iov(&conn->queue, iov, IOV_MAX_SPANS);
		size_t offered = 0;
		ssize_t n = send_spans(conn->fd, iov, count);

		if (n < 0)
			return is_temporary(errno) ? CONN_AGAIN : CONN_FAILED;
		for (int i = 0; i < count; i++)
			offered += iov[i].iov_len;
		queue_consume(&conn->queue, (size_t)n);
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
