/*
 * broadcast: what everybody hears, in one order.
 *
 * Everything that is said forms one log: it lies byte after byte in the arena. Each part of it
 * either has an owner, who said it, and is for all but the owner; or it is for one connection
 * alone: a farewell, an answer. What waits for a connection is spans of this log.
 *
 * What the readers of a pass say is one message for everybody, less what each said itself. It goes
 * into each queue once, at the end of the pass, however many have spoken.
 *
 * Everything that delivery needs is reserved before the recv; after it nothing can fail. While that
 * memory is refused nothing is received, and it is tried again after a rest; what waits still
 * leaves meanwhile.
 */
#ifndef CHATD_BROADCAST_H
#define CHATD_BROADCAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "chat/pool.h"
#include "wire/intake.h"

/* What one pass can push to a queue: what lies before and what lies after the own part. */
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
/* conn has said msg, whole lines that the recv has put behind all that was said before. */
void broadcast_say(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/*
 * The same for what a caller has written there itself, and with lines of its own count; conn NULL:
 * nobody's, for all.
 */
void broadcast_add(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/* Room for len bytes at the tail of the log, in the manner of arena_reserve; 0: nothing may be said
 * now. */
size_t broadcast_room(struct broadcast *broadcast, size_t min, size_t want);
/* Memory was refused: nothing is received until it may be back, after a rest. */
void broadcast_starve(struct broadcast *broadcast);
/* A text of chatd's own for all. Returns false when memory is refused: to be tried again. */
bool broadcast_announce(struct broadcast *broadcast, const char *text, size_t len);
/* A part for conn alone, behind all that was said. Left out when memory is refused. */
void broadcast_tell(struct broadcast *broadcast, struct conn *conn, const char *text, size_t len);
/* The same with a message that several may share, see broadcast_own. */
void broadcast_share(struct broadcast *broadcast, struct conn *conn, const struct msg *msg);
/* A message for such parts, at the end of the log as it is now; or MSG_NONE. */
struct msg broadcast_own(struct broadcast *broadcast, const char *text, size_t len);
/* Puts what is fresh into the queue of everybody, less what each said itself. */
void broadcast_hand_out(struct broadcast *broadcast);

/* How far conn is behind: bytes of the log from the oldest one that waits for it. */
uint64_t broadcast_lag(const struct broadcast *broadcast, const struct conn *conn);

/* Ends a rest that is over, if there is memory now. Returns when to call again. */
int64_t broadcast_run_due(struct broadcast *broadcast);

#endif
