#include "chat/rate.h"

#include <bsd/stdlib.h>
#include <sys/param.h>

#include "base/clock.h"

#define SCALE    INT64_C(1000000) /* debts are in millionths of a byte: nothing is rounded */
#define BURST    (RATE_BURST * SCALE)
/* No recv brings more: each of its bytes may be a line. */
#define DEBT_MAX (BURST + INT64_C(2) * (RATE_LINE + 1) * 2097152 * SCALE)

void
rate_init(struct rate *rate, struct pool *pool)
{
	*rate = (struct rate){.pool = pool, .resting = FDSET_EMPTY};
	rate_reconfigure(rate);
}

void
rate_free(struct rate *rate)
{
	fdset_free(&rate->resting);
	free(rate->buckets);
	rate->buckets = NULL;
	rate->size = 0;
}

int
rate_reserve(struct rate *rate, int sd)
{
	if (sd >= rate->size) {
		int size = MAX(64, MAX(sd + 1, rate->size * 2));
		struct bucket *buckets = recallocarray(
		    rate->buckets, (size_t)rate->size, (size_t)size, sizeof(*buckets));

		if (buckets == NULL)
			return -1;
		rate->buckets = buckets;
		rate->size = size;
	}
	return fdset_reserve(&rate->resting, sd);
}

static void
wake(struct rate *rate, int sd)
{
	fdset_remove(&rate->resting, sd);
	fdset_add(&rate->pool->class.readers, sd);
}

void
rate_reconfigure(struct rate *rate)
{
	rate->per_second = rate->ended ? 0 : rate->pool->config->limits.rate;
	if (rate_is_set(rate))
		return;
	FDSET_FOREACH(sd, &rate->resting)
		wake(rate, sd);
	rate_free(rate);
}

/* Microseconds until a debt is down to least, rounded up. */
static int64_t
time_to(int64_t debt, int64_t least, int64_t per_second)
{
	return debt > least ? (debt - least + per_second - 1) / per_second : 0;
}

/* Deducts what time has paid. */
static void
pay(struct bucket *bucket, int64_t per_second)
{
	int64_t now = clock_now(), passed = now - bucket->at;

	/* Compared first, because the product would overflow after a long time. */
	if (passed >= time_to(bucket->debt, 0, per_second))
		bucket->debt = 0;
	else
		bucket->debt -= passed * per_second;
	bucket->at = now;
}

static void
rest(struct rate *rate, int sd)
{
	fdset_remove(&rate->pool->class.readers, sd);
	fdset_add(&rate->resting, sd);
}

size_t
rate_room(struct rate *rate, const struct conn *conn, size_t room)
{
	struct bucket *bucket = &rate->buckets[conn->fd];
	int64_t left;

	pay(bucket, rate->per_second);
	left = (BURST - bucket->debt) / SCALE;
	if (left > 0)
		return MIN(room, (size_t)left);
	rest(rate, conn->fd);
	return 0;
}

void
rate_charge(struct rate *rate, const struct conn *conn, size_t bytes, uint64_t lines)
{
	struct bucket *bucket = &rate->buckets[conn->fd];

	bucket->debt += (int64_t)(bytes + RATE_LINE * lines) * SCALE;
	if (BURST - bucket->debt < SCALE)
		rest(rate, conn->fd);
}

void
rate_record(const struct rate *rate, const struct conn *conn, struct turn *turn)
{
	if (!rate_is_set(rate))
		return;
	turn->parts |= TURN_BUCKET;
	turn->debt = rate->buckets[conn->fd].debt;
	turn->paid_at = rate->buckets[conn->fd].at;
}

/* Whatever the numbers are, the worst that they do is to let it rest for a while. */
void
rate_restore(struct rate *rate, const struct conn *conn)
{
	const struct journal_bucket *kept = &journal->buckets[conn->fd];
	struct bucket *bucket;

	if (!rate_is_set(rate) || kept->debt < 0 || kept->debt > DEBT_MAX || kept->at < 0 ||
	    kept->at > clock_now())
		return;
	bucket = &rate->buckets[conn->fd];
	bucket->debt = kept->debt;
	bucket->at = kept->at;
	pay(bucket, rate->per_second);
	if (BURST - bucket->debt < SCALE)
		rest(rate, conn->fd);
}

void
rate_hold(struct rate *rate)
{
	FDSET_FOREACH(sd, &rate->resting)
		fdset_remove(&rate->pool->class.readers, sd);
}

void
rate_forget(struct rate *rate, const struct conn *conn)
{
	if (conn->fd >= rate->size)
		return;
	fdset_remove(&rate->resting, conn->fd);
	rate->buckets[conn->fd] = (struct bucket){0};
}

void
rate_end(struct rate *rate)
{
	rate->ended = true;
	rate_reconfigure(rate);
}

int64_t
rate_run_due(struct rate *rate)
{
	int64_t next = CLOCK_NEVER;

	FDSET_FOREACH(sd, &rate->resting) {
		struct bucket *bucket = &rate->buckets[sd];
		int64_t due = bucket->at + time_to(bucket->debt, BURST / 2, rate->per_second);

		next = clock_sooner(next, due);
		if (clock_now() < due)
			continue;
		/* Pay at the current rate; a reload may change it before the next recv. */
		pay(bucket, rate->per_second);
		wake(rate, sd);
	}
	return next;
}
