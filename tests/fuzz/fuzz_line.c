/*
 * Bytes to lines: line_cut, line_append, line_count and line_sanitize against a model that looks at
 * one byte at a time.
 *
 * Input: the limit, then pieces as recv brings them, each with its length in front.
 */
#include <stdbool.h>
#include <string.h>

#include "line.h"
#include "target.h"

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

/* The code point at p, or -1 where there is no well-formed one; its length in size. */
static long
decode(const unsigned char *p, size_t left, size_t *size)
{
	static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
	long point;

	*size = 1;
	if (p[0] < 0x80)
		return p[0];
	*size = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	if (*size == 0 || *size > left)
		return -1;
	point = p[0] & (0x7f >> *size);
	for (size_t i = 1; i < *size; i++) {
		if (p[i] >> 6 != 2)
			return -1;
		point = point << 6 | (p[i] & 0x3f);
	}
	if (point < least[*size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return -1;
	return point;
}

static void
model_sanitize(char *data, size_t len)
{
	unsigned char *p = (unsigned char *)data;

	for (size_t i = 0, size; i < len; i += size) {
		long point = decode(p + i, len - i, &size);

		if (point < 0)
			size = 1;
		if (point < 0 ||
		    (point < 0x20 && point != '\t' && point != '\r' && point != '\n') ||
		    (point >= 0x7f && point < 0xa0))
			memset(p + i, '?', size);
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
