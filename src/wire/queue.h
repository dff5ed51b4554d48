/*
 * queue: the messages that wait for one connection, oldest first.
 *
 * A message that begins where the last one ends extends it, so everything a pass brought leaves in
 * one send call, however many messages it was, without an allocation or an iovec for each.
 *
 * A push never fails: its place was reserved before. While queue_reserve fails nothing may be
 * received, so nothing that was received is lost for want of memory.
 *
 * A queue holds one reference to the buf of each of its spans.
 */
#ifndef CHATD_QUEUE_H
#define CHATD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "wire/msg.h"

/* Spans without an allocation. Enough for a client that reads well: two of each of two passes. */
#define QUEUE_FEW 4

struct queue {
	struct msg *spans; /* spans[head] to spans[tail - 1] wait; few, or allocated */
	uint32_t head, tail, size;
	struct msg few[QUEUE_FEW];
};

void queue_init(struct queue *queue); /* the queue must not move afterwards */
void queue_clear(struct queue *queue);
bool queue_empty(const struct queue *queue);

/* Takes a reserved place, or none where the message extends the last one. */
void queue_push(struct queue *queue, const struct msg *msg);
/* Makes so many places; a new queue has QUEUE_FEW. Returns whether there are. */
bool queue_grow(struct queue *queue, uint32_t places);
static inline bool
queue_reserve(struct queue *queue, uint32_t places)
{
	return queue->tail + places <= queue->size || queue_grow(queue, places);
}

/* Fills up to max entries with what waits. Returns how many. */
int queue_iov(const struct queue *queue, struct iovec *iov, int max);
/* Removes the first len bytes. */
void queue_consume(struct queue *queue, size_t len);

/*
 * Drops what waits behind the line that has begun to leave, or everything if there is none. What
 * lies before the first span in its buf has been consumed.
 */
void queue_cut(struct queue *queue);

/* Bytes that wait. */
uint64_t queue_bytes(const struct queue *queue);
/* Bytes that wait, and QUEUE_SPAN for each span, since it may have a buf of its own. */
uint64_t queue_weight(const struct queue *queue);
#define QUEUE_SPAN 64

/* Bytes received from the oldest one that waits up to position: the memory the queue keeps alive.
 */
uint64_t queue_lag(const struct queue *queue, uint64_t position);

#endif
