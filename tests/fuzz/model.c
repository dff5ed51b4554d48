/*
 * Who is in, and what holds after each pass.
 */
#include "model.h"

#include <sys/param.h>

#include "facts.h"
#include "memory.h"
#include "target.h"

struct model model;

const char *const model_allow_text[MODEL_ALLOW] = {
    NULL, "\"10.0.0.0/30\"", "\"10.0.0.1\", \"fd00::/16\"", "\"::ffff:10.0.0.4/126\""};
const char *const model_deny_text[MODEL_DENY] = {NULL, "\"10.0.0.2\"", "\"fd00::/125\""};

static bool
has_ipv6(const struct peer *peer)
{
	return peer->listener == WORLD_LISTENERS - 1;
}

static bool
allowed(const struct rules *rules, const struct peer *peer)
{
	bool v6 = has_ipv6(peer);
	uint8_t host = peer->host;

	if ((rules->deny == 1 && !v6 && host == 2) || (rules->deny == 2 && v6 && host < 8))
		return false;
	switch (rules->allow) {
	case 1:
		return !v6 && host < 4;
	case 2:
		return v6 || host == 1;
	case 3:
		return !v6 && host >= 4 && host < 8;
	default:
		return true;
	}
}

const struct limits *
model_limits(void)
{
	return &server.config->limits;
}

/* A settings file bears its number as the mode of unix sockets, of which there are none. */
bool
model_allows(const struct peer *peer)
{
	return allowed(&model.rules[server.config->unix_mode], peer);
}

struct conn *
model_conn(const struct peer *peer)
{
	const struct pool *pool = &server.chat.pool;

	return peer->sd < pool->size ? pool->conns[peer->sd] : NULL;
}

/* The memory of the list is used again. */
void
model_reset(void)
{
	struct model fresh = {.entries = model.entries,
	    .size = model.size,
	    .text = {.data = model.text.data, .size = model.text.size},
	    .history = {.data = model.history.data, .size = model.history.size},
	    .always_chat = true,
	    .notices_due = CLOCK_NEVER,
	    .last_member = -1,
	    .last_leaving = -1};

	model = fresh;
	model_trace_reset();
	model_clear_notices();
}

int
model_settings(struct rules r, const struct limits *l, uint32_t history, bool chat)
{
	check(model.n_rules < SETTINGS_MAX);
	model.rules[model.n_rules] = r;
	model.most_line = MAX(model.most_line, l->line);
	model.most_queue = MAX(model.most_queue, l->queue);
	model.most_history = MAX(model.most_history, history);
	model.always_chat &= chat;
	model.ever_chat |= chat;
	return model.n_rules++;
}

/* --- who is there */

bool
model_must_leave(const struct peer *peer)
{
	return peer->too_long || peer->quits || peer->is_web;
}

bool
model_is_in(const struct peer *peer)
{
	return peer->state == MEMBER && !peer->left;
}

uint32_t
model_members(void)
{
	uint32_t count = 0;

	for (int i = 0; i < world.n_peers; i++)
		count += model_is_in(&world.peers[i]);
	return count;
}

/* All addresses of IPv6 are of one network. */
static bool
is_same_host(const struct peer *a, const struct peer *b)
{
	return has_ipv6(a) ? has_ipv6(b) : !has_ipv6(b) && a->host == b->host;
}

static uint32_t
members_from(const struct peer *peer)
{
	uint32_t count = 0;

	for (int i = 0; i < world.n_peers; i++)
		count += model_is_in(&world.peers[i]) && is_same_host(&world.peers[i], peer);
	return count;
}

bool
model_too_many(void)
{
	return model_members() >= model_limits()->clients;
}

bool
model_too_many_from(const struct peer *peer)
{
	uint32_t most = model_limits()->clients_per_address;

	return most > 0 && members_from(peer) >= most;
}

void
model_accepts(void)
{
	model_event(NULL);
	check(!model.goodbye);
	if (!world.signalled && world.ends == 0)
		check(!model_held() || !model_too_many());
}

void
model_accept_failed(void)
{
	model.pause_until = world.now + ACCEPTOR_PAUSE;
}

void
model_accepted(struct peer *peer)
{
	uint32_t count;

	tell("accepted as sd %d", peer->sd);
	peer->state = ACCEPTED;
	model.newcomer = peer;
	peer->heard = peer->took = world.now;
	peer->refused_before = memory.refused;
	/* In mode lines what was said earlier in this pass may still reach it. */
	if (model.chat)
		model.pass = model.count;
	count = model.count - model.pass + 1;
	if (count > peer->candidates_size) {
		peer->candidates_size = count;
		peer->candidates = realloc(peer->candidates, count * sizeof(struct cursor));
		if (peer->candidates == NULL)
			abort();
	}
	peer->n_candidates = count;
	for (uint32_t i = 0; i < count; i++)
		peer->candidates[i] = (struct cursor){.entry = model.pass + i};
	peer->before = peer->candidates[0];
}

/* Nothing was said to a newcomer at once, so it is in. */
static void
admit(struct peer *peer)
{
	model.newcomer = NULL;
	check(!peer->not_nonblocking && model_allows(peer));
	check(!model_too_many() && !model_too_many_from(peer));
	peer->state = MEMBER;
	model.most_members = MAX(model.most_members, model_members());
	if (model.chat)
		model_welcome(peer);
}

