/*
 * ledger: what is written into the journal while chatd runs.
 *
 * A turn is everything that one recv changes: the bytes received, the piece of a line that is left,
 * what was added to the log, a name, a rate, that the client leaves. It is prepared in the spare
 * one of two places, and becomes valid by one store, ledger_commit; then its client's record is
 * brought up to date, which a successor does again. A kill before the store: the turn never
 * happened, but the bytes lie in journal->raw and the kernel knows how many they are, so that the
 * successor carries it out. What chatd adds to the log of its own is a turn as well, without a
 * client.
 *
 * Rules. The turn before is committed when one is opened for another client. Nothing is sent before
 * the turn is committed that it belongs to (conn_write sees to that). What the valid turn refers to
 * is not overwritten before the commit.
 *
 * What a client gets of the log needs no turn: its mark says how much it has been sent, and from
 * which entry of the index on the rest follows. After each send a new mark is put beside the old
 * one, with one store to make it valid; should the process be killed before, the kernel's counters
 * tell what was sent.
 *
 * Entries before journal->tail are needed by nobody. When the ring of entries has no room, nothing
 * is received until it has: ledger_has_room. Whoever lags then holds the pool, see pressure.h.
 *
 * Everything here needs a journal, unless it says otherwise.
 */
#ifndef CHATD_LEDGER_H
#define CHATD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/journal.h"
#include "wire/line.h"
#include "wire/msg.h"
#include "wire/queue.h"

static inline struct record *
ledger_record(int fd)
{
	return &journal->records[fd];
}

/*
 * A new connection. Returns whether it is kept in the journal from now on: there must be a record
 * for its number.
 */
bool ledger_open(int fd, const struct addr *addr, int64_t now);
/* It has been shut down and will be closed. */
void ledger_close(int fd);

/* The turn that is prepared, for a client or, with -1, for nobody. */
struct turn *ledger_turn(int fd);
void ledger_commit(void);
/* With or without a journal. */
static inline void
ledger_settle(void)
{
	if (journal != NULL && journal->pending)
		ledger_commit();
}

/* Receives at most JOURNAL_RAW bytes, as recv does. They are in journal->raw, and at data. */
ssize_t ledger_receive(int fd, char *data, size_t room);
/* Into the turn: bytes were received; line, of which some bytes may be a command, is left. */
void ledger_received(int fd, size_t bytes, const struct line *line, uint8_t unfinished);
/* Into the turn. LEAVING and MEMBER have functions of their own. */
void ledger_set_state(int fd, enum record_state state);
/*
 * It leaves: of what is in the log it gets what waits now, bytes of it, and nothing new but what is
 * for it alone.
 */
void ledger_leaves(int fd, uint64_t bytes);
/* It gets what everybody hears, from what is not in the queues yet on; RECORD_NEW stays. */
void ledger_joins(int fd);

/* Into the turn: a part of the log. owner: a descriptor that is kept, or -1. */
void ledger_add(enum entry_kind kind, int owner, const struct msg *msg);
/* Entries that may be needed while something is received; the others are for chatd's own parts. */
#define LEDGER_RESERVE 64 /* for those of one recv */
static inline uint64_t
ledger_room(void)
{
	return journal->ring - journal->ring / 4 - LEDGER_RESERVE;
}
/* Whether there is room for what one more recv can add. */
static inline bool
ledger_has_room(void)
{
	return journal->next->head - journal->tail <= ledger_room();
}
/* And for one more part of chatd's own. */
static inline bool
ledger_has_place(void)
{
	return journal->next->head - journal->tail < journal->ring - LEDGER_RESERVE;
}
/* Whether what waits for fd, as of the last trim, takes up half of that room or more. */
bool ledger_lags(int fd);
/* Everything in the index is in the queues now. */
static inline void
ledger_handed(void)
{
	journal->handed = journal->next->head;
}

/* bytes of the queue have been sent, and are no longer in it. */
void ledger_sent(int fd, size_t bytes, bool empty);
/* The relay sends to it; ledger_sent ends that. */
void ledger_sends(int fd);
void ledger_sends_no_more(int fd);

/* The sums, for those who check them. */
uint32_t ledger_mark_sum(const struct mark *mark);
uint32_t ledger_entry_sum(const struct journal_entry *entry, uint64_t number);
uint32_t ledger_record_sum(const struct record *record);
static inline struct journal_entry *
ledger_entry(uint64_t number)
{
	return &journal->entries[number & (journal->ring - 1)];
}
/* The bytes of an entry that may come from anywhere, or NULL: it is none that can be. */
const char *ledger_text(const struct journal_entry *entry);
/* Brings the record of the valid turn's client up to date, once more. */
void ledger_apply(void);
/* For a successor, whose valid turn is sound: goes on from there. */
void ledger_resume(void);
/* A mark of its own making, for trims and takeovers. */
void ledger_mark(int fd, uint64_t sent, uint64_t entry, uint64_t skip);

/*
 * The mark moves up to what waits first in the queue, as far as that is possible. Nothing is
 * pending, and everything is in the queues. Returns the entry of the mark.
 */
uint64_t ledger_advance(int fd, const struct queue *queue);
/* No mark is before tail any more. Returns whether ledger_jump is possible and worth while. */
bool ledger_trim(uint64_t tail);
/*
 * Nobody needs any entry: goes on at the beginning of the ring, so that it stays in the cache.
 * Returns the number of the next entry, which the caller puts into all marks.
 */
uint64_t ledger_jump(void);
/* The number of the entry behind this one. */
static inline uint64_t
ledger_next(uint64_t number)
{
	if (ledger_entry(number)->kind == ENTRY_JUMP)
		return (number | (journal->ring - 1)) + 1;
	return number + 1;
}

#endif
