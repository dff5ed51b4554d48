/*
 * Who holds everybody up, how long it may, and how much is received meanwhile.
 */
#include <sys/param.h>

#include "facts.h"
#include "memory.h"
#include "target.h"

#define ROOM      65536 /* bytes of one recv */
#define LEAST     512
#define TICK      (CLOCK_SECOND / 100)
#define TICKS_MAX 64 /* short waits in a row that nobody has a use for */

bool
model_held(void)
{
	for (int i = 0; i < world.n_peers; i++)
		if (model_is_in(&world.peers[i]) && world.peers[i].holds)
			return true;
	return false;
}

static bool
is_reloaded(void)
{
	return model.valid != (int)server.config->unix_mode;
}

/* Notices come after those who were ready have been served: without them it is what was seen then.
 */
static size_t
heard(size_t lag)
{
	return lag - MIN(lag, model.announced);
}

/* Whether it still held when the time was looked at. A reload may have released it. */
static bool
holds_now(const struct peer *peer)
{
	return peer->holds &&
	       (!is_reloaded() || heard(model_lag(peer).most) > model_limits()->queue);
}

bool
model_stalls(const struct peer *peer)
{
	if (!holds_now(peer))
		return false;
	return peer->query_failed ||
	       (world.now - peer->took >= model_limits()->stall * CLOCK_SECOND &&
		   world_unacked(peer) >= peer->unacked);
}

bool
model_lags(const struct peer *peer)
{
	const struct limits *limits = model_limits();

	if (!holds_now(peer) || limits->lag == 0)
		return false;
	return peer->query_failed ||
	       (world.now - peer->window_began >= limits->lag * CLOCK_SECOND &&
		   peer->window_bytes - (int64_t)world_unacked(peer) < limits->queue);
}

void
model_progressed(struct peer *peer, size_t len)
{
	peer->took = world.now;
	peer->unacked = UNKNOWN; /* until the pass ends */
	peer->window_bytes += (int64_t)len;
	if (model_lag(peer).most <= model_limits()->queue / 2)
		peer->holds = false;
}

/* Whether the peer held before this pass, and held or began to within it. */
void
model_update_hold(struct peer *peer)
{
	const struct limits *limits = model_limits();
	struct lag lag = model_lag(peer);
	bool held = holds_now(peer), actual = model_conn(peer)->above_high_water;
	/* Nothing is said any more once writing has begun. */
	size_t peak = heard(model_lag_at(peer, peer->before));
	bool looked = is_reloaded() || (model.readers > 0 && !world.forgets);
	bool most =
	    heard(lag.most) > limits->queue / 2 && (held || (looked && peak > limits->queue));
	bool least = peer->n_candidates == 1 && most;

	if (peer->deaf)
		most = least = false;
	if (peer->n_candidates == 1 ? actual != least : (actual && !most))
		die("sd %d %s everybody up, with %zu bytes", peer->sd,
		    actual ? "holds" : "does not hold", lag.most);
	if (actual && !held) {
		peer->took = peer->window_began = world.now;
		peer->unacked = world_unacked(peer);
		peer->window_bytes = (int64_t)world_unacked(peer);
	}
	peer->holds = actual;
	if (peer->unacked == UNKNOWN)
		peer->unacked = world_unacked(peer);
	if (!peer->holds || peer->query_failed)
		return;
	/* What the server has seen when it looked at the times. */
	if (world.now - peer->took >= limits->stall * CLOCK_SECOND) {
		peer->took = world.now;
		peer->unacked = world_unacked(peer);
	}
	if (limits->lag > 0 && world.now - peer->window_began >= limits->lag * CLOCK_SECOND) {
		peer->window_began = world.now;
		peer->window_bytes = (int64_t)world_unacked(peer);
	}
}

/* What all may receive in the next pass; whoever is parked comes again when that is something. */
void
model_update_budget(void)
{
	size_t limit = model_limits()->queue, most = 0;
	bool held = false, known = true;

	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (!model_is_in(peer) || !peer->holds)
			continue;
		held = true;
		known = known && peer->n_candidates == 1;
		most = MAX(most, model_lag(peer).least);
	}
	model.budget = limit;
	if (held)
		model.budget = most + MIN(16384, limit / 4) <= limit ? limit - most : 0;
	if (!known)
		model.budget = server.chat.pressure.budget;
	for (int i = 0; i < world.n_peers && model.budget > 0; i++)
		world.peers[i].parked = false;
}

