/*
 * What was said, and who gets how much of it.
 */
#include <string.h>
#include <sys/param.h>

#include "facts.h"
#include "memory.h"
#include "sanitized.h"
#include "target.h"

/* Bytes of the answers to one recv: more are left out, whole ones. */
#define ANSWERS_MAX (TELNET_ANSWERS_MAX / 3 * 3)

int
model_index(const struct peer *peer)
{
	return (int)(peer - world.peers);
}

void
model_add(int origin, int only, const char *data, size_t len)
{
	struct entry *entry;

	if (model.count == model.size) {
		model.size = model.size * 2 + 64;
		model.entries = realloc(model.entries, model.size * sizeof(*model.entries));
		if (model.entries == NULL)
			abort();
	}
	entry = &model.entries[model.count++];
	*entry = (struct entry){.origin = origin,
	    .only = only,
	    .begin = model.text.len,
	    .end = model.text.len + len,
	    .position = model.position};
	bytes_add(&model.text, data, len);
	if (only < 0)
		model.position += len;
}

/* Says the first whole bytes of what is held, which are whole lines. */
static void
say_held(struct peer *peer, size_t whole)
{
	struct bytes *held = &peer->held;

	if (whole == 0)
		return;
	tell("said by sd %d: %zu bytes", peer->sd, whole);
	if (model.chat) {
		model_talk(peer, held->data, whole);
	} else {
		if (server.config->sanitize)
			model_sanitize(held->data, whole);
		model_add(model_index(peer), -1, held->data, whole);
	}
	held->len -= whole;
	memmove(held->data, held->data + whole, held->len);
	peer->heard = world.now;
}

static void
say_lines(struct peer *peer)
{
	struct bytes *held = &peer->held;
	size_t begin = 0, lines = 0, max = model_limits()->line;
	const char *end;

	while (!peer->too_long && begin < held->len) {
		end = memchr(held->data + begin, '\n', held->len - begin);
		if (end == NULL && held->len - begin < max)
			break;
		if (end == NULL || (size_t)(end - held->data) + 1 - begin > max)
			peer->too_long = true;
		else
			begin = (size_t)(end - held->data) + 1;
		lines += !peer->too_long;
	}
	model_charge(peer, 0, lines);
	say_held(peer, begin);
}

/* --- telnet */

enum answered {
	NOT,
	MAYBE,
	SURELY
};

/*
 * Whoever has too much waiting gets no answer. What waits is looked at when the answers to commands
 * of mode chat are there, in a span of their own, and perhaps two more before them.
 */
static enum answered
is_answered(const struct peer *peer, size_t weight)
{
	const struct queue *queue = &model_conn(peer)->queue;
	size_t now = weight;

	if (peer->deaf || model_must_leave(peer) || weight >= TELNET_ANSWERS_MAX)
		return NOT;
	if (model.n_offers > 0)
		now = model_missing(peer) + (queue->tail - queue->head + 3UL) * QUEUE_SPAN;
	return now < TELNET_ANSWERS_MAX ? SURELY : MAYBE;
}

/* Takes the commands out of what came. Returns the length of the answers. */
static size_t
hear(struct peer *peer, const char *data, size_t len, char **answer)
{
	static struct bytes all, text, answers;
	struct model_telnet got = {0};

	all.len = text.len = answers.len = 0;
	bytes_add(&all, peer->unfinished.data, peer->unfinished.len);
	bytes_add(&all, data, len);
	bytes_add(&text, all.data, all.len);
	bytes_add(&answers, all.data, all.len);
	peer->unfinished.len = 0;
	if (server.config->sanitize || model.chat)
		got = model_telnet(all.data, all.len, text.data, answers.data);
	else
		got.text = all.len;
	bytes_add(&peer->held, text.data, got.text);
	bytes_add(&peer->unfinished, text.data + got.text, got.waits);
	*answer = answers.data;
	return MIN(got.answer, ANSWERS_MAX);
}

void
model_received(struct peer *peer, const char *data, size_t len)
{
	const struct queue *queue = &model_conn(peer)->queue;
	size_t weight = (size_t)queue_weight(queue), length;
	enum answered answered;
	char *answer;

	check(peer->n_candidates > 1 || queue_bytes(queue) <= model_missing(peer));
	length = hear(peer, data, len, &answer);
	model_charge(peer, len, 0);
	say_lines(peer);
	answered = length > 0 ? is_answered(peer, weight) : NOT;
	if (answered != NOT) {
		tell("answered to sd %d: %zu bytes", peer->sd, length);
		model_offer(peer, answer, length, answered == MAYBE);
	}
	if (model_must_leave(peer))
		model.actor = peer;
}

/* A piece gets the end that it lacks; what was not yet a command is text. */
void
model_eof(struct peer *peer)
{
	struct bytes *held = &peer->held;

	bytes_add(held, peer->unfinished.data, peer->unfinished.len);
	peer->unfinished.len = 0;
	if (held->len > 0 && held->data[held->len - 1] != '\n')
		bytes_add(held, "\n", 1);
	say_lines(peer);
	model.actor = peer;
	if (model_must_leave(peer))
		return;
	model_trace("Connection closed for sd %d", peer->sd);
	peer->left = true;
	model_forget_name(peer);
	model_cut(peer, true);
}

/* --- what peers get */

