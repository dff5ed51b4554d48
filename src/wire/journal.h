/*
 * journal: what outlives the process, in memory that the service manager keeps a descriptor of.
 *
 * It is always current, so a successor goes on with it whether chatd was asked to go or was killed
 * between any two instructions. What it holds:
 *
 *	the log         the bufs of broadcast's arena and the unfinished lines of clients, as blocks
 *	                of an area
 *	the index       for each part of the log who said it, or for whom alone it is
 *	records         by descriptor: who it is, and how much of the log it has got
 *	turns           what one recv has changed, see ledger.h
 *	raw             what the recv under way receives
 *	and a few things of rooms above: names, rates, holds, history, notices, listeners, and what
 *	a cluster has to know
 *
 * How it stays whole: the process may be killed, but the machine goes on, so what was stored stays
 * stored, in the order of the program. A value of several words is never overwritten where it
 * counts: the next one is prepared beside it, and one store of 32 bits makes that the valid one
 * (journal_flip).
 *
 * Nothing in it is trusted by a successor: sizes, places and numbers are checked before they are
 * used, and a sum tells whether what belongs together was written together. What one store changes
 * has its complement beside it instead (JOURNAL_WORD). It holds offsets, never pointers. The one
 *exception are the headers of bufs, which are only written (see msg.h).
 *
 * Memory is only used for what was stored: the file is sparse. The area has room for what the
 * limits allow to wait; it grows when a successor finds that they have been raised.
 *
 * Without a service manager that keeps descriptors there is no journal, and everything is as if
 * this room did not exist.
 */
#ifndef CHATD_JOURNAL_H
#define CHATD_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/area.h"

#define JOURNAL_RAW       65536 /* bytes of one recv */
#define JOURNAL_LISTENERS 1024
#define JOURNAL_TEXT      1280                 /* bytes that notices keep */
#define JOURNAL_NICK      48                   /* bytes of a name and what belongs to it */
#define JOURNAL_OUTBOX    ((8U << 20) + 16384) /* bytes for the outbox of a cluster */
#define JOURNAL_NODES     1024                 /* of a cluster */

/* Small values that are stored without a sum. */
#define JOURNAL_SHORT(value) ((uint16_t)((value) | (~(value)&0xff) << 8))
#define JOURNAL_WORD(value)  ((uint32_t)JOURNAL_SHORT(value))

/* How much of the log a client has got. */
struct mark {
	uint64_t sent;  /* bytes */
	uint64_t entry; /* of the index: what follows is for it, */
	uint32_t skip;  /* but for so many bytes of that, which are among those sent */
	uint32_t sum;
};

enum record_state {
	RECORD_FREE,                   /* memory that was never used */
	RECORD_NEW = JOURNAL_SHORT(1), /* accepted, not let in yet */
	RECORD_MEMBER = JOURNAL_SHORT(2),
	RECORD_WRITE_CLOSED = JOURNAL_SHORT(3),
	RECORD_LEAVING = JOURNAL_SHORT(4),
	RECORD_REMOVED = JOURNAL_SHORT(5), /* it will be closed at the end of the pass */
};

/* One connection, by its descriptor. */
struct record {
	uint64_t id; /* its socket's cookie, which is never used again */
	struct mark marks[2];
	uint16_t state;       /* enum record_state */
	uint16_t which;       /* JOURNAL_SHORT of: bit 0: the valid mark; RECORD_BUSY */
	uint32_t lines;       /* of the last turn like all below, with one sum: said */
	uint64_t received;    /* bytes; of a leaving one: bytes sent that it gets of the log */
	int64_t last_line_at; /* of a leaving one: the entry from which it hears nothing new */
	uint64_t piece;       /* place of an unfinished line, or 0 */
	uint32_t piece_len;   /* see PIECE_LEN */
	uint32_t sum;
	struct addr addr;
};
/* The bytes at its end that may become a telnet command are counted in the high bits. */
#define PIECE_LEN(len)        ((len)&0xffffff)
#define PIECE_UNFINISHED(len) ((uint8_t)((len) >> 24))
#define RECORD_BUSY           2 /* the relay sends to it, see relay.h */