void
model_receives(struct peer *peer, size_t len)
{
	size_t share = model.budget / MAX(model.readers, 1);

	model_event(peer);
	if (peer->state == LEAVING) {
		check(!peer->ended && !peer->eof);
		return;
	}
	check(model_is_in(peer) && !model_must_leave(peer) && !model.goodbye);
	if (model_has_rate() && len > model_rate_left(peer))
		die("recv of %zu bytes from sd %d, its rate allows %zu", len, peer->sd,
		    model_rate_left(peer));
	if (len > MAX(LEAST, MIN(ROOM, share)))
		die("recv of %zu bytes from sd %d, %zu may be received by %u", len, peer->sd,
		    model.budget, model.readers);
	if (model.budget == 0 && world_unread(peer) > 0) {
		check(peer->query_failed);
		model.extra += LEAST;
	}
}

/* Whether some may not have been served in this pass, and nobody is to blame. */
static bool
is_excused(void)
{
	return model.skipped || memory.refused != model.pass_refused ||
	       world.now < model.rest_until || world.forgets;
}

/* Whoever was ready in this pass has been served. */
void
model_check_served(struct peer *peer)
{
	bool words = world_unread(peer) > 0;

	if (peer->state == MEMBER && peer->readable && !peer->received) {
		if (model.budget == 0 && words)
			peer->parked =
			    !is_excused() || !fdset_has(&server.chat.pool.class.readers, peer->sd);
		else if (!is_excused())
			die("sd %d was ready, and is not received from", peer->sd);
	}
	if (peer->state == LEAVING && peer->readable && !peer->received && !is_excused())
		check(peer->left_at == world.now || peer->eof);
	if (peer->writable && !peer->tried && !is_excused())
		die("sd %d was ready, and is not sent to", peer->sd);
}

/* --- what select is asked */

static void
check_asked(const struct peer *peer, bool readable, bool writable)
{
	if (world.now < model.rest_until)
		return;
	if (peer->state == LEAVING) {
		check(readable == !peer->eof && writable == !peer->written);
	} else {
		if (readable == (peer->parked || peer->rests))
			die("sd %d: select is %sasked", peer->sd, readable ? "" : "not ");
		if (peer->n_candidates == 1)
			check(writable == (!peer->deaf && model_missing(peer) > 0));
	}
}

/* Whether somebody's last bytes are on their way. */
static bool
is_going(const struct peer *peer)
{
	return peer->state == LEAVING && peer->written && !peer->eof && !model_is_quiet(peer);
}

/* Short waits are for those only. */
static void
check_timeout(int64_t timeout)
{
	bool must = false, may = false;

	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		may |= is_going(peer);
		must |= is_going(peer) && !peer->query_failed;
	}
	if (must)
		check(timeout >= 0 && timeout <= TICK);
	if (may || timeout < 0 || timeout > TICK || model.progress != world.progress)
		model.ticks = 0;
	else if (++model.ticks > TICKS_MAX)
		die("it ticks");
	model.progress = world.progress;
}

void
model_asks(int64_t timeout)
{
	bool waits = model_held() && model_members() >= model_limits()->clients && world.ends == 0;
	int64_t due = world.now < model.rest_until ? CLOCK_NEVER : model.notices_due;

	check_timeout(timeout);
	due = MIN(due, model_next_wake());
	due = MIN(due, server.chat.broadcast.memory.until);
	model.rested = backoff_rests(&server.chat.broadcast.memory);
	if (due != CLOCK_NEVER)
		check(timeout >= 0 && world.now + timeout <= due);
	for (int fd = 3; fd < WORLD_FDS; fd++) {
		const struct peer *peer = world_peer(fd);

		if (peer != NULL)
			check_asked(peer, peer->asked_readable, peer->asked_writable);
	}
	for (int i = 0; i < WORLD_LISTENERS; i++)
		if (world.listeners[i].open && world.now >= model.pause_until)
			check(world.listeners[i].asked == !waits);
}
