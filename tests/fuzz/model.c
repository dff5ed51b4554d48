#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "memory.h"
#include "sanitized.h"
#include "target.h"

#define SETTINGS_MAX 512

struct entry {
	int origin;   /* index of the peer */
	size_t begin; /* of its bytes in said */
	size_t end;
};

static struct {
	struct entry *entries;
	uint32_t count, size;
	uint32_t pass; /* first entry of this pass */
	struct bytes said;
	struct rules rules[SETTINGS_MAX];
	int n_rules;
	struct peer *newcomer; /* accepted, and perhaps not let in */
	int valid;             /* number of the settings that members were last looked at by */
	/* the largest that ever was, for the bounds of memory */
	uint32_t most_line, most_queue, most_members;
	/* the trace */
	struct bytes due;        /* lines that have to be written */
	size_t due_seen;         /* and so many bytes of them were */
	struct bytes written;    /* a line that is not complete yet */
	bool waiting_written;    /* the last line was "Waiting on select()..." */
	bool maxfd_written;      /* the last line was "MaxFd ..." */
	int removals[WORLD_FDS]; /* closed descriptors whose line is due */
} model;

const char *const model_allow_text[MODEL_ALLOW] = {
    NULL, "\"10.0.0.0/30\"", "\"10.0.0.1\", \"fd00::/16\"", "\"::ffff:10.0.0.4/126\""};
const char *const model_deny_text[MODEL_DENY] = {NULL, "\"10.0.0.2\"", "\"fd00::/125\""};

static bool
allowed(const struct rules *rules, const struct peer *peer)
{
	bool v6 = peer->listener == WORLD_LISTENERS - 1;
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

static const struct limits *
limits(void)
{
	return &server.config->limits;
}

/* A settings file bears its number as the mode of unix sockets, of which there are none. */
static const struct rules *
rules(void)
{
	return &model.rules[server.config->unix_mode];
}

void
model_reset(void)
{
	model.count = model.pass = 0;
	model.said.len = model.due.len = model.due_seen = model.written.len = 0;
	model.n_rules = 0;
	model.newcomer = NULL;
	model.valid = 0;
	model.most_line = model.most_queue = model.most_members = 0;
	model.waiting_written = model.maxfd_written = false;
	memset(model.removals, 0, sizeof(model.removals));
}

int
model_settings(struct rules r, const struct limits *l)
{
	check(model.n_rules < SETTINGS_MAX);
	model.rules[model.n_rules] = r;
	model.most_line = MAX(model.most_line, l->line);
	model.most_queue = MAX(model.most_queue, l->queue);
	return model.n_rules++;
}

/* --- what is said */

static void
say(const struct peer *peer, const char *data, size_t len)
{
	struct entry *entry;

	if (len == 0)
		return;
	if (model.count == model.size) {
		model.size = model.size * 2 + 64;
		model.entries = realloc(model.entries, model.size * sizeof(*model.entries));
		if (model.entries == NULL)
			abort();
	}
	entry = &model.entries[model.count++];
	entry->origin = (int)(peer - world.peers);
	entry->begin = model.said.len;
	bytes_add(&model.said, data, len);
	entry->end = model.said.len;
	tell("said by sd %d: %zu bytes", peer->sd, len);
}

/* Says the first whole bytes of what is held, which are whole lines. */
static void
say_held(struct peer *peer, size_t whole)
{
	struct bytes *held = &peer->held;

	if (whole == 0)
		return;
	if (server.config->sanitize)
		model_sanitize(held->data, whole);
	say(peer, held->data, whole);
	held->len -= whole;
	memmove(held->data, held->data + whole, held->len);
	peer->heard = world.now;
}

void
model_received(struct peer *peer, const char *data, size_t len)
{
	struct bytes *held = &peer->held;
	size_t begin = 0, max = limits()->line;
	const char *end;

	bytes_add(held, data, len);
	while (peer->removed == STAYS && begin < held->len) {
		end = memchr(held->data + begin, '\n', held->len - begin);
		if (end == NULL && held->len - begin < max)
			break;
		if (end == NULL || (size_t)(end - held->data) + 1 - begin > max)
			peer->removed = TOO_LONG;
		else
			begin = (size_t)(end - held->data) + 1;
	}
	say_held(peer, begin);
}

void
model_ended(struct peer *peer, enum removal how)
{
	int error = errno;

	if (peer->held.len >= limits()->line) {
		peer->removed = TOO_LONG;
		return;
	}
	if (peer->held.len > 0) {
		bytes_add(&peer->held, "\n", 1);
		say_held(peer, peer->held.len);
	}
	if (how == LEFT)
		model_trace("Connection closed for sd %d", peer->sd);
	peer->removed = how;
	errno = error;
}

/* --- who is there */

static uint32_t
members(void)
{
	uint32_t count = 0;

	for (int i = 0; i < world.n_peers; i++)
		count += world.peers[i].state == MEMBER && world.peers[i].removed == STAYS;
	return count;
}

static uint32_t
members_from(const struct peer *peer)
{
	uint32_t count = 0;

	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *other = &world.peers[i];

		count += other->state == MEMBER && other->removed == STAYS &&
			 other->host == peer->host &&
			 (other->listener == WORLD_LISTENERS - 1) ==
			     (peer->listener == WORLD_LISTENERS - 1);
	}
	return count;
}

