/*
 * pressure: who is held back, so that memory stays bounded and nothing is lost.
 *
 * When more than limits.queue bytes wait for one client, an episode of holding begins; it ends when
 * half of that waits. Meanwhile the others are read only as far as that queue drains below the
 * limit, in steps of PRESSURE_STEP, so the chat goes on at the pace of the slow one, and TCP holds
 * the senders back. Who has something to say between two steps is parked: select is not asked about
 * it until the next step. Ends are seen all the while: a readable client without unread bytes gets
 * its one recv.
 *
 * In one pass all readers together receive at most about limits.queue bytes, shared evenly, so
 * memory stays near twice that; the spans of clients that do not read, but say very short lines
 * themselves, come on top.
 *
 * A socket that refuses again and again, though select calls it ready, means that the kernel lacks
 * memory: then all rest a while, reading and writing.
 */
#ifndef CHATD_PRESSURE_H
#define CHATD_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "chat/broadcast.h"

#define PRESSURE_STEP 16384 /* bytes: small for who waits, large enough to be worth a pass */

struct pressure {
	struct broadcast *broadcast;
	struct pool *pool;
	uint32_t above;      /* connections above high water, which hold the pool */
	size_t budget;       /* bytes that all readers of the next pass may receive */
	uint64_t safe_until; /* position of the log: before it no other queue can pass the limit */
	bool parked;         /* some clients are not asked about */
	struct backoff kernel; /* rests after the kernel refused ready sockets */
};

void pressure_init(struct pressure *pressure, struct broadcast *broadcast);

/* Whether somebody holds the pool. */
bool pressure_holds(const struct pressure *pressure);
/* Before each wait: what the next pass may receive, and whom select is asked about. */
void pressure_apply(struct pressure *pressure);
/* Whether the kernel and the memory allow to receive. */
bool pressure_reading(const struct pressure *pressure);
/*
 * Bytes that conn, which is readable, may receive in this pass. 0: none, it has been parked, if
 * that is the reason.
 */
size_t pressure_room(struct pressure *pressure, struct conn *conn);

/* After a pass or a reload: holds the pool where a queue has grown over its limit. */
void pressure_hold(struct pressure *pressure);
/* A window of limits.lag begins: what conn takes from now on counts. */
void pressure_begin_window(struct conn *conn);
/* Says in the log what conn, which holds the pool, does. */
void pressure_log(const struct conn *conn, const char *what);
/* conn keeps nobody waiting any more, whatever waits for it. */
void pressure_release(struct pressure *pressure, struct conn *conn);
/* Bytes have left for conn, which holds the pool. */
void pressure_progressed(struct pressure *pressure, struct conn *conn, size_t written);
/* After a reload: releases whom the new limit no longer holds. */
void pressure_reconfigure(struct pressure *pressure);

/* A socket has refused, though select called it ready. conn->refusals is 0 again once it works. */
void pressure_refused(struct pressure *pressure, struct conn *conn);

/* Ends a rest that is over. Returns when the next one will be. */
int64_t pressure_run_due(struct pressure *pressure);

#endif