enum entry_kind {
	ENTRY_ALL,     /* for all but its owner; owner 0: for all */
	ENTRY_ALONE,   /* for its owner alone */
	ENTRY_HISTORY, /* for nobody: the history of mode chat keeps it */
	ENTRY_JUMP,    /* for nobody: the next entry is at the beginning of the ring */
};

/* A part of the log: len bytes at off behind the header of the buf at place. */
struct journal_entry {
	uint64_t position; /* of its first byte; not ENTRY_ALL: of the next byte of the log */
	uint64_t owner;    /* id */
	uint64_t place;
	uint32_t off, len;
	uint32_t kind;
	uint32_t sum;
};

/* What may change in one turn. */
enum turn_parts {
	TURN_RECEPTION = 1, /* received to piece_len */
	TURN_STATE = 2,
	TURN_NICK = 4,
	TURN_BUCKET = 8,
};

struct turn {
	uint64_t head;     /* entries of the index since the beginning */
	uint64_t position; /* of the next byte of the log */
	uint64_t lines;    /* said since the first start */
	uint64_t names;    /* events of names, and those that all have been told of */
	uint64_t names_told;
	uint32_t left;  /* which of the two texts of notices is valid */
	uint32_t parts; /* enum turn_parts of: */
	uint32_t fd;
	uint32_t state;
	uint64_t id;
	uint64_t received, lines_said, piece;
	int64_t last_line_at;
	uint32_t piece_len;
	uint32_t channel; /* which of the two states of a cluster is valid */
	int64_t debt, paid_at;
	unsigned char nick[JOURNAL_NICK];
	uint64_t sum;
};

/* The history of mode chat: its bytes, and the next entry of the index to look at. */
struct journal_history {
	uint64_t place, start, len, max, entry, sum;
};

struct journal_left {
	int64_t due;
	uint32_t count, more, len;
	char text[JOURNAL_TEXT];
	uint32_t sum;
};

/* Of a cluster; see cluster/persist.h. */
struct journal_channel {
	uint64_t epoch;  /* 0: there was none */
	uint64_t stream; /* sum of its name */
	uint64_t first, confirmed, last, end;
	uint64_t read[4], origin[2];
	uint64_t saying[2], said;
	uint64_t clock;
	uint32_t learned, told, nodes, sum;
	struct {
		uint64_t epoch, last, used;
	} filter[JOURNAL_NODES];
};

struct journal_listener {
	uint32_t fd; /* 0: free */
	uint32_t flags;
	uint64_t id, device, inode;
	struct endpoint endpoint;
	uint64_t sum;
};
#define LISTENER_INHERITED 1
#define LISTENER_ABSENT    2

struct journal_hold {
	uint64_t id;
	int64_t recorded_at, window_began, last_progress_at;
	int32_t unacked;
	uint32_t window_bytes;
	uint32_t logged;
	uint32_t sum;
};

struct journal_bucket {
	int64_t debt, at;
};

/* What a successor compares first: another version of chatd may lay all this out differently. */
struct journal_form {
	char magic[8];
	uint32_t version;
	uint32_t sizes[10]; /* of the structures above, as the compiler laid them out */
	uint32_t index_order, descriptors;
	uint32_t sum; /* the size of the area follows from that of the file */
};

struct journal_head {
	struct journal_form form;
	uint32_t attempts;    /* to take over in a row that came to no end */
	uint32_t crashes;     /* the same: those that a fault of chatd's own ended */
	uint32_t planned;     /* the last process was asked to go */
	uint32_t accepted;    /* connections since the beginning; see safe.h */
	int64_t started;      /* the first process */
	uint32_t receiver;    /* the descriptor that raw is for */
	uint64_t receiver_id; /* and whose that is */
	uint64_t relay_id;    /* whom the relay sends to, */
	uint32_t relay_bytes; /* and how much at most */
	uint32_t relay_sum;   /* of both */
	uint32_t turn;        /* JOURNAL_WORD of the valid one */
	struct turn turns[2];
	uint32_t history; /* the same */
	struct journal_history histories[2];
	struct journal_left left[2];
	struct journal_channel channels[2];
};

