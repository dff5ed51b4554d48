#include "wire/ledger.h"

#include <limits.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

#define TRIM_EVERY 2048 /* entries: they stay in the cache */

uint32_t
ledger_mark_sum(const struct mark *mark)
{
	return journal_sum(mark, offsetof(struct mark, sum));
}

uint32_t
ledger_entry_sum(const struct journal_entry *entry, uint64_t number)
{
	return journal_sum(entry, offsetof(struct journal_entry, sum)) ^ (uint32_t)number;
}

uint32_t
ledger_record_sum(const struct record *record)
{
	const size_t from = offsetof(struct record, lines);
	uint32_t sum = journal_sum(&record->lines, offsetof(struct record, sum) - from);

	return sum ^ journal_sum(&record->addr, sizeof(record->addr)) ^
	       journal_sum(&record->id, sizeof(record->id));
}

/* --- marks */

static const struct mark *
mark_of(const struct record *record)
{
	return &record->marks[record->which & 1];
}

void
ledger_mark(int fd, uint64_t sent, uint64_t entry, uint64_t skip)
{
	struct record *record = ledger_record(fd);
	unsigned other = (record->which & 1) ^ 1;
	struct mark *mark = &record->marks[other];

	*mark = (struct mark){.sent = sent, .entry = entry, .skip = (uint32_t)skip};
	mark->sum = ledger_mark_sum(mark);
	journal_flip_short(&record->which, JOURNAL_SHORT(other));
}

void
ledger_sent(int fd, size_t bytes, bool empty)
{
	const struct mark *mark = mark_of(ledger_record(fd));

	if (empty)
		ledger_mark(fd, mark->sent + bytes, journal->handed, 0);
	else
		ledger_mark(fd, mark->sent + bytes, mark->entry, mark->skip + bytes);
}

void
ledger_sends(int fd)
{
	struct record *record = ledger_record(fd);

	journal_flip_short(&record->which, JOURNAL_SHORT((record->which & 1) | RECORD_BUSY));
}

void
ledger_sends_no_more(int fd)
{
	struct record *record = ledger_record(fd);

	journal_flip_short(&record->which, JOURNAL_SHORT(record->which & 1));
}

/* --- turns */

void
ledger_apply(void)
{
	const struct turn *turn = journal_turn();
	struct record *record;

	if (turn->parts == 0)
		return;
	record = ledger_record((int)turn->fd);
	if (record->id != turn->id || record->state == RECORD_FREE)
		return;
	if ((turn->parts & TURN_RECEPTION) != 0) {
		record->received = turn->received;
		record->lines = (uint32_t)MIN(turn->lines_said, UINT32_MAX);
		record->last_line_at = turn->last_line_at;
		record->piece = turn->piece;
		record->piece_len = turn->piece_len;
		record->sum = ledger_record_sum(record);
	}
	if ((turn->parts & TURN_NICK) != 0)
		memcpy(journal->nicks[turn->fd], turn->nick, JOURNAL_NICK);
	if ((turn->parts & TURN_BUCKET) != 0)
		journal->buckets[turn->fd] = (struct journal_bucket){turn->debt, turn->paid_at};
	if ((turn->parts & TURN_STATE) != 0)
		journal_flip_short(&record->state, (uint16_t)turn->state);
}

void
ledger_commit(void)
{
	struct journal_head *head = journal->head;
	struct turn *turn = journal->next, *spare = journal_turn();

	turn->sum = journal_sum(turn, offsetof(struct turn, sum));
	journal_flip(&head->turn, JOURNAL_WORD((head->turn & 1) ^ 1));
	ledger_apply();
	*spare = *turn;
	spare->parts = 0;
	journal->next = spare;
	journal->pending = false;
}

void
ledger_resume(void)
{
	struct journal_head *head = journal->head;

	ledger_apply();
	journal->next = &head->turns[(head->turn & 1) ^ 1];
	*journal->next = *journal_turn();
	journal->next->parts = 0;
	journal->pending = false;
	journal->handed = journal->tail = journal->trim_at = journal->next->head;
}