/* New rules shut out members at once. */
static void
shut_out(void)
{
	if (model.valid == (int)server.config->unix_mode)
		return;
	model.valid = (int)server.config->unix_mode;
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		if (peer->state == MEMBER && peer->removed == STAYS && !allowed(rules(), peer))
			peer->removed = SHUT_OUT;
	}
}

/* What the server has to come by for each way of turning a newcomer away. */
static bool
too_many(void)
{
	return members() >= limits()->clients;
}

static bool
too_many_from(const struct peer *peer)
{
	return limits()->clients_per_address > 0 &&
	       members_from(peer) >= limits()->clients_per_address;
}

void
model_accepted(struct peer *peer)
{
	uint32_t count = model.count - model.pass + 1;

	tell("accepted as sd %d", peer->sd);
	shut_out();
	peer->state = ACCEPTED;
	model.newcomer = peer;
	peer->heard = peer->took = world.now;
	peer->refused_before = memory.refused;
	/* What was said earlier in this pass may still reach it. */
	if (count > peer->candidates_size) {
		peer->candidates_size = count;
		peer->candidates = realloc(peer->candidates, count * sizeof(struct cursor));
		if (peer->candidates == NULL)
			abort();
	}
	peer->n_candidates = count;
	for (uint32_t i = 0; i < count; i++)
		peer->candidates[i] = (struct cursor){.entry = model.pass + i};
}

void
model_admit(void)
{
	struct peer *peer = model.newcomer;

	model.newcomer = NULL;
	if (peer != NULL && peer->state == ACCEPTED) {
		check(peer->told_len == 0 && !peer->not_nonblocking);
		check(allowed(rules(), peer) && !too_many() && !too_many_from(peer));
		peer->state = MEMBER;
		model.most_members = MAX(model.most_members, members());
	}
	shut_out();
}

/* --- what peers get */

/* Puts a cursor behind entries of the peer itself. */
static void
skip_own(const struct peer *peer, struct cursor *cursor)
{
	while (cursor->entry < model.count &&
	       model.entries[cursor->entry].origin == peer - world.peers) {
		check(cursor->offset == 0);
		cursor->entry++;
	}
}

/* Moves a cursor over what was sent. Returns how much of it was to be sent. */
static size_t
advance(const struct peer *peer, struct cursor *cursor, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const struct entry *entry;
		size_t n;

		skip_own(peer, cursor);
		if (cursor->entry == model.count)
			return done;
		entry = &model.entries[cursor->entry];
		n = MIN(entry->end - entry->begin - cursor->offset, len - done);
		if (memcmp(model.said.data + entry->begin + cursor->offset, data + done, n) != 0)
			return done;
		done += n;
		cursor->offset += n;
		if (entry->begin + cursor->offset == entry->end)
			*cursor = (struct cursor){.entry = cursor->entry + 1};
	}
	return done;
}

