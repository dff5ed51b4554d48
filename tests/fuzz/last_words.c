/*
 * Who leaves, why, and what it is told.
 */
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "facts.h"
#include "memory.h"
#include "target.h"

enum reason {
	TOO_LONG,
	QUITS,
	IS_WEB,
	SHUT_OUT,
	CROWDED,
	CROWDED_HOST,
	NO_MEMORY,
	IDLE,
	STALLED,
	LAGGED,
	THE_END,
	N_REASONS
};

#define TIME  (2 * CLOCK_SECOND) /* that one may take to leave */
#define QUIET (CLOCK_SECOND / 4) /* without a byte from one, until nothing more comes */
#define MOST  64                 /* that leave at the same time */

static int
last_line(const struct peer *peer, enum reason reason, char *line, size_t size)
{
	const struct limits *l = &peer->limits_then;

	switch (reason) {
	case TOO_LONG:
		return snprintf(line, size, "chatd: line too long, at most %u bytes\n", l->line);
	case QUITS:
		return snprintf(line, size, "chatd: goodbye\n");
	case IS_WEB:
		return snprintf(line, size, "chatd: this is no web server\n");
	case SHUT_OUT:
		return snprintf(line, size, "chatd: your address is not allowed\n");
	case CROWDED:
		return snprintf(line, size, "chatd: too many clients, at most %u\n", l->clients);
	case CROWDED_HOST:
		return snprintf(line, size,
		    "chatd: too many clients from your address, at most %u\n",
		    l->clients_per_address);
	case NO_MEMORY:
		return snprintf(line, size, "chatd: out of memory\n");
	case IDLE:
		return snprintf(line, size, "chatd: idle for %u seconds\n", l->idle);
	case STALLED:
		return snprintf(line, size, "chatd: took nothing for %u seconds\n", l->stall);
	case LAGGED:
		return snprintf(line, size, "chatd: held everybody up for %u seconds\n", l->lag);
	default:
		return snprintf(line, size, "chatd: the server ends\n");
	}
}

/* Whether so much of the last line for a reason was told. */
static bool
is_told(const struct peer *peer, enum reason reason, bool whole)
{
	char line[128];
	size_t len = (size_t)last_line(peer, reason, line, sizeof(line));

	return (whole ? peer->told_len == len : peer->told_len <= len) &&
	       memcmp(line, peer->told, peer->told_len) == 0;
}

void
model_take_told(struct peer *peer, const char *data, size_t len)
{
	tell("told to sd %d: %.*s", peer->sd, (int)len, data);
	check(peer->reasons != 0 && peer->told_len + len <= sizeof(peer->told));
	memcpy(peer->told + peer->told_len, data, len);
	peer->told_len += len;
	for (enum reason reason = TOO_LONG; reason < N_REASONS; reason++)
		if (!is_told(peer, reason, false))
			peer->reasons &= ~(1U << reason);
	if (peer->reasons == 0)
		die("sd %d is told what is not true: %.*s", peer->sd, (int)peer->told_len,
		    peer->told);
}

bool
model_told_all(const struct peer *peer)
{
	if (peer->deaf || (peer->told_len == 0 && peer->may_be_untold))
		return true;
	for (enum reason reason = TOO_LONG; reason < N_REASONS; reason++)
		if ((peer->reasons & 1U << reason) != 0 && is_told(peer, reason, true))
			return true;
	return false;
}

bool
model_is_idle(const struct peer *peer)
{
	uint32_t idle = model_limits()->idle;

	return idle > 0 && world.now - peer->heard >= idle * CLOCK_SECOND && peer->asked_readable &&
	       !peer->readable && !world.forgets;
}

/* When one too many leaves, the oldest is closed at once. */
static void
make_room(void)
{
	struct peer *oldest = NULL;
	uint32_t count = 0;

	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		if (peer->state != LEAVING || peer->ended)
			continue;
		count++;
		if (oldest == NULL || peer->turn < oldest->turn)
			oldest = peer;
	}
	check(count <= MOST + 1 || model.goodbye);
	if (count <= MOST || model.goodbye)
		return;
	oldest->ended = true;
	model_trace_removal(oldest->sd);
}

static void
leave(struct peer *peer, unsigned reasons)
{
	tell("sd %d leaves, reasons %#x", peer->sd, reasons);
	if (reasons == 0)
		die("sd %d leaves without a reason", peer->sd);
	peer->state = LEAVING;
	peer->reasons = reasons;
	peer->limits_then = *model_limits();
	peer->may_be_untold = memory.refused != model.refused;
	peer->left_at = peer->quiet_at = world.now;
	peer->turn = model.turns++;
	peer->holds = peer->parked = false;
	model_forget_name(peer);
	model_cut(peer, reasons == 1U << THE_END || reasons == 1U << QUITS);
	model.actor = peer;
	make_room();
}

/* Those who have spoken before the signal to end have been heard, or it took too long. */
static void
check_heard(void)
{
	if (world.ends > 1 || world.now >= world.end_at + SERVER_LISTEN)
		return;
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (model_is_in(peer) && (peer->taken < peer->owed || peer->owed_fin))
			die("sd %d is not heard before the end", peer->sd);
	}
}

