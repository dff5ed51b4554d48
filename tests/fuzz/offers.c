/*
 * Parts for one peer alone: a welcome, a history, an answer. It gets each whole, or, where memory
 * is refused, not at all. What waits for it in the server tells which.
 */
#include <string.h>

#include "facts.h"
#include "memory.h"
#include "target.h"

void
model_offer(struct peer *peer, const char *data, size_t len, bool may_lack)
{
	check(model.n_offers < OFFERS_MAX);
	model.offers[model.n_offers++] =
	    (struct offer){.peer = peer, .entry = model.count, .may_lack = may_lack};
	model_add(-1, model_index(peer), data, len);
}

/* What waits for a connection: in its queue, and what this pass has brought so far. */
static void
append_waiting(const struct conn *conn, struct bytes *waiting)
{
	const struct msg *fresh = &server.chat.broadcast.fresh;
	size_t before = fresh->len, after = fresh->len;

	for (uint32_t i = conn->queue.head; i < conn->queue.tail; i++)
		bytes_add(waiting, msg_data(&conn->queue.spans[i]), conn->queue.spans[i].len);
	if (fresh->buf == NULL || conn->life != CONN_OPEN)
		return;
	if (conn->own.len > 0) {
		before = conn->own.off - fresh->off;
		after = before + conn->own.len;
	}
	bytes_add(waiting, msg_data(fresh), before);
	bytes_add(waiting, msg_data(fresh) + after, fresh->len - after);
}

static bool
is_last_line(const char *data, size_t len)
{
	return len == 0 || (len > 7 && memcmp(data, "chatd: ", 7) == 0);
}

/* Whether what waits is what the peer has to get without the offers in the mask. */
static bool
fits(const struct offer *offers, int count, unsigned mask, const struct bytes *waiting)
{
	static struct bytes missing;
	const struct peer *peer = offers->peer;
	bool leaves = model_conn(peer)->life >= CONN_LEAVING;

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		missing.len = 0;
		model_append_missing(peer, peer->candidates[i], offers, count, mask, &missing);
		if (missing.len > waiting->len ||
		    (missing.len > 0 && memcmp(missing.data, waiting->data, missing.len) != 0))
			continue;
		if (missing.len == waiting->len ||
		    (leaves &&
			is_last_line(waiting->data + missing.len, waiting->len - missing.len)))
			return true;
	}
	return false;
}

static void
settle(const struct offer *offers, int count)
{
	static struct bytes waiting;
	const struct peer *peer = offers->peer;
	const struct conn *conn = model_conn(peer);
	unsigned mask = 0;

	/* What waited for one that is dismissed is cut, and who is removed gets nothing more. */
	if (conn == NULL || peer->deaf ||
	    (conn->life >= CONN_LEAVING && !peer->quits && !model.goodbye))
		return;
	waiting.len = 0;
	append_waiting(conn, &waiting);
	while (!fits(offers, count, mask, &waiting))
		if (++mask >> count != 0)
			die("sd %d is not to get what waits for it", peer->sd);
	for (int i = 0; i < count; i++) {
		struct entry *entry = &model.entries[offers[i].entry];

		if ((mask >> i & 1) != 0)
			entry->end = entry->begin;
	}
}

void
model_settle_offers(void)
{
	bool refused = memory.refused != model.refused;
	int count;

	for (int i = 0; i < model.n_offers; i += count) {
		const struct offer *offers = &model.offers[i];
		bool may_lack = refused;

		for (count = 0; i + count < model.n_offers && offers[count].peer == offers->peer;
		     count++)
			may_lack |= offers[count].may_lack;
		if (may_lack)
			settle(offers, count);
	}
	model.n_offers = 0;
}
