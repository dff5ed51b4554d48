#include "wire/queue.h"

#include <stdlib.h>
#include <string.h>

void
queue_init(struct queue *queue)
{
	queue->spans = queue->few;
	queue->size = QUEUE_FEW;
	queue->head = queue->tail = 0;
}

bool
queue_empty(const struct queue *queue)
{
	return queue->head == queue->tail;
}

/* Starts over at the front, and frees the memory that a backlog needed. */
static void
rewind_empty(struct queue *queue)
{
	if (queue->spans != queue->few)
		free(queue->spans);
	queue_init(queue);
}

void
queue_clear(struct queue *queue)
{
	while (!queue_empty(queue))
		msg_unref(&queue->spans[queue->head++]);
	rewind_empty(queue);
}

void
queue_push(struct queue *queue, const struct msg *msg)
{
	if (!queue_empty(queue)) {
		struct msg *last = &queue->spans[queue->tail - 1];

		if (last->buf == msg->buf && last->off + last->len == msg->off) {
			last->len += msg->len;
			return;
		}
	}
	queue->spans[queue->tail++] = *msg;
	msg_ref(msg);
}

bool
queue_grow(struct queue *queue, uint32_t places)
{
	uint32_t count = queue->tail - queue->head, size = queue->size * 2;
	struct msg *spans = queue->spans;

	if (count + places <= queue->size / 2) {
		memmove(spans, spans + queue->head, count * sizeof(*spans));
	} else {
		while (count + places > size)
			size *= 2;
		if ((spans = malloc(size * sizeof(*spans))) == NULL)
			return false;
		memcpy(spans, queue->spans + queue->head, count * sizeof(*spans));
		if (queue->spans != queue->few)
			free(queue->spans);
		queue->spans = spans;
		queue->size = size;
	}
	queue->head = 0;
	queue->tail = count;
	return true;
}

int
queue_iov(const struct queue *queue, struct iovec *iov, int max)
{
	int count = 0;

	for (uint32_t i = queue->head; i < queue->tail && count < max; i++, count++)
		iov[count] = (struct iovec){
		    .iov_base = msg_data(&queue->spans[i]), .iov_len = queue->spans[i].len};
	return count;
}

void
queue_consume(struct queue *queue, size_t len)
{
	while (len > 0) {
		struct msg *first = &queue->spans[queue->head];

		if (len < first->len) {
			first->off += (uint32_t)len;
			first->len -= (uint32_t)len;
			return;
		}
		len -= first->len;
		msg_unref(first);
		queue->head++;
	}
	if (queue_empty(queue))
		rewind_empty(queue);
}

/* Bytes of the first span up to the end of the line that has begun to leave. */
static uint32_t
begun(const struct msg *first)
{
	const char *data = msg_data(first), *end;

	if (first->off == 0 || data[-1] == '\n')
		return 0;
	end = memchr(data, '\n', first->len);
	return end != NULL ? (uint32_t)(end - data) + 1 : first->len;
}

void
queue_cut(struct queue *queue)
{
	struct msg *first = &queue->spans[queue->head];
	uint32_t kept;

	if (queue_empty(queue))
		return;
	if ((kept = begun(first)) == 0) {
		queue_clear(queue);
		return;
	}
	first->len = kept;
	while (queue->tail > queue->head + 1)
		msg_unref(&queue->spans[--queue->tail]);
}

uint64_t
queue_bytes(const struct queue *queue)
{
	uint64_t bytes = 0;

	for (uint32_t i = queue->head; i < queue->tail; i++)
		bytes += queue->spans[i].len;
	return bytes;
}

uint64_t
queue_weight(const struct queue *queue)
{
	return queue_bytes(queue) + (uint64_t)(queue->tail - queue->head) * QUEUE_SPAN;
}

uint64_t
queue_lag(const struct queue *queue, uint64_t position)
{
	return queue_empty(queue) ? 0 : position - msg_position(&queue->spans[queue->head]);
}