static bool says(const struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether the last line of a peer is this, as far as it was sent. */
static bool
says(const struct peer *peer, const char *format, ...)
{
	char text[128];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return peer->told_len <= (size_t)len && memcmp(text, peer->told, peer->told_len) == 0;
}

static bool
is_idle(const struct peer *peer)
{
	return limits()->idle > 0 && world.now - peer->heard >= limits()->idle * CLOCK_SECOND;
}

/* Checks a last line, and takes down what it says. */
static void
take_told(struct peer *peer, const char *data, size_t len)
{
	bool refused = peer->state == ACCEPTED;

	tell("told to sd %d: %.*s", peer->sd, (int)len, data);
	check(peer->told_len == 0 && len < sizeof(peer->told));
	memcpy(peer->told, data, len);
	peer->told_len = len;
	if (!allowed(rules(), peer) && says(peer, "chatd: your address is not allowed\n")) {
		if (peer->removed == STAYS)
			peer->removed = SHUT_OUT;
	} else if (refused) {
		check((too_many() &&
			  says(peer, "chatd: too many clients, at most %u\n", limits()->clients)) ||
		      (too_many_from(peer) &&
			  says(peer, "chatd: too many clients from your address, at most %u\n",
			      limits()->clients_per_address)) ||
		      (memory.refused > peer->refused_before &&
			  says(peer, "chatd: out of memory\n")));
	} else if (peer->removed == TOO_LONG) {
		check(says(peer, "chatd: line too long, at most %u bytes\n", limits()->line));
	} else {
		check(peer->removed == STAYS && is_idle(peer));
		check(says(peer, "chatd: idle for %u seconds\n", limits()->idle));
		peer->removed = IDLE;
	}
}

void
model_sent(struct peer *peer, const char *data, size_t len)
{
	uint32_t kept = 0;
	size_t beyond = len;

	tell("sent to sd %d: %zu bytes", peer->sd, len);
	if (peer->state == ACCEPTED) {
		take_told(peer, data, len);
		return;
	}
	check(!peer->deaf && peer->told_len == 0);
	/* Only who is ready, or who is about to go. */
	check(peer->writable || peer->removed != STAYS || is_idle(peer));
	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor moved = peer->candidates[i];
		size_t done = advance(peer, &moved, data, len);

		skip_own(peer, &moved);
		/* What goes beyond all that was said can only be a last line. */
		if (len - done > beyond ||
		    (done < len && (moved.entry < model.count || moved.offset > 0)))
			continue;
		if (len - done < beyond)
			kept = 0;
		beyond = len - done;
		peer->candidates[kept++] = moved;
	}
	if (kept == 0)
		die("sd %d gets what nobody said: %.*s", peer->sd, (int)MIN(len, 200), data);
	peer->n_candidates = kept;
	if (beyond > 0)
		take_told(peer, data + len - beyond, beyond);
}

void
model_refused(const struct peer *peer)
{
	/* It is not tried again, but for a last line. */
	check(!peer->deaf || peer->removed != STAYS || is_idle(peer) || peer->state == ACCEPTED);
}

size_t
model_missing(const struct peer *peer)
{
	size_t least = SIZE_MAX;

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor cursor = peer->candidates[i];
		size_t missing = 0;

		skip_own(peer, &cursor);
		for (uint32_t e = cursor.entry; e < model.count; e++)
			if (model.entries[e].origin != peer - world.peers)
				missing += model.entries[e].end - model.entries[e].begin;
		least = MIN(least, missing - cursor.offset);
	}
	return least;
}

/*
 * Bytes that were said since the oldest that the peer has still to get. What that is may be unknown
 * as long as it took nothing: at least and at most. Last lines of others do not count.
 */
struct lag {
	size_t least, most;
};

static struct lag
lag(const struct peer *peer)
{
	struct lag lag = {.least = SIZE_MAX};

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor cursor = peer->candidates[i];
		size_t waits = 0;

		skip_own(peer, &cursor);
		if (cursor.entry < model.count)
			waits = model.said.len - model.entries[cursor.entry].begin - cursor.offset;
		lag.least = MIN(lag.least, waits);
		lag.most = MAX(lag.most, waits);
	}
	return lag;
}

static bool
is_stalled(const struct peer *peer)
{
	return world.now - peer->took >= limits()->stall * CLOCK_SECOND &&
	       lag(peer).most > limits()->queue / 2;
}

void
model_shut(struct peer *peer)
{
	tell("sd %d shut", peer->sd);
	if (peer->state == ACCEPTED) {
		/* Not let in, and perhaps it could not even be told. */
		check(peer->told_len > 0 || !allowed(rules(), peer) || too_many() ||
		      too_many_from(peer) || memory.refused > peer->refused_before);
		peer->state = REFUSED;
		return;
	}
	model_admit();
	check(peer->state == MEMBER);
	check(peer->deaf || peer->removed != STAYS || is_idle(peer));
}

