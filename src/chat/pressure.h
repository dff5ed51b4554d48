/*
 * pressure: who is held back, so that memory stays bounded and nothing is lost.
 *
 * When more than limits.queue bytes wait for one client, an episode of holding begins; it ends when
 * that is down to half. Meanwhile the others are read only as far as that queue drains below the
 * limit, in steps of PRESSURE_STEP, so the chat goes on at the pace of the slow one, and TCP holds
 * the senders back. A client that has sent something between two steps is parked: select is not
 * asked about it until the next step. Ends are noticed all the while: a readable client without
 * unread bytes gets its one recv.
 *
 * With a journal the same is true of its index, which very many short lines may fill before they
 * are limits.queue bytes: then whoever has taken least of it holds the pool. And where a reload has
 * raised limits.queue beyond what the journal was laid out for, less counts until a restart.
 *
 * In one pass all readers together receive at most about limits.queue bytes, shared evenly, so
 * memory stays near twice that; the spans of clients that do not read, but say very short lines
 * themselves, come on top.
 *
 * A socket that refuses again and again although select calls it ready means that the kernel lacks
 * memory: then nothing is read or written for a while.
 */
#ifndef CHATD_PRESSURE_H
#define CHATD_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "chat/broadcast.h"
#include "chat/rate.h"
#include "chat/roster.h"

#define PRESSURE_STEP 16384 /* bytes: a short wait for the others, and worth a pass */

struct pressure {
	struct broadcast *broadcast;
	struct pool *pool;
	struct rate *rate;     /* its resting clients stay out of the read set */
	struct roster *roster; /* for the names in the log */
	uint32_t above;        /* connections above high water, which hold the pool */
	size_t ceiling;        /* of the budget; set by rooms above */
	size_t budget;         /* bytes that all readers of the next pass may receive */
	uint64_t safe_until; /* position of the log: before it no other queue can pass the limit */
	bool parked;         /* some clients are not asked about */
	struct backoff kernel; /* rests after the kernel refused ready sockets */
};

void pressure_init(struct pressure *pressure, struct broadcast *broadcast, struct rate *rate,
    struct roster *roster);

/* Whether somebody holds the pool. */
bool pressure_holds(const struct pressure *pressure);
/* Before each wait: decides what the next pass may receive, and which clients select watches. */
void pressure_apply(struct pressure *pressure);
/* Whether anything may be received: neither the kernel nor the broadcast lacks memory. */
bool pressure_reading(const struct pressure *pressure);
/*
 * Bytes that conn, which is readable, may receive in this pass. 0: none, it has been parked, if
 * that is the reason.
 */
size_t pressure_room(struct pressure *pressure, struct conn *conn);

/* conn is not asked about for now. */
void pressure_park(struct pressure *pressure, const struct conn *conn);

/* After a pass or a reload: holds the pool where a queue has grown over its limit. */
void pressure_hold(struct pressure *pressure);
/* Begins a window of limits.lag: what conn takes from now on counts. */
void pressure_begin_window(struct conn *conn);
/* Logs what conn, which holds the pool, does. */
void pressure_log(const struct pressure *pressure, const struct conn *conn, const char *what);
/* conn no longer holds the pool, whatever waits for it. */
void pressure_release(struct pressure *pressure, struct conn *conn);
/* Bytes have left for conn, which holds the pool. */
void pressure_progressed(struct pressure *pressure, struct conn *conn, size_t written);
/* After a reload: applies the new limit to every queue. */
void pressure_reconfigure(struct pressure *pressure);

/* After a pass in which somebody holds the pool: puts that into the journal. */
void pressure_record(const struct pressure *pressure);
/* For a successor: conn holds the pool, if that was recorded and still so much waits. */
void pressure_restore(struct pressure *pressure, struct conn *conn);

/* A socket refused although select called it ready. conn->refusals returns to 0 once it works. */
void pressure_refused(struct pressure *pressure, struct conn *conn);

/* Ends a rest that is over. Returns when the next one will be. */
int64_t pressure_run_due(struct pressure *pressure);

#endif