void
model_event(struct peer *peer)
{
	if (model.newcomer != NULL && model.newcomer != peer)
		admit(model.newcomer);
	model_update_mode();
	model_update_rates();
	model_update_notices();
	model_settle_offers();
	if (model.actor != NULL && model.actor != peer) {
		check(!model_is_in(model.actor) || !model_must_leave(model.actor));
		model.actor = NULL;
	}
}

void
model_skipped(void)
{
	model.skipped = true;
	model.rest_until = world.now + BACKOFF_REST;
}

/* --- what is sent */

void
model_sends(struct peer *peer)
{
	model_event(peer);
	model_touch(peer);
	model.refused = memory.refused;
	check(!peer->deaf);
	if (peer->state == LEAVING)
		check(!peer->ended && !peer->written && (peer->writable || model.actor == peer));
	else if (peer->state == MEMBER)
		check(peer->left ? model.actor == peer : peer->writable);
	else
		check(peer->state == REFUSED && peer->told_len == 0);
}

void
model_sent(struct peer *peer, const char *data, size_t len)
{
	size_t beyond = len;

	tell("sent to sd %d: %zu bytes", peer->sd, len);
	if (model.always_chat)
		model_look(peer, data, len);
	if (peer->state != REFUSED)
		beyond = model_advance(peer, data, len);
	if (beyond > 0)
		model_take_told(peer, data + len - beyond, beyond);
	if (model_is_in(peer))
		model_progressed(peer, len);
}

/* --- passes */

static void
check_member(struct peer *peer, size_t most)
{
	if (peer->left || model_must_leave(peer))
		die("sd %d is still there, though it was to be removed", peer->sd);
	if (!model_allows(peer))
		die("sd %d is still there, though it is not allowed", peer->sd);
	if (model_is_idle(peer))
		die("sd %d is still there, though it is idle", peer->sd);
	if (!peer->query_failed && (model_stalls(peer) || model_lags(peer)))
		die("sd %d is still there, though it holds everybody up", peer->sd);
	model_settle(peer);
	if (!peer->deaf && model_lag(peer).least > most)
		die("%zu bytes wait for sd %d, at most %zu may", model_lag(peer).least, peer->sd,
		    most);
	model_update_hold(peer);
}

static void
check_end(void)
{
	bool undone = false;

	if (world.ends == 0)
		return;
	check(world.ends == 1);
	if (!model.goodbye) {
		check(world.now < world.end_at + SERVER_LISTEN);
		check(!model.quiet || model.skipped || memory.refused != model.pass_refused);
		return;
	}
	check(world.now < model.goodbye_at + SERVER_DRAIN && model_members() == 0);
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		undone |= peer->state == LEAVING && (!peer->written || !model_is_quiet(peer));
	}
	if (!undone)
		die("the server does not end, though all have left");
}

/* Spans take 16 bytes, two for what a member said, in an array that doubles. */
static void
check_memory(size_t most)
{
	size_t leaving = 0, bound, grown = model.ever_chat ? 10 : 1;

	for (int i = 0; i < world.n_peers; i++)
		leaving += world.peers[i].state == LEAVING;
	bound = (12 + leaving) * MAX((size_t)ARENA_BUF, 2 * grown * (model.most_line + 65536UL)) +
		most * 66 + (model.most_members + leaving) * (model.most_line * 2UL + 4096) + 65536;
	/* Answers, and histories that are not read. */
	if (model.ever_chat)
		bound += (model.most_members + leaving + 4) * (model.most_history + 24576UL);
	if (memory.bytes > bound)
		die("%zu bytes of memory, at most %zu may be", memory.bytes, bound);
}

void
model_pass_ends(void)
{
	/* In mode chat a short line grows to ten times its length. */
	size_t grown = model.ever_chat ? 10 : 1;
	size_t most = (MAX(model.most_queue, 512 * model.most_members) * grown) + model.most_queue +
		      model.most_members * (model.most_line + 17 * (grown - 1)) +
		      (size_t)model.extra;

	model_event(NULL);
	if (memory.refused != model.pass_refused)
		model.rest_until = world.now + BACKOFF_REST;
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		if (peer->state == MEMBER || peer->state == LEAVING)
			model_check_served(peer);
		if (peer->state == REFUSED)
			die("sd %d is still there, though it was refused", peer->sd);
		if (peer->state == LEAVING)
			model_check_leaving(peer);
		if (peer->state == MEMBER)
			check_member(peer, most);
	}
	check_end();
	model_check_notices();
	check(model.position == server.chat.broadcast.intake.arena.position);
	model_wake();
	model_update_budget();
	check_memory(most);
	model_trace_waits();
}

/* Whether select was asked about all, and nothing comes from anybody. */
static bool
is_quiet(void)
{
	for (int i = 0; i < WORLD_LISTENERS; i++)
		if (world.listeners[i].open && world.listeners[i].readable)
			return false;
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->state == MEMBER && (!peer->asked_readable || peer->readable))
			return false;
	}
	return world.ends > 0 && !world.signalled && world.now >= model.rest_until;
}

void
model_pass_begins(bool answered)
{
	model.pass = model.count;
	model.valid = (int)server.config->unix_mode;
	model.pass_refused = model.refused = memory.refused;
	model.skipped = false;
	model.announced = 0;
	model.readers = 0;
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		if (peer->state != MEMBER)
			continue;
		model.readers += peer->readable;
		peer->before = peer->candidates[0];
	}
	model.quiet = answered && is_quiet();
}