void
model_closed(struct peer *peer)
{
	tell("sd %d closed", peer->sd);
	shut_out();
	model.removals[peer->sd] += server.config->trace && !peer->not_nonblocking;
	if (peer->state == REFUSED)
		return;
	if (peer->state == ACCEPTED) {
		check(peer->not_nonblocking);
		return;
	}
	check(peer->state == MEMBER);
	if (!(world.closing || peer->removed != STAYS || is_idle(peer) || is_stalled(peer)))
		die("sd %d is removed without a reason", peer->sd);
}

/* --- passes */

void
model_pass_begins(void)
{
	model.pass = model.count;
}

static int
highest(void)
{
	int maxfd = -1;

	for (int fd = 3; fd < WORLD_FDS; fd++) {
		const struct peer *peer = world_peer(fd);

		if (world.files[fd].kind == LISTENER || (peer != NULL && peer->removed == STAYS))
			maxfd = fd;
	}
	return maxfd;
}

void
model_pass_ends(void)
{
	size_t most = MAX(model.most_queue, 512 * model.most_members) + model.most_queue +
		      model.most_members * model.most_line;

	model_admit();
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->state == REFUSED)
			die("sd %d is still there, though it was refused", peer->sd);
		if (peer->state != MEMBER)
			continue;
		if (peer->removed != STAYS)
			die("sd %d is still there, though it was to be removed", peer->sd);
		check(peer->told_len == 0);
		if (!peer->deaf && lag(peer).least > most)
			die("%zu bytes wait for sd %d, at most %zu may", lag(peer).least, peer->sd,
			    most);
	}
	/* Spans take 16 bytes, two for what a member said, in an array that doubles. */
	check(memory.bytes <= 12 * (size_t)ARENA_BUF + most * 66 +
				  (size_t)model.most_members * (model.most_line * 2 + 4096));
	if (server.config->trace && !world.out.disturbed)
		check(model.maxfd_written);
	model_trace_ends();
	model.due.len = model.due_seen = 0;
}

/* --- the trace */

void
model_trace_ends(void)
{
	if (world.out.disturbed)
		return;
	check(model.due_seen == model.due.len && model.written.len == 0);
	for (int sd = 0; sd < WORLD_FDS; sd++)
		check(model.removals[sd] == 0);
}

void
model_trace(const char *format, ...)
{
	char line[128];
	va_list args;
	int len;

	if (!server.config->trace)
		return;
	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[len] = '\n';
	bytes_add(&model.due, line, (size_t)len + 1);
}

static bool
is_line(const char *line, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(line, text, len) == 0;
}

/* A line of the trace is one that is due, or tells that somebody is removed. */
static void
take_line(const char *line, size_t len)
{
	static const char removing[] = "removing connection with sd ";
	char text[64];

	model.maxfd_written = false;
	if (world.out.disturbed)
		return;
	if (strncmp(line, removing, strlen(removing)) == 0) {
		int sd = atoi(line + strlen(removing));

		snprintf(text, sizeof(text), "%s%d \n", removing, sd);
		check(is_line(line, len, text));
		check(sd > 2 && sd < WORLD_FDS);
		model.removals[sd]--;
	} else if (model.waiting_written) {
		snprintf(text, sizeof(text), "MaxFd %d\n", highest());
		check(is_line(line, len, text));
		model.maxfd_written = true;
		model.waiting_written = false;
	} else if (is_line(line, len, "Waiting on select()...\n")) {
		check(model.due_seen == model.due.len);
		model.waiting_written = true;
	} else {
		if (model.due.len - model.due_seen < len ||
		    memcmp(model.due.data + model.due_seen, line, len) != 0)
			die("the trace says: %.*sinstead of: %.*s", (int)len, line,
			    (int)(model.due.len - model.due_seen), model.due.data + model.due_seen);
		model.due_seen += len;
	}
}

void
model_traced(const char *data, size_t len)
{
	struct bytes *written = &model.written;
	size_t done = 0;
	char *end;

	bytes_add(written, data, len);
	while ((end = memchr(written->data + done, '\n', written->len - done)) != NULL) {
		char *line = written->data + done;

		take_line(line, (size_t)(end - line) + 1);
		done += (size_t)(end - line) + 1;
	}
	written->len -= done;
	memmove(written->data, written->data + done, written->len);
}
