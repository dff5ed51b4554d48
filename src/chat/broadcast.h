/*
 * broadcast: what everybody hears, in one order.
 *
 * Everything that is said forms one log: it lies byte after byte in the arena. Each part of it
 * either has an owner, who said it, and goes to everyone else; or it is for one connection alone: a
 * farewell, an answer. What waits for a connection is a list of spans of this log.
 *
 * Everything received in one pass forms one message for everyone, minus each client's own part. It
 * enters each queue once, at the end of the pass, no matter how many clients spoke.
 *
 * Everything that delivery needs is reserved before the recv; after it nothing can fail. While that
 * memory is refused nothing is received, and the next attempt follows after a rest; what already
 * waits is still sent meanwhile.
 */
#ifndef CHATD_BROADCAST_H
#define CHATD_BROADCAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "chat/pool.h"
#include "wire/intake.h"

/* Spans that one pass can push to a queue: before and after the client's own part. */
#define BROADCAST_PLACES 2

struct broadcast {
	struct pool *pool;
	struct intake intake;  /* its arena holds the log */
	struct msg fresh;      /* said in this pass, in no queue yet, or MSG_NONE */
	uint64_t lines;        /* said since the start */
	struct backoff memory; /* rests while memory is refused */
};

void broadcast_init(struct broadcast *broadcast, struct pool *pool);
/* The queues are gone. */
void broadcast_free(struct broadcast *broadcast);
/* After a reload. */
void broadcast_reconfigure(struct broadcast *broadcast);

/*
 * Before each recv of conn: makes room for at most room bytes and what follows from them. Returns
 * the room there is, or 0 when nothing may be received now.
 */
size_t broadcast_reserve(struct broadcast *broadcast, struct conn *conn, size_t room);
/* conn has said msg: whole lines, which the recv placed at the end of the log. */
void broadcast_say(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/*
 * The same for a part that the caller has written there itself, and whose lines it counts. conn
 * NULL: it has no owner and goes to everyone.
 */
void broadcast_add(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/* Makes room at the tail of the log, as arena_reserve does. Returns 0 when nothing may be said now.
 */
size_t broadcast_room(struct broadcast *broadcast, size_t min, size_t want);
/* Memory was refused: begins a rest in which nothing is received. */
void broadcast_starve(struct broadcast *broadcast);
/* Says a text of chatd's own to everyone. Returns false when memory is refused: try again later. */
bool broadcast_announce(struct broadcast *broadcast, const char *text, size_t len);
/* Appends a part for conn alone, after everything said so far. Dropped when memory is refused. */
void broadcast_tell(struct broadcast *broadcast, struct conn *conn, const char *text, size_t len);
/* The same with a message that several connections may share, see broadcast_own. */
void broadcast_share(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/* Makes a message for such parts, at the current end of the log, or MSG_NONE. */
struct msg broadcast_own(struct broadcast *broadcast, const char *text, size_t len);
/* Puts what is fresh into every queue, minus each client's own part. */
void broadcast_hand_out(struct broadcast *broadcast);

/* How far conn is behind: bytes of the log from the oldest byte that waits for it. */
uint64_t broadcast_lag(const struct broadcast *broadcast, const struct conn *conn);

/* Ends a rest that is over if there is memory again. Returns when to call again. */
int64_t broadcast_run_due(struct broadcast *broadcast);

#endif