void
model_closes_listener(int index)
{
	/* Accepting has failed, or the time for it is over. */
	bool has_reason = model.pause_until > (world.ends > 0 ? world.end_at : world.now) ||
			  (world.ends > 0 && world.now >= world.end_at + SERVER_LISTEN);

	model_event(NULL);
	if (world.closing || world.cut_short)
		return;
	if (!has_reason && memory.refused == model.pass_refused)
		for (int i = 0; i < world.listeners[index].waiting; i++)
			if (world.listeners[index].backlog[i] < world.n_at_end || world.ends == 0)
				die("who waits at a listener is forgotten");
	if (world.ends == 0 || model.goodbye)
		return;
	tell("goodbye");
	model.goodbye = true;
	model.goodbye_at = world.now;
	check_heard();
}

static unsigned
reasons_of(const struct peer *peer)
{
	unsigned reasons = 0;

	if (model_must_leave(peer))
		return 1U << (peer->quits ? QUITS : peer->is_web ? IS_WEB : TOO_LONG);
	if (model.goodbye)
		return 1U << THE_END;
	if (!model_allows(peer))
		return 1U << SHUT_OUT;
	if (model_stalls(peer))
		reasons |= 1U << STALLED;
	if (model_lags(peer) && (reasons == 0 || peer->query_failed))
		reasons |= 1U << LAGGED;
	if (model_is_idle(peer) && (reasons == 0 || peer->query_failed))
		reasons |= 1U << IDLE;
	return reasons;
}

/* A newcomer that is not let in. */
static void
refuse(struct peer *peer)
{
	unsigned reasons = 0;

	check(!peer->not_nonblocking);
	model.newcomer = NULL;
	peer->limits_then = *model_limits();
	if (model_conn(peer) == NULL) {
		peer->state = REFUSED;
		peer->reasons = 1U << NO_MEMORY;
		check(memory.refused > peer->refused_before);
		return;
	}
	check(model_conn(peer)->life >= CONN_LEAVING);
	if (!model_allows(peer))
		reasons = 1U << SHUT_OUT;
	else if (model_too_many())
		reasons = 1U << CROWDED;
	else if (model_too_many_from(peer))
		reasons = 1U << CROWDED_HOST;
	check(reasons != 1U << CROWDED || !model_held() || world.signalled || world.ends > 0);
	leave(peer, reasons);
}

void
model_touch(struct peer *peer)
{
	if (peer->state == ACCEPTED) {
		refuse(peer);
		return;
	}
	if (!model_is_in(peer))
		return;
	if (model_conn(peer)->life >= CONN_LEAVING)
		leave(peer, reasons_of(peer));
	check(!model_is_in(peer) || !model_must_leave(peer));
}

void
model_shut(struct peer *peer)
{
	tell("sd %d shut", peer->sd);
	model_event(peer);
	model_touch(peer);
	if (peer->state == MEMBER) {
		check(peer->deaf && !peer->left && !peer->shut);
		peer->holds = false;
	} else if (peer->state == LEAVING) {
		check(!peer->written && !peer->ended);
		check(peer->deaf || (model_missing(peer) == 0 && model_told_all(peer)));
		peer->written = true;
	} else {
		check(peer->state == REFUSED);
	}
}

void
model_closes(struct peer *peer)
{
	check(!peer->eof);
	peer->eof = true;
	model_trace("Connection closed for sd %d", peer->sd);
}

void
model_sends_on(struct peer *peer)
{
	peer->quiet_at = world.now + QUIET;
}

bool
model_is_quiet(const struct peer *peer)
{
	return world_unacked(peer) <= 1 && world_unread(peer) == 0 && world.now >= peer->quiet_at;
}

static bool
is_done(const struct peer *peer)
{
	return peer->written && (peer->eof || model_is_quiet(peer));
}

static bool
is_late(const struct peer *peer)
{
	return !model.goodbye && world.now >= peer->left_at + TIME;
}

/* The server waits, and this one leaves. */
void
model_check_leaving(const struct peer *peer)
{
	if (peer->ended || is_late(peer) || (is_done(peer) && (!model.goodbye || peer->eof)))
		die("sd %d is still there, though it has left", peer->sd);
}

/* At the very end all are closed, in ascending order. */
static void
close_last(const struct peer *peer)
{
	int *last = peer->state == MEMBER ? &model.last_member : &model.last_leaving;

	check(peer->sd > *last);
	*last = peer->sd;
	if (world.ends > 1 || world.cut_short)
		return;
	check(peer->state == LEAVING && model.goodbye);
	check(is_done(peer) || (peer->written && peer->query_failed) ||
	      world.now >= model.goodbye_at + SERVER_DRAIN);
}

void
model_closed(struct peer *peer)
{
	tell("sd %d closed", peer->sd);
	model_event(peer->not_nonblocking ? peer : NULL);
	if (!peer->ended && !peer->not_nonblocking)
		model_trace_removal(peer->sd);
	if (peer->state == REFUSED)
		return;
	if (peer->state == ACCEPTED) {
		model.newcomer = NULL;
	} else if (world.closing) {
		close_last(peer);
	} else if (peer->state == LEAVING) {
		if (!peer->ended && !is_late(peer) && !is_done(peer) &&
		    !(peer->written && peer->query_failed))
			die("sd %d is closed before it has left", peer->sd);
	} else if (!peer->left) {
		die("sd %d is removed without a reason", peer->sd);
	}
}
