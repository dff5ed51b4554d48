/*
 * limits.rate: how much each may say, and when.
 */
#include <sys/param.h>

#include "facts.h"
#include "target.h"

#define MILLION INT64_C(1000000)
#define BURST   (8192 * MILLION)
#define LINE    64 /* bytes that each costs more */

bool
model_has_rate(void)
{
	return model_limits()->rate > 0 && world.ends == 0;
}

static int64_t
debt_now(const struct peer *peer)
{
	int64_t paid = (world.now - peer->debt_at) * model_limits()->rate;

	return MAX(0, peer->debt - paid);
}

size_t
model_rate_left(struct peer *peer)
{
	peer->debt = debt_now(peer);
	peer->debt_at = world.now;
	return (size_t)((BURST - peer->debt) / MILLION);
}

void
model_charge(struct peer *peer, size_t bytes, size_t lines)
{
	if (!model_has_rate())
		return;
	peer->debt += (int64_t)(bytes + LINE * lines) * MILLION;
	peer->rests = BURST - peer->debt < MILLION;
}

void
model_update_rates(void)
{
	if (model_has_rate()) {
		model.rate_was_set = true;
		return;
	}
	for (int i = 0; model.rate_was_set && i < world.n_peers; i++) {
		world.peers[i].debt = 0;
		world.peers[i].rests = false;
	}
	model.rate_was_set = false;
}

/* Half of the burst has to be back. */
void
model_wake(void)
{
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		if (!peer->rests || debt_now(peer) > BURST / 2)
			continue;
		model_rate_left(peer);
		peer->rests = false;
	}
}

int64_t
model_next_wake(void)
{
	int64_t next = CLOCK_NEVER, rate = model_limits()->rate;

	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->rests && model_is_in(peer))
			next =
			    MIN(next, peer->debt_at + (peer->debt - BURST / 2 + rate - 1) / rate);
	}
	return next;
}
