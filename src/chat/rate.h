/*
 * rate: how fast one client may speak. It delays, it loses nothing.
 *
 * Each client has RATE_BURST bytes of its own, and limits.rate more come back each second. What it
 * says is taken from them, RATE_LINE more for each line. A recv has room for what is left; lines
 * can bring that below zero. When nothing is left the client rests: it leaves the read set until
 * half of the burst is back, and TCP holds it back. Nothing ticks: a rest has one deadline.
 *
 * Its end of file, too, waits for the rest to be over.
 */
#ifndef CHATD_RATE_H
#define CHATD_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/pool.h"
#include "wire/journal.h"

#define RATE_BURST 8192
#define RATE_LINE  64 /* bytes that a line costs more than it has */

/* What a client may say now. */
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
	bool ended;             /* the server ends: what was sent before is heard */
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
/* Takes those who rest out of the read set, into which all were put. */
void rate_hold(struct rate *rate);
/* conn is no member any more. */
void rate_forget(struct rate *rate, const struct conn *conn);
/* Nobody rests any more, whatever anybody says: the server ends. */
void rate_end(struct rate *rate);

/*
 * Reads those again who have rested. Returns when the next one has, or CLOCK_NEVER; a time that has
 * come if one just has: select is to be asked at once whether it is silent.
 */
int64_t rate_run_due(struct rate *rate);

#endif