struct turn *
ledger_turn(int fd)
{
	struct turn *turn = journal->next;

	if (fd >= 0 && turn->parts != 0 && turn->fd != (uint32_t)fd) {
		ledger_commit();
		turn = journal->next;
	}
	journal->pending = true;
	if (fd >= 0 && turn->parts == 0) {
		const struct record *record = ledger_record(fd);

		turn->fd = (uint32_t)fd;
		turn->id = record->id;
		turn->received = record->received;
		turn->lines_said = record->lines;
		turn->last_line_at = record->last_line_at;
		turn->piece = record->piece;
		turn->piece_len = record->piece_len;
	}
	return turn;
}

/* --- connections */

/*
 * Of a unix socket no counter tells what was received. But each byte that is received moves back
 * the offset at which one would peek, and that can be asked for.
 */
static void
set_peek_offset(int fd, uint64_t received)
{
	int offset = INT_MAX - (int)(received % (1U << 30));

	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

bool
ledger_open(int fd, const struct addr *addr, int64_t now)
{
	struct record *record;
	uint64_t id = 0;
	socklen_t len = sizeof(id);

	if ((uint32_t)fd >= journal->descriptors ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id, &len) < 0)
		return false;
	if (addr->family == AF_UNIX)
		set_peek_offset(fd, 0);
	ledger_settle();
	record = ledger_record(fd);
	journal_flip_short(&record->state, RECORD_FREE);
	memset(record, 0, sizeof(*record));
	record->id = id;
	record->addr = *addr;
	record->last_line_at = now;
	record->sum = ledger_record_sum(record);
	ledger_mark(fd, 0, journal->handed, 0);
	journal_flip_short(&record->state, RECORD_NEW);
	journal->head->accepted++;
	return true;
}

void
ledger_close(int fd)
{
	journal_flip_short(&ledger_record(fd)->state, RECORD_FREE);
}

ssize_t
ledger_receive(int fd, char *data, size_t room)
{
	struct journal_head *head = journal->head;
	ssize_t n;

	ledger_settle();
	head->receiver_id = ledger_record(fd)->id;
	journal_flip(&head->receiver, (uint32_t)fd);
	journal->raw[0] = 0;
	n = recv(fd, journal->raw, MIN(room, JOURNAL_RAW), 0);
	if (n > 0)
		memcpy(data, journal->raw, (size_t)n);
	return n;
}

void
ledger_received(int fd, size_t bytes, const struct line *line, uint8_t unfinished)
{
	struct turn *turn = ledger_turn(fd);
	uint64_t before = turn->received;

	turn->parts |= TURN_RECEPTION;
	turn->received += bytes;
	turn->piece =
	    line->len > 0 ? area_place(&journal->area, line->data, line->size) : UINT64_C(0);
	turn->piece_len = line->len | (uint32_t)unfinished << 24;
	if (ledger_record(fd)->addr.family == AF_UNIX && before >> 30 != turn->received >> 30)
		set_peek_offset(fd, turn->received);
}

void
ledger_set_state(int fd, enum record_state state)
{
	struct turn *turn = ledger_turn(fd);

	turn->parts |= TURN_STATE;
	turn->state = state;
}

void
ledger_leaves(int fd, uint64_t bytes)
{
	struct record *record = ledger_record(fd);
	struct turn *turn = ledger_turn(fd);
	const struct mark *mark = mark_of(record);

	if (record->state == RECORD_NEW) /* nothing that it was not told itself */
		ledger_mark(fd, 0, journal->handed, 0);
	turn->parts |= TURN_STATE | TURN_RECEPTION;
	turn->state = RECORD_LEAVING;
	turn->received = bytes == UINT64_MAX ? bytes : mark->sent + bytes;
	turn->last_line_at = (int64_t)journal->handed;
	turn->piece = turn->piece_len = 0;
}

void
ledger_joins(int fd)
{
	ledger_mark(fd, 0, journal->handed, 0);
}

/* --- the index */

