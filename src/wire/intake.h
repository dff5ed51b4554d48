/*
 * intake: how what a client sends becomes a message: one recv, or what TLS makes of it, cut into
 * whole lines. A piece of a line is held by the connection until the rest comes.
 */
#ifndef CHATD_INTAKE_H
#define CHATD_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/conn.h"
#include "wire/telnet.h"

/* The memory that receiving needs, shared by all connections. */
struct intake {
	struct arena arena;
	struct line spare; /* for the next piece of a line */
	struct line aside; /* the last piece, which the journal may need until the next recv */
	uint32_t line_max; /* bytes of one line, its end included */
	bool telnet;       /* take out telnet commands and answer them */
	struct telnet_answers answers;
};

void intake_free(struct intake *intake);

/* What one recv brought. */
struct reception {
	size_t bytes;       /* of the client */
	size_t wire;        /* that the socket gave: with TLS more, and at other times */
	struct msg msg;     /* the whole lines, or MSG_NONE */
	const char *answer; /* to telnet commands, good until the next recv */
	size_t answer_len;
};

/*
 * Reserves everything that receiving at most room bytes can need, so that after the recv nothing
 * can fail: room at the tail of the arena, behind the piece that is held, and memory for the next
 * piece. Returns the room there is, or 0 when memory is refused.
 */
size_t conn_reserve(struct conn *conn, struct intake *intake, size_t room);
/*
 * Receives once, at most room bytes, which conn_reserve has reserved. Whole lines become got->msg,
 * with the piece that was held in front; the rest is held in conn->line. line_max does not count
 * telnet commands. A recv that fails is skipped: the next one finds the end of file, even after a
 * reset. With TLS an unfinished line is completed only if the client has said that it ends there.
 */
enum conn_outcome conn_read(
    struct conn *conn, struct intake *intake, size_t room, struct reception *got);

/*
 * The same for what a former process has received: len bytes, which lie in journal->raw, for which
 * room is reserved.
 */
enum conn_outcome conn_replay(
    struct conn *conn, struct intake *intake, size_t len, struct reception *got);

#endif
