/*
 * history: the last lines that were said in mode chat, for newcomers.
 *
 * It holds the newest whole lines that fit into its limit. If the newest line alone does not fit,
 * it holds nothing, rather than older lines with a gap after them. It exists in memory only. A
 * newcomer gets it between two marks, or nothing at all if nothing was said.
 */
#ifndef CHATD_HISTORY_H
#define CHATD_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "wire/msg.h"

#define HISTORY_BEGIN "* said before you came:\n"
#define HISTORY_END   "* now:\n"
/* One change of name is possible in a recv; it does not stay. */
#define HISTORY_RUNS  2
/* Bytes of both marks. */
#define HISTORY_MARKS (sizeof(HISTORY_BEGIN HISTORY_END) - 1)

/*
 * The lines are data[start] to data[start + len - 1]. With a journal, what is recorded there is not
 * overwritten before the next history_record, for one call of history_keep.
 */
struct history {
	char *data;
	size_t start, len;
	size_t max;
	size_t size; /* of data */
	struct history_run {
		const char *text;
		size_t len;
		uint64_t entry; /* with a journal: the one behind its own */
	} runs[HISTORY_RUNS];
	unsigned n_runs;
};

/* Changes the limit and keeps what fits. Returns 0, or -1 with the limit 0 when memory is refused.
 */
int history_resize(struct history *history, size_t max);
void history_free(struct history *history);

/* Adds whole lines that were said. */
void history_keep(struct history *history, const char *lines, size_t len);
/*
 * What a recv brings is noted first, with a journal put into its index, as parts of msg, and kept
 * once that is recorded.
 */
void history_note(struct history *history, const char *text, size_t len);
void history_index(struct history *history, const struct msg *msg);
void history_remember(struct history *history);

/* Puts into the journal that it has what the index has before the entry. */
void history_record(const struct history *history, uint64_t entry);
/*
 * For a successor, with max bytes from now on. In place of one that was not recorded; after the
 * queues were restored. Returns 0, or -1 if what the journal has is damaged.
 */
int history_restore(struct history *history, size_t max);

/* Writes what a newcomer gets to text, which has room for it. Returns its length, or 0. */
size_t history_show(const struct history *history, char *text);

#endif
