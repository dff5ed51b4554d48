/*
 * rate: how fast one client may speak. It delays lines and never drops any.
 *
 * Each client has RATE_BURST bytes, and limits.rate bytes come back each second. What it says is
 * taken from them, plus RATE_LINE for each line. A recv may bring as much as is left; the cost of
 * its lines can bring that below zero. When nothing is left the client rests: it leaves the read
 * set until half of the burst is back, and TCP holds it back meanwhile. Nothing ticks: a rest has
 * one deadline.
 *
 * A resting client's end of file is noticed only after the rest.
 */
#ifndef CHATD_RATE_H
#define CHATD_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/pool.h"
#include "wire/journal.h"

#define RATE_BURST 8192
#define RATE_LINE  64 /* bytes that each line costs in addition */

/* What a client has said and time has not yet paid for. */
struct bucket {
	int64_t debt; /* millionths of a byte, at the time at */
	int64_t at;
};

struct rate {
	struct pool *pool;
	struct bucket *buckets; /* by descriptor, while a rate is set; zeros at first */
	int size;               /* of buckets */
	struct fdset resting;   /* descriptors */
	int64_t per_second;     /* bytes; 0: there is no limit */
	bool ended;             /* the server ends: everything sent before is heard */
};

void rate_init(struct rate *rate, struct pool *pool);
void rate_free(struct rate *rate);
/* Makes room for descriptor sd. Returns 0, or -1 when memory is refused. */
int rate_reserve(struct rate *rate, int sd);
/* After a reload. If a rate is set now, there is room for all members. */
void rate_reconfigure(struct rate *rate);

static inline bool
rate_is_set(const struct rate *rate)
{
	return rate->per_second > 0;
}

/* Whether newcomers need room: a rate is set, or will be by the reload that goes on. */
static inline bool
rate_has_room(const struct rate *rate)
{
	return rate->size > 0;
}

/* While a rate is set: bytes that conn may receive now, at most room. 0: none, it rests. */
size_t rate_room(struct rate *rate, const struct conn *conn, size_t room);
/* The same: conn has said so much. */
void rate_charge(struct rate *rate, const struct conn *conn, size_t bytes, uint64_t lines);
/* Puts what conn may say now into the turn. */
void rate_record(const struct rate *rate, const struct conn *conn, struct turn *turn);
/* As it was recorded. */
void rate_restore(struct rate *rate, const struct conn *conn);
/* Takes the resting clients out of the read set again, after everyone was added to it. */
void rate_hold(struct rate *rate);
/* conn is no longer a member. */
void rate_forget(struct rate *rate, const struct conn *conn);
/* The server ends: from now on nobody rests. */
void rate_end(struct rate *rate);

/*
 * Ends the rests that are over. Returns when the next one will be, or CLOCK_NEVER; if one has just
 * ended, the current time or an earlier one, so that select is asked about that client at once.
 */
int64_t rate_run_due(struct rate *rate);

#endif
