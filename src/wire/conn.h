/*
 * conn: one client; what it sends, and what waits for it.
 *
 * intake.h turns one recv into one message of whole lines; conn_write writes the queue to the
 * socket. Neither logs or closes anything: the outcome says what happened, and the caller acts on
 * it.
 */
#ifndef CHATD_CONN_H
#define CHATD_CONN_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "wire/line.h"
#include "wire/msg.h"
#include "wire/queue.h"
#include "wire/tls.h"

enum conn_life {
	CONN_OPEN,
	CONN_WRITE_CLOSED,    /* the peer no longer receives; read until EOF */
	CONN_LEAVING,         /* chatd ends it, see leaving.h; its queue is not empty */
	CONN_LEAVING_WRITTEN, /* the same, and everything is written */
};

/* A span of the buf that the arena fills; len 0: none. */
struct part {
	uint32_t off, len;
};

struct conn {
	struct queue queue; /* first, since a broadcast touches only this */
	int fd;
	enum conn_life life : 8;
	uint8_t refusals;   /* calls in a row that a ready socket refused, see backoff.h */
	uint8_t unfinished; /* bytes at the end of line: a telnet command, perhaps */
	/* Who is above high water holds the pool; what follows is only for that, see pressure.h. */
	bool above_high_water : 1;
	bool hold_logged : 1;
	bool announced : 1;    /* the log knows of it */
	bool probe : 1;        /* it closed at once, as health checks do: hardly worth a line */
	bool secure : 1;       /* it speaks TLS */
	bool kept : 1;         /* in the journal: a successor takes it over, see ledger.h */
	bool in_safe : 1;      /* a successor gets its socket, see safe.h */
	int unacked;           /* bytes that the kernel had for it at last_progress_at */
	uint32_t window_bytes; /* that it had when the window began, and those written since; of a
				  leaving one: those thrown away */
	int64_t window_began;  /* of limits.lag, the first one with the hold itself */
	int64_t last_progress_at; /* when bytes last left; of a leaving one: when that began */
	uint64_t lines;           /* that it has said */
	struct part own;          /* what it said in this pass, until that is in the queues */
	struct line line;         /* an unfinished line */
	int64_t last_line_at;     /* when its last line came, or the connection itself */
	struct addr addr;
	TAILQ_ENTRY(conn) entry; /* in the one list it is in: by_last_line, leaving, or ended */
	struct tls *tls[];       /* one, if it is secure: those who are not have no room for it */
};

enum conn_outcome {
	CONN_DONE,     /* read: bytes came; write: the queue is empty */
	CONN_AGAIN,    /* nothing more now; or a recv that failed, which is skipped */
	CONN_CLOSED,   /* read: end of file */
	CONN_TOO_LONG, /* read: a line cannot end within its limit */
	CONN_BROKEN,   /* read: TLS, see tls_text.h */
	CONN_FAILED,   /* write: the peer no longer receives */
};

/*
 * The conn takes over fd, and tls, unless it is NULL. A plain one is kept in the journal, if there
 * is one. Returns NULL when memory is refused.
 */
struct conn *conn_new(int fd, const struct addr *addr, struct tls *tls);
/* A plain one that is not kept, since its socket is not in the safe: it wanted TLS. */
struct conn *conn_new_unkept(int fd, const struct addr *addr);
/* For a successor: that of fd, as it was recorded, with nothing that waits and no piece. */
struct conn *conn_restore(int fd);
/* Ends the connection, with TLS after saying so, and drops what waits. */
void conn_free(struct conn *conn);
/* Forgets it; a successor goes on with it. */
void conn_leave(struct conn *conn);

/* Whether its end of file has come, and nothing before it. */
bool conn_said_nothing(const struct conn *conn);
/* Bytes that were received and not read; of those that TLS keeps, only whether there are any. */
int conn_unread(const struct conn *conn);
/* Bytes that the kernel still keeps for the client; they shrink as its machine takes them. */
int conn_unacked(const struct conn *conn);
/* Restarts the stall timer after progress. */
void conn_progressed(struct conn *conn);

/* Writes until the queue is empty or the socket takes no more. written: how many bytes it took. */
enum conn_outcome conn_write(struct conn *conn, size_t *written);
/* Sends the end of file, behind what was written. Returns false if that has to be tried again after
 * another conn_write: TLS has said so, and the socket did not take it. */
bool conn_shut_write(struct conn *conn);
/* The peer no longer receives: drops what waits, and sends the end of file. */
void conn_close_write(struct conn *conn);
/* Nothing more will be read, but discarded. */
void conn_stop_reading(struct conn *conn);
/* Receives once and throws it away. Returns what recv returns. */
ssize_t conn_discard(struct conn *conn);

/* With TLS: whether conn_read has something, whatever select says; whether it goes on only when the
 * socket is writable, or may go on since it was; and whether something has to be written, though
 * the queue is empty. */
static inline bool
conn_pending(const struct conn *conn)
{
	return conn->secure && conn->tls[0]->pending;
}
static inline bool
conn_blocked(const struct conn *conn)
{
	return conn->secure && conn->tls[0]->blocked;
}
static inline bool
conn_unblocked(const struct conn *conn)
{
	return conn->secure && conn->tls[0]->unblocked;
}
static inline bool
conn_unsent(const struct conn *conn)
{
	return conn->secure && conn->tls[0]->unsent_len > 0;
}

#endif
