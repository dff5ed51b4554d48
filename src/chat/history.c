#include "chat/history.h"

#include <stdlib.h>
#include <string.h>

/* How many bytes at the front have to go so that max are left: whole lines. */
static size_t
surplus(const char *lines, size_t len, size_t max)
{
	const char *end;

	if (len <= max)
		return 0;
	/* A line that ends with the last byte that must go is the last line that must. */
	end = memchr(lines + (len - max) - 1, '\n', max + 1);
	return (size_t)(end - lines) + 1;
}

static void
drop(struct history *history, size_t len)
{
	history->start += len;
	history->len -= len;
	if (history->len == 0)
		history->start = 0;
}

int
history_resize(struct history *history, size_t max)
{
	struct history before = *history;

	if (max == before.max)
		return 0;
	*history = (struct history){.data = max > 0 ? malloc(2 * max) : NULL};
	if (history->data != NULL)
		history->max = max;
	if (before.len > 0)
		history_keep(history, before.data + before.start, before.len);
	history_free(&before);
	return history->max == max ? 0 : -1;
}

void
history_free(struct history *history)
{
	free(history->data);
	*history = (struct history){0};
}

void
history_keep(struct history *history, const char *lines, size_t len)
{
	size_t over, max = history->max;

	if (max == 0)
		return;
	over = surplus(lines, len, max);
	lines += over;
	len -= over;
	if (over > 0)
		drop(history, history->len);
	if (len == 0)
		return;
	if (history->len > 0 && history->len + len > max)
		drop(history, surplus(history->data + history->start, history->len, max - len));
	if (history->start + history->len + len > 2 * max) {
		memmove(history->data, history->data + history->start, history->len);
		history->start = 0;
	}
	memcpy(history->data + history->start + history->len, lines, len);
	history->len += len;
}

size_t
history_show(const struct history *history, char *text)
{
	char *at = text;

	if (history->len == 0)
		return 0;
	at = (char *)mempcpy(at, HISTORY_BEGIN, strlen(HISTORY_BEGIN));
	at = (char *)mempcpy(at, history->data + history->start, history->len);
	at = (char *)mempcpy(at, HISTORY_END, strlen(HISTORY_END));
	return (size_t)(at - text);
}