struct journal {
	int fd;
	char *base;
	size_t size;
	struct area area;
	struct journal_head *head;
	struct journal_listener *listeners; /* JOURNAL_LISTENERS of them */
	struct record *records;             /* by descriptor, like the next three */
	unsigned char (*nicks)[JOURNAL_NICK];
	struct journal_bucket *buckets;
	struct journal_hold *holds;
	struct journal_entry *entries; /* a ring */
	char *raw;
	char *outbox;
	uint32_t descriptors; /* numbers below this have a record */
	uint32_t ring;        /* entries, a power of two */
	/* Of this process: */
	struct turn *next; /* the turn that is prepared */
	bool pending;      /* it differs from the valid one */
	uint64_t handed;   /* entries that are in the queues */
	uint64_t tail;     /* entries before it are needed by nobody */
	uint64_t trim_at;  /* when head is there, it is time to look for a new tail */
	const char *fault; /* why a successor cannot use it, or NULL */
};

/* NULL: nothing is kept. */
extern struct journal *journal;

/* What the limits of a configuration allow to wait. */
struct journal_need {
	uint64_t line, queue, clients, history;
};

#define JOURNAL_ERROR 160
#define JOURNAL_SHARE 8 /* times what may wait that its bufs can take at worst */

/*
 * A new one. index_order: logarithm of the entries of the index, 0: the usual. Returns 0 with
 * journal set, or -1 with error filled.
 */
int journal_create(
    const struct journal_need *need, unsigned index_order, char error[JOURNAL_ERROR]);
/*
 * That of a former process, in fd, which is taken over when it fits. The area grows to what is
 * needed. Its blocks are all free: the rooms claim what they find theirs. Returns 0 with journal
 * set, or -1 with error filled.
 */
int journal_adopt(int fd, const struct journal_need *need, char error[JOURNAL_ERROR]);
/* Forgets the journal in this process. */
void journal_close(void);
/* Whether it was laid out for so much, or for as much as is possible. */
bool journal_suffices(const struct journal_need *need);
/* What journal_queue is at most: with 32 bits 64 MiB, otherwise more than limits.queue may be. */
uint64_t journal_queue_most(void);

/* Bytes that may wait for the slowest client so that there is room in any case. */
static inline uint64_t
journal_queue(void)
{
	return (UINT64_C(1) << journal->area.order) / JOURNAL_SHARE;
}

static inline void
journal_flip_short(uint16_t *word, uint16_t value)
{
	atomic_signal_fence(memory_order_seq_cst);
	*(volatile uint16_t *)word = value;
	atomic_signal_fence(memory_order_seq_cst);
}

/* What a successor has found cannot be. Returns false. */
static inline bool
journal_fault(const char *what)
{
	if (journal->fault == NULL)
		journal->fault = what;
	return false;
}

/* The last store of a change. Neither the compiler nor a kill sets it before what precedes it. */
static inline void
journal_flip(uint32_t *word, uint32_t value)
{
	atomic_signal_fence(memory_order_seq_cst);
	*(volatile uint32_t *)word = value;
	atomic_signal_fence(memory_order_seq_cst);
}

/* A sum of len bytes, a multiple of 4. It finds damage; it is no protection against malice. */
uint32_t journal_sum(const void *data, size_t len);

/* The turn that counts. */
static inline struct turn *
journal_turn(void)
{
	return &journal->head->turns[journal->head->turn & 1];
}

/* Memory for a buf or a line, as malloc and free. */
void *journal_alloc(size_t size);
void journal_free(void *data, size_t size);
static inline bool
journal_owns(const void *data)
{
	return journal != NULL && (const char *)data >= journal->area.base &&
	       (const char *)data < journal->base + journal->size;
}

#endif
