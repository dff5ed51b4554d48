/*
 * msg: one counted message, and the shared memory that messages lie in.
 *
 * What is received goes straight to the tail of a buf, which is append-only while anybody refers to
 * it. A msg is a span of a buf: one or more whole lines. It is never copied for a recipient; every
 * queue that holds it has a reference to the buf. Messages that were received one after the other
 * are adjacent, so a queue can let its last span grow instead of taking a new one (see queue.h).
 *
 * An arena owns the buf that is being filled. When nobody refers to that buf it starts over at 0
 * and stays in the cache; when it is full and still referred to, the arena moves on to another one,
 * and the last reference gives the old one back.
 *
 * Positions: every byte ever taken has a number, its position in the stream of everything that was
 * received. The distance between two positions says how much was received between them, and so how
 * much memory the older one keeps alive.
 */
#ifndef CHATD_MSG_H
#define CHATD_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	struct arena *arena; /* its owner; NULL: freed with its last reference */
	uint64_t position;   /* of data[0] */
	uint32_t refs;
	uint32_t used; /* bytes; those before it do not change while refs > 0 */
	uint32_t size; /* bytes of data */
	char data[];
};

struct msg {
	struct buf *buf; /* NULL: no message */
	uint32_t off, len;
};

#define MSG_NONE ((struct msg){.buf = NULL})

struct arena {
	struct buf *filling;
	struct buf *spare; /* kept, so that steady load never asks the allocator */
	uint64_t position; /* of the next byte */
	bool kept;         /* bufs lie in the journal, if there is one */
};

/* Size of a buf in bytes: room for a few recvs of 64 KiB, and it still fits a CPU's cache. */
#define ARENA_BUF      262144
/* The same in the journal, where its header makes the block full. */
#define ARENA_BUF_KEPT (ARENA_BUF - sizeof(struct buf))

/*
 * Makes room for want bytes at arena_tail; where memory is refused, for at least min of them.
 * Returns the room, or 0. Good until the next arena_take or arena_reserve.
 */
size_t arena_reserve(struct arena *arena, size_t min, size_t want);
char *arena_tail(const struct arena *arena);
/* Turns the first len bytes at the tail into a message. Nobody refers to it yet. */
struct msg arena_take(struct arena *arena, size_t len);
/* The caller has dropped all messages before. */
void arena_free(struct arena *arena);

/* A message outside of the arena, but kept like it, with len bytes of text, or MSG_NONE when memory
 * is refused. */
struct msg msg_new(const struct arena *arena, const char *text, size_t len);
char *msg_data(const struct msg *msg);
void msg_ref(const struct msg *msg);
void msg_unref(const struct msg *msg);
/* Position of the first byte. */
uint64_t msg_position(const struct msg *msg);

#endif
