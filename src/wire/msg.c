#include "wire/msg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "wire/journal.h"

static struct buf *
buf_new(struct arena *arena, bool kept, size_t size)
{
	struct buf *buf = kept ? journal_alloc(sizeof(*buf) + size) : malloc(sizeof(*buf) + size);

	if (buf != NULL)
		*buf = (struct buf){.arena = arena, .size = (uint32_t)size};
	return buf;
}

static void
buf_free(struct buf *buf)
{
	if (buf != NULL && journal_owns(buf))
		journal_free(buf, sizeof(*buf) + buf->size);
	else
		free(buf);
}

static inline bool
is_kept(const struct arena *arena)
{
	return arena->kept && journal != NULL;
}

static void
buf_release(struct buf *buf)
{
	struct arena *arena = buf->arena;

	if (arena != NULL && arena->spare == NULL)
		arena->spare = buf;
	else
		buf_free(buf);
}

static struct buf *
buf_fresh(struct arena *arena, size_t want)
{
	struct buf *buf = arena->spare;

	arena->spare = NULL;
	if (buf != NULL && buf->size >= want)
		return buf;
	buf_free(buf);
	/* Twice as much, or each piece of an endless line would keep a whole buf alive. */
	return is_kept(arena) ? buf_new(arena, true, MAX(2 * want, ARENA_BUF_KEPT))
			      : buf_new(arena, false, MAX(2 * want, ARENA_BUF));
}

size_t
arena_reserve(struct arena *arena, size_t min, size_t want)
{
	struct buf *old = arena->filling, *buf;
	size_t room = 0;

	if (old != NULL && old->refs == 0) {
		old->used = 0;
		old->position = arena->position;
	}
	if (old != NULL)
		room = old->size - old->used;
	if (room >= want)
		return want;
	if ((buf = buf_fresh(arena, want)) == NULL)
		return room >= min ? room : 0;
	buf->used = 0;
	buf->position = arena->position;
	arena->filling = buf;
	if (old != NULL && old->refs == 0)
		buf_release(old);
	return want;
}

char *
arena_tail(const struct arena *arena)
{
	return arena->filling->data + arena->filling->used;
}

struct msg
arena_take(struct arena *arena, size_t len)
{
	struct buf *buf = arena->filling;
	struct msg msg = {.buf = buf, .off = buf->used, .len = (uint32_t)len};

	buf->used += (uint32_t)len;
	arena->position += len;
	return msg;
}

void
arena_free(struct arena *arena)
{
	buf_free(arena->filling);
	buf_free(arena->spare);
	*arena = (struct arena){0};
}

struct msg
msg_new(const struct arena *arena, const char *text, size_t len)
{
	struct buf *buf = buf_new(NULL, is_kept(arena), len);

	if (buf == NULL)
		return MSG_NONE;
	memcpy(buf->data, text, len);
	buf->used = (uint32_t)len;
	buf->position = arena->position;
	return (struct msg){.buf = buf, .len = (uint32_t)len};
}

char *
msg_data(const struct msg *msg)
{
	return msg->buf->data + msg->off;
}

void
msg_ref(const struct msg *msg)
{
	msg->buf->refs++;
}

void
msg_unref(const struct msg *msg)
{
	struct buf *buf = msg->buf;

	if (--buf->refs == 0 && (buf->arena == NULL || buf != buf->arena->filling))
		buf_release(buf);
}

uint64_t
msg_position(const struct msg *msg)
{
	const struct buf *buf = msg->buf;

	/* A part for one alone lies at one place of the log, however much of it is left. */
	return buf->position + (buf->arena != NULL ? msg->off : 0);
}
