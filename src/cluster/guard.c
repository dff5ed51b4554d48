#include "cluster/guard.h"

#include <stdbool.h>
#include <string.h>
#include <sys/param.h>

#define DIGITS 10 /* of a number, at most */

/* The number behind the first byte of the line, which ends in CR LF. Returns false for none. */
static bool
read_number(const char *line, size_t len, int64_t *number)
{
	const char *at = line + 1, *end = line + len - 2;
	bool negative = at < end && *at == '-';

	at += negative;
	if (at == end || end - at > DIGITS)
		return false;
	for (*number = 0; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		*number = 10 * *number + (*at - '0');
	}
	if (negative)
		*number = -*number;
	return *number >= -1;
}

/* A value begins. Returns whether it is left out. */
static bool
count(struct guard *guard)
{
	if (guard->left_out > 0) {
		guard->left_out--;
		return true;
	}
	if (guard->expected == 0)
		guard->expected = 1;
	guard->expected--;
	guard->values++;
	return false;
}

static int
take_list(struct guard *guard, int64_t number, bool out, guard_pass *pass, void *context)
{
	number = MAX(number, 0);
	if (out || number > GUARD_LIST)
		guard->left_out += (uint64_t)number;
	else
		guard->expected += (uint64_t)number;
	if (out)
		return 0;
	if (number > GUARD_LIST)
		return pass(context, "*0\r\n", 4);
	return pass(context, guard->line, guard->len);
}

static int
take_string(struct guard *guard, int64_t number, bool out, guard_pass *pass, void *context)
{
	guard->string = number < 0 ? 0 : (uint64_t)number + 2;
	guard->leaves_out = out || number > GUARD_STRING;
	if (out)
		return 0;
	if (number > GUARD_STRING)
		return pass(context, "$0\r\n\r\n", 6);
	guard->bytes += guard->string;
	if (guard->bytes > GUARD_BYTES)
		return -1;
	return pass(context, guard->line, guard->len);
}

/* A line is whole. */
static int
take_line(struct guard *guard, guard_pass *pass, void *context)
{
	int64_t number = 0;
	bool out;

	if (guard->len < 3 || guard->line[guard->len - 2] != '\r' ||
	    memchr("+-:$*", guard->line[0], 5) == NULL)
		return -1;
	if (memchr("$*", guard->line[0], 2) != NULL &&
	    !read_number(guard->line, guard->len, &number))
		return -1;
	out = count(guard);
	if (guard->line[0] == '*')
		return take_list(guard, number, out, pass, context);
	if (guard->line[0] == '$')
		return take_string(guard, number, out, pass, context);
	return out ? 0 : pass(context, guard->line, guard->len);
}

/* Takes as much of a line as there is. Returns how many bytes, or -1. */
static int64_t
gather_line(struct guard *guard, const char *data, size_t len, guard_pass *pass, void *context)
{
	const char *end = memchr(data, '\n', len);
	size_t part = end != NULL ? (size_t)(end - data) + 1 : len;

	if (part > sizeof(guard->line) - guard->len)
		return -1;
	memcpy(guard->line + guard->len, data, part);
	guard->len += part;
	if (end == NULL)
		return (int64_t)part;
	if (take_line(guard, pass, context) < 0 || guard->values > GUARD_VALUES)
		return -1;
	guard->len = 0;
	if (guard->expected == 0)
		guard->values = guard->bytes = 0;
	return (int64_t)part;
}

int
guard_feed(struct guard *guard, const char *data, size_t len, guard_pass *pass, void *context)
{
	while (len > 0) {
		int64_t part = (int64_t)MIN(guard->string, len);

		if (part == 0)
			part = gather_line(guard, data, len, pass, context);
		else if (!guard->leaves_out && pass(context, data, (size_t)part) < 0)
			part = -1;
		else
			guard->string -= (uint64_t)part;
		if (part < 0)
			return -1;
		data += part;
		len -= (size_t)part;
	}
	return 0;
}