void
ledger_add(enum entry_kind kind, int owner, const struct msg *msg)
{
	struct turn *turn = ledger_turn(-1);
	struct journal_entry *entry = ledger_entry(turn->head);
	const struct buf *buf = msg->buf;

	*entry = (struct journal_entry){
	    .position = kind == ENTRY_ALL ? msg_position(msg) : turn->position,
	    .owner = owner >= 0 ? ledger_record(owner)->id : 0,
	    .place = area_place(&journal->area, buf, sizeof(*buf) + buf->size),
	    .off = msg->off,
	    .len = msg->len,
	    .kind = kind,
	};
	entry->sum = ledger_entry_sum(entry, turn->head);
	turn->head++;
	if (kind == ENTRY_ALL)
		turn->position = entry->position + entry->len;
}

const char *
ledger_text(const struct journal_entry *entry)
{
	const struct area *area = &journal->area;
	const struct buf *buf;

	if (!area_is_possible(area, entry->place) || entry->len == 0 ||
	    sizeof(*buf) + entry->off + (uint64_t)entry->len > area_size(entry->place))
		return NULL;
	buf = area_at(area, entry->place);
	return buf->data + entry->off;
}

bool
ledger_lags(int fd)
{
	return journal->next->head - mark_of(ledger_record(fd))->entry > ledger_room() / 2;
}

/* The last entry before end, from begin on, whose position is not past position. */
static uint64_t
search(uint64_t begin, uint64_t end, uint64_t position)
{
	while (end - begin > 1) {
		uint64_t middle = begin + (end - begin) / 2;

		if (ledger_entry(middle)->position <= position)
			begin = middle;
		else
			end = middle;
	}
	return begin;
}

/* The entry of a part for one alone that waits first, or the end. */
static uint64_t
find_alone(uint64_t begin, uint64_t end, uint64_t id, const struct msg *first)
{
	const struct buf *buf = first->buf;
	uint64_t place = area_place(&journal->area, buf, sizeof(*buf) + buf->size);

	/* It was added when the log was at that position: entries that do were added one by one. */
	if (buf->position > 0)
		begin = search(begin, end, buf->position - 1);
	for (; begin < end; begin++) {
		const struct journal_entry *entry = ledger_entry(begin);

		if (entry->kind == ENTRY_ALONE && entry->owner == id && entry->place == place)
			break;
		if (entry->position > buf->position)
			return end;
	}
	return begin;
}

uint64_t
ledger_advance(int fd, const struct queue *queue)
{
	const struct record *record = ledger_record(fd);
	const struct mark *mark = mark_of(record);
	const struct msg *first = &queue->spans[queue->head];
	uint64_t found, end = journal->handed;

	if (queue_empty(queue)) {
		if (mark->entry < end)
			ledger_mark(fd, mark->sent, end, 0);
		return end;
	}
	if (first->buf->arena == NULL) {
		if ((found = find_alone(mark->entry, end, record->id, first)) < end)
			ledger_mark(fd, mark->sent, found, first->off - ledger_entry(found)->off);
	} else {
		found = search(mark->entry, end, msg_position(first));
		ledger_mark(
		    fd, mark->sent, found, msg_position(first) - ledger_entry(found)->position);
	}
	return mark_of(record)->entry;
}

bool
ledger_trim(uint64_t tail)
{
	journal->tail = tail;
	journal->trim_at = journal->next->head + TRIM_EVERY;
	return tail == journal->next->head && (tail & (journal->ring - 1)) >= TRIM_EVERY;
}

uint64_t
ledger_jump(void)
{
	struct turn *turn = ledger_turn(-1);
	struct journal_entry *entry = ledger_entry(turn->head);
	uint64_t number = turn->head;

	*entry = (struct journal_entry){.position = turn->position, .kind = ENTRY_JUMP};
	entry->sum = ledger_entry_sum(entry, number);
	turn->head = ledger_next(number);
	ledger_commit();
	journal->handed = journal->tail = journal->next->head;
	journal->trim_at = journal->tail + TRIM_EVERY;
	return journal->tail;
}
