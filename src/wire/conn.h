/*
 * conn: one client; what it sends, and what waits for it.
 *
 * conn_read turns one recv into one message of whole lines; conn_write offers the queue to the
 * socket. Neither logs or closes anything: the outcome says what happened, and the pool acts on it.
 */
#ifndef CHATD_CONN_H
#define CHATD_CONN_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/line.h"
#include "wire/msg.h"
#include "wire/queue.h"

struct conn {
	struct queue queue; /* first, since a broadcast touches only this */
	int fd;
	bool deaf;        /* it has gone, and is only read to its end */
	bool over;        /* its queue passed limits.queue and has not yet drained to half */
	uint8_t refusals; /* calls in a row that a ready socket refused */
	struct msg own;   /* what it said in this pass, until that is in the queues, or MSG_NONE */
	struct line line; /* what came of a line without an end yet */
	int64_t heard;    /* when its last line came, or it itself */
	int64_t stalled;  /* while over: when it last took something */
	int unacked;      /* while over: bytes the kernel had for it at that time */
	struct addr addr;
	TAILQ_ENTRY(conn) entry; /* in the pool's list by heard, or of those to be freed */
};

enum conn_outcome {
	CONN_DONE,     /* read: bytes came; write: the queue is empty */
	CONN_AGAIN,    /* nothing more now */
	CONN_CLOSED,   /* read: end of file */
	CONN_TOO_LONG, /* read: a line cannot end within its limit */
	CONN_FAILED,   /* errno says why */
};

/* What one recv brought. */
struct reception {
	size_t bytes;
	struct msg msg; /* the whole lines, or MSG_NONE */
};

/* The conn takes over fd. Returns NULL when memory is refused. */
struct conn *conn_new(int fd, const struct addr *addr, int64_t now);
/* Closes the descriptor and drops what waits. */
void conn_free(struct conn *conn);

/*
 * Receives up to room bytes at the tail of the arena. The line before them that has no end yet, if
 * any, is put in front once its end has come; a line that still has none goes to conn->line, which
 * takes over the memory of spare if it has none of its own. So after the recv nothing can fail.
 * Whoever calls has made sure that the arena has room for conn->line.len + 1 bytes or more, and
 * that spare and conn->line, if it has memory, have room for a line of max bytes.
 */
enum conn_outcome conn_read(struct conn *conn, struct arena *arena, struct line *spare, size_t room,
    size_t max, struct reception *got);

/* It took something: its time to stall begins anew. */
void conn_progress(struct conn *conn, int64_t now);
/* Bytes that the kernel still keeps for the client; they shrink when it takes some. */
int conn_unacked(const struct conn *conn);

/* It takes nothing any more: what waits is dropped, and an end of file is sent. */
void conn_deafen(struct conn *conn);

/* Writes until the queue is empty or the socket takes no more. taken is how many bytes it took. */
enum conn_outcome conn_write(struct conn *conn, size_t *taken);

#endif
