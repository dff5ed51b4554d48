/*
 * Bytes to lines: line_cut, line_append, line_count, line_sanitize and telnet_strip against a model
 * that looks at one byte at a time.
 *
 * Input: the limit, then pieces as recv brings them, each with its length in front.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/param.h>

#include "sanitized.h"
#include "target.h"
#include "wire/line.h"
#include "wire/telnet.h"

#define ROOM (1 << 16)

struct output {
	size_t len;
	bool too_long;
	char data[ROOM];
};

/* The model: one byte after the other. */
static void
model_feed(struct output *out, struct output *held, const char *piece, size_t len, size_t max)
{
	for (size_t i = 0; i < len && !out->too_long; i++) {
		held->data[held->len++] = piece[i];
		if (piece[i] == '\n') {
			memcpy(out->data + out->len, held->data, held->len);
			out->len += held->len;
			held->len = 0;
		} else if (held->len >= max) {
			out->too_long = true;
		}
	}
}

/* The room: as conn_read does it. */
static void
room_feed(struct output *out, struct line *held, const char *piece, size_t len, size_t max)
{
	struct line_cut cut = line_cut(piece, len, held->len, max);

	check(cut.whole <= len);
	if (cut.whole > 0) {
		memcpy(out->data + out->len, held->data, held->len);
		out->len += held->len;
		memcpy(out->data + out->len, piece, cut.whole);
		out->len += cut.whole;
		held->len = 0;
	}
	out->too_long = cut.too_long;
	if (!cut.too_long) {
		check(held->len + (len - cut.whole) < max);
		line_append(held, piece + cut.whole, len - cut.whole);
	}
}

struct stripped {
	char sent[ROOM], text[ROOM];
	size_t sent_len, text_len;
	char unfinished[TELNET_MAX];
	size_t unfinished_len;
	struct telnet_answers answers;
};

/* The room: takes telnet's commands out of one piece more, as conn_read does it. */
static void
strip(struct stripped *out, const uint8_t *piece, size_t len)
{
	size_t all = out->unfinished_len + len, left;
	char *data = malloc(all);

	if (data == NULL)
		abort();
	memcpy(data, out->unfinished, out->unfinished_len);
	memcpy(data + out->unfinished_len, piece, len);
	left = telnet_strip(data, all, &out->answers, &out->unfinished_len);
	check(out->unfinished_len < TELNET_MAX && out->unfinished_len <= left && left <= all);
	left -= out->unfinished_len;
	memcpy(out->unfinished, data + left, out->unfinished_len);
	memcpy(out->text + out->text_len, data, left);
	out->text_len += left;
	free(data);
}

/* After each piece, what is left is what the model makes of all of them at once. */
static void
check_telnet(struct input input)
{
	static struct stripped out;
	static char text[ROOM], answer[ROOM];

	out.sent_len = out.text_len = out.unfinished_len = out.answers.len = 0;
	while (input.left > 0) {
		size_t len = take_byte(&input);
		struct model_telnet model;

		if (len > input.left)
			len = input.left;
		if (len == 0)
			continue;
		memcpy(out.sent + out.sent_len, input.data, len);
		out.sent_len += len;
		strip(&out, input.data, len);
		input.data += len;
		input.left -= len;
		model = model_telnet(out.sent, out.sent_len, text, answer);
		check(model.text == out.text_len && memcmp(text, out.text, out.text_len) == 0);
		check(model.waits == out.unfinished_len);
		check(memcmp(text + model.text, out.unfinished, model.waits) == 0);
		model.answer = MIN(model.answer, TELNET_ANSWERS_MAX / 3 * 3);
		check(model.answer == out.answers.len);
		check(memcmp(answer, out.answers.data, model.answer) == 0);
	}
}

static void
check_sanitize(const char *data, size_t len)
{
	char *one = malloc(len + 1), *two = malloc(len + 1);
	uint64_t lines = 0;

	if (one == NULL || two == NULL)
		abort();
	memcpy(one, data, len);
	memcpy(two, data, len);
	line_sanitize(one, len);
	model_sanitize(two, len);
	check(memcmp(one, two, len) == 0);
	line_sanitize(one, len);
	check(memcmp(one, two, len) == 0);
	for (size_t i = 0; i < len; i++)
		lines += data[i] == '\n';
	check(line_count(data, len) == lines);
	free(one);
	free(two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct output model, room, model_held;
	struct input input = {data, size};
	struct line held = {0};
	size_t max = 2 + take_short(&input) % 300;

	model.len = room.len = model_held.len = 0;
	model.too_long = room.too_long = false;
	if (size >= ROOM || line_reserve(&held, max) < 0)
		return 0;
	check_telnet(input);
	while (input.left > 0 && !room.too_long) {
		size_t len = take_byte(&input);
		char *piece;

		if (len > input.left)
			len = input.left;
		if (len == 0)
			continue; /* recv brings at least one byte */
		/* Of its own exact size, so that a look past its end is seen. */
		if ((piece = malloc(len)) == NULL)
			abort();
		memcpy(piece, input.data, len);
		input.data += len;
		input.left -= len;
		model_feed(&model, &model_held, piece, len, max);
		room_feed(&room, &held, piece, len, max);
		free(piece);
		check(model.too_long == room.too_long);
		check(model.len == room.len);
		check(memcmp(model.data, room.data, room.len) == 0);
		if (!room.too_long) {
			check(model_held.len == held.len);
			check(memcmp(model_held.data, held.data, held.len) == 0);
		}
	}
	check_sanitize(room.data, room.len);
	check_sanitize((const char *)data, size);
	line_free(&held);
	return 0;
}