/* Bytes of an entry that the peer gets. */
static size_t
part_of(const struct peer *peer, uint32_t number)
{
	const struct entry *entry = &model.entries[number];

	if (entry->only >= 0 ? entry->only != model_index(peer)
			     : entry->origin == model_index(peer))
		return 0;
	if (peer->is_cut && number > peer->cut.entry)
		return 0;
	if (peer->is_cut && number == peer->cut.entry)
		return peer->cut.offset;
	return entry->end - entry->begin;
}

/* Puts a cursor where the peer goes on. */
static void
skip_foreign(const struct peer *peer, struct cursor *cursor)
{
	while (cursor->entry < model.count && cursor->offset >= part_of(peer, cursor->entry))
		*cursor = (struct cursor){.entry = cursor->entry + 1};
}

void
model_settle(struct peer *peer)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor cursor = peer->candidates[i];
		uint32_t same = 0;

		skip_foreign(peer, &cursor);
		while (same < kept && (peer->candidates[same].entry != cursor.entry ||
					  peer->candidates[same].offset != cursor.offset))
			same++;
		peer->candidates[same] = cursor;
		kept = MAX(kept, same + 1);
	}
	peer->n_candidates = kept;
}

/* Bytes of an entry up to the end of the line that has begun before offset. */
static size_t
begun(const struct entry *entry, size_t offset)
{
	const char *at = model.text.data + entry->begin + offset, *end;
	size_t left = entry->end - entry->begin - offset;

	if (at[-1] == '\n')
		return offset;
	end = memchr(at, '\n', left);
	return offset + (end != NULL ? (size_t)(end - at) + 1 : left);
}

void
model_cut(struct peer *peer, bool now)
{
	struct cursor *cursor = &peer->candidates[0];

	peer->is_cut = true;
	peer->cut = (struct cursor){.entry = model.count};
	if (now)
		return;
	/* As long as it is not known where it began, it has got nothing. */
	peer->n_candidates = 1;
	skip_foreign(peer, cursor);
	peer->cut = *cursor;
	if (cursor->offset > 0)
		peer->cut.offset = begun(&model.entries[cursor->entry], cursor->offset);
}

/* Moves a cursor over what was sent. Returns how much of it was to be sent. */
static size_t
advance(const struct peer *peer, struct cursor *cursor, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const struct entry *entry;
		size_t n;

		skip_foreign(peer, cursor);
		if (cursor->entry >= model.count)
			return done;
		entry = &model.entries[cursor->entry];
		n = MIN(part_of(peer, cursor->entry) - cursor->offset, len - done);
		if (memcmp(model.text.data + entry->begin + cursor->offset, data + done, n) != 0)
			return done;
		done += n;
		cursor->offset += n;
	}
	return done;
}

size_t
model_advance(struct peer *peer, const char *data, size_t len)
{
	uint32_t kept = 0;
	size_t beyond = len;

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor moved = peer->candidates[i];
		size_t done = advance(peer, &moved, data, len);

		/* What goes beyond all that was said can only be a last line. */
		if (done < len) {
			skip_foreign(peer, &moved);
			if (len - done > beyond || moved.entry < model.count)
				continue;
		}
		if (len - done < beyond)
			kept = 0;
		beyond = len - done;
		peer->candidates[kept++] = moved;
	}
	if (kept == 0)
		die("sd %d gets what nobody said: %.*s", peer->sd, (int)MIN(len, 200), data);
	peer->n_candidates = kept;
	return beyond;
}

void
model_append_missing(const struct peer *peer, struct cursor cursor, const struct offer *offers,
    int count, unsigned mask, struct bytes *missing)
{
	for (; cursor.entry < model.count; cursor = (struct cursor){.entry = cursor.entry + 1}) {
		const char *data = model.text.data + model.entries[cursor.entry].begin;
		size_t part = part_of(peer, cursor.entry);
		bool masked = false;

		for (int i = 0; i < count; i++)
			masked |= offers[i].entry == cursor.entry && (mask >> i & 1) != 0;
		if (!masked && cursor.offset < part)
			bytes_add(missing, data + cursor.offset, part - cursor.offset);
	}
}

size_t
model_missing(const struct peer *peer)
{
	size_t least = SIZE_MAX;

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		struct cursor cursor = peer->candidates[i];
		size_t missing = 0;

		skip_foreign(peer, &cursor);
		for (uint32_t e = cursor.entry; e < model.count; e++)
			missing += part_of(peer, e);
		least = MIN(least, missing - cursor.offset);
	}
	return least;
}

/* An answer lies between what is said, and takes no place there. */
size_t
model_lag_at(const struct peer *peer, struct cursor cursor)
{
	const struct entry *entry;

	skip_foreign(peer, &cursor);
	if (cursor.entry >= model.count)
		return 0;
	entry = &model.entries[cursor.entry];
	return model.position - entry->position - (entry->only < 0 ? cursor.offset : 0);
}

struct lag
model_lag(const struct peer *peer)
{
	struct lag lag = {.least = SIZE_MAX};

	for (uint32_t i = 0; i < peer->n_candidates; i++) {
		size_t waits = model_lag_at(peer, peer->candidates[i]);

		lag.least = MIN(lag.least, waits);
		lag.most = MAX(lag.most, waits);
	}
	return lag;
}
