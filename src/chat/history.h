/*
 * history: the last lines that were said in mode chat, for newcomers.
 *
 * It holds whole lines, the newest ones that fit into its limit; when the newest one alone does not
 * fit, it holds nothing, rather than something with a gap behind it. It is in memory only. What a
 * newcomer gets stands between two marks; where nothing was said there are none.
 */
#ifndef CHATD_HISTORY_H
#define CHATD_HISTORY_H

#include <stddef.h>

#define HISTORY_BEGIN "* said before you came:\n"
#define HISTORY_END   "* now:\n"
/* Bytes of both marks. */
#define HISTORY_MARKS (sizeof(HISTORY_BEGIN HISTORY_END) - 1)

/* The lines are data[start] to data[start + len - 1], in an allocation of twice max bytes. */
struct history {
	char *data;
	size_t start, len;
	size_t max;
};

/* Another limit: keeps what fits. Returns 0, or -1 when memory is refused, with the limit 0. */
int history_resize(struct history *history, size_t max);
void history_free(struct history *history);

/* Whole lines were said. */
void history_keep(struct history *history, const char *lines, size_t len);
/* Writes what a newcomer gets to text, which has room for it. Returns its length, 0 for nothing. */
size_t history_show(const struct history *history, char *text);

#endif
