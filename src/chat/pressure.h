/*
 * pressure: who is held back, so that memory stays bounded and nothing is lost.
 *
 * When more than limits.queue bytes wait for one client, the pool is held: nobody is read until
 * that queue has drained to half, so TCP holds the senders back. In one pass all readers together
 * receive at most about limits.queue bytes, shared evenly, so memory stays near twice that; the
 * spans of clients that do not read, but say very short lines themselves, come on top.
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

struct pressure {
	struct broadcast *broadcast;
	struct pool *pool;
	uint32_t above;        /* connections above high water, which keep the pool held */
	struct backoff kernel; /* rests after the kernel refused ready sockets */
};

void pressure_init(struct pressure *pressure, struct broadcast *broadcast);

/* Whether clients may be read now. */
bool pressure_reading(const struct pressure *pressure);
/* Before each wait: tells the loop whether clients are to be asked about. */
void pressure_apply(struct pressure *pressure);
/* Bytes that each of count readers in one pass may receive. */
size_t pressure_room(const struct pressure *pressure, uint32_t count);

/* After a pass or a reload: holds the pool where a queue has grown over its limit. */
void pressure_hold(struct pressure *pressure);
/* conn keeps nobody waiting any more, whatever waits for it. */
void pressure_release(struct pressure *pressure, struct conn *conn);
/* Some of what waited for conn has left. */
void pressure_progressed(struct pressure *pressure, struct conn *conn);
/* After a reload: releases whom the new limit no longer holds. */
void pressure_reconfigure(struct pressure *pressure);

/* A socket has refused, or worked, though select called it ready. */
void pressure_refused(struct pressure *pressure, struct conn *conn);
void pressure_worked(struct conn *conn);

/* Ends a rest that is over. Returns when the next one will be. */
int64_t pressure_run_due(struct pressure *pressure);

#endif
