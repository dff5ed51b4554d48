#include "cluster/reply.h"

#include <hiredis/hiredis.h>

bool
reply_is_built(void)
{
	return true;
}

int
reply_open(struct replies *replies)
{
	*replies = (struct replies){.reader = redisReaderCreate()};
	return replies->reader != NULL ? 0 : -1;
}

void
reply_close(struct replies *replies)
{
	if (replies->reader != NULL)
		redisReaderFree(replies->reader);
	*replies = (struct replies){0};
}

static int
pass(void *context, const char *data, size_t len)
{
	return redisReaderFeed(context, data, len) == REDIS_OK ? 0 : -1;
}

int
reply_feed(struct replies *replies, const char *data, size_t len)
{
	return guard_feed(&replies->guard, data, len, pass, replies->reader);
}

int
reply_next(struct replies *replies, struct redisReply **reply)
{
	void *next = NULL;
	int result = redisReaderGetReply(replies->reader, &next);

	*reply = next;
	return result == REDIS_OK ? 0 : -1;
}

void
reply_free(struct redisReply *reply)
{
	if (reply != NULL)
		freeReplyObject(reply);
}

enum reply_kind
reply_kind(const struct redisReply *reply)
{
	switch (reply != NULL ? reply->type : REDIS_REPLY_NIL) {
	case REDIS_REPLY_STATUS:
		return REPLY_STATUS;
	case REDIS_REPLY_ERROR:
		return REPLY_ERROR;
	case REDIS_REPLY_INTEGER:
		return REPLY_NUMBER;
	case REDIS_REPLY_STRING:
		return REPLY_TEXT;
	case REDIS_REPLY_ARRAY:
		return REPLY_LIST;
	default:
		return REPLY_NIL;
	}
}

const char *
reply_text(const struct redisReply *reply, size_t *len)
{
	enum reply_kind kind = reply_kind(reply);

	*len = 0;
	if (kind != REPLY_STATUS && kind != REPLY_ERROR && kind != REPLY_TEXT)
		return "";
	*len = (size_t)reply->len;
	return reply->str;
}

size_t
reply_count(const struct redisReply *reply)
{
	return reply_kind(reply) == REPLY_LIST ? (size_t)reply->elements : 0;
}

const struct redisReply *
reply_at(const struct redisReply *reply, size_t i)
{
	return i < reply_count(reply) ? reply->element[i] : NULL;
}
