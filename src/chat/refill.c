#include "chat/refill.h"

#include <sys/param.h>

#include "wire/ledger.h"

static bool
is_state(uint32_t state)
{
	uint32_t number = state & 0xff;

	return number >= 1 && number <= (RECORD_REMOVED & 0xff) && state == JOURNAL_SHORT(number);
}

bool
refill_begin(struct broadcast *broadcast)
{
	struct journal_head *head = journal->head;
	const struct turn *turn = journal_turn();
	uint32_t parts = TURN_RECEPTION | TURN_STATE | TURN_NICK | TURN_BUCKET;

	if (head->turn != JOURNAL_WORD(head->turn & 1) ||
	    head->history != JOURNAL_WORD(head->history & 1) || turn->left > 1 ||
	    turn->channel > 1 || turn->sum != journal_sum(turn, offsetof(struct turn, sum)))
		return journal_fault("its last turn");
	if ((turn->parts & ~parts) != 0 || (turn->parts != 0 && turn->fd >= journal->descriptors) ||
	    ((turn->parts & TURN_STATE) != 0 && !is_state(turn->state)))
		return journal_fault("what its last turn says");
	ledger_resume();
	broadcast->intake.arena.position = turn->position;
	broadcast->lines = turn->lines;
	return true;
}

bool
refill_is_sound(const struct record *record)
{
	const struct mark *mark = &record->marks[record->which & 1];
	sa_family_t family = record->addr.family;
	uint64_t head = journal->next->head;

	if (record->sum != ledger_record_sum(record))
		return journal_fault("a record");
	if (mark->sum != ledger_mark_sum(mark))
		return journal_fault("a mark");
	if (!is_state(record->state) ||
	    record->which != JOURNAL_SHORT(record->which & (1 | RECORD_BUSY)) ||
	    (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
		return journal_fault("what a record says");
	/* The mark of one that gets nothing more does not move up. */
	if (record->state != RECORD_WRITE_CLOSED &&
	    (mark->entry > head || head - mark->entry > journal->ring || mark->skip > mark->sent))
		return journal_fault("what a mark says");
	return true;
}

/* The buf of an entry, which is claimed at first; or NULL when it cannot be that. */
static struct buf *
claim(struct broadcast *broadcast, const struct journal_entry *entry)
{
	struct area *area = &journal->area;
	struct arena *arena = entry->kind == ENTRY_ALL ? &broadcast->intake.arena : NULL;
	uint64_t position =
	    entry->kind == ENTRY_ALL ? entry->position - entry->off : entry->position;
	struct buf *buf;

	if (ledger_text(entry) == NULL)
		return NULL;
	buf = area_at(area, entry->place);
	if (area_is_used(area, entry->place))
		return buf->arena == arena && buf->position == position ? buf : NULL;
	if (!area_claim(area, entry->place))
		return NULL;
	/* One by one: a whole struct would reach into its data. */
	buf->arena = arena;
	buf->position = position;
	buf->refs = 0;
	buf->size = (uint32_t)MIN(area_size(entry->place) - sizeof(*buf), UINT32_MAX);
	buf->used = buf->size;
	return buf;
}

/* How many bytes of the entry are for the client, of whose stream they are those from begin on. */
static uint64_t
share(
    const struct record *record, const struct journal_entry *entry, uint64_t number, uint64_t begin)
{
	bool own = entry->owner == record->id;

	if (entry->kind == ENTRY_ALONE)
		return own ? entry->len : 0;
	if (entry->kind != ENTRY_ALL || own)
		return 0;
	if (record->state != RECORD_LEAVING)
		return entry->len;
	if (number >= (uint64_t)record->last_line_at || begin >= record->received)
		return 0;
	return MIN(entry->len, record->received - begin);
}

static enum refill_outcome
push(struct broadcast *broadcast, struct conn *conn, const struct journal_entry *entry,
    uint64_t skip, uint64_t len)
{
	struct msg msg = {.buf = claim(broadcast, entry),
	    .off = entry->off + (uint32_t)skip,
	    .len = (uint32_t)(len - skip)};

	if (msg.buf == NULL) {
		journal_fault("what an entry says");
		return REFILL_DAMAGED;
	}
	if (!queue_reserve(&conn->queue, 1 + BROADCAST_PLACES))
		return REFILL_NO_MEMORY;
	queue_push(&conn->queue, &msg);
	return REFILL_DONE;
}

enum refill_outcome
refill_queue(struct broadcast *broadcast, struct conn *conn, uint64_t sent)
{
	const struct record *record = ledger_record(conn->fd);
	struct mark mark = record->marks[record->which & 1];
	uint64_t at = mark.sent - mark.skip, end = journal->next->head;

	if (conn->life == CONN_WRITE_CLOSED)
		return REFILL_DONE;
	for (uint64_t i = mark.entry; i < end; i = ledger_next(i)) {
		const struct journal_entry *entry = ledger_entry(i);
		uint64_t len, skip;

		if (entry->sum != ledger_entry_sum(entry, i)) {
			journal_fault("an entry");
			return REFILL_DAMAGED;
		}
		len = share(record, entry, i, at);
		skip = sent > at ? MIN(sent - at, len) : 0;
		at += len;
		if (skip < len) {
			enum refill_outcome outcome = push(broadcast, conn, entry, skip, len);

			if (outcome != REFILL_DONE)
				return outcome;
		}
	}
	if (sent > at)
		return REFILL_UNKNOWN;
	if (queue_empty(&conn->queue))
		ledger_mark(conn->fd, sent, end, 0);
	else
		ledger_mark(conn->fd, sent, mark.entry, mark.skip + sent - mark.sent);
	return REFILL_DONE;
}

bool
refill_piece(struct conn *conn)
{
	const struct record *record = ledger_record(conn->fd);
	struct area *area = &journal->area;
	uint32_t len = PIECE_LEN(record->piece_len);
	uint8_t unfinished = PIECE_UNFINISHED(record->piece_len);

	if (record->state == RECORD_LEAVING || (record->piece == 0 && record->piece_len == 0))
		return true;
	if (!area_is_possible(area, record->piece) || area_size(record->piece) > UINT32_MAX ||
	    len == 0 || len > area_size(record->piece) || unfinished > len ||
	    unfinished >= TELNET_MAX || !area_claim(area, record->piece))
		return journal_fault("where a piece of a line is");
	conn->line = (struct line){.data = area_at(area, record->piece),
	    .len = len,
	    .size = (uint32_t)area_size(record->piece)};
	conn->unfinished = unfinished;
	return true;
}

void
refill_abandon(struct broadcast *broadcast)
{
	intake_free(&broadcast->intake);
	broadcast->intake.arena.kept = true;
}
