/*
 * What an engine says, whoever put it there: guard, reply and stream get the same out of it however
 * it is cut, and never an entry that is not in order; and the filter against a model.
 *
 * Input: how many steps of the filter, each a node and a number; then the engine's bytes in pieces,
 * each with its length in front.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/param.h>

#include "cluster/filter.h"
#include "cluster/reply.h"
#include "cluster/stream.h"
#include "target.h"

#define ROOM (1 << 16)

static void
check_filter(struct input *input)
{
	static struct filter filter;
	uint64_t last[256] = {0};
	bool known[256] = {false};

	memset(&filter, 0, sizeof(filter));
	for (unsigned steps = take_byte(input); steps > 0 && input->left > 0; steps--) {
		uint8_t epoch = take_byte(input), seq = take_byte(input);
		bool learns = seq & 1, fresh = !known[epoch] || seq > last[epoch];
		uint64_t lost = 0, gap = fresh && known[epoch] ? seq - last[epoch] - 1 : 0;

		check(filter_is_new(&filter, epoch, seq) == fresh);
		if (learns)
			filter_learn(&filter, epoch, seq);
		else
			check(filter_pass(&filter, epoch, seq, &lost) == fresh && lost == gap);
		last[epoch] = MAX(last[epoch], seq);
		known[epoch] = true;
	}
}

/* What came out of it, as a number for all of it. */
struct outcome {
	uint64_t digest, entries;
	bool failed;
};

static void
add(struct outcome *outcome, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		outcome->digest = (outcome->digest ^ (uint8_t)data[i]) * 1099511628211u;
}

static void
look_at_entry(struct outcome *outcome, const struct redisReply *reply)
{
	struct stream_entry entry;

	if (!stream_read(reply, &entry))
		return;
	outcome->entries++;
	add(outcome, (const char *)&entry.kind, sizeof(entry.kind));
	if (entry.kind == STREAM_STRANGE)
		return;
	check(entry.epoch > 0 && entry.seq > 0);
	if (entry.kind != STREAM_LINES)
		return;
	check(entry.len > 0 && entry.len <= STREAM_DATA && entry.data[entry.len - 1] == '\n');
	add(outcome, entry.data, entry.len);
}

static void
look_at(struct outcome *outcome, const struct redisReply *reply)
{
	const struct redisReply *list = stream_entries(reply);
	enum reply_kind kind = reply_kind(reply);
	size_t len;
	const char *text = reply_text(reply, &len);

	add(outcome, (const char *)&kind, sizeof(kind));
	add(outcome, text, len);
	check(text[len] == '\0');
	for (size_t i = 0; i < reply_count(list); i++)
		look_at_entry(outcome, reply_at(list, i));
	for (size_t i = 0; i < reply_count(reply); i++)
		look_at_entry(outcome, reply_at(reply, i));
	check(reply_at(reply, reply_count(reply)) == NULL);
}

/* Of its own exact size, so that a look past its end is seen. */
static void
feed(struct replies *replies, struct outcome *outcome, const uint8_t *data, size_t len)
{
	char *piece = malloc(len);
	struct redisReply *reply;

	if (piece == NULL)
		abort();
	memcpy(piece, data, len);
	outcome->failed = reply_feed(replies, piece, len) < 0;
	free(piece);
	while (!outcome->failed) {
		outcome->failed = reply_next(replies, &reply) < 0;
		if (outcome->failed || reply == NULL)
			return;
		look_at(outcome, reply);
		reply_free(reply);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t all[ROOM];
	struct replies one = {0}, two = {0};
	struct outcome cut = {0}, whole = {0};
	struct input input = {data, size};
	size_t total = 0;

	if (size >= ROOM || reply_open(&one) < 0 || reply_open(&two) < 0)
		return 0;
	check_filter(&input);
	while (input.left > 0) {
		size_t len = take_byte(&input);

		len = MIN(len, input.left);
		if (len == 0)
			continue; /* recv brings at least one byte */
		memcpy(all + total, input.data, len);
		total += len;
		if (!cut.failed)
			feed(&one, &cut, input.data, len);
		input.data += len;
		input.left -= len;
	}
	if (total > 0)
		feed(&two, &whole, all, total);
	check(cut.failed == whole.failed);
	check(cut.failed || (cut.digest == whole.digest && cut.entries == whole.entries));
	reply_close(&one);
	reply_close(&two);
	return 0;
}
