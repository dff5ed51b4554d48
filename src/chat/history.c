#include "chat/history.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ledger.h"

#define MAX_KEPT (1U << 30) /* more than any configuration allows */

/* How many bytes of whole lines to drop at the front so that at most max remain. */
static size_t
surplus(const char *lines, size_t len, size_t max)
{
	const char *end;

	if (len <= max)
		return 0;
	/* If a line ends exactly with the last byte to drop, no further line has to go. */
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

static struct history
allocate(size_t max)
{
	struct history history = {.size = (journal != NULL ? 3 : 2) * max};

	if (max > 0)
		history.data = journal != NULL ? journal_alloc(history.size) : malloc(history.size);
	if (history.data != NULL)
		history.max = max;
	return history;
}

static struct journal_history *
recorded(void)
{
	return &journal->head->histories[journal->head->history & 1];
}

void
history_record(const struct history *history, uint64_t entry)
{
	uint32_t spare = (journal->head->history & 1) ^ 1;
	struct journal_history *kept = &journal->head->histories[spare];

	*kept = (struct journal_history){
	    .start = history->start, .len = history->len, .max = history->max, .entry = entry};
	if (history->data != NULL)
		kept->place = area_place(&journal->area, history->data, history->size);
	kept->sum = journal_sum(kept, offsetof(struct journal_history, sum));
	journal_flip(&journal->head->history, JOURNAL_WORD(spare));
}

static char *
data_at(uint64_t place)
{
	return area_at(&journal->area, place);
}

/* The lines of the journal. Returns false if it has none that can be. */
static bool
restore_lines(struct history *history, const struct journal_history *kept)
{
	uint64_t size = 3 * kept->max;

	if (kept->sum != journal_sum(kept, offsetof(struct journal_history, sum)))
		return false;
	if (kept->place == 0)
		return true;
	if (!area_is_possible(&journal->area, kept->place) || size > area_size(kept->place) ||
	    kept->max > MAX_KEPT || kept->len > kept->max || kept->start > size - kept->len ||
	    2 * size <= area_size(kept->place) ||
	    (kept->len > 0 && data_at(kept->place)[kept->start + kept->len - 1] != '\n') ||
	    !area_claim(&journal->area, kept->place))
		return false;
	*history = (struct history){.data = data_at(kept->place),
	    .start = (size_t)kept->start,
	    .len = (size_t)kept->len,
	    .max = (size_t)kept->max,
	    .size = (size_t)size};
	return true;
}

/* What was said after that was recorded is kept now. */
static bool
replay(struct history *history, uint64_t number)
{
	uint64_t end = journal->next->head;

	if (number > end || end - number > journal->ring)
		return false;
	for (; number < end; number = ledger_next(number)) {
		const struct journal_entry *entry = ledger_entry(number);
		const char *text;

		if (entry->sum != ledger_entry_sum(entry, number))
			return false;
		if (entry->kind != ENTRY_HISTORY)
			continue;
		text = ledger_text(entry);
		if (text == NULL || text[entry->len - 1] != '\n')
			return false;
		history_keep(history, text, entry->len);
		history_record(history, number + 1);
	}
	return true;
}

int
history_restore(struct history *history, size_t max)
{
	const struct journal_history *kept = recorded();
	bool is_new = kept->place == 0 && kept->sum == 0;

	history_free(history);
	if (!is_new && (!restore_lines(history, kept) ||
			   (history->max > 0 && !replay(history, kept->entry)))) {
		journal_fault("the history");
		return -1;
	}
	if (history_resize(history, max) < 0)
		return -1;
	history_record(history, journal->next->head);
	return 0;
}

void
history_note(struct history *history, const char *text, size_t len)
{
	if (len > 0 && history->max > 0)
		history->runs[history->n_runs++] = (struct history_run){.text = text, .len = len};
}

void
history_index(struct history *history, const struct msg *msg)
{
	for (unsigned i = 0; i < history->n_runs; i++) {
		struct history_run *run = &history->runs[i];
		struct msg part = {.buf = msg->buf,
		    .off = msg->off + (uint32_t)(run->text - msg_data(msg)),
		    .len = (uint32_t)run->len};

		ledger_add(ENTRY_HISTORY, -1, &part);
		run->entry = journal->next->head;
	}
}

void
history_remember(struct history *history)
{
	for (unsigned i = 0; i < history->n_runs; i++) {
		history_keep(history, history->runs[i].text, history->runs[i].len);
		if (journal != NULL)
			history_record(history, history->runs[i].entry);
	}
	history->n_runs = 0;
}

int
history_resize(struct history *history, size_t max)
{
	struct history before = *history;

	if (max == before.max)
		return 0;
	*history = allocate(max);
	if (before.len > 0)
		history_keep(history, before.data + before.start, before.len);
	if (journal != NULL)
		history_record(history, recorded()->entry);
	history_free(&before);
	return history->max == max ? 0 : -1;
}

void
history_free(struct history *history)
{
	if (journal_owns(history->data))
		journal_free(history->data, history->size);
	else
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
	if (history->start + history->len + len > history->size) {
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
